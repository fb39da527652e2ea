"""The n-gram model: interpolated modified Kneser-Ney smoothing.

Losses follow the package's convention: nats of every character after the first, which is context.

The n-grams form a tree: the children of the n-gram "th" are "tha", "the", ... A level holds all
n-grams of one length in the order of their parents, so the children of one parent are adjacent. An
n-gram is a context for the next level, which is where its children are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from charlm.errors import RequestError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Of the orders 3 to 12, 7 is best on tinyshakespeare; on the Divina Commedia 6 is, by 0.001 bits.
DEFAULT_ORDER = 7


@dataclass(frozen=True, eq=False)
class Level:
    """All n-grams of one length, numbered in the order of their keys, with smoothed probabilities.

    The n-gram "context, then c" has the key `context * V + c`, where `context` is the number of
    the (n-1)-gram. Both tables of floats have one extra entry at the end: n-grams and contexts that
    are not in the model have the number -1, which indexes it.
    """

    keys: Ints  # (G,) ascending
    share: Floats  # (G + 1,) discounted count / total of its context; 0 if not in the model
    backoff: Floats  # (C + 1,) weight of the next shorter context; 1 if not in the model
    vocab_size: int

    @cached_property
    def first(self) -> Ints:
        """(C + 1,) the number of the first child of every context; then the number of n-grams."""
        contexts = np.arange(len(self.backoff))
        return np.searchsorted(self.keys, contexts * self.vocab_size)

    @cached_property
    def symbol(self) -> Ints:
        """(G,) the last character of every n-gram."""
        return self.keys % self.vocab_size

    def number(self, keys: Ints) -> Ints:
        """The numbers of these n-grams; -1 for those that are not in the model.

        A context of -1 gives a negative key, which is never found, so no mask is needed.
        """
        if not len(self.keys):
            return np.full_like(keys, -1)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, -1)

    def child(self, context: int, c: int) -> int:
        """``number`` for one n-gram: the child ``c`` of ``context``."""
        if context < 0:
            return -1
        low, high = self.first[context], self.first[context + 1]
        place = int(low + self.symbol[low:high].searchsorted(c))
        return place if place < high and self.symbol[place] == c else -1


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
    character from the n - 1 before it. Build one with `fit`, or with `best` to choose the order.

    `keep_once` leaves out long n-grams that occur once in training: their whole share then belongs
    to the backoff, which says "a follower that the shorter contexts know better".

    A text is read either as a whole (`nats`, `rows`) or character by character: `nodes` are the
    numbers of the last 0, 1, ..., order - 1 characters read, each as a context.
    """

    vocab_size: int
    order: int
    levels: tuple[Level, ...]  # levels[k] predicts from k characters of context

    @classmethod
    def fit(
        cls,
        train_ids: npt.ArrayLike,
        vocab_size: int,
        order: int = DEFAULT_ORDER,
        *,
        keep_once: int | None = None,
    ) -> NGramModel:
        """Count `train_ids` (N,), each in [0, vocab_size), in time O(order N log N).

        keep_once: n-grams longer than this that occur once are left out; None keeps all

        A training text shorter than the order gives as many levels as it has characters.
        Raises RequestError for an order below 1 or no training text, ValueError for ids out of
        range.
        """
        if order < 1:
            raise RequestError(f"the n-gram order is {order}: give 1 or more")
        levels: list[Level] = []
        for middle, longest in _levels(train_ids, vocab_size, order, keep_once):
            levels.append(middle or longest)
        return cls(vocab_size, order, tuple(levels))

    @classmethod
    def best(
        cls,
        train_ids: npt.ArrayLike,
        vocab_size: int,
        val_ids: npt.ArrayLike,
        *,
        orders: Sequence[int],
        keep_once: int | None = None,
    ) -> NGramModel:
        """The model whose order, one of `orders`, gives `val_ids` (N,) the lowest loss.

        The n-grams are counted once for all orders. Errors as in `fit`.
        """
        val = _checked(val_ids, vocab_size)
        reading = _Reading(val, vocab_size)
        middles: list[Level] = []
        best: tuple[float, tuple[Level, ...]] | None = None
        for middle, longest in _levels(train_ids, vocab_size, max(orders), keep_once):
            order = len(middles) + 1
            # A short training text has no longer n-grams: the last level stands for those orders.
            if order in orders or middle is None:
                loss = float(reading.nats_with(longest).sum())
                if best is None or loss < best[0]:
                    best = loss, (*middles, longest)
            if middle is not None:
                middles.append(middle)
                reading.add(middle)
        assert best is not None  # the last level has no middle
        return cls(vocab_size, len(best[1]), best[1])

    # ---------------------------------------------------------------------------- whole texts

    def nats(self, ids: npt.ArrayLike) -> Floats:
        """The cost in nats of every counted character of `ids` (N,): shape (N - 1,).

        Element i is -ln p(ids[i + 1] | the order - 1 characters before it, or as many as there
        are). Raises ValueError for ids out of range.
        """
        reading = _Reading(_checked(ids, self.vocab_size), self.vocab_size)
        for level in self.levels[:-1]:
            reading.add(level)
        return reading.nats_with(self.levels[-1])

    def rows(self, ids: npt.ArrayLike, nodes: Ints) -> tuple[Floats, Ints]:
        """Probabilities (B, T, V) of every character after each of `ids` (B, T), and the nodes
        after the last; `nodes` (B, order) are those before the first, as from `start`.
        """
        ids = np.asarray(ids, dtype=np.int64)
        B, T = ids.shape
        p = np.full((B * T, self.vocab_size), 1.0 / self.vocab_size)
        every_row = np.arange(B * T)
        context = np.zeros((B, T + 1), np.int64)  # the empty one, before and after each character
        after = np.empty_like(nodes)
        for k, level in enumerate(self.levels):
            here = context[:, 1:].ravel()
            p *= level.backoff[here][:, None]
            low = level.first[here]
            count = np.where(here < 0, 0, level.first[here + 1] - low)
            # The children of all contexts, one after the other.
            child = np.arange(count.sum()) + np.repeat(low - (count.cumsum() - count), count)
            p[np.repeat(every_row, count), level.symbol[child]] += level.share[child]
            after[:, k] = context[:, -1]
            if k + 1 < len(self.levels):
                longer = level.number(context[:, :-1] * self.vocab_size + ids)
                context = np.concatenate([nodes[:, k + 1 : k + 2], longer], axis=1)
        return p.reshape(B, T, -1), after

    # -------------------------------------------------------------------- character by character

    def start(self, batch_size: int = 1) -> Ints:
        """The nodes (B, number of levels) before the first character: the empty context alone."""
        nodes = np.full((batch_size, len(self.levels)), -1, np.int64)
        nodes[:, 0] = 0
        return nodes

    def advance(self, nodes: list[int], c: int) -> list[int]:
        """The nodes after reading `c`."""
        found = (level.child(node, c) for level, node in zip(self.levels, nodes[:-1], strict=False))
        return [0, *found]

    def row(self, nodes: list[int]) -> Floats:
        """The probabilities (V,) of the next character."""
        p = np.full(self.vocab_size, 1.0 / self.vocab_size)
        for level, node in zip(self.levels, nodes, strict=True):
            if node >= 0:
                low, high = level.first[node], level.first[node + 1]
                p *= level.backoff[node]
                p[level.symbol[low:high]] += level.share[low:high]
        return p

    def distribution(self, context_ids: npt.ArrayLike) -> Floats:
        """The probabilities (V,) of the character after `context_ids`, of any length, even 0.

        Only the last order - 1 of them count. Raises ValueError for ids out of range.
        """
        ids = _checked(context_ids, self.vocab_size)
        nodes: list[int] = self.start()[0].tolist()
        for c in ids[max(0, len(ids) - self.order + 1) :]:
            nodes = self.advance(nodes, int(c))
        return self.row(nodes)


