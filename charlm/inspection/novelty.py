"""How much of a sample is copied from the training text, and how to limit copying.

Both look up strings in a suffix array of the training text (Manber & Myers, 1993): all of its
positions, sorted by the text from there on, so that binary search finds a string.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GRAM = 20
"""Length in characters of the passages whose copied share is reported."""


class SuffixArray:
    """An index of ``text``: ``order`` (N,) has its positions, sorted by the text from there on.

    Memory: 8 bytes per character in addition to the text, about 50 while the index is built. A
    million characters take a second or two.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.order = _suffix_order(text)

    def find(self, wanted: str) -> tuple[int, int]:
        """(first, last + 1): the entries of ``order`` at which ``wanted`` occurs."""
        return self._halve(wanted, after=False), self._halve(wanted, after=True)

    def _halve(self, wanted: str, *, after: bool) -> int:
        text, order, length = self.text, self.order, len(wanted)
        low, high = 0, len(order)
        while low < high:
            middle = (low + high) // 2
            place = order[middle]
            here = text[place : place + length]
            if here < wanted or (after and here == wanted):
                low = middle + 1
            else:
                high = middle
        return low

    def __contains__(self, wanted: str) -> bool:
        place = self._halve(wanted, after=False)
        return place < len(self.order) and self.text.startswith(wanted, self.order[place])

    def followers(self, tail: str) -> set[str]:
        """The characters that follow ``tail`` in the text."""
        first, last = self.find(tail)
        places = self.order[first:last] + len(tail)
        return {self.text[place] for place in places if place < len(self.text)}


def _suffix_order(text: str) -> NDArray[np.int64]:
    """Positions of ``text`` sorted by what follows: by one character, then two, four, eight ...

    The ranks of a position and of the position k further on sort by 2k characters.
    """
    rank = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    rank = np.unique(rank, return_inverse=True)[1].astype(np.int64)
    N, k = len(text), 1
    if not N:
        return np.empty(0, dtype=np.int64)
    while True:
        key = rank * (N + 1)
        key[:-k] += rank[k:] + 1  # the end of the text sorts first
        order = np.argsort(key, kind="stable")
        key = key[order]
        rank[order] = np.concatenate([[0], np.cumsum(key[1:] != key[:-1])])
        if rank[order[-1]] == N - 1:
            return order
        k *= 2


@dataclass(frozen=True)
class Novelty:
    """How much of a sample is copied.

    longest: the longest passage of the sample that occurs in the training text
    share: share of its passages of 20 characters that occur there; None for a shorter sample
    """

    longest: str
    share: float | None


def novelty(sample: str, text: SuffixArray, gram: int = GRAM) -> Novelty:
    """Compare ``sample`` with ``text`` exactly, with at most two look-ups per character."""
    lengths = matches(sample, text)
    best = max(range(len(sample)), key=lengths.__getitem__, default=0)
    longest = sample[best : best + lengths[best]] if sample else ""
    starts = len(sample) - gram + 1
    if starts < 1:
        return Novelty(longest, None)
    return Novelty(longest, sum(length >= gram for length in lengths[:starts]) / starts)


def matches(sample: str, text: SuffixArray) -> list[int]:
    """For every position of ``sample``, the length of the longest passage from there on that occurs
    in ``text`` ("matching statistics", Chang & Lawler, 1994)."""
    lengths = []
    length = 0
    for begin in range(len(sample)):
        # A match without its first character is a match from the next position on.
        length = max(0, length - 1)
        while begin + length < len(sample) and sample[begin : begin + length + 1] in text:
            length += 1
        lengths.append(length)
    return lengths


def no_copies(text: SuffixArray, most: int) -> Callable[[str], set[str]]:
    """An ``avoid`` for ``CharLM.stream`` that excludes every character that would make a copied
    passage longer than ``most`` characters."""

    def avoid(so_far: str) -> set[str]:
        tail = so_far[-most:]
        return text.followers(tail) if len(tail) == most else set()

    return avoid
