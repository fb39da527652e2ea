"""A model as one safetensors file: written atomically, checked before use, never a pickle.

The checks of a file come in the order of their cost: first its size, then its header (its length
and its number of values before the JSON is parsed), then the configuration and the vocabulary, then
the names, types and shapes of the tensors, which the configuration determines. Only then are the
tensors read and the checksum compared.

Metadata, each value a JSON string:

    format      "charlm/1"
    config      the ModelConfig
    tokenizer   the vocabulary
    provenance  corpus name and SHA-256, split, steps, validation bits per character, versions
    training    only in a file from which training can be resumed (see charlm.training.state)
    sha256      of the canonical JSON of all of the above and of the name, dtype, shape and bytes of
                every tensor; do not compare whole files: safetensors writes metadata in random
                order

Tensors: the model's parameters under their torch names, in float32; in a resumable file also
``optimizer:PARAMETER/SLOT`` and ``state:N`` (float32, int64 or uint8: NumPy has no bfloat16).
All values are finite.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as dump_tensors

from charlm.config import ModelConfig
from charlm.errors import CheckpointError
from charlm.files import write_atomically
from charlm.text.tokenizer import Tokenizer, tokenizer_from_dict, tokenizer_to_json

FORMAT = "charlm/1"
MAX_HEADER = 2**23
"""Largest header in bytes: enough for a vocabulary of half a million characters."""

MAX_ITEMS = 200_000
"""Most values in one JSON text. Without this limit, 8 MB of empty lists could fill the memory."""

MAX_DEPTH = 20
"""Deepest nesting of lists and objects in JSON."""

# What an optimizer stores for a parameter: a scalar, or a tensor of the parameter's shape
# (charlm.training.optim).
_SLOTS = ("step", "momentum_buffer", "exp_avg", "exp_avg_sq", "square_avg")
_TYPES = {"F32": ("float32", 4), "I64": ("int64", 8), "U8": ("uint8", 1)}

Tensors = dict[str, NDArray[Any]]
Described = dict[str, tuple[str, tuple[int, ...]]]


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

    def __post_init__(self) -> None:
        tensors = {**self.weights, **self.extra}
        if len(tensors) < len(self.weights) + len(self.extra):
            raise CheckpointError("a name is used for a parameter and for another tensor")
        described = {name: (str(value.dtype), value.shape) for name, value in tensors.items()}
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
    if checkpoint.training is not None:
        metadata["training"] = json.dumps(checkpoint.training, sort_keys=True, allow_nan=False)
    # order="C" and not ascontiguousarray, which would make a scalar one-dimensional.
    every = {**checkpoint.weights, **checkpoint.extra}
    tensors = {name: np.array(value, order="C") for name, value in every.items()}
    metadata["sha256"] = digest(metadata, tensors)
    data = dump_tensors(tensors, metadata)
    (length,) = struct.unpack("<Q", data[:8])
    if length > MAX_HEADER or any(_items(text) > MAX_ITEMS for text in metadata.values()):
        raise CheckpointError(
            f"vocabulary, provenance and sources take {length:,} bytes, more than a model file can "
            "hold; give a directory instead of its files"
        )
    return data


def read(path: Path) -> Checkpoint:
    """Read and verify a model file.

    Raises CheckpointError if the file was not written by charlm or has changed since.
    """
    with _naming(path), _open(path) as file:
        return _read(file, os.fstat(file.fileno()).st_size)


def read_header(path: Path) -> Header:
    """Read and check the header of a model file: at most ``MAX_HEADER`` bytes and no tensor.

    Raises CheckpointError like ``read``.
    """
    with _naming(path), _open(path) as file:
        return _read_header(file, os.fstat(file.fileno()).st_size)[0]


def _open(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():
        raise CheckpointError(f"{path}: is not a file; name a run or a model file")
    return path.open("rb")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn every error while reading ``path`` into a CheckpointError that begins with the path."""
    try:
        yield
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file; name a run or a model file") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error


def parse(data: bytes) -> Checkpoint:
    """The inverse of ``dump``; CheckpointError as in ``read``."""
    return _read(io.BytesIO(data), len(data))


def digest(metadata: dict[str, str], tensors: Tensors) -> str:
    """SHA-256 of the metadata, except its entry ``sha256``, and of the tensors."""
    sha = hashlib.sha256()
    rest = {key: value for key, value in metadata.items() if key != "sha256"}
    sha.update(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode())
    for name in sorted(tensors):
        value = tensors[name]
        sha.update(json.dumps([name, value.dtype.str, list(value.shape)]).encode())
        sha.update(np.array(value, order="C").data)
    return sha.hexdigest()


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
    entries, metadata = _header(file, size)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"not a charlm model (format {_brief(metadata.get('format'))})")
    parts = _meanings(metadata)
    header = Header(
        config=ModelConfig.from_dict(parts["config"]),
        tokenizer=tokenizer_from_dict(parts["tokenizer"]),
        provenance=parts["provenance"],
        training=parts.get("training"),
    )
    _check_belong(header.config, header.tokenizer, header.training, entries)
    return header, metadata


