"""The surprisal of every character of a text, in one exact pass: what ``charlm eval`` reports."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Ids
from charlm.engine import Engine, log_softmax
from charlm.errors import CheckpointError, RequestError
from charlm.text.tokenizer import Tokenizer

LN2 = math.log(2.0)


def surprisals(engine: Engine, ids: Ids, *, chunk: int = 1024) -> NDArray[np.float64]:
    """-ln p(id | all ids before it), in nats, of every id but the first: ids (N,) -> (N - 1,).

    The pass begins in the zero state, and the state is carried from chunk to chunk: ``chunk``
    changes the memory that is needed and nothing else.
    """
    ids = np.asarray(ids, dtype=np.int64)
    state = engine.initial_state(1)
    nats = np.empty(max(0, len(ids) - 1))
    for start in range(0, len(ids) - 1, chunk):
        targets = ids[start + 1 : start + 1 + chunk]
        logits, state = engine.forward(ids[None, start : start + len(targets)], state)
        scores = log_softmax(logits[0])  # (T, V)
        nats[start : start + len(targets)] = -scores[np.arange(len(targets)), targets]
    return nats


@dataclass(frozen=True)
class Score:
    """The loss of a model on one text. The first character is context and is not counted.

    characters: how many are counted. Also for a model of bytes these are code points: the nats of
        all bytes are summed and divided by the number of code points
    """

    bits_per_char: float
    nats_per_char: float
    perplexity: float
    characters: int

    @classmethod
    def of(cls, total_nats: float, characters: int) -> Score:
        """The loss from its sum over all counted characters."""
        nats = total_nats / characters
        return cls(nats / LN2, nats, math.exp(min(nats, 700.0)), characters)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def counted_characters(tokenizer: Tokenizer, ids: Ids) -> int:
    """Characters of ``ids`` after the first: what the loss is divided by."""
    return tokenizer.count_characters(ids) - 1


def score(engine: Engine, tokenizer: Tokenizer, ids: Ids) -> Score:
    """The exact loss of the model on ``ids``.

    For a model of bytes the whole first character, which may be several bytes, is context. Raises
    RequestError for fewer than two characters, CheckpointError if the loss is not finite.
    """
    characters = counted_characters(tokenizer, ids)
    if characters < 1:
        raise RequestError("the text has fewer than 2 characters; the first one is only context")
    nats = surprisals(engine, ids)
    skipped = first_character(tokenizer, ids) - 1
    total = float(nats[skipped:].sum())
    if not math.isfinite(total):
        raise CheckpointError(
            "the model's score is not finite: its weights are too large to compute with"
        )
    return Score.of(total, characters)


def first_character(tokenizer: Tokenizer, ids: Ids) -> int:
    """The number of ids of the first character."""
    count = 1
    while count < len(ids) and tokenizer.count_characters(ids[: count + 1]) < 2:
        count += 1
    return count
