"""The readers: bodies that read a page, with a head that answers.

    feedforward         a weight for every place of the page
    feedforward-wide    the same with many more parameters and training steps: it has its own row,
                        outside the comparison
    lstm                an LSTM over the page as one text, row by row
    lstm-columns        the same, column by column
    conv                four 2-D convolutions
    coordconv           the same, and every place knows its row and its column
    renet               LSTMs along the rows, both ways, then along the columns
    mdlstm              a multi-dimensional LSTM from each corner
    mdlstm-leaky        the same with a cell whose state cannot grow

All but feedforward-wide have the same number of parameters within five percent. The answer is the
same for all of them: a place and a value.

    place    a score for every place: which is the last digit of the asked number? (A pointer: a
             softmax over the page.) The last digit, because a reader that goes from left to right
             has then read the whole number.
    value    the four digits. The features of every place are multiplied by a gate, the sigmoid of
             its score; of each feature the head sees the largest value over all places plus the
             smallest. (The features of a convolution are never negative: for it that is the global
             maximum.)

The feedforward readers have no features at a place: a linear layer scores all places, another the
digits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from charlm.arrays import Ids
from charlm.experiments.page.layouts import COLUMNS, DIGITS, ROWS
from charlm.experiments.widths import width_for
from charlm.models.multidim import MDLSTM
from charlm.models.pages import Convolution, Flattened, Kernel, PageBody, ReNet, Separate
from charlm.text.tokenizer import CharTokenizer

PARAMETERS = 21_300
"""Parameters of every reader, within five percent."""

EMBEDDING = 8

KERNELS: tuple[Kernel, ...] = ((3, 5, 1, 1), (3, 5, 1, 2), (3, 5, 1, 3), (3, 5, 1, 3))
"""Of the convolutions: 9 x 37 places in all. The words are at most two rows above the last digit of
their number, or begin at most 18 characters before it."""

VALUE_WEIGHT = 4.0
"""Weight of the mean loss of a digit; the place has 1. So a page's four digits count one each."""


@dataclass(frozen=True)
class Shape:
    """What a reader of some kind needs to be built: its width and the size of its pages."""

    embedding_size: int
    hidden_size: int
    rows: int
    columns: int

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_dict(cls, values: Any) -> Shape:
        """The inverse of ``to_json``; ValueError for anything else."""
        if not isinstance(values, dict) or set(values) != set(cls.__dataclass_fields__):
            raise ValueError("no shape of a reader")
        return cls(**values)


@dataclass(frozen=True)
class Kind:
    """A kind of reader.

    body: makes its body
    parameters: how many it has, embedding and heads included
    embedding_size: of its characters
    times: how many times as many steps it is trained for
    """

    name: str
    body: Callable[[Shape], PageBody]
    parameters: int = PARAMETERS
    embedding_size: int = EMBEDDING
    times: int = 1

    @property
    def separate(self) -> bool:
        """Whether it has weights of its own for every place, and so one size of pages."""
        return self.name.startswith("feedforward")


def _separate(shape: Shape) -> PageBody:
    return Separate(shape.embedding_size, shape.hidden_size, shape.rows, shape.columns)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("feedforward", _separate, embedding_size=2),
        Kind("feedforward-wide", _separate, parameters=1_000_000, times=8),
        Kind("lstm", lambda shape: Flattened(shape.embedding_size, shape.hidden_size)),
        Kind(
            "lstm-columns",
            lambda shape: Flattened(shape.embedding_size, shape.hidden_size, "columns"),
        ),
        Kind("conv", lambda shape: Convolution(shape.embedding_size, shape.hidden_size, KERNELS)),
        Kind(
            "coordconv",
            lambda shape: Convolution(
                shape.embedding_size, shape.hidden_size, KERNELS, coordinates=True
            ),
        ),
        Kind("renet", lambda shape: ReNet(shape.embedding_size, shape.hidden_size)),
        Kind("mdlstm", lambda shape: MDLSTM(shape.embedding_size, shape.hidden_size)),
        Kind(
            "mdlstm-leaky",
            lambda shape: MDLSTM(shape.embedding_size, shape.hidden_size, "leaky", 1.0),
        ),
    )
}


