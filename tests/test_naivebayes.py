"""Naive Bayes against a case worked out by hand, a slow way to count, and scikit-learn."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from charlm.errors import RequestError
from charlm.statistics import Reals
from charlm.tasks import naivebayes
from charlm.tasks.naivebayes import NaiveBayes, choose

END = "\n"


def languages(items: int, seed: int = 0) -> tuple[list[str], list[int]]:
    """Words of three languages with endings and letters of their own, and some of any."""
    rng = random.Random(seed)
    texts, labels = [], []
    for _ in range(items):
        label = rng.randrange(3)
        stem = "".join(rng.choices("abcdeilmnorst", k=rng.randint(2, 6)))
        texts.append(
            stem + rng.choice([["ini", "elli", "o"], ["ski", "wicz"], ["sson", "o"]][label])
        )
        labels.append(label)
    return texts, labels


def slowly(
    train: list[str], labels: list[int], texts: list[str], orders: int, alpha: float
) -> Reals:
    """The textbook's formula with a dictionary for each label."""

    def grams(text: str) -> list[str]:
        ended = END + text + END
        return [ended[i : i + n] for n in range(1, orders + 1) for i in range(len(ended) - n + 1)]

    K = max(labels) + 1
    counts = [Counter[str]() for _ in range(K)]
    for text, label in zip(train, labels, strict=True):
        counts[label].update(grams(text))
    vocabulary = set().union(*counts)
    joint = np.zeros((len(texts), K))
    for n, text in enumerate(texts):
        for k in range(K):
            joint[n, k] = math.log(labels.count(k) / len(labels))
            divisor = counts[k].total() + alpha * len(vocabulary)
            for gram in grams(text):
                if gram in vocabulary:
                    joint[n, k] += math.log((counts[k][gram] + alpha) / divisor)
    return np.asarray(joint - np.logaddexp.reduce(joint, axis=1, keepdims=True))


def test_a_case_by_hand() -> None:
    # Label 0: "ab" twice, label 1: "b". Single characters; the end symbol counts twice a text.
    bayes = NaiveBayes.fit(["ab", "ab", "b"], [0, 0, 1], 2, orders=1, alpha=1.0)
    # n(0): 4 ends, 2 a, 2 b of 8; n(1): 2 ends, 1 b of 3; three n-grams.
    zero = 2 / 3 * (5 / 11) ** 2 * (3 / 11)  # p(end)^2 p(a)
    one = 1 / 3 * (3 / 6) ** 2 * (1 / 6)
    expected = np.log([zero / (zero + one), one / (zero + one)])
    np.testing.assert_allclose(bayes.log_posteriors(["a"]), [expected])
    np.testing.assert_allclose(bayes.log_posteriors(["aZ"]), [expected])  # Z is left out


@pytest.mark.parametrize(("orders", "alpha"), [(1, 1.0), (3, 0.1), (5, 0.01)])
def test_the_textbook_s_formula_agrees(orders: int, alpha: float) -> None:
    train, labels = languages(120)
    asked = [*languages(30, seed=1)[0], "a", "ZZZ", "aZZZb", "🙂 a", ""]
    found = NaiveBayes.fit(train, labels, 3, orders, alpha).log_posteriors(asked)
    np.testing.assert_allclose(found, slowly(train, labels, asked, orders, alpha), atol=1e-9)


def test_scikit_learn_agrees() -> None:
    text = pytest.importorskip("sklearn.feature_extraction.text")
    bayes = pytest.importorskip("sklearn.naive_bayes")
    train, labels = languages(400)
    asked = languages(100, seed=1)[0]
    count = text.CountVectorizer(analyzer="char", ngram_range=(1, 4), lowercase=False)
    ended = [[f"{END}{each}{END}" for each in part] for part in (train, asked)]
    theirs = bayes.MultinomialNB(alpha=0.3).fit(count.fit_transform(ended[0]), labels)
    found = NaiveBayes.fit(train, labels, 3, 4, 0.3).log_posteriors(asked)
    np.testing.assert_allclose(
        found, theirs.predict_log_proba(count.transform(ended[1])), atol=1e-9
    )


def test_a_scale_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    train, labels = languages(200)
    asked = languages(50, seed=1)[0]
    bayes = NaiveBayes.fit(train, labels, 3, 3, 0.1)
    softer = replace(bayes, scale=0.2).log_posteriors(asked)
    sharp = bayes.log_posteriors(asked)
    np.testing.assert_array_equal(softer.argmax(1), sharp.argmax(1))
    assert softer.max(1).mean() < sharp.max(1).mean()
    np.testing.assert_allclose(np.exp(softer).sum(1), 1)
    monkeypatch.setattr(naivebayes, "_SLICE", 7)  # a few texts at once
    np.testing.assert_allclose(bayes.log_posteriors(asked), sharp)


def test_what_is_chosen_is_the_best_of_the_grid_on_texts_that_were_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(naivebayes, "ORDERS", (1, 4))
    monkeypatch.setattr(naivebayes, "ALPHAS", (0.1, 1000.0))
    train, labels = languages(600)
    # Endings, not letters alone, tell the languages apart, and so much smoothing hides them.
    orders, alpha, scale = choose(train, np.array(labels), 3)
    assert (orders, alpha) == (4, 0.1) and scale < 1
    fitted = NaiveBayes.fit(train, labels, 3)
    assert (fitted.orders, fitted.alpha, fitted.scale) == (orders, alpha, scale)
    texts, truth = languages(200, seed=1)
    log_p = fitted.log_posteriors(texts)
    unscaled = replace(fitted, scale=1.0).log_posteriors(texts)
    rows = np.arange(200)
    assert -log_p[rows, truth].mean() < -unscaled[rows, truth].mean()
    assert (log_p.argmax(1) == truth).mean() > 0.8


def test_labels_that_say_nothing_are_not_learned() -> None:
    texts, _ = languages(600)
    labels = np.random.default_rng(0).integers(3, size=600)
    fitted = NaiveBayes.fit(texts[:400], labels[:400], 3)
    right = fitted.log_posteriors(texts[400:]).argmax(1) == labels[400:]
    assert right.mean() < 0.45


def test_a_few_texts_are_enough() -> None:
    fitted = NaiveBayes.fit(["ab", "cd"], [0, 1], 2)
    assert fitted.log_posteriors(["ax", "xd"]).argmax(1).tolist() == [0, 1]


def test_a_label_without_a_text_is_refused() -> None:
    with pytest.raises(RequestError, match="label 1 of 2"):
        NaiveBayes.fit(["ab"], [0], 2, 1, 1.0)
