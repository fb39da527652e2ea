"""A fast estimate of the loss of a torch model: parallel streams, each with a warm-up.

It is the validation loss during training. The exact loss, one pass in one stream, is
``charlm.surprisal.score``; they differ because a stream has no context from before its warm-up.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from charlm.arrays import Ids
from charlm.models.language import LanguageModel, loss_sum
from charlm.text.streams import WARMUP, IdReader, as_reader, warmed
from charlm.training.group import ALONE, Group

STREAMS = 64
CHUNK = 64
MAX_TARGETS = 2**19
"""Of a larger validation text only this many characters are read, spread evenly over it."""


class Interrupted(Exception):  # noqa: N818 - a request, not an error
    """The user asked to stop during an evaluation, which therefore has no result."""


@torch.no_grad()
def mean_nats(
    model: LanguageModel,
    ids: Ids | IdReader,
    *,
    interrupted: Callable[[], bool] = lambda: False,
    group: Group = ALONE,
) -> float:
    """Mean nats per id of ``ids`` (N,), N >= 2, in float32 and without dropout.

    The targets are cut into ``STREAMS`` equal stretches. A stretch begins with the state after the
    ``WARMUP`` ids before it, which are read but not counted (``charlm.text.streams.warmed``).
    Raises Interrupted between two chunks if ``interrupted()`` says so.

    group: processes that share the stretches; the result is the same in each
    """
    was_training = model.training
    model.eval()
    device = model.head.bias.device

    def tensor(ids: Ids) -> Tensor:
        return torch.from_numpy(ids.astype(np.int64)).to(device)

    reader = as_reader(ids)
    num_targets = len(ids) - 1
    streams = min(STREAMS, max(1, num_targets // WARMUP))
    stretch = num_targets // streams
    counted = min(stretch, MAX_TARGETS // streams)
    # The remainder at the end, fewer than STREAMS characters, is left out.
    begins = (np.arange(streams) * stretch)[group.rank :: group.size]
    state = model.initial_state(len(begins))
    if streams > 1 and len(begins):
        state = warmed(lambda ids, state: model(tensor(ids), state)[1], reader, begins, state)
    total = 0.0
    for start in range(0, counted if len(begins) else 0, CHUNK):
        if interrupted():
            model.train(was_training)
            raise Interrupted
        read = reader.windows(begins + start, min(CHUNK, counted - start) + 1)
        logits, state = model(tensor(read[:, :-1]), state)
        total += loss_sum(logits, tensor(read[:, 1:])).item()
    model.train(was_training)
    summed = torch.tensor([total], dtype=torch.float64, device=device)
    group.sum(summed)
    return summed.item() / (streams * counted)
