"""How much of a sample stands in the training text, word for word, and how to prevent it.

Both look strings up in the text itself: nothing is built, and the memory is that of the text.
"""

from __future__ import annotations

from dataclasses import dataclass

GRAM = 20
"""Characters of the pieces of which the share that was copied is told."""


@dataclass(frozen=True)
class Novelty:
    """What of a sample is copied.

    longest: the longest run of the sample that stands in the training text
    share: of its runs of 20 characters, those that stand there; None for a shorter sample
    """

    longest: str
    share: float | None


def novelty(sample: str, text: str, gram: int = GRAM) -> Novelty:
    """Compare ``sample`` with ``text``, exactly, by at most two look-ups for each character."""
    lengths = matches(sample, text)
    best = max(range(len(sample)), key=lengths.__getitem__, default=0)
    longest = sample[best : best + lengths[best]] if sample else ""
    starts = len(sample) - gram + 1
    if starts < 1:
        return Novelty(longest, None)
    return Novelty(longest, sum(length >= gram for length in lengths[:starts]) / starts)


def matches(sample: str, text: str) -> list[int]:
    """For every place of ``sample`` how many characters from there on stand in ``text`` in a row
    ("matching statistics", Chang & Lawler, 1994)."""
    lengths = []
    length = 0
    for begin in range(len(sample)):
        # What matches from one place on matches, less its first character, from the next one on.
        length = max(0, length - 1)
        while begin + length < len(sample) and sample[begin : begin + length + 1] in text:
            length += 1
        lengths.append(length)
    return lengths


def followers(tail: str, text: str, enough: int) -> set[str]:
    """The characters that follow ``tail`` in ``text``; the search ends at ``enough`` of them."""
    found: set[str] = set()
    place = text.find(tail)
    while place >= 0 and len(found) < enough:
        if place + len(tail) < len(text):
            found.add(text[place + len(tail)])
        place = text.find(tail, place + 1)
    return found
