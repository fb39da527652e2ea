"""A corpus prepared for training: read, split and encoded.

``read`` gives the texts, ``choose_tokenizer`` the vocabulary, and ``encode`` the ids, which is all
that training keeps. The texts stay in UTF-8 and are processed slice by slice, so that the peak
memory is a few bytes per byte of the corpus (measured by ``benchmarks/corpus.py``). Of a text that
is longer than ``reading.LONG`` neither the bytes nor the ids are in memory, but in files.
"""

from __future__ import annotations

import codecs
import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Ids
from charlm.errors import (
    CheckpointError,
    CorpusError,
    RequestError,
    ShortCorpusError,
    UnknownCharacterError,
)
from charlm.itemfacts import ItemFacts
from charlm.text import cache, folding, items, newlines
from charlm.text.folding import Folding
from charlm.text.idfile import IdFile
from charlm.text.items import ItemDataset
from charlm.text.reading import Text, joint_survey, read_text
from charlm.text.records import KINDS, Layout, Record, read_records
from charlm.text.splitting import divide, divide_lines
from charlm.text.streams import (
    AnyStreams,
    DocumentStreams,
    MixedStreams,
    Streams,
    document_ends,
    fit_window,
    share_rows,
)
from charlm.text.survey import Survey
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer, Tokenizer, count_characters
from charlm.text.unknown import describe_slices
from charlm.text.utf8 import Utf8Text

DEFAULT_VAL_FRACTION = 0.1

MAX_EXACT = 1_000_000
"""Of a longer validation or test text the exact loss is that of the first so many characters: a
pass over them takes a quarter of a minute, and the rest would change it by a few 0.001 nats."""


SPLITS = ("auto", "end", "file", "line")
"""How a text can be divided into training and validation text (``Source.split_by``)."""


