"""A travel diary of any length: dated, consistent entries of a few paragraphs.

One entry has one traveller (woman or man, alone or in company), one tense, one town, one weather.
Its paragraphs follow the day: arriving, the morning, a meal, the afternoon, the evening.
"""

from __future__ import annotations

from collections.abc import Iterator

from charlm.text.grammar.calendar import MONTHS, day_name
from charlm.text.grammar.chance import Rng, between, chance, pick
from charlm.text.grammar.scene import Scene, finish, new_scene
from charlm.text.grammar.words import sentence_case

FIRST_YEAR, LAST_YEAR = 1953, 2024

# part of the day: (opening rules of a paragraph, rules that may follow, how many follow at most)
_ARRIVAL = (("arrivo",), ("alloggio", "dettaglio", "alloggio", "dettaglio", "cielo", "giudizio"), 3)
_MORNING = (("visita",), ("guarda", "guarda", "cielo", "guarda", "ricordo", "dialogo"), 5)
_MEAL = (("pasto",), ("sapore", "sapore", "dialogo", "sapore"), 4)
_AFTERNOONS = (
    (("gita",), ("gita_poi", "gita_poi", "guarda", "cielo"), 4),
    (("incontro",), ("dialogo", "dialogo", "ricordo", "guarda"), 4),
    (("compere",), ("compere_poi", "compere_poi", "dialogo"), 4),
    (("guaio",), ("rimedio", "rimedio", "guarda", "dialogo"), 3),
    (("visita",), ("guarda", "guarda", "dialogo", "giudizio"), 4),
)
_EVENING = (("sera",), ("pensiero", "giudizio", "ricordo", "pensiero"), 3)

Plan = tuple[tuple[str, ...], tuple[str, ...], int]


def _paragraph(scene: Scene, part: str, plan: Plan) -> str:
    openings, followers, most = plan
    scene.part = part
    sentences = [finish(scene.rule(pick(scene.rng, openings)))]
    weather_told = "cielo" in scene.used
    spoken = 0
    for _ in range(between(scene.rng, 1, most)):
        name = pick(scene.rng, followers)
        if name == "cielo":
            if weather_told:
                continue
            weather_told = True
            scene.used.add("cielo")
        if name in ("dialogo", "giudizio", "ricordo", "alloggio"):
            # One of each kind in an entry, two for talk: more talk would be monotonous.
            spoken = sum(mark.startswith(f"#{name}") for mark in scene.used)
            if spoken >= (2 if name == "dialogo" else 1):
                continue
            scene.used.add(f"#{name}{spoken}")
        sentences.append(finish(scene.rule(name)))
    return " ".join(sentences)


def entry(rng: Rng) -> str:
    """One entry of the diary: a heading with town and date, then two to five paragraphs."""
    scene = new_scene(rng, between(rng, FIRST_YEAR, LAST_YEAR))
    name = sentence_case(scene.town.the())
    heading = f"{name}, {day_name(scene.day)} {MONTHS[scene.month - 1]} {scene.year}"
    paragraphs = []
    if chance(rng, 0.6):
        paragraphs.append(_paragraph(scene, "mattina", _ARRIVAL))
    if chance(rng, 0.8):
        # A traveller who has just arrived does not look around "at dawn".
        paragraphs.append(_paragraph(scene, "tarda" if paragraphs else "mattina", _MORNING))
    if chance(rng, 0.6):
        paragraphs.append(_paragraph(scene, "mezzogiorno", _MEAL))
    if chance(rng, 0.8) or not paragraphs:
        paragraphs.append(_paragraph(scene, "pomeriggio", pick(rng, _AFTERNOONS)))
    if chance(rng, 0.7) or len(paragraphs) < 2:
        paragraphs.append(_paragraph(scene, "sera", _EVENING))
    return "\n\n".join([heading, *paragraphs])


def entries(rng: Rng) -> Iterator[str]:
    """Entries, endlessly."""
    while True:
        yield entry(rng)


def diary(rng: Rng, num_chars: int) -> str:
    """A diary of exactly `num_chars` characters, a function of the state of `rng` alone.

    Entries are separated by two blank lines and the last is cut when the count is reached; the
    last character is a newline, as in every text file.
    """
    pieces: list[str] = []
    length = 0
    for text in entries(rng):
        if length >= num_chars:
            break
        pieces.append(text + "\n\n\n")
        length += len(pieces[-1])
    whole = "".join(pieces)[: max(0, num_chars - 1)]
    return whole + "\n" if num_chars > 0 else ""
