"""``charlm corpus``: what goes to stdout, what is kept, what is refused."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from charlm.cli.corpus import command
from charlm.errors import RequestError
from charlm.text import catalogue, downloads
from charlm.text.catalogue import CATALOGUE
from charlm.text.downloads import Fetched

Run = Callable[[str], Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def invoke(line: str) -> Result:
        return CliRunner().invoke(command, shlex.split(line))

    return invoke


def test_list_names_every_corpus(run: Run) -> None:
    result = run("list")
    assert result.exit_code == 0
    for entry in CATALOGUE:
        assert re.search(
            rf"^{entry.name} +{entry.kind} +{entry.task} ", result.stdout, re.MULTILINE
        )


def test_make_writes_where_it_says(run: Run) -> None:
    result = run("make viaggi --chars 3000")
    assert result.exit_code == 0, result.output
    path = Path(result.stdout.strip())
    assert path == Path("corpora/viaggi.txt")
    assert path.read_text(encoding="utf-8") == catalogue.make_viaggi(3000)
    assert "3,000 characters" in result.stderr
    again = run("make viaggi --chars 3000")
    assert "exists already" in again.stderr
    assert again.stdout == result.stdout


def test_labelled_lines_are_written_as_tsv(run: Run) -> None:
    result = run("make dates --lines 30 --seed 4")
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(Path("corpora/dates.tsv"))
    assert result.stderr == "30 lines, seed 4\n"
    written = Path("corpora/dates.tsv").read_bytes()
    assert written.decode("utf-8") == catalogue.make_labelled("dates", 30, seed=4)
    assert run("make dates --lines 30 --seed 4 --out -").stdout_bytes == written
    assert len(run("make person --out -").stdout.splitlines()) == catalogue.LINES


def test_another_text_is_replaced_only_with_force(run: Run) -> None:
    run("make viaggi --chars 500 --out a.txt")
    before = Path("a.txt").read_bytes()
    refused = run("make viaggi --chars 500 --seed 1 --out a.txt")
    assert isinstance(refused.exception, RequestError)
    assert "--force" in str(refused.exception)
    assert Path("a.txt").read_bytes() == before
    assert run("make viaggi --chars 500 --seed 1 --out a.txt --force").exit_code == 0
    assert Path("a.txt").read_bytes() != before


def test_stdout_carries_the_text_and_nothing_else(run: Run) -> None:
    result = run("make viaggi --chars 700 --out -")
    assert result.stdout_bytes.decode("utf-8") == catalogue.make_viaggi(700)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("make python-prose --chars 10", "--chars is only for viaggi"),
        ("make python-stdlib --seed 1", "--seed is only for viaggi, python-prose, dates"),
        ("make viaggi --chars 0", "at least 1"),
        ("make viaggi --lines 5", "--lines is only for dates, numbers"),
        ("make dates --chars 5", "--chars is only for viaggi; leave it out for dates"),
        ("make surnames --seed 5", "leave it out for surnames"),
        ("make first-names --lines 5", "leave it out for first-names"),
        ("make spaces --lines 0", "at least 1"),
        ("make spaces --lines many", "a whole number"),
        ("make petrarca", "choose viaggi, "),
        ("make dante", "charlm corpus get dante"),
        ("get viaggi", "charlm corpus make viaggi"),
        ("get dante --out -", "a file name"),
        ("make viaggi --chars 9 --out .", "is a directory"),
    ],
)
def test_wrong_requests_are_told_in_one_line(run: Run, line: str, cause: str) -> None:
    result = run(line)
    assert isinstance(result.exception, RequestError)
    assert cause in str(result.exception)
    assert "\n" not in str(result.exception)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("reused", [True, False])
def test_get_says_whether_it_downloaded(
    run: Run, monkeypatch: pytest.MonkeyPatch, reused: bool
) -> None:
    asked: list[tuple[object, ...]] = []

    def fake(name: str, directory: Path, *, filename: str, **_: object) -> Fetched:
        asked.append((name, directory, filename))
        return Fetched(directory / filename, reused)

    monkeypatch.setattr(downloads, "fetch", fake)
    result = run("get dante --out libri/commedia.txt")
    assert result.stdout.strip() == str(Path("libri/commedia.txt"))
    assert asked == [("dante", Path("libri"), "commedia.txt")]
    assert ("exists already" in result.stderr) is reused


@pytest.mark.parametrize("line", ["--help", "list --help", "make --help", "get --help"])
def test_help_shows_examples_whose_options_exist(run: Run, line: str) -> None:
    result = run(line)
    assert result.exit_code == 0
    examples = re.findall(r"^ +charlm corpus ((?:\S+ ?)+)", result.stdout, re.MULTILINE)
    assert examples
    for example in examples:
        name, *rest = shlex.split(example.split("|")[0])
        # click keeps the help option of the first context, with the names that its parent gives.
        parent = click.Context(command, **command.context_settings)
        command.commands[name].make_context(name, rest, parent)
