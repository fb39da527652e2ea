"""Items as a run trains on them: encoded, in batches, each from the zero state to its end symbol.

The items of a part lie one after the other in one array, each with its end symbol behind it, and
one more end symbol before all: whatever precedes an item is the symbol that it is read after.

    "Anna", "Bo"    ->    | Anna | Bo |          | is the end symbol
                           begin     begin

A model of items reads ``|Anna`` and predicts ``Anna|``. A model that classifies, tags or rewrites
reads ``Anna`` and answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Ids
from charlm.errors import CorpusError, RequestError, ShortCorpusError, UnknownCharacterError
from charlm.itemfacts import ItemFacts
from charlm.text import folding
from charlm.text.bundles import Bundles
from charlm.text.folding import Folding
from charlm.text.records import Record
from charlm.text.streams import Batch
from charlm.text.tokenizer import Tokenizer
from charlm.text.unknown import describe_unknown

IGNORED = -100
"""The target where there is none, beyond the end of an item; torch's losses leave it out."""

RECORD_SEPARATOR = "\x1e"
"""The end symbol of items that can have line ends: ASCII's character for this."""

DEFAULT_BATCH_SIZE = 64
LONGEST_WINDOW = 256
"""Symbols of an item over which gradients flow, if no window is asked for."""

LONGEST_WHOLE = 5_000
"""Characters of the longest item that is classified, tagged or rewritten: all of it is in memory,
with its gradients."""

MOST_EXACT = 50_000
"""Of more validation items the exact loss is that of so many."""


def end_symbol(separator: str) -> str:
    """The character that ends an item: the separator, if it is one that is a single byte too."""
    return separator if len(separator) == 1 and separator.isascii() else RECORD_SEPARATOR


