"""Figures of labels show the numbers of the score, and the names at the right place."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from test_confusion import score_of

from charlm.inspection import labelplots, plots
from charlm.tasks.labelscore import LabelScore

MATRIX = [[8, 2, 0], [1, 9, 0], [0, 3, 0]]
NAMES = ("Irish", "Italian", "Polish")


def cells(figure: Figure) -> dict[tuple[int, int], Rectangle]:
    """The coloured cells by row and column."""
    found = {}
    for patch in figure.axes[0].patches:
        assert isinstance(patch, Rectangle)
        x, y = patch.get_x() + patch.get_width() / 2, patch.get_y() + patch.get_height() / 2
        found[round(y), round(x)] = patch
    return found


def texts(figure: Figure) -> dict[tuple[int, float], str]:
    return {
        (round(t.get_position()[1]), t.get_position()[0]): t.get_text()
        for t in figure.axes[0].texts
    }


def test_the_confusion_matrix_is_that_of_the_score() -> None:
    figure = labelplots.confusion(score_of(MATRIX, NAMES))
    (axes,) = figure.axes
    drawn = cells(figure)
    assert set(drawn) == {(0, 0), (0, 1), (1, 0), (1, 1), (2, 1)}  # (truth, answer)
    depth = {place: cell.get_alpha() or 0.0 for place, cell in drawn.items()}
    assert depth[0, 1] < depth[0, 0] < depth[1, 1] < depth[2, 1]  # 0.2, 0.8, 0.9, 1 of their rows
    assert depth[2, 1] == pytest.approx(labelplots.DEEPEST)
    right, wrong = (drawn[place].get_facecolor()[:3] for place in ((0, 0), (2, 1)))
    assert right != wrong and drawn[1, 1].get_facecolor()[:3] == right
    told = texts(figure)
    assert (told[0, 0], told[0, 1], told[1, 1], told[2, 1]) == ("8", "2", "9", "3")
    assert [told[row, 2.65] for row in range(3)] == ["80 %", "90 %", "0 %"]
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [tick.get_text() for tick in ticks] == list(NAMES)
    assert axes.get_ylabel() == "truth" and axes.get_xlabel() == "answer"
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first label is at the top
    assert axes.get_title(loc="left").startswith("17 of 23 right")
    plt.close(figure)


def test_of_many_labels_the_largest_are_shown() -> None:
    K = labelplots.MOST + 3
    matrix = np.diag(np.arange(1, K + 1))
    figure = labelplots.confusion(score_of(matrix, tuple(f"l{k}" for k in range(K))))
    (axes,) = figure.axes
    shown = [tick.get_text() for tick in axes.get_yticklabels()]
    assert shown == [f"l{k}" for k in range(3, K)]
    assert axes.get_title(loc="left").endswith("3 smaller labels not shown")
    plt.close(figure)


def test_any_label_can_be_drawn(tmp_path: Path) -> None:
    names = ("$x^$", "a\x1bb", "<&>")
    plots.save(labelplots.confusion(score_of(MATRIX, names)), tmp_path / "c.svg")
    drawn = ElementTree.parse(tmp_path / "c.svg").getroot().itertext()
    assert {"$x^$", "a\\x1bb", "<&>"} <= {each.strip() for each in drawn}


def test_the_calibration_figure_has_the_bins_of_the_score(tmp_path: Path) -> None:
    p = np.array([0.6, 0.6, 0.9, 0.9, 0.9])
    score = LabelScore.of(np.log(np.stack([p, 1 - p], 1)), [0, 1, 0, 0, 1], ("a", "b"))
    figure = labelplots.calibration(score)
    (dots,) = figure.axes[0].collections
    np.testing.assert_allclose(np.asarray(dots.get_offsets()), [[0.6, 0.5], [0.9, 2 / 3]])
    assert "calibration error 0.180" in figure.axes[0].get_title(loc="left")
    plots.save(figure, tmp_path / "c.svg")
    assert "share of right answers" in (tmp_path / "c.svg").read_text()
