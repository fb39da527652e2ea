"""A corpus made ready for a model: read, split, encoded. What a training run trains on."""

from __future__ import annotations

import codecs
import unicodedata
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from charlm.arrays import Ids
from charlm.errors import CheckpointError, CorpusError, RequestError
from charlm.text.reading import NEWLINES, Text, read_text, text_sha256
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer, Tokenizer

DEFAULT_VAL_FRACTION = 0.1


@dataclass(frozen=True)
class Source:
    """Where a run's text comes from, as the run stores it so that it can be read again."""

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
                f"where the text came from is damaged ({error!s:.100})"
            ) from error
        names = (*source.sources, *source.val_sources)
        if not (
            source.sources
            and all(isinstance(name, str) and name and "\0" not in name for name in names)
            and (source.encoding is None or _is_encoding(source.encoding))
            and source.newline in NEWLINES
            and isinstance(source.val_fraction, float | int)
            and 0.0 <= source.val_fraction < 1.0
        ):
            raise CheckpointError("where the text came from is damaged")
        return source


def _is_encoding(name: Any) -> bool:
    try:
        return isinstance(name, str) and codecs.lookup(name).name != "idna"
    except (LookupError, ValueError):
        return False


@dataclass(frozen=True)
class Texts:
    """The training and the validation part of a corpus, as text."""

    name: str
    train: str
    val: str
    whole: str
    split: str
    notes: tuple[str, ...]

    @property
    def sha256(self) -> str:
        return text_sha256(self.whole)


def split_text(text: str, val_fraction: float = DEFAULT_VAL_FRACTION) -> tuple[str, str]:
    """(training part, validation part): the last ``val_fraction`` of the characters validates."""
    if not 0.0 <= val_fraction < 1.0:
        raise RequestError(f"--val-fraction is {val_fraction}; give at least 0 and less than 1")
    cut = int(len(text) * (1.0 - val_fraction))  # rounded down, as nanoGPT does
    return text[:cut], text[cut:]


def read(source: Source, stdin: BinaryIO | None = None) -> Texts:
    """Read the corpus and cut it; the vocabulary is taken from ``whole``, which is also hashed."""

    def read_part(sources: tuple[str, ...]) -> Text:
        return read_text(sources, encoding=source.encoding, newline=source.newline, stdin=stdin)

    text = read_part(source.sources)
    if source.val_sources:
        val = read_part(source.val_sources)
        notes = text.notes + val.notes
        split = f"validation text from {', '.join(Path(s).name for s in source.val_sources)}"
        return Texts(text.name, text.text, val.text, text.text + val.text, split, notes)
    train_part, val_part = split_text(text.text, source.val_fraction)
    split = (
        f"first {1 - source.val_fraction:.4g} to train, last {source.val_fraction:.4g} to validate"
        if val_part
        else "all of it to train, nothing to validate"
    )
    return Texts(text.name, train_part, val_part, text.text, split, text.notes)


@dataclass(frozen=True)
class Dataset:
    """Ids to train and to validate on, (N,) each, and what stands in the checkpoint about them."""

    texts: Texts
    tokenizer: Tokenizer
    train_ids: Ids
    val_ids: Ids

    @property
    def can_validate(self) -> bool:
        """Whether there is a character after the first, which is only context."""
        return self.tokenizer.count_characters(self.val_ids) >= 2

    def provenance(self) -> dict[str, Any]:
        """What a shared model says about its text: never a path, which may say too much."""
        common = Counter(self.texts.train[:1_000_000]).most_common(1)
        return {
            "corpus": self.texts.name,
            "corpus_sha256": self.texts.sha256,
            "corpus_characters": len(self.texts.whole),
            "train_characters": len(self.texts.train),
            "val_characters": len(self.texts.val),
            "split": self.texts.split,
            "commonest": common[0][0] if common else "",
        }


def choose_tokenizer(
    texts: Texts, *, level: str = "char", min_count: int = 1, nfc: bool = False
) -> Tokenizer:
    """A tokenizer for the whole corpus, as nanoGPT does: no validation character is unseen."""
    if level == "byte":
        if min_count > 1 or nfc:
            raise RequestError("--tokenizer byte goes with neither --min-count nor --nfc")
        return ByteTokenizer()
    # Composed part by part, as they are encoded: the cut may fall between a letter and its accent.
    parts = [unicodedata.normalize("NFC", p) if nfc else p for p in (texts.train, texts.val)]
    try:
        found = CharTokenizer.from_text("".join(parts), min_count=min_count)
        return CharTokenizer(found.characters, unknown=found.unknown, nfc=nfc)
    except ValueError as error:
        raise RequestError(f"--min-count {min_count}: {error}; lower it") from error


def encode(texts: Texts, tokenizer: Tokenizer) -> Dataset:
    """Encode both parts; CorpusError where there is too little text to be a corpus at all."""
    if len(texts.train) < 2:
        raise CorpusError(
            f"{texts.name}: {len(texts.train)} of {len(texts.whole)} characters left to train on; "
            "at least 3 characters are needed, and thousands to learn anything"
        )
    return Dataset(texts, tokenizer, tokenizer.encode(texts.train), tokenizer.encode(texts.val))
