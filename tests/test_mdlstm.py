"""The multi-dimensional LSTM by hand against torch's autograd, central differences and numbers that
are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from charlm.arrays import Floats
from charlm.errors import RequestError
from charlm.mdlstm import (
    BLOCKS,
    Backward,
    Trace,
    Weights,
    backward,
    forward,
    forward_by_diagonals,
    growth,
    initial_weights,
)

B, E, H = 2, 3, 4
CELLS = list(BLOCKS)
PAGES = [(1, 1), (1, 5), (5, 1), (3, 4), (4, 3)]
NAMES = ("W", "U1", "U2", "b")


def case(cell: str, shape: tuple[int, int]) -> tuple[Weights, Floats, Floats]:
    """Weights, pages (B, R, C, E) and the gradients dy (B, R, C, H) that the states receive."""
    rng = np.random.default_rng(7)
    G = len(BLOCKS[cell]) * H
    W, U1, U2, b = (rng.normal(scale=0.6, size=(G, size)) for size in (E, H, H, 1))
    x, dy = rng.normal(size=(B, *shape, E)), rng.normal(size=(B, *shape, H))
    return Weights(W, U1, U2, b[:, 0]), x, dy


def by_autograd(cell: str, weights: Weights, x: Floats, dy: Floats) -> tuple[Floats, Backward]:
    """The states and their gradients; the equations are written again, with lists of states."""
    W, U1, U2, b, page = (
        torch.from_numpy(value.copy()).requires_grad_()
        for value in (weights.W, weights.U1, weights.U2, weights.b, x)
    )
    _, R, C, _ = x.shape
    zero = torch.zeros(B, H, dtype=torch.float64)
    states: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
    for i in range(R):
        for j in range(C):
            h_up, c_up = states.get((i - 1, j), (zero, zero))
            h_left, c_left = states.get((i, j - 1), (zero, zero))
            a = page[:, i, j] @ W.T + h_up @ U1.T + h_left @ U2.T + b
            if cell == "mdlstm":
                a_i, a_f1, a_f2, a_g, a_o = a.chunk(5, 1)
                c = a_f1.sigmoid() * c_up + a_f2.sigmoid() * c_left + a_i.sigmoid() * a_g.tanh()
            else:
                a_f, a_l, a_g, a_o = a.chunk(4, 1)
                s = a_l.sigmoid() * c_up + a_l.neg().sigmoid() * c_left
                c = a_f.sigmoid() * s + a_f.neg().sigmoid() * a_g.tanh()
            states[i, j] = a_o.sigmoid() * c.tanh(), c
    h = torch.stack([states[i, j][0] for i in range(R) for j in range(C)], 1).view(B, R, C, H)
    asked = torch.autograd.grad((h * torch.from_numpy(dy)).sum(), (W, U1, U2, b, page))
    dW, dU1, dU2, db, dx = (gradient.numpy() for gradient in asked)
    return h.detach().numpy(), Backward(Weights(dW, dU1, dU2, db), dx)


@pytest.mark.parametrize("shape", PAGES, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_states_and_gradients_equal_autograd(cell: str, shape: tuple[int, int]) -> None:
    weights, x, dy = case(cell, shape)
    h, theirs = by_autograd(cell, weights, x, dy)
    trace = forward(cell, weights, x)
    np.testing.assert_allclose(trace.h, h, atol=1e-13)
    ours = backward(cell, weights, trace, dy)
    np.testing.assert_allclose(ours.x, theirs.x, atol=1e-12)
    R, C = shape
    for name in NAMES:
        expected = getattr(theirs.weights, name)
        # On a page of one row nothing is above, on one of one column nothing to the left.
        used = {"U1": R > 1, "U2": C > 1}.get(name, True)
        assert (np.abs(expected).max() > 1e-3) == used, f"{name}: the case does not exercise it"
        np.testing.assert_allclose(getattr(ours.weights, name), expected, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_equal_central_differences(cell: str) -> None:
    weights, x, dy = case(cell, (3, 4))
    result = backward(cell, weights, forward(cell, weights, x), dy)
    rng, step = np.random.default_rng(5), 1e-5
    places = [(getattr(weights, name), getattr(result.weights, name), name) for name in NAMES]
    for values, gradient, name in [*places, (x, result.x, "x")]:
        for _ in range(8):
            place = tuple(rng.integers(size) for size in values.shape)
            kept = values[place]
            losses = []
            for value in (kept + step, kept - step):
                values[place] = value
                losses.append(float((forward(cell, weights, x).h * dy).sum()))
            values[place] = kept
            numeric = (losses[0] - losses[1]) / (2 * step)
            assert gradient[place] == pytest.approx(numeric, abs=1e-8), f"{name}{list(place)}"


@pytest.mark.parametrize("shape", PAGES, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_diagonals_give_the_same_states_and_gates(cell: str, shape: tuple[int, int]) -> None:
    weights, x, _ = case(cell, shape)
    one, other = forward(cell, weights, x), forward_by_diagonals(cell, weights, x)
    np.testing.assert_allclose(other.h, one.h, atol=1e-14)
    np.testing.assert_allclose(other.c, one.c, atol=1e-14)
    assert list(one.gates) == list(other.gates) == list(BLOCKS[cell])
    for name, gate in one.gates.items():
        np.testing.assert_allclose(other.gates[name], gate, atol=1e-14)


def one_unit(cell: str, **biases: float) -> Weights:
    """One unit with one input, which goes to g alone; the other gates have constant values."""
    names = BLOCKS[cell]
    W = np.array([[float(name == "g")] for name in names])
    b = np.array([math.log(biases[n] / (1 - biases[n])) if n in biases else 0.0 for n in names])
    return Weights(W, np.zeros_like(W), np.zeros_like(W), b)


def test_a_page_of_two_by_two_by_hand() -> None:
    """The gates are constant, and g = tanh(x) is 0.5, 0.1, -0.2 and 0.3."""
    x = np.arctanh([[0.5, 0.1], [-0.2, 0.3]])[None, :, :, None]
    c = forward("mdlstm", one_unit("mdlstm", i=0.8, f1=0.4, f2=0.5, o=0.9), x).c[0, :, :, 0]
    # 0.8 * 0.5; 0.5 * 0.4 + 0.8 * 0.1; 0.4 * 0.4 - 0.8 * 0.2; 0.4 * 0.28 + 0.5 * 0 + 0.8 * 0.3
    np.testing.assert_allclose(c, [[0.4, 0.28], [0.0, 0.352]], atol=1e-15)
    trace = forward("leaky", one_unit("leaky", f=0.5, l=0.25, o=0.9), x)
    # 0.5 * 0.5; (0.75 * 0.25 + 0.1) / 2; (0.25 * 0.25 - 0.2) / 2;
    # (0.25 * 0.14375 + 0.75 * -0.06875 + 0.3) / 2
    expected = np.array([[0.25, 0.14375], [-0.06875, 0.1421875]])
    np.testing.assert_allclose(trace.c[0, :, :, 0], expected, atol=1e-15)
    np.testing.assert_allclose(trace.h[0, :, :, 0], 0.9 * np.tanh(expected), atol=1e-15)


def test_cells_and_gradients_are_sums_over_paths() -> None:
    """C(i + j, i) paths of f^(i+j) each, forward from the first place and back to it."""
    f, R, C = 0.7, 6, 9
    weights = one_unit("mdlstm", i=0.5, f1=f, f2=f, o=0.5)
    paths = np.array([[math.comb(i + j, i) * f ** (i + j) for j in range(C)] for i in range(R)])
    x = np.zeros((1, R, C, 1))
    x[0, 0, 0] = 1
    c = forward("mdlstm", weights, x).c[0, :, :, 0]
    np.testing.assert_allclose(c, 0.5 * math.tanh(1) * paths, rtol=1e-12)
    sums = [sum(c[i, d - i] for i in range(d + 1)) for d in range(R)]
    np.testing.assert_allclose(sums, c[0, 0] * (2 * f) ** np.arange(R), rtol=1e-12)
    # At x = 0: dh / dc = 0.5 and dc / dx = 0.5. The gradient comes to x(i, j) from the last place.
    x[:], dy = 0, np.zeros((1, R, C, 1))
    dy[0, -1, -1] = 1
    dx = backward("mdlstm", weights, forward("mdlstm", weights, x), dy).x[0, :, :, 0]
    np.testing.assert_allclose(dx, 0.25 * paths[::-1, ::-1], rtol=1e-12)


def test_the_leaky_cell_stays_a_mean_whatever_the_weights() -> None:
    weights, x, _ = case("leaky", (12, 15))
    large = Weights(*(20 * getattr(weights, name) for name in NAMES))
    assert np.abs(forward("leaky", large, 10 * x).c).max() <= 1
    grown = case("mdlstm", (12, 15))[0]
    large = Weights(*(20 * getattr(grown, name) for name in NAMES))
    assert np.abs(forward("mdlstm", large, 10 * x).c).max() > 10


def test_growth_of_untrained_layers() -> None:
    """Exponential with a forget bias of 1: about 1.46 times on each diagonal, and faster as units
    whose gates are more open take over. A constant gate gives the factor exactly."""
    means = growth("mdlstm", 1)
    assert means.shape == (63,)
    assert ((means[30:60] / means[29:59]) > 1.46).all()
    assert growth("mdlstm", -1).max() < 0.5
    assert growth("leaky", 1).max() < 0.5
    assert growth("mdlstm", -1, R=3, C=5).shape == (7,)


@pytest.mark.parametrize("cell", CELLS)
def test_initial_weights(cell: str) -> None:
    weights = initial_weights(cell, E, H, 0.5, np.random.default_rng(1))
    for number, name in enumerate(BLOCKS[cell]):
        rows = slice(number * H, (number + 1) * H)
        for matrix in (weights.U1[rows], weights.U2[rows]):
            np.testing.assert_allclose(matrix @ matrix.T, np.eye(H), atol=1e-12)
        assert (weights.b[rows] == (0.5 if name in ("f", "f1", "f2") else 0)).all()
    assert isinstance(forward(cell, weights, np.zeros((1, 2, 3, E))), Trace)


def test_other_cells_are_refused() -> None:
    weights, x, dy = case("leaky", (2, 2))
    for call in (forward, forward_by_diagonals):
        with pytest.raises(RequestError, match="no cell 'lstm' for a page"):
            call("lstm", weights, x)
    with pytest.raises(RequestError, match="choose one of mdlstm, leaky"):
        backward("gru", weights, forward("leaky", weights, x), dy)
