"""The Italian grammar: rules against hand-written tables, and its output against known mistakes."""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter

import numpy as np
import pytest

from charlm.errors import RequestError
from charlm.text.grammar import (
    KINDS,
    NEW_KINDS,
    POSITIONS,
    Sentence,
    diary,
    note,
    numbered,
    sentence,
    undated,
)
from charlm.text.grammar.places import lands
from charlm.text.grammar.rules import RULES
from charlm.text.grammar.template import parse
from charlm.text.grammar.verbs import future, imperfect, remote, tell
from charlm.text.grammar.words import (
    Noun,
    agree,
    article,
    articulated,
    beautiful,
    euphonic,
    indefinite,
)

# What a grammar book prints, written out by hand.
PREPOSITIONS = """
di del dello della dell' dei degli delle
a  al  allo  alla  all'  ai  agli  alle
da dal dallo dalla dall' dai dagli dalle
in nel nello nella nell' nei negli nelle
su sul sullo sulla sull' sui sugli sulle
"""

# Sequences that no correct Italian text holds, whatever it speaks of.
MISTAKES = {
    "article": r"\b(?:in|di|da|su) (?:(?:il|lo|la|i|gli|le) |l')",
    # Not the end of Sana'a.
    "a + article": r"(?<!')\ba (?:il|lo|i|gli) ",
    "il before a vowel": r"\b(?:il|lo|del|al|dal|nel|sul) [aeiouàèéìòù]",
    "la before a vowel": r"(?<!')\b(?:la|una|della|alla|dalla|nella|sulla) "
    r"(?!a |al|ad |e )[aeiouàèéìòù]",
    "il before impure s": r"\b(?:il|un|del|al|dal|nel|sul|i|dei|ai|nei) "
    r"(?:s[bcdfglmnpqrtv]|z|gn|ps)",
    "lo before plain": r"\b(?:lo|uno|gli|degli) [bcdflmnpqrtv](?![sn])\w+o ",
    "un' masculine": r"\bun' ?(?:amico|albergo|alberghetto|ostello|asino|agnello|ombrello)",
    "gap after apostrophe": r"\b(?:l|dell|all|dall|nell|sull|un|c)' ",
    "siamo + singular": r"\b(?:siamo|eravamo) (?:\w+ )?"
    r"(?:andat|arrivat|partit|tornat|rimast)[oa]\b",
    "sono + plural, io": r"\b[Ii]o (?:mi )?sono \w+[ie]\b",
    "è + plural": r"\b(?:è|era) (?:andat|arrivat|partit|tornat|rimast|stat)[ie]\b",
    "ho siamo": r"\b(?:ho|abbiamo) (?:andato|arrivato|partito|tornato|rimasto|uscito)\b",
    "euphony": r"\b(?:[Aa] [Aa]|[Ee] [EeÈè])",
    "unfilled": r"[\[\]{}|*\x01]|None",
    "spaces": r"  | [.,;:!?]",
    "doubled word": r"\b(?!piano|bello)(\w{3,}) \1\b",
    "stop after mark": r"[?!]»?\.|\.\.|,,|,\.",
    "other quotes": '["\u201c\u201d\u2019]',
}


def mistakes(text: str) -> list[str]:
    found = []
    for name, pattern in MISTAKES.items():
        hit = re.search(pattern, text)
        if hit:
            found.append(f"{name}: ...{text[max(0, hit.start() - 40) : hit.end() + 40]!r}")
    return found


@pytest.fixture(scope="module")
def text() -> str:
    return diary(random.Random(17), 400_000)


def test_articulated_prepositions_are_those_of_the_grammar_book() -> None:
    for line in PREPOSITIONS.strip().splitlines():
        preposition, *forms = line.split()
        articles = ("il", "lo", "la", "l'", "i", "gli", "le")
        assert [articulated(preposition, each) for each in articles] == forms


