"""The examples in docstrings, run: what a page of help(charlm) shows is what comes out."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

import charlm as package

HOME = Path(package.__file__).parent
PROMPT = re.compile(r"^ *>>> ", re.MULTILINE)
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(HOME.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in HOME.rglob("*.py")
    if PROMPT.search(path.read_text("utf-8"))
)


def run(name: str) -> tuple[int, str]:
    """(how many examples of a module were tried, what failed)"""
    said: list[str] = []
    runner = doctest.DocTestRunner()
    module = importlib.import_module(name)
    for each in doctest.DocTestFinder().find(module):
        runner.run(each, out=said.append)
    return runner.tries, "".join(said)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module_are_true(name: str) -> None:
    tried, failed = run(name)
    assert tried
    assert not failed, failed


def test_there_are_examples() -> None:
    assert {"charlm.seeds", "charlm.text.tokenizer"} <= set(WITH_EXAMPLES)


def test_an_example_that_is_not_true_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wrong_example.py").write_text('"""\n>>> 1 + 1\n3\n"""\n')
    monkeypatch.syspath_prepend(tmp_path)
    tried, failed = run("wrong_example")
    assert tried == 1
    assert "Expected:\n    3\nGot:\n    2\n" in failed
