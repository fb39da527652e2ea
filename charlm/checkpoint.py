"""A model as one safetensors file: written atomically, read with suspicion, never a pickle.

Metadata, each value a JSON string:

    format      "charlm/1"
    config      the ModelConfig
    tokenizer   the vocabulary
    provenance  corpus name and SHA-256, split, steps, validation bits per character, versions
    training    only in a file that training can be resumed from (see charlm.train)
    sha256      over the canonical JSON of all of the above and every tensor's name, dtype, shape
                and bytes; never compare whole files: safetensors orders metadata at random

Tensors: the model's parameters under their torch names, in float32; in a resumable file also
``optimizer:NAME`` and ``state:N`` (float32, int64 or uint8: NumPy has no bfloat16).
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as dump_tensors

from charlm.config import ModelConfig
from charlm.errors import CheckpointError
from charlm.files import write_atomically
from charlm.tokenizer import Tokenizer, tokenizer_from_dict, tokenizer_to_json

FORMAT = "charlm/1"
_ITEM_SIZES = {"F32": 4, "I64": 8, "U8": 1}
_EXTRA_DTYPES = (np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.uint8))
_MAX_HEADER = 64 * 2**20

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """What a model file holds. ``training`` is None in a file that only serves to be used."""

    config: ModelConfig
    tokenizer: Tokenizer
    weights: Tensors
    provenance: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] | None = None
    extra: Tensors = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.config.settled:
            raise CheckpointError("the file's model is of a shape that no training makes")
        _check_weights(self.config, self.weights)
        for name, value in self.extra.items():
            if ":" not in name or value.dtype not in _EXTRA_DTYPES:
                raise CheckpointError(f"tensor {name} ({value.dtype}) has no place in a model file")
        if self.config.vocab_size != self.tokenizer.vocab_size:
            raise CheckpointError(
                f"the model has {self.config.vocab_size} symbols, its tokenizer "
                f"{self.tokenizer.vocab_size}; the file is damaged"
            )


def write(path: Path, checkpoint: Checkpoint, *, keep_as: Path | None = None) -> None:
    """Write ``checkpoint`` to ``path``, atomically and durably; CheckpointError where it cannot."""
    try:
        write_atomically(path, dump(checkpoint), keep_as=keep_as)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be written ({error.strerror or error}); what was saved before is "
            "untouched"
        ) from error


def dump(checkpoint: Checkpoint) -> bytes:
    """The bytes of a model file."""
    metadata = {
        "format": FORMAT,
        "config": checkpoint.config.to_json(),
        "tokenizer": tokenizer_to_json(checkpoint.tokenizer),
        "provenance": json.dumps(checkpoint.provenance, sort_keys=True),
    }
    if checkpoint.training is not None:
        metadata["training"] = json.dumps(checkpoint.training, sort_keys=True)
    # order="C" and not ascontiguousarray, which would make a scalar one-dimensional.
    every = {**checkpoint.weights, **checkpoint.extra}
    tensors = {name: np.array(value, order="C") for name, value in every.items()}
    metadata["sha256"] = digest(metadata, tensors)
    return dump_tensors(tensors, metadata)


def read(path: Path) -> Checkpoint:
    """Read and verify a model file; CheckpointError, in one line, for anything that charlm did not
    write or that has changed since."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file; name a run or a model file") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    try:
        return _parse(data)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def digest(metadata: dict[str, str], tensors: Tensors) -> str:
    """SHA-256 over everything that a file means; ``metadata`` without its own ``sha256``."""
    sha = hashlib.sha256()
    rest = {key: value for key, value in metadata.items() if key != "sha256"}
    sha.update(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode())
    for name in sorted(tensors):
        value = tensors[name]
        sha.update(json.dumps([name, value.dtype.str, list(value.shape)]).encode())
        sha.update(value.tobytes())
    return sha.hexdigest()


def weights_sha256(checkpoint: Checkpoint) -> str:
    """SHA-256 of the parameters alone: two models with the same one write the same text."""
    return digest({}, checkpoint.weights)


def _parse(data: bytes) -> Checkpoint:
    metadata = _header(data)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"not a charlm model (format {metadata.get('format')!r})")
    try:
        tensors = load_tensors(data)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"damaged or cut off ({_first_line(error)})") from error
    if digest(metadata, tensors) != metadata.get("sha256"):
        raise CheckpointError("damaged: the checksum does not match; use another copy")
    try:
        parts = {key: json.loads(metadata[key]) for key in ("config", "tokenizer", "provenance")}
        training = json.loads(metadata["training"]) if "training" in metadata else None
        if "training" in metadata:
            parts["training"] = training
    except (KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(f"damaged metadata ({_first_line(error)})") from error
    if not all(isinstance(part, dict) for part in parts.values()):
        raise CheckpointError("damaged metadata (an object is missing)")
    extra = {name: value for name, value in tensors.items() if ":" in name}
    return Checkpoint(
        config=ModelConfig.from_dict(parts["config"]),
        tokenizer=tokenizer_from_dict(parts["tokenizer"]),
        weights={name: value for name, value in tensors.items() if name not in extra},
        provenance=parts["provenance"],
        training=training,
        extra=extra,
    )


def _header(data: bytes) -> dict[str, str]:
    """The metadata, after checking that every tensor that the header claims is there in full."""
    if len(data) < 8:
        raise CheckpointError("not a safetensors file: too short")
    (length,) = struct.unpack("<Q", data[:8])
    if length > min(len(data) - 8, _MAX_HEADER):
        raise CheckpointError("not a safetensors file, or cut off: its header does not fit")
    try:
        header = json.loads(data[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        for entry in header.values():
            begin, end = entry["data_offsets"]
            sizes = [begin, end, *entry["shape"]]
            if (
                any(type(size) is not int or size < 0 for size in sizes)
                or not begin <= end <= len(data) - 8 - length
                or math.prod(entry["shape"]) * _ITEM_SIZES[entry["dtype"]] != end - begin
            ):
                raise CheckpointError("damaged: a tensor is larger than the file")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"damaged header ({_first_line(error)})") from error
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointError("damaged header (metadata)")
    return metadata


def _check_weights(config: ModelConfig, weights: Tensors) -> None:
    """The weights must be exactly those of the configuration: names, shapes, type, finite."""
    shapes = config.parameter_shapes()
    if set(weights) != set(shapes):
        wrong = sorted(set(weights) ^ set(shapes))
        raise CheckpointError(f"missing or surplus tensors: {', '.join(wrong[:4])}")
    for name, shape in shapes.items():
        value = weights[name]
        if value.shape != shape or value.dtype != np.float32:
            raise CheckpointError(
                f"tensor {name} is {value.dtype} {value.shape}, not float32 {shape}"
            )
        if not np.isfinite(value).all():
            raise CheckpointError(f"tensor {name} holds values that are not finite")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}".strip()
