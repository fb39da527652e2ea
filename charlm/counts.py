"""The counts of a run: an n-gram model of the training text, beside the network.

    fit      count the training text, choose the order and the mixture's weights on validation text
    write    into ``counts.safetensors``
    read     check and read it

The file belongs to one model: it has the checksums of that model's parameters and vocabulary. It
has no pickle and is read with the same suspicion as a model (``charlm.tensorfile``). For each level
of the n-gram model:

    share:K      float32 (G,)   discounted count / total of the context, for every n-gram
    symbol:K     uint8 (G, 1 to 3)   its last character's id, low byte first
    children:K   uint8   for every context a bit 1 for each child, then a bit 0

That is 5.25 to 7.25 bytes for an n-gram. The weight of the shorter contexts is not stored: it is
what the shares of a context's children leave, so every distribution sums to 1 by construction.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from charlm import checkpoint, mixture, tensorfile
from charlm.arrays import Ids
from charlm.checkpoint import Checkpoint
from charlm.engine import Engine, log_softmax
from charlm.errors import CheckpointError
from charlm.files import write_atomically
from charlm.mixture import Mixed, Predictor, Weights
from charlm.ngram import Level, NGramModel
from charlm.tensorfile import Described, Tensors
from charlm.text.idfile import IdFile
from charlm.text.streams import WARMUP, as_reader, warmed
from charlm.text.tokenizer import tokenizer_to_json

FORMAT = "charlm-counts/1"

ORDERS = range(3, 13)
"""The orders to choose from."""

KEEP_ONCE = 6
"""n-grams longer than this that occur once are left out: they are most of all n-grams and hold the
training text's unique passages. Compared with other rules in docs/figures.md."""

MAX_TRAIN_CHARS = 20_000_000
"""At most this much training text is counted, its end. Counting takes about 75 bytes of memory for
a character."""

MAX_OF_LONG = 1_000_000
"""The same for a text that is too long for memory (``charlm.text.reading.LONG``)."""

MAX_TARGETS = 2**18
"""At most this many validation characters choose the order."""

_FIT_VALUES = 2**21
"""About this many probabilities of each model are compared to fit the weights: two numbers fitted
on 30,000 characters cost about 2 / 60,000 nats more than the best two."""

_LEAST_BACKOFF = 1e-6
"""Least weight of the shorter contexts: float32 must not round it to nothing."""


@dataclass(frozen=True, eq=False)
class Counts:
    """An n-gram model and its weight in the mixture with one network.

    model, tokenizer: checksums of the network's parameters and of its vocabulary
    facts: what was counted and how well it did, for people
    """

    ngram: NGramModel
    weights: Weights
    model: str
    tokenizer: str
    facts: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.ngram.order}-gram"

    @property
    def num_ngrams(self) -> int:
        return sum(len(level.keys) for level in self.ngram.levels)

    def belongs_to(self, model: Checkpoint) -> bool:
        return (self.model, self.tokenizer) == _checksums(model)

    def describe(self) -> str:
        """One phrase for people: ``network^0.62 x 12-gram^0.41``."""
        return f"network^{self.weights.network:.2f} x {self.name}^{self.weights.ngram:.2f}"


def _checksums(model: Checkpoint) -> tuple[str, str]:
    tokenizer = hashlib.sha256(tokenizer_to_json(model.tokenizer).encode()).hexdigest()
    return checkpoint.weights_sha256(model), tokenizer


# ----------------------------------------------------------------------------------------- fitting


def fit(
    model: Checkpoint,
    train_ids: Ids | IdFile,
    val_ids: Ids | IdFile,
    *,
    keep_once: int | None = KEEP_ONCE,
    network: Predictor | None = None,
) -> Counts:
    """Count ``train_ids``, choose the order and fit the weights on ``val_ids``, two ids or more.

    Only the last ``most_counted`` characters are counted. The order is the one with the
    lowest validation loss of the counts alone.

    network: that of ``model``, if it is not to be computed by the NumPy engine
    """
    counted = train_ids[-most_counted(train_ids) :]
    vocab_size = model.config.vocab_size
    chosen_on = val_ids[:MAX_TARGETS]
    found = NGramModel.best(
        *(np.asarray(counted), vocab_size, np.asarray(chosen_on)),
        orders=ORDERS,
        keep_once=keep_once,
    )
    ngram = rounded(found)
    weights = fit_weights(network or Engine(model.config, model.weights), ngram, val_ids)
    facts = {"characters": len(counted), "keep_once": keep_once}
    return Counts(ngram, weights, *_checksums(model), facts)


