"""What the commands that inspect share: a run, a text, and what of it the model knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from charlm.cli.terminal import say
from charlm.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from charlm.arrays import Ids
    from charlm.generate import CharLM

run_argument = click.argument("model", metavar="RUN")
file_argument = click.argument("file", required=False, default="-")
encoding_option = click.option(
    "--encoding", help="Encoding of FILE [default: UTF-8, or by byte-order mark]"
)
with_option = click.option(
    "--with", "others", multiple=True, metavar="RUN", help="Put this run beside it."
)


def seed_option(of: str) -> Callable[[Any], Any]:
    return click.option(
        "--seed", type=click.IntRange(0), default=0, show_default=True, help=f"Of the {of}."
    )


def ids_of(loaded: CharLM, text: str) -> Ids:
    return loaded.tokenizer.encode(known(loaded, text))


def same_unit(units: Iterable[str]) -> None:
    """RequestError where one figure would have to count characters as well as bytes."""
    if len(set(units)) > 1:
        raise RequestError(
            "models of characters and of bytes have no common scale; draw them in two figures"
        )


def known(loaded: CharLM, text: str) -> str:
    """What is inspected may hold characters that a model has never seen: they are left out, also
    where the model has an unknown symbol, which would make a text easier than it is."""
    from charlm.text.tokenizer import describe_unknown

    unseen = loaded.tokenizer.unseen(text)
    if len(unseen):
        say(f"left out {describe_unknown(loaded.tokenizer.normalize(text), unseen)}")
    return loaded.tokenizer.without_unseen(text)
