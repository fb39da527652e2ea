"""Names by makemore's procedure: 1,000 random names held out, nats per character on them.

    python benchmarks/names.py FILE [--minutes 5] [--hidden-size 148] [--seed 1]

FILE is makemore's names.txt (``charlm corpus get names``). As in makemore, 1,000 names drawn at
random are the test set and the others train; a name costs its characters and its end. makemore
reads every name from a fresh state; here the names follow each other, in random order, and the
state is carried, which tells nothing about the next name. The test set is read once, at the end;
the best step is chosen on a twentieth of the training names.

Beside it: makemore's own figures (its README and its program: transformer with about 200,000
parameters 1.92, its MLP 2.05 to 2.10), and as the control the same names with the letters of each
in random order, which no model can spell.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from common import describe, save

TEST_NAMES = 1000


def charlm(*arguments: str) -> str:
    command = [sys.executable, "-m", "charlm", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def shuffled(name: str, rng: random.Random) -> str:
    letters = list(name)
    rng.shuffle(letters)
    return "".join(letters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--hidden-size", type=int, default=148)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("options", nargs="*", help="more options of charlm train, after --")
    options = parser.parse_args()
    print(describe(), flush=True)
    rng = random.Random(options.seed)
    names = options.file.read_text(encoding="utf-8").split()
    rng.shuffle(names)
    test, train = names[:TEST_NAMES], names[TEST_NAMES:]
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        # The first line end is context, so that the first name is counted from its first letter.
        control = [shuffled(name, rng) for name in test]
        for title, part in (("train", train), ("test", test), ("control", control)):
            text = "".join(f"\n{name}" for name in part) + "\n"
            (folder / f"{title}.txt").write_text(text, encoding="utf-8")
        charlm(
            *("train", str(folder / "train.txt"), "--out", directory, "--name", "names"),
            *("--minutes", str(options.minutes), "--hidden-size", str(options.hidden_size)),
            *("--val-fraction", "0.05", *options.options),
        )
        info = json.loads(charlm("info", str(folder / "names"), "--json"))
        losses = {}
        for part in ("test", "control"):
            text = str(folder / f"{part}.txt")
            facts = json.loads(charlm("eval", str(folder / "names"), text, "--json", "--no-ladder"))
            network = facts.get("network", facts)
            losses[part] = {"network": network["nats_per_char"], "both": facts["nats_per_char"]}
    parameters = info["parameters"]
    step = info["provenance"]["step"]
    print(f"LSTM 1x{options.hidden_size}, {parameters:,} parameters, best at step {step:,}")
    for part, found in losses.items():
        print(
            f"  {part:<8} network {found['network']:.4f} nats/char, with counts {found['both']:.4f}"
        )
    save("names", {"parameters": parameters, "minutes": options.minutes, **losses})


if __name__ == "__main__":
    main()
