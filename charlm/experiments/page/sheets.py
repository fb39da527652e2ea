"""Pages of the user's own: a text cut or padded to the size that readers know, and files of pages
with their answers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from charlm.errors import RequestError
from charlm.experiments.page.design import numbers
from charlm.experiments.page.layouts import COLUMNS, FAMILIES, KINDS, ROWS, Page
from charlm.text.newlines import to_unix

ANSWER = re.compile(r"={3}(?!=)\s*(.*?)\s*")
"""The line after a page of a file to be scored: three equals signs and the answer."""

_NAMED = 3
"""How many lines that are cut have a note of their own."""


@dataclass(frozen=True)
class Sheet:
    """A text as a page.

    name: how messages call it
    rows: ROWS lines of COLUMNS characters
    cut: what was cut, a message each; padded: what was padded, or ""
    """

    name: str
    rows: tuple[str, ...]
    cut: tuple[str, ...]
    padded: str

    @property
    def text(self) -> str:
        """The page without the blanks at the ends of its lines and the empty lines below."""
        return "\n".join(row.rstrip() for row in self.rows).rstrip("\n")

    @property
    def numbers(self) -> list[tuple[int, int, str]]:
        """Its four-digit numbers: (row, column of the first digit, the number)."""
        return numbers(Page(self.rows, "", -1, -1, FAMILIES[0], KINDS[0]))


def fit(text: str, name: str) -> Sheet:
    """The text as a page: tabs become blanks, lines are cut or padded with blanks.

    name: how messages call it
    """
    lines = [
        unicodedata.normalize("NFC", line).expandtabs().rstrip()
        for line in to_unix(text).split("\n")
    ]
    while lines and not lines[-1]:
        lines.pop()
    cut, padded = [], ""
    if len(lines) > ROWS:
        cut.append(f"{name}: {len(lines)} lines; the last {len(lines) - ROWS} are cut")
    long = [number for number, line in enumerate(lines[:ROWS]) if len(line) > COLUMNS]
    cut += [
        f"{name}: line {number + 1} has {len(lines[number])} characters; "
        f"{len(lines[number]) - COLUMNS} are cut"
        for number in long[:_NAMED]
    ]
    if len(long) > _NAMED:
        cut.append(f"{name}: {len(long) - _NAMED} more lines are cut after {COLUMNS} characters")
    lines = [line[:COLUMNS] for line in lines[:ROWS]]
    longest = max(map(len, lines), default=0)
    if len(lines) < ROWS or longest < COLUMNS:
        padded = (
            f"{name}: {len(lines)} {_plural(len(lines), 'line')} of up to {longest} "
            f"{_plural(longest, 'character')}; padded with blanks to {ROWS} x {COLUMNS}"
        )
    lines = [line.ljust(COLUMNS) for line in lines]
    lines += [" " * COLUMNS] * (ROWS - len(lines))
    return Sheet(name, tuple(lines), tuple(cut), padded)


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


@dataclass(frozen=True)
class Asked:
    """A page and its right answer.

    line: where it begins in its file, from 1
    places: (row, column) of each occurrence of the answer
    """

    sheet: Sheet
    line: int
    answer: str
    places: tuple[tuple[int, int], ...]


def read_asked(text: str, name: str) -> list[Asked]:
    """Pages, each followed by a line ``=== ANSWER``. RequestError, naming the line, for anything
    else.

    name: of the file
    """
    found: list[Asked] = []
    page: list[str] = []
    begins = 1
    for number, line in enumerate(to_unix(text).split("\n"), 1):
        mark = ANSWER.fullmatch(line)
        if mark is None:
            page.append(line)
            continue
        if not re.fullmatch("[0-9]{4}", mark[1]):
            raise RequestError(
                f"{name}: line {number} is {line[:60]!r}; after a page comes === and its number "
                "of four digits, such as === 2009"
            )
        found.append(_asked(page, begins, mark[1], name, number))
        page, begins = [], number + 1
    if "".join(page).strip():
        raise RequestError(
            f"{name}: the page that begins at line {begins} has no answer; write it in the line "
            "after the page, such as === 2009"
        )
    if not found:
        raise RequestError(
            f"{name}: contains no page; write each page, and after it a line such as === 2009"
        )
    return found


def _asked(page: Sequence[str], line: int, answer: str, name: str, number: int) -> Asked:
    """One page, which ends before the line ``number``."""
    if not "".join(page).strip():
        raise RequestError(f"{name}: line {number} has an answer without a page before it")
    sheet = fit("\n".join(page), f"{name}: page at line {line}")
    places = tuple((row, column) for row, column, said in sheet.numbers if said == answer)
    if not places:
        where = "cut away" if any(answer in each for each in page) else "not on the page"
        raise RequestError(
            f"{name}: line {number}: the number {answer} is {where}; it must be one of the "
            f"four-digit numbers in the first {ROWS} lines and {COLUMNS} columns of its page"
        )
    return Asked(sheet, line, answer, places)
