"""The multi-dimensional LSTM in torch: a page of vectors, read from its four corners.

    features = MDLSTM(E, H)(x)          x (B, R, C, E) -> features (B, R, C, 4 * H)

``charlm.mdlstm`` has the equations of both cells, their gradients and the sources. That page reads
from the top left corner. Here four layers read the same page, each with its own weights, from the
corners of ``CORNERS``, so that the features of a place depend on the whole page (Graves &
Schmidhuber, 2008). A layer of another corner reads the page turned over, and its features are
turned back.

All four layers and all places of a diagonal are one step: R + C - 1 steps in all. Recording each
small operation of a step for autograd costs time, so ``_Sweep`` computes the backward pass by hand,
with the equations of ``charlm.mdlstm.backward`` (``benchmarks/diagonals.py`` measures both).

Arrays inside have their axes in another order than outside: (4, H, rows, B), the four layers, the
units, the places of one diagonal and the batch. So the places above, which are one row earlier in
the diagonal before, are a slice, and each gate is a block that elementwise operations go through in
one piece.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from charlm.mdlstm import blocks, diagonals
from charlm.models.pages import PageBody

Cell: TypeAlias = Literal["mdlstm", "leaky"]

CORNERS = ((False, False), (False, True), (True, False), (True, True))
"""Where each of the four layers begins: (at the bottom, on the right). It reads the page with its
rows, its columns or both in reverse."""

INSIDE = {"mdlstm": ("i", "f1", "f2", "o", "g"), "leaky": ("f", "l", "o", "g")}
"""The order of the blocks inside: all that end in a sigmoid, then g, which ends in a tanh."""


class Direction(nn.Module):
    """The weights of one of the four layers; G blocks of H rows in the order of
    ``charlm.mdlstm.BLOCKS``.

    weight_ih: W (G * H, E); weight_up: U1 (G * H, H); weight_left: U2 (G * H, H); bias: (G * H,)

    "up" and "left" are places of the page as this layer reads it.
    """

    def __init__(self, cell: Cell, embedding_size: int, hidden_size: int) -> None:
        super().__init__()
        rows = len(blocks(cell)) * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(rows, embedding_size))
        self.weight_up = nn.Parameter(torch.empty(rows, hidden_size))
        self.weight_left = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias = nn.Parameter(torch.empty(rows))


class MDLSTM(PageBody):
    """Four multi-dimensional LSTM layers, one from each corner: (B, R, C, E) -> (B, R, C, 4 * H).

    cell: "mdlstm" or "leaky" (``charlm.mdlstm``)
    forget_bias: the initial bias of the forget gates: f1 and f2, or f. With "mdlstm", the
                 cells of an untrained layer grow exponentially along the diagonals for 0 and above
                 (``charlm.mdlstm.growth``).

    Features k * H to (k + 1) * H are those of the layer from ``CORNERS[k]``. Under autocast it
    computes in the type of its weights all the same. Raises RequestError for a cell that does not
    exist.
    """

    def __init__(
        self,
        embedding_size: int,
        hidden_size: int,
        cell: Cell = "mdlstm",
        forget_bias: float = -1.0,
    ) -> None:
        super().__init__()
        self.cell: Cell = cell
        self.embedding_size, self.hidden_size = embedding_size, hidden_size
        self.forget_bias = forget_bias
        self.features = len(CORNERS) * hidden_size
        self.layers = nn.ModuleList(Direction(cell, embedding_size, hidden_size) for _ in CORNERS)
        self.initialize()

    @torch.no_grad()
    def initialize(self) -> None:
        """Draw the initial weights from torch's generator, as ``bodies.initialize_body`` does.

        The recurrent matrices of each gate are orthogonal, the input matrices have variance
        1 / fan-in, and the biases are 0 except those of forget gates.
        """
        H = self.hidden_size
        for layer in self.layers:
            assert isinstance(layer, Direction)
            nn.init.normal_(layer.weight_ih, std=1 / math.sqrt(self.embedding_size))
            nn.init.zeros_(layer.bias)
            for number, name in enumerate(blocks(self.cell)):
                rows = slice(number * H, (number + 1) * H)
                nn.init.orthogonal_(layer.weight_up[rows])
                nn.init.orthogonal_(layer.weight_left[rows])
                if name.startswith("f"):
                    layer.bias[rows] = self.forget_bias

    def forward(self, x: Tensor) -> Tensor:
        """Pages x (B, R, C, E) -> features (B, R, C, 4 * H)."""
        with torch.autocast(x.device.type, enabled=False):
            M = self.matrices()
            keep = torch.is_grad_enabled()
            features: Tensor = _Sweep.apply(x.to(M.dtype), M, self.cell, keep)  # type: ignore[no-untyped-call]
        return features

    def matrices(self) -> Tensor:
        """[U1 U2 W b] of each layer, with the blocks in the order of ``INSIDE``:
        (4, G * H, 2 * H + E + 1)."""
        names = blocks(self.cell)
        order = [names.index(name) for name in INSIDE[self.cell]]
        whole = torch.stack(
            [
                torch.cat([each.weight_up, each.weight_left, each.weight_ih, each.bias[:, None]], 1)
                for each in self.layers
                if isinstance(each, Direction)
            ]
        )
        per_block = whole.view(len(CORNERS), len(names), self.hidden_size, -1)
        return per_block[:, order].flatten(1, 2)


def _orders(R: int, C: int, device: torch.device) -> Tensor:
    """(4, R * C): which place of the page (row * C + column) each layer reads first, second, ...

    The places are in the order of the diagonals, and by row on each.
    """
    page = torch.arange(R * C).view(R, C)
    i = torch.cat([torch.arange(first, end) for first, end in diagonals(R, C)])
    d = torch.cat([torch.full((end - k,), n) for n, (k, end) in enumerate(diagonals(R, C))])
    read = [page.flip([axis for axis in (0, 1) if corner[axis]]) for corner in CORNERS]
    return torch.stack([turned[i, d - i] for turned in read]).to(device)


class _Sweep(torch.autograd.Function):
    """All four layers over a page, by diagonals, with the backward pass by hand.

    The states of a diagonal are in arrays (4, H, R + 1, B): those of row i at i + 1, zeros at 0 and
    where the diagonal has no place. So ``first:end`` of it is above the rows ``first:end`` of the
    next diagonal, and ``first + 1:end + 1`` to the left of them.

    keep: whether a backward pass can follow. It needs what the forward pass computed, about
          (G + 4) * H + E numbers for each place and layer.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, M: Tensor, cell: Cell, keep: bool) -> Tensor:
        B, R, C, E = x.shape
        K, G = M.shape[2], len(INSIDE[cell])
        H = M.shape[1] // G
        state = _lstm_state if cell == "mdlstm" else _leaky_state
        orders = _orders(R, C, x.device)
        read = x.permute(3, 1, 2, 0).reshape(E, R * C, B)
        read = torch.stack([read.index_select(1, order) for order in orders])  # (4, E, R * C, B)
        hidden = x.new_empty(4, H, R * C, B)
        h, c = x.new_zeros(2, 4, H, R + 1, B)
        kept: list[Tensor] = []
        start = 0
        for first, end in diagonals(R, C):
            up, left = slice(first, end), slice(first + 1, end + 1)
            stop = start + end - first
            Z = x.new_empty(4, K, end - first, B)  # what M multiplies: h_up, h_left, x, 1
            Z[:, :H], Z[:, H : 2 * H] = h[:, :, up], h[:, :, left]
            Z[:, 2 * H : -1], Z[:, -1] = read[:, :, start:stop], 1
            gates = torch.bmm(M, Z.flatten(2)).view(4, G, H, end - first, B)
            gates[:, :-1].sigmoid_()
            gates[:, -1].tanh_()
            here = state(gates, c[:, :, up], c[:, :, left])
            tanh_c = torch.tanh(here)
            torch.mul(gates[:, -2], tanh_c, out=hidden[:, :, start:stop])
            if keep:
                kept += (Z, gates, c, tanh_c)
            # Row i of this diagonal is to the left of row i of the next.
            h[:, :, left] = hidden[:, :, start:stop]
            c = x.new_zeros(4, H, R + 1, B)
            c[:, :, left] = here
            start = stop
        ctx.cell, ctx.shape = cell, x.shape
        ctx.save_for_backward(M, orders, *kept)
        # Transposing two axes at a time is twice as fast as three at once, here and below.
        features = x.new_empty(B, R * C, 4, H)
        for k, place in enumerate(orders.argsort(1)):
            by_place = hidden[k].view(H, R * C * B).t().contiguous().view(R * C, B, H)
            features[:, :, k] = by_place.index_select(0, place).transpose(0, 1)
        return features.view(B, R, C, 4 * H)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        M, orders, *kept = ctx.saved_tensors
        B, R, C, E = ctx.shape
        G = len(INSIDE[ctx.cell])
        H = M.shape[1] // G
        gradient = _lstm_gradient if ctx.cell == "mdlstm" else _leaky_gradient
        outer = dy.new_empty(4, H, R * C, B)  # dy as the layers read it
        for k, order in enumerate(orders):
            by_place = dy.reshape(B, R * C, 4, H)[:, :, k].transpose(0, 1).contiguous()
            by_step = by_place.index_select(0, order).view(R * C * B, H)
            outer[k].view(H, R * C * B).copy_(by_step.t())
        dM, MT = torch.zeros_like(M), M.transpose(1, 2).contiguous()
        dread = dy.new_empty(4, E, R * C, B)
        dh, dc = dy.new_zeros(2, 4, H, R + 1, B)
        stop = R * C
        for d, (first, end) in reversed(list(enumerate(diagonals(R, C)))):
            Z, gates, c, tanh_c = kept[4 * d : 4 * d + 4]
            up, left = slice(first, end), slice(first + 1, end + 1)
            start = stop - (end - first)
            # h = o * tanh(c)
            dh_here = dh[:, :, left] + outer[:, :, start:stop]
            da = torch.empty_like(gates)  # of gates first, then of pre-activations
            torch.mul(dh_here, tanh_c, out=da[:, -2])
            dc_here = _through_tanh(dh_here.mul_(gates[:, -2]), tanh_c)
            dc_here += dc[:, :, left]
            dc_up, dc_left = gradient(da, gates, dc_here, c[:, :, up], c[:, :, left])
            dc.zero_()
            dc[:, :, up] = dc_up
            dc[:, :, left] += dc_left
            _through_sigmoid(da[:, :-1], gates[:, :-1], grad_input=da[:, :-1])
            _through_tanh_(da[:, -1], gates[:, -1], grad_input=da[:, -1])
            dM.baddbmm_(da.view(4, G * H, -1), Z.flatten(2).transpose(1, 2))
            dZ = torch.bmm(MT, da.view(4, G * H, -1)).view_as(Z)
            dh.zero_()
            dh[:, :, up] = dZ[:, :H]
            dh[:, :, left] += dZ[:, H : 2 * H]
            dread[:, :, start:stop] = dZ[:, 2 * H : -1]
            stop = start
        if not ctx.needs_input_grad[0]:
            return None, dM, None, None
        dx = dy.new_zeros(E, R * C, B)
        for k, place in enumerate(orders.argsort(1)):
            dx += dread[k].index_select(1, place)
        return dx.permute(2, 1, 0).reshape(B, R, C, E), dM, None, None


