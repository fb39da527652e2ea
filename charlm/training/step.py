"""One training step: the only place where a loss is reduced, clipped, checked and applied.

    total, count, state = objective(model, batch, state)     forward
    loss = total / count                                     reduce
    loss.backward()                                          gradient
    norm = clip_grad_norm_(...)                              clip
    loss, norm -> host                                       check: finite, or DivergenceError
    optimizer.step(learning_rate)                            apply

``update`` is the whole step, used by ``Trainer`` and the experiments, each with its ``Objective``;
``update_in_group`` is that of several processes, which share the rows (``charlm.training.group``).
``descend`` is all of it except the forward pass, for a loop that computes its own. With ``Blocks``
(``charlm.training.rows``) forward and gradient are computed for blocks of rows at the same time;
the gradients are added and the rest follows once.

The host reads loss and norm together, once. On a GPU every read waits for all work before it, so a
loop can read later (``late``): the result is then a tensor, which ``finite`` checks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from charlm.config import TrainConfig
from charlm.errors import DivergenceError
from charlm.models.bodies import TensorState
from charlm.seeds import derive
from charlm.training.group import Group
from charlm.training.optim import learning_rate
from charlm.training.precision import arithmetic
from charlm.training.rows import Blocks, Piece, let_torch_draw, pieces, seed_dropout

AnyBatch = TypeVar("AnyBatch", contravariant=True)
SomeBatch = TypeVar("SomeBatch")


class Objective(Protocol[AnyBatch]):
    """What is minimised: the forward pass of a model over a batch, down to a sum of losses."""

    def __call__(
        self, model: nn.Module, batch: AnyBatch, state: TensorState, /
    ) -> tuple[Tensor, int, TensorState]:
        """(sum of the losses in nats, how many losses were summed, state after the batch).

        An objective whose terms have different weights returns its own mean and 1. A model without
        a state takes and returns ``()``.
        """
        ...


class AnyOptimizer(Protocol):
    """``charlm.training.optim.Optimizers``, or anything else that takes a learning rate a step."""

    def step(self, rate: float | Tensor) -> None: ...
    def zero_grad(self) -> None: ...


def update(
    model: nn.Module,
    optimizer: AnyOptimizer,
    objective: Objective[AnyBatch],
    batch: AnyBatch,
    state: TensorState,
    config: TrainConfig,
    step: int,
    place: float | None = None,
) -> tuple[float, TensorState]:
    """Update the model once, in place; returns the mean loss in nats and the state after the batch.

    The values of the state are carried to the next batch, its gradient is not (truncated BPTT:
    Williams & Peng, 1990). Dropout depends on (seed, step) alone, the learning rate on the step, or
    on ``place`` if the step is at another place of the schedule (``charlm.training.pace``).

    Raises DivergenceError, naming the step, with model and optimizer unchanged, if loss or gradient
    is not finite.
    """
    seed(config, step)
    loss, after = _gradient(model, objective, batch, state, config)
    found = _apply(model, optimizer, loss, config, step, place)
    return found, after


def update_late(
    model: nn.Module,
    optimizer: AnyOptimizer,
    objective: Objective[AnyBatch],
    batch: AnyBatch,
    state: TensorState,
    config: TrainConfig,
    step: int,
    place: float | None = None,
) -> tuple[Tensor, TensorState]:
    """``update`` that waits for nothing: (loss, gradient norm) is a tensor (2,), to be checked with
    ``finite`` before the model is used for anything but the next update."""
    seed(config, step)
    rate = learning_rate(config, step if place is None else place)
    return step_on_device(model, optimizer, objective, batch, state, config, rate)


def seed(config: TrainConfig, step: int) -> None:
    """Let torch's generators, which dropout draws from, begin at this step."""
    torch.manual_seed(derive(config.seed, "dropout", step))


def step_on_device(
    model: nn.Module,
    optimizer: AnyOptimizer,
    objective: Objective[AnyBatch],
    batch: AnyBatch,
    state: TensorState,
    config: TrainConfig,
    rate: float | Tensor,
) -> tuple[Tensor, TensorState]:
    """All of ``update_late`` that the device does: Python decides nothing here that another step
    would decide otherwise, so it can be recorded (``charlm.training.graph``).

    rate: the learning rate; a recorded step reads it from a tensor
    """
    loss, after = _gradient(model, objective, batch, state, config)
    norm = _clip(model, config.clip)
    optimizer.step(rate)
    optimizer.zero_grad()
    return torch.stack([loss, norm]), after


