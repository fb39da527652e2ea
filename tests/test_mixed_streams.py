"""Documents in another order in every epoch, and several texts at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm import checkpoint
from charlm.config import ModelConfig, TrainConfig
from charlm.errors import CheckpointError, RequestError, ShortCorpusError
from charlm.text import dataset as data
from charlm.text.dataset import Source
from charlm.text.streams import (
    Batch,
    DocumentStreams,
    MixedStreams,
    Streams,
    document_ends,
    share_rows,
)
from charlm.training.trainer import Trainer

laws = settings(max_examples=60, deadline=None)
Invoke = Callable[..., Result]


def same(one: Batch, other: Batch) -> bool:
    return bool((one.inputs == other.inputs).all() and (one.targets == other.targets).all())


# -------------------------------------------------------------------------------------- documents


@laws
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=30),
    st.integers(1, 3),
    st.integers(1, 6),
    st.integers(0, 2**32),
    st.integers(0, 12),
)
def test_documents_are_the_streams_of_the_text_in_that_order(
    lengths: list[int], B: int, T: int, seed: int, epoch: int
) -> None:
    """The oracle: the documents joined in the order of the epoch, as an array, read as any text."""
    ids = np.arange(sum(lengths))
    if len(ids) - 1 < B * T:
        return
    streams = DocumentStreams(ids, B, T, seed, np.cumsum(lengths))
    parts = np.split(ids, np.cumsum(lengths)[:-1])
    joined = np.concatenate([parts[k] for k in streams.order(epoch)])
    assert sorted(joined.tolist()) == ids.tolist()
    plain = Streams(joined, B, T, seed)
    for window in reversed(range(plain.steps_per_epoch)):
        step = epoch * plain.steps_per_epoch + window
        assert same(streams.batch(step), plain.batch(step))


def test_every_epoch_and_every_seed_has_another_order() -> None:
    ends = np.arange(1, 101) * 5
    orders = [
        DocumentStreams(np.arange(500), 2, 5, seed, ends).order(epoch).tolist()
        for seed in (1, 2)
        for epoch in range(5)
    ]
    assert len({tuple(order) for order in orders}) == 10
    neighbours = [sum(b == a + 1 for a, b in pairwise(o)) for o in orders]
    assert np.mean(neighbours) < 3  # by chance 1 of 99; in the text's own order 99


@laws
@given(st.text("ab|", max_size=60), st.sampled_from(["|", "||", "a|", "aa"]))
def test_documents_end_where_split_says(text: str, separator: str) -> None:
    ids, ends = np.frombuffer(text.encode(), np.uint8), []
    pieces = text.split(separator)
    place = 0
    for number, piece in enumerate(pieces):
        place += len(piece) + (len(separator) if number < len(pieces) - 1 else 0)
        ends.append(place)
    expected = ends[:-1] if len(ends) > 1 and ends[-1] == ends[-2] else ends
    with pytest.MonkeyPatch.context() as patch:
        for size in (3, 1000):
            patch.setattr("charlm.text.streams._SCANNED", size)
            found = document_ends(ids, np.frombuffer(separator.encode(), np.uint8))
            assert found.tolist() == expected


DOCUMENTS = [f"titolo {k}: {'perché ' * (k % 5)}fine" for k in range(60)]


@pytest.fixture
def library(tmp_path: Path) -> str:
    path = tmp_path / "library.txt"
    path.write_text("\n\n".join(DOCUMENTS), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("fractions", [(0.1, 0.0), (0.2, 0.3), (0.0, 0.0)])
def test_no_document_is_divided(library: str, fractions: tuple[float, float]) -> None:
    source = Source((library,), val_fraction=fractions[0], test_fraction=fractions[1])
    whole = Path(library).read_text("utf-8")
    source = Source.from_dict(source.to_dict() | {"separator": "\n\n"})
    texts = data.read(source)
    parts = [str(part) for part in (texts.train, texts.val, texts.test) if part]
    assert "".join(parts) == whole
    assert len(parts) == 1 + sum(map(bool, fractions))
    found = [each for part in parts for each in part.removesuffix("\n\n").split("\n\n")]
    assert found == DOCUMENTS
    cut = int(len(whole) * (1 - sum(fractions)))
    assert cut - 60 < len(parts[0]) <= max(cut, 1)


def test_a_separator_that_is_not_there_is_refused(library: str) -> None:
    with pytest.raises(RequestError, match=r"separator '\|' does not occur in the first"):
        data.read(Source((library,), separator="|"))


def test_an_empty_separator_is_refused(charlm: Invoke, library: str) -> None:
    result = charlm("train", library, "--document-separator", "")
    assert result.exit_code == 2
    assert "--document-separator is empty" in result.stderr


def test_a_separator_that_is_folded_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rare.txt"
    path.write_text("abab" * 20 + "|" + "abab" * 20)
    texts = data.read(Source((str(path),), separator="|"))
    with pytest.raises(RequestError, match="is read as the unknown symbol; lower --min-count"):
        data.encode(texts, data.choose_tokenizer(texts, min_count=2))


# ------------------------------------------------------------------------------------------ mixes


@laws
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=8), st.integers(8, 200))
def test_rows_are_shared_by_weight(weights: list[float], rows: int) -> None:
    shares = share_rows(weights, rows)
    assert sum(shares) == rows and min(shares) >= 1
    exact = [rows * weight / sum(weights) for weight in weights]
    if min(exact) >= 1:
        assert all(abs(a - b) < 1 for a, b in zip(shares, exact, strict=True))


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(RequestError, match="--mix has 3 texts, but a batch has 2 rows"):
        share_rows([1, 1, 1], 2)


def test_a_mix_is_its_texts_side_by_side() -> None:
    one, other = Streams(np.arange(100), 3, 5, seed=1), Streams(np.arange(1000, 1050), 1, 5, seed=2)
    mixed = MixedStreams([one, other])
    assert (mixed.batch_size, mixed.seq_len) == (4, 5)
    restarts = []
    for step in reversed(range(40)):
        batch = mixed.batch(step)
        assert same(batch.rows(slice(0, 3)), one.batch(step))
        assert same(batch.rows(slice(3, 4)), other.batch(step))
        began = [one.batch(step).starts_epoch] * 3 + [other.batch(step).starts_epoch]
        found = [batch.starts_epoch] * 4 if batch.restarts is None else batch.restarts.tolist()
        assert found == began
        restarts.append(batch.restarts is not None)
    assert any(restarts)


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "a.txt").write_text("le vie della città\n" * 40, encoding="utf-8")
    (tmp_path / "b.txt").write_text("0123456789" * 30)
    return str(tmp_path / "a.txt"), str(tmp_path / "b.txt")


def mixed_dataset(two: tuple[str, str], **options: Any) -> data.Dataset:
    texts = data.read(Source(two, weights=(3, 1), **options))
    return data.encode(texts, data.choose_tokenizer(texts))


def test_each_text_is_divided_by_itself(two: tuple[str, str]) -> None:
    texts = data.read(Source(two, weights=(3, 1), test_fraction=0.1))
    contents = [Path(each).read_text("utf-8") for each in two]
    cuts = [[int(len(c) * part) for part in (0.8, 0.9)] for c in contents]
    for number, part in enumerate((texts.train, texts.val, texts.test)):
        expected = [
            c[([0, *cut])[number] : ([*cut, None])[number]]
            for c, cut in zip(contents, cuts, strict=True)
        ]
        assert str(part) == "".join(expected)
    dataset = mixed_dataset(two)
    assert [length for length, _ in dataset.mix] == [
        int(len(content) * 0.9) for content in contents
    ]


def test_three_of_four_rows_are_of_the_first_text(two: tuple[str, str]) -> None:
    dataset = mixed_dataset(two)
    streams = dataset.streams(8, 10, 1)
    for step in range(30):
        texts = [dataset.tokenizer.decode(row) for row in streams.batch(step).inputs]
        assert [text.isdigit() for text in texts] == [False] * 6 + [True] * 2


def test_a_text_too_short_for_its_rows_is_named(two: tuple[str, str]) -> None:
    with pytest.raises(ShortCorpusError, match="text 1 of --mix: the training part has 684"):
        mixed_dataset(two).streams(64, 32, 1)


CONFIG = TrainConfig(
    batch_size=4,
    seq_len=10,
    steps=60,
    learning_rate=0.01,
    precision="float32",
    eval_every=20,
    save_every=20,
)


def trainer_of(dataset: data.Dataset) -> Trainer:
    model = ModelConfig.resolve(vocab_size=dataset.tokenizer.vocab_size, hidden_size=6)
    return Trainer(model, CONFIG, dataset, Source(("a",)))


def test_only_the_rows_that_begin_anew_forget(two: tuple[str, str]) -> None:
    trainer = trainer_of(mixed_dataset(two))
    step = next(s for s in range(1, 60) if trainer.streams.batch(s).restarts is not None)
    batch = trainer.streams.batch(step)
    assert batch.restarts is not None
    state = tuple(torch.randn_like(each) for each in trainer.state)
    _, _, after = trainer.learning.objective(trainer.model, batch, state)
    for fresh in (False, True):
        whole = trainer.model.initial_state(4) if fresh else state
        inputs = torch.from_numpy(batch.inputs.astype(np.int64))
        _, expected = trainer.model(inputs, whole)
        rows = np.flatnonzero(batch.restarts == fresh)
        assert len(rows)
        for one, other in zip(after, expected, strict=True):
            torch.testing.assert_close(one[:, rows], other[:, rows])


@pytest.mark.parametrize("more", [(), ("--document-separator", r"\n")])
def test_a_mix_of_documents_is_trained_and_resumed_exactly(
    charlm: Invoke, two: tuple[str, str], tmp_path: Path, more: tuple[str, ...]
) -> None:
    if more:
        Path(two[1]).write_text("0123456789\n" * 30)
    common = ["train", "--mix", f"{two[0]}=3", f"{two[1]}=1", *more, "--steps", "20"]
    common += ["--batch-size", "4", "--seq-len", "10", "--hidden-size", "8", "--out", str(tmp_path)]
    charlm(*common, "--name", "whole")
    charlm(*common, "--name", "parts", "--stop-at", "10")
    charlm("train", "--resume", "parts", "--out", str(tmp_path))
    found = [
        checkpoint.weights_sha256(checkpoint.read(tmp_path / name / "best.safetensors"))
        for name in ("whole", "parts")
    ]
    assert found[0] == found[1]
    moved = [str(Path(each).rename(tmp_path / f"moved-{k}")) for k, each in enumerate(two)]
    result = charlm(
        "eval", str(tmp_path / "whole"), "--corpus", moved[0], "--corpus", moved[1], "--json"
    )
    assert json.loads(result.stdout)["characters"] > 50


@pytest.mark.parametrize("wrong", ["a.txt", "a.txt=", "a.txt=0", "a.txt=-1", "=2", "a.txt=inf"])
def test_a_wrong_weight_is_refused(charlm: Invoke, wrong: str) -> None:
    result = charlm("train", "--mix", wrong, "b.txt=1")
    assert result.exit_code == 2
    assert f"FILE=WEIGHT for every text, with a weight above 0, not {wrong};" in result.stderr


def test_a_source_without_them_is_stored_as_before() -> None:
    assert set(Source(("a",)).to_dict()) == {
        *("sources", "encoding", "newline", "val_fraction", "val_sources")
    }
    source = Source(("a", "b"), weights=(3, 1.5), separator="\n\n")
    assert Source.from_dict(json.loads(json.dumps(source.to_dict()))) == source


@pytest.mark.parametrize(
    "damage", [{"weights": [1]}, {"weights": [1, 0]}, {"weights": "12"}, {"separator": 3}]
)
def test_a_damaged_source_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="the description of the corpus is damaged"):
        Source.from_dict(Source(("a", "b")).to_dict() | damage)
