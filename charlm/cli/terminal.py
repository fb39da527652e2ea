"""What goes to a terminal: a model's text, made safe, and charlm's own talk."""

from __future__ import annotations

import contextlib
import json
import math
import re
import sys
from typing import Any

import click

# Control characters but for newline and tab, and the marks that reorder a line: either could change
# what a terminal does or shows beyond the text itself.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

_LONGEST = 4000


def printable(text: str) -> str:
    """``text`` with unsafe characters as escapes: ESC becomes the four characters ``\\x1b``."""
    return _UNSAFE.sub(lambda match: repr(match.group())[1:-1], text)


def one_line(text: str) -> str:
    """``text`` with unsafe characters and line ends as escapes, cut before it fills a screen."""
    shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    return printable(shown).replace("\n", "\\n")


def say_error(message: str) -> None:
    """``error: MESSAGE`` as one line on stderr: it may quote a file that somebody else made."""
    say(f"error: {message}")


def echo_json(value: Any) -> None:
    """One line of JSON on stdout that every parser reads: what is not finite becomes null."""
    click.echo(json.dumps(_finite(value), allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def echo(text: str) -> None:
    """A line of results on stdout: harmless on a terminal, as it is in a pipe."""
    click.echo(printable(text) if sys.stdout.isatty() else text)


def say(text: str) -> None:
    """One line of talk on stderr, whatever it quotes. Where nobody listens any more (a closed
    pipe), work goes on."""
    with contextlib.suppress(OSError):
        click.echo(one_line(text), err=True)
