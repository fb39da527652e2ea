"""``charlm sweep``: a run is what ``charlm train`` gives, nothing is made twice; what is said."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from click.testing import Result
from sweeping import design, outcome, same_weights, small

from charlm import cluster, rundir, sealed
from charlm.checkpoint import read_header
from charlm.cli.sweep import Screen
from charlm.sweeps import store, work
from charlm.sweeps.store import Sweep

Invoke = Callable[..., Result]
posix = pytest.mark.skipif(os.name != "posix", reason="needs signals")


# ----------------------------------------------------------------------------------- a real sweep

GRID = ("--grid", "hidden_size=8,12", "--seeds", "2")
OPTIONS = ("--steps", "30", "--seq-len", "16", "--batch-size", "8", "--test-fraction", "0.1")


def run(*arguments: object, cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "charlm", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, text: str, charlm: Invoke) -> Path:
    """Where a.txt and its sweep of four runs are."""
    path = tmp_path_factory.mktemp("sweeps")
    (path / "a.txt").write_text(text[:20_000], encoding="utf-8")
    out = path / "checkpoints"
    done = charlm("sweep", path / "a.txt", *GRID, *OPTIONS, "--jobs", 2, "--out", out)
    assert done.exit_code == 0, done.stderr
    (path / "said.txt").write_text(done.stdout + done.stderr)
    return path


@pytest.fixture(scope="module")
def sweep(folder: Path) -> Path:
    return folder / "checkpoints" / "a-sweep"


def outcomes(sweep: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for file in (sweep / "cells").glob("*.json"):
        outcome = json.loads(file.read_text())["outcome"]
        del outcome["seconds"]
        found[file.stem] = outcome
    return found


def rows(sweep: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((sweep / "results.csv").read_text().splitlines()))


def test_a_run_of_a_sweep_is_the_run_of_charlm_train(folder: Path, sweep: Path) -> None:
    name = next(r["run"] for r in rows(sweep) if (r["hidden_size"], r["seed"]) == ("12", "2"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        options = (*OPTIONS, "--hidden-size", 12, "--seed", 2, "--name", "by-hand")
        assert run("train", "a.txt", *options, cwd=folder).returncode == 0
    by_hand = folder / "checkpoints" / "by-hand"
    assert same_weights(sweep / "runs" / name, by_hand)
    other = next(r["run"] for r in rows(sweep) if (r["hidden_size"], r["seed"]) == ("12", "1"))
    assert not same_weights(sweep / "runs" / other, by_hand)


def test_what_is_reported_is_what_eval_finds(folder: Path, sweep: Path) -> None:
    best = rows(sweep)[0]
    where = sweep / "runs" / best["run"]
    found = json.loads(run("eval", where, "--json", "--no-ladder", cwd=folder).stdout)
    test = json.loads(run("eval", where, "--json", "--no-ladder", "--test", cwd=folder).stdout)
    assert float(best["bits_per_char"]) == pytest.approx(found["bits_per_char"], abs=1e-5)
    assert float(best["network_bits"]) == pytest.approx(found["network"]["bits_per_char"], abs=1e-5)
    assert float(best["ngram_bits"]) == pytest.approx(found["counts"]["bits_per_char"], abs=1e-5)
    assert float(best["test_bits"]) == pytest.approx(test["bits_per_char"], abs=1e-5)
    assert float(best["untrained_bits"]) > float(best["network_bits"]) + 1


def test_one_process_finds_what_two_have_found(charlm: Invoke, folder: Path, sweep: Path) -> None:
    where = ("--out", sweep.parent, "--name", "alone", "--jobs", 1)
    done = charlm("sweep", folder / "a.txt", *GRID, *OPTIONS, *where)
    assert done.exit_code == 0, done.stderr
    alone = folder / "checkpoints" / "alone"
    assert outcomes(alone) == outcomes(sweep)
    for name in outcomes(sweep):
        assert same_weights(alone / "runs" / name, sweep / "runs" / name)


def test_the_same_command_makes_nothing_and_a_larger_grid_only_what_is_new(
    charlm: Invoke, folder: Path, sweep: Path, tmp_path: Path
) -> None:
    copy = folder / "checkpoints" / "copy"
    shutil.copytree(sweep, copy)
    before = {file: file.stat().st_mtime_ns for file in (copy / "runs").rglob("*.safetensors")}
    where = ("--out", sweep.parent, "--name", "copy", "--jobs", 2)
    again = charlm("sweep", folder / "a.txt", *GRID, *OPTIONS, *where)
    assert again.exit_code == 0, again.stderr
    assert "all of the 4 runs are finished already" in again.stderr
    larger = ("--grid", "hidden_size=8,10,12", "--seeds", 2)
    more = charlm("sweep", folder / "a.txt", *larger, *OPTIONS, *where)
    assert more.exit_code == 0, more.stderr
    assert "6 runs, 4 of them finished already" in more.stderr
    assert len(rows(copy)) == 6
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_a_run_without_its_result_is_not_trained_again(
    charlm: Invoke, folder: Path, sweep: Path, tmp_path: Path
) -> None:
    """As if the process had died between the two."""
    (name, *_) = outcomes(sweep)
    result = sweep / "cells" / f"{name}.json"
    content, stamp = result.read_text(), (sweep / "runs" / name / "best.safetensors").stat()
    result.unlink()
    done = charlm("sweep", folder / "a.txt", "--out", sweep.parent, *GRID, *OPTIONS)
    assert done.exit_code == 0, done.stderr
    assert json.loads(result.read_text()) == json.loads(content)
    assert (sweep / "runs" / name / "best.safetensors").stat().st_mtime_ns == stamp.st_mtime_ns


def test_the_best_run_stands_for_the_sweep(folder: Path, sweep: Path) -> None:
    best = sweep / "runs" / rows(sweep)[0]["run"]
    bits = [float(row["bits_per_char"]) for row in rows(sweep)]
    assert bits == sorted(bits)
    assert rundir.find_run(str(sweep)).path == best
    assert rundir.find_run("a-sweep", folder / "checkpoints").path == best
    options = ("--length", 30, "--seed", 1)
    by_sweep = run("sample", "a-sweep", *options, cwd=folder)
    assert by_sweep.returncode == 0, by_sweep.stderr
    assert by_sweep.stdout == run("sample", best, *options, cwd=folder).stdout


def test_what_is_printed_says_what_was_found(sweep: Path, folder: Path) -> None:
    said = (folder / "said.txt").read_text().splitlines()
    heading = next(n for n, line in enumerate(said) if line.split()[:1] == ["bits/char"])
    first = said[heading + 1].split()
    mean = np.mean([float(r["bits_per_char"]) for r in rows(sweep) if r["hidden_size"] == first[6]])
    assert float(first[0]) == pytest.approx(mean, abs=6e-5)
    assert re.search(r"bits/char: an untrained model \d\.\d+", "\n".join(said))
    assert "the n-gram counts alone" in "\n".join(said)
    assert "4 runs, 2 at a time" in "\n".join(said)
    assert "a little too good" not in "\n".join(said)  # there is a test text


def test_the_files_are_those_that_are_promised(sweep: Path) -> None:
    assert {path.name for path in sweep.iterdir()} >= {
        *("sweep.json", "results.csv", "cells", "runs", "loss.svg", "loss.png")
    }
    assert not list(sweep.rglob(".wanted-*"))


# ------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--grid", "dropout=0,0.1", "--dropout", "0.2"), "--dropout sets it; give one"),
        (("--val-fraction", "0"), "compares the loss on a validation text"),
        (("--jobs", "2", "--dask", "tcp://localhost:1"), "--jobs and --dask"),
        (("--grid", "steps=10,20", "--minutes", "1"), "both set the length"),
        (("--grid", "batch_size=60000"), "batch"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_made(
    charlm: Invoke, corpus: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    out = tmp_path / "out"
    result = charlm("sweep", corpus, "--out", out, *arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert not out.exists()


def test_standard_input_is_refused(charlm: Invoke, tmp_path: Path) -> None:
    result = charlm("sweep", "-", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "every run reads the text" in result.stderr


def test_a_sweep_of_another_text_is_not_mixed_with_this_one(
    charlm: Invoke, folder: Path, sweep: Path, corpus: Path
) -> None:
    before = (sweep / "sweep.json").read_bytes()
    result = charlm("sweep", corpus, "--out", sweep.parent, "--name", sweep.name, "--steps", 3)
    assert result.exit_code == 2
    assert "is a sweep of another text" in result.stderr
    assert (sweep / "sweep.json").read_bytes() == before


def test_a_directory_that_is_no_sweep_is_left_alone(
    charlm: Invoke, corpus: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    result = charlm("sweep", corpus, "--out", tmp_path, "--name", "mine", "--steps", 3)
    assert result.exit_code == 2
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_a_damaged_file_is_named_and_is_not_taken_for_a_result(
    charlm: Invoke, folder: Path, sweep: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(sweep, copy)
    file = next((copy / "cells").glob("*.json"))
    file.write_text(file.read_text().replace("LSTM", "GRUU"))
    arguments = ("sweep", folder / "a.txt", *GRID, *OPTIONS, "--out", tmp_path, "--name", "copy")
    result = charlm(*arguments)
    assert result.exit_code == 1
    assert f"{file}: damaged" in result.stderr
    (copy / "sweep.json").write_text("{")
    result = charlm("sample", copy)
    assert result.exit_code == 1
    assert "sweep.json: damaged" in result.stderr


def test_more_runs_than_anybody_wants_are_refused_at_once(charlm: Invoke, corpus: Path) -> None:
    grid = ("--grid", "hidden_size=" + ",".join(map(str, range(1, 400))), "--seeds", 1000)
    result = charlm("sweep", corpus, *grid)
    assert result.exit_code == 2
    assert "399,000 runs, more than 10,000" in result.stderr


@pytest.mark.parametrize("address", ["", "foo", "tcp://", "host:8786"])
def test_an_address_that_is_none_is_refused(
    charlm: Invoke, corpus: Path, tmp_path: Path, address: str
) -> None:
    result = charlm("sweep", corpus, "--out", tmp_path / "out", "--dask", address)
    assert result.exit_code == 2
    assert "give the address of a Dask scheduler, such as tcp://host:8786" in result.stderr
    assert not (tmp_path / "out").exists()


def test_weights_without_mix_are_explained(charlm: Invoke, corpus: Path, tmp_path: Path) -> None:
    for command in ("train", "sweep"):
        result = charlm(command, f"{corpus}=3", "--out", tmp_path / "out")
        assert result.exit_code == 2
        assert "to read texts by weight, add --mix" in result.stderr


def test_the_best_of_all_grids_stays_the_best(
    charlm: Invoke, folder: Path, sweep: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(sweep, copy)
    best = rundir.find_run(str(copy)).path
    # A command that makes nothing, because nobody answers.
    where = ("--out", tmp_path, "--name", "copy", "--dask", "tcp://127.0.0.1:9")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "CONNECT", 1.0)
        result = charlm(
            "sweep", folder / "a.txt", "--grid", "hidden_size=9", "--seeds", 2, *OPTIONS, *where
        )
    assert result.exit_code == 2
    assert rundir.find_run(str(copy)).path == best
    assert len(rows(copy)) == 4


def test_a_finished_run_that_is_gone_is_not_finished(sweep: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(sweep, copy)
    shutil.rmtree(rundir.find_run(str(copy)).path)
    made = Sweep(copy, design(hidden_size=[8]))
    bits = {row["run"]: float(row["bits_per_char"]) for row in rows(sweep)}
    left = {path.name for path in (copy / "runs").iterdir()}
    assert len(left) == 3
    assert made.best() in left
    assert bits[str(made.best())] == min(bits[name] for name in left)


def test_what_a_killed_command_has_left_does_no_harm(
    charlm: Invoke, folder: Path, sweep: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(sweep, copy)
    (copy / "sweep.json").unlink()
    leftover = copy / ".results.csv.abc.tmp"
    leftover.touch()
    (copy / "cells" / ".wanted-abc").touch()
    larger = ("--grid", "hidden_size=8,9,12", "--seeds", "2", "--jobs", 2)
    where = ("--out", tmp_path, "--name", "copy")
    result = charlm("sweep", folder / "a.txt", *larger, *OPTIONS, *where)
    assert result.exit_code == 0, result.stderr
    assert not leftover.exists()
    assert not list((copy / "cells").glob(".wanted-*"))
    (copy / "notes.txt").write_text("mine")
    result = charlm("sweep", folder / "a.txt", *larger, *OPTIONS, *where)
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("harm", ["damaged", "removed"])
def test_the_index_is_made_again_from_the_results(
    charlm: Invoke, folder: Path, sweep: Path, tmp_path: Path, harm: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(sweep, copy)
    whole = (copy / "sweep.json").read_bytes()
    if harm == "damaged":
        (copy / "sweep.json").write_text("{")
    else:
        (copy / "sweep.json").unlink()
    where = ("--out", tmp_path, "--name", "copy")
    result = charlm("sweep", folder / "a.txt", *GRID, *OPTIONS, *where)
    assert result.exit_code == 0, result.stderr
    assert (copy / "sweep.json").read_bytes() == whole


def test_a_sweep_without_a_finished_run_says_so(charlm: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.mkdir()
    sealed.write(path / "sweep.json", {"format": store.FORMAT, "best": None})
    result = charlm("sample", path)
    assert result.exit_code == 2
    assert "no run is finished" in result.stderr
    sealed.write(path / "sweep.json", {"format": store.FORMAT, "best": "../../elsewhere"})
    assert charlm("sample", path).exit_code == 2


# --------------------------------------------------------------- failures, an end in the middle


@posix
def test_a_run_that_fails_does_not_keep_the_others_from_their_end(
    charlm: Invoke, folder: Path, tmp_path: Path
) -> None:
    done = charlm(
        *("sweep", folder / "a.txt", *OPTIONS, "--out", tmp_path, "--jobs", 2),
        *("--grid", "learning_rate=0.01,1e30", "--optimizer", "sgd", "--clip", 0),
    )
    assert done.exit_code == 1
    assert "failed  learning_rate=1e+30 seed=1: " in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: 1 of 2 runs failed")
    assert "Traceback" not in done.stderr
    assert [row["learning_rate"] for row in rows(tmp_path / "a-sweep")] == ["0.01"]


@posix
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGKILL, -9, marks=pytest.mark.slow)],
)
def test_ended_in_the_middle_it_saves_leaves_no_process_and_goes_on(
    folder: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    options = ("--steps", 100_000, "--seq-len", 16, "--batch-size", 8, "--no-counts")
    command = [
        *(sys.executable, "-m", "charlm", "sweep", str(folder / "a.txt")),
        *("--grid", "hidden_size=8,12", *map(str, options), "--eval-every", "40", "--jobs", "2"),
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    runs = tmp_path / "checkpoints" / "a-sweep" / "runs"
    deadline = time.monotonic() + 60
    while len(list(runs.glob("*/last.safetensors"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    below = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code
    _, alive = psutil.wait_procs(below, timeout=10)
    assert not alive
    assert "Traceback" not in said
    if number == signal.SIGINT:
        assert "0 of 2 runs are finished, and what was begun is saved" in said
    for path in runs.iterdir():
        output = (runs.parent / "cells" / f"{path.name}.txt").read_text()
        assert "saved at step" in output.splitlines()[-1]


def test_the_options_of_the_corpus_reach_every_run(
    charlm: Invoke, tmp_path: Path, text: str
) -> None:
    for name in ("a b.txt", "c.txt"):
        (tmp_path / name).write_text(text + name, encoding="utf-8")
    mixed = (f"{tmp_path / 'a b.txt'}=3", f"{tmp_path / 'c.txt'}=1", "--mix", "--nfc")
    options = ("--val-fraction", 0.2, "--hidden-size", 8, "--steps", 8, "--jobs", 1, "--no-counts")
    result = charlm("sweep", *mixed, *options, "--out", tmp_path / "out", "--name", "mixed")
    assert result.exit_code == 0, result.stderr
    last = read_header(rundir.find_run(str(tmp_path / "out" / "mixed")).last)
    assert last.training is not None
    source = last.training["source"]
    assert source["weights"] == [3.0, 1.0]
    assert source["sources"] == [str(tmp_path / "a b.txt"), str(tmp_path / "c.txt")]
    assert source["val_fraction"] == 0.2
    assert last.tokenizer.to_dict()["nfc"] is True


# ------------------------------------------------------------------------------- on a terminal


def test_the_table_on_a_terminal_is_drawn_over_itself(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = small(tmp_path, text)
    first, second = (made.task(cell) for cell in made.cells)
    configuration = made.cells[0].configuration
    content = {"format": work.FORMAT, "configuration": configuration}
    sealed.write(first.result, content | {"outcome": asdict(outcome(1.25))})
    for task in (first, second):
        task.run.path.mkdir()
    first.run.best.touch()
    second.run.append_log({"step": 40, "val_bits_per_char": 2.5})
    written = io.StringIO()
    monkeypatch.setattr(written, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("LINES", "24")
    screen = Screen(made)
    screen.draw()
    lines = written.getvalue().splitlines()
    assert lines[0].split()[:2] == ["bits/char", "hidden_size"]
    assert lines[1].split()[:2] == ["1.2500", "8"]
    assert lines[2] == "... hidden_size=12 seed=1: step 40, 2.5000 bits/char (network)"
    assert lines[3] == "1 finished, 1 running, 0 waiting"
    assert all(len(line) < 70 for line in lines)
    screen.draw()
    assert written.getvalue().count("\x1b[4F\x1b[J") == 1
    screen.clear()
    assert written.getvalue().endswith("\x1b[4F\x1b[J")
    monkeypatch.setenv("NO_COLOR", "1")
    before = written.getvalue()
    Screen(made).draw()
    assert written.getvalue() == before
