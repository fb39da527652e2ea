"""The loss of a torch model, quickly: parallel streams, each warmed by the text before it.

This is what training looks at. The exact figure, one pass in one stream, is
``charlm.surprisal.score``; the two differ by what a stream forgets in its warm-up.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from charlm.arrays import Ids
from charlm.models.language import LanguageModel, loss_sum

STREAMS = 64
WARMUP = 128
CHUNK = 256
MAX_TARGETS = 2**19
"""A larger validation text is judged by this many characters, spread evenly over it."""


class Interrupted(Exception):  # noqa: N818 - a request, not an error
    """Somebody asked to stop while an evaluation was at work; nothing came of it."""


@torch.no_grad()
def mean_nats(
    model: LanguageModel, ids: Ids, *, interrupted: Callable[[], bool] = lambda: False
) -> float:
    """Mean nats per id of ``ids`` (N,), N >= 2, in float32 and without dropout.

    The targets are cut into ``STREAMS`` equal stretches. A stretch begins with the state after the
    ``WARMUP`` ids before it, which are read but not counted; the first begins from zero.
    Raises Interrupted between two chunks where ``interrupted()`` says so.
    """
    was_training = model.training
    model.eval()
    device = model.head.bias.device
    num_targets = len(ids) - 1
    streams = min(STREAMS, max(1, num_targets // WARMUP))
    stretch = num_targets // streams
    counted = min(stretch, MAX_TARGETS // streams)
    # What does not divide evenly is left out at the end: fewer than STREAMS characters.
    begins = np.arange(streams) * stretch
    state = model.initial_state(streams)
    if streams > 1:
        places = np.maximum(begins[:, None] + np.arange(-WARMUP, 0), 0)
        _, state = model(torch.from_numpy(ids[places].astype(np.int64)).to(device), state)
        for part in state:
            part[:, 0] = 0  # there is nothing before the first stretch
    total = 0.0
    for start in range(0, counted, CHUNK):
        if interrupted():
            model.train(was_training)
            raise Interrupted
        places = begins[:, None] + np.arange(start, min(start + CHUNK, counted))
        inputs = torch.from_numpy(ids[places].astype(np.int64)).to(device)
        targets = torch.from_numpy(ids[places + 1].astype(np.int64)).to(device)
        logits, state = model(inputs, state)
        total += loss_sum(logits, targets).item()
    model.train(was_training)
    return total / (streams * counted)
