"""The grid of the position experiment: what its configuration, its tests and its cells hold.

results.csv has a line per reader, seed, test and part.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charlm.experiments import grid as grids
from charlm.experiments.bench import Bench as AnyBench
from charlm.experiments.measures import pack
from charlm.experiments.position_invariance import measures, mistakes
from charlm.experiments.position_invariance.design import Design
from charlm.experiments.position_invariance.examples import Example
from charlm.experiments.tables import as_csv

if TYPE_CHECKING:
    from charlm.experiments.position_invariance.readers import AnyReader
    from charlm.experiments.position_invariance.training import Material
    from charlm.experiments.training import CurvePoint

FORMAT = "charlm-position-invariance/2"
WITHOUT_ERRORS = "charlm-position-invariance/1"
"""The format before kinds of errors were recorded. It is still read."""

STEPS, QUICK_STEPS = 2200, 1900
QUICK_READERS = ("feedforward", "time-delay", "lstm", "writer-lstm")
PER_OFFSET, QUICK_PER_OFFSET = 40, 10
VOCABULARY_FROM = 20_000
"""Sentences that define the vocabulary; any other character is read as unknown."""

ERRORS_KEPT = 20


@dataclass(frozen=True)
class Settings(grids.Settings):
    """The settings of the position experiment.

    per_offset: test sentences for each offset of the answer and each level
    """

    per_offset: int


class Grid(grids.Grid[measures.Results]):
    """The directory of a position experiment."""

    command = "position-invariance"
    formats = (FORMAT, WITHOUT_ERRORS)

    @property
    def settings(self) -> Settings:
        config = self.config
        return Settings(
            tuple(config["readers"]), config["seeds"], config["steps"], config["per_offset"]
        )

    @property
    def design(self) -> Design:
        return Design.from_dict(self.config["design"])

    @property
    def tests(self) -> dict[str, list[Example]]:
        found = self.read_tests()
        return {name: [Example(**each) for each in sentences] for name, sentences in found.items()}

    @staticmethod
    def recipe() -> dict[str, float]:
        from charlm.experiments.position_invariance.training import recipe

        return recipe()

    def bench(self) -> Bench:
        return Bench(self)

    def begin(self, design: Design, settings: Settings) -> None:
        """Store question, settings and tests before anything is computed."""
        self.require_new()
        sentences = [each.text for each in design.training(0, VOCABULARY_FROM)]
        config = {
            "format": FORMAT,
            "readers": list(settings.readers),
            "seeds": settings.seeds,
            "steps": settings.steps,
            "per_offset": settings.per_offset,
            "bands": [list(band) for band in design.bands],
            "seen_starts": list(design.seen_starts),
            "held_out_starts": list(design.held_out_starts),
            "width": design.width,
            "recipe": self.recipe(),
            "commonest": _commonest(design),
            "characters": "".join(sorted(set("".join(sentences)))),
            "design": design.to_dict(),
        }
        tests = design.tests(settings.per_offset)
        self.create(config, {name: [asdict(each) for each in tests[name]] for name in tests})

    def results(self) -> measures.Results:
        """The results of the finished cells; CharlmError if there are none."""
        config, tests = self.config, self.tests
        design = self.design
        cells = self.finished_cells()
        commonest = config.get("commonest") or _commonest(design)
        content = {
            "config": {key: value for key, value in config.items() if key != "design"},
            "design": config["design"],
            "versions": grids.versions(cells),
            "tests": {
                name: {
                    "start": [each.start for each in sentences],
                    "length": [len(each.text) for each in sentences],
                    "floor": float(np.mean([each.answer == commonest for each in sentences])),
                    "ceiling": float(
                        np.mean(
                            [first_answer(each.text, design) == each.answer for each in sentences]
                        )
                    ),
                }
                | (
                    {"chance": mistakes.chances(sentences, design.any_answer)}
                    if config["format"] == FORMAT
                    else {}
                )
                for name, sentences in tests.items()
            },
            "cells": cells,
        }
        return measures.Results(content)

    def table(self, results: measures.Results) -> str:
        each = [f"character {place + 1}" for place in range(results.width)]
        errors = mistakes.SHOWN if results.knows_errors else ()
        head = ["reader", "seed", "test", "offsets", "sentences", "accuracy", *each, *errors]
        rows: list[list[object]] = [[*head]]
        for reader in results.readers:
            for seed in results.seeds(reader):
                for test in results.tests:
                    for part in ("seen", "held out", "all"):
                        mask = results.places(test, part)
                        if mask.any():
                            right = results.right(reader, seed, test)[mask].mean()
                            symbols = results.symbols_right(reader, seed, test)[mask].mean(0)
                            wrong = [
                                results.wrong(reader, seed, test, e)[mask].mean() for e in errors
                            ]
                            figures = [f"{share:.6f}" for share in (right, *symbols, *wrong)]
                            rows.append([reader, seed, test, part, mask.sum(), *figures])
        return as_csv(rows)


def first_answer(text: str, design: Design) -> str:
    """The answer of a regular expression: the first separate group of four digits, or the first
    filler of the template."""
    found = design.any_answer.search(text)
    return found[0] if found else ""


class Bench(AnyBench["AnyReader", "tuple[Material, list[Example]]"]):
    """Sentences, training and tests of one seed after the other."""

    def __init__(self, grid: Grid) -> None:
        from charlm.experiments.position_invariance.store import vocabulary

        super().__init__(grid)
        self.design, self.steps = grid.design, grid.settings.steps
        self.vocabulary = vocabulary(grid.config)
        self.tests = grid.tests

    def make_material(self, seed: int) -> tuple[Material, list[Example]]:
        """Sentences to train on, as arrays, and those of the validation."""
        from charlm.experiments.position_invariance.training import BATCH_SIZE, SORTED, Material

        size = BATCH_SIZE * SORTED
        count = -(-self.steps * BATCH_SIZE // size) * size
        sentences = self.design.training(seed, count)
        return Material.of(self.vocabulary, sentences), self.design.validation(seed)

    def train(
        self,
        name: str,
        seed: int,
        material: tuple[Material, list[Example]],
        updated: Callable[[int], None],
    ) -> tuple[AnyReader, list[CurvePoint]]:
        from charlm.experiments.position_invariance import training
        from charlm.experiments.position_invariance.readers import KINDS

        return training.train(
            KINDS[name],
            self.vocabulary,
            *material,
            seed=seed,
            steps=self.steps,
            updated=updated,
        )

    def judge(self, reader: AnyReader) -> dict[str, Any]:
        return {
            test: judge(
                reader.answers([each.text for each in sentences]),
                sentences,
                self.design,
                reader.kind.longest,
            )
            for test, sentences in self.tests.items()
        }

    def facts(self, reader: AnyReader) -> dict[str, Any]:
        return {
            "parameters": sum(parameter.numel() for parameter in reader.parameters()),
            "hidden_size": reader.config.hidden_size,
            "receptive_field": reader.config.receptive_field,
        }

    def save(self, path: Path, reader: AnyReader) -> None:
        from charlm.experiments.position_invariance import store

        store.save(path, reader)


def judge(
    found: Sequence[str], sentences: Sequence[Example], design: Design, longest: int | None
) -> dict[str, Any]:
    """Which answers, and which of their characters, are right; which are another number of the
    sentence, and which are not in the sentence; some errors; how many sentences exceed what the
    reader can read."""
    kinds = [
        mistakes.kind_of(f, each, design.any_answer)
        for f, each in zip(found, sentences, strict=True)
    ]
    right = np.array([f == each.answer for f, each in zip(found, sentences, strict=True)])
    symbols = np.array(
        [
            [f[k : k + 1] == each.answer[k : k + 1] for k in range(design.width)]
            for f, each in zip(found, sentences, strict=True)
        ]
    )
    wrong = np.flatnonzero(~right)
    kept = wrong[np.linspace(0, len(wrong) - 1, min(ERRORS_KEPT, len(wrong))).astype(int)]
    return {
        "right": pack(right),
        "symbols_right": pack(symbols),
        "wrong_number": pack(np.array([k == mistakes.WRONG_NUMBER for k in kinds])),
        "not_in_sentence": pack(np.array([k == mistakes.NOT_IN_SENTENCE for k in kinds])),
        "unread": sum(len(each.text) > (longest or math.inf) for each in sentences),
        "errors": [
            {"text": sentences[n].text, "answer": sentences[n].answer, "found": found[n]}
            for n in kept.tolist()
        ],
    }


def _commonest(design: Design) -> str:
    """The most frequent answer in training, which the floor always gives."""
    return Counter(each.answer for each in design.training(1, 5000)).most_common(1)[0][0]
