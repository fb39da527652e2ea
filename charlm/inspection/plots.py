"""Figures of the results of inspection. Needs matplotlib.

Every function takes arrays and returns a figure; ``save`` writes it, and ``drawing.panels`` makes
it part of a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from charlm.drawing import GRID, LINE, LOOK, grid, legend_below, write
from charlm.errors import CharlmError
from charlm.inspection.comparing import Gap, Share
from charlm.inspection.gradients import Flow
from charlm.inspection.horizon import Horizon
from charlm.surprisal import LN2
from charlm.svg import INK

# Dark to light, each with a dash of its own: the figure can also be read in gray.
STYLES: Sequence[tuple[str, Any]] = (
    (INK, "-"),
    ("#0072b2", (0, (6, 2))),
    ("#d55e00", (0, (3, 1.5, 1, 1.5))),
    ("#008a64", (0, (1, 1.2))),
    ("#c0568f", (0, (5, 1))),
)
UNTRAINED = {"linewidth": 0.8, "alpha": 0.6}
PANEL = (4.8, 4.1)  # inches: on a phone, one panel is as wide as the screen
FIRST_PART = 0.1
"""The share of a run that a learning curve leaves out: the loss falls so far in it that nothing
else would be visible."""


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the file's name and close it. Raises CharlmError if it
    cannot be written."""
    try:
        write(figure, path)
    except (OSError, ValueError) as error:
        raise CharlmError(f"--figure {path}: cannot be written ({error})") from error
    finally:
        plt.close(figure)


def gradients(flows: dict[str, Flow], controls: dict[str, Flow], unit: str = "character") -> Figure:
    """Norm of the gradient against the lag: a panel for the inputs and one for each layer's state,
    a colour for each model.

    Line: the median over positions. Band: from the lower to the upper quartile. Thin line: an
    untrained model of the same shape.
    """
    layers = max((0 if f.states is None else f.states.shape[1]) for f in flows.values())
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]
        figure, row = plt.subplots(
            1,
            1 + layers,
            figsize=(PANEL[0] * (1 + layers), PANEL[1]),
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        for panel, axes in enumerate(row[0]):
            layer = panel - 1 if panel else None
            for (name, flow), (colour, dash) in zip(flows.items(), cycle(STYLES), strict=False):
                if layer is not None and (flow.states is None or layer >= flow.states.shape[1]):
                    continue
                low, median, high = flow.quartiles(layer)
                lags = np.arange(len(median)) + (layer is not None)
                axes.fill_between(lags, low, high, color=colour, alpha=0.15, linewidth=0)
                axes.plot(lags, median, color=colour, linestyle=dash, linewidth=1.8, label=name)
                untrained = controls[name].quartiles(layer)[1]
                axes.plot(lags, untrained, color=colour, linestyle=dash, **UNTRAINED)
            axes.plot([], [], color=INK, label="thin: untrained", **UNTRAINED)
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda norm, _: f"{norm:g}"))
            axes.tick_params(labelleft=True)  # a page may put the panels one below the other
            axes.set_xlabel(f"{unit}s back")
            axes.set_ylabel(f"norm of the gradient of one {unit}'s loss")
            axes.set_title("input" if layer is None else f"state of layer {panel}", size=10)
            grid(axes)
            legend_below(axes)
        return figure


def memory(found: Mapping[str, Horizon]) -> Figure:
    """Left: the loss against the length of the context, with the shortest context that is enough.
    Right: how often a linear probe reads a past character from the state.

    Thin line: an untrained model. Dotted line: always guess the most frequent character.
    """
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(2 * PANEL[0], PANEL[1]), layout="constrained"
        )
        for (name, each), (colour, dash) in zip(found.items(), cycle(STYLES), strict=False):
            curve, probe = each.curve, each.probe
            mean = curve.mean
            low, high = curve.interval()
            usable = curve.usable()
            line: dict[str, Any] = {"color": colour, "linestyle": dash}
            left.fill_between(curve.contexts, low, high, color=colour, alpha=0.12, linewidth=0)
            left.plot(curve.contexts, mean, linewidth=1.8, label=f"{name} (uses {usable})", **line)
            at = mean[curve.contexts.index(usable)]
            left.plot([usable], [at], "o", color=colour, markersize=6)
            untrained = each.untrained_curve
            left.plot(untrained.contexts, untrained.mean, **line, **UNTRAINED)
            right.plot(probe.lags, probe.accuracy, linewidth=1.8, label=name, **line)
            right.plot(probe.lags, each.untrained_probe.accuracy, **line, **UNTRAINED)
        right.plot(
            probe.lags,
            probe.chance,
            color=LINE,
            linestyle=":",
            linewidth=1.2,
            label=f"most frequent {each.unit}",
        )
        left.set_xscale("log", base=2)
        ticks = [c for c in curve.contexts if c & (c - 1) == 0]  # a window may lie between
        left.set_xticks(ticks, [str(c) for c in ticks])
        left.set_xlabel(f"{each.unit}s of context (dot: more do not help)")
        left.set_ylabel(f"bits per {each.unit}")
        left.set_title("loss against context", size=10)
        right.set_xlabel(f"{each.unit}s back")
        right.set_ylabel("accuracy of a linear probe")
        right.set_ylim(0, 1.02)
        right.set_title("what the state still holds", size=10)
        for axes in (left, right):
            axes.plot([], [], color=INK, label="thin: untrained", **UNTRAINED)
            grid(axes)
            legend_below(axes)
        return figure


