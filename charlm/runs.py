"""A run is a directory, ``checkpoints/NAME/``; this module knows what is in it and how to find one.

best.safetensors       the model with the lowest validation loss; enough to use it anywhere
last.safetensors       the newest state, with all that resuming needs
previous.safetensors   the ``last`` before that one
log.jsonl              one object per evaluation
stdin.txt              the text, where it came from standard input
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from charlm.errors import BusyError, CharlmError, CheckpointError, RequestError
from charlm.files import flush_directory, is_run, write_atomically
from charlm.text import dataset

try:
    import fcntl
except ImportError:  # Windows has no flock: there two trainings into one run are not noticed
    fcntl = None  # type: ignore[assignment]

DEFAULT_OUT = "checkpoints"


class Run:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / "best.safetensors"
        self.last = path / "last.safetensors"
        self.previous = path / "previous.safetensors"
        self.log = path / "log.jsonl"
        self.stdin = path / "stdin.txt"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other trainings out; the lock goes with the process, however it ends."""
        if fcntl is None:
            yield
            return
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BusyError(
                    f"{self.path} is being trained by another process; wait for it or use another "
                    "--name"
                ) from error
            self._sweep()
            yield
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        """Remove what a killed process was writing; under the lock, so nobody is writing now."""
        for leftover in filter(_is_leftover, self.path.iterdir()):
            leftover.unlink(missing_ok=True)

    def read_log(self) -> list[dict[str, Any]]:
        """The log's objects in order; a damaged line is left out."""
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
        """Remove everything that charlm wrote here, and nothing else; under the lock."""
        # In this order, so that what is left after a crash is an older model or nothing, never a
        # state to go on from beside somebody else's log.
        for file in (self.last, self.previous, self.best, self.log, self.stdin):
            file.unlink(missing_ok=True)

    @property
    def begun(self) -> bool:
        """Whether there is anything in the directory that is worth keeping: a text or a log without
        a model is left over from a run that never saved."""
        without_model = (self.stdin, self.log)
        return any(p not in without_model and not _is_leftover(p) for p in self.path.iterdir())

    def cut_log(self, step: int) -> None:
        """Forget what was logged after ``step``: a resumed run will say it again."""
        check_file(self.log)
        if not self.log.exists():
            return
        kept = [record for record in self.read_log() if record["step"] <= step]
        lines = "".join(json.dumps(record) + "\n" for record in kept)
        with self._writing_log():
            write_atomically(self.log, lines.encode())

    def keep_stdin(self, data: bytes) -> None:
        """Keep what came from standard input: a resumed run reads it again."""
        try:
            write_atomically(self.stdin, data)
        except OSError as error:
            raise CharlmError(
                f"{self.stdin}: cannot be written ({error.strerror or error})"
            ) from error

    def append_log(self, record: dict[str, Any]) -> None:
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


def check_file(path: Path) -> None:
    """CharlmError where something that is no file has a file's name: a pipe may wait for ever."""
    if path.exists() and not path.is_file():
        raise CharlmError(f"{path}: is no file, and nothing that charlm made; move it away")


def reread(source: dataset.Source, run: Run, provenance: dict[str, Any]) -> dataset.Texts:
    """The texts of an earlier run; RequestError where they have changed since or have gone."""
    check_file(run.stdin)
    stdin = run.stdin.open("rb") if run.stdin.exists() else None
    try:
        texts = dataset.read(source, stdin)
    finally:
        if stdin is not None:
            stdin.close()
    found = (texts.sha256, len(texts.train), len(texts.val))
    keys = ("corpus_sha256", "train_characters", "val_characters")
    try:
        recorded = tuple(provenance[key] for key in keys)
        name = provenance["corpus"]
    except KeyError as error:
        raise CheckpointError(
            f"{run.path} does not say what it was trained on ({error})"
        ) from error
    if found != recorded:
        differences = ", ".join(
            f"{key} {str(new)[:12]} instead of {str(old)[:12]}"
            for key, new, old in zip(keys, found, recorded, strict=True)
            if new != old
        )
        raise RequestError(
            f"{', '.join(source.sources)}: the text is not the one that {run.path} was trained on "
            f"({differences}); bring that one back"
        )
    return replace(texts, name=name)


def check_name(out: Path, name: str, *, force: bool = False) -> None:
    """Refuse a name that is none, that leaves ``out``, or that is taken."""
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
            f"{path} is no run, and --force replaces nothing else; choose another --name"
        )


@contextmanager
def begin(out: Path, name: str | None, default: str, *, force: bool = False) -> Iterator[Run]:
    """A new run's directory, made and locked; with ``force``, an old run's, emptied.

    An unnamed run takes the corpus's name (``default``); where that is taken, NAME-2, NAME-3, ...
    Raises RequestError for a name that is taken, BusyError for one that is being trained.
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
        if run.begun and not force:  # by somebody who was quicker
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
            if not path.exists():  # a link that leads nowhere, or a parent that is a file
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


def _is_leftover(path: Path) -> bool:
    """Whether this is what a killed process was writing (see ``charlm.files``)."""
    return path.name.startswith(".") and path.suffix in (".tmp", ".link")


def find_run(given: str | None, out: Path | None = None) -> Run:
    """The run that ``given`` names: a directory, or a name under ``out`` (``checkpoints/``).

    None is the newest run there."""
    out = out or Path(DEFAULT_OUT)
    if given is None:
        runs = [path for path in out.glob("*") if is_run(path)]
        if not runs:
            raise RequestError(f"no run under {out}/; train one first: charlm train corpus.txt")
        return Run(max(runs, key=_newest))
    for path in (Path(given), out / given):
        if is_run(path):
            return Run(path)
    if os.path.isdir(given):
        raise RequestError(f"{given} holds no best.safetensors or last.safetensors; name a run")
    known = ", ".join(sorted(path.name for path in out.glob("*") if is_run(path))[:10])
    raise RequestError(
        f"no run called {given!r}; "
        + (
            f"runs under {out}/: {known}"
            if known
            else f"there is none under {out}/ yet: charlm train corpus.txt"
        )
    )


def find_model(given: str | None, out: Path | None = None) -> Path:
    """The model file that ``given`` names: a file itself, or a run's best (failing that, last)."""
    if given is not None and os.path.isfile(given):
        return Path(given)
    run = find_run(given, out)
    return run.best if run.best.exists() else run.last


def _newest(path: Path) -> float:
    return max(file.stat().st_mtime for file in path.glob("*.safetensors"))
