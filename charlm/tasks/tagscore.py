"""How good the tags of characters are: accuracy, F1 of every tag, and F1 of spans.

    score = TagScore.of(texts, truth, answers, labels)
    UnigramTagger.fit(texts, tags).tags(texts)    each character's most frequent tag
    unchanged(texts, labels)                      no span anywhere

The last two are controls. Most characters of a text have the tag that they nearly always have, so
an accuracy of 98 % can mean that nothing was learned; the F1 of the spans beside those of the
controls shows what was.

Spans are those of ``charlm.tasks.spans``: marked by B, I and O, or else runs of characters that the
tags change. A span is right if its begin and its end are those of one in the truth and, if tags are
characters, all of its tags are right: strict matching, as in Tjong Kim Sang & De Meulder,
"Introduction to the CoNLL-2003 shared task", CoNLL 2003.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from charlm.errors import RequestError
from charlm.seeds import derive
from charlm.statistics import Blocks, Interval, Ints, mean_interval, resample
from charlm.tasks.labelscore import Rates, macro_f1, rates_of
from charlm.tasks.spans import marks_spans, spans_of
from charlm.text.records import BEGIN, INSIDE, OUTSIDE

RESAMPLES = 1000
BLOCKS = 1000
"""Blocks of neighbouring items that a resample draws from, so that it fits into memory."""


@dataclass(frozen=True, eq=False)
class TagScore:
    """The tags of N items, held against the right ones.

    labels: the K tags
    lengths, right: (N,) characters of each item, and how many of them have the right tag
    confusion: (K, K) how often each tag (row) got each answer (column)
    spans: of the truth, of the answers, and those that are in both
    """

    labels: tuple[str, ...]
    lengths: Ints
    right: Ints
    confusion: Ints
    spans: Rates

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        truth: Sequence[str],
        answers: Sequence[str],
        labels: Collection[str],
    ) -> Self:
        """texts, truth, answers: (N,) strings, the three of an item equally long
        labels: the tags that there are; they decide what a span is (``spans.spans_of``)

        Raises RequestError if there is no character, ValueError for lengths that differ.
        """
        if not any(texts):
            raise RequestError("there are no items to score")
        names = sorted({*labels, *"".join(truth), *"".join(answers)})
        number = {name: k for k, name in enumerate(names)}
        wanted = np.array([number[tag] for tags in truth for tag in tags])
        given = np.array([number[tag] for tags in answers for tag in tags])
        K = len(names)
        confusion = np.bincount(wanted * K + given, minlength=K * K).reshape(K, K)
        lengths = np.array([len(text) for text in texts])
        right = np.array(
            [
                sum(t == a for t, a in zip(*tags, strict=True))
                for tags in zip(truth, answers, strict=True)
            ]
        )
        found = Counter[str]()
        for text, *both in zip(texts, truth, answers, strict=True):
            these, those = (_spans(text, tags, labels) for tags in both)
            found.update(right=len(these & those), answered=len(those), support=len(these))
        spans = Rates(found["right"], found["answered"], found["support"])
        return cls(tuple(names), lengths, right, confusion, spans)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def characters(self) -> int:
        return int(self.lengths.sum())

    @property
    def accuracy(self) -> float:
        """Share of the characters that have the right tag."""
        return float(self.right.sum() / self.characters)

    @property
    def interval(self) -> Interval:
        """95 % interval of the accuracy: a bootstrap over items, whose characters are not
        independent."""
        blocks = Blocks.of_number(len(self), BLOCKS)
        drawn = resample(len(blocks), RESAMPLES, np.random.default_rng(derive(0, "sampling")))
        sums = (blocks.sums(each.astype(np.float64)) for each in (self.right, self.lengths))
        return mean_interval(next(sums), drawn, next(sums))

    @property
    def whole(self) -> float:
        """Share of the items whose tags are all right."""
        return float((self.right == self.lengths).mean())

    @property
    def rates(self) -> list[Rates]:
        """(K,) precision, recall and F1 of every tag, by character."""
        return rates_of(self.confusion)

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the tags that occur in the truth or among the answers."""
        return macro_f1(self.rates)

    def to_dict(self) -> dict[str, Any]:
        return {
            "items": len(self),
            "characters": self.characters,
            "accuracy": self.accuracy,
            "accuracy_interval": list(self.interval),
            "whole_items": self.whole,
            "macro_f1": self.macro_f1,
            "spans": self.spans.to_dict(),
            "tags": [
                {"tag": name, **each.to_dict()}
                for name, each in zip(self.labels, self.rates, strict=True)
                if each.f1 is not None
            ],
        }


def _spans(text: str, tags: str, labels: Collection[str]) -> set[tuple[int, int, str]]:
    """The spans as (begin, end, what they become); nothing is become if tags only mark."""
    marked = marks_spans(labels)
    return {
        (begin, end, "" if marked else tags[begin:end])
        for begin, end in spans_of(text, tags, labels)
    }


@dataclass(frozen=True)
class UnigramTagger:
    """The control that knows each character by itself: its most frequent tag in the training items
    (the first in order of several as frequent). A character that it never saw gets the most
    frequent tag of all, or, if tags are characters, itself."""

    tag_of: Mapping[str, str]
    unseen: str | None

    @classmethod
    def fit(cls, texts: Sequence[str], tags: Sequence[str], labels: Collection[str]) -> Self:
        """labels: the tags that there are, which say whether they are characters"""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        total = Counter[str]()
        for text, own in zip(texts, tags, strict=True):
            total.update(own)
            for character, tag in zip(text, own, strict=True):
                counts[character][tag] += 1
        tag_of = {character: _most(each) for character, each in counts.items()}
        return cls(tag_of, _most(total) if marks_spans(labels) else None)

    def tags(self, texts: Sequence[str]) -> list[str]:
        return [
            "".join(self.tag_of.get(c, c if self.unseen is None else self.unseen) for c in text)
            for text in texts
        ]


def _most(counts: Counter[str]) -> str:
    return max(sorted(counts), key=counts.__getitem__)


def unchanged(texts: Sequence[str], labels: Collection[str]) -> list[str]:
    """The control that finds nothing: O everywhere; without an O, one span from end to end; if tags
    are characters, the text itself."""
    if not marks_spans(labels):
        return list(texts)
    if OUTSIDE in labels:
        return [OUTSIDE * len(text) for text in texts]
    return [(BEGIN + INSIDE * len(text))[: len(text)] for text in texts]
