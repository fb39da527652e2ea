"""A run of ``charlm train`` that is resumed: its last checkpoint, and its text."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from charlm import runs
from charlm.cli.terminal import say
from charlm.config import TrainConfig
from charlm.errors import CheckpointError, RequestError

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint
    from charlm.rundir import Run
    from charlm.text.dataset import Source
    from charlm.training.group import Group
    from charlm.training.trainer import Trainer


def resumed(run: Run, device: str, moved_to: tuple[str, ...], group: Group | None) -> Trainer:
    """The trainer in the state of the run's last checkpoint."""
    from charlm import checkpoint
    from charlm.text import dataset as data
    from charlm.training import parity, state
    from charlm.training.devices import choose_device
    from charlm.training.group import ALONE
    from charlm.training.trainer import Trainer

    saved, damage = _newest_state(run)
    source, config = _stored(saved, run)
    if moved_to:
        source = runs.relocated(source, moved_to)  # from now on the run reads it there
    dataset = data.encode_corpus(runs.reread(source, run, saved.provenance), saved.tokenizer)
    chosen_device = choose_device(device)
    parity.check(saved.config, chosen_device)
    trainer = Trainer(saved.config, config, dataset, source, chosen_device, group or ALONE)
    trainer.restore(saved)
    if damage:
        say(f"{damage}; continuing from {run.previous}")
        # Before the next save, which would keep the damaged file as ``previous``.
        if trainer.group.writes:
            checkpoint.write(run.last, saved)
    say(f"resuming {run.path} at step {trainer.progress.step:,}")
    differences = state.differences(saved, trainer.device)
    if differences:
        say(f"not bit-exact because {', '.join(differences)}")
    return trainer


def go_on(trainer: Trainer, run: Run, more: Mapping[str, Any], began: float) -> None:
    """Begin another leg of a finished run; RequestError if it is not finished.

    more: what is given of ``config.OF_A_LEG``, its length among it
    began: ``time.monotonic()`` when the command started
    """
    from charlm.training import further

    if trainer.ended is None:
        raise RequestError(
            f"{run.path} is not finished (step {trainer.progress.step:,} of {trainer.end:,}), and "
            "only a finished run can be made longer; finish it first: charlm train --resume "
            f"{shlex.quote(str(run.path))}"
        )
    for note in further.go_on(trainer, more, began=began).notes:
        say(note)


def how_to_go_on(run: Run) -> str:
    """The commands that train the model of a finished run further."""
    name = shlex.quote(str(run.path))
    return (
        f"charlm train --resume {name} --minutes 5 (or --steps +400, --epochs +2); on another "
        f"text: charlm train CORPUS --init-from {name}"
    )


def _newest_state(run: Run) -> tuple[Checkpoint, str]:
    """``last``, and ""; if it is damaged or missing, ``previous`` and what is wrong."""
    from charlm import checkpoint

    try:
        return checkpoint.read(run.last), ""
    except CheckpointError as error:
        if not run.previous.exists():
            raise
        try:
            return checkpoint.read(run.previous), str(error)
        except CheckpointError as second:
            raise CheckpointError(f"{error}; {second}") from second


def _stored(saved: Checkpoint, run: Run) -> tuple[Source, TrainConfig]:
    from charlm.text.dataset import Source

    if saved.training is None:
        raise RequestError(
            f"{run.path} cannot be resumed: it has no optimizer state; to train its weights "
            f"further: charlm train CORPUS --init-from {shlex.quote(str(run.path))}"
        )
    source = Source.from_dict(saved.training.get("source"))
    return source, TrainConfig.from_dict(saved.training.get("config"))