@dataclass(frozen=True)
class Items:
    """The items of one part of a corpus, encoded.

    ids: (M,) the end symbol, then every item and the end symbol
    begins, lengths: (N,) where each item begins in ``ids``, and how many symbols it has
    labels: (N,) the number of each item's label; for tags (M,), that of every character; or None
    targets: for items that are rewritten, what they become
    """

    ids: Ids
    begins: NDArray[np.int64]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64] | None = None
    targets: Items | None = None

    @classmethod
    def of(cls, texts: Sequence[str], tokenizer: Tokenizer, end: str) -> Items:
        """Encode texts, none of which contains ``end``."""
        ids = tokenizer.encode(end + "".join(text + end for text in texts))
        ends = np.flatnonzero(ids == tokenizer.encode(end)[0])
        return cls(ids, ends[:-1] + 1, np.diff(ends) - 1)

    def __len__(self) -> int:
        return len(self.begins)

    def padded(
        self, rows: NDArray[np.int64], *, first: int = 0, most: int | None = None, after: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(ids (B, T), lengths (B,)) of the items ``rows`` (B,); see ``pad``.

        after: the items with their end symbol, instead of the end symbol before them
        """
        begins = self.begins[rows] - (0 if after else 1)
        return pad(self.ids, begins, self.lengths[rows] + 1, first=first, most=most)

    def read(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(ids (B, T), lengths (B,)) of the items ``rows`` without an end symbol."""
        return pad(self.ids, self.begins[rows], self.lengths[rows])

    def answers(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The labels (B,) of the items ``rows``, or their tags (B, T), padded with ``IGNORED``."""
        assert self.labels is not None
        if len(self.labels) == len(self):
            return self.labels[rows]
        return pad(self.labels, self.begins[rows], self.lengths[rows])[0]

    def chosen(self, rows: NDArray[np.int64] | slice) -> Items:
        """Some of the items."""
        per_item = self.labels is not None and len(self.labels) == len(self)
        return Items(
            self.ids,
            self.begins[rows],
            self.lengths[rows],
            self.labels[rows] if per_item and self.labels is not None else self.labels,
            None if self.targets is None else self.targets.chosen(rows),
        )


def encode_items(texts: Sequence[str], tokenizer: Tokenizer, facts: ItemFacts) -> Items:
    """Items as a model with these facts reads them; UnknownCharacterError for a character that it
    has never seen, RequestError for an empty one or one with the end symbol in it."""
    texts = [tokenizer.normalize(text) for text in texts]
    if not all(texts):
        raise RequestError("an item is empty; leave it out")
    for number, text in enumerate(texts, 1):
        if not tokenizer.forbidden and len(unseen := tokenizer.unseen(text)):
            what = describe_unknown(text, unseen).replace("line 1, ", "")
            raise UnknownCharacterError(f"item {number} has {what}; leave the item out")
    ended = next((text for text in texts if facts.end in text), None)
    if ended is not None:
        raise RequestError(f"the item {ended[:40]!r} has the symbol in it that ends an item")
    return Items.of(texts, tokenizer, facts.end)


def pad(
    ids: Ids,
    begins: NDArray[np.int64],
    lengths: NDArray[np.int64],
    *,
    first: int = 0,
    most: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stretches of ``ids`` of unequal lengths as the rows of one array.

    begins, lengths: (B,) of the stretches
    first, most: of each stretch the ``most`` ids from ``first`` on; default: all of it

    Returns ids (B, T), ``IGNORED`` beyond the end of a stretch, and lengths (B,). T is the longest.

    >>> pad(np.array([7, 8, 9]), np.array([0, 2]), np.array([2, 1]))[0].tolist()
    [[7, 8], [9, -100]]
    """
    left = np.clip(lengths - first, 0, most)
    offsets = np.arange(int(left.max(initial=0)))
    inside = offsets < left[:, None]  # (B, T)
    places = np.where(inside, begins[:, None] + first + offsets, 0)
    return np.where(inside, ids[places].astype(np.int64), IGNORED), left


def previous_symbols(targets: Ids, end: int) -> NDArray[np.int64]:
    """The symbol before each of the targets (B, S): the end symbol before the first. What is padded
    with ``IGNORED`` reads an id that nothing depends on.

    >>> previous_symbols(np.array([[5, 6, 9], [7, 9, -100]]), end=9).tolist()
    [[9, 5, 6], [9, 7, 9]]
    """
    before = np.full_like(targets, end, dtype=np.int64)
    before[:, 1:] = np.maximum(targets[:, :-1], 0)
    return before


class ItemStreams:
    """The batches of a part of items: ``batch(step)`` is a pure function of (seed, step).

    Every epoch reads every item once, in an order of its own. An item that is longer than the
    window is read in several steps, over which the state is carried; every item begins from zero.
    """

    def __init__(self, items: Items, batch_size: int, seq_len: int, seed: int) -> None:
        self.items, self.batch_size, self.seq_len = items, batch_size, seq_len
        self.bundles = Bundles(items.lengths + 1, batch_size, seq_len, seed)
        self.steps_per_epoch = self.bundles.steps_per_epoch

    def batch(self, step: int) -> Batch:
        """Inputs and targets (B, T) of the items that are read at ``step``, padded with
        ``IGNORED``; the last batch of an epoch has rows without an item."""
        found = self.bundles.at(step)
        first, T = found.window * self.seq_len, self.seq_len
        inputs, _ = self.items.padded(found.rows, first=first, most=T, after=False)
        targets, _ = self.items.padded(found.rows, first=first, most=T, after=True)
        empty = self.batch_size - len(found.rows)
        labels = None
        if self.items.labels is not None:
            labels = np.pad(self.items.labels[found.rows], (0, empty))
        return Batch(
            np.pad(np.maximum(inputs, 0), ((0, empty), (0, 0))),
            np.pad(targets, ((0, empty), (0, 0)), constant_values=IGNORED),
            found.epoch,
            starts_epoch=found.window == 0,
            labels=labels,
        )


class WholeItems:
    """The batches of items that are read as a whole, with their labels or tags as targets, or, to
    be rewritten, what they become and the end symbol."""

    def __init__(self, items: Items, batch_size: int, seed: int) -> None:
        self.items, self.batch_size, self.seq_len = items, batch_size, int(items.lengths.max())
        self.bundles = Bundles(items.lengths, batch_size, None, seed)
        self.steps_per_epoch = self.bundles.steps_per_epoch

    def batch(self, step: int) -> Batch:
        """Inputs (B, T), their lengths (B,) and the targets of the items that are read at
        ``step``; the last batch of an epoch may have fewer rows."""
        found = self.bundles.at(step)
        ids, lengths = self.items.read(found.rows)
        if self.items.targets is not None:
            targets, _ = self.items.targets.padded(found.rows, after=True)
        else:
            targets = self.items.answers(found.rows)
        return Batch(np.maximum(ids, 0), targets, found.epoch, starts_epoch=True, lengths=lengths)


@dataclass(frozen=True)
class ItemDataset:
    """The items that a run trains on: as ``dataset.Dataset``, which is that of running text.

    kind: what the items are read for (``charlm.text.records.KINDS``)
    train, val: the encoded parts
    item_facts: end symbol and labels, which the model's file stores
    facts: the part of the provenance that describes the corpus
    """

    name: str
    tokenizer: Tokenizer
    kind: str
    train: Items
    val: Items
    item_facts: ItemFacts
    facts: dict[str, Any]
    folding: Folding | None = None

    @property
    def shape(self) -> dict[str, Any]:
        """The fields of a ``ModelConfig`` that follow from the corpus."""
        return {
            "vocab_size": self.tokenizer.vocab_size,
            "task": "items" if self.kind == "labelled" else self.kind,
            "num_labels": len(self.item_facts.labels),
        }

    @property
    def writes(self) -> bool:
        """Whether the model learns to write items, not to answer about them."""
        return self.kind in ("items", "labelled")

    def streams(self, batch_size: int, seq_len: int, seed: int) -> ItemStreams | WholeItems:
        """The training items as batches."""
        if not self.writes:
            return WholeItems(self.train, batch_size, seed)
        return ItemStreams(self.train, batch_size, seq_len, seed)

    def window(self, batch_size: int | None, seq_len: int | None) -> tuple[int, int]:
        """Choose (batch_size, seq_len); a given value is kept.

        A batch has ``DEFAULT_BATCH_SIZE`` items, or an eighth of a list that is shorter than eight
        batches; the window is as long as the longest item, up to ``LONGEST_WINDOW``.
        """
        few = max(1, min(DEFAULT_BATCH_SIZE, len(self.train) // 8))
        longest = int(self.train.lengths.max()) + 1
        if not self.writes:
            if seq_len is not None:
                raise RequestError(
                    f"--seq-len has no effect with --task {self.kind}, which reads whole items; "
                    "leave it out"
                )
            return batch_size or few, longest
        return batch_size or few, seq_len or min(longest, LONGEST_WINDOW)

    def steps_per_epoch(self, batch_size: int, seq_len: int) -> int:
        return self.streams(batch_size, seq_len, 0).steps_per_epoch

    @property
    def train_symbols(self) -> int:
        """How many symbols the training items have, end symbols included."""
        return _symbols(self.train)

    @property
    def can_validate(self) -> bool:
        return len(self.val) > 0

    @cached_property
    def symbols_per_char(self) -> float:
        """1 for characters; for bytes, the mean bytes of a character. End symbols are counted."""
        items = self.val if self.can_validate else self.train
        if items.targets is not None:
            items = items.targets
        elif not self.writes:
            return 1.0
        return _symbols(items) / count_characters(self.tokenizer, items)

    @property
    def exact(self) -> Items:
        """The validation items of which the exact loss is computed."""
        return self.val.chosen(slice(MOST_EXACT))

    def beginning(self, items: int) -> ItemDataset:
        """The same with only the first validation items, to be timed."""
        return replace(self, val=self.val.chosen(slice(items)))

    def provenance(self) -> dict[str, Any]:
        """What a shared model says about its corpus: never a path."""
        if self.folding is None:
            return dict(self.facts)
        return self.facts | {
            folding.TYPES: max(1, self.folding.types),
            folding.SHARE: self.folding.share,
        }


def _symbols(items: Items) -> int:
    return int(items.lengths.sum()) + len(items)


def count_characters(tokenizer: Tokenizer, items: Items) -> int:
    """Characters of the items, each with its end symbol: what a loss per character divides by."""
    if tokenizer.kind == "char":
        return _symbols(items)
    begins_character = (items.ids & 0xC0) != 0x80
    before = np.concatenate([[0], np.cumsum(begins_character)])
    ends = items.begins + items.lengths + 1
    return int((before[ends] - before[items.begins]).sum())


def encode(
    name: str,
    parts: tuple[Sequence[Record], Sequence[Record]],
    tokenizer: Tokenizer,
    end: str,
    facts: dict[str, Any],
    *,
    kind: str,
    like: ItemFacts | None = None,
) -> ItemDataset:
    """The training and the validation part, encoded.

    kind: what the items are read for (``charlm.text.records.KINDS``)
    like: the labels to use; default: those of the items

    Raises ShortCorpusError if there are too few items, CorpusError for an item with the end symbol
    in it, UnknownCharacterError if the tokenizer lacks a character.
    """
    train, val = parts
    if len(train) < 2:
        raise ShortCorpusError(
            f"{name}: {len(train)} items left to train on; at least 2 are needed, and hundreds to "
            "learn anything"
        )
    longest = max((*train, *val), key=lambda record: len(record.text))
    if kind not in ("items", "labelled") and len(longest.text) > LONGEST_WHOLE:
        raise CorpusError(
            f"{name}: the item {longest.text[:30]!r}... has {len(longest.text):,} characters, more "
            f"than {LONGEST_WHOLE:,}, and is read as a whole; divide it"
        )
    for record in (*train, *val):
        if end in record.text:
            raise CorpusError(
                f"{name}: the item {record.text[:40]!r} has {end!r} in it, which ends an item; "
                "remove it"
            )
    labels: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    if kind in ("labelled", "classify"):
        labels = like.labels if like else tuple(sorted({record.label for record in train}))
        lost = {record.label for part in parts for record in part} - set(labels)
        if lost and like is not None and not like.labels:
            raise RequestError(
                "the model of --init-from has no labels; train a new model without --init-from"
            )
        if lost and like:
            raise RequestError(
                f"{name} has the label {min(lost)!r}, which the model of --init-from does not; "
                "remove its items, or train a new model without --init-from"
            )
        if len(labels) == 1 and kind == "classify":
            raise CorpusError(
                f"{name}: all items have the label {labels[0]!r}, so there is nothing to tell "
                "apart; add items of another"
            )
        lost |= set(labels) - {record.label for record in train}
        if lost:
            raise CorpusError(f"{name}: the label {min(lost)!r} has no training item; add some")
        number = {label: k for k, label in enumerate(labels)}
        found = [np.array([number[r.label] for r in part], dtype=np.int64) for part in parts]
        counts = tuple(np.bincount(found[0], minlength=len(labels)).tolist())
    elif kind == "tag":
        tags = {tag for part in parts for record in part for tag in record.label}
        labels = like.labels if like else tuple(sorted(tags))
        if tags - set(labels):
            raise RequestError(
                f"{name} has the tag {min(tags - set(labels))!r}, which the model of --init-from "
                "does not; train a new model without --init-from"
            )
        number = {label: k for k, label in enumerate(labels)}
        found = [
            np.array([0, *(number[t] for r in part for t in (*r.label, labels[0]))], dtype=np.int64)
            for part in parts
        ]
        flat = np.concatenate([[number[t] for r in train for t in r.label]])
        counts = tuple(np.bincount(flat.astype(np.int64), minlength=len(labels)).tolist())
    encoded = []
    for place, part in enumerate(parts):
        items = Items.of([record.text for record in part], tokenizer, end)
        targets = None
        if kind == "rewrite":
            targets = Items.of([record.label for record in part], tokenizer, end)
        encoded.append(
            Items(items.ids, items.begins, items.lengths, found[place] if labels else None, targets)
        )
    slices = [end.join(record.text for record in part) for part in parts]
    return ItemDataset(
        name,
        tokenizer,
        kind,
        encoded[0],
        encoded[1],
        ItemFacts(end, labels, counts),
        facts,
        folding.folding(tokenizer, slices),
    )
