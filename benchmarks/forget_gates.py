"""Why a multi-dimensional LSTM needs other forget gates than an LSTM.

python benchmarks/forget_gates.py [--steps 300] [--seeds 3] [--figure FILE.svg]

1. Before training: the mean of |c| along the diagonals of a page of 24 x 40, for the initial forget
   biases 1 (usual for an LSTM: f1 + f2 = 1.46), 0 (1.00) and -1 (0.54), and for the leaky cell.
2. Training on the pages of `charlm experiment page`, as the experiment trains: after how many steps
   90 % of the places of other pages are found, and how many are found at the end. The gates are
   learned, so a bad beginning may be overcome; the gradient before clipping shows what it costs.

--figure draws both (needs matplotlib).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import common
import joblib
import numpy as np
import torch

from charlm.experiments.measures import Estimate
from charlm.experiments.page.readers import KINDS, Kind, Reader, Shape
from charlm.experiments.page.training import BATCH_SIZE, Material, train
from charlm.experiments.tables import aligned, percent
from charlm.experiments.training import CurvePoint
from charlm.mdlstm import growth
from charlm.models.multidim import MDLSTM, Cell
from charlm.models.pages import PageBody

CELLS: tuple[tuple[Cell, float], ...] = (
    ("mdlstm", 1.0),
    ("mdlstm", 0.0),
    ("mdlstm", -1.0),
    ("leaky", 1.0),
)
DIAGONALS = (0, 10, 20, 40, 62)
FOUND = 0.9


def name_of(cell: Cell, bias: float) -> str:
    return f"{cell}, forget bias {bias:g}"


def body(cell: Cell, bias: float, shape: Shape) -> PageBody:
    return MDLSTM(shape.embedding_size, shape.hidden_size, cell, bias)


@dataclass(frozen=True)
class Trained:
    """The learning curve of one network, and the norm of its gradient before the first step."""

    curve: list[CurvePoint]
    norm: float

    def steps_to(self, accuracy: float) -> float:
        """The steps after which so many places are found; infinity if that never happens."""
        return next((p.step for p in self.curve if p.accuracy >= accuracy), float("inf"))


def trained(cell: Cell, bias: float, seed: int, steps: int) -> Trained:
    torch.set_num_threads(1)
    kind = Kind(name_of(cell, bias), partial(body, cell, bias), KINDS["mdlstm"].parameters)
    reader, material, validation = common.page_cell(kind, seed, steps)
    norm = gradient_norm(reader, material)
    curve = train(reader, material, validation, name=kind.name, seed=seed, steps=steps)
    return Trained(curve, norm)


def gradient_norm(reader: Reader, material: Material) -> float:
    """The norm of the gradient of the first batch."""
    reader.loss(*material.batch(slice(0, BATCH_SIZE))).backward()
    gradients = [p.grad.norm() for p in reader.parameters() if p.grad is not None]
    reader.zero_grad()
    return float(torch.stack(gradients).norm())


def draw(path: Path, steps: int, results: dict[tuple[Cell, float], list[Trained]]) -> None:
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    from charlm.drawing import write
    from charlm.experiments import figures

    styles: list[figures.Style] = [
        (figures.RED, "-", "o"),
        (figures.YELLOW, (0, (6, 2)), "s"),
        (figures.BLUE, "-", "D"),
        (figures.GREEN, (0, (1, 1.2)), "v"),
    ]
    with mpl.rc_context(figures.LOOK):  # type: ignore[arg-type]
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
        for (cell, bias), style in zip(CELLS, styles, strict=True):
            sizes = growth(cell, bias)
            left.plot(sizes, color=style[0], linestyle=style[1], marker=style[2], markevery=8, ms=4)
            curves = [each.curve for each in results[cell, bias]]
            x = np.array([point.step for point in curves[0]])
            rows = np.array([[point.accuracy for point in curve] for curve in curves])
            figures.line(right, style, x, rows, every=3)
            figures.entry(right, style, name_of(cell, bias))
        left.set_yscale("log")
        left.set_xlabel("diagonal i + j")
        left.set_title("mean of |c| before training", size=10)
        figures.percent_axis(right)
        right.set_xlabel(f"training steps of {BATCH_SIZE} pages")
        right.set_title("places found, other pages", size=10)
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        write(figure, path)
        plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    print(common.describe())
    print("\nmean of |c| before training, by diagonal")
    table = [["", *map(str, DIAGONALS)]]
    for cell, bias in CELLS:
        sizes = growth(cell, bias)[list(DIAGONALS)]
        table.append([name_of(cell, bias), *(f"{size:.2g}" for size in sizes)])
    print("\n".join(aligned(table)))

    cells = [(*each, seed) for each in CELLS for seed in range(1, options.seeds + 1)]
    found = joblib.Parallel(options.jobs)(
        joblib.delayed(trained)(*each, options.steps) for each in cells
    )
    results: dict[tuple[Cell, float], list[Trained]] = {each: [] for each in CELLS}
    for (cell, bias, _), each in zip(cells, found, strict=True):
        results[cell, bias].append(each)
    print(f"\n{options.steps} steps of {BATCH_SIZE} pages, {options.seeds} seeds")
    table = [["", "first gradient", f"steps to {FOUND:.0%}", "places at the end"]]
    for (cell, bias), runs in results.items():
        table.append(
            [
                name_of(cell, bias),
                f"{np.median([each.norm for each in runs]):.3g}",
                ", ".join(f"{each.steps_to(FOUND):.0f}" for each in runs),
                percent(Estimate.of(each.curve[-1].accuracy for each in runs)),
            ]
        )
    print("\n".join(aligned(table)))
    if options.figure:
        draw(options.figure, options.steps, results)
        print(options.figure)


if __name__ == "__main__":
    main()
