"""The pages hold to their word: one number is named by a word of the trip, in one direction.

The resolver here reads a page as a person would, from its text alone. It shares nothing with the
code that draws the pages except the two lists of words.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from charlm.experiments.page import layouts
from charlm.experiments.page.design import Design, standard
from charlm.experiments.page.layouts import ASKED, FAMILIES, KINDS, OTHERS, Page
from charlm.text.grammar.chance import pick

DATA = Path(__file__).parent / "data"
YEARS = tuple(map(str, range(1900, 2030)))
WIDTHS = (10, 20, 40, 80)
REACH = 4  # rows in which a word above names a number


class Word(NamedTuple):
    row: int
    start: int
    end: int  # exclusive
    text: str

    @property
    def names(self) -> str:
        """Whether it means the year of the trip, names something else, or nothing."""
        lower = self.text.lower()
        return "asked" if lower in ASKED else "other" if lower in OTHERS else ""


class Number(NamedTuple):
    row: int
    start: int
    text: str


def words_of(rows: tuple[str, ...]) -> list[Word]:
    return [
        Word(row, found.start(), found.end(), found[0])
        for row, line in enumerate(rows)
        for found in re.finditer(r"[^\W\d_]+", line)
    ]


def numbers_of(rows: tuple[str, ...]) -> list[Number]:
    """Every group of digits that could be a year: also one that is too long."""
    return [
        Number(row, found.start(), found[0])
        for row, line in enumerate(rows)
        for found in re.finditer(r"\d{3,}", line)
    ]


def all_above(words: list[Word], number: Number) -> list[Word]:
    """The words over the digits of a number, within reach, the nearest first."""
    found = [
        word
        for word in words
        if 0 < number.row - word.row <= REACH
        and word.start < number.start + len(number.text)
        and word.end > number.start
    ]
    return sorted(found, key=lambda word: -word.row)


def all_left(words: list[Word], number: Number) -> list[Word]:
    """The words before a number in its row, the nearest first."""
    found = [word for word in words if word.row == number.row and word.end <= number.start]
    return sorted(found, key=lambda word: -word.end)


LOOK: dict[str, Callable[[list[Word], Number], list[Word]]] = {
    "above": all_above,
    "left": all_left,
}
OTHER = {"above": "left", "left": "above"}


def name_of(words: list[Word], number: Number, direction: str) -> str:
    """What the nearest word in that direction says about a number."""
    nearest = LOOK[direction](words, number)[:1]
    return nearest[0].names if nearest else ""


def resolved(rows: tuple[str, ...], direction: str) -> list[Number]:
    """The numbers that are named by a word of the trip."""
    words = words_of(rows)
    return [n for n in numbers_of(rows) if name_of(words, n, direction) == "asked"]


def of_width(columns: int) -> Design:
    design = standard()
    return design if columns == design.columns else design.of_width(columns)


def drawn(columns: int, count: int, seed: int = 7) -> list[Page]:
    """Pages of both families and all kinds, the asked number anywhere on the page."""
    design = of_width(columns)
    found = design.draw(random.Random(seed), design.places(), design.trained)
    return list(islice(found, count))


@pytest.fixture(scope="module")
def pages() -> list[Page]:
    """Of the usual size, for what is counted."""
    return drawn(40, 2000)


@pytest.fixture(scope="module", params=WIDTHS)
def some(request: pytest.FixtureRequest) -> list[Page]:
    """Of every width, for what holds on each."""
    return drawn(request.param, 500, seed=request.param)


# ------------------------------------------------------------------------------------ what is asked


def test_one_number_is_named_by_a_word_of_the_trip_and_it_is_the_asked_one(
    some: list[Page],
) -> None:
    for page in some:
        asked = Number(page.row, page.column, page.answer)
        assert resolved(page.rows, page.family) == [asked], page.text
        assert resolved(page.rows, OTHER[page.family]) == [], page.text


def test_every_other_number_is_named_by_another_word(some: list[Page]) -> None:
    for page in some:
        words, numbers = words_of(page.rows), numbers_of(page.rows)
        names = Counter(name_of(words, number, page.family) for number in numbers)
        assert names == {"asked": 1, "other": len(numbers) - 1}, page.text


def test_the_other_direction_names_nothing(some: list[Page]) -> None:
    """Not even beyond the nearest word, within reach."""
    for page in some:
        words, direction = words_of(page.rows), OTHER[page.family]
        for number in numbers_of(page.rows):
            found = LOOK[direction](words, number)
            if direction == "left":
                found = [word for word in found if number.start - word.end < 9]
            asked = number[:2] == (page.row, page.column)
            named = {word.names for word in found} - {""}
            assert not named if asked else "asked" not in named, (number, page.text)


def test_a_page_has_one_word_of_the_trip_and_a_word_for_each_other_number(
    some: list[Page],
) -> None:
    for page in some:
        names = Counter(word.names for word in words_of(page.rows))
        assert names["asked"] == 1, page.text
        assert names["other"] == len(numbers_of(page.rows)) - 1, page.text


def test_the_resolver_finds_a_second_word_of_the_trip_and_a_moved_one() -> None:
    """The tests above can fail."""
    page = next(page for page in drawn(40, 50) if page.family == "left" and page.row > 2)
    words, numbers = words_of(page.rows), numbers_of(page.rows)
    other = next(n for n in numbers if (n.row, n.start) != (page.row, page.column))
    named = all_left(words, other)[0]
    line = page.rows[named.row]
    again = line[: named.start] + "anno".ljust(named.end - named.start)[:8] + line[named.end :]
    spoiled = (*page.rows[: named.row], again, *page.rows[named.row + 1 :])
    assert len(resolved(spoiled, "left")) == 2
    assert resolved(page.rows[1:] + page.rows[:1], "left")[0].row == page.row - 1
    assert resolved(tuple("anno" + " " * 36 for _ in range(24)), "left") == []


# ---------------------------------------------------------------------------------- what a page is


def test_a_page_has_its_size_and_the_asked_number_where_it_says(some: list[Page]) -> None:
    columns = len(some[0].rows[0])
    for page in some:
        assert len(page.rows) == 24
        assert {len(line) for line in page.rows} == {columns}
        assert page.rows[page.row][page.column : page.column + 4] == page.answer
        assert page.text.split("\n") == list(page.rows)


def test_two_to_seven_numbers_of_four_digits_and_no_other_number_that_is_long(
    some: list[Page],
) -> None:
    usual = len(some[0].rows[0]) >= 40
    for page in some:
        numbers = numbers_of(page.rows)
        assert {len(number.text) for number in numbers} == {4}, page.text
        assert {number.text for number in numbers} <= set(YEARS)
        assert (4 if usual else 2) <= len(numbers) <= 7, page.text


def test_nothing_touches_a_number_or_its_word_except_a_border_and_a_colon(
    some: list[Page],
) -> None:
    for page in some:
        named = [word for word in words_of(page.rows) if word.names]
        spans = [(n.row, n.start, n.start + 4, " ") for n in numbers_of(page.rows)]
        spans += [(word.row, word.start, word.end, " :") for word in named]
        for row, start, end, after in spans:
            border = "-" if page.kind == "boarding pass" and row in (0, 23) else ""
            line = f" {page.rows[row]} "
            assert line[start] in " " + border, page.text
            assert line[end + 1] in after + border, page.text


def test_nothing_is_between_a_word_and_its_number_except_a_line(some: list[Page]) -> None:
    for page in some:
        words = words_of(page.rows)
        for number in numbers_of(page.rows):
            word = LOOK[page.family](words, number)[0]
            if page.family == "left":
                between = page.rows[number.row][word.end : number.start]
                assert re.fullmatch(r":? *| [ ._-]*|-*", between), (between, page.text)
                assert len(between) <= 7
            else:
                first, end = min(word.start, number.start), max(word.end, number.start + 4)
                inside = slice(max(1, first), min(len(page.rows[0]) - 1, end))  # not the border
                between = "".join(line[inside] for line in page.rows[word.row + 1 : number.row])
                assert set(between) <= set(" -"), page.text
                assert number.row - word.row <= 2


def test_the_words_around_never_name_anything() -> None:
    around = {word.lower() for word in (*layouts._TEXT, *layouts._SHORT)}
    assert not around & {*ASKED, *OTHERS}
    assert not set(ASKED) & set(OTHERS)
    assert not any(re.search(r"\d{3}", text) for text in layouts._SHORT)


def test_the_length_of_a_word_tells_nothing() -> None:
    asked, others = Counter(map(len, ASKED)), Counter(map(len, OTHERS))
    share = len(OTHERS) // len(ASKED)
    assert others == {length: share * count for length, count in asked.items()}


# ------------------------------------------------------------------------------------------- seeds


@pytest.mark.parametrize("family", FAMILIES)
def test_a_page_is_a_function_of_its_seed(family: layouts.Family) -> None:
    """Golden: the files were written once and looked at."""

    def page(seed: int) -> Page:
        found = layouts.draw(random.Random(seed), family, "form", "1987", (11, 22), YEARS)
        assert found is not None
        return found

    golden = (DATA / f"page-{family}.txt").read_text(encoding="utf-8").splitlines()
    assert [line.rstrip() for line in page(3).rows] == golden
    assert page(3) == page(3)
    assert page(3) != page(4)


# ------------------------------------------------------------------------------------ every place


def found_at(
    family: layouts.Family, place: tuple[int, int], columns: int, tries: int
) -> Iterator[Page | None]:
    rng = random.Random(place[0] * 1000 + place[1])
    for _ in range(tries):
        yield layouts.draw(
            rng, family, pick(rng, KINDS), "1987", place, YEARS, columns=columns, rows=24
        )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("columns", [10, 40])
def test_every_place_gets_a_page_unless_no_word_fits_there(
    family: layouts.Family, columns: int
) -> None:
    """A word above needs a row above; a word to the left needs its own length and a blank."""
    design = of_width(columns)
    for place in design.places():
        fits = place[0] > 0 if family == "above" else place[1] >= len("anno") + 1
        assert design.possible(family, place) is fits
        if fits:
            page = next(page for page in found_at(family, place, columns, 400) if page)
            assert (page.row, page.column, page.family) == (*place, family)
        else:
            assert not any(found_at(family, place, columns, 8)), place


# -------------------------------------------------------------------------------------- no shortcut

Score = Callable[[Page, list[Number]], NDArray[np.float64]]
"""What a reader without understanding would go by: the number with the highest score is picked."""


def rows_columns(numbers: list[Number]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows, columns = (np.array(each, float) for each in list(zip(*numbers, strict=True))[:2])
    return rows, columns


def distance(numbers: list[Number]) -> NDArray[np.float64]:
    """(N, N): between any two numbers; none from a number to itself."""
    rows, columns = rows_columns(numbers)
    far = np.abs(rows[:, None] - rows) + np.abs(columns[:, None] - columns)
    return far + np.diag(np.full(len(rows), np.inf))


def word_length(page: Page, numbers: list[Number]) -> NDArray[np.float64]:
    words = words_of(page.rows)
    return np.array([len(LOOK[page.family](words, n)[0].text) for n in numbers], float)


def word_distance(page: Page, numbers: list[Number]) -> NDArray[np.float64]:
    words = words_of(page.rows)
    nearest = [LOOK[page.family](words, number)[0] for number in numbers]
    return np.array(
        [
            abs(w.row - n.row) * 40 + abs(w.start - n.start)
            for w, n in zip(nearest, numbers, strict=True)
        ],
        float,
    )


def text_around(page: Page, numbers: list[Number]) -> NDArray[np.float64]:
    """How full the page is around each number."""
    return np.array(
        [
            sum(
                cell != " "
                for line in page.rows[max(0, n.row - 3) : n.row + 4]
                for cell in line[max(0, n.start - 8) : n.start + 12]
            )
            for n in numbers
        ],
        float,
    )


SHORTCUTS: dict[str, Score] = {
    "the first": lambda page, found: -np.arange(len(found), dtype=float),
    "the last": lambda page, found: np.arange(len(found), dtype=float),
    "the leftmost": lambda page, found: -rows_columns(found)[1],
    "the rightmost": lambda page, found: rows_columns(found)[1],
    "the topmost": lambda page, found: -rows_columns(found)[0],
    "the most central on the page": lambda page, found: (
        -np.hypot((rows_columns(found)[0] - 11.5) / 24, (rows_columns(found)[1] - 18) / 40)
    ),
    "the most central among the numbers": lambda page, found: (
        -np.where(np.isinf(distance(found)), 0, distance(found)).sum(1)
    ),
    "the farthest from its neighbour": lambda page, found: distance(found).min(1),
    "most neighbours in the row": lambda page, found: (
        (rows_columns(found)[0][:, None] == rows_columns(found)[0]).sum(1).astype(float)
    ),
    "fewest neighbours in the row": lambda page, found: (
        -(rows_columns(found)[0][:, None] == rows_columns(found)[0]).sum(1).astype(float)
    ),
    "most neighbours in the column": lambda page, found: (
        (rows_columns(found)[1][:, None] == rows_columns(found)[1]).sum(1).astype(float)
    ),
    "the longest word": word_length,
    "the shortest word": lambda page, found: -word_length(page, found),
    "the nearest word": lambda page, found: -word_distance(page, found),
    "the farthest word": word_distance,
    "most text around": text_around,
    "least text around": lambda page, found: -text_around(page, found),
    "the largest number": lambda page, found: np.array([float(n.text) for n in found]),
    "the smallest number": lambda page, found: -np.array([float(n.text) for n in found]),
}


def test_no_shortcut_finds_the_asked_number(pages: list[Page]) -> None:
    """At most 6 points better than a random choice. Of several equal ones, any may be meant."""
    right: dict[str, list[float]] = {name: [] for name in SHORTCUTS}
    chance = []
    for page in pages:
        found = numbers_of(page.rows)
        asked = [(n.row, n.start) for n in found].index((page.row, page.column))
        chance.append(1 / len(found))
        for name, score in SHORTCUTS.items():
            scores = score(page, found)
            best = np.flatnonzero(scores == scores.max())
            right[name].append(float(asked in best) / len(best))
    by_chance = float(np.mean(chance))
    shares = {name: float(np.mean(values)) for name, values in right.items()}
    report = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
    assert 0.15 < by_chance < 0.25
    assert max(shares.values()) < by_chance + 0.06, f"chance {100 * by_chance:.1f} %: {report}"


@pytest.mark.parametrize("columns", WIDTHS)
def test_families_and_kinds_are_equally_frequent(columns: int) -> None:
    """At every width: otherwise a reader would learn one family worse for want of pages."""
    pages = list(islice(of_width(columns).training(1), 2000))
    for counts, expected in (
        (Counter(page.family for page in pages), 1000),
        (Counter(page.kind for page in pages), 500),
    ):
        assert sum(counts.values()) == len(pages)
        assert len(counts) == len(pages) // expected
        assert all(abs(count - expected) < 110 for count in counts.values()), counts


def test_the_value_does_not_tell_which_number_is_asked(pages: list[Page]) -> None:
    """Kolmogorov and Smirnov's distance between the asked numbers and the others; 0.055 would be
    reached by accident once in 10,000 times."""
    asked = np.array([int(page.answer) for page in pages])
    others = np.array(
        [
            int(number.text)
            for page in pages
            for number in numbers_of(page.rows)
            if number[:2] != (page.row, page.column)
        ]
    )
    at = np.arange(1900, 2031)
    below = [np.searchsorted(np.sort(each), at) / len(each) for each in (asked, others)]
    assert np.abs(below[0] - below[1]).max() < 0.06
    assert set(asked.tolist()) == set(others.tolist()) == set(map(int, standard().trained))
    assert abs(asked.mean() - others.mean()) < 5


def test_the_word_is_any_of_the_four_at_any_place(pages: list[Page]) -> None:
    words = Counter(
        word.text.lower() for page in pages for word in words_of(page.rows) if word.names == "asked"
    )
    assert set(words) == set(ASKED)
    assert min(words.values()) > 350, words  # a long one does not fit near the left edge
    capitals = Counter(
        word.text.isupper() + 2 * word.text.islower()
        for page in pages
        for word in words_of(page.rows)
        if word.names == "asked"
    )
    assert len(capitals) == 3
