"""The surprisal of every character of a text, in one exact pass: what ``charlm eval`` reports."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Floats, Ids, State
from charlm.engine import log_softmax
from charlm.errors import CheckpointError, RequestError
from charlm.mixture import Apart, Mixed, Predictor
from charlm.text.tokenizer import Tokenizer

LN2 = math.log(2.0)


def surprisals(
    model: Predictor,
    ids: Ids,
    *,
    chunk: int = 1024,
    advanced: Callable[[int, int], object] = lambda done, total: None,
) -> NDArray[np.float64]:
    """-ln p(id | all ids before it), in nats, of every id but the first: ids (N,) -> (N - 1,).

    The pass starts from the zero state and carries the state from chunk to chunk: ``chunk`` affects
    only the memory that is needed. ``advanced`` is called after every chunk with (how many ids are
    scored, of how many), for a progress bar.
    """

    def read(ids: Ids, state: State) -> tuple[tuple[Floats], State]:
        logits, state = model.forward(ids, state)
        return (logits,), state

    (nats,) = _one_pass(read, model.initial_state(1), ids, 1, chunk, advanced)
    return np.asarray(nats)


def surprisals_apart(
    model: Mixed,
    ids: Ids,
    *,
    chunk: int = 1024,
    advanced: Callable[[int, int], object] = lambda done, total: None,
) -> Apart:
    """``surprisals`` of the network, of the n-gram model and of their mixture, in one pass."""
    return Apart(*_one_pass(model.apart, model.initial_state(1), ids, 3, chunk, advanced))


def nats_after(
    model: Predictor, logits: Floats, state: State, texts: Sequence[Ids], *, chunk: int = 1024
) -> NDArray[np.float64]:
    """-ln p(text | what the model has read), in nats, of each of B texts, side by side: (B,).

    logits, state: the model's after what it has read, (V,) and of a batch of 1
    texts: their ids (T,), which need not be equally long
    chunk: ids that are read at once, which affects only the memory that is needed
    """
    B, lengths = len(texts), np.array([len(text) for text in texts], dtype=np.int64)
    nats = np.zeros(B)
    ids = np.zeros((B, lengths.max(initial=0)), dtype=np.int64)  # (B, T), shorter texts padded
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
        if len(text):
            nats[row] = -log_softmax(logits.astype(np.float64))[ids[row, 0]]
    state = tuple(np.repeat(part, B, axis=1) for part in state)
    step = max(1, chunk // max(1, B))
    for begin in range(0, ids.shape[1] - 1, step):
        end = min(begin + step, ids.shape[1] - 1)
        found, state = model.forward(ids[:, begin:end], state)
        targets = ids[:, begin + 1 : end + 1, None]
        each = -np.take_along_axis(log_softmax(found), targets, axis=-1)[..., 0]  # (B, step)
        within = np.arange(begin + 1, end + 1) < lengths[:, None]
        nats += np.where(within, each, 0.0).sum(1, dtype=np.float64)
    return nats


def _one_pass(
    read: Callable[[Ids, State], tuple[Iterable[Floats], State]],
    state: State,
    ids: Ids,
    models: int,
    chunk: int,
    advanced: Callable[[int, int], object],
) -> NDArray[np.float64]:
    """(models, N - 1): ``read`` gives the logits (1, T, V) of each model for ids (1, T)."""
    nats = np.empty((models, max(0, len(ids) - 1)))
    for start in range(0, len(ids) - 1, chunk):
        read_now = np.asarray(ids[start : start + 1 + chunk], dtype=np.int64)
        targets = read_now[1:]
        found, state = read(read_now[None, :-1], state)
        for model, logits in enumerate(found):
            scores = log_softmax(logits[0])  # (T, V)
            nats[model, start : start + len(targets)] = -scores[np.arange(len(targets)), targets]
        advanced(start + len(targets), nats.shape[1])
    return nats


@dataclass(frozen=True)
class Folded:
    """What the characters of the unknown symbol add to a score (see ``charlm.text.folding``).

    types: how many different characters share the symbol; each is named at log2(types) bits
    share: of the counted characters, those that are read as the symbol
    bits_per_char: the part of the score's bits per character that names them
    """

    types: int
    share: float
    bits_per_char: float

    @classmethod
    def of(cls, types: int, count: int, characters: int) -> Folded:
        """``count`` of the counted ``characters`` are folded."""
        share = count / characters
        return cls(types, share, share * math.log2(types))

    @property
    def note(self) -> str:
        """One sentence that says what was charged."""
        return (
            f"{100 * self.share:.3g} % of the characters are folded into the unknown symbol; "
            f"{self.bits_per_char:.4f} of the bits/char name them, each as one of {self.types:,}"
        )


@dataclass(frozen=True)
class Score:
    """The loss of a model on one text. The first character is context and is not counted.

    characters: how many are counted. For a model of bytes, too, these are code points: the nats of
        all bytes are summed and divided by the number of code points
    folded: for a model with an unknown symbol, the part that names the folded characters
    """

    bits_per_char: float
    nats_per_char: float
    perplexity: float
    characters: int
    folded: Folded | None = None

    @classmethod
    def of(cls, total_nats: float, characters: int, folded: Folded | None = None) -> Score:
        """The loss from its sum over all counted characters, naming folded ones included."""
        nats = total_nats / characters
        return cls(nats / LN2, nats, math.exp(min(nats, 700.0)), characters, folded)

    @property
    def folded_note(self) -> str:
        """What was charged for folded characters; empty if none of them were counted."""
        return self.folded.note if self.folded and self.folded.share else ""

    @property
    def uncharged_bits(self) -> float:
        """Bits per character of the model's own symbols: the loss that it was trained to lower."""
        return self.bits_per_char - (self.folded.bits_per_char if self.folded else 0.0)

    def to_dict(self) -> dict[str, Any]:
        """The fields; ``folded`` only if the model has an unknown symbol."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def counted_characters(tokenizer: Tokenizer, ids: Ids) -> int:
    """Characters of ``ids`` after the first: what the loss is divided by."""
    return tokenizer.count_characters(ids) - 1


def score(
    model: Predictor,
    tokenizer: Tokenizer,
    ids: Ids,
    *,
    folded_types: int = 1,
    advanced: Callable[[int, int], object] = lambda done, total: None,
) -> Score:
    """The exact loss of the model on ``ids``; ``advanced`` as in ``surprisals``.

    folded_types: how many different characters the unknown symbol represents, if there is one: each
        is charged log2(folded_types) bits (``charlm.text.folding``)

    For a model of bytes the whole first character, which may be several bytes, is context. Raises
    RequestError for fewer than two characters, CheckpointError if the loss is not finite.
    """
    _check_length(tokenizer, ids)
    return _summed(surprisals(model, ids, advanced=advanced), tokenizer, ids, folded_types)


def scores_apart(
    model: Mixed,
    tokenizer: Tokenizer,
    ids: Ids,
    *,
    folded_types: int = 1,
    advanced: Callable[[int, int], object] = lambda done, total: None,
) -> Apart:
    """``score`` of the network, of the n-gram model and of their mixture, in one pass."""
    _check_length(tokenizer, ids)
    found = surprisals_apart(model, ids, advanced=advanced)
    return Apart(*(_summed(nats, tokenizer, ids, folded_types) for nats in found))


def _check_length(tokenizer: Tokenizer, ids: Ids) -> None:
    if counted_characters(tokenizer, ids) < 1:
        raise RequestError("the text has fewer than 2 characters; the first one is only context")


def _summed(nats: NDArray[np.float64], tokenizer: Tokenizer, ids: Ids, folded_types: int) -> Score:
    """The score of a text from the surprisals of its ids."""
    characters = counted_characters(tokenizer, ids)
    skipped = first_character(tokenizer, ids) - 1
    total = float(nats[skipped:].sum())
    if not math.isfinite(total):
        raise CheckpointError(
            "the model's score is not finite: its weights are too large to compute with"
        )
    folded = count_folded(tokenizer, ids, folded_types, characters)
    charge = folded.bits_per_char * characters * LN2 if folded else 0.0
    return Score.of(total + charge, characters, folded)


def count_folded(tokenizer: Tokenizer, ids: Ids, types: int, characters: int) -> Folded | None:
    """The charge for the unknown symbols among ``ids``, the first excepted, over ``characters``;
    None if the tokenizer has no unknown symbol."""
    if not tokenizer.forbidden:
        return None
    count = int(np.count_nonzero(np.isin(ids[1:], tokenizer.forbidden)))
    return Folded.of(types, count, characters)


def first_character(tokenizer: Tokenizer, ids: Ids) -> int:
    """The number of ids of the first character."""
    count = 1
    while count < len(ids) and tokenizer.count_characters(ids[: count + 1]) < 2:
        count += 1
    return count
