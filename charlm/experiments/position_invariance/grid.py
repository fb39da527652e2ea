"""The grid of readers and seeds. Its cells run in parallel, each exactly once, even after
interruptions.

Every JSON file except results.json carries the SHA-256 of its own content, and all name the same
experiment: a file that was changed, or that belongs to another experiment, is refused.

config.json             the question and the settings, which --resume continues with
tests.json              the test sentences, the same for every cell
cells/READER-SEED.*     the trained weights, and, written last, the cell's answers; while it is
                        being computed, how many steps it has made
results.json            everything together: the only input of the figures
results.csv             a line per reader, seed, test and part
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from charlm import sealed
from charlm.errors import CharlmError, CheckpointError, DivergenceError, RequestError
from charlm.experiments.measures import pack
from charlm.experiments.position_invariance import measures, mistakes
from charlm.experiments.position_invariance.design import Design
from charlm.experiments.position_invariance.examples import Example
from charlm.experiments.tables import as_csv
from charlm.files import write_atomically
from charlm.parallel import Wanted, Workers, every

FORMAT = "charlm-position-invariance/2"
WITHOUT_ERRORS = "charlm-position-invariance/1"
"""The format before kinds of errors were recorded. It is still read."""

STEPS, QUICK_STEPS = 2200, 1900
QUICK_READERS = ("feedforward", "time-delay", "lstm", "writer-lstm")
PER_OFFSET, QUICK_PER_OFFSET = 40, 10
VOCABULARY_FROM = 20_000
"""Sentences that define the vocabulary; any other character is read as unknown."""

ERRORS_KEPT = 20


@dataclass(frozen=True)
class Settings:
    """The settings of a grid; stored, so that an interrupted one continues with the same ones."""

    readers: tuple[str, ...]
    seeds: int
    steps: int
    per_offset: int

    def cells(self) -> list[tuple[str, int]]:
        """Seed by seed, so that a process generates each seed's sentences once, and from the last
        kind of reader to the first: the slow ones are listed last, so they start first and no
        process waits for one at the end."""
        return [
            (reader, seed) for seed in range(1, self.seeds + 1) for reader in reversed(self.readers)
        ]


class Grid:
    """The directory of a grid."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.json"
        self.tests_file = path / "tests.json"
        self.results_file = path / "results.json"

    def cell(self, reader: str, seed: int, ending: str = "json") -> Path:
        return self.path / "cells" / f"{reader}-{seed}.{ending}"

    @cached_property
    def config(self) -> dict[str, Any]:
        config = sealed.parse(self.config_file, BEGIN_AGAIN)
        if config.get("format") not in (FORMAT, WITHOUT_ERRORS):
            raise CheckpointError(
                f"{self.config_file}: not an experiment of this version of charlm; choose another "
                "--out"
            )
        return sealed.verified(self.config_file, config, BEGIN_AGAIN)

    @property
    def experiment(self) -> str:
        """The identifier that all files of this experiment share."""
        return sealed.digest(self.config)

    @property
    def settings(self) -> Settings:
        config = self.config
        return Settings(
            tuple(config["readers"]), config["seeds"], config["steps"], config["per_offset"]
        )

    @property
    def design(self) -> Design:
        return Design.from_dict(self.config["design"])

    @property
    def tests(self) -> dict[str, list[Example]]:
        found = self._read(self.tests_file, BEGIN_AGAIN)
        return {name: [Example(**each) for each in sentences] for name, sentences in found.items()}

    def _read(self, path: Path, remedy: str) -> dict[str, Any]:
        content = sealed.read(path, remedy)
        if content.pop("experiment", None) != self.experiment:
            raise CheckpointError(f"{path}: of another experiment; {remedy}")
        return content

    def write(self, path: Path, content: dict[str, Any]) -> None:
        """Write a file of this experiment, sealed."""
        sealed.write(path, {"experiment": self.experiment, **content})

    def begin(self, design: Design, settings: Settings) -> None:
        """Store question, settings and tests before anything is computed."""
        if self.config_file.exists():
            raise RequestError(
                f"{self.path} already contains an experiment; continue with --resume, or choose "
                "another --out"
            )
        if any((self.path / "cells").glob("*.json")):
            raise RequestError(
                f"{self.path} contains readers of an experiment whose config.json is missing; "
                "choose another --out"
            )
        sentences = [each.text for each in design.training(0, VOCABULARY_FROM)]
        config = {
            "format": FORMAT,
            "readers": list(settings.readers),
            "seeds": settings.seeds,
            "steps": settings.steps,
            "per_offset": settings.per_offset,
            "bands": [list(band) for band in design.bands],
            "seen_starts": list(design.seen_starts),
            "held_out_starts": list(design.held_out_starts),
            "width": design.width,
            "recipe": _recipe(),
            "commonest": _commonest(design),
            "characters": "".join(sorted(set("".join(sentences)))),
            "design": design.to_dict(),
        }
        tests = design.tests(settings.per_offset)
        try:
            (self.path / "cells").mkdir(parents=True, exist_ok=True)
            sealed.write(
                self.tests_file,
                {
                    "experiment": sealed.digest(config),
                    **{name: [asdict(each) for each in tests[name]] for name in tests},
                },
            )
            sealed.write(self.config_file, config)
        except OSError as error:
            raise CharlmError(
                f"{self.path}: cannot be written ({error.strerror}); choose another --out"
            ) from error

    def check_recipe(self) -> None:
        """RequestError if the remaining readers would be trained differently from the finished
        ones."""
        begun, now = self.config.get("recipe", {}), _recipe()
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
        tasks = [Cell(path, *cell, threads) for cell in missing]
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

    def collect(self) -> measures.Results:
        """Write results.json and results.csv from the finished cells."""
        results = self.results()
        write_atomically(self.results_file, sealed.as_json(results.content))
        write_atomically(self.path / "results.csv", _table(results).encode())
        return results

    def results(self) -> measures.Results:
        """The results of the finished cells; CharlmError if there are none."""
        config, tests = self.config, self.tests
        design = self.design
        files = [self.cell(*cell) for cell in self.settings.cells()]
        cells = [self._read(file, GO_ON) for file in files if file.exists()]
        if not cells:
            raise CharlmError(f"{self.path}: no reader is finished yet; continue with --resume")
        commonest = config.get("commonest") or _commonest(design)
        content = {
            "config": {key: value for key, value in config.items() if key != "design"},
            "design": config["design"],
            "versions": {
                name: " and ".join(sorted({str(cell["made_with"][name]) for cell in cells}))
                for name in cells[0]["made_with"]
            },
            "tests": {
                name: {
                    "start": [each.start for each in sentences],
                    "length": [len(each.text) for each in sentences],
                    "floor": float(np.mean([each.answer == commonest for each in sentences])),
                    "ceiling": float(
                        np.mean(
                            [first_answer(each.text, design) == each.answer for each in sentences]
                        )
                    ),
                }
                | (
                    {"chance": mistakes.chances(sentences, design.any_answer)}
                    if config["format"] == FORMAT
                    else {}
                )
                for name, sentences in tests.items()
            },
            "cells": cells,
        }
        return measures.Results(content)


