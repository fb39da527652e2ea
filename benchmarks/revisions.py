"""Compare the speed of this checkout with an older revision: training, sampling, scoring, starting.

    python benchmarks/revisions.py REVISION [--rounds 5]

Both run the same commands as a user types them, in alternation, so that other load slows both; the
ratio is computed round by round. What is measured does not depend on how the code is arranged:

- training: seconds between the first and the last evaluation in the run's log
- sampling: ``charlm sample --length 8000`` less ``--length 1``
- scoring: ``charlm eval --no-ladder`` on the validation text
- start: ``charlm sample --length 1``

Both revisions train with one seed, so the SHA-256 of the trained weights is a control: equal
weights mean that both did the same work. The older revision is checked out into a temporary
directory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import describe

ROOT = Path(__file__).resolve().parent.parent
MEASURES = ("training", "sampling", "scoring", "start")


def charlm(checkout: Path, *arguments: object) -> str:
    """Run a command of a checkout; returns its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "charlm", *map(str, arguments)],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{checkout}: charlm {arguments[0]} failed: {done.stderr}")
    return done.stdout


def seconds(checkout: Path, *arguments: object) -> float:
    """Wall time of a command."""
    began = time.perf_counter()
    charlm(checkout, *arguments)
    return time.perf_counter() - began


def measure(checkout: Path, corpus: Path, out: Path, steps: int) -> tuple[dict[str, float], str]:
    """Seconds for each measure, and the SHA-256 of the trained weights."""
    charlm(
        checkout,
        "train",
        corpus,
        "--out",
        out,
        "--name",
        "run",
        "--force",
        "--steps",
        steps,
        "--batch-size",
        64,
        "--seq-len",
        64,
        "--eval-every",
        steps,
        "--device",
        "cpu",
    )
    log = [json.loads(line) for line in (out / "run" / "log.jsonl").read_text().splitlines()]
    run = out / "run"
    start = seconds(checkout, "sample", run, "--length", 1, "--seed", 1)
    found = {
        "training": log[-1]["seconds"] - log[0]["seconds"],
        "sampling": seconds(checkout, "sample", run, "--length", 8000, "--seed", 1) - start,
        "scoring": seconds(checkout, "eval", run, "--no-ladder"),
        "start": start,
    }
    facts = json.loads(charlm(checkout, "info", run / "last.safetensors", "--json"))
    return found, facts["weights_sha256"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revision", help="a git revision, for example a tag")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    given = parser.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "old"
        add = ["git", "worktree", "add", "--quiet", "--detach", str(old), given.revision]
        subprocess.run(add, cwd=ROOT, check=True)
        try:
            corpus = ROOT / "corpora" / "viaggi.txt"
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in MEASURES}
            for number in range(given.rounds):
                before, weights = measure(old, corpus, Path(folder) / "runs-old", given.steps)
                now, weights_now = measure(ROOT, corpus, Path(folder) / "runs-new", given.steps)
                if weights != weights_now:
                    print(f"round {number + 1}: the trained weights differ, {weights[:12]} then")
                for name in MEASURES:
                    found[name].append((before[name], now[name]))
        finally:
            remove = ["git", "worktree", "remove", "--force", str(old)]
            subprocess.run(remove, cwd=ROOT, check=True)
    print(f"\n{'':<10}{given.revision:>12}{'now':>10}   now / {given.revision}, by round")
    for name, pairs in found.items():
        ratios = [now / before for before, now in pairs]
        then, today = (statistics.median(values) for values in zip(*pairs, strict=True))
        print(
            f"{name:<10}{then:>10.2f} s{today:>8.2f} s   {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
