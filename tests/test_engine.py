"""The NumPy engine against torch, against the textbook's equations, and against arithmetic by hand.

Every parameter is random here, biases included, and recurrent matrices have a gain a little below
1: a chaotic network would agree with nothing after a thousand steps.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from charlm.config import CELLS, RECURRENT_CELLS, ModelConfig
from charlm.engine import LSTM, Engine, log_softmax, sigmoid, softmax
from charlm.models.language import LanguageModel, build

V, H = 13, 12
Array = NDArray[Any]


def make(
    cell: str, layers: int = 1, *, double: bool = False, tie: bool = False, **more: object
) -> tuple[LanguageModel, Engine]:
    """The same tiny model twice, in torch and in NumPy."""
    options = {"hidden_size": H, "context": 5, "embedding_size": H if tie else 7} | more
    config = ModelConfig.resolve(vocab_size=V, cell=cell, num_layers=layers, tie=tie, **options)
    model = build(config, seed=3)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "bias" in name:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
            if "weight_hh" in name:
                parameter.mul_(0.9)
        if not tie:
            model.head.weight *= 20
    if double:
        model = model.double()
    weights = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    return model.eval(), Engine(config, weights)


def some_ids(batch: int, length: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, V, (batch, length))


VARIANTS = [
    *((cell, layers, tie, "tanh") for cell in CELLS for layers in (1, 3) for tie in (False, True)),
    *((cell, 2, False, "relu") for cell in ("rnn", "window", "conv")),
]
every_model = pytest.mark.parametrize(("cell", "layers", "tie", "kind"), VARIANTS)
every_cell = pytest.mark.parametrize("cell", CELLS)


# ----------------------------------------------------------------------------------- against torch


@torch.no_grad()
@every_model
def test_float32_logits_equal_torch_over_1000_steps(
    cell: str, layers: int, tie: bool, kind: str
) -> None:
    model, engine = make(cell, layers, tie=tie, nonlinearity=kind)
    ids = some_ids(2, 1000)
    expected, after = model(torch.from_numpy(ids), model.initial_state(2))
    logits, state = engine.forward(ids, engine.initial_state(2))
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected.numpy(), rtol=0, atol=1e-4)
    assert len(state) == len(after)
    for ours, theirs in zip(state, after, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-4)


@torch.no_grad()
@every_model
def test_float64_logits_equal_torch_closely(cell: str, layers: int, tie: bool, kind: str) -> None:
    model, engine = make(cell, layers, tie=tie, nonlinearity=kind, double=True)
    ids = some_ids(2, 200)
    expected, _ = model(torch.from_numpy(ids), model.initial_state(2))
    logits, _ = engine.forward(ids, engine.initial_state(2))
    assert logits.dtype == np.float64
    np.testing.assert_allclose(logits, expected.numpy(), rtol=0, atol=1e-10)


@torch.no_grad()
@every_model
def test_greedy_text_equals_torch(cell: str, layers: int, tie: bool, kind: str) -> None:
    model, engine = make(cell, layers, tie=tie, nonlinearity=kind)
    ours, theirs = [1], [1]
    state, torch_state = engine.initial_state(1), model.initial_state(1)
    for _ in range(100):
        logits, state = engine.step(np.array(ours[-1:]), state)
        ours.append(int(logits[0].argmax()))
        torch_logits, torch_state = model(torch.tensor([theirs[-1:]]), torch_state)
        theirs.append(int(torch_logits[0, -1].argmax()))
    assert ours == theirs


# ------------------------------------------------------------------------------------------- state


@every_cell
@pytest.mark.parametrize("sizes", [[4, 1, 10, 15], [1] * 30])
def test_whole_equals_chunks(cell: str, sizes: list[int]) -> None:
    _, engine = make(cell, 2, double=True)
    ids = some_ids(3, 30)
    whole, end = engine.forward(ids, engine.initial_state(3))
    state, parts = engine.initial_state(3), []
    for chunk in np.split(ids, np.cumsum(sizes)[:-1], axis=1):
        logits, state = engine.forward(chunk, state)
        parts.append(logits)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=0, atol=1e-12)
    for one, other in zip(state, end, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


@every_cell
def test_step_is_one_character_of_forward(cell: str) -> None:
    _, engine = make(cell, 2, double=True)
    ids = some_ids(3, 6)
    whole, _ = engine.forward(ids, engine.initial_state(3))
    state = engine.initial_state(3)
    for t in range(6):
        logits, state = engine.step(ids[:, t], state)
        np.testing.assert_allclose(logits, whole[:, t], rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch", [2, 7, 64])
@pytest.mark.parametrize("layers", [1, 2])
@every_cell
def test_a_row_of_a_step_is_bit_by_bit_what_it_is_alone(cell: str, layers: int, batch: int) -> None:
    """At sizes for which a product of several rows rounds differently than one of a single row."""
    _, engine = make(cell, layers, hidden_size=300, embedding_size=65)
    ids = some_ids(batch, 12)
    together = engine.initial_state(batch)
    alone = [engine.initial_state(1) for _ in range(batch)]
    for t in range(12):
        logits, together = engine.step(ids[:, t], together)
        for row in range(batch):
            own, alone[row] = engine.step(ids[row : row + 1, t], alone[row])
            np.testing.assert_array_equal(logits[row], own[0])
            for whole, part in zip(together, alone[row], strict=True):
                np.testing.assert_array_equal(whole[:, row], part[:, 0])


def test_the_groups_of_columns_are_the_whole_matrix() -> None:
    """U of 512 units takes 4 MB: it is multiplied in groups that fit the cache."""
    _, engine = make("lstm", hidden_size=512)
    (layer,) = engine.layers
    assert isinstance(layer, LSTM)
    assert len(layer.slabs) > 1
    np.testing.assert_array_equal(np.concatenate(layer.slabs, axis=1), layer.U)


@every_cell
def test_streams_of_a_batch_do_not_mix(cell: str) -> None:
    _, engine = make(cell, 2, double=True)
    ids = some_ids(4, 20)
    together, _ = engine.forward(ids, engine.initial_state(4))
    for row in range(4):
        alone, _ = engine.forward(ids[row : row + 1], engine.initial_state(1))
        np.testing.assert_allclose(alone[0], together[row], rtol=0, atol=1e-12)


@every_cell
def test_a_pass_changes_neither_its_state_nor_the_weights(cell: str) -> None:
    _model, engine = make(cell, 2)
    _, state = engine.forward(some_ids(2, 9), engine.initial_state(2))
    before = [part.copy() for part in state]
    one, _ = engine.forward(some_ids(2, 9, seed=1), state)
    again, _ = engine.forward(some_ids(2, 9, seed=1), state)
    np.testing.assert_array_equal(one, again)
    for part, copy in zip(state, before, strict=True):
        np.testing.assert_array_equal(part, copy)


# ------------------------------------------------------------------------------------------- trace


def logistic(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def layer_weights(model: LanguageModel, layer: int) -> dict[str, Array]:
    return {n: p.detach().numpy() for n, p in model.body.layers[layer].named_parameters()}


def inputs_of(model: LanguageModel, layers: list[dict[str, Array]], ids: Array) -> list[Array]:
    """The input of each layer: the embedding, then the residual sums of the traced outputs."""
    xs = [model.body.embedding.weight.detach().numpy()[ids]]
    for number, traced in enumerate(layers):
        xs.append(traced["h"] if number == 0 else xs[-1] + traced["h"])
    return xs


def shifted(h: Array) -> Array:
    """h of the step before; zero before the first step."""
    return np.concatenate([np.zeros_like(h[:, :1]), h[:, :-1]], axis=1)


@every_cell
def test_trace_agrees_with_forward(cell: str) -> None:
    model, engine = make(cell, 3, double=True)
    ids = some_ids(2, 20)
    logits, state = engine.forward(ids, engine.initial_state(2))
    trace = engine.trace(ids)
    np.testing.assert_array_equal(trace.logits, logits)
    for one, other in zip(trace.state, state, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(trace.layers) == 3
    np.testing.assert_allclose(
        trace.features, inputs_of(model, trace.layers, ids)[-1], rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(
        trace.logits, trace.features @ engine.head_weight + engine.head_bias, rtol=0, atol=1e-12
    )
    if cell in RECURRENT_CELLS:
        for number, layer in enumerate(trace.layers):
            np.testing.assert_array_equal(layer["h"][:, -1], trace.state[0][number])


@every_cell
def test_trace_continues_from_a_state(cell: str) -> None:
    _, engine = make(cell, 2, double=True)
    ids = some_ids(2, 20)
    whole = engine.trace(ids)
    rest = engine.trace(ids[:, 8:], engine.trace(ids[:, :8]).state)
    np.testing.assert_allclose(rest.logits, whole.logits[:, 8:], rtol=0, atol=1e-12)


def test_rnn_trace_obeys_the_textbook() -> None:
    model, engine = make("rnn", 3, double=True)
    ids = some_ids(2, 20)
    layers = engine.trace(ids).layers
    for number, (x, seen) in enumerate(zip(inputs_of(model, layers, ids), layers, strict=False)):
        w = layer_weights(model, number)
        a = x @ w["weight_ih_l0"].T + w["bias_ih_l0"]
        a = a + shifted(seen["h"]) @ w["weight_hh_l0"].T + w["bias_hh_l0"]
        np.testing.assert_allclose(seen["h"], np.tanh(a), rtol=0, atol=1e-12)


def test_lstm_trace_obeys_the_textbook() -> None:
    model, engine = make("lstm", 3, double=True)
    ids = some_ids(2, 20)
    layers = engine.trace(ids).layers
    for number, (x, seen) in enumerate(zip(inputs_of(model, layers, ids), layers, strict=False)):
        w = layer_weights(model, number)
        a = x @ w["weight_ih_l0"].T + w["bias_ih_l0"]
        a = a + shifted(seen["h"]) @ w["weight_hh_l0"].T + w["bias_hh_l0"]
        i, f, g, o = np.split(a, 4, axis=-1)
        expected = {"i": logistic(i), "f": logistic(f), "g": np.tanh(g), "o": logistic(o)}
        for name, value in expected.items():
            np.testing.assert_allclose(seen[name], value, rtol=0, atol=1e-12)
        c = seen["f"] * shifted(seen["c"]) + seen["i"] * seen["g"]
        np.testing.assert_allclose(seen["c"], c, rtol=0, atol=1e-12)
        np.testing.assert_allclose(seen["h"], seen["o"] * np.tanh(c), rtol=0, atol=1e-12)


def test_gru_trace_obeys_the_textbook() -> None:
    model, engine = make("gru", 3, double=True)
    ids = some_ids(2, 20)
    layers = engine.trace(ids).layers
    for number, (x, seen) in enumerate(zip(inputs_of(model, layers, ids), layers, strict=False)):
        w = layer_weights(model, number)
        Wx = np.split(x @ w["weight_ih_l0"].T + w["bias_ih_l0"], 3, axis=-1)
        Uh = np.split(shifted(seen["h"]) @ w["weight_hh_l0"].T + w["bias_hh_l0"], 3, axis=-1)
        r, z = logistic(Wx[0] + Uh[0]), logistic(Wx[1] + Uh[1])
        n = np.tanh(Wx[2] + r * Uh[2])
        h = (1 - z) * n + z * shifted(seen["h"])
        for name, value in {"r": r, "z": z, "n": n, "h": h}.items():
            np.testing.assert_allclose(seen[name], value, rtol=0, atol=1e-12)


# ----------------------------------------------------------------------------------------- by hand


def one_unit(cell: str, **weights: list[float]) -> Engine:
    """A model with one unit and one symbol, whose embedding is 1 and whose logit is h."""
    config = ModelConfig.resolve(vocab_size=1, cell=cell, hidden_size=1)
    column = {"ih": "weight_ih_l0", "hh": "weight_hh_l0"}
    named = {
        f"body.layers.0.{column.get(name, name)}": np.array(values).reshape(
            (-1, 1) if name in column else -1
        )
        for name, values in weights.items()
    }
    one = np.ones((1, 1))
    return Engine(
        config,
        named | {"body.embedding.weight": one, "head.weight": one, "head.bias": np.zeros(1)},
    )


def test_one_lstm_step_by_hand() -> None:
    """sigmoid(ln 3) = 3/4, sigmoid(-ln 3) = 1/4, sigmoid(ln 4) = 4/5, tanh(ln 3 / 2) = 1/2."""
    ln3, ln4 = math.log(3), math.log(4)
    engine = one_unit(
        "lstm",
        ih=[ln3, 0.0, 0.5, 0.0],  # x = 1
        hh=[0.0, -ln3, 0.25, 0.0],  # h = 1
        bias_ih_l0=[0.0, 0.0, ln3 / 2 - 1, ln4],
        bias_hh_l0=[0.0, 0.0, 0.25, 0.0],
    )
    logits, (h, c) = engine.step(np.array([0]), (np.ones((1, 1, 1)), np.full((1, 1, 1), 2.0)))
    assert math.isclose(c.item(), 1 / 4 * 2 + 3 / 4 * 1 / 2)  # f c + i g = 0.875
    assert math.isclose(h.item(), 4 / 5 * math.tanh(0.875))
    assert logits.item() == h.item()


def test_one_gru_step_by_hand() -> None:
    """r = 1/4 multiplies U h + d = 4, the bias included; n = tanh(ln 3 / 2) = 1/2; z = 3/4."""
    ln3 = math.log(3)
    engine = one_unit(
        "gru",
        ih=[0.0, ln3, 0.5],  # x = 1
        hh=[-ln3 / 2, 0.0, 1.5],  # h = 2
        bias_ih_l0=[0.0, 0.0, ln3 / 2 - 1.5],
        bias_hh_l0=[0.0, 0.0, 1.0],
    )
    _, (h,) = engine.step(np.array([0]), (np.full((1, 1, 1), 2.0),))
    assert math.isclose(h.item(), 1 / 4 * 1 / 2 + 3 / 4 * 2)  # (1 - z) n + z h = 1.625


def test_softmax_and_sigmoid_do_not_overflow() -> None:
    huge = np.array([-1e30, 0.0, 1e30])
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(softmax(huge), [0, 0, 1])
        np.testing.assert_array_equal(sigmoid(huge), [0, 0.5, 1])
        np.testing.assert_array_equal(log_softmax(huge), [-2e30, -1e30, 0])


def test_log_softmax_is_the_logarithm_of_softmax() -> None:
    logits = np.random.default_rng(0).standard_normal((4, 5, V))
    p = softmax(logits)
    np.testing.assert_allclose(p.sum(axis=-1), 1)
    np.testing.assert_allclose(np.log(p), log_softmax(logits))
    np.testing.assert_allclose(
        np.exp([1.0, 2.0]) / np.exp([1.0, 2.0]).sum(), softmax(np.array([1.0, 2.0]))
    )


@torch.no_grad()
@every_cell
def test_a_vocabulary_too_large_for_the_table_gives_the_same_logits(cell: str) -> None:
    config = ModelConfig.resolve(vocab_size=1100, cell=cell, hidden_size=4, embedding_size=3)
    model = build(config, seed=3).double()
    engine = Engine(config, {name: p.numpy() for name, p in model.named_parameters()})
    ids = np.random.default_rng(0).integers(0, 1100, (2, 40))
    expected, _ = model(torch.from_numpy(ids), model.initial_state(2))
    logits, _ = engine.forward(ids, engine.initial_state(2))
    np.testing.assert_allclose(logits, expected.numpy(), rtol=0, atol=1e-10)
