"""The texts that commands read: a file that was named, and those of a run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from charlm.cli.terminal import say

if TYPE_CHECKING:
    from charlm.runs import Run


def text_of(file: str, encoding: str | None) -> str:
    """The text of a file; ``-`` is standard input."""
    from charlm.text.reading import read_text

    stdin = sys.stdin.buffer if sys.stdin is not None else None
    return read_text([file], encoding=encoding, stdin=stdin).text


def texts_of(run: Run) -> tuple[str, str] | None:
    """(training text, validation text) of a run, or None where they are not at hand."""
    from charlm import checkpoint, runs
    from charlm.errors import CharlmError
    from charlm.text import dataset as data

    if not run.last.exists():
        return None
    saved = checkpoint.read(run.last)
    if saved.training is None:
        return None
    try:
        source = data.Source.from_dict(saved.training.get("source"))
        texts = runs.reread(source, run, saved.provenance)
    except CharlmError as error:
        say(str(error))
        return None
    return texts.train, texts.val
