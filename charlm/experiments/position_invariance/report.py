"""The results in a terminal, with nothing but characters: a table, and a heat strip per reader."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from charlm.experiments.position_invariance.measures import (
    HELD_OUT_ANSWERS,
    LONG,
    MAIN,
    TRAINED,
    Estimate,
    Results,
)

BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII_BLOCKS = " .:-=+*#@"
GREAT, SMALL = 0.1, 0.01
"""Gaps between seen and held-out offsets that are called so."""
NEAR = 0.02
"""The gap's interval must end below this before it is said that there is none."""


def columns(results: Results) -> list[tuple[str, str, str]]:
    """(heading, test, part) of the table's columns: those that this experiment has."""
    found = [("seen", MAIN, "seen"), ("held out", MAIN, "held out")]
    found += [(name, name, "held out") for name in ("numbers", "years")]
    found += [("new answers", HELD_OUT_ANSWERS, "all"), ("long", LONG, "all")]
    return [each for each in found if each[1] in results.tests]


def table(results: Results) -> str:
    """Accuracy in percent, mean over seeds and its 95 % interval; floor and ceiling below."""
    heads = columns(results)
    rows = [["reader", *(head for head, _, _ in heads), "worst held out"]]
    untrained, unread = False, False
    for reader in results.readers:
        cells = []
        for _, test, part in heads:
            mark = ""
            if any(
                results.cells[reader, s]["tests"][test]["unread"] for s in results.seeds(reader)
            ):
                mark, unread = " †", True
            cells.append(percent(results.accuracy(reader, test, part)) + mark)
        offset, worst = results.worst_offset(reader)
        lowest = f"{100 * worst:.1f} at {offset}" if offset >= 0 else "-"
        name = reader
        if not results.trained(reader):
            name, untrained = f"{reader} *", True
        rows.append([name, *cells, lowest])
    rows.append(["most frequent", *(f"{100 * results.floor(t):.1f}" for _, t, _ in heads), ""])
    rows.append(["first number", *(f"{100 * results.ceiling(t):.1f}" for _, t, _ in heads), ""])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    lines.append("")
    lines += _legend(results)
    if untrained:
        lines.append(
            f"*  untrained: below {100 * TRAINED:.0f} % at seen offsets; supports no conclusion"
        )
    if unread:
        lines.append("†  cannot read some of these sentences; they count as errors")
    return "\n".join(lines)


def _legend(results: Results) -> list[str]:
    seeds = results.config["seeds"]
    lines = [
        f"Exact answers in percent, mean of {seeds} seed{'s' if seeds > 1 else ''}"
        + (" [95 % bootstrap interval over seeds]" if seeds > 1 else "")
        + "; seen, held out: offsets of the answer, no other number in the sentence."
    ]
    others = [test for test in ("numbers", "years") if test in results.tests]
    if others:
        lines.append(f"{', '.join(others)}: with such beside the answer, at held-out offsets.")
    explained = ["most frequent: the floor", "first number: a regular expression"]
    if LONG in results.tests:
        explained.insert(0, "long: over 120 characters")
    if HELD_OUT_ANSWERS in results.tests:
        explained.insert(0, "new answers: they stand nowhere in training")
    lines.append(f"{'; '.join(explained)}.")
    return lines


def percent(estimate: Estimate) -> str:
    """``99.8 [99.5, 100.0]``; without an interval where there is one seed."""
    if not estimate.values:
        return "-"
    text = f"{100 * estimate.mean:.1f}"
    if len(estimate.values) > 1:
        text += f" [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
    return text


def strip(accuracies: NDArray[np.float64], blocks: str = BLOCKS) -> str:
    """One block per value from 0 to 1: a tall one is a high one."""
    steps = np.clip(np.rint(accuracies * (len(blocks) - 1)), 0, len(blocks) - 1)
    return "".join(blocks[int(step)] for step in steps)


def strips(results: Results, blocks: str = BLOCKS) -> str:
    """Accuracy at every offset of the answer, a line per reader; the held-out bands marked."""
    width = max(map(len, results.readers))
    lines = ["accuracy by offset of the answer's first character (no other numbers)"]
    for reader in results.readers:
        offsets, rows = results.by_offset(reader)
        lines.append(f"{reader:<{width}} {strip(rows.mean(0), blocks)}|")
    held = np.isin(offsets, results.starts(MAIN)[results.places(MAIN, "held out")])
    lines.append(f"{'held out':<{width}} {''.join('^' if h else ' ' for h in held)}")
    return "\n".join(lines)


def findings(results: Results) -> list[str]:
    """What the figures say, in sentences, with their uncertainty; nothing about the untrained."""
    said = []
    for reader in results.readers:
        seen, held = (results.accuracy(reader, MAIN, part) for part in ("seen", "held out"))
        gap = results.gap(reader)
        if not results.trained(reader):
            said.append(
                f"{reader} did not learn the task ({percent(seen)} % at seen offsets), so nothing "
                "is concluded from it."
            )
        elif not held.values:
            said.append(f"{reader} was asked at no held-out offset.")
        elif gap.mean > GREAT:
            said.append(
                f"{reader} answers {percent(seen)} % at offsets that it was trained on and "
                f"{percent(held)} % at those held out: what it learnt at one place it does not "
                "know at another."
            )
        elif gap.low > SMALL:
            said.append(
                f"{reader} answers {percent(seen)} % at offsets that it was trained on and "
                f"{percent(held)} % at those held out: of what it learnt, {percent(gap)} points do "
                "not come along."
            )
        elif gap.high <= NEAR:
            said.append(
                f"{reader} answers {percent(held)} % at held-out offsets, as at seen ones "
                f"({percent(seen)} %): what it learnt holds at any place."
            )
        else:
            said.append(
                f"{reader} answers {percent(held)} % at held-out offsets and {percent(seen)} % at "
                "seen ones; its seeds differ too much to say whether what it learnt comes along."
            )
    return said
