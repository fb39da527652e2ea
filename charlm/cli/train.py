"""``charlm train``: a text file in, a trained model out."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlm import launch, rundir
from charlm.cli.beginning import prepared
from charlm.cli.corpusoptions import corpus_options
from charlm.cli.options import (
    Command,
    Number,
    corpus_option,
    from_fields,
    given,
    option,
    out_option,
    typed,
)
from charlm.cli.resuming import resumed
from charlm.cli.signals import Interruption
from charlm.cli.terminal import say
from charlm.cli.training import train
from charlm.config import ModelOptions, TrainOptions
from charlm.errors import CheckpointError, RequestError

if TYPE_CHECKING:
    from charlm.rundir import Run
    from charlm.training.group import Group
    from charlm.training.trainer import Trainer

# The options that --resume allows: where the run and its corpus are, the device, and how far to
# train now.
_WITH_RESUME = {"resume", "out", "stop_at", "device", "moved_to"}


@click.command(cls=Command)
@click.argument("corpus", nargs=-1)
@from_fields(ModelOptions)
@option(
    "--init-from",
    group="Model",
    metavar="MODEL",
    help="Start from the weights of this run or model file, with its shape and vocabulary.",
)
@from_fields(TrainOptions)
@option(
    "--stop-at",
    group="Length",
    type=Number(int, min=1),
    help="Save and stop after this training step; --resume continues on the same schedule.",
)
@corpus_options
@option("--name", group="Run", help="Name of the run [default: the name of the corpus]")
@out_option("the runs")
@option("--force", group="Run", is_flag=True, help="Replace the run of this name.")
@option(
    "--resume",
    group="Run",
    metavar="RUN",
    help="Continue this run from its last checkpoint, with its saved settings.",
)
@option(
    "--device",
    group="Run",
    default="auto",
    show_default=True,
    help="Device to train on: cpu, cuda, mps, ...; auto: a CUDA GPU if there is one.",
)
@corpus_option("moved_to", group="Run")
@click.pass_context
def command(ctx: click.Context, /, corpus: tuple[str, ...], **options: Any) -> None:
    """Train a model on a text and save it as a run.

    CORPUS: files, directories, glob patterns, or - for standard input. The defaults are sensible:
    no options are needed. Ctrl-C saves the run; --resume continues it.

    \b
    charlm train book.txt                          train, save in checkpoints/book
    charlm train book.txt --minutes 2              train for two minutes
    charlm train src/**/*.py --cell gru --name code
    charlm train --mix letters.txt=3 diary.txt=1   three of four rows from the first
    zcat big.gz | charlm train - --name big
    charlm train --resume book                     continue from the last checkpoint
    charlm train more.txt --init-from book         continue with book's weights on another text
    """
    began = time.monotonic()
    with Interruption() as interrupted:
        try:
            group = _group(options["device"])
            resume = options["resume"] or _of_this_job(options["out"], group)
            if resume is None:
                trainer, piped = prepared(ctx, corpus, options, began, group)
                # Created only now, so that a refused request leaves no directory behind.
                with _begun(options, trainer) as run:
                    if piped is not None and run is not None:
                        run.keep_stdin(piped)
                    train(run, trainer, options["stop_at"], interrupted)
            else:
                also = given(ctx) - _WITH_RESUME
                if also and options["resume"] is not None:
                    named = ", ".join(typed(ctx, name) for name in sorted(also))
                    raise RequestError(f"--resume uses the run's saved settings; leave out {named}")
                found = rundir.find_run(resume, options["out"])
                with _locked(found, group) as run:
                    trainer = resumed(found, options["device"], options["moved_to"], group)
                    train(run, trainer, options["stop_at"], interrupted)
        except KeyboardInterrupt:
            say("interrupted before training began")
            sys.exit(interrupted.exit_code)


def _group(device: str) -> Group | None:
    """The processes that a launcher has started, this one among them; None without a launcher."""
    if launch.size() == 1:
        return None  # and torch is not needed yet
    from charlm.training.devices import choose_device
    from charlm.training.group import join

    return join(choose_device(device))


def _of_this_job(out: Path, group: Group | None) -> str | None:
    """The run that this job of a launcher has begun, if the launcher has started any of its
    processes again after one had failed."""
    if group is None or not group.any(launch.restarts() > 0):
        return None
    found: str | None = group.tell(_run_of_this_job(out) if group.writes else None)
    return found


def _run_of_this_job(out: Path) -> str | None:
    from charlm import checkpoint
    from charlm.files import is_run

    for path in filter(is_run, sorted(out.glob("*"))):
        with contextlib.suppress(CheckpointError):
            training = checkpoint.read_header(rundir.Run(path).last).training
            if training is not None and training.get("job") == launch.job():
                return str(path)
    return None


@contextlib.contextmanager
def _begun(options: dict[str, Any], trainer: Trainer) -> Iterator[Run | None]:
    """The new run, under its lock; for a process that does not write it, None."""
    with contextlib.ExitStack() as stack:
        run = None
        with trainer.group.first():
            if trainer.group.writes:
                run = stack.enter_context(
                    rundir.begin(
                        options["out"],
                        options["name"],
                        trainer.dataset.name,
                        force=options["force"],
                    )
                )
        yield run


@contextlib.contextmanager
def _locked(run: Run, group: Group | None) -> Iterator[Run | None]:
    """The run under its lock, before it is read: another process could train it further. For a
    process that does not write it, None."""
    if group is None:
        with run.locked():
            yield run
        return
    with contextlib.ExitStack() as stack:
        with group.first():
            if group.writes:
                stack.enter_context(run.locked())
        yield run if group.writes else None
