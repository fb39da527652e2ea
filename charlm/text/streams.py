"""From ids to the windows of truncated backpropagation through time.

``Streams`` divides the training part into ``batch_size`` contiguous streams; a model that carries
its state from window to window reads each of them as one long text. It reads the ids through an
``IdReader``, so that they can be in an array or in a file. ``DocumentStreams`` reads the documents
of a text in another order in every epoch, ``MixedStreams`` several texts at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Ids
from charlm.errors import RequestError, ShortCorpusError
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
    restarts: (B,) which streams do, if only some of them do
    labels: (B,) the number of each item's label, if there are labels
    lengths: (B,) symbols of each item, if items are read as a whole
    """

    inputs: Ids
    targets: Ids
    epoch: int
    starts_epoch: bool
    restarts: NDArray[np.bool_] | None = None
    labels: NDArray[np.int64] | None = None
    lengths: NDArray[np.int64] | None = None

    @property
    def counted(self) -> int:
        """How many targets there are, without what only fills a row."""
        return int(np.count_nonzero(self.targets >= 0))

    def rows(self, which: slice) -> Batch:
        """The batch of some of the streams."""
        return Batch(
            self.inputs[which],
            self.targets[which],
            self.epoch,
            self.starts_epoch,
            None if self.restarts is None else self.restarts[which],
            None if self.labels is None else self.labels[which],
        )


class AnyStreams(Protocol):
    """What a trainer reads: ``batch(step)`` depends on nothing but its arguments and the seed."""

    batch_size: int
    seq_len: int
    steps_per_epoch: int

    def batch(self, step: int) -> Batch: ...


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
        ids = self._windows(epoch, np.minimum(starts, last), T + 1)  # (B, T + 1)
        inputs, targets = ids[:, :-1], ids[:, 1:]
        for row in np.flatnonzero(starts > last):  # one at most: no two windows overlap
            before = self.num_targets - int(starts[row])  # transitions before the seam
            end = self._windows(epoch, starts[row : row + 1], before + 1)[0]
            begin = self._windows(epoch, np.zeros(1, dtype=np.int64), T - before + 1)[0]
            inputs, targets = inputs.copy(), targets.copy()  # they shared memory
            inputs[row] = np.concatenate([end[:-1], begin[:-1]])
            targets[row] = np.concatenate([end[1:], begin[1:]])
        return Batch(inputs, targets, epoch, starts_epoch=window == 0)

    def _windows(self, epoch: int, starts: NDArray[np.integer[Any]], length: int) -> Ids:
        """The windows at ``starts`` (B,) of the text as it is read in this epoch: (B, length)."""
        return self.ids.windows(starts, length)


class DocumentStreams(Streams):
    """``Streams`` over documents, which are read in another order in every epoch.

    So the model does not learn which document follows which. The order is a function of (seed,
    epoch) alone.

    ends: where each document ends in the ids, in ascending order; the last one is at their end
    """

    def __init__(
        self,
        ids: Ids | IdReader,
        batch_size: int,
        seq_len: int,
        seed: int,
        ends: NDArray[np.int64],
    ) -> None:
        super().__init__(ids, batch_size, seq_len, seed)
        self._begins = np.append(0, ends[:-1])
        self._lengths = np.diff(ends, prepend=0)
        self._laid: tuple[int, NDArray[np.int64], NDArray[np.int64]] | None = None

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The numbers of the documents in the order of this epoch, (D,)."""
        seed = np.uint64(derive(self.seed, "streams", epoch))
        keys = scrambled(np.arange(len(self._lengths), dtype=np.uint64) + seed)
        return np.argsort(keys, kind="stable").astype(np.int64)

    def _lay(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(the order, where each of the documents in that order ends) in this epoch"""
        if self._laid is None or self._laid[0] != epoch:
            order = self.order(epoch)
            self._laid = epoch, order, self._lengths[order].cumsum()
        return self._laid[1:]

    def _windows(self, epoch: int, starts: NDArray[np.integer[Any]], length: int) -> Ids:
        order, ends = self._lay(epoch)
        rows = []
        for start in starts.tolist():
            number = int(np.searchsorted(ends, start, side="right"))
            parts, left = [], length
            while left:
                document = order[number]
                end = int(ends[number])
                size = min(left, end - start)
                place = self._begins[document] + self._lengths[document] - (end - start)
                parts.append(self.ids.windows(np.array([place]), size)[0])
                left, start, number = left - size, start + size, number + 1
            rows.append(np.concatenate(parts))
        return np.stack(rows)


