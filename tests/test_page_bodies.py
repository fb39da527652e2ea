"""The bodies that read a page, against loops over its places in NumPy: what each computes, and
which places a feature depends on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charlm.errors import RequestError
from charlm.models.multidim import MDLSTM
from charlm.models.pages import Convolution, Flattened, Kernel, Order, PageBody, ReNet, Separate
from charlm.training.optim import hidden_matrices

Reals = NDArray[np.float64]
Place = tuple[int, int]

B, R, C, E, H = 2, 5, 7, 3, 4

KERNELS: tuple[tuple[Kernel, ...], ...] = (
    ((3, 3, 1, 1),),
    ((3, 5, 1, 1), (3, 3, 2, 1)),
    ((1, 3, 1, 2), (5, 1, 1, 1), (3, 3, 2, 3)),
)
"""Square and oblong ones, close and dilated. The first of the last has gaps."""


def ready(body: PageBody, seed: int = 1) -> PageBody:
    """With weights of its own seed, in float64, with biases that are not 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        body.initialize()
        for parameter in body.double().parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(noise, alpha=0.3)
    return body


def pages(*shape: int, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*(shape or (B, R, C, E)), generator=generator, dtype=torch.float64)


def read(body: PageBody, x: Tensor) -> Reals:
    with torch.no_grad():
        features: Reals = body(x).numpy()
    return features


def moved(body: PageBody, x: Tensor, place: Place) -> set[Place]:
    """The places of the first page whose features change if its vector at ``place`` does."""
    other = x.clone()
    other[(0, *place)] += 1
    differs = (read(body, other) != read(body, x))[0].any(-1)
    return {(int(r), int(c)) for r, c in np.argwhere(differs)}


def places(rows: int, columns: int) -> set[Place]:
    return set(itertools.product(range(rows), range(columns)))


# --------------------------------------------------------------------------------- an LSTM by hand


def sigmoid(x: Reals) -> Reals:
    return np.asarray(1 / (1 + np.exp(-x)))


