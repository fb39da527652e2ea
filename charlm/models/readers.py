"""The models that answer about an item: its label, or a tag for each of its characters.

Both read the item in both directions before they answer (Schuster & Paliwal, 1997).

    classify   many to one: the largest value of each feature over the item, and a linear head
    tag        many to many in step: the features at each character, and a linear head
"""

from __future__ import annotations

import torch

from charlm.config import ModelConfig
from charlm.models.bodies import TensorState
from charlm.models.heads import Reading, SequenceReader
from charlm.seeds import derive

READINGS: dict[str, Reading] = {"classify": "max", "tag": "each"}
"""What the head of each task sees."""


class ItemReader(SequenceReader):
    """ids (B, T), lengths (B,) -> logits (B, K) for classify, (B, T, K) for tag."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(
            config, config.num_labels, reading=READINGS[config.task], both_ways=config.both_ways
        )

    def initial_state(self, batch_size: int) -> TensorState:
        """Nothing: a reader carries no state from one item to the next."""
        return ()


def build_reader(config: ModelConfig, seed: int) -> ItemReader:
    """A new reader with random weights; the same configuration and seed give the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "weights"))
        model = ItemReader(config)
        model.initialize()
    return model
