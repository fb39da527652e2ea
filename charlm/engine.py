"""The forward pass of every charlm model in NumPy, written like the equations of a textbook.

``charlm sample`` and ``charlm eval`` use this module, because it starts without importing torch and
one step of a small model takes microseconds. It is also the readable reference that the torch
models are tested against. It takes the weights as a checkpoint stores them; the order of the gates
and the form of the GRU are torch's.

``charlm.arrays`` explains the letters for axes. At time t the input is x (B, E). On the right of an
equation, h and c (B, H) are the state at time t - 1; on the left, at time t. * multiplies element
by element:

    rnn     h = tanh(W x + U h + b)                          Elman (1990)

    gru     r = sigmoid(W_r x + U_r h + b_r)                 reset gate; Cho et al. (2014)
            z = sigmoid(W_z x + U_z h + b_z)                 update gate
            n = tanh(W_n x + b_n + r * (U_n h + d_n))        candidate, reset after the product
            h = (1 - z) * n + z * h

    lstm    i = sigmoid(W_i x + U_i h + b_i)                 input gate; Hochreiter & Schmidhuber
            f = sigmoid(W_f x + U_f h + b_f)                 forget gate; Gers et al. (2000)
            g = tanh(W_g x + U_g h + b_g)                    candidate
            o = sigmoid(W_o x + U_o h + b_o)                 output gate
            c = f * c + i * g
            h = o * tanh(c)

    window  h = tanh(W [x_{t-n+1} ... x_t] + b)              Bengio et al. (2003)

    conv    h = tanh(sum_k W_k x_{t-kd} + b), d = 2^layer    Waibel et al. (1989)

torch stores two biases for a recurrent layer, one with W and one with U; b is their sum. Only the
candidate of the GRU keeps them apart, as b_n and d_n, because r scales the second one.

From the second layer on, a layer adds its input to its output (a residual connection). The products
W x do not depend on h, so one matrix product before the loop computes them for the whole window.
Only U h has to be computed step by step.

BLAS multiplies one row by another routine than several rows, and rounds in another order. ``step``
computes each row as if it were the only one, so a text that is sampled beside others is the text
that is sampled alone, bit by bit. ``forward`` multiplies all rows at once, which is faster.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from charlm.arrays import Floats, Ids, State
from charlm.config import ModelConfig

_CACHED = 2**19
"""Bytes of a weight matrix that all texts use before the next ones: half of a usual L2 cache."""

Weights = dict[str, Floats]
LayerTrace = dict[str, Floats]


def sigmoid(x: Floats) -> Floats:
    """The logistic function 1 / (1 + exp(-x)).

    It is computed as (1 + tanh(x / 2)) / 2, because exp(-x) overflows if x is very negative.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    y: Floats = np.tanh(0.5 * x)
    y += 1
    y *= 0.5
    return y


def relu(x: Floats) -> Floats:
    """The larger of x and 0, element by element.

    >>> relu(np.array([-2.0, 3.0]))
    array([0., 3.])
    """
    return np.maximum(x, 0)


def softmax(logits: Floats) -> Floats:
    """Probabilities exp(x) / sum(exp(x)) along the last axis, in the shape of the logits.

    The largest logit is subtracted first. This changes no probability, and exp cannot overflow.

    >>> softmax(np.array([0.0, 0.0, 1000.0, 1000.0]))
    array([0. , 0. , 0.5, 0.5])
    """
    p: Floats = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    return p


def log_softmax(logits: Floats) -> Floats:
    """The logarithm of ``softmax``, in nats, along the last axis.

    ``np.log(softmax(x))`` would be -inf for a probability too small for a float.

    >>> log_softmax(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """
    shifted: Floats = logits - logits.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


@dataclass
class Trace:
    """Everything that a model computed for a window of T characters.

    layers: for each layer, a dictionary of arrays (B, T, H): ``h``, and ``r z n`` of the GRU or
            ``i f g o c`` of the LSTM. ``h`` is the output of the layer before the residual sum.
    features: the input of the head, (B, T, H)
    logits: scores of the next character, (B, T, V)
    state: the state after the last character
    """

    layers: list[LayerTrace] = field(default_factory=list)
    features: Floats = field(default_factory=lambda: np.zeros(0))
    logits: Floats = field(default_factory=lambda: np.zeros(0))
    state: State = ()


