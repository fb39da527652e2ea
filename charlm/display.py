"""Make text from a model or a file safe to print: it cannot control the terminal."""

from __future__ import annotations

import re

# Control characters except newline and tab, and the marks that reverse the direction of writing.
# Either could make a terminal do or show something other than this text.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

_LONGEST = 4000


def printable(text: str) -> str:
    r"""Replace unsafe characters by escapes: ESC becomes the four characters ``\x1b``.

    >>> printable("red: \x1b[31m")
    'red: \\x1b[31m'
    """
    return _UNSAFE.sub(lambda match: repr(match.group())[1:-1], text)


def one_line(text: str) -> str:
    r"""``printable`` on one line: newlines become escapes, and after 4,000 characters comes "...".

    >>> one_line("one\ntwo")
    'one\\ntwo'
    """
    shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    return printable(shown).replace("\n", "\\n")
