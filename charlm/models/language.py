"""The language model: a body and a head that scores every symbol as the next character."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charlm.config import ModelConfig
from charlm.models.bodies import Body, TensorState, initialize_body, make_body
from charlm.seeds import derive


class LanguageModel(nn.Module):
    """A body and a linear head that scores every symbol as the next character.

    If ``config.tie``, the matrix of the head is the embedding (Press & Wolf, 2017).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.body: Body = make_body(config)
        self.head = nn.Linear(config.hidden_size, config.vocab_size)
        if config.tie:
            self.head.weight = self.body.embedding.weight

    def initial_state(self, batch_size: int) -> TensorState:
        """The state before the first character: zeros."""
        return self.body.initial_state(batch_size)

    def forward(self, ids: Tensor, state: TensorState) -> tuple[Tensor, TensorState]:
        """ids (B, T) and the state before them -> logits (B, T, V) and the state after them."""
        features, state = self.body(ids, state)
        return self.head(features), state


def build(config: ModelConfig, seed: int) -> LanguageModel:
    """A new model with random weights.

    The same configuration and seed give the same weights, within one version of torch. The global
    generator of torch is not changed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "weights"))
        model = LanguageModel(config)
        initialize(model)
    return model


def initialize(model: LanguageModel) -> None:
    """Draw the initial weights of a model: those of ``initialize_body``, and a small head.

    With a small head all symbols are about equally likely, so an untrained model scores about
    log2(V) bits per symbol.
    """
    initialize_body(model.body)
    if model.config.tie:
        nn.init.zeros_(model.head.bias)
    else:
        initialize_head(model.head)


def initialize_head(head: nn.Linear) -> None:
    """Draw small initial weights for a head; its biases are 0."""
    nn.init.normal_(head.weight, std=0.1 / math.sqrt(head.in_features))
    nn.init.zeros_(head.bias)


def next_symbols(
    model: nn.Module, inputs: Tensor, targets: Tensor, state: TensorState
) -> tuple[Tensor, int, TensorState]:
    """Predict ``targets`` (B, T), each the symbol after that in ``inputs`` (B, T).

    A target of -100 is none. Returns the sum of the cross-entropies in nats, B T, and the state
    after them.
    """
    logits, state = model(inputs, state)  # (B, T, V)
    return loss_sum(logits, targets), targets.numel(), state


def loss_sum(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats, summed over every character: logits (B, T, V), targets (B, T)."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(wide.flatten(0, 1), targets.flatten(), reduction="sum")
