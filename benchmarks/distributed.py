"""What several processes cost: characters a second of one process and of two, side by side.

    python benchmarks/distributed.py [--rounds 5] [--seconds 4]

LSTM 1x256 and 1x512, batches of 64x64, the default recipe (Muon, bfloat16): one process with one
thread, one with two threads (in blocks of rows, and without blocks), and two processes of one
thread (``torchrun``'s way: rows shared, one message with all gradients an update). Each round
measures all of them, so that a busy moment of the machine hits one round and not one way.

Also the time of the message alone, for ``docs/scaling.md``: a sum over two processes of as many
numbers as the model has parameters.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import describe, save

WORKER = """
import json, sys, time
import numpy as np, torch
from charlm.config import ModelConfig, TrainConfig
from charlm.text import dataset as data
from charlm.text.dataset import Source
from charlm.training.group import join, leave
from charlm.training.precision import choose_precision
from charlm.training.trainer import Trainer

hidden, threads, blocks, seconds = json.loads(sys.argv[1])
torch.set_num_threads(threads)
device = torch.device("cpu")
group = join(device)
text = open(sys.argv[2], encoding="utf-8").read()
texts = data.Texts.of(text, "")
dataset = data.encode(texts, data.choose_tokenizer(texts))
model = ModelConfig.resolve(vocab_size=dataset.tokenizer.vocab_size, hidden_size=hidden)
config = TrainConfig(
    batch_size=64, seq_len=64, steps=100_000, learning_rate=0.005, eval_every=1000, save_every=1000,
    precision=choose_precision("auto", device), row_blocks=blocks, orthogonalize_every=3,
    orthogonalizer="minimax",
)
trainer = Trainer(model, config, dataset, Source(("a",)), device, group)

def updates(limit):
    count, began = 0, time.perf_counter()
    while group.agree(time.perf_counter() - began) < limit:
        for _ in range(3):
            trainer.update(trainer.streams.batch(trainer.progress.step))
        count += 3
    return count * 64 * 64 / (time.perf_counter() - began)

updates(seconds / 2)
rate = updates(seconds)
message = torch.zeros(sum(p.numel() for p in trainer.model.parameters()))
began = time.perf_counter()
for _ in range(20):
    group.sum(message)
sent = (time.perf_counter() - began) / 20
if group.writes:
    print(json.dumps([rate, sent, message.numel()]))
group.end()
leave(0)
"""

WAYS = {
    "one process, one thread": (1, 1, 1),
    "one process, two threads, two blocks": (1, 2, 2),
    "one process, two threads, one block": (1, 2, 1),
    "two processes, one thread each": (2, 1, 1),
}


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def measure(
    processes: int, threads: int, blocks: int, hidden: int, seconds: float, text: Path
) -> tuple[float, float, int]:
    """(characters a second, seconds of one message, numbers in it)"""
    options = json.dumps([hidden, threads, blocks, seconds])
    common = {"OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": "1000"}
    if processes > 1:
        common |= {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1"}
        common |= {"MASTER_PORT": free_port()}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, options, str(text)],
            env=os.environ | common | ({"RANK": str(rank)} if processes > 1 else {}),
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    printed = [process.communicate()[0] for process in started]
    rate, sent, numbers = json.loads(printed[0])
    return rate, sent, numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    print(describe(), flush=True)
    results: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        rng = random.Random(1)
        words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 8))) for _ in range(2000)]
        text.write_text(" ".join(rng.choices(words, k=200_000)), encoding="utf-8")
        for hidden in (256, 512):
            rates: dict[str, list[float]] = {way: [] for way in WAYS}
            messages, numbers = [], 0
            for _ in range(options.rounds):
                for way, (processes, threads, blocks) in WAYS.items():
                    found = measure(processes, threads, blocks, hidden, options.seconds, text)
                    rates[way].append(found[0])
                    if processes > 1:
                        messages.append(found[1])
                        numbers = found[2]
            print(f"\nLSTM 1x{hidden}, {options.rounds} rounds")
            for way, each in rates.items():
                print(
                    f"  {way:<38} median {statistics.median(each) / 1e3:6.1f}k char/s   "
                    f"({min(each) / 1e3:.1f} to {max(each) / 1e3:.1f})",
                    flush=True,
                )
            ranks, *others = list(WAYS)[::-1]
            ratios = [
                pair[0] / max(pair[1:])
                for pair in zip(rates[ranks], *(rates[way] for way in others), strict=True)
            ]
            print(
                f"  two processes against the best of one: {statistics.median(ratios):.2f} times "
                f"({min(ratios):.2f} to {max(ratios):.2f})"
            )
            message = statistics.median(messages)
            print(f"  the message: {numbers:,} numbers in {1e3 * message:.1f} ms")
            results[f"1x{hidden}"] = {
                "rates": rates,
                "ratios": ratios,
                "message": message,
                "numbers": numbers,
            }
    save("distributed", results)


if __name__ == "__main__":
    main()
