"""How good the labels are that a model gives: accuracy, F1, loss, calibration, confusion.

    score = LabelScore.of(log_p, truth, names)
    control = LabelScore.of_shares(shares, truth, names)    always the same answer

An answer is the label with the highest probability; of several with the same, the first.

Sources: Sokolova & Lapalme, "A systematic analysis of performance measures for classification
tasks", Information Processing & Management 45 (2009), for precision, recall and F1; Wilson,
"Probable inference, the law of succession, and statistical inference", Journal of the American
Statistical Association 22 (1927), for the interval; Guo et al., "On calibration of modern neural
networks", ICML 2017, for the calibration error; Brier, "Verification of forecasts expressed in
terms of probability", Monthly Weather Review 78 (1950).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from charlm.errors import CheckpointError, RequestError
from charlm.statistics import Interval, Ints, Reals, share_interval
from charlm.surprisal import LN2

BINS = 15
"""Bins of the calibration error, as Guo et al. use."""


@dataclass(frozen=True)
class Rates:
    """How well one label, or one kind of span, is found.

    right: how often it was answered and is the truth
    answered: how often it was answered
    support: how often it is the truth
    """

    right: int
    answered: int
    support: int

    @property
    def precision(self) -> float | None:
        """Share of the answers that are right; None if there is no answer."""
        return self.right / self.answered if self.answered else None

    @property
    def recall(self) -> float | None:
        """Share of the truth that is found; None if there is nothing to find."""
        return self.right / self.support if self.support else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall, 2 right / (answered + support): 0 if only one of
        them is undefined. None if the label occurs neither in the truth nor among the answers."""
        both = self.answered + self.support
        return 2 * self.right / both if both else None

    def to_dict(self) -> dict[str, Any]:
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "right": self.right,
            "answered": self.answered,
            "support": self.support,
        }


def rates_of(confusion: Ints) -> list[Rates]:
    """The rates of every label, from how often each is answered: (K, K), truth x answer."""
    columns = confusion.diagonal(), confusion.sum(0), confusion.sum(1)
    return [Rates(*each) for each in zip(*(column.tolist() for column in columns), strict=True)]


def macro_f1(rates: Sequence[Rates]) -> float:
    """The mean F1 of the labels that occur in the truth or among the answers."""
    return float(np.mean([each.f1 for each in rates if each.f1 is not None]))


class Bin(NamedTuple):
    """The answers whose probability is above ``low`` and at most ``high``.

    confidence: their mean probability; accuracy: the share of them that is right; both None if the
        bin is empty
    """

    low: float
    high: float
    items: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, eq=False)
