"""The four layers of torch's MDLSTM, by diagonals, against the double loop of ``charlm.mdlstm``."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from charlm import mdlstm
from charlm.arrays import Floats
from charlm.errors import RequestError
from charlm.models.multidim import CORNERS, MDLSTM, Cell, Direction
from charlm.training.optim import hidden_matrices

B, E, H = 3, 4, 5
CELLS: tuple[Cell, ...] = ("mdlstm", "leaky")
PAGES = [(1, 1), (1, 6), (6, 1), (2, 2), (5, 7), (7, 5), (4, 4)]


def layer(cell: Cell, seed: int = 1) -> MDLSTM:
    """In float64, with biases and gates that differ everywhere."""
    torch.manual_seed(seed)
    model = MDLSTM(E, H, cell, forget_bias=0.5).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return model


def weights_of(direction: torch.nn.Module) -> mdlstm.Weights:
    assert isinstance(direction, Direction)
    names = ("weight_ih", "weight_up", "weight_left", "bias")
    return mdlstm.Weights(*(getattr(direction, name).detach().numpy() for name in names))


def turned(pages: Floats, corner: tuple[bool, bool]) -> Floats:
    """The pages (B, R, C, ...) with this corner at the top left; twice changes nothing."""
    down, right = corner
    return pages[:, :: -1 if down else 1, :: -1 if right else 1]


@pytest.mark.parametrize("shape", PAGES, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_four_corners_equal_the_double_loop_on_the_turned_page(
    cell: Cell, shape: tuple[int, int]
) -> None:
    model = layer(cell)
    x = torch.randn(B, *shape, E, dtype=torch.float64, requires_grad=True)
    features = model(x)
    dy = torch.randn_like(features)
    features.backward(dy)
    dx = np.zeros(x.shape)
    for k, (corner, direction) in enumerate(zip(CORNERS, model.layers, strict=True)):
        own = slice(k * H, (k + 1) * H)
        weights = weights_of(direction)
        trace = mdlstm.forward(cell, weights, turned(x.detach().numpy(), corner))
        ours = features[..., own].detach().numpy()
        np.testing.assert_allclose(ours, turned(trace.h, corner), atol=1e-12)
        result = mdlstm.backward(cell, weights, trace, turned(dy[..., own].numpy(), corner))
        dx += turned(result.x, corner)
        for name, matrix in (("ih", "W"), ("up", "U1"), ("left", "U2")):
            gradient = getattr(direction, f"weight_{name}").grad
            expected = getattr(result.weights, matrix)
            np.testing.assert_allclose(gradient.numpy(), expected, atol=1e-10, err_msg=name)
        bias = direction.bias.grad
        assert isinstance(bias, Tensor)
        np.testing.assert_allclose(bias.numpy(), result.weights.b, atol=1e-10)
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), dx, atol=1e-11)


@pytest.mark.parametrize("cell", CELLS)
def test_gradcheck(cell: Cell) -> None:
    """torch's own central differences, of the page and of every parameter."""
    model = layer(cell)
    names = [name for name, _ in model.named_parameters()]

    def features(x: Tensor, *parameters: Tensor) -> Tensor:
        given = dict(zip(names, parameters, strict=True))
        result: Tensor = torch.func.functional_call(model, given, (x,))
        return result

    x = torch.randn(2, 3, 4, E, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(features, (x, *model.parameters()), fast_mode=True)


@pytest.mark.parametrize("shape", [*PAGES, (24, 40)], ids=str)
def test_diagonals_reach_every_place_once_after_the_two_that_it_needs(
    shape: tuple[int, int],
) -> None:
    R, C = shape
    seen: set[tuple[int, int]] = set()
    steps = list(mdlstm.diagonals(R, C))
    for d, (first, end) in enumerate(steps):
        places = {(i, d - i) for i in range(first, end)}
        for i, j in places:
            assert 0 <= i < R and 0 <= j < C
            assert i == 0 or (i - 1, j) in seen
            assert j == 0 or (i, j - 1) in seen
        assert not places & seen
        seen |= places
    assert len(seen) == R * C
    assert len(steps) == R + C - 1


def test_a_page_of_24_by_40_takes_63_steps() -> None:
    assert len(list(mdlstm.diagonals(24, 40))) == 63


@pytest.mark.parametrize("cell", CELLS)
def test_every_place_sees_the_whole_page_and_each_layer_its_quarter(cell: Cell) -> None:
    x = torch.randn(1, 4, 5, E, dtype=torch.float64, requires_grad=True)
    features = layer(cell)(x)
    everywhere = torch.zeros(4, 5, dtype=torch.bool)
    for k, (down, right) in enumerate(CORNERS):
        (dx,) = torch.autograd.grad(
            features[0, 2, 1, k * H : (k + 1) * H].sum(), x, retain_graph=True
        )
        reached = dx[0].abs().sum(-1) > 0
        rows = range(2, 4) if down else range(3)
        columns = range(1, 5) if right else range(2)
        expected = torch.zeros(4, 5, dtype=torch.bool)
        expected[rows.start : rows.stop, columns.start : columns.stop] = True
        assert torch.equal(reached, expected)
        everywhere |= reached
    assert everywhere.all()


def test_a_second_backward_pass_gives_the_same_gradients() -> None:
    model = layer("mdlstm")
    x = torch.randn(B, 3, 4, E, dtype=torch.float64, requires_grad=True)
    loss = model(x).square().sum()
    first = torch.autograd.grad(loss, [x, *model.parameters()], retain_graph=True)
    again = torch.autograd.grad(loss, [x, *model.parameters()])
    assert all(map(torch.equal, first, again))


def test_a_page_without_a_gradient_trains_the_weights_and_so_does_autocast() -> None:
    """Under autocast the layer computes in the type of its weights."""
    model = MDLSTM(E, H).float()
    x = torch.randn(B, 3, 4, E)
    model(x).sum().backward()
    plain = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        features = model(x)
    assert features.dtype == torch.float32
    features.sum().backward()
    for before, parameter in zip(plain, model.parameters(), strict=True):
        assert before is not None and parameter.grad is not None
        assert torch.equal(before, parameter.grad)


@pytest.mark.parametrize("cell", CELLS)
def test_initial_weights(cell: Cell) -> None:
    """Orthogonal for each gate, forget biases as asked, and the four layers differ."""
    torch.manual_seed(2)
    model = MDLSTM(E, H, cell, forget_bias=-0.5)
    for direction in model.layers:
        weights = weights_of(direction)
        for number, name in enumerate(mdlstm.blocks(cell)):
            rows = slice(number * H, (number + 1) * H)
            for matrix in (weights.U1[rows], weights.U2[rows]):
                np.testing.assert_allclose(matrix @ matrix.T, np.eye(H), atol=1e-5)
            expected = -0.5 if name in ("f1", "f2", "f") else 0.0
            assert (weights.b[rows] == expected).all()
    first, second, *_ = map(weights_of, model.layers)
    assert np.abs(first.U1 - second.U1).max() > 0.1
    wide = MDLSTM(2000, H, cell).layers[0]
    assert weights_of(wide).W.std() == pytest.approx(1 / np.sqrt(2000), rel=0.02)


def test_muon_takes_each_matrix_of_each_layer_by_itself() -> None:
    reader = torch.nn.Module()
    reader.body = MDLSTM(E, H)
    names = set(hidden_matrices(reader))
    matrices = ("weight_ih", "weight_up", "weight_left")
    assert names == {f"body.layers.{k}.{name}" for k in range(4) for name in matrices}


def test_other_cells_are_refused() -> None:
    with pytest.raises(RequestError, match="'gru' for a page; choose one of mdlstm, leaky"):
        MDLSTM(E, H, "gru")  # type: ignore[arg-type]


def test_without_gradients_the_features_are_the_same() -> None:
    model, x = layer("leaky"), torch.randn(B, 3, 4, E, dtype=torch.float64)
    with torch.no_grad():
        features = model(x)
    assert not features.requires_grad
    assert torch.equal(features, model(x))
