"""Filters and the draw: hand-computed cases, laws for any distribution, and statistics."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.config import SampleConfig
from charlm.errors import RequestError
from charlm.sampling import (
    REPETITION_WINDOW,
    Probabilities,
    distribution,
    draw,
    draw_rows,
    min_p,
    penalize_repetition,
    top_k,
    top_p,
)

P = np.array([0.1, 0.4, 0.2, 0.3])


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def probabilities() -> st.SearchStrategy[Probabilities]:
    """Any distribution with some symbols impossible and many ties."""
    weight = st.one_of(st.just(0.0), st.sampled_from([1.0, 2.0]), st.floats(1e-9, 1e9))
    return (
        st.lists(weight, min_size=1, max_size=12)
        .filter(lambda weights: sum(weights) > 0)
        .map(lambda weights: np.array(weights) / sum(weights))
    )


# ----------------------------------------------------------------------------------------- by hand


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (top_k(P, 1), [0, 1, 0, 0]),
        (top_k(P, 2), [0, 4 / 7, 0, 3 / 7]),
        (top_k(P, 0), P),
        (top_k(P, 4), P),
        (top_k(P, 99), P),
        (top_k(np.array([0.4, 0.2, 0.2, 0.2]), 2), [0.4, 0.2, 0.2, 0.2]),  # a tie at the edge
        (top_p(P, 0.01), [0, 1, 0, 0]),
        (top_p(P, 0.39), [0, 1, 0, 0]),
        (top_p(P, 0.41), [0, 4 / 7, 0, 3 / 7]),
        (top_p(P, 0.69), [0, 4 / 7, 0, 3 / 7]),
        (top_p(P, 0.71), [0, 4 / 9, 2 / 9, 3 / 9]),
        (top_p(P, 0.91), P),
        (top_p(P, 1.0), P),
        (min_p(P, 0.0), P),
        (min_p(P, 0.25), P),  # exactly at the edge is kept
        (min_p(P, 0.26), [0, 4 / 9, 2 / 9, 3 / 9]),
        (min_p(P, 0.6), [0, 4 / 7, 0, 3 / 7]),
        (min_p(P, 1.0), [0, 1, 0, 0]),
    ],
)
def test_filters_by_hand(kept: Probabilities, expected: list[float]) -> None:
    np.testing.assert_allclose(kept, expected, atol=1e-15)


def test_temperature_by_hand() -> None:
    """Logits ln 1, ln 2, ln 4: at 1 as 1:2:4, at 1/2 as 1:4:16, at 2 as 1:sqrt 2:2."""
    logits = np.log([1.0, 2.0, 4.0])
    cases: dict[float, list[float]] = {1.0: [1, 2, 4], 0.5: [1, 4, 16], 2.0: [1, math.sqrt(2), 2]}
    for temperature, odds in cases.items():
        p = distribution(logits, SampleConfig(temperature=temperature))
        np.testing.assert_allclose(p, np.divide(odds, sum(odds)))


def test_repetition_penalty_by_hand() -> None:
    """p = 1/4, 1/4, 1/2; penalty 2 squares what was seen: 1/16, 1/4, 1/4."""
    logits = np.log([1.0, 1.0, 2.0]) + 7
    config = SampleConfig(temperature=1.0, repetition_penalty=2.0)
    p = distribution(logits, config, recent=[0, 2, 0])
    np.testing.assert_allclose(p, np.array([1, 4, 4]) / 9)


def test_filters_apply_one_after_another() -> None:
    """Of 0.5 0.2 0.2 0.1, top-k 3 leaves 5:2:2 of 9, of which 0.6 needs two."""
    logits = np.log([0.5, 0.21, 0.19, 0.1])
    p = distribution(logits, SampleConfig(temperature=1.0, top_k=3, top_p=0.6))
    np.testing.assert_allclose(p, np.array([50, 21, 0, 0]) / 71)
    p = distribution(logits, SampleConfig(temperature=1.0, top_k=3, min_p=0.4))
    np.testing.assert_allclose(p, np.array([50, 21, 0, 0]) / 71)


def test_without_options_the_distribution_is_the_softmax() -> None:
    logits = np.log(P) - 3
    np.testing.assert_allclose(distribution(logits, SampleConfig(temperature=1.0)), P)


# -------------------------------------------------------------------------------------------- laws


@given(
    probabilities(),
    st.one_of(
        st.integers(0, 15).map(lambda k: lambda p: top_k(p, k)),
        st.floats(0, 1, exclude_min=True).map(lambda mass: lambda p: top_p(p, mass)),
        st.floats(0, 1).map(lambda share: lambda p: min_p(p, share)),
    ),
)
def test_a_filter_keeps_a_distribution(
    p: Probabilities, apply: Callable[[Probabilities], Probabilities]
) -> None:
    before = p.copy()
    kept = apply(p)
    assert math.isclose(kept.sum(), 1, rel_tol=1e-9)
    assert kept.min() >= 0
    assert kept[p.argmax()] > 0
    survivors = kept > 0
    assert not (survivors & (p == 0)).any()
    # Those that survive keep their odds, and none that is dropped was likelier.
    np.testing.assert_allclose(kept[survivors], p[survivors] / p[survivors].sum())
    assert p[survivors].min() >= p[~survivors].max(initial=0)
    np.testing.assert_array_equal(p, before)


@given(probabilities(), st.integers(1, 15), st.integers(1, 15))
def test_top_k_grows_with_k(p: Probabilities, a: int, b: int) -> None:
    few, many = top_k(p, min(a, b)) > 0, top_k(p, max(a, b)) > 0
    assert not (few & ~many).any()
    assert many.sum() >= min(max(a, b), (p > 0).sum())


@given(probabilities())
def test_top_p_of_nothing_keeps_the_likeliest(p: Probabilities) -> None:
    assert np.flatnonzero(top_p(p, 0.0)).tolist() == [int(p.argmax())]


@given(probabilities(), st.floats(1e-6, 1), st.floats(1e-6, 1))
def test_top_p_grows_with_the_mass(p: Probabilities, a: float, b: float) -> None:
    few, many = top_p(p, min(a, b)) > 0, top_p(p, max(a, b)) > 0
    assert not (few & ~many).any()


@given(probabilities(), st.floats(1e-6, 1))
def test_top_p_holds_the_mass_and_is_the_smallest_such_set(p: Probabilities, mass: float) -> None:
    kept = p[top_p(p, mass) > 0]
    assert kept.sum() >= mass - 1e-9
    assert kept.sum() - kept.min() <= mass + 1e-9


@given(probabilities(), st.floats(0, 1), st.floats(0, 1))
def test_min_p_shrinks_with_the_share(p: Probabilities, a: float, b: float) -> None:
    many, few = min_p(p, min(a, b)) > 0, min_p(p, max(a, b)) > 0
    assert not (few & ~many).any()


@given(st.lists(st.floats(-30, 30), min_size=3, max_size=8), st.floats(1.01, 20))
def test_the_penalty_lowers_what_was_seen(logits: list[float], penalty: float) -> None:
    scores = np.array(logits)
    plain, config = SampleConfig(temperature=1.0), SampleConfig(temperature=1.0)
    config = SampleConfig(temperature=1.0, repetition_penalty=penalty)
    before = distribution(scores, plain)
    after = distribution(scores, config, recent=[1])
    assert after[1] <= before[1] + 1e-12
    # It does not depend on a constant added to all logits.
    moved = distribution(scores + 100, config, recent=[1])
    np.testing.assert_allclose(moved, after, rtol=1e-6, atol=1e-9)


def test_the_penalty_looks_back_a_fixed_number_of_ids() -> None:
    logits = np.zeros(3)
    recent = [0] + [1] * (REPETITION_WINDOW - 1)
    assert (
        penalize_repetition(logits, recent, 2.0)[0] != penalize_repetition(logits, recent, 2.0)[2]
    )
    scores = penalize_repetition(logits, [*recent, 1], 2.0)
    assert scores[0] == scores[2]
    np.testing.assert_array_equal(penalize_repetition(logits, [], 2.0), logits)
    np.testing.assert_array_equal(logits, np.zeros(3))


# ------------------------------------------------------------------------------------------- edges


@given(st.lists(st.floats(-3e38, 3e38), min_size=1, max_size=9), st.floats(0, 1e300))
def test_no_logits_and_no_temperature_give_nan_or_a_warning(
    logits: list[float], temperature: float
) -> None:
    config = SampleConfig(temperature=temperature, top_k=3, top_p=0.9, min_p=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        p = distribution(np.array(logits, dtype=np.float32), config)
    assert math.isclose(p.sum(), 1, rel_tol=1e-9)
    assert p.min() >= 0


@pytest.mark.parametrize("temperature", [0.0, 5e-324, 1e-300, 1e-9])
def test_tiny_temperatures_choose_the_likeliest(temperature: float) -> None:
    p = distribution(np.array([1.0, 3.0, 2.0]), SampleConfig(temperature=temperature))
    np.testing.assert_array_equal(p, [0, 1, 0])


def test_temperature_zero_takes_the_first_of_several() -> None:
    config = SampleConfig(temperature=0.0, repetition_penalty=1.5, top_k=2, top_p=0.5)
    np.testing.assert_array_equal(distribution(np.array([0.0, 2.0, 2.0]), config), [0, 1, 0])


@pytest.mark.parametrize("temperature", [0.0, 1e-9, 0.8, 1e9])
def test_forbidden_ids_have_no_probability(temperature: float) -> None:
    config = SampleConfig(temperature=temperature, repetition_penalty=1.3)
    p = distribution(np.array([5.0, 1.0, 99.0]), config, recent=[0, 2], forbidden=[2])
    assert p[2] == 0
    assert math.isclose(p.sum(), 1)


def test_one_symbol_is_certain() -> None:
    assert distribution(np.array([-4.0]), SampleConfig()).tolist() == [1.0]


def test_distribution_leaves_the_logits_alone() -> None:
    logits = np.array([1.0, 2.0, 3.0])
    distribution(logits, SampleConfig(repetition_penalty=2.0), recent=[1], forbidden=[2])
    np.testing.assert_array_equal(logits, [1, 2, 3])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("min_p", -0.1),
        ("min_p", 1.1),
        ("repetition_penalty", 0.0),
        ("length", -1),
        ("seed", -1),
        ("seed", 2**63),
        ("top_k", 1.5),
        ("length", "7"),
    ],
)
def test_impossible_options_are_refused(option: str, value: Any) -> None:
    with pytest.raises(RequestError, match=f"^--{option.replace('_', '-')} "):
        SampleConfig(**{option: value})


# -------------------------------------------------------------------------------------------- draw


def chi_square(p: Probabilities, counts: Probabilities) -> float:
    """Pearson's statistic, divided by its degrees of freedom: near 1 if ``p`` is right."""
    expected = p * counts.sum()
    seen = p > 0
    return float(((counts - expected)[seen] ** 2 / expected[seen]).sum() / (seen.sum() - 1))


