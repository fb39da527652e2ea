"""Line ends: LF, CR LF and CR, and the rule by which a corpus and its model treat them.

    keep    leave them as they are
    unix    make CR LF and a lone CR into LF
    auto    decided by the corpus: unix if it mixes kinds of line ends, otherwise keep

A tokenizer stores the settled rule (keep or unix), so a model reads every later text as it read its
corpus.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from charlm.text import utf8
from charlm.text.utf8 import Block, bytes_of

RULES = ("keep", "unix")
"""What a tokenizer and a run store."""

CHOICES = ("auto", *RULES)
"""What can be asked for."""

DEFAULT = "auto"

_LF, _CR = b"\n\r"


def to_unix(text: str) -> str:
    """``text`` with every line end as LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def unix_blocks(blocks: Iterable[Block]) -> Iterator[bytes]:
    """The same for ``blocks`` of UTF-8, each as a text of its own, slice by slice."""
    for block in blocks:
        held = b""  # a CR, of which it is not known yet whether LF follows
        for piece in map(bytes, utf8.pieces(block)):
            data = held + piece
            held = b"\r" if data.endswith(b"\r") else b""
            yield data.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if held:
            yield b"\n"


@dataclass(frozen=True)
class LineEnds:
    """How many line ends of each kind a text has."""

    crlf: int
    lf: int
    cr: int

    @classmethod
    def of(cls, blocks: Iterable[Block]) -> LineEnds:
        """Count over ``blocks`` of UTF-8; CR LF across two of them counts as CR and LF."""
        both = lf = cr = 0
        for block in blocks:
            size = utf8.SLICE
            for begin in range(0, len(block), size):
                found = np.frombuffer(bytes_of(block[begin : begin + size + 1]), dtype=np.uint8)
                here = found[:size]
                lf += int(np.count_nonzero(here == _LF))
                returns = np.flatnonzero(here == _CR)
                cr += len(returns)
                followed = returns[returns + 1 < len(found)] + 1
                both += int(np.count_nonzero(found[followed] == _LF))
        return cls(both, lf - both, cr - both)

    def __add__(self, other: LineEnds) -> LineEnds:
        return LineEnds(self.crlf + other.crlf, self.lf + other.lf, self.cr + other.cr)

    @property
    def mixed(self) -> bool:
        return sum(map(bool, (self.crlf, self.lf, self.cr))) > 1

    def __str__(self) -> str:
        kinds = (("CR LF", self.crlf), ("LF", self.lf), ("CR", self.cr))
        return ", ".join(f"{count:,} {name}" for name, count in kinds if count)
