"""A process can be killed at any moment: the run can be resumed and nothing is lost.

A run whose numbers stop being finite ends, and what it saved is finite.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from crash_loop import crash_loop, die_at_call, ending, leftovers, load_what_is_there

from charlm import checkpoint
from charlm.rundir import Run
from charlm.text.streams import Batch
from charlm.training.trainer import Trainer

Invoke = Callable[..., Result]
posix = pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL and processes that fork")


# ---------------------------------------------------------------------------------------- a killed


@posix
def test_a_run_killed_at_random_ends_as_the_one_that_nobody_killed(tmp_path: Path) -> None:
    report = crash_loop(tmp_path, kills=1, seed=10)
    assert report.kills == 1
    assert report.loaded["last"] == 1


@posix
@pytest.mark.slow
def test_fifty_kills_lose_nothing(tmp_path: Path) -> None:
    report = crash_loop(tmp_path, kills=50, seed=1)
    print(report)
    assert report.kills == 50
    # Otherwise the loop would not have tested what it is for.
    assert report.in_saves >= 5
    assert report.in_starts >= 2
    assert report.loaded["last"] >= 45
    assert len(set(report.resumed_at)) > 25


SHORT: list[object] = [
    "--hidden-size",
    8,
    "--dropout",
    0.3,
    "--batch-size",
    4,
    "--seq-len",
    20,
    "--precision",
    "float32",
    "--device",
    "cpu",
]


class Processes:
    """Runs ``die_at_call`` in processes that have imported everything already."""

    def __init__(self, directory: Path) -> None:
        self.talk = directory / "talk.txt"
        self._context = multiprocessing.get_context("forkserver")
        # torch's optimizers import the last one when the first of them is made.
        self._context.set_forkserver_preload(
            ["crash_loop", "charlm.cli.train", "charlm.training.plan", "torch._dynamo"]
        )

    def run(self, *arguments: object, die_at: int) -> int | None:
        process = self._context.Process(
            target=die_at_call, args=(die_at, str(self.talk), [str(a) for a in arguments])
        )
        process.start()
        process.join()
        return process.exitcode


@posix
@pytest.mark.parametrize(("steps", "every"), [(2, 2), pytest.param(5, 1, marks=pytest.mark.slow)])
def test_killed_before_any_call_that_touches_the_disk_nothing_is_lost(
    charlm: Invoke, corpus: Path, tmp_path: Path, steps: int, every: int
) -> None:
    """From the making of the run's directory to the figure at the end, at every call there is.

    If nothing was saved yet, the same command can be given again.
    """
    processes = Processes(tmp_path)
    begin = ["train", corpus, "--out", tmp_path, *SHORT, "--steps", steps, "--eval-every", every]
    assert charlm(*begin, "--name", "whole").exit_code == 0
    whole = ending(Run(tmp_path / "whole"))
    saved: list[bool] = []
    left: set[str] = set()
    number = 0
    while True:
        run = Run(tmp_path / f"run-{number}")
        again = [*begin, "--name", run.path.name]
        code = processes.run(*again, die_at=number)
        if code == 0:
            break
        assert code == -signal.SIGKILL, processes.talk.read_text()
        saved.append("last" in (load_what_is_there(run) if run.path.exists() else {}))
        assert saved == sorted(saved), f"call {number}: a state that was there has gone"
        left |= {re.sub(r"^\.(\w+).*(\.\w+)$", r"\1\2", name) for name in leftovers(run)}
        result = charlm(*(["train", "--resume", run.path] if saved[-1] else again))
        assert result.exit_code == 0, f"call {number}: {result.output}"
        assert ending(run) == whole, f"call {number}"
        assert not leftovers(run), f"call {number}"
        number += 1
    assert ending(run) == whole
    # It began before there was anything, and went through every kind of write.
    assert saved[:2] == [False, False]
    assert sum(saved) > len(saved) // 2 > 10
    assert left == {"last.tmp", "last.link", "best.tmp", "counts.tmp"}


@posix
def test_killed_while_it_replaces_a_run_the_same_command_does_it(
    charlm: Invoke, corpus: Path, tmp_path: Path
) -> None:
    """Until the new run has saved, --force can be given again; nothing of the old run remains."""
    processes = Processes(tmp_path)
    begin = ["train", corpus, "--out", tmp_path, *SHORT, "--eval-every", 1]
    for name, steps in (("old", 2), ("whole", 3)):
        assert charlm(*begin, "--steps", steps, "--name", name).exit_code == 0
    whole = ending(Run(tmp_path / "whole"))
    number = 0
    while True:
        run = Run(tmp_path / f"run-{number}")
        shutil.copytree(tmp_path / "old", run.path)
        again = [*begin, "--steps", 3, "--name", run.path.name, "--force"]
        assert processes.run(*again, die_at=number) == -signal.SIGKILL, processes.talk.read_text()
        if load_what_is_there(run).get("last") == 0:
            break  # from here on it is a run like any other
        result = charlm(*again)
        assert result.exit_code == 0, f"call {number}: {result.output}"
        assert ending(run) == whole, f"call {number}"
        number += 1
    assert number > 5


# ----------------------------------------------------------------------------- numbers go wrong

RARE = "☃"
"""Occurs in the validation part alone: no update's loss depends on its row of the embedding."""