def scrambled(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every number scrambled, two different ones to different numbers (the finalizer of SplitMix64,
    Steele, Lea & Flood, 2014). NumPy's own permutations may change from version to version."""
    mixed = numbers * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def document_ends(ids: Ids | IdReader, separator: Ids) -> NDArray[np.int64]:
    """Where the documents of ``ids`` end, each with its ``separator`` (K,); the last one at the end
    of the ids. As ``str.split`` it looks from left to right, so that no two separators overlap."""
    reader = as_reader(ids)
    N, K = len(reader), len(separator)
    ends: list[int] = []
    for begin in range(0, N - K + 1, _SCANNED):
        size = min(_SCANNED + K - 1, N - begin)
        part = reader.windows(np.array([begin]), size)[0]
        equal = np.ones(size - K + 1, dtype=bool)
        for k, each in enumerate(separator):
            equal &= part[k : size - K + 1 + k] == each
        for place in (np.flatnonzero(equal) + begin).tolist():
            if not ends or place >= ends[-1]:
                ends.append(place + K)
    if not ends or ends[-1] != N:
        ends.append(N)
    return np.array(ends, dtype=np.int64)


_SCANNED = 2**20
"""Ids that are searched for separators at once."""


class MixedStreams:
    """Several texts read at once: each has its own streams, some of the rows of every batch.

    epoch: of a batch, that of the text whose rows come first
    """

    def __init__(self, parts: Sequence[AnyStreams]) -> None:
        self.parts = parts
        self.batch_size = sum(part.batch_size for part in parts)
        self.seq_len = parts[0].seq_len
        # As if all texts were read equally often.
        total = sum(part.steps_per_epoch * part.batch_size for part in parts)
        self.steps_per_epoch = max(1, total // self.batch_size)

    def batch(self, step: int) -> Batch:
        """The windows of every text at ``step``, in the order of the texts."""
        found = [part.batch(step) for part in self.parts]
        begin = [np.full(len(each.inputs), each.starts_epoch) for each in found]
        restarts = np.concatenate(begin)
        return Batch(
            np.concatenate([each.inputs for each in found]),
            np.concatenate([each.targets for each in found]),
            found[0].epoch,
            starts_epoch=bool(restarts.all()),
            restarts=restarts if restarts.any() and not restarts.all() else None,
        )


def share_rows(weights: Sequence[float], rows: int) -> list[int]:
    """``rows`` divided by ``weights``, as evenly as whole numbers can be, each at least 1.

    The rows that are left over go to the largest remainders (Hamilton's method). RequestError if
    there are fewer rows than weights.

    >>> share_rows([3, 1], 64), share_rows([1, 1, 1], 64), share_rows([1000, 1], 8)
    ([48, 16], [22, 21, 21], [7, 1])
    """
    if rows < len(weights):
        raise RequestError(
            f"--mix has {len(weights)} texts, but a batch has {rows} rows; give --batch-size "
            f"{len(weights)} or more"
        )
    total = math.fsum(weights)
    exact = [rows * weight / total for weight in weights]
    shares = [max(1, int(each)) for each in exact]
    while (left := rows - sum(shares)) != 0:
        change = 1 if left > 0 else -1
        open_ = [k for k, share in enumerate(shares) if share + change >= 1]
        best = max(open_, key=lambda k: (change * (exact[k] - shares[k]), -k))
        shares[best] += change
    return shares
