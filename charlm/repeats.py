"""``no_repeat``: no stretch of N characters is written twice in a text.

A stretch is written a second time when its last character is. So it is enough to know, for every
N - 1 characters in a row, which characters have followed them before: when they come again, none of
those may follow. It is the n-gram blocking of Paulus et al., "A deep reinforced model for
abstractive summarization", 2018, for characters. Each character costs one look-up and one entry,
however long the text is.
"""

from __future__ import annotations

from collections.abc import Iterable


class Repeats:
    """What has been written, and which ids may not come next.

    length: of the stretches that may not be repeated, in characters, at least 1

    >>> repeats = Repeats(3)
    >>> for character, token in zip("abcab", [0, 1, 2, 0, 1]):
    ...     repeats.add(character, token)
    >>> set(repeats.forbidden)
    {2}
    """

    def __init__(self, length: int) -> None:
        self._before = length - 1
        self._last = ""  # the last length - 1 characters; fewer at the beginning
        self._followers: dict[str, set[int]] = {}

    def add(self, character: str, token: int) -> None:
        """``character``, whose id is ``token``, has been written."""
        if len(self._last) == self._before:
            self._followers.setdefault(self._last, set()).add(token)
        last = self._last + character
        self._last = last[max(0, len(last) - self._before) :]

    @property
    def forbidden(self) -> Iterable[int]:
        """The ids with which a stretch would be written a second time."""
        return self._followers.get(self._last, ())
