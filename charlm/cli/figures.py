"""Figures that commands write: which kinds of files there are, and what draws them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from charlm.errors import CharlmError, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

DRAWN, TEXT = (".svg", ".png"), (".svg",)


def figure_option(endings: tuple[str, ...] = DRAWN) -> Callable[[Any], Any]:
    """``--figure FILE``, refused where its name has another ending."""

    def check(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
        if value is not None and value.suffix not in endings:
            raise RequestError(f"--figure {value}: name a file that ends in {' or '.join(endings)}")
        if value is not None and ".png" in endings:
            plots()  # refused here, before anything is computed, where it cannot be drawn
        return value

    return click.option(
        "--figure",
        type=click.Path(path_type=Path),
        callback=check,
        help=f"Draw into this {' or '.join(endings)} file.",
    )


def only_one(**given: object) -> None:
    """RequestError where more than one of these options was given: each is the whole result."""
    names = [f"--{name}" for name, value in given.items() if value]
    if len(names) > 1:
        raise RequestError(f"{' and '.join(names)} each give the result; give one of them")


def plots() -> ModuleType:
    """``charlm.inspection.plots``; CharlmError where matplotlib is missing."""
    try:
        from charlm.inspection import plots as module
    except ImportError as error:
        raise CharlmError(
            'a figure needs matplotlib: pip install "charlm[plots]", or leave out --figure'
        ) from error
    return module
