"""Ctrl-C and SIGTERM at any point of training: saved within 5 seconds, and nothing is lost.

A driver stops the real command at a known place, creates a file, and waits there until the signal
was sent. So the place is always the same, and no test depends on the speed of the machine.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from conftest import slow_but, write_text
from crash_loop import ending, import_time, leftovers, load_what_is_there

from charlm import checkpoint
from charlm.rundir import Run

if os.name != "posix":
    pytest.skip("needs signals", allow_module_level=True)

Invoke = Callable[..., Result]
PROMISE = 5.0
"""Seconds from a signal to a state that loads and the end of the process."""

PATIENCE = 120.0

OPTIONS: list[object] = [
    "--hidden-size",
    8,
    "--dropout",
    0.3,
    "--batch-size",
    4,
    "--seq-len",
    20,
    "--steps",
    12,
    "--eval-every",
    5,
    "--save-every",
    7,
    "--val-fraction",
    0.8,
    "--precision",
    "float32",
    "--device",
    "cpu",
]

DRIVER = """
import importlib, os, pathlib, sys, time
from charlm import checkpoint, cli, counts, mixture, rundir, runs, surprisal
from charlm.text import dataset as data
from charlm.training import evaluate
from charlm.training import plan
from charlm.training import summary
from charlm.training.trainer import Trainer
cli_train = importlib.import_module("charlm.cli.training")

here, sent = map(pathlib.Path, sys.argv[1:3])
now = []

def pause():
    "Once: say that the place is reached, and stay there until the signal was sent."
    if now and not here.exists():
        here.touch()
        while not sent.exists():
            time.sleep(0.002)

def at(owner, name, when=lambda *args: True, before=pause):
    "Do something first, wherever ``owner.name`` is called."
    real = getattr(owner, name)
    def call(*args, **kwargs):
        if when(*args):
            before()
        return real(*args, **kwargs)
    setattr(owner, name, call)

def begins(owner, name, when=lambda *args: True):
    "From here on, the next pause counts."
    at(owner, name, when, lambda: now.append(1))

{place}
sys.exit(cli.main(sys.argv[3:]))
"""

# The first of an evaluation's two chunks: it has begun, and has more to do.
IN_EVALUATION = """
begins(Trainer, "evaluate", lambda trainer, *_: trainer.progress.step == {step})
at(evaluate, "loss_sum")
"""
IN_BEST = """
begins(Trainer, "evaluate", lambda trainer, *_: trainer.progress.step == 5)
at(os, "replace")
"""
IN_SAVE = 'begins(Trainer, "save", lambda trainer, _: trainer.progress.step == {step})\n'
FIGURE = """
begins(checkpoint, "write", lambda path, saved: "val_exact" in saved.provenance)
at(os, "replace")
"""
ALWAYS = "now.append(1)\n"

# Places from the first line of talk to the last; the step that is saved there, and how many of the
# evaluations have been made by then.
EVALUATED = [0, 5, 10, 12]
PLACES: dict[str, tuple[str, int, int]] = {
    "first update": (ALWAYS + 'at(Trainer, "update")', 1, 1),
    "an update": (ALWAYS + 'at(Trainer, "update", lambda t, _: t.progress.step == 7)', 8, 2),
    "an evaluation": (IN_EVALUATION.format(step=5), 5, 1),
    "a save": (IN_SAVE.format(step=7) + 'at(os, "replace")', 7, 2),
    "counting": ('begins(counts, "fit"); at(mixture, "fit")', 12, 4),
    "exact scoring": ('begins(summary, "scores_apart"); at(surprisal, "log_softmax")', 12, 4),
    # The others are variations, which the slow tests try.
    "describing": (ALWAYS + 'at(cli_train, "_describe_run")', 0, 0),
    "first save": ('begins(Trainer, "save"); at(os, "fsync")', 0, 0),
    "first evaluation": (IN_EVALUATION.format(step=0), 0, 0),
    "the log": ('begins(rundir.Run, "append_log"); at(os, "fsync")', 0, 1),
    "the best": (IN_BEST, 5, 2),
    "last evaluation": (IN_EVALUATION.format(step=12), 12, 3),
    "last save": (IN_SAVE.format(step=12) + 'at(os, "link")', 12, 4),
    "writing the counts": ('begins(counts, "write"); at(os, "replace")', 12, 4),
    "writing the figure": (FIGURE, 12, 4),
}
EVERY_DAY = ["an update", "an evaluation", "a save", "counting", "exact scoring"]
# Where the first signal waits for something to end; from the exact scoring it leaves at once.
AT_ONCE = ("counting", "exact scoring", "writing the counts", "writing the figure")
POLITE = [place for place in PLACES if place not in AT_ONCE]

# What comes before there is anything to save.
EARLY = {
    "reading": 'at(data, "read")',
    # Python treats a KeyboardInterrupt that leaves code in a string as uncaught, and exits as if by
    # SIGINT. Importing torch runs a lot of such code.
    "code in a string": 'at(data, "read", before=lambda: exec("pause()", globals()))',
    "directory made": 'at(rundir, "flush_directory")',
    "planning": 'at(plan, "settle")',
    "building": 'at(Trainer, "__init__")',
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough to validate on that an evaluation takes two chunks of its 64 streams."""
    path = tmp_path_factory.mktemp("corpus") / "book.txt"
    path.write_text(write_text(25_000), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, corpus: Path, charlm: Invoke) -> dict[str, Any]:
    """What an uninterrupted run leaves."""
    out = tmp_path_factory.mktemp("whole")
    result = charlm("train", corpus, "--out", out, *OPTIONS)
    assert result.exit_code == 0, result.output
    end = ending(Run(out / "book"))
    assert [record["step"] for record in end["log"]] == EVALUATED
    return end


