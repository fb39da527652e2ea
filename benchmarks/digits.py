"""Handwritten digits at places that training never showed: which readers still know them?

    python benchmarks/digits.py [--seeds 3] [--steps 700] [--jobs 2] [--readers mdlstm ...] [--save]
    python benchmarks/digits.py --quick              # under a minute: does it run?

The 1,797 digits of 8 x 8 pixels that scikit-learn brings along, without a download (Alpaydin &
Kaynak, 1998), each in an empty field of 24 x 24. A digit's place is that of its top left corner,
row and column from 0 to 16. Training uses no corner in row 6 to 10 and none in column 6 to 10:
these bands are held out, with seen places on both sides. "Held out" is about corners: the pixels
of a digit at row 5 do reach the rows of the band.

The images are divided once: 1,000 train, 197 validate (the learning curves, and what was tuned),
600 test. No image is in two parts. Each test image is placed once for each of four tests: corner
row and column seen; one of them held out; both. All readers of all seeds get the same fields.

Every reader is a body of ``charlm.models``, then the maximum of each feature over all places
(but ``separate`` has no places after its body), then a linear head with ten classes. All have the
same number of parameters within 5 percent, the same batches and updates and charlm's recipe
(``charlm.experiments.training``).

The controls: the readers before training; ``separate-long`` and ``flattened-long``, which get ten
and three times the updates, since both learn slowly; ``separate-everywhere``, as long and without
bands, which has no gap between the tests if the bands are the cause of one; and, as a ceiling,
scikit-learn's nearest neighbour and logistic regression on the bare 8 x 8 images.

Needs scikit-learn (the extra dev).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import describe, save
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from charlm.experiments.measures import Estimate
from charlm.experiments.tables import aligned, mean_of, percent
from charlm.experiments.training import Recipe, fit
from charlm.experiments.widths import width_for
from charlm.extras import how_to_install
from charlm.models.language import initialize_head
from charlm.models.multidim import MDLSTM
from charlm.models.pages import Convolution, Flattened, PageBody, ReNet, Separate
from charlm.parallel import Wanted, Workers
from charlm.seeds import derive

Reals = NDArray[np.float32]
Ints = NDArray[np.int64]

FIELD, IMAGE, CLASSES = 24, 8, 10
CORNERS = range(FIELD - IMAGE + 1)
HELD_OUT = range(6, 11)
SEEN = tuple(corner for corner in CORNERS if corner not in HELD_OUT)

TRAIN, VALIDATE, TEST = 1000, 197, 600
"""Images in each part."""
DIVISION = 1
"""The seed of the division into parts and of the places of the test images."""

PARAMETERS = 20_000
RECIPE = Recipe(batch_size=32, rate=1.0, warmup=50)
ROWS_AT_ONCE = 100

KERNELS = ((3, 3, 1, 1), (3, 3, 1, 1), (3, 3, 2, 2))
"""Three layers; a feature depends on 9 x 9 places, so that some see a whole digit."""

BODIES: dict[str, Callable[[int], PageBody]] = {
    "separate": lambda size: Separate(1, size, FIELD, FIELD),
    "flattened": lambda size: Flattened(1, size),
    "convolution": lambda size: Convolution(1, size, KERNELS),
    "convolution-coordinates": lambda size: Convolution(1, size, KERNELS, coordinates=True),
    "renet": lambda size: ReNet(1, size),
    "mdlstm": lambda size: MDLSTM(1, size),
    "mdlstm-leaky": lambda size: MDLSTM(1, size, "leaky"),
}


@dataclass(frozen=True)
class Training:
    """Which body is trained, on digits with corners in which rows and columns, for how many times
    the steps of the others."""

    body: str
    corners: tuple[int, ...] = SEEN
    times: int = 1


READERS = {
    **{name: Training(name) for name in BODIES},
    "flattened-long": Training("flattened", times=3),
    "separate-long": Training("separate", times=10),
    "separate-everywhere": Training("separate", tuple(CORNERS), times=10),
}

TESTS = {
    "seen": (SEEN, SEEN),
    "column held out": (SEEN, HELD_OUT),
    "row held out": (HELD_OUT, SEEN),
    "both held out": (HELD_OUT, HELD_OUT),
}
"""The corner rows and corner columns of each test."""


# ------------------------------------------------------------------------------------- the fields


@dataclass(frozen=True)
class Part:
    """images (N, 8, 8), from 0 to 1, and which digit each is (N,)."""

    images: Reals
    labels: Ints

    def fields(self, which: Ints, rows: Ints, columns: Ints) -> Tensor:
        """Some of the images, each in a field with its corner at that place: (N, 24, 24)."""
        made = np.zeros((len(which), FIELD, FIELD), dtype=np.float32)
        for field, image, row, column in zip(made, self.images[which], rows, columns, strict=True):
            field[row : row + IMAGE, column : column + IMAGE] = image
        return torch.from_numpy(made)

    def placed(self, rows: Sequence[int], columns: Sequence[int], seed: int) -> Tensor:
        """Every image once, with its corner in one of these rows and columns."""
        rng, count = np.random.default_rng(seed), len(self.images)
        at = rng.choice(rows, count), rng.choice(columns, count)
        return self.fields(np.arange(count), *at)


def divided() -> tuple[Part, Part, Part]:
    """(train, validate, test)"""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise SystemExit(f"scikit-learn is not installed: {how_to_install('dev')}") from error
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)
    assert images.shape == (TRAIN + VALIDATE + TEST, IMAGE, IMAGE)
    order = np.random.default_rng(derive(DIVISION, "examples")).permutation(len(images))
    train, validate, test = (
        Part(images[chosen], digits.target[chosen].astype(np.int64))
        for chosen in np.split(order, [TRAIN, TRAIN + VALIDATE])
    )
    return train, validate, test


# ------------------------------------------------------------------------------------ the readers


class Reader(nn.Module):
    """A body, the maximum over all places, and a head: fields (B, 24, 24) -> logits (B, 10)."""

    def __init__(self, name: str, hidden_size: int) -> None:
        super().__init__()
        self.body = BODIES[name](hidden_size)
        self.head = nn.Linear(self.body.features, CLASSES)
        initialize_head(self.head)

    def forward(self, fields: Tensor) -> Tensor:
        features: Tensor = self.body(fields[..., None])
        if features.ndim == 4:
            features = features.amax((1, 2))
        logits: Tensor = self.head(features)
        return logits

    @property
    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    @torch.no_grad()
    def accuracy(self, fields: Tensor, labels: Ints) -> float:
        answers = torch.cat([self(some).argmax(1) for some in fields.split(ROWS_AT_ONCE)])
        return float((answers.numpy() == labels).mean())


def width(name: str) -> int:
    """The hidden size that gives this reader about ``PARAMETERS``."""
    with torch.device("meta"):  # counts without drawing weights
        return width_for(PARAMETERS, lambda size: Reader(name, size).num_parameters)


@dataclass(frozen=True)
class Cell:
    """One reader of one seed, and the directory that its result goes to."""

    name: str
    seed: int
    steps: int
    folder: str

    def run(self) -> None:
        """Train and test it."""
        training = READERS[self.name]
        corners = training.corners
        train, validate, test = divided()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(self.seed, "weights"))
            hidden_size = width(training.body)
            reader = Reader(training.body, hidden_size)
        sets = {
            name: test.placed(rows, columns, derive(DIVISION, "examples", number + 1))
            for number, (name, (rows, columns)) in enumerate(TESTS.items())
        }
        shown = validate.placed(corners, corners, derive(DIVISION, "choosing"))
        untrained = reader.accuracy(sets["seen"], test.labels)

        def batch(step: int) -> tuple[Tensor, Tensor]:
            rng = np.random.default_rng(derive(self.seed, "streams", step))
            which = rng.integers(TRAIN, size=RECIPE.batch_size)
            at = rng.choice(corners, RECIPE.batch_size), rng.choice(corners, RECIPE.batch_size)
            return train.fields(which, *at), torch.from_numpy(train.labels[which])

        began = time.monotonic()
        curve = fit(
            reader,
            name=self.name,
            hidden_size=hidden_size,
            recipe=RECIPE,
            seed=self.seed,
            steps=self.steps * training.times,
            seq_len=FIELD * FIELD,
            batch=batch,
            loss=lambda each: F.cross_entropy(reader(each[0]), each[1]),
            accuracy=lambda: reader.accuracy(shown, validate.labels),
            remedy="give other --steps",
        )
        seconds = time.monotonic() - began
        found = {name: reader.accuracy(fields, test.labels) for name, fields in sets.items()}
        result = {
            "reader": self.name,
            "seed": self.seed,
            "hidden_size": hidden_size,
            "parameters": reader.num_parameters,
            "seconds": round(seconds, 1),
            "untrained": untrained,
            "accuracy": found,
            "curve": [asdict(point) for point in curve],
        }
        path = Path(self.folder) / f"{self.name}-{self.seed}.json"
        path.write_text(json.dumps(result), encoding="utf-8")


def work(cell: Cell, wanted: Wanted) -> None:
    torch.set_num_threads(1)
    cell.run()


# ------------------------------------------------------------------------------------- the ceiling


def ceiling() -> dict[str, float]:
    """Accuracies on the bare test images."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    train, _, test = divided()
    models = {
        "nearest neighbour": KNeighborsClassifier(1),
        "logistic regression": LogisticRegression(max_iter=2000),
    }
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        for name, model in models.items():
            model.fit(train.images.reshape(TRAIN, -1), train.labels)
            found[name] = float(model.score(test.images.reshape(TEST, -1), test.labels))
    return found


