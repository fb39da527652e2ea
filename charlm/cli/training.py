"""The training of a run by ``charlm train``: what is said before it and printed after it too."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import click

from charlm.cli.resuming import how_to_go_on
from charlm.cli.signals import Interruption
from charlm.cli.terminal import echo, say

if TYPE_CHECKING:
    from charlm.rundir import Run
    from charlm.training.trainer import Trainer


def train(
    run: Run | None, trainer: Trainer, stop_at: int | None, interrupted: Interruption
) -> None:
    """Train, then print the result. If interrupted: save, and exit with the signal's code.

    run: None for a process that does not write it
    """
    from charlm.cli.progress import ProgressReporter
    from charlm.training.trainer import Ending

    config, progress = trainer.config, trainer.progress
    over = trainer.ended
    if over and run is not None:
        say(f"the run is finished ({over.value}); to go on: {how_to_go_on(run)}")
    with interrupted.politely():
        if run is not None:
            _describe_run(run, trainer)
            run.cut_log(progress.evaluated_at)
        reporter = ProgressReporter(
            trainer.end, progress.step, trainer.dataset.symbols_per_char, trainer.learning.unit
        )
        try:
            ending = trainer.run(run, reporter, stop_at=stop_at, interrupted=interrupted)
        finally:
            reporter.close()
    if ending is Ending.PATIENCE and not over:
        say(
            f"stopped at step {progress.step:,} of {trainer.end:,}: {config.patience} evaluations "
            "without an improvement (--patience)"
        )
    timed = progress.pace is not None and ending.finished and ending is not Ending.PATIENCE
    made = progress.step - progress.begin
    if timed and not over and made != config.steps:
        say(
            f"planned {config.steps:,} steps at the start and made {made:,}, as many as the time "
            "allowed"
        )
    stopped = interrupted() or ending is Ending.INTERRUPTED
    trainer.group.end()
    if run is None:
        from charlm.training.group import leave

        leave(interrupted.exit_code if stopped else 0)
    if ending.finished and not interrupted():
        try:
            _summarize(run, trainer)
            return
        except KeyboardInterrupt:
            say("")
    resume = f"charlm train --resume {shlex.quote(str(run.path))}"
    say(f"saved at step {progress.step:,} of {trainer.end:,}; continue: {resume}")
    if stopped or interrupted():
        sys.exit(interrupted.exit_code)


def _describe_run(run: Run, trainer: Trainer) -> None:
    config, model = trainer.config, trainer.model.config
    B, T = config.window
    epochs = config.steps / trainer.streams.steps_per_epoch
    say(f"model   {model.describe()}")
    legs = len(trainer.progress.legs)
    more = f" more (leg {legs + 1} of the run)" if legs else ""
    say(
        f"train   {config.steps:,} steps{more} of {B}x{T} ({epochs:.1f} epochs), "
        f"{config.optimizer}, learning rate {config.learning_rate:.3g}, dropout {model.dropout:g}"
        + (f" and {model.embedding_dropout:g}" if model.embedding_dropout != model.dropout else "")
        + ", "
        f"{config.precision} on {trainer.device}"
    )
    say(f"run     {run.path}")


def _summarize(run: Run, trainer: Trainer) -> None:
    """Print the exact validation loss of the best model, the files, and a command to try next."""
    from charlm.cli.progress import reading_bar
    from charlm.training import summary

    wanted = trainer.config.counts
    if wanted and trainer.dataset.can_validate:
        say("counting the training text ...")
    with reading_bar() as advanced:
        found = summary.finish(
            run, trainer.dataset, with_counts=wanted, device=trainer.device, advanced=advanced
        )
    model = trainer.model.config
    verb = "sample" if model.writes else model.task
    if found is None:
        if trainer.dataset.item_facts is not None:
            click.echo(
                "no validation loss: the run has no validation items; there are too few different "
                "ones, or --val-fraction is 0"
            )
        else:
            click.echo("no validation loss: the run has no validation text (see --val-fraction)")
    elif isinstance(found, summary.Answered):
        click.echo(f"{found.describe()} (step {trainer.progress.best_step:,})")
    else:
        result = found.score
        counted = f"{result.characters:,} characters"
        if found.items is not None:
            counted += f", {found.items.items:,} end symbols among them"
        click.echo(
            f"best validation {result.bits_per_char:.4f} bits/char = "
            f"{result.nats_per_char:.4f} nats/char over {counted} "
            f"(step {trainer.progress.best_step:,}; uniform over the vocabulary: "
            f"{summary.uniform_bits(trainer.dataset, result):.4f} bits)"
        )
        if found.items is not None:
            click.echo(
                f"    {found.items.bits_per_item:.3f} bits/item = {found.items.nats_per_item:.3f} "
                "nats/item"
            )
        elif trainer.dataset.exact is not None:
            held_out = trainer.dataset.facts["val_characters"]
            say(f"measured: the beginning of the {held_out:,} characters of the validation text")
        if found.counts is not None and found.apart is not None:
            click.echo(
                f"    network alone {found.network.bits_per_char:.4f}, {found.counts.name} alone "
                f"{found.apart.ngram.bits_per_char:.4f}; together {found.counts.describe()}"
            )
            used = found.counts.facts["characters"]
            if used < trainer.dataset.train_symbols:
                say(f"counted: the last {used:,} symbols of the training text, not all of it")
        if result.folded_note:
            say(result.folded_note)
        if trainer.progress.best_step <= trainer.progress.begin:
            before = "it went on" if trainer.progress.legs else "training"
            say(
                f"the validation loss never fell below that of the model before {before}; the "
                f"newest weights are in {run.last}"
            )
    beside = f"{run.counts}  " if run.counts.exists() else ""
    echo(f"files  {run.best}  {beside}{run.last}  {run.log}")
    echo(f"next   charlm {verb} {shlex.quote(str(run.path))}{'' if verb == 'sample' else ' FILE'}")
