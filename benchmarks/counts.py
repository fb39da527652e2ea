"""Network, counts and both together: validation and test loss of several texts.

    python benchmarks/counts.py TEXT... [--minutes 1.5] [--rules]

For every text one run of ``charlm train TEXT --minutes M --test-fraction 0.1``: the first 80 %
trains, the next 10 % chooses (the best step, the order, the weights of the mixture), and no choice
sees the last 10 %. The losses are those of ``charlm eval`` and ``charlm eval --test``, in nats per
character.

Controls: each part alone, on the same characters; and the weights, which are (1, 0) if the counts
are of no use. ``--rules`` counts each text again with other rules for the n-grams that occur once,
and prints their loss and the size of the file, the network staying the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import describe, save

from charlm import counts, runs
from charlm.mixture import Mixed
from charlm.surprisal import surprisals
from charlm.text import dataset as data

RULES: tuple[int | None, ...] = (None, 8, 6, 5, 4, 3)


def charlm(*arguments: str) -> str:
    command = [sys.executable, "-m", "charlm", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measure(text: Path, out: Path, minutes: float) -> dict[str, Any]:
    name = text.stem
    where = ["--out", str(out), "--name", name]
    charlm("train", str(text), "--minutes", str(minutes), "--test-fraction", "0.1", *where)
    found: dict[str, Any] = {}
    for part, more in (("validation", []), ("test", ["--test"])):
        facts = json.loads(charlm("eval", str(out / name), "--json", "--no-ladder", *more))
        found[part] = {
            "network": facts["network"]["nats_per_char"],
            "counts": facts["counts"]["nats_per_char"],
            "both": facts["nats_per_char"],
        }
        found["order"], found["weights"] = facts["counts"]["order"], facts["weights"]
    info = json.loads(charlm("info", str(out / name), "--json"))
    found["ngrams"] = info["counts"]["ngrams"]
    found["bytes"] = (out / name / "counts.safetensors").stat().st_size
    return found


def rules(run: Path) -> list[dict[str, Any]]:
    """The validation and test loss of both together, for each rule."""
    opened = runs.open_model(str(run), network_only=True)
    model, texts = opened.model, opened.texts
    dataset = data.encode(texts, model.tokenizer)
    test_ids = model.tokenizer.encode(str(texts.test))
    rows = []
    for keep_once in RULES:
        found = counts.fit(
            opened.checkpoint, dataset.train_ids, dataset.val_ids, keep_once=keep_once
        )
        both = Mixed(model.engine, found.ngram, found.weights)
        rows.append(
            {
                "keep_once": keep_once,
                "order": found.ngram.order,
                "ngrams": found.num_ngrams,
                "bytes": len(counts.dump(found)),
                "validation": float(surprisals(both, dataset.exact_ids).mean()),
                "test": float(surprisals(both, test_ids).mean()),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path, nargs="+", metavar="TEXT")
    parser.add_argument("--minutes", type=float, default=1.5)
    parser.add_argument("--rules", action="store_true")
    options = parser.parse_args()
    print(describe(), flush=True)
    print(f"\nnats per character, validation / test; --minutes {options.minutes:g}")
    results: dict[str, Any] = {"minutes": options.minutes}
    with tempfile.TemporaryDirectory() as directory:
        for text in options.texts:
            found = measure(text, Path(directory), options.minutes)
            line = "  ".join(
                f"{part} {found['validation'][part]:.4f} / {found['test'][part]:.4f}"
                for part in ("network", "counts", "both")
            )
            a, b = found["weights"].values()
            print(
                f"{text.stem:<16} {line}  network^{a:.2f} x {found['order']}-gram^{b:.2f}  "
                f"{found['ngrams']:,} n-grams, {found['bytes'] / 1e6:.1f} MB",
                flush=True,
            )
            results[text.stem] = found
            if options.rules:
                found["rules"] = rules(Path(directory) / text.stem)
                for row in found["rules"]:
                    kept = row["keep_once"]
                    print(
                        f"    once kept {'always' if kept is None else f'to length {kept}':<12} "
                        f"{row['validation']:.4f} / {row['test']:.4f}  {row['order']}-gram, "
                        f"{row['ngrams']:>9,} n-grams, {row['bytes'] / 1e6:.1f} MB",
                        flush=True,
                    )
    save("counts", results)


if __name__ == "__main__":
    main()
