"""Results as text: the parts of a table for the terminal, a strip of blocks, and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from charlm.experiments.measures import Estimate

BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII_BLOCKS = " .:-=+*#@"


def percent(estimate: Estimate) -> str:
    """``99.8 [99.5, 100.0]``; without an interval if there is only one seed."""
    if not estimate.values:
        return "-"
    text = f"{100 * estimate.mean:.1f}"
    if len(estimate.values) > 1:
        text += f" [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
    return text


def mean_of(seeds: int) -> str:
    """What the figures of a table are: the mean of so many seeds and, from two on, the interval."""
    if seeds == 1:
        return "mean of 1 seed"
    return f"mean of {seeds} seeds [95 % bootstrap interval over seeds]"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows of a table as lines, with a rule below the first one."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def strip(accuracies: NDArray[np.float64], blocks: str = BLOCKS) -> str:
    """One block for each value from 0 to 1: the higher the value, the taller the block."""
    steps = np.clip(np.rint(accuracies * (len(blocks) - 1)), 0, len(blocks) - 1)
    return "".join(blocks[int(step)] for step in steps)


def as_csv(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV; lines end in a line feed on every system."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
