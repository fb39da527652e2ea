"""The tree of an n-gram model in a few arrays: one character further in many texts at once.

``NGramModel`` walks from node to node, which suits one text. Many texts would each walk by
themselves, in Python. Here all levels lie one after the other, so one search finds the next node of
every text at every level, and one more look-up the children of all of these.

The n-grams of one level are the contexts of the next, so nothing has to be stored to go from one to
the other: with the empty context as number 0, n-gram i is context i + 1.

    contexts   0 ""   1 "a"   2 "b"   3 "aa"  4 "ab"  5 "ba"   absent: 6
    n-grams    0 "a"  1 "b"   2 "aa"  3 "ab"  4 "ba"  ...      first: 0 2 4 5 ...
"""

from __future__ import annotations

import numpy as np

from charlm.ngram import Floats, Ints, NGramModel


class Tree:
    """All levels of ``model``, for at least one text; about 25 bytes for each n-gram."""

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
        self.keys = np.concatenate(
            [level.keys + context * V for level, _, context in pairs]
        )  # (G,)
        self.share = np.concatenate([level.share[:-1] for level in levels])  # (G,)
        self.backoff = np.concatenate(
            [*(level.backoff[:-1] for level in levels), [1.0]]
        )  # (C + 1,)
        first = [level.first[:-1] + gram for level, gram, _ in pairs]
        self.first = np.concatenate([*first, [len(self.keys)] * 2])  # (C + 2,); absent: no children
        # After the last character alone, which is what every row begins with.
        self.shallow = min(2, len(levels))
        begin = NGramModel(V, self.shallow, levels[: self.shallow])
        self.table = begin.rows(np.arange(V)[:, None], begin.start(V))[0][:, 0]  # (V, V)

    def step(self, nodes: Ints, c: Ints) -> tuple[Floats, Ints]:
        """Read ``c`` (B,) in every text: nodes (B, K) as in ``NGramModel``, before it ->
        probabilities (B, V) of the next character, and the nodes after it.

        Each row is bit by bit that of ``NGramModel.row``.
        """
        B, V = len(c), self.vocab_size
        sought = self._numbered(nodes[:, :-1], 0) * V + c[:, None]  # (B, K - 1)
        found = np.minimum(self.keys.searchsorted(sought), len(self.keys) - 1)
        after = np.zeros_like(nodes)  # the empty context is node 0
        after[:, 1:] = np.where(self.keys[found] == sought, found - self.grams[:-1], -1)
        p: Floats = self.table[c]
        here = self._numbered(after[:, self.shallow :], self.shallow).T  # (K - 2, B)
        low = self.first[here]
        count = self.first[here + 1] - low
        ends = count.cumsum()
        # The children of all contexts, one after the other, level by level.
        each = count.ravel()
        child = np.arange(ends[-1] if len(ends) else 0)
        child += np.repeat(low.ravel() - ends + each, each)
        place = self.keys[child]  # context * V + c, made row * V + c
        place += np.repeat(((np.arange(B) - here) * V).ravel(), each)
        share = self.share[child]
        flat, backoff, begin = p.reshape(-1), self.backoff[here], 0
        for level, end in enumerate(ends[B - 1 :: B].tolist()):
            if end > begin:
                p *= backoff[level][:, None]
                flat[place[begin:end]] += share[begin:end]
            begin = end
        return p, after

    def _numbered(self, nodes: Ints, level: int) -> Ints:
        """Nodes (B, k) of the levels from this one on as contexts of the whole tree."""
        contexts = self.contexts[level : level + nodes.shape[1]]
        return np.where(nodes >= 0, nodes + contexts, self.absent)
