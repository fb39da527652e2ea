"""Training speed: characters per second, compared with a plain PyTorch loop and with the peak.

    python benchmarks/training.py [--rounds 5] [--updates 10] [--breakdown]

The plain loop is that of a tutorial: nn.Embedding, nn.LSTM and nn.Linear in float32, Adam, the
gradient's norm clipped, the state carried and detached. charlm's side is ``Trainer.update`` with
its batches, which is all that ``charlm train`` does between two evaluations. Sizes are equal. The
loops alternate in one process, a few training steps each, and the ratio is computed round by round,
so that other load slows both.

The floating-point rate counts three passes (forward, gradient of inputs, gradient of weights) of
two operations per weight and character, over recurrent, input and output matrices; the peak is that
of a 2048 x 2048 matrix product in the same process. The control is charlm in float32: what remains
of its lead on a processor without bfloat16.

``--breakdown`` prints where the time of a training step goes, beside a floor for each part: its
operations over the peak, or its bytes over the bandwidth of a large copy. Then what evaluating and
saving take of a run of ``charlm train --minutes 3``: twenty evaluations of 111,540 characters.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command has it

import torch
from common import describe, save
from torch import nn

from charlm.checkpoint import dump
from charlm.config import ModelConfig, TrainConfig, default_learning_rate
from charlm.text import dataset as data
from charlm.text.dataset import Dataset, Source, Texts
from charlm.text.streams import Streams
from charlm.text.tokenizer import CharTokenizer
from charlm.training import evaluate
from charlm.training import step as training_step
from charlm.training.optim import QUINTICS
from charlm.training.plan import ORTHOGONALIZE_EVERY, ORTHOGONALIZER
from charlm.training.precision import choose_precision
from charlm.training.rows import default_blocks
from charlm.training.trainer import Trainer

B, T, V = 64, 64, 65
CPU = torch.device("cpu")


def make_dataset() -> Dataset:
    """Random text over 65 symbols: speed does not depend on its content."""
    letters = np.array([chr(point) for point in range(32, 32 + V)])
    text = "".join(np.random.default_rng(1).choice(letters, 200_000))
    return data.encode(Texts.of(text), CharTokenizer.from_text(text))


def plain_loop(
    dataset: Dataset,
    layers: int,
    hidden: int,
    device: torch.device = CPU,
    dtype: torch.dtype = torch.float32,
) -> Callable[[], None]:
    """The tutorial's loop; under autocast if ``dtype`` is not float32."""
    torch.manual_seed(1)
    embedding, lstm = nn.Embedding(V, hidden), nn.LSTM(hidden, hidden, layers, batch_first=True)
    head = nn.Linear(hidden, V)
    model = nn.ModuleList([embedding, lstm, head]).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    streams = Streams(dataset.train_ids, B, T, seed=1)
    state: tuple[torch.Tensor, torch.Tensor] | None = None
    step = 0

    def update() -> None:
        nonlocal state, step
        batch = streams.batch(step)
        inputs, targets = (
            torch.from_numpy(ids.astype(np.int64)).to(device)
            for ids in (batch.inputs, batch.targets)
        )
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            output, state = lstm(embedding(inputs), state)
            logits = head(output)
        loss = nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()
        assert state is not None
        state = (state[0].detach(), state[1].detach())
        step += 1

    return update


def charlm_loop(
    dataset: Dataset,
    layers: int,
    hidden: int,
    optimizer: str,
    precision: str = "auto",
    cell: str = "lstm",
) -> tuple[Callable[[], None], Trainer]:
    """charlm's training step with the settings that ``charlm train`` would choose."""
    model = ModelConfig.resolve(vocab_size=V, num_layers=layers, hidden_size=hidden, cell=cell)
    config = TrainConfig(
        batch_size=B,
        seq_len=T,
        optimizer=optimizer,
        learning_rate=default_learning_rate(optimizer, hidden),
        precision=choose_precision(precision, CPU),
        row_blocks=default_blocks(model, B, CPU),
        orthogonalize_every=ORTHOGONALIZE_EVERY,
        orthogonalizer=ORTHOGONALIZER,
        steps=100_000,
        eval_every=5_000,
        save_every=5_000,
    )
    trainer = Trainer(model, config, dataset, Source(sources=()))

    def update() -> None:
        trainer.update(trainer.streams.batch(trainer.progress.step))

    return update, trainer


