"""Two or more models on the same text: which is better, by how much, how surely, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlm.errors import RequestError
from charlm.inspection.reading import Reading
from charlm.statistics import Blocks, chance_level, mean_interval, resample

BLOCK = 200
"""Characters that are resampled together: neighbours are not independent, so single characters
would give an interval far too narrow."""

RESAMPLES = 2000
_MOST_BLOCKS = 4000


@dataclass(frozen=True)
class Gap:
    """How many bits per character a model takes less than another on the same characters.

    mean: positive where the first one is better
    low, high: 95 % bootstrap interval over blocks of text, the same blocks for both
    chance: the control: 95 of 100 gaps are smaller than this, in size, where in every block it is
            drawn by lot which of the two models is which
    """

    mean: float
    low: float
    high: float
    chance: float


def gap(one: Reading, other: Reading, *, block: int = BLOCK, seed: int = 0) -> Gap:
    """The paired difference of two readings of one text.

    RequestError where they are of different texts, or the text has fewer than ten blocks and no
    interval can be given.
    """
    saved = differences(one, other)
    blocks = _blocks(len(saved), block)
    sums = blocks.sums(saved)
    rng = np.random.default_rng(seed)
    low, high = mean_interval(sums, resample(len(blocks), RESAMPLES, rng), blocks.sizes)
    chance = chance_level(sums / len(saved), RESAMPLES, rng)
    return Gap(float(saved.mean()), low, high, chance)


def _blocks(count: int, size: int) -> Blocks:
    """``count`` characters in blocks of ``size``; RequestError for fewer than ten blocks.

    A long text gets longer blocks, so that resampling them needs no more than some megabytes.
    """
    if count // size < 10:
        raise RequestError(
            f"the text has {count + 1:,} characters; a comparison needs at least {10 * size + 1:,}"
        )
    return Blocks.of_size(count, max(size, count // _MOST_BLOCKS))


def differences(one: Reading, other: Reading) -> NDArray[np.float64]:
    """(N - 1,) bits by which ``one`` is less surprised than ``other``, from the second character
    on."""
    if one.characters != other.characters:
        raise RequestError("the models read different texts (is one of them trained with --nfc?)")
    saved: NDArray[np.float64] = (other.bits - one.bits)[1:]
    return saved


def kind_of(character: str) -> str:
    """A coarse class: where models differ is easier to say of these than of characters."""
    if character == "\n":
        return "line end"
    if character.isspace():
        return "space"
    if character.isdigit():
        return "digit"
    if character.isalpha():
        return "capital" if character.isupper() else "letter"
    return "other sign"


def by_place(characters: str) -> list[str]:
    """Of every character its class, a word's first letter apart from those that follow."""
    kinds = [kind_of(character) for character in characters]
    return [
        "word's first letter" if kind == "letter" and before not in ("letter", "capital") else kind
        for kind, before in zip(kinds, ["", *kinds], strict=False)
    ]


@dataclass(frozen=True)
class Share:
    """What one kind of character contributes to a gap: its mean there, and how much of the whole
    gap comes from it (bits per character of the text), with its 95 % bootstrap interval."""

    kind: str
    count: int
    mean: float
    contribution: float
    low: float
    high: float


def shares(one: Reading, other: Reading, *, block: int = BLOCK, seed: int = 0) -> list[Share]:
    """Where the gap comes from, the largest contribution first; they add up to the gap's mean.

    The intervals are over the blocks of ``gap``, and its RequestError for too short a text.
    """
    saved = differences(one, other)
    blocks = _blocks(len(saved), block)
    drawn = resample(len(blocks), RESAMPLES, np.random.default_rng(seed))
    kinds = np.array(by_place(one.characters)[1:])
    found = []
    for kind in np.unique(kinds):
        inside = kinds == kind
        sums = blocks.sums(np.where(inside, saved, 0.0))
        low, high = mean_interval(sums, drawn, blocks.sizes)
        found.append(
            Share(
                str(kind),
                int(inside.sum()),
                float(saved[inside].mean()),
                float(saved[inside].sum() / len(saved)),
                low,
                high,
            )
        )
    return sorted(found, key=lambda share: -abs(share.contribution))


def extremes(one: Reading, other: Reading, count: int) -> tuple[list[str], list[str]]:
    """Words at which one model gains most on the other, and the other on it; each in its place of
    the text, between the words beside it."""
    spans = one.spans("word")
    gains = np.array([np.nansum((other.bits - one.bits)[a:b]) for a, b in spans])
    order = np.argsort(-gains, kind="stable")

    def quote(place: int) -> str:
        begin, end = spans[place]
        before = one.characters[max(0, begin - 20) : begin]
        return f"{gains[place]:+.1f} bits  {before}[{one.characters[begin:end]}]"

    best: Sequence[int] = [n for n in order[:count].tolist() if gains[n] > 0]
    worst: Sequence[int] = [n for n in order[::-1][:count].tolist() if gains[n] < 0]
    return [quote(n) for n in best], [quote(n) for n in worst]
