"""How much of the past the hidden state holds: a lossy summary of the text read so far.

Three measurements, each with the control that would expose a meaningless result:

context_curve    does more context lower the loss?               control: an untrained model
probe            can the character k positions back be read      controls: the most frequent
                 from the state?                                 character; shuffled labels; the
                                                                 states of an untrained model
rebuild          what can a decoder reconstruct from the state?  control: shuffled states
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
from charlm.text.streams import WARMUP

CONTEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
LAGS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
ENOUGH = 0.01
"""Bits per character: a smaller saving counts as none."""

RESAMPLES = 2000

_BATCH, _PIECE = 64, 16
_BLOCKS = 64  # resampled for an interval: neighbouring positions are not independent


@dataclass(frozen=True)
class Curve:
    """The surprisal of the same characters after contexts of several lengths.

    contexts: (C,) how many characters were read, from the zero state
    bits: (P, C), one row for each position, in the order of the text
    """

    contexts: tuple[int, ...]
    bits: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """(C,) bits per character after each context."""
        found: NDArray[np.float64] = self.bits.mean(0)
        return found

    def interval(self, seed: int = 0) -> NDArray[np.float64]:
        """(2, C): low and high ends of the 95 % bootstrap interval of each mean, over blocks of
        neighbouring positions.

        The characters of a text cost anything between 0 and 10 bits, so a mean over 512 positions
        is known to about 0.2 bits. All contexts are measured at the same positions: the differences
        between them are known much better (``beyond``).
        """
        blocks, drawn = self._resamples(seed)
        ends = [mean_interval(blocks.sums(bits), drawn, blocks.sizes) for bits in self.bits.T]
        return np.array(ends).T

    def usable(self) -> int:
        """The shortest context that does as well as the longest, to within 0.01 bits."""
        return self.contexts[int(np.flatnonzero(self.mean <= self.mean[-1] + ENOUGH)[0])]

    def beyond(self, window: int, seed: int = 0) -> tuple[float, float, float]:
        """(mean, low, high): bits per character saved by context beyond ``window``, which is one of
        ``contexts``, with the 95 % bootstrap interval over blocks of neighbouring positions."""
        saved = self.bits[:, self.contexts.index(window)] - self.bits[:, -1]
        blocks, drawn = self._resamples(seed)
        low, high = mean_interval(blocks.sums(saved), drawn, blocks.sizes)
        return float(saved.mean()), low, high

    def _resamples(self, seed: int) -> tuple[Blocks, NDArray[np.int64]]:
        blocks = Blocks.of_number(len(self.bits), _BLOCKS)
        return blocks, resample(len(blocks), RESAMPLES, np.random.default_rng(seed))


def context_curve(
    engine: Engine,
    ids: Ids,
    *,
    contexts: Sequence[int] = CONTEXTS,
    wanted: int = 512,
    seed: int = 0,
) -> Curve:
    """Bits of up to ``wanted`` characters of ids (N,) at random positions, each given only the k
    characters before it, for every k in ``contexts``.

    RequestError if the text is no longer than the longest context.
    """
    ids = np.asarray(ids, dtype=np.int64)
    longest = max(contexts)
    count = len(ids) - longest
    if count < 1:
        raise RequestError(
            f"the text has {len(ids):,} characters; a context of {longest} needs at least "
            f"{longest + 1:,}"
        )
    rng = np.random.default_rng(seed)
    positions = np.sort(longest + rng.choice(count, min(wanted, count), replace=False))
    bits = np.empty((len(positions), len(contexts)))
    for column, context in enumerate(contexts):
        read = ids[positions[:, None] + np.arange(-context, 0)]  # (P, k)
        state = engine.initial_state(len(positions))
        # In pieces: a layer's products for all of a long context at once would take a gigabyte.
        for first in range(0, context, _PIECE):
            features, state = engine.body(read[:, first : first + _PIECE], state)
        scores = log_softmax(engine.head(features[:, -1]))
        bits[:, column] = -scores[np.arange(len(positions)), ids[positions]] / LN2
    return Curve(tuple(contexts), bits)


# ------------------------------------------------------------------------------------- the probe


@dataclass(frozen=True)
class States:
    """The model's features after each character of a text, and the characters before.

    features: (N, H), what the head reads
    past: (N, K) the ids k characters back; k = 0 is the character just read
    """

    features: Floats
    past: Ids

    def halves(self) -> tuple[States, States]:
        """(training half, test half): the first and the second half, with a gap between them so
        that no character is in the ``past`` of both."""
        middle, gap = len(self.features) // 2, self.past.shape[1]
        return (
            States(self.features[: middle - gap], self.past[: middle - gap]),
            States(self.features[middle:], self.past[middle:]),
        )


def states(engine: Engine, ids: Ids, *, reach: int, wanted: int = 20_000) -> States:
    """The first ``wanted`` states of ids (N,), in the order of the text, read in parallel streams.

    reach: how far back ``past`` goes
    RequestError if there are fewer than 1,000 states.
    """
    ids = np.asarray(ids, dtype=np.int64)
    first = max(WARMUP, reach)
    count = min(wanted, len(ids) - first)
    if count < 1000:
        raise RequestError(
            f"the text has {len(ids):,} characters; a probe needs at least {first + 1000:,}"
        )
    stretch = count // _BATCH
    begins = first + np.arange(_BATCH) * stretch  # (B,)
    read = ids[begins[:, None] + np.arange(-WARMUP, stretch)]
    features, _ = engine.body(read, engine.initial_state(_BATCH))
    kept = features[:, WARMUP:].reshape(_BATCH * stretch, -1)
    at = first + np.arange(_BATCH * stretch)
    return States(kept, ids[at[:, None] - np.arange(reach + 1)])


@dataclass(frozen=True)
class Probe:
    """How often a probe finds the character k positions back, on text it was not trained on.

    accuracy, shuffled, chance: (len(lags),) of the probe; of one trained on labels in random order;
        and of always naming the most frequent character
    """

    lags: tuple[int, ...]
    accuracy: NDArray[np.float64]
    shuffled: NDArray[np.float64]
    chance: NDArray[np.float64]

    def reach(self, margin: float = 0.05) -> int:
        """The longest lag up to which accuracy exceeds chance by more than ``margin``; -1 if none
        does."""
        above = self.accuracy > self.chance + margin
        last = -1
        for lag, yes in zip(self.lags, above, strict=True):
            if not yes:
                break
            last = lag
        return last


def probe(found: States, vocab_size: int, *, lags: Sequence[int] = LAGS, seed: int = 0) -> Probe:
    """A linear probe (Alain & Bengio, 2016): ridge regression from the state to every character,
    trained on the first half of ``found`` and tested on the second."""
    train, test = found.halves()
    mean, spread = train.features.mean(0), train.features.std(0) + 1e-6

    def inputs(of: States) -> NDArray[np.float64]:
        x = ((of.features - mean) / spread).astype(np.float64)
        return np.concatenate([x, np.ones((len(x), 1))], axis=1)  # (N, H + 1)

    X, X_test = inputs(train), inputs(test)
    gram = X.T @ X + 1e-3 * len(X) * np.eye(X.shape[1])
    order = np.random.default_rng(seed).permutation(len(X))
    rows = []
    for lag in lags:
        labels, truth = train.past[:, lag], test.past[:, lag]
        wanted = np.eye(vocab_size)[labels]  # (N, V)
        solved = np.linalg.solve(gram, np.concatenate([X.T @ wanted, X.T @ wanted[order]], axis=1))
        guesses = X_test @ solved
        right = [float((part.argmax(1) == truth).mean()) for part in np.split(guesses, 2, axis=1)]
        most_frequent = np.bincount(labels, minlength=vocab_size).argmax()
        rows.append((*right, float((truth == most_frequent).mean())))
    accuracy, shuffled, chance = np.array(rows).T
    return Probe(tuple(lags), accuracy, shuffled, chance)
