"""The bodies of the models in torch: a body turns ids into features, one vector per character.

    features, state = body(ids, state)        ids (B, T) -> features (B, T, H)
    logits = head(features)                   (B, T, V)

The state is an argument and a result; a body stores nothing between two calls. The state is a tuple
of tensors. Axis 1 of each is the batch (``ModelConfig.state_shapes``):

    rnn, gru   (h,)                  h (L, B, H)
    lstm       (h, c)                both (L, B, H)
    window     (x,)                  the last embedded inputs, (1, B, context - 1, E)
    conv       (x_0, ..., x_{L-1})   the last inputs of each layer, (1, B, (K - 1) * 2^l, E or H)

A model with labels has the weight of each label behind these, (1, B, K): the labels' embeddings,
weighted so, are added to the embedding of every character. One label has weight 1, a blend several
weights; the body returns them as they were.

Before the first character the state is zero. Reading a text at once, in chunks or character by
character gives the same logits. From the second layer on, a layer adds its input to its output (a
residual connection; He et al., 2016).

The recurrent layers are torch's own modules. Their fused kernels (oneDNN, cuDNN) contain the loop
over time. ``charlm.engine`` has the same equations in NumPy, ``charlm.bptt`` their gradients.
"""

from __future__ import annotations

import math
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charlm.config import GATES, ModelConfig

TensorState: TypeAlias = tuple[Tensor, ...]


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al., 2014) that can draw from a generator of its own, and the mask of
    more rows than it gets.

    Models that are trained side by side in threads need the former: torch's global generator would
    serve them in the order in which they happen to come. Processes that share the rows of a batch
    need the latter: each draws the mask of all rows and uses that of its own, so that a row has the
    same mask however many processes there are.

    rows: (first, all): the first of its rows among all, if there are others
    of_weights: whether it leaves out entries of a matrix, which belong to no row
    """

    generator: torch.Generator | None = None
    rows: tuple[int, int] | None = None
    of_weights = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return x
        if self.generator is None and self.rows is None:
            return super().forward(x)
        first, rows = self.rows or (0, len(x))
        if self.generator is None:
            mask = _like_rows(x, rows).bernoulli_(1 - self.p).div_(1 - self.p)
            return x * mask[first : first + len(x)]
        # 16 random bits decide about a value, so one draw of 64 bits serves four: a third of
        # the time of bernoulli_. The share that is kept is a multiple of 1 / 65,536.
        numbers = rows * x[0].numel()
        words = torch.empty(-(-numbers // 4), dtype=torch.int64)
        words.random_(-(2**63), None, generator=self.generator)
        kept = max(1, round((1 - self.p) * 65_536))
        bits = words.view(torch.int16)[:numbers].view(rows, *x.shape[1:])
        mask = (bits[first : first + len(x)] < kept - 32_768).to(x.dtype)
        return x * mask.mul_(65_536 / kept)


def _like_rows(x: Tensor, rows: int) -> Tensor:
    """An empty tensor as ``x`` (B, ...), but with so many rows, in the same order in memory: it is
    in this order that torch draws random numbers into it."""
    strides = x.stride()
    order = sorted(range(x.ndim), key=lambda axis: (-int(strides[axis]), axis))
    shape = (rows, *x.shape[1:])
    whole = x.new_empty([shape[axis] for axis in order])
    return whole.permute([order.index(axis) for axis in range(x.ndim)])


class Body(nn.Module):
    """The base of the three families of bodies: ids (B, T) to features (B, T, H)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        self.dropout = Dropout(config.dropout)
        self.embedding_dropout = Dropout(config.embedding_dropout)
        self.embedding_dropout.of_weights = True
        self.labels = nn.Embedding(K, config.embedding_size) if (K := config.conditions) else None
        self.layers = nn.ModuleList()

    def initial_state(self, batch_size: int) -> TensorState:
        """The state before the first character: zeros of ``ModelConfig.state_shapes``."""
        like = self.embedding.weight
        return tuple(like.new_zeros(shape) for shape in self.config.state_shapes(batch_size))

    def forward(self, ids: Tensor, state: TensorState) -> tuple[Tensor, TensorState]:
        """ids (B, T) and the state before them -> features (B, T, H) and the state after them."""
        x = self.embed(ids)  # (B, T, E)
        if self.labels is None:
            return self.run(x, state)
        *before, weights = state  # of the labels, (1, B, K)
        x = x + (weights[0] @ self.labels.weight).to(x.dtype)[:, None]
        features, after = self.run(x, tuple(before))
        return features, (*after, weights)

    def run(self, x: Tensor, state: TensorState) -> tuple[Tensor, TensorState]:
        """``forward`` of embedded characters x (B, T, E); the state is that of the layers alone."""
        raise NotImplementedError

    def embed(self, ids: Tensor) -> Tensor:
        """ids (B, T) -> their embeddings (B, T, E), with dropout of their own.

        It leaves out entries of the embedding matrix (DropConnect; Wan et al., 2013), the same ones
        wherever a character occurs in the batch: a model that cannot rely on what it reads learns
        less by heart. Dropout of every place apart is as good but takes a fifth of a step at 512
        units (docs/log.md).
        """
        if not (self.training and self.embedding_dropout.p):
            plain: Tensor = self.embedding(ids)
            return plain
        weight = self.embedding.weight  # (V, E)
        return F.embedding(ids, weight * self.embedding_dropout(torch.ones_like(weight)))


