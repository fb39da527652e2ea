"""The confusion matrix in the terminal says what the score says, and fits into the line."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.statistics import Ints
from charlm.tasks.confusion import PAIRS, Pair, format_confusion, most_confused
from charlm.tasks.labelscore import LabelScore

TUTORIAL = (
    *("Arabic", "Chinese", "Czech", "Dutch", "English", "French", "German", "Greek", "Irish"),
    *("Italian", "Japanese", "Korean", "Polish", "Portuguese", "Russian", "Scottish", "Spanish"),
    "Vietnamese",
)


def score_of(confusion: list[list[int]] | Ints, names: tuple[str, ...]) -> LabelScore:
    """A score with this confusion matrix."""
    matrix = np.array(confusion)
    cells = np.repeat(np.arange(matrix.size), matrix.ravel())
    truth, answers = np.unravel_index(cells, matrix.shape)
    p = np.full((len(cells), len(names)), 0.4 / max(1, len(names) - 1))
    p[np.arange(len(cells)), answers] = 1.0 if len(names) == 1 else 0.6
    return LabelScore.of(np.log(p), truth, names)


def test_a_small_table_has_whole_names_and_counts() -> None:
    score = score_of([[8, 2, 0], [1, 9, 0], [0, 1, 12]], ("Irish", "Italian", "Polish"))
    assert format_confusion(score) == [
        "rows: truth, columns: answers; items",
        "          Irish Italian  Polish  items",
        "Irish         8       2       .     10",
        "Italian       1       9       .     10",
        "Polish        .       1      12     13",
    ]


def test_names_that_begin_alike_are_numbered() -> None:
    score = score_of([[3, 1], [0, 2]], ("Portuguese (Brazil)", "Portuguese (Portugal)"))
    assert format_confusion(score) == [
        "rows: truth, columns: answers; items",
        "                         1  2  items",
        "1 Portuguese (Brazil)    3  1      4",
        "2 Portuguese (Portugal)  .  2      2",
    ]


def test_eighteen_labels_fit_into_a_line_with_their_first_letters() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.integers(0, 40, size=(18, 18)) + np.diag(rng.integers(100, 900, size=18))
    lines = format_confusion(score_of(matrix, TUTORIAL))
    assert max(map(len, lines)) <= 100 and len(lines) == 20
    assert lines[1].split() == [*(name[:3] for name in TUTORIAL), "items"]
    for name, row, line in zip(TUTORIAL, matrix, lines[2:], strict=True):
        shown, *cells = line.split()
        assert shown == name
        assert cells == [*(str(n) if n else "." for n in row), str(row.sum())]


def test_counts_that_are_too_wide_become_percents_of_the_row() -> None:
    matrix = np.full((18, 18), 3)
    matrix[0] = 0
    matrix[0, :3] = 20_000, 9_990, 10
    lines = format_confusion(score_of(matrix, TUTORIAL))
    assert lines[0].endswith("percent of the row's items")
    assert lines[2].split() == ["Arabic", "67", "33", "<1", *["."] * 15, "30000"]
    assert lines[3].split() == ["Chinese", *["6"] * 18, "54"]


def test_more_labels_than_fit_become_the_most_confused_pairs() -> None:
    names = tuple(f"label {k}" for k in range(40))
    matrix = 10 * np.eye(40, dtype=np.int64)
    matrix[3, 7], matrix[7, 3], matrix[39, 0] = 30, 5, 5
    score = score_of(matrix, names)
    assert most_confused(score) == [
        Pair("label 3", "label 7", 30, 0.75),
        Pair("label 7", "label 3", 5, 1 / 3),
        Pair("label 39", "label 0", 5, 1 / 3),
    ]
    assert format_confusion(score) == [
        "40 labels; the most confused pairs:",
        "truth     answer   items  of the truth's",
        "label 3   label 7     30          75.0 %",
        "label 7   label 3      5          33.3 %",
        "label 39  label 0      5          33.3 %",
    ]
    assert len(format_confusion(score, 400)) == 42  # a wide terminal has room for the table
    right = score_of(np.eye(40, dtype=np.int64), names)
    assert format_confusion(right) == ["40 labels; every answer is right"]


def test_labels_that_do_not_occur_are_left_out() -> None:
    score = score_of([[2, 0, 0], [0, 0, 0], [0, 0, 1]], ("a", "b", "c"))
    assert [line.split()[0] for line in format_confusion(score)[1:]] == ["a", "a", "c"]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 5), st.integers(60, 200))
def test_no_line_is_too_wide(K: int, longest: int, digits: int, width: int) -> None:
    rng = np.random.default_rng(K + 100 * longest)
    names = tuple(f"{k:02}" + "x" * int(rng.integers(longest)) for k in range(K))
    matrix = np.zeros((K, K), dtype=np.int64)
    matrix[rng.integers(K), rng.integers(K)] = 10**digits
    matrix[rng.integers(K), rng.integers(K)] = 1
    matrix += rng.integers(0, 2, size=(K, K))
    matrix[0, 0] += 1
    lines = format_confusion(score_of(matrix, names), width)
    assert max(map(len, lines)) <= width
    assert len(lines) <= max(PAIRS, K) + 2


def test_a_label_that_is_only_answered_has_a_row_of_points() -> None:
    lines = format_confusion(score_of([[0, 5], [0, 0]], ("a", "b")))
    assert [line.split() for line in lines[2:]] == [["a", ".", "5", "5"], ["b", ".", ".", "0"]]
