"""A run's directory: its name, its lock, its log, and how it is found again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm import checkpoint, rundir, runs
from charlm.errors import BusyError, CharlmError, CheckpointError, RequestError
from charlm.rundir import Run

pytest.importorskip("fcntl")


def make(out: Path, name: str, *, age: float = 0.0, best: bool = True, last: bool = True) -> Run:
    run = Run(out / name)
    run.path.mkdir(parents=True)
    for file, wanted in ((run.best, best), (run.last, last)):
        if wanted:
            file.write_bytes(b"")
            os.utime(file, (10**9 - age, 10**9 - age))
    return run


# ------------------------------------------------------------------------------------- names


def begin(out: Path, name: str | None = "book", default: str = "corpus", **force: bool) -> Run:
    """A run that has begun: it holds a file, and its lock is free again."""
    with rundir.begin(out, name, default, **force) as run:
        run.last.write_bytes(b"")
    return run


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/tmp", "a\\b", "a\0b", ".hidden", "-rf", "x/.."]
)
def test_a_name_cannot_leave_its_directory(tmp_path: Path, name: str, force: bool) -> None:
    with pytest.raises(RequestError, match="give a plain name"):
        begin(tmp_path / "out", name, force=force)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["book", "città nuova", "v1.2", "a-b_c", "x..y", "日記"])
def test_a_plain_name_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    run = begin(tmp_path / "deep" / "out", name)
    assert run.path == tmp_path / "deep" / "out" / name
    assert run.path.is_dir()


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40), st.booleans())
def test_a_corpus_of_any_name_makes_a_plain_directory(name: str, force: bool) -> None:
    with TemporaryDirectory() as out:
        path = begin(Path(out), None, name, force=force).path
        assert path.parent == Path(out)
        assert [path] == list(Path(out).iterdir())
        assert path.name[0] not in ".-"


def test_a_second_run_without_a_name_gets_a_number(tmp_path: Path) -> None:
    paths = [begin(tmp_path, None, "my book!").path.name for _ in range(3)]
    assert paths == ["my-book", "my-book-2", "my-book-3"]


def test_an_existing_named_run_is_refused(tmp_path: Path) -> None:
    run = begin(tmp_path)
    with pytest.raises(RequestError, match="exists; continue it with --resume book, replace it"):
        begin(tmp_path)
    assert list(tmp_path.iterdir()) == [run.path]


def test_force_empties_a_run_of_its_own_files_and_of_nothing_else(tmp_path: Path) -> None:
    run = begin(tmp_path)
    for file in (run.best, run.previous, run.log, run.stdin, run.path / "notes.txt"):
        file.write_text("old")
    with rundir.begin(tmp_path, "book", "corpus", force=True) as again:
        assert again.path == run.path
        assert [path.name for path in run.path.iterdir()] == ["notes.txt"]


def test_force_without_a_name_replaces_the_run_named_after_the_corpus(tmp_path: Path) -> None:
    run = begin(tmp_path, None, "book")
    with rundir.begin(tmp_path, None, "book", force=True) as again:
        assert again.path == run.path
        assert not run.last.exists()


def test_force_replaces_nothing_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("text")
    for name in ("book", "file"):
        with pytest.raises(RequestError, match="is not a run, and --force replaces only runs"):
            begin(tmp_path, name, force=True)
    assert (tmp_path / "book" / "thesis.tex").read_text() == "years of work"
    assert (tmp_path / "file").read_text() == "text"


def test_force_does_not_take_a_run_that_is_being_trained(tmp_path: Path) -> None:
    run = begin(tmp_path)
    with another_process(run), pytest.raises(BusyError):
        begin(tmp_path, force=True)
    assert run.last.exists()


def test_a_directory_in_which_nothing_was_saved_yet_is_free(tmp_path: Path) -> None:
    """A process that was killed before its first save must not keep the name."""
    with rundir.begin(tmp_path, "book", "corpus") as run:
        (run.path / ".last.safetensors.abc.tmp").write_bytes(b"half")
        run.stdin.write_text("text")
    with rundir.begin(tmp_path, "book", "corpus") as again:
        assert again.path == run.path


def test_two_that_ask_for_one_name_at_once_do_not_both_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one saw the name free, and then the first one began and ended."""
    check = rundir.check_name
    seen: list[str] = []

    def first_is_quicker(out: Path, name: str, *, force: bool = False) -> None:
        check(out, name, force=force)
        if not seen:
            seen.append(name)
            begin(out, name)

    monkeypatch.setattr(rundir, "check_name", first_is_quicker)
    with pytest.raises(RequestError, match="exists"):
        begin(tmp_path)


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("book", None):
        with pytest.raises(CharlmError, match="cannot make the run's directory"):
            begin(tmp_path / "file", name)


