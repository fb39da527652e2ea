"""``charlm eval`` for models of items: their loss by item, and how good their labels are."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.progress import reading_bar
from charlm.cli.terminal import aligned, echo, echo_json, say
from charlm.errors import CharlmError, RequestError
from charlm.text.records import Layout, Record, read_records

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint
    from charlm.labelscore import LabelScore
    from charlm.ladder import Rung
    from charlm.runs import OpenModel
    from charlm.tagscore import TagScore


def evaluate(
    found: OpenModel,
    file: str | None,
    *,
    as_json: bool,
    test: bool,
    ladder: bool,
    encoding: str | None,
) -> None:
    """Evaluate a model of items on a file of the kind that it was trained on, or on its held-out
    items."""
    texts, reason = None, ""
    try:
        texts = found.texts.items
    except CharlmError as error:
        if found.corpus:
            raise
        reason = str(error)
    kind = _kind(found.checkpoint)
    if file is not None:
        layout = Layout(kind) if texts is None else texts.layout
        stdin = sys.stdin.buffer if sys.stdin is not None else None
        listing = read_records([file], layout, encoding=encoding, stdin=stdin)
        for note in listing.notes:
            say(note)
        records = listing.records
    else:
        records = [] if texts is None else texts.test if test else texts.val
    if not records:
        part = "test" if test else "validation"
        why = f" ({reason})" if reason else ""
        name = found.path.parent
        raise RequestError(f"{name} has no {part} items{why}; name a file: charlm eval {name} FILE")
    train = [] if texts is None else texts.train
    if reason and ladder:
        say(f"no baselines: {reason}")
    facts: dict[str, Any] = {}
    if found.checkpoint.config.writes:
        facts |= _loss(found, records, train if ladder else [], as_json)
    if kind in ("labelled", "classify"):
        facts |= _labels(found, records, train if ladder else [], as_json)
    elif kind == "tag":
        facts |= _tags(found, records, train if ladder else [], as_json)
    seen = sum(record.text in {r.text for r in train} for record in records) if train else 0
    facts["training_items"] = seen
    if as_json:
        echo_json(facts)
    elif seen:
        say(
            f"{seen:,} of the {len(records):,} items are training items: the result is better than "
            "on new ones"
        )


def _kind(loaded: Checkpoint) -> str:
    """What a list is for that this model can be evaluated on (``charlm.text.records.KINDS``)."""
    if loaded.config.task == "items":
        return "labelled" if loaded.config.num_labels else "items"
    return loaded.config.task


def _loss(
    found: OpenModel, records: Sequence[Record], train: Sequence[Record], as_json: bool
) -> dict[str, Any]:
    """The loss of a model that writes items, beside baselines that count."""
    import numpy as np

    from charlm.itemscore import ItemScore, item_nats, one_hot, score_of
    from charlm.ladder import format_ladder, item_ladder
    from charlm.text.items import encode_items

    model = found.model
    assert model.items is not None
    texts = [record.text for record in records]
    encoded = encode_items(texts, model.tokenizer, model.items)
    weights = None
    if model.labels:
        labels = np.array([model.items.number(record.label) for record in records])
        weights = one_hot(labels, len(model.labels))
    with reading_bar("items") as advanced:
        nats = item_nats(model.predictor, encoded, weights, advanced=advanced)
    types = model.folded_types("".join(texts))
    score: ItemScore = score_of(nats, model.tokenizer, encoded, types)
    rungs: list[Rung] = []
    if train:
        known = model.tokenizer.normalize
        rungs = item_ladder([known(r.text) for r in train], [known(t) for t in texts], model.end)
    if not as_json:
        result = score.score
        click.echo(
            f"{result.bits_per_char:.4f} bits/char = {result.nats_per_char:.4f} nats/char, "
            f"{score.bits_per_item:.3f} bits/item = {score.nats_per_item:.3f} nats/item, "
            f"{score.items:,} items, {result.characters:,} characters, end symbols included"
        )
        if result.folded_note:
            say(result.folded_note)
        if rungs:
            click.echo()
            table = format_ladder(
                rungs, model_bits=result.bits_per_char, model_name=model.config.cell
            )
            click.echo(table)
    facts = score.to_dict()
    if rungs:
        facts["ladder"] = {rung.name: rung.bits_per_char for rung in rungs}
    return facts


def _labels(
    found: OpenModel, records: Sequence[Record], train: Sequence[Record], as_json: bool
) -> dict[str, Any]:
    """How good the labels are, beside those of models that are simpler."""
    import numpy as np

    from charlm.answers import Classifier
    from charlm.confusion import format_confusion
    from charlm.labelscore import LabelScore
    from charlm.naivebayes import NaiveBayes

    classifier = Classifier(found.checkpoint)
    facts = classifier.facts
    truth = np.array([facts.number(record.label) for record in records])
    texts = [record.text for record in records]
    with reading_bar("items") as advanced:
        log_p = classifier.log_probabilities(classifier.encode(texts), advanced)
    score = LabelScore.of(log_p, truth, facts.labels)
    controls = {"most frequent label": LabelScore.of_shares(facts.shares(), truth, facts.labels)}
    if train:
        bayes = NaiveBayes.fit(
            [record.text for record in train],
            np.array([facts.number(record.label) for record in train]),
            len(facts.labels),
        )
        log_p = bayes.log_posteriors(texts)
        controls["naive Bayes of n-grams"] = LabelScore.of(log_p, truth, facts.labels)
    if not as_json:
        if found.checkpoint.config.writes:
            click.echo("\nlabels by Bayes' rule")
        low, high = score.interval
        click.echo(
            f"{100 * score.accuracy:.2f} % of {len(score):,} labels right (95 %: {100 * low:.1f} "
            f"to {100 * high:.1f} %), calibration error {100 * score.calibration_error:.1f} %"
        )
        click.echo()
        rows = [("", "ACCURACY", "MACRO-F1", "NATS/ITEM")]
        rows += [_row(name, each) for name, each in (*controls.items(), ("-> this model", score))]
        for line in aligned(rows):
            click.echo(line)
        click.echo()
        for line in format_confusion(score):
            echo(line)
    return {
        "labels": score.to_dict(),
        "controls": {
            name: {"accuracy": c.accuracy, "macro_f1": c.macro_f1, "nats_per_item": c.nats}
            for name, c in controls.items()
        },
    }


def _row(name: str, score: LabelScore) -> tuple[str, str, str, str]:
    return name, f"{100 * score.accuracy:.2f} %", f"{score.macro_f1:.3f}", f"{score.nats:.4f}"


def _tags(
    found: OpenModel, records: Sequence[Record], train: Sequence[Record], as_json: bool
) -> dict[str, Any]:
    """How good the tags are, beside the most frequent tag of each character."""
    from charlm.answers import Tagger
    from charlm.tagscore import TagScore, UnigramTagger, unchanged

    tagger = Tagger(found.checkpoint)
    with reading_bar("items") as advanced:
        log_p = tagger.log_probabilities(tagger.encode([r.text for r in records]), advanced)
    texts, truth = [record.text for record in records], [record.label for record in records]
    labels = tagger.labels

    def scored(answers: list[str]) -> TagScore:
        return TagScore.of(texts, truth, answers, labels)

    score = scored([tagger.tags(each) for each in log_p])
    controls = {"nothing is found": scored(unchanged(texts, labels))}
    if train:
        known = [record.text for record in train], [record.label for record in train]
        unigram = UnigramTagger.fit(*known, labels)
        controls["each character's most frequent tag"] = scored(unigram.tags(texts))
    if not as_json:
        low, high = score.interval
        click.echo(
            f"{100 * score.accuracy:.3f} % of {score.characters:,} tags right (95 %: "
            f"{100 * low:.3f} to {100 * high:.3f} %) in {len(score):,} items"
        )
        click.echo()
        rows = [
            _tag_row(name, each) for name, each in (*controls.items(), ("-> this model", score))
        ]
        head = ("", "TAGS RIGHT", "WHOLE ITEMS", "MACRO-F1", "SPANS: PRECISION", "RECALL", "F1")
        for line in aligned([head, *rows]):
            click.echo(line)
    return {
        "tags": score.to_dict(),
        "controls": {name: control.to_dict() for name, control in controls.items()},
    }


def _tag_row(name: str, score: TagScore) -> tuple[str, ...]:
    spans = [
        "-" if share is None else f"{100 * share:.2f} %"
        for share in (score.spans.precision, score.spans.recall, score.spans.f1)
    ]
    return (
        *(name, f"{100 * score.accuracy:.3f} %", f"{100 * score.whole:.2f} %"),
        *(f"{score.macro_f1:.3f}", *spans),
    )
