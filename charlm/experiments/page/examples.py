"""Where the word of a page's asked number is, for pages that are shown."""

from __future__ import annotations

import re
from typing import NamedTuple

from charlm.experiments.page.layouts import ASKED, DIGITS, Page

_WORD = re.compile(rf"\b(?:{'|'.join(ASKED)})\b", re.IGNORECASE)


class Word(NamedTuple):
    """A word of a page and where it begins: (row, column)."""

    word: str
    at: tuple[int, int]


def word_of(page: Page) -> Word | None:
    """The word that names the asked number: the nearest one above it, or to its left; None if
    there is none."""
    if page.family == "left":
        before = list(_WORD.finditer(page.rows[page.row][: page.column]))
        return Word(before[-1][0], (page.row, before[-1].start())) if before else None
    for row in range(page.row - 1, -1, -1):
        for found in _WORD.finditer(page.rows[row]):
            if found.start() <= page.column + DIGITS and found.end() >= page.column:
                return Word(found[0], (row, found.start()))
    return None
