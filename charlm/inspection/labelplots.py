"""Figures of how good labels are. Needs matplotlib."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from charlm.display import one_line
from charlm.drawing import GREY, LINE, LOOK, grid
from charlm.svg import INK
from charlm.tasks.labelscore import BINS, LabelScore

MOST = 40
"""Labels that a confusion matrix shows: those with the most items."""

RIGHT, WRONG = "#0072b2", "#d55e00"
FAINTEST, DEEPEST = 0.1, 0.55
"""Opacity of a cell with hardly any of its row's items and with all: numbers stay readable."""

_CELL = 0.32  # inches


def confusion(score: LabelScore) -> Figure:
    """The confusion matrix: a row for each right label, a column for each answer.

    A cell has how many items that are; the deeper its colour, the larger their share of the row.
    Right answers are blue, wrong ones orange, and at the end of a row stands its recall. Of more
    than ``MOST`` labels those with the most items are shown, which the title says.
    """
    matrix = score.confusion
    support = matrix.sum(1)
    occurs = np.flatnonzero(support + matrix.sum(0))
    shown = np.sort(occurs[np.argsort(-support[occurs], kind="stable")][:MOST])
    names = [one_line(score.names[k]) for k in shown]
    K = len(shown)
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]
        side = max(3.2, _CELL * K)
        figure, axes = plt.subplots(figsize=(side + 1.6, side + 1.2), layout="constrained")
        for y, truth in enumerate(shown.tolist()):
            for x, answer in enumerate(shown.tolist()):
                if matrix[truth, answer]:
                    items = int(matrix[truth, answer])
                    _cell(axes, x, y, items / int(support[truth]), items)
            recall = score.rates[truth].recall
            told = "" if recall is None else f"{100 * recall:.0f} %"
            axes.text(K - 0.35, y, told, va="center", color=GREY, fontsize=9, clip_on=False)
        axes.set_xlim(-0.5, K - 0.5)
        axes.set_ylim(K - 0.5, -0.5)
        axes.set_aspect("equal")
        axes.set_xticks(range(K), names, rotation=90, parse_math=False)
        axes.set_yticks(range(K), names, parse_math=False)
        axes.tick_params(length=0)
        axes.set_xlabel("answer")
        axes.set_ylabel("truth")
        left_out = len(occurs) - K
        title = f"{score.right:,} of {len(score):,} right; at the end of a row, its recall"
        axes.set_title(
            title + (f"; {left_out} smaller labels not shown" if left_out else ""), size=10
        )
        return figure


def _cell(axes: Axes, x: int, y: int, share: float, items: int) -> None:
    colour = RIGHT if x == y else WRONG
    alpha = FAINTEST + (DEEPEST - FAINTEST) * share
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, color=colour, alpha=alpha, linewidth=0))
    size = 9 if items < 1000 else 7
    axes.text(x, y, f"{items:,}", ha="center", va="center", fontsize=size, color=INK)


def calibration(score: LabelScore) -> Figure:
    """The share of right answers against their mean probability, a dot for each bin, as large as
    its share of the items. On the dotted line a model is as often right as it says."""
    with mpl.rc_context(LOOK):  # type: ignore[arg-type]
        figure, axes = plt.subplots(figsize=(4.8, 4.1), layout="constrained")
        bins = [each for each in score.bins if each.items]
        axes.plot([0, 1], [0, 1], color=LINE, linestyle=":", linewidth=1.2)
        axes.scatter(
            np.array([each.confidence for each in bins], dtype=np.float64),
            np.array([each.accuracy for each in bins], dtype=np.float64),
            s=[20 + 600 * each.items / len(score) for each in bins],
            color=RIGHT,
            alpha=0.7,
            linewidth=0,
        )
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel(f"probability of the answer, in {BINS} bins")
        axes.set_ylabel("share of right answers")
        axes.set_title(f"calibration error {score.calibration_error:.3f}", size=10)
        grid(axes)
        return figure
