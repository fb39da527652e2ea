"""The network on a device against the NumPy engine, on the one device that is always there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from test_train import Listener, dataset_of, make, new_run, settings

from charlm import checkpoint
from charlm.config import CELLS, ModelConfig
from charlm.engine import Engine
from charlm.models.language import build
from charlm.models.predictor import DeviceNetwork, network_on
from charlm.training import summary

CPU = torch.device("cpu")
V = 9


@pytest.mark.parametrize("cell", CELLS)
def test_the_network_on_a_device_is_the_engine(cell: str) -> None:
    """Whole texts, one character and the last character, with the state carried between them."""
    shape = {"hidden_size": 12, "num_layers": 2, "context": 4, "dropout": 0.5}
    config = ModelConfig.resolve(
        vocab_size=V, cell=cell, embedding_dropout=0.5, **shape
    )  # dropout must not act
    model = build(config, seed=1)
    weights = {name: p.detach().numpy() for name, p in model.named_parameters()}
    engine, device = Engine(config, weights), DeviceNetwork(CPU, config, weights)
    rng = np.random.default_rng(2)
    ours, theirs = device.initial_state(3), engine.initial_state(3)
    for method in ("forward", "step", "last", "forward"):
        ids = rng.integers(0, V, 3 if method == "step" else (3, 11))
        found, ours = getattr(device, method)(ids, ours)
        expected, theirs = getattr(engine, method)(ids, theirs)
        assert found.shape == expected.shape and found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=2e-5)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-5)


def test_a_processor_takes_the_engine() -> None:
    config = ModelConfig.resolve(vocab_size=V, hidden_size=4)
    weights = {n: p.detach().numpy() for n, p in build(config, seed=1).named_parameters()}
    assert isinstance(network_on(CPU, config, weights), Engine)


def test_a_run_ends_with_the_same_losses_on_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "the cat sat on the mat and the rat sat on the cat. " * 40
    dataset = dataset_of(text, text[:300][::-1])
    run = new_run(tmp_path / "run")
    make(dataset, settings(steps=5)).run(run, Listener())
    plain = checkpoint.read(run.best)
    losses = []
    for kind in (Engine, lambda *given: DeviceNetwork(CPU, *given)):
        checkpoint.write(run.best, plain)
        run.counts.unlink(missing_ok=True)
        monkeypatch.setattr(summary, "network_on", lambda device, *given, kind=kind: kind(*given))
        found = summary.finish(run, dataset, with_counts=True)
        assert isinstance(found, summary.Summary)
        assert found.apart is not None and found.counts is not None
        assert isinstance(found.counts.weights.network, float)
        losses.append([part.nats_per_char for part in found.apart])
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