_through_tanh = torch.ops.aten.tanh_backward
_through_tanh_ = torch.ops.aten.tanh_backward.grad_input
_through_sigmoid = torch.ops.aten.sigmoid_backward.grad_input


# In the four functions below, gates and da (4, G, H, rows, B) are in the order of INSIDE, and da
# receives the gradients of all gates but o. All others are (4, H, rows, B).


def _lstm_state(gates: Tensor, c_up: Tensor, c_left: Tensor) -> Tensor:
    i, f1, f2, _, g = gates.unbind(1)
    return (i * g).addcmul_(f1, c_up).addcmul_(f2, c_left)


def _lstm_gradient(
    da: Tensor, gates: Tensor, dc: Tensor, c_up: Tensor, c_left: Tensor
) -> tuple[Tensor, Tensor]:
    i, f1, f2, _, g = gates.unbind(1)
    for number, factor in ((0, g), (1, c_up), (2, c_left), (4, i)):
        torch.mul(dc, factor, out=da[:, number])
    return dc * f1, dc * f2


def _leaky_state(gates: Tensor, c_up: Tensor, c_left: Tensor) -> Tensor:
    f, l, _, g = gates.unbind(1)  # noqa: E741 - the name in the equations
    s = torch.lerp(c_left, c_up, l)
    return torch.lerp(g, s, f)


def _leaky_gradient(
    da: Tensor, gates: Tensor, dc: Tensor, c_up: Tensor, c_left: Tensor
) -> tuple[Tensor, Tensor]:
    f, l, _, g = gates.unbind(1)  # noqa: E741 - the name in the equations
    ds = dc * f
    torch.sub(dc, ds, out=da[:, 3])
    torch.mul(ds, c_up - c_left, out=da[:, 1])
    torch.mul(dc, torch.lerp(c_left, c_up, l).sub_(g), out=da[:, 0])
    dc_up = ds * l
    return dc_up, ds - dc_up
