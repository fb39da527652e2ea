"""From ids to the windows of truncated backpropagation through time.

``Streams`` lays ``batch_size`` contiguous streams over the training part; a model that carries its
state from window to window reads each of them as one long text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from charlm.arrays import Ids
from charlm.errors import ShortCorpusError
from charlm.seeds import derive

# (batch size, window) where none is asked for: the default first, then those for small texts.
_WINDOWS = [
    (64, 64),
    (32, 64),
    (32, 32),
    (16, 32),
    (16, 16),
    (8, 16),
    (4, 16),
    (2, 8),
    (1, 4),
    (1, 2),
]
DEFAULT_BATCH_SIZE, DEFAULT_SEQ_LEN = _WINDOWS[0]


def fit_window(
    num_ids: int,
    batch_size: int | None = None,
    seq_len: int | None = None,
    *,
    unit: str = "characters",
) -> tuple[int, int]:
    """Settle (batch_size, seq_len) for a training part of ``num_ids`` ids.

    unit: what an id stands for, for the errors

    What is asked for is kept, and is a ShortCorpusError where it does not fit. What is left open
    takes the first rung of ``_WINDOWS`` that gives an epoch eight windows; where even 4 streams of
    16 ids are too many for that, the first rung from there on that fits at all.
    """
    targets = num_ids - 1
    ladder = [(batch_size or b, seq_len or t) for b, t in _WINDOWS]
    least = _WINDOWS.index((4, 16))
    roomy = ((b, t) for b, t in ladder[: least + 1] if 8 * b * t <= targets)
    tight = ((b, t) for b, t in ladder[least:] if b * t <= targets)
    B, T = next(roomy, None) or next(tight, None) or ladder[-1]
    if targets < B * T:
        if batch_size is None and seq_len is None:
            raise ShortCorpusError(
                f"the training part has {num_ids} {unit}; at least {B * T + 1} are needed, and "
                "thousands to learn anything: give more text or lower --val-fraction"
            )
        lower = " and ".join(
            name
            for name, asked in (("--batch-size", batch_size), ("--seq-len", seq_len))
            if asked is not None and asked > 1
        )
        raise ShortCorpusError(
            f"the training part has {num_ids:,} {unit}, but --batch-size {B} x --seq-len {T} "
            f"needs at least {B * T + 1:,}; lower {lower or '--val-fraction'}"
        )
    return B, T


@dataclass(frozen=True)
class Batch:
    """One window of every stream.

    inputs, targets: (B, T); a target is the input one place further
    starts_epoch: the streams begin anew here, so the state carried so far means nothing
    """

    inputs: Ids
    targets: Ids
    epoch: int
    starts_epoch: bool


class Streams:
    """``batch_size`` contiguous streams over ``ids``, for stateful truncated BPTT.

    The N - 1 transitions (an id and its successor) are laid on a ring. Every epoch starts the ring
    elsewhere, cuts it into ``batch_size`` streams of equal length and reads them window by window:
    no target comes twice in an epoch, fewer than batch_size x seq_len are left out, and they are
    others in the next epoch. Every target has its true predecessor as input; only the state is
    foreign where a stream begins and where the ring closes.

    ``batch(step)`` is a pure function of (seed, step): nothing has to be replayed or stored.
    """

    def __init__(self, ids: Ids, batch_size: int, seq_len: int, seed: int) -> None:
        self.ids = ids
        self.batch_size = batch_size
        self.seq_len = seq_len
        self.seed = seed
        self.num_targets = len(ids) - 1
        self.steps_per_epoch = self.num_targets // (batch_size * seq_len)
        if self.steps_per_epoch < 1:
            fit_window(len(ids), batch_size, seq_len)
        self.stream_len = self.steps_per_epoch * seq_len

    def start(self, epoch: int) -> int:
        """Where the ring starts: a random place, moved on by the golden section every epoch."""
        first = derive(self.seed, "streams") % self.num_targets
        stride = max(1, round(self.num_targets * 0.6180339887498949))
        return (first + epoch * stride) % self.num_targets

    def batch(self, step: int) -> Batch:
        epoch, window = divmod(step, self.steps_per_epoch)
        rows = np.arange(self.batch_size)[:, None] * self.stream_len  # (B, 1)
        columns = window * self.seq_len + np.arange(self.seq_len)  # (T,)
        places = (self.start(epoch) + rows + columns) % self.num_targets  # (B, T)
        return Batch(self.ids[places], self.ids[places + 1], epoch, starts_epoch=window == 0)
