"""``charlm experiment position-invariance``: the command, its answers, its scores, its refusals.

The experiment in these tests is not trained: the weights of its readers are set by hand, so that
every answer is known. ``time-delay`` finds the first four digits in a row at any position,
``feedforward`` always answers the same year, ``tagger`` marks every character and ``tagger-both``
none.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor

from charlm import cli
from charlm.errors import DivergenceError
from charlm.experiments.position_invariance import ask, plots, saliency, store, training
from charlm.experiments.position_invariance import grid as grids
from charlm.experiments.position_invariance.design import Design
from charlm.experiments.position_invariance.examples import Example
from charlm.experiments.position_invariance.grid import Bench, Grid, Settings
from charlm.experiments.position_invariance.readers import (
    KINDS,
    AnyReader,
    Kind,
    Reader,
    Vocabulary,
    build,
    shape,
)
from charlm.experiments.training import CurvePoint
from charlm.inspection import saliency as maps
from charlm.inspection.saliency import Saliency
from charlm.parallel import Workers

Invoke = Callable[..., Result]
POSITION = ("experiment", "position-invariance")
READERS = ("feedforward", "time-delay", "tagger", "tagger-both")
SEEDS = 3

# What changes what a terminal does or shows.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="session")
def charlm(charlm: Invoke) -> Invoke:
    """An unexpected error is one line too, but it is still a bug."""

    def invoke(*arguments: object, **more: Any) -> Result:
        result = charlm(*arguments, **more)
        assert "a fault in charlm" not in result.output, result.output
        return result

    return invoke


@pytest.fixture(scope="module", autouse=True)
def small_pools() -> Iterator[None]:
    """What the Italian grammar costs is tested elsewhere."""
    real = Design.training
    fewer: dict[int, int] = {5000: 50}  # whose commonest answer is the floor
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Design.pool, "__defaults__", (3000,))
        patch.setattr(grids, "VOCABULARY_FROM", 500)
        patch.setattr(grids, "PER_OFFSET", 1)

        def training(self: Design, seed: int, count: int) -> list[Example]:
            return real(self, seed, fewer.get(count, count))

        patch.setattr(Design, "training", training)
        yield


# --------------------------------------------------------------------------------- readers by hand


@torch.no_grad()
def finds_four_digits(words: Vocabulary) -> Reader:
    """A time-delay network by hand. Unit (k, d) of the first layer is 1 where four digits in a row
    end, none stands before them, and the k-th of them is d; the other layers pass it on; the
    maximum over time finds it wherever it is."""
    reader = build(KINDS["time-delay"], shape(KINDS["time-delay"], words), words, 0)
    assert isinstance(reader, Reader)
    for parameter in reader.parameters():
        parameter.zero_()
    is_digit = 10  # of the 32 numbers of a character, the first ten say which digit
    for digit in range(10):
        character = int(words.tokenizer.encode(str(digit))[0])
        reader.body.embedding.weight[character, [digit, is_digit]] = 1
    first = reader.body.layers[0]
    assert isinstance(first.weight, Tensor) and isinstance(first.bias, Tensor)
    W = first.weight  # (H, 32, 5), the last place is the latest
    for k in range(4):
        for digit in range(10):
            unit = 10 * k + digit
            W[unit, is_digit, 1:] = 1
            W[unit, is_digit, 0] = -8
            W[unit, digit, 1 + k] = 4
            first.bias[unit] = -7
            reader.head.weight[k * words.symbols + digit, unit] = 30
    return reader


@torch.no_grad()
def always_says(words: Vocabulary, answer: str) -> AnyReader:
    reader = build(KINDS["feedforward"], shape(KINDS["feedforward"], words), words, 0)
    reader.head.weight.zero_()
    for place, digit in enumerate(answer):
        reader.head.bias[place * words.symbols + int(digit)] = 30
    return reader


@torch.no_grad()
def marks(words: Vocabulary, name: str, bias: float) -> AnyReader:
    reader = build(KINDS[name], shape(KINDS[name], words), words, 0)
    reader.head.bias.add_(bias)
    return reader


def by_hand(
    kind: Kind, words: Vocabulary, *args: Any, seed: int, **more: Any
) -> tuple[AnyReader, list[CurvePoint]]:
    """Replaces ``training.train``."""
    made: dict[str, Callable[[], AnyReader]] = {
        "time-delay": lambda: finds_four_digits(words),
        # Two of the three seeds say 2009.
        "feedforward": lambda: always_says(words, "1111" if seed == 1 else "2009"),
        "tagger": lambda: marks(words, "tagger", 1000),
        "tagger-both": lambda: marks(words, "tagger-both", -1000),
    }
    return made[kind.name]().eval(), [CurvePoint(8, 1.5, 0.5), CurvePoint(16, 0.5, 0.9)]


def run_here(made: Grid, workers: Workers, progress: Callable[[int, int], None]) -> None:
    """Replaces ``Grid.run``: no processes, and readers by hand."""
    with pytest.MonkeyPatch.context() as patch:
        # One kind of material for every seed: the readers do not look at it.
        patch.setattr(Bench, "material", lambda bench, seed: (None, []))
        patch.setattr(training, "train", by_hand)
        bench = Bench(made)
        for cell in made.unfinished():
            bench.run(*cell)


def nothing_is_run(made: Grid, workers: Workers, progress: Callable[[int, int], None]) -> None:
    pass


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, charlm: Invoke) -> tuple[Path, Result]:
    """The finished experiment, and what the command said that made it."""
    out = tmp_path_factory.mktemp("experiment") / "a run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Grid, "run", run_here)
        result = charlm(
            *POSITION,
            "--readers",
            ",".join(READERS),
            "--seeds",
            SEEDS,
            "--steps",
            16,
            "--jobs",
            1,
            "--out",
            out,
        )
    assert result.exit_code == 0, result.output
    return out, result


@pytest.fixture(scope="module")
def experiment(first: tuple[Path, Result]) -> Path:
    """Tests only read it."""
    return first[0]


@pytest.fixture
def unplotted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "draw_all", lambda results, folder: [])


def refused(result: Result, code: int, *parts: str) -> None:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.lower().startswith("error: "), result.stderr
    for part in parts:
        assert part in last


def everything_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


# ------------------------------------------------------------------------------------- the command


def test_the_command_ends_with_table_strips_findings_and_files(
    first: tuple[Path, Result],
) -> None:
    out, result = first
    lines = result.stdout.splitlines()
    head = lines[0].split("  ")
    assert [word.strip() for word in head if word.strip()] == [
        "reader",
        "seen",
        "held out",
        "numbers",
        "years",
        "four digits",
        "new kinds",
        "new answers",
        "long",
        "worst held out",
    ]
    rows = {line.split()[0]: line for line in lines[2:6]}
    assert list(rows) == list(READERS)
    found = [float(each) for each in re.findall(r"(\d+\.\d) \[", rows["time-delay"])]
    seen, held_out, *_, new_answers, long = found
    assert (seen, held_out, new_answers) == (100, 100, 100)
    assert long > 95  # what is put in front may hold digits
    assert rows["time-delay"].endswith("100.0 at 24")
    # The others learnt nothing, and the table says so; the feedforward one cannot read the long.
    assert all(rows[name].split()[1] == "*" for name in READERS if name != "time-delay")
    assert "†" in rows["feedforward"]
    assert "†" not in rows["time-delay"]
    text = result.stdout
    assert "mean of 3 seeds [95 % bootstrap interval over seeds]" in text
    assert "*  untrained: below 95 % at seen offsets" in text
    strip = next(line for line in lines if line.startswith("time-delay ") and line.endswith("|"))
    assert strip.removeprefix("time-delay").strip() == "█" * 117 + "|"
    bands = next(line for line in lines if line.startswith("held out "))
    # Four characters in a band of ten: seven offsets each, below the offsets that they are of.
    at = strip.index("█")
    assert [n - at for n, mark in enumerate(bands) if mark == "^"] == [
        *range(24, 31),
        *range(52, 59),
    ]
    assert "time-delay answers 100.0 [100.0, 100.0] % correctly at seen offsets and 100.0" in text
    assert "feedforward did not learn the task" in text
    # Files are named at the end, and are there.
    files = lines[lines.index(str(out / "results.json")) :]
    assert len(files) == 2 + 10 + 1
    assert all(Path(file).stat().st_size > 100 for file in files)
    assert files[-1] == str(out / "page.html")


def test_talk_is_on_stderr(first: tuple[Path, Result]) -> None:
    assert first[1].stderr == (
        "training 12 of 12 readers: 4 kinds, 3 seeds, 16 steps each, 1 at a time\n"
    )


def test_the_table_is_what_the_csv_says(first: tuple[Path, Result]) -> None:
    out, result = first
    with (out / "results.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["reader"] == "feedforward"]
    shares = [
        float(row["accuracy"]) for row in rows if (row["test"], row["offsets"]) == ("none", "seen")
    ]
    assert len(shares) == SEEDS
    line = next(line for line in result.stdout.splitlines() if line.startswith("feedforward *"))
    assert float(line.split()[2]) == pytest.approx(100 * np.mean(shares), abs=0.05)


def test_the_page_shows_every_figure_and_needs_no_other_file(first: tuple[Path, Result]) -> None:
    page = (first[0] / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 5
    assert not re.findall(r'(?:src|href)="(?!#|data:)', page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


@pytest.mark.usefixtures("unplotted")
def test_resuming_a_finished_one_computes_nothing_and_shows_it_again(
    charlm: Invoke, first: tuple[Path, Result], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(first[0], copy)
    before = everything_in(copy / "cells")
    result = charlm(*POSITION, "--resume", "--out", copy, "--jobs", 2)
    assert result.exit_code == 0, result.output
    assert result.stderr == "all 12 readers are trained already\n"
    shown = result.stdout.split("\n\n" + str(copy))[0]
    assert shown == first[1].stdout.split("\n\n" + str(first[0]))[0]
    assert everything_in(copy / "cells") == before


@pytest.mark.parametrize(
    "option",
    [
        ["--seeds", 3],
        ["--steps", 16],
        ["--readers", "gru"],
        ["--quick"],
        ["--template", "t.txt"],
        ["--quick", "--seeds", 2],
    ],
)
def test_resume_takes_no_option_that_would_change_it(
    charlm: Invoke, experiment: Path, option: list[object]
) -> None:
    before = everything_in(experiment)
    result = charlm(*POSITION, "--resume", "--out", experiment, *option)
    named = [str(part) for part in option if str(part).startswith("--")]
    refused(result, 2, "--resume uses the saved settings in --out", *named)
    assert everything_in(experiment) == before


def test_an_existing_experiment_is_not_begun_again(charlm: Invoke, experiment: Path) -> None:
    before = everything_in(experiment)
    refused(charlm(*POSITION, "--out", experiment), 2, "continue with --resume", "another --out")
    assert everything_in(experiment) == before


@pytest.mark.parametrize("readers", ["gnu", "gru,gnu", "", " , ", "writer", "GRU"])
def test_unknown_readers_are_refused_with_those_that_there_are(
    charlm: Invoke, tmp_path: Path, readers: str
) -> None:
    result = charlm(*POSITION, "--readers", readers, "--out", tmp_path / "x")
    refused(result, 2, "--readers", "choose from", *KINDS)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("option", ["--seeds", "--steps", "--jobs"])
@pytest.mark.parametrize("value", [0, -1, "x"])
def test_impossible_numbers_are_refused(
    charlm: Invoke, tmp_path: Path, option: str, value: object
) -> None:
    result = charlm(*POSITION, option, value, "--out", tmp_path / "x")
    assert result.exit_code == 2
    assert option in result.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], Settings(tuple(KINDS), 5, grids.STEPS, 1)),  # per offset as in ``small_pools``
        (["--quick"], Settings(grids.QUICK_READERS, 1, grids.QUICK_STEPS, grids.QUICK_PER_OFFSET)),
        (
            ["--quick", "--seeds", 3, "--steps", 7, "--readers", "rnn"],
            Settings(("rnn",), 3, 7, grids.QUICK_PER_OFFSET),
        ),
        (["--readers", "gru, rnn,gru,", "--steps", 2], Settings(("gru", "rnn"), 5, 2, 1)),
    ],
)
def test_quick_sets_seeds_and_updates_and_an_option_has_the_last_word(
    charlm: Invoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[object],
    expected: Settings,
) -> None:
    monkeypatch.setattr(Grid, "run", nothing_is_run)
    monkeypatch.setattr(Design, "tests", lambda self, per_offset: {})
    result = charlm(*POSITION, "--out", tmp_path / "x", *options)
    assert Grid.find(str(tmp_path / "x")).settings == expected
    refused(result, 1, "no reader is finished yet")


def test_the_help_names_the_numbers_that_are_taken(charlm: Invoke) -> None:
    shown = " ".join(charlm(*POSITION, "--help").stdout.split())
    assert f"[default: {grids.STEPS}; --quick: {grids.QUICK_STEPS}]" in shown
    assert "[default: 5; --quick: 1]" in shown


def test_resume_where_there_is_nothing(charlm: Invoke, tmp_path: Path) -> None:
    refused(
        charlm(*POSITION, "--resume", "--out", tmp_path / "no"),
        2,
        "contains no experiment",
        "--out",
    )


def test_an_out_that_is_a_file_is_one_line(charlm: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        refused(charlm(*POSITION, "--out", out), 1, str(out), "choose another --out")
        refused(charlm(*POSITION, "--out", out, "--resume"), 2, "contains no experiment")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_an_out_that_cannot_be_written_is_one_line(charlm: Invoke, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    out = tmp_path / "locked" / "x"
    refused(charlm(*POSITION, "--out", out), 1, str(out), "choose another --out")


@pytest.mark.usefixtures("unplotted")
def test_a_screen_without_blocks_gets_characters_that_it_has(
    experiment: Path, tmp_path: Path
) -> None:
    shutil.copytree(experiment, tmp_path / "copy")
    result = CliRunner(charset="ascii").invoke(
        cli.main, [*POSITION, "--resume", "--out", str(tmp_path / "copy")]
    )
    assert result.exit_code == 0, result.output
    (strip,) = (
        line
        for line in result.stdout.splitlines()
        if line.startswith("time-delay ") and line.endswith("|")
    )
    assert "@" * 117 in strip


def test_without_matplotlib_there_is_everything_but_figures(
    charlm: Invoke, experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(experiment, tmp_path / "copy")
    monkeypatch.delattr("charlm.experiments.position_invariance.plots")
    monkeypatch.setitem(sys.modules, "charlm.experiments.position_invariance.plots", None)
    result = charlm(*POSITION, "--resume", "--out", tmp_path / "copy")
    assert result.exit_code == 0, result.output
    assert "no figures, because matplotlib is not installed" in result.stderr
    assert result.stdout.splitlines()[-2:] == [
        str(tmp_path / "copy" / name) for name in ("results.json", "results.csv")
    ]


# ----------------------------------------------------------------------------- with real processes

TEMPLATE = """\
# where and when
slot: 1990-2004
place: Rome, Nepal, the Alps
I went to {place} in {slot}.
In {slot} we left {place} for good.
"""


@pytest.fixture(scope="module")
def travels(tmp_path_factory: pytest.TempPathFactory, charlm: Invoke) -> tuple[Path, Result]:
    """An experiment on a user's sentences, actually trained, for two steps."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "travels.txt").write_text(TEMPLATE)
    result = charlm(
        *POSITION,
        "--readers",
        "feedforward,time-delay",
        "--steps",
        2,
        "--seeds",
        1,
        "--jobs",
        1,
        "--template",
        folder / "travels.txt",
        "--out",
        folder / "out",
    )
    assert result.exit_code == 0, result.output
    return folder / "out", result


