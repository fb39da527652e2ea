"""``charlm score`` over many files: a line each, in their order, however many processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from conftest import write_text

Invoke = Callable[..., Result]


@pytest.fixture
def letters(tmp_path: Path) -> list[Path]:
    """The longest first, so that it is done last."""
    paths = []
    for number, length in enumerate((20_000, 300, 900, 50, 400)):
        path = tmp_path / f"letter {number}.txt"
        path.write_text(write_text(length, seed=number), encoding="utf-8")
        paths.append(path)
    return paths


@pytest.mark.parametrize("jobs", [1, 3])
def test_lines_come_in_the_order_of_the_files(
    charlm: Invoke, trained: Path, letters: list[Path], jobs: int
) -> None:
    result = charlm("score", trained, *letters, "--jobs", jobs)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split("  ")[-1] for line in lines] == [str(path) for path in letters]
    for line, path in zip(lines, letters, strict=True):
        alone = charlm("score", trained, path, "--json")
        expected = alone.stderr.split(" bits/char")[0]
        assert line.split()[0] == expected


def test_json_is_an_object_for_each_file(
    charlm: Invoke, trained: Path, letters: list[Path]
) -> None:
    result = charlm("score", trained, *letters, "--json", "--jobs", 2)
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["file"] for record in records] == [str(path) for path in letters]
    assert [record["characters"] for record in records] == [
        len(path.read_text("utf-8")) - 1 for path in letters
    ]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_file_that_cannot_be_scored_does_not_stop_the_others(
    charlm: Invoke, trained: Path, letters: list[Path], jobs: int
) -> None:
    letters[1].write_bytes(b"\xff\xfe\x00")
    letters[3].write_text("\u4e00")
    result = charlm("score", trained, *letters, "no.txt", "--jobs", jobs)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 3
    for name in (letters[1], letters[3], "no.txt"):
        assert f"error: {name}: " in result.stderr
    assert result.stderr.splitlines()[-1] == "error: 3 of 6 files could not be scored"


def test_what_makes_no_sense_for_several_files_is_refused(
    charlm: Invoke, trained: Path, letters: list[Path]
) -> None:
    for more in (("--by", "line"), ("--html", "x.html"), ("--dynamic",)):
        result = charlm("score", trained, *letters, *more)
        assert result.exit_code == 2
        assert "several files get a line each" in result.stderr
    assert "not one of several files" in charlm("score", trained, letters[0], "-").stderr
    assert "--jobs is for several files" in charlm("score", trained, letters[0], "--jobs", 2).stderr
