"""Which parameter goes to which optimizer, and the learning rate at every step.

Muon (Jordan et al., 2024) replaces the update of a matrix by the nearest orthogonal matrix. It
suits only matrices that map hidden vectors to hidden vectors. Embeddings, the head, biases and
convolution kernels go to AdamW (Loshchilov & Hutter, 2019).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from charlm.config import TrainConfig
from charlm.errors import CheckpointError
from charlm.training.group import ALONE, Group
from charlm.training.precision import has_bfloat16

Quintic: TypeAlias = tuple[float, float, float]
"""(a, b, c) of a x + b x^3 + c x^5"""

JORDAN: tuple[Quintic, ...] = ((3.4445, -4.7750, 2.0315),) * 5
"""Jordan's: steep at 0, so that small singular values grow fast, at the price of not converging to
1 exactly."""

MINIMAX: tuple[Quintic, ...] = (
    (7.9347, -22.2581, 15.8015),
    (3.5653, -2.5649, 0.4860),
    (2.6091, -1.8631, 0.4099),
)
"""Each deviates from 1 as little as an odd quintic can, first on [0.01, 1], then on what the one
before has made of that (Amsel et al., 2025, "The Polar Express"), after x was divided by 1.02 for
safety against rounding. Smaller singular values grow 74 times and stay below 0.7: they are mostly
noise."""

QUINTICS = {"jordan": JORDAN, "minimax": MINIMAX}


def learning_rate(config: TrainConfig, step: float) -> float:
    """The learning rate of training step ``step`` (from 0) of a run, or of one of its legs
    (``charlm.training.legs``): warm-up, then the schedule.

    A pure function: it can be plotted and tested without a trainer. With ``--minutes`` the place on
    the schedule can lie between two steps (``charlm.training.pace``).
    """
    peak, total = config.learning_rate, config.steps
    warmup = min(config.warmup, total // 10)
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    if config.schedule == "cosine":
        share = 0.5 * (1 + math.cos(math.pi * progress))
    elif config.schedule == "linear":
        share = 1 - progress
    else:
        return peak
    return peak * (config.final_learning_rate + (1 - config.final_learning_rate) * share)


def hidden_matrices(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that Muon takes, by name: the two-dimensional ones of a body's layers and of a
    decoder."""
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.ndim == 2 and ("body.layers." in name or name.startswith("decoder."))
    }


