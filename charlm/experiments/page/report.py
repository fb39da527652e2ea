"""The results as text for a terminal: tables, strips of blocks, and sentences."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from charlm.experiments import verdicts
from charlm.experiments.measures import TRAINED, Estimate, Reals
from charlm.experiments.page.design import BOTH, NEW_YEARS, PARTS, PLACES, SEEN
from charlm.experiments.page.layouts import FAMILIES
from charlm.experiments.page.measures import PLACE, VALUE, Results, width_test
from charlm.experiments.tables import BLOCKS, aligned, mean_of, percent, strip

WHERE = {"above": "word above", "left": "word to the left"}
"""What a family is called."""

HELD_OUT = dict(
    zip(
        PARTS[1:],
        ("in held-out columns", "in held-out rows", "where both are held out"),
        strict=True,
    )
)
"""What the held-out parts of a page are called in a sentence."""

BEFORE, RANDOM = "before training", "random number"
"""The controls: the readers before their first step, and one number of each page at random."""

MOST = 0.5
"""A reader that has not learned the task still shows that what it did learn is lost elsewhere, if
it does worse by more than this."""

ALIKE = 0.1
"""The share by which the parameters of readers that are compared may differ."""


def outside(results: Results, reader: str) -> bool:
    """Whether a reader is outside the comparison: it has many more parameters than the others, or
    is trained for more steps."""
    facts, config = _facts(results, reader), results.config
    larger = abs(facts["parameters"] / config["recipe"]["parameters"] - 1) > ALIKE
    return bool(larger or facts["steps"] != config["steps"])


def compared(results: Results) -> list[str]:
    """The readers of the usual pages that can be compared with each other."""
    return [reader for reader in results.main if not outside(results, reader)]


def table(results: Results) -> str:
    """All tables: places by family and part, values and new years, page widths; then what the
    figures are."""
    pieces = [places(results, family) for family in FAMILIES]
    pieces.append(values(results))
    pieces += [widths(results, family) for family in FAMILIES if wide(results)]
    return "\n\n".join(["\n".join(piece) for piece in pieces] + ["\n".join(notes(results))])


def places(results: Results, family: str) -> list[str]:
    """A row for each reader: the share of places found, by part of the page."""
    rows = [[WHERE[family], *PARTS]]
    for reader in results.main:
        found = [percent(results.accuracy(reader, PLACES, part, family)) for part in PARTS]
        rows.append([named(results, reader, family), *found])
    rows.append([BEFORE, *[one_figure(before_training(results, PLACE))] * len(PARTS)])
    rows.append(
        [RANDOM, *(one_figure(results.chance(PLACES, part, family)) for part in PARTS)],
    )
    return aligned(rows)


VALUE_COLUMNS: Sequence[tuple[str, str, str | None, str]] = (
    ("value, seen", PLACES, SEEN, VALUE),
    ("value, both held out", PLACES, BOTH, VALUE),
    ("new years: place", NEW_YEARS, None, PLACE),
    ("new years: value", NEW_YEARS, None, VALUE),
)
"""(heading, test, part, answer) of each column of the table of values."""


def values(results: Results) -> list[str]:
    """A row for each reader: the share of values that are right, at seen places and where both row
    and column are held out; what it does with years that it never saw; its parameters."""
    rows = [["both words", *(head for head, *_ in VALUE_COLUMNS), "parameters"]]
    for reader in results.main:
        found = [
            percent(results.accuracy(reader, test, part, answer=answer))
            for _, test, part, answer in VALUE_COLUMNS
        ]
        parameters = f"{_facts(results, reader)['parameters']:,}"
        rows.append([named(results, reader), *found, parameters])
    before = [one_figure(before_training(results, answer)) for *_, answer in VALUE_COLUMNS]
    chance = [one_figure(results.chance(test, part)) for _, test, part, _ in VALUE_COLUMNS]
    return aligned([*rows, [BEFORE, *before, ""], [RANDOM, *chance, ""]])


def wide(results: Results) -> list[str]:
    """The readers that were trained on pages of other widths."""
    return [reader for reader in results.config["kinds"] if results.by_width(reader, "above")[0]]


def widths(results: Results, family: str) -> list[str]:
    """A row for each reader: the share of places found, by the width of the pages."""
    every = results.config["widths"]
    rows = [[WHERE[family], *(f"{width} columns" for width in every)]]
    for reader in wide(results):
        found = dict(zip(*results.by_width(reader, family), strict=True))
        rows.append([reader, *(percent(found.get(width, Estimate.of([]))) for width in every)])
    return aligned([*rows, [RANDOM, *(one_figure(chance) for chance in chances(results, family))]])


def chances(results: Results, family: str) -> list[float]:
    """For each width the accuracy of picking one of the numbers of each page: a narrow page has
    fewer."""
    return [results.chance(width_test(width), family=family) for width in results.config["widths"]]


def notes(results: Results) -> list[str]:
    """What the figures are, and what keeps a reader apart."""
    lines = [
        f"Answers in percent, {mean_of(results.config['seeds'])}.",
        "In training the number is at seen places: never in the held-out rows and columns. Its "
        "word is above it",
        "or to its left. new years: years that no page of training contains, at seen places.",
        f"{BEFORE}: the mean of all readers before their first step, at all places.",
        f"{RANDOM}: one of the numbers of each page, picked at random.",
    ]
    if wide(results):
        lines.append(
            "columns: trained and tested on pages of that width, without held-out places"
            f"{_of_width_seeds(results)}."
        )
    lines += fields(results)
    lines += [
        f"{reader} {apart(results, reader)}." for reader in results.main if outside(results, reader)
    ]
    if any(not learned(results, reader, family) for reader in results.main for family in FAMILIES):
        lines.append(
            f"*  untrained: below {100 * TRAINED:.0f} % at seen places, so no conclusion is drawn"
        )
    return lines


def fields(results: Results) -> list[str]:
    """For each reader that sees only a part of the page from a place, how large it is."""
    page = [results.design.rows, results.design.columns]
    found: dict[tuple[int, int], list[str]] = {}
    for reader in results.main:
        rows, columns = _facts(results, reader)["receptive_field"]
        if [rows, columns] != page:
            found.setdefault((rows, columns), []).append(reader)
    return [
        f"{' and '.join(readers)}: the score of a place depends on {rows} rows x {columns} columns "
        "around it."
        for (rows, columns), readers in found.items()
    ]


def apart(results: Results, reader: str) -> str:
    """Why a reader is outside the comparison, as the end of a sentence."""
    facts = _facts(results, reader)
    times = facts["steps"] // results.config["steps"]
    steps = f" and is trained for {times} times as many steps" if times > 1 else ""
    return f"is outside the comparison: it has {facts['parameters']:,} parameters{steps}"


def before_training(results: Results, answer: str) -> float:
    """The accuracy before training, a mean over readers."""
    return float(np.mean([results.untrained(reader, answer).mean for reader in results.main]))


def learned(results: Results, reader: str, family: str | None = None) -> bool:
    """Whether a conclusion can be drawn from a reader: about one family, or about either."""
    if family is not None:
        return results.trained(reader, family)
    return any(results.trained(reader, each) for each in FAMILIES)


def named(results: Results, reader: str, family: str | None = None) -> str:
    """A reader's name, marked if it is untrained."""
    return reader if learned(results, reader, family) else f"{reader} *"


