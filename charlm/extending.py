"""A model that gets more characters: the rows of its embedding and of its head, and nothing else.

A new character begins as the mean of the old ones: its embedding, its row of the head and its bias
are the means of theirs. So its logit is the mean of the old characters' logits, and its probability
their geometric mean: small wherever the model is sure of what comes next. Every old character keeps
its rows, so the probabilities of the old ones keep their ratios in every context of old characters.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from charlm.checkpoint import Checkpoint
from charlm.text.tokenizer import (
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    code_points,
    count_characters,
)

if TYPE_CHECKING:
    from charlm.text.dataset import Texts

ROWS = ("body.embedding.weight", "head.weight", "head.bias")
"""The parameters that have a row for every symbol; those of the head only if the model writes."""


def unseen_characters(texts: Texts, tokenizer: Tokenizer) -> str:
    """The different characters of all parts of a corpus that the vocabulary lacks, sorted; for
    bytes none. Those that a model with an unknown symbol folds are among them."""
    if isinstance(tokenizer, ByteTokenizer):
        return ""
    counts = texts.counts
    if tokenizer.nfc:  # part by part, as they are encoded
        counts = count_characters(map(tokenizer.normalize, texts.slices()))
    points = np.setdiff1d(np.flatnonzero(counts), code_points(tokenizer.characters))
    return "".join(map(chr, points.tolist()))


def with_characters(model: Checkpoint, characters: str) -> Checkpoint:
    """The model with ``characters`` added to its vocabulary, which remains in sorted order; an
    unknown symbol remains the last one. What resuming needs is left out.

    characters: none of the model's own, in any order

    ValueError if it is a model of bytes, or if a character is there already.
    """
    tokenizer = model.tokenizer
    if not isinstance(tokenizer, CharTokenizer):
        raise ValueError("a model of bytes needs no characters")
    larger = CharTokenizer(
        "".join(sorted(tokenizer.characters + characters)),
        unknown=tokenizer.unknown,
        nfc=tokenizer.nfc,
        newline=tokenizer.newline,
    )
    writes = model.config.writes or model.config.task == "rewrite"
    rows = ROWS if writes else ROWS[:1]  # another head scores labels
    place = np.searchsorted(code_points(larger.characters), code_points(tokenizer.characters))
    weights = {
        name: _with_rows(value, place, larger) if name in rows else value
        for name, value in model.weights.items()
    }
    return Checkpoint(
        replace(model.config, vocab_size=larger.vocab_size),
        larger,
        weights,
        model.provenance,
        items=model.items,
    )


def _with_rows(
    old: NDArray[np.float32], place: NDArray[np.intp], tokenizer: CharTokenizer
) -> NDArray[np.float32]:
    """A parameter with a row for every symbol of ``tokenizer``.

    place: (V,) where the rows of the old characters belong
    """
    known = old[: len(place)]  # without that of the unknown symbol
    new = np.empty((tokenizer.vocab_size, *old.shape[1:]), dtype=old.dtype)
    new[:] = known.mean(axis=0, dtype=np.float64)
    new[place] = known
    if tokenizer.unknown:
        new[-1] = old[-1]
    return new
