"""The readers of a position experiment on hand-written sentences with a number that is no year.

python benchmarks/four_digits.py RUN        sentences: benchmarks/handwritten-four-digits.tsv

Each sentence has the year of a journey and one other four-digit number (a room, a price, a train).
For each kind of reader: the share of right answers, of answers that are the other number, and of
answers that are nowhere in the sentence; the mean over seeds and its 95 % interval. Beside them
two answers without a model: one of the two numbers at random, and the first one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import common
import numpy as np

from charlm.experiments.position_invariance import grid, mistakes, report
from charlm.experiments.position_invariance.ask import Panel, read_scored
from charlm.experiments.position_invariance.measures import Estimate

SENTENCES = Path(__file__).parent / "handwritten-four-digits.tsv"
KINDS = ("", mistakes.WRONG_NUMBER, mistakes.NOT_IN_SENTENCE, mistakes.REST)
HEADS = ("right", "other number", "invented", "rest")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="directory of a position experiment")
    panel = Panel(grid.find(parser.parse_args().run))
    sentences = read_scored(SENTENCES)
    pattern = panel.design.any_answer
    chance = float(np.mean(mistakes.chances(sentences, pattern)))
    first = np.mean(
        [grid.first_answer(each.text, panel.design) == each.answer for each in sentences]
    )
    print(common.describe())
    print(f"{len(sentences)} sentences, {panel.results.config['seeds']} seeds, percent\n")
    print(f"{'reader':<14}" + "".join(f"{head:>22}" for head in HEADS))
    found: dict[str, dict[str, tuple[float, ...]]] = {}
    for name in panel.readers:
        shares = []
        for reader in panel.members(name):
            answers = reader.answers([each.text for each in sentences])
            kinds = [
                mistakes.kind_of(said, each, pattern)
                for said, each in zip(answers, sentences, strict=True)
            ]
            shares.append([kinds.count(kind) / len(kinds) for kind in KINDS])
        estimates = [Estimate.of(seeds) for seeds in zip(*shares, strict=True)]
        print(f"{name:<14}" + "".join(f"{report.percent(each):>22}" for each in estimates))
        found[name] = {h: each.values for h, each in zip(HEADS, estimates, strict=True)}
    print(f"{'any number':<14}{100 * chance:>22.1f}{100 * (1 - chance):>22.1f}{0:>22.1f}{0:>22.1f}")
    print(f"{'first number':<14}{100 * first:>22.1f}{100 * (1 - first):>22.1f}{0:>22.1f}{0:>22.1f}")
    steps = panel.results.config["steps"]
    common.save("four_digits", {"steps": steps, "chance": chance, "readers": found})


if __name__ == "__main__":
    main()
