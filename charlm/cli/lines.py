"""Items from a file or standard input, a line each, for the commands that answer about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from charlm.cli.terminal import say
from charlm.cli.texts import text_of
from charlm.errors import CorpusError, UnknownCharacterError

if TYPE_CHECKING:
    from charlm.text.tokenizer import Tokenizer


class Line(NamedTuple):
    """A line as it was given, and as the model reads it: empty if nothing is left of it."""

    given: str
    read: str


def read_lines(
    file: str, tokenizer: Tokenizer, *, encoding: str | None, on_unknown: str
) -> list[Line]:
    """The lines of a file, ``-`` for standard input, with their line ends as LF.

    UnknownCharacterError, with the line's number, for a character that the model has never seen,
    unless ``on_unknown`` says to leave it out, which is said; CorpusError for a line with a tab, as
    labelled files have.
    """
    from charlm.text.newlines import to_unix
    from charlm.text.unknown import readable

    text = to_unix(text_of(file, encoding)).removesuffix("\n")
    if "\t" in text and len(tokenizer.unseen("\t")):
        number = text[: text.index("\t")].count("\n") + 1
        shown = "standard input" if file == "-" else file
        raise CorpusError(
            f"{shown}: line {number} has a tab; give the items alone, one a line, without labels"
        )
    found: list[Line] = []
    changed = 0
    for number, line in enumerate(text.split("\n"), 1):
        try:
            read, note = readable(tokenizer, line, on_unknown, what=f"line {number}")
        except UnknownCharacterError as error:
            raise UnknownCharacterError(
                str(error).replace("; the first at line 1, column", "; the first at column")
            ) from error
        changed += bool(note)
        found.append(Line(line, read if read.strip() else ""))
    if changed:
        say(f"{changed:,} of {len(found):,} lines have characters that the model has never seen")
    return found
