"""``charlm inspect neurons``: what single units stand for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from charlm.cli.figures import TEXT, figure_option, only_one
from charlm.cli.inspect.common import (
    encoding_option,
    file_argument,
    known,
    run_argument,
    seed_option,
)
from charlm.cli.terminal import echo, echo_json, say, write_result
from charlm.cli.texts import text_of
from charlm.errors import RequestError

DRAWN, DRAWN_LENGTH = 3, 420
"""Units in a figure and in a coloured terminal, and characters of text for each."""


@click.command("neurons")
@run_argument
@file_argument
@seed_option("shifts")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per label.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with coloured text.")
@figure_option(TEXT)
@encoding_option
def command(
    model: str,
    file: str,
    seed: int,
    as_json: bool,
    html: Path | None,
    figure: Path | None,
    encoding: str | None,
) -> None:
    """Units that stand for something: inside quotes, far into the line, the line ends soon, ...

    For each label that can be found in FILE (- or none: standard input) automatically, the single
    unit that tells it best: the area under its ROC curve on the half of the text that it was not
    chosen on, beside what the same search finds by chance (labels shifted against the text) and
    what the current character alone tells. Then the loss when that unit is held at its mean, beside
    that of a unit drawn at random. A terminal shows the best of them on coloured text. Of a long
    text the first 20,000 characters are read.

    \b
    charlm inspect neurons book book.txt
    charlm inspect neurons book book.txt --html neurons.html
    charlm inspect neurons book book.txt --figure neurons.svg
    """
    from dataclasses import asdict

    from charlm.inspection import neurons as units
    from charlm.runs import load

    only_one(html=html, figure=figure, json=as_json)
    text = text_of(file, encoding)
    loaded = load(model)
    text = known(loaded, text)
    ids = loaded.tokenizer.encode(text)
    seen = units.activations(loaded.engine, ids, loaded.tokenizer.normalize(text))
    if len(seen.text) < len(text):
        say(f"the first {len(seen.text):,} of {len(text):,} characters are read")
    found = units.search(seen, seed=seed)
    if not found:
        raise RequestError(
            f"no label holds at {100 * units.RAREST:.0f} % of the characters that are read; give "
            "another text"
        )
    rare = set(units.labels(seen.text)) - {each.label for each in found}
    if rare:
        say(f"too rare in it, or nearly always so: {', '.join(sorted(rare))}")
    found = units.with_ablation(loaded.engine, ids, seen, found, seed=seed)
    if as_json:
        for each in found:
            echo_json(asdict(each))
    elif html is not None:
        from charlm.inspection.pages import neurons_page

        write_result("--html", html, neurons_page(found, seen, model))
    elif figure is not None:
        from charlm.inspection import textmap
        from charlm.inspection.pages import neuron_blocks

        telling = units.remembering(found, DRAWN)
        write_result("--figure", figure, textmap.svg(neuron_blocks(telling, seen, DRAWN_LENGTH)))
    else:
        width = max(len(each.label) for each in found)
        echo(
            f"{'label':<{width}}  unit   value    AUC  chance  character alone  held at its mean"
            "  one at random"
        )
        for each in found:
            echo(
                f"{each.label:<{width}}  {each.layer + 1}:{each.unit:<5}{each.side:<6}  "
                f"{each.strength:.3f}  {each.chance:6.3f}  {each.by_character:15.3f}  "
                f"{each.bits:+.4f} bits/char  {each.usual_bits:+.4f}"
            )
        if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
            from charlm.inspection import textmap
            from charlm.inspection.pages import neuron_blocks

            telling = units.remembering(found, DRAWN)
            for block in neuron_blocks(telling, seen, DRAWN_LENGTH):
                heading = block.heading.partition("\n")[0]
                click.echo(f"\n{heading}\n{textmap.ansi(block.marks)}")
            click.echo("\nblue: the unit is low, red: high; underlined: the label holds")