@pytest.mark.parametrize(
    ("tag", "word", "definite", "one"),
    [
        ("ms", "treno", "il", "un"),
        ("ms", "albergo", "l'", "un"),
        ("ms", "hotel", "l'", "un"),
        ("ms", "zaino", "lo", "uno"),
        ("ms", "specchio", "lo", "uno"),
        ("ms", "yak", "lo", "uno"),
        ("ms", "gnomo", "lo", "uno"),
        ("ms", "sentiero", "il", "un"),
        ("fs", "isola", "l'", "un'"),
        ("fs", "strada", "la", "una"),
        ("mp", "amici", "gli", "degli"),
        ("fs", "riva", "la", "una"),
        ("mp", "zoccoli", "gli", "degli"),
        ("mp", "treni", "i", "dei"),
        ("fp", "ore", "le", "delle"),
        ("mp", "gnocchi", "gli", "degli"),
    ],
)
def test_articles(tag: str, word: str, definite: str, one: str) -> None:
    assert (article(tag, word), indefinite(tag, word)) == (definite, one)


def test_adjectives_agree() -> None:
    forms = {
        "stanco": "stanco stanca stanchi stanche",
        "vecchio": "vecchio vecchia vecchi vecchie",
        "gotico": "gotico gotica gotici gotiche",
        "lungo": "lungo lunga lunghi lunghe",
        "grande": "grande grande grandi grandi",
        "blu": "blu blu blu blu",
        "chiuso* per lavori": "chiuso per lavori/chiusa per lavori/"
        "chiusi per lavori/chiuse per lavori",
    }
    for adjective, expected in forms.items():
        got = [agree(adjective, tag) for tag in ("ms", "fs", "mp", "fp")]
        assert got == expected.split("/" if "/" in expected else " ")
    assert [beautiful("ms", "ponte"), beautiful("ms", "zaino"), beautiful("fs", "isola")] == [
        "bel ponte",
        "bello zaino",
        "bell'isola",
    ]
    assert Noun("antica chiesa", "fs").after("in") == "nell'antica chiesa"


def test_verbs_against_a_table_written_by_hand() -> None:
    persons = ("io", "noi", "lei", "loro")
    assert [remote("vedere", p) for p in persons] == ["vidi", "vedemmo", "vide", "videro"]
    assert [remote("andare", p) for p in persons] == ["andai", "andammo", "andò", "andarono"]
    assert [remote("bere", p) for p in persons] == ["bevvi", "bevemmo", "bevve", "bevvero"]
    assert [remote("venire", p) for p in persons] == ["venni", "venimmo", "venne", "vennero"]
    assert [imperfect("fare", p) for p in persons] == ["facevo", "facevamo", "faceva", "facevano"]
    assert [future("cercare", p) for p in persons] == [
        "cercherò",
        "cercheremo",
        "cercherà",
        "cercheranno",
    ]
    assert tell("svegliarsi", "noi", "fp", "prossimo") == "ci siamo svegliate"
    assert tell("sedersi", "io", "fs", "prossimo") == "mi sono seduta"
    assert tell("vedere", "noi", "fp", "prossimo", "anche") == "abbiamo anche visto"
    assert tell("passare!", "loro", "mp", "trapassato") == "erano passati"
    assert tell("proporre", "loro", "mp", "remoto") == "proposero"


def test_places_carry_their_prepositions() -> None:
    at = {land.name: (land.at(), land.after("da"), land.after("di")) for land in lands()}
    assert at["Nepal"] == ("in Nepal", "dal Nepal", "del Nepal")
    assert at["Stati Uniti"] == ("negli Stati Uniti", "dagli Stati Uniti", "degli Stati Uniti")
    assert at["Maldive"] == ("alle Maldive", "dalle Maldive", "delle Maldive")
    assert at["Cuba"] == ("a Cuba", "da Cuba", "di Cuba")
    assert at["Islanda"] == ("in Islanda", "dall'Islanda", "dell'Islanda")
    assert at["Lago di Garda"][0] == "sul Lago di Garda"
    assert at["Yemen"] == ("nello Yemen", "dallo Yemen", "dello Yemen")
    towns = {town.name: town.at() for land in lands() for town in land.towns}
    assert (towns["Cairo"], towns["Aquila"], towns["Lucca"]) == (
        "al Cairo",
        "all'Aquila",
        "a Lucca",
    )
    assert euphonic("a Atene e Elena, a Oslo e Anna") == "ad Atene ed Elena, a Oslo e Anna"
    assert len(lands()) > 100
    assert sum(len(land.towns) for land in lands()) > 500


def test_templates_parse_and_a_broken_one_does_not() -> None:
    assert sum(len(options) for options in RULES.values()) > 400
    for options in RULES.values():
        for option in options:
            parse(option)
    with pytest.raises(ValueError, match="unclosed"):
        parse("una [casa|chiesa")


