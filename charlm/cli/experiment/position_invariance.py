"""``charlm experiment position-invariance``: find a year, wherever it is in the sentence."""

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
from charlm.cli.options import HELP, Group, Number, json_option, option, workers_options
from charlm.cli.terminal import echo, echo_json, say, table, use_colour
from charlm.display import printable
from charlm.errors import RequestError

if TYPE_CHECKING:
    from charlm.experiments.position_invariance.ask import Panel
    from charlm.experiments.position_invariance.grid import Grid

SEEDS, QUICK_SEEDS = 5, 1


@click.group("position-invariance", cls=Group, invoke_without_command=True, context_settings=HELP)
@readers_option
@seeds_option(SEEDS, QUICK_SEEDS)
@out_option("checkpoints/position-invariance")
@option("--quick", is_flag=True, help="Train four kinds with one seed for fewer steps.")
@option(
    "--steps",
    type=Number(int, min=1),
    help="Training steps, of 64 sentences each [default: 2200; --quick: 1900]",
)
@workers_options()
@resume_option
@option(
    "--template",
    type=click.Path(path_type=Path),
    help="Use your own sentences: a file of sentences with a {slot}, and fillers for it.",
)
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Test whether networks find a year at any position.

    The year is in sentences such as "Sono andato in Nepal nel 2009". The command trains
    feedforward, time-delay and recurrent networks on the same Italian sentences. In training the
    year never occurs in certain ranges of positions; the test asks for it there.

    \b
    charlm experiment position-invariance --quick --out quick
    charlm experiment position-invariance ask quick "Nel 2009, sono andato in Nepal"
    charlm experiment position-invariance score quick mine.tsv
    charlm experiment position-invariance --template trips.txt --out trips
    charlm experiment position-invariance --resume
    """
    if ctx.invoked_subcommand is not None:
        return
    from charlm.experiments.position_invariance.grid import Grid

    carry_out(ctx, Grid, lambda made: _begin(made, options), _show)


def _begin(made: Grid, options: dict[str, Any]) -> None:
    from charlm.experiments.position_invariance import design, grid
    from charlm.experiments.position_invariance.readers import KINDS

    quick = options["quick"]
    default = grid.QUICK_READERS if quick else tuple(KINDS)
    names = chosen_readers(options["readers"], default, tuple(KINDS))
    question = (
        design.years() if options["template"] is None else design.from_template(options["template"])
    )
    settings = grid.Settings(
        readers=tuple(names),
        seeds=options["seeds"] or (QUICK_SEEDS if quick else SEEDS),
        steps=options["steps"] or (grid.QUICK_STEPS if quick else grid.STEPS),
        per_offset=grid.QUICK_PER_OFFSET if quick else grid.PER_OFFSET,
    )
    made.begin(question, settings)


def _show(made: Grid) -> None:
    from charlm.experiments.position_invariance import report

    results = made.collect()
    print_report(
        [report.table(results), report.error_table(results), report.strips(results, blocks())],
        report.findings(results),
    )

    def draw() -> list[Path]:
        from charlm.experiments.position_invariance import page, plots

        return [*plots.draw_all(results, made.path / "figures"), page.write(results, made)]

    list_files(made, draw)


@command.command()
@click.argument("run")
@click.argument("sentence", required=False)
@option("--reader", help="Reader (kind of network) that answers [default: the best]")
@option("--saliency", is_flag=True, help="Show how much each character influenced the answer.")
@option("--html", type=click.Path(path_type=Path), help="Write the saliency to this HTML file.")
def ask(
    run: str, sentence: str | None, reader: str | None, saliency: bool, html: Path | None
) -> None:
    """Print the year of SENTENCE, or of every line of standard input.

    The networks of all seeds vote on the answer. It is "-" if the sentence has no four digits in a
    row.

    \b
    charlm experiment position-invariance ask quick "Nel 2009, sono andato in Nepal"
    charlm experiment position-invariance ask quick --reader feedforward --saliency "Era il 1969."
    charlm experiment position-invariance ask quick < sentences.txt
    """
    panel = _panel(run)
    name = reader or panel.best
    if sentence is None:
        if sys.stdin is None:
            raise RequestError("standard input is closed; give a SENTENCE")
        from charlm.text.reading import decode

        lines = decode(sys.stdin.buffer.read(), "standard input").removesuffix("\n").split("\n")
        texts = [line.removesuffix("\r") for line in lines]
    else:
        texts = [sentence]
    if not any(text.strip() for text in texts):
        raise RequestError('the sentence is empty; give one, such as "Era il 2009."')
    from charlm.experiments.position_invariance import saliency as explained
    from charlm.experiments.position_invariance.ask import NO_ANSWER
    from charlm.inspection import saliency as maps

    answers = panel.answers(name, texts)
    if html is not None and len(texts) > 1:
        raise RequestError(f"--html shows one sentence, not {len(texts)}; give one SENTENCE")
    for text, answer in zip(texts, answers, strict=True):
        _explain(panel, name, text, answer)
        unanswered = answer in ("", NO_ANSWER)
        if (not saliency and html is None) or (unanswered and len(texts) > 1):
            echo(answer or "?")
            continue
        found = explained.of(panel, name, text, answer)
        if saliency:
            shown = f"{printable(answer) or '?'}  "
            click.echo(shown + maps.in_terminal(found, use_colour(), len(shown)))
        if html is not None:
            maps.write_page(html, found, answer, name)
            click.echo(str(html))


def _explain(panel: Panel, name: str, text: str, answer: str) -> None:
    """Say on stderr why there is no answer, or which characters the reader does not know."""
    from charlm.experiments.position_invariance.ask import NO_ANSWER
    from charlm.experiments.position_invariance.readers import KINDS
    from charlm.text.unknown import readable

    shown = printable(text if len(text) <= 60 else text[:60] + "...").replace("\n", "\\n")
    if answer == NO_ANSWER:
        say(f"no answer: {shown!r} has no {panel.wanted}")
    elif panel.too_long(name, text):
        longest = KINDS[name].longest
        say(f"{name} reads at most {longest} characters, not {len(text):,}: {shown!r}")
    elif panel.invented(text, answer):
        say(f"{name} answers {answer}, which is not in the sentence: {shown!r}")
    note = readable(panel.vocabulary.tokenizer, text).note  # which folds, so nothing is refused
    if note:
        say(note)


@command.command()
@click.argument("run")
@click.argument("file", type=click.Path(path_type=Path))
@option("--reader", help="Reader (kind of network) to measure [default: all]")
@json_option()
def score(run: str, file: Path, reader: str | None, as_json: bool) -> None:
    """Measure the accuracy of every reader of RUN on FILE.

    Each line of FILE has a sentence, a tab, and its year. Beside the right answers it counts the
    errors: another number of the sentence, or one that is not in the sentence.

    \b
    charlm experiment position-invariance score quick mine.tsv
    charlm experiment position-invariance score quick mine.tsv --json
    """
    from charlm.experiments.position_invariance import ask as asking
    from charlm.experiments.position_invariance.mistakes import SHOWN

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
                        "errors_by_kind": each.kinds,
                    }
                    for name, each in scored.items()
                }
            }
        )
        return
    order = sorted(names, key=lambda name: -scored[name].accuracy)
    rows = []
    for name in order:
        each = scored[name]
        notes = [f"{each.kinds[kind]} {kind}" for kind in SHOWN if each.kinds[kind]]
        if each.unread:
            notes.append(f"{each.unread} too long for it")
        note = f"({', '.join(notes)})" if notes else ""
        right = each.count - len(each.errors)
        rows.append([name, f"{100 * each.accuracy:5.1f} %", f"{right}/{each.count}", note])
    table(rows, left=4)
    for name in order:
        list_errors(
            name,
            [
                f"{error['found'] or '?':>5} for {error['answer']}: {error['text']}"
                for error in scored[name].errors
            ],
        )


def _panel(run: str) -> Panel:
    from charlm.experiments.position_invariance.ask import Panel
    from charlm.experiments.position_invariance.grid import Grid

    return Panel(opened(Grid, run))
