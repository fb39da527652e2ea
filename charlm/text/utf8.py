"""A long text as UTF-8 bytes, read slice by slice, from memory or from files.

A Python string takes up to four bytes for each of its characters, depending on the widest one in
it, and every array computed from it takes several bytes more. A corpus is therefore kept as the
bytes of its files, and whatever is computed from it (hash, counts, ids) is computed on slices. The
bytes of a text that is longer than memory stay on the disk (``FileBlock``): only slices are read.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlm.text.fileblock import FileBlock

SLICE = 2**18
"""Bytes of a slice: large enough for NumPy, small enough that its arrays stay in the cache."""

Block: TypeAlias = memoryview | FileBlock
"""Bytes in memory or in a file. A slice of one is a block too, and copies nothing."""

# Lead bytes of characters before which a text can be cut without changing the result of NFC or of
# the newline rule: every character below U+0300 (none of them composes with a character before it),
# and U+4000 to U+9FFF, the ideographs, for texts without spaces. Not the newline, because CR LF is
# one line end.
_CUT = re.compile(rb"[\x00-\x09\x0b-\x7f\xc2-\xcb\xe4-\xe9]")


def bytes_of(block: Block) -> memoryview | bytes:
    """The bytes of a block that is short enough to be in memory."""
    return block.read() if isinstance(block, FileBlock) else block


def pieces(block: Block) -> Iterator[memoryview | bytes]:
    """The bytes of a block in slices of ``SLICE``."""
    for begin in range(0, len(block), SLICE):
        yield bytes_of(block[begin : begin + SLICE])


class Utf8Text:
    """An immutable text. ``len`` counts characters (code points); ``str`` decodes all of it.

    blocks: valid UTF-8 each, whole characters; they are kept, not copied
    characters: how many these are, if that is known
    sha256: the text's checksum, if that is known
    marks: for every block, how many characters begin in each of its slices, if that is known
    """

    def __init__(
        self,
        blocks: Iterable[bytes | Block],
        *,
        characters: int | None = None,
        sha256: str | None = None,
        marks: list[list[int]] | None = None,
    ) -> None:
        self.blocks: tuple[Block, ...] = tuple(
            block if isinstance(block, FileBlock) else memoryview(block)
            for block in blocks
            if len(block)
        )
        self._marks = marks
        if characters is not None:
            self._length = characters
        if sha256 is not None:
            self.sha256 = sha256

    @classmethod
    def of(cls, text: str) -> Utf8Text:
        """UnicodeEncodeError if ``text`` holds a lone surrogate."""
        return cls([text.encode("utf-8")])

    def __len__(self) -> int:
        return self._length

    @cached_property
    def _length(self) -> int:
        return sum(count_begins(piece) for block in self.blocks for piece in pieces(block))

    @property
    def num_bytes(self) -> int:
        return sum(len(block) for block in self.blocks)

    @property
    def on_disk(self) -> bool:
        """Whether it is a long text, whose bytes are not in memory."""
        return any(isinstance(block, FileBlock) for block in self.blocks)

    def __str__(self) -> str:
        decoder = codecs.getincrementaldecoder("utf-8")()
        return "".join(decoder.decode(piece) for block in self.blocks for piece in pieces(block))

    def __eq__(self, other: object) -> bool:
        """Whether the characters are the same, whatever the blocks."""
        return isinstance(other, Utf8Text) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __add__(self, other: Utf8Text) -> Utf8Text:
        return Utf8Text(self.blocks + other.blocks)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the UTF-8 bytes in lower-case hexadecimal."""
        sha = hashlib.sha256()
        for block in self.blocks:
            for piece in pieces(block):
                sha.update(piece)
        return sha.hexdigest()

    def split(self, characters: int) -> tuple[Utf8Text, Utf8Text]:
        """(the first ``characters`` characters, the rest); both share this text's memory."""
        left = characters
        for number, block in enumerate(self.blocks):
            for place, begin in enumerate(range(0, len(block), SLICE)):
                piece = block[begin : begin + SLICE]
                held = self._marks[number][place] if self._marks else count_begins(bytes_of(piece))
                if left < held:
                    cut = begin + int(np.flatnonzero(_begins(bytes_of(piece)))[left])
                    before = (*self.blocks[:number], block[:cut])
                    after = (block[cut:], *self.blocks[number + 1 :])
                    known = self.__dict__.get("_length")
                    rest = None if known is None else known - characters
                    marks = self._marks and [
                        *self._marks[:number],
                        *([[*self._marks[number][:place], left]] if cut else []),
                    ]
                    return (
                        Utf8Text(before, characters=characters, marks=marks),
                        Utf8Text(after, characters=rest),
                    )
                left -= held
        return self, Utf8Text(())

    def files(self) -> list[Utf8Text]:
        """The text of each block apart, with the line end that was added after it, if any."""
        found: list[Utf8Text] = []
        for number, block in enumerate(self.blocks):
            marks = None if self._marks is None else [self._marks[number]]
            characters = None if marks is None else sum(marks[0])
            if found and len(block) == 1 and bytes_of(block) == b"\n":
                found[-1] = found[-1] + Utf8Text([block])
            else:
                found.append(Utf8Text([block], characters=characters, marks=marks))
        return found

    def slices(self, size: int | None = None) -> Iterator[str]:
        """The text in pieces of about ``size`` bytes (default: ``SLICE``), cut where NFC and the
        newline rule allow it.

        So normalizing piece by piece gives the same as normalizing the whole. A piece is longer
        than ``size`` only if no such place comes earlier.
        """
        size = size or SLICE
        held = bytearray()
        for block in self.blocks:
            for begin in range(0, len(block), size):
                piece = bytes_of(block[begin : begin + size])
                # As early as possible in the piece, if there is enough before it.
                found = _CUT.search(piece) if len(held) >= size or begin else None
                if found is not None and held:
                    yield (held + piece[: found.start()]).decode("utf-8")
                    held.clear()
                    piece = piece[found.start() :]
                held += piece
        if held:
            yield held.decode("utf-8")


def count_begins(piece: memoryview | bytes) -> int:
    """How many characters begin in a piece of UTF-8."""
    return int(np.count_nonzero(_begins(piece)))


def _begins(piece: memoryview | bytes) -> NDArray[np.bool_]:
    """Where a character begins: at every byte but the continuation bytes 10xxxxxx, (N,)."""
    return np.frombuffer(piece, dtype=np.int8) >= -64