def one_figure(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.1f}"


def strips(results: Results, blocks: str = BLOCKS) -> str:
    """Places found by row, at seen columns, and by column, in seen rows; a line for each reader and
    family, with what is held out marked."""
    design = results.design
    seen = np.zeros((design.rows, design.columns), dtype=bool)
    seen[tuple(zip(*design.places(SEEN), strict=True))] = True
    rows, columns = seen.any(1), seen.any(0)
    width = max(map(len, results.main))
    lines = [
        "places found by the row of the number (at seen columns) | by its column (in seen rows)"
    ]
    for reader in results.main:
        for family in FAMILIES:
            found = results.map(reader, family)
            by_row = strip(_mean(found[:, columns], 1), blocks)
            by_column = strip(_mean(found[rows], 0), blocks)
            lines.append(f"{reader:<{width}} {family:<5} {by_row}|{by_column}|")
    marks = [_marks(design.rows, design.row_bands), _marks(design.columns, design.column_bands)]
    lines.append(f"{'held out':<{width}}       {' '.join(marks)}".rstrip())
    return "\n".join(lines)


def _mean(shares: Reals, axis: int) -> Reals:
    """The mean of what is not NaN; 0 where there is nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found: Reals = np.nan_to_num(np.nanmean(shares, axis=axis))
    return found


def _marks(count: int, bands: Sequence[tuple[int, int]]) -> str:
    inside = [any(low <= place <= high for low, high in bands) for place in range(count)]
    return "".join("^" if each else " " for each in inside)


def findings(results: Results) -> list[str]:
    """A sentence for each reader and family: did it learn, and does it generalize to held-out rows
    and columns? No conclusion is drawn from an untrained reader."""
    return [finding(results, reader, family) for reader in results.main for family in FAMILIES]


def finding(results: Results, reader: str, family: str) -> str:
    """One of ``findings``."""
    name = f"{reader}, {WHERE[family]}"
    seen = percent(results.accuracy(reader, PLACES, SEEN, family))

    def gap(part: str) -> Estimate:
        return results.gap(reader, part, PLACE, family)

    shares = [
        f"{percent(results.accuracy(reader, PLACES, part, family))} % {where}"
        for part, where in HELD_OUT.items()
    ]
    if results.trained(reader, family):
        return f"{name}: it finds {seen} % at seen places, {_listed(shares)}{_verdict(gap)}"
    if all(gap(part).low > MOST for part in HELD_OUT):
        # How well it would do elsewhere if it had learned the whole task does not matter here.
        return (
            f"{name}: it learned a part of the task, {seen} % at seen places, and finds "
            f"{_listed(shares)}: what it learned does not hold there."
        )
    return f"{name}: it finds only {seen} % at seen places, so no conclusion is drawn from it."


def _verdict(gap: Callable[[str], Estimate]) -> str:
    """The verdicts about the held-out parts, those that are alike together."""
    gaps = {part: gap(part) for part in HELD_OUT}
    found: dict[str, list[str]] = {}
    for part, each in gaps.items():
        found.setdefault(verdicts.of(each), []).append(part)
    if len(found) == 1 and verdicts.LOSES not in found:
        widest = max(gaps.values(), key=lambda each: abs(each.mean))
        return verdicts.clause(widest, "held-out rows and columns")
    said = []
    for verdict, parts in found.items():
        where = _listed([HELD_OUT[part] for part in parts])
        points = _listed([percent(gaps[part]) for part in parts])
        said.append(
            {
                verdicts.LOST: f"what it learned does not hold {where}",
                verdicts.LOSES: f"it loses {points} points {where}",
                verdicts.KEEPS: f"what it learned holds {where}",
                verdicts.UNCLEAR: f"its seeds differ too much to say {where}",
            }[verdict]
        )
    return f": {'; '.join(said)}."


def _listed(texts: Sequence[str]) -> str:
    *rest, last = texts
    return f"{', '.join(rest)} and {last}" if rest else last


def _of_width_seeds(results: Results) -> str:
    seeds = {
        len(results.seeds(f"{reader}@{width}"))
        for reader in wide(results)
        for width in results.by_width(reader, "above")[0]
    }
    if seeds == {results.config["seeds"]}:
        return ""
    return f" ({' or '.join(map(str, sorted(seeds)))} seeds)"


def _facts(results: Results, reader: str) -> dict[str, Any]:
    """What the reader's first cell says about it; all its cells say the same."""
    return results.cells[reader, results.seeds(reader)[0]]
