"""Memory and time of preparing a corpus: read, split, choose the vocabulary, hash, encode.

    python benchmarks/corpus.py [--megabytes 100]

Texts of that size in four kinds of characters (which take 1, 1, 2 and 4 bytes in a Python string),
and some of them in other encodings and options. Each is prepared in a process of its own, which
reports its peak memory: VmHWM on Linux, where it starts at 0 with the process, elsewhere ru_maxrss.
The control is a process that only imports the same modules.

Exits with 1 if a text takes more than 500 MB, the promise for 100 MB of text in any encoding and
with any option.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import describe

LIMIT = 500
"""MB that preparing 100 MB of text may take."""

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
    tokenizer = dataset.choose_tokenizer(texts, level=sys.argv[3], nfc=bool(sys.argv[4]))
    prepared = dataset.encode(texts, tokenizer)
    found = {"ids": len(prepared.ids), "type": str(prepared.ids.dtype), **prepared.provenance()}
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    size = parser.parse_args().megabytes * 1_000_000
    print(describe(), "\n")
    control = prepare("")["peak"]
    print(f"{'text':<26}  {'peak MB':>8}  {'seconds':>8}  {'characters':>12}  ids")
    print(f"{'control: imports alone':<26}  {control:8.0f}")
    worst = 0.0
    with tempfile.TemporaryDirectory() as directory:
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
            found = prepare(path, encoding, level, nfc)
            name = " ".join(filter(None, (kind, encoding, level if level == "byte" else "", nfc)))
            print(
                f"{name:<26}  {found['peak']:8.0f}  {found['seconds']:8.1f}  "
                f"{found['corpus_characters']:12,}  {found['ids']:,} {found['type']}",
                flush=True,
            )
            worst = max(worst, found["peak"])
    print(f"\nlargest peak {worst:.0f} MB; {LIMIT} MB are allowed")
    return 1 if worst > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
