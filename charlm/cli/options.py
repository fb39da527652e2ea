"""The options and arguments of the commands: made from a configuration's fields, or shared.

A configuration (``charlm.config``) has the default, the help, the limits and the heading of each of
its options, so a new field there is a new option here. Options of several commands, such as
``--json`` or ``--encoding``, are declared here once.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from charlm import rundir
from charlm.config import check_value
from charlm.errors import RequestError

if TYPE_CHECKING:
    from charlm.parallel import Workers

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Decorator = Callable[[Decorated], Decorated]

HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
"""Settings that every group of commands passes to click."""


# ------------------------------------------------------------------------------------ the commands


class Command(click.Command):
    """A command whose ``--help`` lists the options under their headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                groups.setdefault(getattr(parameter, "group", "Options"), []).append(record)
        # Options without a heading come last.
        for name in sorted(groups, key=lambda name: name == "Options"):
            with formatter.section(name):
                formatter.write_dl(groups[name])


class Group(click.Group):
    """A group of commands that suggests a command if the one that was typed does not exist."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            names = self.list_commands(ctx)
            close = difflib.get_close_matches(name, names)
            remedy = f"did you mean {' or '.join(close)}?" if close else f"choose {either(names)}"
            raise RequestError(f"{path_of(ctx)} has no command {name!r}; {remedy}")
        return super().resolve_command(ctx, args)


def path_of(ctx: click.Context) -> str:
    """The command as it is typed, ``charlm inspect memory``, however Python was started."""
    names = [ctx.info_name or ""]
    while ctx.parent is not None:
        ctx = ctx.parent
        names.insert(0, ctx.info_name or "")
    return " ".join(["charlm", *names[1:]])


def either(names: Iterable[str]) -> str:
    """``a, b or c``."""
    *rest, last = names
    return f"{', '.join(rest)} or {last}" if rest else last


# ------------------------------------------------------------------------------------- the options


class Option(click.Option):
    """An option that knows its heading in ``--help``."""

    def __init__(self, *names: Any, group: str = "Options", **settings: Any) -> None:
        # As click writes the default that it adds itself.
        settings["help"] = re.sub(r"(?<=\w) \[default", ".  [default", settings["help"])
        super().__init__(*names, **settings)
        self.group = group


def option(*names: str, group: str = "Options", **settings: Any) -> Decorator[Any]:
    """``click.option`` with a heading."""
    return click.option(*names, cls=Option, group=group, **settings)


class Number(click.ParamType):  # type: ignore[type-arg]  # click 8.1: not generic
    """An integer or a float, with the limits and error messages of a configuration's field.

    limits: ``min``, ``above``, ``max``, ``below``, as in ``charlm.config``
    """

    def __init__(self, kind: type, **limits: float) -> None:
        self.kind = kind
        self.limits: Mapping[str, Any] = {"type": kind, **limits}
        self.name = "n" if kind is int else "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | float:
        name = flag_of(param)
        if isinstance(value, str):
            if value.startswith("+") and ctx is not None and param is not None:
                ctx.meta.setdefault(_MORE, set()).add(param.name)
            try:
                value = self.kind(value)
            except ValueError:
                kind = "a whole number" if self.kind is int else "a number"
                raise RequestError(f"{name} is {value[:60]!r}; give {kind}") from None
        check_value(name, value, self.limits)
        number: int | float = value
        return number


_MORE = "charlm.cli.options.more"


def typed_with_plus(ctx: click.Context, name: str) -> bool:
    """Whether a number was typed with a plus sign: ``--steps +400`` means 400 more."""
    return name in ctx.meta.get(_MORE, ())


class Choice(click.Choice):  # type: ignore[type-arg]  # click 8.1: not generic
    """One of several words, with the error message of a configuration's field and a suggestion."""

    def __init__(self, choices: Iterable[str]) -> None:
        super().__init__(list(choices))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.choices:
            refused = f"{flag_of(param)} is {str(value)[:60]!r}; choose {either(self.choices)}"
            close = difflib.get_close_matches(str(value), self.choices, n=1)
            raise RequestError(f"{refused}; did you mean {close[0]}?" if close else refused)
        return str(value)


def flag_of(param: click.Parameter | None) -> str:
    """A parameter as the user types it: ``--min-count``, or ``CORPUS`` for an argument."""
    if param is None:
        return "the value"
    if isinstance(param, click.Argument):
        return (param.metavar or param.name or "").strip("[]").upper()
    return max(param.opts, key=len)


# ----------------------------------------------------------------- options from a configuration


def fields_of(config: type) -> dict[str, dataclasses.Field[Any]]:
    """Name -> field of a configuration, for every field that has an option."""
    return {
        spec.name: spec for spec in dataclasses.fields(config) if spec.metadata.get("option", True)
    }


def from_fields(config: type) -> Decorator[Any]:
    """A decorator that adds one option for every field of a configuration dataclass."""

    def decorate(command: Decorated) -> Decorated:
        for spec in reversed(fields_of(config).values()):
            command = _of_field(spec, config)(command)
        return command

    return decorate


