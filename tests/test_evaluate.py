"""The fast evaluation in parallel streams against the exact pass in one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from charlm.arrays import Ids
from charlm.config import CELLS, ModelConfig
from charlm.engine import Engine
from charlm.models.language import LanguageModel, build
from charlm.surprisal import surprisals
from charlm.training import evaluate

V = 9


def make(cell: str, **more: object) -> LanguageModel:
    config = ModelConfig.resolve(
        vocab_size=V, cell=cell, hidden_size=8, num_layers=2, context=5, **more
    )
    model = build(config, seed=3)
    with torch.no_grad():
        model.head.weight *= 20
    return model


def exact(model: LanguageModel, ids: Ids) -> np.ndarray:
    weights = {name: p.detach().numpy() for name, p in model.named_parameters()}
    return surprisals(Engine(model.config, weights), ids)


def some_ids(length: int) -> Ids:
    return np.random.default_rng(0).integers(0, V, length).astype(np.uint8)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("targets", [1, 2, 127, 255])
def test_one_stream_is_the_exact_pass(cell: str, targets: int) -> None:
    model, ids = make(cell), some_ids(targets + 1)
    assert evaluate.mean_nats(model, ids) == pytest.approx(exact(model, ids).mean(), abs=1e-5)


@pytest.mark.parametrize("cell", ["window", "conv"])
@pytest.mark.parametrize("targets", [256, 64 * 128, 64 * 300])
def test_many_streams_are_exact_for_a_memory_within_the_warm_up(cell: str, targets: int) -> None:
    """Also in the first stretch, which has no text before it: its state must be zero."""
    model, ids = make(cell), some_ids(targets + 1)
    assert evaluate.mean_nats(model, ids) == pytest.approx(exact(model, ids).mean(), abs=2e-6)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_many_streams_are_close_for_a_recurrent_model(cell: str) -> None:
    model, ids = make(cell), some_ids(4 * 150 + 1)
    assert evaluate.mean_nats(model, ids) == pytest.approx(exact(model, ids).mean(), abs=1e-3)


def test_what_does_not_divide_is_left_out_at_the_end() -> None:
    model, ids = make("window"), some_ids(1 + 2 * 150 + 1)
    counted = exact(model, ids)[: 2 * 150]
    assert evaluate.mean_nats(model, ids) == pytest.approx(counted.mean(), abs=2e-6)


def test_a_long_text_is_judged_evenly_by_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "MAX_TARGETS", 64 * 10)
    model, ids = make("window"), some_ids(64 * 200 + 1)
    counted = exact(model, ids).reshape(64, 200)[:, :10]
    assert evaluate.mean_nats(model, ids) == pytest.approx(counted.mean(), abs=2e-6)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids = make("lstm"), some_ids(256 * 3 + 1)
    before = evaluate.mean_nats(model, ids)
    monkeypatch.setattr(evaluate, "CHUNK", 7)
    assert evaluate.mean_nats(model, ids) == pytest.approx(before, abs=1e-6)


def test_an_untrained_model_scores_about_log2_of_the_vocabulary() -> None:
    model = build(ModelConfig.resolve(vocab_size=V, hidden_size=8), seed=1)
    bits = evaluate.mean_nats(model, some_ids(2000)) / math.log(2)
    assert bits == pytest.approx(math.log2(V), abs=0.02)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_and_the_mode_comes_back(training: bool) -> None:
    model, plain, ids = make("gru", dropout=0.5), make("gru"), some_ids(500)
    model.train(training)
    assert evaluate.mean_nats(model, ids) == evaluate.mean_nats(plain, ids)
    assert model.training is training


def test_no_gradient_and_no_change_is_left_behind() -> None:
    model, ids = make("lstm"), some_ids(500)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    torch.manual_seed(1)
    generator = torch.get_rng_state()
    evaluate.mean_nats(model, ids)
    assert torch.equal(torch.get_rng_state(), generator)
    for name, parameter in model.named_parameters():
        assert parameter.grad is None
        assert torch.equal(parameter, before[name])
