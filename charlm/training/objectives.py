"""What a run learns, as the trainer asks for it: a model, its loss on a batch, its validation loss.

The trainer, its optimizers, its schedule and its checkpoints are the same whatever is learned.

    NextSymbol   the next symbol of running text, or of items     charlm.models.language
    Labels       the label of an item, or a tag a character       charlm.models.readers
    Rewriting    what an item becomes                             charlm.models.rewriter
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from charlm.arrays import Ids
from charlm.config import ModelConfig
from charlm.models.bodies import TensorState
from charlm.models.language import LanguageModel, build, next_symbols
from charlm.text.dataset import AnyDataset
from charlm.text.items import ItemDataset
from charlm.text.streams import Batch
from charlm.training import evaluate
from charlm.training.answering import Labels
from charlm.training.group import Group
from charlm.training.rewriting import Rewriting


class Learning(Protocol):
    """What the trainer asks.

    unit: what the loss is counted by: ``char`` or ``item``
    """

    unit: str

    def build(self, config: ModelConfig, seed: int) -> Any:
        """A new model with random weights."""
        ...

    def objective(
        self, model: nn.Module, batch: Batch, state: TensorState
    ) -> tuple[Tensor, int, TensorState]:
        """As ``charlm.training.step.Objective``."""
        ...

    def validation_nats(
        self, model: nn.Module, interrupted: Callable[[], bool], group: Group
    ) -> float:
        """Mean nats per symbol or item of the validation part, in float32 and without dropout."""
        ...


class NextSymbol:
    """The next symbol of running text, or of items, each from the zero state to its end symbol."""

    unit = "char"

    def __init__(self, dataset: AnyDataset, device: torch.device) -> None:
        self.dataset, self.device = dataset, device

    def build(self, config: ModelConfig, seed: int) -> LanguageModel:
        return build(config, seed)

    def objective(
        self, model: nn.Module, batch: Batch, state: TensorState
    ) -> tuple[Tensor, int, TensorState]:
        """The cross-entropy of every next symbol of a window, from the state before it."""
        if batch.starts_epoch:  # the initial state is zero
            state = tuple(torch.zeros_like(each) for each in state)
        elif batch.restarts is not None:
            goes_on = self._tensor(~batch.restarts).to(torch.bool)
            rows = [goes_on.view(1, -1, *[1] * (each.ndim - 2)) for each in state]
            state = tuple(
                each.where(row, each.new_zeros(())) for each, row in zip(state, rows, strict=True)
            )
        if batch.labels is not None:
            *before, weights = state
            chosen = F.one_hot(self._tensor(batch.labels), weights.shape[-1])
            state = (*before, chosen[None].to(weights.dtype))
        inputs, targets = self._tensor(batch.inputs), self._tensor(batch.targets)
        total, _, after = next_symbols(model, inputs, targets, state)
        return total, batch.counted, after

    def validation_nats(
        self, model: nn.Module, interrupted: Callable[[], bool], group: Group
    ) -> float:
        assert isinstance(model, LanguageModel)
        if isinstance(self.dataset, ItemDataset):
            return evaluate.mean_item_nats(
                model, self.dataset.val, interrupted=interrupted, group=group
            )
        return evaluate.mean_nats(model, self.dataset.val_ids, interrupted=interrupted, group=group)

    def _tensor(self, ids: Ids | NDArray[np.bool_]) -> Tensor:
        # A blocking copy would wait for all work that was queued on the GPU before.
        return torch.from_numpy(ids.astype(np.int64)).to(self.device, non_blocking=True)


def learning_of(config: ModelConfig, dataset: AnyDataset, device: torch.device) -> Learning:
    """What a run learns, by the task of its model."""
    if config.writes:
        return NextSymbol(dataset, device)
    assert isinstance(dataset, ItemDataset)
    if config.task == "rewrite":
        return Rewriting(dataset, device)
    return Labels(dataset, device)
