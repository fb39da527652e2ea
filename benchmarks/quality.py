"""Quality against time: tinyshakespeare, default recipe, last 10 % held out.

    python benchmarks/quality.py [--corpus FILE] [--seeds 1 2 3] [--long]

For every seed, three runs of ``charlm train`` as a user types it: ``--minutes 1.5`` and ``--minutes
3`` (the clock starts with the command, so it includes reading, timing and evaluation), and
``--steps 2000`` (64 x 64 characters each), which does not depend on the machine's speed. The figure
is the exact loss from ``charlm eval``, in nats per character, of the checkpoint with the lowest
validation loss: of the network alone, and of network and counts together. ``--long`` adds one run
with ``--minutes 15``.

Controls: the same model untrained, the baselines of ``charlm eval``, and the training loss beside
the validation loss.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from common import add_corpus_option, describe, save, shakespeare

LIMITS = {"--minutes 1.5": ["--minutes", "1.5"], "--minutes 3": ["--minutes", "3"]}
UPDATES = {"--steps 2000": ["--steps", "2000"]}


@dataclass(frozen=True)
class Outcome:
    seed: int
    nats: float
    network_nats: float
    counts_nats: float
    train_nats: float
    untrained_nats: float
    steps: int
    seconds: float


def charlm(*arguments: str) -> str:
    command = [sys.executable, "-m", "charlm", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def train(corpus: Path, out: Path, length: list[str], seed: int) -> Outcome:
    name = "-".join(length).strip("-") + f"-{seed}"
    began = time.monotonic()
    where = ["--out", str(out), "--name", name, "--seed", str(seed)]
    charlm("train", str(corpus), *length, *where)
    seconds = time.monotonic() - began
    result = json.loads(charlm("eval", str(out / name), "--json", "--no-ladder"))
    log = [json.loads(line) for line in (out / name / "log.jsonl").read_text().splitlines()]
    return Outcome(
        seed,
        result["nats_per_char"],
        result["network"]["nats_per_char"],
        result["counts"]["nats_per_char"],
        log[-1]["train_nats_per_char"],
        log[0]["val_nats_per_char"],
        log[-1]["step"],
        seconds,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_corpus_option(parser)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    corpus = shakespeare(options.corpus)
    print(describe(), flush=True)
    results: dict[str, list[dict[str, float]]] = {}
    lengths = {**LIMITS, **UPDATES} | (
        {"--minutes 15": ["--minutes", "15"]} if options.long else {}
    )
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory)
        for title, length in lengths.items():
            print(f"\ncharlm train shakespeare.txt {title}", flush=True)
            outcomes = []
            for seed in options.seeds[: 1 if title == "--minutes 15" else None]:
                outcome = train(corpus, out, length, seed)
                outcomes.append(outcome)
                print(
                    f"  seed {seed}: network {outcome.network_nats:.4f}, counts "
                    f"{outcome.counts_nats:.4f}, both {outcome.nats:.4f} nats/char = "
                    f"{outcome.nats / math.log(2):.4f} bits/char held out; "
                    f"{outcome.train_nats:.4f} nats on the training text (with dropout); "
                    f"{outcome.steps:,} steps, {outcome.seconds:.1f} s in all",
                    flush=True,
                )
            for what in ("network_nats", "nats"):
                nats = [getattr(outcome, what) for outcome in outcomes]
                mean = statistics.mean(nats)
                print(f"  {what}: mean {mean:.4f}, {min(nats):.4f} to {max(nats):.4f}")
            results[title] = [asdict(outcome) for outcome in outcomes]
        print(f"\ncontrols: untrained {outcomes[0].untrained_nats:.4f} nats/char; the ladder:")
        print(charlm("eval", str(next(out.iterdir()))))
    save("quality", results)


if __name__ == "__main__":
    main()
