"""``charlm experiment``: questions put to several kinds of networks, with figures."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.options import given
from charlm.cli.signals import Interruption
from charlm.cli.terminal import echo, echo_json, say
from charlm.display import printable
from charlm.errors import CharlmError, DivergenceError, RequestError

if TYPE_CHECKING:
    from charlm.experiments.position_invariance.ask import Panel
    from charlm.experiments.position_invariance.grid import Grid
    from charlm.experiments.position_invariance.measures import Results

_HELP = {"help_option_names": ["-h", "--help"]}
_OUT = "checkpoints/position-invariance"


@click.group(context_settings=_HELP)
def command() -> None:
    """Ask what networks can and cannot do.

    \b
    charlm experiment position-invariance --quick     does the model find the year, anywhere?
    """


@command.group("position-invariance", invoke_without_command=True, context_settings=_HELP)
@click.option("--readers", help="Which ones, separated by commas  [default: all]")
@click.option("--seeds", type=click.IntRange(1, 1000), help="Repetitions  [default: 5]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=_OUT,
    show_default=True,
    help="Where everything is kept.",
)
@click.option("--quick", is_flag=True, help="One seed, four readers, fewer updates.")
@click.option(
    "--steps",
    type=click.IntRange(1),
    help="Updates of 64 sentences  [default: 2200; --quick: 1900]",
)
@click.option(
    "--jobs", type=click.IntRange(1, 256), help="Processes side by side  [default: one a core]"
)
@click.option("--resume", is_flag=True, help="Go on with the experiment in --out.")
@click.option(
    "--template",
    type=click.Path(path_type=Path),
    help="Your own sentences, with a {slot}, and fillers for it.",
)
@click.pass_context
def position_invariance(ctx: click.Context, /, **options: Any) -> None:
    """Does the model find the year in "Sono andato in Nepal nel 2009", at any position?

    Trains feedforward, time-delay and recurrent readers on the same Italian sentences, in which the
    year never stands in certain bands of offsets, and asks for it there.

    \b
    charlm experiment position-invariance --quick --out quick
    charlm experiment position-invariance ask quick "Nel 2009, sono andato in Nepal"
    charlm experiment position-invariance score quick mine.tsv
    charlm experiment position-invariance --template trips.txt --out trips
    charlm experiment position-invariance --resume
    """
    if ctx.invoked_subcommand is not None:
        return
    from charlm.experiments.position_invariance import grid

    made = grid.Grid(options["out"])
    if options["resume"]:
        also = given(ctx) - {"resume", "out", "jobs"}
        if also:
            named = ", ".join(f"--{name}" for name in sorted(also))
            raise RequestError(f"--resume takes everything from --out; leave out {named}")
        made = grid.find(str(options["out"]))
        made.check_recipe()
    else:
        _begin(made, options)
    try:
        _run(made, options["jobs"] or os.cpu_count() or 1)
    except DivergenceError:
        _show(made, made.collect())  # what the others found is not lost
        raise
    _show(made, made.collect())


def _begin(made: Grid, options: dict[str, Any]) -> None:
    from charlm.experiments.position_invariance import design, grid
    from charlm.experiments.position_invariance.readers import KINDS

    quick = options["quick"]
    names = list(grid.QUICK_READERS if quick else KINDS)
    if options["readers"] is not None:
        names = [name.strip() for name in options["readers"].split(",") if name.strip()]
        unknown = [name for name in names if name not in KINDS]
        if unknown or not names:
            raise RequestError(
                f"--readers {', '.join(unknown) or 'names none'}: choose from {', '.join(KINDS)}"
            )
    question = (
        design.years() if options["template"] is None else design.from_template(options["template"])
    )
    settings = grid.Settings(
        readers=tuple(dict.fromkeys(names)),
        seeds=options["seeds"] or (1 if quick else 5),
        steps=options["steps"] or (grid.QUICK_STEPS if quick else grid.STEPS),
        per_offset=grid.QUICK_PER_OFFSET if quick else grid.PER_OFFSET,
    )
    made.begin(question, settings)


def _run(made: Grid, jobs: int) -> None:
    from tqdm import tqdm

    missing = len(made.unfinished())
    settings = made.settings
    total = len(settings.cells())
    if not missing:
        say(f"all {total} readers are trained already")
        return
    say(
        f"{missing} of {total} readers to train: {len(settings.readers)} kinds, {settings.seeds} "
        f"seeds, {settings.steps:,} updates each, {jobs} at a time"
    )
    shown = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    bar = tqdm(
        total=missing * settings.steps,
        file=sys.stderr,
        disable=not shown,
        unit=" updates",
        dynamic_ncols=True,
        bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}, {remaining} left",
    )
    told = 0

    def progress(done: int, all_of_them: int) -> None:
        nonlocal told
        bar.update(done - bar.n)
        if not shown and done * 20 // max(1, all_of_them) > told:
            told = done * 20 // max(1, all_of_them)
            say(f"{5 * told} %")

    with Interruption() as interrupted:
        try:
            made.run(jobs, progress)
        except KeyboardInterrupt:
            bar.close()
            left = len(made.unfinished())
            say(
                f"{total - left} of {total} readers are finished; go on: charlm experiment "
                f"position-invariance --resume --out {shlex.quote(str(made.path))}"
            )
            sys.exit(interrupted.exit_code)
        finally:
            bar.close()


def _show(made: Grid, results: Results) -> None:
    from charlm.experiments.position_invariance import report

    encoding = (getattr(sys.stdout, "encoding", None) or "").lower()
    blocks = report.BLOCKS if "utf" in encoding else report.ASCII_BLOCKS
    click.echo(report.table(results))
    click.echo()
    click.echo(report.strips(results, blocks))
    click.echo()
    for sentence in report.findings(results):
        click.echo(sentence)
    click.echo()
    files = [made.results_file, made.path / "results.csv"]
    try:
        from charlm.experiments.position_invariance import page, plots

        files += plots.draw_all(results, made.path / "figures")
        files.append(page.write(results, made))
    except ImportError:
        say('no figures without matplotlib: pip install "charlm[plots]", then --resume')
    click.echo("\n".join(str(file) for file in files))


@position_invariance.command()
@click.argument("run")
@click.argument("sentence", required=False)
@click.option("--reader", help="Which kind of reader  [default: the best]")
@click.option("--saliency", is_flag=True, help="Show which characters moved the answer.")
@click.option("--html", type=click.Path(path_type=Path), help="Write the saliency as a page.")
def ask(
    run: str, sentence: str | None, reader: str | None, saliency: bool, html: Path | None
) -> None:
    """Print the year of SENTENCE; without it, of every line of standard input.

    "-" is said of a sentence without four digits in a row. The answer is the vote of the reader's
    seeds.

    \b
    charlm experiment position-invariance ask quick "Nel 2009, sono andato in Nepal"
    charlm experiment position-invariance ask quick --reader feedforward --saliency "Era il 1969."
    charlm experiment position-invariance ask quick < sentences.txt
    """
    panel = _panel(run)
    name = reader or panel.best
    if sentence is None:
        if sys.stdin is None:
            raise RequestError("no SENTENCE, and standard input is closed; give one")
        from charlm.text.reading import decode

        lines = decode(sys.stdin.buffer.read(), "standard input").removesuffix("\n").split("\n")
        texts = [line.removesuffix("\r") for line in lines]
    else:
        texts = [sentence]
    if not any(text.strip() for text in texts):
        raise RequestError('the sentence is empty; give one, such as "Era il 2009."')
    from charlm.experiments.position_invariance import saliency as maps
    from charlm.experiments.position_invariance.ask import NO_ANSWER

    answers = panel.answers(name, texts)
    if html is not None and len(texts) > 1:
        raise RequestError("--html shows one sentence; give one, or leave it out for many")
    for text, answer in zip(texts, answers, strict=True):
        _explain(panel, name, text, answer)
        unanswered = answer in ("", NO_ANSWER)
        if (not saliency and html is None) or (unanswered and len(texts) > 1):
            echo(answer or "?")
            continue
        found = maps.of(panel, name, text, answer)
        if saliency:
            shown = f"{printable(answer) or '?'}  "
            click.echo(shown + maps.in_terminal(found, sys.stdout.isatty(), len(shown)))
        if html is not None:
            maps.write_page(html, found, answer, name)
            click.echo(str(html))


def _explain(panel: Panel, name: str, text: str, answer: str) -> None:
    """Say on stderr why there is no answer, or what the reader has never seen."""
    from charlm.experiments.position_invariance.ask import NO_ANSWER
    from charlm.experiments.position_invariance.readers import KINDS
    from charlm.text.tokenizer import describe_unknown

    shown = printable(text if len(text) <= 60 else text[:60] + "...").replace("\n", "\\n")
    if answer == NO_ANSWER:
        say(f"nothing to find: no {panel.wanted} in {shown!r}")
    elif panel.too_long(name, text):
        longest = KINDS[name].longest
        say(f"{name} cannot read {len(text):,} characters, only {longest}: {shown!r}")
    unseen = panel.vocabulary.tokenizer.unseen(text)
    if len(unseen):
        say(f"read as unknown: {describe_unknown(text, unseen)}")


_ERRORS_SHOWN = 10  # of each reader; --json has them all


@position_invariance.command()
@click.argument("run")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--reader", help="Only this kind of reader  [default: all]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def score(run: str, file: Path, reader: str | None, as_json: bool) -> None:
    """Score every reader of RUN on FILE: a sentence, a tab and its year on each line.

    \b
    charlm experiment position-invariance score quick mine.tsv
    charlm experiment position-invariance score quick mine.tsv --json
    """
    from charlm.experiments.position_invariance import ask as asking

    sentences = asking.read_scored(file)
    panel = _panel(run)
    names = [reader] if reader else panel.readers
    scored = {name: asking.score(panel, name, sentences) for name in names}
    if as_json:
        echo_json(
            {
                "readers": {
                    name: {
                        "accuracy": each.accuracy,
                        "count": each.count,
                        "errors": each.errors,
                        "unread": each.unread,
                    }
                    for name, each in scored.items()
                }
            }
        )
        return
    width = max(map(len, names))
    order = sorted(names, key=lambda name: -scored[name].accuracy)
    for name in order:
        each = scored[name]
        note = f"  ({each.unread} it cannot read)" if each.unread else ""
        right = each.count - len(each.errors)
        click.echo(f"{name:<{width}}  {100 * each.accuracy:5.1f} %  {right}/{each.count}{note}")
    for name in order:
        errors = scored[name].errors
        if errors:
            more = (
                f" (the first {_ERRORS_SHOWN} of {len(errors)})"
                if len(errors) > _ERRORS_SHOWN
                else ""
            )
            click.echo(f"\nerrors of {name}{more}:")
        for error in errors[:_ERRORS_SHOWN]:
            echo(f"  {error['found'] or '?':>5} for {error['answer']}: {error['text']}")


def _panel(run: str) -> Panel:
    from charlm.experiments.position_invariance import grid
    from charlm.experiments.position_invariance.ask import Panel

    found = grid.find(run)
    if not any(found.cell(*cell).exists() for cell in found.settings.cells()):
        raise CharlmError(
            f"{run}: no reader is finished yet; go on: charlm experiment position-invariance "
            f"--resume --out {shlex.quote(run)}"
        )
    return Panel(found)
