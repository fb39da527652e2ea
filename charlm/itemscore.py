"""The exact loss of items: each from the zero state, to its end symbol.

The end symbol is counted: a model that never ends an item is wrong about it. So an item of n
characters has n + 1 symbols, and a loss per character divides by all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Floats, State
from charlm.engine import log_softmax
from charlm.errors import CheckpointError, RequestError
from charlm.mixture import Predictor
from charlm.surprisal import LN2, Folded, Score, count_folded
from charlm.text.items import Items, count_characters
from charlm.text.tokenizer import Tokenizer

ROWS, WINDOW = 64, 256
"""Items that are read side by side, and symbols of them at once."""


def labelled(state: State, weights: Floats) -> State:
    """A state of a model with labels in which each row has the weights of its labels.

    weights: (B, K); one label has weight 1, a blend several weights
    """
    *before, old = state
    return (*before, weights[None].astype(old.dtype))


def item_nats(
    model: Predictor,
    items: Items,
    weights: Floats | None = None,
    *,
    advanced: Callable[[int, int], object] = lambda done, total: None,
) -> NDArray[np.float64]:
    """-ln p of every item and its end symbol, in nats: (N,).

    weights: (N, K) or (K,) of the labels that items are written as, for a model with labels
    advanced: called with (how many items are scored, of how many)
    """
    nats = np.zeros(len(items))
    order = np.argsort(-items.lengths, kind="stable")
    for begin in range(0, len(order), ROWS):
        rows = order[begin : begin + ROWS]
        state = model.initial_state(len(rows))
        if weights is not None:
            own = weights[rows] if weights.ndim == 2 else np.tile(weights, (len(rows), 1))
            state = labelled(state, own)
        for first in range(0, int(items.lengths[rows].max()) + 1, WINDOW):
            inputs, _ = items.padded(rows, first=first, most=WINDOW, after=False)
            targets, _ = items.padded(rows, first=first, most=WINDOW, after=True)
            logits, state = model.forward(np.maximum(inputs, 0), state)
            scores = log_softmax(logits)
            there = targets >= 0
            found = np.take_along_axis(scores, np.maximum(targets, 0)[..., None], -1)[..., 0]
            nats[rows] -= np.where(there, found, 0.0).sum(-1, dtype=np.float64)
        advanced(begin + len(rows), len(order))
    return nats


def nats_by_label(
    model: Predictor,
    items: Items,
    num_labels: int,
    advanced: Callable[[int, int], object] = lambda done, total: None,
) -> NDArray[np.float64]:
    """-ln p(item | label) in nats of every item as one of every label: (N, K)."""
    K, N = num_labels, len(items)
    nats = np.empty((N, K))
    for k, weights in enumerate(np.eye(K, dtype=np.float32)):

        def each(done: int, total: int, before: int = k * N) -> None:
            advanced(before + done, K * N)

        nats[:, k] = item_nats(model, items, weights, advanced=each)
    return nats


def one_hot(labels: NDArray[np.int64], num_labels: int) -> Floats:
    """The weights (N, K) of items that have one label each."""
    weights: Floats = np.eye(num_labels, dtype=np.float32)[labels]
    return weights


@dataclass(frozen=True)
class ItemScore:
    """The loss of a model on a list of items, end symbols included.

    score: per character, over ``score.characters`` characters, of which ``items`` are end symbols
    """

    score: Score
    items: int

    @property
    def nats_per_item(self) -> float:
        return self.score.nats_per_char * self.score.characters / self.items

    @property
    def bits_per_item(self) -> float:
        return self.nats_per_item / LN2

    def to_dict(self) -> dict[str, Any]:
        return self.score.to_dict() | {
            "items": self.items,
            "bits_per_item": self.bits_per_item,
            "nats_per_item": self.nats_per_item,
        }


def score_items(
    model: Predictor,
    tokenizer: Tokenizer,
    items: Items,
    num_labels: int = 0,
    *,
    folded_types: int = 1,
    advanced: Callable[[int, int], object] = lambda done, total: None,
) -> ItemScore:
    """The exact loss of ``items``, each written as its own label if there are labels.

    folded_types: as in ``surprisal.score``. RequestError for an empty list, CheckpointError if the
    loss is not finite.
    """
    if not len(items):
        raise RequestError("there are no items to score")
    weights = None if items.labels is None else one_hot(items.labels, num_labels)
    nats = item_nats(model, items, weights, advanced=advanced)
    return score_of(nats, tokenizer, items, folded_types)


def score_of(
    nats: NDArray[np.float64], tokenizer: Tokenizer, items: Items, folded_types: int = 1
) -> ItemScore:
    """The loss of items from their nats (N,); CheckpointError if it is not finite."""
    total = float(nats.sum())
    if not math.isfinite(total):
        raise CheckpointError(
            "the model's score is not finite: its weights are too large to compute with"
        )
    characters = count_characters(tokenizer, items)
    return ItemScore(charged(total, tokenizer, items, characters, folded_types), len(items))


def charged(total: float, tokenizer: Tokenizer, items: Items, characters: int, types: int) -> Score:
    """The score with the charge for naming folded characters, if the tokenizer folds any."""
    folded: Folded | None = None
    if tokenizer.forbidden:
        rows = np.arange(len(items))
        targets, _ = items.padded(rows, after=True)
        read = targets[targets >= 0]
        folded = count_folded(tokenizer, np.append(0, read), types, characters)
    charge = folded.bits_per_char * characters * LN2 if folded else 0.0
    return Score.of(total + charge, characters, folded)
