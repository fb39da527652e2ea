"""JSON files that carry the SHA-256 of their own content: one that was changed is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from charlm.errors import CheckpointError
from charlm.files import write_atomically

SEAL = "sha256"


def digest(content: dict[str, Any]) -> str:
    """The SHA-256 of an object, whatever the order of its keys."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def as_json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False) + "\n").encode()


def write(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` and its checksum, all or nothing. Raises OSError."""
    write_atomically(path, as_json(content | {SEAL: digest(content)}))


def read(path: Path, remedy: str) -> dict[str, Any]:
    """What ``write`` has written. CheckpointError for anything else; it ends with ``remedy``."""
    return verified(path, parse(path, remedy), remedy)


def parse(path: Path, remedy: str) -> dict[str, Any]:
    """The object in a file, its checksum not verified."""
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged ({error!s:.80}); {remedy}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: damaged (no object); {remedy}")
    return value


def verified(path: Path, value: dict[str, Any], remedy: str) -> dict[str, Any]:
    """``value`` without its checksum; CheckpointError if that does not match."""
    content = {key: part for key, part in value.items() if key != SEAL}
    if value.get(SEAL) != digest(content):
        raise CheckpointError(f"{path}: damaged (its checksum does not match); {remedy}")
    return content
