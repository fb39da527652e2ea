"""What commands print: results on stdout, messages on stderr, and whether to use colour.

Text from a model or a file may contain control characters; a terminal gets them as escapes.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import click

from charlm import launch
from charlm.display import one_line, printable
from charlm.errors import CharlmError


def use_colour(stream: TextIO | None = None) -> bool:
    """Whether to print colours and bars: to a terminal, unless NO_COLOR is set (no-color.org).

    stream: where it goes; default: stdout
    """
    stream = sys.stdout if stream is None else stream
    return stream.isatty() and not os.environ.get("NO_COLOR")


def has_unicode(stream: TextIO | None = None) -> bool:
    """Whether box drawing and blocks can be printed, and not only ASCII characters.

    stream: where they go; default: stdout
    """
    stream = sys.stdout if stream is None else stream
    return "utf" in (getattr(stream, "encoding", None) or "").lower()


def say(text: str) -> None:
    """Print a message as one line on stderr, with control characters and line ends as escapes. Of
    several processes that train together, only that of rank 0 speaks.

    If stderr cannot be written (a closed pipe, a full disk), the command continues without it.
    """
    if launch.rank() > 0:
        return
    _print(one_line(text))


def say_text(text: str, *, line_end: bool = True) -> None:
    """Print a text of several lines, or a question, on stderr, with control characters as escapes.
    If stderr cannot be written, as in ``say``."""
    _print(printable(text), line_end)


def _print(text: str, line_end: bool = True) -> None:
    try:
        click.echo(text, err=True, nl=line_end)
    except OSError:
        discard(sys.stderr)


def discard(stream: TextIO) -> None:
    """Discard what could not be written to ``stream``, and everything after it.

    Otherwise Python would try again at exit, fail, print its own error and exit with 120.
    """
    with contextlib.suppress(OSError, ValueError):  # a stream that is closed or has no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def say_error(message: str, *, always: bool = False) -> None:
    """``error: MESSAGE`` as one line on stderr.

    always: also if this process is one of several that do not speak
    """
    if always or launch.rank() == 0:
        _print(one_line(f"error: {message}"))


def echo(text: str) -> None:
    """Print a line of results: safe on a terminal, unchanged in a pipe."""
    click.echo(printable(text) if sys.stdout.isatty() else text)


def echo_json(value: Any) -> None:
    """Print one line of strict JSON: numbers that are not finite become null."""
    click.echo(json.dumps(_finite(value), allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
    """Print rows in aligned columns; the first row is usually the heading."""
    for line in aligned(rows, left=left):
        echo(line)


def aligned(rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """Rows as lines with aligned columns, two spaces apart.

    left: how many columns, from the first, are aligned left; the others are aligned right
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def write_result(option: str, path: Path, text: str) -> None:
    """Write the file that ``option`` asked for, whole or not at all, and print its name."""
    from charlm.files import write_atomically

    try:
        write_atomically(path, text.encode("utf-8"))
    except OSError as error:
        raise CharlmError(f"{option} {path}: cannot be written ({error.strerror})") from error
    echo(str(path))
