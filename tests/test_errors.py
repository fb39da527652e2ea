"""The tree of errors is the one that is drawn at the top of its file."""

from __future__ import annotations

import inspect
import re

import pytest

from charlm import errors

ROW = re.compile(r"^ {4}(?P<branch>[ │├└─]*)(?P<name>\w+Error) +(?P<code>\d)?", re.MULTILINE)


def drawn(docstring: str) -> dict[str, tuple[str, int]]:
    """Name -> (parent's name, exit code), as the drawing has it."""
    rows: dict[str, tuple[str, int]] = {}
    path: list[str] = []
    for row in ROW.finditer(docstring):
        depth = len(row["branch"]) // 4
        path[depth:] = [row["name"]]
        parent = path[depth - 1] if depth else "Exception"
        rows[row["name"]] = (parent, int(row["code"] or rows[parent][1]))
    return rows


def defined() -> dict[str, tuple[str, int]]:
    classes: list[tuple[str, type[errors.CharlmError]]]
    classes = inspect.getmembers(errors, inspect.isclass)
    return {name: (cls.__bases__[0].__name__, cls.exit_code) for name, cls in classes}


def test_the_tree_is_the_one_that_is_drawn() -> None:
    assert errors.__doc__ is not None
    assert drawn(errors.__doc__) == defined()


def test_the_drawing_is_read() -> None:
    assert drawn("    AError   1  root\n    └── BError   2\n        └── CError   leaf") == {
        "AError": ("Exception", 1),
        "BError": ("AError", 2),
        "CError": ("BError", 2),
    }


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("CorpusError", 1),
        ("CheckpointError", 1),
        ("DivergenceError", 1),
        ("BusyError", 1),
        ("RequestError", 2),
        ("UnknownCharacterError", 2),
        ("ShortCorpusError", 2),
    ],
)
def test_could_not_is_one_and_wrong_request_is_two(name: str, code: int) -> None:
    assert getattr(errors, name)("why").exit_code == code
