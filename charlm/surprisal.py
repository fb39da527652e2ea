"""How surprised a model is by every character of a text: the exact pass behind ``charlm eval``."""

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
    """Nats of every id but the first, given all before it: ids (N,) -> (N - 1,).

    One pass from the zero state, in which the state is carried from chunk to chunk, so the chunk
    changes the memory needed and nothing else.
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
    """A model's figures on one text. The first character is context and is not counted.

    With bytes as symbols the nats are summed over bytes and divided by code points all the same.
    """

    bits_per_char: float
    nats_per_char: float
    perplexity: float
    characters: int

    @classmethod
    def of(cls, total_nats: float, characters: int) -> Score:
        nats = total_nats / characters
        return cls(nats / LN2, nats, math.exp(min(nats, 700.0)), characters)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def counted_characters(tokenizer: Tokenizer, ids: Ids) -> int:
    """Characters of ``ids`` after the first: the denominator of every rate."""
    return tokenizer.count_characters(ids) - 1


def score(engine: Engine, tokenizer: Tokenizer, ids: Ids) -> Score:
    """The exact figures of ``ids`` under the model; RequestError for fewer than two characters.

    With bytes the whole first character, which may be several bytes, is context.
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
    """How many ids the first character takes."""
    count = 1
    while count < len(ids) and tokenizer.count_characters(ids[: count + 1]) < 2:
        count += 1
    return count
