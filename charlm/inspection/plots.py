"""Figures of what was found inside, as SVG and PNG. Needs matplotlib: ``charlm[plots]``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from charlm.errors import CharlmError
from charlm.inspection.gradients import Flow

LOOK = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "svg.hashsalt": "charlm",
    "svg.fonttype": "none",
    "figure.dpi": 110,
}
# Dark to light (Okabe & Ito), and a dash for each: a figure reads in grey as well.
STYLES: Sequence[tuple[str, Any]] = (
    ("#000000", "-"),
    ("#0072b2", (0, (6, 2))),
    ("#d55e00", (0, (3, 1.5, 1, 1.5))),
    ("#009e73", (0, (1, 1.2))),
    ("#cc79a7", (0, (5, 1))),
)


def save(figure: Figure, path: Path) -> None:
    """Write a figure; its kind is that of the name. CharlmError where it cannot be written."""
    # No date, so that the same numbers give the same file.
    metadata = {"Date": None} if path.suffix == ".svg" else None
    try:
        with mpl.rc_context(LOOK):  # type: ignore[arg-type]
            figure.savefig(path, bbox_inches="tight", metadata=metadata)
    except (OSError, ValueError) as error:
        raise CharlmError(f"--figure {path}: cannot be written ({error})") from error
    finally:
        plt.close(figure)


def gradients(flows: dict[str, Flow], controls: dict[str, Flow]) -> Figure:
    """Norms against the lag, one colour for each model: at the inputs, and at each layer's state.

    Line: the median over places; band: from the lower to the upper quartile; thin and pale: the
    same of an untrained model of that shape.
    """
    layers = max((0 if f.states is None else f.states.shape[1]) for f in flows.values())
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]
        figure, grid = plt.subplots(
            1, 1 + layers, figsize=(4.6 * (1 + layers), 3.9), sharey=True, squeeze=False,
            layout="constrained",
        )  # fmt: skip
        for panel, axes in enumerate(grid[0]):
            layer = panel - 1 if panel else None
            for (name, flow), (colour, dash) in zip(flows.items(), STYLES, strict=False):
                if layer is not None and (flow.states is None or layer >= flow.states.shape[1]):
                    continue
                low, median, high = flow.quartiles(layer)
                lags = np.arange(len(median)) + (layer is not None)
                axes.fill_between(lags, low, high, color=colour, alpha=0.15, linewidth=0)
                axes.plot(lags, median, color=colour, linestyle=dash, linewidth=1.8, label=name)
                untrained = controls[name].quartiles(layer)[1]
                axes.plot(lags, untrained, color=colour, linestyle=dash, linewidth=0.8, alpha=0.45)
            axes.set_yscale("log")
            axes.set_xlabel("characters back")
            axes.set_title("input" if layer is None else f"state of layer {panel}", size=10)
            axes.grid(axis="y", color="#dddddd", linewidth=0.6)
            axes.set_axisbelow(True)
        grid[0][0].set_ylabel("norm of the gradient of one character's loss")
        grid[0][0].plot([], [], color="#000000", linewidth=0.8, alpha=0.45, label="thin: untrained")
        grid[0][0].legend(frameon=False, loc="lower left")
        return figure