class _Reading:
    """The probability of every character of a text, while levels are added, the shortest first."""

    def __init__(self, ids: Ints, vocab_size: int) -> None:
        self._ids, self._vocab_size, self._length = ids, vocab_size, 0
        self._p = np.full(len(ids), 1.0 / vocab_size)
        self._gram = np.zeros(len(ids) + 1, np.int64)  # the number of the n-gram from each place on

    def _read(self, level: Level) -> tuple[Floats, Ints]:
        """(probabilities of ids[k:] given k characters, the numbers of their n-grams)"""
        context, k = self._gram[:-1], self._length  # the k characters before each of ids[k:]
        gram = level.number(context * self._vocab_size + self._ids[k:])
        return level.share[gram] + level.backoff[context] * self._p[k:], gram

    def add(self, level: Level) -> None:
        if self._length < len(self._ids):
            self._p[self._length :], self._gram = self._read(level)
            self._length += 1

    def nats_with(self, level: Level) -> Floats:
        """The cost of every character after the first if ``level`` is the last one."""
        p = self._p.copy()
        if self._length < len(self._ids):
            p[self._length :], _ = self._read(level)
        cost: Floats = -np.log(p[1:])
        return cost


def _checked(ids: npt.ArrayLike, vocab_size: int, dtype: type | None = np.int64) -> Ints:
    array = np.asarray(ids, dtype=dtype)
    if array.ndim != 1:
        raise ValueError(f"ids must be one row, got shape {array.shape}")
    if array.size and not 0 <= array.min() <= array.max() < vocab_size:
        raise ValueError(f"ids run from {array.min()} to {array.max()}: outside [0, {vocab_size})")
    return array


