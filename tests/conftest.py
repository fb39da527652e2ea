"""Shared by the tests: one thread, a small varied text, tiny models, a tiny trained run."""

from __future__ import annotations

import os

# Before torch is imported: with tensors this small a second thread only costs time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import listing
import numpy as np
import pytest
from click.testing import CliRunner, Result

from charlm import cli
from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig
from charlm.generate import CharLM
from charlm.text import dataset as data
from charlm.text.tokenizer import Tokenizer

TOGETHER = {
    "test_cli_experiment",
    "test_cli_experiment_page",
    "test_cli_items",
    "test_cli_eval_items",
    "test_experiment_design",
    "test_experiment_grid",
    "test_experiment_report",
    "test_page_grid",
    "test_page_report",
    "test_plots",
    "test_report",
    "test_sweep",
}
"""Files whose tests share what takes seconds to make: all of one file run in one process."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem in TOGETHER:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def covering(*choices: Iterable[Any], also: Sequence[tuple[Any, ...]] = ()) -> list[Any]:
    """Every combination of the choices as parameters. All are marked slow, except the fewest that
    cover every choice once, and those in ``also``."""
    lists = [list(each) for each in choices]
    every_day = [
        *(tuple(each[k % len(each)] for each in lists) for k in range(max(map(len, lists)))),
        *also,
    ]
    combinations = list(itertools.product(*lists))
    assert all(each in combinations for each in also)
    return [
        pytest.param(*each, marks=[] if each in every_day else [pytest.mark.slow])
        for each in combinations
    ]


def slow_but(every_day: Iterable[Any], choices: Iterable[Any]) -> list[Any]:
    """The choices as parameters; those that the everyday tests leave out are marked slow."""
    kept, every = list(every_day), list(choices)
    assert all(each in every for each in kept)
    return [pytest.param(each, marks=[] if each in kept else [pytest.mark.slow]) for each in every]


WORDS = [
    *("il", "la", "treno", "mare", "monte", "roma", "luna", "perché"),
    *("città", "è", "vento", "sera", "andare", "vedere", "due", "tre"),
]


def write_text(length: int, seed: int = 0) -> str:
    """Sentences of random words: a few dozen symbols, some of them two bytes long."""
    rng = random.Random(seed)
    lines: list[str] = []
    while sum(map(len, lines)) < length:
        words = [rng.choice(WORDS) for _ in range(rng.randint(2, 7))]
        lines.append(" ".join(words).capitalize() + rng.choice([".", "!", ","]) + "\n")
    return "".join(lines)[:length]


@pytest.fixture(scope="session")
def text() -> str:
    return write_text(1500)


@pytest.fixture(scope="session")
def dataset(text: str) -> data.Dataset:
    """``text`` by characters, its last tenth to validate."""
    cut = len(text) * 9 // 10
    texts = data.Texts.of(text[:cut], text[cut:], name="tiny", split="nine to one")
    return data.encode(texts, data.choose_tokenizer(texts))


@pytest.fixture(scope="session")
def make_lm() -> Callable[..., CharLM]:
    """A model with random weights, ready to write: ``make_lm(tokenizer, cell="gru", ...)``."""

    def make(tokenizer: Tokenizer, *, scale: float = 0.5, **shape: object) -> CharLM:
        options = {"hidden_size": 8, "embedding_size": 8, "context": 3} | shape
        config = ModelConfig.resolve(vocab_size=tokenizer.vocab_size, **options)
        rng = np.random.default_rng(5)
        weights = {
            name: (scale * rng.standard_normal(size)).astype(np.float32)
            for name, size in config.parameter_shapes().items()
        }
        return CharLM(Checkpoint(config, tokenizer, weights))

    return make


Invoke = Callable[..., Result]


@pytest.fixture(scope="session")
def charlm() -> Invoke:
    """Run the command in this process. An uncaught exception is a bug, so it fails the test."""

    def invoke(*arguments: object, input: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(cli.main, [str(a) for a in arguments], input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        return result

    return invoke


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, text: str) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "tiny.txt"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, corpus: Path, charlm: Invoke) -> Path:
    """The directory of a small finished run without counts, made by the command line; tests only
    read it."""
    out = tmp_path_factory.mktemp("runs")
    result = charlm(
        "train",
        corpus,
        "--out",
        out,
        "--hidden-size",
        16,
        "--steps",
        40,
        "--precision",
        "float32",
        "--device",
        "cpu",
        "--optimizer",
        "adamw",
        "--no-counts",
    )
    assert result.exit_code == 0, result.output
    return out / "tiny"


@pytest.fixture(scope="session")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with names.txt, names.tsv and accents.tsv; tests only read it."""
    path = tmp_path_factory.mktemp("lists")
    listing.write_lists(path)
    return path


@pytest.fixture(scope="session")
def runs(lists: Path, tmp_path_factory: pytest.TempPathFactory, charlm: Invoke) -> dict[str, Path]:
    """A finished run of every kind on these lists; tests only read them."""
    return listing.train_all(lists, tmp_path_factory.mktemp("item-runs"), charlm)
