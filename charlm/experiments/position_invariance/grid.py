"""The grid of readers and seeds. Its cells run in parallel, each exactly once, even after
interruptions.

Every JSON file except results.json carries the SHA-256 of its own content, and all name the same
experiment: a file that was changed, or that belongs to another experiment, is refused.

config.json             the question and the settings, which --resume continues with
tests.json              the test sentences, the same for every cell
cells/READER-SEED.*     the trained weights, and, written last, the cell's answers
results.json            everything together: the only input of the figures
results.csv             a line per reader, seed, test and part
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from charlm.errors import CharlmError, CheckpointError, DivergenceError, RequestError
from charlm.experiments.position_invariance import measures
from charlm.experiments.position_invariance.design import Design
from charlm.experiments.position_invariance.examples import Example
from charlm.files import write_atomically

FORMAT = "charlm-position-invariance/1"
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
        config = _parse(self.config_file, BEGIN_AGAIN)
        if config.get("format") != FORMAT:
            raise CheckpointError(
                f"{self.config_file}: not an experiment of this version of charlm; choose another "
                "--out"
            )
        return _unsealed(self.config_file, config, BEGIN_AGAIN)

    @property
    def experiment(self) -> str:
        """The identifier that all files of this experiment share."""
        return _digest(self.config)

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
        content = _unsealed(path, _parse(path, remedy), remedy)
        if content.pop("experiment", None) != self.experiment:
            raise CheckpointError(f"{path}: of another experiment; {remedy}")
        return content

    def write(self, path: Path, content: dict[str, Any]) -> None:
        """Write a file of this experiment, sealed."""
        _write_sealed(path, {"experiment": self.experiment, **content})

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
            _write_sealed(
                self.tests_file,
                {
                    "experiment": _digest(config),
                    **{name: [asdict(each) for each in tests[name]] for name in tests},
                },
            )
            _write_sealed(self.config_file, config)
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

    def run(self, jobs: int, progress: Callable[[int, int], None]) -> None:
        """Compute the missing cells in ``jobs`` parallel processes.

        progress: called with (steps done, steps in total) a few times a second

        If a reader diverges, the others are still finished, then its DivergenceError is raised.
        KeyboardInterrupt ends the processes; finished cells remain.
        """
        missing = self.unfinished()
        total = len(missing) * self.settings.steps
        diverged: DivergenceError | None = None
        context = multiprocessing.get_context("spawn")
        done = context.Value("q", 0)
        threads = max(1, (os.cpu_count() or 1) // jobs)
        pool = ProcessPoolExecutor(
            jobs, context, initializer=_start, initargs=(str(self.path), done, threads)
        )
        try:
            with _shielded():
                waiting = {pool.submit(_run_cell, *cell) for cell in missing}
            while waiting:
                finished, waiting = wait(waiting, timeout=0.3, return_when=FIRST_COMPLETED)
                progress(done.value, total)
                for future in finished:
                    try:
                        future.result()
                    except DivergenceError as error:
                        diverged = diverged or error
        except BaseException as error:
            for process in (getattr(pool, "_processes", None) or {}).values():
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise CharlmError(
                    "one of the processes was killed, perhaps for lack of memory; finished cells "
                    f"remain: continue with --resume and fewer --jobs than {jobs}"
                ) from error
            raise
        pool.shutdown()
        if diverged is not None:
            raise diverged

    def collect(self) -> measures.Results:
        """Write results.json and results.csv from the finished cells."""
        results = self.results()
        write_atomically(self.results_file, _json(results.content))
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

_worker: dict[str, Any] = {}


@contextmanager
def _shielded() -> Iterator[None]:
    """A process started in here never receives Ctrl-C, not even before it can ignore it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(path: str, done: Any, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    _worker.update(grid=Grid(Path(path)), done=done)


def _end_with_parent() -> None:
    """A killed command cannot end its processes; without this they would train for hours."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@cache
def _vocabulary() -> Any:
    from charlm.experiments.position_invariance.store import vocabulary

    return vocabulary(_worker["grid"].config)


@cache
def _tests() -> dict[str, list[Example]]:
    tests: dict[str, list[Example]] = _worker["grid"].tests
    return tests


def _material(seed: int) -> tuple[Any, list[Example]]:
    """The sentences of one seed, kept until another seed is requested."""
    if _worker.get("seed") != seed:
        from charlm.experiments.position_invariance.training import BATCH_SIZE, SORTED, Material

        grid: Grid = _worker["grid"]
        design, size = grid.design, BATCH_SIZE * SORTED
        count = -(-grid.settings.steps * BATCH_SIZE // size) * size
        _worker.pop("material", None)
        sentences = design.training(seed, count)
        _worker["material"] = Material.of(_vocabulary(), sentences), design.validation(seed)
        _worker["seed"] = seed
    material: tuple[Any, list[Example]] = _worker["material"]
    return material


def _run_cell(name: str, seed: int) -> None:
    from charlm.experiments.position_invariance import store, training
    from charlm.experiments.position_invariance.readers import KINDS

    grid: Grid = _worker["grid"]
    done = _worker["done"]
    began = time.monotonic()
    material, validation = _material(seed)

    def updated(step: int) -> None:
        with done.get_lock():
            done.value += 1

    trained_from = time.monotonic()
    reader, curve = training.train(
        KINDS[name],
        _vocabulary(),
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
            grid.design.width,
            reader.kind.longest,
        )
        for test, sentences in _tests().items()
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
            "made_with": training.made_with(),
            "seconds_training": round(trained_in, 1),
            "seconds": round(time.monotonic() - began, 1),
            "curve": [asdict(point) for point in curve],
            "tests": tests,
        },
    )


def judge(
    found: Sequence[str], sentences: Sequence[Example], width: int, longest: int | None
) -> dict[str, Any]:
    """Which answers, and which of their ``width`` characters, are right; some errors; how many
    sentences exceed what the reader can read."""
    right = np.array([f == each.answer for f, each in zip(found, sentences, strict=True)])
    symbols = np.array(
        [
            [f[k : k + 1] == each.answer[k : k + 1] for k in range(width)]
            for f, each in zip(found, sentences, strict=True)
        ]
    )
    wrong = np.flatnonzero(~right)
    kept = wrong[np.linspace(0, len(wrong) - 1, min(ERRORS_KEPT, len(wrong))).astype(int)]
    return {
        "right": measures.pack(right),
        "symbols_right": measures.pack(symbols),
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
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    each = [f"character {place + 1}" for place in range(results.width)]
    writer.writerow(["reader", "seed", "test", "offsets", "sentences", "accuracy", *each])
    for reader in results.readers:
        for seed in results.seeds(reader):
            for test in results.tests:
                for part in ("seen", "held out", "all"):
                    mask = results.places(test, part)
                    if mask.any():
                        right = results.right(reader, seed, test)[mask].mean()
                        symbols = results.symbols_right(reader, seed, test)[mask].mean(0)
                        figures = [f"{share:.6f}" for share in (right, *symbols)]
                        writer.writerow([reader, seed, test, part, mask.sum(), *figures])
    return out.getvalue()


BEGIN_AGAIN = "choose another --out and start again"
GO_ON = "remove it and continue with --resume"


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False) + "\n").encode()


def _digest(content: dict[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _write_sealed(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, _json(content | {"sha256": _digest(content)}))


def _parse(path: Path, remedy: str) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged ({error!s:.80}); {remedy}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: damaged (no object); {remedy}")
    return value


def _unsealed(path: Path, value: dict[str, Any], remedy: str) -> dict[str, Any]:
    content = {key: part for key, part in value.items() if key != "sha256"}
    if value.get("sha256") != _digest(content):
        raise CheckpointError(f"{path}: damaged (its checksum does not match); {remedy}")
    return content