class Command:
    """``charlm`` in a process of its own, which stops at a place and waits for a signal."""

    def __init__(self, directory: Path, place: str, *arguments: object) -> None:
        self.here, self.sent = directory / "here", directory / "sent"
        self._talk = directory / "talk.txt"
        (directory / "driver.py").write_text(DRIVER.replace("{place}", place))
        with self._talk.open("wb") as talk:
            # As a module, as python -m charlm is: it matters to how Python ends.
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "driver",
                    str(self.here),
                    str(self.sent),
                    *map(str, arguments),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=talk,
                cwd=directory,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )

    @property
    def talk(self) -> str:
        return self._talk.read_text(encoding="utf-8")

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, f"ended by itself: {self.talk}"
            assert time.monotonic() < deadline, self.talk
            time.sleep(0.01)

    def stop(self, number: signal.Signals) -> tuple[int, str]:
        """Send the signal when the place is reached: (exit code, stdout)."""
        self.wait_for(self.here.exists)
        began = time.monotonic()
        self.process.send_signal(number)
        self.sent.touch()
        return self._end(began)

    def stop_twice(self, number: signal.Signals) -> tuple[int, str]:
        """Two signals at one place, which is not left between them."""
        self.wait_for(self.here.exists)
        self.process.send_signal(number)
        self.wait_for(lambda: "press Ctrl-C again" in self.talk)
        began = time.monotonic()
        self.process.send_signal(number)
        return self._end(began)

    def _end(self, began: float) -> tuple[int, str]:
        try:
            output, _ = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            pytest.fail(f"the signal was not heard: {self.talk}")
        assert time.monotonic() - began < PROMISE
        assert "Traceback" not in self.talk
        assert "error:" not in self.talk
        return self.process.returncode, output.decode()


def cases(places: list[str], every_day: list[str]) -> list[Any]:
    """Every place with each signal; of those for every day one signal, in turn, is not slow."""
    pairs = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
    return [
        pytest.param(
            place,
            *pairs[which],
            id=f"{place}-{pairs[which][0].name}",
            marks=[] if place in every_day and which == number % 2 else [pytest.mark.slow],
        )
        for number, place in enumerate(places)
        for which in (0, 1)
    ]


@pytest.mark.parametrize(("place", "number", "code"), cases(list(PLACES), EVERY_DAY))
def test_a_signal_saves_within_seconds_and_nothing_is_lost(
    charlm: Invoke,
    corpus: Path,
    tmp_path: Path,
    whole: dict[str, Any],
    place: str,
    number: signal.Signals,
    code: int,
) -> None:
    where, step, evaluations = PLACES[place]
    command = Command(tmp_path, where, "train", corpus, "--out", tmp_path / "a b", *OPTIONS)
    assert command.stop(number) == (code, "")
    run = Run(tmp_path / "a b" / "book")
    saved = checkpoint.read(run.last)
    assert saved.training is not None
    assert saved.training["progress"]["step"] == step
    assert not leftovers(run)
    last_line = command.talk.splitlines()[-1]
    assert last_line.startswith(f"saved at step {step} of 12; continue: charlm ")
    # An interrupted evaluation is neither in the log nor counted as done.
    assert [record["step"] for record in run.read_log()] == EVALUATED[:evaluations]
    assert saved.training["progress"]["evaluated_at"] == [-1, *EVALUATED][evaluations]

    resumed = charlm(*shlex.split(last_line.partition("continue: charlm ")[2]))
    assert resumed.exit_code == 0, resumed.output
    assert resumed.stdout.startswith("best validation ")
    assert ending(run) == whole


