"""Kill a training at random moments, again and again, and prove that nothing is lost.

    python tests/crash_loop.py --kills 50 --seed 1

Each ``charlm train`` is a process of its own and is ended by SIGKILL: while it starts, between two
training steps, or when the temporary file of a save appears. After every kill everything that was
saved must load. The finished run must be bit-identical to one that was not killed.

``die_at_call`` is the deterministic version: it ends a process at a given call that touches the
disk. Both are used by ``tests/test_crash.py``.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charlm import checkpoint, cli, counts
from charlm.rundir import Run

WORDS = ("il", "treno", "per", "la", "città", "parte", "sempre", "di", "sera", "è", "tardi")
STEPS_PER_KILL = 40
"""Updates of the run for every kill: a life makes about a dozen, so that the run outlives them."""

OPTIONS: tuple[object, ...] = (
    "--hidden-size",
    32,
    "--num-layers",
    2,
    "--dropout",
    0.3,
    "--batch-size",
    2,
    "--seq-len",
    10,
    "--precision",
    "float32",
    "--device",
    "cpu",
    "--warmup",
    2,
    "--save-every",
    2,
    "--eval-every",
    3,
)
PATIENCE = 120.0
"""Seconds after which a process that has done nothing yet is given up."""


@dataclass
class Report:
    """What a loop did."""

    steps: int
    kills: int = 0
    in_saves: int = 0  # a temporary file was left over
    in_starts: int = 0  # before this life had saved anything
    before_any_save: int = 0  # there was nothing to resume yet
    loaded: dict[str, int] = field(default_factory=lambda: {"last": 0, "previous": 0, "best": 0})
    resumed_at: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        loaded = ", ".join(f"{name} {count}" for name, count in self.loaded.items())
        return (
            f"{self.kills} kills: {self.in_saves} left a save half done, {self.in_starts} came "
            f"before the process had saved, {self.before_any_save} before anything was saved\n"
            f"loaded after a kill: {loaded}; not one was damaged\n"
            f"the run of {self.steps:,} updates ended as the one that nobody killed "
            f"({self.seconds:.0f} s)"
        )


def write_corpus(directory: Path) -> Path:
    rng = random.Random(0)
    path = directory / "text.txt"
    path.write_text(" ".join(rng.choice(WORDS) for _ in range(300)), encoding="utf-8")
    return path


def ending(run: Run) -> dict[str, Any]:
    """Everything that a finished run leaves, except times."""
    last, best = checkpoint.read(run.last), checkpoint.read(run.best)
    assert last.training is not None
    return {
        "state": checkpoint.state_sha256(last),
        "progress": timeless(last.training["progress"]),
        "best": checkpoint.weights_sha256(best),
        "provenance": best.provenance,
        "counts": counted(run),
        "log": [timeless(record) for record in run.read_log()],
        "lines": len(run.log.read_bytes().splitlines()),
    }


def counted(run: Run) -> Any:
    """What the run's counts hold; None if it has none."""
    if not run.counts.exists():
        return None
    found = counts.read(run.counts)
    levels = b"".join(level.keys.tobytes() + level.share.tobytes() for level in found.ngram.levels)
    return hashlib.sha256(levels).hexdigest(), found.weights, found.facts


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "seconds"}


def leftovers(run: Run) -> list[str]:
    """Names of the temporary files in a run's directory (see ``charlm.files``)."""
    if not run.path.exists():
        return []
    return [n for n in os.listdir(run.path) if n.startswith(".") and n.endswith((".tmp", ".link"))]


def load_what_is_there(run: Run) -> dict[str, int]:
    """The step of every checkpoint of the run; raises CheckpointError if one is damaged."""
    files = {"last": run.last, "previous": run.previous, "best": run.best}
    return {
        name: checkpoint.read(file).provenance["step"]
        for name, file in files.items()
        if file.exists()
    }


# --------------------------------------------------------------------------------- random moments


