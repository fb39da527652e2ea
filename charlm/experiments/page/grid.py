"""The grid of this experiment: readers and seeds, and some readers on pages of other widths.

The key of a cell is the name of a reader, or ``READER@WIDTH`` for one that reads pages of another
width. Such pages have no held-out places: they show what becomes of the two families as the rows
grow longer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from charlm.experiments import grid
from charlm.experiments.bench import Bench as AnyBench
from charlm.experiments.measures import pack, unpack
from charlm.experiments.page import measures
from charlm.experiments.page.design import NEW_YEARS, PLACES, Design, numbers, standard
from charlm.experiments.page.layouts import Page
from charlm.experiments.tables import as_csv

if TYPE_CHECKING:
    from charlm.experiments.page.readers import Reader
    from charlm.experiments.page.training import Material
    from charlm.experiments.training import CurvePoint

STEPS, QUICK_STEPS = 600, 300
QUICK_READERS = ("feedforward", "lstm", "conv", "mdlstm")
PER_PLACE, QUICK_PER_PLACE = 2, 1
WIDTHS = (10, 20, 40, 80)
WIDTH_READERS = ("lstm", "conv", "renet", "mdlstm")
"""The readers that are trained at every width."""
WIDTH_SEEDS = 3
PER_WIDTH = 300
"""Test pages of each family for a width."""
VALIDATION = 200
ERRORS_KEPT = 20
SOME = 200
"""Test pages that a reader is asked before it is trained."""

VOCABULARY_FROM = 5_000
"""Pages that define the vocabulary."""


@dataclass(frozen=True)
class Settings(grid.Settings):
    """The settings of a grid; stored, so that an interrupted one continues with the same ones.

    readers: kinds of readers
    per_place: test pages of each family for each place
    widths: columns of further pages
    """

    per_place: int = PER_PLACE
    widths: tuple[int, ...] = ()

    @property
    def keys(self) -> list[str]:
        """Of every cell, in the order of the tables."""
        wide = [name for name in self.readers if name in WIDTH_READERS]
        return [*self.readers, *(at_width(name, width) for name in wide for width in self.widths)]

    def cells(self) -> list[tuple[str, int]]:
        return [
            (key, seed)
            for seed in range(1, self.seeds + 1)
            for key in reversed(self.keys)
            if seed <= WIDTH_SEEDS or width_of(key) is None
        ]

    def describe(self) -> str:
        said = super().describe()
        return said + (f", page widths {', '.join(map(str, self.widths))}" if self.widths else "")


def at_width(reader: str, width: int) -> str:
    """The key of a reader on pages of another width."""
    return f"{reader}@{width}"


def width_of(key: str) -> int | None:
    """The width of the pages in a key; None for the usual pages."""
    _, _, width = key.partition("@")
    return int(width) if width else None


def kind_of(key: str) -> str:
    """The name of the reader in a key."""
    return key.partition("@")[0]


class Grid(grid.Grid[measures.Results]):
    """The directory of a grid of this experiment."""

    command: ClassVar[str] = "page"
    formats: ClassVar[tuple[str, ...]] = ("charlm-page/1",)

    @property
    def settings(self) -> Settings:
        config = self.config
        return Settings(
            tuple(config["kinds"]),
            config["seeds"],
            config["steps"],
            config["per_place"],
            tuple(config["widths"]),
        )

    @property
    def design(self) -> Design:
        return Design.from_dict(self.config["design"])

    @property
    def tests(self) -> dict[str, list[Page]]:
        return {
            name: [Page(**{**each, "rows": tuple(each["rows"])}) for each in pages]
            for name, pages in self.read_tests().items()
        }

    @staticmethod
    def recipe() -> Mapping[str, Any]:
        from charlm.experiments.page.training import recipe

        return recipe()

    def begin(self, settings: Settings) -> None:
        """Store question, settings and tests before anything is computed."""
        self.require_new()
        design = standard()
        characters = {
            character
            for page in islice(design.training(0), VOCABULARY_FROM)
            for row in page.rows
            for character in row
        }
        tests = design.tests(settings.per_place)
        for width in settings.widths:
            tests[measures.width_test(width)] = design.of_width(width).anywhere(PER_WIDTH)
        config = {
            "format": self.formats[0],
            "readers": settings.keys,
            "kinds": list(settings.readers),
            "widths": list(settings.widths),
            "seeds": settings.seeds,
            "steps": settings.steps,
            "per_place": settings.per_place,
            "recipe": dict(self.recipe()),
            "characters": "".join(sorted(characters)),
            "design": design.to_dict(),
        }
        self.create(config, {name: [asdict(page) for page in tests[name]] for name in tests})

    def results(self) -> measures.Results:
        """The results of the finished cells; CharlmError if there are none."""
        cells = self.finished_cells()
        content = {
            "config": self.config,
            "versions": grid.versions(cells),
            "tests": {
                name: {
                    "row": [page.row for page in pages],
                    "column": [page.column for page in pages],
                    "family": [page.family for page in pages],
                    "kind": [page.kind for page in pages],
                    "chance": [1 / len(numbers(page)) for page in pages],
                }
                for name, pages in self.tests.items()
            },
            "cells": cells,
        }
        return measures.Results(content)

    def table(self, results: measures.Results) -> str:
        return as_csv(measures.rows(results))

    def bench(self) -> Bench:
        return Bench(self)


class Bench(AnyBench["Reader", "Materials"]):
    """Pages, training and tests of one seed after the other."""

    def __init__(self, made: Grid) -> None:
        from charlm.experiments.page.readers import Vocabulary

        super().__init__(made)
        self.design, self.steps = made.design, made.settings.steps
        self.vocabulary = Vocabulary.of(made.config["characters"])
        self.tests = made.tests
        self._key = ""  # of the cell that is being computed
        self._untrained: dict[str, float] = {}

    def make_material(self, seed: int) -> Materials:
        return Materials(self, seed)

    def train(
        self, name: str, seed: int, material: Materials, updated: Callable[[int], None]
    ) -> tuple[Reader, list[CurvePoint]]:
        from charlm.experiments.page import training
        from charlm.experiments.page.readers import KINDS, build, shape_of
        from charlm.seeds import derive

        self._key = name
        kind, design = KINDS[kind_of(name)], self.design_of(name)
        shape = shape_of(kind, self.vocabulary, design.rows, design.columns)
        reader = build(kind, shape, self.vocabulary, derive(seed, "weights"))
        self._untrained = self.shares(reader)
        curve = training.train(
            reader,
            material.pages(design, kind.times),
            material.validation(design),
            name=name,
            seed=seed,
            steps=self.steps,
            updated=updated,
        )
        return reader, curve

    def design_of(self, key: str) -> Design:
        """The question that the cells of that key are asked."""
        width = width_of(key)
        return self.design if width is None else self.design.of_width(width)

    def tests_of(self, key: str) -> dict[str, list[Page]]:
        """The tests of the cells of that key."""
        width = width_of(key)
        names = (PLACES, NEW_YEARS) if width is None else (measures.width_test(width),)
        return {test: self.tests[test] for test in names}

    def shares(self, reader: Reader) -> dict[str, float]:
        """The share of places and of values that a reader gets right, on some of the pages."""
        pages = next(iter(self.tests_of(self._key).values()))
        some = [pages[n] for n in np.linspace(0, len(pages) - 1, SOME).astype(int)]
        found = judge(reader, some)
        return {name: float(unpack(found[name], (SOME,)).mean()) for name in measures.ANSWERS}

    def judge(self, reader: Reader) -> dict[str, Any]:
        return {test: judge(reader, pages) for test, pages in self.tests_of(self._key).items()}

    def facts(self, reader: Reader) -> dict[str, Any]:
        return {
            "parameters": sum(parameter.numel() for parameter in reader.parameters()),
            "hidden_size": reader.shape.hidden_size,
            "receptive_field": list(reader.receptive_field),
            "steps": self.steps * reader.kind.times,
            "untrained": self._untrained,
        }

    def save(self, path: Path, reader: Reader) -> None:
        from charlm.experiments.page import store

        store.save(path, reader)


class Materials:
    """The pages of one seed as arrays, by their width; each is made when it is asked for."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench, self.seed = bench, seed
        self._kept: dict[int, Material] = {}

    def pages(self, design: Design, times: int = 1) -> Material:
        """Pages to train on: as many as the steps need, or ``times`` as many, which are not kept
        because they are large."""
        if times > 1:
            return self._made(design, times)
        if design.columns not in self._kept:
            self._kept[design.columns] = self._made(design, times)
        return self._kept[design.columns]

    def _made(self, design: Design, times: int) -> Material:
        from charlm.experiments.page.training import BATCH_SIZE, Material

        count = self.bench.steps * BATCH_SIZE * times
        return Material.of(self.bench.vocabulary, design.training(self.seed), count)

    def validation(self, design: Design) -> Material:
        from charlm.experiments.page.training import Material

        return Material.of(self.bench.vocabulary, design.validation(self.seed), VALIDATION)


def judge(reader: Reader, pages: Sequence[Page]) -> dict[str, Any]:
    """Which places and which values are right, which places are those of another number, and some
    errors."""
    found = reader.answers(reader.vocabulary.encode([page.rows for page in pages]))
    pointed = list(zip(found.rows.tolist(), found.columns.tolist(), strict=True))
    right = np.array(
        [at == (page.row, page.column) for at, page in zip(pointed, pages, strict=True)]
    )
    other = [
        at in [(row, column) for row, column, _ in numbers(page)]
        for at, page in zip(pointed, pages, strict=True)
    ]
    wrong = np.flatnonzero(~right)
    kept = wrong[np.linspace(0, len(wrong) - 1, min(ERRORS_KEPT, len(wrong))).astype(int)]
    return {
        "place": pack(right),
        "value": pack(
            np.array([said == page.answer for said, page in zip(found.values, pages, strict=True)])
        ),
        "other_number": pack(np.array(other) & ~right),
        "errors": [
            {"page": n, "place": list(pointed[n]), "value": found.values[n]} for n in kept.tolist()
        ],
    }
