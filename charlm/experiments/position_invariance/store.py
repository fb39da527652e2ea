"""A trained reader as a safetensors file. Reading one checks its names, shapes and checksum.

The file of a writer is an ordinary charlm model, so ``charlm sample`` can use it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from charlm import checkpoint, tensorfile
from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig
from charlm.errors import CheckpointError
from charlm.experiments.position_invariance.readers import (
    END,
    KINDS,
    SEPARATOR,
    AnyReader,
    Reader,
    Vocabulary,
    Writer,
    build,
    shape,
)
from charlm.files import write_atomically
from charlm.tensorfile import Tensors
from charlm.text.tokenizer import CharTokenizer

FORMAT = "charlm-reader/1"


def vocabulary(config: dict[str, Any]) -> Vocabulary:
    """The vocabulary of an experiment, from the configuration of its grid."""
    design = config["design"]
    answers = design["trained"] + design["held_out"]
    alphabet = "".join(sorted(set("".join(answers))))
    characters = sorted(set(config["characters"]) | set(alphabet) | {SEPARATOR, END})
    tokenizer = CharTokenizer("".join(characters), unknown=True)
    return Vocabulary(tokenizer, alphabet, int(config["width"]), min(map(len, answers)))


def save(path: Path, reader: AnyReader) -> None:
    """Write the weights of a reader atomically. OSError or CheckpointError if that fails."""
    module = reader.model if isinstance(reader, Writer) else reader
    weights = {
        name: parameter.detach().cpu().numpy().copy()
        for name, parameter in module.named_parameters()
    }
    if isinstance(reader, Writer):
        provenance = {"corpus": "position-invariance", "commonest": SEPARATOR}
        file = Checkpoint(reader.config, reader.vocabulary.tokenizer, weights, provenance)
        checkpoint.write(path, file)
        return
    write_atomically(path, tensorfile.dump(weights, _said(reader), too_long="remove characters"))


@torch.no_grad()
def load(path: Path, name: str, words: Vocabulary) -> AnyReader:
    """Read a reader of the kind ``name``. CheckpointError if ``save`` did not write the file."""
    kind = KINDS[name]
    reader = build(kind, shape(kind, words), words, seed=0)
    if isinstance(reader, Writer):
        try:
            saved = checkpoint.read(path)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; {_remedy(path)}") from error
        if saved.config != reader.config or saved.tokenizer.to_dict() != words.tokenizer.to_dict():
            raise CheckpointError(f"{path}: not the {name} of this experiment; {_remedy(path)}")
        weights: Tensors = saved.weights
        module: torch.nn.Module = reader.model
    else:
        weights = _read(path, reader)
        module = reader
    for parameter_name, parameter in module.named_parameters():
        parameter.copy_(torch.from_numpy(weights[parameter_name]))
    reader.eval()
    return reader


def _read(path: Path, reader: Reader) -> Tensors:
    shapes = {name: ("float32", tuple(p.shape)) for name, p in reader.named_parameters()}
    try:
        with tensorfile.opened(path) as (file, size):
            described, metadata = tensorfile.read_header(file, size)
            said = {key: metadata.get(key) for key in _said(reader)}
            said["config"] = _with_every_field(said["config"])
            if described != shapes or said != _said(reader):
                raise CheckpointError(f"not the {reader.kind.name} of this experiment")
            weights = tensorfile.read_tensors(file, size, metadata)
            if not all(np.isfinite(value).all() for value in weights.values()):
                raise CheckpointError("damaged: it holds values that are not finite")
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {_remedy(path)}") from error
    return weights


def _said(reader: Reader) -> dict[str, str]:
    """What the file of a reader says about it."""
    return {"format": FORMAT, "reader": reader.kind.name, "config": reader.config.to_json()}


def _with_every_field(config: str | None) -> str:
    """The configuration of a file, with the fields that did not exist when it was written."""
    try:
        return ModelConfig.from_dict(tensorfile.parse_json(config or "null")).to_json()
    except ValueError as error:
        raise CheckpointError(f"damaged: its configuration ({error!s:.60})") from error


def _remedy(path: Path) -> str:
    """A reader counts as trained if the JSON file of its results exists."""
    return f"remove {path.with_suffix('.json').name} and continue with --resume"