def chosen(config: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the options that ``from_fields`` added, by the name of the field."""
    return {name: options[name] for name in fields_of(config)}


def _of_field(spec: dataclasses.Field[Any], config: type) -> Decorator[Any]:
    facts = spec.metadata
    flag = "--" + spec.name.replace("_", "-")
    help_text = facts["help"][:1].upper() + facts["help"][1:]
    help_text += "" if help_text.endswith("]") else "."
    group = str(facts.get("group") or getattr(config, "GROUP", "Options"))
    if facts["type"] is bool and "no" in facts:
        # click's "counts" is True unless the option is given.
        return option(
            facts["no"],
            spec.name,
            group=group,
            is_flag=True,
            flag_value=False,
            default=spec.default,
            help=help_text,
        )
    if facts["type"] is bool:
        return option(flag, group=group, is_flag=True, default=spec.default, help=help_text)
    kind: Any = str
    if "choices" in facts:
        kind = Choice(facts["choices"])
    elif facts["type"] is not str:
        limits = {key: facts[key] for key in ("min", "above", "max", "below") if key in facts}
        kind = Number(facts["type"], **limits)
    return option(
        flag,
        group=group,
        type=kind,
        default=spec.default,
        show_default=spec.default is not None,
        help=help_text,
    )


def given(ctx: click.Context) -> set[str]:
    """The names of the parameters that the user set, as opposed to defaults."""
    sources = (click.core.ParameterSource.DEFAULT, click.core.ParameterSource.DEFAULT_MAP)
    return {
        name
        for name, value in ctx.params.items()
        # To click 8.2, arguments of which any number may be given come from the command line even
        # if there are none.
        if value != () and ctx.get_parameter_source(name) not in sources
    }


def typed(ctx: click.Context, name: str) -> str:
    """A parameter as the user types it, by its name."""
    return flag_of(next(each for each in ctx.command.params if each.name == name))


def only_one(**options: object) -> None:
    """RequestError if more than one of these options was given: each decides what is printed."""
    names = [f"--{name}" for name, value in options.items() if value]
    if len(names) > 1:
        raise RequestError(f"{' and '.join(names)} each give the result; give one of them")


def nothing_beside(option: str, why: str, **options: object) -> None:
    """RequestError if one of ``options`` was given together with ``option``, which they do not suit
    for the reason ``why``."""
    names = [f"--{name.replace('_', '-')}" for name, value in options.items() if value]
    if names:
        raise RequestError(f"{option} {why}; leave out {', '.join(names)}")


def named_once(*runs: str) -> list[str]:
    """The runs that were named; RequestError if one was named twice."""
    twice = [name for name in runs if runs.count(name) > 1]
    if twice:
        raise RequestError(f"{twice[0]} is named twice; name each run once")
    return list(runs)


# ------------------------------------------------------------------ what several commands take


def run_argument(metavar: str = "RUN") -> Decorator[Any]:
    """The model of a command: a run's name or directory, or a model file. ``[RUN]``: may be left
    out; most commands then take the newest run."""
    return click.argument("model", metavar=metavar, required=not metavar.startswith("["))


file_argument = click.argument("file", metavar="[FILE]", required=False, default="-")


def json_option(help: str = "Print one JSON object.") -> Decorator[Any]:
    return option("--json", "as_json", is_flag=True, help=help)


def encoding_option(of: str = "FILE", group: str = "Options") -> Decorator[Any]:
    return option(
        "--encoding",
        group=group,
        help=f"Text encoding of {of} [default: UTF-8, or as the byte-order mark says]",
    )


def corpus_option(name: str = "corpus", group: str = "Options") -> Decorator[Any]:
    return option(
        "--corpus",
        name,
        group=group,
        multiple=True,
        metavar="PATH",
        help="Where the run's corpus is now, if it has moved; its checksum must agree. Can be "
        "repeated.",
    )


def out_option(of: str) -> Decorator[Any]:
    """``--out``, the directory that holds ``of``."""
    return option(
        "--out",
        group="Run",
        type=click.Path(path_type=Path),
        default=rundir.DEFAULT_OUT,
        show_default=True,
        help=f"Directory that holds {of}.",
    )


def workers_options(group: str = "Options") -> Decorator[Any]:
    """``--jobs`` and ``--dask``; ``chosen_workers`` makes of them who does the work."""

    def decorate(command: Decorated) -> Decorated:
        dask = option(
            "--dask",
            group=group,
            metavar="ADDRESS",
            help="Train on the workers of this Dask scheduler, such as tcp://host:8786, instead of "
            "--jobs.",
        )
        jobs = option(
            "--jobs",
            group=group,
            type=Number(int, min=1, max=256),
            help="Processes at the same time [default: one per core]",
        )
        decorated: Decorated = jobs(dask(command))
        return decorated

    return decorate


def chosen_workers(jobs: int | None, dask: str | None) -> Workers:
    """Who does the work; RequestError if both options were given."""
    from charlm.parallel import Workers

    if jobs is not None and dask is not None:
        raise RequestError(
            "--jobs and --dask both say who does the work; give one: the workers of a Dask "
            "scheduler decide how many processes there are"
        )
    if dask is not None and not re.fullmatch(r"[a-z]+://[^\s/]+", dask):
        raise RequestError(
            f"--dask is {dask[:60]!r}; give the address of a Dask scheduler, such as "
            "tcp://host:8786"
        )
    return Workers(jobs or os.cpu_count() or 1, dask or "")


def network_only_option() -> Decorator[Any]:
    return option(
        "--network-only", is_flag=True, help="Leave out the run's n-gram counts: the network alone."
    )


def on_unknown_option(of: str = "FILE", group: str = "Options") -> Decorator[Any]:
    return option(
        "--on-unknown",
        group=group,
        type=Choice(["error", "skip"]),
        default="error",
        show_default=True,
        help=f"If {of} has characters that the model does not know: stop with an error, or leave "
        "them out.",
    )


def seed_option(of: str) -> Decorator[Any]:
    return option(
        "--seed",
        type=Number(int, min=0, max=2**63 - 1),
        default=0,
        show_default=True,
        help=f"Random seed for {of}.",
    )


def unescaped(text: str) -> str:
    """``\\n``, ``\\t`` and ``\\\\`` as a line end, a tab and a backslash; the rest unchanged."""
    return re.sub(r"\\([nt\\])", lambda match: {"n": "\n", "t": "\t"}.get(match[1], "\\"), text)
