"""What goes to a terminal: a model's text, made safe, and charlm's own talk."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import click

from charlm.display import one_line, printable
from charlm.errors import CharlmError


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


def write_result(option: str, path: Path, text: str) -> None:
    """Write what an option asked for into a file, whole or not at all, and print its name."""
    from charlm.files import write_atomically

    try:
        write_atomically(path, text.encode("utf-8"))
    except OSError as error:
        raise CharlmError(f"{option} {path}: cannot be written ({error.strerror})") from error
    echo(str(path))
