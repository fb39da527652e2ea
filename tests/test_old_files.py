"""Runs and experiments of an older charlm still open, and continue training to the same bits.

The files under ``tests/data`` were made by an earlier revision (see the README there). The work is
done in a process of its own, with kernels that compute the same on every x86-64 processor. With
another torch version or kind of processor, the weights must still agree closely.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import slow_but

from charlm import checkpoint

DATA = Path(__file__).parent / "data"
EXPECTED = json.loads((DATA / "old-run" / "expected.json").read_text("utf-8"))
PORTABLE = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
}
SAME_BITS = platform.machine() == "x86_64" and torch.__version__.startswith(EXPECTED["torch"])

RESUME = """
import sys
from click.testing import CliRunner
from charlm.cli import main
for name in sys.argv[2:]:
    result = CliRunner().invoke(main, ["train", "--resume", name, "--out", sys.argv[1]])
    assert result.exit_code == 0, result.output
"""

RETRAIN = """
import sys
from pathlib import Path
import torch
from charlm.experiments.position_invariance import store, training
from charlm.experiments.position_invariance.design import Design
from charlm.experiments.position_invariance.grid import Grid
from charlm.experiments.position_invariance.readers import KINDS
torch.set_num_threads(1)
Design.pool.__defaults__ = (3000,)
grid = Grid(Path(sys.argv[1]))
words = store.vocabulary(grid.config)
material = training.Material.of(words, grid.design.training(1, 1024))
for name in sys.argv[3:]:
    reader, _ = training.train(
        KINDS[name], words, material, grid.design.validation(1, 2), seed=1, steps=16
    )
    store.save(Path(sys.argv[2]) / f"{name}.safetensors", reader)
"""


def in_a_portable_process(code: str, *arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | PORTABLE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old runs, continued from step 12 to step 24 by the current code."""
    out = tmp_path_factory.mktemp("old") / "runs"
    shutil.copytree(DATA / "old-run", out)
    in_a_portable_process(RESUME, out, *EXPECTED["runs"])
    return out


@pytest.mark.parametrize("name", EXPECTED["runs"])
def test_an_old_run_trains_on_to_the_weights_that_its_own_version_reached(
    charlm: Any, resumed: Path, name: str
) -> None:
    expected = EXPECTED["runs"][name]
    last = checkpoint.read(resumed / name / "last.safetensors")
    assert last.provenance["step"] == 24
    if SAME_BITS:
        assert checkpoint.weights_sha256(last) == expected["weights_sha256"]
        assert checkpoint.state_sha256(last) == expected["state_sha256"]
    evaluated = charlm("eval", resumed / name, "--json", "--no-ladder")
    facts = json.loads(evaluated.stdout)
    naming = facts.get("folded", {"bits_per_char": 0})["bits_per_char"]  # not charged at that time
    assert facts["bits_per_char"] - naming == pytest.approx(expected["bits_per_char"], abs=1e-4)
    assert bool(naming) == (name == "rnn-folded")


@pytest.mark.parametrize("name", EXPECTED["runs"])
def test_an_old_run_writes_the_text_that_it_wrote(charlm: Any, resumed: Path, name: str) -> None:
    result = charlm("sample", resumed / name, "--seed", 7, "--length", 60, "--json")
    assert json.loads(result.stdout)["text"] == EXPECTED["runs"][name]["sample"]


def test_half_way_the_weights_are_others() -> None:
    """The control: what the test above compares does change in twelve steps."""
    for name, expected in EXPECTED["runs"].items():
        half = checkpoint.read(DATA / "old-run" / name / "last.safetensors")
        assert half.provenance["step"] == 12
        assert checkpoint.weights_sha256(half) != expected["weights_sha256"]


def test_an_old_experiment_opens_with_the_results_that_were_written() -> None:
    from charlm.experiments.position_invariance import grid

    found = grid.Grid.find(str(DATA / "old-experiment"))
    written = json.loads((DATA / "old-experiment" / "results.json").read_text("utf-8"))
    assert json.loads(json.dumps(found.results().content)) == written
    assert not found.unfinished()


def test_the_readers_of_an_old_experiment_answer_as_they_did() -> None:
    from charlm.experiments.measures import pack
    from charlm.experiments.position_invariance import grid, store

    found = grid.Grid.find(str(DATA / "old-experiment"))
    words = store.vocabulary(found.config)
    for name in found.settings.readers:
        reader = store.load(found.cell(name, 1, "safetensors"), name, words)
        cell = json.loads(found.cell(name, 1).read_text("utf-8"))
        for test, sentences in found.tests.items():
            answers = reader.answers([each.text for each in sentences])
            right = np.array([a == s.answer for a, s in zip(answers, sentences, strict=True)])
            assert pack(right) == cell["tests"][test]["right"], (name, test)


def test_an_old_experiment_reports_what_it_knows_and_its_readers_can_be_scored(
    tmp_path: Path,
) -> None:
    """It has no four-digit numbers and does not know its errors; new sentences are judged."""
    from charlm.experiments.position_invariance import ask, grid, page, report
    from charlm.experiments.position_invariance.examples import Example

    found = grid.Grid.find(str(DATA / "old-experiment"))
    assert not found.design.four_digits
    results = found.results()
    assert list(results.tests) == ["none", "numbers", "years", "held-out answers", "long sentences"]
    assert not results.knows_errors
    assert report.error_table(results) == ""
    assert "four digits" not in report.table(results)
    assert "Two kinds of errors" not in page.html(results, tmp_path)
    sentences = [Example("Nel 2009, stanza 1407.", "2009", -1, "")] * 3
    scored = ask.score(ask.Panel(found), "tagger-both", sentences)
    assert sum(scored.kinds.values()) == len(scored.errors)


# Ten seconds each, the tagger 18.
@pytest.mark.parametrize("name", slow_but(["lstm"], ["lstm", "tagger-both", "writer-gru"]))
def test_a_reader_is_trained_to_the_weights_of_the_old_experiment(
    tmp_path: Path, name: str
) -> None:
    from charlm.experiments.position_invariance import grid, store

    found = grid.Grid.find(str(DATA / "old-experiment"))
    in_a_portable_process(RETRAIN, found.path, tmp_path, name)
    words = store.vocabulary(found.config)
    old = store.load(found.cell(name, 1, "safetensors"), name, words).state_dict()
    new = store.load(tmp_path / f"{name}.safetensors", name, words).state_dict()
    for key, value in old.items():
        if SAME_BITS:
            assert torch.equal(new[key], value), key
        torch.testing.assert_close(new[key], value, rtol=1e-3, atol=1e-4)
