"""From ids to the windows of truncated backpropagation through time.

``Streams`` divides the training part into ``batch_size`` contiguous streams; a model that carries
its state from window to window reads each of them as one long text. It reads the ids through an
``IdReader``, so that they can be in an array or in a file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Ids
from charlm.errors import ShortCorpusError
from charlm.seeds import derive

# (batch size, window) if none is given: the default first, then those for small texts.
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

WARMUP = 128
"""Ids that a model reads, without being scored, before a stretch in the middle of a text."""

AnyState = TypeVar("AnyState", bound=tuple[Any, ...])


def warmed(
    read: Callable[[Ids, AnyState], AnyState],
    ids: Ids | IdReader,
    begins: NDArray[np.int64],
    state: AnyState,
) -> AnyState:
    """The state before each of the stretches of ``ids`` that begin at ``begins`` (B,).

    A long text is evaluated fast by cutting it into stretches that are read side by side, each
    after the ``WARMUP`` ids before it; the one at the beginning of the text starts from ``state``.
    Context from before the warm-up is lost: the exact loss needs one pass.

    read: (ids (B, T), state) -> state, the model's
    state: that of the beginning of a text, for a batch of B
    """
    after = read(as_reader(ids).windows(np.maximum(begins - WARMUP, 0), WARMUP), state)
    first = np.flatnonzero(begins == 0).tolist()
    for part, before in zip(after, state, strict=True):
        part[:, first] = before[:, first]  # axis 1 is the batch
    return after


def fit_window(
    num_ids: int,
    batch_size: int | None = None,
    seq_len: int | None = None,
    *,
    unit: str = "characters",
) -> tuple[int, int]:
    """Choose (batch_size, seq_len) for a training part of ``num_ids`` ids.

    unit: what an id represents, for the errors

    A given value is kept; ShortCorpusError if it does not fit. An open one is taken from the first
    entry of ``_WINDOWS`` with which an epoch has eight windows; if even 4 streams of 16 ids are too
    many for that, from the first entry from there on that fits.
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


class IdReader(Protocol):
    """The ids of a text, read in windows, in an array (``ArrayReader``) or a file (``IdFile``)."""

    def __len__(self) -> int: ...

    def windows(self, starts: NDArray[np.integer[Any]], length: int) -> Ids:
        """The ``length`` consecutive ids from each of ``starts`` (B,) on: (B, length).

        ``starts + length`` is at most ``len(self)``. One call reads the windows of all streams.
        """


class ArrayReader:
    """The ids of an array (N,)."""

    def __init__(self, ids: Ids) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def windows(self, starts: NDArray[np.integer[Any]], length: int) -> Ids:
        windows: Ids = self.ids[starts[:, None] + np.arange(length)]
        return windows


def as_reader(ids: Ids | IdReader) -> IdReader:
    """A reader of ``ids``, which may be one already."""
    return ArrayReader(ids) if isinstance(ids, np.ndarray) else ids


@dataclass(frozen=True)
class Batch:
    """One window of every stream.

    inputs, targets: (B, T); a target is the input one place further
    starts_epoch: the streams start at new places here, so the carried state must be reset
    """

    inputs: Ids
    targets: Ids
    epoch: int
    starts_epoch: bool

    def rows(self, which: slice) -> Batch:
        """The batch of some of the streams."""
        return Batch(self.inputs[which], self.targets[which], self.epoch, self.starts_epoch)


class Streams:
    """``batch_size`` contiguous streams over ``ids``, for stateful truncated BPTT.

    The N - 1 transitions (an id and its successor) form a ring. Every epoch starts at another place
    of the ring, cuts it into ``batch_size`` streams of equal length and reads them window by
    window: no target occurs twice in an epoch, fewer than batch_size x seq_len are left out, and
    the next epoch leaves out others. Every target has its true predecessor as input; only the state
    belongs to another text at the start of a stream and where the ring closes.

    ``batch(step)`` is a pure function of (seed, step): nothing has to be replayed or stored.
    """

    def __init__(self, ids: Ids | IdReader, batch_size: int, seq_len: int, seed: int) -> None:
        self.ids = as_reader(ids)
        self.batch_size = batch_size
        self.seq_len = seq_len
        self.seed = seed
        self.num_targets = len(ids) - 1
        self.steps_per_epoch = self.num_targets // (batch_size * seq_len)
        if self.steps_per_epoch < 1:
            fit_window(len(ids), batch_size, seq_len)
        self.stream_len = self.steps_per_epoch * seq_len

    def start(self, epoch: int) -> int:
        """Where the ring starts: a random place, moved by the golden section every epoch."""
        first = derive(self.seed, "streams") % self.num_targets
        stride = max(1, round(self.num_targets * 0.6180339887498949))
        return (first + epoch * stride) % self.num_targets

    def batch(self, step: int) -> Batch:
        """The window of every stream at ``step``."""
        epoch, window = divmod(step, self.steps_per_epoch)
        streams = np.arange(self.batch_size) * self.stream_len  # (B,)
        starts = (self.start(epoch) + streams + window * self.seq_len) % self.num_targets
        T = self.seq_len
        last = self.num_targets - T  # the last start of a window that does not cross the seam
        ids = self.ids.windows(np.minimum(starts, last), T + 1)  # (B, T + 1)
        inputs, targets = ids[:, :-1], ids[:, 1:]
        for row in np.flatnonzero(starts > last):  # one at most: no two windows overlap
            before = self.num_targets - int(starts[row])  # transitions before the seam
            end = self.ids.windows(starts[row : row + 1], before + 1)[0]
            begin = self.ids.windows(np.zeros(1, dtype=np.int64), T - before + 1)[0]
            inputs, targets = inputs.copy(), targets.copy()  # they shared memory
            inputs[row] = np.concatenate([end[:-1], begin[:-1]])
            targets[row] = np.concatenate([end[1:], begin[1:]])
        return Batch(inputs, targets, epoch, starts_epoch=window == 0)
