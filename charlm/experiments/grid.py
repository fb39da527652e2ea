"""A grid of readers and seeds. Its cells run in parallel, each exactly once, even after
interruptions.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from charlm import sealed
from charlm.errors import CharlmError, DivergenceError, RequestError
from charlm.experiments.folder import GO_ON, Folder
from charlm.experiments.measures import GridResults
from charlm.files import write_atomically
from charlm.parallel import Wanted, Workers, every

Results = TypeVar("Results", bound=GridResults)


@dataclass(frozen=True)
class Settings:
    """The settings of a grid; stored, so that an interrupted one continues with the same ones."""

    readers: tuple[str, ...]
    seeds: int
    steps: int

    def cells(self) -> list[tuple[str, int]]:
        """(reader, seed) of each cell. The reader's name is part of the names of its files.

        Seed by seed, so that a process generates each seed's data once, and from the last kind of
        reader to the first: the slow ones are listed last, so they start first and no process waits
        for one at the end."""
        return [
            (reader, seed) for seed in range(1, self.seeds + 1) for reader in reversed(self.readers)
        ]

    def describe(self) -> str:
        kinds = "1 kind" if len(self.readers) == 1 else f"{len(self.readers)} kinds"
        seeds = "1 seed" if self.seeds == 1 else f"{self.seeds} seeds"
        return f"{kinds}, {seeds}, {self.steps:,} steps each"


class Work(Protocol):
    """What a process keeps of a grid from one cell to the next (``charlm.experiments.bench``)."""

    def run(self, name: str, seed: int, updated: Callable[[int], None]) -> None:
        """Train and test one reader, and write its files, the JSON file last.

        updated: to be called with the number of steps done, after each step
        """
        ...


class Grid(Folder, ABC, Generic[Results]):
    """A grid in its directory. A concrete experiment is a subclass, which knows the question."""

    # ------------------------------------------------------------------ what an experiment adds

    @property
    @abstractmethod
    def settings(self) -> Settings:
        """The settings, from the configuration."""

    @abstractmethod
    def bench(self) -> Work:
        """What computes the cells, in a process."""

    @staticmethod
    @abstractmethod
    def recipe() -> Mapping[str, Any]:
        """Everything except the data and the number of steps that affects the result, as of this
        version of charlm. The configuration has it under ``recipe``."""

    @abstractmethod
    def results(self) -> Results:
        """The results of the finished cells; CharlmError if there are none."""

    @abstractmethod
    def table(self, results: Results) -> str:
        """The accuracies as CSV."""

    def check_recipe(self) -> None:
        """RequestError if the remaining readers would be trained differently from the finished
        ones."""
        begun, now = self.config.get("recipe", {}), self.recipe()
        other = [
            f"{name.replace('_', ' ')} {begun.get(name, 'unknown')} instead of {value}"
            for name, value in now.items()
            if begun.get(name) != value
        ]
        if other and self.unfinished():
            raise RequestError(
                f"{self.path}: started by another version of charlm ({'; '.join(other)}); finish "
                "it with that one, or choose another --out"
            )

    def unfinished(self) -> list[tuple[str, int]]:
        return [cell for cell in self.settings.cells() if not self.cell(*cell).exists()]

    def finished_cells(self) -> list[dict[str, Any]]:
        """The content of every finished cell; CharlmError if there are none."""
        files = [self.cell(*cell) for cell in self.settings.cells()]
        cells = [self.read(file, GO_ON) for file in files if file.exists()]
        if not cells:
            raise CharlmError(f"{self.path}: no reader is finished yet; continue with --resume")
        return cells

    def collect(self) -> Results:
        """Write results.json and results.csv from the finished cells."""
        results = self.results()
        write_atomically(self.results_file, sealed.as_json(results.content))
        write_atomically(self.table_file, self.table(results).encode())
        return results

    def run(self, workers: Workers, progress: Callable[[int, int], None]) -> None:
        """Compute the missing cells in parallel processes.

        progress: called with (steps done, steps in total) a few times a second, by another thread

        If a reader diverges, the others are still finished, then its DivergenceError is raised.
        KeyboardInterrupt ends the processes; finished cells remain.
        """
        missing = self.unfinished()
        if not missing:
            return
        steps = self.settings.steps
        for reader, seed in missing:
            self.cell(reader, seed, "steps").unlink(missing_ok=True)
        threads = 1 if workers.dask else max(1, (os.cpu_count() or 1) // workers.jobs)
        path = str(self.path.absolute())
        tasks = [Cell(type(self), path, *cell, threads) for cell in missing]
        finished: list[Cell] = []
        furthest = 0

        def tell() -> None:
            nonlocal furthest
            # A cell that was lost begins again; what is shown never goes back.
            begun = sum(self._steps_of(*each) for each in missing)
            furthest = max(furthest, len(finished) * steps + begun)
            progress(min(furthest, len(missing) * steps), len(missing) * steps)

        diverged: DivergenceError | None = None
        with Wanted.within(self.path / "cells") as wanted, every(0.3, tell):
            for cell, error in workers.run(compute, tasks, wanted, again="continue with --resume"):
                self.cell(cell.reader, cell.seed, "steps").unlink(missing_ok=True)
                finished.append(cell)
                if isinstance(error, DivergenceError):
                    diverged = diverged or error
                elif error is not None:
                    raise error
        if diverged is not None:
            raise diverged

    def _steps_of(self, reader: str, seed: int) -> int:
        """How far a cell is that is being computed."""
        try:
            return int(self.cell(reader, seed, "steps").read_text())
        except (OSError, ValueError):
            return 0


def versions(cells: list[dict[str, Any]]) -> dict[str, str]:
    """What the cells were made with; where they differ, all of it."""
    return {
        name: " and ".join(sorted({str(cell["made_with"][name]) for cell in cells}))
        for name in cells[0]["made_with"]
    }


# ------------------------------------------------------------------------------ in the processes


@dataclass(frozen=True)
class Cell:
    """A reader to train: the experiment, the directory of its grid, its name, its seed, on how many
    threads."""

    kind: type[Grid[Any]]
    path: str
    reader: str
    seed: int
    threads: int


_one_at_a_time = threading.Lock()
"""A process of a cluster may have several threads, but torch has one generator for all of them."""


def compute(cell: Cell, wanted: Wanted) -> None:
    """Train and test one reader, in one of the processes."""
    path = Path(cell.path)
    if not path.is_dir():
        raise CharlmError(
            f"{socket.gethostname()} does not see {path}; give an --out that is on a file system "
            "of all machines"
        )
    told = cell.kind(path).cell(cell.reader, cell.seed, "steps")
    with _one_at_a_time, _threads(cell.threads):
        bench = _bench_of(cell.kind, cell.path)
        shown = time.monotonic()

        def updated(step: int) -> None:
            nonlocal shown
            if time.monotonic() - shown >= 0.3:
                shown = time.monotonic()
                wanted.check()
                told.write_text(str(step))

        bench.run(cell.reader, cell.seed, updated)


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    """Let torch compute on so many threads. One job alone runs in the command's own process, whose
    setting is restored."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _bench_of(kind: type[Grid[Any]], path: str) -> Work:
    return kind(Path(path)).bench()
