"""How much of a sample stands in the training text, word for word, and how to prevent it.

Both look strings up in a suffix array of the text (Manber & Myers, 1993): all places of it, in the
order of what stands from there on, so that a string is found by halving.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GRAM = 20
"""Characters of the pieces of which the share that was copied is told."""


class SuffixArray:
    """An index of ``text``: ``order`` (N,) are its places, sorted by what stands there.

    Memory: 8 bytes for each of its characters beside the text, some 50 while it is made; a million
    characters take a second or two.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.order = _suffix_order(text)

    def find(self, wanted: str) -> tuple[int, int]:
        """(first, after the last) entry of ``order`` from which on ``wanted`` stands."""
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
    """Places of ``text`` sorted by what follows: by one character, then two, four, eight ...

    A place's rank and that of the place k further on order both by 2k characters.
    """
    rank = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    rank = np.unique(rank, return_inverse=True)[1].astype(np.int64)
    N, k = len(text), 1
    if not N:
        return np.empty(0, dtype=np.int64)
    while True:
        key = rank * (N + 1)
        key[:-k] += rank[k:] + 1  # nothing comes before everything
        order = np.argsort(key, kind="stable")
        key = key[order]
        rank[order] = np.concatenate([[0], np.cumsum(key[1:] != key[:-1])])
        if rank[order[-1]] == N - 1:
            return order
        k *= 2


@dataclass(frozen=True)
class Novelty:
    """What of a sample is copied.

    longest: the longest run of the sample that stands in the training text
    share: of its runs of 20 characters, those that stand there; None for a shorter sample
    """

    longest: str
    share: float | None


def novelty(sample: str, text: SuffixArray, gram: int = GRAM) -> Novelty:
    """Compare ``sample`` with ``text``, exactly, by at most two look-ups for each character."""
    lengths = matches(sample, text)
    best = max(range(len(sample)), key=lengths.__getitem__, default=0)
    longest = sample[best : best + lengths[best]] if sample else ""
    starts = len(sample) - gram + 1
    if starts < 1:
        return Novelty(longest, None)
    return Novelty(longest, sum(length >= gram for length in lengths[:starts]) / starts)


def matches(sample: str, text: SuffixArray) -> list[int]:
    """For every place of ``sample`` how many characters from there on stand in ``text`` in a row
    ("matching statistics", Chang & Lawler, 1994)."""
    lengths = []
    length = 0
    for begin in range(len(sample)):
        # What matches from one place on matches, less its first character, from the next one on.
        length = max(0, length - 1)
        while begin + length < len(sample) and sample[begin : begin + length + 1] in text:
            length += 1
        lengths.append(length)
    return lengths


def no_copies(text: SuffixArray, most: int) -> Callable[[str], set[str]]:
    """For ``avoid`` of ``CharLM.stream``: what would make a copy longer than ``most`` characters
    must not come next."""

    def avoid(so_far: str) -> set[str]:
        tail = so_far[-most:]
        return text.followers(tail) if len(tail) == most else set()

    return avoid
