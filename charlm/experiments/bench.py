"""One cell of a grid, from its data to its files: what is the same in every experiment."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from charlm.experiments.grid import Grid

if TYPE_CHECKING:
    from charlm.experiments.training import CurvePoint

Reader = TypeVar("Reader")
Material = TypeVar("Material")


class Bench(ABC, Generic[Reader, Material]):
    """Trains and tests the readers of a grid, one after the other, in one process."""

    def __init__(self, grid: Grid[Any]) -> None:
        self.grid = grid
        self._kept: tuple[int, Material] | None = None

    @abstractmethod
    def make_material(self, seed: int) -> Material:
        """The training and validation data of a seed, the same for all its readers."""

    @abstractmethod
    def train(
        self, name: str, seed: int, material: Material, updated: Callable[[int], None]
    ) -> tuple[Reader, list[CurvePoint]]:
        """A new reader, trained (``charlm.experiments.training.fit``), and its learning curve."""

    @abstractmethod
    def judge(self, reader: Reader) -> dict[str, Any]:
        """What the cell's file says about each test: which answers are right, and more."""

    @abstractmethod
    def facts(self, reader: Reader) -> dict[str, Any]:
        """What the cell's file says about the reader itself: its parameters, its width."""

    @abstractmethod
    def save(self, path: Path, reader: Reader) -> None:
        """Write the trained weights."""

    def material(self, seed: int) -> Material:
        """The data of one seed, kept until another seed is requested."""
        if self._kept is None or self._kept[0] != seed:
            self._kept = None  # not two at the same time in memory
            self._kept = seed, self.make_material(seed)
        return self._kept[1]

    def run(self, name: str, seed: int, updated: Callable[[int], None] = lambda step: None) -> None:
        """Train and test one reader, and write its files. The cell counts as finished when the last
        one, its JSON file, is there."""
        from charlm.experiments.training import made_with

        began = time.monotonic()
        material = self.material(seed)
        trained_from = time.monotonic()
        reader, curve = self.train(name, seed, material, updated)
        trained_in = time.monotonic() - trained_from
        tests = self.judge(reader)
        self.save(self.grid.cell(name, seed, "safetensors"), reader)
        self.grid.write(
            self.grid.cell(name, seed),
            {
                "reader": name,
                "seed": seed,
                **self.facts(reader),
                "made_with": made_with(),
                "seconds_training": round(trained_in, 1),
                "seconds": round(time.monotonic() - began, 1),
                "curve": [asdict(point) for point in curve],
                "tests": tests,
            },
        )
