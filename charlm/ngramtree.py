"""The tree of an n-gram model in a few arrays: one character further in many texts at once.

``NGramModel`` walks from node to node, which suits one text. Many texts would each walk by
themselves, in Python. Here all levels lie one after the other: a few calls of NumPy find the next
node of every text at every level, and the children of all these nodes.

The n-grams of one level are the contexts of the next. With the empty context as number 0, n-gram i
is context i + 1, so nothing has to be stored to go from one to the other. The text "abab", order 3:

    n-grams    0 "a"   1 "b"   2 "ab"   3 "ba"   4 "aba"  5 "bab"
    contexts   0 ""    1 "a"   2 "b"    3 "ab"   4 "ba"   absent: 5
    first      0       2       3        4        5        6           where the children begin
"""

from __future__ import annotations

import numpy as np

from charlm.ngram import Floats, Ints, NGramModel


class Tree:
    """All levels of ``model``, for at least one text; some 40 bytes for each n-gram."""

    def __init__(self, model: NGramModel) -> None:
        levels, V = model.levels, model.vocab_size
        self.vocab_size = V
        sizes = [len(level.keys) for level in levels]
        # Of the first n-gram of every level, and of its first context.
        self.grams = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)  # (K,)
        self.contexts = np.concatenate([[0], self.grams[:-1] + 1]).astype(np.int64)  # (K,)
        self.absent = 1 + int(sum(sizes[:-1]))
        pairs = list(zip(levels, self.grams, self.contexts, strict=True))
        # The key of "context, then c" is context * V + c, as in a level: ascending over all levels.
        # One more, which nobody seeks, serves models that know no n-gram at all.
        keys = [level.keys + context * V for level, _, context in pairs]
        self.keys = np.concatenate([*keys, [np.iinfo(np.int64).max]])  # (G + 1,)
        self.share = np.concatenate([level.share[:-1] for level in levels])  # (G,)
        self.backoff = np.concatenate(
            [*(level.backoff[:-1] for level in levels), [1.0]]
        )  # (C + 1,)
        first = [level.first[:-1] + gram for level, gram, _ in pairs]
        self.first = np.concatenate([*first, [sum(sizes)] * 2])  # (C + 2,); absent: no children
        # After the last character alone, which is what every row begins with.
        self.shallow = min(2, len(levels))
        begin = NGramModel(V, self.shallow, levels[: self.shallow])
        self.few = sum(sizes[: self.shallow])
        self.table = begin.rows(np.arange(V)[:, None], begin.start(V))[0][:, 0]  # (V, V)

    def step(self, nodes: Ints, c: Ints) -> tuple[Floats, Ints]:
        """Read ``c`` (B,) in every text: nodes (B, K) as in ``NGramModel``, before it ->
        probabilities (B, V) of the next character, and the nodes after it.

        Each row is bit by bit that of ``NGramModel.row``.
        """
        V = self.vocab_size
        after = self._advanced(nodes, c)
        p: Floats = self.table[c]  # (B, V)
        here = self._numbered(after[:, self.shallow :], self.shallow).T  # (K - 2, B)
        child, each = self._children(here)
        place = self.keys[child]  # context * V + c, made row * V + c
        place += np.repeat(((np.arange(len(c)) - here) * V).ravel(), each)
        share = self.share[child]
        flat, backoff, begin = p.reshape(-1), self.backoff[here], 0
        for level, count in enumerate(each.reshape(here.shape).sum(1).tolist()):
            if count:
                end = begin + count
                p *= backoff[level][:, None]
                flat[place[begin:end]] += share[begin:end]
                begin = end
        return p, after

    def _advanced(self, nodes: Ints, c: Ints) -> Ints:
        """The nodes (B, K) after reading ``c`` (B,)."""
        here = self._numbered(nodes[:, :-1], 0)  # (B, K - 1)
        sought = here * self.vocab_size + c[:, None]
        # The first levels have few n-grams and many children: search among all of them.
        near, few = sought[:, : self.shallow], self.keys[: self.few + 1]
        place = np.minimum(few.searchsorted(near), len(few) - 1)
        place[few[place] != near] = -1
        # The others have many n-grams, all over the memory. The children of a context are few, and
        # were read one character ago: compare each of them.
        deep = sought[:, self.shallow :]
        found = np.full(deep.size, -1)
        child, each = self._children(here[:, self.shallow :])
        hits = np.flatnonzero(self.keys[child] == np.repeat(deep.ravel(), each))
        found[np.repeat(np.arange(deep.size), each)[hits]] = child[hits]
        grams = np.concatenate([place, found.reshape(deep.shape)], axis=1)  # (B, K - 1)
        after = np.zeros_like(nodes)  # the empty context is node 0
        after[:, 1:] = np.where(grams >= 0, grams - self.grams[:-1], -1)
        return after

    def _children(self, contexts: Ints) -> tuple[Ints, Ints]:
        """The n-grams that continue these contexts, one context after the other, and how many each
        of the contexts has, both as one row."""
        contexts = contexts.ravel()
        low = self.first[contexts]
        each = self.first[contexts + 1] - low
        ends = each.cumsum()
        child = np.arange(ends[-1] if len(ends) else 0)
        child += np.repeat(low - ends + each, each)
        return child, each

    def _numbered(self, nodes: Ints, level: int) -> Ints:
        """Nodes (B, k) of the levels from this one on as contexts of the whole tree."""
        contexts = self.contexts[level : level + nodes.shape[1]]
        return np.where(nodes >= 0, nodes + contexts, self.absent)
