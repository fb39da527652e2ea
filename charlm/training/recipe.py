"""Which model for this text and this time: what ``--minutes`` chooses if the user does not.

The question is how many steps of training fit. A wide layer learns more from each character, a
narrow one reads more of them: with few steps the narrow one wins, with many the wide one. A short
text is read many times either way, and a wide layer only learns it by heart sooner.

On a processor half a batch takes half the time, and twice as many steps are worth more than what
their gradients lose, unless there is no time to read the text twice. For the widest layer the
weights are most of what a core reads, so its batch is whole. On a GPU a small batch takes as long
as a large one.

The thresholds come from the grid in docs/figures.md; dropout follows from the number of passes over
the text (``config.default_dropout``).
"""

from __future__ import annotations

from dataclasses import dataclass

from charlm.text.streams import DEFAULT_BATCH_SIZE, DEFAULT_SEQ_LEN

NARROW = 256

WIDER = ((20_000, 512), (8_000, 384))
"""(from how many steps of 64 x 64 characters at ``NARROW`` units on, which width is better)"""

WIDE_FROM_CHARACTERS = 500_000
"""Shorter texts are learnt by heart before the width pays."""

SMALL_BATCH, SMALL_BATCH_UP_TO = 32, 384
"""The batch on a processor, for layers up to this width."""

SMALL_BATCH_FROM_PASSES = 2
"""A text that is read less often than this gains more from being read further."""


@dataclass(frozen=True)
class Recipe:
    """hidden_size, batch_size: None leaves the default; reason: one line for the user"""

    hidden_size: int
    batch_size: int | None
    reason: str


def choose(
    steps: int, characters: int, *, processor: bool = True, batch_is_open: bool = True
) -> Recipe:
    """The recipe for a text of ``characters`` to train on.

    steps: how many training steps of 64 x 64 characters of an LSTM of ``NARROW`` units fit in the
        time, as measured on this machine
    processor: whether it is a processor, not a GPU
    batch_is_open: whether the batch size may be chosen too

    >>> [choose(steps, 1_000_000).hidden_size for steps in (1500, 10_000, 50_000)]
    [256, 384, 512]
    """
    width = next((width for least, width in WIDER if steps >= least), NARROW)
    fit = f"about {steps:,} steps of {NARROW} units and 64x64 characters fit"
    if width > NARROW and characters < WIDE_FROM_CHARACTERS:
        width, why = NARROW, f"a wider layer would learn {characters:,} characters by heart"
    elif width > NARROW:
        why = f"{fit}, enough for a layer that wide"
    else:
        why = f"{fit}, too few for a wider layer"
    passes = steps * DEFAULT_BATCH_SIZE * DEFAULT_SEQ_LEN / characters
    often = passes >= SMALL_BATCH_FROM_PASSES
    if batch_is_open and processor and often and width <= SMALL_BATCH_UP_TO:
        why += f"; batches of {SMALL_BATCH} give twice as many"
        return Recipe(width, SMALL_BATCH, f"{width} units: {why}")
    return Recipe(width, None, f"{width} units: {why}")
