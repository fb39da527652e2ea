"""Models of items held against a list: their loss and their answers, beside what is simpler.

``charlm eval`` prints what these functions return, ``charlm report`` draws it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from charlm.checkpoint import Checkpoint
from charlm.generate import CharLM
from charlm.itemscore import ItemScore, item_nats, one_hot, score_of
from charlm.ladder import Rung, item_ladder
from charlm.tasks.answers import Classifier, Tagger
from charlm.tasks.labelscore import LabelScore
from charlm.tasks.naivebayes import NaiveBayes
from charlm.tasks.rewritescore import RewriteScore
from charlm.tasks.rewritescore import controls as rewrite_controls
from charlm.tasks.rewriting import Rewriter, Rewritten
from charlm.tasks.tagscore import TagScore, UnigramTagger, unchanged
from charlm.text.items import encode_items
from charlm.text.records import Record

Advanced = Callable[[int, int], object]
Score = TypeVar("Score")


def kind_of(loaded: Checkpoint) -> str:
    """What a list is for that a model can be evaluated on (``charlm.text.records.KINDS``)."""
    if loaded.config.task == "items":
        return "labelled" if loaded.config.num_labels else "items"
    return loaded.config.task


@dataclass(frozen=True)
class Beside(Generic[Score]):
    """The score of a model, and those of its controls by name."""

    score: Score
    controls: dict[str, Score]


def loss(
    model: CharLM,
    records: Sequence[Record],
    train: Sequence[Record],
    advanced: Advanced = lambda done, total: None,
) -> tuple[ItemScore, list[Rung]]:
    """The loss of a model that writes items, each as one of its label if there are labels, and the
    baselines that count ``train``, the training items; none if these are not at hand.

    Raises UnknownCharacterError for an unknown character, RequestError for an unknown label.
    """
    assert model.items is not None
    texts = [record.text for record in records]
    encoded = encode_items(texts, model.tokenizer, model.items)
    weights = None
    if model.labels:
        labels = np.array([model.items.number(record.label) for record in records])
        weights = one_hot(labels, len(model.labels))
    nats = item_nats(model.predictor, encoded, weights, advanced=advanced)
    types = model.folded_types("".join(texts))
    score = score_of(nats, model.tokenizer, encoded, types)
    if not train:
        return score, []
    known = model.tokenizer.normalize
    given = [known(record.text) for record in train]
    return score, item_ladder(given, [known(text) for text in texts], model.end)


def labels(
    loaded: Checkpoint,
    records: Sequence[Record],
    train: Sequence[Record],
    advanced: Advanced = lambda done, total: None,
) -> Beside[LabelScore]:
    """The labels that a model gives, beside the most frequent one and, if the training items are at
    hand, a naive Bayes of character n-grams. Errors as in ``loss``."""
    classifier = Classifier(loaded)
    facts = classifier.facts
    truth = np.array([facts.number(record.label) for record in records])
    texts = [record.text for record in records]
    log_p = classifier.log_probabilities(classifier.encode(texts), advanced)
    score = LabelScore.of(log_p, truth, facts.labels)
    controls = {"most frequent label": LabelScore.of_shares(facts.shares(), truth, facts.labels)}
    if train:
        bayes = NaiveBayes.fit(
            [record.text for record in train],
            np.array([facts.number(record.label) for record in train]),
            len(facts.labels),
        )
        counted = LabelScore.of(bayes.log_posteriors(texts), truth, facts.labels)
        controls["naive Bayes of n-grams"] = counted
    return Beside(score, controls)


def tags(
    loaded: Checkpoint,
    records: Sequence[Record],
    train: Sequence[Record],
    advanced: Advanced = lambda done, total: None,
) -> tuple[Beside[TagScore], list[str]]:
    """The tags that a model gives, beside none at all and, if the training items are at hand, the
    most frequent tag of each character; and the tags themselves. Errors as in ``loss``."""
    tagger = Tagger(loaded)
    log_p = tagger.log_probabilities(tagger.encode([r.text for r in records]), advanced)
    texts, truth = [record.text for record in records], [record.label for record in records]

    def scored(answers: list[str]) -> TagScore:
        return TagScore.of(texts, truth, answers, tagger.labels)

    answers = [tagger.tags(each) for each in log_p]
    controls = {"nothing is found": scored(unchanged(texts, tagger.labels))}
    if train:
        known = [record.text for record in train], [record.label for record in train]
        unigram = UnigramTagger.fit(*known, tagger.labels)
        controls["each character's most frequent tag"] = scored(unigram.tags(texts))
    return Beside(scored(answers), controls), answers


def rewritten(
    loaded: Checkpoint,
    records: Sequence[Record],
    train: Sequence[Record],
    beam: int = 1,
    advanced: Advanced = lambda done, total: None,
) -> tuple[Beside[RewriteScore], list[Rewritten]]:
    """What a model makes of the texts, beside what needs no model if the training items are at
    hand (``rewritescore.controls``); and the best that it found for each. Errors as in ``loss``.

    beam: how many beginnings the search keeps; 1: greedy
    """
    model = Rewriter.of(loaded)
    normalize = model.tokenizer.normalize
    found = model.rewrite([record.text for record in records], beam, advanced=advanced)
    best = [each[0] for each in found]
    score = RewriteScore.of(
        [each.text for each in best], [normalize(record.label) for record in records]
    )
    return Beside(score, rewrite_controls(records, train) if train else {}), best
