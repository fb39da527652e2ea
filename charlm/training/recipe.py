"""Which model for this text and this time: what ``--minutes`` chooses if the user does not.

The question is how many steps of training fit. A wide layer learns more from each character, a
narrow one reads more of them: with few steps the narrow one wins, and small batches, which give it
more of them; with many the wide one. A short text is read many times either way, and a wide layer
only learns it by heart sooner. The thresholds come from the grid in docs/figures.md; dropout
follows from the number of passes over the text (``config.default_dropout``).
"""

from __future__ import annotations

from dataclasses import dataclass

NARROW, WIDE = 256, 512

WIDE_FROM_STEPS = 4500
"""From how many steps of 64 x 64 characters at ``NARROW`` units on the wide layer is better."""

WIDE_FROM_CHARACTERS = 500_000
"""Shorter texts are learnt by heart before the width pays."""

SMALL_BATCH = 32


@dataclass(frozen=True)
class Recipe:
    """hidden_size, batch_size: None leaves the default; reason: one line for the user"""

    hidden_size: int
    batch_size: int | None
    reason: str


def choose(steps: int, characters: int, *, batch_is_open: bool = True) -> Recipe:
    """The recipe for a text of ``characters`` to train on.

    steps: how many training steps of 64 x 64 characters of an LSTM of ``NARROW`` units fit in the
        time, as measured on this machine
    batch_is_open: whether the batch size may be chosen too

    >>> [choose(steps, 1_000_000).hidden_size for steps in (1500, 5000)]
    [256, 512]
    """
    fit = f"about {steps:,} steps of {NARROW} units and 64x64 characters fit"
    if steps < WIDE_FROM_STEPS:
        reason = f"{NARROW} units: {fit}, too few for a wider layer"
        if not batch_is_open:
            return Recipe(NARROW, None, reason)
        return Recipe(NARROW, SMALL_BATCH, f"{reason}; batches of {SMALL_BATCH} give twice as many")
    if characters < WIDE_FROM_CHARACTERS:
        reason = f"{NARROW} units: a wider layer would learn {characters:,} characters by heart"
        return Recipe(NARROW, None, reason)
    return Recipe(WIDE, None, f"{WIDE} units: {fit}, enough for a layer that wide")
