"""The options that say what to train on, which ``charlm train`` and ``charlm sweep`` share."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.options import (
    Choice,
    Decorated,
    Number,
    encoding_option,
    given,
    option,
    typed,
    unescaped,
)
from charlm.errors import RequestError
from charlm.text import newlines
from charlm.text.dataset import DEFAULT_VAL_FRACTION

if TYPE_CHECKING:
    from charlm.text.dataset import Source

_OPTIONS = (
    option(
        "--tokenizer",
        "level",
        group="Corpus",
        type=Choice(["char", "byte"]),
        default="char",
        show_default=True,
        help="Model Unicode characters, or the bytes of UTF-8.",
    ),
    option(
        "--min-count",
        group="Corpus",
        type=Number(int, min=1),
        default=1,
        show_default=True,
        help="Replace characters that occur less often by one unknown symbol.",
    ),
    option("--nfc", group="Corpus", is_flag=True, help="Normalize the text to Unicode NFC."),
    encoding_option("the files", group="Corpus"),
    option(
        "--newline",
        group="Corpus",
        type=Choice(newlines.CHOICES),
        default=newlines.DEFAULT,
        show_default=True,
        help="Keep line ends as they are, or turn CRLF and CR into LF (unix); auto: unix if the "
        "corpus mixes them. The model reads later texts in the same way.",
    ),
    option(
        "--val-fraction",
        group="Corpus",
        type=Number(float, min=0.0, below=1.0),
        default=DEFAULT_VAL_FRACTION,
        show_default=True,
        help="Validate on this share of the text, taken from its end; 0: no validation.",
    ),
    option(
        "--test-fraction",
        group="Corpus",
        type=Number(float, min=0.0, below=1.0),
        default=0.0,
        show_default=True,
        help="Hold back this share of the text, after the validation text; charlm eval --test "
        "reports it, and no choice sees it.",
    ),
    option(
        "--mix",
        group="Corpus",
        is_flag=True,
        help="Read several texts at once: CORPUS is FILE=WEIGHT FILE=WEIGHT ..., and each gets its "
        "share of the rows of every batch. Each has its own training and validation part.",
    ),
    option(
        "--document-separator",
        "separator",
        group="Corpus",
        metavar="TEXT",
        help="The text consists of documents that end with this, in which \\n, \\t and \\\\ are a "
        "line end, a tab and a backslash. They are read in another order in every epoch, and no "
        "document is divided between training and validation text.",
    ),
    option(
        "--items",
        group="Corpus",
        is_flag=True,
        help="The corpus is a list of items, one a line: the model learns to begin and to end one.",
    ),
    option(
        "--item-separator",
        group="Corpus",
        metavar="TEXT",
        help="With --items: what ends an item, in which \\n, \\t and \\\\ are a line end, a tab "
        "and a backslash [default: a line end]",
    ),
    option(
        "--labelled",
        group="Corpus",
        is_flag=True,
        help="The corpus has an item, a tab and its label on each line (or is CSV or JSON lines): "
        "the model learns to write an item of a label.",
    ),
    option(
        "--task",
        group="Corpus",
        type=Choice(["classify", "tag", "rewrite"]),
        help="The corpus has labels as with --labelled, and the model learns to give them: the "
        "label of an item, a tag for each of its characters, or the text that it becomes.",
    ),
    option(
        "--text-column",
        group="Corpus",
        default="text",
        show_default=True,
        help="Column of the items in CSV, or their key in JSON lines.",
    ),
    option(
        "--label-column",
        group="Corpus",
        default="label",
        show_default=True,
        help="Column or key of the labels.",
    ),
    option(
        "--split-by",
        group="Corpus",
        type=Choice(["end", "file", "line"]),
        help="Take the validation text from the end of the text, from the end of each file, or "
        "line by line from all over it.  [default: end; file if there are several, "
        "without --document-separator]",
    ),
    option(
        "--shuffle-lines",
        group="Corpus",
        is_flag=True,
        help="Read the lines of the text in random order, and split it by line.",
    ),
    option(
        "--val-file", group="Corpus", multiple=True, help="Validate on this file; can be repeated."
    ),
)


def corpus_options(command: Decorated) -> Decorated:
    """Add the options of the corpus to a command."""
    for each in reversed(_OPTIONS):
        command = each(command)
    return command


CORPUS_FIELDS = (
    "level",
    "min_count",
    "nfc",
    "encoding",
    "newline",
    "val_fraction",
    "test_fraction",
    "mix",
    "separator",
    "items",
    "item_separator",
    "labelled",
    "task",
    "text_column",
    "label_column",
    "split_by",
    "shuffle_lines",
    "val_file",
)
"""The names of what ``corpus_options`` adds."""


def check_corpus_options(ctx: click.Context, options: Mapping[str, Any]) -> None:
    """RequestError if options of the corpus contradict each other."""
    if options["separator"] == "":
        raise RequestError(
            "--document-separator is empty; give what ends a document, or leave it out"
        )
    _check_items(ctx, options)
    if options["val_file"] and "val_fraction" in given(ctx):
        raise RequestError("--val-file and --val-fraction both set the validation text; give one")
    if options["val_file"] and options["test_fraction"]:
        raise RequestError(
            "--test-fraction divides the corpus, which --val-file leaves whole; keep the test text "
            "in a file of its own: charlm eval RUN FILE"
        )


_ITEMS = ("items", "labelled", "task")


def kind_of(options: Mapping[str, Any]) -> str:
    """What a list of items is for (``charlm.text.records.KINDS``); empty for running text."""
    if options["task"]:
        return str(options["task"])
    return "labelled" if options["labelled"] else "items" if options["items"] else ""


def _check_items(ctx: click.Context, options: Mapping[str, Any]) -> None:
    named, kind = given(ctx), kind_of(options)
    if options["task"] and options["labelled"]:
        raise RequestError(
            "--labelled and --task both say what the labels are for; give --labelled to write "
            "items of a label, --task to find the labels"
        )
    for_text = {"separator", "mix", "split_by", "shuffle_lines"} & named
    if kind and for_text:
        raise RequestError(
            f"{typed(ctx, min(for_text))} is for running text, and the corpus is a list of items, "
            "whose parts are drawn by item; leave it out"
        )
    if options["item_separator"] is not None and kind != "items":
        raise RequestError("--item-separator belongs to --items; give both, or leave it out")
    if options["item_separator"] == "":
        raise RequestError("--item-separator is empty; give what ends an item, or leave it out")
    columns = {"text_column", "label_column"} & named
    if columns and kind in ("", "items"):
        raise RequestError(
            f"{typed(ctx, min(columns))} belongs to --labelled and --task; give one of them"
        )
    if kind not in ("", "items") and options["text_column"] == options["label_column"]:
        raise RequestError(
            f"--text-column and --label-column both name {options['text_column']!r}; name two"
        )
    if options["shuffle_lines"] and options["split_by"] not in (None, "line"):
        raise RequestError(
            f"--shuffle-lines splits by line, --split-by {options['split_by']} does not; leave "
            "one out"
        )
    if options["separator"] and (options["split_by"] == "line" or options["shuffle_lines"]):
        raise RequestError(
            "--document-separator keeps documents whole, and lines would be drawn from them; leave "
            "out --split-by line and --shuffle-lines"
        )


def source_of(
    options: Mapping[str, Any], corpus: tuple[str, ...], weights: tuple[float, ...] = ()
) -> Source:
    """Where the text comes from and how it is read."""
    for each in () if weights else corpus:
        name, _, number = each.rpartition("=")
        if name and os.path.exists(name) and not os.path.exists(each) and _number(number):
            raise RequestError(f"{each}: no such file; to read texts by weight, add --mix")
    from charlm.text.dataset import Source

    return Source(
        sources=tuple(_absolute(name) for name in corpus),
        encoding=options["encoding"],
        newline=options["newline"],
        val_fraction=options["val_fraction"],
        val_sources=tuple(_absolute(name) for name in options["val_file"]),
        test_fraction=options["test_fraction"],
        weights=weights,
        separator=unescaped(options["item_separator"] or options["separator"] or ""),
        records=kind_of(options),
        text_column=options["text_column"],
        label_column=options["label_column"],
        split_by=options["split_by"] or ("end" if kind_of(options) else "auto"),
        shuffle_lines=options["shuffle_lines"],
    )


def _number(typed: str) -> bool:
    try:
        float(typed)
    except ValueError:
        return False
    return True


def weighted(corpus: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The files and the weights of ``FILE=WEIGHT``; RequestError for anything else."""
    names, weights = [], []
    for each in corpus:
        name, _, number = each.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not name or not 0 < weight < 1e9:
            raise RequestError(
                f"--mix needs FILE=WEIGHT for every text, with a weight above 0, not {each}; for "
                "example: charlm train --mix a.txt=3 b.txt=1"
            )
        names.append(name)
        weights.append(weight)
    return tuple(names), tuple(weights)


def _absolute(name: str) -> str:
    """An absolute path, so that the run can be resumed from another directory."""
    return name if name == "-" else os.path.abspath(name)
