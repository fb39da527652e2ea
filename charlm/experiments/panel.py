"""The trained readers of an experiment, to be asked: those of one kind, one for each seed, vote."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

from charlm.errors import RequestError
from charlm.experiments.grid import Grid
from charlm.experiments.measures import GridResults

Results = TypeVar("Results", bound=GridResults)
Reader = TypeVar("Reader")
Vote = TypeVar("Vote")


class Panel(ABC, Generic[Results, Reader]):
    """All trained readers of an experiment. How they answer is up to the experiment."""

    def __init__(self, grid: Grid[Results]) -> None:
        self.path = grid.path
        self.cell = grid.cell
        self.results = grid.results()

    @abstractmethod
    def load(self, path: Path, name: str) -> Reader:
        """The reader of a kind from its file; CheckpointError if it is damaged."""

    @property
    def readers(self) -> list[str]:
        """The kinds that can be asked."""
        return self.results.readers

    def members(self, name: str) -> list[Reader]:
        """The readers of that kind, one per finished seed; RequestError for an unknown kind."""
        if name not in self.readers:
            raise RequestError(f"--reader is {name!r}; {self.path} has {', '.join(self.readers)}")
        return [
            self.load(self.cell(name, seed, "safetensors"), name)
            for seed in self.results.seeds(name)
        ]


def majority(votes: Sequence[Vote]) -> Vote:
    """The most frequent vote, the first of them in a tie."""
    return Counter(votes).most_common(1)[0][0]
