"""Which items are read together, and in which order: batches of items of unequal lengths.

Items of similar lengths share a batch, so that little of it is padding. A pure function of (seed,
epoch): no item twice in an epoch, none left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlm.seeds import derive
from charlm.text.streams import scrambled

SORTED = 16
"""Batches within which the items are sorted by length."""


@dataclass(frozen=True)
class Bundle:
    """What is read at one step.

    rows: (B,) the numbers of the items, fewer in the last batch of an epoch
    window: which window of them, from 0; above 0 only for items that are longer than the window
    """

    rows: NDArray[np.int64]
    window: int
    epoch: int


class Bundles:
    """The batches of ``len(lengths)`` items.

    lengths: (N,) symbols of each item
    seq_len: symbols of an item that are read in one step; None: all of them, however long

    An item of up to ``seq_len`` symbols takes one step; the others are sorted by length into
    bundles, each of which takes as many steps as its longest item.
    """

    def __init__(
        self, lengths: NDArray[np.int64], batch_size: int, seq_len: int | None, seed: int
    ) -> None:
        self.lengths, self.batch_size, self.seed = lengths, batch_size, seed
        window = int(lengths.max(initial=1)) if seq_len is None else seq_len
        self._short = np.flatnonzero(lengths <= window)
        self._long = np.flatnonzero(lengths > window)
        num_short = -(-len(self._short) // batch_size)
        # Sorted, the n-th of the long items always has the same length, whatever their order.
        longest = np.sort(lengths[self._long])[::-1][::batch_size]
        self._windows = np.concatenate(
            [np.ones(num_short, dtype=np.int64), -(-longest // window)]
        ).astype(np.int64)
        self.steps_per_epoch = int(self._windows.sum())
        self._laid: tuple[int, list[NDArray[np.int64]], NDArray[np.int64]] | None = None

    def at(self, step: int) -> Bundle:
        """The bundle and the window that are read at ``step``."""
        epoch, place = divmod(step, self.steps_per_epoch)
        bundles, ends = self._lay(epoch)
        number = int(np.searchsorted(ends, place, side="right"))
        before = int(ends[number - 1]) if number else 0
        return Bundle(bundles[number], place - before, epoch)

    def _lay(self, epoch: int) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
        """(the bundles in the order of this epoch, after how many steps each ends)"""
        if self._laid is None or self._laid[0] != epoch:
            B = self.batch_size
            seed = np.uint64(derive(self.seed, "streams", epoch))
            order = self._shuffled(self._short, seed)
            for begin in range(0, len(order), SORTED * B):
                group = order[begin : begin + SORTED * B]
                order[begin : begin + SORTED * B] = self._by_length(group)
            shuffled = self._by_length(self._shuffled(self._long, seed))
            bundles = [
                part[begin : begin + B]
                for part in (order, shuffled)
                for begin in range(0, len(part), B)
            ]
            # With the items' seed, item 0 would come first in the epoch much too often.
            other = np.uint64(derive(self.seed, "streams", epoch, 1))
            turn = self._shuffled(np.arange(len(bundles)), other)
            self._laid = epoch, [bundles[k] for k in turn], self._windows[turn].cumsum()
        return self._laid[1:]

    def _by_length(self, items: NDArray[np.int64]) -> NDArray[np.int64]:
        """The longest first; equally long ones stay in their order."""
        return items[np.argsort(-self.lengths[items], kind="stable")]

    @staticmethod
    def _shuffled(items: NDArray[np.int64], seed: np.uint64) -> NDArray[np.int64]:
        keys = scrambled(np.arange(len(items), dtype=np.uint64) + seed)
        return items[np.argsort(keys, kind="stable")]
