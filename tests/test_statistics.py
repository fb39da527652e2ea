"""Intervals and tests against the normal distribution, and against enumerating every resample."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.statistics import (
    Blocks,
    chance_level,
    crossed_interval,
    mean_interval,
    resample,
    sign_flip_p,
)

Z = 1.959964  # the normal distribution's 97.5 % quantile


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def is_quantile(edge: float, share: float, every: list[float]) -> bool:
    """Whether ``edge`` is the quantile ``share`` of ``every``, to within 1 % of the mass."""
    values = np.array(every)
    below, up_to = np.mean(values < edge - 1e-9), np.mean(values <= edge + 1e-9)
    return bool(below <= share + 0.01 and up_to >= share - 0.01)


# ------------------------------------------------------------------------------------------ blocks


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(1, 80))
def test_a_number_of_blocks_is_numpy_s_split(count: int, number: int) -> None:
    values = generator().normal(size=count)
    parts = np.array_split(values, min(number, count))
    blocks = Blocks.of_number(count, number)
    assert blocks.sizes.tolist() == [len(part) for part in parts]
    np.testing.assert_allclose(blocks.sums(values), [part.sum() for part in parts], atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(1, 80))
def test_blocks_of_a_size_leave_no_observation_out(count: int, size: int) -> None:
    blocks = Blocks.of_size(count, size)
    assert blocks.sizes.sum() == count
    assert (blocks.sizes[:-1] == size).all()
    assert len(blocks) == 1 or size <= blocks.sizes[-1] < 2 * size
    values = np.arange(count, dtype=float)
    assert blocks.sums(values).sum() == pytest.approx(values.sum())


# --------------------------------------------------------------------------------------- intervals


def test_an_interval_is_that_of_every_resample() -> None:
    """Four blocks can be drawn in 256 ways: the quantiles of those are exact."""
    sums, sizes = np.array([3.0, 9.0, 1.0, 4.0]), np.array([2, 3, 2, 5])
    every = [
        sums[list(rows)].sum() / sizes[list(rows)].sum()
        for rows in itertools.product(range(4), repeat=4)
    ]
    found = mean_interval(sums, resample(4, 20_000, generator()), sizes)
    assert is_quantile(found.low, 0.025, every) and is_quantile(found.high, 0.975, every)
    # Another interval than that of four observations: sizes count.
    plain = mean_interval(sums, resample(4, 20_000, generator()))
    assert not is_quantile(plain.high, 0.975, every)


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_an_interval_of_many_normal_values_is_the_textbook_s(level: float) -> None:
    z = {0.5: 0.674490, 0.95: Z}[level]
    values = generator(1).normal(3, 2, 1000)
    error = values.std() / math.sqrt(1000)
    found = mean_interval(values, resample(1000, 20_000, generator(2)), level=level)
    # 20,000 resamples settle a quantile to some 2 % of the standard error.
    assert found.low == pytest.approx(values.mean() - z * error, abs=0.1 * error)
    assert found.high == pytest.approx(values.mean() + z * error, abs=0.1 * error)


def test_95_of_100_intervals_cover_the_mean() -> None:
    rng = generator(3)
    covered = 0
    for _ in range(400):
        values = rng.normal(1, 1, 60)
        low, high = mean_interval(values, resample(60, 400, rng))
        covered += low <= 1 <= high
    assert 0.90 <= covered / 400 <= 0.98  # 0.94 expected at n = 60, standard deviation 0.012


def test_two_means_share_the_resamples_that_they_are_given() -> None:
    drawn = resample(50, 500, generator())
    values = generator(4).normal(size=50)
    low, high = mean_interval(values, drawn)
    shifted = mean_interval(2 * values + 1, drawn)
    assert shifted == pytest.approx((2 * low + 1, 2 * high + 1))


def test_rows_and_columns_both_add_to_the_uncertainty() -> None:
    """Cells a_i + b_j: the resampled mean is that of the a drawn plus that of the b drawn."""
    rng = generator(5)
    a, b = rng.normal(0, 1, 80), rng.normal(0, 2, 120)
    table = a[:, None] + b
    error = math.sqrt(a.var() / 80 + b.var() / 120)
    found = crossed_interval(table, 6000, rng)
    assert found.low == pytest.approx(table.mean() - Z * error, abs=0.15 * error)
    assert found.high == pytest.approx(table.mean() + Z * error, abs=0.15 * error)
    # The control: columns alone would claim more certainty.
    columns = mean_interval(table.mean(0), resample(120, 6000, rng))
    assert columns.high - columns.low < 0.9 * (found.high - found.low)


# -------------------------------------------------------------------------------------- sign flips


def every_flip(differences: np.ndarray) -> np.ndarray:
    signs = itertools.product((-1.0, 1.0), repeat=len(differences))
    return np.array([abs(np.dot(each, differences)) for each in signs])


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0])
def test_p_is_the_share_of_all_flips(shift: float) -> None:
    differences = generator(6).normal(shift, 1, 8)
    exact = np.mean(every_flip(differences) >= abs(differences.sum()) - 1e-12)
    found = sign_flip_p(differences, 20_000, generator())
    assert found == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000) + 1e-4)


@pytest.mark.parametrize("scale", [1e-15, 0.1, 1e6])
def test_p_counts_sums_that_are_equal_on_paper(scale: float) -> None:
    """Six equal differences: all have the same sign in 2 of 64 flips, whatever the rounding."""
    found = sign_flip_p([scale * 0.1] * 6 + [0.0], 20_000, generator())
    assert found == pytest.approx(2 / 64, abs=4 * math.sqrt(2 / 64 / 20_000))


def test_p_without_any_difference_is_one() -> None:
    assert sign_flip_p([0.0, 0.0], 99, generator()) == sign_flip_p([], 99, generator()) == 1


def test_the_level_of_chance_is_that_of_all_flips() -> None:
    differences = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])  # 64 different sums
    exact = np.sort(every_flip(differences))
    found = chance_level(differences, 20_000, generator())
    assert np.mean(exact <= found + 1e-9) == pytest.approx(0.95, abs=0.02)
    assert chance_level(differences, 20_000, generator(), level=0.5) < found


def test_the_level_of_chance_of_many_differences_is_normal() -> None:
    differences = np.full(900, 1 / 900)  # a mean of 900 signs: standard deviation 1 / 30
    assert chance_level(differences, 10_000, generator(7)) == pytest.approx(Z / 30, rel=0.05)
