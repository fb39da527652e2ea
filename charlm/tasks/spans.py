"""The spans that a string of tags marks in a text."""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby

from charlm.text.records import BEGIN, INSIDE, OUTSIDE


def marks_spans(alphabet: Collection[str]) -> bool:
    """Whether these tags are B, I and O, which only mark spans; others are characters."""
    return set(alphabet) <= {BEGIN, INSIDE, OUTSIDE}


def spans_of(text: str, tags: str, alphabet: Collection[str]) -> list[tuple[int, int]]:
    """(begin, end) of every span, in order; ``end`` is the place after its last character.

    alphabet: the tags that there are. If they are B, I and O (Ramshaw & Marcus, 1995), a span
        begins at a B, or at an I after an O, and goes on through I. Otherwise the tags say what
        stands in a character's place, and a span is a longest run of characters that are changed.

    >>> spans_of("Io e Ada", "OOOOOBII", "BIO"), spans_of("perche no", "perché no", "perché no")
    ([(5, 8)], [(5, 6)])
    """
    if marks_spans(alphabet):
        return _marked(tags)
    found, place = [], 0
    pairs = zip(text, tags, strict=True)
    for changed, run in groupby(pairs, key=lambda pair: pair[0] != pair[1]):
        length = len(list(run))
        if changed:
            found.append((place, place + length))
        place += length
    return found


def _marked(tags: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    begin = -1  # of the span that goes on
    for place, tag in enumerate(tags):
        if tag != INSIDE and begin >= 0:
            found.append((begin, place))
            begin = -1
        if tag == BEGIN or (tag == INSIDE and begin < 0):
            begin = place
    if begin >= 0:
        found.append((begin, len(tags)))
    return found