class Muon(Optimizer):
    """Orthogonalized momentum (Jordan et al., 2024; https://kellerjordan.github.io/posts/muon/).

    A matrix decays as with AdamW, then changes by ``rate * 0.2 * sqrt(max(rows, columns))`` times
    the orthogonalized Nesterov momentum, which changes its entries by as much as AdamW would (Liu
    et al., 2025, "Muon is Scalable for LLM Training").

    torch.optim.Muon is the same, but always orthogonalizes in bfloat16. If bfloat16 is emulated,
    that takes about 60 times as long as float32 for a matrix of 2048x512.

    group: the processes that share the work: each matrix is orthogonalized by one of them
    quintics: the polynomials of ``orthogonalized``
    every: move a matrix only at every ``every``-th step, that many times as far; the momentum is
        updated at every step. The matrices take turns. The momentum hardly changes from one step to
        the next, and most of Muon's time is the orthogonalization.
    """

    def __init__(
        self,
        parameters: list[Tensor],
        weight_decay: float,
        momentum: float = 0.95,
        every: int = 1,
        quintics: Sequence[Quintic] = JORDAN,
        group: Group = ALONE,
    ) -> None:
        self.every, self.quintics, self.group = every, quintics, group
        super().__init__(
            parameters, {"lr": 0.0, "weight_decay": weight_decay, "momentum": momentum}
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            rate, momentum = group["lr"], group["momentum"]
            moved: list[tuple[Tensor, Tensor]] = []  # (matrix, its Nesterov momentum)
            for number, matrix in enumerate(group["params"]):
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(matrix)
                    if self.every > 1:
                        state["step"] = torch.tensor(0)  # on the CPU: reading it waits for nothing
                average = state["momentum_buffer"].lerp_(matrix.grad, 1 - momentum)
                if self.every > 1:
                    turn = int(state["step"]) + number
                    state["step"] += 1
                    if turn % self.every:
                        continue
                moved.append((matrix, matrix.grad.lerp(average, momentum)))
            for matrix, direction in self._directions(moved):
                length = self.every * rate
                matrix.mul_(1 - length * group["weight_decay"])
                length = length * 0.2 * math.sqrt(max(matrix.shape))
                if isinstance(length, Tensor):  # ``alpha`` must be a number
                    matrix.sub_(direction.to(matrix.dtype) * length)
                else:
                    matrix.add_(direction, alpha=-length)

    def _directions(self, moved: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        """(matrix, its orthogonalized momentum), each computed by one process and sent to all, so
        that it is the same everywhere."""
        size = self.group.size
        own = [
            orthogonalized(momentum, self.quintics)
            if number % size == self.group.rank
            else torch.empty_like(momentum)
            for number, (_, momentum) in enumerate(moved)
        ]
        if size > 1:
            own = [
                each.to(matrix.dtype).contiguous()
                for each, (matrix, _) in zip(own, moved, strict=True)
            ]
            for number, direction in enumerate(own):
                self.group.broadcast(direction, source=number % size)
        return [(matrix, direction) for (matrix, _), direction in zip(moved, own, strict=True)]


def orthogonalized(matrix: Tensor, quintics: Sequence[Quintic] = JORDAN) -> Tensor:
    """The matrix with its singular values brought near 1 (0.7 to 1.3), its singular vectors kept.

    Newton-Schulz iterations with polynomials of degree five: with the singular value decomposition
    X = U S V', a X + (b XX' + c (XX')^2) X = U (a S + b S^3 + c S^5) V'.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    narrow = matrix.dtype == torch.float32 and has_bfloat16(matrix.device)
    x = wide.bfloat16() if narrow else wide
    x = x / x.norm().clamp(min=1e-7)  # no singular value is above 1
    for a, b, c in quintics:
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide is matrix else x.T


def leave_compiler_out() -> None:
    """Let torch's optimizers not import torch's compiler: that takes a second and 80 MB.

    They import it to tell it that it shall not compile some of their methods. These are marked as
    told already; a torch that looks for another mark imports it as before.
    """
    for method in vars(Optimizer).values():
        function = getattr(method, "__wrapped__", None)
        if function is not None and "torch._dynamo" not in sys.modules:
            function.__dynamo_disable = function


def take_step(optimizer: Optimizer) -> None:
    """``optimizer.step()``, without the calls of torch's compiler around it, which would import it
    too. To be called without gradients."""
    step: Any = type(optimizer).step
    while hasattr(step, "__wrapped__"):
        step = step.__wrapped__
    step(optimizer)


class OneOptimizer:
    """A torch optimizer that takes its learning rate with every step, as ``Optimizers`` does."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer

    def step(self, rate: float | Tensor) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()

    def zero_grad(self) -> None:
        self._optimizer.zero_grad(set_to_none=True)


# What each optimizer stores for a parameter after its first step.
_SLOTS: dict[type[Optimizer], set[str]] = {
    Muon: {"momentum_buffer"},
    torch.optim.AdamW: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.RMSprop: {"step", "square_avg"},
    torch.optim.SGD: {"momentum_buffer"},
}


def _slots_of(optimizer: Optimizer) -> set[str]:
    counted = isinstance(optimizer, Muon) and optimizer.every > 1
    return _SLOTS[type(optimizer)] | ({"step"} if counted else set())


class Optimizers:
    """One or two optimizers over all parameters, driven as one.

    ``tensors`` and ``load`` convert their whole state to and from named tensors for the checkpoint:
    ``PARAMETER/slot``.
    """

    def __init__(self, model: nn.Module, config: TrainConfig, group: Group = ALONE) -> None:
        leave_compiler_out()
        named = dict(model.named_parameters())
        self._names = {parameter: name for name, parameter in named.items()}
        hidden = hidden_matrices(model) if config.optimizer == "muon" else {}
        rest = [parameter for name, parameter in named.items() if name not in hidden]
        decay = config.weight_decay
        self.all: list[Optimizer] = []
        if hidden:
            quintics = QUINTICS[config.orthogonalizer]
            every = config.orthogonalize_every
            self.all.append(
                Muon(list(hidden.values()), decay, every=every, quintics=quintics, group=group)
            )
        if config.optimizer in ("muon", "adamw"):
            # fused runs the whole update in one kernel: a fifth of the time of a loop over tensors.
            adamw = torch.optim.AdamW(rest, weight_decay=decay, betas=(0.9, 0.99), fused=True)
            self.all.append(adamw)
        elif config.optimizer == "rmsprop":
            self.all.append(torch.optim.RMSprop(rest, alpha=0.95))
        else:
            self.all.append(torch.optim.SGD(rest, momentum=0.9))
        # torch's RMSprop and SGD would add the decay to the gradient, which is a different method.
        self._decayed_here: list[Tensor] = (
            list(rest) if config.optimizer in ("rmsprop", "sgd") else []
        )
        self._decay = decay

    @torch.no_grad()
    def step(self, rate: float | Tensor) -> None:
        """One update of every parameter at learning rate ``rate``, decay included.

        rate: a tensor if the step is recorded, which SGD and RMSprop cannot be
        """
        if self._decayed_here:
            torch._foreach_mul_(self._decayed_here, 1 - rate * self._decay)
        for optimizer in self.all:
            for group in optimizer.param_groups:
                group["lr"] = rate
            take_step(optimizer)

    def zero_grad(self) -> None:
        for optimizer in self.all:
            optimizer.zero_grad(set_to_none=True)

    def record(self) -> None:
        """Prepare for steps that are recorded as a CUDA graph."""
        for optimizer in self.all:
            for group in optimizer.param_groups:
                if "capturable" in group:
                    group["capturable"] = True

    @property
    def turns(self) -> int:
        """After how many steps the same matrices of Muon are moved again."""
        return next((each.every for each in self.all if isinstance(each, Muon)), 1)

    @property
    def turn(self) -> int:
        """The number of the next step, as far as Muon counts it; 0 if it need not."""
        counts = self._turn_counts()
        return int(counts[0]) if counts else 0

    @turn.setter
    def turn(self, number: int) -> None:
        for count in self._turn_counts():
            count.fill_(number)

    def _turn_counts(self) -> list[Tensor]:
        states = [s for each in self.all if isinstance(each, Muon) for s in each.state.values()]
        return [state["step"] for state in states if "step" in state]

    def _slots(self) -> Iterator[tuple[Optimizer, Tensor, str]]:
        for optimizer in self.all:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    yield optimizer, parameter, self._names[parameter]

    def tensors(self) -> dict[str, Tensor]:
        """``{PARAMETER/slot: tensor}``; empty before the first step."""
        return {
            f"{name}/{slot}": torch.as_tensor(value)
            for optimizer, parameter, name in self._slots()
            for slot, value in optimizer.state[parameter].items()
        }

    def load(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of ``tensors``, exact: every slot keeps the type that it was saved in.

        Raises CheckpointError unless there is every slot of every parameter, or none at all.
        """
        expected = {
            f"{name}/{slot}": torch.Size() if slot == "step" else parameter.shape
            for optimizer, parameter, name in self._slots()
            for slot in _slots_of(optimizer)
        }
        found = {name: value.shape for name, value in tensors.items()}
        if found not in ({}, expected):
            wrong = sorted(name for name, _ in expected.items() ^ found.items())
            raise CheckpointError(
                f"the optimizer's state does not fit its parameters: {', '.join(wrong[:4])}"
            )
        for optimizer, parameter, name in self._slots() if tensors else ():
            # Only a fused optimizer needs its step count on the device of the parameter.
            on_device = optimizer.defaults.get("fused")
            for slot in _slots_of(optimizer):
                value = tensors[f"{name}/{slot}"].clone()
                if value.ndim or on_device:
                    value = value.to(parameter.device)
                optimizer.state[parameter][slot] = value
