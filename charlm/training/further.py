"""The plan of another leg: how a run that is finished goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from charlm.config import OF_A_LEG, ModelOptions, TrainOptions
from charlm.training.plan import Plan, Trials, settle_length
from charlm.training.trainer import Trainer


def go_on(trainer: Trainer, asked: Mapping[str, Any], *, began: float) -> Plan:
    """Begin another leg where the run of ``trainer`` has ended; returns its plan.

    asked: what is given of ``config.OF_A_LEG``, the length among it: how much more
    began: ``time.monotonic()`` when the command started; ``minutes`` counts from there
    """
    config, begin = trainer.config, trainer.progress.step
    train = TrainOptions(**(config.to_dict() | dict.fromkeys(OF_A_LEG) | dict(asked)))
    train.check_length()
    legs = trainer.progress.legs
    first = legs[0].learning_rate if legs else config.learning_rate
    train = replace(train, learning_rate=train.learning_rate or first)
    settled = settle_length(
        ModelOptions(**trainer.model.config.to_dict()),
        train,
        Trials(trainer.dataset, trainer.source, trainer.device, trainer.group),
        began=began,
        may_split=trainer.progress.split is not None,
        begin=begin,
    )
    trainer.go_on(settled.train, settled.pace, settled.split)
    return settled