def run(cells: Sequence[Cell], jobs: int, folder: Path) -> Iterator[dict[str, Any]]:
    with Wanted.within(folder) as wanted:
        for cell, error in Workers(jobs).run(work, cells, wanted):
            if error is not None:
                raise SystemExit(str(error))
            path = folder / f"{cell.name}-{cell.seed}.json"
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            best = max(point["accuracy"] for point in found["curve"])
            print(
                f"{cell.name}, seed {cell.seed}: {found['seconds']:.0f} s, validation "
                f"{100 * found['curve'][-1]['accuracy']:.1f} % (best {100 * best:.1f} %)",
                flush=True,
            )
            yield found


def table(cells: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    rows = [["reader", "units", "parameters", "untrained", *TESTS]]
    for name in names:
        own = [cell for cell in cells if cell["reader"] == name]
        untrained = Estimate.of(cell["untrained"] for cell in own)
        rows.append(
            [
                *(name, str(own[0]["hidden_size"]), f"{own[0]['parameters']:,}"),
                f"{100 * untrained.mean:.1f}",
                *(percent(Estimate.of(cell["accuracy"][test] for cell in own)) for test in TESTS),
            ]
        )
    return "\n".join(aligned(rows))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--jobs", type=int, default=2, help="readers at the same time")
    parser.add_argument("--readers", nargs="+", choices=READERS, metavar="READER")
    parser.add_argument("--quick", action="store_true", help="one seed, 8 steps")
    parser.add_argument("--save", action="store_true", help="add the figures to results/")
    options = parser.parse_args()
    seeds, steps = (1, 8) if options.quick else (options.seeds, options.steps)
    names = options.readers or list(READERS)
    print(describe(), flush=True)
    began = time.monotonic()
    bare = ceiling()
    with tempfile.TemporaryDirectory() as folder:
        # The fast readers, which are listed first, come last: no process waits for a slow one then.
        cells = [
            Cell(name, seed, steps, folder)
            for name in reversed(names)
            for seed in range(1, seeds + 1)
        ]
        found = list(run(cells, options.jobs, Path(folder)))
    print(f"\nAccuracy on {TEST} test images in percent, {mean_of(seeds)}; {steps} steps\n")
    print(table(found, names))
    print(f"\nchance: {100 / CLASSES:.0f} %")
    for name, accuracy in bare.items():
        print(f"{name} on the bare 8 x 8 images: {100 * accuracy:.1f} %")
    print(f"{time.monotonic() - began:.0f} s in all")
    if options.save:
        kept = [{key: cell[key] for key in cell if key != "curve"} for cell in found]
        save("digits", {"steps": steps, "bare images": bare, "cells": kept})


if __name__ == "__main__":
    main()
