"""Rows in blocks: the gradient of the whole batch, whatever the number of blocks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import covering
from test_train import new_run, weights
from torch import Tensor, nn

from charlm import checkpoint
from charlm.config import CELLS, ModelConfig, TrainConfig
from charlm.errors import DivergenceError
from charlm.models.bodies import Dropout, TensorState
from charlm.models.language import LanguageModel, build
from charlm.text.dataset import Dataset, Source
from charlm.text.streams import Batch
from charlm.training.optim import Optimizers
from charlm.training.rows import Blocks, Split, cut, default_blocks, seed_dropout
from charlm.training.step import update, update_in_blocks
from charlm.training.trainer import Trainer


def settings(**options: Any) -> TrainConfig:
    fixed: dict[str, Any] = {
        "batch_size": 7,
        "seq_len": 6,
        "optimizer": "sgd",
        "learning_rate": 0.5,
        "warmup": 0,
        "weight_decay": 0.0,
        "clip": 0.0,
        "steps": 100,
        "precision": "float32",
        "eval_every": 10,
        "save_every": 10,
    }
    return TrainConfig(**(fixed | options))


def batch(seed: int = 0, rows: int = 7) -> Batch:
    ids = np.random.default_rng(seed).integers(0, 11, (rows, 7))
    return Batch(ids[:, :-1], ids[:, 1:], 0, False)


def objective(
    model: nn.Module, batch: Batch, state: TensorState
) -> tuple[Tensor, int, TensorState]:
    logits, state = model(torch.from_numpy(batch.inputs), state)
    targets = torch.from_numpy(batch.targets).flatten()
    # loss_sum would round to float32.
    total = nn.functional.cross_entropy(logits.flatten(0, 1), targets, reduction="sum")
    return total, batch.targets.size, state


def small(cell: str = "lstm", **shape: Any) -> LanguageModel:
    return build(
        ModelConfig.resolve(vocab_size=11, cell=cell, hidden_size=8, context=3, **shape), seed=1
    )


@pytest.mark.parametrize(("cell", "blocks"), covering(CELLS, [2, 3, 7]))
def test_the_gradient_is_that_of_the_whole_batch_to_rounding(cell: str, blocks: int) -> None:
    """In float64, where an error of a row or of the count could not pass for rounding."""
    whole, parts = small(cell).double(), small(cell).double()
    config = settings()
    state = tuple(torch.randn_like(s) for s in whole.initial_state(7))
    nats, after = update(
        whole, Optimizers(whole, config), objective, batch(), state, config, step=0
    )
    threads = Blocks(parts, blocks)
    found, blocked = update_in_blocks(
        *(parts, threads, Optimizers(parts, config), objective, batch(), Batch.rows),
        *(state, config, 0),
    )
    threads.close()
    assert found == pytest.approx(nats, rel=1e-12)
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    for a, b in zip(after, blocked, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
        assert not b.requires_grad
    untouched = small(cell).double()
    assert any(
        not torch.allclose(one, other, atol=1e-6)
        for one, other in zip(whole.parameters(), untouched.parameters(), strict=True)
    )


def test_slices_cover_every_row_once() -> None:
    for rows in (1, 5, 16, 64):
        for blocks in range(1, rows + 1):
            slices = cut(rows, blocks)
            assert [r for each in slices for r in range(rows)[each]] == list(range(rows))
            sizes = [each.stop - each.start for each in slices]
            assert max(sizes) - min(sizes) <= 1 and min(sizes) > 0


def trainer(dataset: Dataset, *, blocks: int, dropout: float = 0.3, **options: Any) -> Trainer:
    shape = ModelConfig.resolve(
        vocab_size=dataset.tokenizer.vocab_size, hidden_size=8, num_layers=2, dropout=dropout
    )
    config = settings(**{"batch_size": 6, "row_blocks": blocks, "optimizer": "muon"} | options)
    return Trainer(shape, config, dataset, Source(("tiny",)))


def trained(dataset: Dataset, **options: Any) -> dict[str, Any]:
    made = trainer(dataset, **options)
    for step in range(6):
        made.update(made.streams.batch(step))
    return made.weights()


def test_dropout_in_blocks_is_the_same_at_every_run_and_differs_between_blocks(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []

    def spied(model: nn.Module, seed: int) -> None:
        seeds.append(seed)
        seed_dropout(model, seed)

    monkeypatch.setattr("charlm.training.step.seed_dropout", spied)
    one, again = trained(dataset, blocks=3), trained(dataset, blocks=3)
    for name, value in one.items():
        np.testing.assert_array_equal(value, again[name])
    assert len(seeds) == 2 * len(set(seeds)) == 2 * 6 * 3  # two runs of six steps of three blocks
    other = trained(dataset, blocks=2)
    assert any((one[name] != other[name]).any() for name in one)
    masks = []
    model = nn.Sequential(Dropout(0.5))
    blocks = Blocks(model, 2)
    for number, copy in enumerate(blocks.models):
        seed_dropout(copy, seed=10 + number)
        masks.append(copy(torch.ones(500)))
    blocks.close()
    assert not torch.equal(masks[0], masks[1])
    assert set(masks[0].tolist()) == {0.0, 2.0}
    assert 200 < int((masks[0] > 0).sum()) < 300


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999999])
def test_dropout_of_its_own_keeps_the_right_share_and_the_mean(share: float) -> None:
    layer = Dropout(share)
    layer.generator = torch.Generator().manual_seed(1)
    x = torch.ones(1001, 203, requires_grad=True)  # no multiple of four
    y = layer(x)
    kept = float((y > 0).float().mean())
    expected = max(1 - share, 1 / 65_536)
    assert kept == pytest.approx(expected, abs=5 * (expected / x.numel()) ** 0.5)
    torch.testing.assert_close(y[y > 0], torch.full_like(y[y > 0], 1 / expected), rtol=1e-4, atol=0)
    columns = (y > 0).float().mean(0)
    assert float(columns.std()) < 2 * (expected / 1001) ** 0.5  # no lane is favoured
    y.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, y.detach())
    layer.eval()
    assert layer(x) is x


def test_without_dropout_the_number_of_blocks_changes_only_rounding(dataset: Dataset) -> None:
    one, other = (trained(dataset, blocks=n, dropout=0.0, optimizer="adamw") for n in (1, 3))
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=1e-3, atol=1e-4)


def test_the_copies_share_their_parameters_and_nothing_else() -> None:
    model = small(num_layers=2, dropout=0.5)
    blocks = Blocks(model, 2)
    for copy in blocks.models:
        for one, other in zip(model.parameters(), copy.parameters(), strict=True):
            assert one is other
        assert copy.training
        assert isinstance(copy, LanguageModel) and copy.body.dropout is not model.body.dropout
    model.eval()
    assert all(copy.training for copy in blocks.models)
    blocks.close()


def test_what_is_not_finite_in_one_block_is_refused_before_anything_is_changed(
    dataset: Dataset,
) -> None:
    made = trainer(dataset, blocks=3)
    made.update(made.streams.batch(0))
    before = made.weights()
    slots = {name: value.clone() for name, value in made.optimizers.tensors().items()}
    hidden = made.state[0].clone()
    hidden[0, 5, 2] = float("nan")  # one unit of the last row
    made.state = (hidden, *made.state[1:])
    with pytest.raises(DivergenceError, match=r"^step 1: loss nan"):
        made.update(made.streams.batch(1))
    assert made.progress.step == 1
    for name, value in made.weights().items():
        np.testing.assert_array_equal(value, before[name])
    assert all(torch.equal(value, slots[k]) for k, value in made.optimizers.tensors().items())


def test_an_error_of_a_block_is_the_error_of_the_step() -> None:
    model, config = small(), settings()

    def broken(model: nn.Module, batch: Batch, state: TensorState) -> Any:
        raise ValueError("of a block")

    blocks = Blocks(model, 2)
    with pytest.raises(ValueError, match="of a block"):
        update_in_blocks(
            *(model, blocks, Optimizers(model, config), broken, batch(), Batch.rows),
            *(model.initial_state(7), config, 0),
        )
    blocks.close()


def test_small_lstms_on_processors_get_a_block_for_each_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("meta")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    model = ModelConfig.resolve(hidden_size=256)
    assert default_blocks(model, 64, cpu) == 3
    assert default_blocks(model, 32, cpu) == 2
    assert default_blocks(model, 4, cpu) == 1
    assert default_blocks(model, 64, gpu) == 1
    assert default_blocks(dataclasses.replace(model, hidden_size=512), 64, cpu) == 1
    for cell in ("gru", "rnn", "window", "conv"):
        assert default_blocks(ModelConfig.resolve(cell=cell), 64, cpu) == 1


def test_the_blocks_of_a_run_s_progress_are_used_stored_and_resumed(
    dataset: Dataset, tmp_path: Path
) -> None:
    """Two blocks from step 3 on: as a run of two blocks from there, and after a resume as well."""
    config: dict[str, Any] = {"steps": 8, "eval_every": 100, "save_every": 3}
    split = Split(blocks=2, other=1, usual=1e6)
    one, two = trainer(dataset, blocks=1, **config), trainer(dataset, blocks=1, **config)
    run = new_run(tmp_path / "run")
    for each in (one, two):
        for step in range(3):
            each.update(each.streams.batch(step))
        each.progress.split = split
    two.save(run)
    resumed = trainer(dataset, blocks=1, **config)
    resumed.restore(checkpoint.read(run.last))
    assert resumed.progress.split == split
    in_two = trainer(dataset, blocks=2, **config)
    in_two.restore(checkpoint.read(run.last))
    in_two.progress.split = None
    without = trainer(dataset, blocks=1, **config)
    without.restore(checkpoint.read(run.last))
    without.progress.split = None
    found = []
    for each in (one, resumed, in_two, without):
        for step in range(3, 8):
            each.update(each.streams.batch(step))
        found.append(weights(each))
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[3])  # other dropout masks
