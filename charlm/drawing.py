"""How figures drawn with matplotlib look, and how they become files or parts of a page.

Needs matplotlib. A figure uses the colours of ``svg.DARK``, so that its SVG has a dark mode.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from charlm.svg import adaptive

LOOK: Mapping[str, Any] = {
    "font.size": 10,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "svg.hashsalt": "charlm",
    "svg.fonttype": "none",
    "figure.dpi": 110,
}
GREY, LINE, GRID = "#555555", "#666666", "#dddddd"
"""Secondary text, a line that is only for comparison, and grid lines."""


def grid(axes: Axes, axis: str = "y") -> None:
    """Pale grid lines across ``axis``, behind everything else."""
    axes.grid(axis=axis, color=GRID, linewidth=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def legend_below(axes: Axes, columns: int = 2) -> None:
    """A legend below the axis label, where it covers no curve."""
    below = ScaledTranslation(0, -36 / 72, axes.figure.dpi_scale_trans)  # points to inches
    axes.legend(
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=axes.transAxes + below,
        borderaxespad=0,
        ncols=columns,
        columnspacing=1.2,
    )


def write(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the file's name. The same numbers give the same file, and an
    SVG follows the reader's colour scheme. Raises OSError or ValueError if it cannot be written."""
    if path.suffix == ".svg":
        path.write_text(adaptive(_svg(figure)), encoding="utf-8")
        return
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]
        figure.savefig(path, bbox_inches="tight", metadata={"Software": None})


def panels(figure: Figure) -> list[str]:
    """Each of a figure's axes as an SVG of its own, without background: a page can put them side by
    side or one below the other. Closes the figure."""
    figure.draw_without_rendering()  # settles the layout, which must not follow what is hidden
    figure.set_layout_engine("none")
    drawn = []
    for shown in figure.axes:
        for axes in figure.axes:
            axes.set_visible(axes is shown)
        drawn.append(adaptive(_svg(figure, transparent=True)))
    plt.close(figure)
    return drawn


def _svg(figure: Figure, *, transparent: bool = False) -> str:
    file = io.StringIO()
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]
        figure.savefig(
            file,
            format="svg",
            bbox_inches="tight",
            transparent=transparent,
            metadata={"Date": None},  # so that the same numbers give the same file
        )
    return file.getvalue()
