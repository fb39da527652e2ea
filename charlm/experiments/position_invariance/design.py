"""Training and test sentences, designed so that no answer leaks from one to the other.

Words differ in length, so holding out word positions holds out nothing. Instead, bands of character
offsets are held out: in training, no character of the answer is ever inside a band.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from charlm.errors import RequestError
from charlm.experiments.position_invariance import examples
from charlm.experiments.position_invariance.examples import (
    FOUR_DIGITS,
    LONGEST,
    NEW_KINDS,
    Example,
    Pool,
)
from charlm.seeds import derive
from charlm.text.grammar.chance import Rng, between, pick, shuffle

LONG = (LONGEST + 1, 400)
"""Characters of the sentences that are longer than any in training."""

POOL = 100_000
"""Natural sentences that a seed's examples are drawn from."""

LONGEST_ANSWER = 20
"""Characters of the longest answer that a template may ask for."""

_TEST_SEED = 2009
_HELD_OUT_SHARE = 0.2
_BAND, _FIRST, _BETWEEN = 10, 24, 18  # of the held-out bands: length, first offset, gap
_PLAIN_SHARE = 0.05
# Of the levels, in training; without and with four-digit numbers.
_PLAIN_WEIGHTS = {"none": 2, "numbers": 1, "years": 2}
_WEIGHTS = {"none": 4, "numbers": 1, "years": 3, FOUR_DIGITS: 2, NEW_KINDS: 0}


