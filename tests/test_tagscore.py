"""Scores of tags against cases worked out by hand, and against scikit-learn."""

from __future__ import annotations

import random

import numpy as np
import pytest

from charlm.errors import RequestError
from charlm.tasks.labelscore import Rates
from charlm.tasks.tagscore import TagScore, UnigramTagger, unchanged


def bio(truth: str, answer: str) -> Rates:
    return TagScore.of(["x" * len(truth)], [truth], [answer], "BIO").spans


@pytest.mark.parametrize(
    ("truth", "answer", "expected"),
    [
        ("OBIIO", "OBIIO", Rates(1, 1, 1)),
        ("OBIIO", "OBIOO", Rates(0, 1, 1)),  # the end is wrong
        ("OBIIO", "BIIIO", Rates(0, 1, 1)),  # the begin is wrong
        ("OBIIO", "OBBIO", Rates(0, 2, 1)),  # one is cut in two
        ("OBIBI", "OBIII", Rates(0, 1, 2)),  # two are joined
        ("OBIBI", "OBIOO", Rates(1, 1, 2)),
        ("OOOOO", "OOBIO", Rates(0, 1, 0)),
        ("OBIIO", "OIIIO", Rates(1, 1, 1)),  # an I after an O begins a span
        ("BIIBI", "BIIBI", Rates(2, 2, 2)),  # the last one ends with the text
    ],
)
def test_spans_marked_by_tags(truth: str, answer: str, expected: Rates) -> None:
    assert bio(truth, answer) == expected


def test_without_an_o_a_span_reaches_to_the_next_b() -> None:
    score = TagScore.of(["ilmare"], ["BIBIII"], ["BIBIBI"], "BI")
    assert score.spans == Rates(1, 3, 2)
    assert score.accuracy == 5 / 6
    assert score.spans.f1 == pytest.approx(2 / 5)


@pytest.mark.parametrize(
    ("text", "truth", "answer", "expected"),
    [
        ("perche si", "perché sì", "perché sì", Rates(2, 2, 2)),
        ("perche si", "perché sì", "perché si", Rates(1, 1, 2)),
        ("perche si", "perché sì", "perchè sì", Rates(1, 2, 2)),  # in place, with another accent
        ("perche si", "perche si", "perché si", Rates(0, 1, 0)),
        ("la cee", "la CEE", "la CEE", Rates(1, 1, 1)),  # neighbours are one span
        ("la cee", "la CEE", "la CEe", Rates(0, 1, 1)),
    ],
)
def test_spans_that_the_tags_change(text: str, truth: str, answer: str, expected: Rates) -> None:
    labels = set(truth + answer + "xyz")
    assert TagScore.of([text], [truth], [answer], labels).spans == expected


def test_several_items_are_counted_together() -> None:
    score = TagScore.of(["Ada e", "Bo"], ["BIIOO", "BI"], ["BIIOO", "BO"], "BIO")
    assert score.characters == 7 and score.accuracy == 6 / 7 and score.whole == 1 / 2
    assert score.spans == Rates(1, 2, 2)
    assert score.labels == ("B", "I", "O")
    assert score.rates == [Rates(2, 2, 2), Rates(2, 2, 3), Rates(2, 3, 2)]
    assert score.macro_f1 == pytest.approx((1 + 4 / 5 + 4 / 5) / 3)
    facts = score.to_dict()
    assert facts["spans"]["f1"] == 0.5 and facts["accuracy"] == 6 / 7
    assert [each["support"] for each in facts["tags"]] == [2, 3, 2]


def test_scikit_learn_agrees_by_character() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = random.Random(4)
    texts = ["".join(rng.choices("abcde", k=rng.randint(1, 20))) for _ in range(60)]
    truth = ["".join(rng.choice([c, c, c.upper()]) for c in text) for text in texts]
    pairs = zip(texts, truth, strict=True)
    answers = ["".join(rng.choice([t, t, c]) for c, t in zip(*p, strict=True)) for p in pairs]
    score = TagScore.of(texts, truth, answers, set("".join(truth)))
    flat = list("".join(truth)), list("".join(answers))
    assert score.accuracy == pytest.approx(metrics.accuracy_score(*flat))
    assert score.macro_f1 == pytest.approx(metrics.f1_score(*flat, average="macro"))


def test_the_interval_is_over_items_not_characters() -> None:
    # Half of the items are all right, half all wrong: 40 observations, not 4,000.
    items = 40
    texts = ["x" * 100] * items
    answers = ["B" * 100 if k % 2 else "O" * 100 for k in range(items)]
    low, high = TagScore.of(texts, ["B" * 100] * items, answers, "BO").interval
    assert low < 0.5 < high
    # 1.96 standard errors of 40 observations are 0.155, of 4,000 they would be 0.015.
    assert high - low == pytest.approx(0.31, abs=0.06)


def test_the_unigram_tagger_gives_each_character_its_most_frequent_tag() -> None:
    texts, tags = ["eeea", "ea"], ["eéea", "éa"]
    tagger = UnigramTagger.fit(texts, tags, "eéa")
    assert tagger.tags(["eau", "e"]) == ["eau", "e"]  # as frequent: the first in order
    assert UnigramTagger.fit([*texts, "e"], [*tags, "é"], "eéa").tags(["eau"]) == ["éau"]
    marked = UnigramTagger.fit(["Ab c"], ["BIOO"], "BIO")
    assert marked.tags(["bAz"]) == ["IBO"]  # z is new: O is the most frequent tag


def test_nothing_changed_has_no_spans() -> None:
    assert unchanged(["perche"], "perchèé") == ["perche"]
    assert unchanged(["Ada e", "x"], "BIO") == ["OOOOO", "O"]
    assert unchanged(["ilmare", "x"], "BI") == ["BIIIII", "B"]
    score = TagScore.of(["perche"], ["perché"], unchanged(["perche"], "perché"), "perché")
    assert score.spans == Rates(0, 0, 1) and score.spans.precision is None
    assert score.accuracy == 5 / 6


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(RequestError, match="no items"):
        TagScore.of([], [], [], "BIO")
    with pytest.raises(ValueError, match=r"zip\(\)"):
        TagScore.of(["ab"], ["BI"], ["B"], "BIO")


def test_a_tag_that_the_model_lacks_counts_as_wrong() -> None:
    score = TagScore.of(["ab"], ["àb"], ["ab"], "ab")
    assert score.labels == ("a", "b", "à") and np.trace(score.confusion) == 1
