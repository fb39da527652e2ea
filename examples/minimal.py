"""A character model from scratch: NumPy only, gradients by hand, no framework.

    python examples/minimal.py [corpus.txt] [--cell lstm|gru|rnn] [--steps 2000]

The text is cut into B streams. Each training step reads the next T characters of every stream: a
window. The state continues from one window to the next, but the gradient stops at the start of the
window. This is truncated backpropagation through time. ``charlm.bptt.backward`` computes the
gradients; read it next. This file has everything else that training needs: data, initial weights,
the optimizer Adam, and sampling.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from charlm.bptt import backward
from charlm.config import ModelConfig
from charlm.engine import Engine, softmax

B, T, H = 16, 32, 128  # streams, characters per window, hidden units


def initial_weights(config: ModelConfig, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Normal random weights with variance 1 / fan-in; the forget gate of the LSTM starts open."""
    weights = {
        name: rng.normal(size=shape, scale=shape[-1] ** -0.5).astype(np.float32)
        if len(shape) > 1
        else np.zeros(shape, np.float32)
        for name, shape in config.parameter_shapes().items()
    }
    weights["body.embedding.weight"] *= H**0.5  # a lookup sums nothing, so variance 1 is right
    if config.cell == "lstm":
        weights["body.layers.0.bias_ih_l0"][H : 2 * H] = 1.0  # the gates' order is i, f, g, o
    return weights


class Adam:
    """Adam (Kingma & Ba, 2015): divides each gradient by its recent root mean square."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self.mean = {name: np.zeros_like(w) for name, w in weights.items()}
        self.square = {name: np.zeros_like(w) for name, w in weights.items()}
        self.steps = 0

    def update(self, weights: dict, gradients: dict, rate: float) -> None:
        self.steps += 1
        norm = np.sqrt(sum(float((g * g).sum()) for g in gradients.values()))
        for name, g in gradients.items():
            g = g * min(1.0, 1.0 / (norm + 1e-12))  # clip: the norm of the whole gradient is <= 1
            self.mean[name] += 0.1 * (g - self.mean[name])
            self.square[name] += 0.01 * (g * g - self.square[name])
            mean = self.mean[name] / (1 - 0.9**self.steps)
            square = self.square[name] / (1 - 0.99**self.steps)
            weights[name] -= rate * mean / (np.sqrt(square) + 1e-8)


def sample(config, weights, characters, length: int, rng: np.random.Generator) -> str:
    """Draw one character after another; each is the next input."""
    engine = Engine(config, weights)
    state, last, text = engine.initial_state(1), np.zeros(1, int), ""
    for _ in range(length):
        logits, state = engine.step(last, state)
        last = rng.choice(len(characters), size=1, p=softmax(logits[0].astype(float) / 0.8))
        text += characters[last[0]]
    return text


def train(ids, config, weights, steps: int, rate: float):
    """Train in place and yield the loss of every step in nats per character."""
    streams = ids[: len(ids) // B * B].reshape(B, -1)  # (B, N / B)
    windows = (streams.shape[1] - 1) // T
    optimizer = Adam(weights)
    for step in range(steps):
        start = step % windows * T
        if start == 0:
            state = Engine(config, weights).initial_state(B)
        inputs, targets = streams[:, start : start + T], streams[:, start + 1 : start + T + 1]
        result = backward(config, weights, inputs, targets, state)
        state = result.state  # the next window continues from these values, without their gradient
        gradients = {name: g / (B * T) for name, g in result.gradients.items()}
        optimizer.update(weights, gradients, rate * (1 - step / steps))
        yield result.nats / (B * T)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    viaggi = Path(__file__).parent.parent / "corpora" / "viaggi.txt"
    parser.add_argument("corpus", nargs="?", type=Path, default=viaggi)
    parser.add_argument("--cell", choices=["lstm", "gru", "rnn"], default="lstm")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=4e-3)
    options = parser.parse_args()

    text = options.corpus.read_text(encoding="utf-8")
    characters = sorted(set(text))
    ids = np.array([characters.index(c) for c in text])
    rng = np.random.default_rng(1)
    config = ModelConfig.resolve(vocab_size=len(characters), cell=options.cell, hidden_size=H)
    weights = initial_weights(config, rng)
    print(f"{len(text):,} characters, {len(characters)} symbols; {config.describe()}")
    print(f"a uniform guess costs {np.log2(len(characters)):.3f} bits/char")

    began, recent = time.time(), []
    for step, nats in enumerate(train(ids, config, weights, options.steps, options.rate), 1):
        recent.append(nats)
        if step % 100 == 0:
            speed = step * B * T / (time.time() - began)
            bits = np.mean(recent) / np.log(2)
            print(f"step {step:5}  {bits:.3f} bits/char  {speed:,.0f} char/s")
            recent = []
    print("\n" + sample(config, weights, characters, 400, rng))


if __name__ == "__main__":
    main()
