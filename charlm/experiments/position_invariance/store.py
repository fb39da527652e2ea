"""Trained readers as files, and the vocabulary that they share.

The file of a writer is an ordinary charlm model, so ``charlm sample`` can use it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from charlm import checkpoint
from charlm.checkpoint import Checkpoint
from charlm.errors import CheckpointError
from charlm.experiments import store
from charlm.experiments.position_invariance.readers import (
    END,
    KINDS,
    SEPARATOR,
    AnyReader,
    Vocabulary,
    Writer,
    build,
    shape,
)
from charlm.text.tokenizer import CharTokenizer


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
    if isinstance(reader, Writer):
        provenance = {"corpus": "position-invariance", "commonest": SEPARATOR}
        weights = store.weights_of(reader.model)
        file = Checkpoint(reader.config, reader.vocabulary.tokenizer, weights, provenance)
        checkpoint.write(path, file)
    else:
        store.save(path, reader, reader.kind.name, reader.config)


def load(path: Path, name: str, words: Vocabulary) -> AnyReader:
    """Read a reader of the kind ``name``. CheckpointError if ``save`` did not write the file."""
    kind = KINDS[name]
    reader = build(kind, shape(kind, words), words, seed=0)
    if isinstance(reader, Writer):
        _load_writer(path, reader)
    else:
        store.load(path, reader, name, reader.config)
    return reader


def _load_writer(path: Path, writer: Writer) -> None:
    remedy = store.remedy(path)
    try:
        saved = checkpoint.read(path)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {remedy}") from error
    words = writer.vocabulary.tokenizer.to_dict()
    if saved.config != writer.config or saved.tokenizer.to_dict() != words:
        raise CheckpointError(f"{path}: not the {writer.kind.name} of this experiment; {remedy}")
    store.fill(writer.model, saved.weights)
    writer.eval()
