"""``charlm eval``: bits per character of a text, beside baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from charlm.cli.forgetting import forgotten
from charlm.cli.options import (
    Command,
    Number,
    corpus_option,
    encoding_option,
    json_option,
    network_only_option,
    nothing_beside,
    on_unknown_option,
    option,
    run_argument,
)
from charlm.cli.terminal import echo_json, say
from charlm.cli.texts import held_out, open_named, recent, text_of, texts_of
from charlm.errors import RequestError

if TYPE_CHECKING:
    from charlm.overlap import Overlap
    from charlm.runs import OpenModel
    from charlm.text.dataset import Texts

_NOTABLE = 0.1
"""The smallest overlap of a text with the training text that is reported."""


@click.command(cls=Command)
@run_argument("[RUN]")
@click.argument("file", required=False)
@json_option()
@on_unknown_option()
@option(
    "--test",
    is_flag=True,
    help="Evaluate on the run's test text, which no choice has seen (train --test-fraction).",
)
@option(
    "--ladder/--no-ladder",
    default=True,
    show_default=True,
    help="Show the baselines beside the model.",
)
@option(
    "--adapt",
    is_flag=True,
    help="Print the network's result too if it learns while it reads (dynamic evaluation).",
)
@option(
    "--rate",
    type=Number(float, above=0.0, max=100.0),
    default=0.1,
    show_default=True,
    help="Learning rate of --adapt.",
)
@option(
    "--beam",
    type=Number(int, min=1, max=100),
    help="Of a model that rewrites: keep so many of the likeliest beginnings.  [default: 1: greedy "
    "search]",
)
@network_only_option()
@encoding_option()
@corpus_option()
def command(
    model: str | None,
    file: str | None,
    as_json: bool,
    on_unknown: str,
    test: bool,
    ladder: bool,
    adapt: bool,
    rate: float,
    beam: int | None,
    network_only: bool,
    encoding: str | None,
    corpus: tuple[str, ...],
) -> None:
    """Print the bits per character of a text, with baselines.

    FILE: a text, or - for standard input; default: the run's validation text, or with --test its
    test text. RUN: a run or a model file; default: the newest run. The text is read in one exact
    pass; the first character is context and is not counted. If the run has n-gram counts, the
    result is that of network and counts together, and both are shown apart too. The baselines: a
    model that knows only the vocabulary, character frequencies, an n-gram model and three
    compressors, each given the run's training text. A warning is printed if the model was trained
    on the text or on a part of it. If FILE is the whole text of a model that this one was trained
    further from (train --init-from), the losses of both on its validation part show what was
    forgotten.

    \b
    charlm eval book
    charlm eval book other.txt --on-unknown skip
    charlm eval book - --json < other.txt
    charlm eval book --test                        of a run with --test-fraction
    charlm eval book --adapt                       the network alone, learning while it reads
    charlm eval book --network-only
    charlm eval book --corpus moved/book.txt
    charlm eval names other.tsv                    a model of items or labels: a list of its kind
    """
    from charlm.generate import readable
    from charlm.overlap import overlap
    from charlm.text.newlines import to_unix
    from charlm.text.reading import text_sha256

    if test and file is not None:
        raise RequestError("--test and FILE both give the text; give one")
    found = open_named(model, "eval", file, corpus, network_only=network_only)
    if found.checkpoint.items is not None:
        from charlm.cli import evalitems

        skip = f"on-unknown {on_unknown}"
        left_out = {"adapt": adapt, skip: on_unknown != "error"}
        nothing_beside("a model of items", "is evaluated by item", **left_out)
        if beam is not None and found.checkpoint.config.task != "rewrite":
            raise RequestError("--beam is for a model that rewrites (train --task rewrite)")
        evalitems.evaluate(
            *(found, file),
            as_json=as_json,
            test=test,
            ladder=ladder,
            beam=beam or 1,
            encoding=encoding,
        )
        return
    if beam is not None:
        raise RequestError("--beam is for a model that rewrites (train --task rewrite)")
    loaded = found.model
    texts, reason = texts_of(found)
    if file is not None:
        text = text_of(file, encoding)
    else:
        text = held_out(texts, reason, f"charlm eval {model or found.path.parent}", test=test)
    lost = forgotten(found, text, on_unknown) if file is not None else None
    if loaded.tokenizer.newline == "unix":  # as the corpus was before its checksum was computed
        text = to_unix(text)
    is_corpus = text_sha256(text) == found.provenance.get("corpus_sha256")
    text = readable(loaded, text, on_unknown, say)
    from charlm.cli.progress import reading_bar

    with reading_bar() as advanced:
        slices = texts.slices() if texts is not None else ()
        apart = loaded.evaluate_apart(text, slices, advanced=advanced)
        result = apart.mixture if apart else loaded.evaluate(text, slices, advanced=advanced)
    known = loaded.tokenizer.normalize
    train = known(recent(texts)) if texts is not None else None
    seen = overlap(known(text), train, is_corpus=is_corpus)
    rungs = []
    if ladder and train is not None:
        from charlm.ladder import ladder as baselines

        rungs = baselines(train, known(text))
    elif ladder:
        say(f"no ladder: {reason}")
    adapted = None
    if adapt:
        from charlm.inspection.adapting import bits_per_char

        adapted = bits_per_char(loaded, text, rate)
    if as_json:
        facts = result.to_dict() | seen.to_dict()
        if apart is not None and loaded.counts is not None:
            facts["network"] = apart.network.to_dict()
            facts["counts"] = apart.ngram.to_dict() | {"order": loaded.counts.ngram.order}
            facts["weights"] = loaded.counts.weights._asdict()
        if adapted is not None:
            facts["adapted"] = {"bits_per_char": adapted[1], "fixed": adapted[0], "rate": rate}
        if lost is not None:
            facts["earlier"] = lost.to_dict()
        if rungs:
            facts["ladder"] = {rung.name: rung.bits_per_char for rung in rungs}
        echo_json(facts)
        return
    click.echo(
        f"{result.bits_per_char:.4f} bits/char = {result.nats_per_char:.4f} nats/char, perplexity "
        f"{result.perplexity:.3f}, {result.characters:,} characters"
    )
    if adapted is not None:
        click.echo(
            f"adapting  {adapted[1]:.4f} bits/char: the network alone, learning at rate {rate:g} "
            f"while it reads; with fixed weights {adapted[0]:.4f}"
        )
    if lost is not None:
        lost.print()
    if result.folded_note:
        say(result.folded_note + _counted_in(found, texts))
    if ladder and (rungs or apart is not None):
        from charlm.ladder import format_ladder, parts_of

        rungs += parts_of(loaded, apart)
        click.echo()
        name = loaded.config.cell
        if loaded.counts is not None:
            name += f" + {loaded.counts.name}"
        click.echo(format_ladder(rungs, model_bits=result.bits_per_char, model_name=name))
    _say_overlap(seen)


def _counted_in(found: OpenModel, texts: Texts | None) -> str:
    """Where the folded characters were counted, if the model's file does not have their number."""
    from charlm.text.folding import stored_types

    if stored_types(found.provenance):
        return ""
    if texts is not None:
        return " (counted in the corpus: the model's file does not have their number)"
    return (
        " (counted in this text alone, which may be too few: the model's file does not have their "
        "number, and the corpus cannot be read)"
    )


def _say_overlap(seen: Overlap) -> None:
    """Warn if the text is not new to the model."""
    if seen.trained_on:
        say(
            "the model was trained on this text: the result does not say how well it predicts new "
            "text, and the n-gram and the compressors had this text too"
        )
    elif seen.share is not None and seen.share >= _NOTABLE:
        from charlm.overlap import PIECE

        say(
            f"{100 * seen.share:.0f} % of this text's passages of {PIECE} characters also occur in "
            "the training text: the result is better than on new text"
        )
