"""A confusion matrix for the terminal: which labels are taken for which.

    format_confusion     the table, or of more labels than fit the most confused pairs
    most_confused        those pairs

Rows are the truth, columns the answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from charlm.tasks.labelscore import LabelScore

WIDTH = 100
"""Characters of a line."""

PAIRS = 20
"""How many pairs are listed instead of a table that is too wide."""

_LONGEST_NAME, _SHORTEST_NAME = 24, 8
_LONGEST_HEADING = 8
_WHOLE = 3  # characters of the widest cell of a table in percent: 100


class Pair(NamedTuple):
    """A label that was answered for ``items`` items of another one, a ``share`` of its items."""

    truth: str
    answer: str
    items: int
    share: float


def most_confused(score: LabelScore, most: int = PAIRS) -> list[Pair]:
    """The wrong answers that occur most often, the most frequent first; of equally frequent ones
    in the order of the labels."""
    wrong = score.confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    support = score.confusion.sum(1)
    return [
        Pair(score.names[t], score.names[a], int(wrong[t, a]), float(wrong[t, a] / support[t]))
        for t, a in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[t, a]
    ]


def format_confusion(score: LabelScore, width: int = WIDTH) -> list[str]:
    """The confusion matrix as lines of at most ``width`` characters.

    The cells are counts, or, if they are too wide for the lines, percents of their row; the last
    column is how many items the row has. 0 is a point. A column is headed by the first letters of
    its label, or, if two labels begin alike, by the number before its row. More labels than fit:
    the most confused pairs instead. Labels that occur neither in the truth nor among the answers
    are left out.
    """
    matrix = score.confusion
    there = np.flatnonzero(matrix.sum(0) + matrix.sum(1))
    names = [score.names[k] for k in there]
    matrix = matrix[np.ix_(there, there)]
    support = matrix.sum(1)
    counted = [[str(n) if n else "." for n in row] for row in matrix.tolist()]
    with np.errstate(invalid="ignore"):
        shares = np.nan_to_num(100 * matrix / support[:, None])
    percent = [
        [_percent(share) if n else "." for n, share in zip(*row, strict=True)]
        for row in zip(matrix.tolist(), shares.tolist(), strict=True)
    ]
    for cells, what in ((counted, "items"), (percent, "percent of the row's items")):
        lines = _table(names, cells, support.tolist(), width)
        if lines:
            return [f"rows: truth, columns: answers; {what}", *lines]
    return _listed(score, len(names), width)


def _percent(share: float) -> str:
    """Above 0, so never shown as 0."""
    return "<1" if share < 0.5 else f"{share:.0f}"


def _table(
    names: Sequence[str], cells: Sequence[Sequence[str]], support: Sequence[int], width: int
) -> list[str]:
    """The lines of a table, or none if it is too wide."""
    K = len(names)
    last = ["items", *map(str, support)]
    ends = max(map(len, last))
    narrowest = max(2, *(len(cell) for row in cells for cell in row))
    digits = len(str(K))
    least_name = min(_SHORTEST_NAME, max(map(len, names)))
    # What is left for the columns beside the shortest names and the last column.
    room = (width - digits - 1 - least_name - 2 - ends) // K - 1
    if room < max(narrowest, digits):
        return []
    column = min(room, max(narrowest, _LONGEST_HEADING))
    headings = [name[:column] for name in names]
    numbered = len(set(headings)) < K
    if numbered:
        headings = [str(k + 1) for k in range(K)]
    column = max(narrowest, max(map(len, headings)))
    longest = width - (digits + 1 if numbered else 0) - K * (column + 1) - 2 - ends
    titles = [_cut(name, min(longest, _LONGEST_NAME)) for name in names]
    if numbered:
        titles = [f"{k + 1:>{digits}} {title}" for k, title in enumerate(titles)]
    name_width = max(map(len, titles))
    rows = zip(["", *titles], [headings, *cells], last, strict=True)
    return [
        f"{title:<{name_width}}{''.join(f' {cell:>{column}}' for cell in row)}  {end:>{ends}}"
        for title, row, end in rows
    ]


def _listed(score: LabelScore, labels: int, width: int) -> list[str]:
    pairs = most_confused(score)
    if not pairs:
        return [f"{labels} labels; every answer is right"]
    longest = max(_SHORTEST_NAME, (width - 32) // 2)
    truths = ["truth", *(_cut(pair.truth, longest) for pair in pairs)]
    answers = ["answer", *(_cut(pair.answer, longest) for pair in pairs)]
    counts = ["items", *(f"{pair.items:,}" for pair in pairs)]
    shares = ["of the truth's", *(f"{100 * pair.share:.1f} %" for pair in pairs)]
    columns = (truths, answers, counts, shares)
    widths = [max(map(len, column)) for column in columns]
    return [
        f"{labels} labels; the most confused pairs:",
        *(
            f"{t:<{widths[0]}}  {a:<{widths[1]}}  {n:>{widths[2]}}  {s:>{widths[3]}}"
            for t, a, n, s in zip(*columns, strict=True)
        ),
    ]


def _cut(name: str, longest: int) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"
