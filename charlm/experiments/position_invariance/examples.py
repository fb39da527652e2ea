"""Examples: a sentence, its answer, and the offset of the answer.

Natural sentences prefer some offsets: many begin with the year, few have it at character 90. So
half of the examples are moved: shortened or lengthened at the front until the answer is at an
offset that was drawn uniformly. The inserted text (another sentence, invented words, stray
characters) tells a reader nothing about the answer.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from charlm.text import grammar
from charlm.text.grammar.chance import Rng, below, between, chance, pick

FOUR_DIGITS, NEW_KINDS = "four digits", "new kinds"
LEVELS = ("none", "numbers", "years", FOUR_DIGITS, NEW_KINDS)
"""What else in a sentence could be mistaken for the answer. The last two: a four-digit number that
is not a year, of a kind that occurs in training (a room, a price) or of one that does not."""

FOUR_DIGITS_SHARE = 0.25
"""Share of such sentences in a pool."""

SHORTEST, LONGEST = 5, 120
"""Characters of a sentence, except in the test of long sentences."""

_LETTERS = "aeioaeiouàèlrsntcdpmvgbfzqhxkjyw"
_FALSE_KEYS = "abcdefghilmnopqrstuvzàèéìòù"
_AFTER = (". ", ", ", "; ", " - ", ": ", "... ", "! ", "? ", "\N{EN DASH} ")
_IN_FRONT = ("(", '"', "«", "- ", "* ", "> ", "'", "e ", "... ", "–", "“")


@dataclass(frozen=True)
class Example:
    """``text[start : start + len(answer)] == answer``, the only right answer."""

    text: str
    answer: str
    start: int
    level: str


Source = Callable[[Rng], Example]
"""Draws a natural sentence."""


def italian(rng: Rng) -> Example:
    """A sentence or a note of the travel grammar."""
    told = grammar.note(rng) if chance(rng, 0.5) else grammar.sentence(rng)
    return Example(told.text, str(told.year), told.year_start, told.others)


def with_four_digits(rng: Rng) -> Example:
    """The same, or a sentence with a four-digit number of a kind for training."""
    return _numbered(rng) if chance(rng, FOUR_DIGITS_SHARE) else italian(rng)


def with_new_kinds(rng: Rng) -> Example:
    """The same, half of those numbers of new kinds."""
    if not chance(rng, 2 * FOUR_DIGITS_SHARE):
        return italian(rng)
    return _numbered(rng, grammar.NEW_KINDS) if chance(rng, 0.5) else _numbered(rng)


def _numbered(rng: Rng, kinds: Sequence[str] = grammar.KINDS) -> Example:
    told = grammar.numbered(rng, kinds)
    level = NEW_KINDS if told.kind in grammar.NEW_KINDS else FOUR_DIGITS
    return Example(told.text, str(told.year), told.year_start, level)


def _start(example: Example) -> int:
    return example.start


class Pool:
    """Many natural sentences, selected by level and by the offset of the answer.

    ``take`` inserts another answer, so that no answer is tied to a kind of sentence.
    """

    def __init__(
        self, rng: Rng, source: Source, size: int, allowed: Callable[[Example], bool] | None = None
    ) -> None:
        """Draw ``size`` sentences and drop those that are not ``allowed``."""
        drawn = sorted(filter(allowed, (source(rng) for _ in range(size))), key=_start)
        self._by_level = {level: [e for e in drawn if e.level == level] for level in LEVELS}
        self._starts = {level: [e.start for e in each] for level, each in self._by_level.items()}
        # The shortest rest of a sentence whose answer begins at a given offset or before.
        self._least_after = {
            level: list(accumulate((len(e.text) - e.start for e in each), min))
            for level, each in self._by_level.items()
        }

    @property
    def levels(self) -> list[str]:
        """The levels that have sentences."""
        return [level for level in LEVELS if self._by_level[level]]

    def reaches(self, level: str, start: int, longest: int) -> bool:
        """Whether an answer can be at offset ``start`` in a sentence of that level.

        The words that tell which number is asked for must remain, so only sentences without other
        numbers are shortened; all others stay whole, with text inserted in front.
        """
        if level == "none":
            return bool(self._by_level[level])
        count = bisect_right(self._starts[level], start)
        return count > 0 and start + self._least_after[level][count - 1] <= longest

    def take(self, rng: Rng, level: str, answer: str, at_most: int | None = None) -> Example | None:
        """A sentence of a level with that answer at offset ``at_most`` or before; None if there is
        none, or if its four-digit number is the answer."""
        among = self._by_level[level]
        count = len(among) if at_most is None else bisect_right(self._starts[level], at_most)
        if not count:
            return None
        example = among[below(rng, count)]
        end = example.start + len(example.answer)
        before, after = example.text[: example.start], example.text[end:]
        if level in (FOUR_DIGITS, NEW_KINDS) and answer in f"{before}\n{after}":
            return None  # the other number would be a right answer too
        return Example(before + answer + after, answer, example.start, level)


def filler(rng: Rng, italian: bool) -> str:
    """Text without an answer, to insert before or after a sentence."""
    if italian and chance(rng, 0.6):
        for _ in range(20):
            told = grammar.undated(rng)
            if told.others == "none":
                return told.text[:-1]
    return " ".join(made_up_word(rng) for _ in range(between(rng, 1, 5)))


def made_up_word(rng: Rng) -> str:
    """Random letters: they cannot be memorized, so a reader learns what surrounds an answer."""
    word = "".join(pick(rng, _LETTERS) for _ in range(between(rng, 1, 9)))
    return word.capitalize() if chance(rng, 0.2) else word


def moved(rng: Rng, example: Example, start: int, *, italian: bool = True) -> Example:
    """The example with its answer at ``start``: shortened or lengthened at the front."""
    missing = start - example.start
    if missing <= 0:
        return replace(example, text=example.text[-missing:], start=start)
    before = ""
    while len(before) < missing:
        piece = filler(rng, italian) + pick(rng, _AFTER)
        room = missing - len(before)
        if len(piece) > room:
            piece = pick(rng, _IN_FRONT) if room < 3 else piece[-room:].lstrip(" .,;:-") or "e "
        if len(piece) <= room:
            before = piece + before
    return replace(example, text=before + example.text, start=start)


def followed(rng: Rng, example: Example, length: int, *, italian: bool = True) -> Example:
    """The example with text appended until it has ``length`` characters."""
    text = example.text
    while len(text) < length:
        text += pick(rng, _AFTER) + filler(rng, italian)
    return replace(example, text=text[: max(length, len(example.text))])


def disturbed(rng: Rng, example: Example, longest: int, *, italian: bool = True) -> Example:
    """The example as people write: a typo, no capital, no full stop, one more remark. The answer
    stays unchanged."""
    text, start = example.text, example.start
    end = start + len(example.answer)
    if chance(rng, 0.25) and start > 0 and len(text[0].lower()) == 1:
        text = text[0].lower() + text[1:]
    if chance(rng, 0.2) and len(text) > end and text[-1] in ".!?":
        text = text[:-1]
    if chance(rng, 0.25):
        more = pick(rng, _AFTER) + filler(rng, italian)
        text += more[: max(0, longest - len(text))]
    while chance(rng, 0.3):
        place = below(rng, len(text))
        if text[place].isalpha() and not start <= place < end:
            text = text[:place] + pick(rng, _FALSE_KEYS) + text[place + 1 :]
    before, after = text[:start].upper(), text[end:].upper()
    if chance(rng, 0.04) and len(before) == start:  # "ß" and a few others become two letters
        text = before + text[start:end] + after
    return replace(example, text=text)


def draw(
    rng: Rng,
    pool: Pool,
    levels: Sequence[str],
    answers: Sequence[Sequence[str]],
    starts: Sequence[int],
    *,
    moved_share: float = 0.5,
    italian: bool = True,
    longest: int = LONGEST,
) -> Iterator[Example]:
    """Endless examples: of one of ``levels``, with an answer from one of ``answers`` that begins at
    one of ``starts`` (uniformly, if it is moved). If the sentence has other answers, it comes from
    the last of ``answers``, which resemble those others: only the meaning tells them apart.

    Empty if the pool has no sentence that can be moved to one of ``starts``.
    """
    allowed = frozenset(starts)
    reached = {level: [s for s in starts if pool.reaches(level, s, longest)] for level in levels}
    levels = [level for level in levels if reached[level]]
    while levels:
        level = pick(rng, levels)
        answer = pick(rng, answers[-1] if level == "years" else pick(rng, answers))
        start = pick(rng, reached[level]) if chance(rng, moved_share) else None
        example = pool.take(rng, level, answer, at_most=None if level == "none" else start)
        if example is None:
            continue
        if start is not None:
            example = moved(rng, example, start, italian=italian)
        example = disturbed(rng, example, longest, italian=italian)
        if level == "none" and example.start + len(answer) <= longest:
            example = replace(example, text=example.text[:longest])
        if example.start in allowed and SHORTEST <= len(example.text) <= longest:
            yield example
