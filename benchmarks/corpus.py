"""Memory and time of preparing a corpus: read, split, choose the vocabulary, hash, encode.

    python benchmarks/corpus.py [--megabytes 100] [--long GIGABYTES]

Texts of that size in four kinds of characters (which take 1, 1, 2 and 4 bytes in a Python string),
and some of them in other encodings and options. Each is prepared twice, in a process of its own,
which reports its peak memory: VmHWM on Linux, where it starts at 0 with the process, elsewhere
ru_maxrss. The second time the cache has what the first has found. The control is a process that
only imports the same modules.

With --long: the first pass over a mixed text of that size, in MB a second of one thread, and the
memory of ``charlm train`` on it beside that of an ``import torch``, and the time to its first
update when the cache has the text.

Exits with 1 if a text takes more than 100 MB above the control.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import describe

LIMIT = 100
"""MB above the control that preparing a text may take, however long it is."""

CHILD = """
import json, sys, time
from charlm.text import dataset
from charlm.text.dataset import Source

def peak():
    try:
        with open("/proc/self/status") as status:
            return next(int(l.split()[1]) for l in status if l.startswith("VmHWM")) / 1024
    except OSError:
        import resource
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used / 1024 ** (2 if sys.platform == "darwin" else 1)

began, found = time.perf_counter(), {}
if sys.argv[1]:
    texts = dataset.read(Source((sys.argv[1],), sys.argv[2] or None, newline="auto"))
    found["first"] = time.perf_counter() - began
    tokenizer = dataset.choose_tokenizer(texts, level=sys.argv[3], nfc=bool(sys.argv[4]))
    prepared = dataset.encode(texts, tokenizer)
    found |= {"ids": len(prepared.ids), "type": str(prepared.ids.dtype), **prepared.provenance()}
print(json.dumps({"seconds": time.perf_counter() - began, "peak": peak(), **found}))
"""

ENGLISH = ["the", "sea", "night", "wind", "train", "city", "moon", "of", "and", "to", "in", "it"]
ITALIAN = ["il", "treno", "mare", "Roma", "luna", "perché", "città", "è", "vento", "più", "due"]
OTHERS = ["“sì”", "—", "…", "мир", "ночь", "αβγ", "λόγος", "日本語", "京都", "😀", "🌙"]


def sentence(kind: str, rng: random.Random) -> str:
    if kind == "CJK":  # some ideographs are more common than others
        return "".join(chr(0x4E00 + int(5000 * rng.random() ** 3)) for _ in range(30)) + "。\n"
    words = {"ASCII": ENGLISH, "Italian": ITALIAN, "mixed": ITALIAN + OTHERS}[kind]
    return " ".join(rng.choices(words, k=9)) + ".\n"


def write(path: Path, kind: str, size: int, encoding: str) -> None:
    """A text of ``size`` bytes, written in blocks of about 100 kB, of which there are 20."""
    rng = random.Random(kind)
    blocks = []
    for _ in range(20):
        lines = [sentence(kind, rng) for _ in range(1500)]
        blocks.append("".join(lines).encode(encoding))
    with path.open("wb") as file:
        while file.tell() < size:
            file.write(rng.choice(blocks))


def prepare(
    path: Path | str, encoding: str = "", level: str = "char", nfc: str = ""
) -> dict[str, Any]:
    command = [sys.executable, "-c", CHILD, str(path), encoding, level, nfc]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


TRAIN = """
import sys, time
from charlm.training.trainer import Trainer

def peak():
    with open("/proc/self/status") as status:
        return next(int(l.split()[1]) for l in status if l.startswith("VmHWM")) / 1024

import torch
control, began = peak(), time.perf_counter()
update, first = Trainer.update, []

def timed(self, batch):
    nats = update(self, batch)
    first.append(time.perf_counter() - began)
    return nats

Trainer.update = timed
from charlm.cli import main
sys.argv = ["charlm", "train", *sys.argv[1:]]
try:
    main()
finally:
    print(f"{peak() - control:.0f} {first[0]:.2f}")
"""


def train(path: Path, out: Path) -> tuple[float, float]:
    """(peak MB above ``import torch``, seconds from there to the first update)"""
    command = [sys.executable, "-c", TRAIN, str(path), "--out", str(out), "--name", "long"]
    command += ["--force", "--steps", "40", "--hidden-size", "256"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    megabytes, seconds = map(float, done.stdout.splitlines()[-1].split())
    return megabytes, seconds


def long(gigabytes: float) -> None:
    with tempfile.TemporaryDirectory() as directory:
        os.environ["CHARLM_CACHE"] = str(Path(directory) / "cache")
        path = Path(directory) / "corpus.txt"
        write(path, "mixed", int(gigabytes * 1e9), "utf-8")
        time.sleep(3)  # the time of a file that was just written does not identify it yet
        cold = prepare(path)
        print(
            f"\n{gigabytes:g} GB, mixed: first pass {gigabytes * 1e3 / cold['first']:.0f} MB/s, "
            f"both {gigabytes * 1e3 / cold['seconds']:.0f} MB/s, peak {cold['peak']:.0f} MB"
        )
        megabytes, seconds = train(path, Path(directory))
        print(
            f"charlm train: peak {megabytes:.0f} MB above import torch; first update "
            f"{seconds:.1f} s after it, from a warm cache"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--long", type=float, metavar="GIGABYTES")
    options = parser.parse_args()
    size = options.megabytes * 1_000_000
    print(describe(), "\n")
    control = prepare("")["peak"]
    print(f"{'text':<26}  {'peak MB':>8}  {'seconds':>8}  {'again':>6}  {'characters':>12}  ids")
    print(f"{'control: imports alone':<26}  {control:8.0f}")
    worst = 0.0
    with tempfile.TemporaryDirectory() as directory:
        os.environ["CHARLM_CACHE"] = str(Path(directory) / "cache")
        path = Path(directory) / "corpus.txt"
        for kind, encoding, level, nfc in (
            ("ASCII", "", "char", ""),
            ("Italian", "", "char", ""),
            ("CJK", "", "char", ""),
            ("mixed", "", "char", ""),
            ("mixed", "", "byte", ""),
            ("mixed", "", "char", "nfc"),
            ("Italian", "cp1252", "char", ""),
            ("Italian", "utf-16-le", "char", ""),
        ):
            write(path, kind, size, encoding or "utf-8")
            time.sleep(3)  # the time of a file that was just written does not identify it yet
            found = prepare(path, encoding, level, nfc)
            again = prepare(path, encoding, level, nfc)["seconds"]
            name = " ".join(filter(None, (kind, encoding, level if level == "byte" else "", nfc)))
            print(
                f"{name:<26}  {found['peak']:8.0f}  {found['seconds']:8.1f}  "
                f"{again:6.1f}  "
                f"{found['corpus_characters']:12,}  {found['ids']:,} {found['type']}",
                flush=True,
            )
            worst = max(worst, found["peak"] - control)
    print(f"\nlargest peak {worst:.0f} MB above the control; {LIMIT} MB are allowed")
    if options.long:
        long(options.long)
    return 1 if worst > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
