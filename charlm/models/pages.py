"""Bodies that read a page: a vector at every place of R rows and C columns.

    features = body(x)               x (B, R, C, E) -> features (B, R, C, F)

    Flattened      an LSTM over the page as one long text, row by row or column by column
    Convolution    2-D convolutions: each feature depends on a rectangle around its place; with
                   ``coordinates`` every place also knows its row and its column (CoordConv; Liu et
                   al., 2018)
    ReNet          LSTMs along every row, both ways, then along every column of what they found
                   (Visin et al., 2015)
    multidim.MDLSTM    a state that comes from the place above and from the place to the left,
                   from each of the four corners (Graves, Fernandez & Schmidhuber, 2007)
    Separate       a feedforward network with a weight for every place: (B, R, C, E) -> (B, F)

All but the last share their weights between the places, and take pages of any size. ``layers`` has
the matrices that Muon may take (``charlm.training.optim``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charlm.errors import RequestError

Order: TypeAlias = Literal["rows", "columns"]

Kernel: TypeAlias = tuple[int, int, int, int]
"""Rows and columns of a kernel, and the distance between its rows and between its columns."""


class PageBody(nn.Module):
    """The base of the bodies above. ``features`` is F."""

    features: int
    layers: nn.ModuleList

    def initialize(self) -> None:
        """Draw the initial weights from torch's generator."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Pages x (B, R, C, E) -> features (B, R, C, F)."""
        raise NotImplementedError


class Flattened(PageBody):
    """One LSTM over all places, row by row or column by column: a text without line ends."""

    def __init__(self, embedding_size: int, hidden_size: int, order: Order = "rows") -> None:
        super().__init__()
        self.order, self.features = order, hidden_size
        self.layers = nn.ModuleList([nn.LSTM(embedding_size, hidden_size, batch_first=True)])
        self.initialize()

    def initialize(self) -> None:
        _initialize_lstm(self.layers[0])

    def forward(self, x: Tensor) -> Tensor:
        if self.order == "columns":
            x = x.transpose(1, 2)
        B, lines, places, E = x.shape
        y: Tensor = self.layers[0](x.reshape(B, lines * places, E))[0]
        y = y.view(B, lines, places, self.features)
        return y.transpose(1, 2) if self.order == "columns" else y


class Convolution(PageBody):
    """Convolutions with ReLU; from the second on, a layer adds its input to its output.

    kernels: one for each layer
    coordinates: whether the first layer also reads each place's row and column, from -1 to 1

    Beyond the edge of the page everything is 0. Raises RequestError for a kernel without a middle,
    with an even number of rows or columns.
    """

    def __init__(
        self,
        embedding_size: int,
        hidden_size: int,
        kernels: Sequence[Kernel],
        *,
        coordinates: bool = False,
    ) -> None:
        super().__init__()
        for rows, columns, _, _ in kernels:
            if not rows % 2 or not columns % 2:
                raise RequestError(
                    f"a kernel of {rows} x {columns} places has no middle: rows and columns must "
                    "be odd"
                )
        self.kernels, self.coordinates, self.features = tuple(kernels), coordinates, hidden_size
        self.layers = nn.ModuleList()
        read = embedding_size + 2 * coordinates
        for rows, columns, down, across in kernels:
            self.layers.append(
                nn.Conv2d(
                    read,
                    hidden_size,
                    (rows, columns),
                    padding=(rows // 2 * down, columns // 2 * across),
                    dilation=(down, across),
                )
            )
            read = hidden_size
        self.initialize()

    @property
    def receptive_field(self) -> tuple[int, int]:
        """Rows and columns of the rectangle that a feature depends on."""
        rows = 1 + sum((kernel[0] - 1) * kernel[2] for kernel in self.kernels)
        columns = 1 + sum((kernel[1] - 1) * kernel[3] for kernel in self.kernels)
        return rows, columns

    @torch.no_grad()
    def initialize(self) -> None:
        for layer in self.layers:
            assert isinstance(layer, nn.Conv2d)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)  # (B, E, R, C)
        if self.coordinates:
            x = torch.cat([x, _coordinates(x)], dim=1)
        x = x.contiguous(memory_format=torch.channels_last)
        for number, layer in enumerate(self.layers):
            y = F.relu(layer(x))
            x = x + y if number else y
        return x.permute(0, 2, 3, 1)


def _coordinates(x: Tensor) -> Tensor:
    """The row and the column of each place, from -1 to 1: x (B, E, R, C) -> (B, 2, R, C)."""
    B, _, R, C = x.shape
    down = torch.linspace(-1, 1, R, device=x.device, dtype=x.dtype)
    across = torch.linspace(-1, 1, C, device=x.device, dtype=x.dtype)
    grid = torch.stack(torch.meshgrid(down, across, indexing="ij"))
    return grid.expand(B, 2, R, C)


class ReNet(PageBody):
    """LSTMs along the rows in both directions, then others along the columns of their features.

    After the first sweep a place knows its row, after the second the whole page.
    """

    def __init__(self, embedding_size: int, hidden_size: int) -> None:
        super().__init__()
        self.features = 2 * hidden_size
        self.layers = nn.ModuleList(
            nn.LSTM(read, hidden_size, batch_first=True, bidirectional=True)
            for read in (embedding_size, 2 * hidden_size)
        )
        self.initialize()

    def initialize(self) -> None:
        for layer in self.layers:
            _initialize_lstm(layer)

    def forward(self, x: Tensor) -> Tensor:
        B, R, C, E = x.shape
        along_rows, along_columns = self.layers
        y: Tensor = along_rows(x.reshape(B * R, C, E))[0]
        y = y.view(B, R, C, self.features).transpose(1, 2)
        y = along_columns(y.reshape(B * C, R, self.features))[0]
        return y.view(B, C, R, self.features).transpose(1, 2)


class Separate(PageBody):
    """A feedforward network: every place of a page of that size has weights of its own."""

    def __init__(self, embedding_size: int, hidden_size: int, rows: int, columns: int) -> None:
        super().__init__()
        self.features = hidden_size
        places = rows * columns * embedding_size
        self.layers = nn.ModuleList([nn.Linear(places, hidden_size)])
        self.initialize()

    @torch.no_grad()
    def initialize(self) -> None:
        layer = self.layers[0]
        assert isinstance(layer, nn.Linear)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, R, C, E) -> (B, F): what it has read is no longer at any place."""
        return F.relu(self.layers[0](x.flatten(1)))


@torch.no_grad()
def _initialize_lstm(lstm: nn.Module) -> None:
    """As ``charlm.models.bodies.initialize_body``: orthogonal recurrent matrices, input matrices of
    variance 1 / fan-in, forget bias 1."""
    assert isinstance(lstm, nn.LSTM)
    H = lstm.hidden_size
    for name, parameter in lstm.named_parameters():
        if "weight_hh" in name:
            for gate in parameter.split(H):
                nn.init.orthogonal_(gate)
        elif "weight_ih" in name:
            nn.init.normal_(parameter, std=1 / math.sqrt(parameter.shape[1]))
        else:
            nn.init.zeros_(parameter)
            if "bias_ih" in name:
                parameter[H : 2 * H] = 1.0