def test_a_template_gives_an_experiment_of_its_own(
    charlm: Invoke, travels: tuple[Path, Result], tmp_path: Path
) -> None:
    out, result = travels
    assert "training 2 of 2 readers: 2 kinds, 1 seed" in result.stderr
    assert result.stderr.splitlines()[-1] == "100 %"
    table = result.stdout.splitlines()
    # The template has no other numbers, so there is no column for such.
    assert table[0].split("  ")[0] == "reader"
    assert "numbers" not in table[0]
    assert [line.split()[0] for line in table[2:4]] == ["feedforward", "time-delay"]
    assert "mean of 1 seed." in result.stdout

    panel = ask.Panel(Grid.find(str(out)))
    texts = ["I went to Rome in 1999.", "In 2003 we left Nepal for good."]
    for name in ("feedforward", "time-delay"):
        asked = charlm(*POSITION, "ask", out, "--reader", name, input="\n".join(texts))
        assert asked.exit_code == 0
        answers = panel.answers(name, texts)
        assert asked.stdout.splitlines() == [answer or "?" for answer in answers]
        scored = tmp_path / "mine.tsv"
        lines = zip(texts, [answers[0], "wrong"], strict=True)
        scored.write_text("".join(f"{text}\t{answer or 'x'}\n" for text, answer in lines))
        found = json.loads(charlm(*POSITION, "score", out, scored, "--json").stdout)
        assert found["readers"][name]["accuracy"] == (0.5 if answers[0] else 0)

    none = charlm(*POSITION, "ask", out, "I went to Rome in 1066.")
    assert none.exit_code == 0
    assert none.stdout == "-\n"
    assert none.stderr.startswith("no answer: 'I went to Rome in 1066.' has no filler of {slot}")


