"""``charlm eval``: bits per character of a text, beside the ladder that gives them a meaning."""

from __future__ import annotations

import click

from charlm.cli.terminal import echo_json, say
from charlm.cli.texts import text_of, texts_of
from charlm.errors import RequestError


@click.command()
@click.argument("model", metavar="[RUN]", required=False)
@click.argument("file", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option(
    "--on-unknown",
    type=click.Choice(["error", "skip"]),
    default="error",
    show_default=True,
    help="What to do with characters that the model has never seen.",
)
@click.option("--ladder/--no-ladder", default=True, show_default=True, help="Show the baselines.")
@click.option("--encoding", help="Encoding of FILE [default: UTF-8, or by byte-order mark]")
def command(
    model: str | None,
    file: str | None,
    as_json: bool,
    on_unknown: str,
    ladder: bool,
    encoding: str | None,
) -> None:
    """Score FILE (- for standard input) under a model; without FILE, the run's validation text;
    without RUN, the newest run.

    One exact pass; the first character is context and is not counted. The ladder beside the figure:
    a model that knows only the vocabulary, character frequencies, an n-gram model and three
    compressors, each given the run's training text.

    \b
    charlm eval book
    charlm eval book other.txt --on-unknown skip
    charlm eval book - --json < other.txt
    """
    from charlm import runs
    from charlm.generate import load, readable

    loaded = load(model)
    path = runs.find_model(model)
    texts = texts_of(runs.Run(path.parent)) if ladder or file is None else None
    if file is not None:
        text = text_of(file, encoding)
    elif texts is None or not texts[1]:
        name = model or path.parent
        raise RequestError(
            f"{name} has no validation text at hand; name the text: charlm eval {name} FILE"
        )
    else:
        text = texts[1]
    text = readable(loaded, text, on_unknown, say)
    result = loaded.evaluate(text)
    rungs = []
    if ladder and texts is not None:
        from charlm.ladder import ladder as baselines

        known = loaded.tokenizer.normalize
        rungs = baselines(known(texts[0]), known(text))
    elif ladder:
        say("no ladder: the run's training text is not at hand")
    if as_json:
        facts = result.to_dict()
        if rungs:
            facts["ladder"] = {rung.name: rung.bits_per_char for rung in rungs}
        echo_json(facts)
        return
    click.echo(
        f"{result.bits_per_char:.4f} bits/char = {result.nats_per_char:.4f} nats/char, perplexity "
        f"{result.perplexity:.3f}, {result.characters:,} characters"
    )
    if rungs:
        from charlm.ladder import format_ladder

        click.echo()
        click.echo(
            format_ladder(rungs, model_bits=result.bits_per_char, model_name=loaded.config.cell)
        )
