"""``--figure FILE``: the kinds of files, and the module that draws them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.options import option
from charlm.errors import CharlmError, RequestError
from charlm.extras import how_to_install

if TYPE_CHECKING:
    from collections.abc import Callable

DRAWN, TEXT = (".svg", ".png"), (".svg",)


def figure_option(endings: tuple[str, ...] = DRAWN) -> Callable[[Any], Any]:
    """``--figure FILE``; RequestError if the name of the file has another ending."""

    def check(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
        if value is not None and value.suffix not in endings:
            raise RequestError(f"--figure {value}: name a file that ends in {' or '.join(endings)}")
        if value is not None and ".png" in endings:
            plots()  # before anything is computed: without matplotlib nothing can be drawn
        return value

    return option(
        "--figure",
        type=click.Path(path_type=Path),
        callback=check,
        help=f"Draw the result to this {' or '.join(endings)} file.",
    )


def plots() -> ModuleType:
    """``charlm.inspection.plots``; CharlmError if matplotlib is not installed."""
    try:
        from charlm.inspection import plots as module
    except ImportError as error:
        raise CharlmError(
            f"--figure needs matplotlib, which is not installed: {how_to_install('plots')}"
        ) from error
    return module
