"""A full disk, a file-size limit, a read-only directory: one line says so, earlier files are
complete, and once there is space the run continues as if nothing had happened.

The full disk is real: a small tmpfs, mounted in a namespace of its own, which needs root or
unprivileged user namespaces. Without them, only the file-size limit and the read-only directory are
tested.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from conftest import covering, slow_but
from crash_loop import ending, leftovers, load_what_is_there

from charlm import checkpoint
from charlm.rundir import Run
from charlm.training import summary

resource = pytest.importorskip("resource")

Invoke = Callable[..., Result]

# Saves at 0, 7 and the end; evaluations, each with a new best, at 0, 4, 8 and 12.
OPTIONS: list[object] = [
    "--hidden-size",
    64,
    "--dropout",
    0.3,
    "--batch-size",
    4,
    "--seq-len",
    20,
    "--steps",
    12,
    "--eval-every",
    4,
    "--save-every",
    7,
    "--precision",
    "float32",
    "--device",
    "cpu",
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, corpus: Path, charlm: Invoke) -> Run:
    """A run that always had enough space."""
    out = tmp_path_factory.mktemp("whole")
    assert charlm("train", corpus, "--out", out, *OPTIONS).exit_code == 0
    run = Run(out / "tiny")
    assert [(r["step"], r["best"]) for r in run.read_log()] == [(s, True) for s in (0, 4, 8, 12)]
    assert run.last.stat().st_size > 2 * run.best.stat().st_size
    return run


def refused(code: int, output: str, talk: str, *parts: str) -> None:
    """Nothing on stdout; after the ordinary talk, one line that says what could not be done."""
    assert code == 1, talk
    assert output == ""
    errors = [line for line in talk.splitlines() if line.startswith("error:")]
    assert errors == talk.splitlines()[-1:]
    assert "Traceback" not in talk
    for part in parts:
        assert part in errors[0]


def refused_here(result: Result, *parts: str) -> None:
    refused(result.exit_code, result.stdout, result.stderr, *parts)


def contents(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.iterdir() if path.is_file()}


# ------------------------------------------------------------------------------ a disk that is full


class SmallDisk:
    """A file system of 4 MiB and 40 files. It goes with the process that holds it, by way of which
    (/proc/PID/root) others see it too, so that nothing else on the machine is touched."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._inside = directory
        # Root may mount; others may within a namespace in which they are root.
        for how in ("-m", "-rm"):
            self._shell = subprocess.Popen(
                ["unshare", how, "sh"],
                text=True,
                bufsize=1,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            self.path = Path(f"/proc/{self._shell.pid}/root{directory}")
            if self._do(f"mount -t tmpfs -o size=4m,nr_inodes=40 tmpfs '{directory}'"):
                break
            self.close()
        else:
            pytest.skip("needs root or unprivileged user namespaces, to mount a small disk")
        self.page = os.statvfs(self.path).f_frsize
        self._ballast = self.path / "ballast"
        self._files = self.path / "files"

    def _do(self, command: str) -> bool:
        assert self._shell.stdin is not None and self._shell.stdout is not None
        try:
            self._shell.stdin.write(f"{command}; echo $?\n")
        except BrokenPipeError:  # unshare was refused
            return False
        return self._shell.stdout.readline() == "0\n"

    def fill(self, *, leave: int = 0) -> None:
        """Leave this many bytes free, in whole pages, rounded down."""
        free = os.statvfs(self.path).f_bavail
        with self._ballast.open("wb") as file:
            for _ in range(free - leave // self.page):
                file.write(bytes(self.page))
        assert os.statvfs(self.path).f_bavail == leave // self.page

    def fill_with_files(self) -> None:
        self._files.mkdir()
        for number in range(os.statvfs(self.path).f_favail):
            (self._files / str(number)).touch()

    def make_room(self) -> None:
        self._ballast.unlink(missing_ok=True)
        for file in self._files.glob("*"):
            file.unlink()

    def set_writable(self, writable: bool) -> None:
        # bind: how it is mounted here, which is all that may be changed in a user's namespace.
        assert self._do(f"mount -o remount,bind,{'rw' if writable else 'ro'} '{self._inside}'")

    def close(self) -> None:
        self._shell.communicate()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    if not sys.platform.startswith("linux") or shutil.which("unshare") is None:
        pytest.skip("needs the namespaces of Linux, and its command unshare")
    disk = SmallDisk(tmp_path / "disk")
    yield disk
    disk.close()


# What is being written when the disk is full: where the run was stopped before, which file is too
# large for the room that is left, and what the others need beside it.
FULL = {
    "last": (5, "last"),
    "best": (7, "best"),
    "the last save": (11, "last"),
    "the figure at the end": (12, "best"),
}


@pytest.mark.parametrize(("stop", "file"), FULL.values(), ids=FULL.keys())
def test_a_full_disk_ends_a_run_that_goes_on_when_there_is_room(
    charlm: Invoke, corpus: Path, disk: SmallDisk, whole: Run, stop: int, file: str
) -> None:
    charlm("train", corpus, "--out", disk.path, *OPTIONS, "--stop-at", stop)
    run = Run(disk.path / "tiny")
    if stop == 12:  # as if it had been stopped before the exact loss was written
        best = checkpoint.read(run.best)
        facts = {k: v for k, v in best.provenance.items() if k != summary.EXACT}
        checkpoint.write(run.best, replace(best, provenance=facts))
    steps, size = load_what_is_there(run), (run.path / f"{file}.safetensors").stat().st_size
    disk.fill(leave=size - 1)
    result = charlm("train", "--resume", run.path)
    refused_here(result, f"{file}.safetensors: cannot be written (No space left on device)")
    assert not leftovers(run)
    # A new best may have been written, which is no loss; the state is what it was.
    assert load_what_is_there(run) | {"best": 0} == steps | {"best": 0}
    # Still without room nothing changes; with room it goes on.
    again = charlm("train", "--resume", run.path)
    refused_here(again, "No space left on device")
    disk.make_room()
    assert charlm("train", "--resume", run.path).exit_code == 0
    assert ending(run) == ending(whole)


def test_no_room_for_the_log_loses_no_line_and_doubles_none(
    charlm: Invoke, corpus: Path, disk: SmallDisk, tmp_path: Path
) -> None:
    """The log grows alone, since at this learning rate no evaluation is a new best; it finds one
    page, which the resuming needed to cut it, and not a second one."""
    lines = 2 * disk.page // 150 + 10
    options = [*OPTIONS, "--eval-every", 1, "--save-every", 10**6, "--steps", 10**6]
    options += ["--learning-rate", 1e-30]
    charlm("train", corpus, "--out", tmp_path, "--name", "whole", *options, "--stop-at", lines)
    charlm("train", corpus, "--out", disk.path, *options, "--stop-at", 2)
    run = Run(disk.path / "tiny")
    disk.fill(leave=disk.page)
    refused_here(
        charlm("train", "--resume", run.path, "--stop-at", lines),
        f"{run.log}: cannot be written (No space left on device)",
    )
    assert load_what_is_there(run)["last"] == 2
    disk.make_room()
    assert charlm("train", "--resume", run.path, "--stop-at", lines).exit_code == 0
    assert ending(run) == ending(Run(tmp_path / "whole"))


@pytest.mark.parametrize(
    ("room", "source"),
    covering(["none", "for nothing that is saved", "for last", "for no file"], ["file", "stdin"]),
)
def test_a_disk_that_is_full_from_the_start_does_not_keep_the_name(
    charlm: Invoke, corpus: Path, disk: SmallDisk, whole: Run, room: str, source: str
) -> None:
    text = corpus.read_bytes() if source == "stdin" else None
    begin = [
        "train",
        corpus if text is None else "-",
        "--out",
        disk.path,
        "--name",
        "book",
        *OPTIONS,
    ]
    run = Run(disk.path / "book")
    if room == "for no file":
        disk.fill_with_files()
        expected = f"{run.path}: cannot make the run's directory (No space left on device)"
    else:
        log_and_stdin = 2 * disk.page
        last = whole.last.stat().st_size
        leave = {"none": 0, "for nothing that is saved": log_and_stdin, "for last": last}[room]
        disk.fill(leave=leave)
        expected = "No space left on device"
    result = charlm(*begin, input=text)
    refused_here(result, expected, str(run.path))
    assert not leftovers(run)
    disk.make_room()
    there = load_what_is_there(run)
    assert ("last" in there) == (room == "for last")
    again = charlm("train", "--resume", run.path) if there else charlm(*begin, input=text)
    assert again.exit_code == 0, again.output
    end, expected_end = ending(run), ending(whole)
    for part in ("state", "best", "log"):
        assert end[part] == expected_end[part]


WRITERS: dict[str, list[object]] = {
    "sample": ["sample", "RUN", "--length", 300, "--out"],
    "sample --json": ["sample", "RUN", "--length", 300, "--json", "--num-samples", 3, "--out"],
    "corpus make": ["corpus", "make", "viaggi", "--chars", 3000, "--out"],
}


def writer(name: str, run: Path, file: Path) -> list[object]:
    return [run if part == "RUN" else part for part in WRITERS[name]] + [file]


@pytest.mark.parametrize(
    ("command", "old"), covering(WRITERS, [None, "an old text, and not to be lost\n"])
)
def test_a_text_finds_no_room_and_leaves_none_or_the_old_one(
    charlm: Invoke, disk: SmallDisk, trained: Path, command: str, old: str | None
) -> None:
    file = disk.path / "text.txt"
    if old is not None:
        file.write_text(old)
    force = ["--force"] if old is not None and command == "corpus make" else []
    disk.fill()
    result = charlm(*writer(command, trained, file), *force)
    refused_here(result, str(file), "No space left on device")
    assert sorted(p.name for p in disk.path.iterdir()) == ["ballast"] + ["text.txt"] * bool(old)
    if old is not None:
        assert file.read_text() == old
    disk.make_room()
    assert charlm(*writer(command, trained, file), *force).exit_code == 0
    assert file.stat().st_size > 100


def buffered() -> dict[str, str]:
    """An environment in which Python buffers stdout, which is the default."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}


PRINTED: dict[str, list[object]] = {
    "help": ["--help"],
    "help of a group": ["inspect", "-h"],
    "corpus list": ["corpus", "list"],
    "corpus make": ["corpus", "make", "viaggi", "--chars", 300, "--out", "-"],
    "sample": ["sample", "RUN", "--length", 300],
    "sample --json": ["sample", "RUN", "--length", 300, "--json"],
    "sample --out": ["sample", "RUN", "--length", 300, "--out", "OUT"],
    "eval": ["eval", "RUN", "--no-ladder"],
    "score": ["score", "RUN", "TEXT"],
    "info": ["info", "RUN"],
    "unroll": ["inspect", "unroll", "RUN", "il mare"],
}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("command", slow_but(["help", "corpus list", "sample"], PRINTED))
def test_output_to_a_full_disk_is_one_line_and_exit_1(
    trained: Path, corpus: Path, tmp_path: Path, command: str
) -> None:
    """That line is all: Python must not try to write the output again at exit."""
    places = {"RUN": trained, "TEXT": corpus, "OUT": tmp_path / "out"}
    arguments = [str(places.get(str(part), part)) for part in PRINTED[command]]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "charlm", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=buffered(),
        )
    refused(done.returncode, "", done.stderr, "the output cannot be written (No space left on")
    assert done.stderr.count("\n") == done.stderr.count("error: ") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("stream", slow_but(["stdout"], ["stdout", "stderr"]))
def test_a_full_disk_behind_the_output_costs_the_output_alone(
    corpus: Path, tmp_path: Path, whole: Run, stream: str
) -> None:
    """A result that cannot be written is an error; a message that cannot be written is not."""
    with open("/dev/full", "wb") as full:
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "charlm",
                "train",
                str(corpus),
                "--out",
                str(tmp_path),
                *map(str, OPTIONS),
            ],
            env=buffered(),
            **(streams | {stream: full}),
        )
        output, talk = process.communicate()
    assert ending(Run(tmp_path / "tiny")) == ending(whole)
    if stream == "stdout":
        refused(process.returncode, "", talk.decode(), "No space left on device")
    else:
        assert process.returncode == 0
        assert output.startswith(b"best validation ")


# -------------------------------------------------------------------- a file that may not grow more


def execute(
    *arguments: object, before: Callable[[], None], driver: str = ""
) -> tuple[int, str, str]:
    """``charlm`` in a process of its own, after ``before`` there: (exit code, stdout, stderr)."""
    code = f"import sys\n{driver}\nfrom charlm.cli import main\nsys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=before,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return done.returncode, done.stdout, done.stderr


def no_file_above(size: int) -> Callable[[], None]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.parametrize(
    ("stop", "file"), [(5, "last"), pytest.param(7, "best", marks=pytest.mark.slow)]
)
def test_a_file_that_may_not_grow_ends_a_run_that_goes_on_later(
    charlm: Invoke, corpus: Path, tmp_path: Path, whole: Run, stop: int, file: str
) -> None:
    charlm("train", corpus, "--out", tmp_path, *OPTIONS, "--stop-at", stop)
    run = Run(tmp_path / "tiny")
    before = contents(run.path)
    # Less than it takes: how figures are written makes a file some bytes longer or shorter.
    limit = no_file_above((run.path / f"{file}.safetensors").stat().st_size * 19 // 20)
    outcome = execute("train", "--resume", run.path, before=limit)
    refused(*outcome, f"{file}.safetensors: cannot be written (File too large)")
    assert contents(run.path) == before
    assert charlm("train", "--resume", run.path).exit_code == 0
    assert ending(run) == ending(whole)


def test_a_log_that_may_not_grow_is_cut_off_in_a_line_and_made_whole_again(
    charlm: Invoke, corpus: Path, tmp_path: Path
) -> None:
    options = ["--out", tmp_path, *OPTIONS, "--eval-every", 1, "--save-every", 50, "--steps", 50]
    options += ["--hidden-size", 2]
    charlm("train", corpus, "--name", "whole", *options)
    whole, run = Run(tmp_path / "whole"), Run(tmp_path / "tiny")
    charlm("train", corpus, *options, "--stop-at", 2)
    limit = whole.log.stat().st_size * 9 // 10
    assert limit > whole.best.stat().st_size
    outcome = execute("train", "--resume", run.path, before=no_file_above(limit))
    refused(*outcome, f"{run.log}: cannot be written (File too large)")
    assert run.log.stat().st_size == limit  # in the middle of a line, but for a rare coincidence
    assert load_what_is_there(run)["last"] == 2
    assert charlm("train", "--resume", run.path).exit_code == 0
    assert ending(run) == ending(whole)


def test_a_first_save_that_fails_does_not_keep_the_name(
    charlm: Invoke, corpus: Path, tmp_path: Path, whole: Run
) -> None:
    begin = ["train", corpus, "--out", tmp_path, "--name", "book", *OPTIONS]
    outcome = execute(*begin, before=no_file_above(1000))
    refused(*outcome, "last.safetensors: cannot be written (File too large)")
    assert not leftovers(Run(tmp_path / "book"))
    again = charlm(*begin)
    assert again.exit_code == 0, again.output
    assert ending(Run(tmp_path / "book"))["state"] == ending(whole)["state"]


@pytest.mark.parametrize("command", WRITERS)
def test_a_text_that_may_not_be_so_long_is_not_written_in_part(
    tmp_path: Path, trained: Path, command: str
) -> None:
    file = tmp_path / "text.txt"
    outcome = execute(*writer(command, trained, file), before=no_file_above(200))
    refused(*outcome, str(file), "File too large")
    assert list(tmp_path.iterdir()) == []


# -------------------------------------------------------------------- what may not be written to


def without_privileges() -> None:
    """Let permissions hold for root as well: the process that is started next cannot override
    them (capabilities 1 and 2, dropped for good by prctl 24)."""
    if os.geteuid() == 0:
        for capability in (1, 2):
            if ctypes.CDLL(None, use_errno=True).prctl(24, capability, 0, 0, 0):
                os._exit(99)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Makes directories read-only, until the test ends."""
    if os.geteuid() == 0 and not sys.platform.startswith("linux"):
        pytest.skip("root may write everywhere")
    made: list[Path] = []

    def make(path: Path) -> None:
        path.chmod(0o555)
        made.append(path)
        tried = subprocess.run(
            ["touch", str(path / "tried")],
            preexec_fn=without_privileges,
            check=False,
            stderr=subprocess.DEVNULL,
        )
        if tried.returncode == 0:
            pytest.skip("permissions cannot be made to hold for this user")

    yield make
    for path in made:
        path.chmod(0o755)


def test_a_run_that_is_read_only_is_left_as_it_is(
    charlm: Invoke,
    corpus: Path,
    tmp_path: Path,
    whole: Run,
    read_only: Callable[[Path], None],
) -> None:
    charlm("train", corpus, "--out", tmp_path, *OPTIONS, "--stop-at", 5)
    run = Run(tmp_path / "tiny")
    before = contents(run.path)
    read_only(run.path)
    outcome = execute("train", "--resume", run.path, before=without_privileges)
    refused(*outcome, str(run.path), "Permission denied")
    assert contents(run.path) == before
    # Reading needs no permission to write.
    code, output, talk = execute(
        "sample", run.path, "--length", 20, "--seed", 1, before=without_privileges
    )
    assert (code, len(output)) == (0, 20), talk
    run.path.chmod(0o755)
    assert charlm("train", "--resume", run.path).exit_code == 0
    assert ending(run) == ending(whole)


# Removes the permission after this many training steps.
TAKE_AWAY = """
import os
from charlm.training.trainer import Trainer
real = Trainer.update
def update(trainer, batch):
    nats = real(trainer, batch)
    if trainer.progress.step == {step}:
        os.chmod({path!r}, 0o555)
    return nats
Trainer.update = update
"""


@pytest.mark.parametrize(
    ("step", "file"), [pytest.param(6, "last", marks=pytest.mark.slow), (8, "best")]
)
def test_a_run_that_becomes_read_only_keeps_what_it_had(
    charlm: Invoke,
    corpus: Path,
    tmp_path: Path,
    whole: Run,
    read_only: Callable[[Path], None],
    step: int,
    file: str,
) -> None:
    (tmp_path / "probe").mkdir()
    read_only(tmp_path / "probe")
    run = Run(tmp_path / "tiny")
    driver = TAKE_AWAY.format(step=step, path=str(run.path))
    begin = ["train", corpus, "--out", tmp_path, *OPTIONS]
    outcome = execute(*begin, before=without_privileges, driver=driver)
    refused(*outcome, f"{file}.safetensors: cannot be written (Permission denied)")
    assert load_what_is_there(run)["last"] == (0 if step < 7 else 7)
    assert not leftovers(run)
    run.path.chmod(0o755)
    assert charlm("train", "--resume", run.path).exit_code == 0
    assert ending(run) == ending(whole)


def test_nothing_begins_where_nothing_may_be_written(
    corpus: Path, tmp_path: Path, trained: Path, read_only: Callable[[Path], None]
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    read_only(place)
    commands: list[list[object]] = [
        ["train", corpus, "--out", place, *OPTIONS],
        ["train", corpus, "--out", place / "deeper", "--name", "book", *OPTIONS],
        *(writer(name, trained, place / "text.txt") for name in WRITERS),
        writer("corpus make", trained, place / "deeper" / "text.txt"),
    ]
    for command in commands:
        outcome = execute(*command, before=without_privileges)
        refused(*outcome, str(place), "Permission denied")
    assert list(place.iterdir()) == []


def test_a_read_only_file_system_is_read_and_left_as_it_is(
    charlm: Invoke, corpus: Path, disk: SmallDisk, whole: Run
) -> None:
    charlm("train", corpus, "--out", disk.path, *OPTIONS, "--stop-at", 5)
    run = Run(disk.path / "tiny")
    (run.path / ".last.safetensors.killed.tmp").write_bytes(b"half")
    before = contents(run.path)
    disk.set_writable(False)
    commands: list[list[object]] = [
        ["train", "--resume", run.path],
        ["train", corpus, "--out", disk.path, *OPTIONS],
        ["train", corpus, "--out", disk.path, "--name", "tiny", "--force", *OPTIONS],
        *(writer(name, run.path, disk.path / "text.txt") for name in WRITERS),
    ]
    for command in commands:
        refused_here(charlm(*command), str(disk.path), "Read-only file system")
    for command in [["sample", run.path], ["info", run.path], ["eval", run.path]]:
        assert charlm(*command).exit_code == 0
    assert contents(run.path) == before
    disk.set_writable(True)
    assert charlm("train", "--resume", run.path).exit_code == 0
    assert ending(run) == ending(whole)
    assert checkpoint.read(run.previous).provenance["step"] == 7
