"""One pass over a long text: whether it is UTF-8, its checksum, how often each character occurs.

Everything that has to be known before a text can be encoded comes from this pass, so a text of any
length is read only twice: once here and once to write its ids. Each slice is read, hashed, decoded
and counted while it is in the cache of a core.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from charlm.text.newlines import LineEnds
from charlm.text.tokenizer import CODE_POINTS, code_points
from charlm.text.utf8 import Block, Utf8Text, count_begins, pieces

_LF, _CR = b"\n\r"


class NotUtf8(Exception):  # noqa: N818 - caught where the file's name is known
    """Bytes that are not UTF-8, at ``offset`` of the block with this number."""

    def __init__(self, number: int, offset: int) -> None:
        super().__init__(number, offset)
        self.number, self.offset = number, offset


@dataclass(frozen=True, eq=False)
class Survey:
    """What one pass over a text finds.

    sha256: of all its bytes, in lower-case hexadecimal
    counts: (0x110000,) how often each code point occurs
    ends: its line ends
    marks: for every block, how many characters begin in each of its slices
    """

    sha256: str
    counts: NDArray[np.int64]
    ends: LineEnds
    marks: list[list[int]]

    @classmethod
    def of(cls, blocks: Sequence[Block]) -> Self:
        """Read all of ``blocks``; NotUtf8 where one of them is not UTF-8."""
        sha = hashlib.sha256()
        counts = np.zeros(CODE_POINTS, dtype=np.int64)
        both = 0  # CR LF
        marks = []
        for number, block in enumerate(blocks):
            decoder = codecs.getincrementaldecoder("utf-8")()
            begun: list[int] = []
            offset, ends_with_cr = 0, False
            for piece in map(bytes, pieces(block)):
                sha.update(piece)
                held = len(decoder.getstate()[0])
                if not held and piece.isascii():
                    found = np.bincount(np.frombuffer(piece, dtype=np.uint8))
                else:
                    try:
                        text = decoder.decode(piece, final=offset + len(piece) == len(block))
                    except UnicodeDecodeError as error:
                        raise NotUtf8(number, offset - held + error.start) from None
                    # bincount is twice as fast on signed numbers.
                    found = np.bincount(code_points(text).view(np.int32))
                counts[: len(found)] += found
                begun.append(count_begins(piece))
                if len(found) > _CR and found[_CR]:
                    both += piece.count(b"\r\n")
                both += ends_with_cr and piece[0] == _LF
                ends_with_cr = piece[-1] == _CR
                offset += len(piece)
            marks.append(begun)
        ends = LineEnds(both, int(counts[_LF]) - both, int(counts[_CR]) - both)
        return cls(sha.hexdigest(), counts, ends, marks)

    def text(self, blocks: Sequence[Block]) -> Utf8Text:
        """The text of the surveyed ``blocks``, which knows what was found."""
        characters = int(self.counts.sum())
        return Utf8Text(blocks, characters=characters, sha256=self.sha256, marks=self.marks)

    def to_dict(self) -> dict[str, Any]:
        """As JSON stores it: the counts of those code points that occur."""
        points = np.flatnonzero(self.counts)
        return {
            "sha256": self.sha256,
            "points": points.tolist(),
            "counts": self.counts[points].tolist(),
            "ends": [self.ends.crlf, self.ends.lf, self.ends.cr],
            "marks": self.marks,
        }

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """The inverse of ``to_dict``; KeyError, TypeError, ValueError or IndexError for anything
        else."""
        counts = np.zeros(CODE_POINTS, dtype=np.int64)
        counts[np.array(values["points"], dtype=np.int64)] = values["counts"]
        return cls(values["sha256"], counts, LineEnds(*values["ends"]), values["marks"])
