"""The weights of a trained reader in a safetensors file. Reading one checks its names, its shapes,
what it says about itself, its values and its checksum.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import nn

from charlm import tensorfile
from charlm.errors import CheckpointError
from charlm.files import write_atomically
from charlm.tensorfile import Tensors

FORMAT = "charlm-reader/1"


class Config(Protocol):
    """What a reader is built from: a ``ModelConfig``, or an experiment's own."""

    def to_json(self) -> str: ...

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """The inverse of ``to_json`` after parsing; ValueError for anything else."""
        ...


NOTHING: Mapping[str, str] = {}


def weights_of(module: nn.Module) -> Tensors:
    """A copy of the parameters as NumPy arrays, by their names."""
    return {
        name: parameter.detach().cpu().numpy().copy()
        for name, parameter in module.named_parameters()
    }


@torch.no_grad()
def fill(module: nn.Module, weights: Tensors) -> None:
    """Set the parameters of ``module`` to ``weights``, and its mode to evaluation."""
    for name, parameter in module.named_parameters():
        parameter.copy_(torch.from_numpy(weights[name]))
    module.eval()


def save(
    path: Path,
    module: nn.Module,
    name: str,
    config: Config,
    facts: Mapping[str, str] = NOTHING,
) -> None:
    """Write the weights of the reader ``name`` atomically. OSError or CheckpointError if that
    fails.

    facts: what else the file says about itself; ``load`` compares it
    """
    said = _said(name, config, facts)
    data = tensorfile.dump(weights_of(module), said, too_long="remove characters")
    write_atomically(path, data)


def load(
    path: Path,
    module: nn.Module,
    name: str,
    config: Config,
    facts: Mapping[str, str] = NOTHING,
) -> None:
    """Fill ``module`` with the weights of a file. CheckpointError if ``save`` did not write it for
    this name, this configuration and these facts."""
    shapes = {key: ("float32", tuple(p.shape)) for key, p in module.named_parameters()}
    expected = _said(name, config, facts)
    try:
        with tensorfile.opened(path) as (file, size):
            described, metadata = tensorfile.read_header(file, size)
            said = {key: metadata.get(key) for key in expected}
            said["config"] = _with_every_field(said["config"], type(config))
            if described != shapes or said != expected:
                raise CheckpointError(f"not the {name} of this experiment")
            weights = tensorfile.read_tensors(file, size, metadata)
            if not all(np.isfinite(value).all() for value in weights.values()):
                raise CheckpointError("damaged: it holds values that are not finite")
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {remedy(path)}") from error
    fill(module, weights)


def remedy(path: Path) -> str:
    """What to do about a damaged file. A reader counts as trained if the JSON file of its results
    exists."""
    return f"remove {path.with_suffix('.json').name} and continue with --resume"


def _said(name: str, config: Config, facts: Mapping[str, str]) -> dict[str, str]:
    """What the file of a reader says about it."""
    return {"format": FORMAT, "reader": name, "config": config.to_json(), **facts}


def _with_every_field(config: str | None, kind: type[Config]) -> str:
    """The configuration of a file, with the fields that did not exist when it was written."""
    try:
        return kind.from_dict(tensorfile.parse_json(config or "null")).to_json()
    except ValueError as error:
        raise CheckpointError(f"damaged: its configuration ({error!s:.60})") from error