def test_diary_holds_none_of_the_known_mistakes(text: str) -> None:
    assert mistakes(text) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "in l'albergo",
        "andammo a il mare",
        "la casa di il re",
        "un' amico",
        "un'amico caro",
        "noi siamo andato via",
        "Io sono andati",
        "ho andato",
        "il albergo",
        "la isola",
        "il zaino",
        "un studente",
        "a Anna e a amici",
        "e Elena",
        "vista {un.cibo}",
        "due  spazi",
        "«Sì?».",
    ],
)
def test_the_search_for_mistakes_can_fail(wrong: str) -> None:
    assert mistakes(wrong), f"{wrong!r} should have been found"


def test_an_entry_keeps_its_traveller(text: str) -> None:
    """Within an entry, participles after "sono/siamo" agree with one gender and one tense."""
    checked = 0
    for entry in text.split("\n\n\n")[:-1]:
        told = re.sub(r"«[^»]*»", "", entry)
        # First person singular: "sono stata", "mi sono seduta", but not "si sono fermati".
        single = re.findall(r"(?<!si )\bsono (?:mai )?(\w+(?:at|it|ut|st))([oa])\b", told)
        genders = {ending for _, ending in single}
        assert len(genders) <= 1, entry
        plural = {e for _, e in re.findall(r"\bsiamo (\w+(?:at|it|ut|st|es))([ie])\b", told)}
        assert len(plural) <= 1, entry
        if plural == {"e"}:
            assert genders <= {"a"}, entry
        checked += bool(single) + bool(plural)
    assert checked > 100


def test_no_snow_in_the_tropics_and_valid_dates(text: str) -> None:
    warm = {t.name for land in lands() if land.climate in "ed" for t in land.towns}
    warm -= {t.name for land in lands() if land.climate not in "ed" for t in land.towns}
    days = dict(zip(MONTHS, (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), strict=True))
    entries = text.split("\n\n\n")[:-1]
    for entry in entries:
        heading = entry.split("\n")[0]
        found = re.fullmatch(r"(.+), (\d+)º? (\w+) (\d{4})", heading)
        assert found, heading
        town, day, month, year = found.groups()
        assert 1 <= int(day) <= days[month], heading
        assert 1953 <= int(year) <= 2024
        if town in warm:
            assert "Nevicava" not in entry
            assert "sotto zero" not in entry
            assert "di neve" not in entry
    assert len(entries) > 150


MONTHS = (
    "gennaio",
    "febbraio",
    "marzo",
    "aprile",
    "maggio",
    "giugno",
    "luglio",
    "agosto",
    "settembre",
    "ottobre",
    "novembre",
    "dicembre",
)


def repeated(text: str) -> float:
    """The share of sentences that repeat an earlier one exactly."""
    found = [
        part
        for line in text.split("\n")
        for part in re.split(r"(?<=[.!?»])\s+(?=[A-ZÈÉ«0-9])", line)
        if part
    ]
    return sum(count - 1 for count in Counter(found).values()) / len(found)


def test_fewer_than_two_sentences_in_a_hundred_repeat(text: str) -> None:
    assert repeated(text[:200_000]) < 0.01
    assert repeated(diary(random.Random(3), 1_000_000)) < 0.02
    # The measure itself: the same text twice repeats half of its sentences.
    assert repeated(text[:50_000] + "\n" + text[:50_000]) > 0.45


def test_diary_is_a_function_of_its_seed() -> None:
    first = diary(random.Random(1), 5000)
    assert first == diary(random.Random(1), 5000)
    assert first != diary(random.Random(2), 5000)
    assert len(first) == 5000
    assert first.endswith("\n")
    # A shorter text begins the longer one, but for its closing newline.
    assert diary(random.Random(1), 9000).startswith(first[:-1])
    assert diary(random.Random(1), 0) == ""
    assert hashlib.sha256(first.encode()).hexdigest() == GOLDEN


GOLDEN = "52219ecbce43d62ad8e157fcfda12d09891e334ca0cf9b3091ba468ea0fbbe91"


def test_numpy_generators_serve_as_well() -> None:
    one, two = (diary(np.random.default_rng(5), 3000) for _ in range(2))
    assert one == two
    assert mistakes(one) == []


