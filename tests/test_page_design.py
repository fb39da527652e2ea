"""No place of training leaks into the held-out bands, and no held-out year into training."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

import pytest

from charlm.experiments.page import layouts
from charlm.experiments.page.design import (
    BOTH,
    HELD_OUT_COLUMN,
    HELD_OUT_ROW,
    NEW_YEARS,
    PARTS,
    PLACES,
    SEEN,
    Design,
    numbers,
    standard,
)
from charlm.experiments.page.layouts import FAMILIES, Page

DESIGN = standard()
ROW_BANDS, COLUMN_BANDS = ({7, 8, 9, 15, 16, 17}, {*range(11, 18), *range(26, 33)})
"""Written out: the rows and the columns that training never asks about."""


@pytest.fixture(scope="module")
def trained_on() -> list[Page]:
    return list(islice(DESIGN.training(1), 5000))


@pytest.fixture(scope="module")
def tests() -> dict[str, list[Page]]:
    return DESIGN.tests(2)


def leaks(pages: Iterable[Page]) -> list[Page]:
    """The pages on which a digit of the asked number is in a band, by the page's text alone."""
    found = []
    for page in pages:
        cells = [(page.row, column) for column in range(page.column, page.column + 4)]
        assert "".join(page.rows[row][column] for row, column in cells) == page.answer
        if any(row in ROW_BANDS or column in COLUMN_BANDS for row, column in cells):
            found.append(page)
    return found


# -------------------------------------------------------------------------------------- what leaks


def test_no_digit_of_an_asked_number_is_in_a_band_in_training(trained_on: list[Page]) -> None:
    assert leaks(trained_on) == []
    assert leaks(islice(DESIGN.validation(1), 500)) == []


@pytest.mark.parametrize(
    "place", [(7, 3), (9, 20), (15, 0), (17, 36), (0, 8), (3, 11), (3, 17), (20, 23), (20, 32)]
)
def test_a_planted_leak_is_found(place: tuple[int, int], trained_on: list[Page]) -> None:
    page = next(DESIGN.draw(random.Random(1), [place], DESIGN.trained))
    assert leaks([*trained_on[:10], page]) == [page]


def test_other_numbers_are_in_the_bands(trained_on: list[Page]) -> None:
    """Otherwise a reader could learn that nothing is ever there."""
    inside = [
        (row in ROW_BANDS, column in COLUMN_BANDS)
        for page in trained_on[:500]
        for row, column, _ in numbers(page)
    ]
    assert all(Counter(inside)[place] > 50 for place in ((True, False), (False, True)))
    assert Counter(inside)[True, True] > 20


def test_every_seen_place_is_asked_about_in_training(trained_on: list[Page]) -> None:
    """306 places and 5,000 pages: each about 16 times, the first row and the left edge less. In the
    corner no word fits at all."""
    asked = Counter((page.row, page.column) for page in trained_on)
    corner = {(0, column) for column in range(len("anno") + 1)}
    assert set(asked) == set(DESIGN.places(SEEN)) - corner
    for axis, family in enumerate(FAMILIES):
        at = Counter((page.row, page.column) for page in trained_on if page.family == family)
        inner = [at[place] for place in DESIGN.places(SEEN) if place[axis] > 8]
        assert min(inner) > 0
        assert max(inner) < 30


def test_no_held_out_year_is_on_a_page_of_training(trained_on: list[Page]) -> None:
    """Neither asked for nor beside; also not in validation."""
    pages = [*trained_on, *islice(DESIGN.validation(1), 500)]
    text = "\n".join(page.text for page in pages)
    assert not [year for year in DESIGN.held_out if year in text]
    assert all(year in text for year in DESIGN.trained)


def test_training_and_validation_and_seeds_differ(trained_on: list[Page]) -> None:
    texts = {page.text for page in trained_on}
    assert len(texts) == len(trained_on)
    assert not texts & {page.text for page in islice(DESIGN.validation(1), 500)}
    assert not texts & {page.text for page in islice(DESIGN.training(2), 500)}
    assert list(islice(DESIGN.training(1), 20)) == trained_on[:20]


# --------------------------------------------------------------------------------------- the parts


def test_the_parts_by_hand() -> None:
    assert DESIGN.part(0, 0) == SEEN
    assert DESIGN.part(0, 7) == SEEN  # columns 7 to 10
    assert DESIGN.part(0, 8) == ""  # 8 to 11: the last digit is in the band
    assert DESIGN.part(0, 11) == HELD_OUT_COLUMN
    assert DESIGN.part(0, 14) == HELD_OUT_COLUMN  # 14 to 17
    assert DESIGN.part(0, 15) == ""
    assert DESIGN.part(0, 18) == SEEN
    assert DESIGN.part(6, 26) == HELD_OUT_COLUMN
    assert DESIGN.part(7, 0) == HELD_OUT_ROW
    assert DESIGN.part(9, 29) == BOTH
    assert DESIGN.part(16, 30) == ""
    assert DESIGN.part(17, 36) == HELD_OUT_ROW
    assert DESIGN.part(18, 36) == SEEN


def test_a_number_between_two_bands_that_touch_is_in_both() -> None:
    """All its digits are in bands, if not in the same one."""
    touching = Design((), (), column_bands=((4, 5), (6, 7)))
    assert touching.part(0, 4) == HELD_OUT_COLUMN
    assert touching.part(0, 3) == ""