class RecurrentBody(Body):
    """RNN (Elman, 1990), GRU (Cho et al., 2014) or LSTM (Hochreiter & Schmidhuber, 1997)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        H = config.hidden_size
        for layer in range(config.num_layers):
            fan_in = config.embedding_size if layer == 0 else H
            if config.cell == "rnn":
                module: nn.RNNBase = nn.RNN(
                    fan_in, H, nonlinearity=config.nonlinearity, batch_first=True
                )
            else:
                module = (nn.LSTM if config.cell == "lstm" else nn.GRU)(fan_in, H, batch_first=True)
            self.layers.append(module)

    def run(self, x: Tensor, state: TensorState) -> tuple[Tensor, TensorState]:
        after: list[TensorState] = []
        for number, layer in enumerate(self.layers):
            before = tuple(part[number : number + 1] for part in state)  # each (1, B, H)
            y, last = layer(x, before if len(before) > 1 else before[0])  # (B, T, H)
            after.append(last if isinstance(last, tuple) else (last,))
            y = self.dropout(y)
            x = y if number == 0 else x + y
        return x, tuple(torch.cat(parts) for parts in zip(*after, strict=True))


class WindowBody(Body):
    """The feedforward model of Bengio et al. (2003): each offset in the window has its weights."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        fan_in = config.context * config.embedding_size
        for layer in range(config.num_layers):
            self.layers.append(
                nn.Linear(fan_in if layer == 0 else config.hidden_size, config.hidden_size)
            )

    def run(self, x: Tensor, state: TensorState) -> tuple[Tensor, TensorState]:
        C = self.config.context
        activation = getattr(torch, self.config.nonlinearity)
        seen = torch.cat([state[0][0], x], dim=1)  # (B, C - 1 + T, E)
        windows = seen.unfold(1, C, 1).transpose(2, 3)  # (B, T, C, E), oldest first
        x = windows.flatten(2)  # (B, T, C * E)
        for number, layer in enumerate(self.layers):
            y = self.dropout(activation(layer(x)))  # (B, T, H)
            x = y if number == 0 else x + y
        return x, (seen[None, :, seen.shape[1] - (C - 1) :],)


class ConvBody(Body):
    """Causal convolutions over time (time-delay network; Waibel et al., 1989), dilated by 2^l."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        for layer in range(config.num_layers):
            fan_in = config.embedding_size if layer == 0 else config.hidden_size
            self.layers.append(
                nn.Conv1d(fan_in, config.hidden_size, config.kernel_size, dilation=2**layer)
            )

    def run(self, x: Tensor, state: TensorState) -> tuple[Tensor, TensorState]:
        activation = getattr(torch, self.config.nonlinearity)
        after: list[Tensor] = []
        for number, (layer, past) in enumerate(zip(self.layers, state, strict=True)):
            seen = torch.cat([past[0].to(x.dtype), x], dim=1)  # (B, reach + T, width)
            after.append(seen[None, :, x.shape[1] :])
            y = layer(seen.transpose(1, 2)).transpose(1, 2)  # (B, T, H)
            y = self.dropout(activation(y))
            x = y if number == 0 else x + y
        return x, tuple(after)


FAMILIES: dict[str, type[Body]] = {"window": WindowBody, "conv": ConvBody}


def make_body(config: ModelConfig) -> Body:
    """The body of the model that ``config`` describes, with torch's default initial weights."""
    return (RecurrentBody if config.recurrent else FAMILIES[config.cell])(config)


@torch.no_grad()
def initialize_body(body: Body) -> None:
    """Draw the initial weights of a body from torch's generator.

    The recurrent matrix of each gate is orthogonal (Saxe et al., 2014), so that multiplying by it
    many times neither shrinks nor enlarges a gradient. Input matrices have variance 1 / fan-in. The
    bias of the LSTM's forget gate is 1, so that the gate starts open (Jozefowicz et al., 2015).
    """
    config = body.config
    H = config.hidden_size
    # A tied embedding is the head's matrix too, and the head must start small.
    nn.init.normal_(body.embedding.weight, std=1 / math.sqrt(H) if config.tie else 1.0)
    if body.labels is not None:
        nn.init.normal_(body.labels.weight, std=1 / math.sqrt(H) if config.tie else 1.0)
    for layer in body.layers:
        if isinstance(layer, nn.RNNBase):
            W, U = cast(Tensor, layer.weight_ih_l0), cast(Tensor, layer.weight_hh_l0)
            bias = cast(Tensor, layer.bias_ih_l0)
            nn.init.normal_(W, std=1 / math.sqrt(layer.input_size))
            for gate in range(GATES[config.cell]):
                nn.init.orthogonal_(U[gate * H : (gate + 1) * H])
            nn.init.zeros_(bias)
            nn.init.zeros_(cast(Tensor, layer.bias_hh_l0))
            if config.cell == "lstm":
                bias[H : 2 * H] = 1.0
        else:
            weight, bias = cast(Tensor, layer.weight), cast(Tensor, layer.bias)
            gain = math.sqrt(2.0) if config.nonlinearity == "relu" else 1.0
            nn.init.normal_(weight, std=gain / math.sqrt(weight[0].numel()))
            nn.init.zeros_(bias)
