"""``charlm inspect``: what the commands print is what the functions found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

import charlm as package
from charlm.inspection import gradients
from charlm.inspection.adapting import torch_model
from charlm.models.language import build

Invoke = Callable[..., Result]


def test_gradients_as_json_are_those_of_the_function(
    charlm: Invoke, trained: Path, corpus: Path
) -> None:
    done = charlm("inspect", "gradients", trained, corpus, "--lags", 20, "--places", 8, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    lm = package.load(trained)
    ids = lm.tokenizer.encode(corpus.read_text("utf-8"))
    for part, model in (
        ("runs", torch_model(lm.config, lm.weights)),
        ("untrained", build(lm.config, seed=0)),
    ):
        flow = gradients.flow(model, ids, lags=20, wanted=8)
        facts = found[part][str(trained)]
        np.testing.assert_allclose(facts["input"], flow.quartiles(), rtol=1e-4)
        np.testing.assert_allclose(facts["state"][0], flow.quartiles(0), rtol=1e-4)
    assert found["runs"] != found["untrained"]


def test_a_table_says_how_fast_it_fades_beside_an_untrained_model(
    charlm: Invoke, trained: Path, corpus: Path
) -> None:
    done = charlm("inspect", "gradients", trained, corpus, "--lags", 10, "--places", 8)
    assert done.exit_code == 0, done.output
    title, heads, *rows, last, empty = done.stdout.splitlines()
    assert title.startswith(f"{trained}: norm of the gradient")
    assert heads.split() == ["back", "input", "untrained", "state", "1", "untrained"]
    assert [row.split()[0] for row in rows] == ["1", "2", "5", "10"]
    assert last.startswith("At the input the gradient halves every ") and empty == ""


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_a_figure_of_gradients(
    charlm: Invoke, trained: Path, corpus: Path, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"gradients.{ending}"
    options = ("--lags", 6, "--places", 4, "--figure", path)
    done = charlm("inspect", "gradients", trained, corpus, *options)
    assert (done.exit_code, done.stdout) == (0, f"{path}\n"), done.output
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG" if ending == "png" else b"<?xml")
    charlm("inspect", "gradients", trained, corpus, *options)
    assert path.read_bytes() == data


@pytest.mark.parametrize(
    ("options", "code", "part"),
    [
        (["--lags", 800], 2, "to look 800 back at 4 places takes at least 1,605"),
        (["--figure", "x.pdf"], 2, "ends in .svg or .png"),
        (["--figure", "nowhere/x.svg"], 1, "cannot be written"),
        (["--lags", 1], 2, "--lags"),
    ],
)
def test_gradients_that_cannot_be_had(
    charlm: Invoke, trained: Path, corpus: Path, options: list[object], code: int, part: str
) -> None:
    done = charlm("inspect", "gradients", trained, corpus, "--places", 4, "--lags", 4, *options)
    assert done.exit_code == code
    assert part in done.stderr
    assert done.stdout == ""


def test_a_run_stands_once(charlm: Invoke, trained: Path, corpus: Path) -> None:
    done = charlm("inspect", "gradients", trained, corpus, "--with", trained)
    assert done.exit_code == 2
    assert "is named twice" in done.stderr


def test_unseen_characters_are_left_out_and_said(charlm: Invoke, trained: Path) -> None:
    text = "il mare e la sera €" * 10
    done = charlm("inspect", "gradients", trained, "--lags", 4, "--places", 4, input=text.encode())
    assert done.exit_code == 0, done.output
    assert "left out" in done.stderr and "'€' U+20AC" in done.stderr
