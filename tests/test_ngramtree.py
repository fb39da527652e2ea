"""The tree of an n-gram model in a few arrays: the rows and nodes of the model, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import write_text
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.ngram import NGramModel
from charlm.ngramtree import Tree
from charlm.text.tokenizer import CharTokenizer

TEXT = write_text(3000)
TOKENIZER = CharTokenizer("".join(sorted(set(TEXT) | set("#%"))))  # two are never seen
IDS = TOKENIZER.encode(TEXT).astype(np.int64)


def assert_walks_alike(model: NGramModel, ids: np.ndarray) -> None:
    """``ids`` (B, T): the tree reads all texts at once, the model walks through one at a time."""
    tree, nodes = Tree(model), model.start(len(ids))
    walks = nodes.tolist()
    for t in range(ids.shape[1]):
        p, nodes = tree.step(nodes, ids[:, t])
        for row, walk in enumerate(walks):
            walks[row] = model.advance(walk, int(ids[row, t]))
            np.testing.assert_array_equal(p[row], model.row(walks[row]))
        assert nodes.tolist() == walks


@pytest.mark.parametrize("order", [1, 2, 3, 7, 12])
@pytest.mark.parametrize("keep_once", [None, 3])
def test_training_text_and_noise(order: int, keep_once: int | None) -> None:
    model = NGramModel.fit(IDS, TOKENIZER.vocab_size, order, keep_once=keep_once)
    noise = np.random.default_rng(1).integers(0, TOKENIZER.vocab_size, (5, 40))
    known = np.stack([IDS[start : start + 40] for start in (0, 700, 1500, 2960)])
    assert_walks_alike(model, np.concatenate([known, noise]))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_model_and_any_texts(data: st.DataObject) -> None:
    V = data.draw(st.integers(1, 5))
    train = data.draw(st.lists(st.integers(0, V - 1), min_size=1, max_size=50))
    keep_once = data.draw(st.sampled_from([None, 0, 1, 3]))
    model = NGramModel.fit(train, V, data.draw(st.integers(1, 8)), keep_once=keep_once)
    rows = data.draw(st.integers(1, 4))
    length = data.draw(st.integers(1, 12))
    ids = data.draw(st.lists(st.integers(0, V - 1), min_size=rows * length, max_size=rows * length))
    assert_walks_alike(model, np.array(ids).reshape(rows, length))


def test_ngram_i_is_context_i_plus_one() -> None:
    """By hand: "abab" and order 3, as the module draws it."""
    tree = Tree(NGramModel.fit([0, 1, 0, 1], 2, 3))
    grams = ["a", "b", "ab", "ba", "aba", "bab"]
    contexts = ["", *grams]
    names = [contexts[key // 2] + "ab"[key % 2] for key in tree.keys[:-1].tolist()]
    assert names == grams
    assert tree.absent == contexts.index("ba") + 1
    assert tree.first.tolist() == [0, 2, 3, 4, 5, 6, 6]
    children = [grams[a:b] for a, b in zip(tree.first[:-1], tree.first[1:], strict=True)]
    assert children == [["a", "b"], ["ab"], ["ba"], ["aba"], ["bab"], []]
