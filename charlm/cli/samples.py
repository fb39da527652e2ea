"""Samples on stdout, while they are sampled, or whole: as JSON, or in a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charlm.cli.terminal import say, write_result
from charlm.config import SampleConfig
from charlm.errors import CharlmError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Sample:
    """The pieces of a sample, while they are sampled; ``last`` is the last of them so far."""

    def __init__(self, pieces: Iterator[str], *, keep: bool) -> None:
        self._pieces = pieces
        self._kept: list[str] | None = [] if keep else None
        self.last = ""

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces:
            self.last = piece
            if self._kept is not None:
                self._kept.append(piece)
            yield piece

    @property
    def text(self) -> str:
        """What has been sampled so far, if ``keep`` was set."""
        return "".join(self._kept or ())


def put(
    samples: list[Sample],
    prompt: str,
    config: SampleConfig,
    as_json: bool,
    out: Path | None,
    talk: bool,
) -> None:
    """Print the samples, each character at once, or write them into a file.

    talk: whether a message on stderr follows
    """
    if out is not None:
        _write(out, ["".join(each) for each in samples], as_json, prompt, config)
        return
    if as_json:
        for number, sample in enumerate(samples):
            click.echo(_record(number, prompt, "".join(sample), config))
        return
    terminal, several = sys.stdout.isatty(), len(samples) > 1
    for number, sample in enumerate(samples):
        if several:
            click.echo(heading(number))
        _show(prompt, terminal)
        speaks = talk
        try:
            for piece in sample:
                _show(piece, terminal)
        except (KeyboardInterrupt, CharlmError):
            speaks = True
            raise
        finally:
            if terminal or several:
                click.echo()
            elif speaks and not (sample.last or prompt).endswith("\n"):
                # A pipe gets the text alone. If it leads to the same screen as stderr, the message
                # must not begin in the text's last line.
                say("")


def heading(number: int) -> str:
    """The line above a sample of several; they are numbered from 1."""
    return f"{chr(10) if number else ''}--- {number + 1} ---"


def _show(text: str, terminal: bool) -> None:
    """Print at once. A terminal gets no control characters, a pipe gets the text unchanged."""
    from charlm.display import printable

    sys.stdout.write(printable(text) if terminal else text)
    sys.stdout.flush()


def _record(number: int, prompt: str, text: str, config: SampleConfig) -> str:
    record = {"sample": number + 1, "seed": config.seed, "prompt": prompt, "text": text}
    return json.dumps(record)


def _write(out: Path, texts: list[str], as_json: bool, prompt: str, config: SampleConfig) -> None:
    """Write the samples to a file atomically, in the same form as on stdout."""
    if as_json:
        lines = [_record(number, prompt, text, config) + "\n" for number, text in enumerate(texts)]
        content = "".join(lines)
    elif len(texts) == 1:
        content = prompt + texts[0]
    else:
        content = "".join(f"{heading(n)}\n{prompt}{text}\n" for n, text in enumerate(texts))
    write_result("--out", out, content)
