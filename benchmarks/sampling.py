"""Sampling speed: the NumPy engine compared with torch, and the time to the first character.

    python benchmarks/sampling.py [--repeats 5]

1. Time per character at batch 1: ``charlm.generate`` (engine, sampler and tokenizer, all that
   ``charlm sample`` does) compared with a plain loop over ``torch.nn.LSTM`` with the same weights,
   which samples with torch.multinomial. Both alternate in this process; the ratio is the result.
2. The same with the counts of a run beside the network, an n-gram model of ``corpora/viaggi.txt``.
3. Time per character of 64 texts side by side, as ``charlm sample --num-samples 64`` samples them,
   compared with one text. The texts are the same, which is checked first.
4. From starting ``charlm sample`` to its first character on a pipe, with torch not in
   ``sys.modules`` at the end; the control is a Python process that only imports torch.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command has it

import torch
from common import describe, save

from charlm import checkpoint, counts
from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig, SampleConfig
from charlm.counts import Counts
from charlm.generate import CharLM
from charlm.lockstep import ABREAST
from charlm.mixture import Weights
from charlm.models.language import LanguageModel, build
from charlm.text.tokenizer import CharTokenizer

SYMBOLS = CharTokenizer("".join(map(chr, range(32, 97))))


def make_model(
    layers: int, hidden: int, tokenizer: CharTokenizer = SYMBOLS
) -> tuple[LanguageModel, Checkpoint]:
    """An untrained LSTM: speed does not depend on the weights."""
    config = ModelConfig.resolve(
        vocab_size=tokenizer.vocab_size, num_layers=layers, hidden_size=hidden
    )
    model = build(config, seed=1).eval()
    weights = {name: p.detach().numpy() for name, p in model.named_parameters()}
    return model, Checkpoint(config, tokenizer, weights)


def with_counts() -> tuple[Checkpoint, Counts]:
    """An LSTM 1x256 and the counts of the text that is in the repository."""
    text = (Path(__file__).parent.parent / "corpora" / "viaggi.txt").read_text(encoding="utf-8")
    tokenizer = CharTokenizer.from_text(text)
    _, saved = make_model(1, 256, tokenizer)
    ids = tokenizer.encode(text)
    found = counts.fit(saved, ids[:-20_000], ids[-20_000:])
    # Weights as of a trained model: with those of an untrained one it would write noise.
    return saved, replace(found, weights=Weights(0.1, 0.9))


@torch.no_grad()
def torch_loop(model: LanguageModel, characters: int) -> float:
    """Seconds per character of the plain loop."""
    state = model.initial_state(1)
    token = torch.zeros(1, 1, dtype=torch.long)
    began = time.perf_counter()
    for _ in range(characters):
        logits, state = model(token, state)
        token = torch.multinomial(torch.softmax(logits[0, -1] / 0.8, dim=0), 1)[None]
    return (time.perf_counter() - began) / characters


def charlm_loop(model: CharLM, characters: int) -> float:
    """Seconds per character of charlm's own stream."""
    began = time.perf_counter()
    written = sum(1 for _ in model.stream(config=SampleConfig(length=characters, seed=1)))
    assert written == characters
    return (time.perf_counter() - began) / characters


def abreast_loop(model: CharLM, characters: int) -> float:
    """Seconds per character of 64 texts side by side, each of so many characters."""
    config = SampleConfig(length=characters, seed=1)
    began = time.perf_counter()
    written = sum(1 for text in model.streams(config=config, count=ABREAST) for _ in text)
    assert written == characters * ABREAST
    return (time.perf_counter() - began) / written


def same_texts(model: CharLM, characters: int) -> bool:
    """Whether 64 texts side by side are the texts that are sampled one after the other."""
    config = SampleConfig(length=characters, seed=1)
    together = ["".join(text) for text in model.streams(config=config, count=ABREAST)]
    return together == ["".join(model.stream(config=config, number=n)) for n in range(ABREAST)]


