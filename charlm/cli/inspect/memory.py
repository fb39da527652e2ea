"""``charlm inspect memory``: how much of the past the hidden state holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from charlm.cli.figures import figure_option, plots
from charlm.cli.inspect.common import ids_of, label_option, opened, same_unit, with_option
from charlm.cli.options import (
    Command,
    encoding_option,
    file_argument,
    json_option,
    named_once,
    only_one,
    run_argument,
    seed_option,
)
from charlm.cli.terminal import echo, echo_json
from charlm.cli.texts import text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from charlm.inspection.horizon import Horizon
    from charlm.text.tokenizer import Tokenizer


@click.command("memory", cls=Command)
@run_argument()
@file_argument
@with_option
@seed_option("the choice of positions")
@json_option()
@figure_option()
@encoding_option()
@label_option
def command(
    model: str,
    label: str | None,
    file: str,
    others: tuple[str, ...],
    seed: int,
    as_json: bool,
    figure: Path | None,
    encoding: str | None,
) -> None:
    """Measure how much of the past the hidden state holds.

    FILE: a text; default, or -: standard input. Three measures, each with its control: the loss
    after contexts of 1 to 512 characters; how often a linear probe finds the character k positions
    back in the hidden state; what a decoder reconstructs from the hidden state alone.

    \b
    charlm inspect memory book book.txt
    charlm inspect memory lstm book.txt --with rnn --figure memory.svg
    """
    from charlm.inspection import horizon

    only_one(figure=figure, json=as_json)
    names = named_once(model, *others)
    text = text_of(file, encoding)
    loaded = {name: opened(name, label) for name in names}
    found = {
        name: horizon.measure(
            each.config,
            each.weights,
            ids_of(each, text),
            window=horizon.training_window(each),
            unit=each.tokenizer.unit,
            seed=seed,
        )
        for name, each in loaded.items()
    }
    if figure is not None:
        same_unit(each.tokenizer.unit for each in loaded.values())
        drawing = plots()
        drawing.save(drawing.memory(found), figure)
        echo(str(figure))
    elif as_json:
        echo_json({name: each.to_dict() for name, each in found.items()})
    else:
        for number, (name, each) in enumerate(found.items()):
            if len(found) > 1:
                echo(f"{chr(10) if number else ''}=== {name}")
            _show(each, loaded[name].tokenizer)
        if len(found) > 1:
            echo(
                "\nusable context: "
                + ", ".join(
                    f"{name} {each.curve.usable()} {each.unit}s" for name, each in found.items()
                )
            )


def _show(found: Horizon, tokenizer: Tokenizer) -> None:
    from charlm.inspection.textmap import shown

    curve, probe, rebuilt = found.curve, found.probe, found.rebuilt
    unit = found.unit
    low, high = curve.interval()
    echo(f"loss by the length of the context in {unit}s, in bits per {unit}")
    _rows(
        "context",
        curve.contexts,
        {
            "model": curve.mean,
            "95 % +-": (high - low) / 2,
            "untrained": found.untrained_curve.mean,
        },
        "{:.3f}",
    )
    echo(
        f"means over {len(curve.bits):,} random positions, the same for every context: differences "
        "between contexts are more certain than the values"
    )
    echo(found.verdict())
    echo(f"\nshare of {unit}s that a linear probe finds in the hidden state, by {unit}s back")
    _rows(
        "back",
        probe.lags,
        {
            "model": probe.accuracy,
            "untrained": found.untrained_probe.accuracy,
            "shuffled": probe.shuffled,
            "commonest": probe.chance,
        },
        "{:.2f}",
    )
    echo("\nthe same for a decoder with one hidden layer")
    _rows(
        "back",
        range(len(rebuilt.accuracy)),
        {"model": rebuilt.accuracy, "shuffled": rebuilt.shuffled},
        "{:.2f}",
    )
    echo("\nwhat the model read, and what the decoder reconstructed from the hidden state")
    for read, made in rebuilt.examples(tokenizer):
        echo(f"  {''.join(map(shown, read))}   {''.join(map(shown, made))}")


def _rows(
    head: str, columns: Sequence[int], rows: dict[str, NDArray[np.float64]], form: str
) -> None:
    width = max(len(form.format(0)), len(str(max(columns)))) + 1
    echo(f"{head:>10}" + "".join(f"{column:>{width}}" for column in columns))
    for name, values in rows.items():
        echo(f"{name:>10}" + "".join(f"{form.format(value):>{width}}" for value in values))
