"""``charlm sample --show-probs``: how probable each sampled character was to the model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from charlm.cli.prompts import Prompt
from charlm.cli.samples import Layout
from charlm.cli.terminal import echo, say, use_colour, write_result
from charlm.display import printable
from charlm.engine import softmax
from charlm.generate import CharLM
from charlm.inspection import textmap
from charlm.inspection.pages import symbol_name
from charlm.inspection.textmap import shown
from charlm.single import Drawn


def present(
    loaded: CharLM,
    prompt: str,
    draws: list[Iterator[Drawn]],
    alternatives: int,
    figure: Path | None,
) -> None:
    """Print every sample, or draw all of them into the file ``figure``."""
    tokenizer = loaded.tokenizer
    if figure is not None:
        draw(prompt, draws, tokenizer.vocab_size, figure)
        return
    say(f"by chance each {tokenizer.unit} has {100 / tokenizer.vocab_size:.1f} %")
    layout = Layout(several=len(draws) > 1)
    for number, each in enumerate(draws):
        if layout.several:
            click.echo(("\n" if number else "") + layout.heading(Prompt(prompt), number))
        show(loaded, prompt, each, alternatives)


def show(loaded: CharLM, prompt: str, draws: Iterator[Drawn], alternatives: int) -> None:
    """Print each character with its probability: as a colour, or, without colours or with
    ``--alternatives``, as a line."""
    colour = use_colour() and not alternatives
    if colour:
        sys.stdout.write(printable(prompt))
    for drawn in draws:
        if colour:
            ground = (203, 216, 223, 230, None)[min(4, int(5 * drawn.probability))]
            text = printable(drawn.text)
            if ground and drawn.text != "\n":
                text = f"\x1b[48;5;{ground}m\x1b[30m{text}\x1b[0m"
            sys.stdout.write(text)
            sys.stdout.flush()
            continue
        p = softmax(drawn.logits)
        likeliest = np.argsort(-p, kind="stable")[:alternatives]
        listed = " ".join(
            f"{symbol_name(loaded.tokenizer, int(i))} {100 * p[i]:.0f}%" for i in likeliest
        )
        echo(f"{shown(drawn.text):<6}  {100 * drawn.probability:5.1f} %  {listed}".rstrip())
    if colour:
        click.echo()


def draw(prompt: str, draws: list[Iterator[Drawn]], symbols: int, figure: Path) -> None:
    """Draw the same (redder: less likely); the prompt, which was not sampled, stays white."""
    chance = 100 / symbols
    blocks = [
        textmap.Block(
            f"how likely each character was (by chance {chance:.1f} %)"
            + (f": sample {number + 1}" if len(draws) > 1 else ""),
            textmap.likelihood(prompt, ((drawn.text, drawn.probability) for drawn in each)),
            [] if number else textmap.likelihood_legend(),
        )
        for number, each in enumerate(draws)
    ]
    write_result("--figure", figure, textmap.svg(blocks))