def _read(file: BinaryIO, size: int) -> Checkpoint:
    header, metadata = _read_header(file, size)
    file.seek(0)
    data = file.read(size)
    try:
        tensors = load_tensors(data)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"damaged or cut off ({_first_line(error)})") from error
    if digest(metadata, tensors) != metadata.get("sha256"):
        raise CheckpointError("damaged: the checksum does not match; use another copy")
    return Checkpoint(
        config=header.config,
        tokenizer=header.tokenizer,
        weights={name: value for name, value in tensors.items() if ":" not in name},
        provenance=header.provenance,
        training=header.training,
        extra={name: value for name, value in tensors.items() if ":" in name},
    )


def _header(file: BinaryIO, size: int) -> tuple[Described, dict[str, str]]:
    """(type and shape of each tensor, metadata), after checking that they agree with the size."""
    if size < 8:
        raise CheckpointError("not a safetensors file: shorter than 8 bytes")
    (length,) = struct.unpack("<Q", file.read(8))
    if length > size - 8:
        raise CheckpointError("not a safetensors file, or cut off: the header is incomplete")
    if length > MAX_HEADER:
        raise CheckpointError(f"its header has {length:,} bytes; at most {MAX_HEADER:,} are read")
    described: Described = {}
    total = 0
    try:
        header = _json(file.read(length).decode("ascii"))
        metadata = header.pop("__metadata__", {})
        for name, entry in header.items():
            if entry["dtype"] not in _TYPES:
                raise CheckpointError(f"it has a tensor of type {_brief(entry['dtype'])}")
            dtype, item_size = _TYPES[entry["dtype"]]
            shape = tuple(entry["shape"][:9])
            begin, end = entry["data_offsets"]
            if (
                any(type(number) is not int or number < 0 for number in (begin, end, *shape))
                or not begin <= end <= size - 8 - length
                or len(shape) > 8
                or math.prod(shape) * item_size != end - begin
            ):
                raise CheckpointError("damaged: a tensor is larger than the file")
            described[name] = dtype, shape
            total += end - begin
        if total != size - 8 - length:
            raise CheckpointError("damaged: the tensors do not fill the file")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"damaged header ({_first_line(error)})") from error
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointError("damaged header (metadata)")
    return described, metadata


def _meanings(metadata: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The metadata as objects; ``training`` only if the file has one."""
    parts: dict[str, dict[str, Any]] = {}
    for key in ("config", "tokenizer", "provenance", "training"):
        if key == "training" and key not in metadata:
            continue
        try:
            parts[key] = _json(metadata[key])
        except (KeyError, ValueError, RecursionError) as error:
            raise CheckpointError(f"damaged metadata ({_first_line(error)})") from error
        if not isinstance(parts[key], dict):
            raise CheckpointError(f"damaged metadata ({key} is not an object)")
    return parts


def _json(text: str) -> Any:
    """Parse JSON of limited size, without duplicate keys or NaN; ValueError for anything else."""
    if _items(text) > MAX_ITEMS:
        raise ValueError(f"more than {MAX_ITEMS:,} values")
    value = json.loads(
        text, object_pairs_hook=_each_once, parse_constant=_no_number, parse_float=_finite
    )
    _check_depth(value, MAX_DEPTH)
    return value


def _check_depth(value: Any, left: int) -> None:
    if left == 0:
        raise ValueError(f"more than {MAX_DEPTH} levels")
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _check_depth(each, left - 1)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text:.40} is not a finite number")
    return number


def _items(text: str) -> int:
    """An upper bound of the number of values in a JSON text, found without parsing it."""
    return sum(text.count(mark) for mark in ",[{")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key appears twice")
    return values


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not a finite number")


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
        named = ", ".join(map(_brief, [*missing, *surplus][:4]))
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
    states = {f"state:{n}": shape for n, shape in enumerate(config.state_shapes(batch_size))}
    return slots, states


def _brief(value: object) -> str:
    """The first 60 characters of a text from the file, as a literal; otherwise its type."""
    return repr(value[:60] if isinstance(value, str) else type(value).__name__)


def _first_line(error: Exception) -> str:
    line = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {line:.100}".strip()
