"""The texts that commands read: a named file, and those that a run was trained on."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from charlm.cli.terminal import say
from charlm.errors import RequestError

if TYPE_CHECKING:
    from charlm.runs import OpenModel
    from charlm.text.dataset import Texts
    from charlm.text.utf8 import Utf8Text


MAX_READ = 20_000_000
"""Of a text that is too long for memory, this many characters are read where all of them are needed
at once."""


def text_of(file: str, encoding: str | None) -> str:
    """The text of a file; ``-`` is standard input. Of a text that is too long for memory, its
    beginning, which is said."""
    from charlm.text.reading import keep, read_text

    stdin = sys.stdin.buffer if sys.stdin is not None else None
    if file == "-" and stdin is not None:
        stdin = keep(stdin)
    text = read_text([file], encoding=encoding, stdin=stdin).utf8
    return beginning(text, MAX_READ if text.on_disk else len(text), file)


def beginning(text: Utf8Text, characters: int, what: str) -> str:
    """The first ``characters`` of a text. If these are not all, that is said."""
    if len(text) > characters:
        say(f"{what}: the first {characters:,} of its {len(text):,} characters are read")
    return str(text.split(characters)[0])


def recent(texts: Texts) -> str:
    """The training text; of one that is too long for memory its end, as that of the counts, which
    is said."""
    text = texts.train
    if texts.survey is None or len(text) <= MAX_READ:
        return str(text)
    say(f"the training text: the last {MAX_READ:,} of its {len(text):,} characters are read")
    return str(text.split(len(text) - MAX_READ)[1])


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
    """The validation or the test text of a run, or the part of it that the exact loss is computed
    of; RequestError if there is none.

    texts, reason: from ``texts_of``
    usage: the command to which a text can be added
    """
    part = None if texts is None else texts.test if test else texts.val
    if part:
        from charlm.text.dataset import MAX_EXACT

        return beginning(part, MAX_EXACT, f"the {'test' if test else 'validation'} text")
    name = usage.split()[-1]
    why = f" ({reason})" if reason else ""
    if test:
        raise RequestError(
            f"{name} has no test text{why}; train with --test-fraction to hold one back, or name a "
            f"text: {usage} FILE"
        )
    raise RequestError(f"{name} has no validation text{why}; name a text: {usage} FILE")
