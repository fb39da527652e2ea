"""``torchrun -m charlm train``: what a user types, and what happens if a process fails."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import write_text

from charlm import checkpoint

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches /proc")

OPTIONS = [
    *("--hidden-size", "8", "--batch-size", "8", "--seq-len", "16", "--no-counts"),
    *("--precision", "float32", "--dropout", "0.2"),
]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "book.txt"
    path.write_text(write_text(20_000), encoding="utf-8")
    return path


def command(*arguments: object, size: int = 2, launcher: Sequence[str] = ()) -> list[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(size)]
    return [*torchrun, *launcher, "-m", "charlm", "train", *map(str, arguments)]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}


def torchrun(*arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments, **more),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def weights(run: Path, name: str = "last") -> str:
    return checkpoint.weights_sha256(checkpoint.read(run / f"{name}.safetensors"))


def step_of(run: Path) -> int:
    training = checkpoint.read(run / "last.safetensors").training
    assert training is not None
    step: int = training["progress"]["step"]
    return step


def test_two_processes_train_what_one_can_use(book: Path, tmp_path: Path) -> None:
    """One run, spoken and written by one process, that one process can go on with."""
    where = ("--out", tmp_path, "--name", "two")
    done = torchrun(book, *OPTIONS, "--steps", "30", "--stop-at", "20", *where)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("model   LSTM 1x8") == 1
    assert done.stderr.count("saved at step 20 of 30") == 1
    alone = [sys.executable, "-m", "charlm", "train", "--resume", "two", "--out", str(tmp_path)]
    ended = subprocess.run(alone, capture_output=True, text=True, env=environment(), check=True)
    assert "best validation" in ended.stdout
    assert step_of(tmp_path / "two") == 30
    log = [json.loads(line) for line in (tmp_path / "two" / "log.jsonl").read_text().splitlines()]
    steps = [record["step"] for record in log]
    assert steps == sorted(set(steps))
    assert log[-1]["val_nats_per_char"] < 0.8 * log[0]["val_nats_per_char"]


def test_minutes_are_planned_and_kept_together(book: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    done = torchrun(book, *OPTIONS, "--minutes", "0.1", "--out", tmp_path, "--name", "timed")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 40  # 6 s, and torchrun's own start and end
    assert done.stderr.count("--minutes 0.1: ") == 1
    assert step_of(tmp_path / "timed") >= 10


def test_a_wrong_request_is_refused_in_one_line_and_leaves_nothing(
    book: Path, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    done = torchrun(book, *OPTIONS, "--batch-size", "9", "--steps", "30", "--out", out)
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert errors == [
        "error: 2 processes cannot share the 9 rows of a batch evenly; start 1, 3 or 9 of them"
    ]
    assert not out.exists()


# --------------------------------------------------------------------------------------- failures


Start = Callable[..., "Launched"]


class Launched:
    """A training of two processes that has been running for a while."""

    def __init__(self, book: Path, out: Path, *more: str, launcher: Sequence[str] = ()) -> None:
        self.run = out / "run"
        arguments = [*OPTIONS, "--steps", "100000", "--eval-every", "200", "--save-every", "100"]
        self.process = subprocess.Popen(
            command(book, *arguments, *more, "--out", out, "--name", "run", launcher=launcher),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.ranks: list[int] = []
        try:
            self.wait_for(2)
        finally:
            self.ranks = self.children()

    def children(self) -> list[int]:
        """The processes, in the order of their ranks."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                state = (path / "stat").read_text().rpartition(")")[2].split()
                variables = (path / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if int(state[1]) == self.process.pid:
                rank = next((v for v in variables if v.startswith(b"RANK=")), None)
                if rank is not None:
                    found.append((int(rank[5:]), int(path.name)))
        return [pid for _, pid in sorted(found)]

    def evaluations(self) -> int:
        log = self.run / "log.jsonl"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def wait_for(self, more: int) -> None:
        """Until so many more evaluations are logged."""
        wanted, until = self.evaluations() + more, time.monotonic() + 60
        while self.evaluations() < wanted:
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < until
            time.sleep(0.05)

    def gone_in(self, seconds: float) -> str:
        """All that was printed, once no process is left."""
        until = time.monotonic() + seconds
        while any(map(runs, self.ranks)):
            assert time.monotonic() < until, "a process is left"
            time.sleep(0.05)
        return self.process.communicate(timeout=60)[0]

    def resumed(self, steps: int = 50) -> str:
        """The weights some steps later, trained by two processes."""
        end = step_of(self.run) + steps
        done = torchrun("--resume", self.run, "--stop-at", end)
        assert done.returncode == 0, done.stderr
        return weights(self.run)


@pytest.fixture
def launch(book: Path, tmp_path: Path) -> Iterator[Start]:
    """Start trainings that are killed at the end of the test, whatever happens."""
    started: list[Launched] = []

    def start(*more: str, out: Path = tmp_path, launcher: Sequence[str] = ()) -> Launched:
        started.append(Launched(book, out, *more, launcher=launcher))
        return started[-1]

    yield start
    for each in started:
        for pid in (each.process.pid, *each.ranks):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        each.process.communicate()


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def uninterrupted(book: Path, out: Path, end: int) -> str:
    """The weights at step ``end`` of the same training without a failure."""
    arguments = [*OPTIONS, "--steps", "100000", "--eval-every", "200", "--save-every", "100"]
    done = torchrun(book, *arguments, "--out", out, "--name", "whole", "--stop-at", end)
    assert done.returncode == 0, done.stderr
    return weights(out / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_all_and_is_named(
    launch: Start, book: Path, tmp_path: Path, rank: int
) -> None:
    launched = launch()
    killed = launched.ranks[rank]
    os.kill(killed, signal.SIGKILL)
    printed = launched.gone_in(5)
    assert launched.process.returncode != 0
    assert f"error: rank {rank} (process {killed}) has ended, so rank {1 - rank} stops" in printed
    end = step_of(launched.run) + 50
    assert launched.resumed() == uninterrupted(book, tmp_path, end)


@pytest.mark.slow
def test_killed_again_and_again_also_while_saving(launch: Start, tmp_path: Path) -> None:
    """Saving at every tenth step, so that some of the kills hit a save."""
    for attempt in range(6):
        out = tmp_path / str(attempt)
        launched = launch("--save-every", "3", out=out)
        time.sleep(0.013 * attempt)
        os.kill(launched.ranks[attempt % 2], signal.SIGKILL)
        launched.gone_in(5)
        assert step_of(launched.run) > 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_launcher_saves(
    launch: Start, book: Path, tmp_path: Path, number: signal.Signals
) -> None:
    launched = launch()
    launched.process.send_signal(number)
    printed = launched.gone_in(10)
    assert printed.count("saved at step") == 1
    end = step_of(launched.run) + 50
    assert f"saved at step {end - 50:,} of" in printed
    assert launched.resumed() == uninterrupted(book, tmp_path, end)


@pytest.mark.slow
def test_without_their_launcher_the_processes_save_and_end(
    launch: Start, book: Path, tmp_path: Path
) -> None:
    launched = launch()
    launched.process.kill()
    launched.gone_in(10)
    end = step_of(launched.run) + 50
    assert launched.resumed() == uninterrupted(book, tmp_path, end)


@pytest.mark.slow
def test_a_process_that_stands_still_ends_all_within_a_minute(
    launch: Start, book: Path, tmp_path: Path
) -> None:
    launched = launch()
    os.kill(launched.ranks[1], signal.SIGSTOP)
    printed = launched.gone_in(60)
    assert "another process does not answer in 25 s, so rank 0 stops too" in printed


@pytest.mark.slow
def test_the_launcher_starts_again_where_the_run_was(
    launch: Start, book: Path, tmp_path: Path
) -> None:
    launched = launch(launcher=["--max-restarts", "1"])
    before = launched.ranks
    os.kill(before[1], signal.SIGKILL)
    until = time.monotonic() + 60
    while not (again := launched.children()) or set(again) & set(before) or len(again) < 2:
        assert time.monotonic() < until
        time.sleep(0.1)
    launched.ranks = again
    launched.wait_for(2)
    launched.process.send_signal(signal.SIGTERM)
    printed = launched.gone_in(10)
    assert "resuming" in printed
    assert weights(launched.run) == uninterrupted(book, tmp_path, step_of(launched.run))


def machine(
    book: Path, out: Path, steps: int, port: int, **variables: str
) -> subprocess.Popen[str]:
    """A launcher of one process, one of two that stand in for two machines."""
    launcher = ["--nnodes", "2", "--rdzv-backend", "c10d", "--rdzv-id", f"job-{port}"]
    launcher += ["--rdzv-endpoint", f"127.0.0.1:{port}", "--max-restarts", "3"]
    arguments = [*OPTIONS, "--steps", str(steps), "--eval-every", "200", "--save-every", "100"]
    return subprocess.Popen(
        command(book, *arguments, "--out", out, "--name", "run", size=1, launcher=launcher),
        env=environment() | variables,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.slow
def test_two_launchers_stand_in_for_two_machines(book: Path, tmp_path: Path, port: int) -> None:
    both = [machine(book, tmp_path, 60, port) for _ in range(2)]
    printed = [each.communicate(timeout=120)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], printed
    arguments = [*OPTIONS, "--steps", "60", "--eval-every", "200", "--save-every", "100"]
    done = torchrun(book, *arguments, "--out", tmp_path, "--name", "one")
    assert done.returncode == 0, done.stderr
    assert weights(tmp_path / "run") == weights(tmp_path / "one")


@pytest.mark.slow
def test_a_machine_that_is_lost_and_comes_back_completes_the_run(
    book: Path, tmp_path: Path, port: int
) -> None:
    """The one that is lost is not the one that has the rendezvous, which is started first.

    torchrun must not share the store of its rendezvous, or a launcher that comes later waits for an
    address that nobody writes any more (2.13).
    """
    steps, alone = 1500, {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    both = [machine(book, tmp_path, steps, port, **alone)]
    time.sleep(3)
    both.append(machine(book, tmp_path, steps, port, **alone))
    log = tmp_path / "run" / "log.jsonl"
    until = time.monotonic() + 90
    while not log.exists() or len(log.read_text().splitlines()) < 2:
        assert time.monotonic() < until
        time.sleep(0.1)
    gone = both[1]
    for child in psutil.Process(gone.pid).children(recursive=True):
        child.kill()
    gone.kill()
    gone.communicate()
    both[1] = machine(book, tmp_path, steps, port, **alone)
    printed = [each.communicate(timeout=240)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], printed
    assert "resuming" in "".join(printed)
    arguments = [*OPTIONS, "--steps", steps, "--eval-every", "200", "--save-every", "100"]
    done = torchrun(book, *arguments, "--out", tmp_path, "--name", "one")
    assert done.returncode == 0, done.stderr
    assert weights(tmp_path / "run") == weights(tmp_path / "one")
