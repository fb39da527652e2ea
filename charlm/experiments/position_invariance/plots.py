"""The figures, as SVG and PNG. Needs matplotlib (the extra ``plots``).

Each line has its name at its end or in a legend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from charlm.drawing import GREY, LINE
from charlm.experiments import figures
from charlm.experiments.figures import (
    BLUE,
    GREEN,
    RED,
    SKY,
    YELLOW,
    Style,
    entry,
    line,
    panels,
    percent_axis,
)
from charlm.experiments.position_invariance import report
from charlm.experiments.position_invariance.measures import LONG, MAIN, Results
from charlm.svg import INK, PAPER

STYLES: dict[str, Style] = {
    "feedforward": (RED, "-", "o"),
    "time-delay": (BLUE, (0, (6, 2)), "s"),
    "time-delay-last": (SKY, (0, (1, 1.2)), "v"),
    "rnn": (YELLOW, (0, (3, 1.5, 1, 1.5)), "^"),
    "gru": (GREEN, "-", "D"),
    "lstm": (INK, "-", "p"),
    "bilstm": (LINE, (0, (5, 1)), "P"),
    "tagger": (INK, (0, (2, 1)), "x"),
    "tagger-both": (LINE, "-", "+"),
    "pointer": (SKY, (0, (2, 1)), "<"),
    "pointer-both": (BLUE, "-", ">"),
    "writer-rnn": (YELLOW, (0, (3, 1.5, 1, 1.5)), "^"),
    "writer-gru": (GREEN, "-", "D"),
    "writer-lstm": (INK, (0, (3, 1)), "*"),
    "writer-window": (RED, "-", "o"),
    "writer-conv": (BLUE, (0, (6, 2)), "s"),
}
GROUPS = {
    "readers": (
        "feedforward",
        "time-delay",
        "time-delay-last",
        "rnn",
        "gru",
        "lstm",
        "bilstm",
    ),
    "writers": ("writer-window", "writer-conv", "writer-rnn", "writer-gru", "writer-lstm"),
    "taggers and pointers": ("tagger", "tagger-both", "pointer", "pointer-both"),
}


def draw_all(results: Results, folder: Path) -> list[Path]:
    """Draw every figure into ``folder`` and return the files. Equal results give equal files."""
    drawn: dict[str, Callable[[Results], Figure]] = {
        "offsets": offsets,
        "every-reader": every_reader,
        "offset-by-length": offset_by_length,
        "distance": distance,
        "learning-curves": learning_curves,
    }
    return figures.draw_all({name: partial(draw, results) for name, draw in drawn.items()}, folder)


def _present(results: Results, group: str) -> list[str]:
    return [name for name in GROUPS[group] if name in results.readers]


def _main(results: Results) -> list[str]:
    """The readers of a figure that shows all: of more than eight, only the group ``readers``."""
    if len(results.readers) <= 8:
        return results.readers
    return _present(results, "readers") or results.readers


def _named(results: Results, name: str) -> str:
    return name if results.trained(name) else f"{name} (untrained)"


def _bands(axes: Axes, results: Results, *, named: bool = True) -> None:
    for low, high in results.config["bands"]:
        axes.axvspan(low - 0.5, high + 0.5, color=INK, alpha=0.09, linewidth=0)
        if named:
            axes.text(
                (low + high) / 2,
                1.055,
                "held out",
                ha="center",
                va="bottom",
                size=9,
                color=GREY,
            )


def _names(
    axes: Axes, results: Results, ends: Sequence[tuple[str, float]], x: float, gap: float = 0.058
) -> None:
    """Each line's name beside its end; names are moved apart if lines end close together."""
    placed = sorted(ends, key=lambda each: -each[1])
    heights: list[float] = []
    for _, y in placed:
        heights.append(min(y, heights[-1] - gap) if heights else min(y, 1.0))
    lowest = -0.02
    for place in reversed(range(len(heights))):
        if heights[place] < lowest:
            heights[place] = lowest
        lowest = heights[place] + gap
    for (name, y), height in zip(placed, heights, strict=True):
        colour, dash, mark = STYLES[name]
        axes.plot([x, x + 3], [y, height], color=colour, linewidth=0.8, clip_on=False)
        axes.plot(
            [x + 3, x + 9],
            [height, height],
            color=colour,
            linestyle=dash,
            linewidth=1.8,
            marker=mark,
            markevery=[1],
            markersize=4.5,
            markerfacecolor=PAPER,
            clip_on=False,
        )
        axes.text(x + 11, height, _named(results, name), va="center", clip_on=False)


