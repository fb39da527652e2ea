"""The texts of a run, read again from where it found them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from charlm.cli.terminal import say

if TYPE_CHECKING:
    from charlm.runs import Run


def texts_of(run: Run) -> tuple[str, str] | None:
    """(training text, validation text) of a run, or None where they are not at hand."""
    from charlm import checkpoint, data
    from charlm.errors import CharlmError

    if not run.last.exists():
        return None
    saved = checkpoint.read(run.last)
    if saved.training is None:
        return None
    try:
        source = data.Source.from_dict(saved.training.get("source"))
        texts = data.reread(source, run, saved.provenance)
    except CharlmError as error:
        say(str(error))
        return None
    return texts.train, texts.val
