"""A device that computes wrongly is found out before it trains."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from charlm.config import RECURRENT_CELLS, ModelConfig
from charlm.errors import RequestError
from charlm.models.language import build
from charlm.training import parity


def shape(cell: str = "lstm", **more: object) -> ModelConfig:
    return ModelConfig.resolve(vocab_size=9, cell=cell, hidden_size=6, num_layers=2, **more)


@pytest.mark.parametrize("cell", RECURRENT_CELLS)
@pytest.mark.parametrize("tie", [False, True])
def test_a_processor_agrees_with_the_engine(cell: str, tie: bool) -> None:
    model = build(shape(cell, tie=tie), seed=1)
    worst, where = parity.difference(model, model)
    assert worst < 1e-5, where


def test_a_wrong_second_layer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device whose LSTM returns the first layer's output for the second."""
    right, wrong = build(shape(), seed=1), build(shape(), seed=1)
    layer = wrong.body.layers[1]
    assert isinstance(layer, nn.LSTM)
    real = nn.LSTM.forward

    def forward(x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        y, after = real(layer, x, state)
        return 0.9 * y, after

    monkeypatch.setattr(layer, "forward", forward)
    worst, where = parity.difference(right, wrong)
    assert worst > 0.01
    assert "gradient" in where or where == "the loss"


@pytest.mark.parametrize("worst", [0.2, float("nan"), float("inf")])
def test_a_device_that_is_wrong_is_refused(worst: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "difference", lambda *models: (worst, "the loss"))
    with pytest.raises(RequestError, match="computes this model wrongly: the loss differs"):
        parity.check(shape(), torch.device("meta"))
    for trusted in ("cpu", "cuda"):
        parity.check(shape(), torch.device(trusted))
    parity.check(ModelConfig.resolve(cell="conv"), torch.device("meta"))
    monkeypatch.setattr(parity, "difference", lambda *models: (1e-6, "the loss"))
    parity.check(shape(), torch.device("meta"))


def test_a_gradient_that_is_not_a_number_is_the_worst() -> None:
    right, wrong = build(shape(), seed=1), build(shape(), seed=1)
    with torch.no_grad():
        wrong.head.bias[0] = float("nan")
    worst, _ = parity.difference(right, wrong)
    assert np.isnan(worst)
