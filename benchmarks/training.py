"""Training speed: characters per second, compared with a plain PyTorch loop and with the peak.

    python benchmarks/training.py [--rounds 5] [--updates 10]

The plain loop is that of a tutorial: nn.Embedding, nn.LSTM and nn.Linear in float32, Adam, the
gradient's norm clipped, the state carried and detached. charlm's side is ``Trainer.update`` with
its batches, which is all that ``charlm train`` does between two evaluations. Sizes are equal. The
loops alternate in one process, a few training steps each, and the ratio is computed round by round,
so that other load slows both.

The floating-point rate counts three passes (forward, gradient of inputs, gradient of weights) of
two operations per weight and character, over recurrent, input and output matrices; the peak is that
of a 2048 x 2048 matrix product in the same process. The control is charlm in float32: what remains
of its lead on a processor without bfloat16.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from unittest import mock

import numpy as np
import torch
from common import describe
from torch import nn

from charlm.config import ModelConfig, TrainConfig, default_learning_rate
from charlm.text import dataset as data
from charlm.text.dataset import Dataset, Source, Texts
from charlm.text.streams import Streams
from charlm.text.tokenizer import CharTokenizer
from charlm.training.plan import ORTHOGONALIZE_EVERY
from charlm.training.precision import choose_precision
from charlm.training.rows import default_blocks
from charlm.training.trainer import Trainer

B, T, V = 64, 64, 65


def make_dataset() -> Dataset:
    """Random text over 65 symbols: speed does not depend on its content."""
    letters = np.array([chr(point) for point in range(32, 32 + V)])
    text = "".join(np.random.default_rng(1).choice(letters, 200_000))
    return data.encode(Texts.of(text), CharTokenizer.from_text(text))


def plain_loop(dataset: Dataset, layers: int, hidden: int) -> Callable[[], None]:
    torch.manual_seed(1)
    embedding, lstm = nn.Embedding(V, hidden), nn.LSTM(hidden, hidden, layers, batch_first=True)
    head = nn.Linear(hidden, V)
    parameters = [*embedding.parameters(), *lstm.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=2e-3)
    streams = Streams(dataset.train_ids, B, T, seed=1)
    state: tuple[torch.Tensor, torch.Tensor] | None = None
    step = 0

    def update() -> None:
        nonlocal state, step
        batch = streams.batch(step)
        inputs = torch.from_numpy(batch.inputs.astype(np.int64))
        targets = torch.from_numpy(batch.targets.astype(np.int64))
        output, state = lstm(embedding(inputs), state)
        loss = nn.functional.cross_entropy(head(output).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
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
    cpu = torch.device("cpu")
    config = TrainConfig(
        batch_size=B,
        seq_len=T,
        optimizer=optimizer,
        learning_rate=default_learning_rate(optimizer, hidden),
        precision=choose_precision(precision, cpu),
        row_blocks=default_blocks(model, B, cpu),
        orthogonalize_every=ORTHOGONALIZE_EVERY,
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


def compare(layers: int, hidden: int, rounds: int, updates: int, peaks: dict[str, float]) -> None:
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
    for name, values in timed.items():
        median = statistics.median(values)
        top = peaks["float32" if name in ("plain", "control") else precision]
        line = (
            f"  {titles[name]:<40} {1e3 * median:7.1f} ms  {B * T / median / 1e3:7.0f}k char/s  "
            f"{work / median / 1e9:5.0f} GFLOP/s = {100 * work / median / top:3.0f} % of peak"
        )
        if name != "plain":
            ratios = sorted(a / b for a, b in zip(timed["plain"], values, strict=True))
            line += (
                f"  {statistics.median(ratios):.2f} times plain "
                f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
            )
        print(line)
    print(
        f"  Muon's share of a training step: {100 * muon_share(muon_trainer, muon, updates):.0f} %"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=10)
    options = parser.parse_args()
    print(describe())
    peaks = {"float32": peak(torch.float32), "bfloat16": peak(torch.bfloat16)}
    print("matrix product: " + ", ".join(f"{k} {v / 1e9:.0f} GFLOP/s" for k, v in peaks.items()))
    for layers, hidden in ((1, 256), (1, 512)):
        compare(layers, hidden, options.rounds, options.updates, peaks)


if __name__ == "__main__":
    main()
