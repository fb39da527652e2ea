"""``charlm inspect``: what goes on inside a trained model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charlm.cli.terminal import echo, echo_json, say, write_result
from charlm.cli.texts import text_of
from charlm.errors import CharlmError, RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from charlm.arrays import Ids
    from charlm.generate import CharLM
    from charlm.inspection.gradients import Flow
    from charlm.inspection.memory import Curve
    from charlm.inspection.unrolling import Step

_HELP = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=_HELP)
def command() -> None:
    """Look inside a trained model.

    \b
    charlm inspect unroll book "ciao"            the unrolled graph, with the model's own values
    charlm inspect neurons book book.txt         what single units stand for
    charlm inspect gradients book book.txt       how far back a gradient reaches
    charlm inspect memory book book.txt          how much of the past the state holds
    """


@command.command()
@click.argument("model", metavar="RUN")
@click.argument("text")
@click.option("--steps", type=click.IntRange(1), help="Only the last so many.")
@click.option("--top", type=click.IntRange(1, 10), default=3, show_default=True,
              help="How many expected symbols to show.")  # fmt: skip
@click.option(
    "--figure", type=click.Path(path_type=Path), help="Draw into this .svg or .html file."
)
@click.option("--json", "as_json", is_flag=True, help="Every value, one JSON object per step.")
def unroll(
    model: str, text: str, steps: int | None, top: int, figure: Path | None, as_json: bool
) -> None:
    """The unrolled computational graph of a model that reads TEXT: inputs, states, gates and what
    is expected next, one column per time step.

    \b
    charlm inspect unroll book "ciao"
    charlm inspect unroll book "Nel mezzo del cammin" --steps 8 --figure unrolled.svg
    """
    import os
    import shutil

    from charlm.generate import load
    from charlm.inspection import unrolling

    if figure is not None and figure.suffix not in (".svg", ".html"):
        raise RequestError(f"--figure {figure}: name a file that ends in .svg or .html")
    loaded = load(model)
    loaded.read_prompt(text)  # says which characters it has never seen
    found = unrolling.unroll(loaded.engine, loaded.tokenizer, text, steps=steps, top=top)
    cell, units = loaded.config.cell, loaded.config.hidden_size
    if figure is not None:
        content = unrolling.svg(found, cell)
        if figure.suffix == ".html":
            from charlm.inspection.pages import page

            content = page(f"unrolled: {text}", f"<p>{unrolling.legend(cell, units)}</p>"
                           f'<div class="scroll">{content}</div>')  # fmt: skip
        write_result("--figure", figure, content)
    elif as_json:
        for step in found:
            echo_json(
                {
                    "symbol": step.symbol,
                    "layers": [
                        {name: values.tolist() for name, values in layer.items()}
                        for layer in step.layers
                    ],
                    "expected": [{"symbol": s, "probability": p} for s, p in step.expected],
                }
            )
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        # As many steps side by side as the terminal is wide.
        beside = max(
            1, (shutil.get_terminal_size((100, 24)).columns - 11) // (18 if colour else 14)
        )
        for first in range(0, len(found), beside):
            click.echo("\n".join(_columns(found[first : first + beside], cell, colour)))
            click.echo()


def _columns(steps: list[Step], cell: str, colour: bool) -> list[str]:
    """The graph in characters: a row for what is expected, for each strip and for what was read.
    Without colour a cell is a digit, its value in tenths, with a sign where it is negative."""
    from charlm.display import printable
    from charlm.inspection.unrolling import GATES, squeezed

    count = 8 if colour else 4
    width = 2 * count if colour else 3 * count

    def row(label: str, cells: list[str]) -> str:
        return f"{label:>9}  " + "  ".join(cells)

    lines = [
        row(
            "expected" if not rank else "",
            [_fit(f"{printable(s.expected[rank][0])} {100 * s.expected[rank][1]:.0f}%", width)
             for s in steps],
        )
        for rank in range(len(steps[0].expected))
    ]  # fmt: skip
    for layer in reversed(range(len(steps[0].layers))):
        for name in ["h", *GATES[cell]]:
            cells = []
            for step in steps:
                values = squeezed(step.layers[layer][name], count).tolist()
                cells.append(_fit("".join(_coloured(v) if colour else _digits(v) for v in values),
                                  width if not colour else 0))  # fmt: skip
            lines.append(row(f"{name} {layer + 1}", cells))
    lines.append(row("read", [_fit(printable(step.symbol), width) for step in steps]))
    return lines


def _fit(text: str, width: int) -> str:
    return text[:width].ljust(width) if width else text


def _digits(value: float) -> str:
    tenths = max(-9, min(9, round(10 * value)))
    return f"{tenths:>3}"


def _coloured(value: float) -> str:
    """Two spaces on a ground from blue (-1) over white to red (1)."""
    scale = (25, 32, 74, 117, 159, 231, 224, 217, 210, 203, 160)
    place = round((max(-1.0, min(1.0, value)) + 1) / 2 * (len(scale) - 1))
    return f"\x1b[48;5;{scale[place]}m  \x1b[0m"


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
    from charlm.generate import load
    from charlm.inspection import gradients as through_time
    from charlm.inspection.adapting import torch_model
    from charlm.models import build

    if figure is not None and figure.suffix not in (".svg", ".png"):
        raise RequestError(f"--figure {figure}: name a file that ends in .svg or .png")
    names = [model, *others]
    if len(set(names)) < len(names):
        raise RequestError("a run stands twice; name each once")
    text = text_of(file, encoding)
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


@command.command()
@click.argument("model", metavar="RUN")
@click.argument("file", required=False, default="-")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the places.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--encoding", help="Encoding of FILE [default: UTF-8, or by byte-order mark]")
def memory(model: str, file: str, seed: int, as_json: bool, encoding: str | None) -> None:
    """How much of the past the state still holds, on FILE (- or none: standard input).

    Three measures: the loss after contexts of 1 to 512 characters; how well a linear probe reads
    the character k back off the state; what a decoder rebuilds from the state alone. Each beside
    its control.

    \b
    charlm inspect memory book book.txt
    """
    from charlm.engine import Engine
    from charlm.generate import load
    from charlm.inspection import memory as past
    from charlm.inspection.rebuilding import rebuild
    from charlm.models import build

    text = text_of(file, encoding)
    loaded = load(model)
    ids = _ids(loaded, text)
    symbols = loaded.tokenizer.vocab_size
    untrained = Engine(
        loaded.config,
        {name: part.detach().numpy() for name, part in build(loaded.config, 0).named_parameters()},
    )
    curve = past.context_curve(loaded.engine, ids, seed=seed)
    control = past.context_curve(untrained, ids, seed=seed)
    states = past.states(loaded.engine, ids, reach=max(past.LAGS))
    probe = past.probe(states, symbols, seed=seed)
    idle = past.probe(past.states(untrained, ids, reach=max(past.LAGS)), symbols, seed=seed)
    short = past.States(states.features, states.past[:, :_REBUILT])
    rebuilt = rebuild(short, symbols, seed=seed)
    window = _window(model)
    if as_json:
        echo_json(
            {
                "context": {
                    "characters": list(curve.contexts),
                    "bits_per_char": curve.mean.tolist(),
                    "untrained": control.mean.tolist(),
                    "usable": curve.usable(),
                    "window": window,
                    "beyond_window": curve.beyond(window) if window else None,
                },
                "probe": {
                    "lags": list(probe.lags),
                    "accuracy": probe.accuracy.tolist(),
                    "untrained": idle.accuracy.tolist(),
                    "shuffled": probe.shuffled.tolist(),
                    "chance": probe.chance.tolist(),
                    "reach": probe.reach(),
                },
                "rebuilt": {
                    "accuracy": rebuilt.accuracy.tolist(),
                    "shuffled": rebuilt.shuffled.tolist(),
                },
            }
        )
        return
    echo("loss after a context of so many characters, in bits per character")
    _rows("context", curve.contexts, {"model": curve.mean, "untrained": control.mean}, "{:.3f}")
    echo(_verdict(curve, window))
    echo("\nshare of characters that a linear probe reads off the state, so many back")
    _rows(
        "back", probe.lags,
        {"model": probe.accuracy, "untrained": idle.accuracy, "shuffled": probe.shuffled,
         "commonest": probe.chance}, "{:.2f}",
    )  # fmt: skip
    echo("\nthe same of a decoder with one hidden layer")
    _rows("back", range(_REBUILT), {"model": rebuilt.accuracy, "shuffled": rebuilt.shuffled},
          "{:.2f}")  # fmt: skip
    echo("\nwhat was read, and what the decoder made of the state alone")
    from charlm.inspection.pages import shown

    for place in range(0, len(rebuilt.truth), max(1, len(rebuilt.truth) // 5))[:5]:
        read, made = (
            "".join(shown(c) for c in loaded.tokenizer.decode(part[place][::-1]))
            for part in (rebuilt.truth, rebuilt.guesses)
        )
        echo(f"  {read}   {made}")


_REBUILT = 10
"""Characters that the decoder is asked for."""


def _window(model: str) -> int | None:
    """How many characters a run's gradient went back through; None where that is not at hand."""
    from charlm import checkpoint, runs

    last = runs.Run(runs.find_model(model).parent).last
    if not last.exists():
        return None
    training = checkpoint.read(last).training or {}
    window = training.get("config", {}).get("seq_len")
    return window if isinstance(window, int) else None


