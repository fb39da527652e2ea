"""Text to ids and back: by character (Unicode code point) or by byte.

Both tokenizers are small, immutable and made of JSON. ``encode`` and ``decode`` are vectorised;
``decoder()`` gives the incremental form that a sampler needs, which holds back an incomplete UTF-8
sequence until the rest of it arrives.
"""

from __future__ import annotations

import codecs
import json
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np

from charlm.arrays import Ids
from charlm.errors import CheckpointError, RequestError, UnknownCharacterError

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_MAX_CODE_POINT = 0x10FFFF


class Decoder(Protocol):
    """Ids in, characters out, one call after another."""

    def feed(self, token: int) -> str:
        """The characters that ``token`` completes: possibly none."""

    def flush(self) -> str:
        """What an incomplete sequence at the end comes to: U+FFFD, or nothing."""


class CharTokenizer:
    """One id for every code point of a vocabulary, in sorted order, and perhaps one for the rest.

    characters: the vocabulary, sorted, each once
    unknown: whether a last id stands for every other character (it is never sampled)
    nfc: whether text is brought to Unicode's composed form first
    """

    kind = "char"
    unit = "character"  # what an id stands for

    def __init__(self, characters: str, *, unknown: bool = False, nfc: bool = False) -> None:
        if len(characters) > _MAX_CODE_POINT:  # before memory is spent on them
            raise ValueError(f"a vocabulary of {len(characters):,}, more than Unicode has")
        points = _code_points(characters)
        if not len(points) or (points[:-1] >= points[1:]).any():
            raise ValueError("a vocabulary holds at least one character, sorted, each once")
        if ((points >= 0xD800) & (points <= 0xDFFF)).any():
            raise ValueError("a vocabulary holds no lone surrogate (U+D800 to U+DFFF)")
        self.characters = characters
        self.unknown = unknown
        self.nfc = nfc

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
        points, counts = np.unique(_code_points(text), return_counts=True)
        kept = points[counts >= min_count]
        if not len(kept):
            raise ValueError(f"no character occurs {min_count} times")
        return cls(_text(kept), unknown=len(kept) < len(points), nfc=nfc)

    @property
    def vocab_size(self) -> int:
        return len(self.characters) + self.unknown

    @property
    def forbidden(self) -> tuple[int, ...]:
        """Ids that a sampler must never draw."""
        return (len(self.characters),) if self.unknown else ()

    @cached_property
    def _points(self) -> np.ndarray[Any, np.dtype[np.uint32]]:
        """id -> code point, (V,)."""
        points = _code_points(self.characters)
        return np.append(points, np.uint32(ord(REPLACEMENT))) if self.unknown else points

    @cached_property
    def _ids(self) -> np.ndarray[Any, np.dtype[np.int32]]:
        """code point -> id, the unknown id, or -1; the last entry stands for all points above."""
        missing = len(self.characters) if self.unknown else -1
        table = np.full(ord(self.characters[-1]) + 2, missing, dtype=np.int32)
        table[_code_points(self.characters)] = np.arange(len(self.characters), dtype=np.int32)
        return table

    def normalize(self, text: str) -> str:
        return unicodedata.normalize("NFC", text) if self.nfc else text

    def encode(self, text: str) -> Ids:
        """Ids of ``text``, (T,), in the smallest unsigned type that holds them.

        Raises UnknownCharacterError, naming the characters, where there is no unknown symbol.
        """
        text = self.normalize(text)
        points = _code_points(text)
        ids: Ids = self._ids[np.minimum(points, len(self._ids) - 1)]
        if not self.unknown and len(ids) and ids.min() < 0:
            raise UnknownCharacterError(describe_unknown(text, np.flatnonzero(ids < 0)))
        smallest: Ids = ids.astype(np.min_scalar_type(self.vocab_size - 1))
        return smallest

    def unseen(self, text: str) -> Ids:
        """Positions of ``normalize(text)`` that hold a character outside the vocabulary."""
        points = _code_points(self.normalize(text))
        ids = self._ids[np.minimum(points, len(self._ids) - 1)]
        return np.flatnonzero((ids < 0) | (ids >= len(self.characters)))

    def without_unseen(self, text: str) -> str:
        """``text`` with every character outside the vocabulary left out."""
        # Leaving one out may let its neighbours compose to another one: hence the loop.
        while len(unseen := self.unseen(text)):
            text = _text(np.delete(_code_points(self.normalize(text)), unseen))
        return text

    def decode(self, ids: Ids | Iterable[int]) -> str:
        """The text of ``ids``; the unknown symbol reads U+FFFD. RequestError for what is no id."""
        return _text(self._points[_checked(ids, self.vocab_size)])

    def count_characters(self, ids: Ids) -> int:
        """Code points that ``ids`` stand for."""
        return len(ids)

    def decoder(self) -> Decoder:
        return _CharDecoder(self)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "characters": self.characters,
            "unknown": self.unknown,
            "nfc": self.nfc,
        }


