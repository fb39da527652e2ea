"""Text to ids and back: by character (Unicode code point) or by byte.

Both tokenizers are small, immutable and stored as JSON. ``encode`` and ``decode`` are vectorized;
``decoder()`` returns the incremental form for sampling, which holds back an incomplete UTF-8
sequence until the rest of it arrives.

A tokenizer also stores how text is normalized before it is encoded: the newline rule
(``charlm.text.newlines``) and, for characters, Unicode's composed form (NFC). Every text that the
model reads later is normalized in the same way.
"""

from __future__ import annotations

import codecs
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Ids
from charlm.errors import CheckpointError, RequestError, UnknownCharacterError
from charlm.text.idfile import IdFile
from charlm.text.newlines import RULES, to_unix
from charlm.text.unknown import describe_unknown

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
CODE_POINTS = 0x110000

_SLICE = 2**18
"""Characters encoded at once: the arrays of a slice take some 5 MB, however long the text is."""


class Decoder(Protocol):
    """Ids in, characters out, one call after another."""

    def feed(self, token: int) -> str:
        """The characters that ``token`` completes: possibly none."""

    def flush(self) -> str:
        """U+FFFD if an incomplete sequence is left at the end, otherwise nothing."""


class CharTokenizer:
    """One id for every code point of a vocabulary, in sorted order, and optionally one for others.

    characters: the vocabulary, sorted, each character once
    unknown: whether a last id represents every other character (it is never sampled)
    nfc: whether text is first brought to Unicode's composed form
    newline: the newline rule, keep or unix

    ValueError if ``characters`` is not such a vocabulary.
    """

    kind = "char"
    unit = "character"  # what one id represents

    def __init__(
        self, characters: str, *, unknown: bool = False, nfc: bool = False, newline: str = "keep"
    ) -> None:
        if len(characters) >= CODE_POINTS:  # before any memory is used for them
            raise ValueError(f"a vocabulary of {len(characters):,}, more than Unicode has")
        points = code_points(characters)
        if not len(points) or (points[:-1] >= points[1:]).any():
            raise ValueError("a vocabulary holds at least one character, sorted, each once")
        if ((points >= 0xD800) & (points <= 0xDFFF)).any():
            raise ValueError("a vocabulary holds no lone surrogate (U+D800 to U+DFFF)")
        self.characters = characters
        self.unknown = unknown
        self.nfc = nfc
        self.newline = _checked_rule(newline)

    @classmethod
    def from_text(cls, text: str, *, min_count: int = 1, nfc: bool = False) -> CharTokenizer:
        """The vocabulary of ``text``; characters seen fewer than ``min_count`` times are folded.

        >>> tokenizer = CharTokenizer.from_text("banana")
        >>> tokenizer.characters, tokenizer.encode("nab").tolist()
        ('abn', [2, 0, 1])
        >>> tokenizer.decode(tokenizer.encode("banana"))
        'banana'
        """
        if nfc:
            text = unicodedata.normalize("NFC", text)
        return cls.from_counts(count_characters([text]), min_count=min_count, nfc=nfc)

    @classmethod
    def from_counts(
        cls,
        counts: NDArray[np.int64],
        *,
        min_count: int = 1,
        nfc: bool = False,
        newline: str = "keep",
    ) -> CharTokenizer:
        """The vocabulary of a text whose code point p occurs ``counts[p]`` times.

        ValueError if no character occurs ``min_count`` times.
        """
        kept = np.flatnonzero(counts >= max(1, min_count))
        if not len(kept):
            raise ValueError(f"no character occurs {min_count} times")
        folded = len(kept) < np.count_nonzero(counts)
        return cls(_text(kept), unknown=bool(folded), nfc=nfc, newline=newline)

    def with_newline(self, newline: str) -> CharTokenizer:
        """The same vocabulary with another newline rule."""
        return CharTokenizer(self.characters, unknown=self.unknown, nfc=self.nfc, newline=newline)

    @property
    def vocab_size(self) -> int:
        return len(self.characters) + self.unknown

    @property
    def forbidden(self) -> tuple[int, ...]:
        """Ids that must never be sampled."""
        return (len(self.characters),) if self.unknown else ()

    @cached_property
    def _points(self) -> NDArray[np.uint32]:
        """id -> code point, (V,)."""
        points = code_points(self.characters)
        return np.append(points, np.uint32(ord(REPLACEMENT))) if self.unknown else points

    @cached_property
    def _ids(self) -> NDArray[np.int32]:
        """code point -> id, the unknown id, or -1; the last entry serves all points above."""
        missing = len(self.characters) if self.unknown else -1
        table = np.full(ord(self.characters[-1]) + 2, missing, dtype=np.int32)
        table[code_points(self.characters)] = np.arange(len(self.characters), dtype=np.int32)
        return table

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest unsigned type that holds every id."""
        return np.dtype(np.min_scalar_type(self.vocab_size - 1))

    def normalize(self, text: str) -> str:
        """``text`` as it is encoded: line ends by the newline rule, then NFC if so chosen."""
        text = to_unix(text) if self.newline == "unix" else text
        return unicodedata.normalize("NFC", text) if self.nfc else text

    def encode(self, text: str) -> Ids:
        """Ids of ``text``, (T,), in the smallest unsigned type that holds them.

        Raises UnknownCharacterError, naming the characters, if the vocabulary lacks one and has no
        unknown symbol.
        """
        return self.encode_written(self.normalize(text))

    def encode_written(self, text: str) -> Ids:
        """``encode`` without normalizing: the ids of a text that a model has written. (With NFC an
        accent that was sampled after a letter would be joined to it.)"""
        ids: Ids = np.empty(len(text), dtype=self.dtype)
        for begin, found in self._lookup(text):
            if not self.unknown and found.min() < 0:
                raise UnknownCharacterError(describe_unknown(text, self._outside(text)))
            ids[begin : begin + len(found)] = found
        return ids

    def _lookup(self, text: str) -> Iterator[tuple[int, NDArray[np.int32]]]:
        """(where it begins, entries of the table) of every slice of ``text``."""
        for begin in range(0, len(text), _SLICE):
            points = code_points(text[begin : begin + _SLICE])
            yield begin, self._ids.take(points, mode="clip")

    def unseen(self, text: str) -> NDArray[np.int64]:
        """Positions in ``normalize(text)`` of the characters outside the vocabulary."""
        return self._outside(self.normalize(text))

    def _outside(self, text: str) -> NDArray[np.int64]:
        found = [
            begin + np.flatnonzero((ids < 0) | (ids >= len(self.characters)))
            for begin, ids in self._lookup(text)
        ]
        return np.concatenate(found) if found else np.empty(0, dtype=np.int64)

    def without_unseen(self, text: str) -> str:
        """``text`` without the characters outside the vocabulary."""
        # Without one of them its neighbors may compose to another one: hence the loop.
        while len(unseen := self.unseen(text)):
            text = _text(np.delete(code_points(self.normalize(text)), unseen))
        return text

    def decode(self, ids: Ids | Iterable[int]) -> str:
        """The text of ``ids``; the unknown symbol becomes U+FFFD.

        RequestError for an id outside the vocabulary.
        """
        return _text(self._points[_checked(ids, self.vocab_size)])

    def count_characters(self, ids: Ids | IdFile) -> int:
        """The number of code points that ``ids`` represent."""
        return len(ids)

    def decoder(self) -> Decoder:
        return _CharDecoder(self)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "characters": self.characters,
            "unknown": self.unknown,
            "nfc": self.nfc,
        } | _newline_field(self.newline)


class ByteTokenizer:
    """The 256 bytes of UTF-8: no text is unknown, and one character may take several steps.

    newline: the newline rule, keep or unix
    """

    kind = "byte"
    unit = "byte"
    vocab_size = 256
    forbidden: tuple[int, ...] = ()
    dtype: np.dtype[Any] = np.dtype(np.uint8)

    def __init__(self, *, newline: str = "keep") -> None:
        self.newline = _checked_rule(newline)

    def with_newline(self, newline: str) -> ByteTokenizer:
        """The same with another newline rule."""
        return ByteTokenizer(newline=newline)

    def normalize(self, text: str) -> str:
        """``text`` as it is encoded: line ends by the newline rule."""
        return to_unix(text) if self.newline == "unix" else text

    def encode(self, text: str) -> Ids:
        """The UTF-8 bytes of ``text``, (T,) uint8; UnknownCharacterError for a lone surrogate."""
        return self.encode_written(self.normalize(text))

    def encode_written(self, text: str) -> Ids:
        """``encode`` without normalizing: the ids of a text that a model has written."""
        try:
            data = text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UnknownCharacterError(describe_unknown(text, np.array([error.start]))) from error
        return np.frombuffer(data, dtype=np.uint8)

    def unseen(self, text: str) -> NDArray[np.int64]:
        """Positions in ``normalize(text)`` of lone surrogates: nothing else is unknown to bytes."""
        points = code_points(self.normalize(text))
        return np.flatnonzero((points >= 0xD800) & (points <= 0xDFFF))

    def without_unseen(self, text: str) -> str:
        """``text`` without lone surrogates."""
        text = self.normalize(text)
        return _text(np.delete(code_points(text), self.unseen(text)))

    def decode(self, ids: Ids | Iterable[int]) -> str:
        """The text of ``ids``; bytes that are not UTF-8 become U+FFFD.

        RequestError for a number that is not a byte.
        """
        data = _checked(ids, self.vocab_size).astype(np.uint8).tobytes()
        return data.decode("utf-8", errors="replace")

    def count_characters(self, ids: Ids | IdFile) -> int:
        """The number of code points that begin in ``ids``: all but the bytes 10xxxxxx."""
        return sum(
            int(np.count_nonzero((np.asarray(ids[begin : begin + _SLICE]) & 0xC0) != 0x80))
            for begin in range(0, len(ids), _SLICE)
        )

    def decoder(self) -> Decoder:
        return _ByteDecoder()

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind} | _newline_field(self.newline)


Tokenizer: TypeAlias = CharTokenizer | ByteTokenizer


def count_characters(texts: Iterable[str]) -> NDArray[np.int64]:
    """How often each code point occurs in ``texts`` together, (0x110000,)."""
    counts = np.zeros(CODE_POINTS, dtype=np.int64)
    for text in texts:
        for begin in range(0, len(text), _SLICE):
            found = np.bincount(code_points(text[begin : begin + _SLICE]))
            counts[: len(found)] += found
    return counts


def _checked_rule(newline: str) -> str:
    if newline not in RULES:
        raise ValueError(f"a newline rule is {' or '.join(RULES)}, not {newline!r:.60}")
    return newline


def _newline_field(newline: str) -> dict[str, str]:
    """Absent for ``keep``, so that such a file is the same as before there was a rule."""
    return {} if newline == "keep" else {"newline": newline}


class _CharDecoder:
    def __init__(self, tokenizer: CharTokenizer) -> None:
        self._characters = tokenizer.characters + REPLACEMENT * tokenizer.unknown

    def feed(self, token: int) -> str:
        return self._characters[token]

    def flush(self) -> str:
        return ""


class _ByteDecoder:
    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token: int) -> str:
        return self._decoder.decode(bytes([token]))

    def flush(self) -> str:
        return self._decoder.decode(b"", final=True)


def tokenizer_to_json(tokenizer: Tokenizer) -> str:
    return json.dumps(tokenizer.to_dict(), sort_keys=True)


def tokenizer_from_dict(values: Mapping[str, Any]) -> Tokenizer:
    """The inverse of ``to_dict``; CheckpointError for anything that no tokenizer wrote.

    Files of versions before the newline rule have no field for it; their rule is ``keep``.
    """
    fields = dict(values)
    newline = fields.pop("newline", "keep")
    if "newline" in values and newline != "unix":  # keep is written as no field at all
        raise CheckpointError("the file's tokenizer is not of a kind that charlm knows")
    if fields == {"kind": "byte"}:
        return ByteTokenizer(newline=newline)
    characters, unknown, nfc = (fields.get(key) for key in ("characters", "unknown", "nfc"))
    if (
        set(fields) != {"kind", "characters", "unknown", "nfc"}
        or fields["kind"] != "char"
        or not isinstance(characters, str)
        or not isinstance(unknown, bool)
        or not isinstance(nfc, bool)
    ):
        raise CheckpointError("the file's tokenizer is not of a kind that charlm knows")
    try:
        return CharTokenizer(characters, unknown=unknown, nfc=nfc, newline=newline)
    except ValueError as error:
        raise CheckpointError(f"the file's tokenizer is damaged: {error}") from error


def _checked(ids: Ids | Iterable[int], vocab_size: int) -> Ids:
    """``ids`` as an array; RequestError for an id outside the vocabulary, also below 0, where NumPy
    would count from the end."""
    array = ids if isinstance(ids, np.ndarray) else np.array(list(ids), dtype=np.int64)
    if len(array) and not 0 <= array.min() <= array.max() < vocab_size:
        raise RequestError(
            f"ids from {array.min()} to {array.max()}; the model's are 0 to {vocab_size - 1}"
        )
    return array


def code_points(text: str) -> NDArray[np.uint32]:
    """The code points of ``text``, (len(text),); lone surrogates pass, to be named in errors."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def _text(points: NDArray[np.integer[Any]]) -> str:
    return points.astype("<u4").tobytes().decode("utf-32-le")
