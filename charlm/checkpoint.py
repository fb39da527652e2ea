"""A model as one safetensors file: written atomically, checked before use, never a pickle.

After the header (``charlm.tensorfile``), the configuration and the vocabulary are checked, and then
the names, types and shapes of the tensors, which the configuration determines. Only then are the
tensors read and the checksum compared.

Metadata, each value a JSON string:

    format      "charlm/1"
    config      the ModelConfig
    tokenizer   the vocabulary
    provenance  corpus name and SHA-256, split, steps, validation bits per character, versions
    items       only of a model of items: its end symbol and its labels (see charlm.itemfacts)
    training    only in a file from which training can be resumed (see charlm.training.state)
    sha256      of all of the above and of the tensors

Tensors: the model's parameters under their torch names, in float32; in a resumable file also
``optimizer:PARAMETER/SLOT`` and ``state:N`` (float32, int64 or uint8: NumPy has no bfloat16).
All values are finite.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from charlm import tensorfile
from charlm.config import ModelConfig
from charlm.errors import CheckpointError
from charlm.files import write_atomically
from charlm.itemfacts import ItemFacts
from charlm.tensorfile import Described, Tensors, brief, digest
from charlm.text.tokenizer import Tokenizer, tokenizer_from_dict, tokenizer_to_json

FORMAT = "charlm/1"

# What an optimizer stores for a parameter: a scalar, or a tensor of the parameter's shape
# (charlm.training.optim).
_SLOTS = ("step", "momentum_buffer", "exp_avg", "exp_avg_sq", "square_avg")


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a model file. ``training`` is None if training cannot be resumed from it.

    ``weights`` are the parameters by name, ``extra`` the tensors that resuming needs. Raises
    CheckpointError if the parts do not fit together or if a value is not finite.
    """

    config: ModelConfig
    tokenizer: Tokenizer
    weights: Tensors
    provenance: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] | None = None
    extra: Tensors = field(default_factory=dict)
    items: ItemFacts | None = None

    def __post_init__(self) -> None:
        tensors = {**self.weights, **self.extra}
        if len(tensors) < len(self.weights) + len(self.extra):
            raise CheckpointError("a name is used for a parameter and for another tensor")
        described = {name: (str(value.dtype), value.shape) for name, value in tensors.items()}
        _check_items(self.config, self.tokenizer, self.items)
        _check_belong(self.config, self.tokenizer, self.training, described)
        for name, value in tensors.items():
            if value.dtype == np.float32 and not np.isfinite(value).all():
                raise CheckpointError(f"tensor {name} holds values that are not finite")


@dataclass(frozen=True)
class Header:
    """The metadata of a model file, without its tensors.

    All checks of ``read`` have been made except that of the checksum, which covers the tensors too.
    So use a header only to find things that have a checksum of their own, such as the corpus.
    """

    config: ModelConfig
    tokenizer: Tokenizer
    provenance: dict[str, Any]
    training: dict[str, Any] | None
    items: ItemFacts | None = None


def write(path: Path, checkpoint: Checkpoint, *, keep_as: Path | None = None) -> None:
    """Write ``checkpoint`` to ``path``, atomically and durably (see ``write_atomically``).

    Raises CheckpointError if the file cannot be written; the old file is then unchanged.
    """
    try:
        write_atomically(path, dump(checkpoint), keep_as=keep_as)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be written ({error.strerror or error}); earlier checkpoints are "
            "unchanged"
        ) from error


def dump(checkpoint: Checkpoint) -> bytes:
    """The bytes of a model file. Raises CheckpointError if the header is too long for ``read``."""
    metadata = {
        "format": FORMAT,
        "config": checkpoint.config.to_json(),
        "tokenizer": tokenizer_to_json(checkpoint.tokenizer),
        "provenance": json.dumps(checkpoint.provenance, sort_keys=True, allow_nan=False),
    }
    if checkpoint.items is not None:
        metadata["items"] = json.dumps(checkpoint.items.to_dict(), sort_keys=True)
    if checkpoint.training is not None:
        metadata["training"] = json.dumps(checkpoint.training, sort_keys=True, allow_nan=False)
    return tensorfile.dump(
        {**checkpoint.weights, **checkpoint.extra},
        metadata,
        too_long="vocabulary, provenance and sources are more than a model file can hold; give a "
        "directory instead of its files",
    )


def read(path: Path) -> Checkpoint:
    """Read and verify a model file.

    Raises CheckpointError if the file was not written by charlm or has changed since.
    """
    with tensorfile.opened(path) as (file, size):
        return _read(file, size)


def read_header(path: Path) -> Header:
    """Read and check the header of a model file and no tensor.

    Raises CheckpointError like ``read``.
    """
    with tensorfile.opened(path) as (file, size):
        return _read_header(file, size)[0]


def parse(data: bytes) -> Checkpoint:
    """The inverse of ``dump``; CheckpointError as in ``read``."""
    return _read(io.BytesIO(data), len(data))


