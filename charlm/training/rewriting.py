"""What the runs learn that rewrite items: every symbol of the target, its end symbol included."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charlm.arrays import Ids
from charlm.config import ModelConfig
from charlm.models.bodies import TensorState
from charlm.models.rewriter import Rewriter, build_rewriter
from charlm.text.items import IGNORED, ItemDataset, previous_symbols
from charlm.text.streams import Batch
from charlm.training.evaluate import ITEMS, Interrupted, batches_by_length
from charlm.training.group import Group


class Rewriting:
    """The target of each item: mean cross-entropy in nats per symbol, the end symbol included.

    The decoder reads the right symbols, not its own (teacher forcing; Williams & Zipser, 1989).
    """

    unit = "char"

    def __init__(self, dataset: ItemDataset, device: torch.device) -> None:
        self.dataset, self.device = dataset, device
        self.end = int(dataset.tokenizer.encode(dataset.item_facts.end)[0])

    def build(self, config: ModelConfig, seed: int) -> Rewriter:
        return build_rewriter(config, seed)

    def objective(
        self, model: nn.Module, batch: Batch, state: TensorState
    ) -> tuple[Tensor, int, TensorState]:
        """The cross-entropy of the targets of a batch of whole items."""
        assert batch.lengths is not None
        return self._loss(model, batch.inputs, batch.lengths, batch.targets), batch.counted, ()

    @torch.no_grad()
    def validation_nats(
        self, model: nn.Module, interrupted: Callable[[], bool], group: Group
    ) -> float:
        items, was_training = self.dataset.val, model.training
        assert items.targets is not None
        model.eval()
        total, counted = 0.0, 0
        for rows in batches_by_length(items.lengths, ITEMS):
            if interrupted():
                model.train(was_training)
                raise Interrupted
            ids, lengths = items.read(rows)
            targets, _ = items.targets.padded(rows, after=True)
            total += self._loss(model, np.maximum(ids, 0), lengths, targets).item()
            counted += int(np.count_nonzero(targets >= 0))
        model.train(was_training)
        return total / counted

    def _loss(self, model: nn.Module, ids: Ids, lengths: Ids, targets: Ids) -> Tensor:
        """The sum in nats; ids (B, T) and targets (B, S), padded with ``IGNORED``."""
        previous = previous_symbols(targets, self.end)
        logits = model(self._tensor(ids), self._tensor(lengths), self._tensor(previous))
        wanted = self._tensor(targets).flatten()
        return F.cross_entropy(
            logits.float().flatten(0, 1), wanted, reduction="sum", ignore_index=IGNORED
        )

    def _tensor(self, values: Ids) -> Tensor:
        return torch.from_numpy(values.astype(np.int64)).to(self.device, non_blocking=True)
