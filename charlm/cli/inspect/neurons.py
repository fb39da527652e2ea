"""``charlm inspect neurons``: units that respond to something in the text."""

from __future__ import annotations

from pathlib import Path

import click

from charlm.cli.figures import TEXT, figure_option
from charlm.cli.inspect.common import known, label_option, opened
from charlm.cli.options import (
    Command,
    encoding_option,
    file_argument,
    json_option,
    only_one,
    option,
    run_argument,
    seed_option,
)
from charlm.cli.terminal import echo_json, say, table, use_colour, write_result
from charlm.cli.texts import text_of
from charlm.errors import RequestError

DRAWN, DRAWN_LENGTH = 3, 420
"""How many units a figure or a colour terminal shows, and how much text for each, in characters."""


@click.command("neurons", cls=Command)
@run_argument()
@file_argument
@seed_option("the random shifts and the random unit")
@json_option("Print one JSON object per label.")
@option("--html", type=click.Path(path_type=Path), help="Write coloured text to this HTML file.")
@figure_option(TEXT)
@encoding_option()
@label_option
def command(
    model: str,
    label: str | None,
    file: str,
    seed: int,
    as_json: bool,
    html: Path | None,
    figure: Path | None,
    encoding: str | None,
) -> None:
    """Find units that respond to something in the text.

    FILE: a text; default, or -: standard input. charlm knows labels such as "inside quotes" or "the
    line ends soon" and finds, for each, the unit that predicts it best. AUC is the area under the
    unit's ROC curve, on the half of the text that was not used to choose the unit. For comparison:
    the AUC that the same search finds by chance (labels shifted against the text), and the AUC of
    the current character alone. The last columns are the increase of the loss when this unit is
    fixed at its mean, and when a random unit is. On a terminal the best units are shown on coloured
    text. At most 20,000 characters are read.

    \b
    charlm inspect neurons book book.txt
    charlm inspect neurons book book.txt --html neurons.html
    charlm inspect neurons book book.txt --figure neurons.svg
    """
    from dataclasses import asdict

    from charlm.inspection import neurons as units

    only_one(html=html, figure=figure, json=as_json)
    text = text_of(file, encoding)
    loaded = opened(model, label)
    text = known(loaded, text)
    ids = loaded.tokenizer.encode(text)
    seen = units.activations(loaded.engine, ids, loaded.tokenizer.normalize(text))
    if len(seen.text) < len(text):
        say(f"reading the first {len(seen.text):,} of {len(text):,} characters")
    found = units.search(seen, seed=seed)
    if not found:
        raise RequestError(
            f"no label applies to {100 * units.RAREST:.0f} % of the characters; give another text"
        )
    rare = set(units.labels(seen.text)) - {each.label for each in found}
    if rare:
        say(f"labels left out, too rare or too common in this text: {', '.join(sorted(rare))}")
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
        heads = ["label", "unit", "value", "AUC", "by chance", "character alone"]
        rows = [[*heads, "fixed at its mean", "random unit fixed"]]
        for each in found:
            rows.append(
                [
                    each.label,
                    f"{each.layer + 1}:{each.unit}",
                    each.side,
                    f"{each.strength:.3f}",
                    f"{each.chance:.3f}",
                    f"{each.by_character:.3f}",
                    f"{each.bits:+.4f} bits/char",
                    f"{each.usual_bits:+.4f}",
                ]
            )
        table(rows, left=3)
        if use_colour():
            from charlm.inspection import textmap
            from charlm.inspection.pages import neuron_blocks

            telling = units.remembering(found, DRAWN)
            for block in neuron_blocks(telling, seen, DRAWN_LENGTH):
                heading = block.heading.partition("\n")[0]
                click.echo(f"\n{heading}\n{textmap.ansi(block.marks)}")
            click.echo("\nblue: the unit is low; red: high; underlined: the label applies")
