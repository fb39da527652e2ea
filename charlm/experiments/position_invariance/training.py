"""One cell of the grid: one reader trained on one seed's sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from charlm.arrays import Ids
from charlm.experiments.position_invariance.examples import Example
from charlm.experiments.position_invariance.readers import (
    PARAMETERS,
    TEXT_WEIGHT,
    WINDOW_EMBEDDING,
    AnyReader,
    Kind,
    Vocabulary,
    build,
    shape,
)
from charlm.experiments.training import CurvePoint, Recipe, fit
from charlm.seeds import derive

Batch: TypeAlias = tuple[torch.Tensor, ...]
"""ids (B, T), lengths (B,), answers (B, width), where each answer begins (B,)."""

BATCH_SIZE = 64
RATE = 1.1
"""Factor on the default learning rate: with 1.5 the language models that write the answer did not
learn, with 1 the feedforward reader was slower."""

SORTED = 16
"""Number of batches that are sorted by length together, so that little of a batch is padding."""

UNKNOWN_SHARE = 0.003
"""Share of training characters that are replaced by the unknown symbol, so that a reader learns to
read it."""

WARMUP = 100


def recipe() -> dict[str, float]:
    """Everything except the sentences and the number of steps that affects the result. A grid is
    finished with the recipe that it was started with."""
    return {
        "parameters": PARAMETERS,
        "batch_size": BATCH_SIZE,
        "learning_rate_times_default": RATE,
        "warmup": WARMUP,
        "sorted_batches": SORTED,
        "unknown_share": UNKNOWN_SHARE,
        "text_weight": TEXT_WEIGHT,
        "window_embedding": WINDOW_EMBEDDING,
    }


@dataclass(frozen=True)
class Material:
    """Sentences as arrays: ids (N, T), lengths, answers (N, width), where each answer begins."""

    ids: Ids
    lengths: Ids
    answers: Ids
    starts: Ids

    @classmethod
    def of(cls, vocabulary: Vocabulary, sentences: Sequence[Example]) -> Material:
        ids, lengths = vocabulary.encode([each.text for each in sentences])
        return cls(
            ids.astype(np.min_scalar_type(vocabulary.tokenizer.vocab_size)),
            lengths,
            vocabulary.encode_answers([each.answer for each in sentences]),
            np.array([each.start for each in sentences], dtype=np.int64),
        )

    def batch(self, rows: Ids) -> Batch:
        longest = int(self.lengths[rows].max())
        parts = (
            self.ids[rows, :longest],
            self.lengths[rows],
            self.answers[rows],
            self.starts[rows],
        )
        return tuple(torch.from_numpy(part.astype(np.int64)) for part in parts)


def train(
    kind: Kind,
    vocabulary: Vocabulary,
    material: Material,
    validation: Sequence[Example],
    *,
    seed: int,
    steps: int,
    updated: Callable[[int], None] = lambda step: None,
) -> tuple[AnyReader, list[CurvePoint]]:
    """Train a new reader for ``steps`` steps of 64 sentences; each sentence is read once.

    Raises DivergenceError if a loss is not finite.
    """
    reader = build(kind, shape(kind, vocabulary), vocabulary, derive(seed, "weights"))

    def batch(step: int) -> Batch:
        made = material.batch(_rows(material.lengths, seed, step))
        _lose_some(made, vocabulary.unknown, derive(seed, "dropout", step))
        return made

    def accuracy() -> float:
        found = reader.answers([each.text for each in validation])
        return float(np.mean([a == e.answer for a, e in zip(found, validation, strict=True)]))

    curve = fit(
        reader,
        name=kind.name,
        hidden_size=reader.config.hidden_size,
        recipe=Recipe(BATCH_SIZE, RATE, WARMUP),
        seed=seed,
        steps=steps,
        seq_len=int(material.lengths.max()),
        batch=batch,
        loss=lambda each: reader.loss(*each),
        accuracy=accuracy,
        remedy=f"leave {kind.name} out with --readers, or give other --steps",
        updated=updated,
    )
    return reader, curve


def _lose_some(batch: Batch, unknown: int, seed: int) -> None:
    """Replace a few characters of the text, but none of the answer, by the unknown symbol."""
    ids, lengths, answers, starts = batch
    inside = np.arange(ids.shape[1]) < lengths.numpy()[:, None]
    lost = (np.random.default_rng(seed).random(ids.shape) < UNKNOWN_SHARE) & inside
    ids[torch.from_numpy(lost & ~_answered(ids, answers, starts))] = unknown


def _answered(ids: torch.Tensor, answers: torch.Tensor, starts: torch.Tensor) -> NDArray[np.bool_]:
    places = np.arange(ids.shape[1])
    first = starts.numpy()[:, None]
    answered: NDArray[np.bool_] = (places >= first) & (places < first + answers.shape[1])
    return answered


def _rows(lengths: Ids, seed: int, step: int) -> Ids:
    """The sentences of one step. Each group of 16 batches is sorted by length and cut into batches,
    which come in random order. A pure function of (seed, step)."""
    block, place = divmod(step, SORTED)
    size = BATCH_SIZE * SORTED
    first = block * size % max(1, len(lengths) - size + 1)
    rows = first + np.argsort(lengths[first : first + size], kind="stable")
    order = np.random.default_rng(derive(seed, "streams", block)).permutation(SORTED)
    chosen: Ids = rows.reshape(SORTED, BATCH_SIZE)[order[place]]
    return chosen
