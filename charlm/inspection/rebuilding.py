"""A decoder that reconstructs the last characters from a hidden state alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from charlm.arrays import Ids
from charlm.inspection.memory import States
from charlm.text.tokenizer import Tokenizer
from charlm.training.optim import OneOptimizer
from charlm.training.step import descend

WIDTH, STEPS, BATCH = 256, 300, 256


@dataclass(frozen=True)
class Rebuilt:
    """What the decoder reconstructed from states that it was not trained on.

    accuracy: (K,) share of the characters k back that are right
    shuffled: (K,) the same for a decoder trained on states in random order: what can be guessed
              without the state
    truth, guesses: (N, K) ids, k = 0 the character just read
    """

    accuracy: NDArray[np.float64]
    shuffled: NDArray[np.float64]
    truth: Ids
    guesses: Ids

    def examples(self, tokenizer: Tokenizer, count: int = 5) -> list[tuple[str, str]]:
        """Examples of what was read and what the decoder reconstructed, in text order."""
        places = range(0, len(self.truth), max(1, len(self.truth) // count))
        return [
            (tokenizer.decode(self.truth[n][::-1]), tokenizer.decode(self.guesses[n][::-1]))
            for n in list(places)[:count]
        ]


def rebuild(found: States, vocab_size: int, *, steps: int = STEPS, seed: int = 0) -> Rebuilt:
    """Train a decoder with one hidden layer on the first half and test it on the second."""
    learn, judge = found.halves()
    order = np.random.default_rng(seed).permutation(len(learn.features))
    real = _decoded(learn, judge, vocab_size, steps, seed)
    control = _decoded(States(learn.features[order], learn.past), judge, vocab_size, steps, seed)
    return Rebuilt((real == judge.past).mean(0), (control == judge.past).mean(0), judge.past, real)


def _decoded(learn: States, judge: States, vocab_size: int, steps: int, seed: int) -> Ids:
    generator = torch.Generator().manual_seed(seed)
    K = learn.past.shape[1]
    mean, spread = learn.features.mean(0), learn.features.std(0) + 1e-6
    x, x_judge = (
        torch.from_numpy(((of.features - mean) / spread).astype(np.float32))
        for of in (learn, judge)
    )
    y = torch.from_numpy(learn.past.astype(np.int64))
    decoder = nn.Sequential(
        nn.Linear(x.shape[1], WIDTH), nn.ReLU(), nn.Linear(WIDTH, K * vocab_size)
    )
    with torch.no_grad():
        for parameter in decoder.parameters():
            bound = parameter.shape[-1] ** -0.5
            parameter.copy_(bound * (2 * torch.rand(parameter.shape, generator=generator) - 1))
    optimizer = OneOptimizer(torch.optim.Adam(decoder.parameters()))
    for step in range(steps):
        rows = torch.randint(len(x), (BATCH,), generator=generator)
        logits = decoder(x[rows]).view(BATCH * K, vocab_size)
        loss = F.cross_entropy(logits, y[rows].flatten())
        descend(decoder, optimizer, loss, 1, rate=2e-3 * (1 - step / steps), clip=0.0)
    with torch.no_grad():
        parts = [
            decoder(part).view(-1, K, vocab_size).argmax(-1) for part in torch.split(x_judge, 1024)
        ]
    guesses: Ids = torch.cat(parts).numpy()
    return guesses
