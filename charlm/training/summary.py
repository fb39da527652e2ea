"""The end of a run: the exact validation loss of its best model, written into that model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from charlm import checkpoint
from charlm.engine import Engine
from charlm.runs import Run
from charlm.surprisal import Score, score
from charlm.text import folding
from charlm.text.dataset import Dataset


def finish(run: Run, dataset: Dataset) -> Score | None:
    """Score the best model on the whole validation text in one exact pass, as ``charlm eval`` does,
    and store the result in its provenance. None if there is no validation text.

    ``val_bits_per_char`` is the loss of the model's own symbols. For a model with an unknown symbol
    the provenance also gets ``folded_types`` and ``folded_share`` of the corpus, and
    ``val_bits_per_char_charged``, which pays for naming the folded characters
    (``charlm.text.folding``); that is the score returned.
    """
    best = checkpoint.read(run.best)
    found = dataset.folding
    types = max(1, found.types) if found else 1
    facts: dict[str, Any] = {}
    if found is not None:
        facts |= {folding.TYPES: types, folding.SHARE: found.share}
    result = None
    if dataset.can_validate:
        engine = Engine(best.config, best.weights)
        result = score(engine, best.tokenizer, dataset.val_ids, folded_types=types)
        facts |= {"val_bits_per_char": result.uncharged_bits, "val_exact": True}
        if found is not None:
            facts["val_bits_per_char_charged"] = result.bits_per_char
    if facts:
        checkpoint.write(run.best, replace(best, provenance=best.provenance | facts))
    return result


def uniform_bits(dataset: Dataset, result: Score) -> float:
    """Bits per character of the validation text if every symbol is equally likely, and every folded
    character too."""
    ids = dataset.val_ids
    types = result.folded.types if result.folded else 1
    symbols_per_char = len(ids) / dataset.tokenizer.count_characters(ids)
    return folding.uniform_bits(dataset.tokenizer, types) * symbols_per_char
