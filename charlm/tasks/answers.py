"""Answers about items, without torch: the label of an item, or its tags.

    classifier = Classifier(checkpoint)           a run with --task classify, or with --labelled
    log_p = classifier.log_probabilities(items)   (N, K) nats

A run that writes items of a label classifies by Bayes' rule from the likelihoods that it gives to
an item as one of each label:

    p(label | item) = p(item | label) p(label) / sum over all labels of the same product
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Floats
from charlm.checkpoint import Checkpoint
from charlm.engine import Engine, log_softmax
from charlm.errors import RequestError
from charlm.itemscore import nats_by_label
from charlm.tasks.reader import Reader, read_items
from charlm.text.items import Items, encode_items
from charlm.text.tokenizer import Tokenizer

Advanced = Callable[[int, int], object]


class _Answers:
    """What reads items: the model's vocabulary and its labels."""

    def __init__(self, loaded: Checkpoint) -> None:
        assert loaded.items is not None
        self.config, self.facts = loaded.config, loaded.items
        self.tokenizer: Tokenizer = loaded.tokenizer
        self.labels = self.facts.labels

    def encode(self, texts: Sequence[str]) -> Items:
        """Items as this model reads them; UnknownCharacterError for a character it never saw,
        RequestError for an empty one."""
        return encode_items(texts, self.tokenizer, self.facts)


class Classifier(_Answers):
    """The labels of items.

    prior: how likely each label is before the item is read, by name; default: as often as in the
        training items. A run with ``--task classify`` has learned that from them, so its answers
        are corrected by the ratio of the two (Saerens et al., "Adjusting the outputs of a
        classifier to new a priori probabilities", Neural Computation 14, 2002).
    """

    def __init__(self, loaded: Checkpoint, prior: dict[str, float] | None = None) -> None:
        super().__init__(loaded)
        if loaded.config.task not in ("items", "classify") or not self.labels:
            raise RequestError(
                "the model has no labels to choose from; train with --labelled or --task classify"
            )
        self._engine = Engine(loaded.config, loaded.weights) if loaded.config.writes else None
        self._reader = None if self._engine else Reader(loaded.config, loaded.weights)
        shares = np.array(self.facts.shares())
        wanted = shares if prior is None else self._shares(prior)
        # Labels that the prior rules out get no probability at all.
        with np.errstate(divide="ignore"):
            self._log_prior = np.log(wanted) if self._engine else np.log(wanted) - np.log(shares)

    def _shares(self, prior: dict[str, float]) -> NDArray[np.float64]:
        wanted = np.zeros(len(self.labels))
        for label, share in prior.items():
            wanted[self.facts.number(label)] = share
        total = wanted.sum()
        if not (np.isfinite(total) and total > 0 and (wanted >= 0).all()):
            raise RequestError("the prior gives no label a share above 0")
        return np.asarray(wanted / total)

    def log_probabilities(
        self, items: Items, advanced: Advanced = lambda done, total: None
    ) -> Floats:
        """ln p(label | item) in nats: (N, K). ``advanced``: called with (done, of how many)."""
        if self._reader is not None:
            log_p: Floats = np.stack(read_items(self._reader, items, advanced))
        else:
            log_p = -self.item_nats(items, advanced)
        return log_softmax(log_p.astype(np.float64) + self._log_prior)

    def classify(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """(the most likely label, its probability) of each text. Errors as in ``encode``."""
        p = np.exp(self.log_probabilities(self.encode(texts)))
        return [(self.labels[k], float(row[k])) for row, k in zip(p, p.argmax(-1), strict=True)]

    def item_nats(self, items: Items, advanced: Advanced = lambda done, total: None) -> Floats:
        """-ln p(item | label) in nats of every item as one of every label: (N, K). Only for a run
        that writes items of a label."""
        assert self._engine is not None
        return nats_by_label(self._engine, items, len(self.labels), advanced)

    def saliency(self, text: str, label: str) -> NDArray[np.float64]:
        """How much each character of an item supports a label: (T,) nats.

        The drop of the label's log-probability if the character is left out: positive if it
        supports the label (occlusion; Zeiler & Fergus, 2014). 0 for an item of one character.
        """
        k = self.facts.number(label)
        if len(text) < 2:
            return np.zeros(len(text))
        without = [text[:t] + text[t + 1 :] for t in range(len(text))]
        log_p = self.log_probabilities(self.encode([text, *without]))[:, k]
        return np.asarray(log_p[0] - log_p[1:], dtype=np.float64)


class Tagger(_Answers):
    """A tag for each character of an item."""

    def __init__(self, loaded: Checkpoint) -> None:
        super().__init__(loaded)
        if loaded.config.task != "tag":
            raise RequestError("the model does not tag; train with --task tag")
        self._reader = Reader(loaded.config, loaded.weights)

    def log_probabilities(
        self, items: Items, advanced: Advanced = lambda done, total: None
    ) -> list[Floats]:
        """ln p of every tag at every character, in nats: (T, K) for each item."""
        return read_items(self._reader, items, advanced)

    def tag(self, texts: Sequence[str]) -> list[str]:
        """The most likely tags of each text, as many as it has characters."""
        return [self.tags(log_p) for log_p in self.log_probabilities(self.encode(texts))]

    def tags(self, log_p: Floats) -> str:
        """The most likely tag of each character: (T, K) -> T characters."""
        return "".join(self.labels[k] for k in log_p.argmax(-1))


def prior_of(given: Sequence[str], labels: Sequence[str]) -> dict[str, float] | None:
    """The prior of ``--prior``: ``uniform``, or LABEL=SHARE for each label; None for none.

    >>> prior_of(["uniform"], ["a", "b"]), prior_of(["a=3", "b=1"], ["a", "b"])
    ({'a': 1.0, 'b': 1.0}, {'a': 3.0, 'b': 1.0})
    """
    if not given:
        return None
    if list(given) == ["uniform"]:
        return dict.fromkeys(labels, 1.0)
    return weights_of(given, "--prior")


def weights_of(given: Sequence[str], option: str) -> dict[str, float]:
    """LABEL=WEIGHT as a dictionary; RequestError for anything else.

    >>> weights_of(["a=0.5", "b=0.5"], "--label")
    {'a': 0.5, 'b': 0.5}
    """
    found: dict[str, float] = {}
    for each in given:
        label, _, number = each.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not label or not (0 <= weight < 1e9):
            raise RequestError(
                f"{option} is {each[:60]!r}; give LABEL=WEIGHT with a weight of 0 or more"
            )
        if label in found:
            raise RequestError(f"{option} names {label!r} twice; give one weight for it")
        found[label] = weight
    return found