def comparison(gaps: Mapping[str, Gap], first: str, shares: Sequence[Share], other: str) -> Figure:
    """Left: by how many bits each model is worse than the first, with its interval; in gray, the
    gap if the models' labels are swapped at random (permutation test). Right: which kinds of
    characters the gap to the second model comes from."""
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(9.6, 1.6 + 0.35 * max(len(gaps), len(shares))), layout="constrained"
        )
        for row, gap in enumerate(gaps.values()):
            left.barh([row], [2 * gap.chance], left=-gap.chance, height=0.5, color=GRID)
            left.plot([gap.low, gap.high], [row, row], color=INK, linewidth=1.8)
            left.plot([gap.mean], [row], "o", color=INK)
        left.set_yticks(range(len(gaps)), list(gaps))
        left.set_ylim(len(gaps) - 0.5, -0.5)
        left.set_title(f"bits per character more than {first}", size=10)
        left.set_xlabel("95 % paired bootstrap interval; gray: by chance")
        right.barh(
            [share.kind for share in shares],
            [share.contribution for share in shares],
            xerr=[
                [share.contribution - share.low for share in shares],
                [share.high - share.contribution for share in shares],
            ],
            ecolor=LINE,
            color=["#0072b2" if share.contribution > 0 else "#d55e00" for share in shares],
        )
        right.invert_yaxis()
        right.set_title(f"where {first} is better than {other}", size=10)
        right.set_xlabel("bits per character of the text")
        for axes in (left, right):
            axes.axvline(0, color=INK, linewidth=0.8)
            grid(axes, "x")
        return figure


def learning_curve(
    log: Sequence[Mapping[str, float]],
    training: str,
    validation: str,
    *,
    dropout: bool = False,
    unit: str = "character",
) -> Figure:
    """Training and validation loss of a run's log against the training steps, in bits per
    ``unit``. The curve begins after the first tenth of the run, and its best model is marked.

    training, validation: the log's keys of the two losses in nats; a record may lack either, and a
        run without validation text has no best model to mark
    dropout: whether the training loss was measured with dropout, which the legend then says
    """
    losses = {
        key: [(r["step"], r[key] / LN2) for r in log if isinstance(r.get(key), int | float)]
        for key in (training, validation)
    }
    best = min(losses[validation], key=lambda point: point[1], default=None)
    judged = losses[validation] if best else losses[training]
    begin = first_step(judged, best[0] if best else judged[-1][0])
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]
        figure, axes = plt.subplots(figsize=(5.4, 3.5), layout="constrained")
        for (colour, dash), key, name in (
            (STYLES[1], training, "training (with dropout)" if dropout else "training"),
            (STYLES[0], validation, "validation"),
        ):
            points = [point for point in losses[key] if point[0] >= begin]
            if points:
                x, y = zip(*points, strict=True)
                axes.plot(x, y, color=colour, linestyle=dash, linewidth=1.8, label=name)
        if best is not None:
            axes.plot(
                *best,
                "o",
                color=STYLES[0][0],
                markersize=6,
                label=f"best: {best[1]:.3f} at step {best[0]:,}",
            )
        axes.set_xlabel("training steps")
        axes.set_ylabel(f"bits per {unit}")
        grid(axes)
        legend_below(axes)
        return figure


def first_step(points: Sequence[tuple[float, float]], best: float) -> float:
    """The step at which a learning curve begins: a tenth of the run, or earlier if the best model
    was found before or fewer than three points would be left."""
    steps = [step for step, _ in points]
    return min(FIRST_PART * steps[-1], best, steps[max(0, len(steps) - 3)])
