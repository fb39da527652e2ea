"""The tree of errors is the one that is drawn at the top of its file; the command line prints
every error, its own or click's, in one style."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from charlm import errors

Invoke = Callable[..., Result]

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


# ---------------------------------------------------------------------------- on the command line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("trian book.txt", "charlm has no command 'trian'; did you mean train?"),
        ("zzz", "charlm has no command 'zzz'; choose train, sweep, sample, rewrite, eval, score, "),
        ("corpus lst", "charlm corpus has no command 'lst'; did you mean list?"),
        ("inspect neuron x", "charlm inspect has no command 'neuron'; did you mean neurons?"),
        ("experiment pge", "charlm experiment has no command 'pge'; did you mean page?"),
        (
            "experiment page ask x",
            "charlm experiment page ask needs FILE; charlm experiment page as",
        ),
        ("experiment position-invarience", "charlm experiment has no command 'position-invarienc"),
        ("--debgu", "charlm has no option --debgu; did you mean --debug?"),
        ("sample --temprature 1", "charlm sample has no option --temprature; did you mean --temp"),
        ("info --zzz", "charlm info has no option --zzz; charlm info --help lists them"),
        ("inspect neurons", "charlm inspect neurons needs RUN; charlm inspect neurons --help sh"),
        ("corpus get", "charlm corpus get needs NAME; charlm corpus get --help shows an example"),
        ("compare", "charlm compare needs RUN RUN... FILE; charlm compare --help shows an example"),
        ("info a b", "charlm info: got unexpected extra argument (b); charlm info --help shows"),
        ("train x --steps", "charlm train: option '--steps' requires an argument; charlm train -"),
        ("train x --tie=yes", "charlm train: option '--tie' does not take a value; charlm train "),
        ("train x --steps many", "--steps is 'many'; give a whole number"),
        ("train x --cell lstn", "--cell is 'lstn'; choose lstm, gru, rnn, window or conv; did yo"),
        ("eval x --on-unknown keep", "--on-unknown is 'keep'; choose error or skip"),
        ("inspect gradients x --lags 1", "--lags is 1; give at least 2"),
        ("score x --figure x.pdf", "--figure x.pdf: name a file that ends in .svg"),
        ("sample no-such-run", "no run called 'no-such-run'; "),
    ],
)
def test_a_wrong_request_is_one_line_in_one_style(
    charlm: Invoke, line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = charlm(*line.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1


def test_a_group_without_a_command_shows_its_help(charlm: Invoke) -> None:
    for arguments in ([], ["inspect"], ["corpus"]):
        result = charlm(*arguments)
        assert "Commands:" in result.output
        assert "error: " not in result.output


def hidden(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """``charlm`` in a process in which ``module`` is not installed."""
    code = f"import sys; sys.modules[{module!r}] = None; from charlm.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_torch_train_says_that_it_needs_it(
    corpus: Path, trained: Path, tmp_path: Path
) -> None:
    done = hidden("torch", "train", corpus, "--out", tmp_path / "runs")
    assert done.returncode == 1
    assert done.stderr == (
        "error: charlm train needs torch, which is not installed: pip install -e . "
        "(in the clone of charlm)\n"
    )
    assert not (tmp_path / "runs").exists()
    # What needs no torch works without it.
    assert hidden("torch", "sample", trained, "--length", 3).returncode == 0


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("matplotlib", ["inspect", "memory", "RUN", "TEXT", "--figure", "x.png"], "plots"),
        ("jinja2", ["report", "RUN", "--out", "x.html"], "report"),
        ("pooch", ["corpus", "get", "names", "--out", "x.txt"], "data"),
        ("faker", ["corpus", "make", "surnames", "--out", "x.txt"], "data"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    trained: Path, corpus: Path, tmp_path: Path, module: str, arguments: list[str], extra: str
) -> None:
    places = {"RUN": trained, "TEXT": corpus, "x.txt": tmp_path / "x.txt"}
    done = hidden(module, *(places.get(part, part) for part in arguments))
    assert done.returncode in (1, 2)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert f"needs {module}, which is not installed: pip install -e '.[{extra}]' " in last


def test_a_module_of_charlm_that_is_missing_is_a_fault(corpus: Path, tmp_path: Path) -> None:
    done = hidden("charlm.training.plan", "train", corpus, "--out", tmp_path)
    assert done.returncode == 1
    assert "a fault in charlm (ModuleNotFoundError" in done.stderr
