"""The mixture of network and n-gram model: a distribution by every route, and the best weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from conftest import write_text
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.arrays import Ids
from charlm.config import ModelConfig
from charlm.engine import Engine, log_softmax
from charlm.mixture import Mixed, Reals, Weights, fit, mixed
from charlm.ngram import NGramModel
from charlm.text.streams import warmed
from charlm.text.tokenizer import CharTokenizer

TEXT = write_text(3000)
TOKENIZER = CharTokenizer("".join(sorted(set(TEXT) | set("#%"))))  # two are never seen
IDS = TOKENIZER.encode(TEXT).astype(np.int64)
V = TOKENIZER.vocab_size


BOTH = Weights(0.7, 0.6)


def predictor(cell: str = "lstm", weights: Weights = BOTH, **shape: int) -> Mixed:
    config = ModelConfig.resolve(vocab_size=V, cell=cell, hidden_size=8, context=3, **shape)
    rng = np.random.default_rng(1)
    parameters = {
        name: rng.standard_normal(size).astype(np.float32)
        for name, size in config.parameter_shapes().items()
    }
    return Mixed(Engine(config, parameters), NGramModel.fit(IDS, V, 5, keep_once=3), weights)


def test_two_characters_by_hand() -> None:
    # 0.6^1 0.9^2 : 0.4^1 0.1^2 is 0.486 : 0.004.
    p = np.exp(mixed(np.log([0.6, 0.4]), np.array([0.9, 0.1]), Weights(1.0, 2.0)))
    np.testing.assert_allclose(p, [0.486 / 0.490, 0.004 / 0.490], rtol=1e-12)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, V - 1), min_size=1, max_size=30), st.booleans(), st.integers(0, 99))
def test_after_any_context_the_probabilities_sum_to_one(
    ids: list[int], seen: bool, place: int
) -> None:
    """Contexts from the training text, whose n-grams are known, and made-up ones."""
    context = IDS[place : place + 12] if seen else np.array(ids)
    model = predictor()
    logits, _ = model.forward(context[None], model.initial_state())
    np.testing.assert_allclose(np.exp(logits[0]).sum(-1), 1.0, rtol=0, atol=1e-9)
    assert (logits > -np.inf).all()


@pytest.mark.parametrize("cell", ["lstm", "gru", "window", "conv"])
@pytest.mark.parametrize("cut", [1, 2, 9])
def test_a_whole_pass_chunks_and_steps_give_the_same(cell: str, cut: int) -> None:
    model = predictor(cell)
    ids = np.stack([IDS[:20], IDS[500:520]])  # (2, 20)
    whole, after = model.forward(ids, model.initial_state(2))
    first, state = model.forward(ids[:, :cut], model.initial_state(2))
    rest, state = model.forward(ids[:, cut:], state)
    np.testing.assert_allclose(np.concatenate([first, rest], 1), whole, atol=1e-4)
    for one, other in zip(state, after, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    state = model.initial_state(2)
    one_by_one = [model.initial_state(1), model.initial_state(1)]
    for t in range(20):
        logits, state = model.step(ids[:, t], state)
        np.testing.assert_allclose(logits, whole[:, t], atol=1e-4)
        for row in (0, 1):  # a batch of one takes another way through the tree
            logits, one_by_one[row] = model.step(ids[row : row + 1, t], one_by_one[row])
            np.testing.assert_allclose(logits[0], whole[row, t], atol=1e-4)
    logits, _ = model.last(ids, model.initial_state(2))
    np.testing.assert_allclose(logits, whole[:, -1], atol=1e-4)


def test_no_later_character_changes_an_earlier_distribution() -> None:
    model = predictor()
    ids = IDS[:30].copy()
    before, _ = model.forward(ids[None], model.initial_state())
    ids[20] = (ids[20] + 1) % V
    after, _ = model.forward(ids[None], model.initial_state())
    np.testing.assert_array_equal(before[0, :20], after[0, :20])
    assert (before[0, 20] != after[0, 20]).any()


def test_weights_of_one_and_zero_are_the_parts() -> None:
    network, ngram = predictor(weights=Weights(1.0, 0.0)), predictor(weights=Weights(0.0, 1.0))
    ids = IDS[None, :40]
    alone, _ = network.network.forward(ids, network.network.initial_state())
    both, _ = network.forward(ids, network.initial_state())
    np.testing.assert_allclose(both, log_softmax(alone.astype(float)), atol=1e-12)
    both, _ = ngram.forward(ids, ngram.initial_state())
    rows = [ngram.ngram.distribution(IDS[: t + 1]) for t in range(40)]
    np.testing.assert_allclose(np.exp(both[0]), rows, atol=1e-12)


def test_a_stretch_at_the_beginning_starts_from_the_empty_context() -> None:
    """The state of the n-gram model is not zero there: node 0 would be a context of each length."""
    model = predictor()
    begins = np.array([0, 700])
    state = warmed(
        lambda ids, state: model.last(ids, state)[1], IDS, begins, model.initial_state(2)
    )
    logits, _ = model.forward(IDS[begins[:, None] + np.arange(5)], state)
    exact, _ = model.forward(IDS[None, :705], model.initial_state())
    np.testing.assert_allclose(logits[0], exact[0, :5], atol=1e-5)
    np.testing.assert_array_equal(
        state[-1][0, 1], model.ngram.rows(IDS[None, :700], model.ngram.start())[1][0]
    )


# ----------------------------------------------------------------------------------- the weights


def noisy(rng: np.random.Generator, p: Reals, noise: float) -> Reals:
    scores = np.log(p) + noise * rng.standard_normal(p.shape)
    return np.asarray(log_softmax(scores))


def examples(count: int = 4000) -> tuple[Reals, Reals, Ids]:
    """Two different noisy views of the distributions that the targets come from."""
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.ones(6), size=count)
    targets = (p.cumsum(1) > rng.random((count, 1))).argmax(1)
    return noisy(rng, p, 0.5), noisy(rng, p, 1.0), targets


def loss(a: float, b: float, one: Reals, other: Reals, targets: Ids) -> float:
    rows = log_softmax(a * one + b * other)
    return float(-rows[np.arange(len(targets)), targets].mean())


def test_the_weights_are_those_that_gradient_descent_finds() -> None:
    one, other, targets = examples()
    found = fit(np.stack([one, other]), targets)
    weights = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")
    views = torch.tensor(np.stack([one, other]))

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        scores = torch.einsum("k,knv->nv", weights, views)
        value = torch.nn.functional.cross_entropy(scores, torch.tensor(targets))
        value.backward()
        return value

    optimizer.step(closure)
    np.testing.assert_allclose(found, weights.detach().numpy(), atol=2e-3)  # a prior and rounding
    best = loss(*found, one, other, targets)
    assert best < min(loss(1, 0, one, other, targets), loss(0, 1, one, other, targets)) - 0.01


def test_a_useless_part_gets_no_weight() -> None:
    one, other, targets = examples()
    useless = noisy(np.random.default_rng(4), np.ones(one.shape), 1.0)
    a, b = fit(np.stack([one, useless]), targets)
    assert a > 0.5
    assert b < 0.05
    # The opposite of a good part: the best weight is below 0.
    a, b = fit(np.stack([one, np.negative(other)]), targets)
    assert b == 0.0
    alone = fit(np.stack([one, np.full(one.shape, -math.log(6))]), targets)
    assert math.isclose(a, alone.network, abs_tol=1e-3)


def test_a_few_characters_do_not_decide() -> None:
    one, _, targets = examples(3)
    right = np.log(np.full((3, 6), 0.01) + 0.94 * np.eye(6)[targets])  # the counts, by luck
    a, b = fit(np.stack([one, right]), targets)
    assert abs(a - 1) < 0.5
    assert b < 1.0
