"""Use trained readers: answers, scores on the user's sentences, and saliency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from charlm.errors import RequestError
from charlm.experiments import panel
from charlm.experiments.panel import majority
from charlm.experiments.position_invariance import store
from charlm.experiments.position_invariance.examples import Example
from charlm.experiments.position_invariance.grid import Grid, first_answer
from charlm.experiments.position_invariance.measures import Results
from charlm.experiments.position_invariance.mistakes import ERRORS, NOT_IN_SENTENCE, kind_of
from charlm.experiments.position_invariance.readers import KINDS, UNREAD, AnyReader, Writer

NO_ANSWER = "-"
"""The answer for a sentence that contains nothing that could be the answer."""


class Panel(panel.Panel[Results, AnyReader]):
    """All trained readers of an experiment. A kind of reader answers by the majority vote of its
    seeds."""

    def __init__(self, grid: Grid) -> None:
        super().__init__(grid)
        self.grid = grid
        self.design = grid.design
        self.vocabulary = store.vocabulary(grid.config)

    def load(self, path: Path, name: str) -> AnyReader:
        return store.load(path, name, self.vocabulary)

    @cached_property
    def best(self) -> str:
        return self.results.best()

    def answers(self, name: str, sentences: Sequence[str]) -> list[str]:
        """The majority vote of the seeds (the first answer in a tie); UNREAD for a sentence that
        this kind cannot read, NO_ANSWER for one without four digits in a row."""
        asked = [self._prepare(text) for text in sentences]
        votes = [reader.answers(asked) for reader in self.members(name)]
        found = []
        for place, text in enumerate(asked):
            said = majority([each[place] for each in votes])
            if not text or not first_answer(text, self.design):
                said = NO_ANSWER
            elif self.too_long(name, text):
                said = UNREAD
            found.append(said)
        return found

    @property
    def wanted(self) -> str:
        """What an answer looks like, in words."""
        return (
            "four digits in a row" if self.design.italian else f"filler of {{{self.design.asked}}}"
        )

    def invented(self, text: str, answer: str) -> bool:
        """Whether that answer stands nowhere in the text."""
        if answer == NO_ANSWER:
            return False
        asked = Example(self._prepare(text), "", -1, "")
        return kind_of(answer, asked, self.design.any_answer) == NOT_IN_SENTENCE

    def too_long(self, name: str, text: str) -> bool:
        """Whether the text exceeds the fixed window of that kind."""
        return not KINDS[name].can_read(self._prepare(text))

    @staticmethod
    def _prepare(text: str) -> str:
        """One line: line ends and tabs, which separate lines and answers in training, become
        spaces."""
        return " ".join(text.split())


def read_scored(path: Path) -> list[Example]:
    """Lines "sentence TAB answer"; RequestError, naming the line, for anything else."""
    from charlm.text.reading import read_text

    found = []
    for number, line in enumerate(read_text([str(path)]).text.split("\n"), 1):
        if not line.strip():
            continue
        sentence, tab, answer = line.rpartition("\t")
        if not tab or not sentence.strip() or not answer.strip():
            raise RequestError(
                f"{path}: line {number} is not a sentence, a tab and its answer: {line!r:.80}"
            )
        found.append(Example(sentence.strip(), answer.strip(), -1, ""))
    if not found:
        raise RequestError(
            f"{path}: contains no sentence; write one per line: sentence, tab, answer"
        )
    return found


@dataclass(frozen=True)
class Scored:
    """How many of the user's sentences a reader answered, and its errors.

    kinds: how many errors there are of each kind (``mistakes``)
    """

    accuracy: float
    count: int
    errors: list[dict[str, str]]
    unread: int
    kinds: dict[str, int]


def score(panel: Panel, name: str, sentences: Sequence[Example]) -> Scored:
    found = panel.answers(name, [each.text for each in sentences])
    errors = [
        {"text": each.text, "answer": each.answer, "found": said}
        for said, each in zip(found, sentences, strict=True)
        if said != each.answer
    ]
    unread = sum(panel.too_long(name, each.text) for each in sentences)
    said_to_be = Counter(
        kind_of("" if said == NO_ANSWER else said, each, panel.design.any_answer)
        for said, each in zip(found, sentences, strict=True)
    )
    kinds = {kind: said_to_be[kind] for kind in ERRORS}
    return Scored(1 - len(errors) / len(sentences), len(sentences), errors, unread, kinds)


@torch.no_grad()
def occlusion(reader: AnyReader, text: str, answer: str) -> NDArray[np.float64]:
    """How much each character supports the answer: (T,) nats.

    Each character in turn is replaced by the unknown symbol; the drop of the answer's
    log-probability is its saliency (Zeiler & Fergus, 2014): positive if it supports the answer.
    """
    words = reader.vocabulary
    ids = torch.from_numpy(words.encode([text])[0])  # (1, T)
    T = ids.shape[1]
    without = ids.repeat(T + 1, 1)
    without[torch.arange(T), torch.arange(T)] = words.unknown
    wanted = _tagged(reader, ids) if reader.kind.tags else _standing(text, answer)
    parts = torch.split(without, 128)
    nats = torch.cat([_log_probability(reader, part, answer, wanted) for part in parts])  # (T + 1,)
    lost: NDArray[np.float64] = (nats[-1] - nats[:-1]).double().numpy()
    return lost


def _tagged(reader: AnyReader, ids: torch.Tensor) -> torch.Tensor:
    """Which characters of ids (1, T) a tagger marks as the answer: (T,) 0 or 1."""
    logits = reader(ids, torch.full((1,), ids.shape[1]))
    return cast(torch.Tensor, (logits[0] > 0).float())


def _standing(text: str, answer: str) -> torch.Tensor:
    """Where the answer starts in the text, wherever it occurs."""
    places = [place for place in range(len(text)) if text.startswith(answer, place)]
    return torch.tensor(places, dtype=torch.int64)


def _log_probability(
    reader: AnyReader, ids: torch.Tensor, answer: str, wanted: torch.Tensor
) -> torch.Tensor:
    """ids (B, T), all of one length -> nats (B,) of the answer.

    wanted: for a tagger its tags (T,), for a pointer the places where the answer starts
    """
    words = reader.vocabulary
    B, T = ids.shape
    if isinstance(reader, Writer):
        line = [words.separator, *words.tokenizer.encode(answer).tolist(), words.pad]
        whole = torch.cat([ids, torch.tensor(line).repeat(B, 1)], dim=1)
        logits, _ = reader.model(whole[:, :-1], reader.model.initial_state(B))
        scores = logits.log_softmax(-1)[:, T:]
        picked = scores.gather(-1, whole[:, T + 1 :, None])[..., 0]
        return cast(torch.Tensor, picked.sum(1))
    logits = reader(ids, torch.full((B,), T))
    if reader.kind.points:
        first, last = (logits[..., part].log_softmax(-1) for part in (0, 1))
        spans = first[:, wanted] + last[:, wanted + len(answer) - 1]
        return cast(torch.Tensor, spans.logsumexp(1))
    if reader.kind.tags:
        signs = 2 * wanted - 1
        return torch.nn.functional.logsigmoid(signs * logits).sum(1)
    symbols = torch.from_numpy(words.encode_answers([answer]))[0]  # (width,)
    scores = logits.log_softmax(-1)[:, torch.arange(words.width), symbols]
    return cast(torch.Tensor, scores.sum(1))
