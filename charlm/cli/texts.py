"""The texts that commands read: a named file, and those that a run was trained on."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from charlm.errors import RequestError

if TYPE_CHECKING:
    from charlm.runs import OpenModel
    from charlm.text.dataset import Texts


def text_of(file: str, encoding: str | None) -> str:
    """The text of a file; ``-`` is standard input."""
    from charlm.text.reading import read_text

    stdin = sys.stdin.buffer if sys.stdin is not None else None
    return read_text([file], encoding=encoding, stdin=stdin).text


def open_named(
    model: str | None,
    command: str,
    file: str | None = None,
    corpus: tuple[str, ...] = (),
    *,
    network_only: bool = False,
) -> OpenModel:
    """The model that a command works on. If it turns out to be a text, the error shows how
    ``command`` must be typed with that text, or with ``file``.

    network_only: without the counts of the run
    """
    from charlm import runs

    text = shlex.quote(file or model or "FILE")
    usage = f"name a run before it: charlm {command} RUN {text}"
    return runs.open_model(model, corpus=corpus, usage=usage, network_only=network_only)


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


def held_out(texts: Texts | None, reason: str, usage: str, *, test: bool = False) -> str:
    """The validation or the test text of a run; RequestError if there is none.

    texts, reason: from ``texts_of``
    usage: the command to which a text can be added
    """
    part = None if texts is None else texts.test if test else texts.val
    if part:
        return str(part)
    name = usage.split()[-1]
    why = f" ({reason})" if reason else ""
    if test:
        raise RequestError(
            f"{name} has no test text{why}; train with --test-fraction to hold one back, or name a "
            f"text: {usage} FILE"
        )
    raise RequestError(f"{name} has no validation text{why}; name a text: {usage} FILE")