def test_how_many_places_each_part_has_by_hand() -> None:
    """37 columns can have a first digit: 4 + 4 have all digits in a band, 6 + 6 some, 17 none. Of
    24 rows, 6 are in a band."""
    counted = {part: len(DESIGN.places(part)) for part in PARTS}
    assert counted == {
        SEEN: 18 * 17,
        HELD_OUT_COLUMN: 18 * 8,
        HELD_OUT_ROW: 6 * 17,
        BOTH: 6 * 8,
    }
    assert len(DESIGN.places()) == 24 * 37
    assert len(DESIGN.places("")) == 24 * 12
    assert len(DESIGN.places(*PARTS)) == 24 * 25


def test_the_years_are_divided_by_four_to_one() -> None:
    assert sorted(DESIGN.trained + DESIGN.held_out) == [str(year) for year in range(1900, 2030)]
    assert len(DESIGN.held_out) == 26
    decades = Counter(year[:3] for year in DESIGN.trained)
    assert len(decades) == 13  # every digit is seen at every place


def test_the_digits_of_new_years_are_all_known_at_their_places() -> None:
    for place in range(4):
        known = {year[place] for year in DESIGN.trained}
        assert {year[place] for year in DESIGN.held_out} <= known


# --------------------------------------------------------------------------------------- the tests


@pytest.mark.parametrize("family", FAMILIES)
def test_every_possible_place_has_its_pages(family: str, tests: dict[str, list[Page]]) -> None:
    counted = Counter((page.row, page.column) for page in tests[PLACES] if page.family == family)
    possible = [
        (row, column)
        for row in range(24)
        for column in range(37)
        if (row > 0 if family == "above" else column > 4)
    ]
    assert counted == dict.fromkeys(possible, 2)


def test_new_years_are_asked_for_at_seen_places(tests: dict[str, list[Page]]) -> None:
    assert set(tests) == {PLACES, NEW_YEARS}
    pages = tests[NEW_YEARS]
    assert len(pages) == 400
    assert leaks(pages) == []
    assert {page.answer for page in pages} <= set(DESIGN.held_out)
    assert len({page.answer for page in pages}) > 20
    assert {page.answer for page in tests[PLACES]} == set(DESIGN.trained)
    assert {page.family for page in pages} == set(FAMILIES)


def test_the_other_numbers_of_the_tests_are_years_of_training(
    tests: dict[str, list[Page]],
) -> None:
    for page in [*tests[NEW_YEARS], *tests[PLACES][::10]]:
        others = {n for row, column, n in numbers(page) if (row, column) != (page.row, page.column)}
        assert others <= set(DESIGN.trained)


def test_the_tests_are_the_same_each_time_and_not_what_is_trained_on(
    tests: dict[str, list[Page]], trained_on: list[Page]
) -> None:
    assert DESIGN.tests(2)[PLACES][:300] == tests[PLACES][:300]
    assert not {page.text for page in trained_on} & {page.text for page in tests[PLACES]}


def test_pages_of_another_width_have_no_held_out_places() -> None:
    for columns in (10, 20, 80):
        design = DESIGN.of_width(columns)
        assert len(design.places(SEEN)) == len(design.places()) == 24 * (columns - 3)
        assert (design.trained, design.held_out) == (DESIGN.trained, DESIGN.held_out)
        pages = design.anywhere(40)
        assert Counter(page.family for page in pages) == dict.fromkeys(FAMILIES, 40)
        assert {len(line) for page in pages for line in page.rows} == {columns}
        assert pages == design.anywhere(40)


# --------------------------------------------------------------------------------------- the rest


def test_a_family_that_does_not_fit_is_left_out() -> None:
    """And does not keep the other one waiting for ever."""
    rng = random.Random(0)
    top = islice(DESIGN.draw(rng, [(0, 20)], DESIGN.trained), 20)
    assert {page.family for page in top} == {"left"}
    edge = islice(DESIGN.draw(rng, [(5, 2)], DESIGN.trained), 20)
    assert {page.family for page in edge} == {"above"}


def test_a_page_without_space_for_another_number_is_drawn_nevertheless() -> None:
    """And does not go on for ever."""
    tight = Design(DESIGN.trained, DESIGN.held_out, rows=2, columns=9)
    page = next(tight.draw(random.Random(0), [(1, 5)], DESIGN.trained, ["left"]))
    assert numbers(page) == [(1, 5, page.answer)]


def test_numbers_of_a_page_by_hand() -> None:
    rows = ("anno 1987  12345", "  2009 85,00 999", "1900        2029")
    page = Page(rows, "1987", 0, 5, "left", "form")
    found = [(0, 5, "1987"), (1, 2, "2009"), (2, 0, "1900"), (2, 12, "2029")]
    assert numbers(page) == found


def test_numbers_of_a_page_are_those_of_its_blocks(trained_on: list[Page]) -> None:
    for page in trained_on[:200]:
        found = numbers(page)
        assert (page.row, page.column, page.answer) in found
        assert all(page.rows[row][column : column + 4] == each for row, column, each in found)
        words = re.findall("[a-z]+", page.text.lower())
        assert len(found) == sum(word in (*layouts.ASKED, *layouts.OTHERS) for word in words)


@pytest.mark.parametrize("columns", [10, 40])
def test_a_design_comes_back_as_it_was(columns: int) -> None:
    design = DESIGN if columns == 40 else DESIGN.of_width(columns)
    assert Design.from_dict(json.loads(json.dumps(design.to_dict()))) == design
    other = replace(design, row_bands=((0, 0),))
    assert Design.from_dict(other.to_dict()) == other != design