def test_a_dangling_link_in_the_way_is_an_error_and_not_an_endless_search(tmp_path: Path) -> None:
    (tmp_path / "book").symlink_to(tmp_path / "nowhere")
    with pytest.raises(CharlmError, match="cannot make the run's directory"):
        begin(tmp_path, None, "book")


# ------------------------------------------------------------------------------------ the lock


@contextmanager
def another_process(run: Run) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the run's lock until its standard input closes."""
    script = f"""
import pathlib, sys
from charlm.rundir import Run
with Run(pathlib.Path({str(run.path)!r})).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_second_training_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    run, other = begin(tmp_path, "book"), begin(tmp_path, "other")
    with another_process(run) as process:
        with (
            pytest.raises(BusyError, match="book is being trained by another process"),
            run.locked(),
        ):
            pytest.fail("the lock was given twice")
        with other.locked():
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        with run.locked():
            pass


def test_the_lock_is_given_back_whatever_happens_under_it(tmp_path: Path) -> None:
    run = begin(tmp_path, "book")
    with pytest.raises(ZeroDivisionError), run.locked():
        raise ZeroDivisionError
    with run.locked():
        pass


def test_the_lock_leaves_no_file(tmp_path: Path) -> None:
    run = begin(tmp_path, "book")
    with run.locked():
        assert list(run.path.iterdir()) == [run.last]


# ------------------------------------------------------------------------------------- the log


def test_the_log_holds_one_object_per_line(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.read_log() == []
    records: list[dict[str, Any]] = [
        {"step": 0, "note": "città\u2028\n"},
        {"step": 10, "loss": 1.25},
    ]
    for record in records:
        run.append_log(record)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == records == run.read_log()


@pytest.mark.parametrize(("step", "kept"), [(-1, 0), (0, 1), (15, 2), (20, 3), (99, 4)])
def test_the_log_is_cut_back_to_a_step(tmp_path: Path, step: int, kept: int) -> None:
    run = Run(tmp_path)
    for logged in (0, 10, 20, 30):
        run.append_log({"step": logged})
    run.cut_log(step)
    assert run.read_log() == [{"step": logged} for logged in (0, 10, 20, 30)[:kept]]
    run.append_log({"step": 40})
    assert len(run.read_log()) == kept + 1


def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.append_log({"step": 0})
    with run.log.open("a") as file:
        file.write('{"step": 1')
    assert run.read_log() == [{"step": 0}]
    run.cut_log(5)
    run.append_log({"step": 6})
    assert run.read_log() == [{"step": 0}, {"step": 6}]


# ----------------------------------------------------------------------------- finding a run


def test_a_run_is_found_by_name_and_by_directory(tmp_path: Path) -> None:
    run = make(tmp_path, "book")
    for given_name in ("book", str(run.path), f"{run.path}/"):
        assert rundir.find_run(given_name, tmp_path).path == run.path


def test_a_directory_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "out", "book")
    make(tmp_path, "book")
    monkeypatch.chdir(tmp_path)
    assert rundir.find_run("book", tmp_path / "out").path == Path("book")


def test_the_place_to_look_is_checkpoints_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "checkpoints", "book")
    monkeypatch.chdir(tmp_path)
    assert rundir.find_run("book").path == rundir.find_run(None).path == Path("checkpoints/book")


def test_the_newest_run_is_the_one_that_saved_last(tmp_path: Path) -> None:
    make(tmp_path, "old", age=20)
    make(tmp_path, "new", age=10, best=False)
    make(tmp_path, "older", age=30)
    (tmp_path / "empty").mkdir()
    (tmp_path / "README.md").write_text("")
    assert rundir.find_run(None, tmp_path).path.name == "new"
    os.utime(tmp_path / "older" / "last.safetensors", (10**9, 10**9))
    assert rundir.find_run(None, tmp_path).path.name == "older"


def test_a_model_is_a_file_or_the_best_or_failing_that_the_last_of_a_run(tmp_path: Path) -> None:
    both, last = make(tmp_path, "both"), make(tmp_path, "last", best=False)
    assert rundir.find_model("both", tmp_path) == both.best
    assert rundir.find_model("last", tmp_path) == last.last
    assert rundir.find_model(str(both.last), tmp_path) == both.last


def test_what_is_not_there_is_named_beside_what_is(tmp_path: Path) -> None:
    for find in (rundir.find_run, rundir.find_model):
        with pytest.raises(RequestError, match=r"no run called 'x'; .* has no run yet; train one"):
            find("x", tmp_path)
    with pytest.raises(RequestError, match=r"no run in .*; train one first"):
        rundir.find_run(None, tmp_path)
    make(tmp_path, "b"), make(tmp_path, "a")
    with pytest.raises(RequestError, match=r"no run called 'x'; runs in .*: a, b$"):
        rundir.find_run("x", tmp_path)


def test_a_directory_without_a_model_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"has no best\.safetensors or last\.safetensors"):
        rundir.find_run(str(tmp_path), tmp_path)


# ---------------------------------------------------------------------- not so yet in the code


def test_a_name_too_long_for_the_system_is_refused(tmp_path: Path) -> None:
    for refuse in (
        rundir.find_run,
        rundir.find_model,
        lambda name, out: rundir.check_name(out, name),
    ):
        with pytest.raises(RequestError):
            refuse("a" * 300, tmp_path)


@pytest.mark.parametrize("name", [" ", "a\nb", "\x1b[2J"])
def test_a_name_that_cannot_be_printed_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RequestError):
        rundir.check_name(tmp_path, name)


@pytest.mark.parametrize("line", [b"12\n", b'{"a": 1}\n', b"null\n", b"\xff\xfe\n"])
def test_a_damaged_line_of_the_log_is_left_out(tmp_path: Path, line: bytes) -> None:
    run = Run(tmp_path)
    run.log.write_bytes(b'{"step": 0}\n' + line)
    run.cut_log(5)
    assert run.read_log() == [{"step": 0}]


# -------------------------------------------------------------------------------- opening a model


def test_an_open_model_knows_its_run_and_its_texts(trained: Path, text: str) -> None:
    found = runs.open_model(str(trained))
    assert found.run is not None and found.run.path == trained
    assert found.path == found.run.best and found.name == "tiny"
    texts = found.texts
    assert (str(texts.train), str(texts.val)) == (text[:1350], text[1350:])
    assert found.provenance is found.checkpoint.provenance
    assert found.model.sample(length=9, seed=1) == runs.load(trained).sample(length=9, seed=1)
    last = runs.open_model(str(trained / "last.safetensors"))
    assert last.run is not None and last.name == "last"
    assert last.texts == found.texts


def test_a_file_on_its_own_belongs_to_no_run(trained: Path, tmp_path: Path) -> None:
    alone = tmp_path / "shared.safetensors"
    alone.write_bytes((trained / "best.safetensors").read_bytes())
    found = runs.open_model(str(alone))
    assert (found.run, found.name) == (None, "shared")
    with pytest.raises(RequestError, match="give it with --corpus PATH"):
        _ = found.texts
    # Its training state would say where the corpus is.
    alone.write_bytes((trained / "last.safetensors").read_bytes())
    assert runs.open_model(str(alone)).texts.name == "tiny"


def test_what_is_opened_is_verified_and_what_is_only_asked_for_a_place_is_not(
    trained: Path, tmp_path: Path
) -> None:
    """A damaged optimizer state does not matter to a model that is used."""
    for file in ("best", "last"):
        data = bytearray((trained / f"{file}.safetensors").read_bytes())
        data[-1] ^= 1
        (tmp_path / f"{file}.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="checksum"):
        runs.open_model(str(tmp_path))
    best = (trained / "best.safetensors").read_bytes()
    (tmp_path / "best.safetensors").write_bytes(best)
    assert runs.open_model(str(tmp_path)).texts.name == "tiny"


@pytest.mark.parametrize(
    "command",
    [
        ["eval"],
        ["eval", "CORPUS"],
        ["sample", "--length", 5],
        ["sample", "--length", 5, "--novelty"],
        ["score", "CORPUS"],
        ["info"],
    ],
)
def test_every_command_resolves_and_reads_a_model_once(
    charlm: Any,
    trained: Path,
    corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
) -> None:
    resolved: list[str | None] = []
    opened: list[Path] = []
    find, read = rundir.find_model, checkpoint.read

    def counted_find(given: str | None, out: Path | None = None) -> Path:
        resolved.append(given)
        return find(given, out)

    def counted_read(path: Path) -> checkpoint.Checkpoint:
        opened.append(path)
        return read(path)

    monkeypatch.setattr(runs, "find_model", counted_find)
    monkeypatch.setattr(checkpoint, "read", counted_read)
    name, *rest = command
    done = charlm(name, trained, *(corpus if each == "CORPUS" else each for each in rest))
    assert done.exit_code == 0, done.output
    assert resolved == [str(trained)]
    assert opened == [trained / "best.safetensors"]


def test_only_a_text_is_called_one(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for data in ("è" * 3000, "x", "日本\r\n" * 1000):
        file.write_text(data, encoding="utf-8")
        with pytest.raises(CheckpointError, match=f"{file} is a text, not a model; to train"):
            runs.open_model(str(file))
        with pytest.raises(CheckpointError, match="is a text, not a model; do this"):
            runs.open_model(str(file), usage="do this")
    for binary in (b"", b"ab\0", b"\xff\xfe\xfd", bytes(100)):
        file.write_bytes(binary)
        with pytest.raises(CheckpointError) as error:
            runs.open_model(str(file))
        assert "is a text" not in str(error.value)
