"""One training step: the only place where a loss is reduced, clipped, checked and applied.

    total, count, state = objective(batch, state)    forward
    loss = total / count                             reduce
    loss.backward()                                  gradient
    norm = clip_grad_norm_(...)                      clip
    loss, norm -> host                               check: finite, or DivergenceError
    optimizer.step(learning_rate)                    apply

``update`` is the whole step, used by ``Trainer`` and the experiments, each with its ``Objective``.
``descend`` is all of it except the forward pass, for a loop that computes its own.
"""

from __future__ import annotations

import math
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from charlm.config import TrainConfig
from charlm.errors import DivergenceError
from charlm.models.bodies import TensorState
from charlm.seeds import derive
from charlm.training.optim import learning_rate
from charlm.training.precision import arithmetic

AnyBatch = TypeVar("AnyBatch", contravariant=True)


class Objective(Protocol[AnyBatch]):
    """What is minimised: the forward pass of a model over a batch, down to a sum of losses."""

    def __call__(self, batch: AnyBatch, state: TensorState) -> tuple[Tensor, int, TensorState]:
        """(sum of the losses in nats, how many losses were summed, state after the batch).

        An objective whose terms have different weights returns its own mean and 1. A model without
        a state takes and returns ``()``.
        """
        ...


class AnyOptimizer(Protocol):
    """``charlm.training.optim.Optimizers``, or anything else that takes a learning rate a step."""

    def step(self, rate: float) -> None: ...
    def zero_grad(self) -> None: ...


def update(
    model: nn.Module,
    optimizer: AnyOptimizer,
    objective: Objective[AnyBatch],
    batch: AnyBatch,
    state: TensorState,
    config: TrainConfig,
    step: int,
) -> tuple[float, TensorState]:
    """Update the model once, in place; returns the mean loss in nats and the state after the batch.

    The values of the state are carried to the next batch, its gradient is not (truncated BPTT:
    Williams & Peng, 1990). Dropout depends on (seed, step) alone, the learning rate on the step.
    Raises DivergenceError as ``descend`` does, naming the step.
    """
    torch.manual_seed(derive(config.seed, "dropout", step))
    model.train()
    with arithmetic(config.precision, next(model.parameters()).device):
        total, count, after = objective(batch, state)
    rate = learning_rate(config, step)
    try:
        loss = descend(model, optimizer, total, count, rate=rate, clip=config.clip)
    except DivergenceError as error:
        raise DivergenceError(f"step {step:,}: {error}") from error
    return loss, tuple(part.detach() for part in after)


def descend(
    model: nn.Module,
    optimizer: AnyOptimizer,
    total: Tensor,
    count: int,
    *,
    rate: float,
    clip: float,
) -> float:
    """One step down the gradient of ``total / count``, which is returned as a number.

    A gradient whose norm exceeds ``clip`` is scaled down to it (Pascanu et al., 2013); 0 turns
    clipping off. The host reads loss and norm together, once: on a GPU every read waits for all
    work before it. Raises DivergenceError, with model and optimizer unchanged, if either is not
    finite.
    """
    loss = total / count
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), clip or math.inf)
    nats, length = torch.stack([loss.detach(), norm]).tolist()
    if not (math.isfinite(nats) and math.isfinite(length)):
        optimizer.zero_grad()
        raise DivergenceError(
            f"loss {nats:.4g} and gradient norm {length:.4g} at learning rate {rate:.3g}"
        )
    optimizer.step(rate)
    optimizer.zero_grad()
    return float(nats)
