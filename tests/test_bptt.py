"""The hand-written backward pass against torch's autograd and against central differences."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from charlm.arrays import Ids, State
from charlm.bptt import Backward, backward
from charlm.config import ModelConfig
from charlm.engine import Engine, Weights, log_softmax
from charlm.errors import RequestError
from charlm.models.language import LanguageModel, loss_sum

SHAPES: list[dict[str, Any]] = [
    {"cell": "rnn"},
    {"cell": "rnn", "nonlinearity": "relu"},
    {"cell": "gru"},
    {"cell": "lstm"},
    {"cell": "rnn", "num_layers": 3},
    {"cell": "gru", "num_layers": 2, "embedding_size": 3},
    {"cell": "lstm", "num_layers": 3, "embedding_size": 7},
    {"cell": "lstm", "num_layers": 2, "tie": True},
    {"cell": "gru", "tie": True},
]
B, T, V, H = 3, 6, 5, 4
MINIMAL = Path(__file__).parent.parent / "examples" / "minimal.py"


def case(shape: dict[str, Any]) -> tuple[ModelConfig, Weights, Ids, Ids, State]:
    config = ModelConfig.resolve(vocab_size=V, hidden_size=H, **shape)
    rng = np.random.default_rng(3)
    weights: Weights = {
        name: rng.normal(size=size, scale=0.6) for name, size in config.parameter_shapes().items()
    }
    inputs, targets = rng.integers(V, size=(2, B, T))
    state = tuple(
        rng.normal(size=(config.num_layers, B, H)) for _ in range(1 + (config.cell == "lstm"))
    )
    return config, weights, inputs, targets, state


def by_autograd(
    config: ModelConfig, weights: Weights, inputs: Ids, targets: Ids, state: State
) -> Backward:
    model = LanguageModel(config).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(weights[name]))
    start = tuple(torch.from_numpy(part).requires_grad_() for part in state)
    logits, after = model(torch.from_numpy(inputs), start)
    # loss_sum would round to float32, as training wants it.
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), torch.from_numpy(targets).flatten(), reduction="sum"
    )
    assert loss.item() == pytest.approx(loss_sum(logits, torch.from_numpy(targets)).item())
    loss.backward()
    gradients = {
        name: parameter.grad.numpy()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    initial = tuple(part.grad.numpy() for part in start if part.grad is not None)
    return Backward(loss.item(), gradients, initial, tuple(p.detach().numpy() for p in after))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_equal_autograd_in_float64(shape: dict[str, Any]) -> None:
    given = case(shape)
    ours, theirs = backward(*given), by_autograd(*given)
    assert ours.nats == pytest.approx(theirs.nats, rel=1e-12)
    assert set(ours.gradients) == set(theirs.gradients)
    for name, gradient in theirs.gradients.items():
        assert np.abs(gradient).max() > 1e-3, f"{name}: the case does not exercise it"
        np.testing.assert_allclose(ours.gradients[name], gradient, atol=1e-11, err_msg=name)
    for mine, other in zip(ours.initial + ours.state, theirs.initial + theirs.state, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-11)


@pytest.mark.parametrize("shape", [s for s in SHAPES if s.get("nonlinearity") != "relu"], ids=str)
def test_gradients_equal_central_differences(shape: dict[str, Any]) -> None:
    config, weights, inputs, targets, state = case(shape)

    def nats(weights: Weights, state: State) -> float:
        logits, _ = Engine(config, weights).forward(inputs, state)
        return -float(log_softmax(logits)[(*np.indices(targets.shape), targets)].sum())

    result = backward(config, weights, inputs, targets, state)
    rng = np.random.default_rng(5)
    places = [(weights[name], result.gradients[name], name) for name in weights]
    places += [
        (part, gradient, f"state {number}")
        for number, (part, gradient) in enumerate(zip(state, result.initial, strict=True))
    ]
    step = 1e-5
    for values, gradient, name in places:
        for _ in range(4):
            place = tuple(rng.integers(size) for size in values.shape)
            kept = values[place]
            values[place] = kept + step
            above = nats(weights, state)
            values[place] = kept - step
            below = nats(weights, state)
            values[place] = kept
            numeric = (above - below) / (2 * step)
            assert gradient[place] == pytest.approx(numeric, rel=1e-6, abs=1e-7), (name, place)


def test_truncation_loses_the_gradient_through_the_state() -> None:
    """Two short windows have the same loss as a long one, but not the same gradient."""
    config, weights, inputs, targets, state = case({"cell": "lstm", "num_layers": 2})
    whole = backward(config, weights, inputs, targets, state)
    half = T // 2
    first = backward(config, weights, inputs[:, :half], targets[:, :half], state)
    second = backward(config, weights, inputs[:, half:], targets[:, half:], first.state)
    assert whole.nats == pytest.approx(first.nats + second.nats)
    truncated = {name: first.gradients[name] + second.gradients[name] for name in weights}
    # The head is not part of the recurrence, so its gradient is complete ...
    np.testing.assert_allclose(truncated["head.weight"], whole.gradients["head.weight"])
    # ... but the gradient of the recurrent weights lacks the part through the state in between.
    name = "body.layers.0.weight_hh_l0"
    assert np.abs(truncated[name] - whole.gradients[name]).max() > 1e-3
    assert max(np.abs(part).max() for part in second.initial) > 1e-3


def test_a_long_product_of_jacobians_vanishes_or_explodes_with_the_recurrent_gain() -> None:
    """A case with a known result: a linear RNN with one unit has dh_T/dh_0 = u^T."""
    config = ModelConfig.resolve(vocab_size=2, hidden_size=1, cell="rnn", nonlinearity="relu")
    steps = 12
    ids = np.zeros((1, steps), dtype=int)
    initial = {}
    for u in (0.5, 1.0, 1.5):
        weights: Weights = {
            name: np.zeros(shape) for name, shape in config.parameter_shapes().items()
        }
        weights["body.layers.0.weight_hh_l0"][:] = u
        weights["head.weight"][:] = [[1.0], [-1.0]]
        start = (np.full((1, 1, 1), 1e-6),)
        result = backward(config, weights, ids, ids, start)
        # Each step's loss has slope -1/2 * (1 - (-1)) = -1 in h at h = 0, and reaches h_0 by u^t.
        initial[u] = float(result.initial[0][0, 0, 0])
        expected = -sum(u**t for t in range(1, steps + 1))
        assert initial[u] == pytest.approx(expected, rel=1e-3)
    assert abs(initial[0.5]) < abs(initial[1.0]) < abs(initial[1.5])


def load_minimal() -> Any:
    spec = importlib.util.spec_from_file_location("minimal", MINIMAL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_the_minimal_example_learns_and_samples(cell: str) -> None:
    """``examples/minimal.py`` trains with ``backward`` and Adam and nothing else."""
    minimal, symbols = load_minimal(), "abcd"
    rng = np.random.default_rng(1)
    config = ModelConfig.resolve(vocab_size=4, cell=cell, hidden_size=minimal.H)
    weights = minimal.initial_weights(config, rng)
    ids = np.arange(4000) % 4  # "abcdabcd...": no uncertainty after the first character
    losses = list(minimal.train(ids, config, weights, 60, 4e-3))
    assert losses[0] == pytest.approx(np.log(4), rel=0.5)
    assert losses[-1] < 0.05
    text = minimal.sample(config, weights, symbols, 40, rng)
    assert text[1:] in symbols * 20


def test_models_without_recurrence_are_refused() -> None:
    config = ModelConfig.resolve(vocab_size=V, hidden_size=H, cell="window")
    with pytest.raises(RequestError, match="not recurrent"):
        backward(config, {}, np.zeros((1, 1), int), np.zeros((1, 1), int), ())