def weights_sha256(checkpoint: Checkpoint) -> str:
    """SHA-256 of the parameters. Models with the same hash and vocabulary generate the same text.

    The provenance and the state of the training are not part of it.
    """
    return digest({}, checkpoint.weights)


def state_sha256(checkpoint: Checkpoint) -> str:
    """SHA-256 of parameters, optimizer and hidden state. Runs with the same hash continue alike."""
    return digest({}, {**checkpoint.weights, **checkpoint.extra})


def _read_header(file: BinaryIO, size: int) -> tuple[Header, dict[str, str]]:
    """The checked header, and the metadata as text."""
    entries, metadata = tensorfile.read_header(file, size)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"not a charlm model (format {brief(metadata.get('format'))})")
    keys = ("config", "tokenizer", "provenance", "items", "training")
    parts = {
        key: tensorfile.parse_object(metadata, key)
        for key in keys
        if key not in ("items", "training") or key in metadata
    }
    header = Header(
        config=ModelConfig.from_dict(parts["config"]),
        tokenizer=tokenizer_from_dict(parts["tokenizer"]),
        provenance=parts["provenance"],
        training=parts.get("training"),
        items=ItemFacts.from_dict(parts["items"]) if "items" in parts else None,
    )
    _check_items(header.config, header.tokenizer, header.items)
    _check_belong(header.config, header.tokenizer, header.training, entries)
    return header, metadata


def _read(file: BinaryIO, size: int) -> Checkpoint:
    header, metadata = _read_header(file, size)
    tensors = tensorfile.read_tensors(file, size, metadata)
    return Checkpoint(
        config=header.config,
        tokenizer=header.tokenizer,
        weights={name: value for name, value in tensors.items() if ":" not in name},
        provenance=header.provenance,
        training=header.training,
        extra={name: value for name, value in tensors.items() if ":" in name},
        items=header.items,
    )


def _check_items(config: ModelConfig, tokenizer: Tokenizer, items: ItemFacts | None) -> None:
    """Check that a model of items says where they end, and names as many labels as it has."""
    if (items is None) != (config.task == "text"):
        raise CheckpointError(
            f"a model for {config.task} {'lacks' if items is None else 'has'} facts about items; "
            "the file is damaged"
        )
    if items is not None and len(items.labels) != config.num_labels:
        raise CheckpointError(
            f"the model has {config.num_labels} labels, but {len(items.labels)} names; the file is "
            "damaged"
        )
    if items is None:
        return
    end = items.end
    if (
        len(tokenizer.unseen(end))
        or tokenizer.normalize(end) != end
        or len(tokenizer.encode(end)) > 1
    ):
        raise CheckpointError("the model cannot read its own end symbol; the file is damaged")
    if config.task != "tag" and 0 in items.counts:
        label = items.labels[items.counts.index(0)]
        raise CheckpointError(f"label {brief(label)} has no training item; the file is damaged")


def _check_belong(
    config: ModelConfig,
    tokenizer: Tokenizer,
    training: dict[str, Any] | None,
    tensors: Described,
) -> None:
    """Check that the tensors have exactly the names, shapes and types of the configuration."""
    if config.vocab_size != tokenizer.vocab_size:
        raise CheckpointError(
            f"the model has {config.vocab_size} symbols, but its tokenizer has "
            f"{tokenizer.vocab_size}; the file is damaged"
        )
    shapes = config.parameter_shapes()
    slots, states = _training_shapes(config, training, shapes)
    missing = [name for name in (*shapes, *states) if name not in tensors]
    surplus = [name for name in tensors if not (name in shapes or name in slots or name in states)]
    if missing or surplus:
        named = ", ".join(map(brief, [*missing, *surplus][:4]))
        raise CheckpointError(f"missing or surplus tensors: {named}")
    for name, (dtype, shape) in tensors.items():
        if name in shapes and (dtype, shape) != ("float32", shapes[name]):
            raise CheckpointError(f"tensor {name} is {dtype} {shape}, not float32 {shapes[name]}")
        fitting = [slots[name], ()] if name in slots else [states.get(name, shape)]
        if dtype not in ("float32", "int64", "uint8") or shape not in fitting:
            raise CheckpointError(f"tensor {name} is {dtype} {shape}, which charlm does not write")


def _training_shapes(
    config: ModelConfig, training: dict[str, Any] | None, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Names and shapes of the optimizer's tensors (optional) and of the state's (required)."""
    if training is None:
        return {}, {}
    settings = training.get("config")
    batch_size = settings.get("batch_size") if isinstance(settings, dict) else None
    if type(batch_size) is not int or not 1 <= batch_size <= 65_536:
        raise CheckpointError("damaged metadata (training has no valid batch size)")
    slots = {f"optimizer:{name}/{slot}": shape for name, shape in shapes.items() for slot in _SLOTS}
    carried = config.carried_shapes(batch_size)
    states = {f"state:{n}": shape for n, shape in enumerate(carried)}
    return slots, states
