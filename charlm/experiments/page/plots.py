"""The figures, as SVG and PNG. Needs matplotlib (the extra ``plots``)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from charlm.drawing import GREY, GRID, LINE, legend_below
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
from charlm.experiments.page import report
from charlm.experiments.page.design import PARTS, PLACES, SEEN, Design
from charlm.experiments.page.layouts import FAMILIES
from charlm.experiments.page.measures import Results
from charlm.svg import INK, PAPER

STYLES: dict[str, Style] = {
    "feedforward": (RED, "-", "o"),
    "feedforward-wide": (RED, (0, (1, 1.2)), "v"),
    "lstm": (INK, "-", "p"),
    "lstm-columns": (INK, (0, (3, 1.5, 1, 1.5)), "x"),
    "conv": (BLUE, (0, (6, 2)), "s"),
    "coordconv": (SKY, (0, (1, 1.2)), "<"),
    "renet": (YELLOW, (0, (3, 1)), "^"),
    "mdlstm": (GREEN, "-", "D"),
    "mdlstm-leaky": (LINE, (0, (2, 1)), "P"),
}
GROUPS = {
    "without recurrence": ("feedforward", "conv", "coordconv"),
    "one dimension": ("lstm", "lstm-columns"),
    "two dimensions": ("renet", "mdlstm", "mdlstm-leaky"),
    "outside the comparison": ("feedforward-wide",),
}
PART_STYLES = dict(zip(PARTS, ((INK, "o"), (YELLOW, "^"), (BLUE, "s"), (RED, "D")), strict=True))
"""Colour and marker of each part of a page."""

OUTLINE = "#c0568f"
"""The colour around the seen places: it stands out on every tone of the maps."""

ACROSS = 4
"""Maps side by side."""


def draw_all(results: Results, folder: Path) -> list[Path]:
    """Draw every figure into ``folder`` and return the files. Equal results give equal files."""
    drawn: dict[str, Callable[[Results], Figure]] = {"maps": maps, "parts": parts}
    if report.wide(results):
        drawn["widths"] = widths
    drawn["learning-curves"] = learning_curves
    return figures.draw_all({name: partial(draw, results) for name, draw in drawn.items()}, folder)


def maps(results: Results) -> Figure:
    """The main figure: for each reader and family the share of numbers found, by the place of the
    first digit, with the seen places outlined."""
    shown = [(reader, family) for reader in results.main for family in FAMILIES]
    across = min(ACROSS, len(shown))
    down = -(-len(shown) // across)
    figure, grid = plt.subplots(
        down,
        across,
        figsize=(3.1 * across, 0.7 + 1.85 * down),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for number, (reader, family) in enumerate(shown):
        axes = grid.flat[number]
        axes.set_facecolor(GRID)
        image = axes.imshow(results.map(reader, family), vmin=0, vmax=1, cmap="cividis")
        _outline(axes, results.design)
        axes.set_title(f"{report.named(results, reader, family)}: {family}", size=9.5)
        axes.set_xticks([0, 9, 19, 29, 39], ["1", "10", "20", "30", "40"])
        axes.set_yticks([0, 9, 19], ["1", "10", "20"])
        axes.tick_params(labelbottom=number >= len(shown) - across)  # nothing is below
    for axes in list(grid.flat)[len(shown) :]:
        axes.set_visible(False)
    bar = figure.colorbar(image, ax=grid, shrink=min(1.0, 1.8 / down), aspect=25)
    bar.set_ticks([0, 0.5, 1], labels=["0", "50", "100 %"])
    figure.supxlabel("column of the number's first digit", size=10)
    figure.supylabel("row", size=10)
    return figure


def _outline(axes: Axes, design: Design) -> None:
    """Frames around the seen places: rows and columns without held-out ones."""
    places = design.places(SEEN)
    for top, bottom in _runs({row for row, _ in places}):
        for left, right in _runs({column for _, column in places}):
            axes.add_patch(
                Rectangle(
                    (left - 0.5, top - 0.5),
                    right - left + 1,
                    bottom - top + 1,
                    fill=False,
                    edgecolor=OUTLINE,
                    linewidth=1.3,
                    clip_on=False,
                    zorder=3,
                )
            )


def _runs(numbers: set[int]) -> list[tuple[int, int]]:
    """The first and last of each run of consecutive numbers."""
    firsts = sorted(n for n in numbers if n - 1 not in numbers)
    lasts = sorted(n for n in numbers if n + 1 not in numbers)
    return list(zip(firsts, lasts, strict=True))


def parts(results: Results) -> Figure:
    """The share of numbers found in the four parts of a page; each point is a seed."""
    names = results.main
    figure, row = panels(2, width=9.6, height=1.5 + 0.5 * len(names))
    for axes, family in zip(row, FAMILIES, strict=True):
        for number, reader in enumerate(names):
            for place, part in enumerate(PARTS):
                colour, mark = PART_STYLES[part]
                found = results.accuracy(reader, PLACES, part, family)
                y = number + 0.18 * (place - 1.5)
                many = found.values if len(found.values) > 1 else ()
                axes.plot(many, [y] * len(many), ".", markersize=3, color=colour, alpha=0.4)
                axes.plot(
                    found.mean,
                    y,
                    linestyle="",
                    marker=mark,
                    color=colour,
                    markerfacecolor=PAPER,
                    markeredgewidth=1.3,
                    markersize=5,
                )
        percent_axis(axes, across=True)
        axes.set_yticks(range(len(names)), [report.named(results, name) for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_title(report.WHERE[family], size=10)
        axes.set_xlabel("numbers found")
    for part, (colour, mark) in PART_STYLES.items():
        row[0].plot([], [], mark, color=colour, markerfacecolor=PAPER, label=part)
    figure.legend(loc="outside lower center", ncols=len(PARTS), frameon=False)
    return figure


def widths(results: Results) -> Figure:
    """The share of numbers found, by the width of the pages; a panel for each family."""
    figure, row = panels(2, width=9.2, height=4.2)
    for axes, family in zip(row, FAMILIES, strict=True):
        for reader in report.wide(results):
            x, found = results.by_width(reader, family)
            seeds = min(len(each.values) for each in found)
            rows = np.array([each.values[:seeds] for each in found]).T  # (seeds, widths)
            line(axes, STYLES[reader], np.array(x), rows)
            entry(axes, STYLES[reader], reader)
        percent_axis(axes)
        axes.set_xscale("log", base=2)
        every = results.config["widths"]
        chances = report.chances(results, family)
        axes.plot(every, chances, color=GREY, linestyle=":", label=report.RANDOM)
        axes.set_xticks(every, [str(width) for width in every])
        axes.minorticks_off()
        axes.set_title(report.WHERE[family], size=10)
        axes.set_xlabel("columns of the page")
        legend_below(axes)
    return figure


def learning_curves(results: Results) -> Figure:
    """Numbers found during training, on other pages of the same kind as the training pages."""
    return figures.learning_curves(
        results, GROUPS, STYLES, f"{results.config['recipe']['batch_size']} pages"
    )
