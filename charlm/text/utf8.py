"""A long text as UTF-8 bytes, read slice by slice.

A Python string takes up to four bytes for each of its characters, depending on the widest one in
it, and every array computed from it takes several bytes more. A corpus is therefore kept as the
bytes of its files, and whatever is computed from it (hash, counts, ids) is computed on slices of
about a million bytes.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

SLICE = 2**20
"""Bytes of a slice: large enough for NumPy, small enough that its arrays stay in the cache."""

# Lead bytes of characters before which a text can be cut without changing the result of NFC or of
# the newline rule: every character below U+0300 (none of them composes with a character before it),
# and U+4000 to U+9FFF, the ideographs, for texts without spaces. Not the newline, because CR LF is
# one line end.
_CUT = re.compile(rb"[\x00-\x09\x0b-\x7f\xc2-\xcb\xe4-\xe9]")


class Utf8Text:
    """An immutable text. ``len`` counts characters (code points); ``str`` decodes all of it.

    blocks: valid UTF-8 each, whole characters; they are kept, not copied
    """

    def __init__(self, blocks: Iterable[bytes | memoryview]) -> None:
        self.blocks = tuple(memoryview(block) for block in blocks if len(block))

    @classmethod
    def of(cls, text: str) -> Utf8Text:
        """UnicodeEncodeError if ``text`` holds a lone surrogate."""
        return cls([text.encode("utf-8")])

    def __len__(self) -> int:
        return self._length

    @cached_property
    def _length(self) -> int:
        return sum(int(np.count_nonzero(_begins(view))) for view in self._views())

    @property
    def num_bytes(self) -> int:
        return sum(len(block) for block in self.blocks)

    def __str__(self) -> str:
        decoder = codecs.getincrementaldecoder("utf-8")()
        return "".join(decoder.decode(view) for view in self._views())

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
            sha.update(block)
        return sha.hexdigest()

    def split(self, characters: int) -> tuple[Utf8Text, Utf8Text]:
        """(the first ``characters`` characters, the rest); both share this text's memory."""
        left = characters
        for number, block in enumerate(self.blocks):
            for begin in range(0, len(block), SLICE):
                starts = np.flatnonzero(_begins(block[begin : begin + SLICE]))
                if left < len(starts):
                    cut = begin + int(starts[left])
                    return (
                        Utf8Text((*self.blocks[:number], block[:cut])),
                        Utf8Text((block[cut:], *self.blocks[number + 1 :])),
                    )
                left -= len(starts)
        return self, Utf8Text(())

    def slices(self, size: int = SLICE) -> Iterator[str]:
        """The text in pieces of about ``size`` bytes, cut where NFC and the newline rule allow it.

        So normalizing piece by piece gives the same as normalizing the whole. A piece is longer
        than ``size`` only if no such place comes earlier.
        """
        held = bytearray()
        for block in self.blocks:
            begin = 0
            while (wanted := max(begin, begin + size - len(held))) < len(block):
                found = _CUT.search(block, wanted)
                if found is None:
                    break
                yield (held + block[begin : found.start()]).decode("utf-8")
                held.clear()
                begin = found.start()
            held += block[begin:]
        if held:
            yield held.decode("utf-8")

    def _views(self) -> Iterator[memoryview]:
        for block in self.blocks:
            for begin in range(0, len(block), SLICE):
                yield block[begin : begin + SLICE]


def _begins(view: memoryview) -> NDArray[np.bool_]:
    """Where a character begins: at every byte but the continuation bytes 10xxxxxx, (N,)."""
    return np.frombuffer(view, dtype=np.int8) >= -64