def test_draws_follow_the_probabilities() -> None:
    p = np.array([0.0, 0.02, 0.0, 0.38, 0.1, 0.2, 0.05, 0.25, 0.0])
    rng = np.random.default_rng(11)
    counts = np.bincount([draw(p, rng) for _ in range(20_000)], minlength=len(p)).astype(float)
    assert (counts[p == 0] == 0).all()
    assert chi_square(p, counts) < 3
    # The statistic can tell: the same counts do not fit a p that is wrong by 0.02.
    assert chi_square(p + np.array([0, 0.02, 0, -0.02, 0, 0, 0, 0, 0]), counts) > 3


class Fixed:
    """A generator whose every number is the same."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


@pytest.mark.parametrize(
    ("u", "expected"), [(0.0, 1), (0.24, 1), (0.26, 2), (0.76, 4), (1 - 2**-53, 4)]
)
def test_draw_inverts_the_cumulative_sum(u: float, expected: int) -> None:
    p = np.array([0.0, 0.25, 0.5, 0.0, 0.25, 0.0])
    assert draw(p, Fixed(u)) == expected


@given(probabilities(), st.floats(0, 1, exclude_max=True))
def test_draw_never_takes_what_is_impossible(p: Probabilities, u: float) -> None:
    assert p[draw(p, Fixed(u))] > 0


@given(st.lists(probabilities(), min_size=1, max_size=5), st.data())
def test_several_rows_give_what_each_gives(rows: list[Probabilities], data: st.DataObject) -> None:
    """Bit by bit: filters, distribution and draw, of rows of one length."""
    V = min(map(len, rows))
    p = np.stack([row[:V] + 1e-3 for row in rows])
    p /= p.sum(-1, keepdims=True)
    filters: list[Callable[[Probabilities], Probabilities]] = [
        lambda p: top_k(p, 2),
        lambda p: top_p(p, 0.6),
        lambda p: min_p(p, 0.3),
    ]
    for each in filters:
        np.testing.assert_array_equal(each(p), np.stack([each(row) for row in p]))
    config = SampleConfig(
        temperature=data.draw(st.sampled_from([0.0, 0.3, 1.0])),
        top_k=data.draw(st.integers(0, 4)),
        top_p=data.draw(st.sampled_from([0.5, 1.0])),
        min_p=data.draw(st.sampled_from([0.0, 0.2])),
    )
    drawn = distribution(np.log(p), config, forbidden=[0] if V > 1 else [])
    alone = [distribution(np.log(row), config, forbidden=[0] if V > 1 else []) for row in p]
    np.testing.assert_array_equal(drawn, np.stack(alone))
    u = np.array(
        data.draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=len(p), max_size=len(p)))
    )
    ids = [draw(row, Fixed(number)) for row, number in zip(alone, u.tolist(), strict=True)]
    assert draw_rows(drawn, u).tolist() == ids


def test_a_row_whose_number_is_rounded_up_to_the_total_takes_the_last_possible_symbol() -> None:
    p = np.array([[0.5, 0.5, 0.0], [0.2, 0.0, 0.8]])
    assert draw_rows(p, np.array([1.0, 1.0])).tolist() == [1, 2]