def first_character(path: Path) -> tuple[float, bool]:
    """(seconds from start to the first byte of ``charlm sample``, whether torch was imported)."""
    code = (
        "import sys; from charlm.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: sys.stderr.write('TORCH' if 'torch' in sys.modules else 'NO-TORCH')"
    )
    command = [sys.executable, "-c", code, "sample", str(path), "--length", "20"]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(1)
        seconds = time.perf_counter() - began
        process.stdout.read()
        said = process.stderr.read()
    assert said in (b"TORCH", b"NO-TORCH"), said
    return seconds, said == b"TORCH"


def import_torch() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - began


def show(name: str, values: list[float], unit: str, scale: float) -> None:
    values = [value * scale for value in values]
    print(
        f"{name:<44} median {statistics.median(values):8.2f} {unit}"
        f"   ({min(values):.2f} to {max(values):.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print(describe(), "\n")
    results: dict[str, dict[str, float]] = {}
    for layers, hidden in ((1, 256), (2, 128), (2, 256), (1, 512)):
        model, saved = make_model(layers, hidden)
        ours = CharLM(saved)
        torch_loop(model, 50)
        charlm_loop(ours, 200)
        pairs = [(torch_loop(model, 300), charlm_loop(ours, 2000)) for _ in range(repeats)]
        print(f"LSTM {layers}x{hidden}, batch 1, {repeats} pairs")
        show("  torch.nn.LSTM step loop", [a for a, _ in pairs], "us/char", 1e6)
        show("  charlm", [b for _, b in pairs], "us/char", 1e6)
        show("  ratio", [a / b for a, b in pairs], "times", 1.0)
        results[f"{layers}x{hidden}"] = {
            "torch_us": 1e6 * statistics.median(a for a, _ in pairs),
            "us": 1e6 * statistics.median(b for _, b in pairs),
            "ratio": statistics.median(a / b for a, b in pairs),
        }
    saved, beside = with_counts()
    print(f"LSTM 1x256 and a {beside.name} of {beside.num_ngrams:,} n-grams, {repeats} pairs")
    alone, both = CharLM(saved), CharLM(saved, beside)
    charlm_loop(alone, 200), charlm_loop(both, 200)
    pairs = [(charlm_loop(alone, 2000), charlm_loop(both, 2000)) for _ in range(repeats)]
    show("  network alone", [a for a, _ in pairs], "us/char", 1e6)
    show("  network and counts", [b for _, b in pairs], "us/char", 1e6)
    results["with counts"] = {"us": 1e6 * statistics.median(b for _, b in pairs)}
    _, plain = make_model(1, 256)
    for name, each in (("", CharLM(plain)), (" and counts", both)):
        assert same_texts(each, 300)
        pairs = [(charlm_loop(each, 2000), abreast_loop(each, 500)) for _ in range(repeats)]
        print(f"LSTM 1x256{name}, one text and {ABREAST} texts at once, {repeats} pairs")
        show("  one text", [a for a, _ in pairs], "us/char", 1e6)
        show(f"  {ABREAST} texts, each the same", [b for _, b in pairs], "us/char", 1e6)
        show("  ratio", [a / b for a, b in pairs], "times", 1.0)
        results[f"{ABREAST} texts{name}"] = {
            "us": 1e6 * statistics.median(b for _, b in pairs),
            "ratio": statistics.median(a / b for a, b in pairs),
        }
    print("\nfrom starting the command to its first character (LSTM 1x256)")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.safetensors"
        checkpoint.write(path, saved)
        starts = [first_character(path) for _ in range(repeats + 1)][1:]
        run = Path(directory) / "best.safetensors"
        checkpoint.write(run, saved)
        counts.write(run.with_name("counts.safetensors"), beside)
        counted = [first_character(run) for _ in range(repeats + 1)][1:]
    show("  charlm sample", [seconds for seconds, _ in starts], "s", 1.0)
    show("  charlm sample, with counts", [seconds for seconds, _ in counted], "s", 1.0)
    results["first character"] = {
        "network": statistics.median(seconds for seconds, _ in starts),
        "with counts": statistics.median(seconds for seconds, _ in counted),
    }
    show("  control: a Python that imports torch", [import_torch() for _ in range(3)], "s", 1.0)
    imported = any(imported for _, imported in (*starts, *counted))
    print(f"  torch imported by charlm sample: {imported}")
    save("sampling", results)


if __name__ == "__main__":
    main()
