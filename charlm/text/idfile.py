"""The ids of a long text, in a file that is read window by window.

``IdFile`` stands where an array of ids can stand: it has a length, its slices are parts of the same
file, and ``np.asarray`` reads one. What it cannot do is to be indexed with an array.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Ids
from charlm.errors import CorpusError
from charlm.files import read_at


class _Open:
    """An open file, which is closed when nothing uses it any more."""

    def __init__(self, path: Path) -> None:
        try:
            self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            self.size = os.fstat(self.descriptor).st_size
        except OSError as error:
            raise CorpusError(f"{path}: cannot be read ({error.strerror or error})") from error
        weakref.finalize(self, os.close, self.descriptor)


class IdFile:
    """Ids ``begin`` to ``end`` of a file of numbers of one type (a ``streams.IdReader``).

    The file stays open, so it can be deleted meanwhile.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self.path = path
        self.dtype = dtype
        self._open = _Open(path)
        self._begin, self._end = 0, self._open.size // dtype.itemsize

    def __len__(self) -> int:
        return self._end - self._begin

    def __getitem__(self, wanted: slice) -> IdFile:
        begin, end, step = wanted.indices(len(self))
        if step != 1:
            raise ValueError(f"the ids of a file have no slice with step {step}")
        part = IdFile.__new__(IdFile)
        part.path, part.dtype, part._open = self.path, self.dtype, self._open
        part._begin, part._end = self._begin + begin, self._begin + max(begin, end)
        return part

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Ids:
        ids: Ids = self._read(0, len(self)).astype(dtype or self.dtype, copy=False)
        return ids

    def windows(self, starts: NDArray[np.integer[Any]], length: int) -> Ids:
        """The ``length`` consecutive ids from each of ``starts`` (B,) on: (B, length)."""
        found = np.empty((len(starts), length), dtype=self.dtype)
        for row, start in enumerate(starts.tolist()):
            found[row] = self._read(start, length)
        return found

    def _read(self, start: int, length: int) -> Ids:
        size = self.dtype.itemsize
        data = read_at(self._open.descriptor, length * size, (self._begin + start) * size)
        if len(data) != length * size:
            raise CorpusError(
                f"{self.path}: the ids of the text have been cut short; charlm corpus cache clear "
                "removes them, and the next run reads the text again"
            )
        return np.frombuffer(data, dtype=self.dtype)
