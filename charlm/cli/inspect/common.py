"""What the ``inspect`` commands share: several runs, and the part of a text that a model knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from charlm.cli.options import option
from charlm.cli.terminal import say
from charlm.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from charlm.arrays import Ids
    from charlm.generate import CharLM

with_option = option(
    "--with", "others", multiple=True, metavar="RUN", help="Add this run; can be repeated."
)


def ids_of(loaded: CharLM, text: str) -> Ids:
    return loaded.tokenizer.encode(known(loaded, text))


def same_unit(units: Iterable[str]) -> None:
    """RequestError if one figure would have to count characters and bytes on the same axis."""
    if len(set(units)) > 1:
        raise RequestError(
            "some of these models read characters and some read bytes, which have no common scale; "
            "draw two figures"
        )


def known(loaded: CharLM, text: str, on_unknown: str = "skip") -> str:
    """``text`` as the model can read it (``charlm.text.unknown``); says what is left out."""
    from charlm.generate import readable

    return readable(loaded, text, on_unknown, say)
