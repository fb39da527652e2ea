"""A real Dask scheduler with two workers on this machine stands in for a cluster: a sweep and the
position experiment give there what they give here, also if a worker is lost half-way."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import Result
from cluster_work import die, leave_pid
from sweeping import children_of_sweeps, never, quiet, same_weights, small
from test_experiment_grid import begin, outcome, whole

from charlm import cluster as dask
from charlm.errors import CharlmError
from charlm.experiments.position_invariance.grid import Grid
from charlm.parallel import Wanted, Workers

Invoke = Callable[..., Result]

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="needs signals"),
    pytest.mark.xdist_group("test_experiment_grid"),
]

__all__ = ["whole"]  # the fixture


class Cluster:
    """A scheduler and workers of one thread, each in a process of its own.

    failures: how many workers a piece of work may kill before the scheduler gives it up
    """

    def __init__(self, folder: Path, workers: int = 2, failures: int = 3) -> None:
        self.folder = folder
        paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),  # where cluster_work is
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(failures),
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", file)
        deadline = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.1)  # the file is not written by rename
        self.address: str = json.loads(file.read_text())["address"]
        for _ in range(workers):
            self._start("worker", self.address, "--nthreads", "1", "--no-nanny")

    def _start(self, kind: str, *arguments: object) -> None:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *map(str, arguments)]
        log = (self.folder / f"{kind}-{len(self.processes)}.log").open("wb")
        with log:
            self.processes.append(
                subprocess.Popen(
                    [*command, "--no-dashboard"],
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    env=self.environment,
                )
            )

    def kill_worker(self, number: int) -> None:
        self.kill([1 + number])

    def kill(self, numbers: Iterable[int]) -> None:
        """0: the scheduler; from 1 on the workers."""
        for number in numbers:
            self.processes[number].kill()

    def end(self) -> None:
        for process in self.processes:
            with contextlib.suppress(psutil.Error):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield made
    finally:
        made.end()


def test_a_sweep_ends_on_a_cluster_as_here_though_a_worker_is_lost(
    cluster: Cluster, tmp_path: Path, text: str
) -> None:
    (tmp_path / "there").mkdir()
    made = small(tmp_path / "there", text, steps=500, eval_every=50)
    lost: list[int] = []

    def lose_one() -> None:
        """The worker whose run has been saved first."""
        if lost or not any(made.task(cell).run.last.exists() for cell in made.cells):
            return
        for number in (0, 1):
            worker = psutil.Process(cluster.processes[1 + number].pid)
            if any("charlm.cli.child" in each.cmdline() for each in worker.children()):
                cluster.kill_worker(number)
                lost.append(number)
                return

    assert made.run(Workers(dask=cluster.address), quiet, lose_one, never) == {}
    assert lost
    assert len(made.finished()) == 2
    here = small(tmp_path, text, steps=500, eval_every=50)
    assert here.run(Workers(2), quiet, quiet, never) == {}
    for cell in made.cells:
        assert same_weights(made.task(cell).run.path, here.task(cell).run.path)
    losses = [
        {name: (each.bits_per_char, each.steps) for name, each in sweep.finished().items()}
        for sweep in (made, here)
    ]
    assert losses[0] == losses[1]


def test_the_work_is_done_by_the_cluster_though_it_has_one_thread(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """joblib would do it in the command's own process then."""
    made = Cluster(tmp_path_factory.mktemp("cluster"), workers=1)
    files = [str(tmp_path / name) for name in "ab"]
    try:
        with Wanted.within(tmp_path) as wanted:
            found = list(Workers(dask=made.address).run(leave_pid, files, wanted))
        assert sorted(found) == [(file, None) for file in files]
        worker = made.processes[1].pid
        assert [Path(file).read_text() for file in files] == [f"{worker} True"] * 2
    finally:
        made.end()


@pytest.mark.slow
def test_work_that_kills_its_workers_is_an_error_of_one_line(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    made = Cluster(tmp_path_factory.mktemp("cluster"), workers=2, failures=0)
    try:
        with Wanted.within(tmp_path) as wanted, pytest.raises(CharlmError, match="killed one Dask"):
            list(Workers(dask=made.address).run(die, ["a"], wanted))
    finally:
        made.end()


@pytest.mark.slow
def test_the_position_experiment_ends_on_a_cluster_as_here_though_a_worker_is_lost(
    cluster: Cluster, whole: Grid, tmp_path: Path
) -> None:
    made = begin(tmp_path / "grid")
    left: list[int] = []

    def lose_one(done: int, total: int) -> None:
        """While both workers have a cell each, and import torch."""
        left.append(len(made.unfinished()))
        if len(left) == 3:
            cluster.kill_worker(0)

    made.run(Workers(dask=cluster.address), lose_one)
    assert left[2] > 0
    assert outcome(made) == outcome(whole)


@pytest.mark.slow
def test_interrupted_on_a_cluster_the_runs_are_saved_and_end(
    cluster: Cluster, tmp_path: Path, text: str
) -> None:
    made = small(tmp_path, text, steps=1_000_000, eval_every=50)
    stop = threading.Event()

    def watch() -> None:
        if all(made.task(cell).run.last.exists() for cell in made.cells):
            stop.set()

    assert made.run(Workers(dask=cluster.address), quiet, watch, stop.is_set) == {}
    deadline = time.monotonic() + 20
    while children_of_sweeps() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not children_of_sweeps()
    for cell in made.cells:
        assert "saved at step" in made.task(cell).output.read_text().splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("lost", [(0,), (0, 1, 2)])
def test_a_scheduler_that_is_lost_is_an_error_of_one_line(
    cluster: Cluster, charlm: Invoke, corpus: Path, tmp_path: Path, lost: tuple[int, ...]
) -> None:
    """Alone, or with its workers."""
    ending = threading.Timer(6, cluster.kill, [lost])
    ending.start()
    result = charlm(
        *("sweep", corpus, "--out", tmp_path / "out", "--dask", cluster.address),
        *("--grid", "hidden_size=8,12", "--steps", 1_000_000, "--no-counts"),
    )
    ending.join()
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: the Dask scheduler at tcp://")
    assert "is gone" in last


def test_no_scheduler_is_an_error_of_one_line(
    charlm: Invoke, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "CONNECT", 1.0)
    result = charlm(
        *("sweep", corpus, "--out", tmp_path / "out", "--dask", "tcp://127.0.0.1:9"),
        *("--steps", 10),
    )
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("error: no Dask scheduler answers at tcp://")
