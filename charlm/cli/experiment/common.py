"""What the experiments share: their options, a grid that is begun or continued, and its files."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from charlm.cli.options import Number, chosen_workers, given, option, typed
from charlm.cli.progress import bar
from charlm.cli.signals import Interruption
from charlm.cli.terminal import echo, has_unicode, say
from charlm.errors import CharlmError, DivergenceError, RequestError
from charlm.extras import how_to_install

if TYPE_CHECKING:
    from charlm.experiments.grid import Grid
    from charlm.parallel import Workers

AnyGrid = TypeVar("AnyGrid", bound="Grid[Any]")

readers_option = option(
    "--readers", help="Readers (kinds of network) to train, separated by commas [default: all]"
)

resume_option = option("--resume", is_flag=True, help="Continue the experiment in --out.")


def seeds_option(default: int, quick: int) -> Callable[[Any], Any]:
    return option(
        "--seeds",
        type=Number(int, min=1, max=1000),
        help="Networks of each kind, each with its own random seed "
        f"[default: {default}; --quick: {quick}]",
    )


def out_option(default: str) -> Callable[[Any], Any]:
    return option(
        "--out",
        type=click.Path(path_type=Path),
        default=default,
        show_default=True,
        help="Directory of the experiment.",
    )


def chosen_readers(asked: str | None, default: Sequence[str], known: Sequence[str]) -> list[str]:
    """The names in ``--readers``, each once, or the default; RequestError for an unknown one."""
    if asked is None:
        return list(default)
    names = [name.strip() for name in asked.split(",") if name.strip()]
    if not names or not set(names) <= set(known):
        raise RequestError(f"--readers {asked}: choose from {', '.join(known)}")
    return list(dict.fromkeys(names))


def carry_out(
    ctx: click.Context,
    kind: type[AnyGrid],
    begin: Callable[[AnyGrid], None],
    show: Callable[[AnyGrid], None],
) -> None:
    """The command of an experiment, with the options --out, --resume, --jobs and --dask: begin or
    continue it, compute what is missing, show the results.

    begin: stores a new experiment in its directory
    show: collects the results and prints them; also if a reader diverged, because those of the
        others are valid
    """
    options = ctx.params
    workers = chosen_workers(options["jobs"], options["dask"])
    if options["resume"]:
        also = given(ctx) - {"resume", "out", "jobs", "dask"}
        if also:
            named = ", ".join(typed(ctx, name) for name in sorted(also))
            raise RequestError(f"--resume uses the saved settings in --out; leave out {named}")
        made = kind.find(str(options["out"]))
        made.check_recipe()
    else:
        made = kind(options["out"])
        begin(made)
    try:
        run(made, workers)
    except DivergenceError:
        show(made)
        raise
    show(made)


def run(made: Grid[Any], workers: Workers) -> None:
    """Compute the missing cells and show how far they are. If interrupted, say how to continue and
    exit."""
    missing = len(made.unfinished())
    settings = made.settings
    total = len(settings.cells())
    if not missing:
        say(f"all {total} readers are trained already")
        return
    say(f"training {missing} of {total} readers: {settings.describe()}, {workers.describe()}")
    shown = bar(missing * settings.steps, unit=" steps")
    printed = 0

    def progress(done: int, all_of_them: int) -> None:
        nonlocal printed
        if shown is not None:
            shown.update(done - shown.n)
        elif done * 20 // max(1, all_of_them) > printed:
            printed = done * 20 // max(1, all_of_them)
            say(f"{5 * printed} %")

    def close() -> None:
        if shown is not None:
            shown.close()

    with Interruption() as interrupted:
        try:
            made.run(workers, progress)
        except KeyboardInterrupt:
            close()
            left = len(made.unfinished())
            how = _to_continue(made, str(made.path))
            say(f"{total - left} of {total} readers are trained; {how}")
            sys.exit(interrupted.exit_code)
        finally:
            close()


def opened(kind: type[AnyGrid], name: str) -> AnyGrid:
    """The experiment in a directory, with at least one finished reader; CharlmError otherwise."""
    found = kind.find(name)
    if not any(found.cell(*cell).exists() for cell in found.settings.cells()):
        raise CharlmError(f"{name}: no reader is finished yet; {_to_continue(found, name)}")
    return found


def blocks() -> str:
    """The blocks of which a strip is made, if standard output can show them."""
    from charlm.experiments import tables

    return tables.BLOCKS if has_unicode() else tables.ASCII_BLOCKS


_ERRORS_SHOWN = 10  # of each reader; --json prints all


def list_errors(reader: str, errors: Sequence[str]) -> None:
    """Print the first errors of a reader, a line each, and how many there are."""
    if not errors:
        return
    more = f" (the first {_ERRORS_SHOWN} of {len(errors)})" if len(errors) > _ERRORS_SHOWN else ""
    click.echo(f"\nerrors of {reader}{more}:")
    for error in errors[:_ERRORS_SHOWN]:
        echo(f"  {error}")


def print_report(parts: Sequence[str], findings: Sequence[str]) -> None:
    """Print the tables and strips that are not empty, a blank line after each, and the sentences
    about the readers."""
    for part in filter(None, parts):
        click.echo(f"{part}\n")
    for sentence in findings:
        click.echo(sentence)
    click.echo()


def list_files(made: Grid[Any], draw: Callable[[], list[Path]]) -> None:
    """Print the names of the files of the results.

    draw: imports what needs matplotlib, writes figures and page, and returns the files
    """
    files = [made.results_file, made.table_file]
    try:
        files += draw()
    except ImportError:
        say(
            f"no figures, because matplotlib is not installed: {how_to_install('plots')}, then "
            "--resume"
        )
    click.echo("\n".join(str(file) for file in files))


def _to_continue(made: Grid[Any], out: str) -> str:
    return f"continue: charlm experiment {made.command} --resume --out {shlex.quote(out)}"
