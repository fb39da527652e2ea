"""A network that scores as ``Engine`` does, computed by torch on a GPU.

NumPy reads one text at a speed that is set by the memory of the weights: 1.6 ms a character for 17
million parameters, so the last pass over a validation text would take longer than the training.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from charlm.arrays import Floats, Ids, State
from charlm.config import ModelConfig
from charlm.engine import Engine
from charlm.mixture import Predictor
from charlm.models.language import LanguageModel


class DeviceNetwork:
    """``charlm.mixture.Predictor`` on a device, in float32. Arrays go in and come out."""

    def __init__(
        self, device: torch.device, config: ModelConfig, weights: dict[str, Floats]
    ) -> None:
        self._model = LanguageModel(config).eval()
        with torch.no_grad():
            for name, parameter in self._model.named_parameters():
                parameter.copy_(torch.from_numpy(np.asarray(weights[name])))
        self._model.to(device)
        self._device = device

    def initial_state(self, batch_size: int = 1) -> State:
        return tuple(part.cpu().numpy() for part in self._model.initial_state(batch_size))

    def forward(self, ids: Ids, state: State) -> tuple[Floats, State]:
        """ids (B, T) -> logits (B, T, V), and the state after the last id."""
        features, after = self._features(ids, state)
        return self._numbers(features), after

    def last(self, ids: Ids, state: State) -> tuple[Floats, State]:
        """``forward`` for the last character alone: ids (B, T) -> logits (B, V)."""
        features, after = self._features(ids, state)
        return self._numbers(features[:, -1]), after

    def step(self, ids: Ids, state: State) -> tuple[Floats, State]:
        """ids (B,) -> logits (B, V), and the state after them."""
        return self.last(ids[:, None], state)

    @torch.no_grad()
    def _features(self, ids: Ids, state: State) -> tuple[Tensor, State]:
        before = tuple(self._tensor(part) for part in state)
        # cuDNN rounds float32 to 11 bits of significand unless it is told not to.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            features, after = self._model.body(self._tensor(ids.astype(np.int64)), before)
        return features, tuple(part.cpu().numpy() for part in after)

    @torch.no_grad()
    def _numbers(self, features: Tensor) -> Floats:
        logits: Floats = self._model.head(features).cpu().numpy()
        return logits

    def _tensor(self, values: Floats | Ids) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)


def network_on(device: torch.device, config: ModelConfig, weights: dict[str, Floats]) -> Predictor:
    """The faster one on this device: torch on a GPU, the NumPy engine on a processor."""
    if device.type == "cuda":
        return DeviceNetwork(device, config, weights)
    return Engine(config, weights)
