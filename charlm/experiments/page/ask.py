"""Use trained readers: answers, scores on the user's pages, and saliency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from charlm.errors import RequestError
from charlm.experiments import panel
from charlm.experiments.page import store
from charlm.experiments.page.grid import Grid
from charlm.experiments.page.layouts import DIGITS
from charlm.experiments.page.measures import Results
from charlm.experiments.page.readers import Reader, Vocabulary
from charlm.experiments.page.sheets import Asked, Sheet
from charlm.experiments.panel import majority
from charlm.inspection.saliency import Saliency
from charlm.text.unknown import describe_unknown

BATCH_SIZE = 64


@dataclass(frozen=True)
class Answer:
    """What the readers of a kind say about a page: a number, and the row and column of its first
    digit. Near the left edge the column can be negative: there the pointed digits are fewer."""

    value: str
    row: int
    column: int

    @property
    def where(self) -> str:
        """The place in words, counted from 1."""
        return (
            f"row {self.row + 1}, columns {max(0, self.column) + 1} to {self.column + DIGITS}"
            if self.column + DIGITS > 1
            else f"row {self.row + 1}, column 1"
        )

    def pointed(self, sheet: Sheet) -> str:
        """What is there on the page."""
        return sheet.rows[self.row][max(0, self.column) : self.column + DIGITS]


class Panel(panel.Panel[Results, Reader]):
    """All trained readers of pages of the usual size. A kind of reader answers by the majority vote
    of its seeds: a vote on the place, another on the value."""

    def __init__(self, grid: Grid) -> None:
        super().__init__(grid)
        self.design = grid.design
        self.vocabulary = Vocabulary.of(grid.config["characters"])

    @property
    def readers(self) -> list[str]:
        return self.results.main

    def load(self, path: Path, name: str) -> Reader:
        return store.load(path, name, self.vocabulary, self.design)

    @cached_property
    def best(self) -> str:
        return self.results.best()

    def answers(self, name: str, sheets: Sequence[Sheet]) -> list[Answer]:
        """The majority vote of the seeds, the first answer in a tie."""
        ids = self.vocabulary.encode([sheet.rows for sheet in sheets])
        votes = [reader.answers(ids, BATCH_SIZE) for reader in self.members(name)]
        return [
            Answer(
                majority([each.values[page] for each in votes]),
                *majority([(int(each.rows[page]), int(each.columns[page])) for each in votes]),
            )
            for page in range(len(sheets))
        ]

    def unknown(self, sheet: Sheet) -> str:
        """Which characters of a page are read as unknown, in a line; "" if there are none."""
        text = sheet.text
        unseen = self.vocabulary.tokenizer.unseen(text)
        unseen = unseen[[text[place] != "\n" for place in unseen.tolist()]]
        if not len(unseen):
            return ""
        return f"read as the unknown symbol: {describe_unknown(text, unseen)}"

    def saliency(self, name: str, sheet: Sheet, answer: Answer) -> Saliency:
        """Which characters of the page moved the answer, a mean over seeds."""
        nats = np.mean([occlusion(each, sheet, answer) for each in self.members(name)], axis=0)
        lines = sheet.text.split("\n")
        shown = [nats[row, : len(line)] for row, line in enumerate(lines)]
        ends = [part for each in shown for part in (each, np.zeros(1))][:-1]
        return Saliency(sheet.text, np.concatenate(ends))


@dataclass(frozen=True)
class Scored:
    """How many places and values of the user's pages a reader gets right, and its errors: the pages
    whose place or value is wrong, with what it said."""

    count: int
    places: int
    values: int
    errors: list[tuple[Asked, Answer]]


def score(panel: Panel, name: str, pages: Sequence[Asked]) -> Scored:
    found = list(zip(pages, panel.answers(name, [page.sheet for page in pages]), strict=True))
    placed = [(said.row, said.column) in page.places for page, said in found]
    valued = [said.value == page.answer for page, said in found]
    right = zip(found, placed, valued, strict=True)
    errors = [pair for pair, place, value in right if not (place and value)]
    return Scored(len(pages), sum(placed), sum(valued), errors)


@torch.no_grad()
def occlusion(reader: Reader, sheet: Sheet, answer: Answer) -> NDArray[np.float64]:
    """How much each character supports the answer: (R, C) nats, 0 for blanks.

    Each character in turn is replaced by the unknown symbol; the drop of the answer's
    log-probability, that of its place plus that of its four digits, is its saliency (Zeiler &
    Fergus, 2014): positive if it supports the answer.
    """
    ids = torch.from_numpy(reader.vocabulary.encode([sheet.rows])[0].astype(np.int64))  # (R, C)
    blank = torch.tensor([[character == " " for character in row] for row in sheet.rows])
    places = (~blank).nonzero()  # (N, 2)
    if not len(places):
        raise RequestError("the page is empty; there is no answer to explain")
    base = _log_probability(reader, ids[None], answer)
    parts = []
    for some in places.split(BATCH_SIZE):
        without = ids.repeat(len(some), 1, 1)
        without[torch.arange(len(some)), some[:, 0], some[:, 1]] = reader.vocabulary.unknown
        parts.append(_log_probability(reader, without, answer))
    lost = np.zeros(ids.shape)
    lost[tuple(places.T.numpy())] = (base - torch.cat(parts)).double().numpy()
    return lost


def _log_probability(reader: Reader, ids: torch.Tensor, answer: Answer) -> torch.Tensor:
    """ids (B, R, C) -> nats (B,) of the answer's place and digits."""
    found = reader(ids)
    last = answer.row * reader.shape.columns + answer.column + DIGITS - 1
    place = found.place.log_softmax(-1)[:, last]
    digits = torch.tensor([int(digit) for digit in answer.value])
    values = found.digits.log_softmax(-1)[:, torch.arange(DIGITS), digits]  # (B, 4)
    nats: torch.Tensor = place + values.sum(1)
    return nats
