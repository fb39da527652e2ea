"""A run is a directory, ``checkpoints/NAME/``: its files, its lock, its name and how to find it.

best.safetensors       the model with the lowest validation loss; sufficient to use the model
last.safetensors       the latest training state, with everything that resuming needs
previous.safetensors   the ``last`` before that
counts.safetensors     n-gram counts of the training text, used together with ``best``
log.jsonl              one JSON object per evaluation
stdin.txt              the corpus, if it came from standard input
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from charlm import sealed
from charlm.errors import BusyError, CharlmError, CheckpointError, RequestError
from charlm.files import flush_directory, is_run, write_atomically

try:
    import fcntl
except ImportError:  # Windows has no flock: two processes that train one run are not noticed there
    fcntl = None  # type: ignore[assignment]

DEFAULT_OUT = "checkpoints"
SWEEP_FILE = "sweep.json"
"""In the directory of a sweep; names the best of its runs (``charlm.sweeps.store``)."""


class Run:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / "best.safetensors"
        self.last = path / "last.safetensors"
        self.previous = path / "previous.safetensors"
        self.counts = path / "counts.safetensors"
        self.log = path / "log.jsonl"
        self.stdin = path / "stdin.txt"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run's lock, which the system releases when the process ends, however it ends.

        Raises BusyError if another process holds it.
        """
        busy = f"{self.path} is being trained by another process; wait for it or use another --name"
        with locked_directory(self.path, busy):
            sweep_away(self.path)
            yield

    def read_log(self) -> list[dict[str, Any]]:
        """The log's objects in order, without damaged lines."""
        check_file(self.log)
        if not self.log.exists():
            return []
        records = []
        for line in self.log.read_bytes().splitlines():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict) and isinstance(record.get("step"), int):
                records.append(record)
        return records

    def clear(self) -> None:
        """Remove every file that charlm wrote here, and no other. Call under the lock."""
        # In this order, so that a crash leaves an older model or nothing, but never a state that
        # can be resumed beside another run's log.
        for file in (self.last, self.previous, self.counts, self.best, self.log, self.stdin):
            file.unlink(missing_ok=True)

    @property
    def begun(self) -> bool:
        """Whether the directory holds a file worth keeping. A text or a log without a model is a
        leftover of a run that was never saved."""
        without_model = (self.stdin, self.log)
        return any(p not in without_model and not is_leftover(p) for p in self.path.iterdir())

    def cut_log(self, step: int) -> None:
        """Remove the records after ``step``: a resumed run will log them again."""
        check_file(self.log)
        if not self.log.exists():
            return
        kept = [record for record in self.read_log() if record["step"] <= step]
        lines = "".join(json.dumps(record) + "\n" for record in kept)
        with self._writing_log():
            write_atomically(self.log, lines.encode())

    def keep_stdin(self, stream: BinaryIO) -> None:
        """Save the text from standard input, so that a resumed run can read it again."""
        stream.seek(0)
        try:
            write_atomically(self.stdin, stream)
        except OSError as error:
            raise CharlmError(
                f"{self.stdin}: cannot be written ({error.strerror or error})"
            ) from error

    def append_log(self, record: dict[str, Any]) -> None:
        """Add one object to the log and flush it to the disk."""
        with self._writing_log(), self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def _writing_log(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CharlmError(
                f"{self.log}: cannot be written ({error.strerror or error})"
            ) from error


@contextmanager
def locked_directory(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock of a directory; BusyError, which says ``busy``, if another process holds it."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(busy) from error
        yield
    finally:
        os.close(descriptor)


def check_file(path: Path) -> None:
    """CharlmError if ``path`` is not a regular file: opening a pipe could block."""
    if path.exists() and not path.is_file():
        raise CharlmError(
            f"{path}: not a regular file, and charlm did not make it; move it elsewhere"
        )


def check_name(out: Path, name: str, *, force: bool = False) -> None:
    """RequestError for a name that is not plain, that leaves ``out``, or that is taken."""
    if (
        not name.isprintable()
        or name != name.strip()
        or not name
        or re.search(r"[/\\]", name)
        or name.startswith(("-", "."))
        or len(os.fsencode(name)) > 200
    ):
        shown = name if len(name) <= 40 else name[:40] + "..."
        raise RequestError(
            f"--name is {shown!r}; give a plain name: short, no slashes or control characters, no "
            "leading dot or dash"
        )
    path = out / name
    if not os.path.lexists(path) or (path.is_dir() and not Run(path).begun):
        return
    if not force:
        raise RequestError(
            f"{path} exists; continue it with --resume {name}, replace it with --force, or choose "
            "another --name"
        )
    if not is_run(path):
        raise RequestError(
            f"{path} is not a run, and --force replaces only runs; choose another --name"
        )


@contextmanager
def begin(out: Path, name: str | None, default: str, *, force: bool = False) -> Iterator[Run]:
    """Make and lock the directory of a new run; with ``force``, empty and lock that of an old one.

    A run without a name is called after its corpus (``default``); if that name is taken, NAME-2,
    NAME-3, ... Raises RequestError if ``name`` is taken, BusyError if the run is being trained.
    """
    plain = re.sub(r"[^\w.-]+", "-", default).strip("-.") or "run"
    if name is None and force:
        name = plain
    if name is not None:
        check_name(out, name, force=force)
        path = out / name
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _not_made(path, error) from error
    else:
        path = _make_numbered(out, plain)
    run = Run(path)
    with run.locked():
        if run.begun and not force:  # another process was faster
            check_name(out, path.name)
        run.clear()
        flush_directory(out)
        yield run


def _make_numbered(out: Path, base: str) -> Path:
    number = 1
    while True:
        path = out / (base if number == 1 else f"{base}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError as error:
            if not path.exists():  # a dangling link, or the parent is a file
                raise _not_made(path, error) from error
            number += 1
        except OSError as error:
            raise _not_made(path, error) from error
        else:
            return path


def _not_made(path: Path, error: OSError) -> CharlmError:
    return CharlmError(
        f"{path}: cannot make the run's directory ({error.strerror}); choose another --out"
    )


def sweep_away(directory: Path) -> None:
    """Remove unfinished files of a killed process. Call under the lock: nobody else writes."""
    for leftover in filter(is_leftover, directory.iterdir()):
        leftover.unlink(missing_ok=True)


def is_leftover(path: Path) -> bool:
    """Whether this is an unfinished file of a killed process (see ``charlm.files``)."""
    return path.name.startswith(".") and path.suffix in (".tmp", ".link")


def find_run(given: str | None, out: Path | None = None) -> Run:
    """The run that ``given`` names: a directory, or a name in ``out`` (default: ``checkpoints/``).

    A sweep stands for the best of its runs. None is the newest run there. Raises RequestError if
    there is no such run.
    """
    out = out or Path(DEFAULT_OUT)
    if given is None:
        runs = [run for path in out.glob("*") if (run := _run_at(path)) is not None]
        if not runs:
            raise RequestError(f"no run in {out}/; train one first: charlm train corpus.txt")
        return Run(max(runs, key=_newest))
    for path in (Path(given), out / given):
        found = _run_at(path)
        if found is not None:
            return Run(found)
        if os.path.exists(path / SWEEP_FILE):
            sealed.read(path / SWEEP_FILE, "give the command of the sweep again")
            raise RequestError(
                f"{path} is a sweep of which no run is finished; give its command again"
            )
    if os.path.isdir(given):
        raise RequestError(f"{given} has no best.safetensors or last.safetensors; name a run")
    known = ", ".join(sorted(path.name for path in out.glob("*") if _run_at(path))[:10])
    raise RequestError(
        f"no run called {given!r}; "
        + (
            f"runs in {out}/: {known}"
            if known
            else f"{out}/ has no run yet; train one: charlm train corpus.txt"
        )
    )


def _run_at(path: Path) -> Path | None:
    """``path`` if it is a run, the best run if it is a sweep, else None."""
    if is_run(path):
        return path
    if not os.path.isfile(path / SWEEP_FILE):
        return None
    try:
        best = sealed.read(path / SWEEP_FILE, "").get("best")
    except CheckpointError:
        return None
    if not isinstance(best, str) or not re.fullmatch(r"[0-9a-f]+", best):
        return None
    run = path / "runs" / best
    return run if is_run(run) else None


def find_model(given: str | None, out: Path | None = None) -> Path:
    """The model file that ``given`` names: the file itself, or the best of a run (if it has none,
    the last). None is the newest run's. Raises RequestError if there is neither."""
    if given is not None and os.path.isfile(given):
        return Path(given)
    run = find_run(given, out)
    return run.best if run.best.exists() else run.last


def _newest(path: Path) -> float:
    return max(file.stat().st_mtime for file in path.glob("*.safetensors"))
