"""Writing a file so that it is there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, data: bytes, *, keep_as: Path | None = None) -> None:
    """Replace ``path`` by ``data``, durably: whatever happens, one whole version is there.

    The bytes go to a temporary file beside it, reach the disk, and take the name in one rename;
    the directory is flushed too, since a name is the directory's data. ``keep_as`` first gives the
    old file a second name, so that at no moment the only whole version is nameless.
    Raises OSError, with nothing changed unless it is the last flush that failed.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    second = temporary.with_suffix(".link")
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
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
            second.unlink(missing_ok=True)  # where both were one file, replacing does nothing
        os.replace(temporary, path)
    except BaseException:
        for leftover in (temporary, second):
            with contextlib.suppress(OSError):
                leftover.unlink()
        raise
    flush_directory(path.parent)


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def flush_directory(directory: Path) -> None:
    """Make the names in ``directory`` reach the disk: they are its data, not the files'."""
    if os.name != "posix":  # elsewhere a directory cannot be opened
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_run(path: Path) -> bool:
    """Whether a directory is a run's. (os.path, since Path.exists raises for a name too long.)"""
    names = ("best", "last", "previous")
    return any(os.path.exists(path / f"{name}.safetensors") for name in names)
