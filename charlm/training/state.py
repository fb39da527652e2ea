"""The state of training in a resumable checkpoint: conversion to and from tensors and metadata.

Everything random in step t is derived from (seed, t), so a run is described by its weights, the
optimizers' tensors, the hidden state and the numbers in ``Progress``: no random state is stored.

In the file: the tensors ``optimizer:PARAMETER/SLOT`` and ``state:N``, and in the metadata's
``training`` the configuration, the source of the text, the progress, the tensors' types in torch,
the properties of the machine that affect rounding, and which job of a launcher wrote it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from charlm import launch
from charlm.checkpoint import Checkpoint
from charlm.config import TrainConfig
from charlm.errors import CheckpointError
from charlm.models.bodies import TensorState
from charlm.tensorfile import Tensors
from charlm.text.dataset import Source
from charlm.training.legs import Leg, legs_from
from charlm.training.pace import Pace
from charlm.training.rows import Split


@dataclass
class Progress:
    """The numbers that change during training."""

    step: int = 0
    loss_sum: float = 0.0  # nats per symbol, summed over the steps since the last evaluation
    loss_count: int = 0
    best_nats: float | None = None
    best_step: int = 0
    evaluated_at: int = -1  # the step of the last evaluation
    evaluations_without_best: int = 0
    seconds: float = 0.0
    pace: Pace | None = None  # of a run with --minutes
    split: Split | None = None  # of a run with --minutes, if another number of blocks is possible
    legs: tuple[Leg, ...] = ()  # those that are over, if the run went on after its end

    @property
    def begin(self) -> int:
        """The step at which the current leg began."""
        return sum(leg.steps for leg in self.legs)

    @property
    def seconds_of_leg(self) -> float:
        """Seconds since the current leg began."""
        return max(0.0, self.seconds - sum(leg.seconds for leg in self.legs))

    def next_leg(self, learning_rate: float) -> Progress:
        """The same at the beginning of another leg; ``learning_rate`` is the peak of the one that
        is over. The best model so far remains the one to beat."""
        over = Leg(self.step - self.begin, learning_rate, self.seconds_of_leg)
        return replace(
            self, legs=(*self.legs, over), evaluations_without_best=0, pace=None, split=None
        )

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """The inverse of ``asdict``; CheckpointError for anything else."""
        try:
            # Older runs have none of these.
            found = {"pace": None, "split": None, "legs": ()} | values
            progress = cls(**{spec.name: found[spec.name] for spec in fields(cls)})
            progress.pace = Pace.from_dict(progress.pace)
            progress.split = Split.from_dict(progress.split)
            progress.legs = legs_from(progress.legs)
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"the training progress is damaged ({error!r:.100})") from error
        for name, value in asdict(progress).items():
            whole = isinstance(getattr(cls, name), int)
            number = type(value) is int or (type(value) is float and not whole)
            if name in ("pace", "split", "legs") or (name == "best_nats" and value is None):
                continue
            least = -1 if name == "evaluated_at" else 0
            if not number or not least <= value < 2**63:
                raise CheckpointError(f"the training progress is damaged ({name} {value!r:.60})")
        if progress.begin > progress.step:
            raise CheckpointError("the training progress is damaged (its legs are too long)")
        return progress


@dataclass(frozen=True)
class TrainState:
    """What resuming needs in addition to the weights.

    optimizer: ``{PARAMETER/SLOT: tensor}``, empty before the first step
    hidden: the model's state at the end of the last window
    """

    progress: Progress
    optimizer: dict[str, Tensor]
    hidden: TensorState

    def stored(
        self, config: TrainConfig, source: Source, device: torch.device
    ) -> tuple[Tensors, dict[str, Any]]:
        """(tensors, metadata) as ``Checkpoint`` takes them: ``extra`` and ``training``."""
        tensors = {f"optimizer:{name}": tensor for name, tensor in self.optimizer.items()}
        tensors |= {f"state:{number}": part for number, part in enumerate(self.hidden)}
        training = {
            "config": config.to_dict(),
            "source": source.to_dict(),
            "progress": asdict(self.progress),
            "dtypes": {k: str(t.dtype).removeprefix("torch.") for k, t in tensors.items()},
            **_machine(device),
        }
        return {name: _widened(tensor) for name, tensor in tensors.items()}, training

    @classmethod
    def read(cls, saved: Checkpoint, config: TrainConfig, like: TensorState) -> TrainState:
        """The inverse of ``stored``. The hidden state must have the shapes of ``like`` and goes to
        its device. CheckpointError if anything is missing, surplus or of the wrong type."""
        training = saved.training or {}
        progress = Progress.from_dict(training.get("progress"))
        try:
            tensors = {
                name: _narrowed(name, value, training["dtypes"][name], config.precision)
                for name, value in saved.extra.items()
            }
            hidden = tuple(
                tensors.pop(f"state:{number}").to(part.device) for number, part in enumerate(like)
            )
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"the training state is damaged ({error!r:.100})") from error
        if any(new.shape != old.shape for new, old in zip(hidden, like, strict=True)):
            raise CheckpointError("the training state is damaged (the hidden state's shape)")
        optimizer = {name.removeprefix("optimizer:"): value for name, value in tensors.items()}
        if bool(optimizer) != bool(progress.step):
            raise CheckpointError(
                f"the training state is damaged: {len(optimizer)} tensors of the optimizer at step "
                f"{progress.step}"
            )
        return cls(progress, optimizer, hidden)


def differences(saved: Checkpoint, device: torch.device) -> list[str]:
    """What may make this machine round differently from the one that wrote ``saved``."""
    here = _machine(device)
    training = {"instructions": here["instructions"]} | (saved.training or {})  # not in old files
    pairs = (
        ("device", training.get("device"), here["device"]),
        ("number of threads", training.get("threads"), here["threads"]),
        ("processor's instruction set", training["instructions"], here["instructions"]),
        ("version of torch", saved.provenance.get("torch"), str(torch.__version__)),
    )
    return [f"the {what} was {old} and is {new}" for what, old, new in pairs if old != new]


def _machine(device: torch.device) -> dict[str, Any]:
    return {
        "device": device.type,
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        **({"job": launch.job()} if launch.size() > 1 else {}),
    }


_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.float32, torch.bfloat16, torch.int64, torch.uint8)
}


def _widened(tensor: Tensor) -> Any:
    """A tensor as a NumPy array: bfloat16 becomes float32, which contains every bfloat16 value."""
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return tensor.detach().cpu().numpy()


def _narrowed(name: str, value: Any, dtype: str, precision: str) -> Tensor:
    """The inverse of ``_widened``: only a bfloat16 hidden state was ever widened."""
    was_bfloat16 = name.startswith("state:") and precision == dtype == "bfloat16"
    if dtype != str(value.dtype) and not was_bfloat16:
        raise TypeError(f"{name} of type {dtype!s:.20}")
    return torch.from_numpy(value).to(_DTYPES[dtype])
