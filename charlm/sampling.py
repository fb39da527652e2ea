"""From logits to the next id.

    logits -> no forbidden ids -> repetition penalty -> temperature -> top-k, top-p, min-p -> draw

Each filter takes probabilities (V,) and returns probabilities (V,) that sum to 1 and keep at least
one symbol. The arithmetic is float64, so that the filters' edges do not depend on rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Floats
from charlm.config import SampleConfig
from charlm.engine import log_softmax

REPETITION_WINDOW = 64
"""How many of the last ids the repetition penalty looks at."""

Probabilities = NDArray[np.float64]


def top_k(p: Probabilities, k: int) -> Probabilities:
    """Keep the k likeliest symbols (Fan et al., 2018); ties at the edge are kept. 0 keeps all."""
    if k <= 0 or k >= len(p):
        return p
    return _renormalized(p, p >= np.partition(p, -k)[-k])


def top_p(p: Probabilities, mass: float) -> Probabilities:
    """Keep the smallest set of likeliest symbols that holds ``mass`` (Holtzman et al., 2020)."""
    if mass >= 1.0:
        return p
    order = np.argsort(-p, kind="stable")
    before = np.cumsum(p[order]) - p[order]  # what the likelier ones already hold
    keep = np.zeros(len(p), dtype=bool)
    keep[order[before < mass]] = True
    keep[order[0]] = True
    return _renormalized(p, keep)


def min_p(p: Probabilities, share: float) -> Probabilities:
    """Keep symbols at least ``share`` times as likely as the likeliest (Nguyen et al., 2024)."""
    if share <= 0.0:
        return p
    return _renormalized(p, p >= share * p.max())


def penalize_repetition(logits: Floats, recent: Sequence[int], penalty: float) -> Floats:
    """Multiply the log-probability of every recent symbol by ``penalty`` (above 1: less likely).

    After Keskar et al. (2019), who divide logits; log-probabilities are never positive, so the
    rule needs no cases and does not depend on a constant added to all logits.
    """
    if penalty == 1.0 or not recent:
        return logits
    scores = log_softmax(logits)
    seen = np.unique(list(recent)[-REPETITION_WINDOW:])
    scores[seen] *= penalty
    return scores


def distribution(
    logits: Floats,
    config: SampleConfig,
    *,
    recent: Sequence[int] = (),
    forbidden: Sequence[int] = (),
) -> Probabilities:
    """The probabilities (V,) that the next id is drawn from: logits (V,) after every filter.

    At temperature 0 the likeliest symbol has probability 1 (the first of them, if several tie).
    """
    scores: Floats = logits.astype(np.float64)
    if forbidden:
        scores[list(forbidden)] = -np.inf
    if config.repetition_penalty != 1.0:
        scores = penalize_repetition(scores, recent, config.repetition_penalty)
    if config.temperature == 0.0:
        certain: Probabilities = np.zeros(len(scores))
        certain[int(np.argmax(scores))] = 1.0
        return certain
    # The distances from the largest logit are at most 0, and no float32 among them can overflow
    # when it is divided by this: so exp gives no warning and no NaN, however small the temperature.
    scores -= scores.max()
    scores /= max(config.temperature, 1e-250)
    p: Probabilities = np.exp(scores)
    p /= p.sum()
    return min_p(top_p(top_k(p, config.top_k), config.top_p), config.min_p)


def draw(p: Probabilities, rng: np.random.Generator) -> int:
    """One id from probabilities (V,), by inverting their cumulative sum."""
    cumulative = p.cumsum()
    place = int(cumulative.searchsorted(rng.random() * cumulative[-1], side="right"))
    # Rounding can put the draw on the total itself: then the last possible symbol is meant.
    return place if place < len(p) else int(np.flatnonzero(p)[-1])


def _renormalized(p: Probabilities, keep: NDArray[np.bool_]) -> Probabilities:
    kept: Probabilities = np.where(keep, p, 0.0)
    kept /= kept.sum()
    return kept
