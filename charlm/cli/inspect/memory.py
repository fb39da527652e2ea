"""``charlm inspect memory``: how much of the past a state holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from charlm.cli.figures import figure_option, only_one, plots
from charlm.cli.inspect.common import (
    encoding_option,
    file_argument,
    ids_of,
    run_argument,
    same_unit,
    seed_option,
    with_option,
)
from charlm.cli.terminal import echo, echo_json
from charlm.cli.texts import text_of
from charlm.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from charlm.inspection.horizon import Horizon
    from charlm.text.tokenizer import Tokenizer


@click.command("memory")
@run_argument
@file_argument
@with_option
@seed_option("places")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@figure_option()
@encoding_option
def command(
    model: str,
    file: str,
    others: tuple[str, ...],
    seed: int,
    as_json: bool,
    figure: Path | None,
    encoding: str | None,
) -> None:
    """How much of the past the state still holds, on FILE (- or none: standard input).

    Three measures: the loss after contexts of 1 to 512 characters; how well a linear probe reads
    the character k back off the state; what a decoder rebuilds from the state alone. Each beside
    its control.

    \b
    charlm inspect memory book book.txt
    charlm inspect memory lstm book.txt --with rnn --figure memory.svg
    """
    from charlm.inspection import horizon
    from charlm.runs import load

    only_one(figure=figure, json=as_json)
    names = [model, *others]
    if len(set(names)) < len(names):
        raise RequestError("a run stands twice; name each once")
    text = text_of(file, encoding)
    loaded = {name: load(name) for name in names}
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
    echo(f"loss after a context of so many {unit}s, in bits per {unit}")
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
        "between contexts are surer than the values"
    )
    echo(found.verdict())
    echo(f"\nshare of {unit}s that a linear probe reads off the state, so many back")
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
    echo("\nthe same of a decoder with one hidden layer")
    _rows(
        "back",
        range(len(rebuilt.accuracy)),
        {"model": rebuilt.accuracy, "shuffled": rebuilt.shuffled},
        "{:.2f}",
    )
    echo("\nwhat was read, and what the decoder made of the state alone")
    for read, made in rebuilt.examples(tokenizer):
        echo(f"  {''.join(map(shown, read))}   {''.join(map(shown, made))}")


def _rows(
    head: str, columns: Sequence[int], rows: dict[str, NDArray[np.float64]], form: str
) -> None:
    width = max(len(form.format(0)), len(str(max(columns)))) + 1
    echo(f"{head:>10}" + "".join(f"{column:>{width}}" for column in columns))
    for name, values in rows.items():
        echo(f"{name:>10}" + "".join(f"{form.format(value):>{width}}" for value in values))
