"""The legs of a run: a run that is finished can go on, on a schedule of its own.

A leg is a stretch of training steps with a warm-up, a peak and a fall of the learning rate. The
configuration of a run is that of its current leg: a new leg gets its own length, peak, intervals
and patience, and keeps everything else. Its schedule counts from the step at which it begins:

    learning rate at step t = learning_rate(configuration of the leg, t - begin)

Weights, optimizer, hidden state, batches and dropout go on as if there were no legs. What the legs
before have made is part of the progress that a checkpoint stores; a run from before there were legs
has none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from charlm.errors import CheckpointError
from charlm.training.numbers import read_numbers


@dataclass(frozen=True)
class Leg:
    """A leg that is over.

    steps: how many training steps it made
    learning_rate: its peak
    seconds: how long it took, evaluation included
    """

    steps: int
    learning_rate: float
    seconds: float


def legs_from(values: Any) -> tuple[Leg, ...]:
    """The inverse of ``asdict`` for every leg of a list; CheckpointError for anything else."""
    if not isinstance(values, list | tuple):
        raise CheckpointError("the run's legs are damaged (not a list)")
    found = tuple(read_numbers(Leg, each, "legs are") for each in values)
    legs = tuple(leg for leg in found if leg is not None and leg.steps and leg.learning_rate)
    if len(legs) < len(found):
        raise CheckpointError("the run's legs are damaged (one of them is empty)")
    return legs


def facts_of(earlier: Sequence[Leg], steps: int, learning_rate: float) -> list[dict[str, Any]]:
    """What a model says about the legs of its run: the steps and the peak of each.

    steps, learning_rate: of the current leg, the last one of the list
    """
    every = [*((leg.steps, leg.learning_rate) for leg in earlier), (steps, learning_rate)]
    return [{"steps": made, "learning_rate": peak} for made, peak in every]