def update_in_blocks(
    model: nn.Module,
    blocks: Blocks,
    optimizer: AnyOptimizer,
    objective: Objective[SomeBatch],
    batch: SomeBatch,
    part: Callable[[SomeBatch, slice], SomeBatch],
    state: TensorState,
    config: TrainConfig,
    step: int,
    place: float | None = None,
) -> tuple[float, TensorState]:
    """``update`` with the rows of the batch in blocks, each on a thread of its own.

    part: (batch, rows) -> those rows of the batch
    """
    rows = state[0].shape[1]
    todo = pieces(slice(0, rows), rows, len(blocks))
    summed, total, count, after = _gradients(
        model, blocks, objective, batch, part, todo, state, config, step, apart=True
    )
    torch._foreach_div_(summed, float(count))
    for parameter, each in zip(blocks.parameters, summed, strict=True):
        parameter.grad = each
    return _apply(model, optimizer, total / count, config, step, place), after


def _gradients(
    model: nn.Module,
    blocks: Blocks | None,
    objective: Objective[SomeBatch],
    batch: SomeBatch,
    part: Callable[[SomeBatch, slice], SomeBatch],
    todo: Sequence[Piece],
    state: TensorState,
    config: TrainConfig,
    step: int,
    *,
    apart: bool,
) -> tuple[list[Tensor], Tensor, int, TensorState]:
    """(gradient of the sum of the losses for every parameter, that sum in nats, how many losses it
    has, state after the batch), computed piece by piece.

    blocks: a copy of the model and a thread for each piece; None: the model does the only one
    todo: the pieces of the batch
    apart: whether each block has dropout of its own, from (seed, step, block)
    """
    device = state[0].device

    def gradient(number: int, copy: nn.Module) -> tuple[Tensor, int, TensorState, list[Tensor]]:
        piece = todo[number]
        copy.train()
        piece.place_dropout(copy)
        if apart:
            seed_dropout(copy, derive(config.seed, "dropout", step, piece.block))
        else:  # the only block draws from torch's own generator, as a model without blocks does
            seed(config, step)
            let_torch_draw(copy)
        own = tuple(each[:, piece.rows] for each in state)
        with arithmetic(config.precision, device, cached=blocks is None):
            total, count, after = objective(copy, part(batch, piece.rows), own)
        found = gradients_of(total, [p for p in copy.parameters() if p.requires_grad])
        return total.detach(), count, carried(after), found

    if blocks is None:
        results = [gradient(0, model)]
    else:
        # The outer context turns oneDNN off, if need be, for all threads at once.
        with arithmetic(config.precision, device, cached=False):
            results = blocks.each(gradient, len(todo))
    totals, counts, afters, gradients = zip(*results, strict=True)
    summed = gradients[0]
    for other in gradients[1:]:  # always in the same order, so that rounding is always the same
        torch._foreach_add_(summed, other)
    after = tuple(torch.cat(parts, dim=1) for parts in zip(*afters, strict=True))
    return summed, torch.stack(totals).sum(), sum(counts), after


@dataclass(frozen=True)
class Told:
    """What every process learns with an update of the group.

    stop: how many processes were asked to stop
    numbers: of rank 0, as it gave them, in the precision of the parameters
    """

    stop: int
    numbers: tuple[float, ...]


