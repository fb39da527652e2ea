"""``charlm report``: one page with everything that charlm can show of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charlm.cli.options import (
    Command,
    corpus_option,
    encoding_option,
    network_only_option,
    option,
    run_argument,
    seed_option,
)
from charlm.cli.terminal import say, write_result
from charlm.cli.texts import held_out, open_named, recent, text_of, texts_of
from charlm.errors import CharlmError
from charlm.extras import how_to_install

if TYPE_CHECKING:
    from charlm.runs import OpenModel


@click.command(cls=Command)
@run_argument("[RUN]")
@click.argument("file", required=False)
@option("--out", type=click.Path(path_type=Path), help="File to write [default: NAME.html]")
@seed_option("the samples")
@network_only_option()
@encoding_option()
@corpus_option()
def command(
    model: str | None,
    file: str | None,
    out: Path | None,
    seed: int,
    network_only: bool,
    encoding: str | None,
    corpus: tuple[str, ...],
) -> None:
    """Write one HTML page with everything about a run.

    Learning curves, baselines, samples, the surprisal map, units, gradients and memory. Loss and
    samples are those of network and counts together, if the run has counts; units, gradients and
    memory are the network's. RUN: a run
    or a model file; default: the newest run. FILE: a text; default: the validation text. The page
    needs neither a network nor other files, so it can be sent, kept and opened anywhere.

    \b
    charlm report
    charlm report book --out book.html
    charlm report book other.txt
    """
    from charlm.generate import readable

    try:
        from charlm.inspection import horizon, report
    except ImportError as error:
        raise CharlmError(
            f"the report needs {error.name}, which is not installed: {how_to_install('report')}"
        ) from error

    found = open_named(model, "report", file, corpus, network_only=network_only)
    if found.checkpoint.items is not None:
        _report_items(found, file, out, seed, encoding)
        return
    texts, reason = texts_of(found)
    if file is not None:
        text = text_of(file, encoding)
    else:
        text = held_out(texts, reason, f"charlm report {model or found.path.parent}")
    if reason:
        say(reason)
    made = report.gather(
        found.name,
        found.model,
        readable(found.model, text, "skip", say),
        source=file or "validation text, which it was not trained on",
        train=recent(texts) if texts else None,
        corpus=texts.slices() if texts else (),
        log=found.run.read_log() if found.run else None,
        window=horizon.training_window(found.model),
        seed=seed,
        threads=os.cpu_count() or 1,
        doing=lambda part: say(f"{part} ..."),
    )
    write_result("--out", out or Path(f"{found.name}.html"), report.html(made))


def _report_items(
    found: OpenModel, file: str | None, out: Path | None, seed: int, encoding: str | None
) -> None:
    """The page of a run on items."""
    from charlm.cli.evalitems import held_out as held_out_items
    from charlm.inspection import itemreport

    records, train, reason = held_out_items(found, file, encoding=encoding)
    if reason:
        say(reason)
    made = itemreport.gather(
        *(found, records, train),
        source=file or "validation items, which it was not trained on",
        log=found.run.read_log() if found.run else None,
        seed=seed,
        doing=lambda part: say(f"{part} ..."),
    )
    write_result("--out", out or Path(f"{found.name}.html"), itemreport.html(made))
