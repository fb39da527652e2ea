"""Dates, numbers and tags: what is generated against readers written in another way."""

from __future__ import annotations

import datetime
import random
import re
import unicodedata
from collections import Counter
from functools import cache

import pytest

from charlm.errors import RequestError
from charlm.text import catalogue
from charlm.text.generated import lines
from charlm.text.generated.numbers import LARGEST, english, italian
from charlm.text.generated.tags import without_accents
from charlm.text.grammar import people
from charlm.text.grammar.places import lands
from charlm.text.grammar.words import words as comma_separated

DRAWN = [entry.name for entry in catalogue.CATALOGUE if "lines" in entry.options]
TAGGED = [entry.name for entry in catalogue.CATALOGUE if entry.task == "tag"]


@cache
def pairs(name: str, count: int = 4000, seed: int = 2009) -> list[list[str]]:
    text = catalogue.make_labelled(name, count, seed)
    assert text.endswith("\n")
    return [line.split("\t") for line in text[:-1].split("\n")]


# ------------------------------------------------------------------------------------- all of them


@pytest.mark.parametrize("name", DRAWN)
def test_every_line_has_two_parts_and_no_text_twice(name: str) -> None:
    found = pairs(name)
    assert len(found) == 4000
    assert {len(each) for each in found} == {2}
    assert all(text and label for text, label in found)
    assert len({text for text, _ in found}) == 4000
    assert unicodedata.is_normalized("NFC", "".join(map("".join, found)))


@pytest.mark.parametrize("name", DRAWN)
def test_lines_are_a_function_of_the_seed(name: str) -> None:
    whole = catalogue.make_labelled(name, 300, seed=5)
    assert whole == catalogue.make_labelled(name, 300, seed=5)
    assert whole.startswith(catalogue.make_labelled(name, 200, seed=5))
    assert whole != catalogue.make_labelled(name, 300, seed=6)


def test_too_few_and_too_many_lines_are_refused() -> None:
    with pytest.raises(RequestError, match="a corpus of 0 lines is empty"):
        catalogue.make_labelled("dates", 0)
    few = [("a", "1"), ("b", "2")] * lines.PATIENCE
    with pytest.raises(RequestError, match="no 3 different lines can be drawn: ask for at most 2"):
        lines.distinct(iter(few), 3)


@pytest.mark.parametrize("part", ["a\tb", "a\nb", "a\r", "", "a\u2028b"])
def test_a_part_with_a_tab_or_a_line_end_is_a_mistake(part: str) -> None:
    with pytest.raises(ValueError, match="labelled line"):
        lines.as_tsv([(part, "x")])


# ----------------------------------------------------------------------------------------- numbers

ITALIAN = """
0 zero, 1 uno, 3 tre, 8 otto, 11 undici, 13 tredici, 17 diciassette, 19 diciannove, 20 venti,
21 ventuno, 23 ventitré, 28 ventotto, 31 trentuno, 33 trentatré, 38 trentotto, 40 quaranta,
66 sessantasei, 77 settantasette, 81 ottantuno, 88 ottantotto, 93 novantatré, 98 novantotto,
100 cento, 101 centouno, 103 centotré, 108 centotto, 111 centoundici, 121 centoventuno,
180 centottanta, 181 centottantuno, 188 centottantotto, 200 duecento, 208 duecentotto,
303 trecentotré, 800 ottocento, 880 ottocentottanta, 999 novecentonovantanove, 1000 mille,
1001 milleuno, 1003 milletré, 1008 milleotto, 1080 milleottanta, 1100 millecento,
1234 milleduecentotrentaquattro, 1861 milleottocentosessantuno, 2000 duemila, 2003 duemilatré,
2008 duemilaotto, 2023 duemilaventitré, 3000 tremila, 10000 diecimila,
12345 dodicimilatrecentoquarantacinque, 21000 ventunomila, 23023 ventitremilaventitré,
80008 ottantamilaotto, 100000 centomila, 103000 centotremila, 180180 centottantamilacentottanta,
333333 trecentotrentatremilatrecentotrentatré,
999999 novecentonovantanovemilanovecentonovantanove
"""
ENGLISH = """
0 zero, 7 seven, 12 twelve, 15 fifteen, 20 twenty, 21 twenty-one, 40 forty, 80 eighty,
99 ninety-nine, 100 one hundred, 101 one hundred and one, 118 one hundred and eighteen,
342 three hundred and forty-two, 500 five hundred, 1000 one thousand, 1005 one thousand and five,
1066 one thousand and sixty-six, 1234 one thousand two hundred and thirty-four,
2100 two thousand one hundred, 12005 twelve thousand and five, 90000 ninety thousand,
100001 one hundred thousand and one, 250000 two hundred and fifty thousand,
999999 nine hundred and ninety-nine thousand nine hundred and ninety-nine
"""