def find(given: str) -> Grid:
    """The grid in a directory; RequestError if there is none."""
    grid = Grid(Path(given))
    if not grid.config_file.exists():
        raise RequestError(
            f"{given} contains no experiment; run one: charlm experiment position-invariance --out "
            f"{given}"
        )
    _ = grid.config  # a damaged one is refused here, before anything starts
    return grid


def first_answer(text: str, design: Design) -> str:
    """The answer of a regular expression: the first separate group of four digits, or the first
    filler of the template."""
    found = design.any_answer.search(text)
    return found[0] if found else ""


# ------------------------------------------------------------------------------ in the processes


@dataclass(frozen=True)
class Cell:
    """A reader to train: the directory of its grid, its kind, its seed, on how many threads."""

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
    with _one_at_a_time, _threads(cell.threads):
        bench = _bench_of(cell.path)
        told = bench.grid.cell(cell.reader, cell.seed, "steps")
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
def _bench_of(path: str) -> Bench:
    return Bench(Grid(Path(path)))


class Bench:
    """What a process keeps of a grid from one cell to the next."""

    def __init__(self, grid: Grid) -> None:
        from charlm.experiments.position_invariance.store import vocabulary

        self.grid = grid
        self.vocabulary = vocabulary(grid.config)
        self.tests = grid.tests
        self._seed: int | None = None
        self._kept: tuple[Any, list[Example]] | None = None

    def material(self, seed: int) -> tuple[Any, list[Example]]:
        """The sentences of one seed, kept until another seed is requested."""
        if self._kept is None or self._seed != seed:
            from charlm.experiments.position_invariance.training import BATCH_SIZE, SORTED, Material

            self._kept = None  # not two at the same time in memory
            design, size = self.grid.design, BATCH_SIZE * SORTED
            count = -(-self.grid.settings.steps * BATCH_SIZE // size) * size
            sentences = design.training(seed, count)
            self._kept = Material.of(self.vocabulary, sentences), design.validation(seed)
            self._seed = seed
        return self._kept

    def run(self, name: str, seed: int, updated: Callable[[int], None] = lambda step: None) -> None:
        """Train and test one reader, and write its files."""
        from charlm.experiments.position_invariance import store, training
        from charlm.experiments.position_invariance.readers import KINDS
        from charlm.experiments.training import made_with

        grid = self.grid
        began = time.monotonic()
        material, validation = self.material(seed)
        trained_from = time.monotonic()
        reader, curve = training.train(
            KINDS[name],
            self.vocabulary,
            material,
            validation,
            seed=seed,
            steps=grid.settings.steps,
            updated=updated,
        )
        trained_in = time.monotonic() - trained_from
        tests = {
            test: judge(
                reader.answers([each.text for each in sentences]),
                sentences,
                grid.design,
                reader.kind.longest,
            )
            for test, sentences in self.tests.items()
        }
        store.save(grid.cell(name, seed, "safetensors"), reader)
        grid.write(
            grid.cell(name, seed),
            {
                "reader": name,
                "seed": seed,
                "parameters": sum(parameter.numel() for parameter in reader.parameters()),
                "hidden_size": reader.config.hidden_size,
                "receptive_field": reader.config.receptive_field,
                "made_with": made_with(),
                "seconds_training": round(trained_in, 1),
                "seconds": round(time.monotonic() - began, 1),
                "curve": [asdict(point) for point in curve],
                "tests": tests,
            },
        )


def judge(
    found: Sequence[str], sentences: Sequence[Example], design: Design, longest: int | None
) -> dict[str, Any]:
    """Which answers, and which of their characters, are right; which are another number of the
    sentence, and which are not in the sentence; some errors; how many sentences exceed what the
    reader can read."""
    kinds = [
        mistakes.kind_of(f, each, design.any_answer)
        for f, each in zip(found, sentences, strict=True)
    ]
    right = np.array([f == each.answer for f, each in zip(found, sentences, strict=True)])
    symbols = np.array(
        [
            [f[k : k + 1] == each.answer[k : k + 1] for k in range(design.width)]
            for f, each in zip(found, sentences, strict=True)
        ]
    )
    wrong = np.flatnonzero(~right)
    kept = wrong[np.linspace(0, len(wrong) - 1, min(ERRORS_KEPT, len(wrong))).astype(int)]
    return {
        "right": pack(right),
        "symbols_right": pack(symbols),
        "wrong_number": pack(np.array([k == mistakes.WRONG_NUMBER for k in kinds])),
        "not_in_sentence": pack(np.array([k == mistakes.NOT_IN_SENTENCE for k in kinds])),
        "unread": sum(len(each.text) > (longest or math.inf) for each in sentences),
        "errors": [
            {"text": sentences[n].text, "answer": sentences[n].answer, "found": found[n]}
            for n in kept.tolist()
        ],
    }


# ----------------------------------------------------------------------------------- small things


def _commonest(design: Design) -> str:
    """The most frequent answer in training, which the floor always gives."""
    return Counter(each.answer for each in design.training(1, 5000)).most_common(1)[0][0]


def _recipe() -> dict[str, float]:
    from charlm.experiments.position_invariance.training import recipe

    return recipe()


def _table(results: measures.Results) -> str:
    each = [f"character {place + 1}" for place in range(results.width)]
    errors = mistakes.SHOWN if results.knows_errors else ()
    head = ["reader", "seed", "test", "offsets", "sentences", "accuracy", *each, *errors]
    rows: list[list[object]] = [[*head]]
    for reader in results.readers:
        for seed in results.seeds(reader):
            for test in results.tests:
                for part in ("seen", "held out", "all"):
                    mask = results.places(test, part)
                    if mask.any():
                        right = results.right(reader, seed, test)[mask].mean()
                        symbols = results.symbols_right(reader, seed, test)[mask].mean(0)
                        wrong = [results.wrong(reader, seed, test, e)[mask].mean() for e in errors]
                        figures = [f"{share:.6f}" for share in (right, *symbols, *wrong)]
                        rows.append([reader, seed, test, part, mask.sum(), *figures])
    return as_csv(rows)


BEGIN_AGAIN = "choose another --out and start again"
GO_ON = "remove it and continue with --resume"
