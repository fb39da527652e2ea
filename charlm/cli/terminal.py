"""What goes to a terminal: a model's text, made safe, and charlm's own talk."""

from __future__ import annotations

import contextlib
import re

import click

# Control characters but for newline and tab, and the marks that reorder a line: either could change
# what a terminal does or shows beyond the text itself.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """``text`` with unsafe characters as escapes: ESC becomes the four characters ``\\x1b``."""
    return _UNSAFE.sub(lambda match: repr(match.group())[1:-1], text)


def say(text: str) -> None:
    """A line of talk on stderr. Where nobody listens any more (a closed pipe), work goes on."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)