@dataclass(frozen=True)
class Design:
    """The question: the answers, their offsets, and the sentences around them."""

    trained: tuple[str, ...]
    held_out: tuple[str, ...]
    common: tuple[str, ...]  # the answer in half of the training sentences
    lines: tuple[tuple[str, ...], ...] = ()  # of a template: texts and {slots}
    fillers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    asked: str = ""
    four_digits: bool = False  # whether some sentences have a four-digit number that is no year

    @property
    def italian(self) -> bool:
        return not self.lines

    @cached_property
    def width(self) -> int:
        """Characters of the longest answer."""
        return max(map(len, self.trained + self.held_out))

    @cached_property
    def alphabet(self) -> str:
        """The characters of answers, sorted."""
        return "".join(sorted(set("".join(self.trained + self.held_out))))

    @property
    def bands(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """First and last offset of each held-out band, both included: 24-33 and 52-61; longer for
        longer answers, so that an answer fits at several offsets."""
        length = max(_BAND, self.width + 6)
        second = _FIRST + length + _BETWEEN
        return (_FIRST, _FIRST + length - 1), (second, second + length - 1)

    @property
    def starts(self) -> tuple[int, ...]:
        """Every offset at which an answer may begin."""
        return tuple(range(LONGEST - self.width + 1))

    @property
    def seen_starts(self) -> tuple[int, ...]:
        """Offsets used in training: no character of the answer is inside a band."""
        return tuple(s for s in self.starts if not self._touches(s))

    @property
    def held_out_starts(self) -> tuple[int, ...]:
        """Offsets at which every character of the answer is inside a band."""
        return tuple(
            s for s in self.starts if any(a <= s and s + self.width - 1 <= b for a, b in self.bands)
        )

    def _touches(self, start: int) -> bool:
        return any(start <= b and start + self.width - 1 >= a for a, b in self.bands)

    def pool(self, rng: Rng, size: int = POOL, *, training: bool = False) -> Pool:
        """Natural sentences; those for training contain no held-out answer anywhere."""
        source = examples.italian if self.italian else self._fill
        if self.four_digits:
            source = examples.with_four_digits if training else examples.with_new_kinds
        return Pool(rng, source, size, self._shows_nothing_held_out if training else None)

    def _shows_nothing_held_out(self, example: Example) -> bool:
        end = example.start + len(example.answer)
        rest = f"{example.text[: example.start]}\n{example.text[end:]}"
        return self._held_out_set.isdisjoint(found[0] for found in self.any_answer.finditer(rest))

    @cached_property
    def _held_out_set(self) -> frozenset[str]:
        return frozenset(self.held_out)

    def _fill(self, rng: Rng) -> Example:
        text, start, answer = "", -1, pick(rng, self.trained)
        for number, part in enumerate(pick(rng, self.lines)):
            if number % 2 == 0:
                text += part
            elif part == self.asked:
                start = len(text)
                text += answer
            else:
                text += pick(rng, self.fillers[part])
        rest = f"{text[:start]}\n{text[start + len(answer) :]}"
        level = "none"
        if self.any_answer.search(rest):
            level = "years"
        elif any(map(str.isdigit, rest)):
            level = "numbers"
        return Example(text, answer, start, level)

    @cached_property
    def any_answer(self) -> re.Pattern[str]:
        """Matches an answer as a separate word; a year is four digits."""
        if self.italian:
            return re.compile(r"(?<!\d)\d{4}(?!\d)")
        known = sorted(self.trained + self.held_out, key=len, reverse=True)
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, known))})(?!\w)")

    def training(self, seed: int, count: int) -> list[Example]:
        """``count`` sentences for one seed."""
        return self._mixture(random.Random(derive(seed, "examples")), count)

    def validation(self, seed: int, count: int = 500) -> list[Example]:
        """Further sentences like those of training, for the learning curve."""
        return self._mixture(random.Random(derive(seed, "examples", 1)), count)

    def _mixture(self, rng: Rng, count: int) -> list[Example]:
        """Two fifths with nothing else, a tenth with numbers, a fifth with a four-digit number that
        is no year, three tenths with other answers. Without four-digit numbers, a fifth with
        numbers and two fifths with other answers; a template gives what it has. At least half ask
        for a common answer."""
        weights = _WEIGHTS if self.four_digits else _PLAIN_WEIGHTS
        pool = self.pool(rng, min(POOL, max(2000, 10 * count)), training=True)
        drawn = examples.draw(
            rng,
            pool,
            [level for level in pool.levels for _ in range(weights[level])],
            (self.trained, self.common),
            self.seen_starts,
            italian=self.italian,
        )
        return list(islice(drawn, count))

    def tests(self, per_offset: int) -> dict[str, list[Example]]:
        """The test sets, the same for every seed and reader.

        none, numbers, years,
        four digits, new kinds  ``per_offset`` sentences for every offset, seen and held out, by
                                what else is in them; an offset that no sentence of a template
                                with other numbers can reach is omitted
        held-out answers        at seen offsets, no other numbers
        long sentences          of 121 to 400 characters, no other numbers: half with the answer
                                anywhere, half at seen offsets, so that the rest follows it
        """
        rng = random.Random(_TEST_SEED)
        pool = self.pool(rng)
        many = 20 * per_offset

        def some(
            level: str, answers: tuple[str, ...], starts: Sequence[int], longest: int = LONGEST
        ) -> Iterator[Example]:
            return examples.draw(
                rng,
                pool,
                [level],
                [answers],
                starts,
                moved_share=1.0,
                italian=self.italian,
                longest=longest,
            )

        found = {
            level: [
                each
                for start in self.starts
                for each in islice(some(level, self.common, [start]), per_offset)
            ]
            for level in pool.levels
        }
        found = {level: sentences for level, sentences in found.items() if sentences}
        if self.held_out:
            drawn = some("none", self.held_out, self.seen_starts)
            found["held-out answers"] = list(islice(drawn, many))
        shortest, longest = LONG
        far = some("none", self.common, range(longest - self.width + 1), longest)
        late = islice((each for each in far if len(each.text) >= shortest), many // 2)
        early = islice(some("none", self.common, self.seen_starts), many - many // 2)
        found["long sentences"] = [
            *late,
            *(
                examples.followed(rng, each, between(rng, shortest, longest), italian=self.italian)
                for each in early
            ),
        ]
        return found

    def to_dict(self) -> dict[str, Any]:
        return {
            "trained": list(self.trained),
            "held_out": list(self.held_out),
            "common": list(self.common),
            "lines": [list(line) for line in self.lines],
            "fillers": {name: list(values) for name, values in self.fillers.items()},
            "asked": self.asked,
            "four_digits": self.four_digits,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Design:
        """The inverse of ``to_dict``; older designs do not say ``four_digits`` and have none."""
        return cls(
            tuple(values["trained"]),
            tuple(values["held_out"]),
            tuple(values["common"]),
            tuple(map(tuple, values["lines"])),
            {name: tuple(fillers) for name, fillers in values["fillers"].items()},
            values["asked"],
            values.get("four_digits", False),
        )


def years() -> Design:
    """The question of this experiment: years of 1000 to 2099, half of them of 1900 to 2029; a fifth
    of each part never occurs in training."""
    rng = random.Random(_TEST_SEED)
    recent = [str(year) for year in range(1900, 2030)]
    older = [str(year) for year in (*range(1000, 1900), *range(2030, 2100))]
    held, held_older = _some_of(rng, recent), _some_of(rng, older)
    common = tuple(year for year in recent if year not in held)
    trained = common + tuple(year for year in older if year not in held_older)
    # Only recent years are tested; the others keep a reader from memorizing years.
    return Design(trained, tuple(sorted(held)), common, four_digits=True)


def _some_of(rng: Rng, answers: Sequence[str]) -> set[str]:
    """A fifth of them."""
    order = list(answers)
    shuffle(rng, order)
    return set(order[: round(_HELD_OUT_SHARE * len(order))])


_DEFINITION = re.compile(r"\s*(\w+)\s*[:=]\s*(.+)")
_SLOT = re.compile(r"\{(\w+)\}")
_RANGE = re.compile(r"([0-9]{1,12})\s*-\s*([0-9]{1,12})")


def from_template(path: Path) -> Design:
    """A question about the user's own sentences.

    The file contains sentences with slots in braces, one per line, and for each slot a line of
    fillers separated by commas; ``1950-2025`` means all numbers of that range. The answer is the
    slot {slot}, or {year}, or the first one defined. Raises RequestError, naming the line.

        slot: 1950-2025
        place: Rome, Nepal, the Alps
        I went to {place} in {slot}.
        In {slot} we left {place} for good.
    """
    from charlm.text.reading import read_text

    if path.is_dir():
        raise RequestError(f"{path}: is a directory; give one file of sentences with a {{slot}}")
    lines: list[tuple[int, str]] = []
    fillers: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(read_text([str(path)]).text.split("\n"), 1):
        line = " ".join(line.split())  # a tab separates sentence and answer in training
        defined = _DEFINITION.fullmatch(line)
        if defined and not _SLOT.search(line):
            fillers[defined[1]] = tuple(_fillers(f"{path}: line {number}", defined[1], defined[2]))
        elif line.strip() and not line.lstrip().startswith("#"):
            lines.append((number, line))
    if not fillers or not lines:
        raise RequestError(
            f"{path}: needs sentences with a {{slot}} and a line of fillers for it, such as "
            "slot: 1950-2025"
        )
    asked = next((name for name in ("slot", "year") if name in fillers), next(iter(fillers)))
    for number, line in lines:
        slots = _SLOT.findall(line)
        unknown = [name for name in slots if name not in fillers]
        if unknown:
            raise RequestError(
                f"{path}: line {number} has {{{unknown[0]}}}, which has no fillers; add "
                f"a line {unknown[0]}: one, another"
            )
        if slots.count(asked) != 1:
            raise RequestError(
                f"{path}: line {number} contains {{{asked}}}, the slot to answer, "
                f"{slots.count(asked)} times; write it once"
            )
    answers = tuple(dict.fromkeys(fillers[asked]))
    if len(answers) < 2:
        raise RequestError(f"{path}: {asked} has one filler; give at least two to tell apart")
    if max(map(len, answers)) > LONGEST_ANSWER:
        raise RequestError(
            f"{path}: {asked} has a filler of over {LONGEST_ANSWER} characters; shorten it"
        )
    held = _some_of(random.Random(_TEST_SEED), answers) if len(answers) >= 10 else set()
    trained = tuple(answer for answer in answers if answer not in held)
    parts = tuple(tuple(_SLOT.split(line)) for _, line in lines)
    design = Design(trained, tuple(sorted(held)), trained, parts, fillers, asked)
    rng = random.Random(_TEST_SEED)
    plain = sum(design._fill(rng).level == "none" for _ in range(2000))
    if plain < _PLAIN_SHARE * 2000:
        raise RequestError(
            f"{path}: of 2,000 sentences made from it, {plain:,} contain no other number and no "
            f"answer but {{{asked}}}; add such sentences: they show whether a reader has learned"
        )
    return design


def _fillers(where: str, name: str, text: str) -> list[str]:
    found: list[str] = []
    for piece in text.split(","):
        span = _RANGE.fullmatch(piece.strip())
        if span:
            first, last = int(span[1]), int(span[2])
            if not first <= last < first + 100_000:
                raise RequestError(
                    f"{where}: {span[0]} is not a range of at most 100,000 numbers, the smaller "
                    "one first"
                )
            found += [str(n) for n in range(first, last + 1)]
        elif piece.strip():
            found.append(piece.strip())
    if not found:
        raise RequestError(f"{where}: {name} has no fillers; add some, separated by commas")
    return found
