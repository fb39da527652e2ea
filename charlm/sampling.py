"""Sampling: from logits to the id of the next character.

    logits -> no forbidden ids -> repetition penalty -> temperature -> top-k, top-p, min-p -> draw

``top_k``, ``top_p`` and ``min_p`` take probabilities (..., V) and return probabilities (..., V),
which sum to 1. Each keeps at least one symbol. They compute in float64, so that rounding does not
decide which symbols are kept. Several rows give the same as one row after the other, bit by bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Floats
from charlm.config import SampleConfig
from charlm.engine import log_softmax
from charlm.errors import CheckpointError

REPETITION_WINDOW = 64
"""The repetition penalty applies to the symbols among this many last ids."""

Probabilities = NDArray[np.float64]


def top_k(p: Probabilities, k: int) -> Probabilities:
    """Keep the k most likely symbols (Fan et al., 2018). 0 keeps all.

    Symbols as likely as the k-th are kept too.

    >>> top_k(np.array([0.5, 0.3, 0.2]), 2)
    array([0.625, 0.375, 0.   ])
    """
    if k <= 0 or k >= p.shape[-1]:
        return p
    return _renormalized(p, p >= np.partition(p, -k)[..., -k, None])


def top_p(p: Probabilities, mass: float) -> Probabilities:
    """Keep the most likely symbols whose total probability reaches ``mass``.

    Nucleus sampling (Holtzman et al., 2020): the smallest such set, but at least one symbol. 1
    keeps all.

    >>> top_p(np.array([0.5, 0.3, 0.2]), 0.7)
    array([0.625, 0.375, 0.   ])
    """
    if mass >= 1.0:
        return p
    order = np.argsort(-p, kind="stable")
    falling = np.take_along_axis(p, order, axis=-1)
    before = np.cumsum(falling, axis=-1) - falling  # total probability of the more likely symbols
    reaches = before < mass
    reaches[..., 0] = True
    keep = np.empty_like(reaches)
    np.put_along_axis(keep, order, reaches, axis=-1)
    return _renormalized(p, keep)


def min_p(p: Probabilities, share: float) -> Probabilities:
    """Keep symbols at least ``share`` times as likely as the most likely (Nguyen et al., 2024).

    0 keeps all.

    >>> min_p(np.array([0.5, 0.3, 0.2]), 0.5)
    array([0.625, 0.375, 0.   ])
    """
    if share <= 0.0:
        return p
    return _renormalized(p, p >= share * p.max(-1, keepdims=True))


def penalize_repetition(logits: Floats, recent: Sequence[int], penalty: float) -> Floats:
    """Multiply the log-probability of every recent symbol by ``penalty``: logits (V,) -> (V,).

    A penalty above 1 makes recent symbols less likely; 1 returns the logits unchanged. The result
    is not normalized. ``recent`` are the ids so far; only the last 64 count.

    Keskar et al. (2019) divide positive logits and multiply negative ones. Log-probabilities are
    never positive, so one rule is enough, and adding a constant to all logits changes nothing.

    >>> logits = np.log([0.5, 0.25, 0.25])
    >>> np.exp(penalize_repetition(logits, [1, 1], 2.0)).round(4)
    array([0.5   , 0.0625, 0.25  ])
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
    """The probabilities from which the next id is drawn: logits (..., V) after every filter.

    recent: the ids so far, for the repetition penalty, which needs logits (V,)
    forbidden: ids that get probability 0

    At temperature 0 the most likely symbol has probability 1. If several tie, the first one has it.

    >>> logits = np.log([0.5, 0.3, 0.2])
    >>> distribution(logits, SampleConfig(temperature=1.0), forbidden=[0])
    array([0. , 0.6, 0.4])
    >>> distribution(logits, SampleConfig(temperature=0.0))
    array([1., 0., 0.])
    """
    scores: Floats = logits.astype(np.float64)
    if forbidden:
        scores[..., list(forbidden)] = -np.inf
    if config.repetition_penalty != 1.0:
        scores = penalize_repetition(scores, recent, config.repetition_penalty)
    if config.temperature == 0.0:
        likeliest = scores.argmax(-1)[..., None]
        certain: Probabilities = (np.arange(scores.shape[-1]) == likeliest).astype(np.float64)
        return certain
    # After the subtraction no score is above 0. Dividing a difference of float32 numbers by 1e-250
    # cannot overflow, so a tiny temperature causes neither a warning nor a NaN.
    scores -= scores.max(-1, keepdims=True)
    scores /= max(config.temperature, 1e-250)
    p: Probabilities = np.exp(scores)
    p /= p.sum(-1, keepdims=True)
    return min_p(top_p(top_k(p, config.top_k), config.top_p), config.min_p)


class Uniform(Protocol):
    """Where random numbers in [0, 1) come from: ``np.random.Generator``, for example."""

    def random(self) -> float: ...


def draw(p: Probabilities, rng: Uniform) -> int:
    """Draw one id from probabilities (V,), by inverting their cumulative sum.

    >>> draw(np.array([0.0, 1.0, 0.0]), np.random.default_rng(1))
    1
    """
    cumulative = p.cumsum()
    place = int(cumulative.searchsorted(rng.random() * cumulative[-1], side="right"))
    # Rounding can make the drawn number equal to the total. Then take the last possible symbol.
    return place if place < len(p) else int(np.flatnonzero(p)[-1])


def draw_rows(p: Probabilities, u: Probabilities) -> NDArray[np.int64]:
    """``draw`` for several texts at once: p (B, V) and a number u (B,) in [0, 1) for each -> (B,).

    >>> draw_rows(np.array([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]]), np.array([0.1, 0.9]))
    array([1, 2])
    """
    cumulative = p.cumsum(-1)
    places: NDArray[np.int64] = (cumulative <= (u * cumulative[:, -1])[:, None]).sum(-1)
    for row in np.flatnonzero(places == p.shape[-1]):
        places[row] = np.flatnonzero(p[row])[-1]
    return places


def not_finite() -> CheckpointError:
    """The error for logits from which nothing can be drawn."""
    return CheckpointError(
        "the model's output is not finite: its weights are too large to compute with"
    )


def _renormalized(p: Probabilities, keep: NDArray[np.bool_]) -> Probabilities:
    """Set the symbols that are not kept to 0 and scale the others so that they sum to 1."""
    kept: Probabilities = np.where(keep, p, 0.0)
    kept /= kept.sum(-1, keepdims=True)
    return kept