def test_a_template_that_makes_no_sense_is_named_by_its_line(
    charlm: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "t.txt").write_text("slot: 1990-2004\nI went to {place} in {slot}.\n")
    out = tmp_path / "x"
    result = charlm(*POSITION, "--template", tmp_path / "t.txt", "--out", out)
    refused(result, 2, "line 2 has {place}", "place: one, another")
    missing = charlm(*POSITION, "--template", tmp_path / "none.txt", "--out", out)
    refused(missing, 2, "none.txt: no such file")
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", ["In {slot} I had 3 dogs and a cat.", "With 3 dogs I went there in {slot}."]
)
def test_a_template_with_another_number_in_it_does_not_take_for_ever(
    charlm: Invoke, tmp_path: Path, line: str
) -> None:
    """There is no such sentence with its answer at the first or at the last offset, and what tells
    the numbers apart must not be cut off."""
    (tmp_path / "t.txt").write_text(f"slot: 1990-2004\n{line}\nIn {{slot}} we left.\n")
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path\n"
            "from charlm.experiments.position_invariance import design\n"
            "made = design.from_template(Path(sys.argv[1]))\n"
            "print(sum(map(len, made.tests(1).values())))",
            str(tmp_path / "t.txt"),
        ],
        capture_output=True,
        timeout=60,
    )
    assert process.returncode == 0, process.stderr


