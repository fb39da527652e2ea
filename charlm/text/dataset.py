"""A corpus prepared for training: read, split and encoded.

``read`` gives the texts, ``choose_tokenizer`` the vocabulary, and ``encode`` the ids, which is all
that training keeps. The texts stay in UTF-8 and are processed slice by slice, so that the peak
memory is a few bytes per byte of the corpus (measured by ``benchmarks/corpus.py``).
"""

from __future__ import annotations

import codecs
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from charlm.arrays import Ids
from charlm.errors import CheckpointError, CorpusError, RequestError, UnknownCharacterError
from charlm.text import folding, newlines
from charlm.text.folding import Folding
from charlm.text.reading import Text, read_text
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer, Tokenizer, count_characters
from charlm.text.unknown import describe_slices
from charlm.text.utf8 import Utf8Text

DEFAULT_VAL_FRACTION = 0.1


@dataclass(frozen=True)
class Source:
    """Where a run's text comes from, as the run stores it so that it can be read again.

    newline: the newline rule (``charlm.text.newlines``); ``auto`` is settled before it is stored
    """

    sources: tuple[str, ...]
    encoding: str | None = None
    newline: str = "keep"
    val_fraction: float = DEFAULT_VAL_FRACTION
    val_sources: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> Source:
        """The inverse of ``to_dict``; CheckpointError for anything else."""
        try:
            given = dict(values)
            for key in ("sources", "val_sources"):
                if not isinstance(given[key], list | tuple):
                    raise TypeError(key)
                given[key] = tuple(given[key])
            source = cls(**given)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"the description of the corpus is damaged ({error!s:.100})"
            ) from error
        names = (*source.sources, *source.val_sources)
        if not (
            source.sources
            and all(isinstance(name, str) and name and "\0" not in name for name in names)
            and (source.encoding is None or _is_encoding(source.encoding))
            and source.newline in newlines.RULES
            and isinstance(source.val_fraction, float | int)
            and 0.0 <= source.val_fraction < 1.0
        ):
            raise CheckpointError("the description of the corpus is damaged")
        return source


def _is_encoding(name: Any) -> bool:
    try:
        return isinstance(name, str) and codecs.lookup(name).name != "idna"
    except (LookupError, ValueError):
        return False


@dataclass(frozen=True)
class Texts:
    """The training and the validation part of a corpus, as text.

    split: in words, how the corpus was divided
    newline: the newline rule by which it was read, keep or unix
    """

    name: str
    train: Utf8Text
    val: Utf8Text
    split: str = ""
    notes: tuple[str, ...] = ()
    newline: str = "keep"

    @classmethod
    def of(cls, train: str, val: str = "", *, name: str = "corpus", split: str = "") -> Texts:
        """Two texts that are at hand as strings."""
        return cls(name, Utf8Text.of(train), Utf8Text.of(val), split)

    @property
    def whole(self) -> Utf8Text:
        """Both parts, one after the other."""
        return self.train + self.val

    def slices(self) -> Iterator[str]:
        """All of it in pieces (``Utf8Text.slices``), none of which spans both parts."""
        yield from self.train.slices()
        yield from self.val.slices()

    @property
    def sha256(self) -> str:
        """SHA-256 of the whole in UTF-8."""
        return self.whole.sha256


def cut_after(characters: int, val_fraction: float = DEFAULT_VAL_FRACTION) -> int:
    """How many of ``characters`` train; the last ``val_fraction`` of them validates.

    >>> cut_after(1000)
    900
    """
    if not 0.0 <= val_fraction < 1.0:
        raise RequestError(f"--val-fraction is {val_fraction}; give at least 0 and less than 1")
    return int(characters * (1.0 - val_fraction))  # rounded down, as nanoGPT does


def read(source: Source, stdin: BinaryIO | None = None) -> Texts:
    """Read the corpus and split it.

    With the newline rule ``auto`` the line ends of both parts decide; a note says so if they are
    mixed. Raises the errors of ``read_text``.
    """
    if source.newline not in newlines.CHOICES:
        raise RequestError(
            f"--newline is {source.newline!r}; choose one of {', '.join(newlines.CHOICES)}"
        )
    parts = [
        read_text(sources, encoding=source.encoding, stdin=stdin)
        for sources in (source.sources, source.val_sources)
        if sources
    ]
    rule, notes = _settle_newline(source.newline, parts)
    notes = (*(note for part in parts for note in part.notes), *notes)
    if rule == "unix":
        parts = [part.with_unix_newlines() for part in parts]
    name = parts[0].name
    if source.val_sources:
        split = f"validation text from {', '.join(Path(s).name for s in source.val_sources)}"
        return Texts(name, parts[0].utf8, parts[1].utf8, split, notes, rule)
    text = parts[0].utf8
    train, val = text.split(cut_after(len(text), source.val_fraction))
    split = (
        f"first {1 - source.val_fraction:.4g} to train, last {source.val_fraction:.4g} to validate"
        if len(val)
        else "all of it to train, nothing to validate"
    )
    return Texts(name, train, val, split, notes, rule)


