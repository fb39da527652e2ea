"""What the tests of sweeps share: a design, two small runs, the processes of runs."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from safetensors.numpy import load_file

from charlm.config import ModelOptions, TrainOptions
from charlm.sweeps.design import Design, Value
from charlm.sweeps.store import Sweep
from charlm.sweeps.work import Outcome
from charlm.text import dataset

TEXT = {"name": "some", "sha256": "0" * 64}


def design(**grid: Any) -> Design:
    shared = ModelOptions(), TrainOptions(steps=10)
    return Design(*shared, TEXT, ("some.txt",), {k: tuple(v) for k, v in grid.items()})


def weights(run: Path) -> dict[str, Any]:
    return load_file(run / "best.safetensors")


def same_weights(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def small(path: Path, text: str, *, steps: int = 4000, **options: Any) -> Sweep:
    """A sweep of two runs that take a few seconds."""
    (path / "b.txt").write_text(text[:20_000], encoding="utf-8")
    train = TrainOptions(
        **({"batch_size": 8, "seq_len": 16, "steps": steps, "counts": False} | options)
    )
    arguments = (str(path / "b.txt"),)
    grid: dict[str, tuple[Value, ...]] = {"hidden_size": (8, 12)}
    read = dataset.read(dataset.Source((str(path / "b.txt"),)))
    facts = {"name": "b", "sha256": read.sha256}
    made = Sweep(path / "sweep", Design(ModelOptions(), train, facts, arguments, grid))
    made.begin()
    return made


def never() -> bool:
    return False


def quiet(*_: Any) -> None:
    pass


def children_of_sweeps() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "charlm.cli.child" in process.cmdline():
                found.append(process)
    return found


def outcome(bits: float, network: float = 3.0, **more: Any) -> Outcome:
    facts: dict[str, Any] = {
        "ngram_bits": None,
        "untrained_bits": 6.0,
        "test_bits": None,
        "parameters": 100,
        "steps": 10,
        "best_step": 10,
        "seconds": 1.0,
        "model": "LSTM 1x8",
        "made_with": {},
    }
    return Outcome(bits, network, **(facts | more))
