"""``charlm inspect gradients``: how far back in the text the gradient of a loss reaches."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charlm.cli.figures import figure_option, plots
from charlm.cli.inspect.common import ids_of, label_option, opened, same_unit, with_option
from charlm.cli.options import (
    Command,
    Number,
    encoding_option,
    file_argument,
    json_option,
    named_once,
    only_one,
    option,
    run_argument,
    seed_option,
)
from charlm.cli.terminal import echo, echo_json, table
from charlm.cli.texts import text_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from charlm.inspection.gradients import Flow


@click.command("gradients", cls=Command)
@run_argument()
@file_argument
@with_option
@option(
    "--lags",
    type=Number(int, min=2, max=2000),
    default=100,
    show_default=True,
    help="Follow the gradient back over this many characters.",
)
@option(
    "--places",
    type=Number(int, min=4, max=4096),
    default=64,
    show_default=True,
    help="Measure at this many positions of the text.",
)
@seed_option("the choice of positions")
@json_option("Print the quartiles at every lag as one JSON object.")
@figure_option()
@encoding_option()
@label_option
def command(
    model: str,
    label: str | None,
    file: str,
    others: tuple[str, ...],
    lags: int,
    places: int,
    seed: int,
    as_json: bool,
    figure: Path | None,
    encoding: str | None,
) -> None:
    """Measure how far back the gradients reach.

    FILE: a text; default, or -: standard input. The gradient of one character's loss shrinks or
    grows on its way back through the text. L_t is the loss at position t. The table shows the norm
    of dL_t/dx_{t-k}, at the embedding of the character k positions back, and of dL_t/ds_{t-k}, at
    the hidden state of each layer: medians and quartiles over many positions t. An untrained model
    of the same shape is the control.

    \b
    charlm inspect gradients book book.txt
    charlm inspect gradients lstm book.txt --with rnn --with gru --figure gradients.svg
    """
    from charlm.inspection import gradients as through_time
    from charlm.inspection.adapting import torch_model
    from charlm.models.language import build

    only_one(figure=figure, json=as_json)
    names = named_once(model, *others)
    text = text_of(file, encoding)
    flows: dict[str, Flow] = {}
    controls: dict[str, Flow] = {}
    units: dict[str, str] = {}
    for name in names:
        loaded = opened(name, label)
        ids = ids_of(loaded, text)
        units[name] = loaded.tokenizer.unit
        for kept, built in (
            (flows, torch_model(loaded.config, loaded.weights)),
            (controls, build(loaded.config, seed=0)),
        ):
            kept[name] = through_time.flow(built, ids, lags=lags, wanted=places, seed=seed)
    if figure is not None:
        same_unit(units.values())
        drawing = plots()
        drawing.save(drawing.gradients(flows, controls, units[model]), figure)
        echo(str(figure))
    elif as_json:
        echo_json(
            {
                "lags": lags,
                "runs": {name: _facts(flows[name]) for name in names},
                "untrained": {name: _facts(controls[name]) for name in names},
            }
        )
    else:
        for name in names:
            _show(name, flows[name], controls[name], units[name])


def _facts(flow: Flow) -> dict[str, object]:
    layers = 0 if flow.states is None else flow.states.shape[1]
    half = flow.half_life()
    return {
        "places": len(flow.inputs),
        "input": flow.quartiles().tolist(),
        "state": [flow.quartiles(layer).tolist() for layer in range(layers)],
        "half_life": half if math.isfinite(half) else None,
    }


def _show(name: str, flow: Flow, control: Flow, unit: str) -> None:
    lags = flow.inputs.shape[1] - 1
    shown = [lag for lag in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if lag <= lags]
    echo(
        f"{name}: norm of the gradient of one {unit}'s loss, by {unit}s back: median [quartiles] "
        f"over {len(flow.inputs):,} positions"
    )
    layers = 0 if flow.states is None else flow.states.shape[1]
    columns = [("input", None), *((f"state {layer + 1}", layer) for layer in range(layers))]
    rows = [["back", *(head for label, _ in columns for head in (label, "untrained"))]]
    for lag in shown:
        cells = [
            _cell(each.quartiles(layer)[:, lag if layer is None else lag - 1])
            for _, layer in columns
            for each in (flow, control)
        ]
        rows.append([str(lag), *cells])
    table(rows, left=0)
    echo(f"{flow.fading(unit)}\n")


def _cell(quartiles: NDArray[np.float64]) -> str:
    low, median, high = quartiles.tolist()
    return f"{median:.1e} [{low:.0e}, {high:.0e}]"
