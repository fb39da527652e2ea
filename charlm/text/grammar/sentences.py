"""Single sentences about a journey that state one year, at the start, in the middle or at the end.

They are for an experiment that asks a model for the year of "Sono andato in Nepal nel
2009". A sentence may carry further numbers (metres, rooms, prices) and further years (of birth, of
building), so that the year cannot be found by looking for four digits alone; ``others`` says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from charlm.errors import RequestError
from charlm.text.grammar import people
from charlm.text.grammar.chance import Rng, between, chance, pick
from charlm.text.grammar.rules_number import KINDS
from charlm.text.grammar.scene import MARK, NAME, OTHER, Scene, finish, new_scene

FIRST_YEAR, LAST_YEAR = 1950, 2025
Position = Literal["start", "middle", "end"]
Others = Literal["none", "numbers", "years", "four digits"]
POSITIONS: tuple[Position, ...] = ("start", "middle", "end")
_RULE = {"start": "inizio", "middle": "dentro", "end": "fine"}


@dataclass(frozen=True)
class Sentence:
    """A sentence and the year it states.

    `year_start` is the offset in characters of the year's first digit in `text`, and `year` its
    value; a sentence that states no year of a journey has None and -1. `others` says which other
    numbers there are: "none", "numbers" that are not years, or "years" (perhaps with numbers too).
    In a sentence of `numbered` it is "four digits", and `kind` says what that number counts.
    """

    text: str
    year: int | None = None
    year_start: int = -1
    others: Others = "none"
    kind: str = ""


def _told(scene: Scene, rule: str, year: int | None) -> Sentence:
    """The sentence that a scene tells by that rule."""
    marked = finish(scene.rule(rule))
    text = marked.replace(OTHER, "")
    before, mark, after = text.partition(MARK)
    others: Others = "none"
    if OTHER in marked:
        others = "years"
    elif any(map(str.isdigit, before + after[4 * len(mark) :])):
        others = "numbers"
    return Sentence(before + after, year, len(before) if mark else -1, others)


def _cast(rng: Rng, year: int, *, naming: bool = False) -> Scene:
    """A scene whose subject is io, noi or a name, travelling to a town or to a country."""
    scene = new_scene(rng, year, alone=1.0)
    scene.marking, scene.naming = True, naming
    scene.goal = "paese" if chance(rng, 0.5) else "qui"
    form = rng.random()
    if form < 0.40:
        scene.flags |= {"prima"}
        scene.subject = "io" if chance(rng, 0.08) else ""
    elif form < 0.62:
        scene.flags |= {"prima"}
        scene.person, scene.tag = "noi", scene.me[0] + "p"
        scene.subject = "noi" if chance(rng, 0.08) else ""
    else:
        who = people.companion(rng)
        scene.person, scene.tag = ("lei" if who.tag[1] == "s" else "loro"), who.tag
        scene.subject = who.first
        # A year of another role, between subject and verb.
        if scene.person == "lei" and "," not in who.first and chance(rng, 0.12):
            born = year - between(rng, 18, 70)
            scene.subject += f", {'nata' if who.tag == 'fs' else 'nato'} nel {scene.another(born)},"
    return scene


def sentence(rng: Rng, *, year: int | None = None, position: Position | None = None) -> Sentence:
    """A random travel sentence that states one year.

    `year` is drawn from 1950 to 2025 unless given (1700 to 9999), `position` from start, middle and
    end: where in the sentence the year is. RequestError for a year outside those bounds.
    """
    if year is not None and not 1700 <= year <= 9999:
        raise RequestError(f"year {year} cannot be told: give one from 1700 to 9999")
    told = between(rng, FIRST_YEAR, LAST_YEAR) if year is None else year
    where = pick(rng, POSITIONS) if position is None else position
    return _told(_cast(rng, told), _RULE[where], told)


def note(rng: Rng) -> Sentence:
    """An informal note with the year of a journey: a caption, a message, a memory."""
    year = between(rng, FIRST_YEAR, LAST_YEAR)
    rule = "nota_anni" if chance(rng, 0.35) else "nota"
    return _told(_cast(rng, year), rule, year)


def numbered(rng: Rng, kinds: Sequence[str] = KINDS) -> Sentence:
    """A sentence with the year of a journey and a four-digit number of one of those kinds that is
    not a year; no other year."""
    while True:
        year = between(rng, FIRST_YEAR, LAST_YEAR)
        scene = _cast(rng, year)
        scene.kind = pick(rng, kinds)
        told = _told(scene, "quattro_cifre", year)
        if told.others != "years":
            return replace(told, others="four digits", kind=scene.kind)


def undated(rng: Rng) -> Sentence:
    """A travel sentence without the year of the journey; its numbers mean other things."""
    return _told(_cast(rng, between(rng, FIRST_YEAR, LAST_YEAR)), "senza_anno", None)


# A street is not a person, whoever it is called after.
_NAME = re.compile(rf"(?<!\bvia )\b[\w-]+(?:{NAME}{NAME} [\w-]+)*{NAME}(?!{NAME})")


@dataclass(frozen=True)
class Named:
    """A sentence and the spans of the persons' names in it: `text[start:end]` is one."""

    text: str
    persons: tuple[tuple[int, int], ...]


def named(rng: Rng) -> Named:
    """A travel sentence or note with every name of a person in it, from left to right.

    A name of two words ("Marco Polo") is one span, two names in a row are two; titles
    ("zia", "il signor") do not belong to it.
    """
    scene = _cast(rng, between(rng, FIRST_YEAR, LAST_YEAR), naming=True)
    rule = pick(rng, (*_RULE.values(), "nota", "nota_anni", "senza_anno"))
    marked = finish(scene.rule(rule)).replace(MARK, "").replace(OTHER, "")
    text, spans, end = "", [], 0
    for match in _NAME.finditer(marked):
        text += marked[end : match.start()].replace(NAME, "")
        start, end = len(text), match.end()
        text += match[0].replace(NAME, "")
        spans.append((start, len(text)))
    return Named(text + marked[end:].replace(NAME, ""), tuple(spans))
