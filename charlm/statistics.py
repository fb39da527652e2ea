"""The uncertainty of a mean: intervals and randomization tests. NumPy only.

    Blocks             cut a text into blocks of neighbouring characters
    resample           draw observations with replacement
    mean_interval      95 % interval of a mean, observations or blocks drawn
    crossed_interval   the same for a table whose rows and columns are both a sample
    share_interval     95 % interval of a share of independent observations, without resampling
    chance_level       how large a mean of differences becomes by chance
    sign_flip_p        p value of a mean of differences

Every random number comes from the generator that is passed in, so the caller decides which
intervals share their draws.

Sources: Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13 for the
percentile interval and section 8.6 for blocks; Owen, "The pigeonhole bootstrap", Annals of Applied
Statistics 1 (2007), for rows and columns; Wilson, "Probable inference, the law of succession, and
statistical inference", Journal of the American Statistical Association 22 (1927); Fisher, "The
Design of Experiments" (1935), section 21, for the test by sign flips; Phipson & Smyth, "Permutation
p-values should never be zero", Statistical Applications in Genetics and Molecular Biology 9 (2010),
for its p value.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]

LEVEL = 0.95
"""Share of the bootstrap distribution that lies inside an interval."""


class Interval(NamedTuple):
    """Both ends of an interval, in the unit of the values it was computed from."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Blocks:
    """A row of ``count`` observations, cut into blocks of neighbours.

    Neighbouring characters are not independent, so an interval from single characters is too
    narrow. Blocks much longer than the dependence are nearly independent: resample those.

    starts: (K,) index of each block's first observation, ascending from 0
    """

    starts: Ints
    count: int

    @classmethod
    def of_size(cls, count: int, size: int) -> Blocks:
        """Blocks of ``size`` observations; a remainder joins the last block.

        >>> Blocks.of_size(11, 4).sizes
        array([4, 7])
        """
        return cls(np.arange(max(1, count // size), dtype=np.int64) * size, count)

    @classmethod
    def of_number(cls, count: int, number: int) -> Blocks:
        """``number`` blocks whose sizes differ by at most one, the larger ones first; no more
        blocks than observations.

        >>> Blocks.of_number(11, 4).sizes
        array([3, 3, 3, 2])
        """
        number = max(1, min(number, count))
        size, larger = divmod(count, number)
        blocks = np.arange(number, dtype=np.int64)
        return cls(blocks * size + np.minimum(blocks, larger), count)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def sizes(self) -> Ints:
        """(K,) observations in each block."""
        return np.diff(self.starts, append=self.count)

    def sums(self, values: Reals) -> Reals:
        """(count,) -> (K,) the sum of each block's values."""
        found: Reals = np.add.reduceat(values, self.starts)
        return found


def resample(count: int, resamples: int, rng: np.random.Generator) -> Ints:
    """(resamples, count): each row holds ``count`` indices below ``count``, with replacement."""
    return rng.integers(count, size=(resamples, count))


def mean_interval(
    sums: ArrayLike, drawn: Ints, sizes: ArrayLike | None = None, level: float = LEVEL
) -> Interval:
    """Percentile interval of a mean, for resamples ``drawn`` (R, K) from ``resample``.

    sums: (K,) the observations, or one sum for each block
    sizes: (K,) what to divide by: the size of each block; None for single observations

    Of each resample this takes the drawn sums over the drawn sizes, then the quantiles of those R
    means. Two calls with the same ``drawn`` use the same resamples of the text.

    >>> drawn = resample(2, 1000, np.random.default_rng(0))
    >>> mean_interval([0, 1], drawn)  # a quarter of all resamples hold 0 alone, a quarter 1
    Interval(low=0.0, high=1.0)
    >>> mean_interval([6, 9], drawn, sizes=[2, 3])  # two blocks with the same mean
    Interval(low=3.0, high=3.0)
    """
    totals = np.asarray(sums, dtype=np.float64)[drawn].sum(1)
    divisors = drawn.shape[1] if sizes is None else np.asarray(sizes)[drawn].sum(1)
    return _percentiles(totals / divisors, level)


def crossed_interval(
    table: Reals, resamples: int, rng: np.random.Generator, level: float = LEVEL
) -> Interval:
    """Percentile interval of the mean of ``table`` (R, C), whose rows and columns are both samples.

    Example: R seeds of a model answer the same C sentences. Each resample draws R rows and C
    columns and takes the mean of the cells where they cross.

    >>> crossed_interval(np.array([[1.0, 1.0], [1.0, 1.0]]), 100, np.random.default_rng(0))
    Interval(low=1.0, high=1.0)
    """
    rows, columns = table.shape
    means = np.empty(resamples)
    for n in range(resamples):
        drawn = table[rng.integers(rows, size=rows)].mean(0)
        means[n] = drawn[rng.integers(columns, size=columns)].mean()
    return _percentiles(means, level)


def share_interval(successes: int, count: int, level: float = LEVEL) -> Interval:
    """Wilson's score interval of the share ``successes / count`` of independent observations.

    Of a few observations that are all alike a bootstrap has no width at all; this has.

    >>> low, high = share_interval(10, 10)
    >>> round(low, 3), high
    (0.722, 1.0)
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, z2 = successes / count, z * z / count
    middle = (share + z2 / 2) / (1 + z2)
    half = sqrt(share * (1 - share) * z2 + z2 * z2 / 4) / (1 + z2)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def chance_level(
    differences: ArrayLike, resamples: int, rng: np.random.Generator, level: float = LEVEL
) -> float:
    """The size below which ``level`` of all sums of ``differences`` (K,) lie by chance alone.

    If neither side of a comparison is better, each difference could as well have the other sign:
    the signs are drawn at random ``resamples`` times. For the level of a mean, pass the differences
    divided by the number of observations.

    >>> chance_level([0.0, 0.0, 0.0], 100, np.random.default_rng(0))
    0.0
    """
    return float(np.quantile(np.abs(_flipped_sums(differences, resamples, rng)), level))


def sign_flip_p(differences: ArrayLike, resamples: int, rng: np.random.Generator) -> float:
    """Two-sided p value of the hypothesis that ``differences`` (K,) are symmetric about 0.

    The share of random sign flips whose sum is at least as far from 0 as the observed one, the
    observed one counted among them: never below 1 / (resamples + 1). Differences of 0 have no sign
    and play no part.

    >>> sign_flip_p([1.0, -1.0], 999, np.random.default_rng(0))  # no sum is nearer to 0
    1.0
    >>> sign_flip_p([1.0] * 40, 999, np.random.default_rng(0))  # 2 flips of 2 ** 40 are as far
    0.001
    """
    each: Reals = np.asarray(differences, dtype=np.float64)
    each = each[each != 0]
    # Sums that are equal on paper may differ in their last digits.
    observed = abs(each.sum()) - 1e-12 * np.abs(each).sum()
    extreme = np.count_nonzero(np.abs(_flipped_sums(each, resamples, rng)) >= observed)
    return float((1 + extreme) / (resamples + 1))


def _flipped_sums(differences: ArrayLike, resamples: int, rng: np.random.Generator) -> Reals:
    """(K,) -> (resamples,) the sums of the differences, each with a random sign."""
    values = np.asarray(differences, dtype=np.float64)
    sums: Reals = rng.choice([-1.0, 1.0], size=(resamples, len(values))) @ values
    return sums


def _percentiles(means: Reals, level: float) -> Interval:
    tail = round((1 - level) / 2, 12)  # 0.025, not the 0.025000000000000022 of the subtraction
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(low), float(high))
