"""The figure of a sweep: loss against parameters and against seconds. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from charlm.drawing import LOOK, grid, legend_below, write
from charlm.sweeps.design import Value
from charlm.sweeps.ranking import Row
from charlm.sweeps.work import Outcome

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKS = "osD^vP"
"""Colours of Okabe & Ito, which most colour-blind people can tell apart, and marks for the rest."""


def draw(rows: Sequence[Row], names: Sequence[str], folder: Path) -> list[Path]:
    """Write loss.svg and loss.png and return them. Equal rows give equal files.

    names: of what varies; the first gives the colour of a point, the second its mark
    """
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]
        figure = loss(rows, names)
        files = [folder / "loss.svg", folder / "loss.png"]
        for file in files:
            write(figure, file)
        plt.close(figure)
    return files


def loss(rows: Sequence[Row], names: Sequence[str]) -> Figure:
    """Every run as a pale point, every configuration with its mean over the seeds."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(8.4, 3.6), sharey=True, layout="constrained"
    )
    measures: list[tuple[mpl.axes.Axes, str, Callable[[Outcome], float]]] = [
        (left, "parameters", lambda outcome: outcome.parameters),
        (right, "seconds of training", lambda outcome: outcome.seconds),
    ]
    colours, marks = _levels(rows, 0), _levels(rows, 1)
    for axes, label, measure in measures:
        for row in rows:
            colour = COLOURS[colours.index(_level(row, 0)) % len(COLOURS)]
            mark = MARKS[marks.index(_level(row, 1)) % len(MARKS)]
            places = [measure(each) for each in row.outcomes]
            bits = [each.bits_per_char for each in row.outcomes]
            if len(bits) > 1:
                axes.plot(places, bits, linestyle="", marker=mark, color=colour, alpha=0.3)
            axes.plot(
                [sum(places) / len(places)], [row.bits], linestyle="", marker=mark, color=colour
            )
        axes.set_xlabel(label)
        _scale(axes, [measure(each) for row in rows for each in row.outcomes])
        grid(axes)
    left.set_ylabel("bits per character\n(validation)")
    for place, levels in ((0, colours), (1, marks)):
        for number, value in enumerate(levels if place < len(names) else []):
            left.plot(
                [],
                [],
                linestyle="",
                color=COLOURS[number % len(COLOURS)] if place == 0 else "#777777",
                marker="o" if place == 0 else MARKS[number % len(MARKS)],
                label=f"{names[place].replace('_', ' ')} {_text(value)}",
            )
    if names:
        legend_below(left, columns=3)
    return figure


def _scale(axes: mpl.axes.Axes, values: Sequence[float]) -> None:
    """A logarithmic axis for values that differ by a factor of ten, with three ticks a decade; in a
    shorter range these could all be outside, so that is linear."""
    if max(values) >= 10 * min(values) > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    else:
        axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
    axes.xaxis.set_major_formatter(_thousands)


def _level(row: Row, place: int) -> Value:
    return row.values[place] if place < len(row.values) else None


def _levels(rows: Sequence[Row], place: int) -> list[Value]:
    """The values of one option, in order."""
    found = {_level(row, place) for row in rows}
    return sorted(found, key=lambda value: (isinstance(value, str), value or 0, str(value)))


def _text(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _thousands(value: float, place: float) -> str:
    """A tick as people read it: 120k, 1.5M, 90."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
