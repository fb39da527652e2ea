"""How well a model rewrites what it has not seen: exact matches and edits, beside controls.

    python benchmarks/rewriting.py FILE [--hidden-size 128] [--steps 400] [--seeds 1 2 3]

FILE has a source, a tab and its target on each line (``charlm corpus make dates``). A tenth of the
lines validates and another tenth is the test set, drawn by source; the model is scored on the
latter, by greedy search and by a beam. "new targets" are the test items whose target is that of no
training item. The controls learn nothing: the source copied, the most frequent target, and the
target of the training source that needs the fewest edits.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import describe, save

from charlm import runs
from charlm.tasks import rewritescore
from charlm.tasks.rewriting import Rewriter

BEAM = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    options = parser.parse_args()
    print(describe(), flush=True)
    results = []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as directory:
            began = time.monotonic()
            subprocess.run(
                [
                    *(sys.executable, "-m", "charlm", "train", str(options.file)),
                    *("--task", "rewrite", "--test-fraction", "0.1", "--seed", str(seed)),
                    *("--hidden-size", str(options.hidden_size), "--steps", str(options.steps)),
                    *("--out", directory, "--name", "rewriting"),
                ],
                check=True,
                capture_output=True,
            )
            seconds = time.monotonic() - began
            results.append(scored(Path(directory) / "rewriting", seed, seconds))
    save("rewriting", {"file": options.file.name, "steps": options.steps, "runs": results})


def scored(run: Path, seed: int, seconds: float) -> dict[str, Any]:
    opened = runs.open_model(str(run))
    items = opened.texts.items
    assert items is not None
    known = {record.label for record in items.train}
    new = [record for record in items.test if record.label not in known]
    model = Rewriter.of(opened.checkpoint)
    found = {
        "greedy": rewritescore.score(model, items.test),
        f"beam {BEAM}": rewritescore.score(model, items.test, BEAM),
        "greedy, new targets": rewritescore.score(model, new),
        **rewritescore.controls(items.test, items.train),
    }
    print(f"seed {seed}, {opened.checkpoint.config.describe()}, trained in {seconds:.0f} s")
    for name, each in found.items():
        print(
            f"  {name:<24} {100 * each.exact_match:6.2f} % exact, {each.edits_per_item:.3f} edits "
            f"per item, of {each.items:,}"
        )
    return {"seed": seed, "seconds": seconds} | {k: each.to_dict() for k, each in found.items()}


if __name__ == "__main__":
    main()
