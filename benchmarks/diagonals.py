"""What reading a page by diagonals saves: ratios of times, measured in turns in one process.

python benchmarks/diagonals.py [--rounds 5]

A page of 24 x 40 has 960 places and 63 diagonals. All figures are for one thread.

1. NumPy, forward, one direction: the double loop over places against whole diagonals
   (`charlm.mdlstm`).
2. torch, forward and backward, four directions: `charlm.models.multidim`, whose backward pass is
   written by hand, against a plain version: the page skewed with padding, every operation recorded
   by autograd. Both give the same gradients; the script checks that.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import common
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from charlm.mdlstm import diagonals, forward, forward_by_diagonals, initial_weights
from charlm.models.multidim import CORNERS, MDLSTM

ROWS, COLUMNS, EMBEDDING, HIDDEN = 24, 40, 8, 19


def recorded(model: MDLSTM, x: Tensor) -> Tensor:
    """The features of ``model``, an mdlstm, every operation recorded by autograd."""
    B, R, C, _ = x.shape
    H = model.hidden_size
    M = model.matrices()  # (4, 5 * H, 2 * H + E + 1), blocks i, f1, f2, o, g
    turned = [x.flip([axis + 1 for axis in (0, 1) if corner[axis]]) for corner in CORNERS]
    read = torch.stack(turned)  # (4, B, R, C, E)
    read = torch.cat([read, read.new_ones(4, B, R, C, 1)], dim=-1)
    lines = torch.einsum("dghe,dbrche->dbrcg", M[:, :, None, 2 * H :], read[..., None, :])
    # Skewed: column i + j of row i, so that a diagonal is a column (van den Oord et al., 2016).
    skewed = torch.stack([F.pad(lines[:, :, i], (0, 0, i, R - 1 - i)) for i in range(R)], dim=2)
    steps = skewed.unbind(3)  # R + C - 1 of (4, B, R, 5 * H)
    h = c = x.new_zeros(4, B, R, H)
    found = []
    for d, (first, end) in enumerate(diagonals(R, C)):
        up_h, up_c = (F.pad(s, (0, 0, 1, 0))[:, :, :-1] for s in (h, c))
        both = torch.cat([up_h, h], dim=-1).flatten(1, 2)  # (4, B * R, 2 * H)
        a = steps[d] + torch.bmm(both, M[:, :, : 2 * H].transpose(1, 2)).view(4, B, R, -1)
        i, f1, f2, o = a[..., : 4 * H].sigmoid().split(H, -1)
        inside = torch.zeros(R, 1)
        inside[first:end] = 1
        c = (f1 * up_c + f2 * c + i * a[..., 4 * H :].tanh()) * inside
        h = o * c.tanh()
        found.append(h)
    whole = torch.stack(found, dim=3)  # (4, B, R, R + C - 1, H)
    pages = torch.stack([whole[:, :, i, i : i + C] for i in range(R)], dim=2)
    back = [
        pages[k].flip([axis + 1 for axis in (0, 1) if corner[axis]])
        for k, corner in enumerate(CORNERS)
    ]
    return torch.cat(back, dim=-1)


def ratio(slow: Callable[[], object], fast: Callable[[], object], rounds: int) -> str:
    """How many times faster ``fast`` is: median, least and most of ``rounds`` in turns."""
    slow(), fast()
    found, times = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        slow()
        middle = time.perf_counter()
        fast()
        times.append((time.perf_counter() - middle) * 1000)
        found.append((middle - began) * 1000 / times[-1])
    return (
        f"{statistics.median(found):.1f} ({min(found):.1f} to {max(found):.1f}) times faster, "
        f"{statistics.median(times):.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(common.describe())
    rng = np.random.default_rng(1)
    weights = initial_weights("mdlstm", EMBEDDING, HIDDEN, -1.0, rng)
    for batch in (1, 32):
        page = rng.normal(size=(batch, ROWS, COLUMNS, EMBEDDING))
        found = ratio(
            lambda page=page: forward("mdlstm", weights, page),  # type: ignore[misc]
            lambda page=page: forward_by_diagonals("mdlstm", weights, page),  # type: ignore[misc]
            rounds,
        )
        print(f"NumPy, forward, {batch} page{'s' if batch > 1 else ''}: diagonals {found}")

    torch.manual_seed(1)
    model = MDLSTM(EMBEDDING, HIDDEN).double()
    x = torch.randn(2, 5, 7, EMBEDDING, dtype=torch.float64)
    gradients = []
    for read in (model, lambda x: recorded(model, x)):
        model.zero_grad()
        read(x).square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)

    model = model.float()
    x = torch.randn(32, ROWS, COLUMNS, EMBEDDING)

    def both_ways(read: Callable[[Tensor], Tensor]) -> None:
        model.zero_grad()
        read(x).sum().backward()

    found = ratio(lambda: both_ways(lambda x: recorded(model, x)), lambda: both_ways(model), rounds)
    print(f"torch, forward and backward, 32 pages: by hand {found}")


if __name__ == "__main__":
    main()
