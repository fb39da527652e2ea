"""``charlm report``: the page shows what the functions compute, and says why a part is missing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from conftest import write_text

import charlm as package
from charlm import checkpoint
from charlm.config import CELLS
from charlm.errors import RequestError
from charlm.generate import CharLM
from charlm.inspection import report
from charlm.text.tokenizer import CharTokenizer

Invoke = Callable[..., Result]


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory, charlm: Invoke) -> Path:
    folder = tmp_path_factory.mktemp("long")
    corpus = folder / "lang.txt"
    corpus.write_text(write_text(40_000), encoding="utf-8")
    done = charlm(
        "train",
        corpus,
        "--out",
        folder,
        "--hidden-size",
        12,
        "--steps",
        30,
        "--seq-len",
        32,
        "--optimizer",
        "adamw",
        "--precision",
        "float32",
        "--device",
        "cpu",
    )
    assert done.exit_code == 0, done.output
    return folder / "lang"


@pytest.fixture(scope="module")
def page(long_run: Path, charlm: Invoke) -> str:
    out = long_run.parent / "page.html"
    done = charlm("report", long_run, "--out", out)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{out}\n"
    return out.read_text("utf-8")


def test_every_part_is_there(page: str) -> None:
    assert "Not available" not in page
    for part in ("learning", "ladder", "samples", "surprise", "units", "gradients", "memory"):
        assert f'id="{part}"' in page and f'href="#{part}"' in page
    assert page.count("<svg") == 5  # learning, and two panels each of gradients and memory
    assert len(page.encode()) < 3_000_000


def test_the_page_stands_alone(page: str) -> None:
    addresses = re.findall(r'(?:src|href|action)="([^"]*)"', page)
    assert addresses and all(address.startswith("#") for address in addresses)
    assert not re.search(r"@import|url\((?!#)|<link|<img|<iframe", page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


def test_its_figures_are_those_of_eval_and_sample(
    page: str, long_run: Path, charlm: Invoke
) -> None:
    evaluated = json.loads(charlm("eval", long_run, "--json").stdout)
    bits = re.search(r"<b>(\d\.\d{4})</b> bits per character", page)
    assert bits is not None
    assert float(bits[1]) == pytest.approx(evaluated["bits_per_char"], abs=1e-4)
    for name, value in evaluated["ladder"].items():
        shown = "–" if value is None else f"{value:.3f}"
        assert re.search(rf"<th>{re.escape(name)}</th><td>{shown}</td>", page), name
    lm = package.load(long_run)
    texts = [
        unescape(text) for text in re.findall(r'<pre class="heat">(.*?)</pre>', page, re.DOTALL)
    ]
    assert texts == [
        lm.sample(temperature=t, length=report.SAMPLE_LENGTH, seed=0) for t in report.TEMPERATURES
    ]


def test_a_rung_below_resolution_has_a_dash(make_lm: Callable[..., CharLM]) -> None:
    train, text = write_text(3000), write_text(30, seed=1)
    lm = make_lm(CharTokenizer.from_text(train + text))
    page = report.html(report.gather("short", lm, text, train=train))
    for name in ("gzip", "bz2", "xz"):
        (row,) = re.findall(rf"<th>{name}</th><td>(.*?)</td>", page)
        assert row == "–"
    assert page.count("below resolution: the text adds") == 3


@pytest.mark.parametrize(
    ("dropout", "embedding_dropout", "legend"),
    [
        (0, 0, "training"),
        (0.3, 0, "training (with dropout)"),
        (0, 0.3, "training (with dropout)"),
    ],
)
def test_dropout_is_named_only_where_there_was_some(
    dropout: float, embedding_dropout: float, legend: str, make_lm: Callable[..., CharLM]
) -> None:
    text = write_text(300)
    shape = {"dropout": dropout, "embedding_dropout": embedding_dropout}
    lm = make_lm(CharTokenizer.from_text(text), **shape)
    log = [
        {"step": step, "train_nats_per_char": 3.0, "val_nats_per_char": 3.1 - step / 100}
        for step in (10, 20, 30)
    ]
    page = unescape(report.html(report.gather("run", lm, text, log=log)))
    assert f">{legend}<" in page
    assert ("dropout" in page) == bool(dropout or embedding_dropout)


def test_a_run_without_validation_has_a_curve_too(make_lm: Callable[..., CharLM]) -> None:
    text = write_text(300)
    lm = make_lm(CharTokenizer.from_text(text))
    log: list[dict[str, Any]] = [
        {"step": 0, "train_nats_per_char": None},
        {"step": 10, "train_nats_per_char": 2.9},
        {"step": 20, "train_nats_per_char": 2.8},
    ]
    for records, drawn in ((log, True), (log[:2], False), ([], False)):
        made = report.html(report.gather("run", lm, text, log=records))
        assert (">training<" in made) == ("Training loss:" in made) == drawn
        assert "best:" not in made


@pytest.mark.parametrize("cell", CELLS)
def test_what_a_model_or_a_text_cannot_have_says_why(
    cell: str, make_lm: Callable[..., CharLM]
) -> None:
    text = write_text(300)
    lm = make_lm(CharTokenizer.from_text(text), cell=cell, num_layers=1, kernel_size=2)
    made = report.gather("<i>short", lm, text)
    assert set(made.missing) >= {"units", "memory"}
    page = report.html(made)
    assert page.count("Not available") == 2 + len(made.missing)  # and neither log nor training text
    for reason in made.missing.values():
        assert reason in unescape(page)
    assert "<i>short" not in page and "&lt;i&gt;short" in page


def test_a_run_without_its_text_needs_a_file(
    charlm: Invoke, long_run: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((long_run / "best.safetensors").read_bytes())
    refused = charlm("report", alone)
    assert refused.exit_code == 2
    assert "name a text" in refused.stderr.splitlines()[-1]
    text = tmp_path / "text.txt"
    text.write_text(write_text(3000, seed=2) + "\N{SNOWMAN}", encoding="utf-8")
    done = charlm("report", alone, text, "--out", tmp_path / "page.html")
    assert done.exit_code == 0, done.output
    assert "\N{SNOWMAN}" in done.stderr  # said to be left out
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "<title>alone</title>" in page and "the other models, which need" in page


def test_a_corpus_that_has_moved_is_read_where_it_is_now(
    charlm: Invoke, long_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, corpus = tmp_path / "run", tmp_path / "moved.txt"
    shutil.copytree(long_run, run)
    saved = checkpoint.read(run / "last.safetensors")
    assert saved.training is not None
    saved.training["source"]["sources"] = [str(tmp_path / "gone.txt")]
    checkpoint.write(run / "last.safetensors", saved)
    corpus.write_text(write_text(40_000), encoding="utf-8")
    refused = charlm("report", run)
    assert refused.exit_code == 2
    last = refused.stderr.splitlines()[-1]
    assert "gone.txt: no such file" in last and "--corpus PATH" in last
    gathered: dict[str, Any] = {}

    def gather(name: str, lm: CharLM, text: str, **more: Any) -> None:
        gathered.update(more, name=name, text=text)
        raise RequestError("enough")

    monkeypatch.setattr(report, "gather", gather)
    assert "enough" in charlm("report", run, "--corpus", corpus).stderr
    whole = write_text(40_000)
    assert (gathered["train"], gathered["text"]) == (whole[:36_000], whole[36_000:])
    assert gathered["name"] == "run" and gathered["log"]


def test_a_page_that_cannot_be_written_is_said(charlm: Invoke, long_run: Path) -> None:
    text = long_run.parent / "few.txt"
    text.write_text(write_text(200), encoding="utf-8")
    refused = charlm("report", long_run, text, "--out", long_run.parent / "none" / "x.html")
    assert refused.exit_code == 1
    assert "cannot be written" in refused.stderr.splitlines()[-1]
