"""``charlm compare``: several models on one text."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charlm.cli.figures import figure_option, plots
from charlm.cli.options import (
    Command,
    Number,
    encoding_option,
    json_option,
    named_once,
    network_only_option,
    only_one,
    option,
)
from charlm.cli.terminal import echo, echo_json, say, table
from charlm.cli.texts import open_named, text_of
from charlm.errors import RequestError

if TYPE_CHECKING:
    from charlm.config import ModelConfig
    from charlm.generate import CharLM

_TIMED = 2000


@click.command(cls=Command)
@click.argument("models", metavar="RUN RUN... FILE", nargs=-1, required=True)
@json_option()
@option(
    "--words",
    type=Number(int, min=0, max=100),
    default=5,
    show_default=True,
    help="Show this many words on which each of the first two models does best.",
)
@option("--exact", is_flag=True, help="Read a long text in one stream, not in many.")
@figure_option()
@network_only_option()
@encoding_option()
def command(
    models: tuple[str, ...],
    as_json: bool,
    words: int,
    exact: bool,
    figure: Path | None,
    network_only: bool,
    encoding: str | None,
) -> None:
    """Compare two or more models on a text.

    FILE: a text, or - for standard input. A run is compared with its n-gram counts, if it has any.
    Shows bits per character with paired intervals, on which
    characters and words one model is better, speed and size. Every model is compared with the
    first. Characters that one of them does not know are left out for all. An interval is a 95 %
    bootstrap interval over blocks of 200 characters. Beside it: how large a difference becomes by
    chance (permutation test: in each block the labels of the models are swapped at random).

    \b
    charlm compare lstm rnn held-out.txt
    charlm compare lstm gru rnn - --json < held-out.txt
    charlm compare lstm gru rnn held-out.txt --figure compared.svg
    """
    only_one(figure=figure, json=as_json)
    if len(models) < 3:
        raise RequestError("name at least two runs, then a text: charlm compare A B text.txt")
    *runs, file = models
    names = named_once(*runs)
    from charlm.cli.many import read
    from charlm.inspection import comparing

    text = text_of(file, encoding)
    loaded = {
        name: open_named(name, "compare RUN", file, network_only=network_only).model
        for name in names
    }
    text = _known_to_all(loaded, text)
    readings = {name: read(model, text, 1, exact) for name, model in loaded.items()}
    first = names[0]
    gaps = {name: comparing.gap(readings[first], readings[name]) for name in names[1:]}
    other = names[1]
    places = {name: comparing.shares(readings[first], readings[name]) for name in gaps}
    shares = places[other]
    if figure is not None:
        drawing = plots()
        drawing.save(drawing.comparison(gaps, first, shares, other), figure)
        echo(str(figure))
        return
    speeds = {name: _speed(model) for name, model in loaded.items()}
    if as_json:
        echo_json(
            {
                name: {
                    "where": [asdict(share) for share in places[name]] if name in places else None,
                    "bits_per_char": readings[name].score.bits_per_char,
                    "characters": readings[name].score.characters,
                    "parameters": loaded[name].config.num_parameters,
                    "counts": _beside(loaded[name]),
                    "characters_per_second": speeds[name],
                    "worse_than_first": None if name == first else asdict(gaps[name]),
                }
                for name in names
            }
        )
        return
    rows = [
        [
            "model",
            "cell",
            "parameters",
            "bits/char",
            f"more than {first}",
            "by chance",
            "writes char/s",
        ]
    ]
    for name in names:
        gap = gaps.get(name)
        config = loaded[name].config
        rows.append(
            [
                name,
                " + ".join([_shape(config), *filter(None, [_beside(loaded[name])])]),
                f"{config.num_parameters:,}",
                f"{readings[name].score.bits_per_char:.4f}",
                f"{gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]" if gap else "",
                f"{gap.chance:.4f}" if gap else "",
                f"{speeds[name]:,.0f}",
            ]
        )
    table(rows, left=2)
    echo(f"\nthe difference of {gaps[other].mean:+.4f} between {first} and {other}, by character")
    for share in shares:
        echo(
            f"  {share.contribution:+.4f} [{share.low:+.4f}, {share.high:+.4f}]  {share.kind}: "
            f"{share.mean:+.3f} on each of {share.count:,}"
        )
    won, lost = comparing.extremes(readings[first], readings[other], words)
    for winner, quotes in ((first, won), (other, lost)):
        if quotes:
            echo(f"\nwords on which {winner} does best")
            for quote in quotes:
                echo(f"  {' '.join(quote.split(chr(10)))}")


def _shape(config: ModelConfig) -> str:
    return f"{config.cell} {config.num_layers}x{config.hidden_size}"


def _beside(model: CharLM) -> str | None:
    """The counts that a model uses with its network: ``12-gram``."""
    return None if model.counts is None else model.counts.name


def _known_to_all(loaded: dict[str, CharLM], text: str) -> str:
    """The text without the characters that one of the models has never seen."""
    from charlm.text.unknown import OMIT, readable

    for name, model in loaded.items():
        text, note = readable(model.tokenizer, text, OMIT)
        if note:
            say(f"for all models, because of {name}: {note}")
    return text


def _speed(model: CharLM) -> float:
    """Sampled characters per second, measured now."""
    from charlm.config import SampleConfig

    stream = model.stream(config=SampleConfig(length=_TIMED, seed=0))
    next(stream)  # one-time work is not timed
    began = time.perf_counter()
    count = sum(1 for _ in stream)
    return count / max(1e-9, time.perf_counter() - began)
