"""Foreign text made safe to look at: what a model or a file says cannot steer a terminal."""

from __future__ import annotations

import re

# Control characters but for newline and tab, and the marks that reorder a line: either could change
# what a terminal does or shows beyond the text itself.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

_LONGEST = 4000


def printable(text: str) -> str:
    r"""``text`` with unsafe characters as escapes: ESC becomes the four characters ``\x1b``.

    >>> printable("red: \x1b[31m")
    'red: \\x1b[31m'
    """
    return _UNSAFE.sub(lambda match: repr(match.group())[1:-1], text)


def one_line(text: str) -> str:
    """``text`` with unsafe characters and line ends as escapes, cut before it fills a screen."""
    shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    return printable(shown).replace("\n", "\\n")
