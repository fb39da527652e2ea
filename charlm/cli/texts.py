"""The texts that commands read: a named file, and those that a run was trained on."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charlm.runs import OpenModel
    from charlm.text.dataset import Texts


def text_of(file: str, encoding: str | None) -> str:
    """The text of a file; ``-`` is standard input."""
    from charlm.text.reading import read_text

    stdin = sys.stdin.buffer if sys.stdin is not None else None
    return read_text([file], encoding=encoding, stdin=stdin).text


def open_named(
    model: str | None, command: str, file: str | None = None, corpus: tuple[str, ...] = ()
) -> OpenModel:
    """The model that a command works on. If it turns out to be a text, the error shows how
    ``command`` must be typed with that text, or with ``file``."""
    from charlm import runs

    text = shlex.quote(file or model or "FILE")
    usage = f"name a run before it: charlm {command} RUN {text}"
    return runs.open_model(model, corpus=corpus, usage=usage)


def texts_of(opened: OpenModel) -> tuple[Texts | None, str]:
    """(the texts that the model was trained and validated on, ""), or (None, why they cannot be
    read). If ``--corpus`` was given, that is an error."""
    from charlm.errors import CharlmError

    try:
        return opened.texts, ""
    except CharlmError as error:
        if opened.corpus:
            raise
        return None, str(error)
