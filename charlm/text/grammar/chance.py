"""Random choices that are the same on every platform and Python version.

The methods `choice`, `sample` and `shuffle` of `random.Random` may change their sequences between
Python versions; `random()` may not. Everything here is integer arithmetic on `random()`, so a text
is a function of its seed alone.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Rng(Protocol):
    """What the grammar needs: `random.Random` and `numpy.random.Generator` both have it."""

    def random(self) -> float:
        """A float in [0, 1)."""
        ...


def below(rng: Rng, n: int) -> int:
    """An integer from 0 to n - 1, uniform to within 2**-53 * n."""
    return int(rng.random() * n)


def between(rng: Rng, low: int, high: int) -> int:
    """An integer from low to high, both included."""
    return low + int(rng.random() * (high - low + 1))


def pick(rng: Rng, items: Sequence[T]) -> T:
    """One of the items, all equally likely."""
    return items[int(rng.random() * len(items))]


def chance(rng: Rng, probability: float) -> bool:
    """True with the given probability."""
    return rng.random() < probability


def shuffle(rng: Rng, items: MutableSequence[T]) -> None:
    """Fisher-Yates in place: every order is equally likely."""
    for last in range(len(items) - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        items[last], items[other] = items[other], items[last]
