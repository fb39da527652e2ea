"""The results as text for a terminal: a table, a strip of blocks for each reader, and sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from charlm.experiments import verdicts
from charlm.experiments.measures import TRAINED
from charlm.experiments.position_invariance.examples import FOUR_DIGITS, LEVELS, NEW_KINDS
from charlm.experiments.position_invariance.measures import (
    HELD_OUT_ANSWERS,
    LONG,
    MAIN,
    Results,
)
from charlm.experiments.position_invariance.mistakes import NOT_IN_SENTENCE, WRONG_NUMBER
from charlm.experiments.tables import BLOCKS, aligned, mean_of, percent, strip


def columns(results: Results) -> list[tuple[str, str, str]]:
    """(heading, test, part) of each column of the table. A test that was not run has none."""
    found = [("seen", MAIN, "seen"), ("held out", MAIN, "held out")]
    found += [(name, name, "held out") for name in LEVELS[1:]]
    found += [("new answers", HELD_OUT_ANSWERS, "all"), ("long", LONG, "all")]
    return [each for each in found if each[1] in results.tests]


def table(results: Results) -> str:
    """A row for each reader: accuracy in percent, the mean over seeds and its 95 % interval. Below
    are two answers without a model, a floor and a ceiling."""
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
    lines = [*aligned(rows), ""]
    lines += _legend(results)
    if untrained:
        lines.append(
            f"*  untrained: below {100 * TRAINED:.0f} % at seen offsets, so no conclusion is drawn"
        )
    if unread:
        lines.append("†  cannot read some of these sentences; they count as errors")
    return "\n".join(lines)


ERROR_COLUMNS = {WRONG_NUMBER: "other", NOT_IN_SENTENCE: "invented"}
"""The kinds of errors that are shown, and their headings."""


def error_tests(results: Results) -> list[str]:
    """The tests whose errors are shown by their kind: those in whose sentences something else looks
    like the answer."""
    return [test for test in LEVELS[2:] if results.knows_errors and test in results.tests]


def chance_row(results: Results, tests: Sequence[str]) -> list[str]:
    """What somebody gets who picks one of the numbers of each sentence: never one that is not in
    it."""
    cells = []
    for test in tests:
        wrong = 100 * (1 - results.chance(test, "held out"))
        cells += ["-", "-"] if np.isnan(wrong) else [f"{wrong:.1f}", "0.0"]
    return cells


def error_table(results: Results) -> str:
    """A row for each reader: percent of answers that are another number of the sentence, and of
    those that are nowhere in it. Empty if there is nothing to show."""
    tests = error_tests(results)
    if not tests:
        return ""
    rows = [["reader", *(f"{test}: {error}" for test in tests for error in ERROR_COLUMNS.values())]]
    for reader in results.readers:
        cells = []
        for test in tests:
            found = results.errors(reader, test, "held out")
            cells += [percent(found[error]) for error in ERROR_COLUMNS]
        rows.append([reader if results.trained(reader) else f"{reader} *", *cells])
    rows.append(["any number", *chance_row(results, tests)])
    return "\n".join(
        [
            *aligned(rows),
            "",
            "Errors in percent of all answers at held-out offsets, by what else is in the "
            "sentence.",
            "other: another number of the sentence; invented: a number that is nowhere in it. The "
            "rest of the",
            "errors are pieces of the sentence or no answer. any number: one of the sentence's, "
            "picked at random.",
        ]
    )


def _legend(results: Results) -> list[str]:
    lines = [
        f"Exact answers in percent, {mean_of(results.config['seeds'])}.",
        "seen, held out: at those offsets of the answer, with no other number in the sentence.",
    ]
    others = [test for test in LEVELS[1:] if test in results.tests]
    if others:
        lines.append(f"{', '.join(others)}: beside the answer, at held-out offsets.")
    if NEW_KINDS in others:
        lines.append(
            f"{FOUR_DIGITS}: a number that is not a year, such as a room; {NEW_KINDS}: of a kind "
            "that never occurs in training."
        )
    explained = [
        "most frequent: always the most frequent answer",
        "first number: found by a regular expression",
    ]
    if LONG in results.tests:
        explained.insert(0, "long: more than 120 characters")
    if HELD_OUT_ANSWERS in results.tests:
        explained.insert(0, "new answers: never seen in training")
    lines.append(f"{'; '.join(explained)}.")
    return lines


def strips(results: Results, blocks: str = BLOCKS) -> str:
    """Accuracy at every offset of the answer, a line for each reader, with the held-out bands
    marked."""
    width = max(map(len, results.readers))
    lines = [
        "accuracy by the offset of the answer's first character (no other number in the sentence)"
    ]
    for reader in results.readers:
        offsets, rows = results.by_offset(reader)
        lines.append(f"{reader:<{width}} {strip(rows.mean(0), blocks)}|")
    held = np.isin(offsets, results.starts(MAIN)[results.places(MAIN, "held out")])
    lines.append(f"{'held out':<{width}} {''.join('^' if h else ' ' for h in held)}")
    return "\n".join(lines)


def before_band(results: Results) -> str:
    """Why a curve can fall just before a gray band, in one sentence."""
    width = results.width
    if width < 2:
        return ""
    return (
        f"An answer has {width} characters, so one that starts up to {width - 1} "
        f"character{'s' if width > 2 else ''} before a band already reaches into it."
    )


def findings(results: Results) -> list[str]:
    """One sentence for each reader: does it generalize to held-out offsets, with what certainty?
    No conclusion is drawn from an untrained reader."""
    said = []
    for reader in results.readers:
        seen, held = (results.accuracy(reader, MAIN, part) for part in ("seen", "held out"))
        gap = results.gap(reader)
        if not results.trained(reader):
            said.append(
                f"{reader} did not learn the task ({percent(seen)} % at seen offsets), so no "
                "conclusion is drawn from it."
            )
            continue
        if not held.values:
            said.append(f"{reader} was tested at no held-out offset.")
            continue
        said.append(
            f"{reader} answers {percent(seen)} % correctly at seen offsets and {percent(held)} % "
            f"at held-out ones{verdicts.clause(gap, 'other positions')}"
        )
    return said
