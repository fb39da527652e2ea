"""``charlm inspect unroll``: the unrolled graph of a model that reads a text, or of a recurrence in
two dimensions, in the terminal, as SVG or as a page."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charlm.cli.figures import figure_option
from charlm.cli.inspect.common import label_option, opened
from charlm.cli.options import (
    Choice,
    Command,
    Number,
    either,
    given,
    json_option,
    only_one,
    option,
    path_of,
    run_argument,
    typed,
)
from charlm.cli.terminal import echo_json, has_unicode, say, use_colour, write_result
from charlm.errors import RequestError
from charlm.inspection import unrolling2d

if TYPE_CHECKING:
    from charlm.generate import CharLM
    from charlm.inspection.unrolling import Step


@click.command("unroll", cls=Command)
@run_argument("[RUN]")
@click.argument("text", required=False)
@option("--steps", type=Number(int, min=1), help="Show only the last N time steps.")
@option(
    "--top",
    type=Number(int, min=1, max=10),
    default=3,
    show_default=True,
    help="Show the N characters that the model expects most.",
)
@option(
    "--cell",
    type=Choice(unrolling2d.CELLS),
    help="Instead of RUN and TEXT: show this recurrence in two dimensions.",
)
@option(
    "--rows",
    type=Number(int, min=1, max=unrolling2d.MOST_ROWS),
    default=3,
    show_default=True,
    help=f"With --cell: draw N rows, at most {unrolling2d.MOST_ROWS}.",
)
@option(
    "--columns",
    type=Number(int, min=1, max=unrolling2d.MOST_COLUMNS),
    default=4,
    show_default=True,
    help=f"With --cell: draw N columns, at most {unrolling2d.MOST_COLUMNS}.",
)
@figure_option((".svg", ".html"))
@json_option(
    "Print every value, one JSON object per time step; with --cell, one object with steps, paths, "
    "nodes and edges."
)
@label_option
@click.pass_context
def command(
    ctx: click.Context,
    model: str | None,
    text: str | None,
    label: str | None,
    steps: int | None,
    top: int,
    cell: str | None,
    rows: int,
    columns: int,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Show the unrolled graph of a model that reads TEXT, or of a grid.

    RUN TEXT: one column per time step, with the input, the hidden states and gates, and the
    characters that the model expects next. --cell mdlstm, without a model: one node for each place
    of a page, which is computed from its input, the place above and the place to the left.

    \b
    charlm inspect unroll book "ciao"
    charlm inspect unroll book "Nel mezzo del cammin" --steps 8 --figure unrolled.svg
    charlm inspect unroll --cell mdlstm --rows 3 --columns 4
    """
    _check_form(ctx)
    only_one(figure=figure, json=as_json)
    if cell is not None:
        _show_grid(cell, unrolling2d.Grid(rows, columns), figure, as_json)
    elif model is not None and text is not None:
        _show_model(opened(model, label), text, steps, top, figure, as_json)


def _check_form(ctx: click.Context) -> None:
    """Exactly one of the two forms: RUN and TEXT, or --cell. RequestError for a mix of both."""
    there = given(ctx)
    if "cell" in there:
        of_models = ("model", "text", "steps", "top", "label")
        beside = [typed(ctx, name) for name in of_models if name in there]
        if beside:
            raise RequestError(f"--cell takes no model and no text; leave out {', '.join(beside)}")
        return
    of_grids = [typed(ctx, name) for name in ("rows", "columns") if name in there]
    if of_grids:
        raise RequestError(
            f"{' and '.join(of_grids)} can only be given with --cell; add --cell "
            f"{either(unrolling2d.CELLS)}, or leave out {', '.join(of_grids)}"
        )
    if "model" not in there:
        raise RequestError(
            f"{path_of(ctx)} needs RUN and TEXT, or --cell {either(unrolling2d.CELLS)}; "
            f"{path_of(ctx)} --help shows examples"
        )
    if "text" not in there:
        missing = next(each for each in ctx.command.params if each.name == "text")
        raise click.MissingParameter(ctx=ctx, param=missing)


