"""The directory of a sweep.

sweep.json          which text, which runs, and which of all that are finished here is the best
cells/NAME.json     a finished run: its configuration and what it has reached, written last
cells/NAME.txt      what ``charlm train`` printed
runs/NAME/          the run itself
results.csv         a line per finished run of the newest grid
loss.svg, loss.png  the figure

NAME is the hash of the configuration. So the same command computes what is missing, and a larger
grid only what is new.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

from charlm import sealed
from charlm.errors import CharlmError, CheckpointError, RequestError
from charlm.files import write_atomically
from charlm.parallel import UnwantedError, Wanted, Workers, every
from charlm.rundir import SWEEP_FILE, Run, is_leftover, locked_directory, sweep_away
from charlm.sweeps import ranking, work
from charlm.sweeps.design import NAME_LENGTH, Cell, Design
from charlm.sweeps.work import Outcome, Task

FORMAT = "charlm-sweep/1"
AGAIN = "choose another --name"

_OURS = {SWEEP_FILE, "cells", "runs", "results.csv", "loss.svg", "loss.png"}
"""What there may be in the directory of a sweep."""

Finished = dict[str, Outcome]
"""The outcome of every finished run, by its name."""


class Sweep:
    """A sweep and its files."""

    def __init__(self, path: Path, design: Design) -> None:
        self.path = path
        self.design = design
        self.cells = design.cells()
        self.file = path / SWEEP_FILE
        self.table = path / "results.csv"
        self._finished: Finished = {}  # what has been read once

    def check(self) -> None:
        """RequestError if the directory is that of something else, or of another text."""
        if not os.path.lexists(self.path):
            return
        if not (self.path.is_dir() and (self.file.exists() or self._only_ours())):
            raise RequestError(f"{self.path} exists and is not a sweep; {AGAIN}")
        texts = [content["configuration"]["text"] for content in self._results().values()]
        if self.file.exists():
            try:
                found = sealed.read(self.file, AGAIN)
            except CheckpointError:
                found = {"format": FORMAT}  # it is written anew; the results have checksums too
            if found.get("format") != FORMAT:
                raise CheckpointError(f"{self.file}: of another version of charlm; {AGAIN}")
            texts += [found["text"]] if "text" in found else []
        if any(text != self.design.text for text in texts):
            raise RequestError(
                f"{self.path} is a sweep of another text, or of one that is divided otherwise; "
                f"their losses cannot be compared; {AGAIN}"
            )

    def _only_ours(self) -> bool:
        """Whether the directory could be a sweep whose sweep.json is lost, or not yet written."""
        return all(each.name in _OURS or is_leftover(each) for each in self.path.iterdir())

    def begin(self) -> None:
        """Make the directory. Raises CharlmError if that is impossible."""
        try:
            for folder in (self.path / "cells", self.path / "runs"):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CharlmError(
                f"{self.path}: cannot be made ({error.strerror}); choose another --out"
            ) from error

    def locked(self) -> AbstractContextManager[None]:
        """Hold the directory's lock; BusyError if another process holds it."""
        return locked_directory(
            self.path, f"{self.path} is being trained by another process; wait for it, or {AGAIN}"
        )

    def task(self, cell: Cell) -> Task:
        return Task(str(self.path.absolute()), cell.name, cell.configuration, cell.arguments)

    def _results(self) -> dict[str, dict[str, Any]]:
        """The content of every valid result in the directory, whatever grid it belongs to."""
        found = {}
        for path in sorted((self.path / "cells").glob("*.json")):
            with contextlib.suppress(CheckpointError):
                content = sealed.read(path, "")
                named = sealed.digest(content.get("configuration", {}))[:NAME_LENGTH]
                run = Run(self.path / "runs" / path.stem)
                if (
                    content.get("format") == work.FORMAT
                    and named == path.stem
                    and run.best.exists()
                ):
                    found[path.stem] = content
        return found

    @cached_property
    def _before(self) -> Finished:
        """What was finished in the directory when it was first asked for, also of other grids."""
        return {name: Outcome(**each["outcome"]) for name, each in self._results().items()}

    def best(self) -> str | None:
        """The name of the best run in the directory, whatever grid it belongs to."""
        return ranking.best(self._before | self.finished())

    def finished(self) -> Finished:
        """What is there of the runs of this sweep. CheckpointError for a damaged file."""
        for cell in self.cells:
            task = self.task(cell)
            path = task.result
            if cell.name in self._finished or not path.exists():
                continue
            remedy = "remove it and give the command again"
            content = sealed.read(path, remedy)
            if content.get("format") != work.FORMAT or (
                content.get("configuration") != cell.configuration
            ):
                raise CheckpointError(f"{path}: of another run; {remedy}")
            if task.run.best.exists():
                self._finished[cell.name] = Outcome(**content["outcome"])
        return dict(self._finished)

    def run(
        self,
        workers: Workers,
        told: Callable[[Finished], None],
        watch: Callable[[], None],
        interrupted: Callable[[], bool],
    ) -> dict[str, CharlmError]:
        """Make the runs that are missing; the errors of those that failed, by name.

        told: called after every run with all that are finished
        watch: called a few times a second, by another thread
        interrupted: whether to save the runs that are being made, and stop
        """
        finished = self.finished()
        missing = [self.task(cell) for cell in self.cells if cell.name not in finished]
        errors: dict[str, CharlmError] = {}
        self.write(finished)
        if not missing:
            return errors

        def look() -> None:
            if interrupted():
                wanted.withdraw()
            # Whatever cannot be shown must not keep Ctrl-C from being seen.
            with contextlib.suppress(CharlmError, OSError):
                watch()

        for folder in (self.path, self.path / "cells"):
            sweep_away(folder)
        Wanted.withdraw_old(self.path / "cells")
        with Wanted.within(self.path / "cells") as wanted, every(LOOK_AGAIN, look):
            for task, error in workers.run(work.train, missing, wanted):
                if isinstance(error, UnwantedError):
                    continue
                if error is not None:
                    errors[task.name] = error
                finished = self.finished()
                self.write(finished)
                told(finished)
        return errors

    def write(self, finished: Finished) -> None:
        """Write sweep.json, which names the best run, and the table."""
        content = {
            "format": FORMAT,
            "text": self.design.text,
            "grid": {name: list(values) for name, values in self.design.grid.items()},
            "runs": [cell.name for cell in self.cells],
            "best": self.best(),
        }
        sealed.write(self.file, content)
        if finished:
            write_atomically(self.table, self._csv(finished).encode())

    def _csv(self, finished: Finished) -> str:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        measured = (
            *("bits_per_char", "network_bits", "ngram_bits", "untrained_bits", "test_bits"),
            *("parameters", "steps", "best_step", "seconds", "model"),
        )
        writer.writerow(["run", *self.design.grid, "seed", *measured])
        order = sorted(
            (cell for cell in self.cells if cell.name in finished),
            key=lambda cell: ranking.merit(finished[cell.name]),
        )
        for cell in order:
            outcome = finished[cell.name]
            values: list[Any] = [getattr(outcome, name) for name in measured]
            writer.writerow([cell.name, *cell.varied.values(), *map(_shown, values)])
        return out.getvalue()


LOOK_AGAIN = 0.5
"""Seconds between two looks at the runs that are being made."""


def _shown(value: Any) -> Any:
    if value is None:
        return ""
    return f"{value:.6f}" if isinstance(value, float) else value