@pytest.mark.slow
def test_the_italian_experiment_with_real_processes(charlm: Invoke, tmp_path: Path) -> None:
    result = charlm(
        *POSITION,
        "--readers",
        "feedforward,time-delay",
        "--steps",
        16,
        "--seeds",
        1,
        "--jobs",
        1,
        "--out",
        tmp_path / "x",
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == str(tmp_path / "x" / "page.html")
    cells = Grid.find(str(tmp_path / "x")).collect().cells
    assert [cell["curve"][-1]["step"] for cell in cells.values()] == [16, 16]


# --------------------------------------------------------------------------------------------- ask


def answer(charlm: Invoke, experiment: Path, *arguments: object, **more: Any) -> Result:
    result = charlm(*POSITION, "ask", experiment, *arguments, **more)
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Sono andato in Nepal nel 2009", "2009"),
        ("Nel 2009, sono andato in Nepal", "2009"),
        ("1969", "1969"),
        ("x" * 300 + " 1492!", "1492"),
        ("  Era\n il\t2014.  ", "2014"),
    ],
)
def test_an_answer_and_nothing_else_is_on_stdout(
    charlm: Invoke, experiment: Path, sentence: str, expected: str
) -> None:
    """Without --reader, the best reader answers."""
    result = answer(charlm, experiment, sentence)
    assert (result.stdout, result.stderr) == (f"{expected}\n", "")


def test_standard_input_is_answered_line_by_line(charlm: Invoke, experiment: Path) -> None:
    lines = ["Nel 2009 ero là.", "", "Niente.", "Era il 1969, credo.", "x" * 200 + " 1987"]
    for text in ("\n".join(lines), "\n".join(lines) + "\n", "\r\n".join(lines)):
        result = answer(charlm, experiment, input=text)
        assert result.stdout.splitlines() == ["2009", "-", "-", "1969", "1987"]
        assert len(result.stderr.splitlines()) == 2
    many = [f"Era il {year}." for year in range(1000, 2100)]
    result = answer(charlm, experiment, input="\n".join(many).encode())
    assert result.stdout.split() == [str(year) for year in range(1000, 2100)]


def test_a_line_ends_where_a_line_feed_ends_it(charlm: Invoke, experiment: Path) -> None:
    """A form feed or a Unicode line separator within a line is one more space to a reader: there
    are as many answers as ``wc -l`` counts lines."""
    text = "Nel 2009\x0cin Nepal\nEra\u2028il 1969\nIl\x852014\n"
    assert answer(charlm, experiment, input=text).stdout.split() == ["2009", "1969", "2014"]


def test_a_reader_can_be_chosen_and_its_seeds_vote(charlm: Invoke, experiment: Path) -> None:
    """The first seed says 1111, the other two 2009."""
    result = answer(charlm, experiment, "--reader", "feedforward", "Era il 2009.")
    assert (result.stdout, result.stderr) == ("2009\n", "")


def test_an_answer_that_is_not_in_the_sentence_is_said_to_be_so(
    charlm: Invoke, experiment: Path
) -> None:
    result = answer(charlm, experiment, "--reader", "feedforward", "Era il 1969.")
    assert result.stdout == "2009\n"
    assert result.stderr == (
        "feedforward answers 2009, which is not in the sentence: 'Era il 1969.'\n"
    )


class Says:
    """A reader that always gives the same answer."""

    def __init__(self, said: str) -> None:
        self.said = said

    def answers(self, sentences: Sequence[str]) -> list[str]:
        return [self.said] * len(sentences)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (["1", "2", "2"], "2"),
        (["1", "1", "2"], "1"),
        (["2", "1", "2", "1", "1"], "1"),
        (["3", "1", "2"], "3"),  # even: the first
        (["2", "1", "1", "2"], "2"),
        (["5"], "5"),
    ],
)
def test_the_vote_by_hand(
    experiment: Path, monkeypatch: pytest.MonkeyPatch, said: list[str], expected: str
) -> None:
    panel = ask.Panel(Grid.find(str(experiment)))
    monkeypatch.setattr(panel, "members", lambda name: [Says(each) for each in said])
    assert panel.answers("time-delay", ["Era il 2009.", "Nel 1969"]) == [expected] * 2


def test_an_unknown_reader_is_refused_with_those_that_there_are(
    charlm: Invoke, experiment: Path
) -> None:
    for name in ("gnu", "lstm"):  # the second is one, but not of this experiment
        result = charlm(*POSITION, "ask", experiment, "--reader", name, "Era il 2009.")
        refused(result, 2, f"--reader is {name!r}", *READERS)


def test_a_sentence_without_a_year_is_answered_with_a_dash(
    charlm: Invoke, experiment: Path
) -> None:
    sentences = ["Sono andato in Nepal.", "Nel 209", "Il 12345", "-"]
    for name in READERS:
        result = answer(charlm, experiment, "--reader", name, input="\n".join(sentences))
        assert result.stdout.split() == ["-"] * 4
        assert result.stderr.splitlines() == [
            f"no answer: {sentence!r} has no four digits in a row" for sentence in sentences
        ]


def test_unknown_characters_are_named_and_read_as_such(charlm: Invoke, experiment: Path) -> None:
    result = answer(charlm, experiment, "Nel \N{SNOWMAN}2009\N{SNOWMAN} Ж")
    assert result.stdout == "2009\n"
    (line,) = result.stderr.splitlines()
    assert line.startswith("read as the unknown symbol: 3 characters the model has never seen: ")
    assert "U+2603 (2 times)" in line
    assert "U+0416" in line