def offsets(results: Results) -> Figure:
    """The main figure: accuracy at every offset of the answer, a line for each reader."""
    names = _main(results)
    figure, axes = plt.subplots(figsize=(10, 4.6))
    _bands(axes, results)
    ends = []
    for number, name in enumerate(names):
        x, rows = results.by_offset(name)
        line(axes, STYLES[name], x, rows, every=12 + number % 3)
        ends.append((name, float(rows.mean(0)[-1])))
    percent_axis(axes)
    _names(axes, results, ends, float(x[-1]) + 1)
    axes.set_xlim(-1, x[-1] + 1)
    axes.set_xlabel("offset of the answer's first character in the sentence")
    axes.set_title("Exact answers by the position of the answer", pad=22)
    seeds = results.config["seeds"]
    axes.text(
        0,
        -0.2,
        f"Line: mean of {seeds} seed{'s' if seeds > 1 else ''}; points: single seeds. In training, "
        f"no character of an answer was in a gray band.\n{report.before_band(results)}",
        transform=axes.transAxes,
        size=9,
        va="top",
        color=GREY,
    )
    return figure


def every_reader(results: Results) -> Figure:
    """Accuracy at every offset, a panel for each reader; seeds as points."""
    names = results.readers
    columns = min(3, len(names))
    rows_of = -(-len(names) // columns)
    figure, grid = plt.subplots(
        rows_of,
        columns,
        figsize=(4 * columns, 1.9 * rows_of),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, name in zip(grid.flat, names, strict=False):
        _bands(axes, results, named=False)
        x, rows = results.by_offset(name)
        colour = STYLES[name][0]
        for row in rows:
            axes.plot(x, row, ".", markersize=2.5, color=colour, alpha=0.35)
        axes.plot(x, rows.mean(0), color=colour, linewidth=1.2)
        percent_axis(axes)
        note = "" if results.trained(name) else "  (untrained)"
        axes.set_title(name + note, size=10)
    for axes in list(grid.flat)[len(names) :]:
        axes.set_visible(False)
    figure.supxlabel("offset of the answer's first character", size=10)
    return figure


def offset_by_length(results: Results) -> Figure:
    """Heat maps of the accuracy by offset of the answer and length of the sentence, for two readers
    that can fail and for the best one."""
    best = results.best()
    others = [name for name in ("feedforward", "rnn", "time-delay-last") if name in results.readers]
    names = [*others[:2], best] if best not in others[:2] else others[:2]
    figure, row = panels(len(names), width=4.2 * len(names), height=3.9)
    for axes, name in zip(row, names, strict=True):
        rows, columns, mean = results.by_offset_and_length(name)
        image = axes.imshow(
            mean.T,
            origin="lower",
            vmin=0,
            vmax=1,
            cmap="cividis",
            aspect="auto",
            extent=(0, rows[-1] + 10, 0, columns[-1] + 10),
        )
        for low, high in results.config["bands"]:
            for edge in (low, high + 1):
                axes.axvline(edge, color="#c0568f", linewidth=1.2, linestyle=(0, (2, 2)))
        axes.set_title(name, size=10)
        axes.set_xlabel("offset of the answer")
    row[0].set_ylabel("length of the sentence")
    bar = figure.colorbar(image, ax=row, shrink=0.85)
    bar.set_ticks([0, 0.5, 1], labels=["0", "50", "100 %"])
    return figure


def distance(results: Results) -> Figure:
    """Accuracy by the number of characters that follow the answer, in sentences as long as those of
    training and in longer ones: how much is forgotten."""
    parts = [(MAIN, range(0, 121, 10)), (LONG, range(0, 401, 40))]
    parts = [(test, bins) for test, bins in parts if test in results.tests]
    figure, row = panels(len(parts), width=1 + 4.6 * len(parts), height=3.8)
    for axes, (test, edges) in zip(row, parts, strict=True):
        for name in _main(results):
            bins, rows = results.by_distance(name, test, tuple(edges))
            line(axes, STYLES[name], np.arange(len(bins)), rows)
        axes.set_xticks(np.arange(len(bins)), bins, rotation=40, ha="right")
        axes.set_title("up to 120 characters" if test == MAIN else "longer sentences", size=10)
        percent_axis(axes)
    for name in _main(results):
        entry(axes, STYLES[name], _named(results, name))
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    figure.supxlabel("characters between the answer and the end of the sentence", size=10)
    figure.suptitle(
        "Exact answers by the distance to the end", size=12, x=0.02, ha="left", weight="bold"
    )
    return figure


def learning_curves(results: Results) -> Figure:
    """Accuracy during training, on other sentences of the same kind as the training sentences."""
    return figures.learning_curves(results, GROUPS, STYLES, "64 sentences")
