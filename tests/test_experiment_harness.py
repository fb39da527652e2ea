"""What every experiment shares, with the smallest experiment that there can be: readers that need
no training. Their names are of no kind that charlm knows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from charlm.config import ModelConfig
from charlm.errors import CheckpointError, DivergenceError, RequestError
from charlm.experiments import grid, store
from charlm.experiments.bench import Bench
from charlm.experiments.grid import Settings
from charlm.experiments.measures import GridResults, pack, unpack
from charlm.experiments.tables import as_csv
from charlm.experiments.training import CurvePoint, Recipe, fit
from charlm.experiments.widths import NARROWEST, WIDEST, width_for
from charlm.parallel import Workers

READERS = ("even@10", "odd@10", "even@20")


class Parity(grid.Grid[GridResults]):
    """Which of the numbers below ten are even, and which are odd?"""

    command = "parity"
    formats = ("parity/2", "parity/1")

    @property
    def settings(self) -> Settings:
        return Settings(tuple(self.config["readers"]), self.config["seeds"], self.config["steps"])

    def begin(self, settings: Settings) -> None:
        readers = list(settings.readers)
        config = {"format": self.formats[0], "recipe": self.recipe(), "readers": readers}
        more = {"seeds": settings.seeds, "steps": settings.steps}
        self.create(config | more, {"numbers": list(range(10))})

    @staticmethod
    def recipe() -> dict[str, int]:
        return {"remainder": 2}

    def bench(self) -> Remainders:
        return Remainders(self)

    def results(self) -> GridResults:
        cells = self.finished_cells()
        versions = grid.versions(cells)
        return GridResults({"config": self.config, "versions": versions, "cells": cells})

    def table(self, results: GridResults) -> str:
        return as_csv([(reader, len(results.seeds(reader))) for reader in results.readers])


class Remainders(Bench[str, int]):
    """A reader is its name; the material of a seed is the seed."""

    def make_material(self, seed: int) -> int:
        return seed

    def train(
        self, name: str, seed: int, material: int, updated: Callable[[int], None]
    ) -> tuple[str, list[CurvePoint]]:
        assert material == seed
        updated(1)
        return name, [CurvePoint(1, os.getpid(), 1.0)]

    def judge(self, reader: str) -> dict[str, Any]:
        wanted = 0 if reader.startswith("even") else 1
        numbers = np.array(self.grid.read_tests()["numbers"])
        return {"numbers": {"right": pack(numbers % 2 == wanted)}}

    def facts(self, reader: str) -> dict[str, Any]:
        return {"width": int(reader.partition("@")[2])}

    def save(self, path: Path, reader: str) -> None:
        path.write_text(reader)


@pytest.fixture
def begun(tmp_path: Path) -> Parity:
    made = Parity(tmp_path / "parity")
    made.begin(Settings(READERS, seeds=2, steps=1))
    return made


def quiet(done: int, total: int) -> None:
    pass


def test_cells_of_another_experiment_are_computed_in_processes_and_collected(begun: Parity) -> None:
    begun.run(Workers(2), quiet)
    assert begun.unfinished() == []
    results = begun.collect()
    assert results.readers == list(READERS)
    assert begun.table_file.read_text() == "even@10,2\nodd@10,2\neven@20,2\n"
    assert json.loads(begun.results_file.read_text()) == results.content
    for (reader, seed), cell in results.cells.items():
        assert begun.cell(reader, seed, "safetensors").read_text() == reader
        assert f"{reader.partition('@')[0]}@{cell['width']}" == reader
        assert cell["curve"][0]["loss"] != os.getpid()

    def right(reader: str, seed: int) -> Any:
        return unpack(results.cells[reader, seed]["tests"]["numbers"]["right"], (10,))

    assert right("odd@10", 1).tolist() == [False, True] * 5
    assert results.compared("even@10", "even@20", right).mean == 0
    assert results.over_seeds("even@10", lambda seed: float(right("even@10", seed)[0])).mean == 1


def test_it_is_found_only_as_what_it_is(begun: Parity, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Parity.find(str(begun.path)).settings == begun.settings
    monkeypatch.setattr(Parity, "formats", ("parity/3",))
    with pytest.raises(CheckpointError, match="not an experiment of this version"):
        Parity.find(str(begun.path))
    with pytest.raises(RequestError, match=r"run one: charlm experiment parity --out"):
        Parity.find(str(begun.path / "cells"))


def test_its_recipe_is_that_of_its_beginning(
    begun: Parity, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun.check_recipe()
    monkeypatch.setattr(Parity, "recipe", staticmethod(lambda: {"remainder": 3}))
    with pytest.raises(RequestError, match="remainder 2 instead of 3"):
        begun.check_recipe()


# ---------------------------------------------------------------------------------- one reader


CONFIG = ModelConfig.resolve(vocab_size=5, cell="gru", hidden_size=4, num_layers=1)


def test_fit_trains_in_place_on_the_batches_of_the_experiment() -> None:
    """A line through points without noise: the loss goes to nothing."""
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    told: list[int] = []

    def batch(step: int) -> torch.Tensor:
        return torch.from_numpy(np.random.default_rng(step).normal(size=(8, 2)).astype("float32"))

    def loss(x: torch.Tensor) -> torch.Tensor:
        missed: torch.Tensor = model(x)[:, 0] - x[:, 0] + 2 * x[:, 1] - 1
        return missed.square().mean()

    def train(factor: float) -> list[CurvePoint]:
        return fit(
            model,
            name="line@2",
            hidden_size=256,
            recipe=Recipe(batch_size=8, rate=4.0, warmup=5),
            seed=1,
            steps=300,
            seq_len=1,
            batch=batch,
            loss=lambda x: factor * loss(x),
            accuracy=lambda: float(model.training),
            remedy="do otherwise",
            updated=told.append,
        )

    curve = train(1.0)
    assert [point.step for point in curve] == list(range(20, 301, 20))
    assert told == list(range(1, 301))
    assert curve[-1].loss < 1e-3 < 0.5 < curve[0].loss
    assert not model.training
    with pytest.raises(DivergenceError, match=r"^line@2, seed 1, .*step 0.*; do otherwise$"):
        train(float("nan"))


def test_a_file_is_of_one_reader_one_configuration_and_its_facts(tmp_path: Path) -> None:
    path, module = tmp_path / "reader.safetensors", nn.Linear(3, 2)
    store.save(path, module, "line@2", CONFIG, {"patch": "2"})
    again = nn.Linear(3, 2)
    store.load(path, again, "line@2", CONFIG, {"patch": "2"})
    assert torch.equal(again.weight, module.weight) and torch.equal(again.bias, module.bias)
    for name, facts in (("line@3", {"patch": "2"}), ("line@2", {"patch": "3"})):
        with pytest.raises(CheckpointError, match=f"not the {name} of this .*remove reader.json"):
            store.load(path, again, name, CONFIG, facts)
    with pytest.raises(CheckpointError, match="not the line@2"):
        store.load(path, nn.Linear(2, 3), "line@2", CONFIG, {"patch": "2"})


def test_the_width_for_a_number_of_parameters_is_the_closest_of_all() -> None:
    def count(hidden_size: int) -> int:
        return 4 * hidden_size * (hidden_size + 7) + 10

    widths = range(NARROWEST, WIDEST + 1)
    for parameters in (0, 82, 83, 100, 5000, 40_001, count(WIDEST), 10**9):
        closest = min(widths, key=lambda size: abs(count(size) - parameters))
        assert width_for(parameters, count) == closest
    assert width_for(5, lambda size: 2 * size) == 2  # 4 and 6 are equally close
