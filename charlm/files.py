"""Atomic, durable writing: at every moment the old file or the new one is complete."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, data: bytes | BinaryIO, *, keep_as: Path | None = None) -> None:
    """Write ``data``, or the rest of a stream, to ``path``, replacing the old file.

    That is atomic and durable: the data goes to a temporary file in the same directory, is flushed
    to the disk, and is renamed to ``path``. Then the directory is flushed, because it stores the
    name. A crash at any moment leaves either the old file or the new one, complete.

    With ``keep_as``, the old file is first given that second name, so that the old version always
    has a name too. Raises OSError. Nothing has changed then, unless the last flush failed.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    second = temporary.with_suffix(".link")
    try:
        with open(descriptor, "wb") as file:
            if isinstance(data, bytes):
                file.write(data)
            else:
                shutil.copyfileobj(data, file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        if keep_as is not None and path.exists():
            try:
                os.link(path, second)
            except OSError:  # a file system without hard links
                with second.open("wb") as copy:
                    copy.write(path.read_bytes())
                    os.fsync(copy.fileno())
            os.replace(second, keep_as)
            second.unlink(missing_ok=True)  # replace does nothing if both names are the same file
        os.replace(temporary, path)
    except BaseException:
        for leftover in (temporary, second):
            with contextlib.suppress(OSError):
                leftover.unlink()
        raise
    flush_directory(path.parent)


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """``size`` bytes of an open file from ``offset`` on, fewer only at its end.

    Where the system can, the descriptor's own position is neither used nor moved, so that several
    threads can read.
    """
    parts: list[bytes] = []
    while size > 0:
        if hasattr(os, "pread"):
            part = os.pread(descriptor, size, offset)
        else:  # Windows
            os.lseek(descriptor, offset, os.SEEK_SET)
            part = os.read(descriptor, size)
        if not part:
            break
        parts.append(part)
        size -= len(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _umask() -> int:
    """The umask of the process. It can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def flush_directory(directory: Path) -> None:
    """Flush the names in ``directory`` to the disk. They are stored there, not in the files."""
    if os.name != "posix":  # other systems cannot open a directory
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_run(path: Path) -> bool:
    """Whether a directory is a run. (os.path, because Path.exists raises for a name too long.)"""
    names = ("best", "last", "previous")
    return any(os.path.exists(path / f"{name}.safetensors") for name in names)
