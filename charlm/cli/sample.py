"""``charlm sample``: text from a trained model, printed while it is sampled."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator
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
    nothing_beside,
    on_unknown_option,
    option,
    run_argument,
    unescaped,
)
from charlm.cli.prompts import read_prompts, readable_prompts
from charlm.cli.samples import Draft, Layout, complete, show, show_drafts
from charlm.cli.terminal import say, write_result
from charlm.config import LONGEST_OFFER, OFFERS, SampleConfig
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
@option(
    "--prompts",
    group="Prompt",
    metavar="FILE",
    help="Continue every line of this file, in their order, as --prompt with that line does; - "
    "reads standard input. An empty line is an empty prompt.",
)
@option(
    "--include-prompt/--no-include-prompt",
    group="Prompt",
    default=None,
    help="Put the prompt before the text [default: yes, but not in the text of --json]",
)
@on_unknown_option("the prompt", group="Prompt")
@option(
    "--num-samples",
    type=Number(int, min=1),
    help="Number of samples to write; 64 at a time are sampled side by side "
    f"[default: 1; with --interactive {OFFERS}]",
)
@option(
    "--stop",
    multiple=True,
    metavar="STR",
    help="End the text before this string, in which \\n, \\t and \\\\ are a line end, a tab and a "
    "backslash. Repeat it for several strings: the first that occurs ends the text.",
)
@option("--include-stop", is_flag=True, help="End the text after that string, not before it.")
@option(
    "--rank",
    is_flag=True,
    help="Print the samples of each prompt when all are complete, the most likely first, with "
    "their nats per character: by the model itself, before temperature and filters.",
)
@option(
    "--interactive",
    is_flag=True,
    help="Write together: choose one of --num-samples ways to go on, each to the end of a sentence "
    f"(at most {LONGEST_OFFER} characters, or --length), or type your own. The talk is on stderr, "
    "the text on stdout.",
)
@option(
    "--label",
    "labels",
    group="Items",
    multiple=True,
    metavar="LABEL",
    help="Write items of this label; LABEL=WEIGHT, repeated, blends several "
    "[default: one drawn for each item by its share, printed behind it]",
)
@option(
    "--new",
    group="Items",
    is_flag=True,
    help="Write only items that are not in the run's list, and none twice.",
)
@option("--prefix", group="Items", help="How every item begins: --prompt for a model of items.")
@option(
    "--pattern",
    group="Items",
    help="What every item looks like: ? is any one character, * at the end the rest, such as ?a?a "
    "or Ma*.",
)
@option(
    "--beam",
    group="Items",
    type=Number(int, min=1, max=1024),
    help="Print the likeliest items that a search with so many beginnings finds, without "
    "temperature and filters.",
)
@json_option(
    "Print one JSON object per sample, with its log-probability: ln p(text | prompt) in nats."
)
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
    prompts: str | None,
    include_prompt: bool | None,
    greedy: bool,
    num_samples: int | None,
    stop: tuple[str, ...],
    include_stop: bool,
    rank: bool,
    interactive: bool,
    labels: tuple[str, ...],
    new: bool,
    prefix: str | None,
    pattern: str | None,
    beam: int | None,
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
    charlm sample book --num-samples 10 --rank
    charlm sample book --prompts beginnings.txt --json
    charlm sample book --interactive > story.txt
    charlm sample book --no-repeat 20
    charlm sample book --novelty --max-copy 30
    charlm sample book --show-probs
    charlm sample book --show-probs --figure sample.svg
    charlm sample names --num-samples 20 --new           a model of items (train --items)
    charlm sample names --label Italian --prefix Ma      one with labels (train --labelled)
    echo "Era il" | charlm sample book --prompt - --top-p 0.9
    """
    beside = {
        "stop": stop,
        "include-prompt": include_prompt is not None,
        "rank": rank,
        "json": as_json,
        "novelty": novelty,
        "prompts": prompts,
    }
    if interactive:
        beside |= {"show-probs": show_probs, "include-prompt": False}
        nothing_beside("--interactive", "writes one text together with you", **beside)
    if show_probs:
        beside |= {"new": new, "pattern": pattern, "beam": beam}
        nothing_beside("--show-probs", "shows a text", out=out, **beside)
    elif alternatives or figure:
        name = "--alternatives" if alternatives else "--figure"
        raise RequestError(f"{name} belongs to --show-probs; give both")
    if corpus and not (novelty or max_copy or new):
        raise RequestError("--corpus belongs to --novelty, --max-copy and --new; give one of them")
    if prefix is not None and (prompt, prompt_file, prompts) != (None, None, None):
        raise RequestError("--prefix and a prompt both say how an item begins; give one")
    if include_stop and not stop:
        raise RequestError("--include-stop belongs to --stop; give both")
    if interactive and prompt == "-":
        raise RequestError("--interactive and --prompt - both read standard input; leave one out")
    if greedy:
        drawing["temperature"] = 0.0
    if drawing["seed"] is None:
        drawing["seed"] = secrets.randbits(32)
    config = SampleConfig(**drawing)
    asked = read_prompts(prompt if prefix is None else prefix, prompt_file, prompts)

    from charlm import runs
    from charlm.generate import side_by_side
    from charlm.lockstep import ABREAST

    opened = runs.open_model(model, corpus=corpus, network_only=network_only)
    loaded = opened.model
    loaded.check(config)
    asked = readable_prompts(asked, prompts, loaded.tokenizer, on_unknown)
    for_items = {"label": labels, "new": new, "prefix": prefix, "pattern": pattern, "beam": beam}
    if not loaded.end and any(each not in (None, False, ()) for each in for_items.values()):
        name = next(name for name, each in for_items.items() if each not in (None, False, ()))
        raise RequestError(
            f"--{name} is for a model of items; train one with --items or --labelled"
        )
    if loaded.end and not show_probs:
        from charlm.cli import itemsamples

        itemsamples.refuse_for_items(
            **{"interactive": interactive, "max-copy": max_copy, "include-stop": include_stop}
        )
        itemsamples.write_items(
            opened,
            asked,
            itemsamples.Asked(
                *(num_samples or itemsamples.ITEMS, labels, new, pattern, beam or 0),
                *(rank, as_json, novelty),
                tuple(unescaped(string) for string in stop),
                on_unknown,
            ),
            config,
            out,
        )
        return
    copies = None
    if novelty or max_copy:
        from charlm.cli.copies import Copies

        copies = Copies(opened)
    avoid = copies.avoid(max_copy) if copies and max_copy else None
    if interactive:
        from charlm.cli import choosing

        start = loaded.start(asked[0].text, on_unknown)
        talk = choosing.Talk(loaded, start, config, num_samples or OFFERS, avoid)
        choosing.write_together(talk, on_unknown, include_prompt is not False, out)
        return
    count = num_samples or 1
    if show_probs:
        from charlm.cli import itemsamples, probabilities

        label = itemsamples.label_of(labels, loaded)
        # With labels each sample has a state of its own, after its label.
        begin = asked[0].text if loaded.labels else loaded.start(asked[0].text, on_unknown)
        draws = [
            loaded.draws(begin, config, number=number, avoid=avoid, label=label)
            for number in range(count)
        ]
        probabilities.present(loaded, asked[0].text, draws, alternatives, figure)
        return
    layout = Layout(
        config.seed,
        as_json,
        include_prompt=not as_json if include_prompt is None else include_prompt,
        several=count > 1,
        ranked=rank,
    )
    drafts: list[Draft] = []
    keep = novelty or config.no_repeat > 0

    def sampled() -> Iterator[Draft]:
        for each in asked:
            start = loaded.start(each.text, on_unknown)  # read once, however many samples follow
            streams = loaded.streams(
                start,
                config,
                count,
                stop=[unescaped(string) for string in stop],
                avoid=avoid,
                include_stop=include_stop,
            )
            for number, pieces in enumerate(streams):
                drafts.append(Draft(number, each, start, pieces, keep=keep))
                yield drafts[-1]

    def early(draft: Draft) -> bool:
        return draft.ended_early(loaded.tokenizer, config, avoid)

    try:
        if rank or as_json or out:
            abreast = ABREAST if side_by_side(config, avoid) else 1
            samples = complete(
                sampled(), loaded, ranked=rank, weigh=rank or as_json, abreast=abreast
            )
            if rank:
                chance = math.log(loaded.tokenizer.vocab_size)
                say(f"by chance each {loaded.tokenizer.unit} has {chance:.4f} nats")
            if out is not None:
                write_result("--out", out, "".join(layout.blocks(samples)))
            else:
                show(samples, layout)
        else:
            show_drafts(sampled(), layout, lambda draft: novelty or early(draft))
    finally:
        for draft in drafts:
            name = layout.name(draft.prompt, draft.number)
            if early(draft):
                say(
                    f"{name}ends after {len(draft.text)} of {config.length} characters: with any "
                    f"other, --no-repeat {config.no_repeat} would not hold"
                )
            if copies is not None and novelty:
                copies.say(name, draft.text)
