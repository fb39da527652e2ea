"""The n-gram model: interpolated modified Kneser-Ney smoothing.

Losses follow the package's convention: nats of every character after the first, which is context.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.errors import RequestError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Of the orders 3 to 12, 7 is best on tinyshakespeare; on the Divina Commedia 6 is, by 0.001 bits.
DEFAULT_ORDER = 7


@dataclass(frozen=True, eq=False)
class _Level:
    """All n-grams of one length, numbered in the order of their keys, with smoothed probabilities.

    The n-gram "context, then c" has the key `context * V + c`, where `context` is the number of
    the (n-1)-gram, so the followers of one context are adjacent. Both tables of floats have one
    extra entry at the end: n-grams and contexts that do not occur in training have the number -1,
    which indexes it.
    """

    keys: Ints  # (G,) ascending
    share: Floats  # (G + 1,) discounted count / total of its context; 0 if never seen
    backoff: Floats  # (C + 1,) weight of the next shorter context; 1 if never seen

    def number(self, keys: Ints) -> Ints:
        """The numbers of these n-grams; -1 for those that do not occur in training.

        A context of -1 gives a negative key, which is never found, so no mask is needed.
        """
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, -1)


@dataclass(frozen=True, eq=False)
class NGramModel:
    """Interpolated modified Kneser-Ney: Chen & Goodman, "An empirical study of smoothing techniques
    for language modeling", Computer Speech & Language 13 (1999).

        p_n(c | h) = (a(h c) - D(a(h c))) / a(h .)  +  backoff(h) p_{n-1}(c | h less its first)
        backoff(h) = (D1 N1(h .) + D2 N2(h .) + D3 N3+(h .)) / a(h .)
        p_0(c)     = 1 / V

    Here `a` is the count for the longest n-grams; for shorter ones it is the number of distinct
    left neighbours, where the start of the text is a neighbour of its own. N1, N2, N3+ are the
    numbers of followers of h with a = 1, 2, 3 or more, and D(0) = 0. An order of n predicts a
    character from the n - 1 before it. Build one with `fit`.
    """

    vocab_size: int
    order: int
    levels: tuple[_Level, ...]  # levels[k] predicts from k characters of context

    @classmethod
    def fit(
        cls, train_ids: npt.ArrayLike, vocab_size: int, order: int = DEFAULT_ORDER
    ) -> NGramModel:
        """Count `train_ids` (N,), each in [0, vocab_size), in time O(order N log N).

        A training text shorter than the order gives as many levels as it has characters.
        Raises RequestError for an order below 1 or no training text, ValueError for ids out of
        range.
        """
        if order < 1:
            raise RequestError(f"the n-gram order is {order}: give 1 or more")
        ids = _checked(train_ids, vocab_size)
        if len(ids) == 0:
            raise RequestError("the n-gram's training text is empty: give at least one character")
        # gram[i] is the number of the n-gram whose first character is ids[i]; there is an empty one
        # before every character and one at the end.
        gram, keys, num_contexts = np.zeros(len(ids) + 1, np.int64), np.zeros(1, np.int64), 1
        levels: list[_Level] = []
        for length in range(1, min(order, len(ids)) + 1):
            longer_keys, longer = _rank(gram[:-1] * vocab_size + ids[length - 1 :])
            if length > 1:
                counts = _left_neighbours(longer, gram, len(longer_keys), len(keys))
                levels.append(_smooth(keys, num_contexts, counts, vocab_size))
            gram, keys, num_contexts = longer, longer_keys, len(keys)
        levels.append(_smooth(keys, num_contexts, np.bincount(gram), vocab_size))
        return cls(vocab_size, order, tuple(levels))

    def nats(self, ids: npt.ArrayLike) -> Floats:
        """The cost in nats of every counted character of `ids` (N,): shape (N - 1,).

        Element i is -ln p(ids[i + 1] | the order - 1 characters before it, or as many as there
        are). Raises ValueError for ids out of range.
        """
        ids = _checked(ids, self.vocab_size)
        p = np.full(len(ids), 1.0 / self.vocab_size)
        gram = np.zeros(len(ids) + 1, np.int64)
        for k, level in enumerate(self.levels):
            context = gram[:-1]  # the k characters before each of ids[k:]
            gram = level.number(context * self.vocab_size + ids[k:])
            p[k:] = level.share[gram] + level.backoff[context] * p[k:]
        cost: Floats = -np.log(p[1:])
        return cost

    def distribution(self, context_ids: npt.ArrayLike) -> Floats:
        """The probabilities (V,) of the character after `context_ids`, of any length, even 0.

        Only the last order - 1 of them count. Raises ValueError for ids out of range.
        """
        ids = _checked(context_ids, self.vocab_size)
        p = np.full(self.vocab_size, 1.0 / self.vocab_size)
        for k, level in enumerate(self.levels[: len(ids) + 1]):
            context = np.zeros(1, np.int64)
            for shorter, c in zip(self.levels, ids[len(ids) - k :], strict=False):
                context = shorter.number(context * self.vocab_size + c)
            first_key = int(context[0]) * self.vocab_size
            low, high = np.searchsorted(level.keys, (first_key, first_key + self.vocab_size))
            p *= level.backoff[context]
            p[level.keys[low:high] - first_key] += level.share[low:high]
        return p


def _checked(ids: npt.ArrayLike, vocab_size: int) -> Ints:
    array = np.asarray(ids, dtype=np.int64)
    if array.ndim != 1:
        raise ValueError(f"ids must be one row, got shape {array.shape}")
    if array.size and not 0 <= array.min() <= array.max() < vocab_size:
        raise ValueError(f"ids run from {array.min()} to {array.max()}: outside [0, {vocab_size})")
    return array


def _rank(keys: Ints) -> tuple[Ints, Ints]:
    """The distinct keys, ascending, and for every key its place among them."""
    order = np.argsort(keys)
    in_order = keys[order]
    is_new = np.ones(len(keys), bool)
    is_new[1:] = in_order[1:] != in_order[:-1]
    places = np.empty(len(keys), np.int64)
    places[order] = np.cumsum(is_new) - 1
    return in_order[is_new], places


def _left_neighbours(longer: Ints, gram: Ints, num_longer: int, num_grams: int) -> Ints:
    """For every n-gram its number of distinct left neighbours; the start of the text is one."""
    suffix = np.empty(num_longer, np.int64)
    suffix[longer] = gram[1:]  # all occurrences of an (n+1)-gram end in the same n-gram
    neighbours = np.bincount(suffix, minlength=num_grams)
    neighbours[gram[0]] += 1
    return neighbours


def _smooth(keys: Ints, num_contexts: int, counts: Ints, vocab_size: int) -> _Level:
    context = keys // vocab_size
    discount = _discounts(counts)[np.minimum(counts, 3)]
    total = np.bincount(context, counts, num_contexts)
    removed = np.bincount(context, discount, num_contexts)
    # A context that occurs only at the very end of training has no follower: all its weight goes to
    # the next shorter context.
    backoff = np.divide(removed, total, out=np.ones(num_contexts), where=total > 0)
    share = (counts - discount) / total[context]
    return _Level(keys, np.append(share, 0.0), np.append(backoff, 1.0))


def _discounts(counts: Ints) -> Floats:
    """The discounts for counts of 0, 1, 2, and 3 or more: (4,), after Chen & Goodman (1999).

    The estimate needs n-grams with each of the counts 1 to 4. If the text is too small or too
    regular for that, or if the estimate would leave nothing for shorter contexts, the discounts are
    fixed.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)
    if n[1:5].all():
        y = n[1] / (n[1] + 2 * n[2])
        d1, d2, d3 = (i - (i + 1) * y * n[i + 1] / n[i] for i in (1, 2, 3))
        if min(d1, d2, d3) > 0:
            return np.array([0.0, d1, d2, d3])
    return np.array([0.0, 0.5, 1.0, 1.5])
