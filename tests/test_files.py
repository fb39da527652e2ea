"""A file is written completely or not at all, whatever fails in between."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from charlm.files import write_atomically


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "last"
    path.write_bytes(b"old")
    return path


def test_a_new_file_is_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new", b"data")
    assert (tmp_path / "new").read_bytes() == b"data"
    assert names(tmp_path) == ["new"]


def test_the_one_before_is_kept(old: Path) -> None:
    previous = old.with_name("previous")
    write_atomically(old, b"new", keep_as=previous)
    write_atomically(old, b"newer", keep_as=previous)
    assert (old.read_bytes(), previous.read_bytes()) == (b"newer", b"new")
    assert names(old.parent) == ["last", "previous"]


def test_nothing_is_kept_where_nothing_was(tmp_path: Path) -> None:
    write_atomically(tmp_path / "last", b"first", keep_as=tmp_path / "previous")
    assert names(tmp_path) == ["last"]


def test_a_reader_of_the_old_file_keeps_reading_it(old: Path) -> None:
    with old.open("rb") as file:
        write_atomically(old, b"new")
        assert file.read() == b"old"


def test_the_one_before_is_copied_where_there_are_no_links(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    write_atomically(old, b"new", keep_as=old.with_name("previous"))
    assert old.with_name("previous").read_bytes() == b"old"
    assert names(old.parent) == ["last", "previous"]


def test_the_mode_is_that_of_an_ordinary_file(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def watch(
    monkeypatch: pytest.MonkeyPatch, fail_at: int = -1, error: BaseException | None = None
) -> list[str]:
    """The calls that touch the disk, as they come; the one with number ``fail_at`` raises."""
    log: list[str] = []

    def wrap(name: str) -> None:
        real = getattr(os, name)

        def call(*arguments: Any) -> Any:
            directory = name == "fsync" and stat.S_ISDIR(os.fstat(arguments[0]).st_mode)
            log.append("fsync directory" if directory else name)
            if error is not None and len(log) - 1 == fail_at:
                raise error
            return real(*arguments)

        monkeypatch.setattr(os, name, call)

    for name in ("fsync", "chmod", "link", "replace"):
        wrap(name)
    return log


def test_bytes_reach_the_disk_before_they_take_the_name(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = watch(monkeypatch)
    write_atomically(old, b"new", keep_as=old.with_name("previous"))
    assert log == ["fsync", "chmod", "link", "replace", "replace", "fsync directory"]


def test_the_temporary_file_lies_beside_its_target(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directories: list[Path] = []
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        directories.append(source.parent)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    write_atomically(old, b"new")
    assert directories == [old.parent]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", [0, 1, 3, 4])
def test_a_failure_changes_nothing_and_leaves_nothing_behind(
    old: Path, monkeypatch: pytest.MonkeyPatch, step: int, error: BaseException
) -> None:
    watch(monkeypatch, step, error)
    with pytest.raises(type(error)):
        write_atomically(old, b"new", keep_as=old.with_name("previous"))
    assert old.read_bytes() == b"old"
    assert set(names(old.parent)) <= {"last", "previous"}


@pytest.mark.parametrize("call", ["fsync", "link", "replace"])
def test_a_killed_process_leaves_one_whole_version(old: Path, call: str) -> None:
    script = f"""
import os, pathlib, signal
from charlm.files import write_atomically
os.{call} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
write_atomically(pathlib.Path({str(old)!r}), b"new", keep_as=pathlib.Path({str(old)!r} + "2"))
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert old.read_bytes() == b"old"


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "nowhere" / "file", b"data")
