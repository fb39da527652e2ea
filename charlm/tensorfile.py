"""Named arrays and metadata in one safetensors file: checked before use, never a pickle.

The checks of a file come in the order of their cost: its size, the length of its header, the number
of values in the header before the JSON is parsed, and whether the tensors that it describes fill
the file. Only then are the tensors read and the checksum compared. What the names, shapes and the
metadata mean is up to the kinds of files: models (``charlm.checkpoint``) and others.

The metadata entry ``sha256`` covers the canonical JSON of all other entries and the name, dtype,
shape and bytes of every tensor. Do not compare whole files: safetensors writes metadata in random
order.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as dump_tensors

from charlm.errors import CheckpointError

MAX_HEADER = 2**23
"""Largest header in bytes: enough for a vocabulary of half a million characters."""

MAX_ITEMS = 200_000
"""Most values in one JSON text. Without this limit, 8 MB of empty lists could fill the memory."""

MAX_DEPTH = 20
"""Deepest nesting of lists and objects in JSON."""

_TYPES = {"F32": ("float32", 4), "I64": ("int64", 8), "U8": ("uint8", 1)}

Tensors = dict[str, NDArray[Any]]
Described = dict[str, tuple[str, tuple[int, ...]]]


def dump(tensors: Tensors, metadata: dict[str, str], *, too_long: str) -> bytes:
    """The bytes of a file with this metadata and its checksum.

    Raises CheckpointError with the message ``too_long`` if the header is longer than can be read.
    """
    # order="C" and not ascontiguousarray, which would make a scalar one-dimensional.
    tensors = {name: np.array(value, order="C") for name, value in tensors.items()}
    metadata = {**metadata, "sha256": digest(metadata, tensors)}
    data = dump_tensors(tensors, metadata)
    (length,) = struct.unpack("<Q", data[:8])
    if length > MAX_HEADER or any(_items(text) > MAX_ITEMS for text in metadata.values()):
        raise CheckpointError(f"the header takes {length:,} bytes: {too_long}")
    return data


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """(the open file, its size). Every error while reading it becomes a CheckpointError that begins
    with the path."""
    try:
        if path.exists() and not path.is_file():
            raise CheckpointError("is not a file; name a run or a model file")
        with path.open("rb") as file:
            yield file, os.fstat(file.fileno()).st_size
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file; name a run or a model file") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error


def read_header(file: BinaryIO, size: int) -> tuple[Described, dict[str, str]]:
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
        header = parse_json(file.read(length).decode("ascii"))
        metadata = header.pop("__metadata__", {})
        for name, entry in header.items():
            if entry["dtype"] not in _TYPES:
                raise CheckpointError(f"it has a tensor of type {brief(entry['dtype'])}")
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


def read_tensors(file: BinaryIO, size: int, metadata: dict[str, str]) -> Tensors:
    """The tensors, after comparing the checksum; the header has been read before."""
    file.seek(0)
    data = file.read(size)
    try:
        tensors = load_tensors(data)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"damaged or cut off ({_first_line(error)})") from error
    if digest(metadata, tensors) != metadata.get("sha256"):
        raise CheckpointError("damaged: the checksum does not match; use another copy")
    return tensors


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


def parse_object(metadata: dict[str, str], key: str) -> dict[str, Any]:
    """The JSON object that is the metadata's entry ``key``; CheckpointError if it is not one."""
    try:
        value = parse_json(metadata[key])
    except (KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(f"damaged metadata ({_first_line(error)})") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"damaged metadata ({key} is not an object)")
    return value


def parse_json(text: str) -> Any:
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


def brief(value: object) -> str:
    """The first 60 characters of a text from the file, as a literal; otherwise its type."""
    return repr(value[:60] if isinstance(value, str) else type(value).__name__)


def _first_line(error: Exception) -> str:
    line = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {line:.100}".strip()
