"""The end of a run: the exact validation loss of its best model, written into that model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from charlm import checkpoint
from charlm.checkpoint import Checkpoint
from charlm.engine import Engine
from charlm.rundir import Run
from charlm.surprisal import LN2, Score, count_folded, counted_characters, score
from charlm.text import folding
from charlm.text.dataset import Dataset

EXACT = "val_exact"
"""Key of a model's provenance: its validation loss comes from one exact pass."""


def finish(
    run: Run, dataset: Dataset, *, advanced: Callable[[int, int], object] = lambda done, total: None
) -> Score | None:
    """Score the best model on the whole validation text in one exact pass, as ``charlm eval`` does,
    and store the result in its provenance. None if there is no validation text.

    A result that the provenance already has is not computed again. ``advanced`` as in
    ``surprisal.surprisals``.

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
        result = _known(best, dataset, types)
        if result is None:
            engine = Engine(best.config, best.weights)
            ids = dataset.val_ids
            result = score(engine, best.tokenizer, ids, folded_types=types, advanced=advanced)
            facts |= {"val_bits_per_char": result.uncharged_bits, EXACT: True}
        if found is not None:
            facts["val_bits_per_char_charged"] = result.bits_per_char
    if facts and best.provenance != best.provenance | facts:
        checkpoint.write(run.best, replace(best, provenance=best.provenance | facts))
    return result


def _known(best: Checkpoint, dataset: Dataset, types: int) -> Score | None:
    """The exact score that the model's provenance has from an earlier end of the run."""
    bits = best.provenance.get("val_bits_per_char")
    if best.provenance.get(EXACT) is not True or not isinstance(bits, float):
        return None
    characters = counted_characters(best.tokenizer, dataset.val_ids)
    folded = count_folded(best.tokenizer, dataset.val_ids, types, characters)
    charge = folded.bits_per_char if folded else 0.0
    return Score.of((bits + charge) * LN2 * characters, characters, folded)


def uniform_bits(dataset: Dataset, result: Score) -> float:
    """Bits per character of the validation text if every symbol is equally likely, and every folded
    character too."""
    ids = dataset.val_ids
    types = result.folded.types if result.folded else 1
    symbols_per_char = len(ids) / dataset.tokenizer.count_characters(ids)
    return folding.uniform_bits(dataset.tokenizer, types) * symbols_per_char