def _verdict(curve: Curve, window: int | None) -> str:
    """Whether a longer window of truncated BPTT would help, in one sentence."""
    from charlm.inspection.memory import ENOUGH

    usable = curve.usable()
    said = f"{usable} characters of context do as well as {curve.contexts[-1]}"
    if window is None:
        return f"{said}."
    mean, low, high = curve.beyond(window)
    interval = f"{mean:.3f} bits per character [{low:.3f}, {high:.3f}]"
    if low > ENOUGH:
        return (
            f"{said}; what lies beyond the training window of {window} still saves {interval}, so "
            "a longer --seq-len is worth trying."
        )
    return (
        f"{said}; what lies beyond the training window of {window} saves {interval}: a longer "
        "--seq-len would hardly help this model."
    )


def _rows(
    head: str, columns: Sequence[int], rows: dict[str, NDArray[np.float64]], form: str
) -> None:
    width = max(len(form.format(0)), len(str(max(columns)))) + 1
    echo(f"{head:>10}" + "".join(f"{column:>{width}}" for column in columns))
    for name, values in rows.items():
        echo(f"{name:>10}" + "".join(f"{form.format(value):>{width}}" for value in values))


@command.command()
@click.argument("model", metavar="RUN")
@click.argument("file", required=False, default="-")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the shifts.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per label.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with coloured text.")
@click.option("--encoding", help="Encoding of FILE [default: UTF-8, or by byte-order mark]")
def neurons(
    model: str, file: str, seed: int, as_json: bool, html: Path | None, encoding: str | None
) -> None:
    """Units that stand for something: inside quotes, far into the line, the line ends soon, ...

    For each label that can be found in FILE (- or none: standard input) automatically, the single
    unit that tells it best: the area under its ROC curve on the half of the text that it was not
    chosen on, beside what the same search finds by chance (labels shifted against the text) and
    what the current character alone tells. Then the loss when that unit is held at its mean.

    \b
    charlm inspect neurons book book.txt
    charlm inspect neurons book book.txt --html neurons.html
    """
    from dataclasses import asdict, replace

    from charlm.generate import load
    from charlm.inspection import neurons as units

    text = text_of(file, encoding)
    loaded = load(model)
    text = _known(loaded, text)
    ids = loaded.tokenizer.encode(text)
    seen = units.activations(loaded.engine, ids, loaded.tokenizer.normalize(text))
    found = []
    for each in units.search(seen, seed=seed):
        held = float(seen.values[:, each.layer * seen.hidden_size + each.unit].mean())
        bits = units.ablation(loaded.engine, ids[: len(seen.text)], each.layer, each.unit, held)
        found.append(replace(each, bits=bits))
    if not found:
        raise RequestError("no label holds often enough in this text; give a longer or another one")
    if as_json:
        for each in found:
            echo_json(asdict(each))
        return
    if html is not None:
        from charlm.inspection.pages import neurons_page

        write_result("--html", html, neurons_page(found, seen, model))
        return
    width = max(len(each.label) for each in found)
    echo(f"{'label':<{width}}  unit     AUC  chance  character alone  held at its mean")
    for each in found:
        echo(
            f"{each.label:<{width}}  {each.layer + 1}:{each.unit:<5}  {each.auc:.3f}  "
            f"{each.chance:6.3f}  {each.by_character:15.3f}  {each.bits:+.4f} bits/char"
        )


def _ids(loaded: CharLM, text: str) -> Ids:
    return loaded.tokenizer.encode(_known(loaded, text))


def _known(loaded: CharLM, text: str) -> str:
    """What is inspected may hold characters that a model has never seen: they are left out."""
    from charlm.tokenizer import describe_unknown

    unseen = loaded.tokenizer.unseen(text)
    if len(unseen):
        say(f"left out {describe_unknown(loaded.tokenizer.normalize(text), unseen)}")
    return loaded.tokenizer.without_unseen(text)


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
