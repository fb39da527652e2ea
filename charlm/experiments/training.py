"""One reader trained with charlm's own recipe, on batches that the experiment makes."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TypeVar

import numpy as np
import torch

import charlm
from charlm.config import TrainConfig, default_learning_rate
from charlm.errors import DivergenceError
from charlm.models.bodies import TensorState
from charlm.training.optim import Optimizers
from charlm.training.precision import choose_precision
from charlm.training.step import update

CPU = torch.device("cpu")
CURVE_POINTS = 15

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Recipe:
    """How every reader of an experiment is trained.

    rate: factor on the default learning rate for the reader's width
    warmup: training steps until the learning rate is reached
    """

    batch_size: int
    rate: float
    warmup: int


@dataclass(frozen=True)
class CurvePoint:
    """A point of a learning curve: the step, the mean loss since the last point (nats), and the
    accuracy on the validation data."""

    step: int
    loss: float
    accuracy: float


def made_with() -> dict[str, str]:
    """What else affects the trained weights: package versions and the arithmetic of this
    processor."""
    packages = {name: version(name) for name in ("numpy", "torch")}
    return {
        "charlm": charlm.__version__,
        "python": platform.python_version(),
        **packages,
        "precision": choose_precision("auto", CPU),
    }


def fit(
    reader: torch.nn.Module,
    *,
    name: str,
    hidden_size: int,
    recipe: Recipe,
    seed: int,
    steps: int,
    seq_len: int,
    batch: Callable[[int], Batch],
    loss: Callable[[Batch], torch.Tensor],
    accuracy: Callable[[], float],
    remedy: str,
    updated: Callable[[int], None] = lambda step: None,
) -> list[CurvePoint]:
    """Train ``reader`` in place for ``steps`` steps and return its learning curve; it ends in the
    mode for evaluation.

    name: how a message calls the reader
    hidden_size: its width, on which the learning rate depends
    seq_len: length of the longest input
    batch: the batch of a step, from 0; a function of the step alone
    loss: the mean loss of a batch in nats
    accuracy: of the reader as it is, on the validation data; called at each point of the curve
    remedy: what to do about a loss that is not finite
    updated: called with the number of steps done, after each step

    Raises DivergenceError if a loss or a gradient is not finite.
    """
    interval = max(1, steps // CURVE_POINTS)
    config = TrainConfig(
        optimizer="muon",
        learning_rate=recipe.rate * default_learning_rate("muon", hidden_size),
        warmup=recipe.warmup,
        seed=seed,
        precision=choose_precision("auto", CPU),
        batch_size=recipe.batch_size,
        seq_len=seq_len,
        steps=steps,
        eval_every=interval,
        save_every=steps,
    )
    optimizers = Optimizers(reader, config)

    def objective(
        model: torch.nn.Module, each: Batch, state: TensorState
    ) -> tuple[torch.Tensor, int, TensorState]:
        return loss(each), 1, state  # a mean already: its terms can have different weights

    curve: list[CurvePoint] = []
    losses: list[float] = []
    for step in range(steps):
        try:
            found, _ = update(reader, optimizers, objective, batch(step), (), config, step)
        except DivergenceError as error:
            raise DivergenceError(f"{name}, seed {seed}, {error}; {remedy}") from error
        losses.append(found)
        if (step + 1) % interval == 0 or step + 1 == steps:
            curve.append(CurvePoint(step + 1, float(np.mean(losses)), accuracy()))
            losses.clear()
        updated(step + 1)
    reader.eval()
    return curve
