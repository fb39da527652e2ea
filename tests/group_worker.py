"""One of several processes that train together, for ``test_group.py``: it runs what it is told.

    RANK=0 WORLD_SIZE=2 ... python tests/group_worker.py FILE.json

FILE.json is a list of scenarios; rank 0 writes the weights that each ends with into
FILE.json.NAME.npz.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from charlm import checkpoint
from charlm.config import ModelConfig, TrainConfig
from charlm.models.language import build
from charlm.rundir import Run
from charlm.text import dataset as data
from charlm.text.dataset import Source
from charlm.training import objectives
from charlm.training.group import ALONE, Group, Processes, join, leave
from charlm.training.trainer import Trainer

TEXT = "".join(f"{k} le vie della citt\u00e0 {k * k % 97}\n" for k in range(120))


class Silent:
    def updated(self, step: int, nats: float, characters: int) -> None: ...
    def evaluated(self, record: dict[str, Any]) -> None: ...
    def sampled(self, text: str) -> None: ...


def make(scenario: dict[str, Any], group: Group) -> Trainer:
    texts = data.Texts.of(TEXT, TEXT[:300])
    dataset = data.encode(texts, data.choose_tokenizer(texts))
    config = {
        "batch_size": 8,
        "seq_len": 10,
        "steps": scenario["steps"],
        "learning_rate": 0.02,
        "precision": "float32",
        "eval_every": 50,
        "save_every": 50,
        **scenario.get("config", {}),
    }
    shape = {"hidden_size": 8, "num_layers": 2, "dropout": 0.0, **scenario.get("shape", {})}
    model = ModelConfig.resolve(vocab_size=dataset.tokenizer.vocab_size, **shape)
    with pytest.MonkeyPatch.context() as double:
        if scenario.get("double"):
            double.setattr(objectives, "build", lambda config, seed: build(config, seed).double())
        return Trainer(model, TrainConfig(**config), dataset, Source(("a",)), group=group)


def patch(thing: object, name: str, value: object) -> None:
    vars(thing)[name] = value


def break_it(what: str | None, trainer: Trainer, group: Group) -> None:
    """The controls: what would go wrong if the division were wrong."""
    if what == "same rows":
        patch(group, "rows", lambda batch_size: slice(0, batch_size // group.size))
    elif what == "state forgotten":
        update = trainer.update

        def forgetful(batch: Any) -> float:
            nats = update(batch)
            trainer.state = tuple(torch.zeros_like(part) for part in trainer.state)
            return nats

        patch(trainer, "update", forgetful)
    elif what == "rows swapped":
        gather = group.gather
        patch(group, "gather", lambda part: gather(part).flip(1))


def run(scenario: dict[str, Any], group: Group) -> dict[str, np.ndarray]:
    """Train as the scenario says; the weights at the end."""
    trainer = make(scenario, group)
    break_it(scenario.get("broken"), trainer, group)
    directory = scenario.get("directory")
    if directory is None:
        while trainer.progress.step < scenario["steps"]:
            trainer.update(trainer.streams.batch(trainer.progress.step))
    else:
        path = Run(Path(directory))
        group.agree(0.0)  # rank 0 has saved what the others read now
        if scenario.get("resume"):
            trainer.restore(checkpoint.read(path.last))
        mine = path if group.writes else None
        trainer.run(mine, Silent(), stop_at=scenario.get("stop_at"))
    return {
        name: parameter.detach().numpy().copy()
        for name, parameter in trainer.model.named_parameters()
    }


def main() -> None:
    torch.set_num_threads(1)
    group = join(torch.device("cpu"))
    assert group is not ALONE
    assert isinstance(group, Processes)
    file = Path(sys.argv[1])
    for scenario in json.loads(file.read_text()):
        vars(group).pop("rows", None)
        vars(group).pop("gather", None)
        weights = run(scenario, group)
        if group.writes:
            np.savez(f"{file}.{scenario['name']}.npz", **weights)  # type: ignore[arg-type]
    group.end()
    leave(0)


if __name__ == "__main__":
    main()
