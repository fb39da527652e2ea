"""One run of a sweep, in one of the processes: ``charlm train`` with the options of its cell.

So a run of a sweep is the run that anybody gets who types these options, on one thread. It has a
process of its own: whatever happens to that, the others go on.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlm import launch, sealed
from charlm.checkpoint import read_header
from charlm.errors import BusyError, CharlmError, CheckpointError
from charlm.parallel import LOOK, LostWorkError, UnwantedError, Wanted
from charlm.rundir import Run

if TYPE_CHECKING:
    from charlm.runs import OpenModel

FORMAT = "charlm-sweep-cell/1"

PATIENCE = 60.0
"""Seconds to wait for a run that another process still holds. If a machine is lost for a while, its
process needs a moment to notice that it has to end."""


@dataclass(frozen=True)
class Task:
    """What a process must know to make a run: where the sweep is and what ``charlm train`` gets."""

    folder: str
    name: str
    configuration: dict[str, Any]
    arguments: tuple[str, ...]

    @property
    def run(self) -> Run:
        return Run(Path(self.folder) / "runs" / self.name)

    @property
    def result(self) -> Path:
        return Path(self.folder) / "cells" / f"{self.name}.json"

    @property
    def output(self) -> Path:
        """What ``charlm train`` has printed."""
        return Path(self.folder) / "cells" / f"{self.name}.txt"


@dataclass(frozen=True)
class Outcome:
    """What a run has reached, in bits per character of the validation text.

    bits_per_char: of what the run samples and scores with: network and counts, if it has counts
    network_bits, ngram_bits: of each alone; None without counts
    untrained_bits: of the model before training
    test_bits: of the test text, with network and counts, if a test text was held back
    seconds: of training, evaluation included; model: in words
    """

    bits_per_char: float
    network_bits: float
    ngram_bits: float | None
    untrained_bits: float
    test_bits: float | None
    parameters: int
    steps: int
    best_step: int
    seconds: float
    model: str
    made_with: dict[str, str]


def train(task: Task, wanted: Wanted) -> None:
    """Make the run of ``task``, from where it was interrupted, and write its result last."""
    if not task.result.parent.is_dir():
        raise CharlmError(
            f"{socket.gethostname()} does not see {task.folder}; a sweep on several machines needs "
            "an --out that is on a file system of all of them"
        )
    _wait_for(task.run)
    if task.result.exists():  # made by the process that we waited for
        return
    begun = task.run.best.exists() and (task.run.last.exists() or task.run.previous.exists())
    where = ["--name", task.name, "--out", str(task.run.path.parent), "--force"]
    resume = ["--resume", str(task.run.path)]
    try:
        _child(task, ["train", *(resume if begun else [*task.arguments, *where])], wanted)
    except CharlmError as error:
        if begun and type(error) is CharlmError:
            raise CharlmError(f"{error}; to train it anew, remove {task.run.path}") from error
        raise
    _check_text(task)
    sealed.write(
        task.result,
        {
            "format": FORMAT,
            "configuration": task.configuration,
            "outcome": asdict(outcome_of(task.run)),
        },
    )


def _check_text(task: Task) -> None:
    """CharlmError if the run has read another text than that of the sweep; it is removed then."""
    wanted = task.configuration["text"]["sha256"]
    found = read_header(task.run.best).provenance.get("corpus_sha256")
    if found != wanted:
        with task.run.locked():
            task.run.clear()
        raise CharlmError(
            f"the text that {socket.gethostname()} reads is not the one that the sweep began with "
            f"(checksum {str(found)[:12]} instead of {wanted[:12]}); bring that back, or choose "
            "another --name"
        )


def _wait_for(run: Run) -> None:
    """Wait until no other process trains ``run``; BusyError if that takes more than a minute."""
    deadline = time.monotonic() + PATIENCE
    while run.path.is_dir():
        try:
            with run.locked():
                return
        except BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(LOOK)


def _child(task: Task, arguments: list[str], wanted: Wanted) -> None:
    """Run ``charlm`` to its end, on one thread. LostWorkError if it was killed, UnwantedError if it
    is not wanted any more, CharlmError with its message if it fails."""
    environment = {k: v for k, v in os.environ.items() if k not in launch.VARIABLES}
    environment |= {"OMP_NUM_THREADS": "1", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "charlm.cli.child", *arguments]
    with task.output.open("wb") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the command, which then asks it to end
        )
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(LOOK)
                    break
                wanted.check()
        finally:
            if child.stdin is not None:
                child.stdin.close()  # if it still runs: it saves and ends
            child.wait()
    if child.returncode == 0:
        return
    if not wanted():
        raise UnwantedError("the command that started this has ended")
    if child.returncode < 0 or child.returncode > 128:
        raise LostWorkError(f"{task.name}: its process was killed ({child.returncode})")
    lines = task.output.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    raise CharlmError(errors[-1] if errors else f"see {task.output}")


def outcome_of(run: Run) -> Outcome:
    """What a finished run has reached, from its files."""
    from charlm.runs import open_model

    found = open_model(str(run.path))
    facts, config = found.provenance, found.checkpoint.config
    log = run.read_log()
    training = read_header(run.last).training or {}
    network = facts.get("val_bits_per_char")
    untrained = log[0].get("val_bits_per_char") if log else None
    if not isinstance(network, float) or not isinstance(untrained, float):
        raise CheckpointError(f"{run.path}: the run has no validation loss; remove it")
    # What naming the folded characters costs is the same for all (``charlm.text.folding``).
    charge = float(facts.get("val_bits_per_char_charged", network)) - network
    beside = found.counts.facts if found.counts is not None else {}
    ngram = beside.get("val_bits_per_char_ngram", math.nan) + charge
    both = beside.get("val_bits_per_char_mixture", network) + charge
    return Outcome(
        bits_per_char=both,
        network_bits=network + charge,
        ngram_bits=None if math.isnan(ngram) else ngram,
        untrained_bits=untrained,
        test_bits=_test_bits(found),
        parameters=config.num_parameters,
        steps=log[-1]["step"],
        best_step=int(facts.get("step", 0)),
        seconds=float(log[-1].get("seconds", 0.0)),
        model=config.describe().split(",")[0],
        made_with={
            "charlm": str(facts.get("charlm")),
            "torch": str(facts.get("torch")),
            "precision": str(training.get("config", {}).get("precision")),
        },
    )


def _test_bits(found: OpenModel) -> float | None:
    """Bits per character of the test text, if there is one."""
    from charlm.text.dataset import MAX_EXACT

    texts = found.texts
    if not texts.test:
        return None
    text = str(texts.test.split(min(MAX_EXACT, len(texts.test)))[0])
    apart = found.model.evaluate_apart(text, texts.slices())
    result = apart.mixture if apart else found.model.evaluate(text, texts.slices())
    return float(result.bits_per_char)