@pytest.mark.parametrize("place", slow_but(["an evaluation"], EVERY_DAY))
def test_a_resumed_run_can_be_stopped_as_well(
    charlm: Invoke, corpus: Path, tmp_path: Path, whole: dict[str, Any], place: str
) -> None:
    charlm("train", corpus, "--out", tmp_path, *OPTIONS, "--stop-at", 2)
    run = Run(tmp_path / "book")
    command = Command(tmp_path, PLACES[place][0], "train", "--resume", run.path)
    assert command.stop(signal.SIGTERM) == (143, "")
    assert load_what_is_there(run)["last"] == PLACES[place][1]
    assert charlm("train", "--resume", run.path).exit_code == 0
    assert ending(run) == whole


# -------------------------------------------------------------------------------------- too early


@pytest.mark.parametrize(
    ("place", "number", "code"), cases(list(EARLY), ["code in a string", "directory made"])
)
def test_a_signal_before_training_leaves_at_once_and_the_name_free(
    charlm: Invoke, corpus: Path, tmp_path: Path, place: str, number: signal.Signals, code: int
) -> None:
    begin = ["train", corpus, "--out", tmp_path / "out", "--name", "book", *OPTIONS]
    command = Command(tmp_path, ALWAYS + EARLY[place], *begin)
    assert command.stop(number) == (code, "")
    assert command.talk.splitlines()[-1] == "interrupted before training began"
    assert charlm(*begin, "--stop-at", 1).exit_code == 0


@pytest.mark.parametrize(
    "place", slow_but(['runs, "reread"'], ['runs, "reread"', 'data, "encode"'])
)
def test_a_signal_before_a_resumed_training_leaves_the_run_as_it_was(
    charlm: Invoke, corpus: Path, tmp_path: Path, place: str
) -> None:
    charlm("train", corpus, "--out", tmp_path, *OPTIONS, "--stop-at", 2)
    run = tmp_path / "book"
    before = {path: path.read_bytes() for path in run.iterdir()}
    command = Command(tmp_path, f"{ALWAYS}at({place})", "train", "--resume", run)
    assert command.stop(signal.SIGINT) == (130, "")
    assert {path: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.slow
def test_sigterm_at_any_moment_of_the_start_leaves_nothing_in_the_way(
    charlm: Invoke, corpus: Path, tmp_path: Path
) -> None:
    """While Python starts it is the system that ends the process; afterwards it is charlm."""
    codes = set()
    start = import_time()
    for number in range(12):
        name = f"run-{number}"
        begin = ["train", corpus, "--out", tmp_path, "--name", name, *OPTIONS, "--steps", 10**6]
        process = subprocess.Popen(
            [sys.executable, "-m", "charlm", *map(str, begin)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(number / 9 * start)
        process.send_signal(signal.SIGTERM)
        output, talk = process.communicate(timeout=PATIENCE)
        codes.add(process.returncode)
        assert process.returncode in (143, -signal.SIGTERM), talk
        assert output == ""
        assert "Traceback" not in talk
        run = Run(tmp_path / name)
        there = load_what_is_there(run)
        assert ("last" in there) == ("saved at step" in talk)
        again = ["train", "--resume", run.path] if "last" in there else begin
        step = there.get("last", 0) + 1
        assert charlm(*again, "--stop-at", step).exit_code == 0
    assert 143 in codes


# ---------------------------------------------------------------------------------- a second signal


@pytest.mark.parametrize("place", slow_but(["an update", "a save"], POLITE))
def test_a_second_signal_leaves_at_once_and_corrupts_nothing(
    charlm: Invoke, corpus: Path, tmp_path: Path, whole: dict[str, Any], place: str
) -> None:
    number = signal.SIGTERM if place == "a save" else signal.SIGINT
    begin = ["train", corpus, "--out", tmp_path, "--name", "book", *OPTIONS]
    command = Command(tmp_path, PLACES[place][0], *begin)
    assert command.stop_twice(number) == (-number, "")
    run = Run(tmp_path / "book")
    there = load_what_is_there(run)
    if "save" in place or place == "the best":
        assert leftovers(run), "it was not in the middle of a save"
    again = ["train", "--resume", run.path] if "last" in there else begin
    resumed = charlm(*again)
    assert resumed.exit_code == 0, resumed.output
    assert ending(run) == whole
    assert not leftovers(run)