@dataclass(frozen=True)
class Source:
    """Where a run's text comes from, as the run stores it so that it can be read again.

    newline: the newline rule (``charlm.text.newlines``); ``auto`` is settled before it is stored
    weights: how much of a batch each of ``sources`` gets (``--mix``); empty: they are one text
    separator: what ends a document (``--document-separator``) or, in a list, an item; empty: there
        are no documents
    records: if the corpus is a list of items, what they are for (``charlm.text.records.KINDS``)
    text_column, label_column: the columns of items in CSV or JSON lines
    split_by: ``end``: the end of the text validates; ``file``: the end of each file; ``line``:
        lines from all over it; ``auto``, settled before it is stored: by file if there are several,
        and no documents
    shuffle_lines: the lines come in another order, and ``split_by`` is ``line``
    """

    sources: tuple[str, ...]
    encoding: str | None = None
    newline: str = "keep"
    val_fraction: float = DEFAULT_VAL_FRACTION
    val_sources: tuple[str, ...] = ()
    test_fraction: float = 0.0
    weights: tuple[float, ...] = ()
    separator: str = ""
    records: str = ""
    text_column: str = "text"
    label_column: str = "label"
    split_by: str = "end"
    shuffle_lines: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON stores it; a field that earlier versions lack only if it says something."""
        later = {
            name: type(self).__dataclass_fields__[name].default
            for name in (
                *("test_fraction", "weights", "separator", "records", "text_column"),
                *("label_column", "split_by", "shuffle_lines"),
            )
        }
        return {key: value for key, value in asdict(self).items() if value != later.get(key, [])}

    @property
    def layout(self) -> Layout:
        """How the items stand in their files, if the corpus is a list of them."""
        return Layout(self.records, self.separator or "\n", self.text_column, self.label_column)

    @classmethod
    def from_dict(cls, values: Any) -> Source:
        """The inverse of ``to_dict``; CheckpointError for anything else."""
        try:
            given = dict(values)
            for key in ("sources", "val_sources", "weights"):
                if not isinstance(given.setdefault(key, ()), list | tuple):
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
            and all(
                isinstance(part, float | int) and 0.0 <= part < 1.0
                for part in (source.val_fraction, source.test_fraction)
            )
            and len(source.weights) in (0, len(source.sources))
            and all(isinstance(each, float | int) and 0 < each < 1e9 for each in source.weights)
            and all(
                isinstance(each, str)
                for each in (source.separator, source.text_column, source.label_column)
            )
            and source.records in ("", *KINDS)
            and source.split_by in SPLITS
            and isinstance(source.shuffle_lines, bool)
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
    """The training, the validation and the test part of a corpus, as text.

    split: in words, how the corpus was divided
    newline: the newline rule by which it was read, keep or unix
    survey: what a pass over all of it found, if it is a long text
    train_parts, weights: the texts that ``train`` consists of, if they are mixed (``--mix``), and
        how much of a batch each gets
    separator: what ends a document, if there are documents
    split_by: how it was divided, as ``Source`` stores it
    undivided: SHA-256 of the text as it was read, if its parts are not in its order
    items: of a list of items, the three parts
    """

    name: str
    train: Utf8Text
    val: Utf8Text
    split: str = ""
    notes: tuple[str, ...] = ()
    newline: str = "keep"
    test: Utf8Text = field(default_factory=lambda: Utf8Text(()))
    survey: Survey | None = field(default=None, compare=False)
    train_parts: tuple[Utf8Text, ...] = ()
    weights: tuple[float, ...] = ()
    separator: str = ""
    split_by: str = "end"
    undivided: str = ""
    items: ItemTexts | None = None

    @classmethod
    def of(cls, train: str, val: str = "", *, name: str = "corpus", split: str = "") -> Texts:
        """Two texts that are at hand as strings."""
        return cls(name, Utf8Text.of(train), Utf8Text.of(val), split)

    @property
    def whole(self) -> Utf8Text:
        """All parts, one after the other."""
        return self.train + self.val + self.test

    @property
    def characters(self) -> int:
        """How many there are in all parts."""
        return len(self.train) + len(self.val) + len(self.test)

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each code point occurs in all parts, (0x110000,)."""
        return count_characters(self.slices()) if self.survey is None else self.survey.counts

    def slices(self) -> Iterator[str]:
        """All of it in pieces (``Utf8Text.slices``), none of which spans two parts."""
        for part in (*(self.train_parts or (self.train,)), self.val, self.test):
            yield from part.slices()

    @property
    def sha256(self) -> str:
        """SHA-256 of the text in UTF-8, before it was divided; of items, that of lines with text
        and label."""
        if self.items is not None:
            return self.items.sha256
        if self.undivided:
            return self.undivided
        return self.whole.sha256 if self.survey is None else self.survey.sha256


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
    if source.records:
        return _read_items(source, stdin)
    groups = [(name,) for name in source.sources] if source.weights else [source.sources]
    parts = [
        read_text(sources, encoding=source.encoding, stdin=stdin)
        for sources in (*groups, source.val_sources)
        if sources
    ]
    rule, notes = _settle_newline(source.newline, parts)
    notes = (*(note for part in parts for note in part.notes), *notes)
    if rule == "unix":
        parts = [part.with_unix_newlines() for part in parts]
    name = parts[0].name
    test = Utf8Text(())
    source = replace(source, split_by=_settle_split(source, parts[0]))
    if source.val_sources:
        *trains, val = (part.utf8 for part in parts)
        split = f"validation text from {', '.join(Path(s).name for s in source.val_sources)}"
    else:
        divided = [_divided(part, source) for part in parts]
        trains = [each[0] for each in divided]
        val, test = (_joined([each[k] for each in divided]) for k in (1, 2))
        split = _split_in_words(source, bool(val), bool(test))
    train = _joined(trains)
    survey, undivided = parts[0].survey, ""
    if source.split_by != "end":
        only = survey if len(parts) == 1 else None
        undivided = only.sha256 if only else _joined([part.utf8 for part in parts]).sha256
    if len(parts) > 1 or source.split_by == "file":
        survey = joint_survey([*train.blocks, *val.blocks, *test.blocks], name)
    mixed = tuple(trains) if source.weights else ()
    return Texts(
        *(name, train, val, split, notes, rule, test, survey, mixed),
        weights=source.weights,
        separator=source.separator,
        split_by=source.split_by,
        undivided=undivided,
    )


