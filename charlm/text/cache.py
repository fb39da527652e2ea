"""The cache of long texts: what was read from them once need not be read again.

    ids-KEY.bin     the ids of a text, for training (``charlm.text.idfile``)
    text-KEY.txt    a copy in UTF-8 of a text that is stored in another form
    survey-KEY.txt  nothing: all that a pass over a text has found is in its facts

Each has its facts beside it, in NAME.json. KEY is a checksum of everything that the content depends
on, so an entry is never out of date, and all of them can be deleted at any time.

An entry is made under a lock, so that several processes of one machine make it once. It is written
to a temporary file, flushed to the disk and renamed: a process that is killed leaves at most the
temporary file, which the next one replaces.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from charlm.errors import CorpusError
from charlm.files import flush_directory

VARIABLE = "CHARLM_CACHE"
"""The environment variable that says where the cache is."""

_KINDS = {"ids": ".bin", "text": ".txt", "survey": ".txt"}


def directory() -> Path:
    """Where the cache is: ``$CHARLM_CACHE``, or where the platform keeps caches."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("charlm", appauthor=False)


def key_of(*parts: Any) -> str:
    """A checksum of ``parts``, which JSON can store."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Entry:
    """An entry of the cache.

    path: its file
    bytes: the size of the file and of its facts
    facts: what is known about it
    used: when it was last read, as far as the system notes that, in seconds since the epoch
    """

    path: Path
    bytes: int
    facts: dict[str, Any]
    used: float

    @property
    def kind(self) -> str:
        return self.path.name.split("-", 1)[0]


def _silent(message: str) -> None:
    """Tell nobody."""


announce: Callable[[str], None] = _silent
"""Is told what takes long now; the command line prints it."""

_ANNOUNCED = {
    "ids": "writing {} as numbers, once ...",
    "text": "copying {} in UTF-8, once ...",
    "survey": "reading {}, once, to check and count it ...",
}


def made(kind: str, key: str, name: str, make: Callable[[BinaryIO], dict[str, Any]]) -> Entry:
    """The entry of this kind and key. If it is not there, ``make`` writes its file and returns its
    facts.

    name: of the text, for people

    Raises CorpusError if the cache cannot be written.
    """
    path = directory() / f"{kind}-{key}{_KINDS[kind]}"
    found = _read(path)
    if found is not None:
        return found
    with writing():
        from filelock import FileLock

        make_directory()
        with FileLock(path.with_suffix(".lock")):
            found = _read(path)  # another process may have been faster
            if found is None:
                announce(_ANNOUNCED[kind].format(name))
                _make(path, make, name)
                found = _read(path)
    if found is None:
        raise CorpusError(f"{path}: removed by another program while it was made; try again")
    return found


def make_directory() -> None:
    """Make the cache's directory, which nobody else may read: it holds the texts of its user."""
    directory().mkdir(mode=0o700, parents=True, exist_ok=True)


def _make(path: Path, make: Callable[[BinaryIO], dict[str, Any]], name: str) -> None:
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            facts = make(file) | {"text": name, "size": file.tell()}
            file.flush()
            os.fsync(file.fileno())
        # The facts of an entry that is not there yet harm nobody.
        _facts_of(path).write_text(json.dumps(facts), encoding="utf-8")
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    flush_directory(path.parent)


def _facts_of(path: Path) -> Path:
    return path.with_suffix(".json")


def _read(path: Path) -> Entry | None:
    """The complete entry at ``path``, if there is one."""
    try:
        stat = path.stat()
        text = _facts_of(path).read_text(encoding="utf-8")
        facts = json.loads(text)
    except (OSError, ValueError):
        return None
    if not isinstance(facts, dict) or facts.get("size") != stat.st_size:
        return None
    used = max(stat.st_atime, stat.st_mtime)
    return Entry(path, stat.st_size + len(text), facts, used)


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Errors of the system while the cache is written, as CorpusError with a remedy."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None))
        remedy = "make room there (charlm corpus cache list), or " if full else ""
        raise CorpusError(
            f"{directory()}: the cache of long texts cannot be written "
            f"({error.strerror or error}); {remedy}name another directory in {VARIABLE}"
        ) from error


def entries() -> list[Entry]:
    """All complete entries, those that were used last first."""
    paths = [path for kind, suffix in _KINDS.items() for path in _files(f"{kind}-*{suffix}")]
    found = [entry for entry in map(_read, paths) if entry is not None]
    return sorted(found, key=lambda entry: (-entry.used, entry.path))


def clear() -> int:
    """Remove everything that charlm put into the cache; returns how many bytes that freed.

    A process that is using an entry keeps it until it ends, or reads the text again.
    """
    freed = 0
    for path in [path for kind in (*_KINDS, "stdin") for path in _files(f"{kind}-*")]:
        with contextlib.suppress(OSError):
            size = path.stat().st_size
            path.unlink()
            freed += size
    return freed


def _files(pattern: str) -> list[Path]:
    return sorted(path for path in directory().glob(pattern) if path.is_file())
