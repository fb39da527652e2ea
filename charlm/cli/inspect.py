"""``charlm inspect``: what goes on inside a trained model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charlm.cli.terminal import echo, echo_json, say
from charlm.errors import CharlmError, RequestError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from charlm.arrays import Ids
    from charlm.generate import CharLM
    from charlm.inspection.gradients import Flow

_HELP = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=_HELP)
def command() -> None:
    """Look inside a trained model.

    \b
    charlm inspect gradients book book.txt       how far back a gradient reaches
    """


@command.command()
@click.argument("model", metavar="RUN")
@click.argument("file", required=False, default="-")
@click.option("--with", "others", multiple=True, metavar="RUN", help="Draw this run beside it.")
@click.option(
    "--lags", type=click.IntRange(2, 2000), default=100, show_default=True,
    help="How many characters to look back.",
)  # fmt: skip
@click.option(
    "--places", type=click.IntRange(4, 4096), default=64, show_default=True,
    help="At how many places of the text.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the places.")
@click.option("--json", "as_json", is_flag=True, help="Quartiles at every lag, as one JSON object.")
@click.option("--figure", type=click.Path(path_type=Path), help="Draw into this .svg or .png file.")
@click.option("--encoding", help="Encoding of FILE [default: UTF-8, or by byte-order mark]")
def gradients(
    model: str,
    file: str,
    others: tuple[str, ...],
    lags: int,
    places: int,
    seed: int,
    as_json: bool,
    figure: Path | None,
    encoding: str | None,
) -> None:
    """How the gradient of one character's loss fades, or grows, on its way back through FILE (- or
    none: standard input).

    The norm of dL_t/dx_{t-k}, at the embedded input k characters back, and of dL_t/ds_{t-k}, at the
    whole state of each layer: medians and quartiles over many places t. Beside each model stands an
    untrained one of the same shape.

    \b
    charlm inspect gradients book book.txt
    charlm inspect gradients lstm book.txt --with rnn --with gru --figure gradients.svg
    """
    from charlm.corpus import read_text
    from charlm.generate import load
    from charlm.inspection import gradients as through_time
    from charlm.inspection.adapting import torch_model
    from charlm.models import build

    if figure is not None and figure.suffix not in (".svg", ".png"):
        raise RequestError(f"--figure {figure}: name a file that ends in .svg or .png")
    names = [model, *others]
    if len(set(names)) < len(names):
        raise RequestError("a run stands twice; name each once")
    stdin = sys.stdin.buffer if sys.stdin is not None else None
    text = read_text([file], encoding=encoding, stdin=stdin).text
    flows: dict[str, Flow] = {}
    controls: dict[str, Flow] = {}
    for name in names:
        loaded = load(name)
        ids = _ids(loaded, text)
        for kept, built in (
            (flows, torch_model(loaded.config, loaded.weights)),
            (controls, build(loaded.config, seed=0)),
        ):
            kept[name] = through_time.flow(built, ids, lags=lags, wanted=places, seed=seed)
    if figure is not None:
        try:
            from charlm.inspection import plots
        except ImportError as error:
            raise CharlmError(
                'a figure needs matplotlib: pip install "charlm[plots]", or leave out --figure'
            ) from error
        plots.save(plots.gradients(flows, controls), figure)
        echo(str(figure))
    elif as_json:
        echo_json({"lags": lags, "runs": {name: _facts(flows[name]) for name in names},
                   "untrained": {name: _facts(controls[name]) for name in names}})  # fmt: skip
    else:
        for name in names:
            _table(name, flows[name], controls[name])


def _ids(loaded: CharLM, text: str) -> Ids:
    """What is inspected may hold characters that a model has never seen: they are left out."""
    from charlm.tokenizer import describe_unknown

    unseen = loaded.tokenizer.unseen(text)
    if len(unseen):
        say(f"left out {describe_unknown(loaded.tokenizer.normalize(text), unseen)}")
    return loaded.tokenizer.encode(loaded.tokenizer.without_unseen(text))


def _facts(flow: Flow) -> dict[str, object]:
    layers = 0 if flow.states is None else flow.states.shape[1]
    return {
        "input": flow.quartiles().tolist(),
        "state": [flow.quartiles(layer).tolist() for layer in range(layers)],
        "half_life": flow.half_life(),
    }


def _table(name: str, flow: Flow, control: Flow) -> None:
    lags = flow.inputs.shape[1] - 1
    shown = [lag for lag in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if lag <= lags]
    echo(
        f"{name}: norm of the gradient of one character's loss, by characters back: "
        "median [quartiles]"
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
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        echo("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    half = flow.half_life()
    if half > 0:
        echo(f"At the input it halves every {half:.1f} characters.\n")
    else:
        echo("At the input it does not fade.\n")


def _cell(quartiles: NDArray[np.float64]) -> str:
    low, median, high = quartiles.tolist()
    return f"{median:.1e} [{low:.0e}, {high:.0e}]"
