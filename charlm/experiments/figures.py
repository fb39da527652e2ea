"""Parts of figures that every experiment draws. Needs matplotlib (the extra ``plots``).

Every reader has its own colour, dash and marker, so that a figure can be read in gray; every seed
is a point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from charlm.drawing import LOOK as EVERY_FIGURE
from charlm.drawing import grid, legend_below, write
from charlm.experiments.measures import GridResults
from charlm.svg import PAPER

RED, BLUE, SKY, YELLOW, GREEN = "#d55e00", "#0072b2", "#3a93c8", "#a57c00", "#008a64"

Style: TypeAlias = tuple[str, Any, str]
"""Colour, dash and marker of a reader."""

LOOK: dict[str, Any] = {**EVERY_FIGURE, "axes.titlesize": 12}


def draw_all(figures: Mapping[str, Callable[[], Figure]], folder: Path) -> list[Path]:
    """Draw every figure into ``folder``, as SVG and PNG, and return the files. Equal figures give
    equal files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]
        for name, draw in figures.items():
            figure = draw()
            for ending in ("svg", "png"):
                path = folder / f"{name}.{ending}"
                write(figure, path)
                written.append(path)
            plt.close(figure)
    return written


def percent_axis(axes: Axes, *, across: bool = False) -> None:
    """An accuracy from 0 to 1, labelled in percent: upwards, or from left to right."""
    ticks, names = [0, 0.25, 0.5, 0.75, 1.0], ["0", "25", "50", "75", "100 %"]
    if across:
        axes.set_xlim(-0.03, 1.05)
        axes.set_xticks(ticks, names)
        grid(axes, "x")
    else:
        axes.set_ylim(-0.03, 1.05)
        axes.set_yticks(ticks, names)
        grid(axes)


def line(
    axes: Axes, style: Style, x: NDArray[Any], rows: NDArray[np.float64], *, every: int = 1
) -> None:
    """A reader's mean over seeds as a line, every seed as a point.

    rows: (seeds, len(x))
    every: at how many values of x there is one marker
    """
    colour, dash, mark = style
    for row in rows if len(rows) > 1 else []:
        axes.plot(x, row, linestyle="", marker=".", markersize=2.5, color=colour, alpha=0.3)
    axes.plot(
        x,
        rows.mean(0),
        color=colour,
        linestyle=dash,
        linewidth=1.8,
        marker=mark,
        markersize=4.5,
        markevery=every,
        markerfacecolor=PAPER,
        markeredgewidth=1.1,
        zorder=3,
    )


def entry(axes: Axes, style: Style, label: str) -> None:
    """A reader's line in the legend."""
    colour, dash, mark = style
    axes.plot([], [], label=label, color=colour, linestyle=dash, marker=mark, markerfacecolor=PAPER)


def panels(count: int, *, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A row of panels with a common vertical axis.

    width, height: of the whole figure in inches
    """
    figure, axes = plt.subplots(
        1,
        count,
        figsize=(width, height),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    return figure, list(axes.flat)


def learning_curves(
    results: GridResults,
    groups: Mapping[str, Sequence[str]],
    styles: Mapping[str, Style],
    unit: str,
) -> Figure:
    """Accuracy during training, on validation data; a panel for each group of readers.

    groups: the names of readers by the title of their panel; those without results are left out
    unit: what a batch consists of, such as "64 sentences"
    """
    present = {
        title: [name for name in names if name in results.readers]
        for title, names in groups.items()
    }
    shown = {title: names for title, names in present.items() if names}
    figure, row = panels(len(shown), width=4.4 * len(shown), height=4.4)
    for axes, (title, names) in zip(row, shown.items(), strict=True):
        for name in names:
            cells = [results.cells[name, seed] for seed in results.seeds(name)]
            x = np.array([point["step"] for point in cells[0]["curve"]])
            rows = np.array([[point["accuracy"] for point in cell["curve"]] for cell in cells])
            line(axes, styles[name], x, rows, every=3)
            entry(axes, styles[name], name)
        percent_axis(axes)
        axes.set_title(title, size=10)
        axes.set_xlabel(f"training steps of {unit}")
        legend_below(axes)
    return figure
