"""One cell of the grid: one reader trained on one seed's pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Self, TypeAlias

import numpy as np
import torch

from charlm.arrays import Ids
from charlm.experiments.page.layouts import DIGITS, Page
from charlm.experiments.page.readers import (
    EMBEDDING,
    KERNELS,
    PARAMETERS,
    VALUE_WEIGHT,
    Reader,
    Vocabulary,
)
from charlm.experiments.training import CurvePoint, Recipe, fit
from charlm.seeds import derive

Batch: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""ids (B, R, C), places of the last digits (B,), digits (B, 4)."""

BATCH_SIZE = 32
RATE = 1.0
"""Factor on the default learning rate."""
WARMUP = 50

UNKNOWN_SHARE = 0.003
"""Share of training characters that are replaced by the unknown symbol, so that a reader learns to
read it."""

_AT_ONCE = 1000


def recipe() -> dict[str, object]:
    """Everything except the pages and the number of steps that affects the result. A grid is
    finished with the recipe that it was started with."""
    return {
        "parameters": PARAMETERS,
        "embedding_size": EMBEDDING,
        "kernels": [list(kernel) for kernel in KERNELS],
        "batch_size": BATCH_SIZE,
        "learning_rate_times_default": RATE,
        "warmup": WARMUP,
        "unknown_share": UNKNOWN_SHARE,
        "value_weight": VALUE_WEIGHT,
    }


@dataclass(frozen=True)
class Material:
    """Pages as arrays: ids (N, R, C), places of the last digits (N,), digits (N, 4)."""

    ids: Ids
    places: Ids
    digits: Ids

    @classmethod
    def of(cls, vocabulary: Vocabulary, pages: Iterable[Page], count: int | None = None) -> Self:
        """Pages as arrays: all, or the first ``count``. They are taken some at a time: as text they
        need much more memory."""
        left = islice(pages, count)
        parts: list[tuple[Ids, list[int], list[list[int]]]] = []
        while some := list(islice(left, _AT_ONCE)):
            ids = vocabulary.encode([page.rows for page in some])
            parts.append(
                (
                    ids.astype(np.min_scalar_type(vocabulary.tokenizer.vocab_size)),
                    [page.row * ids.shape[2] + page.column + DIGITS - 1 for page in some],
                    [[int(digit) for digit in page.answer] for page in some],
                )
            )
        ids, places, digits = (np.concatenate(part) for part in zip(*parts, strict=True))
        return cls(ids, places, digits)

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, rows: slice) -> Batch:
        ids, places, digits = (
            torch.from_numpy(part[rows].astype(np.int64))
            for part in (self.ids, self.places, self.digits)
        )
        return ids, places, digits


def train(
    reader: Reader,
    material: Material,
    validation: Material,
    *,
    name: str,
    seed: int,
    steps: int,
    updated: Callable[[int], None] = lambda step: None,
) -> list[CurvePoint]:
    """Train a reader for ``steps`` steps of 32 pages, or a multiple of that for some kinds, and
    return its learning curve; each page is read once.

    name: how a message calls it
    updated: called with the number of steps done, as if it were ``steps`` for every kind
    Raises DivergenceError if a loss is not finite.
    """
    rows, columns = reader.shape.rows, reader.shape.columns
    times = reader.kind.times

    def batch(step: int) -> Batch:
        first = step * BATCH_SIZE
        ids, places, digits = material.batch(slice(first, first + BATCH_SIZE))
        lost = np.random.default_rng(derive(seed, "dropout", step)).random(tuple(ids.shape))
        # Not of the asked number: the value must remain readable.
        ends = np.arange(rows * columns) - places.numpy()[:, None]  # (B, R * C)
        asked = ((ends > -DIGITS) & (ends <= 0)).reshape(lost.shape)
        ids[torch.from_numpy((lost < UNKNOWN_SHARE) & ~asked)] = reader.vocabulary.unknown
        return ids, places, digits

    return fit(
        reader,
        name=name,
        hidden_size=reader.shape.hidden_size,
        recipe=Recipe(BATCH_SIZE, RATE, WARMUP),
        seed=seed,
        steps=times * steps,
        seq_len=rows * columns,
        batch=batch,
        loss=lambda each: reader.loss(*each),
        accuracy=lambda: accuracy(reader, validation),
        remedy=f"leave {name} out with --readers, or give other --steps",
        updated=lambda step: updated(step // times),
    )


def accuracy(reader: Reader, pages: Material) -> float:
    """Share of pages whose asked number a reader finds: its place."""
    found = reader.answers(pages.ids)
    last = found.rows * reader.shape.columns + found.columns + DIGITS - 1
    return float(np.mean(last == pages.places))
