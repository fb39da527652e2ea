"""A fast estimate of the loss of a torch model: parallel streams, each with a warm-up.

It is the validation loss during training. The exact loss, one pass in one stream, is
``charlm.surprisal.score``; they differ because a stream has no context from before its warm-up.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charlm.arrays import Ids
from charlm.models.language import LanguageModel, loss_sum
from charlm.text.items import Items
from charlm.text.streams import WARMUP, IdReader, as_reader, warmed
from charlm.training.group import ALONE, Group

STREAMS = 64
CHUNK = 64
ITEMS, WINDOW = 128, 256
"""Items that are evaluated side by side, and symbols of them at once."""
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


@torch.no_grad()
def mean_item_nats(
    model: LanguageModel,
    items: Items,
    *,
    interrupted: Callable[[], bool] = lambda: False,
    group: Group = ALONE,
) -> float:
    """Mean nats per symbol of items, their end symbols included, each from the zero state and, with
    labels, written as its own; in float32 and without dropout. Errors and group as in
    ``mean_nats``."""
    was_training = model.training
    model.eval()
    device = model.head.bias.device
    total, symbols = 0.0, 0
    for rows in batches_by_length(items.lengths, ITEMS)[group.rank :: group.size]:
        state = model.initial_state(len(rows))
        if items.labels is not None:
            state[-1][0, np.arange(len(rows)), items.labels[rows]] = 1.0
        for first in range(0, int(items.lengths[rows].max()) + 1, WINDOW):
            if interrupted():
                model.train(was_training)
                raise Interrupted
            inputs, _ = items.padded(rows, first=first, most=WINDOW, after=False)
            targets, _ = items.padded(rows, first=first, most=WINDOW, after=True)
            logits, state = model(torch.from_numpy(np.maximum(inputs, 0)).to(device), state)
            total += loss_sum(logits, torch.from_numpy(targets).to(device)).item()
            symbols += int(np.count_nonzero(targets >= 0))
    model.train(was_training)
    summed = torch.tensor([total, float(symbols)], dtype=torch.float64, device=device)
    group.sum(summed)
    nats, counted = summed.tolist()
    return float(nats / counted)


def batches_by_length(lengths: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """The numbers of the items in batches of up to ``size``, the longest first."""
    order = np.argsort(-lengths, kind="stable")
    return [order[begin : begin + size] for begin in range(0, len(order), size)]
