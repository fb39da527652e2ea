"""What a gap between seen and held-out places says about a reader, by rules that are the same in
every experiment."""

from __future__ import annotations

from charlm.experiments.measures import Estimate
from charlm.experiments.tables import percent

GREAT, SMALL = 0.1, 0.01
"""Gaps in accuracy between seen and held-out places that count as large and as small."""
NEAR = 0.02
"""A reader generalizes only if the interval of its gap ends below this."""

LOST, LOSES, KEEPS, UNCLEAR = "lost", "loses", "keeps", "unclear"


def of(gap: Estimate) -> str:
    """The verdict about a trained reader.

    gap: its accuracy at seen places minus that at held-out ones

    LOST     what it learned does not generalize: the mean gap is large
    LOSES    it does a little worse: the interval of the gap is above what counts as small
    KEEPS    what it learned generalizes: the interval ends near zero
    UNCLEAR  the seeds differ too much to say
    """
    if gap.mean > GREAT:
        return LOST
    if gap.low > SMALL:
        return LOSES
    return KEEPS if gap.high <= NEAR else UNCLEAR


def clause(gap: Estimate, where: str) -> str:
    """The verdict as the end of a sentence about a reader.

    where: what was held out, such as "other positions"
    """
    return {
        LOST: f": what it learned does not generalize to {where}.",
        LOSES: f": it loses {percent(gap)} points at {where}.",
        KEEPS: f": what it learned generalizes to {where}.",
        UNCLEAR: "; its seeds differ too much to say whether it generalizes.",
    }[of(gap)]