class ByteTokenizer:
    """The 256 bytes of UTF-8: no text is ever unknown, and a character may take several steps."""

    kind = "byte"
    unit = "byte"
    vocab_size = 256
    forbidden: tuple[int, ...] = ()

    def normalize(self, text: str) -> str:
        return text

    def encode(self, text: str) -> Ids:
        """The UTF-8 bytes of ``text``, (T,) uint8; a lone surrogate is an UnknownCharacterError."""
        try:
            data = text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UnknownCharacterError(describe_unknown(text, np.array([error.start]))) from error
        return np.frombuffer(data, dtype=np.uint8)

    def unseen(self, text: str) -> Ids:
        """Positions of lone surrogates: nothing else is unknown to bytes."""
        points = _code_points(text)
        return np.flatnonzero((points >= 0xD800) & (points <= 0xDFFF))

    def without_unseen(self, text: str) -> str:
        return _text(np.delete(_code_points(text), self.unseen(text)))

    def decode(self, ids: Ids | Iterable[int]) -> str:
        """The text of ``ids``; bytes that are no UTF-8 read U+FFFD. RequestError for no byte."""
        data = _checked(ids, self.vocab_size).astype(np.uint8).tobytes()
        return data.decode("utf-8", errors="replace")

    def count_characters(self, ids: Ids) -> int:
        """Code points that ``ids`` begin: every byte but the continuation bytes 10xxxxxx."""
        return int(np.count_nonzero((np.asarray(ids) & 0xC0) != 0x80))

    def decoder(self) -> Decoder:
        return _ByteDecoder()

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind}


Tokenizer: TypeAlias = CharTokenizer | ByteTokenizer


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
    """The inverse of ``to_dict``; raises CheckpointError for anything that no tokenizer wrote."""
    if values == {"kind": "byte"}:
        return ByteTokenizer()
    characters, unknown, nfc = (values.get(key) for key in ("characters", "unknown", "nfc"))
    if (
        set(values) != {"kind", "characters", "unknown", "nfc"}
        or values["kind"] != "char"
        or not isinstance(characters, str)
        or not isinstance(unknown, bool)
        or not isinstance(nfc, bool)
    ):
        raise CheckpointError("the file's tokenizer is none that charlm knows")
    try:
        return CharTokenizer(characters, unknown=unknown, nfc=nfc)
    except ValueError as error:
        raise CheckpointError(f"the file's tokenizer is damaged: {error}") from error


def describe_character(character: str) -> str:
    """A character for an error message, never raw: ``'é' U+00E9``, or its number alone."""
    shown = f"{character!r} " if character.isprintable() else ""
    return f"{shown}U+{ord(character):04X}"


def describe_unknown(text: str, positions: Ids) -> str:
    """One line that names the unseen characters, their counts, and where the first one stands."""
    first = int(positions[0])
    line = text.count("\n", 0, first) + 1
    column = first - (text.rfind("\n", 0, first) + 1) + 1
    counts: dict[str, int] = {}
    for position in positions.tolist():
        counts[text[position]] = counts.get(text[position], 0) + 1
    named = ", ".join(
        describe_character(c) + (f" ({n} times)" if n > 1 else "")
        for c, n in list(counts.items())[:8]
    )
    if len(counts) > 8:
        named += f" and {len(counts) - 8} more"
    noun = "character" if len(positions) == 1 else "characters"
    return (
        f"{len(positions)} {noun} the model has never seen: {named}; the first at line {line}, "
        f"column {column}"
    )


def _checked(ids: Ids | Iterable[int], vocab_size: int) -> Ids:
    """``ids`` as an array; RequestError for one outside the vocabulary (below 0, NumPy would count
    from the end)."""
    array = ids if isinstance(ids, np.ndarray) else np.array(list(ids), dtype=np.int64)
    if len(array) and not 0 <= array.min() <= array.max() < vocab_size:
        raise RequestError(
            f"ids from {array.min()} to {array.max()}; the model's are 0 to {vocab_size - 1}"
        )
    return array


def _code_points(text: str) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """The code points of ``text``, (len(text),); lone surrogates pass, to be named in an error."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def _text(points: np.ndarray[Any, np.dtype[np.uint32]]) -> str:
    return points.astype("<u4").tobytes().decode("utf-32-le")
