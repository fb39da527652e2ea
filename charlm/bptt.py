"""Backpropagation through time (BPTT) by hand, in NumPy: RNN, GRU and LSTM.

A recurrent layer that reads a window of T characters is a graph of T copies of that layer. All
copies share W, U and b. The forward pass (``charlm.engine``) stores every hidden state and gate.
The backward pass in this file visits the copies from the last to the first. For every number in the
graph, it computes how much the loss would change if that number changed. Three rules are enough:

    the chain rule      d(loss)/d(input) = d(loss)/d(output) * d(output)/d(input)
    sums over paths     h_t is used twice, by the layer above at t and by the same layer at t + 1;
                        its gradient is the sum of the gradients from both
    shared weights      W is used at every t; its gradient is the sum over all copies

Notation. For any quantity q, ``dq`` is the gradient of the loss with respect to q; it has the shape
of q. ``da`` is the gradient with respect to a pre-activation, the a in s = sigmoid(a) or in
n = tanh(a). The derivatives of these two functions are s * (1 - s) and 1 - n * n. ``h_prev`` is the
hidden state of the step before, h_{t-1}. ``charlm.arrays`` explains the letters for axes.

The loops show why gradients vanish or explode (Pascanu et al., 2013). In the plain RNN, dh is
multiplied by the same matrix U at every step, and by 1 - h * h, which is at most 1. The LSTM has a
second path, the line ``dc = dc * f``. It multiplies by the forget gate, which the network computes
for each unit and each character. As long as f is near 1, the gradient survives (Hochreiter &
Schmidhuber, 1997; Gers et al., 2000).

tests/test_bptt.py checks every gradient against torch's autograd and against central differences.
``examples/minimal.py`` trains a model with this file and a few lines of Adam.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from charlm.arrays import Floats, Ids, State
from charlm.config import ModelConfig
from charlm.engine import Engine, LayerTrace, Weights, log_softmax
from charlm.errors import RequestError


@dataclass(frozen=True)
class Backward:
    """The loss of one window, its gradients, and the state after it.

    nats: the loss in nats, summed over all B * T characters of the window
    gradients: name of a parameter -> d(nats)/d(parameter), in the shape of the parameter
    initial: d(nats)/d(state before the window), in the shapes of the state. Truncated BPTT does not
             use it: it stops the gradient at the start of each window.
    state: the state after the window, from which the next window continues
    """

    nats: float
    gradients: Weights
    initial: State
    state: State


def backward(
    config: ModelConfig, weights: Weights, inputs: Ids, targets: Ids, state: State
) -> Backward:
    """The loss and the exact gradients of one window.

    ``inputs`` and ``targets`` are ids (B, T). ``targets[b, t]`` is the character that follows
    ``inputs[b, t]``. ``state`` is the state before the window.

    Any number of layers and tied embeddings are supported; dropout is not applied. Raises
    RequestError for a model that is not recurrent.

    With all weights 0, each of five characters has probability 1/5, so a window of two costs
    2 * ln 5 = 3.22 nats. The logit of a target should rise and all others should fall:

    >>> config = ModelConfig.resolve(vocab_size=5, cell="lstm", hidden_size=3)
    >>> weights = {name: np.zeros(shape) for name, shape in config.parameter_shapes().items()}
    >>> state = Engine(config, weights).initial_state()
    >>> result = backward(config, weights, np.array([[0, 1]]), np.array([[1, 2]]), state)
    >>> print(f"{result.nats:.4f}")
    3.2189
    >>> result.gradients["head.bias"].round(1)
    array([ 0.4, -0.6, -0.6,  0.4,  0.4])
    """
    if not config.recurrent:
        raise RequestError(f"{config.cell} is not recurrent; bptt is for rnn, gru and lstm")
    engine = Engine(config, weights)
    trace = engine.trace(inputs, state)
    gradients = {name: np.zeros_like(value) for name, value in weights.items()}

    # The loss. The gradient of cross-entropy after softmax is p - y, where y is 1 for the target.
    log_p = log_softmax(trace.logits)  # (B, T, V)
    places = (*np.indices(targets.shape), targets)
    nats = -float(log_p[places].sum())
    dlogits = np.exp(log_p)
    dlogits[places] -= 1

    # The head: logits = features @ head + bias.
    head = "body.embedding.weight" if config.tie else "head.weight"
    gradients[head] += _outer(dlogits, trace.features)
    gradients["head.bias"] += dlogits.sum((0, 1))
    dx = dlogits @ weights[head]  # d features, (B, T, H)

    # The layers, from the last to the first. First the input of each: the residual sums so far.
    embedded = engine.embedding[inputs]  # (B, T, E)
    read = [embedded]
    for layer, seen in enumerate(trace.layers[:-1]):
        read.append(seen["h"] if layer == 0 else read[-1] + seen["h"])
    initial: list[State] = []
    for layer in reversed(range(config.num_layers)):
        dy = dx
        own = {
            name: weights[f"body.layers.{layer}.{name}_l0"]
            for name in ("weight_ih", "weight_hh", "bias_hh")
        }
        through_time = {"rnn": _rnn, "gru": _gru, "lstm": _lstm}[config.cell]
        before = tuple(part[layer] for part in state)
        h_prev = np.concatenate([before[0][:, None], trace.layers[layer]["h"][:, :-1]], axis=1)
        da_x, da_h, dstate = through_time(config, own, trace.layers[layer], h_prev, before, dy)
        # Shared weights: one matrix product sums over all texts of the batch and all times.
        prefix = f"body.layers.{layer}."
        gradients[prefix + "weight_ih_l0"] += _outer(da_x, read[layer])
        gradients[prefix + "weight_hh_l0"] += _outer(da_h, h_prev)
        gradients[prefix + "bias_ih_l0"] += da_x.sum((0, 1))
        gradients[prefix + "bias_hh_l0"] += da_h.sum((0, 1))
        initial.insert(0, dstate)
        dx = da_x @ own["weight_ih"]
        if layer > 0:
            dx = dx + dy  # y = x + layer(x): the gradient of the residual path is dy itself

    # The embedding: row v was used at every position whose input was v.
    np.add.at(gradients["body.embedding.weight"], inputs, dx)
    stacked = tuple(np.stack(parts) for parts in zip(*initial, strict=True))
    return Backward(nats, gradients, stacked, trace.state)


# Each loop below takes dy (B, T, H), the gradient that every h_t receives from above, and returns
#   da_x (B, T, G * H)  the gradient with respect to W x + b_ih,
#   da_h (B, T, G * H)  the gradient with respect to U h_prev + b_hh,
#   the gradient with respect to the state before the window.
Deltas = tuple[Floats, Floats, State]


def _rnn(
    config: ModelConfig,
    weights: Weights,
    seen: LayerTrace,
    h_prev: Floats,
    before: State,
    dy: Floats,
) -> Deltas:
    U, h = weights["weight_hh"], seen["h"]
    slope = 1 - h * h if config.nonlinearity == "tanh" else (h > 0).astype(h.dtype)
    da = np.empty_like(h)
    dh = np.zeros_like(before[0])  # truncation: no gradient from the characters after the window
    for t in reversed(range(h.shape[1])):
        dh = dh + dy[:, t]  # the sum over both paths: from t + 1 and from above
        da[:, t] = dh * slope[:, t]
        dh = da[:, t] @ U  # the gradient of h_{t-1}
    return da, da, (dh,)


def _gru(
    config: ModelConfig,
    weights: Weights,
    seen: LayerTrace,
    h_prev: Floats,
    before: State,
    dy: Floats,
) -> Deltas:
    H = config.hidden_size
    U = weights["weight_hh"]
    r, z, n = seen["r"], seen["z"], seen["n"]
    m = h_prev @ U[2 * H :].T + weights["bias_hh"][2 * H :]  # U_n h_prev + d_n, which r scales
    da_x = np.empty((*dy.shape[:2], 3 * H), dy.dtype)
    da_h = np.empty_like(da_x)
    dh = np.zeros_like(before[0])
    for t in reversed(range(dy.shape[1])):
        dh = dh + dy[:, t]
        # h = (1 - z) * n + z * h_prev
        dn = dh * (1 - z[:, t])
        dz = dh * (h_prev[:, t] - n[:, t])
        da_n = dn * (1 - n[:, t] ** 2)
        # n = tanh(a_n), a_n = W_n x + b_n + r * m
        dr = da_n * m[:, t]
        dm = da_n * r[:, t]
        da_r = dr * r[:, t] * (1 - r[:, t])
        da_z = dz * z[:, t] * (1 - z[:, t])
        da_x[:, t] = np.concatenate([da_r, da_z, da_n], axis=1)
        da_h[:, t] = np.concatenate([da_r, da_z, dm], axis=1)
        dh = dh * z[:, t] + da_h[:, t] @ U
    return da_x, da_h, (dh,)


def _lstm(
    config: ModelConfig,
    weights: Weights,
    seen: LayerTrace,
    h_prev: Floats,
    before: State,
    dy: Floats,
) -> Deltas:
    U = weights["weight_hh"]
    i, f, g, o, c = (seen[name] for name in "ifgoc")
    c_prev = np.concatenate([before[1][:, None], c[:, :-1]], axis=1)
    tanh_c = np.tanh(c)
    da = np.empty((*dy.shape[:2], 4 * config.hidden_size), dy.dtype)
    dh, dc = np.zeros_like(before[0]), np.zeros_like(before[1])
    for t in reversed(range(dy.shape[1])):
        dh = dh + dy[:, t]
        # h = o * tanh(c)
        do = dh * tanh_c[:, t]
        dc = dc + dh * o[:, t] * (1 - tanh_c[:, t] ** 2)
        # c = f * c_prev + i * g
        di, df, dg = dc * g[:, t], dc * c_prev[:, t], dc * i[:, t]
        dc = dc * f[:, t]  # the gradient of c_{t-1}: no matrix and no tanh in between
        # i, f, o = sigmoid(a), g = tanh(a)
        da[:, t] = np.concatenate(
            [
                di * i[:, t] * (1 - i[:, t]),
                df * f[:, t] * (1 - f[:, t]),
                dg * (1 - g[:, t] ** 2),
                do * o[:, t] * (1 - o[:, t]),
            ],
            axis=1,
        )
        dh = da[:, t] @ U  # the gradient of h_{t-1}
    return da, da, (dh, dc)


def _outer(left: Floats, right: Floats) -> Floats:
    """Sum of the outer products over batch and time: (B, T, M), (B, T, N) -> (M, N)."""
    product: Floats = left.reshape(-1, left.shape[-1]).T @ right.reshape(-1, right.shape[-1])
    return product