def crash_loop(directory: Path, kills: int, seed: int) -> Report:
    """Train, kill, resume, ...; AssertionError or CheckpointError if anything was lost."""
    began = time.monotonic()
    report = Report(steps=STEPS_PER_KILL * (kills + 1))
    rng = random.Random(seed)
    corpus = write_corpus(directory)
    begin = ("train", corpus, "--out", directory, *OPTIONS, "--steps", report.steps)
    with (directory / "talk.txt").open("wb") as talk:
        whole, run = Run(directory / "whole"), Run(directory / "killed")
        finish(start(talk, *begin, "--name", "whole"))
        reached: dict[str, int] = {}
        while True:
            # Before the first save, the same command must be able to start again.
            resuming = run.last.exists()
            arguments = (
                ("train", "--resume", run.path) if resuming else (*begin, "--name", "killed")
            )
            process = start(talk, *arguments)
            if report.kills == kills:
                finish(process)
                break
            kill_somewhere(process, run, rng)
            report.kills += 1
            report.in_saves += bool(leftovers(run))
            steps = load_what_is_there(run)
            assert steps.keys() >= reached.keys(), f"{reached} were there, {steps} are"
            assert all(steps[n] >= reached[n] for n in ("last", "previous") if n in reached)
            report.in_starts += steps.get("last") == reached.get("last")
            report.before_any_save += "last" not in steps
            for name in steps:
                report.loaded[name] += 1
            report.resumed_at.append(steps.get("last", 0))
            reached = steps
        assert not leftovers(run), "a temporary file outlived the run"
        one, other = ending(whole), ending(run)
        for part, value in one.items():
            assert other[part] == value, f"{part} of the killed run is not that of the other"
    report.seconds = time.monotonic() - began
    return report


def start(talk: Any, *arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "charlm", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=talk,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    assert process.wait(10 * PATIENCE) == 0, "the run failed: see talk.txt"


def kill_somewhere(process: subprocess.Popen[bytes], run: Run, rng: random.Random) -> None:
    """End the process by SIGKILL at a moment of a random kind."""
    kind = rng.choice(("start", "between", "between", "save", "save", "save"))
    part, count = rng.random(), rng.randint(1, 5)
    # New best models become rare, so the loop does not wait for their files.
    target = rng.choice((".last.", "."))
    try:
        if kind == "start":
            # Around the time when the imports are done and training starts. That depends on the
            # machine, so it is measured in import times.
            time.sleep(part * import_time())
        elif kind == "between":
            # In saves, not seconds: a fast machine must not finish the run.
            times = [_wait(process, _changed(run.last)) for _ in range(3)]
            time.sleep(4 * part * (times[2] - times[1]))
        else:
            for _ in range(count):
                _wait(process, lambda: not _seen(run, target))
                _wait(process, lambda: _seen(run, target))
        assert process.poll() is None, f"the run ended by itself ({process.returncode})"
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> float:
    """Wait for the condition and return the time at which it became true. A save takes a few
    milliseconds, so the polling interval is short."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, f"the run ended by itself ({process.returncode})"
        assert time.monotonic() < deadline, "nothing was saved for minutes"
        time.sleep(1e-5)
    return time.monotonic()


def _changed(path: Path) -> Callable[[], bool]:
    before = _identity(path)
    return lambda: _identity(path) not in (before, None)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _seen(run: Run, target: str) -> bool:
    return any(name.startswith(target) for name in leftovers(run))


_imports: list[float] = []


def import_time() -> float:
    """Seconds until a process of charlm has imported what training needs; measured once."""
    if not _imports:
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-c", "import charlm.cli.train, charlm.training.plan"], check=True
        )
        _imports.append(1.3 * (time.monotonic() - began))
    return _imports[0]


# ------------------------------------------------------------------------------------- every moment

CALLS = ("mkdir", "fsync", "chmod", "link", "replace", "unlink")
"""Functions of ``os`` that change what is on the disk, or make it stay there."""


def die_at_call(number: int, talk: str, arguments: list[str]) -> None:
    """Run a command, but die just before its disk call ``number`` (from 0).

    If that call flushes a file, the end of the file is lost as well, as in a power failure. Returns
    if there are fewer calls. Run it in a process of its own.
    """
    made = 0

    def wrap(name: str) -> None:
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal made
            if made == number:
                if name == "fsync" and stat.S_ISREG(os.fstat(args[0]).st_mode):
                    os.ftruncate(args[0], max(0, os.fstat(args[0]).st_size - 10))
                os.kill(os.getpid(), signal.SIGKILL)
            made += 1
            return real(*args, **kwargs)

        setattr(os, name, call)

    for name in CALLS:
        wrap(name)
    with open(talk, "w", encoding="utf-8") as file:
        sys.stdout = sys.stderr = file
        cli.main(arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill a training again and again.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        print(crash_loop(Path(directory), given.kills, given.seed))


if __name__ == "__main__":
    main()
