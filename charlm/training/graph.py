"""A training step on a GPU as one CUDA graph.

A step of a small LSTM is a few hundred kernels of a few microseconds each, and Python needs longer
to start them one by one than the GPU to run them. A graph records them once; afterwards one call
starts all of them, in the same order, on the same memory.

So everything that changes from step to step has to be in memory that stays where it is: the batch,
the learning rate, the state. What Python decides is recorded as it was decided, so there is one
graph for each turn of Muon (``charlm.training.optim.Muon``). Dropout works as without a graph: a
replay begins at the current seed of torch's generator.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from charlm.arrays import Ids
from charlm.config import TrainConfig
from charlm.models.bodies import TensorState
from charlm.models.language import LanguageModel, next_symbols
from charlm.text.streams import Batch
from charlm.training.optim import Optimizers, learning_rate
from charlm.training.step import seed, step_on_device

WARM_UPS = 3
"""Steps before recording: libraries allocate their memory at the first call."""

OPTIMIZERS = ("muon", "adamw")
"""Those that can read their learning rate from a tensor."""


class StepGraph:
    """``step.update_late`` for one model, recorded. On a processor it is computed anew every time,
    which is for tests.

    Raises RuntimeError if a step cannot be recorded; the model is unchanged then.
    """

    def __init__(
        self,
        model: LanguageModel,
        optimizers: Optimizers,
        config: TrainConfig,
        state: TensorState,
    ) -> None:
        """state: of the batch; its shapes are recorded"""
        self._model, self._optimizers, self._config = model, optimizers, config
        device = state[0].device
        self._state = tuple(torch.empty_like(each) for each in state)
        self._inputs, self._targets = (
            torch.zeros(config.window, dtype=torch.int64, device=device) for _ in range(2)
        )
        self._rate = torch.zeros((), device=device)
        self._found = torch.zeros(2, device=device)
        self._turns: list[Callable[[], object]] = [self._compute]
        if device.type == "cuda":
            optimizers.record()
            self._turns = self._recorded()

    def __call__(
        self, batch: Batch, state: TensorState, step: int, place: float
    ) -> tuple[Tensor, TensorState]:
        """``update_late``: (loss, gradient norm) as a tensor (2,), the state after the batch."""
        for own, given in zip(self._state, state, strict=True):
            if own is not given:
                own.copy_(given)
            if batch.starts_epoch:
                own.zero_()
            elif batch.restarts is not None:
                own[:, torch.from_numpy(np.flatnonzero(batch.restarts))] = 0
        self._inputs.copy_(_tensor(batch.inputs), non_blocking=True)
        self._targets.copy_(_tensor(batch.targets), non_blocking=True)
        self._rate.fill_(learning_rate(self._config, place))
        seed(self._config, step)
        turn = self._optimizers.turn
        self._turns[turn % len(self._turns)]()
        self._optimizers.turn = turn + 1
        # The next step overwrites what this one has found.
        return self._found.clone(), self._state

    def _compute(self) -> None:
        found, after = step_on_device(
            *(self._model, self._optimizers, _objective, (self._inputs, self._targets)),
            *(self._state, self._config, self._rate),
        )
        self._found.copy_(found)
        for own, new in zip(self._state, after, strict=True):
            own.copy_(new)

    def _recorded(self) -> list[Callable[[], object]]:
        """A graph for each turn. The learning rate is 0 meanwhile, so the model does not move; what
        the optimizers remember is put back."""
        # Everything on one stream: cuDNN and autograd prepare themselves for each of them apart.
        stream = torch.cuda.Stream(self._rate.device)
        stream.wait_stream(torch.cuda.current_stream())
        optimizers = self._optimizers
        known = {name: slot.clone() for name, slot in optimizers.tensors().items()}
        before = optimizers.turn
        graphs: list[Callable[[], object]] = []
        try:
            for own in self._state:
                own.zero_()
            with torch.cuda.stream(stream):
                for _ in range(WARM_UPS):
                    self._compute()
            for turn in range(optimizers.turns):
                optimizers.turn = turn
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, stream=stream):
                    self._compute()
                graphs.append(graph.replay)
        except RuntimeError:
            # A recording that failed leaves torch's generator in a state in which nothing can be
            # drawn; another recording ends that.
            with torch.cuda.graph(torch.cuda.CUDAGraph(), stream=stream):
                torch.zeros(1, device=self._rate.device)
            raise
        finally:
            torch.cuda.current_stream().wait_stream(stream)
            with torch.no_grad():
                for name, slot in optimizers.tensors().items():
                    slot.copy_(known[name]) if name in known else slot.zero_()
            optimizers.zero_grad()
            optimizers.turn = before
        return graphs


def _objective(
    model: nn.Module, batch: tuple[Tensor, Tensor], state: TensorState
) -> tuple[Tensor, int, TensorState]:
    """``Trainer``'s, without the reset of the state, which has happened."""
    return next_symbols(model, *batch, state)


def _tensor(ids: Ids) -> Tensor:
    return torch.from_numpy(ids.astype(np.int64))
