"""Line ends: LF, CR LF and CR, and the rule by which a corpus and its model treat them.

    keep    leave them as they are
    unix    make CR LF and a lone CR into LF
    auto    decided by the corpus: unix if it mixes kinds of line ends, otherwise keep

A tokenizer stores the settled rule (keep or unix), so a model reads every later text as it read its
corpus.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

RULES = ("keep", "unix")
"""What a tokenizer and a run store."""

CHOICES = ("auto", *RULES)
"""What can be asked for."""

DEFAULT = "auto"


def to_unix(text: str) -> str:
    """``text`` with every line end as LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


@dataclass(frozen=True)
class LineEnds:
    """How many line ends of each kind a text has."""

    crlf: int
    lf: int
    cr: int

    @classmethod
    def of(cls, texts: Iterable[bytes]) -> LineEnds:
        """Count over all ``texts``, UTF-8 each."""
        crlf = lf = cr = 0
        for text in texts:
            both = text.count(b"\r\n")
            crlf += both
            lf += text.count(b"\n") - both
            cr += text.count(b"\r") - both
        return cls(crlf, lf, cr)

    @property
    def mixed(self) -> bool:
        return sum(map(bool, (self.crlf, self.lf, self.cr))) > 1

    def __str__(self) -> str:
        kinds = (("CR LF", self.crlf), ("LF", self.lf), ("CR", self.cr))
        return ", ".join(f"{count:,} {name}" for name, count in kinds if count)
