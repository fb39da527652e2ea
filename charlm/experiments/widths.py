"""The width that gives a network a number of parameters, so that different kinds are comparable."""

from __future__ import annotations

from collections.abc import Callable

NARROWEST, WIDEST = 2, 4096


def width_for(parameters: int, count: Callable[[int], int]) -> int:
    """The hidden size, from ``NARROWEST`` to ``WIDEST``, with the number of parameters closest to
    ``parameters``; the smaller one of two that are equally close.

    count: the number of parameters at a hidden size; it grows with the hidden size

    >>> width_for(1000, lambda hidden_size: hidden_size**2)  # 31 * 31 = 961, 32 * 32 = 1,024
    32
    """
    low, high = NARROWEST, WIDEST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < parameters else (low, middle)
    return min((low, high), key=lambda hidden_size: abs(count(hidden_size) - parameters))
