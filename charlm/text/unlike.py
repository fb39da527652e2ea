"""Whether the end of a text is unlike the rest of it, so that it is a poor validation text.

Measured by pairs of characters: the bits per character of the last tenth under counts of the other
nine. The control is the same text with its lines in random order, of which every tenth is like the
rest. A play or a novel differs from its control by a hundredth of a bit; an alphabetical list of
names, whose end has other beginnings of names than it was trained on, by a bit and more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Ids
from charlm.text.streams import scrambled

TENTHS = 10
NOTABLE = 0.1
"""Bits per character by which the end of the text must exceed the control."""

_LEAST_LINES = 200
_MOST_IDS, _MOST_SYMBOLS = 5_000_000, 512


def end_and_control(ids: Ids, line_end: int, vocab_size: int) -> tuple[float, float] | None:
    """Bits per character of the last tenth under the rest, and the same for lines in random order
    (the mean of all tenths); None if the text has too few lines, or is too large, to tell.

    ids: (N,) of all of it; line_end: the id of a line end
    """
    ends = np.flatnonzero(ids == line_end)
    if len(ends) < _LEAST_LINES or len(ids) > _MOST_IDS or vocab_size > _MOST_SYMBOLS:
        return None
    return _tenths(ids, vocab_size)[-1], float(np.mean(_tenths(_shuffled(ids, ends), vocab_size)))


def _shuffled(ids: Ids, ends: NDArray[np.int64]) -> Ids:
    """The lines of ``ids`` in another order, each with its line end."""
    begins = np.append(0, ends[:-1] + 1)
    order = np.argsort(scrambled(np.arange(len(ends), dtype=np.uint64)), kind="stable")
    return np.concatenate([ids[begins[k] : ends[k] + 1] for k in order])


def _tenths(ids: Ids, vocab_size: int) -> list[float]:
    """The bits per character of each tenth under the counts of pairs in the others, with half a
    count more for each pair (Krichevsky & Trofimov, 1981)."""
    V = vocab_size
    pairs = ids[:-1].astype(np.int64) * V + ids[1:]
    counts = np.stack(
        [np.bincount(part, minlength=V * V) for part in np.array_split(pairs, TENTHS)]
    ).reshape(TENTHS, V, V)
    whole = counts.sum(0)
    found = []
    for own in counts:
        rest = whole - own
        p = (rest + 0.5) / (rest.sum(1, keepdims=True) + 0.5 * V)
        found.append(float(-(own * np.log2(p)).sum() / own.sum()))
    return found