def test_year_start_points_at_the_year() -> None:
    rng = random.Random(11)
    shares = []
    others = 0
    for _ in range(6000):
        told = sentence(rng)
        assert told.year is not None
        assert told.text[told.year_start : told.year_start + 4] == str(told.year)
        assert mistakes(told.text) == []
        assert told.text.endswith(".")
        assert told.text[0].isupper() or told.text[0].isdigit()
        shares.append(told.year_start / len(told.text))
        others += len(re.findall(r"\d{3,}", told.text)) > 1
    # The year occurs at every position, often with other numbers.
    assert np.histogram(shares, bins=4, range=(0, 1))[0].min() > 500
    assert others > 500


def test_position_and_year_are_honoured() -> None:
    rng = random.Random(4)
    means = []
    for position in POSITIONS:
        told = [sentence(rng, year=2009, position=position) for _ in range(300)]
        assert {each.year for each in told} == {2009}
        means.append(sum(each.year_start / len(each.text) for each in told) / 300)
    assert means == sorted(means)
    with pytest.raises(RequestError, match="1700 to 9999"):
        sentence(rng, year=12)


def test_notes_hold_one_marked_year_and_say_what_else_they_hold() -> None:
    rng = random.Random(12)
    kinds: Counter[str] = Counter()
    for _ in range(6000):
        told = note(rng)
        begin = told.year_start
        assert told.text[begin : begin + 4] == str(told.year)
        # People do write "1970..." and "nel 1970?", a full stop or comma after it, and so on.
        assert [m for m in mistakes(told.text) if not m.startswith("stop after")] == []
        rest = told.text[:begin] + told.text[begin + 4 :]
        years = re.findall(r"(?<!\d)(?:1[4-9]|20)\d\d(?!\d)", rest)
        assert told.others == "none" or re.search(r"\d", rest)
        assert told.others != "none" or not re.search(r"\d", rest)
        assert told.others != "years" or years
        kinds[told.others] += 1
    assert min(kinds.values()) > 600


def test_a_numbered_sentence_has_a_year_and_a_four_digit_number_that_is_none() -> None:
    rng = random.Random(21)
    first, count = 0, 3000
    seen: Counter[str] = Counter()
    values = []
    for number in range(count):
        told = numbered(rng, NEW_KINDS) if number % 2 else numbered(rng)
        begin = told.year_start
        assert told.text[begin : begin + 4] == str(told.year)
        assert told.others == "four digits"
        assert told.kind in (NEW_KINDS if number % 2 else KINDS)
        assert [m for m in mistakes(told.text) if not m.startswith("stop after")] == [], told.text
        rest = f"{told.text[:begin]}#{told.text[begin + 4 :]}"
        others = list(re.finditer(r"(?<!\d)\d{4}(?!\d)", rest))
        assert others, told.text
        # No other year of anything: none follows the words that introduce the year of a birth.
        assert not re.search(r"nat[oa] nel \d", rest)
        first += others[0].start() < begin
        seen[told.kind] += 1
        values += [int(each[0]) for each in others]
    assert set(seen) == {*KINDS, *NEW_KINDS}
    assert 0.4 < first / count < 0.6  # before the year, and after it
    assert sum(1900 <= each < 2030 for each in values) > 0.4 * len(values)
    assert {each // 1000 for each in values} == set(range(1, 10))


def test_a_fifth_of_the_kinds_are_for_tests_alone() -> None:
    assert not set(KINDS) & set(NEW_KINDS)
    assert len(NEW_KINDS) / (len(KINDS) + len(NEW_KINDS)) == pytest.approx(0.2, abs=0.03)
    for kind in (*KINDS, *NEW_KINDS):
        for form in ("nota", "unito"):
            assert all("{quattro}" in phrase for phrase in RULES[f"{form}_{kind}"])
    # The word stands before the number in some of both, after it in others.
    for kinds in (KINDS, NEW_KINDS):
        starts = [RULES[f"nota_{kind}"][0].startswith("{quattro}") for kind in kinds]
        assert 0.3 < sum(starts) / len(starts) < 0.7


def test_undated_sentences_say_so() -> None:
    rng = random.Random(8)
    for _ in range(1000):
        told = undated(rng)
        assert told == Sentence(told.text, None, -1, told.others)
        assert mistakes(told.text) == []
    assert len({sentence(rng).text for _ in range(3000)}) > 2950