def lstm(module: nn.Module, x: Reals, suffix: str = "") -> Reals:
    """The hidden states of one sequence: x (T, E) -> (T, H). Gates in torch's order i, f, g, o."""
    w_ih, w_hh, b_ih, b_hh = (
        getattr(module, f"{name}_l0{suffix}").detach().numpy()
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    h = c = np.zeros(w_hh.shape[1])
    states = []
    for vector in x:
        i, f, g, o = np.split(w_ih @ vector + w_hh @ h + b_ih + b_hh, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.array(states)


def both_ways(module: nn.Module, x: Reals) -> Reals:
    """x (T, E) -> (T, 2 * H)"""
    return np.concatenate([lstm(module, x), lstm(module, x[::-1], "_reverse")[::-1]], axis=1)


# ---------------------------------------------------------------------------------------- Flattened


@pytest.mark.parametrize("order", ["rows", "columns"])
def test_a_flattened_page_is_one_sequence(order: Order) -> None:
    body, x = ready(Flattened(E, H, order)), pages()
    reading = [(r, c) for r in range(R) for c in range(C)]
    if order == "columns":
        reading = [(r, c) for c in range(C) for r in range(R)]
    expected = np.zeros((B, R, C, H))
    for b in range(B):
        sequence = np.array([x[b, r, c].numpy() for r, c in reading])
        for (r, c), h in zip(reading, lstm(body.layers[0], sequence), strict=True):
            expected[b, r, c] = h
    np.testing.assert_allclose(read(body, x), expected, atol=1e-12)
    assert moved(body, x, (2, 3)) == set(reading[reading.index((2, 3)) :])


# -------------------------------------------------------------------------------------- Convolution


def convolved(body: Convolution, x: Reals) -> Reals:
    """One page (R, C, E) -> (R, C, F), a place and a tap at a time."""
    rows, columns = x.shape[:2]
    if body.coordinates:
        known = np.zeros((rows, columns, 2))
        for r, c in places(rows, columns):
            known[r, c] = 2 * r / (rows - 1) - 1, 2 * c / (columns - 1) - 1
        x = np.concatenate([x, known], axis=2)
    for number, layer in enumerate(body.layers):
        assert isinstance(layer, nn.Conv2d) and layer.bias is not None
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        tall, wide, down, across = body.kernels[number]
        y = np.zeros((rows, columns, body.features))
        for r, c in places(rows, columns):
            y[r, c] = bias
            for i, j in places(tall, wide):
                near = r + (i - tall // 2) * down, c + (j - wide // 2) * across
                if near in places(rows, columns):
                    y[r, c] += weight[:, :, i, j] @ x[near]
        y = np.maximum(y, 0)
        x = x + y if number else y
    return x


@pytest.mark.parametrize("coordinates", [False, True])
@pytest.mark.parametrize("kernels", KERNELS, ids=str)
def test_a_convolution_equals_a_loop_over_places_and_taps(
    kernels: Sequence[Kernel], coordinates: bool
) -> None:
    body = Convolution(E, H, kernels, coordinates=coordinates)
    ready(body)
    x = pages()
    expected = np.array([convolved(body, page.numpy()) for page in x])
    np.testing.assert_allclose(read(body, x), expected, atol=1e-12)


def reached(kernels: Sequence[Kernel], place: Place, page: set[Place]) -> set[Place]:
    """The places of a page whose features a place has an influence on, layer by layer.

    A layer after the first adds its input; the middle tap of its kernel covers that. No way leads
    over places outside the page: every layer takes them for 0.
    """
    found = {place}
    for tall, wide, down, across in kernels:
        taps = [((i - tall // 2) * down, (j - wide // 2) * across) for i, j in places(tall, wide)]
        found = {(r - i, c - j) for r, c in found for i, j in taps} & page
    return found


@pytest.mark.parametrize("coordinates", [False, True])
@pytest.mark.parametrize("kernels", KERNELS, ids=str)
def test_a_place_moves_the_features_of_its_receptive_field_and_no_others(
    kernels: Sequence[Kernel], coordinates: bool
) -> None:
    body = Convolution(E, H, kernels, coordinates=coordinates)
    ready(body)
    with torch.no_grad():  # nothing is below 0, where ReLU would hide a change
        for parameter in body.parameters():
            parameter.abs_()
            parameter[: H // 2] += 3  # also where coordinates are negative
    rows, columns = body.receptive_field
    tall, wide = rows + 2, columns + 2
    page, x = places(tall, wide), pages(1, tall, wide, E).abs_()
    row, column = tall // 2, wide // 2
    for place in ((row, column), (0, 0), (tall - 1, wide - 1), (0, column), (row, 0)):
        assert moved(body, x, place) == reached(kernels, place, page)
    # The rectangle around the middle: no feature beyond it moves, and some on each side do.
    far = [(r - row, c - column) for r, c in moved(body, x, (row, column))]
    for axis, length in enumerate((rows, columns)):
        distances = [each[axis] for each in far]
        assert (min(distances), max(distances)) == (-(length // 2), length // 2)


def test_the_receptive_field_by_hand() -> None:
    assert Convolution(E, H, [(3, 3, 1, 1)]).receptive_field == (3, 3)
    # 1 + 2 * 1 + 2 * 2 rows, 1 + 4 * 1 + 2 * 1 columns
    assert Convolution(E, H, KERNELS[1]).receptive_field == (7, 7)
    # 1 + 0 + 4 * 1 + 2 * 2 rows, 1 + 2 * 2 + 0 + 2 * 3 columns
    assert Convolution(E, H, KERNELS[2]).receptive_field == (9, 11)


def test_coordinates_are_row_and_column_from_minus_one_to_one() -> None:
    """Four features of a kernel of one place that read nothing else: row, column, and their
    negatives, since a ReLU shows one side only."""
    body = Convolution(E, 4, [(1, 1, 1, 1)], coordinates=True).double()
    weight = body.layers[0].weight
    assert isinstance(weight, Tensor)
    with torch.no_grad():
        weight.zero_()
        for feature, (channel, sign) in enumerate([(E, 1), (E + 1, 1), (E, -1), (E + 1, -1)]):
            weight[feature, channel] = sign
    features = read(body, pages(1, 5, 9, E))[0]
    known = features[..., :2] - features[..., 2:]
    for place, expected in (
        ((0, 0), (-1, -1)),
        ((0, 8), (-1, 1)),
        ((4, 0), (1, -1)),
        ((4, 8), (1, 1)),
        ((2, 4), (0, 0)),
        ((1, 6), (-0.5, 0.5)),
    ):
        np.testing.assert_allclose(known[place], expected, atol=1e-12)


@pytest.mark.parametrize("coordinates", [False, True])
def test_a_shifted_page_has_shifted_features_unless_places_are_known(coordinates: bool) -> None:
    body = Convolution(E, H, KERNELS[1], coordinates=coordinates)
    ready(body)
    rows, columns = body.receptive_field
    tall, wide = 2 * rows + 2, 2 * columns + 3
    x = pages(1, tall, wide, E)
    before, after = read(body, x), read(body, x.roll((2, 3), dims=(1, 2)))
    # Those whose receptive field meets neither an edge nor what roll has brought round.
    top, left = rows // 2, columns // 2
    before = before[:, top : tall - top - 2, left : wide - left - 3]
    after = after[:, top + 2 : tall - top, left + 3 : wide - left]
    if coordinates:
        assert (np.abs(before - after).max(-1) > 1e-3).mean() > 0.95  # a ReLU can be closed twice
    else:
        np.testing.assert_allclose(after, before, atol=1e-12)


@pytest.mark.parametrize("kernel", [(2, 3, 1, 1), (3, 4, 1, 1)])
def test_a_kernel_has_a_middle(kernel: Kernel) -> None:
    with pytest.raises(RequestError, match=rf"{kernel[0]} x {kernel[1]} places has no middle"):
        Convolution(E, H, [(3, 3, 1, 1), kernel])


# -------------------------------------------------------------------------------------------- ReNet


def test_renet_equals_lstms_along_rows_and_then_along_columns() -> None:
    body, x = ready(ReNet(E, H)), pages()
    along_rows, along_columns = body.layers
    for features, page in zip(read(body, x), x.numpy(), strict=True):
        swept = np.array([both_ways(along_rows, page[r]) for r in range(R)])
        expected = np.array([both_ways(along_columns, swept[:, c]) for c in range(C)])
        np.testing.assert_allclose(features, expected.transpose(1, 0, 2), atol=1e-12)


def test_a_place_of_renet_depends_on_its_row_after_one_sweep_and_on_the_page_after_two() -> None:
    body, x = ready(ReNet(E, H)), pages()
    for place in ((0, 0), (2, 3), (R - 1, C - 1)):
        assert moved(body, x, place) == places(R, C)
    first: list[Tensor] = []

    def keep(module: nn.Module, given: Any, result: Any) -> None:
        first.append(result[0].view(B, R, C, 2 * H))

    body.layers[0].register_forward_hook(keep)
    other = x.clone()
    other[0, 2, 3] += 1
    read(body, x)
    read(body, other)
    differs = (first[0] != first[1]).any(-1).numpy()
    expected = np.zeros((B, R, C), dtype=bool)
    expected[0, 2] = True
    np.testing.assert_array_equal(differs, expected)


# ----------------------------------------------------------------------------------------- Separate


def test_separate_has_a_weight_for_every_place() -> None:
    body, x = ready(Separate(E, H, R, C)), pages()
    layer = body.layers[0]
    assert isinstance(layer, nn.Linear)
    weight = layer.weight.detach().numpy().reshape(H, R, C, E)
    assert len(np.unique(weight)) == weight.size
    for features, page in zip(read(body, x), x.numpy(), strict=True):
        expected = layer.bias.detach().numpy().copy()
        for r, c in places(R, C):
            expected += weight[:, r, c] @ page[r, c]
        np.testing.assert_allclose(features, np.maximum(expected, 0), atol=1e-12)
    with torch.no_grad():
        layer.bias.add_(100)  # no feature is at 0, where nothing could be seen
    for r, c in places(R, C):
        other = x.clone()
        other[:, r, c, 0] += 1
        change = read(body, other) - read(body, x)
        np.testing.assert_allclose(change, np.broadcast_to(weight[:, r, c, 0], (B, H)), atol=1e-9)


def test_separate_does_not_know_a_shifted_page_again() -> None:
    body = ready(Separate(E, H, R, C))
    x = torch.zeros(1, R, C, E, dtype=torch.float64)
    x[0, 1, 1] = 3
    assert np.abs(read(body, x) - read(body, x.roll((2, 3), dims=(1, 2)))).max() > 0.1


# -------------------------------------------------------------------------------------- all of them

BODIES: dict[str, Callable[[], PageBody]] = {
    "flattened, rows": lambda: Flattened(E, H),
    "flattened, columns": lambda: Flattened(E, H, "columns"),
    "convolution": lambda: Convolution(E, H, KERNELS[1]),
    "convolution, coordinates": lambda: Convolution(E, H, KERNELS[1], coordinates=True),
    "renet": lambda: ReNet(E, H),
    "mdlstm": lambda: MDLSTM(E, H),
    "separate": lambda: Separate(E, H, R, C),
}
every_body = pytest.mark.parametrize("name", BODIES)


@every_body
def test_only_separate_needs_a_page_of_one_size(name: str) -> None:
    body = ready(BODIES[name]())
    if isinstance(body, Separate):
        assert read(body, pages()).shape == (B, body.features)
        with pytest.raises(RuntimeError):
            body(pages(B, R, C + 1, E))
        return
    for rows, columns in ((R, C), (C, R), (1, 9), (9, 1), (1, 1)):
        x = pages(B, rows, columns, E)
        features = read(body, x)
        assert features.shape == (B, rows, columns, body.features)
        for b in range(B):  # nothing passes from one page of a batch to another
            np.testing.assert_allclose(read(body, x[b : b + 1])[0], features[b], atol=1e-12)


@every_body
def test_initial_weights_come_from_torchs_generator(name: str) -> None:
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        body = BODIES[name]()
        torch.manual_seed(seed)
        body.initialize()
        found.append(torch.cat([each.detach().flatten() for each in body.parameters()]))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize("name", ["flattened, rows", "renet"])
def test_lstms_begin_with_orthogonal_matrices_and_open_forget_gates(name: str) -> None:
    for layer in BODIES[name]().layers:
        assert isinstance(layer, nn.LSTM)
        for end in ("", "_reverse") if layer.bidirectional else ("",):
            for gate in getattr(layer, f"weight_hh_l0{end}").detach().split(H):
                np.testing.assert_allclose(gate @ gate.T, np.eye(H), atol=1e-6)
            bias = getattr(layer, f"bias_ih_l0{end}") + getattr(layer, f"bias_hh_l0{end}")
            expected = [0.0] * H + [1.0] * H + [0.0] * 2 * H
            assert bias.tolist() == expected


@every_body
def test_muon_takes_the_matrices_and_no_kernels(name: str) -> None:
    body = BODIES[name]()
    taken = set(hidden_matrices(nn.ModuleDict({"body": body})))
    assert taken == {f"body.{key}" for key, each in body.named_parameters() if each.ndim == 2}
    assert bool(taken) != isinstance(body, Convolution)
