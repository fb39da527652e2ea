"""The n-gram model against Chen & Goodman's formulas, computed over dictionaries of tuples."""

from __future__ import annotations

import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import RequestError
from charlm.ngram import NGramModel


class SlowKneserNey:
    """Modified Kneser-Ney, one n-gram at a time, sharing no line and no idea with the package."""

    START = -1

    def __init__(
        self, train: list[int], vocab_size: int, order: int, keep_once: int | None = None
    ) -> None:
        raw = Counter(
            tuple(train[i : i + n]) for n in range(1, order + 1) for i in range(len(train) - n + 1)
        )
        once = {g for g, a in raw.items() if a == 1 and keep_once is not None}
        self.left_out = {g for g in once if len(g) > (keep_once or 0)}
        self.vocab_size, self.order = vocab_size, min(order, len(train))
        self.counts: list[Counter[tuple[int, ...]]] = []
        for n in range(1, self.order + 1):
            grams = [tuple(train[i : i + n]) for i in range(len(train) - n + 1)]
            if n == self.order:
                self.counts.append(Counter(grams))
            else:
                before = [self.START, *train]
                pairs = {(before[i], gram) for i, gram in enumerate(grams)}
                self.counts.append(Counter(gram for _, gram in pairs))
        self.discounts = [self.estimate(list(c.values())) for c in self.counts]

    @staticmethod
    def estimate(counts: list[int]) -> dict[int, float]:
        n1, n2, n3, n4 = (sum(1 for c in counts if c == wanted) for wanted in (1, 2, 3, 4))
        fixed = {1: 0.5, 2: 1.0, 3: 1.5}
        if 0 in (n1, n2, n3, n4):
            return fixed
        y = n1 / (n1 + 2 * n2)
        d = {1: 1 - 2 * y * n2 / n1, 2: 2 - 3 * y * n3 / n2, 3: 3 - 4 * y * n4 / n3}
        return d if all(value > 0 for value in d.values()) else fixed

    def p(self, c: int, context: list[int]) -> float:
        context = context[max(0, len(context) - self.order + 1) :]
        return self._p(c, tuple(context))

    def _p(self, c: int, context: tuple[int, ...]) -> float:
        lower = self._p(c, context[1:]) if context else 1 / self.vocab_size
        counts, d = self.counts[len(context)], self.discounts[len(context)]
        followers = {g: a for g, a in counts.items() if g[:-1] == context}
        if not followers or context in self.left_out:
            return lower
        taken = {g: a if g in self.left_out else d[min(a, 3)] for g, a in followers.items()}
        removed = sum(taken.values())
        gram = (*context, c)
        kept = followers[gram] - taken[gram] if gram in followers else 0.0
        return (kept + removed * lower) / sum(followers.values())


def markov_ids(rng: random.Random, length: int, vocab_size: int) -> list[int]:
    """A text with structure: the next id is mostly a function of the last two."""
    ids = [0, 1]
    while len(ids) < length:
        follower = (3 * ids[-1] + ids[-2] ** 2 + 1) % vocab_size
        ids.append(follower if rng.random() < 0.6 else int(vocab_size * rng.random() ** 2))
    return ids


@pytest.mark.parametrize("keep_once", [None, 0, 2])
@pytest.mark.parametrize(
    ("order", "vocab_size", "train_length"),
    [
        *[(1, 3, 40), (2, 5, 300), (3, 7, 500), (5, 4, 400), (4, 30, 300)],
        *[(6, 2, 5), (3, 1, 9), (5, 9, 1)],  # shorter than the order, one symbol, one character
    ],
)
def test_ngram_equals_dictionaries(
    order: int, vocab_size: int, train_length: int, keep_once: int | None
) -> None:
    rng = random.Random(1000 * order + vocab_size)
    # Training lacks the last id, and the evaluated text has contexts that training never saw.
    train = markov_ids(rng, train_length + 2, max(1, vocab_size - 1))[2:]
    text = [rng.randrange(vocab_size) for _ in range(30)] + train[:30]
    model = NGramModel.fit(train, vocab_size, order, keep_once=keep_once)
    slow = SlowKneserNey(train, vocab_size, order, keep_once)

    expected = [-math.log(slow.p(text[i], text[:i])) for i in range(1, len(text))]
    np.testing.assert_allclose(model.nats(text), expected, rtol=0, atol=1e-10)
    for end in (0, 1, 2, 17, 45):
        row = [slow.p(c, text[:end]) for c in range(vocab_size)]
        np.testing.assert_allclose(model.distribution(text[:end]), row, rtol=0, atol=1e-10)