@pytest.mark.parametrize("given", [[""], ["  \t\n "], []], ids=["empty", "blank", "no input"])
def test_an_empty_sentence_is_refused(charlm: Invoke, experiment: Path, given: list[str]) -> None:
    result = charlm(*POSITION, "ask", experiment, *given, input="")
    refused(result, 2, 'the sentence is empty; give one, such as "Era il 2009."')


def test_input_that_is_no_text_is_refused(charlm: Invoke, experiment: Path) -> None:
    result = charlm(*POSITION, "ask", experiment, input=b"Nel \xff 2009")
    refused(result, 1, "standard input: byte 0xff at offset 4")


def test_a_sentence_of_ten_thousand_characters(charlm: Invoke, experiment: Path) -> None:
    sentence = "a" * 9000 + " nel 1969 " + "b" * 990
    result = answer(charlm, experiment, sentence)
    assert (result.stdout, result.stderr) == ("1969\n", "")
    result = answer(charlm, experiment, "--reader", "feedforward", sentence)
    assert result.stdout == "?\n"
    (line,) = result.stderr.splitlines()
    assert line.startswith("feedforward reads at most 128 characters, not 10,000: 'aaa")
    assert len(line) < 150


def test_a_reader_that_says_nothing_is_not_said_to_read_nothing(
    charlm: Invoke, experiment: Path
) -> None:
    """A tagger that marks no character has read the sentence, so its length is not the problem."""
    result = answer(charlm, experiment, "--reader", "tagger-both", "Era il 2009.")
    assert result.stdout == "?\n"
    assert "cannot read" not in result.stderr
    assert "None" not in result.stderr


HOSTILE = "Nel \x1b]0;owned\x07\x1b[31m 2009 \x9b31m\u202e\x7f"


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """The command where a terminal reads stdout, in colour."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(click.testing._NamedTextIOWrapper, "isatty", lambda self: True)

    def invoke(*arguments: object, input: str | None = None) -> Result:
        result = CliRunner().invoke(cli.main, [str(a) for a in arguments], input=input, color=True)
        assert result.exit_code in (0, 2), result.output
        assert "a fault in charlm" not in result.output
        return result

    return invoke


def test_no_control_character_of_a_sentence_reaches_a_terminal(
    screen: Invoke, experiment: Path, tmp_path: Path
) -> None:
    own_colours = re.compile(r"\x1b\[(?:0|30|48;5;\d+)m")
    hidden = HOSTILE.replace("2009", "")
    file = tmp_path / "mine.tsv"
    file.write_text(f"{HOSTILE}\t1111\n", encoding="utf-8")
    for arguments in (
        ["ask", experiment, HOSTILE],
        ["ask", experiment, hidden],
        ["ask", experiment, "--reader", "feedforward", HOSTILE + "x" * 128],
        ["ask", experiment, "--reader", HOSTILE, "Era il 2009."],
        ["ask", experiment, "--saliency", HOSTILE],
        ["score", experiment, file, "--reader", "time-delay"],
    ):
        result = screen(*POSITION, *arguments)
        shown = own_colours.sub("", result.output)
        assert not UNSAFE.findall(shown), (arguments, shown)


def test_no_control_character_of_an_answer_reaches_a_terminal(
    screen: Invoke, experiment: Path, tmp_path: Path
) -> None:
    """A tagger answers with the characters of the sentence: here with all of them."""
    file = tmp_path / "mine.tsv"
    file.write_text(f"{HOSTILE}\t1111\n", encoding="utf-8")
    for arguments in (
        ["ask", experiment, HOSTILE],
        ["score", experiment, file],
    ):
        result = screen(*POSITION, *arguments, "--reader", "tagger")
        assert "2009" in result.stdout
        assert not UNSAFE.findall(result.output), (arguments, result.output)


def test_what_others_found_is_not_lost_where_a_reader_diverges(
    charlm: Invoke, tmp_path: Path, unplotted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverging(made: Grid, workers: Workers, progress: Callable[[int, int], None]) -> None:
        run_here(made, workers, progress)
        made.cell("feedforward", 1).unlink()
        raise DivergenceError("feedforward, seed 1, step 3: loss nan")

    monkeypatch.setattr(Grid, "run", diverging)
    out = tmp_path / "run"
    result = charlm(
        *POSITION, "--readers", "feedforward,time-delay", "--seeds", 1, "--steps", 16, "--out", out
    )
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].lower() == "error: feedforward, seed 1, step 3: loss nan"
    assert [cell["reader"] for cell in json.loads((out / "results.json").read_text())["cells"]] == [
        "time-delay"
    ]


def test_a_grid_is_finished_as_it_was_begun(
    charlm: Invoke, experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    shutil.copytree(experiment, out)
    (out / "cells" / "feedforward-2.json").unlink()
    monkeypatch.setattr(training, "RATE", 1.5)
    result = charlm(*POSITION, "--resume", "--out", out)
    refused(result, 2, "learning rate times default 1.1 instead of 1.5", "another --out")


# ---------------------------------------------------------------------------------------- saliency


def test_saliency_marks_the_characters_of_the_year(charlm: Invoke, experiment: Path) -> None:
    text = "Siamo andati nel 2009 in Nepal"
    result = answer(charlm, experiment, "--saliency", text)
    assert result.stderr == ""
    sentence, marks_ = result.stdout.splitlines()
    assert sentence == f"2009  {text}"
    # Each mark stands below its character, and each digit counts as much as the others.
    assert {sentence[n] for n, mark in enumerate(marks_) if mark != " "} == set("2009")
    assert re.fullmatch(r" +9999", marks_)
    assert sentence.index("2009", 6) == marks_.index("9")


def test_marks_stand_below_their_characters_whatever_the_answer(
    charlm: Invoke, experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers of a template are of any length."""
    for said in ("7", "2009", "the Himalayas"):
        monkeypatch.setattr(ask.Panel, "answers", lambda *args, said=said: [said])
        monkeypatch.setattr(
            saliency, "of", lambda *args: Saliency("ab2009c", np.array([0, 0, 4, 4, -4, 2, 0.0]))
        )
        shown = answer(charlm, experiment, "--saliency", "ab2009c").stdout
        sentence, marks_ = shown.splitlines()
        at = sentence.index("ab2009c")
        assert sentence == f"{said}  ab2009c"
        assert marks_[at:] == "  99-5"
        assert marks_[:at].strip() == ""


