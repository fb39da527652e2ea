"""How much of the past a state holds: the state as a lossy summary of what was read.

Three questions, each with the control that would expose the answer if it meant nothing:

context_curve    by how much does more context lower the loss?       an untrained model: it does not
probe            can the character k back be read off the state?     the commonest; shuffled labels;
                                                                     an untrained model's state
rebuild          what does a decoder make of the state alone?        the same, of shuffled states
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Floats, Ids
from charlm.engine import Engine, log_softmax
from charlm.errors import RequestError
from charlm.statistics import Blocks, mean_interval, resample
from charlm.surprisal import LN2

CONTEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
LAGS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
ENOUGH = 0.01
"""Bits per character: what is saved beyond is called nothing."""

RESAMPLES = 2000

_BATCH, _PIECE = 64, 16
_BLOCKS = 64  # resampled for an interval: neighbouring places are not independent
_WARMUP = 128


@dataclass(frozen=True)
class Curve:
    """The surprisal of the same characters after contexts of several lengths.

    contexts: (C,) characters that were read, from the zero state
    bits: (P, C), one row for each place, in the order of the text
    """

    contexts: tuple[int, ...]
    bits: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        found: NDArray[np.float64] = self.bits.mean(0)
        return found

    def usable(self) -> int:
        """The shortest context that does as well as the longest, to within 0.01 bits."""
        return self.contexts[int(np.flatnonzero(self.mean <= self.mean[-1] + ENOUGH)[0])]

    def beyond(self, window: int, seed: int = 0) -> tuple[float, float, float]:
        """(mean, low, high): bits per character that context beyond ``window``, one of
        ``contexts``, saves, with its 95 % bootstrap interval over stretches of neighbouring
        places."""
        saved = self.bits[:, self.contexts.index(window)] - self.bits[:, -1]
        blocks = Blocks.of_number(len(saved), _BLOCKS)
        drawn = resample(len(blocks), RESAMPLES, np.random.default_rng(seed))
        low, high = mean_interval(blocks.sums(saved), drawn, blocks.sizes)
        return float(saved.mean()), low, high


def context_curve(
    engine: Engine,
    ids: Ids,
    *,
    contexts: Sequence[int] = CONTEXTS,
    wanted: int = 512,
    seed: int = 0,
) -> Curve:
    """Bits of up to ``wanted`` characters of ids (N,), drawn at random, given the k before them and
    nothing else, for every k of ``contexts``.

    RequestError where the text is shorter than the longest context.
    """
    ids = np.asarray(ids, dtype=np.int64)
    longest = max(contexts)
    count = len(ids) - longest
    if count < 1:
        raise RequestError(
            f"the text has {len(ids):,} characters; a context of {longest} takes at least "
            f"{longest + 1:,}"
        )
    rng = np.random.default_rng(seed)
    places = np.sort(longest + rng.choice(count, min(wanted, count), replace=False))
    bits = np.empty((len(places), len(contexts)))
    for column, context in enumerate(contexts):
        read = ids[places[:, None] + np.arange(-context, 0)]  # (P, k)
        state = engine.initial_state(len(places))
        # In pieces: a layer's products for all of a long context at once would take a gigabyte.
        for first in range(0, context, _PIECE):
            features, state = engine.body(read[:, first : first + _PIECE], state)
        scores = log_softmax(engine.head(features[:, -1]))
        bits[:, column] = -scores[np.arange(len(places)), ids[places]] / LN2
    return Curve(tuple(contexts), bits)


# ------------------------------------------------------------------------------------- the probe


@dataclass(frozen=True)
class States:
    """What the head sees after each character of a text, and the characters up to it.

    features: (N, H)
    past: (N, K) the ids k characters back, k = 0 being the one just read
    """

    features: Floats
    past: Ids

    def halves(self) -> tuple[States, States]:
        """To learn from, and to be judged on: the first half and the second, between which
        ``past`` does not overlap."""
        middle, gap = len(self.features) // 2, self.past.shape[1]
        return (
            States(self.features[: middle - gap], self.past[: middle - gap]),
            States(self.features[middle:], self.past[middle:]),
        )


def states(engine: Engine, ids: Ids, *, reach: int, wanted: int = 20_000) -> States:
    """The first ``wanted`` states of ids (N,), in the order of the text, read in streams;
    RequestError where there are fewer than 1,000."""
    ids = np.asarray(ids, dtype=np.int64)
    first = max(_WARMUP, reach)
    count = min(wanted, len(ids) - first)
    if count < 1000:
        raise RequestError(
            f"the text has {len(ids):,} characters; a probe takes at least {first + 1000:,}"
        )
    stretch = count // _BATCH
    begins = first + np.arange(_BATCH) * stretch  # (B,)
    read = ids[begins[:, None] + np.arange(-_WARMUP, stretch)]
    features, _ = engine.body(read, engine.initial_state(_BATCH))
    kept = features[:, _WARMUP:].reshape(_BATCH * stretch, -1)
    at = first + np.arange(_BATCH * stretch)
    return States(kept, ids[at[:, None] - np.arange(reach + 1)])


@dataclass(frozen=True)
class Probe:
    """Accuracy of reading the character k back off a state, on text that the probe has not seen.

    chance: always the commonest character
    shuffled: the same probe, learnt from labels in random order
    """

    lags: tuple[int, ...]
    accuracy: NDArray[np.float64]
    shuffled: NDArray[np.float64]
    chance: NDArray[np.float64]

    def reach(self, margin: float = 0.05) -> int:
        """The longest lag up to which accuracy is above chance by more than ``margin``; -1 where it
        never is."""
        above = self.accuracy > self.chance + margin
        last = -1
        for lag, yes in zip(self.lags, above, strict=True):
            if not yes:
                break
            last = lag
        return last


def probe(found: States, vocab_size: int, *, lags: Sequence[int] = LAGS, seed: int = 0) -> Probe:
    """A linear probe (Alain & Bengio, 2016): ridge regression from the state to every character,
    learnt on the first half and judged on the second."""
    learn, judge = found.halves()
    mean, spread = learn.features.mean(0), learn.features.std(0) + 1e-6

    def inputs(of: States) -> NDArray[np.float64]:
        x = ((of.features - mean) / spread).astype(np.float64)
        return np.concatenate([x, np.ones((len(x), 1))], axis=1)  # (N, H + 1)

    X, X_judge = inputs(learn), inputs(judge)
    gram = X.T @ X + 1e-3 * len(X) * np.eye(X.shape[1])
    order = np.random.default_rng(seed).permutation(len(X))
    rows = []
    for lag in lags:
        labels, truth = learn.past[:, lag], judge.past[:, lag]
        wanted = np.eye(vocab_size)[labels]  # (N, V)
        solved = np.linalg.solve(gram, np.concatenate([X.T @ wanted, X.T @ wanted[order]], axis=1))
        guesses = X_judge @ solved
        right = [float((part.argmax(1) == truth).mean()) for part in np.split(guesses, 2, axis=1)]
        commonest = np.bincount(labels, minlength=vocab_size).argmax()
        rows.append((*right, float((truth == commonest).mean())))
    accuracy, shuffled, chance = np.array(rows).T
    return Probe(tuple(lags), accuracy, shuffled, chance)