def most_counted(train_ids: Ids | IdFile) -> int:
    """At most how many symbols of a training text are counted."""
    return MAX_OF_LONG if isinstance(train_ids, IdFile) else MAX_TRAIN_CHARS


def rounded(ngram: NGramModel) -> NGramModel:
    """The model with the numbers that its file can store."""
    levels = []
    for level in ngram.levels:
        kept = np.diff(level.first)
        context = np.repeat(np.arange(len(kept)), kept)
        total = np.bincount(context, level.share[:-1], len(kept))
        # A share of 0.99999999 would become 1 in float32 and leave no other character a chance.
        scale = np.minimum(1.0, (1.0 - _LEAST_BACKOFF) / np.maximum(total, 0.5))
        share = (level.share[:-1] * scale[context]).astype(np.float32)
        levels.append(_level(level.keys, share, kept, ngram.vocab_size))
    return NGramModel(ngram.vocab_size, len(levels), tuple(levels))


def _level(keys: Any, share: Any, children: Any, vocab_size: int) -> Level:
    """A level from the shares in float32; the backoffs follow from them."""
    exact = share.astype(np.float64)
    context = np.repeat(np.arange(len(children)), children)
    backoff = 1.0 - np.bincount(context, exact, len(children))
    return Level(keys, np.append(exact, 0.0), np.append(backoff, 1.0), vocab_size)


