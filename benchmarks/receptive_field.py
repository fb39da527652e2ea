"""A convolution finds a number anywhere if its field holds the word: what a smaller one loses.

python benchmarks/receptive_field.py [--steps 600] [--seeds 3]

The reader `conv` of `charlm experiment page` with other kernels and as many parameters, trained in
the same way. A word is one or two rows above its number, or begins up to 18 characters before the
number's last digit. Places found, at seen places and where row and column are held out.
"""

from __future__ import annotations

import argparse
from functools import partial

import common
import joblib
import numpy as np
import torch

from charlm.experiments.measures import Estimate
from charlm.experiments.page.design import BOTH, PLACES, SEEN, standard
from charlm.experiments.page.layouts import FAMILIES, Page
from charlm.experiments.page.readers import KINDS, Kind, Shape
from charlm.experiments.page.training import train
from charlm.experiments.tables import aligned, percent
from charlm.models.pages import Convolution, Kernel, PageBody

KERNELS: dict[str, tuple[Kernel, ...]] = {
    "as the reader conv": ((3, 5, 1, 1), (3, 5, 1, 2), (3, 5, 1, 3), (3, 5, 1, 3)),
    "narrower": ((3, 5, 1, 1), (3, 5, 1, 1), (3, 5, 1, 1), (3, 5, 1, 1)),
    "lower": ((1, 5, 1, 1), (1, 5, 1, 2), (1, 5, 1, 3), (1, 5, 1, 3)),
}


def body(kernels: tuple[Kernel, ...], shape: Shape) -> PageBody:
    return Convolution(shape.embedding_size, shape.hidden_size, kernels)


def shares(name: str, seed: int, steps: int) -> dict[tuple[str, str], float]:
    """The share of places that a network finds, by family and part of the page."""
    torch.set_num_threads(1)
    design = standard()
    kind = Kind(name, partial(body, KERNELS[name]), KINDS["conv"].parameters)
    reader, material, validation = common.page_cell(kind, seed, steps)
    train(reader, material, validation, name=name, seed=seed, steps=steps)
    tests: list[Page] = design.tests(1)[PLACES]
    found = reader.answers(reader.vocabulary.encode([page.rows for page in tests]))
    right = [
        at == (page.row, page.column)
        for at, page in zip(zip(found.rows, found.columns, strict=True), tests, strict=True)
    ]
    return {
        (family, part): float(
            np.mean(
                [
                    each
                    for each, page in zip(right, tests, strict=True)
                    if page.family == family and design.part(page.row, page.column) == part
                ]
            )
        )
        for family in FAMILIES
        for part in (SEEN, BOTH)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    print(common.describe())
    cells = [(name, seed) for name in KERNELS for seed in range(1, options.seeds + 1)]
    found = joblib.Parallel(options.jobs)(
        joblib.delayed(shares)(*each, options.steps) for each in cells
    )
    heads = [f"{family}, {part}" for family in FAMILIES for part in (SEEN, BOTH)]
    table = [["field", "rows x columns", *heads]]
    for name, kernels in KERNELS.items():
        runs = [each for (of, _), each in zip(cells, found, strict=True) if of == name]
        rows, columns = Convolution(1, 1, kernels).receptive_field
        cell = [percent(Estimate.of(run[key] for run in runs)) for key in runs[0]]
        table.append([name, f"{rows} x {columns}", *cell])
    print("\n".join(aligned(table)))


if __name__ == "__main__":
    main()