class Body:
    """The layers of a model: ids to features, one vector per character.

    name: which body, of a model with two; they share the embedding
    """

    def __init__(self, config: ModelConfig, weights: Weights, name: str = "body") -> None:
        self.config = config
        self.embedding = weights["body.embedding.weight"]  # (V, E)
        self.labels = weights.get("body.labels.weight")  # (K, E), or None
        self.dtype = self.embedding.dtype
        cell = {"rnn": RNN, "gru": GRU, "lstm": LSTM, "window": Window, "conv": Conv}[config.cell]
        self.layers: list[Layer] = []
        for number in range(config.num_layers):
            prefix = f"{name}.layers.{number}."
            own = {k.removeprefix(prefix): w for k, w in weights.items() if k.startswith(prefix)}
            self.layers.append(cell(config, own, number))

    @cached_property
    def table(self) -> Floats | None:
        """W x + b of the first layer for every symbol: (V, G * H).

        A step then looks up a row instead of computing a product. None for window and conv models,
        and for more than 1,024 symbols, whose table would be large and mostly unused.
        """
        if not self.config.recurrent or self.config.vocab_size > 1024:
            return None
        return self.layers[0].project(self.embedding)

    @cached_property
    def label_table(self) -> Floats:
        """What a label adds to a row of ``table`` or, without one, to an embedding: (K, ...)."""
        assert self.labels is not None
        if self.table is None:
            return self.labels
        layer = self.layers[0]  # W (x + l) + b = (W x + b) + W l
        return layer.project(self.labels) - layer.project(np.zeros_like(self.labels))

    def initial_state(self, batch_size: int = 1) -> State:
        """The state before the first character: zeros of ``ModelConfig.state_shapes``."""
        shapes = self.config.state_shapes(batch_size)
        return tuple(np.zeros(shape, self.dtype) for shape in shapes)

    def body(
        self,
        ids: Ids,
        state: State,
        trace: list[LayerTrace] | None = None,
        *,
        apart: bool = False,
    ) -> tuple[Floats, State]:
        """ids (B, T) and the state before them -> features (B, T, H) and the state after them.

        If ``trace`` is a list, the arrays of each layer are appended to it (see ``Trace.layers``).
        ``apart``: compute each text as if it were the only one, for T = 1.
        """
        table = self.table
        x = self.embedding[ids] if table is None else table[ids]  # (B, T, E) or (B, T, G * H)
        labels: State = ()
        if self.labels is not None:
            *before, weights = state  # of the labels, (1, B, K)
            state, labels = tuple(before), (weights,)
            # With an axis of 1, each row is a product of its own (``_Recurrent.recur``).
            x = x + weights[0][:, None] @ self.label_table
        after: list[State] = []
        for number, layer in enumerate(self.layers):
            projected = x if number == 0 and table is not None else layer.project(x)
            seen: LayerTrace | None = None if trace is None else {}
            y, last = layer.run(projected, self._part(state, number), seen, apart=apart)
            after.append(last)
            if trace is not None and seen is not None:
                trace.append({**seen, "h": y})
            x = y if number == 0 else x + y
        if self.config.recurrent:
            if len(after) == 1:
                return x, (*(part[None] for part in after[0]), *labels)
            return x, (*(np.stack(parts) for parts in zip(*after, strict=True)), *labels)
        return x, (*(part[None] for parts in after for part in parts), *labels)

    def _part(self, state: State, layer: int) -> State:
        """The part of the state that belongs to one layer, without the axis of layers."""
        if self.config.recurrent:
            return tuple(part[layer] for part in state)
        return (state[layer][0],) if layer < len(state) else ()


class Engine(Body):
    """The forward pass of one model.

    ``weights`` has the names and shapes of ``ModelConfig.parameter_shapes``. Their type decides the
    precision: float32 as in a checkpoint, or float64 if the caller converts them.

    >>> config = ModelConfig.resolve(vocab_size=5, cell="gru", hidden_size=3)
    >>> shapes = config.parameter_shapes()
    >>> engine = Engine(config, {name: np.zeros(shape) for name, shape in shapes.items()})
    >>> logits, state = engine.step(np.array([4]), engine.initial_state())
    >>> softmax(logits)  # with all weights 0, every character is equally likely
    array([[0.2, 0.2, 0.2, 0.2, 0.2]])
    """

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        super().__init__(config, weights)
        head = self.embedding if config.tie else weights["head.weight"]
        self.head_weight = np.ascontiguousarray(head.T)  # (H, V)
        self.head_bias = weights["head.bias"]  # (V,)

    def head(self, features: Floats) -> Floats:
        """features (..., H) -> logits (..., V)."""
        return features @ self.head_weight + self.head_bias

    def forward(self, ids: Ids, state: State) -> tuple[Floats, State]:
        """ids (B, T) -> logits (B, T, V) and the state after the last id.

        ``logits[b, t]`` scores every symbol as the character that follows ``ids[b, t]``.
        """
        features, state = self.body(ids, state)
        return self.head(features), state

    def step(self, ids: Ids, state: State) -> tuple[Floats, State]:
        """One character of each text: ids (B,) -> logits (B, V) and the state.

        Row b is bit by bit what a batch of that text alone gives; ``forward`` rounds differently.
        """
        features, state = self.body(ids[:, None], state, apart=True)
        return self.head(features)[:, 0], state

    def last(self, ids: Ids, state: State) -> tuple[Floats, State]:
        """``forward`` for the last character alone: ids (B, T) -> logits (B, V) and the state."""
        features, state = self.body(ids, state)
        return self.head(features[:, -1]), state

    def trace(self, ids: Ids, state: State | None = None) -> Trace:
        """``forward`` that keeps the hidden states and gates of every layer: ids (B, T).

        Without ``state``, it starts from ``initial_state``.
        """
        layers: list[LayerTrace] = []
        features, state = self.body(ids, state or self.initial_state(len(ids)), layers)
        return Trace(layers, features, self.head(features), state)


