"""The models that answer about an item, in NumPy: as ``charlm.models.readers`` computes them.

An item is read twice, from its beginning and from its end; the features of both readings at a
character are one vector (B, T, 2H). Items of unequal lengths are padded, and no answer depends on
that: the second reading reverses each item within its own length.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Floats
from charlm.config import ModelConfig
from charlm.engine import Body, Weights, log_softmax
from charlm.errors import CheckpointError
from charlm.text.items import IGNORED, Items

ROWS = 64
"""Items that are read side by side."""


class BothWays:
    """Two bodies that read an item from its beginning and from its end.

    head_weight, head_bias: of the head behind them, (inputs, outputs) and (outputs,)
    """

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        self.config = config
        self.forward_body = Body(config, weights)
        self.backward_body = Body(config, weights, "backward_body")
        self.head_weight = np.ascontiguousarray(weights["head.weight"].T)
        self.head_bias = weights["head.bias"]

    def features(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> Floats:
        """ids (B, T), padded with anything, and lengths (B,) -> (B, T, 2H)."""
        ids = np.maximum(ids, 0)
        there = np.arange(ids.shape[1]) < lengths[:, None]
        forward, _ = self.forward_body.body(ids, self.forward_body.initial_state(len(ids)))
        turned = reversed_places(lengths, ids.shape[1])  # (B, T)
        rows = np.arange(len(ids))[:, None]
        backward, _ = self.backward_body.body(
            ids[rows, turned], self.backward_body.initial_state(len(ids))
        )
        both = np.concatenate([forward, backward[rows, turned]], axis=-1)
        return np.where(there[..., None], both, 0)


class Reader(BothWays):
    """The forward pass of a model that classifies or tags."""

    def log_probabilities(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> Floats:
        """ln p of every label, (B, K), or for tags at every character, (B, T, K), in nats."""
        features = self.features(ids, lengths)
        if self.config.task == "classify":
            there = np.arange(ids.shape[1]) < lengths[:, None]
            features = np.where(there[..., None], features, -np.inf).max(1)  # (B, 2H)
        return log_softmax(finite(features @ self.head_weight + self.head_bias))


def finite(logits: Floats) -> Floats:
    """The same logits; CheckpointError if one of them is not finite."""
    if not np.isfinite(logits).all():
        raise CheckpointError(
            "the model's output is not finite: its weights are too large to compute with"
        )
    return logits


def reversed_places(lengths: NDArray[np.int64], T: int) -> NDArray[np.int64]:
    """(B, T): where to read so that each row is reversed within its length; padding stays.

    >>> reversed_places(np.array([3, 2]), 3).tolist()
    [[2, 1, 0], [1, 0, 2]]
    """
    places = lengths[:, None] - 1 - np.arange(T)
    return np.where(places < 0, np.arange(T), places)


def read_items(
    reader: Reader,
    items: Items,
    advanced: Callable[[int, int], object] = lambda done, total: None,
) -> list[Floats]:
    """ln p of the labels of every item, in the order of the items: (K,) each for classify, (T, K)
    for tag.

    advanced: called with (how many items are read, of how many)
    """
    found: list[Floats] = [np.empty(0)] * len(items)
    order = np.argsort(-items.lengths, kind="stable")
    for begin in range(0, len(order), ROWS):
        rows = order[begin : begin + ROWS]
        ids, lengths = items.read(rows)
        answers = reader.log_probabilities(ids, lengths)
        for row, answer, length in zip(rows.tolist(), answers, lengths.tolist(), strict=True):
            found[row] = answer if answer.ndim == 1 else answer[:length]
        advanced(begin + len(rows), len(order))
    return found


def nats_of(answers: list[Floats], items: Items) -> tuple[float, int]:
    """(-ln p of the right labels, summed, in nats; how many labels there are)."""
    total, count = 0.0, 0
    for number, answer in enumerate(answers):
        wanted = items.answers(np.array([number]))[0]
        wanted = np.atleast_1d(wanted)
        wanted = wanted[wanted != IGNORED]
        rows = np.atleast_2d(answer)
        total -= float(rows[np.arange(len(wanted)), wanted].sum(dtype=np.float64))
        count += len(wanted)
    return total, count
