"""From a run or a model file to a model that answers."""

from __future__ import annotations

from pathlib import Path

from charlm.runs import OpenModel, open_model
from charlm.tasks.answers import Classifier, Tagger
from charlm.tasks.rewriting import Rewriter


def load_classifier(
    path: str | Path | None = None, *, prior: dict[str, float] | None = None
) -> Classifier:
    """Open a model that can label items: of ``--task classify``, or of ``--labelled``.

    prior: how likely each label is before an item is read (``charlm.tasks.answers.Classifier``)
    """
    return Classifier(_opened(path).for_task("classify"), prior)


def load_tagger(path: str | Path | None = None) -> Tagger:
    """Open a model of ``--task tag``."""
    return Tagger(_opened(path).for_task("tag"))


def load_rewriter(path: str | Path | None = None) -> Rewriter:
    """Open a model of ``--task rewrite``."""
    return Rewriter.of(_opened(path).for_task("rewrite"))


def _opened(path: str | Path | None) -> OpenModel:
    return open_model(None if path is None else str(path))