def num_fitted(targets: int, vocab_size: int) -> int:
    """How many of ``targets`` characters the weights are fitted on."""
    return min(targets, max(2048, _FIT_VALUES // vocab_size))


def fit_weights(network: Predictor, ngram: NGramModel, val_ids: Ids | IdFile) -> Weights:
    """The weights of the mixture with the lowest loss on ``val_ids``.

    Of a long text, places spread evenly over it are compared. It is read in parallel stretches
    (``charlm.text.streams.warmed``).
    """
    ids = as_reader(val_ids)
    targets = len(val_ids) - 1
    wanted = num_fitted(targets, ngram.vocab_size)
    streams = max(1, min(64, wanted // (2 * WARMUP)))
    counted = wanted // streams
    begins = np.arange(streams) * (targets // streams)
    both = Mixed(network, ngram, Weights(1.0, 1.0))
    state = both.initial_state(streams)
    if streams > 1:
        state = warmed(lambda ids, state: both.last(ids, state)[1], ids, begins, state)
    logs = np.empty((2, streams * counted, ngram.vocab_size), dtype=np.float32)
    at = np.empty(streams * counted, dtype=np.int64)
    size = max(1, min(32, 2**25 // (streams * ngram.vocab_size)))
    for start in range(0, counted, size):
        end = min(start + size, counted)
        read = ids.windows(begins + start, end - start + 1).astype(np.int64)
        logits, own = network.forward(read[:, :-1], state[:-1])
        p, nodes = ngram.rows(read[:, :-1], state[-1][0])
        state = (*own, nodes[None])
        rows = slice(streams * start, streams * end)
        logs[0, rows] = log_softmax(logits.astype(np.float64)).reshape(-1, ngram.vocab_size)
        logs[1, rows] = np.log(p).reshape(-1, ngram.vocab_size)
        at[rows] = read[:, 1:].ravel()
    return mixture.fit(logs, at)


# ---------------------------------------------------------------------------------------- the file


def write(path: Path, counts: Counts) -> None:
    """Write ``counts`` to ``path``, atomically and durably (``write_atomically``).

    Raises CheckpointError if the file cannot be written; an old one is then unchanged.
    """
    try:
        write_atomically(path, dump(counts))
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be written ({error.strerror or error}); the model is saved, and "
            "--resume adds its counts"
        ) from error


def dump(counts: Counts) -> bytes:
    """The bytes of the file."""
    ngram = counts.ngram
    tensors: Tensors = {}
    width = _width(ngram.vocab_size)
    for number, level in enumerate(ngram.levels):
        children = np.diff(level.first)
        # The 0 of a context stands after the 1s of its children.
        bits = np.ones(len(level.keys) + len(children), np.uint8)
        bits[children.cumsum() + np.arange(len(children))] = 0
        little = level.symbol.astype("<i4").view(np.uint8).reshape(-1, 4)
        tensors[f"share:{number}"] = level.share[:-1].astype(np.float32)
        tensors[f"symbol:{number}"] = little[:, :width]
        tensors[f"children:{number}"] = np.packbits(bits)
    facts = {
        "vocab_size": ngram.vocab_size,
        "order": len(ngram.levels),
        "network": counts.weights.network,
        "ngram": counts.weights.ngram,
        "model": counts.model,
        "tokenizer": counts.tokenizer,
        "facts": counts.facts,
    }
    metadata = {"format": FORMAT, "counts": json.dumps(facts, sort_keys=True, allow_nan=False)}
    return tensorfile.dump(tensors, metadata, too_long="the counts have too many levels")


def read(path: Path) -> Counts:
    """Read and verify a file of counts.

    Raises CheckpointError if the file was not written by charlm or has changed since.
    """
    with tensorfile.opened(path) as (file, size):
        return _read(file, size)


def parse(data: bytes) -> Counts:
    """The inverse of ``dump``; CheckpointError as in ``read``."""
    return _read(io.BytesIO(data), len(data))


def _read(file: BinaryIO, size: int) -> Counts:
    described, metadata = tensorfile.read_header(file, size)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"not the counts of a charlm run (format {tensorfile.brief(metadata.get('format'))})"
        )
    facts = tensorfile.parse_object(metadata, "counts")
    try:
        vocab_size, order = facts["vocab_size"], facts["order"]
        weights = Weights(facts["network"], facts["ngram"])
        owner = facts["model"], facts["tokenizer"]
        about = facts["facts"]
        valid = (
            type(vocab_size) is type(order) is int
            and 1 <= vocab_size <= 1_200_000
            and 1 <= order <= ORDERS[-1]
            and all(type(weight) is float and 0.0 <= weight <= 1e6 for weight in weights)
            and any(weights)
            and all(isinstance(each, str) for each in owner)
            and isinstance(about, dict)
            and _plausible(about)
        )
    except KeyError:
        valid = False
    if not valid:
        raise CheckpointError("damaged metadata (counts)")
    _check_shapes(described, order, _width(vocab_size))
    tensors = tensorfile.read_tensors(file, size, metadata)
    levels: list[Level] = []
    for number in range(order):
        contexts = len(levels[-1].keys) if levels else 1
        levels.append(_read_level(tensors, number, contexts, vocab_size))
    return Counts(NGramModel(vocab_size, order, tuple(levels)), weights, *owner, about)


def _plausible(facts: dict[str, Any]) -> bool:
    """Whether what a file says about its counts has the types that it is read with."""
    characters = facts.get("characters", 0)
    bits = [value for key, value in facts.items() if key.startswith("val_bits_per_char")]
    return (
        type(characters) is int
        and characters >= 0
        and all(type(each) is float and 0.0 <= each < math.inf for each in bits)
    )


def _width(vocab_size: int) -> int:
    """How many bytes the id of a symbol takes."""
    return max(1, (int(vocab_size - 1).bit_length() + 7) // 8)


def _check_shapes(described: Described, order: int, width: int) -> None:
    """Check names, types and shapes before any tensor is read."""
    contexts = 1
    expected: Described = {}
    for number in range(order):
        shape = described.get(f"share:{number}", ("", ()))[1]
        ngrams = shape[0] if len(shape) == 1 else -1
        expected |= {
            f"share:{number}": ("float32", (ngrams,)),
            f"symbol:{number}": ("uint8", (ngrams, width)),
            f"children:{number}": ("uint8", ((ngrams + contexts + 7) // 8,)),
        }
        contexts = ngrams
    if described != expected:
        wrong = sorted({name for name, _ in described.items() ^ expected.items()})
        named = ", ".join(map(tensorfile.brief, wrong[:3]))
        raise CheckpointError(f"missing, surplus or wrong tensors: {named}")


def _read_level(tensors: Tensors, number: int, contexts: int, vocab_size: int) -> Level:
    share, symbol = tensors[f"share:{number}"], tensors[f"symbol:{number}"]
    ngrams = len(share)
    bits = np.unpackbits(tensors[f"children:{number}"])
    ends = np.flatnonzero(bits[: ngrams + contexts] == 0)
    damaged = CheckpointError(f"damaged: level {number} is not a tree of n-grams")
    if (
        len(ends) != contexts
        or ends[-1] != ngrams + contexts - 1
        or bits[ngrams + contexts :].any()
    ):
        raise damaged
    children = np.diff(ends, prepend=-1) - 1
    padded = np.zeros((ngrams, 4), np.uint8)
    padded[:, : symbol.shape[1]] = symbol
    ids = padded.view("<i4").ravel().astype(np.int64)
    keys = np.repeat(np.arange(contexts), children) * vocab_size + ids
    if ngrams and (ids.max() >= vocab_size or not (np.diff(keys) > 0).all()):
        raise damaged
    if not (np.isfinite(share).all() and (share > 0).all()):
        raise damaged
    level = _level(keys, share, children, vocab_size)
    if level.backoff.min() < _LEAST_BACKOFF / 10:
        raise CheckpointError(f"damaged: the shares of level {number} leave no other character")
    return level
