"""Training on a GPU: speed against a plain loop, time to a given loss, best loss in ten minutes.

    python benchmarks/gpu.py [--corpus FILE] [--device cuda] [--minutes 10]

Throughput: ``Trainer.advance`` against the plain loop of ``benchmarks/training.py`` on the same
device, in float32 and under bfloat16 autocast, at LSTM 1x512 and 3x1024; the rounds alternate. The
controls are the plain loop in the same number format, and charlm without a recorded graph.

Time to 1.4697 nats per character on tinyshakespeare, nanoGPT's published loss after about three
minutes on an A100: a run of ``charlm train`` of 1,500 steps, whose log says when the validation
loss was first below it.

Best loss in ``--minutes`` minutes with a large model, network alone and with counts.

Figures: docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import add_corpus_option, describe, save, shakespeare
from training import B, T, V, make_dataset, plain_loop

from charlm.config import ModelConfig, TrainConfig, default_learning_rate
from charlm.text.dataset import Dataset, Source
from charlm.training.plan import ORTHOGONALIZE_EVERY, ORTHOGONALIZER
from charlm.training.precision import choose_precision
from charlm.training.trainer import Trainer

TARGET = 1.4697
LARGE = ["--hidden-size", "1024", "--num-layers", "2", "--batch-size", "256"]


def charlm_loop(
    dataset: Dataset,
    layers: int,
    hidden: int,
    device: torch.device,
    optimizer: str,
    recorded: bool = True,
) -> Callable[[], None]:
    config = TrainConfig(
        batch_size=B,
        seq_len=T,
        optimizer=optimizer,
        learning_rate=default_learning_rate(optimizer, hidden),
        precision=choose_precision("auto", device),
        orthogonalize_every=ORTHOGONALIZE_EVERY,
        orthogonalizer=ORTHOGONALIZER,
        steps=100_000,
        eval_every=5_000,
        save_every=5_000,
    )
    model = ModelConfig.resolve(vocab_size=V, num_layers=layers, hidden_size=hidden)
    trainer = Trainer(model, config, dataset, Source(sources=()), device)
    trainer.recorded = recorded and trainer.recorded

    def update() -> None:
        trainer.advance(trainer.streams.batch(trainer.progress.step))

    return update


def speed(device: torch.device, layers: int, hidden: int, rounds: int) -> dict[str, Any]:
    dataset = make_dataset()
    loops = {
        "plain, float32": plain_loop(dataset, layers, hidden, device, torch.float32),
        "plain, bfloat16": plain_loop(dataset, layers, hidden, device, torch.bfloat16),
        "charlm, adamw": charlm_loop(dataset, layers, hidden, device, "adamw"),
        "charlm, muon": charlm_loop(dataset, layers, hidden, device, "muon"),
        "muon, no graph": charlm_loop(dataset, layers, hidden, device, "muon", recorded=False),
    }

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def seconds(work: Callable[[], None], times: int) -> float:
        wait()
        began = time.perf_counter()
        for _ in range(times):
            work()
        wait()
        return (time.perf_counter() - began) / times

    timed: dict[str, list[float]] = {name: [] for name in loops}
    for loop in loops.values():
        seconds(loop, 10)
    for _ in range(rounds):
        for name, loop in loops.items():
            timed[name].append(seconds(loop, 20))
    print(f"\nLSTM {layers}x{hidden}, {B}x{T} characters, median of {rounds} rounds")
    found = {}
    for name, values in timed.items():
        ratios = sorted(a / b for a, b in zip(timed["plain, float32"], values, strict=True))
        median = statistics.median(values)
        found[name] = {"ms": 1e3 * median, "ratio": statistics.median(ratios)}
        print(
            f"  {name:<16} {1e3 * median:8.2f} ms  {B * T / median / 1e3:8.0f}k char/s  "
            f"{statistics.median(ratios):.2f} times ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    return found


def train(corpus: Path, device: str, *options: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "charlm", "train", str(corpus), "--device", device]
        began = time.monotonic()
        subprocess.run([*command, "--out", out, "--name", "run", *options], check=True)
        seconds = time.monotonic() - began
        log = [json.loads(line) for line in (Path(out) / "run" / "log.jsonl").open()]
        below = [r["seconds"] for r in log if r["val_nats_per_char"] <= TARGET]
        evaluated = subprocess.run(
            [sys.executable, "-m", "charlm", "eval", f"{out}/run", "--json", "--no-ladder"],
            check=True,
            capture_output=True,
            text=True,
        )
        facts = json.loads(evaluated.stdout)
    return {
        "seconds": seconds,
        "seconds_to_target": below[0] if below else None,
        "network": facts["network"]["nats_per_char"],
        "both": facts["nats_per_char"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_corpus_option(parser)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--part", choices=("speed", "default", "large"), action="append", help="only this part"
    )
    options = parser.parse_args()
    parts = options.part or ["speed", "default", "large"]
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    print(f"{name}; {describe()}", flush=True)
    results: dict[str, Any] = {"device": name}
    for layers, hidden in ((1, 512), (3, 1024)) if "speed" in parts else ():
        results[f"{layers}x{hidden}"] = speed(device, layers, hidden, options.rounds)
    runs = {
        "default": ("--steps", "1500", "--eval-every", "100"),
        "large": ("--minutes", str(options.minutes), *LARGE),
    }
    for kind in [kind for kind in runs if kind in parts]:
        results[kind] = train(shakespeare(options.corpus), options.device, *runs[kind])
        print(f"{kind}: {results[kind]}", flush=True)
    save("gpu", results)


if __name__ == "__main__":
    main()
