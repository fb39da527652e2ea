"""Items that a model writes: new ones, and ones of a pattern."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from charlm.config import SampleConfig
from charlm.errors import RequestError
from charlm.lockstep import ABREAST
from charlm.single import Avoid

if TYPE_CHECKING:
    from charlm.generate import CharLM, Label

MOST_DRAWN = 1000
"""Items that are drawn for each one that is asked for, before giving up."""

ANY, REST = "?", "*"


@dataclass
class Drawn:
    """How many items were drawn, and why some of them were not taken.

    known: of those drawn, how many are in the list; again: how many had been drawn before
    """

    drawn: int = 0
    known: int = 0
    again: int = 0

    @property
    def share_known(self) -> float:
        """The share of the drawn items that are in the list."""
        return self.known / max(1, self.drawn)


def new_items(
    model: CharLM,
    known: Collection[str],
    count: int,
    config: SampleConfig,
    *,
    prompt: str = "",
    label: Label = None,
    avoid: Avoid | None = None,
    counted: Drawn | None = None,
) -> Iterator[tuple[int, str, Label]]:
    """Yield (number of the sample, item, what it was written of) of ``count`` items that are not in
    ``known``, none of them twice.

    known: the items of the list, and of any other list
    prompt: how every item begins; it is part of the item
    counted: is kept up to date while items are drawn; of several lists, all of them

    Fewer come if ``MOST_DRAWN`` times as many were drawn, or if the model can write no other.
    """
    counted = counted if counted is not None else Drawn()
    known, found = frozenset(known), set[str]()
    batch = max(ABREAST, count)
    seed = secrets.randbits(32) if config.seed is None else config.seed
    for begin in range(0, MOST_DRAWN * count, batch):
        # Another seed for each batch: the numbers of the samples begin again.
        config = replace(config, seed=(seed + begin // batch) % 2**63)
        streams = model.streams(prompt, config, batch, label=label, avoid=avoid)
        for number, pieces in enumerate(streams):
            item = prompt + "".join(pieces)
            counted.drawn += 1
            if item in known:
                counted.known += 1
            elif item in found or not item:
                counted.again += 1
            else:
                found.add(item)
                yield begin + number, item, model.label_of(config, number, label)
                if len(found) == count:
                    return


def of_pattern(model: CharLM, pattern: str, prompt: str = "") -> Avoid:
    """The ``avoid`` of items that look like ``pattern``: ``?`` is any one character, ``*`` at the
    end any number of them, and every other character itself.

    Each character is drawn as the model continues what stands before it, among those that fit: it
    does not look ahead at the rest of the pattern. RequestError for a pattern that no item of this
    model can have, or none that begins with ``prompt``.
    """
    tokenizer, end = model.tokenizer, model.end
    if not end:
        raise RequestError("--pattern is for a model of items; train with --items")
    if tokenizer.kind != "char":
        raise RequestError("--pattern needs a model of characters; this one is of bytes")
    fixed = pattern.removesuffix(REST)
    if REST in fixed:
        raise RequestError(f"--pattern {pattern!r} has a {REST} inside; put it at the end")
    if not fixed:
        raise RequestError("--pattern has no character; give one such as ?a?a or Ma*")
    unknown = [c for c in fixed if c != ANY and len(tokenizer.unseen(c))]
    if unknown or end in fixed:
        raise RequestError(f"--pattern has {(unknown or [end])[0]!r}, which no item has")
    fits = all(a in (ANY, b) for a, b in zip(fixed, prompt, strict=False))
    if not fits or (len(prompt) > len(fixed) and not pattern.endswith(REST)):
        raise RequestError(f"no item of --pattern {pattern!r} begins with {prompt[:40]!r}")
    every = frozenset(getattr(tokenizer, "characters", ""))
    allowed: list[frozenset[str]] = [
        every - {end} if character == ANY else frozenset(character) for character in fixed
    ]
    after = every if pattern.endswith(REST) else frozenset(end)

    def avoid(text: str) -> Collection[str]:
        place = len(text) - 1  # the text begins with the end symbol of the item before it
        return every - (allowed[place] if place < len(allowed) else after)

    return avoid
