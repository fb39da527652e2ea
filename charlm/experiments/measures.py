"""What is computed from the cells of a grid, whatever its question: means over seeds with their
intervals, and paired differences.

Everything here is NumPy on the content of ``results.json``; nothing is trained or read again.

An interval is the 95 % percentile interval of a bootstrap over seeds (Efron, 1979): it shows how
much a figure depends on the initial weights and the training data, for these test data.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.statistics import crossed_interval, mean_interval, resample, sign_flip_p

Bools = NDArray[np.bool_]
Reals = NDArray[np.float64]

RESAMPLES = 10_000
TRAINED = 0.95
"""A reader with a lower accuracy on what it was trained for is untrained and supports no
conclusion."""


def pack(right: Bools) -> str:
    """Truth values as text: eight of them in a byte, in base64."""
    return base64.b64encode(np.packbits(right).tobytes()).decode()


def unpack(text: str, shape: Sequence[int]) -> Bools:
    """The inverse of ``pack`` for that shape."""
    bits = np.unpackbits(np.frombuffer(base64.b64decode(text), dtype=np.uint8))
    return bits[: int(np.prod(shape))].astype(bool).reshape(tuple(shape))


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, its 95 % interval, and the seeds' own values."""

    mean: float
    low: float
    high: float
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> Estimate:
        each = np.array(list(values), dtype=np.float64)
        if not len(each):
            return cls(float("nan"), float("nan"), float("nan"), ())
        drawn = resample(len(each), RESAMPLES, np.random.default_rng(0))
        low, high = mean_interval(each, drawn)
        return cls(float(each.mean()), low, high, tuple(each.tolist()))


@dataclass(frozen=True)
class Difference:
    """One reader's accuracy minus another's on the same test items.

    interval: over seeds and, within, over items, both resampled
    p: two-sided, from a permutation test that flips the sign of each item's difference (averaged
       over seeds). It is about other items with these seeds; only the interval is about other seeds
    """

    mean: float
    low: float
    high: float
    p: float


def paired(gaps: Reals, resamples: int = 2000) -> Difference:
    """The mean of ``gaps`` (seeds, N), the difference for each test item and seed, with its
    interval and p value."""
    rng = np.random.default_rng(0)
    low, high = crossed_interval(gaps, resamples, rng)
    p = sign_flip_p(gaps.mean(0), resamples, rng)
    return Difference(float(gaps.mean()), low, high, p)


class GridResults:
    """The content of a results.json. What its tests mean is up to the experiment, which adds
    methods.

    The content has ``config`` with the names of the readers in their order, ``cells``, and the
    ``versions`` that the cells were made with.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self.config: dict[str, Any] = content["config"]
        self.cells: dict[tuple[str, int], dict[str, Any]] = {
            (cell["reader"], cell["seed"]): cell for cell in content["cells"]
        }

    @cached_property
    def readers(self) -> list[str]:
        """The readers of which at least one seed is finished."""
        done = {reader for reader, _ in self.cells}
        return [reader for reader in self.config["readers"] if reader in done]

    def seeds(self, reader: str) -> list[int]:
        """The finished seeds of a reader."""
        return sorted(seed for name, seed in self.cells if name == reader)

    def over_seeds(self, reader: str, value: Callable[[int], float]) -> Estimate:
        """The mean of ``value(seed)`` over the finished seeds of a reader."""
        return Estimate.of(value(seed) for seed in self.seeds(reader))

    def compared(self, one: str, other: str, right: Callable[[str, int], Bools]) -> Difference:
        """The difference in accuracy between two readers on the same test items, seed by seed.

        right: (reader, seed) -> (N,) which items were answered right
        """
        seeds = [seed for seed in self.seeds(one) if seed in self.seeds(other)]
        gaps = [right(one, seed).astype(float) - right(other, seed) for seed in seeds]
        return paired(np.array(gaps))  # (seeds, N)
