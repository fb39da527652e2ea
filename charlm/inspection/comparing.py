"""Compare two or more models on the same text: which is better, by how much, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlm.errors import RequestError
from charlm.inspection.reading import Reading
from charlm.statistics import Blocks, chance_level, mean_interval, resample

BLOCK = 200
"""Characters that are resampled together. Neighbouring characters are not independent, so an
interval from single characters would be far too narrow."""

RESAMPLES = 2000
_MOST_BLOCKS = 4000


@dataclass(frozen=True)
class Gap:
    """How many fewer bits per character one model needs than another on the same characters.

    mean: positive if the first model is better
    low, high: 95 % bootstrap interval over blocks of text, the same blocks for both
    chance: the control, a permutation test: if the labels of the two models are swapped at random
            in each block, 95 of 100 gaps are smaller than this in absolute value
    """

    mean: float
    low: float
    high: float
    chance: float


def gap(one: Reading, other: Reading, *, block: int = BLOCK, seed: int = 0) -> Gap:
    """The paired difference of two readings of one text.

    Raises RequestError if the texts differ, or if the text has fewer than ten blocks, too few for
    an interval.
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

    A long text gets longer blocks, so that resampling them needs only a few megabytes.
    """
    if count // size < 10:
        raise RequestError(
            f"the text has {count + 1:,} characters; a comparison needs at least {10 * size + 1:,}"
        )
    return Blocks.of_size(count, max(size, count // _MOST_BLOCKS))


def differences(one: Reading, other: Reading) -> NDArray[np.float64]:
    """(N - 1,) by how many bits the surprisal under ``one`` is lower than under ``other``, from the
    second character on."""
    if one.characters != other.characters:
        raise RequestError("the models read different texts (is one of them trained with --nfc?)")
    saved: NDArray[np.float64] = (other.bits - one.bits)[1:]
    return saved


def kind_of(character: str) -> str:
    """The class of a character. Differences between models are easier to describe by class."""
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
    """The class of every character. The first letter of a word has a class of its own."""
    kinds = [kind_of(character) for character in characters]
    return [
        "word's first letter" if kind == "letter" and before not in ("letter", "capital") else kind
        for kind, before in zip(kinds, ["", *kinds], strict=False)
    ]


@dataclass(frozen=True)
class Share:
    """What one kind of character contributes to a gap: the mean gap on these characters, and their
    part of the whole gap (bits per character of the text) with its 95 % bootstrap interval."""

    kind: str
    count: int
    mean: float
    contribution: float
    low: float
    high: float


def shares(one: Reading, other: Reading, *, block: int = BLOCK, seed: int = 0) -> list[Share]:
    """The contribution of each kind of character, the largest first. They add up to the mean gap.

    The intervals are over the same blocks as in ``gap``. Raises RequestError if the text is too
    short.
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
    """The words on which ``one`` gains most, and those on which ``other`` does, each quoted with
    the words around it."""
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
