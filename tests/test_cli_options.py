"""The kit of the command line: options from fields, headings, shared options, tables, colour."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from charlm import cli
from charlm.cli import options, terminal
from charlm.cli.options import Choice, Command, Number, chosen, from_fields, option
from charlm.config import ModelOptions, SampleConfig, TrainOptions, _option
from charlm.errors import RequestError

Invoke = Callable[..., Result]


@dataclass(frozen=True)
class Wider(TrainOptions):
    """``TrainOptions`` as it would be with three more fields."""

    momentum: float = _option(0.9, "momentum of sgd", type=float, min=0.0, below=1.0)
    rule: str = _option("hebb", "how to learn", type=str, choices=("hebb", "oja"), group="Length")
    mirror: bool = _option(False, "read the text backwards", type=bool)
    inside: int = _option(3, "not for the command line", type=int, option=False)


@click.command(cls=Command)
@from_fields(Wider)
@option("--other", help="Something else.")
def wider(other: str | None, **given: Any) -> None:
    click.echo(repr(Wider(**chosen(Wider, given))))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(wider, arguments)


def test_a_new_field_is_an_option_that_arrives() -> None:
    shown = run("--momentum", "0.5", "--rule", "oja", "--mirror", "--steps", "7").stdout
    assert eval(shown) == Wider(momentum=0.5, rule="oja", mirror=True, steps=7)
    assert eval(run().stdout) == Wider()


def test_a_new_field_has_its_help_under_its_heading() -> None:
    text = run("--help").stdout
    training, length = text.index("\nTraining:"), text.index("\nLength:")
    (others,) = (at for at in [text.index("\nOptions:")])
    assert training < text.index("--momentum NUMBER  ") < length
    assert "Momentum of sgd.  [default: 0.9]" in " ".join(text.split()).replace(". [", ".  [")
    assert length < text.index("--rule [hebb|oja]") < others
    assert others < text.index("--other TEXT")
    assert "--inside" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--momentum", "1"), "--momentum is 1.0; give a value below 1.0"),
        (("--momentum", "-1"), "--momentum is -1.0; give at least 0.0"),
        (("--momentum", "nan"), "--momentum is nan; give a finite number"),
        (("--momentum", "much"), "--momentum is 'much'; give a number"),
        (("--steps", "1.5"), "--steps is '1.5'; give a whole number"),
        (("--rule", "hebbs"), "--rule is 'hebbs'; choose hebb or oja; did you mean hebb?"),
        (("--rule", "x"), "--rule is 'x'; choose hebb or oja"),
    ],
)
def test_a_new_field_has_its_check(arguments: tuple[str, ...], message: str) -> None:
    error = run(*arguments).exception
    assert isinstance(error, RequestError)
    assert str(error) == message


@pytest.mark.parametrize(
    ("name", "configs"), [("train", (ModelOptions, TrainOptions)), ("sample", (SampleConfig,))]
)
def test_every_field_of_the_configurations_is_an_option(
    name: str, configs: tuple[type, ...]
) -> None:
    command = cli.main.get_command(click.Context(cli.main), name)
    assert command is not None
    there = {flag for parameter in command.params for flag in parameter.opts}
    for config in configs:
        names = {
            spec.metadata.get("no") or "--" + spec.name.replace("_", "-") for spec in fields(config)
        }
        # What no one sets on the command line.
        hidden = {
            ModelOptions: {"--vocab-size", "--num-labels"},
            TrainOptions: {"--orthogonalize-every", "--orthogonalizer"},
        }
        assert names - there == hidden.get(config, set())


def test_the_options_of_train_are_grouped(charlm: Invoke) -> None:
    lines = charlm("train", "--help").stdout.splitlines()
    heads = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert heads == ["Model:", "Training:", "Length:", "Run:", "Corpus:", "Options:"]
    place = {line.split()[0]: at for at, line in enumerate(lines) if line.startswith("  --")}
    for before, flag in [
        ("Model:", "--init-from"),
        ("Length:", "--patience"),
        ("Run:", "--resume"),
    ]:
        assert lines.index(before) < place[flag] < lines.index(heads[heads.index(before) + 1])


def test_help_says_what_a_temperature_does(charlm: Invoke) -> None:
    shown = " ".join(charlm("sample", "--help").stdout.split())
    assert "Below 1: safer text; above 1: more surprising" in shown


def commands(group: click.Group, path: str = "charlm") -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        found.append((f"{path} {name}", command))
        if isinstance(command, click.Group):
            found += commands(command, f"{path} {name}")
    return found


def test_what_several_commands_take_is_the_same_everywhere() -> None:
    """``--json``, ``--encoding`` and ``--on-unknown`` are declared once."""
    found: dict[str, set[tuple[Any, ...]]] = {}
    for _, command in commands(cli.main):
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                key = (parameter.name, type(parameter.type), str(parameter.default))
                found.setdefault(parameter.opts[0], set()).add(key)
    for flag in ("--json", "--encoding", "--on-unknown", "--figure"):
        assert len(found[flag]) == 1, flag


def test_every_option_has_a_help_that_is_a_sentence() -> None:
    for path, command in commands(cli.main):
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                shown = parameter.help or ""
                assert shown[:1].isupper(), (path, shown)
                assert shown.endswith((".", "]")), (path, shown)


@pytest.mark.parametrize(
    ("limits", "value", "message"),
    [
        ({"min": 1, "max": 9}, "0", "the value is 0; give at least 1"),
        ({"min": 1, "max": 9}, "10", "the value is 10; give at most 9"),
        ({}, "ten", "the value is 'ten'; give a whole number"),
    ],
)
def test_numbers_are_checked_as_fields_are(
    limits: dict[str, float], value: str, message: str
) -> None:
    with pytest.raises(RequestError) as refused:
        Number(int, **limits).convert(value, None, None)
    assert str(refused.value) == message
    assert Number(int, **limits).convert("5", None, None) == 5


def test_choices_name_what_there_is() -> None:
    assert options.either(["a"]) == "a"
    assert options.either(["a", "b", "c"]) == "a, b or c"
    assert Choice(["a", "b"]).convert("b", None, None) == "b"


def test_a_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.table([["name", "n", ""], ["a", "10", "x"], ["long name", "9", ""]])
    assert capsys.readouterr().out == "name        n\na          10  x\nlong name   9\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "no_color", "expected"),
    [
        (Terminal(), None, True),
        (Terminal(), "", True),
        (Terminal(), "1", False),
        (io.StringIO(), None, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    stream: io.StringIO, no_color: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    assert terminal.use_colour(stream) is expected


def test_only_one_module_decides_on_colour() -> None:
    from pathlib import Path

    package = Path(cli.__file__).parent.parent
    found = [p.name for p in package.rglob("*.py") if 'NO_COLOR")' in p.read_text("utf-8")]
    assert found == ["terminal.py"]


@pytest.mark.parametrize(
    ("given", "count"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_wait_for_microseconds_unless_the_user_says_otherwise(
    given: dict[str, str], count: str
) -> None:
    """And before torch is there, which reads the variable when it is imported."""
    code = (
        "import os, sys, charlm.cli; "
        "print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    )
    kept = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=kept | given, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [count, "False"]