@dataclass(frozen=True)
class ItemTexts:
    """The items of the three parts of a corpus.

    layout: what they are for, and how they stand in their files
    """

    train: list[Record]
    val: list[Record]
    test: list[Record]
    layout: Layout

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of lines with text and label, training part first."""
        sha = hashlib.sha256()
        for record in (*self.train, *self.val, *self.test):
            sha.update("\t".join(record).encode("utf-8", "surrogatepass") + b"\n")
        return sha.hexdigest()

    @property
    def end(self) -> str:
        """The character that ends an item."""
        return items.end_symbol(self.layout.separator)

    def text(self, records: Sequence[Record]) -> str:
        """Items as one text, each with its end symbol behind it; to be rewritten, what it becomes
        and another."""
        if self.layout.kind == "rewrite":
            return "".join(record.text + self.end + record.label + self.end for record in records)
        return "".join(record.text + self.end for record in records)


def _read_items(source: Source, stdin: BinaryIO | None) -> Texts:
    """Read a list of items, and draw its parts by item."""
    layout = source.layout
    listing = read_records(source.sources, layout, encoding=source.encoding, stdin=stdin)
    notes = listing.notes
    texts = [record.text for record in listing.records]
    strata = [
        record.label if layout.kind in ("labelled", "classify") else ""
        for record in listing.records
    ]
    held_out = source.val_fraction, source.test_fraction
    given: list[Record] = []
    if source.val_sources:
        given = read_records(
            source.val_sources, layout, encoding=source.encoding, stdin=stdin
        ).records
        held_out, known = (0.0, 0.0), set(texts)
        both = sum(record.text in known for record in given)
        if both:
            notes = (*notes, f"left out {both:,} validation items that are training items too")
            given = [record for record in given if record.text not in known]
    parts: tuple[list[Record], ...] = ([], [], [])
    for record, part in zip(listing.records, divide(texts, strata, *held_out), strict=True):
        parts[part].append(record)
    train, val, test = parts[0], parts[1] or given, parts[2]
    if source.val_sources:
        split = f"validation items from {', '.join(Path(s).name for s in source.val_sources)}"
    else:
        split = _split_in_words(source, bool(val), bool(test), drawn="items, drawn")
    found = ItemTexts(train, val, test, layout)
    return Texts(
        listing.name,
        Utf8Text.of(found.text(train)),
        Utf8Text.of(found.text(val)),
        split,
        notes,
        newline="unix",
        test=Utf8Text.of(found.text(test)),
        items=found,
    )


def _settle_split(source: Source, text: Text) -> str:
    """How the text is divided: ``source.split_by``, decided."""
    if source.shuffle_lines or source.split_by == "line":
        if text.utf8.on_disk:
            raise RequestError(
                f"{text.name} is too long to divide by lines, which is done in memory; leave out "
                "--split-by line and --shuffle-lines"
            )
        return "line"
    if source.split_by == "auto":
        # A file is often one document, which cannot be divided.
        several = len(text.sources) > 1 and not (source.val_sources or source.separator)
        return "file" if several else "end"
    return source.split_by


def _joined(texts: Sequence[Utf8Text]) -> Utf8Text:
    """One text after the other."""
    if len(texts) == 1:
        return texts[0]
    return Utf8Text(
        (block for text in texts for block in text.blocks), characters=sum(map(len, texts))
    )


def _divided(text: Text, source: Source) -> tuple[Utf8Text, Utf8Text, Utf8Text]:
    """(training, validation, test part) of a text; documents are not divided."""
    if source.split_by == "line":
        parts = divide_lines(
            str(text.utf8), source.val_fraction, source.test_fraction, shuffle=source.shuffle_lines
        )
        return Utf8Text.of(parts[0]), Utf8Text.of(parts[1]), Utf8Text.of(parts[2])
    if source.split_by == "file":
        each = [_cut(file, text.name, source) for file in text.utf8.files()]
        train, val, test = (_joined([parts[k] for parts in each]) for k in range(3))
        return train, val, test
    return _cut(text.utf8, text.name, source)


def _cut(text: Utf8Text, name: str, source: Source) -> tuple[Utf8Text, Utf8Text, Utf8Text]:
    """(training, validation, test part): the beginning, what follows, the end."""
    characters = len(text)
    # Both fractions are of the whole text. Without a test part this is the split of nanoGPT.
    held_out = source.val_fraction + source.test_fraction
    if held_out >= 1.0:
        raise RequestError(
            f"--val-fraction {source.val_fraction:g} and --test-fraction {source.test_fraction:g} "
            "leave nothing to train on; lower one of them"
        )
    cuts = [cut_after(characters, part) for part in (source.test_fraction, held_out)]
    if source.separator:
        cuts = [_end_of_document(text, name, cut, source.separator) for cut in cuts]
    rest, test = text.split(cuts[0])
    train, val = rest.split(cuts[1])
    return train, val, test


def _end_of_document(text: Utf8Text, name: str, characters: int, separator: str) -> int:
    """Where the last document ends that is complete in the first ``characters`` of a text; all of
    the text if that is asked for. RequestError if there is none."""
    if characters == len(text):
        return characters
    start, _ = text.split(characters)
    size = 2**16
    while True:
        size = min(size, characters)
        place = str(start.split(characters - size)[1]).rfind(separator)
        if place >= 0:
            return characters - size + place + len(separator)
        if size == characters:
            raise RequestError(
                f"--document-separator {separator!r} does not occur in the first {characters:,} "
                f"characters of {name}; check it, or lower --val-fraction"
            )
        size *= 16


def _split_in_words(source: Source, val: bool, test: bool, drawn: str = "") -> str:
    if not val and not test:
        return "all of it to train, nothing to validate"
    first = 1 - (source.val_fraction if val else 0.0) - (source.test_fraction if test else 0.0)
    if source.split_by == "line":
        drawn = "lines, drawn"
    if drawn:
        held = [f"{source.val_fraction:.4g} to validate"] * val
        held += [f"{source.test_fraction:.4g} to test"] * test
        return f"{drawn}: {first:.4g} to train, {', '.join(held)}"
    each = "of each file: " if source.split_by == "file" else ""
    parts = [f"{each}first {first:.4g} to train"]
    if val:
        parts.append(f"{'next' if test else 'last'} {source.val_fraction:.4g} to validate")
    if test:
        parts.append(f"last {source.test_fraction:.4g} to test")
    return ", ".join(parts)


def _settle_newline(choice: str, parts: list[Text]) -> tuple[str, tuple[str, ...]]:
    """(the rule that ``choice`` comes to for these texts, a note if it changes them)."""
    if choice != "auto":
        return choice, ()
    ends = sum((part.ends for part in parts), newlines.LineEnds(0, 0, 0))
    if not ends.mixed:
        return "keep", ()
    return "unix", (
        f"the line ends are mixed ({ends}): all are read as LF; --newline keep leaves them",
    )


@dataclass(frozen=True)
class Dataset:
    """The ids of a corpus, and what its model says about it. The text itself is not kept.

    ids: (N,) of the training part, then of the validation part; of a long text, in a file
    cut: ``ids[:cut]`` train, ``ids[cut:]`` validate
    facts: the part of the provenance that describes the corpus
    folding: how much of it is read as the unknown symbol; None if the tokenizer has none
    exact: of how many of the validation ids the exact loss is computed; None: of all
    mix: (number of ids, weight) of each of the texts that are mixed; empty: there is one
    separator: (K,) the ids that end a document; empty: there are no documents
    """

    name: str
    tokenizer: Tokenizer
    ids: Ids | IdFile
    cut: int
    facts: dict[str, Any]
    folding: Folding | None = None
    exact: int | None = None
    mix: tuple[tuple[int, float], ...] = ()
    separator: tuple[int, ...] = ()

    def streams(self, batch_size: int, seq_len: int, seed: int) -> AnyStreams:
        """The training part as the rows of batches; ShortCorpusError if it is too short."""
        if not self.mix:
            return self._streams(self.train_ids, batch_size, seq_len, seed)
        rows = share_rows([weight for _, weight in self.mix], batch_size)
        parts, begin = [], 0
        for number, ((length, _), share) in enumerate(zip(self.mix, rows, strict=True)):
            ids, begin = self.train_ids[begin : begin + length], begin + length
            try:  # each starts at a place of its own
                parts.append(self._streams(ids, share, seq_len, seed + number))
            except ShortCorpusError as error:
                raise ShortCorpusError(f"text {number + 1} of --mix: {error}") from error
        return MixedStreams(parts)

    def _streams(self, ids: Ids | IdFile, batch_size: int, seq_len: int, seed: int) -> AnyStreams:
        if not self.separator:
            return Streams(ids, batch_size, seq_len, seed)
        ends = self._ends(ids)
        return DocumentStreams(ids, batch_size, seq_len, seed, ends)

    def _ends(self, ids: Ids | IdFile) -> NDArray[np.int64]:
        return document_ends(ids, np.array(self.separator))

    @property
    def shape(self) -> dict[str, Any]:
        """The fields of a ``ModelConfig`` that follow from the corpus."""
        return {"vocab_size": self.tokenizer.vocab_size, "task": "text", "num_labels": 0}

    item_facts: ClassVar[None] = None
    """``ItemDataset`` has some."""

    def window(self, batch_size: int | None, seq_len: int | None) -> tuple[int, int]:
        """Choose (batch_size, seq_len) as ``fit_window`` does."""
        unit = f"{self.tokenizer.unit}s"
        return fit_window(len(self.train_ids), batch_size, seq_len, unit=unit)

    def steps_per_epoch(self, batch_size: int, seq_len: int) -> int:
        """How many training steps read the training part once, with windows of this size."""
        return (len(self.train_ids) - 1) // (batch_size * seq_len)

    @property
    def train_symbols(self) -> int:
        """How many symbols the training part has."""
        return len(self.train_ids)

    @property
    def train_ids(self) -> Ids | IdFile:
        return self.ids[: self.cut]

    @property
    def val_ids(self) -> Ids | IdFile:
        return self.ids[self.cut :]

    @property
    def exact_ids(self) -> Ids:
        """The ids of the validation part of which the exact loss is computed."""
        return np.asarray(self.val_ids[: self.exact])

    @cached_property
    def can_validate(self) -> bool:
        """Whether a character follows the first one, which is only context."""
        return self.tokenizer.count_characters(np.asarray(self.val_ids[:8])) >= 2

    @cached_property
    def symbols_per_char(self) -> float:
        """1 for characters; for bytes, the mean bytes of a character: in the validation part, if
        there is one."""
        ids = self.val_ids if self.can_validate else self.train_ids
        return len(ids) / self.tokenizer.count_characters(ids)

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
    counts = texts.counts
    if nfc:
        # Part by part, as they are encoded: the split may separate a letter from its accent.
        counts = count_characters(unicodedata.normalize("NFC", p) for p in texts.slices())
    try:
        return CharTokenizer.from_counts(
            counts, min_count=min_count, nfc=nfc, newline=texts.newline
        )
    except ValueError as error:
        raise RequestError(f"--min-count {min_count}: {error}; lower it") from error


AnyDataset = Dataset | ItemDataset
"""What a run trains on: running text, or items."""


def encode_corpus(texts: Texts, tokenizer: Tokenizer, like: ItemFacts | None = None) -> AnyDataset:
    """Encode a corpus: running text (``encode``) or, if it is a list of items, those.

    like: the labels to use, those of a model to start from; default: those of the items

    Errors as in ``encode`` and ``charlm.text.items.encode``.
    """
    if texts.items is not None:
        return _encode_items(texts, texts.items, tokenizer, like)
    return encode(texts, tokenizer)


def encode(texts: Texts, tokenizer: Tokenizer) -> Dataset:
    """Encode both parts of a running text.

    Raises CorpusError if the text is too short to be a corpus, UnknownCharacterError if the
    tokenizer lacks a character of it.
    """
    if len(texts.train) < 2:
        raise CorpusError(
            f"{texts.name}: {len(texts.train)} of {len(texts.whole)} characters left to train on; "
            "at least 3 characters are needed, and thousands to learn anything"
        )
    ids, cut = _in_file(texts, tokenizer) if texts.survey else _in_memory(texts, tokenizer)
    facts = {
        "corpus": texts.name,
        "corpus_sha256": texts.sha256,
        "corpus_characters": texts.characters,
        "train_characters": len(texts.train),
        "val_characters": len(texts.val),
        **({"test_characters": len(texts.test)} if texts.test else {}),
        "split": texts.split,
        "commonest": _commonest(texts.train),
    }
    parts = texts.train_parts or (texts.train,)
    mix = tuple(
        (_count_ids(part, tokenizer), weight)
        for part, weight in zip(parts, texts.weights, strict=False)
    )
    exact = None
    if len(texts.val) > MAX_EXACT:
        exact = _count_ids(texts.val.split(MAX_EXACT)[0], tokenizer)
    if texts.separator and len(tokenizer.unseen(texts.separator)):
        raise RequestError(
            f"--document-separator {texts.separator!r} has a character that is read as the unknown "
            "symbol; lower --min-count, or choose another separator"
        )
    separator = tuple(tokenizer.encode(texts.separator).tolist())
    folded = _folding(texts, tokenizer)
    return Dataset(texts.name, tokenizer, ids, cut, facts, folded, exact, mix, separator)


def _encode_items(
    texts: Texts, found: ItemTexts, tokenizer: Tokenizer, like: ItemFacts | None
) -> ItemDataset:
    if found.layout.kind == "tag" and (isinstance(tokenizer, ByteTokenizer) or tokenizer.nfc):
        raise RequestError(
            "--task tag needs one tag for each character of the file; leave out --tokenizer byte "
            "and --nfc"
        )
    if len(tokenizer.unseen(found.end)):
        raise RequestError(
            f"the vocabulary lacks {found.end!r}, which ends an item; lower --min-count, or leave "
            "out --init-from"
        )
    facts = {
        "corpus": texts.name,
        "corpus_sha256": texts.sha256,
        "corpus_characters": texts.characters,
        "train_characters": len(texts.train),
        "val_characters": len(texts.val),
        **({"test_characters": len(texts.test)} if texts.test else {}),
        "train_items": len(found.train),
        "val_items": len(found.val),
        **({"test_items": len(found.test)} if found.test else {}),
        "split": texts.split,
    }
    return items.encode(
        *(texts.name, (found.train, found.val), tokenizer, found.end, facts),
        kind=found.layout.kind,
        like=like,
    )


def _in_memory(texts: Texts, tokenizer: Tokenizer) -> tuple[Ids, int]:
    """(the ids of the training and the validation part, how many belong to the former)"""
    parts = *(texts.train_parts or (texts.train,)), texts.val
    counts = [_count_ids(part, tokenizer) for part in parts]
    ids: Ids = np.empty(sum(counts), dtype=tokenizer.dtype)
    place = 0
    for part in parts:
        for piece in _encoded(part, tokenizer):
            ids[place : place + len(piece)] = piece
            place += len(piece)
    return ids, sum(counts[:-1])


def _in_file(texts: Texts, tokenizer: Tokenizer) -> tuple[IdFile, int]:
    """The same in the cache, written only if they are not there yet."""

    def write(file: BinaryIO) -> dict[str, Any]:
        for part in trains:
            for piece in _encoded(part, tokenizer):
                file.write(piece.data)
        cut = file.tell() // tokenizer.dtype.itemsize
        for piece in _encoded(texts.val, tokenizer):
            file.write(piece.data)
        return {"cut": cut}

    trains = texts.train_parts or (texts.train,)
    parts = *map(len, trains), len(texts.val)
    # Divided otherwise, the same text has its ids in another order.
    division = () if texts.split_by == "end" else (texts.split_by,)
    key = cache.key_of(_IDS, texts.sha256, parts, tokenizer.to_dict(), *division)
    entry = cache.made("ids", key, texts.name, write)
    ids, cut = IdFile(entry.path, tokenizer.dtype), entry.facts.get("cut")
    if type(cut) is not int or not 0 <= cut <= len(ids):
        raise CorpusError(f"{entry.path}: damaged; charlm corpus cache clear removes it")
    return ids, cut


_IDS = 1
"""The version of how ids are written."""


def _folding(texts: Texts, tokenizer: Tokenizer) -> Folding | None:
    if texts.survey is None or isinstance(tokenizer, ByteTokenizer) or tokenizer.nfc:
        return folding.folding(tokenizer, texts.slices())
    return folding.folding_of_counts(tokenizer, texts.survey.counts)


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
