"""Which runs a sweep consists of. A run is called after its configuration, so a run that has been
made once is found again, whatever grid it belongs to."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from charlm import sealed
from charlm.config import ModelOptions, TrainOptions
from charlm.errors import RequestError

NAME_LENGTH = 12
"""Hexadecimal digits of a run's name."""

Value = str | int | float | bool | None

_FIELDS = {
    spec.name: spec
    for config in (ModelOptions, TrainOptions)
    for spec in fields(config)
    if spec.metadata.get("option", True) and spec.name != "seed"  # --seeds
}

_SEED = next(spec for spec in fields(TrainOptions) if spec.name == "seed")

MOST_RUNS = 10_000

_YES, _NO = ("true", "yes", "on"), ("false", "no", "off")


@dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    varied: the values of the grid and the seed, in the order of the grid
    configuration: everything that was asked for, with the checksum of the text
    arguments: the options of ``charlm train`` that ask for it, the text included
    """

    varied: dict[str, Value]
    configuration: dict[str, Any]
    arguments: tuple[str, ...]

    @cached_property
    def name(self) -> str:
        """The hash of the configuration."""
        return sealed.digest(self.configuration)[:NAME_LENGTH]

    @property
    def group(self) -> tuple[Value, ...]:
        """What all seeds of a configuration have in common."""
        return tuple(value for name, value in self.varied.items() if name != "seed")


@dataclass(frozen=True)
class Design:
    """A sweep as it was asked for.

    model, train: the options that all runs share
    text: facts about the text that must be equal for losses to be comparable
    arguments: the text and its options, as ``charlm train`` takes them
    grid: the values of each option that varies
    """

    model: ModelOptions
    train: TrainOptions
    text: dict[str, Any]
    arguments: tuple[str, ...]
    grid: dict[str, tuple[Value, ...]] = field(default_factory=dict)
    seeds: int = 1

    def cells(self) -> list[Cell]:
        """Every run once: all configurations with the first seed, then with the second, ...

        Raises RequestError for values that make no sense together.
        """
        number = math.prod(map(len, self.grid.values())) * self.seeds
        if number > MOST_RUNS:
            raise RequestError(
                f"the grid has {number:,} runs, more than {MOST_RUNS:,}; give fewer values or seeds"
            )
        found: dict[str, Cell] = {}
        for seed in range(self.train.seed, self.train.seed + self.seeds):
            for values in itertools.product(*self.grid.values()):
                varied = dict(zip(self.grid, values, strict=True))
                cell = self._cell({**varied, "seed": seed})
                found.setdefault(cell.name, cell)
        return list(found.values())

    def _cell(self, varied: dict[str, Value]) -> Cell:
        names = {spec.name for spec in fields(ModelOptions)}
        model = replace(self.model, **{k: v for k, v in varied.items() if k in names})  # type: ignore[arg-type]
        train = replace(self.train, **{k: v for k, v in varied.items() if k not in names})  # type: ignore[arg-type]
        model.settle()
        train.check_length()
        options = model.to_dict() | train.to_dict()
        return Cell(varied, {"text": self.text, **options}, self.arguments + _typed(options))


def grid_of(asked: Sequence[str]) -> dict[str, tuple[Value, ...]]:
    """The grid of ``--grid NAME=VALUE,VALUE``, given once for each option that varies.

    >>> grid_of(["hidden_size=128,256", "dropout=0,0.1"])
    {'hidden_size': (128, 256), 'dropout': (0.0, 0.1)}
    """
    grid: dict[str, tuple[Value, ...]] = {}
    for each in asked:
        typed, equals, values = each.partition("=")
        name = typed.strip().lstrip("-").replace("-", "_")
        if not equals or not values.strip():
            raise RequestError(
                f"--grid is {each[:60]!r}; give NAME=VALUE,VALUE; for example: --grid "
                "hidden_size=128,256"
            )
        if name == "seed":
            raise RequestError("--grid cannot vary the seed; give --seeds N")
        if name not in _FIELDS:
            close = difflib.get_close_matches(name.removeprefix("no_"), _FIELDS, n=1)
            known = f"it can vary {', '.join(sorted(_FIELDS))}"
            raise RequestError(
                f"--grid cannot vary {typed[:60]!r}; "
                + (f"did you mean {close[0]}?" if close else known)
            )
        if name in grid:
            raise RequestError(f"--grid varies {name} twice; give all its values at once")
        if not all(value.strip() for value in values.split(",")):
            raise RequestError(f"--grid is {each[:60]!r}, with an empty value; a comma too many?")
        converted = [_value(name, value.strip()) for value in values.split(",")]
        grid[name] = tuple(dict.fromkeys(converted))
    return grid


def _value(name: str, typed: str) -> Value:
    """The value of an option; RequestError if it has the wrong type or is out of limits."""
    kind = _FIELDS[name].metadata["type"]
    config = ModelOptions if name in {spec.name for spec in fields(ModelOptions)} else TrainOptions
    value: Any = typed
    try:
        if kind is bool:
            if typed.lower() not in _YES + _NO:
                raise ValueError
            value = typed.lower() in _YES
        elif kind is not str:
            value = kind(typed)
            if kind is float and not math.isfinite(value):
                raise ValueError
    except ValueError:
        what = {bool: "true or false", int: "a whole number", float: "a finite number"}[kind]
        raise RequestError(f"--grid {name} has the value {typed[:60]!r}; give {what}") from None
    config(**{name: value})
    return value  # type: ignore[no-any-return]


def _typed(options: dict[str, Any]) -> tuple[str, ...]:
    """The options that are not at their default, as they are typed."""
    words: list[str] = []
    for name, spec in (*_FIELDS.items(), ("seed", _SEED)):
        value = options[name]
        if value == spec.default:
            continue
        flag = "--" + name.replace("_", "-")
        if spec.metadata["type"] is bool:
            words.append(flag if value else spec.metadata["no"])
        else:
            words += [flag, str(value)]
    return tuple(words)
