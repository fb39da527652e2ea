"""Scores of labels against cases worked out by hand, against scikit-learn, and as laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import CheckpointError, RequestError
from charlm.statistics import Ints, Reals
from charlm.tasks.labelscore import BINS, LabelScore, Rates

NAMES = ("a", "b", "c", "d")
P = [
    [0.7, 0.2, 0.1, 0.0],  # a, answer a
    [0.5, 0.3, 0.2, 0.0],  # a, answer a
    [0.1, 0.8, 0.1, 0.0],  # a, answer b
    [0.3, 0.6, 0.1, 0.0],  # b, answer b
    [0.4, 0.4, 0.2, 0.0],  # b, answer a: the first of two that are as likely
]
TRUTH = [0, 0, 0, 1, 1]


@pytest.fixture
def score() -> LabelScore:
    with np.errstate(divide="ignore"):
        return LabelScore.of(np.log(P), TRUTH, NAMES)


def drawn(seed: int, N: int = 200, K: int = 6) -> tuple[Reals, Ints]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(K - 1, size=N)  # the last label never occurs
    logits = 2 * rng.normal(size=(N, K)) + 2 * np.eye(K)[truth]
    return logits - np.log(np.exp(logits).sum(1, keepdims=True)), truth


def test_a_case_by_hand(score: LabelScore) -> None:
    assert score.answers.tolist() == [0, 0, 1, 1, 0]
    assert score.confusion.tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [0] * 4, [0] * 4]
    assert score.accuracy == 3 / 5
    assert score.rates == [Rates(2, 3, 3), Rates(1, 2, 2), Rates(0, 0, 0), Rates(0, 0, 0)]
    assert (score.rates[0].precision, score.rates[0].recall) == (2 / 3, 2 / 3)
    # c and d occur nowhere: they are not a mean's fault.
    assert score.macro_f1 == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert score.nats == pytest.approx(-math.log(0.7 * 0.5 * 0.1 * 0.6 * 0.4) / 5)
    assert score.bits == pytest.approx(-math.log2(0.7 * 0.5 * 0.1 * 0.6 * 0.4) / 5)
    squares = [0.09 + 0.05, 0.25 + 0.13, 0.81 + 0.65, 0.09 + 0.17, 0.16 + 0.36 + 0.04]
    assert score.brier == pytest.approx(sum(squares) / 5)


def test_the_calibration_error_of_a_case_by_hand() -> None:
    # Two labels; 0.6 belongs to the bin that ends there, 0.61 to the next.
    p = np.array([0.6, 0.6, 0.61, 0.9, 0.9, 0.9])
    truth = [0, 1, 0, 0, 0, 1]
    score = LabelScore.of(np.log(np.stack([p, 1 - p], 1)), truth, ("a", "b"))
    found = {round(each.high * BINS): each for each in score.bins if each.items}
    assert {m: each.items for m, each in found.items()} == {9: 2, 10: 1, 14: 3}
    assert found[9].accuracy == 0.5 and found[9].confidence == pytest.approx(0.6)
    assert found[14].accuracy == pytest.approx(2 / 3)
    expected = (2 * 0.1 + 1 * 0.39 + 3 * (0.9 - 2 / 3)) / 6
    assert score.calibration_error == pytest.approx(expected)


def test_a_calibrated_model_has_no_calibration_error_and_an_overconfident_one_has() -> None:
    rng = np.random.default_rng(3)
    p = rng.dirichlet([1.0, 1.0, 1.0], size=40_000)
    truth = (rng.random((len(p), 1)) > np.cumsum(p, 1)).sum(1).clip(0, 2)
    assert LabelScore.of(np.log(p), truth, ("a", "b", "c")).calibration_error < 0.01
    sharper = p**3 / (p**3).sum(1, keepdims=True)
    assert LabelScore.of(np.log(sharper), truth, ("a", "b", "c")).calibration_error > 0.1


@pytest.mark.parametrize("seed", range(3))
def test_scikit_learn_agrees(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    log_p, truth = drawn(seed)
    score = LabelScore.of(log_p, truth, tuple("abcdef"))
    assert score.accuracy == pytest.approx(metrics.accuracy_score(truth, score.answers))
    np.testing.assert_array_equal(
        score.confusion, metrics.confusion_matrix(truth, score.answers, labels=range(6))
    )
    assert score.macro_f1 == pytest.approx(metrics.f1_score(truth, score.answers, average="macro"))
    assert score.nats == pytest.approx(metrics.log_loss(truth, np.exp(log_p), labels=range(6)))
    table = metrics.precision_recall_fscore_support(
        truth, score.answers, labels=range(6), zero_division=np.nan
    )
    for rates, precision, recall, f1, support in zip(score.rates, *table, strict=True):
        assert rates.support == support
        for own, other in ((rates.precision, precision), (rates.recall, recall), (rates.f1, f1)):
            assert own == pytest.approx(other) if own is not None else np.isnan(other)


def test_a_label_that_is_only_in_the_truth_or_only_answered_has_an_f1_of_0() -> None:
    log_p = np.log([[0.9, 0.1], [0.9, 0.1]])
    never, always = LabelScore.of(log_p, [1, 1], ("a", "b")).rates[::-1]
    assert (never.precision, never.recall, never.f1) == (None, 0.0, 0.0)
    assert (always.precision, always.recall, always.f1) == (0.0, None, 0.0)


def test_the_control_knows_shares_only() -> None:
    truth = [0, 0, 1, 2]
    control = LabelScore.of_shares([0.25, 0.5, 0.25], truth, ("a", "b", "c"))
    assert control.answers.tolist() == [1] * 4 and control.accuracy == 1 / 4
    assert control.nats == pytest.approx((3 * math.log(4) + math.log(2)) / 4)


def test_a_right_label_without_probability_costs_infinitely_much(score: LabelScore) -> None:
    with np.errstate(divide="ignore"):
        assert LabelScore.of(np.log(P), [3, 0, 0, 1, 1], NAMES).nats == math.inf


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(RequestError, match="no items"):
        LabelScore.of(np.empty((0, 2)), [], ("a", "b"))
    for broken in ([[math.nan, 0.0]], [[-1.0, -1.0]], [[math.inf, 0.0]]):
        with pytest.raises(CheckpointError, match="add up to 1"):
            LabelScore.of(broken, [0], ("a", "b"))
    with pytest.raises(ValueError, match="labels run from 2"):
        LabelScore.of(np.log([[0.5, 0.5]]), [2], ("a", "b"))
    with pytest.raises(ValueError, match="log_p is"):
        LabelScore.of(np.log([[0.5, 0.5]]), [0], ("a", "b", "c"))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_renaming_the_labels_and_reordering_the_items_changes_no_number(seed: int) -> None:
    log_p, truth = drawn(seed, N=40)
    rng = np.random.default_rng(seed)
    rows, labels = rng.permutation(40), rng.permutation(6)
    other = LabelScore.of(log_p[rows][:, labels], np.argsort(labels)[truth[rows]], tuple("uvwxyz"))
    score = LabelScore.of(log_p, truth, tuple("abcdef"))
    for name in ("accuracy", "macro_f1", "nats", "brier", "calibration_error"):
        assert getattr(other, name) == pytest.approx(getattr(score, name)), name
    assert other.confusion.tolist() == score.confusion[np.ix_(labels, labels)].tolist()


def test_the_dictionary_says_what_the_score_says(score: LabelScore) -> None:
    facts = score.to_dict()
    assert facts["accuracy"] == 0.6 and facts["items"] == 5
    low, high = facts["accuracy_interval"]
    assert low == pytest.approx(0.2307, abs=1e-4) and high == pytest.approx(0.8824, abs=1e-4)
    assert facts["labels"][1] == {
        **{"label": "b", "precision": 0.5, "recall": 0.5, "f1": 0.5},
        **{"right": 1, "answered": 2, "support": 2},
    }
    assert facts["confusion"][0] == [2, 1, 0, 0]
    assert sum(each["items"] for each in facts["calibration"]) == 5
