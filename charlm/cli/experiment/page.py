"""``charlm experiment page``: find the year of a trip, wherever it is on the page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.experiment.common import (
    blocks,
    carry_out,
    chosen_readers,
    list_errors,
    list_files,
    opened,
    out_option,
    print_report,
    readers_option,
    resume_option,
    seeds_option,
)
from charlm.cli.options import (
    HELP,
    Group,
    Number,
    encoding_option,
    json_option,
    option,
    workers_options,
)
from charlm.cli.terminal import echo, echo_json, say, table, use_colour
from charlm.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from charlm.experiments.page.ask import Answer, Panel, Scored
    from charlm.experiments.page.grid import Grid
    from charlm.experiments.page.sheets import Sheet

SEEDS, QUICK_SEEDS = 5, 1
NARROWEST, WIDEST = 10, 80


@click.group("page", cls=Group, invoke_without_command=True, context_settings=HELP)
@readers_option
@seeds_option(SEEDS, QUICK_SEEDS)
@out_option("checkpoints/page")
@option("--quick", is_flag=True, help="Train four kinds with one seed for fewer steps.")
@option(
    "--steps",
    type=Number(int, min=1),
    help="Training steps, of 32 pages each [default: 600; --quick: 300]",
)
@option(
    "--widths",
    help="Also train lstm, conv, renet and mdlstm on pages of these numbers of columns, from 10 to "
    "80, separated by commas; none for none [default: 10,20,40,80; --quick: none]",
)
@workers_options()
@resume_option
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Test whether networks find the year of a trip on a page, at any place.

    A page has 24 rows of 40 characters and several four-digit numbers. The word above a number, or
    to its left, says which one is the year. The command trains feedforward, convolutional and
    recurrent networks in one and two dimensions on the same pages. In training the year is never
    in certain rows and columns; the test asks for it there.

    \b
    charlm experiment page --quick --out quick
    charlm experiment page ask quick mine.txt --saliency
    charlm experiment page score quick pages.txt
    charlm experiment page --readers conv,mdlstm --widths none --out two
    charlm experiment page --resume
    """
    if ctx.invoked_subcommand is not None:
        return
    from charlm.experiments.page.grid import Grid

    carry_out(ctx, Grid, lambda made: _begin(made, options), _show)


def _begin(made: Grid, options: dict[str, Any]) -> None:
    from charlm.experiments.page import grid
    from charlm.experiments.page.readers import KINDS

    quick = options["quick"]
    names = chosen_readers(
        options["readers"], grid.QUICK_READERS if quick else tuple(KINDS), tuple(KINDS)
    )
    some = [name for name in names if name in grid.WIDTH_READERS]
    default = () if quick or not some else grid.WIDTHS
    widths = _chosen_widths(options["widths"], default)
    if widths and not some:
        raise RequestError(
            f"--widths: only {', '.join(grid.WIDTH_READERS)} are trained on other pages; name one "
            "of them in --readers, or leave out --widths"
        )
    made.begin(
        grid.Settings(
            readers=tuple(names),
            seeds=options["seeds"] or (QUICK_SEEDS if quick else SEEDS),
            steps=options["steps"] or (grid.QUICK_STEPS if quick else grid.STEPS),
            per_place=grid.QUICK_PER_PLACE if quick else grid.PER_PLACE,
            widths=widths,
        )
    )


def _chosen_widths(asked: str | None, default: tuple[int, ...]) -> tuple[int, ...]:
    """The numbers in ``--widths``, each once, in ascending order; RequestError for anything
    else."""
    if asked is None:
        return default
    if asked.strip() == "none":
        return ()
    parts = [part.strip() for part in asked.split(",")]
    # isdigit() alone would let other scripts' digits pass.
    if not all(p.isascii() and p.isdigit() and NARROWEST <= int(p[:9]) <= WIDEST for p in parts):
        raise RequestError(
            f"--widths is {asked[:60]!r}; give numbers from {NARROWEST} to {WIDEST}, such as "
            "10,20,40,80, or none"
        )
    return tuple(sorted({int(part) for part in parts}))


def _show(made: Grid) -> None:
    from charlm.experiments.page import report

    results = made.collect()
    print_report(
        [report.table(results), report.strips(results, blocks())], report.findings(results)
    )

    def draw() -> list[Path]:
        from charlm.experiments.page import htmlpage, plots

        return [*plots.draw_all(results, made.path / "figures"), htmlpage.write(results, made)]

    list_files(made, draw)


