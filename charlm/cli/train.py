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
    typed_with_plus,
)
from charlm.cli.resuming import go_on, resumed
from charlm.cli.signals import Interruption
from charlm.cli.terminal import say
from charlm.cli.training import train
from charlm.config import OF_A_LEG, ModelOptions, TrainOptions
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
@option(
    "--add-characters",
    group="Model",
    is_flag=True,
    help="Add the characters of CORPUS that the model of --init-from has never seen; the default "
    "learning rate is then half the usual one.",
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
    help="Continue this run from its last checkpoint, with its saved settings. A finished run goes "
    "on for --minutes M, --steps +N or --epochs +N more: the learning rate rises and falls again. "
    "--learning-rate, --eval-every, --save-every and --patience can be given for that.",
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
    charlm train --resume book --minutes 5         go on after the end, five minutes more
    charlm train --resume book --steps +400        the same, 400 steps more
    charlm train more.txt --init-from book         continue with book's weights on another text
    charlm train new.txt --init-from book --add-characters
    """
    began = time.monotonic()
    with Interruption() as interrupted:
        try:
            more = _more(ctx, options)
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
                found = rundir.find_run(resume, options["out"])
                with _locked(found, group) as run:
                    trainer = resumed(found, options["device"], options["moved_to"], group)
                    if more and not _goes_on_already(found, group):
                        go_on(trainer, found, more, began)
                    train(run, trainer, options["stop_at"], interrupted)
        except KeyboardInterrupt:
            say("interrupted before training began")
            sys.exit(interrupted.exit_code)


def _more(ctx: click.Context, options: dict[str, Any]) -> dict[str, Any]:
    """What is asked for a new leg of the run that is resumed; empty: there is none. RequestError
    for what --resume does not allow, and for a plus sign without it."""
    length = {"steps", "epochs", "minutes"} & given(ctx)
    counted = sorted(length - {"minutes"})
    if options["resume"] is None:
        for name in counted:
            if typed_with_plus(ctx, name):
                raise RequestError(
                    f"{typed(ctx, name)} +{options[name]:g} makes a finished run longer, which "
                    f"needs --resume RUN; for a new run: {typed(ctx, name)} {options[name]:g}"
                )
        return {}
    of_leg = given(ctx) & set(OF_A_LEG)
    also = given(ctx) - _WITH_RESUME - (of_leg if length else set())
    if also:
        named = ", ".join(typed(ctx, name) for name in sorted(also))
        only = (
            "" if also - of_leg else "; it can be given with --steps +N, --epochs +N or --minutes"
        )
        raise RequestError(f"--resume uses the run's saved settings; leave out {named}{only}")
    if len(length) > 1:
        TrainOptions(**{name: options[name] for name in length}).check_length()
    for name in counted:
        if not typed_with_plus(ctx, name):
            raise RequestError(
                f"{typed(ctx, name)} {options[name]:g} is the length of a new run; to make a "
                f"finished run so much longer: {typed(ctx, name)} +{options[name]:g}"
            )
    return {name: options[name] for name in of_leg}


def _goes_on_already(run: Run, group: Group | None) -> bool:
    """Whether this job of a launcher has begun the new leg before it was started again."""
    if group is None or not group.any(launch.restarts() > 0):
        return False
    return group.any(group.writes and _job_of(run) == launch.job())


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
    from charlm.files import is_run

    for path in filter(is_run, sorted(out.glob("*"))):
        with contextlib.suppress(CheckpointError):
            if _job_of(rundir.Run(path)) == launch.job():
                return str(path)
    return None


def _job_of(run: Run) -> Any:
    """The job of a launcher that wrote the run's last checkpoint; None without a launcher."""
    from charlm import checkpoint

    return (checkpoint.read_header(run.last).training or {}).get("job")


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
