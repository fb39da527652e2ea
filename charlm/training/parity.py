"""Whether a device computes a model as the NumPy engine does, forward and backward.

torch's ``nn.LSTM`` on Apple's ``mps`` has returned wrong outputs for several layers with dropout.
So a run on a device that is neither a processor nor CUDA begins with one window that is computed
twice, and does not begin if the two differ. ``charlm.engine`` and ``charlm.bptt`` are the
reference; dropout is off, since each side would draw other masks.
"""

from __future__ import annotations

import numpy as np
import torch

from charlm.bptt import backward
from charlm.config import ModelConfig
from charlm.engine import Weights
from charlm.errors import RequestError
from charlm.models.language import LanguageModel, build, loss_sum
from charlm.training.step import gradients_of

TRUSTED = ("cpu", "cuda")
TOLERANCE = 1e-3
"""Largest relative difference. In float32 it is about 1e-6; a wrong layer makes it about 1."""

B, T = 3, 7


def check(config: ModelConfig, device: torch.device) -> None:
    """RequestError if ``device`` is not trusted and computes the model wrongly.

    Models that are not recurrent have no hand-written backward pass and are not checked.
    """
    if device.type in TRUSTED or not config.recurrent:
        return
    model = build(config, seed=0)
    worst, where = difference(model, model.to(device))
    if not worst <= TOLERANCE:
        raise RequestError(
            f"--device {device} computes this model wrongly: {where} differs from the reference by "
            f"{100 * worst:.2g} %; give --device cpu"
        )


def difference(reference: LanguageModel, model: LanguageModel) -> tuple[float, str]:
    """The largest relative difference of loss and gradients for one window, and of what.

    reference: its parameters are taken; ``model``: computes with its own, on its device
    """
    config = reference.config
    rng = np.random.default_rng(0)
    inputs, targets = rng.integers(0, config.vocab_size, (2, B, T))
    weights: Weights = {
        name: parameter.detach().cpu().numpy().astype(np.float64)
        for name, parameter in reference.named_parameters()
    }
    state = tuple(np.zeros(shape) for shape in config.state_shapes(B))
    expected = backward(config, weights, inputs, targets, state)
    device = model.head.bias.device
    model.eval()
    logits, _ = model(torch.from_numpy(inputs).to(device), model.initial_state(B))
    total = loss_sum(logits, torch.from_numpy(targets).to(device))
    named = dict(model.named_parameters())
    found = gradients_of(total, list(named.values()))
    differences = {"the loss": abs(total.item() - expected.nats) / expected.nats}
    for name, gradient in zip(named, found, strict=True):
        right = expected.gradients[name]
        off = float(np.linalg.norm(gradient.detach().cpu().numpy() - right))
        differences[f"the gradient of {name}"] = off / max(1e-9, float(np.linalg.norm(right)))
    # A value that is not a number is the worst of all.
    where = max(differences, key=lambda each: np.nan_to_num(differences[each], nan=np.inf))
    return differences[where], where