def _show_grid(cell: str, grid: unrolling2d.Grid, figure: Path | None, as_json: bool) -> None:
    if figure is not None:
        draw = unrolling2d.page if figure.suffix == ".html" else unrolling2d.svg
        write_result("--figure", figure, draw(grid))
    elif as_json:
        echo_json({"cell": cell, **grid.json()})
    else:
        width = shutil.get_terminal_size((100, 24)).columns
        drawn = unrolling2d.text(grid, width, colour=use_colour(), ascii_only=not has_unicode())
        notes = unrolling2d.wrapped(unrolling2d.notes(grid), min(width, 79))
        click.echo("\n".join([*drawn, "", *unrolling2d.EQUATIONS, "", *notes]))


def _show_model(
    loaded: CharLM,
    text: str,
    steps: int | None,
    top: int,
    figure: Path | None,
    as_json: bool,
) -> None:
    from charlm.inspection import unrolling
    from charlm.text.unknown import readable

    text, note = readable(loaded.tokenizer, text, what="TEXT", remedy="give a text without them")
    if note:
        say(note)
    found = unrolling.unroll(loaded.engine, loaded.tokenizer, text, steps=steps, top=top)
    cell, units = loaded.config.cell, loaded.config.hidden_size
    chance = 1 / loaded.tokenizer.vocab_size
    if figure is not None:
        content = unrolling.svg(found, cell, chance)
        if figure.suffix == ".html":
            from charlm.inspection.pages import page

            legend = unrolling.legend(cell, units, loaded.config.num_layers)
            content = page(
                f"unrolled: {text}", f'<p>{legend}</p><div class="scroll">{content}</div>'
            )
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
        colour = use_colour()
        # As many time steps side by side as fit the width of the terminal.
        beside = max(
            1, (shutil.get_terminal_size((100, 24)).columns - 11) // (18 if colour else 14)
        )
        for first in range(0, len(found), beside):
            click.echo("\n".join(_columns(found[first : first + beside], cell, colour)))
            click.echo()
        shows = unrolling.cell_of(units, _CELLS[colour])
        click.echo(shows if colour else f"{shows}, in tenths; more than 0.9 is shown as 9")
        click.echo(f"an untrained model expects each symbol with {100 * chance:.1f}%")


_CELLS = {True: 8, False: 4}  # values per layer and time step: with colour, without


def _columns(steps: list[Step], cell: str, colour: bool) -> list[str]:
    """The graph in characters: rows for the expected characters, for each state and gate, and for
    the character that was read. Without colour a value is a digit, in tenths, with its sign."""
    from charlm.display import printable
    from charlm.inspection.unrolling import GATES, OPEN, squeezed

    count = _CELLS[colour]
    width = 2 * count if colour else 3 * count

    def row(label: str, cells: list[str]) -> str:
        return f"{label:>9}  " + "  ".join(cells)

    lines = [
        row(
            "expected" if not rank else "",
            [
                _fit(f"{printable(s.expected[rank][0])} {100 * s.expected[rank][1]:.0f}%", width)
                for s in steps
            ],
        )
        for rank in range(len(steps[0].expected))
    ]
    for layer in reversed(range(len(steps[0].layers))):
        for name in ["h", *GATES[cell]]:
            cells = []
            for step in steps:
                values = squeezed(step.layers[layer][name], count).tolist()
                tone = _opened if name in OPEN else _coloured
                cells.append(
                    _fit(
                        "".join(tone(v) if colour else _digits(v) for v in values),
                        width if not colour else 0,
                    )
                )
            lines.append(row(f"{name} {layer + 1}", cells))
    lines.append(row("read", [_fit(printable(step.symbol), width) for step in steps]))
    return lines


def _fit(text: str, width: int) -> str:
    return text[:width].ljust(width) if width else text


def _opened(value: float) -> str:
    """Two spaces with a background from white (a closed gate, 0) to green (an open one, 1)."""
    scale = (231, 194, 157, 114, 71, 28)
    place = round(max(0.0, min(1.0, value)) * (len(scale) - 1))
    return f"\x1b[48;5;{scale[place]}m  \x1b[0m"


def _digits(value: float) -> str:
    tenths = max(-9, min(9, round(10 * value)))
    return f"{tenths:>3}"


def _coloured(value: float) -> str:
    """Two spaces with a background from blue (-1) through white (0) to red (1)."""
    scale = (25, 32, 74, 117, 159, 231, 224, 217, 210, 203, 160)
    place = round((max(-1.0, min(1.0, value)) + 1) / 2 * (len(scale) - 1))
    return f"\x1b[48;5;{scale[place]}m  \x1b[0m"
