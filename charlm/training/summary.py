"""The end of a run: the exact validation figure of its best model, written into that model."""

from __future__ import annotations

import math
from dataclasses import replace

from charlm import checkpoint
from charlm.engine import Engine
from charlm.runs import Run
from charlm.surprisal import Score, score
from charlm.text.dataset import Dataset


def finish(run: Run, dataset: Dataset) -> Score | None:
    """Score the best model on the whole validation part in one exact pass, as ``charlm eval`` does,
    and store the figure in its provenance. None where there is nothing to validate on."""
    best = checkpoint.read(run.best)
    if not dataset.can_validate:
        return None
    result = score(Engine(best.config, best.weights), best.tokenizer, dataset.val_ids)
    provenance = best.provenance | {"val_bits_per_char": result.bits_per_char, "val_exact": True}
    checkpoint.write(run.best, replace(best, provenance=provenance))
    return result


def uniform_bits(dataset: Dataset) -> float:
    """Bits per character of a model that knows nothing but the vocabulary's size."""
    ids = dataset.val_ids
    return math.log2(dataset.tokenizer.vocab_size) * (
        len(ids) / dataset.tokenizer.count_characters(ids)
    )
