"""The pace of a run with ``--minutes``: how many steps are left in the time that is left.

The schedule of a run has a fixed number of places, ``config.steps``, on which learning rate and
evaluations depend. Usually every training step is one place further. If the machine turns out
slower or faster than it was before step 0, the steps that are left become longer or shorter on the
schedule, so that the run still ends at its end, and in time:

    place = place at the last plan + steps since then * (places left / steps left), then

A plan is made from the speed of the last steps. It is part of the progress that a checkpoint
stores, so a resumed run continues on the same schedule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from charlm.training.numbers import read_numbers

PLANS = 40
"""About how often a run is planned again: a change of speed costs at most this part of it."""


NEWEST = 0.5
"""Weight of the steps since the last plan in the average. A burst of another program's work that is
over soon does not count for much, and when a long one is over, the run still notices in time."""


@dataclass(frozen=True)
class Pace:
    """A plan, and the times it is based on, in seconds.

    budget: from step 0 until everything is done, the end of the run included
    update, evaluation, final: of a training step, of an evaluation with its checkpoint, and of the
        end of the run (counting, the exact pass)
    end: the last step; ``step`` and ``place``: where the plan was made
    recent: seconds of a training step, averaged over the last plans; 0: ``update``
    """

    budget: float
    update: float
    evaluation: float
    final: float
    end: int
    step: int = 0
    place: float = 0.0
    recent: float = 0.0

    @classmethod
    def from_dict(cls, values: Any) -> Pace | None:
        """The inverse of ``asdict``; CheckpointError for anything else."""
        return read_numbers(cls, values, "pace is")

    def at(self, step: int, steps: int) -> float:
        """The place of ``step`` on a schedule of ``steps`` places.

        >>> Pace(60.0, 0.1, 1.0, 1.0, end=50, step=10, place=20.0).at(30, steps=100)
        60.0
        """
        if step >= self.end:
            return float(steps)
        share = (step - self.step) / (self.end - self.step)
        return self.place + (steps - self.place) * share

    def again(
        self,
        step: int,
        steps: int,
        *,
        used: float,
        update: float,
        evaluations: int,
        evaluation: float | None = None,
    ) -> Pace:
        """The plan from ``step`` on.

        used: seconds of the budget
        update: seconds of each training step since the last plan; if they are slower than at the
            start, evaluations and the end of the run will be slower too
        evaluations: how many are to come
        evaluation: seconds of the one that was just made, if one was
        """
        recent = (1 - NEWEST) * (self.recent or self.update) + NEWEST * update
        # Not below 1: if another program was busy while the first steps were timed, the end of the
        # run may have been timed without it. Not above 1.5: threads that wait for each other make
        # training steps far slower than the end of the run, which has one thread.
        slower = min(1.5, max(1.0, recent / self.update))
        each = self.evaluation
        if evaluation is not None:
            # What another program has made slower is not expected to remain so.
            usual = evaluation / max(1.0, recent / self.update)
            each = evaluation if evaluation < each else max(each, usual)
        left = self.budget - used - slower * (self.final + evaluations * each)
        end = step + max(0, int(left / recent))
        return replace(
            self, evaluation=each, end=end, step=step, place=self.at(step, steps), recent=recent
        )
