"""Labelled lines, `text<TAB>label`: drawn until there are enough, and none of them twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from charlm.errors import RequestError

Pair = tuple[str, str]
"""A text and its label: the class, the tags or the target."""

PATIENCE = 20_000
"""So many known texts in a row mean that there are hardly any new ones."""


def distinct(pairs: Iterator[Pair], count: int) -> list[Pair]:
    """The first ``count`` pairs whose texts differ from each other, in the order of drawing.

    A longer list from the same pairs begins with the shorter one. Raises RequestError if
    ``count`` is less than 1, or if the last ``PATIENCE`` pairs held no new text.

    >>> distinct(iter([("a", "1"), ("a", "1"), ("b", "2"), ("c", "3")]), 2)
    [('a', '1'), ('b', '2')]
    """
    if count < 1:
        raise RequestError(f"a corpus of {count} lines is empty: ask for at least 1")
    found: dict[str, str] = {}
    repeated = 0
    for text, label in pairs:
        if text in found:
            repeated += 1
            if repeated == PATIENCE:
                raise RequestError(
                    f"no {count:,} different lines can be drawn: ask for at most {len(found)}"
                )
            continue
        repeated = 0
        found[text] = label
        if len(found) == count:
            break
    return list(found.items())


def as_tsv(pairs: Iterable[Pair]) -> str:
    """The lines of a file, each with its line end. ValueError for a tab or line end in a part."""
    lines = []
    for pair in pairs:
        for part in pair:
            if "\t" in part or part.splitlines() != [part]:
                raise ValueError(f"a part of a labelled line is empty or has two lines: {part!r}")
        lines.append("\t".join(pair) + "\n")
    return "".join(lines)
