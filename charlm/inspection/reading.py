"""What a model makes of a text: how surprising every character is, and what it expected instead."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Floats, Ids, State
from charlm.engine import log_softmax
from charlm.errors import CheckpointError, RequestError
from charlm.surprisal import LN2, Score, first_character
from charlm.tokenizer import Tokenizer

STREAMS = 256
WARMUP = 512
"""Symbols that a stream reads before its own stretch begins. What a model would know from still
further back is lost: for an LSTM 1x256 on the last 200,000 characters of tinyshakespeare that
changed the score by 2e-9 bits per character (docs/log.md)."""

LONG = 50_000
"""Symbols from which reading in streams is worth the time that torch takes to start."""


class Model(Protocol):
    """What reads: ``charlm.engine.Engine``, or a torch model behind ``adapting.Torch``."""

    def initial_state(self, batch_size: int = 1) -> State: ...

    def forward(self, ids: Ids, state: State) -> tuple[Floats, State]: ...


@dataclass(frozen=True)
class Reading:
    """A text as a model read it.

    characters: the N characters of the text
    bits: (N,) the surprisal of each in bits; NaN for the first, which is only context. A character
          of several bytes counts the sum of its bytes.
    expected: (N, K) the symbols that were likeliest in its place (its first byte's), likeliest
              first; -1 for the first character
    shares: (N, K) their probabilities
    """

    characters: str
    bits: NDArray[np.float64]
    expected: NDArray[np.int64]
    shares: NDArray[np.float64]

    @property
    def score(self) -> Score:
        """The figures of the whole; those of ``charlm eval`` where it was read in one stream."""
        return Score.of(float(np.nansum(self.bits)) * LN2, len(self.characters) - 1)

    def spans(self, unit: str) -> list[tuple[int, int]]:
        """Where the lines ("line", without what ends them) or words ("word") begin and end."""
        found = []
        begin = 0
        for place, character in enumerate(f"{self.characters}\n"):
            ends = character == "\n" if unit == "line" else not _in_word(character)
            if ends:
                if place > begin:
                    found.append((begin, place))
                begin = place + 1
        return found

    def mean_bits(self, begin: int, end: int) -> float:
        """Bits per character of a part; NaN where there is none but the first of the text."""
        part = self.bits[begin:end]
        part = part[~np.isnan(part)]
        return float(part.mean()) if len(part) else math.nan


def _in_word(character: str) -> bool:
    return character.isalnum() or character in "'’-_"


def read(
    model: Model,
    tokenizer: Tokenizer,
    text: str,
    *,
    alternatives: int = 5,
    streams: int = 1,
    chunk: int = 256,
) -> Reading:
    """Read ``text``, which holds no unseen character, and note every character's surprisal.

    streams: 1 is the exact pass, the state carried from the first character to the last; more cut
    the text into so many stretches, read side by side, each after ``WARMUP`` symbols before it.

    Raises RequestError for a text of fewer than two characters.
    """
    ids = np.asarray(tokenizer.encode(text), dtype=np.int64)
    text = tokenizer.normalize(text)
    if len(text) < 2:
        raise RequestError("the text has fewer than 2 characters; the first one is only context")
    count = min(alternatives, tokenizer.vocab_size)
    nats = np.full(len(ids), np.nan)
    expected = np.full((len(ids), count), -1, dtype=np.int64)
    shares = np.zeros((len(ids), count))
    for places, targets, logits in _windows(model, ids, streams, chunk):
        scores = log_softmax(logits)  # (P, V)
        nats[places] = -scores[np.arange(len(places)), targets]
        likeliest = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(scores, likeliest, 1), axis=1, kind="stable")
        expected[places] = np.take_along_axis(likeliest, order, 1)
        shares[places] = np.exp(np.take_along_axis(scores, expected[places], 1))
    nats[: first_character(tokenizer, ids)] = np.nan
    if not np.isfinite(nats[first_character(tokenizer, ids) :]).all():
        raise CheckpointError(
            "the model's score is not finite: its weights are too large to compute with"
        )
    firsts = _first_symbols(tokenizer, text, len(ids))
    bits = np.add.reduceat(nats, firsts) / LN2
    return Reading(text, bits, expected[firsts], shares[firsts])


def _first_symbols(tokenizer: Tokenizer, text: str, count: int) -> NDArray[np.int64]:
    """The place of every character's first symbol: (N,)."""
    if count == len(text):
        return np.arange(count)
    sizes = np.array([len(character.encode()) for character in text], dtype=np.int64)
    return np.concatenate([[0], sizes.cumsum()[:-1]])


def _windows(
    model: Model, ids: Ids, streams: int, chunk: int
) -> Iterator[tuple[NDArray[np.int64], Ids, Floats]]:
    """(places (P,) in the text, ids there (P,), logits for them (P, V)), window by window."""
    targets = len(ids) - 1
    streams = max(1, min(streams, targets // (2 * WARMUP) or 1))
    stretch = -(-targets // streams)
    begins = np.arange(streams) * stretch
    state = model.initial_state(streams)
    if streams > 1:
        before = np.maximum(begins[:, None] + np.arange(-WARMUP, 0), 0)  # (B, WARMUP)
        _, state = model.forward(ids[before], state)
        state = tuple(part.copy() for part in state)
        for part in state:
            part[:, 0] = 0  # there is nothing before the first stretch
    for start in range(0, stretch, chunk):
        places = begins[:, None] + np.arange(start, min(start + chunk, stretch))  # (B, T)
        logits, state = model.forward(ids[np.minimum(places, targets)], state)
        inside = (places < targets) & (places < begins[:, None] + stretch)
        yield places[inside] + 1, ids[places[inside] + 1], logits[inside]
