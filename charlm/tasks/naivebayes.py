"""Naive Bayes on the n-grams of characters: the classifier that only counts.

    bayes = NaiveBayes.fit(texts, labels, num_labels)     orders and smoothing chosen
    log_p = bayes.log_posteriors(texts)                   (N, K) nats

A text is the n-grams of 1 to N characters in it, with the end symbol before and behind it, so that
beginnings and ends are n-grams of their own. Given its label they count as independent:

    p(label | text) ~ p(label) prod over its n-grams g of p(g | label)
    p(g | label) = (n(g, label) + alpha) / (n(label) + alpha G)

G is how many n-grams there are in the training texts; others are left out. This is the multinomial
model of McCallum & Nigam, "A comparison of event models for naive Bayes text classification", AAAI
workshop on learning for text categorization, 1998, with Lidstone's smoothing.

n-grams overlap, so they are not independent and the product is far too sure. The logarithms are
therefore multiplied by a ``scale`` below 1 before they are normalised (temperature; Guo et al., "On
calibration of modern neural networks", ICML 2017), which changes no answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from charlm.engine import log_softmax
from charlm.errors import RequestError
from charlm.statistics import Ints, Reals
from charlm.text.splitting import TRAIN, divide

ORDERS = (2, 3, 4, 5, 6)
"""Lengths of the longest n-gram to choose from."""

ALPHAS = (0.01, 0.03, 0.1, 0.3, 1.0)
SCALES = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08, 0.05, 0.03)

LEFT_OUT = 0.1
"""The share of the training texts on which orders, alpha and scale are chosen."""

_END = "\n"
_SLICE = 2**16  # characters of texts that are scored at once: bounds the memory


@dataclass(frozen=True, eq=False)
class _Level:
    """The n-grams of one length in the training texts, and their counts by label.

    keys: (G,) ascending: the number of an n-gram's first n - 1 characters times the size of the
        alphabet, and its last character; an n-gram's number is its place here
    first: (G + 1,) where the counts of each n-gram begin in ``label`` and ``count``
    label, count: (P,) how often each n-gram occurs in texts of each label in which it does
    """

    keys: Ints
    first: Ints
    label: Ints
    count: Ints

    @classmethod
    def of(cls, keys: Ints, labels: Ints, num_labels: int) -> tuple[Self, Ints]:
        """From every n-gram in the training texts and the label of its text; and the numbers of
        the n-grams."""
        distinct, numbers = np.unique(keys, return_inverse=True)
        pairs, count = np.unique(numbers * num_labels + labels, return_counts=True)
        first = np.searchsorted(pairs, np.arange(len(distinct) + 1) * num_labels)
        return cls(distinct, first, pairs % num_labels, count), numbers

    def number(self, keys: Ints) -> Ints:
        """The numbers of n-grams; -1 for those that the training texts lack."""
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, -1)


@dataclass(frozen=True, eq=False)
class NaiveBayes:
    """A fitted classifier of K labels.

    alphabet: (A,) the code points of the training texts, ascending
    levels: the counts of n-grams of length 1, 2, ...; the first ``orders`` of them are used
    prior: (K,) ln of the share of the training texts that has each label
    """

    alphabet: Ints
    levels: tuple[_Level, ...]
    prior: Reals
    orders: int
    alpha: float
    scale: float = 1.0

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        labels: ArrayLike,
        num_labels: int,
        orders: int | None = None,
        alpha: float | None = None,
    ) -> Self:
        """Count the n-grams of ``texts``, whose labels (N,) are below ``num_labels``.

        orders, alpha: the length of the longest n-gram, and what is added to every count; if one of
            them is not given, both and the scale are those that label a tenth of the texts best
            when the others are counted

        Raises RequestError if a label has no text.
        """
        numbers = np.asarray(labels, dtype=np.int64)
        if orders is None or alpha is None:
            orders, alpha, scale = choose(texts, numbers, num_labels)
            return replace(
                cls._counted(texts, numbers, num_labels, orders), alpha=alpha, scale=scale
            )
        return replace(cls._counted(texts, numbers, num_labels, orders), alpha=alpha)

    @classmethod
    def _counted(cls, texts: Sequence[str], labels: Ints, num_labels: int, orders: int) -> Self:
        support = np.bincount(labels, minlength=num_labels)
        if not support.all():
            raise RequestError(
                f"label {int(support.argmin())} of {num_labels} has no training text; add some"
            )
        points, owners = _points(texts)
        alphabet, symbols = np.unique(points, return_inverse=True)
        levels: list[_Level] = []
        grams = np.zeros(len(symbols) + 1, np.int64)  # numbers of the n-grams, at their first place
        for length in range(1, orders + 1):
            places = _places(owners, length)
            keys = grams[places] * len(alphabet) + symbols[places + length - 1]
            level, numbers = _Level.of(keys, labels[owners[places]], num_labels)
            levels.append(level)
            grams = np.zeros(len(symbols), np.int64)
            grams[places] = numbers
        prior: Reals = np.log(support / support.sum())
        return cls(alphabet, tuple(levels), prior, orders, alpha=1.0)

    def log_posteriors(self, texts: Sequence[str]) -> Reals:
        """ln p(label | text): (N,) -> (N, K) nats."""
        return np.asarray(log_softmax(self.scale * self._joint(texts)), dtype=np.float64)

    def _joint(self, texts: Sequence[str]) -> Reals:
        """ln p(label, n-grams of text), without the constant of the multinomial: (N, K)."""
        K = len(self.prior)
        levels = self.levels[: self.orders]
        total = sum(np.bincount(each.label, each.count, K) for each in levels)
        distinct = sum(len(each.keys) for each in levels)
        # ln p(g | label) = ln((n + alpha) / alpha) + ln(alpha / (n(label) + alpha G)); the first is
        # 0 unless g occurs with the label.
        absent = np.log(self.alpha) - np.log(total + self.alpha * distinct)
        present = [np.log1p(each.count / self.alpha) for each in levels]
        joint = np.empty((len(texts), K))
        for begin, end in _slices(texts):
            N = end - begin
            scores, known = np.zeros(N * K), np.zeros(N)
            for level, own, (owners, grams) in zip(
                levels, present, self._read(texts[begin:end]), strict=True
            ):
                known += np.bincount(owners, minlength=N)
                counts = level.first[grams + 1] - level.first[grams]
                # The places in ``label`` and ``count`` of every n-gram, one after the other.
                offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
                places = np.repeat(level.first[grams], counts) + offsets
                cells = np.repeat(owners * K, counts) + level.label[places]
                scores += np.bincount(cells, own[places], N * K)
            joint[begin:end] = self.prior + known[:, None] * absent + scores.reshape(N, K)
        return joint

    def _read(self, texts: Sequence[str]) -> Iterator[tuple[Ints, Ints]]:
        """(the text, the number of the n-gram) of every n-gram that is known, for every length."""
        points, owners = _points(texts)
        symbols = np.minimum(np.searchsorted(self.alphabet, points), len(self.alphabet) - 1)
        symbols = np.where(self.alphabet[symbols] == points, symbols, -1)
        grams = np.zeros(len(symbols), np.int64)
        for length, level in enumerate(self.levels[: self.orders], 1):
            places = _places(owners, length)
            last = symbols[places + length - 1]
            known = (grams[places] >= 0) & (last >= 0)
            keys = np.where(known, grams[places] * len(self.alphabet) + last, -1)
            numbers = level.number(keys)
            grams = np.full(len(symbols), -1)
            grams[places] = numbers
            there = numbers >= 0
            yield owners[places][there], numbers[there]


def choose(texts: Sequence[str], labels: Ints, num_labels: int) -> tuple[int, float, float]:
    """(orders, alpha, scale) that are best on a tenth of the texts if the others are counted: the
    orders and alpha with the most right answers, of equals those with the lowest loss, and the
    scale with the lowest loss.

    The tenth is drawn as a validation part is: by label, and equal texts together. With too few
    texts for that, all are counted and scored.
    """
    parts = np.array(divide(texts, [str(label) for label in labels.tolist()], LEFT_OUT))
    train, left = np.flatnonzero(parts == TRAIN), np.flatnonzero(parts != TRAIN)
    if not len(left) or not np.bincount(labels[train], minlength=num_labels).all():
        train = left = np.arange(len(texts))
    counted = NaiveBayes._counted(
        [texts[k] for k in train.tolist()], labels[train], num_labels, max(ORDERS)
    )
    asked, truth = [texts[k] for k in left.tolist()], labels[left]
    found = []
    for orders in ORDERS:
        for alpha in ALPHAS:
            joint = replace(counted, orders=orders, alpha=alpha)._joint(asked)
            wrong = int((joint.argmax(1) != truth).sum())
            losses = [
                -log_softmax(scale * joint)[np.arange(len(truth)), truth].mean() for scale in SCALES
            ]
            least = int(np.argmin(losses))
            found.append((wrong, float(losses[least]), orders, alpha, SCALES[least]))
    return min(found)[2:]


def _points(texts: Sequence[str]) -> tuple[Ints, Ints]:
    """The code points of all texts, each between two end symbols, and the text of each."""
    ended = [f"{_END}{text}{_END}" for text in texts]
    raw = "".join(ended).encode("utf-32-le", "surrogatepass")
    lengths = [len(text) for text in ended]
    owners = np.repeat(np.arange(len(ended)), np.array(lengths, dtype=np.int64))
    return np.frombuffer(raw, "<u4").astype(np.int64), owners


def _places(owners: Ints, length: int) -> Ints:
    """Where the n-grams of a length begin: those that lie in one text."""
    count = max(0, len(owners) - length + 1)
    return np.flatnonzero(owners[:count] == owners[length - 1 :])


def _slices(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    begin = size = 0
    for place, text in enumerate(texts):
        if size and size + len(text) > _SLICE:
            yield begin, place
            begin, size = place, 0
        size += len(text) + 1
    if begin < len(texts):
        yield begin, len(texts)
