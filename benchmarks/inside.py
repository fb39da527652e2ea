"""Results and cost of the inspection commands on tinyshakespeare, and the pictures of the docs.

    python benchmarks/inside.py [--runs DIR] [--pictures docs/pictures]

1. Trains an LSTM and a plain RNN of 256 units, 1,200 training steps each, unless DIR has them
   already.
2. Scoring: characters per second in streams and in one stream (the exact pass, which is the
   control), and how much the streams' warm-up changes the score.
3. Memory: how much context each of the two uses, compared with untrained models.
4. Neurons: the unit for each label, chosen on one half of the text and tested on the other.
5. The seconds that ``charlm report`` takes, and the size of its page.
6. With --pictures, the pictures of docs/looking-inside.md, each by the command beside it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command has it

from common import add_corpus_option, describe, shakespeare

from charlm import load
from charlm.inspection import horizon, neurons, reading
from charlm.text import streams as text_streams

STEPS = 1200
CELLS = ("lstm", "rnn")


def charlm(*arguments: object, directory: Path | None = None) -> None:
    subprocess.run(
        [sys.executable, "-m", "charlm", *map(str, arguments)], check=True, cwd=directory
    )


def scoring(run: Path, text: str, held_out: str, repeats: int) -> None:
    lm = load(run)
    threads = os.cpu_count() or 1

    def read(text: str, streams: int) -> tuple[float, float]:
        began = time.perf_counter()
        found = reading.read(lm.engine, lm.tokenizer, text, streams=streams, threads=threads)
        return len(text) / (time.perf_counter() - began), found.score.bits_per_char

    ratios, fast, slow = [], [], []
    for _ in range(repeats):
        in_streams, exact = read(text, reading.STREAMS)[0], read(held_out, 1)[0]
        fast.append(in_streams)
        slow.append(exact)
        ratios.append(in_streams / exact)
    print(
        f"scoring {len(text):,} characters in {reading.STREAMS} streams: "
        f"{statistics.median(fast):,.0f} char/s ({min(fast):,.0f} to {max(fast):,.0f}); "
        f"{len(held_out):,} in one stream: {statistics.median(slow):,.0f} char/s; ratio "
        f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
    )
    exact_bits = read(held_out, 1)[1]
    print(f"exact: {exact_bits:.6f} bits per character")
    usual = text_streams.WARMUP
    for warmup in (1, 8, 32, 128, 256):
        text_streams.WARMUP = warmup
        print(
            f"  streams after {warmup:3} characters of context: "
            f"{read(held_out, reading.STREAMS)[1] - exact_bits:+.2e} bits per character"
        )
    text_streams.WARMUP = usual


def remembering(runs: dict[str, Path], held_out: str) -> None:
    for name, run in runs.items():
        lm = load(run)
        found = horizon.measure(lm.config, lm.weights, lm.tokenizer.encode(held_out), window=64)
        curve, idle = found.curve, found.untrained_curve
        print(f"{name}: bits per character by characters of context")
        print(
            "  "
            + "  ".join(f"{c}: {b:.3f}" for c, b in zip(curve.contexts, curve.mean, strict=True))
        )
        print(f"  untrained {idle.mean.min():.3f} to {idle.mean.max():.3f}")
        for near in (8, 16, 32):
            mean, low, high = curve.beyond(near)
            print(f"  context beyond {near:2} saves {mean:.4f} [{low:.4f}, {high:.4f}]")
        print(
            f"  usable {curve.usable()} characters; a linear probe reaches "
            f"{found.probe.reach()} back, untrained {found.untrained_probe.reach()}"
        )


def units(run: Path, held_out: str) -> None:
    lm = load(run)
    seen = neurons.activations(lm.engine, lm.tokenizer.encode(held_out), held_out)
    print(f"units of {run.name} on {len(seen.text):,} held-out characters")
    for each in neurons.search(seen):
        print(
            f"  {each.label}: layer {each.layer + 1} unit {each.unit}, AUC {each.auc:.3f}, by "
            f"chance {each.chance:.3f}, the current character alone {each.by_character:.3f}"
        )


def draw(runs: Path, held_out: Path, page: Path, folder: Path) -> None:
    """Draw with the commands of docs/looking-inside.md, from the directory of the runs."""
    folder.mkdir(parents=True, exist_ok=True)
    letter = page.parent / "letter.txt"
    letter.write_text(
        "ROMEO:\nBut soft, what light through yonder window breaks?\nIt is the east, and I have "
        "a new telephone.\n"
    )

    def figure(name: str, *arguments: object) -> None:
        charlm(*arguments, "--figure", folder.resolve() / f"{name}.svg", directory=runs)

    figure("score", "score", "lstm", letter)
    figure(
        "sample",
        "sample",
        "lstm",
        "--show-probs",
        "--prompt",
        "ROMEO:",
        "--temperature",
        0.7,
        "--seed",
        5,
        "--length",
        260,
    )
    figure("compare", "compare", "lstm", "rnn", held_out)
    figure("unroll", "inspect", "unroll", "lstm", "ROMEO")
    figure("unroll-2d", "inspect", "unroll", "--cell", "mdlstm", "--rows", 3, "--columns", 4)
    figure("neurons", "inspect", "neurons", "lstm", held_out)
    for what in ("gradients", "memory"):
        figure(what, "inspect", what, "lstm", held_out, "--with", "rnn")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium:
        subprocess.run(
            [
                chromium,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--disable-background-networking",
                f"--screenshot={folder / 'report.png'}",
                "--window-size=900,1100",
                page.as_uri(),
            ],
            check=True,
            stderr=subprocess.DEVNULL,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_corpus_option(parser)
    parser.add_argument("--runs", type=Path, help="directory of the two runs")
    parser.add_argument("--pictures", type=Path, help="draw the pictures of the docs here")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    corpus = shakespeare(given.corpus)
    text = corpus.read_text(encoding="utf-8")
    held_out = text[int(len(text) * 0.9) :]
    print(describe())
    with tempfile.TemporaryDirectory() as scratch:
        out = given.runs or Path(scratch)
        runs = {cell: out / cell for cell in CELLS}
        for cell, run in runs.items():
            if not (run / "best.safetensors").exists():
                charlm(
                    "train", corpus, "--cell", cell, "--steps", STEPS, "--out", out, "--name", cell
                )
        scoring(runs["lstm"], text, held_out, given.repeats)
        remembering(runs, held_out)
        units(runs["lstm"], held_out)
        page = Path(scratch) / "report.html"
        began = time.perf_counter()
        charlm("report", runs["lstm"], "--out", page)
        print(f"report: {time.perf_counter() - began:.0f} s, {page.stat().st_size / 1e6:.2f} MB")
        if given.pictures:
            part = Path(scratch) / "held-out.txt"
            part.write_text(held_out, encoding="utf-8")
            draw(out, part, page, given.pictures)


if __name__ == "__main__":
    main()