class LabelScore:
    """The answers to N items, held against the right labels.

    log_p: (N, K) ln of the probability of every label, in nats
    truth: (N,) the number of the right label
    names: of the K labels
    """

    log_p: Reals
    truth: Ints
    names: tuple[str, ...]

    @classmethod
    def of(cls, log_p: ArrayLike, truth: ArrayLike, names: Sequence[str]) -> LabelScore:
        """Raises RequestError if there are no items, CheckpointError if a row of ``log_p`` is not
        that of a distribution, ValueError for other shapes or labels out of range."""
        scores = np.asarray(log_p, dtype=np.float64)
        labels = np.asarray(truth, dtype=np.int64)
        if not labels.size:
            raise RequestError("there are no items to score")
        if scores.shape != (len(labels), len(names)):
            raise ValueError(f"log_p is {scores.shape}, not ({len(labels)}, {len(names)})")
        if not 0 <= labels.min() <= labels.max() < len(names):
            raise ValueError(f"labels run from {labels.min()} to {labels.max()} of {len(names)}")
        total = np.exp(scores).sum(1)
        if not (np.abs(total - 1) < 1e-3).all():  # also if it is not a number
            raise CheckpointError(
                "the probabilities of an item's labels do not add up to 1: the model's weights are "
                "too large to compute with"
            )
        return cls(scores, labels, tuple(names))

    @classmethod
    def of_shares(cls, shares: ArrayLike, truth: ArrayLike, names: Sequence[str]) -> LabelScore:
        """The control that has not read the item: each label's share (K,) of the training items as
        its probability, so the most frequent one is always the answer."""
        with np.errstate(divide="ignore"):
            log_p = np.log(np.asarray(shares, dtype=np.float64))
        return cls.of(np.tile(log_p, (np.size(truth), 1)), truth, names)

    def __len__(self) -> int:
        return len(self.truth)

    @cached_property
    def answers(self) -> Ints:
        """(N,) the number of the most likely label."""
        answers: Ints = self.log_p.argmax(1)
        return answers

    @cached_property
    def confusion(self) -> Ints:
        """(K, K) how often each label (row) got each answer (column)."""
        K = len(self.names)
        return np.bincount(self.truth * K + self.answers, minlength=K * K).reshape(K, K)

    @property
    def right(self) -> int:
        """How many answers are right."""
        return int(self.confusion.trace())

    @property
    def accuracy(self) -> float:
        return self.right / len(self)

    @property
    def interval(self) -> Interval:
        """95 % interval of the accuracy."""
        return share_interval(self.right, len(self))

    @cached_property
    def rates(self) -> list[Rates]:
        """(K,) precision, recall and F1 of every label."""
        return rates_of(self.confusion)

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the labels that occur in the truth or among the answers."""
        return macro_f1(self.rates)

    @cached_property
    def nats(self) -> float:
        """Mean of -ln p(right label), in nats; infinite if a right label has no probability."""
        return float(-self.log_p[np.arange(len(self)), self.truth].mean())

    @property
    def bits(self) -> float:
        """The same in bits."""
        return self.nats / LN2

    @property
    def brier(self) -> float:
        """Mean over items of the squared distance between the probabilities and the truth, summed
        over all labels: 0 is perfect, 2 the worst."""
        p = np.exp(self.log_p)
        p[np.arange(len(self)), self.truth] -= 1.0
        return float((p**2).sum(1).mean())

    @cached_property
    def bins(self) -> list[Bin]:
        """The answers by their probability, in ``BINS`` bins of equal width: (m / 15, (m + 1) /
        15]."""
        top = np.exp(self.log_p.max(1))
        place = np.clip(np.ceil(top * BINS).astype(np.int64) - 1, 0, BINS - 1)
        counts = np.bincount(place, minlength=BINS).tolist()
        p = np.bincount(place, top, BINS).tolist()
        right = np.bincount(place, self.answers == self.truth, BINS).tolist()
        return [
            Bin(
                m / BINS,
                (m + 1) / BINS,
                count,
                p[m] / count if count else None,
                right[m] / count if count else None,
            )
            for m, count in enumerate(counts)
        ]

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: the mean over all answers of |accuracy - confidence| of their
        bin. A model that is sure of 80 % should be right in 80 % of such cases; 0 is perfect.

        Even of a perfect model it is not 0 with few items: in small bins both differ by chance.
        """
        return sum(
            each.items * abs(each.accuracy - each.confidence)
            for each in self.bins
            if each.accuracy is not None and each.confidence is not None
        ) / len(self)

    def to_dict(self) -> dict[str, Any]:
        """As JSON: everything above, probabilities of single items excepted."""
        return {
            "items": len(self),
            "accuracy": self.accuracy,
            "accuracy_interval": list(self.interval),
            "macro_f1": self.macro_f1,
            "nats_per_item": self.nats,
            "bits_per_item": self.bits,
            "brier": self.brier,
            "calibration_error": self.calibration_error,
            "calibration": [each._asdict() for each in self.bins],
            "labels": [
                {"label": name, **each.to_dict()}
                for name, each in zip(self.names, self.rates, strict=True)
            ],
            "confusion": self.confusion.tolist(),
        }
