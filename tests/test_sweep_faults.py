"""Runs of a sweep that are killed, lost, interrupted or of another text: nothing is lost."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from click.testing import Result
from sweeping import children_of_sweeps, never, quiet, same_weights, small

from charlm import parallel, sealed
from charlm.checkpoint import read_header
from charlm.errors import BusyError, CharlmError, CheckpointError
from charlm.parallel import Wanted, Workers
from charlm.sweeps import work
from charlm.sweeps.store import Sweep

Invoke = Callable[..., Result]


posix = pytest.mark.skipif(os.name != "posix", reason="needs signals")


class Killer:
    """Kills the process of one run once the run has saved something."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.killed: list[int] = []

    def __call__(self) -> None:
        for cell in self.sweep.cells:
            if self.killed or not self.sweep.task(cell).run.last.exists():
                continue
            for process in children_of_sweeps():
                with contextlib.suppress(psutil.Error):
                    if cell.name in process.cmdline():
                        process.kill()
                        self.killed.append(process.pid)


def test_the_process_of_a_run_has_one_thread(tmp_path: Path, text: str) -> None:
    made = small(tmp_path, text, steps=20, row_blocks=1)
    # One after the other: the processes of joblib limit threads themselves.
    assert made.run(Workers(1), quiet, quiet, never) == {}
    for cell in made.cells:
        training = read_header(made.task(cell).run.last).training
        assert training is not None
        assert training["threads"] == 1


@posix
def test_a_run_that_is_killed_is_taken_up_again_and_ends_as_if_nothing_had_been(
    tmp_path: Path, text: str
) -> None:
    made = small(tmp_path, text, save_every=50, eval_every=50, steps=600)
    kill = Killer(made)
    assert made.run(Workers(2), quiet, kill, never) == {}
    assert kill.killed
    assert len(made.finished()) == 2
    said = [made.task(cell).output.read_text() for cell in made.cells]
    assert any(line.startswith("resuming") for text in said for line in text.splitlines())
    (tmp_path / "other").mkdir()
    other = small(tmp_path / "other", text, save_every=50, eval_every=50, steps=600)
    other.run(Workers(2), quiet, quiet, never)
    for one, two in zip(made.cells, other.cells, strict=True):
        assert same_weights(made.task(one).run.path, other.task(two).run.path)


def test_work_that_is_not_wanted_any_more_is_not_begun(tmp_path: Path, text: str) -> None:
    made = small(tmp_path, text)
    assert made.run(Workers(1), quiet, quiet, lambda: True) == {}
    assert made.finished() == {}


def test_a_machine_that_does_not_see_the_directory_says_so(tmp_path: Path) -> None:
    task = work.Task(str(tmp_path / "nowhere"), "0" * 12, {}, ())
    with pytest.raises(CharlmError, match=r"does not see .*nowhere"):
        work.train(task, Wanted(""))


def test_a_result_of_another_run_is_refused(tmp_path: Path, text: str) -> None:
    made = small(tmp_path, text)
    first, second = made.cells
    content = {"format": work.FORMAT, "configuration": second.configuration, "outcome": {}}
    sealed.write(made.task(first).result, content)
    with pytest.raises(CheckpointError, match="of another run"):
        made.finished()


def test_interrupted_it_says_how_to_continue(
    charlm: Invoke, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from charlm.cli.signals import Interruption

    monkeypatch.setattr(Interruption, "__call__", lambda self: True)
    result = charlm("sweep", corpus, "--out", tmp_path / "out", "--steps", 20, "--jobs", 1)
    assert result.exit_code == 130
    assert "0 of 1 runs are finished, and what was begun is saved" in result.stderr


def test_a_run_that_another_process_holds_is_waited_for(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = small(tmp_path, text, steps=20)
    task = made.task(made.cells[0])
    task.run.path.mkdir()
    with task.run.locked():
        monkeypatch.setattr(work, "PATIENCE", 0.1)
        monkeypatch.setattr(work, "LOOK", 0.05)
        with pytest.raises(BusyError, match="is being trained by another process"):
            work.train(task, Wanted(""))
    sealed.write(task.result, {"made": "by the other"})
    work.train(task, Wanted(""))  # what it made is taken
    assert not task.run.best.exists()


def test_a_text_that_changes_meanwhile_is_noticed(tmp_path: Path, text: str) -> None:
    made = small(tmp_path, text, steps=20)
    (tmp_path / "b.txt").write_text(text[:1_200], encoding="utf-8")
    errors = made.run(Workers(1), quiet, quiet, never)
    assert len(errors) == 2
    assert all("is not the one that the sweep began with" in str(e) for e in errors.values())
    assert made.finished() == {}
    small(tmp_path, text, steps=20)  # the text is back
    assert made.run(Workers(1), quiet, quiet, never) == {}
    assert len(made.finished()) == 2


def test_a_marker_that_nobody_touches_any_more_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "BEAT", 0.05)
    monkeypatch.setattr(parallel, "STALE", 0.5)
    with Wanted.within(tmp_path) as wanted:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            assert wanted()
            time.sleep(0.05)
    assert not wanted()  # withdrawn
    left = Wanted(str(tmp_path / "left"))
    (tmp_path / "left").touch()  # of a command that was killed
    assert left()
    time.sleep(0.6)
    assert not left()
