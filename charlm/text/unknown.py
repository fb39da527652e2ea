"""Characters that a model has never seen: how they are named, and what is done about them.

There is one rule, for every command. A model with an unknown symbol (``--min-count``) reads such a
character as that symbol; this is called folding. A model without one refuses the text, or with
``skip`` leaves the character out. Only where several models must read the same characters are they
left out for every model (``omit``): a model that folds a character does not have to name it, which
makes it cheaper.

The character CR is an exception. A model that has seen line ends, but never one with CR, reads CR
LF and CR as LF.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from charlm.errors import RequestError, UnknownCharacterError
from charlm.text.newlines import to_unix

POLICIES = ("error", "skip")
"""What ``--on-unknown`` can be."""

OMIT = "omit"

ONLY_LF = "line ends with CR are read as LF: the model has seen no others"
"""What is said when they are."""

NAMED = 8
"""How many different characters a message names."""


class Vocabulary(Protocol):
    """The part of a tokenizer that matters here."""

    @property
    def forbidden(self) -> tuple[int, ...]: ...
    def normalize(self, text: str) -> str: ...
    def unseen(self, text: str) -> NDArray[np.int64]: ...
    def without_unseen(self, text: str) -> str: ...


class Readable(NamedTuple):
    """A text that the model can read, and one line on what was done to it ("" if nothing)."""

    text: str
    note: str


def readable(
    vocabulary: Vocabulary,
    text: str,
    policy: str = "error",
    *,
    what: str = "the text",
    remedy: str = "remove them or give --on-unknown skip to leave them out",
) -> Readable:
    """Make ``text`` readable to a model by the rule at the top of this file.

    policy: error, skip or omit
    what, remedy: begin and end of the error, for example "the prompt"

    Raises UnknownCharacterError, naming the characters and the first one's place, if the model has
    no unknown symbol and the policy is error; RequestError for another policy.
    """
    if policy not in (*POLICIES, OMIT):
        raise RequestError(f"--on-unknown is {policy!r}; choose {' or '.join(POLICIES)}")
    notes = []
    if "\r" in vocabulary.normalize(text) and sees_only_lf(vocabulary):
        text = to_unix(text)
        notes.append(ONLY_LF)
    unseen = vocabulary.unseen(text)
    if not len(unseen):
        return Readable(text, "; ".join(notes))
    named = describe_unknown(vocabulary.normalize(text), unseen)
    if vocabulary.forbidden and policy != OMIT:
        return Readable(text, "; ".join([*notes, f"read as the unknown symbol: {named}"]))
    if policy == "error":
        raise UnknownCharacterError(f"{what} has {named}; {remedy}")
    return Readable(vocabulary.without_unseen(text), "; ".join([*notes, f"left out {named}"]))


def sees_only_lf(vocabulary: Vocabulary) -> bool:
    """Whether a model has seen line ends, but none with CR."""
    return not len(vocabulary.unseen("\n")) and bool(len(vocabulary.unseen("\r")))


def describe_character(character: str) -> str:
    """A character for an error message, never raw: its code point, after itself if printable.

    >>> describe_character("é"), describe_character("\\x1b")
    ("'é' U+00E9", 'U+001B')
    """
    shown = f"{character!r} " if character.isprintable() else ""
    return f"{shown}U+{ord(character):04X}"


def name_characters(characters: str) -> str:
    """The first few of different characters, each as in an error message."""
    named = ", ".join(map(describe_character, characters[:NAMED]))
    more = len(characters) - NAMED
    return f"{named} and {more:,} more" if more > 0 else named


def describe_unknown(text: str, positions: NDArray[Any]) -> str:
    """One line that names the characters at ``positions``, their counts and the first one's place.

    positions: at least one, in ascending order
    """
    return _describe([(text, positions)])


def describe_slices(vocabulary: Vocabulary, slices: Iterable[str]) -> str:
    """The same for all unseen characters in the consecutive ``slices`` of a text; there must be
    one."""
    return _describe((vocabulary.normalize(each), vocabulary.unseen(each)) for each in slices)


def _describe(slices: Iterable[tuple[str, NDArray[Any]]]) -> str:
    counts: dict[str, int] = {}
    line = column = 1  # of the character after what was read
    first = (0, 0)
    for text, positions in slices:
        if len(positions) and not counts:
            first = _after(text[: int(positions[0])], line, column)
        for position in positions.tolist():
            counts[text[position]] = counts.get(text[position], 0) + 1
        line, column = _after(text, line, column)
    total = sum(counts.values())
    named = ", ".join(
        describe_character(c) + (f" ({n} times)" if n > 1 else "")
        for c, n in list(counts.items())[:NAMED]
    )
    if len(counts) > NAMED:
        named += f" and {len(counts) - NAMED} more"
    noun = "character" if total == 1 else "characters"
    return (
        f"{total} {noun} the model has never seen: {named}; the first at line {first[0]}, "
        f"column {first[1]}"
    )


def _after(text: str, line: int, column: int) -> tuple[int, int]:
    """(line, column) after ``text``, which begins at ``line`` and ``column``."""
    newlines = text.count("\n")
    if newlines:
        return line + newlines, len(text) - text.rfind("\n")
    return line, column + len(text)
