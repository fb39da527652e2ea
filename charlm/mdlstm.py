"""Multi-dimensional LSTM by hand, in NumPy: forward and backward over the places of a page.

``charlm.bptt`` is the page to read first. There, the copies of a layer form a chain: the state at t
comes from t - 1. Here they form a grid of R rows and C columns, and the state at place (i, j) comes
from two places: the one above, (i - 1, j), and the one to the left, (i, j - 1). So h at a place can
depend on everything above and to the left of it (Graves, Fernandez & Schmidhuber, 2007,
"Multi-Dimensional Recurrent Neural Networks"). Four such layers, one from each corner of the page,
see all of it (Graves & Schmidhuber, 2008, "Offline Handwriting Recognition with Multidimensional
Recurrent Neural Networks"); turning the page is enough to get the other three.

Notation as in ``charlm.bptt``. ``_up`` is the state of the place above, ``_left`` that of the place
to the left; both are zero outside the page. * multiplies element by element. There are no
peepholes: the gates do not see c.

    a = W x + U1 h_up + U2 h_left + b        blocks of H rows, one for each name below

    mdlstm  i, f1, f2, o = sigmoid(a), g = tanh(a)
            c = f1 * c_up + f2 * c_left + i * g
            h = o * tanh(c)

    leaky   f, l, o = sigmoid(a), g = tanh(a)
            s = l * c_up + (1 - l) * c_left
            c = f * s + (1 - f) * g
            h = o * tanh(c)

**Backward.** h and c of a place are used twice in the layer, below and to the right, and h once
more by whatever reads the layer. So dh is a sum of three gradients, and dc a sum of gradients from
the place below, from the place on the right, and from h. The loop runs over the places from the
last to the first; each place adds to the gradients of the two that it used.

**Growth.** A way from (0, 0) to (i, j) goes down i times and right j times, in any order. There are
C(i + j, i) of them, a binomial coefficient, and gradients are sums over paths. With forget gates of
f everywhere, a 1 that is put into c at (0, 0) is C(i + j, i) * f^(i+j) at (i, j), and the sum over
the diagonal i + j = d is (2 f)^d. In a chain, f at most 1 prevents growth. Here f1 + f2 must be at
most 1: above that, cells and gradients grow exponentially along the diagonal, below that they
vanish. A forget bias of 1, usual for a chain, gives f1 + f2 = 1.46. From one corner of a page of
24 x 40 to the other, that is C(62, 23) * 0.731^62 = 2.2e8. With f = 3/4:

>>> one = np.zeros((1, 4, 4, 1))
>>> one[:, 0, 0] = 1
>>> W, bias = np.zeros((5, 1)), np.array([20, np.log(3), np.log(3), 0, 0])  # i = 1, f1 = f2 = 3/4
>>> W[3] = 20  # g = tanh(20 x): 1 at the first place, 0 at all others
>>> weights = Weights(W, np.zeros((5, 1)), np.zeros((5, 1)), bias)
>>> forward("mdlstm", weights, one).c[0, :, :, 0].round(2)
array([[1.  , 0.75, 0.56, 0.42],
       [0.75, 1.12, 1.27, 1.27],
       [0.56, 1.27, 1.9 , 2.37],
       [0.42, 1.27, 2.37, 3.56]])

The ``leaky`` cell cannot grow: c is a mean of c_up, c_left and g, with weights that the gates
choose, so |c| is at most 1 everywhere. It is a relative of the LeakyLP cell of Leifert et al.
(2016, "Cells in Multidimensional Recurrent Neural Networks"), which has the same s and c. Theirs
has one more gate and the output h = tanh(o1 * c + o2 * s), a low-pass filter of the state; ours
keeps the LSTM's output. On the first row c_up is zero and still takes part in the mean, so a state
leaks there at every step, as it does on the first column.

**Diagonals.** The double loop takes R * C steps. But all places with the same i + j = d depend
only on those with i + j = d - 1, so a whole diagonal is one step: R + C - 1 steps, 63 instead of
960 for 24 x 40. Van den Oord, Kalchbrenner & Kavukcuoglu (2016, "Pixel Recurrent Neural Networks")
skew the image with padding so that its diagonals become columns. ``forward_by_diagonals`` takes of
each diagonal the rows that exist, without padding. ``charlm.models.multidim`` trains that way.

tests/test_mdlstm.py checks every gradient against torch's autograd and against central differences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from charlm.arrays import Floats
from charlm.engine import sigmoid
from charlm.errors import RequestError

BLOCKS = {"mdlstm": ("i", "f1", "f2", "g", "o"), "leaky": ("f", "l", "g", "o")}
"""The blocks of H rows in W, U1, U2 and b, in their order, by cell."""


@dataclass(frozen=True)
class Weights:
    """The weights of one direction, or their gradients. G is the number of blocks of the cell.

    W: (G * H, E); U1: (G * H, H), for the place above; U2: (G * H, H), for the place to the left;
    b: (G * H,)
    """

    W: Floats
    U1: Floats
    U2: Floats
    b: Floats


@dataclass(frozen=True)
class Trace:
    """What a forward pass computed at every place.

    x: the input (B, R, C, E); h, c: (B, R, C, H); gates: name of a block -> (B, R, C, H)
    """

    x: Floats
    h: Floats
    c: Floats
    gates: dict[str, Floats]


@dataclass(frozen=True)
class Backward:
    """The gradients of one page: ``weights`` in the shapes of the weights, ``x`` (B, R, C, E)."""

    weights: Weights
    x: Floats


def blocks(cell: str) -> tuple[str, ...]:
    """The names of the blocks of a cell. Raises RequestError for a cell that does not exist.

    >>> blocks("leaky")
    ('f', 'l', 'g', 'o')
    """
    if cell not in BLOCKS:
        raise RequestError(f"no cell {cell!r} for a page; choose one of {', '.join(BLOCKS)}")
    return BLOCKS[cell]


def diagonals(R: int, C: int) -> Iterator[tuple[int, int]]:
    """For every d, the rows of the places with i + j = d: from the first to before the last.

    Row i of diagonal d is the place (i, d - i).

    >>> list(diagonals(2, 3))
    [(0, 1), (0, 2), (0, 2), (1, 2)]
    >>> len(list(diagonals(24, 40)))
    63
    """
    for d in range(R + C - 1):
        yield max(0, d - C + 1), min(R - 1, d) + 1


def _gates(cell: str, a: Floats) -> dict[str, Floats]:
    """Pre-activations (..., G * H) to gates, each (..., H)."""
    names = blocks(cell)
    parts = zip(names, np.split(a, len(names), axis=-1), strict=True)
    return {name: np.tanh(part) if name == "g" else sigmoid(part) for name, part in parts}


def _cell_state(cell: str, gates: dict[str, Floats], c_up: Floats, c_left: Floats) -> Floats:
    if cell == "mdlstm":
        i, f1, f2, g, _ = gates.values()
        return f1 * c_up + f2 * c_left + i * g
    f, l, g, _ = gates.values()  # noqa: E741 - the name in the equations
    s = l * c_up + (1 - l) * c_left
    return f * s + (1 - f) * g


def _margined(x: Floats, size: int) -> Floats:
    """Zeros (B, R + 1, C + 1, size): the places of a page and a margin below and on the right.

    Index -1 is the last, so the margin is also what is above the first row and to the left of the
    first column. That of the states stays zero. The backward pass adds to that of the gradients,
    but nothing reads it.
    """
    B, R, C, _ = x.shape
    return np.zeros((B, R + 1, C + 1, size), x.dtype)


def forward(cell: str, weights: Weights, x: Floats) -> Trace:
    """All states and gates of a page x (B, R, C, E), place by place.

    Raises RequestError for a cell that does not exist.
    """
    W, U1, U2, b = weights.W, weights.U1, weights.U2, weights.b
    _, R, C, _ = x.shape
    H = U1.shape[1]
    h, c = _margined(x, H), _margined(x, H)
    gates = {name: np.empty_like(h[:, :R, :C]) for name in blocks(cell)}
    for i in range(R):
        for j in range(C):
            a = x[:, i, j] @ W.T + h[:, i - 1, j] @ U1.T + h[:, i, j - 1] @ U2.T + b
            here = _gates(cell, a)
            c[:, i, j] = _cell_state(cell, here, c[:, i - 1, j], c[:, i, j - 1])
            h[:, i, j] = here["o"] * np.tanh(c[:, i, j])
            for name, value in here.items():
                gates[name][:, i, j] = value
    return Trace(x, h[:, :R, :C], c[:, :R, :C], gates)


def forward_by_diagonals(cell: str, weights: Weights, x: Floats) -> Trace:
    """``forward``, with one step for each diagonal: the same numbers in R + C - 1 steps."""
    W, U1, U2, b = weights.W, weights.U1, weights.U2, weights.b
    _, R, C, _ = x.shape
    H = U1.shape[1]
    h, c = _margined(x, H), _margined(x, H)
    gates = {name: np.empty_like(h[:, :R, :C]) for name in blocks(cell)}
    for d, (first, end) in enumerate(diagonals(R, C)):
        i = np.arange(first, end)
        j = d - i
        a = x[:, i, j] @ W.T + h[:, i - 1, j] @ U1.T + h[:, i, j - 1] @ U2.T + b
        here = _gates(cell, a)
        c[:, i, j] = _cell_state(cell, here, c[:, i - 1, j], c[:, i, j - 1])
        h[:, i, j] = here["o"] * np.tanh(c[:, i, j])
        for name, value in here.items():
            gates[name][:, i, j] = value
    return Trace(x, h[:, :R, :C], c[:, :R, :C], gates)


def backward(cell: str, weights: Weights, trace: Trace, dy: Floats) -> Backward:
    """The exact gradients of a page, from dy (B, R, C, H): the gradient that every h receives from
    what reads the layer.

    Raises RequestError for a cell that does not exist.
    """
    W, U1, U2 = weights.W, weights.U1, weights.U2
    x, gates = trace.x, trace.gates
    _, R, C, H = dy.shape
    names = blocks(cell)
    # With the margin, [i - 1, j] and [i, j - 1] are right at the edges too.
    h, c, dh, dc = (_margined(x, H) for _ in range(4))
    h[:, :R, :C], c[:, :R, :C], dh[:, :R, :C] = trace.h, trace.c, dy
    da = np.empty((*x.shape[:3], len(names) * H), x.dtype)
    for i in reversed(range(R)):
        for j in reversed(range(C)):
            here = {name: value[:, i, j] for name, value in gates.items()}
            c_up, c_left = c[:, i - 1, j], c[:, i, j - 1]
            # Both places that use h and c of this one were visited before: the sums are complete.
            # h = o * tanh(c)
            tanh_c = np.tanh(c[:, i, j])
            dgates = {"o": dh[:, i, j] * tanh_c}
            dc_here = dc[:, i, j] + dh[:, i, j] * here["o"] * (1 - tanh_c**2)
            if cell == "mdlstm":
                # c = f1 * c_up + f2 * c_left + i * g
                dgates["i"], dgates["g"] = dc_here * here["g"], dc_here * here["i"]
                dgates["f1"], dgates["f2"] = dc_here * c_up, dc_here * c_left
                dc[:, i - 1, j] += dc_here * here["f1"]
                dc[:, i, j - 1] += dc_here * here["f2"]
            else:
                # c = f * s + (1 - f) * g, s = l * c_up + (1 - l) * c_left
                s = here["l"] * c_up + (1 - here["l"]) * c_left
                dgates["f"], dgates["g"] = dc_here * (s - here["g"]), dc_here * (1 - here["f"])
                ds = dc_here * here["f"]
                dgates["l"] = ds * (c_up - c_left)
                dc[:, i - 1, j] += ds * here["l"]
                dc[:, i, j - 1] += ds * (1 - here["l"])
            # g = tanh(a), all others sigmoid(a)
            da[:, i, j] = np.concatenate(
                [
                    dgates[name] * (1 - y**2 if name == "g" else y * (1 - y))
                    for name, y in here.items()
                ],
                axis=1,
            )
            dh[:, i - 1, j] += da[:, i, j] @ U1
            dh[:, i, j - 1] += da[:, i, j] @ U2
    # Shared weights: one matrix product sums over all pages of the batch and all places.
    rows, columns = np.arange(R)[:, None] - 1, np.arange(C)[None] - 1
    return Backward(
        Weights(
            W=_outer(da, x),
            U1=_outer(da, h[:, rows, columns + 1]),
            U2=_outer(da, h[:, rows + 1, columns]),
            b=da.sum((0, 1, 2)),
        ),
        x=da @ W,
    )


def initial_weights(
    cell: str, E: int, H: int, forget_bias: float, rng: np.random.Generator
) -> Weights:
    """Weights drawn as ``charlm.models.multidim`` draws them: the recurrent matrix of each gate is
    orthogonal, W has variance 1 / E, and the biases are 0 except those of forget gates."""
    names = blocks(cell)

    def orthogonal() -> Floats:
        return np.concatenate([np.linalg.qr(rng.normal(size=(H, H)))[0] for _ in names])

    b = np.repeat([forget_bias if name.startswith("f") else 0.0 for name in names], H)
    W = rng.normal(size=(len(names) * H, E)) / np.sqrt(E)
    return Weights(W, orthogonal(), orthogonal(), b)


def growth(
    cell: str,
    forget_bias: float,
    R: int = 24,
    C: int = 40,
    hidden_size: int = 24,
    embedding_size: int = 8,
    pages: int = 8,
    seed: int = 0,
) -> Floats:
    """The mean of |c| on every diagonal, (R + C - 1,), in an untrained layer on random pages.

    With a forget bias of 1, f1 + f2 = 1.46 and c grows. With 0, the sum is 1 on average, but not
    in every unit and place, and those above 1 decide. With -1 (0.54) c does not grow:

    >>> [f"{mean:.2g}" for mean in growth("mdlstm", 1)[[0, 20, 40, 60]]]
    ['0.27', '1e+02', '3.9e+06', '9.2e+10']
    >>> [f"{mean:.2g}" for mean in growth("mdlstm", 0)[[0, 20, 40, 60]]]
    ['0.27', '1.6', '1.6e+02', '3.8e+04']
    >>> [f"{mean:.2g}" for mean in growth("mdlstm", -1)[[0, 20, 40, 60]]]
    ['0.27', '0.34', '0.34', '0.34']
    >>> [f"{mean:.2g}" for mean in growth("leaky", 1)[[0, 20, 40, 60]]]
    ['0.17', '0.21', '0.21', '0.21']
    """
    rng = np.random.default_rng(seed)
    weights = initial_weights(cell, embedding_size, hidden_size, forget_bias, rng)
    x = rng.normal(size=(pages, R, C, embedding_size))
    c = np.abs(forward_by_diagonals(cell, weights, x).c).mean((0, 3))  # (R, C)
    i, j = np.indices((R, C))
    sums = np.bincount((i + j).ravel(), c.ravel())
    means: Floats = sums / np.bincount((i + j).ravel())
    return means


def _outer(left: Floats, right: Floats) -> Floats:
    """Sum of the outer products over batch and places: (B, R, C, M), (B, R, C, N) -> (M, N)."""
    product: Floats = left.reshape(-1, left.shape[-1]).T @ right.reshape(-1, right.shape[-1])
    return product
