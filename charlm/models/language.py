"""The language model: a body and the head that scores every symbol as the next one."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charlm.config import ModelConfig
from charlm.models.bodies import Body, TensorState, initialize_body, make_body
from charlm.seeds import derive


class LanguageModel(nn.Module):
    """A body and the linear head that scores every symbol as the next one."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.body: Body = make_body(config)
        self.head = nn.Linear(config.hidden_size, config.vocab_size)
        if config.tie:
            self.head.weight = self.body.embedding.weight

    def initial_state(self, batch_size: int) -> TensorState:
        return self.body.initial_state(batch_size)

    def forward(self, ids: Tensor, state: TensorState) -> tuple[Tensor, TensorState]:
        """ids (B, T) -> logits (B, T, V) and the state after the last of them."""
        features, state = self.body(ids, state)
        return self.head(features), state


def build(config: ModelConfig, seed: int) -> LanguageModel:
    """A model with fresh weights, a pure function of (config, seed) on one version of torch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "weights"))
        model = LanguageModel(config)
        initialize(model)
    return model


def initialize(model: LanguageModel) -> None:
    """Weights that let gradients through from the first step.

    The head starts small, so that an untrained model is close to uniform and scores about log2(V)
    bits.
    """
    initialize_body(model.body)
    if model.config.tie:
        nn.init.zeros_(model.head.bias)
    else:
        initialize_head(model.head)


def initialize_head(head: nn.Linear) -> None:
    nn.init.normal_(head.weight, std=0.1 / math.sqrt(head.in_features))
    nn.init.zeros_(head.bias)


def loss_sum(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats, summed over every character: logits (B, T, V), targets (B, T)."""
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum")