def _settle_newline(choice: str, parts: list[Text]) -> tuple[str, tuple[str, ...]]:
    """(the rule that ``choice`` comes to for these texts, a note if it changes them)."""
    if choice != "auto":
        return choice, ()
    ends = newlines.LineEnds.of(block for part in parts for block in part.utf8.blocks)
    if not ends.mixed:
        return "keep", ()
    return "unix", (
        f"the line ends are mixed ({ends}): all are read as LF; --newline keep leaves them",
    )


@dataclass(frozen=True)
class Dataset:
    """The ids of a corpus, and what its model says about it. The text itself is not kept.

    ids: (N,) of the training part, then of the validation part
    cut: ``ids[:cut]`` train, ``ids[cut:]`` validate
    facts: the part of the provenance that describes the corpus
    folding: how much of it is read as the unknown symbol; None if the tokenizer has none
    """

    name: str
    tokenizer: Tokenizer
    ids: Ids
    cut: int
    facts: dict[str, Any]
    folding: Folding | None = None

    @property
    def train_ids(self) -> Ids:
        return self.ids[: self.cut]

    @property
    def val_ids(self) -> Ids:
        return self.ids[self.cut :]

    @property
    def can_validate(self) -> bool:
        """Whether a character follows the first one, which is only context."""
        return self.tokenizer.count_characters(self.val_ids) >= 2

    def provenance(self) -> dict[str, Any]:
        """What a shared model says about its corpus: never a path, which may reveal too much."""
        if self.folding is None:
            return dict(self.facts)
        return self.facts | {
            folding.TYPES: max(1, self.folding.types),
            folding.SHARE: self.folding.share,
        }


def choose_tokenizer(
    texts: Texts, *, level: str = "char", min_count: int = 1, nfc: bool = False
) -> Tokenizer:
    """A tokenizer for the whole corpus, as in nanoGPT: no validation character is unknown.

    level: ``char`` or ``byte``

    Raises RequestError for options that exclude each other, or if no character is common enough.
    """
    if level == "byte":
        if min_count > 1 or nfc:
            raise RequestError("--tokenizer byte cannot be combined with --min-count or --nfc")
        return ByteTokenizer(newline=texts.newline)
    # Normalized part by part, as they are encoded: the split may separate a letter from its accent.
    counts = count_characters(
        unicodedata.normalize("NFC", piece) if nfc else piece for piece in texts.slices()
    )
    try:
        return CharTokenizer.from_counts(
            counts, min_count=min_count, nfc=nfc, newline=texts.newline
        )
    except ValueError as error:
        raise RequestError(f"--min-count {min_count}: {error}; lower it") from error


def encode(texts: Texts, tokenizer: Tokenizer) -> Dataset:
    """Encode both parts.

    Raises CorpusError if the text is too short to be a corpus, UnknownCharacterError if the
    tokenizer lacks a character of it.
    """
    if len(texts.train) < 2:
        raise CorpusError(
            f"{texts.name}: {len(texts.train)} of {len(texts.whole)} characters left to train on; "
            "at least 3 characters are needed, and thousands to learn anything"
        )
    counts = [_count_ids(part, tokenizer) for part in (texts.train, texts.val)]
    ids: Ids = np.empty(sum(counts), dtype=tokenizer.dtype)
    place = 0
    for part in (texts.train, texts.val):
        for piece in _encoded(part, tokenizer):
            ids[place : place + len(piece)] = piece
            place += len(piece)
    facts = {
        "corpus": texts.name,
        "corpus_sha256": texts.sha256,
        "corpus_characters": len(texts.train) + len(texts.val),
        "train_characters": len(texts.train),
        "val_characters": len(texts.val),
        "split": texts.split,
        "commonest": _commonest(texts.train),
    }
    folded = folding.folding(tokenizer, texts.slices())
    return Dataset(texts.name, tokenizer, ids, counts[0], facts, folded)


def _encoded(text: Utf8Text, tokenizer: Tokenizer) -> Iterator[Ids]:
    try:
        yield from map(tokenizer.encode, text.slices())
    except UnknownCharacterError as error:  # of one slice: name those of the whole text
        raise UnknownCharacterError(describe_slices(tokenizer, text.slices())) from error


def _count_ids(text: Utf8Text, tokenizer: Tokenizer) -> int:
    """The number of ids of ``text``, without storing them."""
    if tokenizer.newline == "keep":
        if isinstance(tokenizer, ByteTokenizer):
            return text.num_bytes
        if not tokenizer.nfc:
            return len(text)
    pieces = map(tokenizer.normalize, text.slices())
    byte = isinstance(tokenizer, ByteTokenizer)
    return sum(len(piece.encode("utf-8") if byte else piece) for piece in pieces)


def _commonest(text: Utf8Text) -> str:
    """The most common character of the first million, the earlier one of two as common."""
    start, _ = text.split(1_000_000)
    return Counter(str(start)).most_common(1)[0][0]
