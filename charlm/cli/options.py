"""Click options made from the fields of a configuration: default, limits and help live there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def from_fields(config: type, *names: str) -> Callable[[Command], Command]:
    """A decorator that adds one option for every named field of a configuration dataclass.

    The limits are checked by the dataclass itself, which names the option in its error.
    """
    specs = {spec.name: spec for spec in dataclasses.fields(config)}

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            command = _option(specs[name])(command)
        return command

    return decorate


def _option(spec: dataclasses.Field[Any]) -> Callable[[Command], Command]:
    flag = "--" + spec.name.replace("_", "-")
    help_text = spec.metadata["help"][:1].upper() + spec.metadata["help"][1:]
    help_text += "" if help_text.endswith("]") else "."
    kind = spec.metadata["type"]
    if kind is bool:
        return click.option(flag, is_flag=True, default=spec.default, help=help_text)
    choices = spec.metadata.get("choices")
    return click.option(
        flag,
        type=click.Choice(choices) if choices else kind,
        default=spec.default,
        show_default=spec.default is not None,
        help=help_text,
    )


def given(ctx: click.Context) -> set[str]:
    """The names of the parameters that the user set, as opposed to defaults."""
    sources = (click.core.ParameterSource.DEFAULT, click.core.ParameterSource.DEFAULT_MAP)
    return {name for name in ctx.params if ctx.get_parameter_source(name) not in sources}


def typed(ctx: click.Context, name: str) -> str:
    """A parameter as the user types it: ``--min-count``, or ``CORPUS`` for an argument."""
    parameter = next(each for each in ctx.command.params if each.name == name)
    return name.upper() if isinstance(parameter, click.Argument) else parameter.opts[0]
