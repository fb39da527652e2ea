"""What the runs learn that answer about items: their label, or their tags."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from charlm.arrays import Ids
from charlm.config import ModelConfig
from charlm.models.bodies import TensorState
from charlm.models.readers import ItemReader, build_reader
from charlm.text.items import IGNORED, ItemDataset, Items
from charlm.text.streams import Batch
from charlm.training.evaluate import ITEMS, Interrupted, batches_by_length
from charlm.training.group import Group


class Labels:
    """The label of each item (classify) or character (tag): mean cross-entropy in nats."""

    def __init__(self, dataset: ItemDataset, device: torch.device) -> None:
        self.dataset, self.device = dataset, device
        self.unit = "item" if dataset.kind == "classify" else "char"

    def build(self, config: ModelConfig, seed: int) -> ItemReader:
        return build_reader(config, seed)

    def objective(
        self, model: nn.Module, batch: Batch, state: TensorState
    ) -> tuple[Tensor, int, TensorState]:
        """The cross-entropy of the labels of a batch of whole items."""
        assert batch.lengths is not None
        logits = model(self._tensor(batch.inputs), self._tensor(batch.lengths))
        return self._loss(logits, batch.targets), batch.counted, ()

    @torch.no_grad()
    def validation_nats(
        self, model: nn.Module, interrupted: Callable[[], bool], group: Group
    ) -> float:
        was_training = model.training
        model.eval()
        total, counted = 0.0, 0
        items = self.dataset.val
        for rows in batches_by_length(items.lengths, ITEMS):
            if interrupted():
                model.train(was_training)
                raise Interrupted
            ids, lengths, labels = whole_items(items, rows)
            logits = model(self._tensor(ids), self._tensor(lengths))
            total += self._loss(logits, labels).item()
            counted += int(np.count_nonzero(labels >= 0))
        model.train(was_training)
        return total / counted

    def _loss(self, logits: Tensor, labels: Ids) -> Tensor:
        wide = logits.float().flatten(0, -2)
        wanted = self._tensor(labels).flatten()
        return F.cross_entropy(wide, wanted, reduction="sum", ignore_index=IGNORED)

    def _tensor(self, values: Ids) -> Tensor:
        return torch.from_numpy(values.astype(np.int64)).to(self.device, non_blocking=True)


def whole_items(
    items: Items, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(ids (B, T), lengths (B,), labels (B,) or (B, T)) of the items ``rows``; ids are padded with
    0, which nothing depends on, labels with ``IGNORED``."""
    ids, lengths = items.read(rows)
    return np.maximum(ids, 0), lengths, items.answers(rows)
