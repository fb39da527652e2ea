"""Where a sampled text ends: after a number of characters, or before a stop string."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence


class Ending:
    """The first ``length`` characters, ending before the first of ``stops`` that is complete; with
    ``include_stop`` after it. The character ``end``, if there is one, ends the text too and is
    never shown.

    Characters that may be the beginning of one of them are held back until that is decided. If
    several are complete at once, the longest counts; an empty one is ignored.

    >>> ending = Ending(["end"], length=10)
    >>> [ending.feed(character) for character in "seend"], ending.ended
    (['s', '', 'e', '', ''], True)
    """

    def __init__(
        self, stops: Sequence[str], length: int, *, include_stop: bool = False, end: str = ""
    ) -> None:
        self.left = length
        self._end = end
        self.ended = length <= 0
        self._stops = [stop for stop in stops if stop]
        self._include_stop = include_stop
        self._held = ""

    def feed(self, character: str) -> str:
        """What can be shown after ``character``: possibly nothing, or what was held back too."""
        if character == self._end:
            return self.flush()
        self.left -= 1
        self.ended = not self.left
        if not self._stops:
            return character
        held = self._held + character
        found = max((len(stop) for stop in self._stops if held.endswith(stop)), default=0)
        if found:
            self.ended = True
            return held if self._include_stop else held[:-found]
        possible = 0 if self.ended else max(_overlap(held, stop) for stop in self._stops)
        shown = len(held) - possible
        self._held = held[shown:]
        return held[:shown]

    def flush(self) -> str:
        """What was held back, if no character follows."""
        self.ended = True
        return self._held


def until(
    characters: Iterator[str],
    stops: Sequence[str],
    length: int,
    *,
    include_stop: bool = False,
    end: str = "",
) -> Generator[str]:
    """The pieces that ``Ending`` shows of a text, which may be endless; no more of it is read than
    needed."""
    ending = Ending(stops, length, include_stop=include_stop, end=end)
    while not ending.ended:
        character = next(characters, "")
        piece = ending.feed(character) if character else ending.flush()
        if piece:
            yield piece


def _overlap(held: str, stop: str) -> int:
    """The length of the longest suffix of ``held`` that is a prefix of ``stop``."""
    possible = min(len(stop), len(held))
    while not held.endswith(stop[:possible]):
        possible -= 1
    return possible
