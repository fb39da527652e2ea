"""The runs of one configuration together, whatever their seed, the best configuration first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from charlm.sweeps.design import Cell, Value
from charlm.sweeps.work import Outcome


@dataclass(frozen=True)
class Row:
    """The finished runs of one configuration, the best first.

    values: of the grid, in its order
    names, outcomes: of every run
    """

    values: tuple[Value, ...]
    names: tuple[str, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def bits(self) -> float:
        """Mean bits per character over the seeds."""
        return self._mean([each.bits_per_char for each in self.outcomes])

    @property
    def spread(self) -> tuple[float, float]:
        """Bits per character of the best and of the worst seed."""
        return self.outcomes[0].bits_per_char, self.outcomes[-1].bits_per_char

    @property
    def test_bits(self) -> float | None:
        """Mean bits per character of the test text; None if none was held back."""
        found = [each.test_bits for each in self.outcomes if each.test_bits is not None]
        return self._mean(found) if found else None

    @property
    def network_bits(self) -> float:
        """Mean bits per character of the networks alone."""
        return self._mean([each.network_bits for each in self.outcomes])

    @property
    def seconds(self) -> float:
        """Mean seconds of training, evaluation included."""
        return self._mean([each.seconds for each in self.outcomes])

    @property
    def steps(self) -> float:
        """Mean number of training steps that were made."""
        return self._mean([each.steps for each in self.outcomes])

    @staticmethod
    def _mean(values: Sequence[float]) -> float:
        return sum(values) / len(values)


def merit(outcome: Outcome) -> tuple[float, float]:
    """What runs are sorted by: the loss, and that of the network where counts decide everything."""
    return outcome.bits_per_char, outcome.network_bits


def best(finished: dict[str, Outcome]) -> str | None:
    """The name of the best run, if any is finished."""
    return min(finished, key=lambda name: merit(finished[name]), default=None)


def rank(cells: Sequence[Cell], finished: dict[str, Outcome]) -> list[Row]:
    """A row for every configuration of which a run is finished, the lowest mean loss first."""
    groups: dict[tuple[Value, ...], list[str]] = {}
    for cell in cells:
        if cell.name in finished:
            groups.setdefault(cell.group, []).append(cell.name)
    rows = []
    for values, names in groups.items():
        names.sort(key=lambda name: merit(finished[name]))
        rows.append(Row(values, tuple(names), tuple(finished[name] for name in names)))
    return sorted(rows, key=lambda row: (row.bits, row.network_bits))
