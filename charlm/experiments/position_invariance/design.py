"""What is trained on and what is tested on, so that no answer leaks from one to the other.

Words differ in length, so holding out places among the words holds out nothing. What is held out
here are bands of character offsets: in training no character of the answer ever stands in one.
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
from charlm.experiments.position_invariance.examples import LONGEST, Example, Pool
from charlm.grammar.chance import Rng, pick
from charlm.seeds import derive

BANDS = ((24, 33), (52, 61))
"""First and last offset of each held-out band, both included."""

LONG = (LONGEST + 1, 400)
"""Characters of the sentences that are longer than any that was trained."""

POOL = 100_000
"""Natural sentences from which those of a seed are made."""

_TEST_SEED = 2009
_HELD_OUT_SHARE = 0.2


@dataclass(frozen=True)
class Design:
    """The question: which answers there are, where they may stand, what they stand in."""

    trained: tuple[str, ...]
    held_out: tuple[str, ...]
    common: tuple[str, ...]  # half of the training sentences ask for one of these
    lines: tuple[tuple[str, ...], ...] = ()  # of a template: texts and {slots}
    fillers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    asked: str = ""

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
    def starts(self) -> tuple[int, ...]:
        """Every offset at which an answer may begin."""
        return tuple(range(LONGEST - self.width + 1))

    @property
    def seen_starts(self) -> tuple[int, ...]:
        """Those of training: no character of the answer stands in a band."""
        return tuple(s for s in self.starts if not self._touches(s))

    @property
    def held_out_starts(self) -> tuple[int, ...]:
        """Those at which every character of the answer stands in a band."""
        return tuple(
            s for s in self.starts if any(a <= s and s + self.width - 1 <= b for a, b in BANDS)
        )

    def _touches(self, start: int) -> bool:
        return any(start <= b and start + self.width - 1 >= a for a, b in BANDS)

    def pool(self, rng: Rng, size: int = POOL) -> Pool:
        return Pool(rng, examples.italian if self.italian else self._fill, size)

    def _fill(self, rng: Rng) -> Example:
        text, start, answer = "", -1, pick(rng, self.trained)
        others: list[str] = []
        for number, part in enumerate(pick(rng, self.lines)):
            if number % 2 == 0:
                text += part
            elif part == self.asked:
                start = len(text)
                text += answer
            else:
                others.append(pick(rng, self.fillers[part]))
                text += others[-1]
        rest = text[:start] + text[start + len(answer) :]
        known = self.trained + self.held_out
        level = "none"
        if any(other in known for other in others):
            level = "years"
        elif any(map(str.isdigit, rest)):
            level = "numbers"
        return Example(text, answer, start, level)

    def training(self, seed: int, count: int) -> list[Example]:
        """``count`` sentences for one seed."""
        return self._mixture(random.Random(derive(seed, "examples")), count)

    def validation(self, seed: int, count: int = 500) -> list[Example]:
        """Further sentences like those of training, for the learning curve."""
        return self._mixture(random.Random(derive(seed, "examples", 1)), count)

    def _mixture(self, rng: Rng, count: int) -> list[Example]:
        """Half of them with nothing else, the rest with numbers or with other answers; a template
        gives what it has. Half of them ask for a common answer."""
        pool = self.pool(rng, min(POOL, 10 * count))
        levels = ["none", *pool.levels] if "none" in pool.levels else pool.levels
        drawn = examples.draw(
            rng, pool, levels, (self.trained, self.common), self.seen_starts, italian=self.italian
        )
        return list(islice(drawn, count))

    def tests(self, per_offset: int) -> dict[str, list[Example]]:
        """The test sets, the same for every seed and reader.

        none, numbers, years    ``per_offset`` sentences for every offset, seen and held out, by
                                what else stands in them
        held-out answers        at seen offsets, nothing else in them
        long sentences          of 121 to 400 characters, nothing else in them
        """
        rng = random.Random(_TEST_SEED)
        pool = self.pool(rng)
        many = 20 * per_offset

        def some(
            level: str, answers: tuple[str, ...], starts: Sequence[int], longest: int = LONGEST
        ) -> Iterator[Example]:
            return examples.draw(
                rng, pool, [level], [answers], starts,
                moved_share=1.0, italian=self.italian, longest=longest,
            )  # fmt: skip

        found = {
            level: [
                each
                for start in self.starts
                for each in islice(some(level, self.common, [start]), per_offset)
            ]
            for level in pool.levels
        }
        plain = pool.levels[0]
        if self.held_out:
            drawn = some(plain, self.held_out, self.seen_starts)
            found["held-out answers"] = list(islice(drawn, many))
        shortest, longest = LONG
        far = some(plain, self.common, range(longest - self.width + 1), longest)
        found["long sentences"] = list(
            islice((each for each in far if len(each.text) >= shortest), many)
        )
        return found

    def to_dict(self) -> dict[str, Any]:
        return {
            "trained": list(self.trained),
            "held_out": list(self.held_out),
            "common": list(self.common),
            "lines": [list(line) for line in self.lines],
            "fillers": {name: list(values) for name, values in self.fillers.items()},
            "asked": self.asked,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Design:
        """The inverse of ``to_dict``."""
        return cls(
            tuple(values["trained"]),
            tuple(values["held_out"]),
            tuple(values["common"]),
            tuple(map(tuple, values["lines"])),
            {name: tuple(fillers) for name, fillers in values["fillers"].items()},
            values["asked"],
        )


def years() -> Design:
    """The question of this experiment: years of 1000 to 2099, half of them of 1900 to 2029; a fifth
    of each part is never asked for in training."""
    rng = random.Random(_TEST_SEED)
    recent = [str(year) for year in range(1900, 2030)]
    older = [str(year) for year in (*range(1000, 1900), *range(2030, 2100))]
    held = set(rng.sample(recent, round(_HELD_OUT_SHARE * len(recent))))
    held_older = set(rng.sample(older, round(_HELD_OUT_SHARE * len(older))))
    common = tuple(year for year in recent if year not in held)
    trained = common + tuple(year for year in older if year not in held_older)
    # Tested are the recent ones: the others serve to keep a reader from learning years by heart.
    return Design(trained, tuple(sorted(held)), common)


_DEFINITION = re.compile(r"\s*(\w+)\s*[:=]\s*(.+)")
_SLOT = re.compile(r"\{(\w+)\}")
_RANGE = re.compile(r"(\d+)\s*-\s*(\d+)")


def from_template(path: Path) -> Design:
    """A question about the user's own sentences.

    The file holds sentences with slots in braces, one a line, and for every slot a line of fillers
    separated by commas; ``1950-2025`` stands for all numbers of that range. Asked is the slot
    {slot}, or {year}, or the one defined first. Raises RequestError, naming the line.

        slot: 1950-2025
        place: Rome, Nepal, the Alps
        I went to {place} in {slot}.
        In {slot} we left {place} for good.
    """
    from charlm.corpus import read_text

    lines: list[tuple[int, str]] = []
    fillers: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(read_text([str(path)]).text.splitlines(), 1):
        defined = _DEFINITION.fullmatch(line)
        if defined and not _SLOT.search(line):
            fillers[defined[1]] = tuple(_fillers(defined[2]))
        elif line.strip() and not line.lstrip().startswith("#"):
            lines.append((number, line.strip()))
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
                f"{path}: line {number} has {{{unknown[0]}}}, for which there are no fillers; add "
                f"a line {unknown[0]}: one, another"
            )
        if slots.count(asked) != 1:
            raise RequestError(
                f"{path}: line {number} holds {{{asked}}}, which is asked about, "
                f"{slots.count(asked)} times; write it once"
            )
    answers = tuple(dict.fromkeys(fillers[asked]))
    if len(answers) < 2:
        raise RequestError(f"{path}: {asked} has one filler; give at least two to tell apart")
    if max(map(len, answers)) > 40:
        raise RequestError(f"{path}: {asked} has a filler of over 40 characters; shorten it")
    rng = random.Random(_TEST_SEED)
    held = rng.sample(answers, round(_HELD_OUT_SHARE * len(answers))) if len(answers) >= 10 else []
    trained = tuple(answer for answer in answers if answer not in held)
    parts = tuple(tuple(_SLOT.split(line)) for _, line in lines)
    return Design(trained, tuple(sorted(held)), trained, parts, fillers, asked)


def _fillers(text: str) -> list[str]:
    found: list[str] = []
    for piece in text.split(","):
        span = _RANGE.fullmatch(piece.strip())
        if span and int(span[1]) <= int(span[2]) < int(span[1]) + 100_000:
            found += [str(n) for n in range(int(span[1]), int(span[2]) + 1)]
        elif piece.strip():
            found.append(piece.strip())
    return found
