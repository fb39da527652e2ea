"""Training and test pages, designed so that no place of the answer leaks from one to the other.

Bands of rows and of columns are held out: in training, no digit of the asked number is ever inside
a band. Other numbers can be. So a page's asked number is in one of these parts:

    seen                a row and columns as in training
    held-out column     a row as in training; all four digits in a band of columns
    held-out row        a row of a band; columns as in training
    both held out       a row of a band, and all four digits in a band of columns

A number that is only partly in a band of columns is in no part: neither trained nor tested, except
for the map of all places.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from charlm.experiments.page import layouts
from charlm.experiments.page.layouts import COLUMNS, DIGITS, FAMILIES, KINDS, ROWS, Family, Page
from charlm.seeds import derive
from charlm.text.grammar.chance import Rng, pick, shuffle

SEEN, HELD_OUT_COLUMN, HELD_OUT_ROW, BOTH = PARTS = (
    "seen",
    "held-out column",
    "held-out row",
    "both held out",
)

_TEST_SEED = 2009
_HELD_OUT_SHARE = 0.2  # of the years
_LONELY = 100  # times that a page without another number is drawn again
_NUMBER = re.compile(r"(?<!\d)\d{4}(?!\d)")

Bands = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Design:
    """The question: the size of a page, the bands of rows and columns (first and last, both
    included), and the years."""

    trained: tuple[str, ...]
    held_out: tuple[str, ...]
    rows: int = ROWS
    columns: int = COLUMNS
    row_bands: Bands = ()
    column_bands: Bands = ()

    def part(self, row: int, column: int) -> str:
        """The part of the page where a number is whose first digit is there; "" for none."""
        inside = [_inside(place, self.column_bands) for place in range(column, column + DIGITS)]
        if any(inside) and not all(inside):
            return ""
        return PARTS[2 * _inside(row, self.row_bands) + all(inside)]

    def places(self, *parts: str) -> list[tuple[int, int]]:
        """The places of these parts, for a number's first digit; of all parts without arguments."""
        return [
            (row, column)
            for row in range(self.rows)
            for column in range(self.columns - DIGITS + 1)
            if not parts or self.part(row, column) in parts
        ]

    def training(self, seed: int) -> Iterator[Page]:
        """Pages without end for one seed: both families and all kinds alike, and all seen places
        for the asked number."""
        rng = random.Random(derive(seed, "examples"))
        return self.draw(rng, self.places(SEEN), self.trained)

    def validation(self, seed: int) -> Iterator[Page]:
        """Further pages like those of training, for the learning curve."""
        rng = random.Random(derive(seed, "examples", 1))
        return self.draw(rng, self.places(SEEN), self.trained)

    def draw(
        self,
        rng: Rng,
        places: Sequence[tuple[int, int]],
        answers: Sequence[str],
        families: Sequence[Family] = FAMILIES,
    ) -> Iterator[Page]:
        """Pages without end. The asked number is one of ``answers`` at one of ``places``; the
        other numbers are years of training.

        Families and kinds are equally frequent, although a word to the left does not fit at every
        place: a place or a word that does not fit is drawn again, not the family. A family that
        fits at none of the places is left out. A page has other numbers, if there is space.
        """
        fitting = [
            family for family in families if any(self.possible(family, place) for place in places)
        ]
        while True:
            family, kind = pick(rng, fitting), pick(rng, KINDS)
            page, lonely = None, 0
            while page is None or (len(numbers(page)) == 1 and lonely < _LONELY):
                lonely += page is not None
                page = layouts.draw(
                    rng,
                    family,
                    kind,
                    pick(rng, answers),
                    pick(rng, places),
                    self.trained,
                    columns=self.columns,
                    rows=self.rows,
                )
            yield page

    def tests(self, per_place: int) -> dict[str, list[Page]]:
        """The test pages, the same for every seed and reader.

        places       ``per_place`` pages of each family for every place that the family allows
        new years    at seen places, asked for a year that no page of training contains
        """
        rng = random.Random(_TEST_SEED)
        found: list[Page] = []
        for place in self.places():
            for family in FAMILIES:
                if self.possible(family, place):
                    found += islice(self.draw(rng, [place], self.trained, [family]), per_place)
        new = islice(self.draw(rng, self.places(SEEN), self.held_out), 200 * per_place)
        return {PLACES: found, NEW_YEARS: list(new)}

    def anywhere(self, count: int) -> list[Page]:
        """``count`` test pages of each family, the asked number at any place."""
        rng = random.Random(_TEST_SEED)
        return [
            page
            for family in FAMILIES
            for page in islice(self.draw(rng, self.places(), self.trained, [family]), count)
        ]

    def possible(self, family: Family, place: tuple[int, int]) -> bool:
        """Whether the shortest word fits above a number at that place, or to its left."""
        row, column = place
        shortest = min(map(len, layouts.ASKED))
        return row >= 1 if family == "above" else column >= shortest + 1

    def to_dict(self) -> dict[str, Any]:
        return {
            "trained": list(self.trained),
            "held_out": list(self.held_out),
            "rows": self.rows,
            "columns": self.columns,
            "row_bands": [list(band) for band in self.row_bands],
            "column_bands": [list(band) for band in self.column_bands],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Design:
        """The inverse of ``to_dict``."""
        return cls(
            tuple(values["trained"]),
            tuple(values["held_out"]),
            values["rows"],
            values["columns"],
            tuple((first, last) for first, last in values["row_bands"]),
            tuple((first, last) for first, last in values["column_bands"]),
        )

    def of_width(self, columns: int) -> Design:
        """The same question on pages of another width, without held-out places."""
        return Design(self.trained, self.held_out, self.rows, columns)


PLACES, NEW_YEARS = "places", "new years"


def _inside(place: int, bands: Bands) -> bool:
    return any(first <= place <= last for first, last in bands)


def standard() -> Design:
    """The question of this experiment: pages of 24 x 40, years of 1900 to 2029, of which a fifth
    never occurs in training; two bands of three rows and two of seven columns are held out."""
    years = [str(year) for year in range(1900, 2030)]
    order = list(years)
    shuffle(random.Random(_TEST_SEED), order)
    held = set(order[: round(_HELD_OUT_SHARE * len(order))])
    return Design(
        tuple(year for year in years if year not in held),
        tuple(year for year in years if year in held),
        row_bands=((7, 9), (15, 17)),
        column_bands=((11, 17), (26, 32)),
    )


def numbers(page: Page) -> list[tuple[int, int, str]]:
    """The four-digit numbers of a page: (row, column of the first digit, the number)."""
    return [
        (row, found.start(), found[0])
        for row, line in enumerate(page.rows)
        for found in _NUMBER.finditer(line)
    ]
