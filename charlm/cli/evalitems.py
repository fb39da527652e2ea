"""``charlm eval`` for models of items: their loss by item, and how good their answers are."""

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
    from charlm.runs import OpenModel
    from charlm.tasks.labelscore import LabelScore
    from charlm.tasks.tagscore import TagScore


def evaluate(
    found: OpenModel,
    file: str | None,
    *,
    as_json: bool,
    test: bool,
    ladder: bool,
    beam: int,
    encoding: str | None,
) -> None:
    """Evaluate a model of items on a file of the kind that it was trained on, or on its held-out
    items."""
    from charlm.tasks.evaluation import kind_of

    records, train, reason = held_out(found, file, test=test, encoding=encoding)
    if reason and ladder:
        say(f"no baselines: {reason}")
    given = train if ladder else []
    kind = kind_of(found.checkpoint)
    facts: dict[str, Any] = {}
    if found.checkpoint.config.writes:
        facts |= _loss(found, records, given, as_json)
    if kind in ("labelled", "classify"):
        facts |= _labels(found, records, given, as_json)
    elif kind == "tag":
        facts |= _tags(found, records, given, as_json)
    elif kind == "rewrite":
        facts |= _rewritten(found, records, given, beam, as_json)
    known = {record.text for record in train}
    seen = sum(record.text in known for record in records)
    facts["training_items"] = seen if train else None
    if as_json:
        echo_json(facts)
    elif seen:
        say(
            f"{seen:,} of the {len(records):,} items are training items: the result is better than "
            "on new ones"
        )


def held_out(
    found: OpenModel, file: str | None, *, test: bool = False, encoding: str | None = None
) -> tuple[list[Record], list[Record], str]:
    """(the items of a file, or those that a run holds out; its training items; why these are not at
    hand). RequestError if there are none to evaluate on."""
    from charlm.tasks.evaluation import kind_of

    texts, reason = None, ""
    try:
        texts = found.texts.items
    except CharlmError as error:
        if found.corpus:
            raise
        reason = str(error)
    train = [] if texts is None else texts.train
    if file is not None:
        layout = Layout(kind_of(found.checkpoint)) if texts is None else texts.layout
        stdin = sys.stdin.buffer if sys.stdin is not None else None
        listing = read_records([file], layout, encoding=encoding, stdin=stdin)
        for note in listing.notes:
            say(note)
        return listing.records, train, reason
    records = [] if texts is None else texts.test if test else texts.val
    if not records:
        part = "test" if test else "validation"
        why = f" ({reason})" if reason else ""
        name = found.path.parent if found.run else found.path
        raise RequestError(f"{name} has no {part} items{why}; name a file: charlm eval {name} FILE")
    return records, train, reason


def _loss(
    found: OpenModel, records: Sequence[Record], train: Sequence[Record], as_json: bool
) -> dict[str, Any]:
    """The loss of a model that writes items, beside baselines that count."""
    from charlm.ladder import format_ladder
    from charlm.tasks.evaluation import loss

    with reading_bar("items") as advanced:
        score, rungs = loss(found.model, records, train, advanced)
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
            name = found.model.config.cell
            click.echo(format_ladder(rungs, model_bits=result.bits_per_char, model_name=name))
    facts = score.to_dict()
    if rungs:
        facts["ladder"] = {rung.name: rung.bits_per_char for rung in rungs}
    return facts


def _labels(
    found: OpenModel, records: Sequence[Record], train: Sequence[Record], as_json: bool
) -> dict[str, Any]:
    """How good the labels are, beside those of models that are simpler."""
    from charlm.tasks.confusion import format_confusion
    from charlm.tasks.evaluation import labels

    with reading_bar("items") as advanced:
        result = labels(found.checkpoint, records, train, advanced)
    score = result.score
    if not as_json:
        if found.checkpoint.config.writes:
            click.echo("\nlabels by Bayes' rule")
        low, high = score.interval
        click.echo(
            f"{100 * score.accuracy:.2f} % of {len(score):,} labels right (95 %: {100 * low:.1f} "
            f"to {100 * high:.1f} %), calibration error {100 * score.calibration_error:.1f} %"
        )
        click.echo()
        rows = [_row(name, each) for name, each in (*result.controls.items(), (MODEL, score))]
        for line in aligned([("", "ACCURACY", "MACRO-F1", "NATS/ITEM"), *rows]):
            click.echo(line)
        click.echo()
        for line in format_confusion(score):
            echo(line)
    return {
        "labels": score.to_dict(),
        "controls": {
            name: {"accuracy": c.accuracy, "macro_f1": c.macro_f1, "nats_per_item": c.nats}
            for name, c in result.controls.items()
        },
    }


MODEL = "-> this model"


def _row(name: str, score: LabelScore) -> tuple[str, str, str, str]:
    return name, f"{100 * score.accuracy:.2f} %", f"{score.macro_f1:.3f}", f"{score.nats:.4f}"


def _tags(
    found: OpenModel, records: Sequence[Record], train: Sequence[Record], as_json: bool
) -> dict[str, Any]:
    """How good the tags are, beside those that need no model."""
    from charlm.tasks.evaluation import tags

    with reading_bar("items") as advanced:
        result, _ = tags(found.checkpoint, records, train, advanced)
    score = result.score
    if not as_json:
        low, high = score.interval
        click.echo(
            f"{100 * score.accuracy:.3f} % of {score.characters:,} tags right (95 %: "
            f"{100 * low:.3f} to {100 * high:.3f} %) in {len(score):,} items"
        )
        click.echo()
        rows = [_tag_row(name, each) for name, each in (*result.controls.items(), (MODEL, score))]
        head = ("", "TAGS RIGHT", "WHOLE ITEMS", "MACRO-F1", "SPANS: PRECISION", "RECALL", "F1")
        for line in aligned([head, *rows]):
            click.echo(line)
    return {
        "tags": score.to_dict(),
        "controls": {name: control.to_dict() for name, control in result.controls.items()},
    }


def _rewritten(
    found: OpenModel, records: Sequence[Record], train: Sequence[Record], beam: int, as_json: bool
) -> dict[str, Any]:
    """How well a model rewrites, beside what needs no model."""
    from charlm.tasks.evaluation import rewritten

    with reading_bar("items") as advanced:
        result, _ = rewritten(found.checkpoint, records, train, beam, advanced)
    score = result.score
    if not as_json:
        search = "greedy search" if beam == 1 else f"beam of {beam}"
        click.echo(
            f"{100 * score.exact_match:.2f} % of {score.items:,} items are the target exactly, "
            f"{score.edits_per_item:.3f} edits per item ({search})"
        )
        click.echo()
        rows = [
            (name, f"{100 * each.exact_match:.2f} %", f"{each.edits_per_item:.3f}")
            for name, each in (*result.controls.items(), (MODEL, score))
        ]
        for line in aligned([("", "EXACT", "EDITS/ITEM"), *rows]):
            click.echo(line)
    return {
        "rewritten": score.to_dict() | {"beam": beam},
        "controls": {name: control.to_dict() for name, control in result.controls.items()},
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
