"""The end of a run: its counts, and the exact validation loss of its best model."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from charlm import checkpoint, counts
from charlm.checkpoint import Checkpoint
from charlm.counts import Counts
from charlm.errors import CheckpointError
from charlm.itemscore import ItemScore, charged, score_items
from charlm.mixture import Apart, Mixed, Predictor
from charlm.models.predictor import network_on
from charlm.rundir import Run
from charlm.surprisal import LN2, Score, count_folded, counted_characters, score, scores_apart
from charlm.tasks.reader import Reader, nats_of, read_items
from charlm.tasks.rewriting import Rewriter
from charlm.tasks.rewriting import nats_of as nats_of_targets
from charlm.text import folding
from charlm.text.dataset import AnyDataset, Dataset
from charlm.text.items import ItemDataset, count_characters

EXACT, EXACT_CHARACTERS = "val_exact", "val_exact_characters"
"""Keys of a model's provenance: its validation loss comes from one exact pass, and over how many
characters, if that is not all of the validation text."""

CPU = torch.device("cpu")

_BITS = "val_bits_per_char"


@dataclass(frozen=True)
class Summary:
    """The validation loss of a run's best model.

    network: of the network alone
    counts: the counts that are used with it, if any, and ``apart``, the loss of each part
    items: of a model of items, its loss by item too
    """

    network: Score
    counts: Counts | None = None
    apart: Apart | None = None
    items: ItemScore | None = None

    @property
    def score(self) -> Score:
        """Of what the run samples and scores with: network and counts, if it has counts."""
        best: Score = self.network if self.apart is None else self.apart.mixture
        return best


@dataclass(frozen=True)
class Answered:
    """What a run that classifies or tags has reached on its validation items.

    unit: what is counted: item or char
    nats: mean -ln p of the right label
    accuracy: the share of right labels; most_frequent: what always giving the most frequent label
        of the training items would reach
    """

    unit: str
    count: int
    nats: float
    accuracy: float
    most_frequent: float

    def describe(self) -> str:
        return (
            f"best validation {self.nats:.4f} nats/{self.unit}, {100 * self.accuracy:.2f} % of "
            f"{self.count:,} labels right; always the most frequent label: "
            f"{100 * self.most_frequent:.2f} %"
        )


def finish(
    run: Run,
    dataset: AnyDataset,
    *,
    with_counts: bool = False,
    device: torch.device = CPU,
    advanced: Callable[[int, int], object] = lambda done, total: None,
) -> Summary | Answered | None:
    """Count the training text, then score the best model on the validation text in one exact pass,
    as ``charlm eval`` does, and store the result in its provenance. None if there is no validation
    text; then there are no counts either, since nothing could choose their weights.

    device: where the network is computed
    What an earlier end of the run has stored is not computed again. ``advanced`` as in
    ``surprisal.surprisals``.

    ``val_bits_per_char`` is the loss of the network's own symbols. For a model with an unknown
    symbol the provenance also gets ``folded_types`` and ``folded_share`` of the corpus, and
    ``val_bits_per_char_charged``, which pays for naming the folded characters
    (``charlm.text.folding``), as all scores of the summary do.
    """
    best = checkpoint.read(run.best)
    if isinstance(dataset, ItemDataset):
        return _finish_items(run, best, dataset, device, advanced)
    found = dataset.folding
    types = max(1, found.types) if found else 1
    facts: dict[str, Any] = {}
    if found is not None:
        facts |= {folding.TYPES: types, folding.SHARE: found.share}
    result = None
    if dataset.can_validate:
        beside = _counts_of(run, best) if with_counts else None
        result = _known(best, beside, dataset, types) if bool(beside) is with_counts else None
        if result is None:
            network = network_on(device, best.config, best.weights)
            if with_counts:
                beside = beside or counts.fit(
                    best, dataset.train_ids, dataset.val_ids, network=network
                )
            result = _scored(network, best, beside, dataset, types, advanced)
            if result.counts is not None:
                counts.write(run.counts, result.counts)
            facts |= {_BITS: result.network.uncharged_bits, EXACT: True}
            if dataset.exact is not None:
                facts[EXACT_CHARACTERS] = result.network.characters
        if found is not None:
            facts["val_bits_per_char_charged"] = result.network.bits_per_char
    if facts and best.provenance != best.provenance | facts:
        checkpoint.write(run.best, replace(best, provenance=best.provenance | facts))
    return result


def _finish_items(
    run: Run,
    best: Checkpoint,
    dataset: ItemDataset,
    device: torch.device,
    advanced: Callable[[int, int], object],
) -> Summary | Answered | None:
    """``finish`` for a list of items, which has no counts."""
    if not dataset.can_validate:
        return None
    found = exact_loss(best, dataset, device, advanced)
    facts: dict[str, Any] = {EXACT: True}
    if isinstance(found, Answered):
        facts[f"val_bits_per_{found.unit}"] = found.nats / LN2
        facts["val_accuracy"] = found.accuracy
    else:
        facts[_BITS] = found.score.uncharged_bits
        facts["val_bits_per_item"] = found.bits_per_item
    if len(dataset.exact) < len(dataset.val):
        facts["val_exact_items"] = len(dataset.exact)
    if best.provenance != best.provenance | facts:
        checkpoint.write(run.best, replace(best, provenance=best.provenance | facts))
    return found if isinstance(found, Answered) else Summary(found.score, items=found)


def exact_loss(
    model: Checkpoint,
    dataset: ItemDataset,
    device: torch.device,
    advanced: Callable[[int, int], object] = lambda done, total: None,
) -> ItemScore | Answered:
    """The exact loss of a model on the validation items."""
    if model.config.task == "rewrite":
        return _exact_rewriting(model, dataset, advanced)
    if not model.config.writes:
        return _answered(model, dataset, advanced)
    return score_items(
        network_on(device, model.config, model.weights),
        *(model.tokenizer, dataset.exact, model.config.num_labels),
        folded_types=max(1, dataset.folding.types) if dataset.folding else 1,
        advanced=advanced,
    )


def _answered(
    model: Checkpoint, dataset: ItemDataset, advanced: Callable[[int, int], object]
) -> Answered:
    """The exact loss of a model that classifies or tags."""
    items = dataset.exact
    answers = read_items(Reader(model.config, model.weights), items, advanced)
    nats, count = nats_of(answers, items)
    most = int(np.argmax(dataset.item_facts.counts))
    right = frequent = 0
    for number, answer in enumerate(answers):
        wanted = np.atleast_1d(items.answers(np.array([number]))[0])
        right += int((np.atleast_2d(answer).argmax(-1) == wanted).sum())
        frequent += int((wanted == most).sum())
    unit = "item" if model.config.task == "classify" else "char"
    return Answered(unit, count, nats / count, right / count, frequent / count)


def _exact_rewriting(
    model: Checkpoint, dataset: ItemDataset, advanced: Callable[[int, int], object]
) -> ItemScore:
    """The exact loss of the targets of the validation items."""
    items = dataset.exact
    assert items.targets is not None
    total, _ = nats_of_targets(Rewriter.of(model), items, advanced)
    characters = count_characters(model.tokenizer, items.targets)
    types = max(1, dataset.folding.types) if dataset.folding else 1
    return ItemScore(charged(total, model.tokenizer, items.targets, characters, types), len(items))


def _counts_of(run: Run, best: Checkpoint) -> Counts | None:
    """The counts that the run already has for this model."""
    if not os.path.lexists(run.counts):
        return None
    try:
        found = counts.read(run.counts)
    except CheckpointError:
        return None  # damaged: they are counted again
    return found if found.belongs_to(best) else None


def _scored(
    network: Predictor,
    best: Checkpoint,
    beside: Counts | None,
    dataset: Dataset,
    types: int,
    advanced: Callable[[int, int], object],
) -> Summary:
    ids = dataset.exact_ids
    if beside is None:
        alone = score(network, best.tokenizer, ids, folded_types=types, advanced=advanced)
        return Summary(alone)
    both = Mixed(network, beside.ngram, beside.weights)
    apart = scores_apart(both, best.tokenizer, ids, folded_types=types, advanced=advanced)
    facts = {
        f"{_BITS}_ngram": apart.ngram.uncharged_bits,
        f"{_BITS}_mixture": apart.mixture.uncharged_bits,
    }
    return Summary(apart.network, replace(beside, facts=beside.facts | facts), apart)


def _known(best: Checkpoint, beside: Counts | None, dataset: Dataset, types: int) -> Summary | None:
    """The exact scores that the run's files have from an earlier end of the run."""
    known = [best.provenance.get(_BITS)]
    if beside is not None:
        known += [beside.facts.get(f"{_BITS}_{part}") for part in ("ngram", "mixture")]
    if best.provenance.get(EXACT) is not True or not all(type(b) is float for b in known):
        return None
    characters = counted_characters(best.tokenizer, dataset.exact_ids)
    part = None if dataset.exact is None else characters
    if best.provenance.get(EXACT_CHARACTERS) != part:
        return None
    folded = count_folded(best.tokenizer, dataset.exact_ids, types, characters)
    charge = folded.bits_per_char if folded else 0.0
    scores = [
        Score.of((float(bits or 0.0) + charge) * LN2 * characters, characters, folded)
        for bits in known
    ]
    return Summary(scores[0], beside, None if beside is None else Apart(*scores))


def uniform_bits(dataset: AnyDataset, result: Score) -> float:
    """Bits per character of the validation text if every symbol is equally likely, and every folded
    character too."""
    types = result.folded.types if result.folded else 1
    if isinstance(dataset, ItemDataset):
        return folding.uniform_bits(dataset.tokenizer, types) * dataset.symbols_per_char
    ids = dataset.exact_ids
    symbols_per_char = len(ids) / dataset.tokenizer.count_characters(ids)
    return folding.uniform_bits(dataset.tokenizer, types) * symbols_per_char
