"""How a model reads a text: the surprisal of every character, and what was expected instead."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlm.engine import log_softmax
from charlm.errors import CheckpointError, RequestError
from charlm.mixture import Predictor
from charlm.surprisal import LN2, Folded, Score, count_folded, first_character
from charlm.text.folding import uniform_bits
from charlm.text.streams import WARMUP, warmed
from charlm.text.tokenizer import Tokenizer

STREAMS = 256
"""Streams read in parallel: more would not make the engine's matrix products faster."""

_AT_ONCE = 4096  # symbols; more would only need more memory

_VALUES = 2**25  # probabilities at once: 256 MB in float64

LONG = 20_000
"""A text of at least this many characters is read in streams; a shorter one takes less than a
second in one stream."""


@dataclass(frozen=True)
class Reading:
    """A text as a model read it.

    characters: the N characters of the text
    bits: (N,) the surprisal of each in bits; NaN for the first, which is only context. For a
          character of several bytes, the sum over its bytes.
    expected: (N, K) the most likely symbols at its position (for its first byte), most likely
              first; -1 for the first character
    shares: (N, K) their probabilities
    folded: for a model with an unknown symbol, the part of ``bits`` that names the characters read
            as this symbol
    """

    characters: str
    bits: NDArray[np.float64]
    expected: NDArray[np.int64]
    shares: NDArray[np.float64]
    folded: Folded | None = None

    @property
    def score(self) -> Score:
        """The loss on the whole text; the same as that of ``charlm eval`` if it was read in one
        stream."""
        total = float(np.nansum(self.bits)) * LN2
        return Score.of(total, len(self.characters) - 1, self.folded)

    def chance(self, tokenizer: Tokenizer) -> float:
        """Bits per character of a model that knows only the size of the vocabulary."""
        ids = tokenizer.encode(self.characters)
        counted = len(ids) - first_character(tokenizer, ids)
        types = self.folded.types if self.folded else 1
        return uniform_bits(tokenizer, types) * counted / (len(self.characters) - 1)

    def spans(self, unit: str) -> list[tuple[int, int]]:
        """Where the lines ("line", without their line ends) or words ("word") begin and end."""
        found = []
        begin = 0
        for place, character in enumerate(f"{self.characters}\n"):
            ends = character in "\n\r" if unit == "line" else not _in_word(character)
            if ends:
                if place > begin:
                    found.append((begin, place))
                begin = place + 1
        return found

    def mean_bits(self, begin: int, end: int) -> float:
        """Bits per character of a part; NaN if it has only the first character of the text."""
        part = self.bits[begin:end]
        part = part[~np.isnan(part)]
        return float(part.mean()) if len(part) else math.nan


def _in_word(character: str) -> bool:
    return character.isalnum() or character in "'’-_"


def read(
    model: Predictor,
    tokenizer: Tokenizer,
    text: str,
    *,
    alternatives: int = 5,
    streams: int = 1,
    threads: int = 1,
    chunk: int = 256,
    folded_types: int = 1,
) -> Reading:
    """Compute the surprisal of every character of ``text``, which has no unseen character.

    streams: 1 is the exact pass, in which the state is carried from the first character to the
    last. A larger number cuts the text into that many parts, which are read in parallel, each after
    a warm-up on the ``WARMUP`` symbols before it.
    threads: the streams are divided among them; their number does not change the results
    chunk: symbols of a stream that are read at once; fewer if there are many streams
    folded_types: how many characters the unknown symbol represents, as in ``surprisal.score``

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
    targets = len(ids) - 1
    streams = max(1, min(streams, targets // (4 * WARMUP) or 1))
    stretch = -(-targets // streams)

    def read_streams(begins: NDArray[np.int64]) -> None:
        """Read the parts that start at ``begins`` (B,) into the three arrays above."""
        state = model.initial_state(len(begins))
        if streams > 1:
            state = warmed(lambda ids, state: model.last(ids, state)[1], ids, begins, state)
        at_once = min(_AT_ONCE, _VALUES // tokenizer.vocab_size)
        size = min(chunk, max(1, at_once // len(begins)))
        for start in range(0, stretch, size):
            steps = np.arange(start, min(start + size, stretch))
            places = begins[:, None] + steps  # (B, T)
            logits, state = model.forward(ids[np.minimum(places, targets)], state)
            inside = places < targets
            at = places[inside] + 1  # (P,)
            scores = log_softmax(logits[inside])  # (P, V)
            rows = np.arange(len(at))
            nats[at] = -scores[rows, ids[at]]
            for rank in range(count):  # faster than a partition, and sorted
                likeliest = scores.argmax(axis=1)
                expected[at, rank] = likeliest
                shares[at, rank] = np.exp(scores[rows, likeliest])
                scores[rows, likeliest] = -np.inf

    model.step(ids[:1], model.initial_state(1))  # computes its tables before the threads start
    groups = np.array_split(np.arange(0, targets, stretch), min(threads, streams))
    with ThreadPoolExecutor(len(groups)) as pool:
        list(pool.map(read_streams, filter(len, groups)))
    nats[: first_character(tokenizer, ids)] = np.nan
    if not np.isfinite(nats[first_character(tokenizer, ids) :]).all():
        raise CheckpointError(
            "the model's score is not finite: its weights are too large to compute with"
        )
    firsts = _first_symbols(tokenizer, text, len(ids))
    bits = np.add.reduceat(nats, firsts) / LN2
    folded = count_folded(tokenizer, ids, folded_types, len(text) - 1)
    if folded is not None:
        bits[np.isin(ids, tokenizer.forbidden)] += math.log2(folded_types)
    return Reading(text, bits, expected[firsts], shares[firsts], folded)


def _first_symbols(tokenizer: Tokenizer, text: str, count: int) -> NDArray[np.int64]:
    """The index of the first symbol of every character: (N,)."""
    if count == len(text):
        return np.arange(count)
    sizes = np.array([len(character.encode()) for character in text], dtype=np.int64)
    return np.concatenate([[0], sizes.cumsum()[:-1]])