@command.command()
@click.argument("run")
@click.argument("file")
@option("--reader", help="Reader (kind of network) that answers [default: the best]")
@option("--saliency", is_flag=True, help="Show how much each character influenced the answer.")
@option("--html", type=click.Path(path_type=Path), help="Write the saliency to this HTML file.")
@encoding_option()
def ask(
    run: str, file: str, reader: str | None, saliency: bool, html: Path | None, encoding: str | None
) -> None:
    """Print the year of the trip on the page in FILE, and its place.

    FILE is a text file with one page, or - for standard input. Lines are padded with blanks or cut
    to 24 lines of 40 characters. The networks of all seeds vote on the number and on its place.

    The saliency of a character is what the log-probability of the answer (its place and its four
    digits) loses if the character is replaced by an unknown one.

    \b
    charlm experiment page ask quick mine.txt
    charlm experiment page ask quick mine.txt --reader mdlstm --saliency
    charlm experiment page ask quick - --html why.html < mine.txt
    """
    from charlm.experiments.page.sheets import fit

    name, text = _read(file, encoding)
    panel = _panel(run)
    reader = reader or panel.best
    sheet = fit(text, name)
    answer = panel.answers(reader, [sheet])[0]
    for note in (*sheet.cut, sheet.padded, panel.unknown(sheet)):
        if note:
            say(note)
    if not sheet.numbers:
        say(f"no answer: {name} has no four-digit number")
        if saliency or html is not None:
            raise RequestError("there is no answer to explain; leave out --saliency and --html")
        echo("-")
        return
    for doubt in _doubts(panel, reader, sheet, answer):
        say(doubt)
    echo(f"{answer.value}  {answer.where}")
    if not saliency and html is None:
        return
    from charlm.inspection import saliency as maps

    found = panel.saliency(reader, sheet, answer)
    if saliency:
        click.echo(maps.in_terminal(found, use_colour()))
    if html is not None:
        maps.write_page(html, found, f"{answer.value}, {answer.where}", reader)
        click.echo(str(html))


def _doubts(panel: Panel, reader: str, sheet: Sheet, answer: Answer) -> Iterator[str]:
    """What speaks against an answer: its reader is untrained; its place is no number, or another
    one."""
    from charlm.experiments.measures import TRAINED
    from charlm.experiments.page import report

    if not report.learned(panel.results, reader):
        yield (
            f"{reader} finds less than {100 * TRAINED:.0f} % at seen places, so its answer means "
            "little; train it with more --steps"
        )
    pointed = answer.pointed(sheet)
    there = {(row, column): said for row, column, said in sheet.numbers}
    said = there.get((answer.row, answer.column))
    if said is None:
        yield f"{reader} points at {pointed!r}, which is not a number of four digits"
    elif said != answer.value:
        yield f"{reader} answers {answer.value}, but points at {said}"


@command.command()
@click.argument("run")
@click.argument("file")
@option("--reader", help="Reader (kind of network) to measure [default: all]")
@encoding_option()
@json_option()
def score(run: str, file: str, reader: str | None, encoding: str | None, as_json: bool) -> None:
    """Measure the accuracy of every reader of RUN on the pages in FILE.

    FILE has pages. After each page comes a line with three equals signs and its right answer, such
    as === 2009. If that number is on the page several times, each of its places is right.

    \b
    charlm experiment page score quick pages.txt
    charlm experiment page score quick pages.txt --json
    """
    from charlm.experiments.page import ask as asking
    from charlm.experiments.page.sheets import read_asked

    name, text = _read(file, encoding)
    pages = read_asked(text, name)
    panel = _panel(run)
    names = [reader] if reader else panel.readers
    scored = {each: asking.score(panel, each, pages) for each in names}
    for page in pages:
        for note in page.sheet.cut:
            say(note)
        unknown = panel.unknown(page.sheet)
        if unknown:
            say(f"{page.sheet.name}: {unknown}")
    if as_json:
        echo_json({"readers": {each: _as_json(found) for each, found in scored.items()}})
        return
    order = sorted(names, key=lambda each: -(scored[each].places + scored[each].values))
    rows = [["reader", "places", "", "values", ""]]
    rows += [
        [each, *_share(found.places, found.count), *_share(found.values, found.count)]
        for each, found in ((each, scored[each]) for each in order)
    ]
    table(rows)
    for each in order:
        list_errors(each, [_error(page, said) for page, said in scored[each].errors])


def _share(right: int, count: int) -> Sequence[str]:
    return f"{100 * right / count:5.1f} %", f"{right}/{count}"


def _error(page: Any, said: Answer) -> str:
    return f"{said.value} in {said.where} for {page.answer}: page at line {page.line}"


def _as_json(found: Scored) -> dict[str, Any]:
    return {
        "count": found.count,
        "place": found.places / found.count,
        "value": found.values / found.count,
        "errors": [
            {
                "line": page.line,
                "answer": page.answer,
                "found": said.value,
                "row": said.row + 1,
                "column": said.column + 1,
            }
            for page, said in found.errors
        ],
    }


def _read(file: str, encoding: str | None) -> tuple[str, str]:
    """(name, text) of a file or of standard input; RequestError for a directory, and if there is
    nothing in it."""
    from charlm.text.reading import read_text

    name = "standard input" if file == "-" else file
    if file != "-" and Path(file).is_dir():
        raise RequestError(f"{file} is a directory; name a text file")
    stdin = sys.stdin.buffer if sys.stdin is not None else None
    text = read_text([file], encoding=encoding, stdin=stdin).text
    if not text.strip():
        raise RequestError(f"{name}: the page is empty; write a page of text into it")
    return name, text


def _panel(run: str) -> Panel:
    from charlm.experiments.page.ask import Panel
    from charlm.experiments.page.grid import Grid

    return Panel(opened(Grid, run))
