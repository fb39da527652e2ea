"""Figures of what was found inside, as SVG and PNG. Needs matplotlib: ``charlm[plots]``."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from charlm.errors import CharlmError
from charlm.inspection.comparing import Gap, Share
from charlm.inspection.gradients import Flow
from charlm.inspection.horizon import Horizon

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


def svg_of(figure: Figure) -> str:
    """A figure as SVG that takes the colours of the page around it."""
    file = io.StringIO()
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]
        figure.savefig(
            file, format="svg", bbox_inches="tight", transparent=True, metadata={"Date": None}
        )
    plt.close(figure)
    text = file.getvalue()
    # What is black on white paper is the page's ink, and the grid its faint tone.
    return text.replace("#000000", "currentColor").replace(
        "#dddddd", "currentColor; stroke-opacity: .15"
    )


def gradients(flows: dict[str, Flow], controls: dict[str, Flow], unit: str = "character") -> Figure:
    """Norms against the lag, one colour for each model: at the inputs, and at each layer's state.

    Line: the median over places; band: from the lower to the upper quartile; thin and pale: the
    same of an untrained model of that shape.
    """
    layers = max((0 if f.states is None else f.states.shape[1]) for f in flows.values())
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]
        figure, grid = plt.subplots(
            1,
            1 + layers,
            figsize=(4.6 * (1 + layers), 3.9),
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        for panel, axes in enumerate(grid[0]):
            layer = panel - 1 if panel else None
            for (name, flow), (colour, dash) in zip(flows.items(), cycle(STYLES), strict=False):
                if layer is not None and (flow.states is None or layer >= flow.states.shape[1]):
                    continue
                low, median, high = flow.quartiles(layer)
                lags = np.arange(len(median)) + (layer is not None)
                axes.fill_between(lags, low, high, color=colour, alpha=0.15, linewidth=0)
                axes.plot(lags, median, color=colour, linestyle=dash, linewidth=1.8, label=name)
                untrained = controls[name].quartiles(layer)[1]
                axes.plot(lags, untrained, color=colour, linestyle=dash, linewidth=0.8, alpha=0.45)
            axes.set_yscale("log")
            axes.set_xlabel(f"{unit}s back")
            axes.set_title("input" if layer is None else f"state of layer {panel}", size=10)
            axes.grid(axis="y", color="#dddddd", linewidth=0.6)
            axes.set_axisbelow(True)
        grid[0][0].set_ylabel(f"norm of the gradient of one {unit}'s loss")
        grid[0][0].plot([], [], color="#000000", linewidth=0.8, alpha=0.45, label="thin: untrained")
        grid[0][0].legend(frameon=False, loc="lower left")
        return figure


def memory(found: Mapping[str, Horizon]) -> Figure:
    """Left: the loss against how many characters were read before. Right: how well a linear probe
    reads single characters of the past off the state. Thin and pale: untrained; dotted: always the
    commonest character."""
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.9), layout="constrained")
        for (name, each), (colour, dash) in zip(found.items(), cycle(STYLES), strict=False):
            curve, probe = each.curve, each.probe
            mean = curve.mean
            spread = 1.96 * curve.bits.std(0, ddof=1) / np.sqrt(len(curve.bits))
            left.fill_between(
                curve.contexts, mean - spread, mean + spread, color=colour, alpha=0.12, linewidth=0
            )
            left.plot(curve.contexts, mean, color=colour, linestyle=dash, linewidth=1.8, label=name)
            untrained = each.untrained_curve
            left.plot(
                untrained.contexts,
                untrained.mean,
                color=colour,
                linestyle=dash,
                linewidth=0.8,
                alpha=0.45,
            )
            usable = curve.usable()
            at = mean[curve.contexts.index(usable)]
            left.plot([usable], [at], "o", color=colour, markersize=6)
            left.annotate(
                f"{usable}",
                (usable, at),
                textcoords="offset points",
                xytext=(0, -14),
                ha="center",
                color=colour,
            )
            right.plot(
                probe.lags, probe.accuracy, color=colour, linestyle=dash, linewidth=1.8, label=name
            )
            right.plot(
                probe.lags,
                each.untrained_probe.accuracy,
                color=colour,
                linestyle=dash,
                linewidth=0.8,
                alpha=0.45,
            )
        right.plot(probe.lags, probe.chance, color="#777777", linestyle=":", linewidth=1.2)
        right.plot([], [], color="#000000", linewidth=0.8, alpha=0.45, label="thin: untrained")
        right.plot([], [], color="#777777", linestyle=":", label="commonest character")
        left.set_xscale("log", base=2)
        ticks = [c for c in curve.contexts if c & (c - 1) == 0]  # a window may lie between
        left.set_xticks(ticks, [str(c) for c in ticks])
        left.set_xlabel(f"{each.unit}s read before (dot: no more are needed)")
        left.set_ylabel(f"bits per {each.unit}")
        left.set_title("loss against context", size=10)
        left.legend(frameon=False)
        right.set_xlabel(f"{each.unit}s back")
        right.set_ylabel("share that a linear probe reads off the state")
        right.set_ylim(0, 1.02)
        right.set_title("what the state still holds", size=10)
        right.legend(frameon=False)
        for axes in (left, right):
            axes.grid(axis="y", color="#dddddd", linewidth=0.6)
            axes.set_axisbelow(True)
        return figure


def comparison(gaps: Mapping[str, Gap], first: str, shares: Sequence[Share], other: str) -> Figure:
    """Left: by how many bits each model is worse than the first, with its interval, and in grey how
    large the gap becomes where lots are drawn which model is which. Right: which
    kinds of characters the gap to the second one comes from."""
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(9.6, 1.6 + 0.35 * max(len(gaps), len(shares))), layout="constrained"
        )
        for row, gap in enumerate(gaps.values()):
            left.barh([row], [2 * gap.chance], left=-gap.chance, height=0.5, color="#dddddd")
            left.plot([gap.low, gap.high], [row, row], color="#000000", linewidth=1.8)
            left.plot([gap.mean], [row], "o", color="#000000")
        left.set_yticks(range(len(gaps)), list(gaps))
        left.set_ylim(len(gaps) - 0.5, -0.5)
        left.set_title(f"bits per character more than {first}", size=10)
        left.set_xlabel("95 % paired bootstrap interval; grey: by chance")
        right.barh(
            [share.kind for share in shares],
            [share.contribution for share in shares],
            xerr=[
                [share.contribution - share.low for share in shares],
                [share.high - share.contribution for share in shares],
            ],
            ecolor="#555555",
            color=["#0072b2" if share.contribution > 0 else "#d55e00" for share in shares],
        )
        right.invert_yaxis()
        right.set_title(f"where {first} gains on {other}", size=10)
        right.set_xlabel("bits per character of the text")
        for axes in (left, right):
            axes.axvline(0, color="#000000", linewidth=0.8)
            axes.grid(axis="x", color="#dddddd", linewidth=0.6)
            axes.set_axisbelow(True)
        return figure


def learning_curve(log: Sequence[Mapping[str, float]], training: str, validation: str) -> Figure:
    """Training and validation loss of a run's log, in bits per character, against the updates.

    training, validation: the log's keys of the two losses in nats; a record may lack the first
    """
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]
        figure, axes = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
        for (colour, dash), key, name in (
            (STYLES[1], training, "training (with dropout)"),
            (STYLES[0], validation, "validation"),
        ):
            points = [
                (r["step"], r[key] / np.log(2)) for r in log if isinstance(r.get(key), int | float)
            ]
            if points:
                x, y = zip(*points, strict=True)
                axes.plot(x, y, color=colour, linestyle=dash, linewidth=1.8, label=name)
        axes.set_xlabel("updates")
        axes.set_ylabel("bits per character")
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.legend(frameon=False)
        return figure
