"""``charlm sweep``: many runs of one text, each with other options, and which of them is best."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlm import launch, rundir
from charlm.cli.corpusoptions import (
    CORPUS_FIELDS,
    check_corpus_options,
    corpus_options,
    source_of,
    weighted,
)
from charlm.cli.options import (
    Command,
    Number,
    chosen,
    chosen_workers,
    from_fields,
    given,
    option,
    out_option,
    typed,
    workers_options,
)
from charlm.cli.signals import Interruption
from charlm.cli.terminal import aligned, echo, say, table, use_colour
from charlm.config import ModelOptions, TrainOptions
from charlm.errors import CharlmError, RequestError
from charlm.extras import how_to_install

if TYPE_CHECKING:
    from collections.abc import Sequence

    from charlm.parallel import Workers
    from charlm.sweeps.design import Design
    from charlm.sweeps.ranking import Row
    from charlm.sweeps.store import Finished, Sweep

_SHOWN = 20
"""Rows of the table that are printed; results.csv has them all."""


@click.command(cls=Command)
@click.argument("corpus", nargs=-1, required=True)
@option(
    "--grid",
    "asked",
    group="Sweep",
    multiple=True,
    metavar="NAME=A,B",
    help="Train with each of these values of an option of charlm train; can be repeated: then with "
    "every combination.",
)
@option(
    "--seeds",
    group="Sweep",
    type=Number(int, min=1, max=1000),
    default=1,
    show_default=True,
    help="Runs of every combination, with the seeds --seed, --seed + 1, ...",
)
@workers_options(group="Sweep")
@from_fields(ModelOptions)
@from_fields(TrainOptions)
@corpus_options
@option(
    "--name", group="Run", help="Name of the sweep [default: the name of the corpus and -sweep]"
)
@out_option("the sweep")
@click.pass_context
def command(ctx: click.Context, /, corpus: tuple[str, ...], **options: Any) -> None:
    """Train many models of a text and compare them.

    Every run is what charlm train with the same options gives on one thread. The result does not
    depend on how many run at the same time, except with --minutes: then a run makes as many steps
    as the machine allows. The same command again makes only the runs that are missing, and a
    larger grid only the new ones. charlm sample NAME, and every other command that takes a run,
    uses the best run of the sweep. Ctrl-C saves the runs that are being made.

    \b
    charlm sweep book.txt --grid hidden_size=128,256 --grid dropout=0,0.1 --seeds 3 --minutes 1
    charlm sweep book.txt --grid cell=lstm,gru,rnn --steps 2000 --jobs 4
    charlm sweep book.txt --grid learning_rate=0.004,0.008 --dask tcp://host:8786
    charlm sample book-sweep
    """
    if launch.size() > 1:
        raise RequestError(
            "charlm sweep starts its own processes; run it without torchrun, with --jobs or --dask"
        )
    workers = chosen_workers(options["jobs"], options["dask"])
    sweep = _prepare(ctx, corpus, options)
    with Interruption() as interrupted:
        sweep.begin()
        with sweep.locked():
            errors = _run(sweep, workers, interrupted)
    _show(sweep)
    missing = len(sweep.cells) - len(sweep.finished())
    if missing:
        failed = "failed" if errors else "are missing (were files removed meanwhile?)"
        raise CharlmError(
            f"{missing} of {len(sweep.cells)} runs {failed}; the same command tries them again"
        )


def _prepare(ctx: click.Context, corpus: tuple[str, ...], options: dict[str, Any]) -> Sweep:
    """The sweep that was asked for, every run checked as far as that is possible before it."""
    from charlm.sweeps.design import Design, grid_of
    from charlm.sweeps.store import Sweep
    from charlm.text import dataset
    from charlm.text.streams import fit_window

    check_corpus_options(ctx, options)
    if options["task"]:
        raise RequestError(
            "a sweep ranks runs by bits per character, which a model of --task does not have; "
            "train such runs one by one, and compare them with charlm eval"
        )
    if "-" in (*corpus, *options["val_file"]):
        raise RequestError(
            "- means standard input, which can be read only once, but every run reads the text; "
            "give a file"
        )
    grid = grid_of(options["asked"])
    twice = sorted(given(ctx) & set(grid))
    if twice:
        flags = ", ".join(typed(ctx, name) for name in twice)
        raise RequestError(f"--grid varies {', '.join(twice)}, and {flags} sets it; give one")
    files, weights = weighted(corpus) if options["mix"] else (corpus, ())
    source = source_of(options, files, weights)
    texts = dataset.read(source)
    if not len(texts.val):
        raise RequestError(
            "a sweep compares the loss on a validation text, and there is none; give --val-file, "
            "or --val-fraction above 0"
        )
    text = {
        "name": texts.name,
        "sha256": texts.sha256,
        "characters": [len(texts.train), len(texts.val), len(texts.test)],
        "level": options["level"],
        "min_count": options["min_count"],
        "nfc": options["nfc"],
        "separator": options["separator"],
        "weights": list(weights),
    }
    words = source.sources  # absolute
    if weights:
        words = tuple(f"{name}={w!r}" for name, w in zip(words, weights, strict=True))
    train = TrainOptions(**chosen(TrainOptions, options))
    design = Design(
        ModelOptions(**chosen(ModelOptions, options)),
        train,
        text,
        (*words, *_corpus_arguments(ctx, options)),
        grid,
        options["seeds"],
    )
    plain = re.sub(r"[^\w.-]+", "-", texts.name).strip("-.") or "text"
    name = f"{plain}-sweep" if options["name"] is None else options["name"]
    sweep = Sweep(options["out"] / name, design)
    if options["level"] == "char":
        for cell in sweep.cells:
            asked = cell.configuration
            fit_window(len(texts.train), asked["batch_size"], asked["seq_len"])
    if options["name"] is not None and not os.path.lexists(sweep.path):
        rundir.check_name(options["out"], name)
    sweep.check()
    return sweep


def _corpus_arguments(ctx: click.Context, options: dict[str, Any]) -> list[str]:
    """The options of the corpus as ``charlm train`` takes them."""
    words: list[str] = []
    for name in CORPUS_FIELDS:
        value = options[name]
        if name not in given(ctx):
            continue
        flag = typed(ctx, name)
        if isinstance(value, bool):
            words += [flag]
        elif isinstance(value, tuple):
            for each in value:
                words += [flag, str(Path(each).absolute())]
        else:
            words += [flag, str(value)]
    return words


def _run(sweep: Sweep, workers: Workers, interrupted: Interruption) -> dict[str, CharlmError]:
    """Make what is missing; the errors of the runs that failed. Exits if interrupted."""
    total, before = len(sweep.cells), len(sweep.finished())
    if before == total:
        say(f"all of the {total} runs are finished already" if total > 1 else "finished already")
    else:
        minutes = sweep.design.train.minutes
        about = ""
        if minutes is not None and not workers.dask:
            rounds = -(-(total - before) // workers.jobs)
            about = f"; about {rounds * minutes:g} minutes"
        done = f", {before} of them finished already" if before else ""
        say(f"sweep   {total} {'runs' if total > 1 else 'run'}{done}, {workers.describe()}{about}")
        say(f"out     {sweep.path}")
    screen = Screen(sweep)

    def told(finished: Finished) -> None:
        # Several may have ended between two calls.
        for cell in sweep.cells if not screen.live else []:
            if cell.name in finished and cell.name not in known:
                known.add(cell.name)
                outcome = finished[cell.name]
                say(
                    f"{len(known)} of {total}  {outcome.bits_per_char:.4f} bits/char  "
                    f"{_described(cell.varied)}  {outcome.seconds:.0f} s"
                )

    known = set(sweep.finished())
    try:
        with interrupted.politely():
            errors = sweep.run(workers, told, screen.draw, interrupted)
    finally:
        screen.clear()
    if interrupted():
        finished = sweep.finished()
        again = f"charlm {' '.join(map(shlex.quote, sys.argv[1:]))}"
        say(
            f"{len(finished)} of {total} runs are finished, and what was begun is saved; the same "
            f"command continues: {again}"
        )
        sys.exit(interrupted.exit_code)
    for cell in sweep.cells:
        if cell.name in errors:
            say(f"failed  {_described(cell.varied)}: {errors[cell.name]}")
    return errors


def _described(varied: dict[str, Any]) -> str:
    return " ".join(f"{name}={_text(value)}" for name, value in varied.items())


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _rows(design: Design, rows: Sequence[Row]) -> list[list[str]]:
    """The table with its heading."""
    if not rows:
        return []
    seeds = design.seeds > 1
    tested = any(row.test_bits is not None for row in rows)
    counted = any(each.ngram_bits is not None for row in rows for each in row.outcomes)
    heading = [
        *(["bits/char"] + ["best to worst seed"] * seeds + ["test"] * tested),
        *(["network alone"] * counted + list(design.grid)),
        *["parameters", "steps", "seconds", "run"],
    ]
    found = [heading]
    for row in rows:
        low, high = row.spread
        test = "" if row.test_bits is None else f"{row.test_bits:.4f}"
        found.append(
            [
                *([f"{row.bits:.4f}"] + [f"{low:.4f} to {high:.4f}"] * seeds + [test] * tested),
                *([f"{row.network_bits:.4f}"] * counted + [_text(value) for value in row.values]),
                *[f"{row.outcomes[0].parameters:,}", f"{row.steps:,.0f}", f"{row.seconds:.0f}"],
                row.names[0],
            ]
        )
    return found


def _show(sweep: Sweep) -> None:
    """Print the table, what it stands beside, the files and a command to try next."""
    from charlm.sweeps import ranking

    finished = sweep.finished()
    best = ranking.best(finished)
    if best is None:
        return
    ranked = ranking.rank(sweep.cells, finished)
    table(_rows(sweep.design, ranked[:_SHOWN]), left=0)
    if len(ranked) > _SHOWN:
        say(f"{len(ranked) - _SHOWN} more configurations are in {sweep.table}")
    first = ranked[0].outcomes[0]
    beside = [f"an untrained model {first.untrained_bits:.4f}"]
    counted = first.ngram_bits is not None
    if counted:
        beside.append(f"the n-gram counts alone {first.ngram_bits:.4f}")
    echo(f"\nfor comparison, bits/char: {', '.join(beside)}")
    if first.test_bits is None and len(finished) > 1:
        say(
            f"the validation text has chosen the best of {len(finished)} runs, so its loss there "
            "is a little too good; --test-fraction adds a column for a text that chose nothing"
        )
    means = [row.bits for row in ranked]
    if counted and len(means) > 1 and max(means) - min(means) < 0.002:
        say("the counts decide nearly everything here; --no-counts compares the networks alone")
    cell = next(each for each in sweep.cells if each.name == best)
    bits = f"{finished[best].bits_per_char:.4f} bits/char"
    echo(f"best   run {best}: {bits}, {_described(cell.varied)}")
    overall = sweep.best()
    if overall != best:
        echo(f"       of all grids in {sweep.path} run {overall}, which charlm sample uses")
    files = [sweep.table]
    try:
        from charlm.sweeps import plots

        files += plots.draw(ranked, list(sweep.design.grid), sweep.path)
    except ImportError:
        say(f"no figure, because matplotlib is not installed: {how_to_install('plots')}")
    echo(f"files  {'  '.join(map(str, files))}")
    echo(f"next   charlm sample {shlex.quote(str(sweep.path))}")


class Screen:
    """A table on the terminal that is drawn again and again: the best first, below it what is being
    made. Without a terminal it draws nothing."""

    def __init__(self, sweep: Sweep) -> None:
        self.live = use_colour(sys.stderr)
        self._sweep = sweep
        self._lines = 0

    def draw(self) -> None:
        if not self.live:
            return
        from charlm.sweeps.ranking import rank

        size = shutil.get_terminal_size()
        finished = self._sweep.finished()
        rows = _rows(self._sweep.design, rank(self._sweep.cells, finished))
        lines = aligned(rows, left=0)
        running = self._running(set(finished))
        left = len(self._sweep.cells) - len(finished) - len(running)
        running.append(f"{len(finished)} finished, {len(running)} running, {left} waiting")
        room = max(1, size.lines - len(running) - 2)
        self.clear()
        for line in [*lines[:room], *running]:
            sys.stderr.write(line[: size.columns - 1] + "\n")
            self._lines += 1
        sys.stderr.flush()

    def _running(self, finished: set[str]) -> list[str]:
        found = []
        for cell in self._sweep.cells:
            run = self._sweep.task(cell).run
            if cell.name in finished or not run.log.exists():
                continue
            log = run.read_log()
            if log and "val_bits_per_char" in log[-1]:
                found.append(
                    f"... {_described(cell.varied)}: step {log[-1]['step']:,}, "
                    f"{log[-1]['val_bits_per_char']:.4f} bits/char (network)"
                )
        return found

    def clear(self) -> None:
        """Remove what was drawn."""
        if self._lines:
            sys.stderr.write(f"\x1b[{self._lines}F\x1b[J")
            sys.stderr.flush()
            self._lines = 0
