"""Trained readers as files."""

from __future__ import annotations

from pathlib import Path

from charlm.experiments import store
from charlm.experiments.page.design import Design
from charlm.experiments.page.readers import KINDS, Reader, Vocabulary, build, shape_of


def save(path: Path, reader: Reader) -> None:
    """Write the weights of a reader atomically. OSError or CheckpointError if that fails."""
    store.save(path, reader, reader.kind.name, reader.shape)


def load(path: Path, name: str, vocabulary: Vocabulary, design: Design) -> Reader:
    """Read a reader of the kind ``name``. CheckpointError if ``save`` did not write the file."""
    kind = KINDS[name]
    shape = shape_of(kind, vocabulary, design.rows, design.columns)
    reader = build(kind, shape, vocabulary, seed=0)
    store.load(path, reader, name, reader.shape)
    return reader
