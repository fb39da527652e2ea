"""Backpropagation through time, written out by hand in NumPy: RNN, GRU and LSTM.

The page to study. Reading a window of T characters unrolls the recurrence into a graph with T
copies of the same layer, all sharing W, U and b. The forward pass (``charlm.engine``) keeps every
state and gate; the backward pass below walks the copies from the last to the first and asks, of
every number, how much the loss would change with it. Three facts do all the work:

    the chain rule      d(loss)/d(input) = d(loss)/d(output) * d(output)/d(input)
    sums over paths     h_t is used twice, by the head at t and by the layer at t + 1:
                        its gradient is the sum of what comes back along both
    shared weights      W is used at every t: its gradient is the sum over all copies

Notation: for any quantity q, ``dq`` is the gradient of the loss with respect to it and has its
shape; ``da`` is the gradient at a gate's pre-activation, the a in sigmoid(a) or tanh(a), whose
derivatives are s * (1 - s) and 1 - n * n. The legend of axes is in ``charlm.arrays``. Where
``engine`` has h_t = f(x_t, h_{t-1}), ``h_prev`` is h_{t-1}.

Why gradients vanish or explode can be read off the loops: the plain RNN sends dh back through the
same U at every step, times 1 - h * h <= 1 (Pascanu et al., 2013); the LSTM has beside it the line
``dc = dc * f``, which multiplies by a number the network chooses, and keeps a gradient alive for as
long as f stays near 1 (Hochreiter & Schmidhuber, 1997; Gers et al., 2000).

Everything is checked against torch's autograd and central differences in tests/test_bptt.py, and
``examples/minimal.py`` trains with nothing else.
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
    """What one window gives.

    nats: the loss, summed over all characters of the window
    gradients: name -> d(nats)/d(parameter), in the parameter's shape, named as the weights
    initial: d(nats)/d(state before the window), in the state's shapes: what truncation throws away
    state: the state after the window, to read the next one from
    """

    nats: float
    gradients: Weights
    initial: State
    state: State


def backward(
    config: ModelConfig, weights: Weights, inputs: Ids, targets: Ids, state: State
) -> Backward:
    """Loss and exact gradients of one window: inputs and targets (B, T), from ``state``.

    Handles any number of layers (residual beyond the first) and tied embeddings; no dropout.
    RequestError for a model that is not recurrent.
    """
    if not config.recurrent:
        raise RequestError(f"{config.cell} is not recurrent; bptt is for rnn, gru and lstm")
    engine = Engine(config, weights)
    trace = engine.trace(inputs, state)
    gradients = {name: np.zeros_like(value) for name, value in weights.items()}

    # The loss. Softmax and cross-entropy together have the simplest gradient there is: p - y.
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

    # The layers, top first. What each one read is found again by adding up from the bottom.
    embedded = engine.embedding[inputs]  # (B, T, E)
    read = [embedded]
    for layer, seen in enumerate(trace.layers[:-1]):
        read.append(seen["h"] if layer == 0 else read[-1] + seen["h"])
    initial: list[State] = []
    for layer in reversed(range(config.layers)):
        dy = dx
        own = {
            name: weights[f"body.layers.{layer}.{name}_l0"]
            for name in ("weight_ih", "weight_hh", "bias_hh")
        }
        through_time = {"rnn": _rnn, "gru": _gru, "lstm": _lstm}[config.cell]
        before = tuple(part[layer] for part in state)
        h_prev = np.concatenate([before[0][:, None], trace.layers[layer]["h"][:, :-1]], axis=1)
        da_x, da_h, dstate = through_time(config, own, trace.layers[layer], h_prev, before, dy)
        # Shared weights: one product sums over all streams and all times.
        prefix = f"body.layers.{layer}."
        gradients[prefix + "weight_ih_l0"] += _outer(da_x, read[layer])
        gradients[prefix + "weight_hh_l0"] += _outer(da_h, h_prev)
        gradients[prefix + "bias_ih_l0"] += da_x.sum((0, 1))
        gradients[prefix + "bias_hh_l0"] += da_h.sum((0, 1))
        initial.insert(0, dstate)
        dx = da_x @ own["weight_ih"]
        if layer > 0:
            dx = dx + dy  # the residual path: y = x + layer(x)

    # The embedding: row v was used wherever the input was v.
    np.add.at(gradients["body.embedding.weight"], inputs, dx)
    stacked = tuple(np.stack(parts) for parts in zip(*initial, strict=True))
    return Backward(nats, gradients, stacked, trace.state)


# Each loop takes dy (B, T, H), what comes down to h_t from above at every t, and returns
#   da_x (B, T, G * H)  the gradient at W x + b_ih      da_h (B, T, G * H)  at U h_prev + b_hh
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
    dh = np.zeros_like(before[0])  # nothing comes back from beyond the window: truncation
    for t in reversed(range(h.shape[1])):
        dh = dh + dy[:, t]  # from t + 1 and from above
        da[:, t] = dh * slope[:, t]
        dh = da[:, t] @ U  # on to h_{t-1}
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
    m = h_prev @ U[2 * H :].T + weights["bias_hh"][2 * H :]  # what r scales
    da_x = np.empty((*dy.shape[:2], 3 * H), dy.dtype)
    da_h = np.empty_like(da_x)
    dh = np.zeros_like(before[0])
    for t in reversed(range(dy.shape[1])):
        dh = dh + dy[:, t]
        # h = (1 - z) * n + z * h_prev
        dn = dh * (1 - z[:, t])
        dz = dh * (h_prev[:, t] - n[:, t])
        da_n = dn * (1 - n[:, t] ** 2)
        # n = tanh(W_n x + b_n + r * m)
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
        dc = dc * f[:, t]  # on to c_{t-1}: no matrix, no squashing
        da[:, t] = np.concatenate(
            [
                di * i[:, t] * (1 - i[:, t]),
                df * f[:, t] * (1 - f[:, t]),
                dg * (1 - g[:, t] ** 2),
                do * o[:, t] * (1 - o[:, t]),
            ],
            axis=1,
        )
        dh = da[:, t] @ U  # on to h_{t-1}
    return da, da, (dh, dc)


def _outer(left: Floats, right: Floats) -> Floats:
    """Sum over batch and time of left x right: (B, T, M), (B, T, N) -> (M, N)."""
    product: Floats = left.reshape(-1, left.shape[-1]).T @ right.reshape(-1, right.shape[-1])
    return product