DIVERGING: list[object] = [*SHORT, "--steps", 12, "--eval-every", 4, "--save-every", 3]


def spoil_weight(trainer: Trainer) -> None:
    trainer.model.head.bias.data[0] = math.nan


def spoil_rare_weight(trainer: Trainer) -> None:
    trainer.model.body.embedding.weight.data[trainer.dataset.tokenizer.encode(RARE)[0]] = math.inf


def spoil_moment(trainer: Trainer) -> None:
    trainer.optimizers.tensors()["body.embedding.weight/exp_avg_sq"][0] = math.inf


def spoil_state(trainer: Trainer) -> None:
    trainer.state[0][0, 0] = math.nan


def spoil_gradient(trainer: Trainer) -> None:
    trainer.model.head.bias.register_hook(lambda slope: torch.full_like(slope, math.inf))


def stop_and_spoil_rare_weight(trainer: Trainer) -> None:
    signal.raise_signal(signal.SIGTERM)
    spoil_rare_weight(trainer)


Spoil = Callable[[Trainer], None]


@pytest.mark.parametrize(
    ("spoil", "after", "options", "step", "what", "holds", "best"),
    [
        # Seen in the loss of the next update; its gradient; in what is to be saved; ...
        (spoil_weight, 5, [], 5, "loss nan and", 3, 4),
        (spoil_gradient, 4, [], 4, "gradient norm inf", 3, 4),
        (spoil_state, 4, [], 4, "loss nan and", 3, 4),
        (spoil_rare_weight, 5, [], 6, "body.embedding.weight is not finite", 3, 4),
        (spoil_moment, 6, [], 6, "exp_avg_sq is not finite", 3, 4),
        (spoil_state, 6, [], 6, "state:0 is not finite", 3, 4),
        # ... in the validation loss; in the model that were the best; at the very end, where no
        # update follows and the rate has come down to nothing; after a signal.
        (spoil_rare_weight, 7, [], 8, "validation loss nan", 6, 4),
        (spoil_rare_weight, 8, ["--val-fraction", 0], 8, "weight is not finite", 6, 4),
        (spoil_rare_weight, 12, ["--save-every", 99], 12, "validation loss nan", 0, 8),
        (spoil_weight, 12, ["--schedule", "linear", "--final-learning-rate", 0], 12, "nan", 9, 8),
        (stop_and_spoil_rare_weight, 8, [], 8, "weight is not finite", 6, 4),
        (stop_and_spoil_rare_weight, 7, [], 7, "weight is not finite", 6, 4),
    ],
)
def test_what_is_not_finite_stops_the_run_and_is_never_saved(
    charlm: Invoke,
    tmp_path: Path,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Spoil,
    after: int,
    options: list[object],
    step: int,
    what: str,
    holds: int,
    best: int,
) -> None:
    """Step, learning rate and the last good checkpoint are named; it loads, and without the fault
    the run goes on from it to the end that it would have had."""
    corpus = tmp_path / "book.txt"
    corpus.write_text(text + RARE * 2, encoding="utf-8")
    begin = ["train", corpus, "--out", tmp_path, *DIVERGING, *options]
    real = Trainer.update

    def update(trainer: Trainer, batch: Batch) -> float:
        nats = real(trainer, batch)
        if trainer.progress.step == after:
            spoil(trainer)
        return nats

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", update)
        result = charlm(*begin, "--name", "run")
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    error = result.stderr.splitlines()[-1]
    assert result.stderr.count("error:") == 1
    assert error.startswith(f"error: step {step:,}: ")
    assert what in error
    run = Run(tmp_path / "run")
    assert error.endswith(f"; {run.last} is finite and holds step {holds:,}")
    rate = re.search(r" at learning rate ([\d.e-]+); try a lower --learning-rate ", error)
    assert rate and float(rate[1]) > 0
    for file, at in ((run.last, holds), (run.best, best)):
        saved = checkpoint.read(file)
        assert saved.provenance["step"] == at
        for name, value in {**saved.weights, **saved.extra}.items():
            assert np.isfinite(value).all(), name
    assert not leftovers(run)
    assert charlm("train", "--resume", run.path).exit_code == 0
    assert charlm(*begin, "--name", "whole").exit_code == 0
    assert ending(run) == ending(Run(tmp_path / "whole"))
