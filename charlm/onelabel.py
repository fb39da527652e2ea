"""A model with labels, as the model of one of them: the same predictions, and no labels.

Such a model adds the embedding of its label to that of every character. So the model of one label,
or of a blend, is an ordinary one whose embeddings have it added already, and everything that looks
inside a model can look inside that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from charlm.checkpoint import Checkpoint
from charlm.errors import RequestError
from charlm.itemfacts import ItemFacts


def of_label(model: Checkpoint, weights: Mapping[str, float]) -> Checkpoint:
    """The model that writes items of a label, or of several in these proportions. What resuming
    needs is left out.

    Raises RequestError if the model has no labels, or not these.
    """
    if model.items is None or not model.config.conditions:
        raise RequestError("the model has no labels; leave out --label")
    shares = np.zeros(model.config.conditions)
    for label, weight in weights.items():
        shares[model.items.number(label)] = weight
    parameters = dict(model.weights)
    labels = parameters.pop("body.labels.weight")
    embedding = parameters["body.embedding.weight"]
    if model.config.tie:  # the head keeps what it had
        parameters["head.weight"] = embedding
    added = embedding.astype(np.float64) + shares / shares.sum() @ labels
    parameters["body.embedding.weight"] = added.astype(np.float32)
    return Checkpoint(
        replace(model.config, num_labels=0, tie=False),
        model.tokenizer,
        parameters,
        model.provenance,
        items=ItemFacts(model.items.end),
    )
