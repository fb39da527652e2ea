"""What the ``inspect`` commands share: several runs, and the part of a text that a model knows."""

from __future__ import annotations

import shlex
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


label_option = option(
    "--label",
    metavar="LABEL",
    help="Of a model with labels: look at it as it writes items of this label.",
)


def opened(name: str, label: str | None = None) -> CharLM:
    """The network of a run, as it writes items of ``label`` if it has labels; RequestError if it
    has and none was given."""
    from charlm.generate import CharLM
    from charlm.onelabel import of_label
    from charlm.runs import open_model

    found = open_model(name, network_only=True)
    loaded = found.checkpoint
    if label is not None:
        return CharLM(of_label(loaded, {label: 1.0}))
    if loaded.config.conditions and loaded.items is not None:
        first = loaded.items.labels[0]
        raise RequestError(
            f"{found.name} has labels; say as what to look at it, for example --label "
            f"{shlex.quote(first)}"
        )
    return found.model


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