def update_in_group(
    group: Group,
    model: nn.Module,
    blocks: Blocks | None,
    optimizer: AnyOptimizer,
    objective: Objective[SomeBatch],
    batch: SomeBatch,
    part: Callable[[SomeBatch, slice], SomeBatch],
    state: TensorState,
    config: TrainConfig,
    step: int,
    place: float | None = None,
    *,
    row_blocks: int = 1,
    stop: bool = False,
    numbers: tuple[float, ...] = (),
) -> tuple[float, TensorState, Told]:
    """``update`` of a model whose rows are divided among the processes of ``group``.

    The gradients of all rows are summed in one message, with the loss and what else every process
    must know behind them. Clipping, the check and the update follow from the sums, so they are the
    same everywhere.

    blocks: copies of the model, at least one for each block of rows that this process has a part of
    batch: of all rows; state: of the rows of this process
    stop: whether this process was asked to stop; numbers: to tell everyone, those of rank 0 count
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    own = group.rows(config.batch_size)
    todo = pieces(own, config.batch_size, row_blocks)
    summed, total, counted, after = _gradients(
        model,
        blocks,
        objective,
        part(batch, own),
        part,
        todo,
        state,
        config,
        step,
        apart=row_blocks > 1,
    )
    tail = [float(counted), float(stop), *(n * (group.rank == 0) for n in numbers)]
    like = parameters[0]
    message = torch.cat(
        [
            *(each.flatten() for each in summed),
            total.reshape(1).to(like.dtype),
            like.new_tensor(tail),
        ]
    )
    group.sum(message)
    count, stopped, *told = message[-len(tail) :].tolist()
    message[: -len(tail) - 1] /= count
    begin = 0
    for parameter in parameters:
        end = begin + parameter.numel()
        parameter.grad = message[begin:end].view_as(parameter)
        begin = end
    loss = message[-len(tail) - 1] / count
    nats = _apply(model, optimizer, loss, config, step, place)
    return nats, after, Told(round(stopped), tuple(told))


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
    clipping off. Raises DivergenceError, with model and optimizer unchanged, if loss or gradient is
    not finite.
    """
    return _checked_step(model, optimizer, _backward(total, count), rate, clip)


def carried(state: TensorState) -> TensorState:
    """The state without its gradient, for the next batch.

    Under autocast a GPU computes nn.LSTM, nn.GRU and nn.RNN in float16, whatever type autocast was
    given; charlm keeps float32 then, which has the range of bfloat16.
    """
    detached = (each.detach() for each in state)
    return tuple(each.float() if each.dtype == torch.float16 else each for each in detached)


def gradients_of(total: Tensor, parameters: list[Tensor]) -> list[Tensor]:
    """The gradients of ``total``, without adding them to those that the parameters have."""
    return list(torch.autograd.grad(total, parameters))


def finite(found: Tensor, rate: float) -> float:
    """The loss of ``found``, (loss, gradient norm); DivergenceError if either is not finite."""
    nats, length = found.tolist()
    if not (math.isfinite(nats) and math.isfinite(length)):
        raise DivergenceError(
            f"loss {nats:.4g} and gradient norm {length:.4g} at learning rate {rate:.3g}"
        )
    return float(nats)


def _gradient(
    model: nn.Module,
    objective: Objective[AnyBatch],
    batch: AnyBatch,
    state: TensorState,
    config: TrainConfig,
) -> tuple[Tensor, TensorState]:
    """Forward and backward: (mean loss, state after the batch); the model gets its gradient."""
    model.train()
    with arithmetic(config.precision, next(model.parameters()).device):
        total, count, after = objective(model, batch, state)
    return _backward(total, count), carried(after)


def _backward(total: Tensor, count: int) -> Tensor:
    """The mean loss, after its gradient was computed."""
    loss = total / count
    loss.backward()
    return loss.detach()


def _apply(
    model: nn.Module,
    optimizer: AnyOptimizer,
    loss: Tensor,
    config: TrainConfig,
    step: int,
    place: float | None,
) -> float:
    rate = learning_rate(config, step if place is None else place)
    try:
        return _checked_step(model, optimizer, loss, rate, config.clip)
    except DivergenceError as error:
        raise DivergenceError(f"step {step:,}: {error}") from error


def _checked_step(
    model: nn.Module, optimizer: AnyOptimizer, loss: Tensor, rate: float, clip: float
) -> float:
    """Clip, check and apply the gradient that the model has."""
    norm = _clip(model, clip)
    try:
        nats = finite(torch.stack([loss, norm]), rate)
    except DivergenceError:
        optimizer.zero_grad()
        raise
    optimizer.step(rate)
    optimizer.zero_grad()
    return nats


def _clip(model: nn.Module, clip: float) -> Tensor:
    return nn.utils.clip_grad_norm_(model.parameters(), clip or math.inf)