def seconds(work: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


def peak(dtype: torch.dtype) -> float:
    """Floating-point operations per second of a large matrix product."""
    a, b = torch.randn(2048, 2048).to(dtype), torch.randn(2048, 2048).to(dtype)
    seconds(lambda: a @ b, 3)
    return 2 * 2048**3 / min(seconds(lambda: a @ b, 3) for _ in range(5))


def muon_share(trainer: Trainer, update: Callable[[], None], updates: int) -> float:
    """Muon's share of a training step: the time inside its ``step``, divided by the whole."""
    muon = trainer.optimizers.all[0]
    spent = 0.0
    step: Callable[[], None] = muon.step

    def timed() -> None:
        nonlocal spent
        began = time.perf_counter()
        step()
        spent += time.perf_counter() - began

    with mock.patch.object(muon, "step", timed):
        whole = seconds(update, updates) * updates
    return spent / whole


def bandwidth() -> float:
    """Bytes per second of a large copy, read and written."""
    a = torch.zeros(2**26)
    b = torch.empty_like(a)
    b.copy_(a)
    return 2 * 4 * 2**26 / min(seconds(lambda: b.copy_(a), 1) for _ in range(5))


def breakdown(layers: int, hidden: int, updates: int, top: float, copy: float) -> dict[str, Any]:
    """Milliseconds of each part of the default training step, and its floor."""
    dataset = make_dataset()
    update, trainer = charlm_loop(dataset, layers, hidden, "muon")
    spent: dict[str, float] = {}

    def timed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return work(*arguments, **options)
            finally:
                spent[name] = spent.get(name, 0.0) + time.perf_counter() - began

        return call

    seconds(update, 5)
    muon, adamw = trainer.optimizers.all
    blocks = trainer._blocks
    owner: Any = training_step if blocks is None else blocks
    passes = "_gradient" if blocks is None else "each"
    with (
        mock.patch.object(muon, "step", timed("Muon", muon.step)),
        mock.patch.object(adamw, "step", timed("AdamW", adamw.step)),
        mock.patch.object(training_step, "_clip", timed("clip", training_step._clip)),
        mock.patch.object(trainer.streams, "batch", timed("batch", trainer.streams.batch)),
        mock.patch.object(owner, passes, timed("forward, backward", getattr(owner, passes))),
    ):
        whole = seconds(update, updates)
    matrices = [p for group in muon.param_groups for p in group["params"]]
    rest = sum(p.numel() for p in trainer.model.parameters()) - sum(p.numel() for p in matrices)
    weights = layers * 8 * hidden * hidden + hidden * V
    # For each quintic 2 (m m n + m m m + m m n) operations on an m x n matrix, not at every step.
    quintics = len(QUINTICS[ORTHOGONALIZER])
    newton = sum(
        2 * quintics * (2 * min(p.shape) ** 2 * max(p.shape) + min(p.shape) ** 3) for p in matrices
    )
    floors = {
        "forward, backward": 6 * weights * B * T / top,
        "Muon": newton / ORTHOGONALIZE_EVERY / top,
        "AdamW": 7 * 4 * rest / copy,
        "clip": 3 * 4 * sum(p.numel() for p in trainer.model.parameters()) / copy,
    }
    print(f"\nwhere a step of LSTM {layers}x{hidden} goes ({updates} steps), beside its floor")
    parts = {name: 1e3 * total / updates for name, total in spent.items()}
    parts["the rest"] = 1e3 * whole - sum(parts.values())
    for name, ms in parts.items():
        floor = 1e3 * floors.get(name, 0.0)
        beside = f"floor {floor:7.2f} ms, {ms / floor:5.1f} times" if floor else ""
        print(f"  {name:<20} {ms:7.2f} ms  {0.1 * ms / whole:4.1f} %  {beside}")
    ids = np.resize(dataset.train_ids, 111_540)
    evaluation = seconds(lambda: evaluate.mean_nats(trainer.model, ids), 2)
    saving = seconds(lambda: dump(trainer.checkpoint(resumable=True)), 2)
    share = 20 * (evaluation + saving) / 180
    print(
        f"  an evaluation {1e3 * evaluation:.0f} ms, a checkpoint {1e3 * saving:.0f} ms: "
        f"{100 * share:.1f} % of three minutes with 20 of each"
    )
    return {
        "ms": parts,
        "floor_ms": {name: 1e3 * floor for name, floor in floors.items()},
        "evaluation_ms": 1e3 * evaluation,
        "checkpoint_ms": 1e3 * saving,
    }


def compare(
    layers: int, hidden: int, rounds: int, updates: int, peaks: dict[str, float]
) -> dict[str, Any]:
    dataset = make_dataset()
    plain = plain_loop(dataset, layers, hidden)
    control, _ = charlm_loop(dataset, layers, hidden, "adamw", "float32")
    adamw, _ = charlm_loop(dataset, layers, hidden, "adamw")
    muon, muon_trainer = charlm_loop(dataset, layers, hidden, "muon")
    loops = {"plain": plain, "control": control, "adamw": adamw, "muon": muon}
    for loop in loops.values():
        seconds(loop, 5)
    timed: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, loop in loops.items():
            timed[name].append(seconds(loop, updates))
    matrices = layers * 8 * hidden * hidden + hidden * V
    work = 3 * 2 * matrices * B * T
    precision = muon_trainer.config.precision
    print(f"\nLSTM {layers}x{hidden}, {B}x{T} characters, {rounds} rounds of {updates} steps")
    titles = {
        "plain": "plain PyTorch, float32, Adam",
        "control": "charlm --optimizer adamw, float32",
        "adamw": f"charlm --optimizer adamw, {precision}",
        "muon": f"charlm default (muon), {precision}",
    }
    results: dict[str, Any] = {}
    for name, values in timed.items():
        median = statistics.median(values)
        top = peaks["float32" if name in ("plain", "control") else precision]
        line = (
            f"  {titles[name]:<40} {1e3 * median:7.1f} ms  {B * T / median / 1e3:7.0f}k char/s  "
            f"{work / median / 1e9:5.0f} GFLOP/s = {100 * work / median / top:3.0f} % of peak"
        )
        results[name] = {"ms": 1e3 * median, "share_of_peak": work / median / top}
        if name != "plain":
            ratios = sorted(a / b for a, b in zip(timed["plain"], values, strict=True))
            line += (
                f"  {statistics.median(ratios):.2f} times plain "
                f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
            )
            results[name]["times_plain"] = statistics.median(ratios)
            results[name]["range"] = [ratios[0], ratios[-1]]
        print(line)
    share = muon_share(muon_trainer, muon, updates)
    print(f"  Muon's share of a training step: {100 * share:.0f} %")
    return results | {"muon_share": share}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=10)
    parser.add_argument("--breakdown", action="store_true")
    options = parser.parse_args()
    print(describe())
    peaks = {"float32": peak(torch.float32), "bfloat16": peak(torch.bfloat16)}
    print("matrix product: " + ", ".join(f"{k} {v / 1e9:.0f} GFLOP/s" for k, v in peaks.items()))
    results: dict[str, Any] = {"peak": peaks}
    for layers, hidden in ((1, 256), (1, 512)):
        found = compare(layers, hidden, options.rounds, options.updates, peaks)
        if options.breakdown:
            top = peaks[choose_precision("auto", torch.device("cpu"))]
            found["breakdown"] = breakdown(layers, hidden, 3 * options.updates, top, bandwidth())
        results[f"{layers}x{hidden}"] = found
    save("training", results)


if __name__ == "__main__":
    main()