@pytest.mark.parametrize("keep_once", [None, 1, 2])
def test_the_best_order_is_the_one_with_the_lowest_loss(keep_once: int | None) -> None:
    train, val = markov_ids(random.Random(3), 600, 6), markov_ids(random.Random(4), 400, 6)
    best = NGramModel.best(train, 6, val, orders=range(1, 9), keep_once=keep_once)
    losses = {
        order: NGramModel.fit(train, 6, order, keep_once=keep_once).nats(val).sum()
        for order in range(1, 9)
    }
    assert best.order == min(losses, key=losses.__getitem__)
    assert 1 < best.order < 8  # the text's own order is 3
    assert math.isclose(best.nats(val).sum(), losses[best.order], abs_tol=1e-9)
    assert len(set(losses.values())) > 4
    short = NGramModel.best(train[:2], 6, val, orders=[4, 7])
    assert math.isclose(short.nats(val).sum(), NGramModel.fit(train[:2], 6, 7).nats(val).sum())


def test_rows_and_steps_say_what_distribution_says() -> None:
    train, text = markov_ids(random.Random(3), 900, 6), markov_ids(random.Random(4), 40, 7)
    model = NGramModel.fit(train, 7, 5, keep_once=2)
    expected = np.array([model.distribution(text[: end + 1]) for end in range(40)])
    rows, nodes = model.rows([text], model.start())
    np.testing.assert_allclose(rows[0], expected, atol=1e-15)
    first, between = model.rows([text[:7], text[:7]], model.start(2))
    rest, last = model.rows([text[7:], text[7:]], between)
    np.testing.assert_allclose(np.concatenate([first, rest], axis=1)[1], expected, atol=1e-15)
    np.testing.assert_array_equal(last, np.repeat(nodes, 2, axis=0))
    step: list[int] = model.start()[0].tolist()
    for c, row in zip(text, expected, strict=True):
        step = model.advance(step, c)
        np.testing.assert_allclose(model.row(step), row, atol=1e-15)
    assert step == nodes[0].tolist()


def test_discounts_that_come_out_negative_are_not_used() -> None:
    # One character once, one twice, four three times, one four times: D2 would be 2 - 4 = -2.
    train = [c for c, count in enumerate([1, 2, 3, 3, 3, 3, 4]) for _ in range(count)]
    p = NGramModel.fit(train, 8, 1).distribution([])
    removed = 0.5 + 1 + 5 * 1.5
    assert math.isclose(p[1], (2 - 1 + removed / 8) / 19)
    assert math.isclose(p[7], removed / 8 / 19)


def test_both_kinds_of_discount_were_compared() -> None:
    """The oracle test means little if every case above took the fixed discounts, or none did."""
    fixed = {1: 0.5, 2: 1.0, 3: 1.5}
    slow = SlowKneserNey(markov_ids(random.Random(3007), 502, 6)[2:], 7, 3)
    assert slow.discounts[0] == fixed
    assert slow.discounts[2] != fixed


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_distribution_is_one_and_agrees_with_nats(data: st.DataObject) -> None:
    vocab_size = data.draw(st.integers(1, 6))
    ids = st.integers(0, vocab_size - 1)
    train = data.draw(st.lists(ids, min_size=1, max_size=60))
    text = data.draw(st.lists(ids, min_size=2, max_size=20))
    keep_once = data.draw(st.sampled_from([None, 0, 1, 3]))
    model = NGramModel.fit(train, vocab_size, data.draw(st.integers(1, 8)), keep_once=keep_once)
    nats = model.nats(text)
    for i in range(len(text)):
        p = model.distribution(text[:i])
        assert p.shape == (vocab_size,)
        assert p.min() > 0
        assert math.isclose(p.sum(), 1, abs_tol=1e-12)
        if i:
            assert math.isclose(nats[i - 1], -math.log(p[text[i]]), abs_tol=1e-12)


def test_unseen_character_and_context_cost_a_finite_amount() -> None:
    model = NGramModel.fit([0, 1, 2, 1] * 50, vocab_size=9, order=5)
    assert np.isfinite(model.nats([0, 8, 7, 8, 8])).all()
    # After a character that training lacks, the model knows what it knows without any context.
    np.testing.assert_array_equal(model.distribution([0, 1, 8]), model.distribution([]))


def test_ngram_forgets_what_lies_beyond_its_order() -> None:
    rng = random.Random(5)
    model = NGramModel.fit(markov_ids(rng, 500, 6), 6, 4)
    tail = [1, 2, 3]
    np.testing.assert_array_equal(model.distribution([5, 0, *tail]), model.distribution(tail))
    assert not np.array_equal(model.distribution([5, 3]), model.distribution([0, 3]))


@pytest.mark.parametrize("ids", [[0, 3], [-1, 0], [[0, 1]]])
def test_ids_out_of_range_are_refused(ids: list[int]) -> None:
    model = NGramModel.fit([0, 1, 2], 3, 2)
    for use in (model.nats, model.distribution, lambda ids: NGramModel.fit(ids, 3, 2)):
        with pytest.raises(ValueError, match="ids"):
            use(ids)


def test_a_model_of_nothing_is_refused() -> None:
    with pytest.raises(RequestError, match="training text is empty"):
        NGramModel.fit([], 3)
    with pytest.raises(RequestError, match="order is 0"):
        NGramModel.fit([0, 1], 3, order=0)