def by_hand(table: str) -> dict[int, str]:
    rows = (row.partition(" ") for row in " ".join(table.split()).split(", "))
    return {int(number): word for number, _, word in rows}


def test_italian_numbers_against_a_list_written_by_hand() -> None:
    expected = by_hand(ITALIAN)
    assert len(expected) >= 55
    assert {number: italian(number) for number in expected} == expected


def test_english_numbers_against_a_list_written_by_hand() -> None:
    expected = by_hand(ENGLISH)
    assert {number: english(number) for number in expected} == expected
    assert english(1345, with_and=False, hyphen=False) == "one thousand three hundred forty five"


UNITS = {word: number for number, word in by_hand(ITALIAN).items() if number < 20}
UNITS |= {"due": 2, "quattro": 4, "cinque": 5, "sei": 6, "sette": 7, "nove": 9, "dieci": 10}
UNITS |= {"dodici": 12, "quattordici": 14, "quindici": 15, "sedici": 16, "diciotto": 18}
TENS = {"venti": 20, "trenta": 30, "quaranta": 40, "cinquanta": 50, "sessanta": 60}
TENS |= {"settanta": 70, "ottanta": 80, "novanta": 90}

PIECES = {"mille": 1000, "mila": 1000, "cento": 100, **UNITS, **TENS}
PIECES |= {tens[:-1]: number for tens, number in TENS.items()}


def read_italian(word: str) -> int:
    """A number in one Italian word, read from left to right by the longest piece that fits."""
    word = re.sub("cento(?=tt)", "centoo", word.replace("é", "e"))
    total = current = 0
    while word:
        piece = max((p for p in PIECES if word.startswith(p)), key=len)
        value, word = PIECES[piece], word[len(piece) :]
        if value == 1000:
            total, current = max(current, 1) * 1000, 0
        elif value == 100:
            current = max(current, 1) * 100
        else:
            current += value
    return total + current


SMALL = {
    word: number for number, word in by_hand(ENGLISH).items() if number < 100 and "-" not in word
}
SMALL |= {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "eight": 8, "nine": 9}
SMALL |= {"ten": 10, "eleven": 11, "thirteen": 13, "fourteen": 14, "sixteen": 16, "seventeen": 17}
SMALL |= {"eighteen": 18, "nineteen": 19, "thirty": 30, "fifty": 50, "sixty": 60, "seventy": 70}
SMALL |= {"ninety": 90, "oh": 0, "and": 0}


def read_english(text: str) -> int:
    """A number in English words: what each word does to the sum so far."""
    total = current = 0
    for word in re.split(r"[ -]", text):
        if word == "thousand":
            total, current = current * 1000, 0
        elif word == "hundred":
            current *= 100
        else:
            current += SMALL[word]
    return total + current


def test_numbers_read_back() -> None:
    for number in [*range(3000), *range(0, LARGEST, 487), LARGEST]:
        assert read_italian(italian(number)) == number
        assert read_english(english(number)) == number
        assert read_english(english(number, with_and=False, hyphen=False)) == number
    for wrong in (-1, LARGEST + 1):
        with pytest.raises(ValueError, match="not from 0"):
            italian(wrong)
        with pytest.raises(ValueError, match="not from 0"):
            english(wrong)


def test_the_corpus_of_numbers_is_read_back_as_its_digits() -> None:
    found = pairs("numbers", 20_000)
    assert all(str(read_italian(words)) == number for number, words in found)
    assert {len(number) for number, _ in found} == {1, 2, 3, 4, 5, 6}


def test_the_corpus_of_digits_reads_back() -> None:
    found = pairs("digits", 20_000)
    languages, lengths = Counter[str](), Counter[int]()
    for text, digits in found:
        try:
            number, language = read_english(text), "English"
        except KeyError:
            number, language = read_italian(text), "Italian"
        assert str(number) == digits, text
        languages[language] += 1
        lengths[len(digits)] += 1
    assert min(languages.values()) > 8000
    assert set(lengths) == {1, 2, 3, 4, 5, 6}


# ------------------------------------------------------------------------------------------- dates

