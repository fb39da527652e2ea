"""Whether a text was trained on: how much of it also occurs in the training text.

A model and an n-gram have partly memorized their training text, so a loss on it says little about
new text. The test is on pieces of 50 characters, which two independent texts rarely share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE = 50
"""Characters of a piece."""
MOST_PIECES = 10_000
"""Pieces of a text that are looked up, at most, evenly spaced."""
_CHUNK = 2**20
"""Characters of the training text that are hashed at a time."""

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Overlap:
    """How much of a text a model was trained on.

    trained_on: whether all of it was, or it is the model's whole corpus
    share: of its pieces of 50 characters, the share that occurs in the training text; None if there
        is no training text or the text is shorter than a piece
    """

    trained_on: bool
    share: float | None

    def to_dict(self) -> dict[str, Any]:
        return {"trained_on": self.trained_on, "training_overlap": self.share}


def overlap(text: str, train: str | None, *, is_corpus: bool = False) -> Overlap:
    """Compare ``text`` with the training text, if that is at hand.

    is_corpus: whether ``text`` is known, by its checksum, to be the model's whole corpus

    A text shorter than a piece counts as not trained on.
    """
    if len(text) < PIECE or train is None:
        return Overlap(is_corpus, None)
    return Overlap(is_corpus or text in train, shared(text, train))


def shared(text: str, other: str) -> float | None:
    """The share of the pieces of ``text`` that occur in ``other``; None for less than one piece.

    Pieces are compared by hashes of 64 bits; two different ones have the same about once in 2^64.
    """
    if len(text) < PIECE:
        return None
    count = len(text) - PIECE + 1
    places = np.linspace(0, count - 1, min(count, MOST_PIECES)).astype(np.int64)
    wanted, piece_of = np.unique(_hashes(text)[places], return_inverse=True)
    found = np.zeros(len(wanted), dtype=bool)
    for begin in range(0, max(0, len(other) - PIECE + 1), _CHUNK):
        hashes = _hashes(other[begin : begin + _CHUNK + PIECE - 1])
        at = np.minimum(np.searchsorted(wanted, hashes), len(wanted) - 1)
        found[at[wanted[at] == hashes]] = True
    return float(found[piece_of].mean())


def _hashes(text: str) -> Hashes:
    """A hash of every piece of ``text``, (N - 49,).

    Polynomial hashes of 1, 2, 4, ... characters, each made of two of half the length; a piece is
    made of those that add up to its length (Karp & Rabin, 1987, with arithmetic modulo 2^64).
    """
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    power = _mixed(points.astype(np.uint64))  # of 2^n characters from each place on
    base, length = 0x9E3779B97F4A7C15, 1
    hashes, done = np.zeros(len(power) + 1, np.uint64), 0
    while True:
        if PIECE & length:
            hashes = hashes[: len(power) - done] * np.uint64(base) + power[done:]
            done += length
        if done == PIECE:
            return hashes
        power = power[:-length] * np.uint64(base) + power[length:]
        base, length = base * base % 2**64, 2 * length


def _mixed(values: Hashes) -> Hashes:
    """Spread small numbers over 64 bits (the finalizer of splitmix64; Steele et al., 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = values ^ (values >> np.uint64(31))
    return mixed
