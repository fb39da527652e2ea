"""The model that rewrites an item, in NumPy, as ``charlm.models.rewriter`` computes it; greedy and
beam search.

The encoder reads the source in both directions, the decoder writes the target symbol by symbol and
looks at the source with attention (Bahdanau et al., 2015; the equations are in the torch module).

Search looks for the target of the highest probability, the end symbol included. Greedy search takes
the most likely symbol at every step. A beam of width k keeps the k most likely beginnings, ended
ones among them, until all of them have ended; width 1 is greedy search. A hypothesis is rated by
its log-probability in nats, without normalisation by its length: the rating is that of the model,
and a beam that holds every target finds the best one. (Translation divides by the length because a
wide beam prefers targets that are too short; here a right target is nearly certain.)

A target ends after 100 + 10 T symbols at the latest, for a source of T: far more than numbers in
words need, and an end for a model that never writes the end symbol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Floats, Ids, State
from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig
from charlm.engine import GRU, LSTM, RNN, Weights, log_softmax, softmax
from charlm.errors import RequestError
from charlm.tasks.reader import ROWS, BothWays, finite
from charlm.text.items import Items, previous_symbols
from charlm.text.tokenizer import Tokenizer


def most_symbols(source: int) -> int:
    """The most symbols that are written for a source of so many."""
    return 100 + 10 * source


@dataclass(frozen=True)
class Encoded:
    """What the decoder sees of the sources.

    annotations: (B, T, 2H), 0 beyond the end of a source
    keys: (B, T, H), U times the annotations
    there: (B, T) which places are text
    """

    annotations: Floats
    keys: Floats
    there: NDArray[np.bool_]


@dataclass(frozen=True)
class Rewritten:
    """A target that the model wrote.

    ids: the symbols, without the end symbol
    log_probability: ln p of the symbols and the end symbol, in nats
    ended: whether the model wrote the end symbol; otherwise it was stopped
    attention: (S, T) where the model looked at each step, the end symbol's included; rows sum to 1
    """

    text: str
    ids: tuple[int, ...]
    log_probability: float
    ended: bool
    attention: Floats


@dataclass(frozen=True)
class _Beginning:
    """What a hypothesis has written so far, with the end symbol if it has ended."""

    ids: tuple[int, ...]
    looked: tuple[Floats, ...]
    score: float


class Rewriter(BothWays):
    """The forward pass of a model that rewrites, and the search for a target.

    tokenizer: reads sources and names the symbols of targets
    end: the character that ends a target
    """

    def __init__(
        self, config: ModelConfig, weights: Weights, tokenizer: Tokenizer, end: str
    ) -> None:
        super().__init__(config, weights)
        self.tokenizer = tokenizer
        self.end = int(tokenizer.encode(end)[0])
        self.embedding = self.forward_body.embedding  # (V, E)
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        own = {f"{name}_l0": weights[f"decoder.{name}"] for name in names}
        self.cell = {"rnn": RNN, "gru": GRU, "lstm": LSTM}[config.cell](config, own, 0)
        self.start_weight, self.start_bias = weights["start.weight"].T, weights["start.bias"]
        self.W = np.ascontiguousarray(weights["attention.state.weight"].T)  # (H, H)
        self.U = np.ascontiguousarray(weights["attention.annotations.weight"].T)  # (2H, H)
        self.v = weights["attention.score.weight"][0]  # (H,)

    @classmethod
    def of(cls, model: Checkpoint) -> Self:
        """The model in a file."""
        assert model.items is not None
        return cls(model.config, model.weights, model.tokenizer, model.items.end)

    # ------------------------------------------------------------------------- the forward pass

    def encode(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> tuple[Encoded, State]:
        """Sources (B, T), padded with anything, and lengths (B,), each at least 1 -> what the
        decoder sees of them, and its state before the first symbol."""
        annotations = self.features(ids, lengths)
        there = np.arange(ids.shape[1]) < lengths[:, None]
        backward = annotations[:, 0, self.config.hidden_size :]  # has read all of the source
        s = np.tanh(backward @ self.start_weight + self.start_bias)
        state = (s, np.zeros_like(s)) if self.config.cell == "lstm" else (s,)
        return Encoded(annotations, annotations @ self.U, there), state

    def step(self, previous: Ids, state: State, source: Encoded) -> tuple[Floats, State, Floats]:
        """One symbol of each target: the symbols before (B,) -> ln p of the next one (B, V) in
        nats, the state, and the attention (B, T). With one source, all rows are of that."""
        s = state[0]
        scores = np.tanh(source.keys + (s @ self.W)[:, None]) @ self.v  # (B, T)
        weights = softmax(np.where(source.there, scores, -np.inf))
        context = (weights[:, None] @ source.annotations)[:, 0]  # (B, 2H)
        y = self.embedding[previous]
        x = np.concatenate([y, context], -1)[:, None]
        _, state = self.cell.run(self.cell.project(x), state, None)
        read = np.concatenate([state[0], context, y], -1)
        logits = finite(read @ self.head_weight + self.head_bias)
        return log_softmax(logits), state, weights

    def log_probabilities(
        self, ids: NDArray[np.int64], lengths: NDArray[np.int64], previous: NDArray[np.int64]
    ) -> Floats:
        """ln p of every symbol at every place of the targets: the symbols before them (B, S) ->
        (B, S, V), in nats."""
        source, state = self.encode(ids, lengths)
        found = []
        for before in previous.T:
            scores, state, _ = self.step(before, state, source)
            found.append(scores)
        return np.stack(found, 1)

    # ------------------------------------------------------------------------------- the search

    def greedy(
        self, ids: NDArray[np.int64], lengths: NDArray[np.int64], most: int | None = None
    ) -> list[Rewritten]:
        """Write the most likely symbol at every step, for the sources (B, T) side by side.

        most: the most symbols of a target; default: by the rule at the top of this file
        """
        source, state = self.encode(ids, lengths)
        B = len(ids)
        limits = np.array([most or most_symbols(length) for length in lengths.tolist()])
        previous = np.full(B, self.end)
        written: list[NDArray[np.int64]] = []
        looked: list[Floats] = []
        gained: list[Floats] = []
        going = np.ones(B, dtype=bool)
        while going.any():
            scores, state, weights = self.step(previous, state, source)
            previous = self._allowed(scores).argmax(-1)
            written.append(previous)
            looked.append(weights)
            gained.append(scores[np.arange(B), previous].astype(np.float64))
            going &= (previous != self.end) & (len(written) < limits)
        symbols, gains = np.stack(written, 1), np.stack(gained, 1)  # (B, S)
        places = np.stack(looked, 1)  # (B, S, T)
        found = []
        for row, limit in enumerate(limits.tolist()):
            ends = np.flatnonzero(symbols[row, :limit] == self.end)
            count = int(ends[0]) + 1 if len(ends) else limit
            own = tuple(places[row, :count, : lengths[row]])
            found.append(
                self._finished(
                    _Beginning(tuple(symbols[row, :count].tolist()), own, gains[row, :count].sum())
                )
            )
        return found

    def beam(self, ids: NDArray[np.int64], width: int, most: int | None = None) -> list[Rewritten]:
        """The best targets that a beam of ``width`` finds for one source (T,), the best first.

        most: as in ``greedy``
        """
        lengths = np.array([len(ids)])
        source, state = self.encode(ids[None], lengths)
        ended: list[_Beginning] = []
        going = [_Beginning((), (), 0.0)]
        for _ in range(most or most_symbols(len(ids))):
            previous = np.array([each.ids[-1] if each.ids else self.end for each in going])
            scores, after, weights = self.step(previous, state, source)
            totals = np.array([each.score for each in going])[:, None] + self._allowed(scores)
            best = np.argsort(-totals, axis=None, kind="stable")[:width]
            rows, symbols = np.divmod(best, totals.shape[1])
            # Those that have ended keep their place only among the best.
            ranked = sorted(
                [
                    *((each, -1) for each in ended),
                    *(
                        (
                            _Beginning(
                                (*going[row].ids, symbol),
                                (*going[row].looked, weights[row]),
                                float(totals[row, symbol]),
                            ),
                            row,
                        )
                        for row, symbol in zip(rows.tolist(), symbols.tolist(), strict=True)
                        if np.isfinite(totals[row, symbol])
                    ),
                ],
                key=lambda each: -each[0].score,
            )[:width]
            ended = [each for each, _ in ranked if each.ids[-1] == self.end]
            kept = [(each, row) for each, row in ranked if each.ids[-1] != self.end]
            going = [each for each, _ in kept]
            if not going:
                break
            state = tuple(part[[row for _, row in kept]] for part in after)
        found = sorted((*ended, *going), key=lambda each: -each.score)
        return [self._finished(each) for each in found]

    def _allowed(self, scores: Floats) -> Floats:
        """The scores (..., V) without the symbols that are never written, as float64."""
        allowed = scores.astype(np.float64)
        allowed[..., list(self.tokenizer.forbidden)] = -np.inf
        return allowed

    def _finished(self, found: _Beginning) -> Rewritten:
        ended = found.ids[-1] == self.end
        ids = found.ids[:-1] if ended else found.ids
        text = self.tokenizer.decode(list(ids))
        return Rewritten(text, ids, float(found.score), ended, np.stack(found.looked))

    # -------------------------------------------------------------------------------- many texts

    def rewrite(
        self,
        texts: Sequence[str],
        beam: int = 1,
        *,
        advanced: Callable[[int, int], object] = lambda done, total: None,
    ) -> list[list[Rewritten]]:
        """The targets that a beam of this width finds for each text, the best first; one with
        ``beam=1``, which is greedy search.

        advanced: called with (how many texts are rewritten, of how many)

        Raises RequestError for an empty text, UnknownCharacterError for one that the model cannot
        read, CheckpointError if a number is not finite.
        """
        sources = [self.tokenizer.encode(text).astype(np.int64) for text in texts]
        lengths = np.array([len(source) for source in sources], dtype=np.int64)
        if not lengths.all():
            raise RequestError("an empty text cannot be rewritten; leave it out")
        found: list[list[Rewritten]] = [[] for _ in texts]
        order = np.argsort(-lengths, kind="stable")  # little padding
        for begin in range(0, len(order), ROWS):
            rows = order[begin : begin + ROWS]
            if beam > 1:
                for row in rows.tolist():
                    found[row] = self.beam(sources[row], beam)
            else:
                ids = np.zeros((len(rows), int(lengths[rows].max())), np.int64)
                for place, row in enumerate(rows.tolist()):
                    ids[place, : lengths[row]] = sources[row]
                for row, each in zip(rows.tolist(), self.greedy(ids, lengths[rows]), strict=True):
                    found[row] = [each]
            advanced(begin + len(rows), len(order))
        return found


def nats_of(
    model: Rewriter,
    items: Items,
    advanced: Callable[[int, int], object] = lambda done, total: None,
) -> tuple[float, int]:
    """(-ln p of the targets of ``items``, end symbols included, in nats; how many symbols)."""
    assert items.targets is not None
    total, symbols = 0.0, 0
    order = np.argsort(-items.lengths, kind="stable")
    for begin in range(0, len(order), ROWS):
        rows = order[begin : begin + ROWS]
        ids, lengths = items.read(rows)
        targets, _ = items.targets.padded(rows, after=True)
        scores = model.log_probabilities(ids, lengths, previous_symbols(targets, model.end))
        there = targets >= 0
        found = np.take_along_axis(scores, np.maximum(targets, 0)[..., None], -1)[..., 0]
        total -= float(np.where(there, found, 0.0).sum(dtype=np.float64))
        symbols += int(there.sum())
        advanced(begin + len(rows), len(order))
    return total, symbols