# ---------------------------------------------------------------------------------------- counting


def _levels(
    train_ids: npt.ArrayLike, vocab_size: int, order: int, keep_once: int | None
) -> Iterator[tuple[Level | None, Level]]:
    """For each length of n-grams, up to ``order``: (the level if longer ones follow, the level if
    it is the last). The longest that is counted has only the second."""
    ids = _checked(train_ids, vocab_size, dtype=None)
    if len(ids) == 0:
        raise RequestError("the n-gram's training text is empty: give at least one character")
    order = min(order, len(ids))
    # gram[i] is the number of the n-gram whose first character is ids[i]; there is an empty one
    # before every character and one at the end.
    gram, before = np.zeros(len(ids) + 1, np.int64), _Counted.empty()
    for length in range(1, order + 1):
        children = gram[:-1] * vocab_size
        children += ids[length - 1 :]
        keys, longer = _rank(children)
        del children  # only its memory is left of it
        if length > 1:
            neighbours = _left_neighbours(longer, gram, len(keys), len(before.keys))
            del gram
            yield before.smoothed(neighbours, vocab_size), before.smoothed(before.count, vocab_size)
        count = np.bincount(longer)
        once = keep_once is not None and length > keep_once
        before = _Counted(keys, count, count > 1 if once else np.ones(len(keys), bool), before.kept)
        gram = longer
    yield None, before.smoothed(before.count, vocab_size)


@dataclass(frozen=True, eq=False)
class _Counted:
    """The n-grams of one length as they were counted, and which of them the model keeps."""

    keys: Ints  # (G,) ascending; contexts are numbered with those that are left out
    count: Ints  # (G,) how often each occurs
    kept: npt.NDArray[np.bool_]  # (G,)
    kept_contexts: npt.NDArray[np.bool_]  # (C,)

    @classmethod
    def empty(cls) -> _Counted:
        """The n-gram of no characters: the only context of the first level."""
        one, yes = np.zeros(1, np.int64), np.ones(1, bool)
        return cls(one, one, yes, yes)

    def smoothed(self, a: Ints, vocab_size: int) -> Level:
        """Discount the counts ``a`` (G,), then leave out what is not kept.

        Whatever follows a context that is left out occurs once, so it is left out too: the children
        of every kept n-gram are kept or belong to the backoff.
        """
        context = self.keys // vocab_size
        num_contexts = len(self.kept_contexts)
        discount = _discounts(a)[np.minimum(a, 3)]
        total = np.bincount(context, a, num_contexts)
        removed = np.bincount(context, np.where(self.kept, discount, a), num_contexts)
        # A context that occurs only at the very end of training has no follower: all its weight
        # goes to the next shorter context.
        backoff = np.divide(removed, total, out=np.ones(num_contexts), where=total > 0)
        kept, kept_contexts = self.kept, self.kept_contexts
        share = (a[kept] - discount[kept]) / total[context[kept]]
        keys = self.keys[kept]
        if not kept_contexts.all():
            renumbered = np.cumsum(kept_contexts) - 1
            keys = renumbered[context[kept]] * vocab_size + keys % vocab_size
        return Level(
            keys, np.append(share, 0.0), np.append(backoff[kept_contexts], 1.0), vocab_size
        )


def _rank(keys: Ints) -> tuple[Ints, Ints]:
    """The distinct keys, ascending, and for every key its place among them.

    The keys are overwritten: with the longest text that is counted, every array takes 160 MB.
    """
    place_bits = len(keys).bit_length()
    if int(keys.max()).bit_length() + place_bits < 63:
        # Key and place in one number: sorting numbers is several times faster than an argsort.
        keys <<= place_bits
        keys |= np.arange(len(keys))
        keys.sort()
        order = keys & ((1 << place_bits) - 1)
        keys >>= place_bits
    else:
        order = np.argsort(keys)
        keys = keys[order]
    is_new = np.ones(len(keys), bool)
    is_new[1:] = keys[1:] != keys[:-1]
    distinct = keys[is_new]
    place = np.cumsum(is_new, out=keys)
    place -= 1
    places = np.empty(len(keys), np.int64)
    places[order] = place
    return distinct, places


def _left_neighbours(longer: Ints, gram: Ints, num_longer: int, num_grams: int) -> Ints:
    """For every n-gram its number of distinct left neighbours; the start of the text is one."""
    suffix = np.empty(num_longer, np.int64)
    suffix[longer] = gram[1:]  # all occurrences of an (n+1)-gram end in the same n-gram
    neighbours = np.bincount(suffix, minlength=num_grams)
    neighbours[gram[0]] += 1
    return neighbours


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
