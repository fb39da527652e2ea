"""One cell of the grid: one reader trained on one seed's sentences, with charlm's own recipe."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray

import charlm
from charlm.arrays import Ids
from charlm.config import TrainConfig, default_learning_rate
from charlm.errors import DivergenceError
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
from charlm.seeds import derive
from charlm.training.optim import Optimizers, learning_rate
from charlm.training.precision import arithmetic, choose_precision

CPU = torch.device("cpu")

BATCH_SIZE = 64
RATE = 1.1
"""Times the usual learning rate: at 1.5 the language models that write the answer did not learn, at
1 the feedforward reader was slower."""

SORTED = 16
"""Batches that are sorted by length together, so that little of a batch is padding."""

UNKNOWN_SHARE = 0.003
"""Characters of training that are made unknown, so that a reader has met such."""

WARMUP = 100
CURVE_POINTS = 15


def recipe() -> dict[str, float]:
    """Everything beside the sentences and the number of updates that decides what is learnt: a grid
    is finished with the recipe that it was begun with."""
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


def made_with() -> dict[str, str]:
    """What else may change a trained weight: the packages, and the arithmetic of this processor."""
    packages = {name: version(name) for name in ("numpy", "torch")}
    return {
        "charlm": charlm.__version__,
        "python": platform.python_version(),
        **packages,
        "precision": choose_precision("auto", CPU),
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

    def batch(self, rows: Ids) -> tuple[torch.Tensor, ...]:
        longest = int(self.lengths[rows].max())
        parts = (
            self.ids[rows, :longest],
            self.lengths[rows],
            self.answers[rows],
            self.starts[rows],
        )
        return tuple(torch.from_numpy(part.astype(np.int64)) for part in parts)


@dataclass(frozen=True)
class CurvePoint:
    """A learning curve's point: after how many updates, which mean loss since the last one (nats),
    which share of validation sentences answered exactly."""

    step: int
    loss: float
    accuracy: float


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
    """Train a fresh reader: ``steps`` updates of 64 sentences, each sentence read once.

    Raises DivergenceError where a loss is not finite.
    """
    reader = build(kind, shape(kind, vocabulary), vocabulary, derive(seed, "weights"))
    config = TrainConfig(
        optimizer="muon",
        learning_rate=RATE * default_learning_rate("muon", reader.config.hidden_size),
        warmup=WARMUP,
        steps=steps,
    )
    optimizers = Optimizers(reader, config)
    precision = choose_precision("auto", CPU)
    curve: list[CurvePoint] = []
    losses: list[float] = []
    for step in range(steps):
        reader.train()
        ids, lengths, answers, starts = material.batch(_rows(material.lengths, seed, step))
        rng = np.random.default_rng(derive(seed, "dropout", step))
        inside = np.arange(ids.shape[1]) < lengths.numpy()[:, None]
        lost = (rng.random(ids.shape) < UNKNOWN_SHARE) & inside
        ids[torch.from_numpy(lost & ~_answered(ids, answers, starts))] = vocabulary.unknown
        with arithmetic(precision, CPU):
            loss = reader.loss(ids, lengths, answers, starts)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(reader.parameters(), config.clip).item()
        losses.append(loss.item())
        if not (math.isfinite(losses[-1]) and math.isfinite(norm)):
            raise DivergenceError(
                f"{kind.name}, seed {seed}, step {step}: loss {losses[-1]:.4g} and gradient norm "
                f"{norm:.4g}; leave {kind.name} out with --readers, or give other --steps"
            )
        optimizers.step(learning_rate(config, step))
        optimizers.zero_grad()
        if (step + 1) % max(1, steps // CURVE_POINTS) == 0 or step + 1 == steps:
            found = reader.answers([each.text for each in validation])
            right = [a == each.answer for a, each in zip(found, validation, strict=True)]
            curve.append(CurvePoint(step + 1, float(np.mean(losses)), float(np.mean(right))))
            losses.clear()
        updated(step + 1)
    reader.eval()
    return reader, curve


def _answered(ids: torch.Tensor, answers: torch.Tensor, starts: torch.Tensor) -> NDArray[np.bool_]:
    places = np.arange(ids.shape[1])
    first = starts.numpy()[:, None]
    answered: NDArray[np.bool_] = (places >= first) & (places < first + answers.shape[1])
    return answered


def _rows(lengths: Ids, seed: int, step: int) -> Ids:
    """The sentences of one update: every 16 batches' worth of them is sorted by length and cut into
    batches, which then come in random order. A pure function of (seed, step)."""
    block, place = divmod(step, SORTED)
    size = BATCH_SIZE * SORTED
    first = block * size % max(1, len(lengths) - size + 1)
    rows = first + np.argsort(lengths[first : first + size], kind="stable")
    order = np.random.default_rng(derive(seed, "streams", block)).permutation(SORTED)
    chosen: Ids = rows.reshape(SORTED, BATCH_SIZE)[order[place]]
    return chosen
