"""The recipe of ``--minutes`` against other widths and batches in the same time.

    python benchmarks/recipe.py TEXT 1:256x64,384x32 15:384x32 [--characters 5000000]

Of one minute the recipe is compared with two other cells (hidden size x batch size), of 15 minutes
with one. For the recipe's own choice, and for every cell, a run of ``charlm train
TEXT --minutes M`` is planned alone on the machine and stopped after one step: so many steps fit.
Then each is trained with ``--steps``, that many, two runs of one thread at a time: what they reach
does not depend on what else the machine does, and the grid takes half as long. Only the first step,
the time of day and the planning of the rest of the run differ from ``--minutes M``.

The figures: exact validation loss in nats per character, of the network alone and with counts. The
control beside them is the untrained model.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from common import describe, save

from charlm import checkpoint


@dataclass(frozen=True)
class Cell:
    """hidden_size, batch_size: of the run; steps: how many fit in the time"""

    hidden_size: int
    batch_size: int
    steps: int


@dataclass(frozen=True)
class Outcome:
    """Losses in nats per character; best_step: that of the lowest validation loss."""

    hidden_size: int
    batch_size: int
    steps: int
    best_step: int
    network_nats: float
    nats: float
    untrained_nats: float


def charlm(*arguments: str, **environment: str) -> str:
    command = [sys.executable, "-m", "charlm", *arguments]
    env = os.environ | environment
    return subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout


def planned(text: Path, minutes: float, out: str, name: str, *options: str) -> Cell:
    """What a run of this length would be."""
    where = ("--out", out, "--name", name, "--seed", "1")
    charlm("train", str(text), "--minutes", str(minutes), *where, "--stop-at", "1", *options)
    last = checkpoint.read_header(Path(out) / name / "last.safetensors")
    training = last.training or {}
    config = training["config"]
    return Cell(last.config.hidden_size, config["batch_size"], config["steps"])


def trained(text: Path, cell: Cell, out: str) -> Outcome:
    name = f"{cell.hidden_size}x{cell.batch_size}"
    charlm(
        *("train", str(text), "--out", out, "--name", name, "--seed", "1"),
        *("--hidden-size", str(cell.hidden_size), "--batch-size", str(cell.batch_size)),
        *("--steps", str(cell.steps)),
        OMP_NUM_THREADS="1",
    )
    found = json.loads(charlm("eval", str(Path(out) / name), "--json", "--no-ladder"))
    log = (Path(out) / name / "log.jsonl").read_text(encoding="utf-8").splitlines()
    best = checkpoint.read_header(Path(out) / name / "best.safetensors")
    return Outcome(
        *(cell.hidden_size, cell.batch_size, cell.steps, best.provenance["step"]),
        *(found["network"]["nats_per_char"], found["nats_per_char"]),
        json.loads(log[0])["val_nats_per_char"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("grid", nargs="+", metavar="MINUTES:CELL,CELL")
    parser.add_argument("--characters", type=int, help="use only the first so many")
    options = parser.parse_args()
    print(describe(), flush=True)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / options.text.name
        content = options.text.read_text(encoding="utf-8")[: options.characters]
        text.write_text(content, encoding="utf-8")
        plans: dict[float, list[Cell]] = {}
        for row in options.grid:
            length, cells = row.split(":")
            minutes = float(length)
            plans[minutes] = [planned(text, minutes, folder, f"recipe-{length}")]
            for shape in cells.split(","):
                units, batch = shape.split("x")
                sizes = ("--hidden-size", units, "--batch-size", batch)
                plans[minutes].append(planned(text, minutes, folder, f"{shape}-{length}", *sizes))
            print(f"planned: {length} minutes: {plans[minutes]}", flush=True)
        for minutes, cells in plans.items():
            print(f"\n{text.name}, {len(content):,} characters, {minutes:g} minutes", flush=True)
            out = str(Path(folder) / f"grid-{minutes:g}")
            outcomes = []
            with ThreadPoolExecutor(2) as pool:
                for found in pool.map(lambda cell: trained(text, cell, out), cells):  # noqa: B023
                    outcomes.append(found)
                    print(
                        f"  {found.hidden_size}, {found.batch_size:<4}{found.steps:>7,} steps, best"
                        f" at {found.best_step:>6,}: network {found.network_nats:.4f}, with counts "
                        f"{found.nats:.4f} (untrained {found.untrained_nats:.2f})"
                        + ("  <- the recipe" if found.steps == cells[0].steps else ""),
                        flush=True,
                    )
            best = min(found.nats for found in outcomes)
            behind = outcomes[0].nats - best
            print(f"  the recipe is {behind:.4f} nats behind the best of these", flush=True)
            results[f"{minutes:g} minutes"] = [asdict(found) for found in outcomes]
    save(f"recipe {text.name}", results)


if __name__ == "__main__":
    main()
