"""Beam search: the likeliest items that a model can write, not random ones.

The ``width`` likeliest beginnings are kept at every character, and each is continued by every
symbol (Lowerre, 1976; for recurrent networks Graves, 2012). A beginning that has ended stays among
them as it is. The probability is that of the whole item, its end symbol included, so short items
are not preferred by any rule but that they are likelier.

Running text has no likeliest continuation worth reading: it repeats itself (Holtzman et al., 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from charlm.arrays import Floats, State
from charlm.engine import log_softmax
from charlm.mixture import Predictor


@dataclass(frozen=True)
class Found:
    """An item: the ids that follow the prompt, without the end symbol.

    nats: -ln p of the item, its end symbol included if it has ended
    ended: whether it was completed within the length
    """

    ids: tuple[int, ...]
    nats: float
    ended: bool = field(default=True, compare=False)


def likeliest(
    model: Predictor,
    logits: Floats,
    state: State,
    end: int,
    *,
    width: int,
    length: int,
    forbidden: Sequence[int] = (),
) -> list[Found]:
    """Up to ``width`` items of at most ``length`` symbols, the likeliest first.

    logits, state: the model's after the prompt, (V,) and of a batch of 1
    end: the id of the end symbol; ``forbidden``: ids that no item has
    """
    ended: list[Found] = []
    prefixes: list[tuple[int, ...]] = [()]
    nats: Floats = np.zeros(1)
    for _ in range(length + 1):
        scores = -log_softmax(logits.astype(np.float64).reshape(len(prefixes), -1))  # (B, V)
        scores[:, list(forbidden)] = np.inf
        scores += nats[:, None]
        ended += [
            Found(prefix, float(scores[row, end]))
            for row, prefix in enumerate(prefixes)
            if np.isfinite(scores[row, end])
        ]
        ended = sorted(ended, key=lambda found: found.nats)[:width]
        scores[:, end] = np.inf
        best = np.argsort(scores, axis=None, kind="stable")[:width]
        rows, tokens = np.unravel_index(best, scores.shape)
        # What is worse already than the worst item that has ended cannot get better.
        worst = ended[-1].nats if len(ended) == width else np.inf
        kept = [
            (row, token)
            for row, token in zip(rows.tolist(), tokens.tolist(), strict=True)
            if scores[row, token] < worst
        ]
        if not kept:
            return ended
        rows, tokens = np.array([row for row, _ in kept]), np.array([token for _, token in kept])
        nats = scores[rows, tokens]
        prefixes = [(*prefixes[row], token) for row, token in kept]
        logits, state = model.step(tokens, tuple(part[:, rows] for part in state))
    cut = [Found(p, float(n), ended=False) for p, n in zip(prefixes, nats, strict=True)]
    return ended or sorted(cut, key=lambda found: found.nats)