@dataclass(frozen=True)
class Vocabulary:
    """The characters of pages as numbers; any other character is read as unknown."""

    tokenizer: CharTokenizer

    @classmethod
    def of(cls, characters: str) -> Vocabulary:
        return cls(CharTokenizer("".join(sorted(set(characters) | {" "})), unknown=True))

    @property
    def unknown(self) -> int:
        return self.tokenizer.forbidden[0]

    def encode(self, pages: Sequence[Sequence[str]]) -> Ids:
        """N pages of R rows of C characters -> ids (N, R, C)."""
        ids = self.tokenizer.encode("".join("".join(rows) for rows in pages))
        return np.asarray(ids).reshape(len(pages), len(pages[0]), -1)


class Scores(NamedTuple):
    """What a reader says about pages.

    place: (B, R * C) a score for each place, row by row
    digits: (B, 4, 10) a score for each digit of the number
    """

    place: Tensor
    digits: Tensor


class Reader(nn.Module):
    """An embedding, a body and the two heads: ids (B, R, C) -> ``Scores``."""

    def __init__(self, kind: Kind, shape: Shape, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.kind, self.shape, self.vocabulary = kind, shape, vocabulary
        self.embedding = nn.Embedding(vocabulary.tokenizer.vocab_size, shape.embedding_size)
        self.body = kind.body(shape)
        features = self.body.features
        self.place = nn.Linear(features, shape.rows * shape.columns if kind.separate else 1)
        self.digits = nn.Linear(features, DIGITS * 10)

    @property
    def receptive_field(self) -> tuple[int, int]:
        """Rows and columns that a score of a place can depend on."""
        if isinstance(self.body, Convolution):
            return self.body.receptive_field
        return self.shape.rows, self.shape.columns

    def forward(self, ids: Tensor) -> Scores:
        features = self.body(self.embedding(ids))
        if self.kind.separate:
            place, seen = self.place(features), features
        else:
            features = features.flatten(1, 2)  # (B, R * C, F)
            place = self.place(features)[..., 0]
            gated = features * place.sigmoid()[..., None]
            seen = gated.amax(1) + gated.amin(1)
        return Scores(place.float(), self.digits(seen).float().view(-1, DIGITS, 10))

    def loss(self, ids: Tensor, places: Tensor, digits: Tensor) -> Tensor:
        """Nats for the place plus nats for the four digits, a mean over pages.

        ids (B, R, C), places (B,) of the last digits, row * C + column, digits (B, 4)
        """
        found = self(ids)
        place = F.cross_entropy(found.place, places)
        return place + VALUE_WEIGHT * F.cross_entropy(found.digits.flatten(0, 1), digits.flatten())

    @torch.no_grad()
    def answers(self, ids: Ids, batch_size: int = 64) -> Answers:
        """The answers to pages, as ids (N, R, C)."""
        self.eval()
        places, values = [], []
        for first in range(0, len(ids), batch_size):
            batch = torch.from_numpy(ids[first : first + batch_size].astype(np.int64))
            found = self(batch)
            places.append(found.place.argmax(-1).numpy())
            values.append(found.digits.argmax(-1).numpy())
        last = np.concatenate(places)
        rows, columns = np.divmod(last, self.shape.columns)
        said = ["".join(map(str, digits)) for digits in np.concatenate(values).tolist()]
        return Answers(rows, columns - (DIGITS - 1), said)


class Answers(NamedTuple):
    """Where the number is, rows and columns of its first digit (N,), and what it is.

    A place too near the left edge to be that of a last digit has a negative column.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: list[str]


def shape_of(kind: Kind, vocabulary: Vocabulary, rows: int = ROWS, columns: int = COLUMNS) -> Shape:
    """The width that brings a reader closest to its number of parameters.

    The width does not depend on the size of the pages, except for the feedforward readers.
    """

    def shape(hidden_size: int) -> Shape:
        return Shape(kind.embedding_size, hidden_size, rows, columns)

    def count(hidden_size: int) -> int:
        return num_parameters(kind, shape(hidden_size), vocabulary)

    return shape(width_for(kind.parameters, count))


def num_parameters(kind: Kind, shape: Shape, vocabulary: Vocabulary) -> int:
    """The number of parameters of a reader, counted without memory for it."""
    with torch.device("meta"):
        reader = Reader(kind, shape, vocabulary)
    return sum(parameter.numel() for parameter in reader.parameters())


def build(kind: Kind, shape: Shape, vocabulary: Vocabulary, seed: int) -> Reader:
    """A reader with new weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = Reader(kind, shape, vocabulary)
        nn.init.normal_(reader.embedding.weight, std=1.0 if not kind.separate else 0.3)
        for head in (reader.place, reader.digits):
            nn.init.normal_(head.weight, std=1 / reader.body.features)
            nn.init.zeros_(head.bias)
    return reader