# -------------------------------------------------------------------------------- the five cells


class Layer:
    """One layer. ``project`` is the part that needs no earlier state, ``run`` the loop over time.

    ``number`` counts the layers from 0.
    """

    def __init__(self, config: ModelConfig, weights: Weights, number: int) -> None:
        raise NotImplementedError

    def project(self, x: Floats) -> Floats:
        """x (..., E) -> the input of ``run``: W x + b for a recurrent layer, otherwise x itself."""
        return x

    def run(
        self, Wx: Floats, state: State, trace: LayerTrace | None, *, apart: bool = False
    ) -> tuple[Floats, State]:
        """Projected input (B, T, ...) and state -> h (B, T, H) and the state after time T.

        If ``trace`` is a dictionary, the gates are stored in it under their names. ``apart`` as in
        ``Engine.body``; products of x are apart anyway, because T = 1 makes each a product of its
        own.
        """
        raise NotImplementedError


class _Recurrent(Layer):
    """The parts that the three recurrent cells share: W, U and the bias b."""

    def __init__(self, config: ModelConfig, weights: Weights, number: int) -> None:
        self.W = np.ascontiguousarray(weights["weight_ih_l0"].T)  # (E, G * H)
        self.U = np.ascontiguousarray(weights["weight_hh_l0"].T)  # (H, G * H)
        self.b: Floats = weights["bias_ih_l0"] + weights["bias_hh_l0"]
        self.activation = np.tanh if config.nonlinearity == "tanh" else relu

    def project(self, x: Floats) -> Floats:
        Wx: Floats = x @ self.W
        Wx += self.b
        return Wx

    def recur(self, h: Floats, apart: bool) -> Floats:
        """U h, (B, H) -> (B, G * H). ``apart``: each row as it is computed alone."""
        if not apart or len(h) == 1:
            return h @ self.U
        Uh = np.empty((len(h), self.U.shape[1]), h.dtype)
        begin = 0
        for columns in self.slabs:
            end = begin + columns.shape[1]
            # (B, 1, H) @ (H, columns): with the axis of 1, each row is a product of its own.
            np.matmul(h[:, None], columns, out=Uh[:, None, begin:end])
            begin = end
        return Uh

    @cached_property
    def slabs(self) -> list[Floats]:
        """U cut into groups of columns, each small enough to stay in the processor's cache while
        it is multiplied with all rows."""
        H, columns = self.U.shape
        width = max(64, _CACHED // (H * self.U.itemsize) // 64 * 64)
        slabs = [np.ascontiguousarray(self.U[:, k : k + width]) for k in range(0, columns, width)]
        # A column must not depend on those beside it. That is so in OpenBLAS; another BLAS may
        # treat the last columns differently, and rounds all numbers alike.
        row = np.sin(np.arange(1.0, H + 1))[None].astype(self.U.dtype)
        same = np.array_equal(np.concatenate([row @ slab for slab in slabs], axis=1), row @ self.U)
        return slabs if same else [self.U]


class RNN(_Recurrent):
    """h = tanh(W x + U h + b), or relu instead of tanh."""

    def run(
        self, Wx: Floats, state: State, trace: LayerTrace | None, *, apart: bool = False
    ) -> tuple[Floats, State]:
        (h,) = state  # (B, H)
        hs = np.empty_like(Wx)
        for t in range(Wx.shape[1]):
            h = self.activation(Wx[:, t] + self.recur(h, apart))
            hs[:, t] = h
        return hs, (h,)


class GRU(_Recurrent):
    """Two gates, r and z, and the candidate n. The new h lies between n and the old h."""

    def __init__(self, config: ModelConfig, weights: Weights, number: int) -> None:
        super().__init__(config, weights, number)
        self.b, self.d = weights["bias_ih_l0"], weights["bias_hh_l0"]  # r scales only the second

    def run(
        self, Wx: Floats, state: State, trace: LayerTrace | None, *, apart: bool = False
    ) -> tuple[Floats, State]:
        (h,) = state  # (B, H)
        H = h.shape[1]
        hs = np.empty((*Wx.shape[:2], H), Wx.dtype)
        gates = _room(trace, "rzn", hs)
        for t in range(Wx.shape[1]):
            Uh = self.recur(h, apart)  # (B, 3H)
            Uh += self.d
            rz = sigmoid(Wx[:, t, : 2 * H] + Uh[:, : 2 * H])
            r, z = rz[:, :H], rz[:, H:]
            n = np.tanh(Wx[:, t, 2 * H :] + r * Uh[:, 2 * H :])
            h = n + z * (h - n)  # (1 - z) * n + z * h
            hs[:, t] = h
            _keep(gates, t, r, z, n)
        return hs, (h,)


class LSTM(_Recurrent):
    """Three gates, i, f and o, and the candidate g. The cell c carries what is remembered.

    One call of tanh computes all four, because sigmoid(a) = (1 + tanh(a / 2)) / 2. The weights of
    i, f and o are therefore halved in advance. Halving a float is exact.
    """

    def __init__(self, config: ModelConfig, weights: Weights, number: int) -> None:
        super().__init__(config, weights, number)
        half, one = np.full(config.hidden_size, 0.5), np.ones(config.hidden_size)
        self.scale = np.concatenate([half, half, one, half]).astype(self.W.dtype)  # i, f, g, o
        self.shift = 1 - self.scale
        self.W, self.U, self.b = self.W * self.scale, self.U * self.scale, self.b * self.scale

    def run(
        self, Wx: Floats, state: State, trace: LayerTrace | None, *, apart: bool = False
    ) -> tuple[Floats, State]:
        h, c = state  # (B, H) each
        H = h.shape[1]
        hs = np.empty((*Wx.shape[:2], H), Wx.dtype)
        gates = _room(trace, "ifgoc", hs)
        for t in range(Wx.shape[1]):
            a = self.recur(h, apart)  # (B, 4H); for i, f and o half the pre-activation
            a += Wx[:, t]
            np.tanh(a, out=a)
            a *= self.scale
            a += self.shift
            i, f, g, o = a[:, :H], a[:, H : 2 * H], a[:, 2 * H : 3 * H], a[:, 3 * H :]
            c = f * c + i * g
            h = o * np.tanh(c)
            hs[:, t] = h
            _keep(gates, t, i, f, g, o, c)
        return hs, (h, c)


class Window(Layer):
    """A fully connected layer. The first one reads the last ``context`` embedded characters."""

    def __init__(self, config: ModelConfig, weights: Weights, number: int) -> None:
        self.W, self.b = np.ascontiguousarray(weights["weight"].T), weights["bias"]
        self.activation = np.tanh if config.nonlinearity == "tanh" else relu
        self.context = config.context if number == 0 else 1

    def run(
        self, Wx: Floats, state: State, trace: LayerTrace | None, *, apart: bool = False
    ) -> tuple[Floats, State]:
        x, n = Wx, self.context
        B, T, _ = x.shape
        if state:  # the first layer reads x_{t-n+1} ... x_t side by side, the oldest first
            seen = np.concatenate([state[0], x], axis=1)  # (B, n - 1 + T, E)
            state = (seen[:, T:],)
            x = np.stack([seen[:, k : k + T] for k in range(n)], axis=2).reshape(B, T, -1)
        return self.activation(x @ self.W + self.b), state


class Conv(Layer):
    """A causal convolution with kernel size K. Layer l (from 0) reads every 2^l-th input."""

    def __init__(self, config: ModelConfig, weights: Weights, number: int) -> None:
        kernel = np.moveaxis(weights["weight"], 2, 0)  # (K, H, E)
        self.W = [np.ascontiguousarray(w.T) for w in kernel]  # the oldest input first
        self.b = weights["bias"]
        self.activation = np.tanh if config.nonlinearity == "tanh" else relu
        self.dilation = 2**number

    def run(
        self, Wx: Floats, state: State, trace: LayerTrace | None, *, apart: bool = False
    ) -> tuple[Floats, State]:
        x, T = Wx, Wx.shape[1]
        seen = np.concatenate([state[0], x], axis=1)  # (B, reach + T, E)
        y: Floats = self.b
        for k, W_k in enumerate(self.W):
            y = y + seen[:, k * self.dilation : k * self.dilation + T] @ W_k
        return self.activation(y), (seen[:, T:],)


def _room(trace: LayerTrace | None, names: str, like: Floats) -> list[Floats]:
    """New arrays (B, T, H) in the trace, one for each name; no arrays without a trace."""
    if trace is None:
        return []
    for name in names:
        trace[name] = np.empty_like(like)
    return [trace[name] for name in names]


def _keep(kept: list[Floats], t: int, *values: Floats) -> None:
    """Store the values of time t in the arrays of ``_room``."""
    for array, value in zip(kept, values, strict=False):
        array[:, t] = value
