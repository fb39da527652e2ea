"""Labels that items are written as: torch against NumPy, and what a label is, by finite differences
and by other ways to say the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from charlm.config import CELLS, ModelConfig
from charlm.engine import Engine
from charlm.errors import RequestError
from charlm.itemscore import labelled
from charlm.models.language import LanguageModel, build
from charlm.models.predictor import network_on

V, K, H, E, B, T = 9, 3, 7, 5, 4, 11
Array = NDArray[Any]

BLENDS = np.array([[1, 0, 0], [0, 0, 1], [0.2, 0.5, 0.3], [0, 0, 0]])
every_cell = pytest.mark.parametrize("cell", CELLS)
every_model = pytest.mark.parametrize(
    ("cell", "layers", "tie"), [*((c, 1, False) for c in CELLS), *((c, 2, True) for c in CELLS)]
)


def make(
    cell: str, layers: int = 1, *, tie: bool = False, double: bool = True, vocab_size: int = V
) -> tuple[LanguageModel, Engine]:
    config = ModelConfig.resolve(
        vocab_size=vocab_size,
        cell=cell,
        num_layers=layers,
        hidden_size=H,
        embedding_size=H if tie else E,
        context=4,
        tie=tie,
        task="items",
        num_labels=K,
    )
    model = build(config, 3).eval()
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    if double:
        model = model.double()
    return model, Engine(
        config, {n: p.detach().numpy().copy() for n, p in model.named_parameters()}
    )


def ids_of(seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, V, (B, T))


def in_torch(model: LanguageModel, ids: Array, weights: Array) -> Array:
    state = model.initial_state(B)
    state = (*state[:-1], torch.from_numpy(weights[None]).to(state[-1].dtype))
    logits, after = model(torch.from_numpy(ids), state)
    assert torch.equal(after[-1], state[-1])  # the labels are carried on as they are
    found: Array = logits.detach().numpy()
    return found


@every_model
def test_the_engine_is_torch_and_steps_and_chunks_are_the_whole(
    cell: str, layers: int, tie: bool
) -> None:
    model, engine = make(cell, layers, tie=tie)
    ids, expected = ids_of(), in_torch(model, ids_of(), BLENDS)
    state = labelled(engine.initial_state(B), BLENDS)
    whole, after = engine.forward(ids, state)
    np.testing.assert_allclose(whole, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(after[-1][0], BLENDS)
    chunks, chunked = [], state
    for begin, end in ((0, 1), (1, 6), (6, T)):
        part, chunked = engine.forward(ids[:, begin:end], chunked)
        chunks.append(part)
    np.testing.assert_allclose(np.concatenate(chunks, 1), expected, rtol=1e-9, atol=1e-12)
    stepped = state
    for t in range(T):
        logits, stepped = engine.step(ids[:, t], stepped)
        np.testing.assert_allclose(logits, expected[:, t], rtol=1e-9, atol=1e-12)
    last, _ = engine.last(ids, state)
    np.testing.assert_allclose(last, expected[:, -1], rtol=1e-9, atol=1e-12)


@every_cell
def test_a_row_of_a_step_is_what_it_is_alone_to_the_last_bit(cell: str) -> None:
    _, engine = make(cell, 2, double=False)
    ids = ids_of()
    state = labelled(engine.initial_state(B), BLENDS)
    alone = [labelled(engine.initial_state(1), BLENDS[b : b + 1]) for b in range(B)]
    for t in range(T):
        logits, state = engine.step(ids[:, t], state)
        for b in range(B):
            one, alone[b] = engine.step(ids[b : b + 1, t], alone[b])
            np.testing.assert_array_equal(one[0], logits[b])


@pytest.mark.parametrize("cell", ["lstm", "window"])
def test_a_large_vocabulary_has_no_table_and_the_same_logits(cell: str) -> None:
    model, engine = make(cell, vocab_size=1100)
    assert engine.table is None
    logits, _ = engine.forward(ids_of(), labelled(engine.initial_state(B), BLENDS))
    expected = in_torch(model, ids_of(), BLENDS)
    np.testing.assert_allclose(logits, expected, rtol=1e-9, atol=1e-12)


@every_cell
def test_float32_agrees_as_closely_as_float32_can(cell: str) -> None:
    model, engine = make(cell, 2, double=False)
    logits, _ = engine.forward(ids_of(), labelled(engine.initial_state(B), BLENDS))
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, in_torch(model, ids_of(), BLENDS), atol=2e-5)


def test_the_network_of_a_device_reads_labels_too() -> None:
    _, engine = make("lstm", double=False)
    weights = {
        name: parameter.detach().numpy()
        for name, parameter in make("lstm", double=False)[0].named_parameters()
    }
    network = network_on(torch.device("cpu"), engine.config, weights)
    state = labelled(network.initial_state(B), BLENDS)
    logits, _ = network.forward(ids_of(), state)
    expected, _ = engine.forward(ids_of(), labelled(engine.initial_state(B), BLENDS))
    np.testing.assert_allclose(logits, expected, atol=2e-5)


# -------------------------------------------------------------------------------- what a label is


@every_cell
def test_a_label_is_what_is_added_to_every_embedding(cell: str) -> None:
    """A model without labels whose embeddings have the blend added to them gives the same."""
    model, engine = make(cell, 2)
    parts = {name: p.detach().numpy() for name, p in model.named_parameters()}
    added = BLENDS[2] @ parts.pop("body.labels.weight")
    parts["body.embedding.weight"] = parts["body.embedding.weight"] + added
    shape = engine.config.to_dict() | {"num_labels": 0}
    plain = Engine(ModelConfig(**shape), parts)
    ids = ids_of()
    expected, _ = plain.forward(ids, plain.initial_state(B))
    blends = np.tile(BLENDS[2], (B, 1))
    logits, _ = engine.forward(ids, labelled(engine.initial_state(B), blends))
    np.testing.assert_allclose(logits, expected, rtol=1e-9, atol=1e-12)


@every_cell
def test_labels_have_an_effect_and_it_is_not_the_same(cell: str) -> None:
    model, _ = make(cell)
    one, two = (in_torch(model, ids_of(), np.tile(np.eye(K)[k], (B, 1))) for k in (0, 1))
    assert np.abs(one - two).max() > 1e-3


@pytest.mark.parametrize("cell", ["lstm", "conv"])
def test_labels_in_another_order_with_their_rows_change_nothing(cell: str) -> None:
    model, engine = make(cell)
    order = [2, 0, 1]
    parts = {name: p.detach().numpy() for name, p in model.named_parameters()}
    parts["body.labels.weight"] = parts["body.labels.weight"][order]
    other = Engine(engine.config, parts)
    before, _ = engine.forward(ids_of(), labelled(engine.initial_state(B), BLENDS))
    after, _ = other.forward(ids_of(), labelled(other.initial_state(B), BLENDS[:, order]))
    np.testing.assert_allclose(after, before, rtol=1e-9)


@pytest.mark.parametrize("cell", CELLS)
def test_the_gradient_of_the_labels_is_that_of_finite_differences(cell: str) -> None:
    model, _ = make(cell)
    ids = torch.from_numpy(ids_of())
    state = model.initial_state(B)
    state = (*state[:-1], torch.from_numpy(BLENDS[None]))

    def loss() -> torch.Tensor:
        logits, _ = model(ids[:, :-1], state)
        return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum")

    labels = model.body.labels
    assert labels is not None
    loss().backward()
    gradient = labels.weight.grad
    assert gradient is not None and bool((gradient.abs().sum(1) > 1e-3).all())
    for k in range(K):
        for e in range(E):
            with torch.no_grad():
                difference = 0.0
                for sign in (1, -1):
                    labels.weight[k, e] += sign * 1e-5
                    difference += sign * float(loss()) / 2e-5
                    labels.weight[k, e] -= sign * 1e-5
            assert difference == pytest.approx(float(gradient[k, e]), rel=1e-5, abs=1e-7), (k, e)


# ------------------------------------------------------------------------------------ the shapes


@every_cell
def test_the_configuration_says_what_torch_has(cell: str) -> None:
    for options in ({"task": "items", "num_labels": K}, {"task": "items"}, {}):
        config = ModelConfig.resolve(vocab_size=V, cell=cell, hidden_size=H, **options)
        model = build(config, 1)
        shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
        assert shapes == config.parameter_shapes()
        states = tuple(tuple(part.shape) for part in model.initial_state(B))
        assert states == config.state_shapes(B) == config.carried_shapes(B)


def test_impossible_tasks_are_refused() -> None:
    for task in ("classify", "tag"):
        with pytest.raises(RequestError, match=f"a model for {task} needs labels"):
            ModelConfig.resolve(vocab_size=V, task=task)
        with pytest.raises(RequestError, match="--tie shares the embeddings of characters"):
            ModelConfig.resolve(vocab_size=V, task=task, num_labels=2, tie=True)