MONTHS = (
    "jan january gen gennaio|feb february febbraio|mar march marzo|apr april aprile|"
    "may mag maggio|jun june giu giugno|jul july lug luglio|aug august ago agosto|"
    "sep sept september set settembre|oct october ott ottobre|nov november novembre|"
    "dec december dic dicembre"
)
WEEKDAYS = (
    "sat saturday sab sabato|sun sunday dom domenica|mon monday lun lunedì|"
    "tue tuesday mar martedì|wed wednesday mer mercoledì|thu thursday gio giovedì|"
    "fri friday ven venerdì"
)
ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth twenty-first "
    "twenty-second twenty-third twenty-fourth twenty-fifth twenty-sixth twenty-seventh "
    "twenty-eighth twenty-ninth thirtieth thirty-first"
)


def numbered(table: str) -> dict[str, int]:
    return {word: n for n, row in enumerate(table.split("|")) for word in row.split()}


def zeller(year: int, month: int, day: int) -> int:
    """The weekday by Zeller's congruence, 0 for Saturday: another route than the calendar's."""
    if month < 3:
        year, month = year - 1, month + 12
    century, rest = divmod(year, 100)
    return (day + 13 * (month + 1) // 5 + rest + rest // 4 + century // 4 + 5 * century) % 7


def read_year(words: list[str]) -> int:
    if len(words) == 1 and words[0].isdigit():
        return int(words[0])
    if len(words) == 1 and re.match("mille|duemila", words[0]):
        return read_italian(words[0])
    text = " ".join(words)
    if "hundred" in words or "thousand" in words:
        return read_english(text)
    # "nineteen ninety-four", "twenty oh five": two numbers, one for each half.
    return read_english(words[0]) * 100 + read_english(" ".join(words[1:]))


def read_date(text: str) -> tuple[int, int, int]:
    """Year, month and day of a date in the corpus; the weekday is checked on the way."""
    if re.fullmatch(r"[\d./-]+", text):
        parts = [int(part) for part in re.split(r"[./-]", text)]
        year = max(parts)
        parts.remove(year)
        assert parts[0] == parts[1] or max(parts) > 12, text
        return year, min(parts), max(parts)
    months, weekdays = numbered(MONTHS), numbered(WEEKDAYS)
    plain = re.sub(r"(?<=[a-z])-(?=\d)|(?<=\d)-(?=[a-z])|[,.]|\bl'", " ", text.casefold())
    words = plain.split()
    weekday = None
    if words[0] in weekdays and not (words[0] in months and words[1].isdigit() and len(words) == 3):
        weekday = weekdays[words.pop(0)]
    words = [w for w in words if w not in ("the", "of", "il", "di", "del", "addì")]
    (at,) = (n for n, word in enumerate(words) if word in months)
    month = months[words[at]] + 1
    before, after = words[:at], words[at + 1 :]
    if not before:  # March 3 1994, March third nineteen ninety-four
        before, after = after[:1], after[1:]
    elif re.fullmatch(r"\d{4}", before[0]):  # 1994 March 3
        before, after = after, before
    (day_word,) = before
    number = re.fullmatch(r"(\d+)(st|nd|rd|th|º|°)?", day_word)
    if number:
        day = int(number[1])
        if number[2] and number[2] not in "º°":
            assert number[2] == {1: "st", 21: "st", 31: "st", 2: "nd", 22: "nd", 3: "rd"}.get(
                day, "rd" if day == 23 else "th"
            )
    elif day_word in ORDINALS.split():
        day = ORDINALS.split().index(day_word) + 1
    else:
        day = 1 if day_word == "primo" else read_italian(day_word)
    year = read_year(after)
    if weekday is not None:
        assert zeller(year, month, day) == weekday, text
    return year, month, day


def test_the_reader_of_dates_reads_what_is_known() -> None:
    for text in (
        "Thursday, 3rd of March 1994",
        "March 3, 1994",
        "Mar 3, 1994",
        "mar 3 1994",
        "3 March 1994",
        "3-Mar-1994",
        "1994 March 3",
        "il 3 marzo 1994",
        "gio 3 mar 1994",
        "giovedì tre marzo millenovecentonovantaquattro",
        "the third of March nineteen ninety-four",
        "3/3/1994",
    ):
        assert read_date(text) == (1994, 3, 3)
    assert read_date("mar 1 mar. 1994") == (1994, 3, 1)
    assert read_date("l'otto maggio del duemilaotto") == (2008, 5, 8)
    for wrong in ("Friday, 3rd of March 1994", "March 3th, 1994", "3/4/1994"):
        with pytest.raises(AssertionError):
            read_date(wrong)


def test_every_date_reads_back() -> None:
    kinds = Counter[str]()
    for text, target in pairs("dates", 20_000):
        year, month, day = read_date(text)
        assert f"{year}-{month:02d}-{day:02d}" == target, text
        assert 1800 <= datetime.date(year, month, day).year <= 2099
        kinds["numbers" if text[-4:].isdigit() and "/" in text else ""] += 1
        kinds["spelled"] += not any(map(str.isdigit, text))
        kinds["º"] += "º" in text
        kinds["l'"] += "l'" in text.lower()
    assert all(kinds[kind] > 50 for kind in ("numbers", "spelled", "º", "l'")), kinds


def test_the_articles_before_a_day() -> None:
    texts = "\n".join(text.lower() for text, _ in pairs("dates", 20_000))
    assert set(re.findall(r"^l'(\w+)", texts, re.MULTILINE)) == {"8", "11", "otto", "undici"}
    assert not re.search(r"^il (8|11|otto|undici)\b", texts, re.MULTILINE)
    # The first day is not called by its number of counting.
    assert not re.search(r"\buno\b|\bone (january|of)", texts)


# -------------------------------------------------------------------------------------------- tags


@pytest.mark.parametrize("name", TAGGED)
def test_text_and_tags_have_the_same_length(name: str) -> None:
    assert len(TAGGED) == 4
    for text, tags in pairs(name, catalogue.LINES):
        assert len(text) == len(tags), text


def test_accents_are_all_that_is_missing() -> None:
    found = pairs("accents")
    assert not re.search("[àèéìòùÈ]", "".join(text for text, _ in found))
    changed = Counter[str]()
    for text, tags in found:
        for bare, letter in zip(text, tags, strict=True):
            if bare != letter:
                assert unicodedata.normalize("NFD", letter)[0] == bare
                changed[letter] += 1
    assert set("àèéìòùÈ") <= set(changed)
    assert 0.4 < sum(text != tags for text, tags in found) / len(found) < 0.7
    assert without_accents("Perché è già così, a Århus e Besançon") == (
        "Perche e gia cosi, a Arhus e Besancon"
    )


def test_capitals_are_all_that_is_missing() -> None:
    for text, tags in pairs("capitals"):
        assert text == text.lower() == tags.lower()
        first = next(char for char in tags if char.isalnum())
        assert first.isupper() or first.isdigit()


def test_spaces_can_be_put_back() -> None:
    wholes = {tags for _, tags in pairs("capitals", 3000)}
    back = set()
    for text, tags in pairs("spaces", 3000):
        assert set(tags) <= set("BI") and tags[0] == "B" and " " not in text
        words = "".join(" " * (tag == "B") + char for char, tag in zip(text, tags, strict=True))
        back.add(words[1:])
    # The same seed draws the same sentences.
    assert len(back & wholes) > 2900


def test_persons_are_found_and_places_are_not() -> None:
    names = {*comma_separated(people.MEN), *comma_separated(people.WOMEN)}
    assert all(name in names for name in ("Vera", "Felice", "Angelo", "Diego"))
    towns = [town.name for land in lands() for town in land.towns]
    places = re.compile("|".join(sorted(map(re.escape, towns), key=len, reverse=True)))
    shares = Counter[bool]()
    for text, tags in pairs("person", 10_000):
        shares["B" in tags] += 1
        assert not re.search("OI|^I", tags), text
        for match in re.finditer("BI*", tags):
            name = text[match.start() : match.end()]
            assert name[0].isupper() and name[-1].isalnum()
            assert " " not in name or name == "Marco Polo"
            # The whole word, and no street: "via Rossi".
            assert not re.search(r"[\w-]$|\bvia $", text[: match.start()])
            assert not re.match(r"[\w-]", text[match.end() :])
            assert name not in people.homes()
        # A person's name that is not marked belongs to the name of a town: San Diego.
        others = (c if tag == "O" else "|" for c, tag in zip(text, tags, strict=True))
        rest = places.sub("", "".join(others))
        assert not names & set(re.findall(r"[\w-]+", rest)), text
    assert 0.6 < shares[True] / 10_000 < 0.8


def test_names_are_marked_without_changing_a_sentence() -> None:
    """With and without marks the grammar draws the same numbers and tells the same."""
    from charlm.text.grammar import named
    from charlm.text.grammar.scene import NAME, finish, new_scene

    for seed in range(300):
        plain, marked = new_scene(random.Random(seed), 1980), new_scene(random.Random(seed), 1980)
        marked.naming = True
        without = finish(plain.rule("con_chi"))
        assert finish(marked.rule("con_chi")).replace(NAME, "") == without
    told = named(random.Random(1))
    assert all(told.text[start:end].strip() for start, end in told.persons)
