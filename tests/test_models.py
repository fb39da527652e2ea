"""The torch models: state, causality, receptive fields, initial weights and dropout."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from charlm.config import CELLS, GATES, RECURRENT_CELLS, ModelConfig
from charlm.engine import Engine
from charlm.models.language import LanguageModel, build, loss_sum

V, H = 11, 12


def make(cell: str, layers: int = 1, *, tie: bool = False, **more: object) -> LanguageModel:
    """A tiny model in which every parameter matters. ``build`` alone leaves biases at zero."""
    options = {"context": 5, "embedding_size": H if tie else 7} | more
    model = build(
        ModelConfig.resolve(
            vocab_size=V, cell=cell, hidden_size=H, num_layers=layers, tie=tie, **options
        ),
        seed=3,
    )
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "bias" in name:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        if not tie:
            model.head.weight *= 10
    return model.eval()


def some_ids(batch: int, length: int, seed: int = 0) -> Tensor:
    return torch.randint(V, (batch, length), generator=torch.Generator().manual_seed(seed))


every_model = pytest.mark.parametrize("tie", [False, True], ids=["untied", "tied"])
every_cell = pytest.mark.parametrize("cell", CELLS)
every_depth = pytest.mark.parametrize("layers", [1, 2, 3])


# ------------------------------------------------------------------------------------------- state


@torch.no_grad()
@every_cell
@every_depth
@every_model
@pytest.mark.parametrize("sizes", [[1, 2, 3, 5, 8, 10], [1] * 29, [28, 1]])
def test_whole_equals_chunks(cell: str, layers: int, tie: bool, sizes: list[int]) -> None:
    model = make(cell, layers, tie=tie)
    ids = some_ids(3, 29)
    whole, end = model(ids, model.initial_state(3))
    state, parts = model.initial_state(3), []
    for chunk in torch.split(ids, sizes, dim=1):
        logits, state = model(chunk, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-5)
    for one, other in zip(state, end, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(
    ("cell", "shape"), [("window", {"context": 1}), ("conv", {"kernel_size": 1})]
)
def test_a_model_that_sees_one_character_has_an_empty_state(
    cell: str, shape: dict[str, Any]
) -> None:
    model = make(cell, 2, **shape)
    ids = some_ids(2, 5)
    whole, state = model(ids, model.initial_state(2))
    assert all(part.numel() == 0 for part in state)
    rest, _ = model(ids[:, 3:], model(ids[:, :3], model.initial_state(2))[1])
    torch.testing.assert_close(rest, whole[:, 3:], rtol=0, atol=1e-5)


@torch.no_grad()
@every_cell
@every_depth
def test_a_state_has_the_shapes_that_the_config_states(cell: str, layers: int) -> None:
    """In torch and in the engine, before the first character and after a few."""
    model = make(cell, layers)
    shapes = model.config.state_shapes(3)
    engine = Engine(model.config, {name: p.numpy() for name, p in model.named_parameters()})
    ids = some_ids(3, 4)
    before = model.initial_state(3)
    assert tuple(tuple(part.shape) for part in before) == shapes
    assert all((part == 0).all() for part in before)
    assert tuple(tuple(part.shape) for part in model(ids, before)[1]) == shapes
    start = engine.initial_state(3)
    assert tuple(part.shape for part in start) == shapes
    assert tuple(part.shape for part in engine.forward(ids.numpy(), start)[1]) == shapes


@every_cell
def test_a_state_follows_the_parameters_to_their_device_and_type(cell: str) -> None:
    for part in make(cell, 2).double().to("meta").initial_state(2):
        assert part.device.type == "meta"
        assert part.dtype == torch.float64


@torch.no_grad()
@every_cell
def test_the_state_matters(cell: str) -> None:
    """Without this, a model that ignores its state would pass the tests above."""
    model = make(cell, 2)
    ids = some_ids(1, 9)
    _, state = model(ids[:, :4], model.initial_state(1))
    carried, _ = model(ids[:, 4:], state)
    fresh, _ = model(ids[:, 4:], model.initial_state(1))
    assert (carried[:, 0] - fresh[:, 0]).abs().max() > 1e-3


@torch.no_grad()
@every_cell
def test_streams_of_a_batch_do_not_mix(cell: str) -> None:
    model = make(cell, 2)
    ids = some_ids(4, 15)
    together, _ = model(ids, model.initial_state(4))
    for row in range(4):
        alone, _ = model(ids[row : row + 1], model.initial_state(1))
        torch.testing.assert_close(alone[0], together[row], rtol=0, atol=1e-5)


@torch.no_grad()
@every_cell
@pytest.mark.parametrize("kind", ["tanh", "relu"])
def test_the_model_does_not_change_the_state_it_is_given(cell: str, kind: str) -> None:
    model = make(cell, 2, nonlinearity=kind)
    _, state = model(some_ids(2, 7), model.initial_state(2))
    before = [part.clone() for part in state]
    model(some_ids(2, 7, seed=1), state)
    assert all(torch.equal(a, b) for a, b in zip(before, state, strict=True))


# --------------------------------------------------------------------------------------- causality


@torch.no_grad()
@every_cell
@every_depth
def test_a_change_reaches_no_earlier_logit_and_some_later_one(cell: str, layers: int) -> None:
    model = make(cell, layers).double()
    ids = some_ids(1, 24)
    changed = ids.clone()
    changed[0, 12] = (changed[0, 12] + 1) % V
    one, _ = model(ids, model.initial_state(1))
    other, _ = model(changed, model.initial_state(1))
    moved = (one - other).abs().amax(dim=(0, 2))  # (T,)
    assert moved[:12].max() == 0
    assert moved[12] > 1e-6
    assert moved[13] > 1e-6


@torch.no_grad()
@pytest.mark.parametrize(
    ("cell", "layers", "reach", "characters"),
    [
        ("window", 1, {"context": 1}, 1),
        ("window", 1, {"context": 5}, 5),
        ("window", 3, {"context": 6}, 6),
        ("conv", 1, {"kernel_size": 1}, 1),
        ("conv", 3, {"kernel_size": 1}, 1),
        ("conv", 1, {"kernel_size": 3}, 3),
        ("conv", 2, {"kernel_size": 3}, 7),
        ("conv", 3, {"kernel_size": 3}, 15),
        ("conv", 4, {"kernel_size": 2}, 16),
        ("conv", 2, {"kernel_size": 5}, 13),
    ],
)
def test_receptive_field_is_exact(
    cell: str, layers: int, reach: dict[str, Any], characters: int
) -> None:
    model = make(cell, layers, **reach).double()
    assert model.config.receptive_field == characters
    last = 20
    ids = some_ids(1, last + 1)

    def moved_by_a_change_at(place: int) -> float:
        changed = ids.clone()
        changed[0, place] = (changed[0, place] + 1) % V
        one, _ = model(ids, model.initial_state(1))
        other, _ = model(changed, model.initial_state(1))
        return float((one[0, last] - other[0, last]).abs().max())

    assert moved_by_a_change_at(last + 1 - characters) > 1e-9
    assert moved_by_a_change_at(last - characters) == 0


@pytest.mark.parametrize("cell", RECURRENT_CELLS)
def test_a_recurrent_model_has_no_receptive_field(cell: str) -> None:
    assert make(cell).config.receptive_field is None


# ------------------------------------------------------------------------------------------- build


@torch.no_grad()
@every_cell
@every_model
@pytest.mark.parametrize("layers", [1, 3])
def test_untrained_loss_is_near_log2_of_the_vocabulary(cell: str, tie: bool, layers: int) -> None:
    config = ModelConfig.resolve(
        vocab_size=60, cell=cell, hidden_size=64, num_layers=layers, tie=tie
    )
    model = build(config, seed=1)
    ids = torch.randint(60, (8, 101), generator=torch.Generator().manual_seed(1))
    logits, _ = model(ids[:, :-1], model.initial_state(8))
    bits = loss_sum(logits, ids[:, 1:]).item() / 800 / math.log(2)
    # A tied head starts larger, because its rows are the embeddings.
    assert abs(bits - math.log2(60)) < (1.0 if tie else 0.05)


@every_cell
def test_build_is_a_pure_function_of_config_and_seed(cell: str) -> None:
    config = ModelConfig.resolve(vocab_size=V, cell=cell, hidden_size=H)
    torch.manual_seed(1)
    one = build(config, seed=7).state_dict()
    torch.manual_seed(2)
    same, other = build(config, seed=7).state_dict(), build(config, seed=8).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["body.embedding.weight"], other["body.embedding.weight"])


def test_build_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    build(ModelConfig.resolve(vocab_size=V, hidden_size=H), seed=7)
    assert torch.equal(torch.get_rng_state(), before)


@every_cell
@every_depth
@every_model
def test_parameters_are_those_that_the_config_lists(cell: str, layers: int, tie: bool) -> None:
    model = make(cell, layers, tie=tie)
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert shapes == model.config.parameter_shapes()
    assert sum(p.numel() for p in model.parameters()) == model.config.num_parameters


def test_forget_gate_starts_open_and_every_other_bias_at_zero() -> None:
    model = build(ModelConfig.resolve(vocab_size=V, hidden_size=H, num_layers=2), seed=1)
    expected = torch.zeros(4 * H)
    expected[H : 2 * H] = 1
    for layer in model.body.layers:
        bias = layer.get_parameter("bias_ih_l0") + layer.get_parameter("bias_hh_l0")
        assert torch.equal(bias, expected)


@pytest.mark.parametrize("cell", RECURRENT_CELLS)
def test_recurrent_matrices_are_orthogonal_gate_by_gate(cell: str) -> None:
    model = build(ModelConfig.resolve(vocab_size=V, cell=cell, hidden_size=H), seed=1)
    gates = torch.split(model.body.layers[0].get_parameter("weight_hh_l0"), H)
    assert len(gates) == GATES[cell]
    for U in gates:
        torch.testing.assert_close(U @ U.T, torch.eye(H), rtol=0, atol=1e-5)
    for one, other in itertools.pairwise(gates):
        assert not torch.allclose(one, other, atol=0.1)


@pytest.mark.parametrize("tie", [False, True])
def test_tie_shares_one_tensor(tie: bool) -> None:
    model = make("gru", tie=tie)
    assert (model.head.weight is model.body.embedding.weight) == tie


@torch.no_grad()
def test_layers_beyond_the_first_are_residual() -> None:
    """A second layer with an output of 0 does not change the features of the first."""
    deep = make("window", 2)
    for parameter in deep.body.layers[1].parameters():
        parameter.zero_()
    ids = some_ids(2, 6)
    features, _ = deep.body(ids, deep.body.initial_state(2))
    deep.body.layers = deep.body.layers[:1]
    first, _ = deep.body(ids, deep.body.initial_state(2))
    assert torch.equal(features, first)


# ----------------------------------------------------------------------------------------- dropout


@torch.no_grad()
@every_cell
def test_dropout_is_active_in_training_only(cell: str) -> None:
    dropped, plain = make(cell, 2, dropout=0.5), make(cell, 2)
    ids = some_ids(2, 9)
    expected, _ = plain(ids, plain.initial_state(2))
    silent, _ = dropped(ids, dropped.initial_state(2))
    assert torch.equal(silent, expected)
    dropped.train()
    noisy, _ = dropped(ids, dropped.initial_state(2))
    again, _ = dropped(ids, dropped.initial_state(2))
    assert not torch.equal(noisy, expected)
    assert not torch.equal(noisy, again)


@torch.no_grad()
@every_cell
def test_dropout_drops_the_stated_share_and_scales_the_rest(cell: str) -> None:
    torch.manual_seed(0)
    model = make(cell, dropout=0.25)
    ids = some_ids(8, 50)
    expected, after = model.body(ids, model.initial_state(8))
    model.train()
    features, noisy_after = model.body(ids, model.initial_state(8))
    kept = features != 0
    assert abs(float(kept.float().mean()) - 0.75) < 0.03
    torch.testing.assert_close(features[kept], (expected / 0.75)[kept], rtol=1e-5, atol=1e-6)
    # Dropout does not apply to the state.
    assert all(torch.equal(a, b) for a, b in zip(after, noisy_after, strict=True))


@every_cell
def test_embedding_dropout_is_dropout_of_the_embedding_matrix(cell: str) -> None:
    """By hand: the same mask, drawn again, on the matrix of a plain model."""
    model, plain = make(cell, 2, embedding_dropout=0.4), make(cell, 2)
    ids = some_ids(8, 50)
    expected, _ = plain(ids, plain.initial_state(8))
    assert torch.equal(model(ids, model.initial_state(8))[0], expected)  # not while it is in use
    model.train()
    torch.manual_seed(3)
    found, _ = model(ids, model.initial_state(8))
    torch.manual_seed(3)
    matrix = plain.body.embedding.weight
    mask = F.dropout(torch.ones_like(matrix), 0.4)
    assert mask.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    with torch.no_grad():
        matrix.mul_(mask)
    torch.testing.assert_close(found, plain(ids, plain.initial_state(8))[0])
    assert not torch.allclose(found, expected, atol=1e-3)
    loss_sum(found, ids).backward()
    gradient = model.body.embedding.weight.grad
    assert gradient is not None and bool((gradient[mask == 0] == 0).all())


def test_loss_sum_is_in_nats_over_every_character() -> None:
    logits = torch.randn(2, 3, V, generator=torch.Generator().manual_seed(0))
    targets = some_ids(2, 3)
    p = F.softmax(logits, dim=-1)
    by_hand = -sum(p[b, t, targets[b, t]].log() for b in range(2) for t in range(3))
    torch.testing.assert_close(loss_sum(logits, targets), by_hand)
