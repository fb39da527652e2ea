"""``charlm rewrite``: what each line becomes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.figures import TEXT, figure_option
from charlm.cli.lines import Line, read_lines
from charlm.cli.options import (
    Command,
    Number,
    encoding_option,
    file_argument,
    json_option,
    on_unknown_option,
    only_one,
    option,
    run_argument,
)
from charlm.cli.terminal import echo, echo_json, say, write_result
from charlm.cli.texts import open_named
from charlm.errors import RequestError

if TYPE_CHECKING:
    from charlm.tasks.rewriting import Rewriter, Rewritten

AT_ONCE = 512
"""Lines that are rewritten before the first of them is printed: many share a batch."""


@click.command(cls=Command)
@run_argument()
@file_argument
@option(
    "--beam",
    type=Number(int, min=1, max=100),
    default=1,
    show_default=True,
    help="Keep this many of the likeliest beginnings at every step; 1: greedy search.",
)
@json_option("Print one JSON object per line, with all that the beam found.")
@figure_option(TEXT)
@on_unknown_option()
@encoding_option()
def command(
    model: str,
    file: str,
    beam: int,
    as_json: bool,
    figure: Path | None,
    on_unknown: str,
    encoding: str | None,
) -> None:
    """Rewrite each line with a model that was trained with --task rewrite.

    FILE: the lines; default, or -: standard input. An empty line stays empty. --json has the
    log-probability in nats of each text that the beam found, the best first. --figure draws, for
    one line, where the model looks while it writes.

    \b
    charlm train dates.tsv --task rewrite
    echo "the third of March 2009" | charlm rewrite dates
    charlm rewrite dates lines.txt --beam 4 --json
    echo "the third of March 2009" | charlm rewrite dates --figure attention.svg
    """
    only_one(figure=figure, json=as_json)
    from charlm.tasks.rewriting import Rewriter

    opened = open_named(model, "rewrite", None if file == "-" else file)
    rewriter = Rewriter.of(opened.for_task("rewrite"))
    lines = read_lines(file, rewriter.tokenizer, encoding=encoding, on_unknown=on_unknown)
    if figure is not None:
        _draw(rewriter, lines, beam, figure)
        return
    for begin in range(0, len(lines), AT_ONCE):
        some = lines[begin : begin + AT_ONCE]
        found = iter(rewriter.rewrite([line.read for line in some if line.read], beam))
        for number, line in enumerate(some, begin + 1):
            best = next(found) if line.read else []
            if best and not best[0].ended:
                written = len(best[0].ids)
                say(f"line {number}: the model wrote no end; cut after {written:,} symbols")
            if as_json:
                echo_json(_record(line.given, best))
            else:
                echo(best[0].text if best else "")


def _record(line: str, found: list[Rewritten]) -> dict[str, Any]:
    best, others = (found[0], found[1:]) if found else (None, [])
    return {
        "source": line,
        "text": best.text if best else "",
        "log_probability": best.log_probability if best else None,
        "alternatives": [
            {"text": each.text, "log_probability": each.log_probability} for each in others
        ],
    }


def _draw(rewriter: Rewriter, lines: list[Line], beam: int, figure: Path) -> None:
    from charlm.inspection import attention

    texts = [line.read for line in lines if line.read]
    if len(texts) != 1:
        raise RequestError(f"--figure draws one line, but there are {len(texts):,}; give one")
    best = rewriter.rewrite(texts, beam)[0][0]
    write_result("--figure", figure, attention.svg(rewriter, texts[0], best))
