"""Compare examples/minimal.py with min-char-rnn: both in NumPy only, with equal time.

    python benchmarks/minimal.py [--seconds 30] [--corpus FILE]

Karpathy's min-char-rnn (2016) is reimplemented here from its description: a plain RNN of 100 units
on one-hot characters, one stream, 25 characters at a time, one character after another, Adagrad at
0.1. Each gets the same wall time and is then scored on the same held-out tenth; the control is the
untrained model.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import describe
from numpy.typing import NDArray

from charlm.config import ModelConfig
from charlm.engine import Engine, Weights
from charlm.surprisal import LN2, surprisals

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "examples"))

# By name, since examples/ is not a package and this file is called minimal too.
minimal: Any = importlib.import_module("minimal")

UNITS, WINDOW = 100, 25


class Ancestor:
    """One character at a time: column vectors, a Python loop forward and one backward."""

    def __init__(self, vocab_size: int) -> None:
        rng = np.random.default_rng(1)
        self.W = rng.normal(size=(UNITS, vocab_size)) * 0.01
        self.U = rng.normal(size=(UNITS, UNITS)) * 0.01
        self.Y = rng.normal(size=(vocab_size, UNITS)) * 0.01
        self.b, self.y = np.zeros((UNITS, 1)), np.zeros((vocab_size, 1))
        self.squares = [np.zeros_like(p) for p in self.parameters]
        self.h = np.zeros((UNITS, 1))

    @property
    def parameters(self) -> list[NDArray[np.float64]]:
        return [self.W, self.U, self.Y, self.b, self.y]

    def update(self, inputs: NDArray[np.int64], targets: NDArray[np.int64]) -> None:
        V = len(self.y)
        xs, hs, ps = [], [self.h], []
        for i in inputs:
            x = np.zeros((V, 1))
            x[i] = 1
            h = np.tanh(self.W @ x + self.U @ hs[-1] + self.b)
            scores = self.Y @ h + self.y
            p = np.exp(scores)
            xs.append(x)
            hs.append(h)
            ps.append(p / p.sum())
        dW, dU, dY, db, dy = gradients = [np.zeros_like(p) for p in self.parameters]
        dh_next = np.zeros_like(self.h)
        for t in reversed(range(len(inputs))):
            ds = ps[t]
            ds[targets[t]] -= 1
            dY += ds @ hs[t + 1].T
            dy += ds
            da = (self.Y.T @ ds + dh_next) * (1 - hs[t + 1] ** 2)
            db += da
            dW += da @ xs[t].T
            dU += da @ hs[t].T
            dh_next = self.U.T @ da
        for parameter, gradient, square in zip(
            self.parameters, gradients, self.squares, strict=True
        ):
            np.clip(gradient, -5, 5, out=gradient)
            square += gradient * gradient
            parameter -= 0.1 * gradient / np.sqrt(square + 1e-8)
        self.h = hs[-1]

    def engine(self) -> Engine:
        """The same model for charlm's engine: one-hot characters are an identity embedding."""
        V = len(self.y)
        config = ModelConfig.resolve(vocab_size=V, cell="rnn", hidden_size=UNITS, embedding_size=V)
        layer = "body.layers.0."
        weights: Weights = {
            "body.embedding.weight": np.eye(V),
            layer + "weight_ih_l0": self.W,
            layer + "weight_hh_l0": self.U,
            layer + "bias_ih_l0": self.b[:, 0],
            layer + "bias_hh_l0": np.zeros(UNITS),
            "head.weight": self.Y,
            "head.bias": self.y[:, 0],
        }
        return Engine(config, weights)


def bits(engine: Engine, ids: NDArray[np.int64]) -> float:
    return float(surprisals(engine, ids).mean()) / LN2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--corpus", type=Path, default=ROOT / "corpora" / "viaggi.txt")
    options = parser.parse_args()
    text = options.corpus.read_text(encoding="utf-8")
    characters = sorted(set(text))
    index = {c: i for i, c in enumerate(characters)}
    ids = np.array([index[c] for c in text])
    cut = int(0.9 * len(ids))
    seen, held_out = ids[:cut], ids[cut:]
    V = len(characters)
    print(describe())
    print(
        f"{options.corpus.name}: {len(text):,} characters, {V} symbols; {options.seconds:g} s each"
    )

    ancestor = Ancestor(V)
    untrained = bits(ancestor.engine(), held_out)
    began, read = time.perf_counter(), 0
    while time.perf_counter() - began < options.seconds:
        start = read % (len(seen) - WINDOW - 1)
        if start < WINDOW:
            ancestor.h = np.zeros((UNITS, 1))
        ancestor.update(seen[start : start + WINDOW], seen[start + 1 : start + WINDOW + 1])
        read += WINDOW
    results = [("min-char-rnn's method", read, bits(ancestor.engine(), held_out))]

    per_update = minimal.B * minimal.T
    for cell in ("rnn", "lstm"):
        config = ModelConfig.resolve(vocab_size=V, cell=cell, hidden_size=minimal.H)
        trial = minimal.initial_weights(config, np.random.default_rng(1))
        began = time.perf_counter()
        for _ in minimal.train(seen, config, trial, 30, 4e-3):
            pass
        steps = int(options.seconds / (time.perf_counter() - began) * 30)
        weights = minimal.initial_weights(config, np.random.default_rng(1))
        began = time.perf_counter()
        for _ in minimal.train(seen, config, weights, steps, 4e-3):
            pass
        scale = options.seconds / (time.perf_counter() - began)
        read = round(steps * per_update * scale)
        results.append(
            (f"examples/minimal.py, {cell}", read, bits(Engine(config, weights), held_out))
        )

    print(f"{'control: untrained':<28} {'':>16}   {untrained:.3f} bits/char held out")
    for name, read, figure in results:
        print(
            f"{name:<28} {read / options.seconds:>9,.0f} char/s   {figure:.3f} bits/char held out"
        )


if __name__ == "__main__":
    main()
