"""A new run of ``charlm train``: its text, its model, and every setting decided."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click
import numpy as np

from charlm import launch, rundir, runs
from charlm.cli.corpusoptions import check_corpus_options, source_of, weighted
from charlm.cli.options import chosen, either, fields_of, given, typed
from charlm.cli.terminal import say
from charlm.config import (
    CELLS,
    NEW_CHARACTERS_SHARE,
    ModelOptions,
    TrainOptions,
    default_learning_rate,
)
from charlm.errors import RequestError, UnknownCharacterError
from charlm.lineage import lineage_after
from charlm.text.unknown import ONLY_LF, sees_only_lf

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint
    from charlm.text.dataset import AnyDataset, Source, Texts
    from charlm.training.group import Group
    from charlm.training.trainer import Trainer


def prepared(
    ctx: click.Context,
    corpus: tuple[str, ...],
    options: dict[str, Any],
    began: float,
    group: Group | None,
) -> tuple[Trainer, BinaryIO | None]:
    """A trainer for a new run, with every setting decided, and the text of standard input, if that
    was read."""
    if not corpus:
        raise RequestError("no corpus given; type charlm train corpus.txt, or give --resume RUN")
    _check_options(ctx, options)
    from charlm.text import dataset as data
    from charlm.text.idfile import IdFile
    from charlm.training import parity, plan
    from charlm.training.devices import choose_device
    from charlm.training.group import ALONE
    from charlm.training.trainer import Trainer

    device = choose_device(options["device"])
    shape = chosen(ModelOptions, options)
    start: Checkpoint | None = None
    started_from: list[dict[str, Any]] = []
    known = 0  # symbols of the model to start from
    if options["init_from"] is not None:
        start, shape = _start_from(ctx, options)
    corpus, weights = weighted(corpus) if options["mix"] else (corpus, ())
    source = source_of(options, corpus, weights)
    piped = _piped(source)
    texts = _read_corpus(source, piped, start)
    source = replace(source, newline=texts.newline, split_by=texts.split_by)
    if start is not None:
        started_from, known = lineage_after(start), start.config.vocab_size
        if options["add_characters"]:
            start = _with_characters(start, texts)
        dataset = _encoded(texts, start)
        _check_task(dataset, start)
    else:
        tokenizer = data.choose_tokenizer(
            texts, level=options["level"], min_count=options["min_count"], nfc=options["nfc"]
        )
        dataset = data.encode_corpus(texts, tokenizer)
    shape |= dataset.shape
    model = ModelOptions(**shape)
    model.settle()  # refuse a wrong shape before timing anything
    _describe_corpus(texts, dataset)
    _hint_at_the_end(dataset, source)
    if weights:
        parts = zip(corpus, weights, texts.train_parts, strict=True)
        mixed = (f"{Path(n).name} {w:g} ({len(part):,} characters)" for n, w, part in parts)
        say(f"mix     by weight, to train: {', '.join(mixed)}")
    if isinstance(dataset, data.Dataset) and isinstance(dataset.ids, IdFile):
        size = len(dataset.ids) * dataset.ids.dtype.itemsize
        say(
            f"cache   {dataset.ids.path.parent} keeps its characters as numbers, {size / 1e6:,.0f} "
            "MB; charlm corpus cache clear removes them"
        )
    parity.check(model.settle(), device)
    notes = texts.notes
    del texts  # training needs the ids alone
    train = TrainOptions(**chosen(TrainOptions, options))
    if train.learning_rate is None and start is not None and start.config.vocab_size > known:
        usual = default_learning_rate(train.optimizer, start.config.hidden_size)
        train = replace(train, learning_rate=NEW_CHARACTERS_SHARE * usual)
    group = group or ALONE
    settled = plan.settle(model, train, dataset, source, device, began=began, group=group)
    for note in (*notes, *settled.notes):
        say(note)
    trainer = Trainer(settled.model, settled.train, dataset, source, device, group)
    trainer.progress.pace, trainer.progress.split = settled.pace, settled.split
    if start is not None:
        trainer.load_weights(start.weights)
        trainer.started_from = started_from
    return trainer, piped


def _describe_corpus(texts: Texts, dataset: AnyDataset) -> None:
    symbols = "bytes" if dataset.tokenizer.kind == "byte" else "symbols"
    found = texts.items
    what = f"{texts.characters:,} characters"
    parts = [texts.train, texts.val, *([texts.test] if texts.test else [])]
    split = f"{' / '.join(f'{len(part):,}' for part in parts)} characters"
    if found is not None:
        sizes = [len(found.train), len(found.val), *([len(found.test)] if found.test else [])]
        what = f"{sum(sizes):,} items, {what}"
        split = f"{' / '.join(f'{size:,}' for size in sizes)} items"
    say(f"corpus  {texts.name}: {what}, {dataset.tokenizer.vocab_size} {symbols}")
    say(f"split   {texts.split} ({split})")
    if dataset.item_facts is not None and dataset.item_facts.labels:
        say(f"labels  {dataset.item_facts.describe()}")
    if dataset.folding is not None:
        say(
            f"folded  {100 * dataset.folding.share:.3g} % of the characters, of "
            f"{dataset.folding.types:,} types, are read as the unknown symbol"
        )


def _hint_at_the_end(dataset: AnyDataset, source: Source) -> None:
    """Say so if the end of the text, on which it is validated, is unlike the rest."""
    from charlm.text.dataset import Dataset
    from charlm.text.unlike import NOTABLE, end_and_control

    validates_on_end = source.split_by == "end" and source.val_fraction and not source.val_sources
    if not isinstance(dataset, Dataset) or not validates_on_end or source.separator:
        return
    tokenizer = dataset.tokenizer
    if not isinstance(dataset.ids, np.ndarray) or len(tokenizer.unseen("\n")):
        return
    line_end = int(tokenizer.encode("\n")[0])
    found = end_and_control(dataset.ids, line_end, tokenizer.vocab_size)
    if found is not None and found[0] > found[1] + NOTABLE:
        say(
            f"hint    the end of the text is unlike the rest: by pairs of characters it costs "
            f"{found[0]:.2f} bits/char, with lines in random order {found[1]:.2f}; if their order "
            "does not matter, give --shuffle-lines, or --items for a list"
        )


def _read_corpus(source: Source, piped: BinaryIO | None, start: Checkpoint | None) -> Texts:
    """The corpus. Its line ends are read as those of the model to start from, unless --newline
    says how."""
    from charlm.text import dataset

    def read(source: Source) -> Texts:
        if piped is not None:
            piped.seek(0)
        return dataset.read(source, piped)

    if start is None or source.newline != "auto":
        return read(source)
    unix = replace(source, newline="unix")
    if start.tokenizer.newline == "unix":
        return read(unix)
    texts = read(source)
    has_cr = bool(texts.counts[ord("\r")])
    if not has_cr or not sees_only_lf(start.tokenizer):
        return texts
    texts = read(unix)
    return replace(texts, notes=(*texts.notes, ONLY_LF))


def _piped(source: Source) -> BinaryIO | None:
    """What comes from standard input if the corpus or the validation text is "-", else None."""
    asked = (*source.sources, *source.val_sources).count("-")
    if asked > 1:
        raise RequestError("standard input can be read only once; give - once")
    if asked and sys.stdin is None:
        raise RequestError("- means standard input, which is closed; give a file")
    from charlm.text.reading import keep

    if asked and launch.size() > 1:
        raise RequestError(
            "- means standard input, which only one of several processes gets; give a file"
        )
    return keep(sys.stdin.buffer) if asked else None


def _check_options(ctx: click.Context, options: dict[str, Any]) -> None:
    """Refuse wrong options before torch is imported, which takes seconds."""
    if options["moved_to"]:
        raise RequestError(
            "--corpus says where the corpus of a run is now, for --resume; to train on a text, "
            f"type charlm train {shlex.quote(options['moved_to'][0])}"
        )
    ModelOptions(**chosen(ModelOptions, options)).settle()
    TrainOptions(**chosen(TrainOptions, options)).check_length()
    for name, spec in fields_of(ModelOptions).items():
        cells = spec.metadata.get("cells", CELLS)
        if name in given(ctx) and options["cell"] not in cells and options["init_from"] is None:
            raise RequestError(
                f"{typed(ctx, name)} has no effect with --cell {options['cell']}, only with "
                f"{either(cells)}; leave it out"
            )
    if options["add_characters"] and options["init_from"] is None:
        raise RequestError(
            "--add-characters adds to the vocabulary of an earlier model; give it with --init-from "
            "MODEL, or leave it out: a new model has all characters of its text"
        )
    check_corpus_options(ctx, options)
    if options["name"] is not None:
        rundir.check_name(options["out"], options["name"], force=options["force"])


TRAINED_WITH = {"dropout", "embedding_dropout"}
"""The fields of a model that another run with the same weights may have otherwise."""


def _start_from(ctx: click.Context, options: dict[str, Any]) -> tuple[Checkpoint, dict[str, Any]]:
    """The model of --init-from and its shape; RequestError if an option contradicts it."""
    start = runs.open_model(options["init_from"], options["out"]).checkpoint
    shape = start.config.to_dict()
    for name in given(ctx) & {*fields_of(ModelOptions), "level", "min_count", "nfc"} - TRAINED_WITH:
        if options[name] != shape.get(name):
            raise RequestError(
                f"--init-from uses the model's shape and vocabulary; leave out {typed(ctx, name)}"
            )
    return start, shape | {name: options[name] for name in TRAINED_WITH}


def _with_characters(start: Checkpoint, texts: Texts) -> Checkpoint:
    """The model of --init-from with the characters that it has never seen, which are named."""
    from charlm.extending import unseen_characters, with_characters
    from charlm.text.unknown import name_characters

    if start.tokenizer.kind == "byte":
        say("--add-characters adds nothing: a model of bytes can read every character")
        return start
    new = unseen_characters(texts, start.tokenizer)
    if not new:
        say("--add-characters adds nothing: the model knows every character of the text")
        return start
    say(f"added   {len(new):,} to the characters of the model: {name_characters(new)}")
    return with_characters(start, new)


def _encoded(texts: Texts, start: Checkpoint) -> AnyDataset:
    """The corpus in the vocabulary of the model of --init-from; an error if that has never seen
    some of its characters."""
    from charlm.extending import unseen_characters
    from charlm.text import dataset as data

    try:
        tokenizer = start.tokenizer.with_newline(texts.newline)
        dataset = data.encode_corpus(texts, tokenizer, start.items)
    except UnknownCharacterError as error:
        number = len(unseen_characters(texts, start.tokenizer))
        what = "the new character" if number == 1 else f"the {number:,} new characters"
        raise UnknownCharacterError(
            f"{texts.name} has {error}; add {what} of the text with --add-characters, "
            "remove them, or train a new model without --init-from"
        ) from error
    _check_folded(dataset)
    return dataset


def _check_task(dataset: AnyDataset, start: Checkpoint) -> None:
    """RequestError if the model of --init-from does something else than what the corpus is for. A
    model that writes text can go on to write items, and the other way round."""
    task = dataset.shape["task"]
    writes = start.config.writes and task in ("text", "items")
    if not writes and task != start.config.task:
        raise RequestError(
            f"--init-from uses a model for {start.config.task}, and the corpus is for {task}; "
            "train a new model without --init-from"
        )
    if dataset.shape["num_labels"] != start.config.num_labels:
        raise RequestError(
            "--init-from uses a model with labels, and the corpus has none; give --labelled, or "
            "train a new model without --init-from"
        )


def _check_folded(dataset: AnyDataset) -> None:
    """RequestError if the model of --init-from has never seen many of the corpus's characters."""
    from charlm.text.folding import MAX_FOLDED

    if dataset.folding is not None and dataset.folding.share > MAX_FOLDED:
        raise RequestError(
            f"{100 * dataset.folding.share:.0f} % of {dataset.name} are characters that the model "
            f"of --init-from has never seen, more than {100 * MAX_FOLDED:.0f} %; add them with "
            "--add-characters, or train a new model without --init-from"
        )
