"""``charlm sample``: text from a trained model, printed while it is sampled."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import click

from charlm.cli.figures import TEXT, figure_option
from charlm.cli.options import (
    Command,
    Number,
    corpus_option,
    from_fields,
    json_option,
    network_only_option,
    on_unknown_option,
    option,
    run_argument,
    unescaped,
)
from charlm.cli.prompts import read_prompt
from charlm.cli.samples import Sample, heading, put
from charlm.cli.terminal import say
from charlm.config import SampleConfig
from charlm.errors import RequestError


@click.command(cls=Command)
@run_argument("[RUN|FILE]")
@from_fields(SampleConfig)
@option(
    "--greedy",
    group="Sampling",
    is_flag=True,
    help="Always take the most likely character: temperature 0.",
)
@option("--prompt", group="Prompt", help="Text to continue; - reads standard input.")
@option(
    "--prompt-file",
    group="Prompt",
    type=click.Path(path_type=Path),
    help="Read the prompt from this file.",
)
@on_unknown_option("the prompt", group="Prompt")
@option(
    "--num-samples",
    type=Number(int, min=1),
    default=1,
    show_default=True,
    help="Number of samples to write; 64 at a time are sampled side by side.",
)
@option(
    "--stop",
    multiple=True,
    metavar="STR",
    help="End the text before this string, in which \\n, \\t and \\\\ are a line end, a tab and a "
    "backslash. Repeat it for several strings: the first that occurs ends the text.",
)
@json_option("Print one JSON object per sample.")
@option(
    "--show-probs", is_flag=True, help="Show the model's probability of each character it wrote."
)
@option(
    "--alternatives",
    type=Number(int, min=0, max=50),
    default=0,
    show_default=True,
    help="With --show-probs: print a line per character, with the N most likely alternatives.",
)
@figure_option(TEXT)
@option(
    "--novelty",
    is_flag=True,
    help="Report the longest passage copied from the training text; needs 8 bytes of memory per "
    "character of it.",
)
@option(
    "--max-copy",
    type=Number(int, min=1),
    metavar="N",
    help="Never copy more than N characters in a row from the training text.",
)
@option("--out", type=click.Path(path_type=Path), help="Write to this file, not to stdout.")
@network_only_option()
@corpus_option()
def command(
    model: str | None,
    prompt: str | None,
    prompt_file: Path | None,
    greedy: bool,
    num_samples: int,
    stop: tuple[str, ...],
    on_unknown: str,
    as_json: bool,
    out: Path | None,
    show_probs: bool,
    alternatives: int,
    figure: Path | None,
    novelty: bool,
    max_copy: int | None,
    network_only: bool,
    corpus: tuple[str, ...],
    **drawing: Any,
) -> None:
    """Write text with a model.

    RUN: a run's name or directory; FILE: a model file; default: the newest run. If the run has
    n-gram counts, they are used together with the network. A line end at the
    end of a prompt from a file or from standard input is removed.

    \b
    charlm sample
    charlm sample book --temperature 0.5 --length 2000
    charlm sample book --prompt "Nel mezzo" --seed 7
    charlm sample book --stop '\\n\\n' --stop Fine
    charlm sample book --novelty --max-copy 30
    charlm sample book --show-probs
    charlm sample book --show-probs --figure sample.svg
    echo "Era il" | charlm sample book --prompt - --top-p 0.9
    """
    if show_probs and (stop or as_json or out or novelty):
        raise RequestError("--show-probs shows a text; leave out --stop, --json, --out, --novelty")
    if not show_probs and (alternatives or figure):
        name = "--alternatives" if alternatives else "--figure"
        raise RequestError(f"{name} belongs to --show-probs; give both")
    if corpus and not (novelty or max_copy):
        raise RequestError("--corpus belongs to --novelty and --max-copy; give one of them")
    if greedy:
        drawing["temperature"] = 0.0
    if drawing["seed"] is None:
        drawing["seed"] = secrets.randbits(32)
    config = SampleConfig(**drawing)
    text = read_prompt(prompt, prompt_file)

    from charlm import runs
    from charlm.text.unknown import readable

    opened = runs.open_model(model, corpus=corpus, network_only=network_only)
    loaded = opened.model
    text, note = readable(loaded.tokenizer, text, on_unknown, what="the prompt")
    if note:
        say(f"prompt: {note}")
    start = loaded.start(text, on_unknown)  # read once, however many samples follow
    copies = None
    if novelty or max_copy:
        from charlm.cli.copies import Copies

        copies = Copies(opened)
    avoid = copies.avoid(max_copy) if copies and max_copy else None
    if show_probs:
        from charlm.cli import probabilities

        draws = [
            loaded.draws(start, config, number=number, avoid=avoid) for number in range(num_samples)
        ]
        if figure is not None:
            probabilities.draw(text, draws, loaded.tokenizer.vocab_size, figure)
            return
        say(f"by chance each {loaded.tokenizer.unit} has {100 / loaded.tokenizer.vocab_size:.1f} %")
        for number, each in enumerate(draws):
            if num_samples > 1:
                click.echo(heading(number))
            probabilities.show(loaded, text, each, alternatives)
        return
    stops = [unescaped(each) for each in stop]
    samples = [
        Sample(pieces, keep=novelty)
        for pieces in loaded.streams(start, config, num_samples, stop=stops, avoid=avoid)
    ]
    try:
        put(samples, text, config, as_json, out, talk=novelty)
    finally:
        if copies is not None and novelty:
            for number, sample in enumerate(samples, start=1):
                copies.say(f"sample {number}: " if num_samples > 1 else "", sample.text)