def test_saliency_is_in_colour_on_a_terminal(
    screen: Invoke, experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Siamo andati nel 2009 in Nepal"
    result = screen(*POSITION, "ask", experiment, "--saliency", text)
    (line,) = result.stdout.splitlines()
    assert re.sub(r"\x1b\[[\d;]*m", "", line) == f"2009  {text}"
    coloured = re.findall(r"\x1b\[48;5;(\d+)m\x1b\[30m(.)\x1b\[0m", line)
    assert "".join(character for _, character in coloured) == "2009"
    assert len({tone for tone, _ in coloured}) == 1
    monkeypatch.setenv("NO_COLOR", "1")
    plain = screen(*POSITION, "ask", experiment, "--saliency", text).stdout
    assert "\x1b" not in plain
    assert len(plain.splitlines()) == 2


def test_what_speaks_for_and_against_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    found = Saliency("abcd", np.array([2.0, -2.0, 1.0, 0.01]))
    assert found.shares.tolist() == [1, -1, 0.5, 0.005]
    tones = re.findall(r"48;5;(\d+)m\x1b\[30m(.)", maps.in_terminal(found, True))
    assert [character for _, character in tones] == ["a", "b", "c"]
    assert len({tone for tone, _ in tones}) == 3
    assert maps.in_terminal(found, True).endswith("d")
    assert maps.in_terminal(found, False).splitlines()[1].strip() == "9-5"
    # If no character matters, nothing is marked and nothing is divided by zero.
    nothing = Saliency("ab", np.zeros(2))
    assert maps.in_terminal(nothing, True) == "ab"


def test_saliency_is_what_the_answer_loses_without_a_character(experiment: Path) -> None:
    """By hand: the log-probability of the answer, with the character made unknown one by one."""
    words = store.vocabulary(Grid.find(str(experiment)).config)
    reader = finds_four_digits(words)
    text = "Nel 2009 ero là"
    with torch.no_grad():
        reader.head.weight *= 0.1  # so that nothing is certain
        whole = [text, *(text[:n] + "\N{SNOWMAN}" + text[n + 1 :] for n in range(len(text)))]
        ids, lengths = map(torch.from_numpy, words.encode(whole))
        scores = reader(ids, lengths).log_softmax(-1)
    nats = [sum(float(row[place, int(c)]) for place, c in enumerate("2009")) for row in scores]
    expected = [nats[0] - each for each in nats[1:]]
    assert ask.occlusion(reader, text, "2009").tolist() == pytest.approx(expected, abs=1e-5)
    assert min(expected[4:8]) > 1
    assert max(map(abs, expected[:4] + expected[8:])) < 1e-6


class Page(HTMLParser):
    """Tags, and each span's title and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.spans: list[tuple[str, str]] = []
        self.bold = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "span":
            self.spans.append((dict(attrs)["title"] or "", ""))

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] == ["span"] and self.spans and not self.spans[-1][1]:
            self.spans[-1] = self.spans[-1][0], data
        if self.tags[-1:] == ["b"] and not self.bold:
            self.bold = data


def test_html_is_a_page_in_which_nothing_of_the_sentence_is_markup(
    charlm: Invoke, experiment: Path, tmp_path: Path
) -> None:
    text = "<script>alert('&amp;')</script> \"nel\" 2009 <b>"
    file = tmp_path / "why.html"
    result = answer(charlm, experiment, "--html", file, text)
    assert result.stdout == f"{file}\n"
    source = file.read_text(encoding="utf-8")
    assert "<script" not in source
    page = Page(source)
    frame = {"html", "head", "meta", "title", "style", "body"}
    assert set(page.tags) == frame | {"p", "b", "div", "span"}
    assert page.tags.count("b") == 1
    assert page.bold == "2009"
    assert "".join(character for _, character in page.spans) == text
    nats = [float(title.removesuffix(" nats")) for title, _ in page.spans]
    loud = [character for character, each in zip(text, nats, strict=True) if each > 1]
    assert "".join(loud) == "2009"


def test_html_and_saliency_can_be_asked_for_together(
    charlm: Invoke, experiment: Path, tmp_path: Path
) -> None:
    file = tmp_path / "why.html"
    result = answer(charlm, experiment, "--saliency", "--html", file, "Era il 1969.")
    assert result.stdout.splitlines()[0] == "1969  Era il 1969."
    assert result.stdout.splitlines()[-1] == str(file)
    assert Page(file.read_text(encoding="utf-8")).bold == "1969"


def test_a_page_that_cannot_be_written_is_one_line(
    charlm: Invoke, experiment: Path, tmp_path: Path
) -> None:
    file = tmp_path / "no" / "why.html"
    result = charlm(*POSITION, "ask", experiment, "--html", file, "Era il 1969.")
    refused(result, 1, str(file), "cannot be written")


@pytest.mark.parametrize("options", [["--saliency"], ["--html", "x.html"]])
def test_where_there_is_no_answer_there_is_nothing_to_explain(
    charlm: Invoke, experiment: Path, options: list[str]
) -> None:
    for sentence in ("Sono andato in Nepal.", "Nel 2009" + "x" * 128):
        result = charlm(*POSITION, "ask", experiment, "--reader", "feedforward", *options, sentence)
        refused(result, 2, "no answer to explain", "leave out --saliency and --html")


def test_many_sentences_are_explained_but_those_without_an_answer(
    charlm: Invoke, experiment: Path, tmp_path: Path
) -> None:
    lines = "Sono andato in Nepal.\nEra il 1969.\n"
    result = charlm(*POSITION, "ask", experiment, "--saliency", input=lines)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == "-"
    assert result.stdout.splitlines()[1] == "1969  Era il 1969."
    file = tmp_path / "why.html"
    refused(charlm(*POSITION, "ask", experiment, "--html", file, input=lines), 2, "one sentence")
    assert not file.exists()


def test_a_saliency_of_a_very_long_text_is_refused(charlm: Invoke, experiment: Path) -> None:
    text = "Era il 1969. " + "x" * 10_000
    result = charlm(*POSITION, "ask", experiment, "--saliency", text)
    refused(result, 2, "10,013 characters", "at most 1,000")


# ------------------------------------------------------------------------------------------- score

SCORED = [
    ("Nel 2009 ero là.", "2009"),
    ("Era il 1969, credo.", "1969"),
    ("Nel 1969 e nel 2009.", "2009"),  # by hand: the smaller digit of each place, 1009
    ("1492", "1492"),
    ("x" * 200 + " 2009", "2009"),
]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.tsv"
    path.write_text("".join(f"{text}\t{year}\n" for text, year in SCORED), encoding="utf-8")
    return path


def test_scores_by_hand(charlm: Invoke, experiment: Path, mine: Path) -> None:
    result = charlm(*POSITION, "score", experiment, mine, "--json")
    assert result.exit_code == 0
    assert result.stderr == ""
    (line,) = result.stdout.splitlines()
    found = json.loads(line)
    assert set(found) == {"readers"}
    assert list(found["readers"]) == list(READERS)

    def error(n: int, said: str) -> dict[str, str]:
        return {"text": SCORED[n][0], "answer": SCORED[n][1], "found": said}

    assert found["readers"]["time-delay"] == {
        "accuracy": pytest.approx(4 / 5),
        "count": 5,
        "errors": [error(2, "1009")],
        "unread": 0,
        "errors_by_kind": {"wrong number": 0, "not in the sentence": 1, "rest": 0},
    }
    assert found["readers"]["feedforward"] == {
        "accuracy": pytest.approx(2 / 5),
        "count": 5,
        "errors": [error(1, "2009"), error(3, "2009"), error(4, "")],
        "unread": 1,
        # An answer that was not given is no invention.
        "errors_by_kind": {"wrong number": 0, "not in the sentence": 2, "rest": 1},
    }
    # The tagger marks everything: right if the text is only the year.
    assert found["readers"]["tagger"]["accuracy"] == pytest.approx(1 / 5)


def test_a_reader_that_says_nothing_is_wrong_but_not_unread(
    charlm: Invoke, experiment: Path, mine: Path
) -> None:
    found = json.loads(charlm(*POSITION, "score", experiment, mine, "--json").stdout)
    assert found["readers"]["tagger-both"]["accuracy"] == 0
    assert found["readers"]["tagger-both"]["unread"] == 0


def test_the_table_of_scores_begins_with_the_best_and_ends_with_its_errors(
    charlm: Invoke, experiment: Path, mine: Path
) -> None:
    lines = charlm(*POSITION, "score", experiment, mine).stdout.splitlines()
    assert [" ".join(line.split()) for line in lines[:2]] == [
        "time-delay 80.0 % 4/5 (1 not in the sentence)",
        "feedforward 40.0 % 2/5 (2 not in the sentence, 1 too long for it)",
    ]
    assert lines[4:8] == [
        "",
        "errors of time-delay:",
        "   1009 for 2009: Nel 1969 e nel 2009.",
        "",
    ]
    assert [line for line in lines if line.startswith("errors of")][:2] == [
        "errors of time-delay:",
        "errors of feedforward:",
    ]


def test_one_reader_alone_can_be_scored(charlm: Invoke, experiment: Path, mine: Path) -> None:
    result = charlm(*POSITION, "score", experiment, mine, "--reader", "feedforward")
    assert result.stdout.splitlines()[0].startswith("feedforward   40.0 %  2/5")
    assert "time-delay" not in result.stdout
    assert "errors of feedforward:" in result.stdout
    assert "      ? for 2009: xxx" in result.stdout
    refused(charlm(*POSITION, "score", experiment, mine, "--reader", "gnu"), 2, "--reader is 'gnu'")


def test_where_all_is_right_no_errors_are_listed(
    charlm: Invoke, experiment: Path, tmp_path: Path
) -> None:
    file = tmp_path / "right.tsv"
    file.write_text("Era il 2009.\t2009\n\nEra\til 1969.\t 1969 \r\n")  # only the last tab counts
    result = charlm(*POSITION, "score", experiment, file, "--reader", "time-delay")
    assert result.stdout == "time-delay  100.0 %  2/2\n"


@pytest.mark.parametrize("line", ["Era il 1969.", "Era il 1969. 1969", "Era il 1969.\t", "\t1969"])
def test_a_line_that_is_not_a_sentence_and_its_year_is_named(
    charlm: Invoke, experiment: Path, tmp_path: Path, line: str
) -> None:
    file = tmp_path / "bad.tsv"
    file.write_text(f"Era il 2009.\t2009\n\n{line}\nEra il 2010.\t2010\n")
    result = charlm(*POSITION, "score", experiment, file)
    refused(result, 2, f"{file}: line 3 is not a sentence, a tab and its answer", line.strip())


def test_lines_of_a_file_are_counted_as_an_editor_counts_them(
    charlm: Invoke, experiment: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.tsv"
    file.write_text("Era\x0cil 2009.\t2009\nEra\u2028il 2009.\t2009\nbad\n", encoding="utf-8")
    refused(charlm(*POSITION, "score", experiment, file), 2, f"{file}: line 3 is not a sentence")


def test_a_file_without_sentences_is_refused(
    charlm: Invoke, experiment: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.tsv").write_text("")
    (tmp_path / "blank.tsv").write_text("\n  \n")
    (tmp_path / "bytes.tsv").write_bytes(b"Nel \xff\t2009\n")
    score = (*POSITION, "score", experiment)
    for name, code, part in (
        ("empty.tsv", 1, "empty"),
        ("blank.tsv", 2, "contains no sentence"),
        ("bytes.tsv", 1, "byte 0xff at offset 4"),
        ("missing.tsv", 2, "no such file"),
    ):
        refused(charlm(*score, tmp_path / name), code, str(tmp_path / name), part)


# ----------------------------------------------------------------------------- no experiment there


def test_asking_and_scoring_write_nothing(charlm: Invoke, experiment: Path, mine: Path) -> None:
    """An experiment can be used on a read-only disk, and by two processes at once."""
    before = everything_in(experiment)
    answer(charlm, experiment, "Era il 2009.")
    assert charlm(*POSITION, "score", experiment, mine).exit_code == 0
    assert everything_in(experiment) == before


def test_where_there_is_no_experiment_one_is_told_how_to_make_it(
    charlm: Invoke, tmp_path: Path, mine: Path
) -> None:
    for out in (tmp_path, tmp_path / "none"):
        for arguments in (["ask", out, "Era il 2009."], ["score", out, mine]):
            result = charlm(*POSITION, *arguments)
            refused(result, 2, f"{out} contains no experiment", "charlm experiment position-inv")


def test_where_no_reader_is_finished_one_is_told_how_to_go_on(
    charlm: Invoke, experiment: Path, tmp_path: Path, mine: Path
) -> None:
    out = tmp_path / "a run"
    out.mkdir()
    for name in ("config.json", "tests.json"):
        shutil.copy(experiment / name, out / name)
    for arguments in (["ask", out, "Era il 2009."], ["score", out, mine]):
        result = charlm(*POSITION, *arguments)
        refused(result, 1, "no reader is finished yet")
        command = shlex.split(result.stderr.partition("continue: ")[2])
        assert command == ["charlm", *POSITION, "--resume", "--out", str(out)]


def test_what_is_finished_can_be_asked_before_the_rest(
    charlm: Invoke, experiment: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(experiment, copy)
    for path in (copy / "cells").glob("*-[23].*"):
        path.unlink()
    for path in (copy / "cells").glob("tagger*"):
        path.unlink()
    # Of the first seed alone there is no vote.
    asked = answer(charlm, copy, "--reader", "feedforward", "Era il 1969.")
    assert asked.stdout == "1111\n"
    assert answer(charlm, copy, "Era il 1969.").stdout == "1969\n"
    refused(
        charlm(*POSITION, "ask", copy, "--reader", "tagger", "Era il 1969."),
        2,
        "has feedforward, time-delay",
    )


# ----------------------------------------------------------------------------------------- signals

posix = pytest.mark.skipif(os.name != "posix", reason="needs process groups")


def group(number: int) -> list[str]:
    """The processes of a process group that have not ended, by their command lines."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            state, _, its_group = folder.joinpath("stat").read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == number and state not in "ZX":
                found.append(folder.joinpath("cmdline").read_text().replace("\0", " "))
    return found


class Command:
    """The real command in a session of its own, as a shell starts it."""

    def __init__(self, out: Path, jobs: int = 1) -> None:
        self.talk: list[str] = []
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "charlm",
                *POSITION,
                "--resume",
                "--out",
                str(out),
                "--jobs",
                str(jobs),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_for(self, text: str) -> None:
        assert self.process.stderr is not None
        while not any(text in line for line in self.talk):
            line = self.process.stderr.readline()
            assert line, f"ended by itself: {self.talk}"
            self.talk.append(line)

    def end(self) -> tuple[int, str]:
        """(exit code, stdout); within seconds nothing of it is left."""
        left = []
        try:
            self.process.wait(timeout=60)
            deadline = time.monotonic() + 5
            while (left := group(self.process.pid)) and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        output, rest = self.process.communicate()
        self.talk += rest.splitlines()
        assert not left
        return self.process.returncode, output


@pytest.fixture
def begun(tmp_path: Path) -> Grid:
    """Forty cells of one step each, none of them computed."""
    from charlm.experiments.position_invariance.design import from_template

    (tmp_path / "travels.txt").write_text(TEMPLATE)
    made = Grid(tmp_path / "a run")
    made.begin(
        from_template(tmp_path / "travels.txt"), Settings(("time-delay",), 40, 1, per_offset=1)
    )
    return made


@posix
@pytest.mark.usefixtures("unplotted")
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_ctrl_c_keeps_what_is_finished_says_how_to_go_on_and_leaves_no_process(
    charlm: Invoke, begun: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = Command(begun.path)
    command.wait_for("5 %")
    os.killpg(command.process.pid, signal.SIGINT)  # as a terminal sends it: to all of them
    assert command.end() == (130, "")
    talk = "\n".join(command.talk)
    assert "Traceback" not in talk
    assert "error" not in talk
    finished = 40 - len(begun.unfinished())
    assert 1 <= finished < 40
    last = command.talk[-1]
    assert last.startswith(f"{finished} of 40 readers are trained; continue: charlm experiment ")
    arguments = shlex.split(last.partition("continue: charlm ")[2])
    assert arguments == [*POSITION, "--resume", "--out", str(begun.path)]
    asked: list[list[tuple[str, int]]] = []
    monkeypatch.setattr(Grid, "run", lambda made, *args: asked.append(made.unfinished()))
    resumed = charlm(*arguments)
    assert resumed.exit_code == 0, resumed.output
    assert asked == [begun.unfinished()]
    assert f"training {40 - finished} of 40 readers" in resumed.stderr


@posix
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    "delay",
    [
        pytest.param(d, marks=[] if d == 0.05 else [pytest.mark.slow])
        for d in (0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.4, 0.8)
    ],
)
def test_ctrl_c_while_the_processes_start_shows_no_traceback(begun: Grid, delay: float) -> None:
    """A process that does not ignore the signal yet dies from it, and must do so silently."""
    command = Command(begun.path, jobs=2)
    command.wait_for("training 40 of 40 readers")
    time.sleep(delay)
    os.killpg(command.process.pid, signal.SIGINT)
    assert command.end() == (130, "")
    talk = "\n".join(command.talk)
    assert "Traceback" not in talk, talk
    assert "Error" not in talk, talk


@posix
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), pytest.param(signal.SIGKILL, -9, marks=pytest.mark.slow)],
)
def test_no_process_trains_on_when_the_command_is_ended_alone(
    begun: Grid, number: signal.Signals, code: int
) -> None:
    """``kill``, ``timeout`` or a lack of memory: the signal goes to the command, not to the
    processes that it started. They would continue for hours unnoticed."""
    command = Command(begun.path)
    command.wait_for("training 40 of 40 readers")
    time.sleep(1)
    command.process.send_signal(number)
    ended, output = command.end()
    assert (ended, output) == (code, "")
    if number == signal.SIGTERM:
        assert re.match(r"\d+ of 40 readers are trained; continue: charlm exp", command.talk[-1])
