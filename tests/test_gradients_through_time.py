"""Gradients against the lag, compared with the product of Jacobians, with backpropagation by hand,
and with finite differences in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from charlm import bptt
from charlm.config import CELLS
from charlm.engine import Engine, Weights, log_softmax, softmax
from charlm.errors import RequestError
from charlm.generate import CharLM
from charlm.inspection import gradients
from charlm.inspection.adapting import torch_model
from charlm.models.language import LanguageModel
from charlm.text.tokenizer import CharTokenizer

TOKENIZER = CharTokenizer("abcdefgh")
IDS = np.random.default_rng(2).integers(8, size=60)
LAGS = 9


def wide(lm: CharLM) -> LanguageModel:
    return torch_model(lm.config, lm.weights).double()


def at(count: int = 60) -> np.ndarray:
    return gradients.places(count, LAGS, 4, 0)


def test_the_rnn_s_is_the_product_of_its_jacobians(make_lm: Callable[..., CharLM]) -> None:
    """h_s = tanh(W x_s + U h_{s-1} + b), so dh_s/dh_{s-1} = diag(1 - h_s^2) U."""
    lm = make_lm(TOKENIZER, cell="rnn")
    weights: Weights = {name: value.astype(np.float64) for name, value in lm.weights.items()}
    U, W = (weights[f"body.layers.0.weight_{part}_l0"] for part in ("hh", "ih"))
    head = weights["body.embedding.weight" if lm.config.tie else "head.weight"]
    found = gradients.flow(wide(lm), IDS, lags=LAGS, wanted=4)
    assert found.states is not None
    engine = Engine(lm.config, weights)
    for row, t in enumerate(at()):
        trace = engine.trace(IDS[None, t - 2 * LAGS : t + 1])
        h = trace.layers[0]["h"][0]  # (2K + 1, H)
        p = softmax(trace.logits[0, -1])
        p[IDS[t + 1]] -= 1
        d = p @ head  # dL/dh_t
        for lag in range(LAGS + 1):
            da = d * (1 - h[-1 - lag] ** 2)
            assert found.inputs[row, lag] == pytest.approx(np.linalg.norm(da @ W), rel=1e-6)
            d = da @ U
            if lag < LAGS:
                assert found.states[row, 0, lag] == pytest.approx(np.linalg.norm(d), rel=1e-6)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_state_s_is_what_truncation_throws_away(
    cell: str, layers: int, make_lm: Callable[..., CharLM]
) -> None:
    """``bptt.backward`` gives the gradient of a window's loss by the state before it; the loss of
    the last character alone is that of the window less that of a window one shorter."""
    lm = make_lm(TOKENIZER, cell=cell, num_layers=layers)
    weights: Weights = {name: value.astype(np.float64) for name, value in lm.weights.items()}
    found = gradients.flow(wide(lm), IDS, lags=LAGS, wanted=4)
    assert found.states is not None
    engine = Engine(lm.config, weights)
    for row, t in enumerate(at()):
        for lag in (1, 2, LAGS):
            first = t - lag + 1
            _, state = engine.forward(IDS[None, t - 2 * LAGS : first], engine.initial_state(1))
            gaps = [np.zeros_like(part) for part in state]
            for sign, stop in ((1, t + 1), (-1, t)):
                if stop > first:
                    read, said = IDS[None, first:stop], IDS[None, first + 1 : stop + 1]
                    window = bptt.backward(lm.config, weights, read, said, state)
                    gaps = [g + sign * part for g, part in zip(gaps, window.initial, strict=True)]
            for layer in range(layers):
                by_hand = np.concatenate([gap[layer].ravel() for gap in gaps])
                assert found.states[row, layer, lag - 1] == pytest.approx(
                    np.linalg.norm(by_hand), rel=1e-5
                )


@pytest.mark.parametrize("cell", CELLS)
def test_an_input_s_is_the_slope_of_the_loss(cell: str, make_lm: Callable[..., CharLM]) -> None:
    """A character that occurs at only one position of the window has an embedding of its own, so
    finite differences of that embedding give the gradient at that position."""
    lm = make_lm(TOKENIZER, cell=cell, num_layers=2, kernel_size=2, tie=False)
    ids = IDS[: 2 * LAGS + 5] % 7
    ids[-3] = 7  # lag 1 of the last of the four places
    found = gradients.flow(wide(lm), ids, lags=LAGS, wanted=4)
    read = ids[-2 * LAGS - 2 :]
    weights: Weights = {name: value.astype(np.float64) for name, value in lm.weights.items()}
    slopes = []
    for unit in range(weights["body.embedding.weight"].shape[1]):
        losses = []
        for sign in (1, -1):
            moved = dict(weights)
            moved["body.embedding.weight"] = weights["body.embedding.weight"].copy()
            moved["body.embedding.weight"][7, unit] += sign * 1e-5
            engine = Engine(lm.config, moved)
            logits, _ = engine.forward(read[None, :-1], engine.initial_state(1))
            losses.append(-log_softmax(logits[0, -1])[read[-1]])
        slopes.append((losses[0] - losses[1]) / 2e-5)
    assert found.inputs[-1, 1] == pytest.approx(np.linalg.norm(slopes), rel=1e-5)


@pytest.mark.parametrize("scale", [0.5, 1.3])
def test_vanishing_and_exploding_by_a_known_factor(
    scale: float, make_lm: Callable[..., CharLM]
) -> None:
    """An RNN whose states are small is linear; with a multiple of a rotation for U, every step back
    multiplies the gradient by that."""
    lm = make_lm(TOKENIZER, cell="rnn", scale=1e-4)
    U = lm.weights["body.layers.0.weight_hh_l0"]
    U[:] = scale * np.linalg.qr(np.random.default_rng(1).standard_normal(U.shape))[0]
    found = gradients.flow(wide(lm), IDS, lags=LAGS, wanted=5)
    median = found.quartiles(0)[1]
    np.testing.assert_allclose(median[1:] / median[:-1], scale, rtol=1e-3)
    assert found.half_life() == pytest.approx(-1 / np.log2(scale), rel=0.1)


@pytest.mark.parametrize("cell", ["window", "conv"])
def test_beyond_what_a_network_sees_there_is_no_gradient(
    cell: str, make_lm: Callable[..., CharLM]
) -> None:
    lm = make_lm(TOKENIZER, cell=cell, num_layers=1, kernel_size=3)
    found = gradients.flow(wide(lm), IDS, lags=LAGS, wanted=4)
    assert found.states is None
    assert (found.inputs[:, :3] > 0).all() and (found.inputs[:, 3:] == 0).all()
    with pytest.raises(RequestError, match="carries no state"):
        found.quartiles(0)


def test_what_becomes_of_a_gradient_is_said() -> None:
    def said(median: list[float]) -> str:
        return gradients.Flow(np.array([median]), None).fading()

    assert said([9, 8, 4, 2, 1]) == "At the input the gradient halves every 1.0 characters."
    assert said([1, 1, 1, 1]) == said([1, 1, 2, 4]) == "At the input the gradient does not vanish."
    assert said([3, 2, 1, 0, 0]) == "At the input the gradient is zero beyond 2 characters back."
    assert said([3, 2, 0, 0]) == "At the input the gradient is zero beyond 1 character back."
    assert said([3, 0, 0]) == "At the input the gradient is zero beyond 0 characters back."
    assert np.isnan(gradients.Flow(np.array([[3.0, 2, 0]]), None).half_life())


def test_quartiles_and_places_by_hand() -> None:
    norms = np.array([[4.0, 1.0], [2.0, 3.0], [0.0, 2.0], [6.0, 4.0], [8.0, 5.0]])
    flow = gradients.Flow(norms, None)
    np.testing.assert_array_equal(flow.quartiles(), [[2, 2], [4, 3], [6, 4]])
    assert set(gradients.places(60, 9, 1000, 0)) == set(range(18, 59))
    assert len(set(gradients.places(60, 9, 7, 0).tolist())) == 7
    with pytest.raises(RequestError, match="at least 23"):
        gradients.places(22, 9, 1, 0)
    assert gradients.places(23, 9, 5, 0).tolist() == [18, 19, 20, 21]


def test_reading_changes_nothing_in_the_model(make_lm: Callable[..., CharLM]) -> None:
    model = wide(make_lm(TOKENIZER, cell="gru"))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    one, other = (gradients.flow(model, IDS, lags=LAGS, wanted=4) for _ in range(2))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    np.testing.assert_array_equal(one.inputs, other.inputs)
