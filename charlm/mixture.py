"""A network and an n-gram model as one model: their log-linear mixture.

    p(c) = p_network(c)^a  p_ngram(c)^b / Z,    Z = sum over all c of the same product

A network generalises, counts remember; mixtures of both go back to Mikolov et al., "Recurrent
neural network based language model", Interspeech 2010. A linear mixture is an "or": the noise of
either comes through. This one is an "and": a character is likely if both find it likely (Klakow,
"Log-linear interpolation of language models", ICSLP 1998; Hinton's product of experts, 2002).

Z is computed for every character, over the whole vocabulary. Without it the values would be scores
and not probabilities, and their losses would mean nothing.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Floats, Ids, State
from charlm.engine import log_softmax
from charlm.ngram import Ints, NGramModel
from charlm.ngramtree import Tree

Reals = NDArray[np.float64]

_DENSE = 1024  # symbols; with more, the square table of a ``Tree`` would be mostly unused


class Weights(NamedTuple):
    """The exponents of a mixture. (1, 0) is the network alone, (0, 1) the n-gram alone."""

    network: float
    ngram: float


class Predictor(Protocol):
    """What sampling and scoring ask of a model: a network (``Engine``; on a GPU
    ``charlm.models.predictor``) or a mixture (``Mixed``)."""

    def initial_state(self, batch_size: int = 1) -> State: ...

    def forward(self, ids: Ids, state: State) -> tuple[Floats, State]:
        """ids (B, T) -> logits (B, T, V), and the state after the last id."""
        ...

    def step(self, ids: Ids, state: State) -> tuple[Floats, State]:
        """ids (B,) -> logits (B, V), and the state after them. In NumPy no row depends on the
        others, nor on their number: row b is bit by bit what that text alone gives."""
        ...

    def last(self, ids: Ids, state: State) -> tuple[Floats, State]:
        """``forward`` for the last character alone: ids (B, T) -> logits (B, V)."""
        ...


def mixed(logits: Floats, ngram: Floats, weights: Weights) -> Reals:
    """The log-probabilities (..., V) of the mixture, in nats.

    logits: of the network (..., V); adding a constant to them changes nothing
    ngram: probabilities (..., V), all above 0

    >>> np.exp(mixed(np.log([0.5, 0.5]), np.array([0.8, 0.2]), Weights(1.0, 0.5))).round(4)
    array([0.6667, 0.3333])
    """
    scores = weights.network * logits.astype(np.float64)
    scores += weights.ngram * np.log(ngram)
    return np.asarray(log_softmax(scores), dtype=np.float64)


class Apart(NamedTuple):
    """What both parts of a mixture and the mixture say: for each a loss, or (..., V) logits."""

    network: Any
    ngram: Any
    mixture: Any


class Mixed:
    """The mixture as a predictor. Its logits are log-probabilities in float64.

    The state is the network's, and one more array (1, B, order): the nodes of the n-gram model.
    """

    def __init__(self, network: Predictor, ngram: NGramModel, weights: Weights) -> None:
        self.network, self.ngram, self.weights = network, ngram, weights

    def initial_state(self, batch_size: int = 1) -> State:
        nodes = self.ngram.start(batch_size)[None]
        return (*self.network.initial_state(batch_size), nodes)

    def apart(self, ids: Ids, state: State) -> tuple[Apart, State]:
        """``forward`` with the logits of the parts: ids (B, T) -> three times (B, T, V)."""
        logits, own = self.network.forward(ids, state[:-1])
        p, nodes = self.ngram.rows(ids, state[-1][0])
        found = Apart(logits, np.log(p), mixed(logits, p, self.weights))
        return found, (*own, nodes[None])

    def forward(self, ids: Ids, state: State) -> tuple[Floats, State]:
        found, state = self.apart(ids, state)
        logits: Floats = found.mixture
        return logits, state

    def step(self, ids: Ids, state: State) -> tuple[Floats, State]:
        logits, own = self.network.step(ids, state[:-1])
        if len(ids) > 1:
            p, reached = self._followers(state[-1][0], ids)
            return mixed(logits, p, self.weights), (*own, reached[None])
        # One character of one text: a walk from node to node is faster than arrays.
        nodes = self.ngram.advance(state[-1][0, 0].tolist(), int(ids[0]))
        after = np.array(nodes)[None, None]
        return mixed(logits, self.ngram.row(nodes)[None], self.weights), (*own, after)

    def _followers(self, nodes: Ints, ids: Ids) -> tuple[Reals, Ints]:
        """Probabilities (B, V) after ``ids`` (B,), and the nodes (B, order) there."""
        if self.ngram.vocab_size > _DENSE:
            p, nodes = self.ngram.rows(ids[:, None], nodes)
            return p[:, 0], nodes
        return self._tree.step(nodes, ids.astype(np.int64, copy=False))

    @cached_property
    def _tree(self) -> Tree:
        return Tree(self.ngram)

    def last(self, ids: Ids, state: State) -> tuple[Floats, State]:
        logits, own = self.network.last(ids, state[:-1])
        p, nodes = self.ngram.rows(ids, state[-1][0])
        after: State = (*own, nodes[None])
        return mixed(logits, p[:, -1], self.weights), after


# ------------------------------------------------------------------------------------- the weights


def fit(both: NDArray[np.floating[Any]], targets: Ids, *, steps: int = 50) -> Weights:
    """The weights, none below 0, under which the mixture gives ``targets`` (N,) the lowest loss.

    both: log-probabilities (2, N, V) of the network and of the n-gram model at the same places

    The mixture is an exponential family with two parameters, so the loss is convex: its gradient is
    the mean of the log-probabilities under the mixture minus that at the targets, its second
    derivative their covariance. Newton's method, from the network alone; a step that does not
    lower the loss is halved, and a weight that would fall below 0 stays there. A weak prior, as if
    ``_PRIOR`` nats were lost for a distance of 1 from the network alone, decides for short texts.
    """
    at_targets = both[:, np.arange(len(targets)), targets].mean(1, dtype=np.float64)  # (2,)
    weights = np.array([1.0, 0.0])
    loss, gradient, hessian = _loss(both, at_targets, weights)
    for _ in range(steps):
        # A weight at its limit is left there if the loss would fall beyond it.
        free = (weights > 0) | (gradient < 0)
        if not free.any():
            break
        move = np.zeros(2)
        move[free] = -np.linalg.solve(
            hessian[np.ix_(free, free)] + 1e-9 * np.eye(int(free.sum())), gradient[free]
        )
        scale = 1.0
        while scale > 1e-4:
            tried = np.maximum(0.0, weights + scale * move)
            new_loss, new_gradient, new_hessian = _loss(both, at_targets, tried)
            if new_loss < loss:
                break
            scale /= 2
        else:
            break
        gained = loss - new_loss
        weights, loss, gradient, hessian = tried, new_loss, new_gradient, new_hessian
        if gained < 1e-9:
            break
    return Weights(round(float(weights[0]), 4), round(float(weights[1]), 4))


_PRIOR = 2.0


_ROWS = 4096
"""Places of which the mixture is computed at once."""


def _loss(
    both: NDArray[np.floating[Any]], at_targets: Reals, weights: Reals
) -> tuple[float, Reals, Reals]:
    """Mean loss in nats, its gradient (2,) and its second derivative (2, 2)."""
    N = both.shape[1]
    log_total, expected, second = 0.0, np.empty((2, N)), np.zeros((2, 2))
    for begin in range(0, N, _ROWS):
        rows = slice(begin, begin + _ROWS)
        part = both[:, rows].astype(np.float64)
        scores = weights[0] * part[0] + weights[1] * part[1]  # (n, V)
        highest = scores.max(1, keepdims=True)
        p = np.exp(scores - highest)
        total = p.sum(1, keepdims=True)
        p /= total
        log_total += float((np.log(total) + highest).sum())
        expected[:, rows] = np.einsum("nv,knv->kn", p, part)
        second += np.einsum("nv,inv,jnv->ij", p, part, part, optimize=True)
    log_total /= N
    second /= N
    covariance = second - expected @ expected.T / N
    away, prior = weights - (1.0, 0.0), _PRIOR / N
    return (
        log_total - float(weights @ at_targets) + prior * float(away @ away),
        expected.mean(1) - at_targets + 2 * prior * away,
        covariance + 2 * prior * np.eye(2),
    )
