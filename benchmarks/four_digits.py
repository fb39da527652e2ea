"""The readers of a position experiment on hand-written sentences with a number that is no year.

python benchmarks/four_digits.py RUN                print the table
python benchmarks/four_digits.py RUN --json FILE    and write the figures of every seed to FILE
python benchmarks/four_digits.py RUN --without lstm the control: train that kind as the run did, but
                                                    without such sentences, and test it on them

Each sentence of benchmarks/handwritten-four-digits.tsv has the year of a journey and one other
four-digit number (a room, a price, a train). For each kind of reader: the share of right answers,
of answers that are the other number, and of answers that are nowhere in the sentence; the mean over
seeds and its 95 % interval. Below are two answers without a model: one of the two numbers at
random, and the first one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import common
import numpy as np

from charlm.experiments.measures import Estimate
from charlm.experiments.position_invariance import grid, mistakes, training
from charlm.experiments.position_invariance.ask import Panel, read_scored
from charlm.experiments.position_invariance.examples import LEVELS, Example
from charlm.experiments.position_invariance.readers import KINDS, AnyReader
from charlm.experiments.tables import percent

SENTENCES = Path(__file__).parent / "handwritten-four-digits.tsv"
HEADS = {
    "right": "",
    "other number": mistakes.WRONG_NUMBER,
    "invented": mistakes.NOT_IN_SENTENCE,
    "rest": mistakes.REST,
}

Shares = dict[str, list[float]]
"""Of each heading, a share for each seed."""


def shares_of(readers: Sequence[AnyReader], panel: Panel, sentences: Sequence[Example]) -> Shares:
    """What each of the readers answers."""
    found: Shares = {head: [] for head in HEADS}
    for reader in readers:
        answers = reader.answers([each.text for each in sentences])
        kinds = [
            mistakes.kind_of(said, each, panel.design.any_answer)
            for said, each in zip(answers, sentences, strict=True)
        ]
        for head, kind in HEADS.items():
            found[head].append(kinds.count(kind) / len(kinds))
    return found


def without_such_sentences(
    panel: Panel, name: str, sentences: Sequence[Example]
) -> dict[str, Shares]:
    """A reader of the run's first seed and steps, trained with the older mixture of levels: its
    answers at held-out offsets, by test, and to the hand-written sentences."""
    steps = panel.results.config["steps"]
    size = training.BATCH_SIZE * training.SORTED
    older = replace(panel.design, four_digits=False)
    drawn = older.training(1, -(-steps * training.BATCH_SIZE // size) * size)
    material = training.Material.of(panel.vocabulary, drawn)
    reader, _ = training.train(
        KINDS[name], panel.vocabulary, material, older.validation(1), seed=1, steps=steps
    )
    held_out = set(panel.results.config["held_out_starts"])
    tests = {
        test: [each for each in panel.grid.tests[test] if each.start in held_out] for test in LEVELS
    }
    return {
        test: shares_of([reader], panel, asked)
        for test, asked in {**tests, "hand-written": list(sentences)}.items()
    }


def row(name: str, found: Shares) -> str:
    cells = [percent(Estimate.of(found[head])) for head in HEADS]
    return f"| {name} | {' | '.join(cells)} |"


def without_a_model(right: float) -> Shares:
    return {"right": [right], "other number": [1 - right], "invented": [0.0], "rest": [0.0]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="directory of a position experiment")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--without", choices=KINDS, help="train a reader without such sentences")
    options = parser.parse_args()
    panel = Panel(grid.Grid.find(options.run))
    sentences = read_scored(SENTENCES)
    if options.without is not None:
        print(f"{common.describe()}\n{options.without} without four-digit numbers, percent\n")
        print(f"| test | {' | '.join(HEADS)} |\n| --- |{' --- |' * len(HEADS)}")
        answered = without_such_sentences(panel, options.without, sentences)
        print("\n".join(row(test, each) for test, each in answered.items()))
        return
    chance = float(np.mean(mistakes.chances(sentences, panel.design.any_answer)))
    first = [grid.first_answer(each.text, panel.design) == each.answer for each in sentences]
    found = {name: shares_of(panel.members(name), panel, sentences) for name in panel.readers}
    found["any number"] = without_a_model(chance)
    found["first number"] = without_a_model(float(np.mean(first)))
    print(f"{common.describe()}\n{len(sentences)} sentences, percent\n")
    print(f"| reader | {' | '.join(HEADS)} |\n| --- |{' --- |' * len(HEADS)}")
    print("\n".join(row(name, each) for name, each in found.items()))
    if options.json is not None:
        content = {"machine": common.describe(), "sentences": len(sentences), "shares": found}
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
