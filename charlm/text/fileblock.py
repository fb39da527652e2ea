"""A stretch of a file that is read only when its bytes are needed.

The bytes are copied into memory with a read at their offset, never mapped: pages of a mapped file
count as the process's own memory, and a file that is cut short underneath would end the process
with a signal instead of an error.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from charlm.errors import CorpusError
from charlm.files import read_at


@dataclass(frozen=True)
class Identity:
    """What tells one state of a file from another without reading it.

    Times are in nanoseconds. A program can set the time of a file's content back, but not
    ``changed``, the time at which the system last changed anything about the file.
    """

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Identity:
        return cls(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


class FileBlock:
    """Bytes ``begin`` to ``end`` of a file. ``block[a:b]`` is a block too; ``read`` reads it.

    name: what the file is called in messages
    identity: what it is expected to be at every reading
    """

    def __init__(self, path: Path, name: str, identity: Identity, begin: int, end: int) -> None:
        self.path = path
        self.name = name
        self.identity = identity
        self.begin = begin
        self.end = end

    @classmethod
    def whole(cls, path: Path, name: str) -> FileBlock:
        """All of a file as it is now; OSError if it cannot be looked at."""
        identity = Identity.of(os.stat(path))
        return cls(path, name, identity, 0, identity.size)

    def __len__(self) -> int:
        return self.end - self.begin

    def __getitem__(self, wanted: slice) -> FileBlock:
        begin, end, step = wanted.indices(len(self))
        if step != 1:
            raise ValueError(f"a block of a file has no slice with step {step}")
        first, last = self.begin + begin, self.begin + max(begin, end)
        return FileBlock(self.path, self.name, self.identity, first, last)

    def read(self) -> bytes:
        """The bytes. CorpusError if the file is not what it was."""
        try:
            with self.path.open("rb", buffering=0) as file:
                found = Identity.of(os.fstat(file.fileno()))
                data = read_at(file.fileno(), len(self), self.begin)
        except OSError as error:
            raise CorpusError(f"{self.name}: cannot be read ({error.strerror or error})") from error
        if found != self.identity or len(data) != len(self):
            raise changed(self.name, self.identity.size, found.size)
        return data


def changed(name: str, before: int, after: int) -> CorpusError:
    """The error for a file that is not what it was; sizes in bytes."""
    return CorpusError(
        f"{name}: changed while it was read (from {before:,} to {after:,} bytes); wait until it is "
        "complete, or take a copy"
    )
