"""``charlm experiment page``: the command, its answers, its scores, its refusals.

The readers are trained for a few steps, so what they answer is wrong; where an answer matters they
are set by hand: ``conv`` points where it is told to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result

from charlm.experiments.page import ask as asking
from charlm.experiments.page import grid as grids
from charlm.experiments.page import sheets
from charlm.experiments.page.design import BOTH, PLACES, SEEN, Design
from charlm.experiments.page.grid import Grid, Settings
from charlm.experiments.page.readers import Reader, Scores
from charlm.experiments.page.training import BATCH_SIZE
from charlm.inspection import saliency as maps
from charlm.inspection.saliency import Saliency

Invoke = Callable[..., Result]
PAGE = ("experiment", "page")

MINE = """\
volo 1987

       anno
       2009      posto 1911
"""


@pytest.fixture(scope="session")
def charlm(charlm: Invoke) -> Invoke:
    """An unexpected error is one line too, but it is still a bug."""

    def invoke(*arguments: object, **more: Any) -> Result:
        result = charlm(*arguments, **more)
        assert "a fault in charlm" not in result.output, result.output
        return result

    return invoke


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, charlm: Invoke) -> tuple[Path, Result]:
    """A small grid of two readers, and what the command printed."""
    out = tmp_path_factory.mktemp("page") / "run"
    options = ("--quick", "--readers", "conv,feedforward", "--steps", 2, "--widths", "10")
    real = Design.tests

    def tests(self: Design, per_place: int) -> Any:
        return {name: pages[::5] for name, pages in real(self, per_place).items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grids, "VOCABULARY_FROM", 200)
        patch.setattr(grids, "PER_WIDTH", 10)
        patch.setattr(grids, "VALIDATION", 10)
        patch.setattr(grids, "SOME", 10)
        patch.setattr(Design, "tests", tests)
        result = charlm(*PAGE, *options, "--out", out, "--jobs", 1)
    assert result.exit_code == 0, result.output
    return out, result


@pytest.fixture(scope="module")
def run(made: tuple[Path, Result]) -> Path:
    return made[0]


def refused(result: Result, code: int, *said: str) -> None:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1].startswith("error: ")
    for each in said:
        assert each in result.stderr


# -------------------------------------------------------------------------------------- the command


def test_the_command_prints_tables_strips_and_findings(made: tuple[Path, Result]) -> None:
    out, result = made
    for said in ("word above", "word to the left", "10 columns", "held out", "no conclusion"):
        assert said in result.stdout
    assert "training 3 of 3 readers: 2 kinds, 1 seed, 2 steps each, page widths 10" in result.stderr
    files = result.stdout.splitlines()[-11:]
    assert files[0] == str(out / "results.json")
    assert files[-1] == str(out / "page.html")
    assert all(Path(file).exists() for file in files)
    made_of = Grid(out).settings
    assert made_of == Settings(("conv", "feedforward"), 1, 2, 1, (10,))


def test_resume_trains_nothing_again(run: Path, charlm: Invoke) -> None:
    before = (run / "cells" / "conv-1.safetensors").stat().st_mtime_ns
    result = charlm(*PAGE, "--resume", "--out", run)
    assert result.exit_code == 0
    assert "all 3 readers are trained already" in result.stderr
    assert (run / "cells" / "conv-1.safetensors").stat().st_mtime_ns == before
    refused(charlm(*PAGE, "--resume", "--out", run, "--widths", "20"), 2, "leave out --widths")
    refused(charlm(*PAGE, "--out", run), 2, "already contains an experiment")


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ([], Settings(("feedforward",), 5, grids.STEPS, grids.PER_PLACE, ())),
        (["--quick", "--steps", 9], Settings(("feedforward",), 1, 9, grids.QUICK_PER_PLACE, ())),
    ],
)
def test_the_settings_of_one_reader_without_other_widths(
    charlm: Invoke,
    options: list[object],
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert begun(charlm, monkeypatch, tmp_path, "--readers", "feedforward", *options) == settings


@pytest.mark.parametrize(
    ("options", "widths"),
    [
        ([], grids.WIDTHS),
        (["--quick"], ()),
        (["--quick", "--widths", "80, 10,10"], (10, 80)),
        (["--widths", "none"], ()),
    ],
)
def test_the_widths(
    charlm: Invoke,
    options: list[str],
    widths: tuple[int, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert begun(charlm, monkeypatch, tmp_path, *options).widths == widths


def begun(charlm: Invoke, monkeypatch: pytest.MonkeyPatch, out: Path, *options: object) -> Settings:
    """The settings with which the command would begin."""
    found: list[Settings] = []

    def begin(self: Grid, settings: Settings) -> None:
        found.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(Grid, "begin", begin)
    charlm(*PAGE, "--out", out / "new", *options)
    return found[0]


@pytest.mark.parametrize("widths", ["5", "81", "10,", "ten", "", "10;20", "-10", "none,10", "٢٠"])
def test_a_width_that_is_none_is_refused(charlm: Invoke, widths: str, tmp_path: Path) -> None:
    refused(charlm(*PAGE, "--widths", widths, "--out", tmp_path / "x"), 2, "from 10 to 80")
    assert not (tmp_path / "x").exists()


def test_widths_need_a_reader_that_is_trained_on_them(charlm: Invoke, tmp_path: Path) -> None:
    options = ("--readers", "feedforward", "--widths", "20", "--out", tmp_path / "x")
    refused(charlm(*PAGE, *options), 2, "only lstm, conv, renet, mdlstm")


def test_the_help_states_the_defaults(charlm: Invoke) -> None:
    shown = " ".join(charlm(*PAGE, "--help").stdout.split())
    assert f"[default: {grids.STEPS}; --quick: {grids.QUICK_STEPS}]" in shown
    assert f"of {BATCH_SIZE} pages each" in shown
    assert f"[default: {','.join(map(str, grids.WIDTHS))}; --quick: none]" in shown
    *rest, last = grids.WIDTH_READERS
    assert f"{', '.join(rest)} and {last}" in shown


# ---------------------------------------------------------------------------------------------- ask


def points(monkeypatch: pytest.MonkeyPatch, place: tuple[int, int], value: str) -> None:
    """Every reader says so about every page, by a margin that the word "anno" raises."""

    def forward(self: Reader, ids: torch.Tensor) -> Scores:
        B, R, C = ids.shape
        scores = torch.zeros(B, R * C)
        n = int(self.vocabulary.tokenizer.encode("n")[0])
        scores[:, place[0] * C + place[1] + 3] = 5.0 + (ids == n).sum((1, 2))
        digits = torch.zeros(B, 4, 10)
        digits[:, torch.arange(4), torch.tensor([int(digit) for digit in value])] = 9.0
        return Scores(scores, digits)

    monkeypatch.setattr(Reader, "forward", forward)


def notes(result: Result) -> list[str]:
    """What is said on stderr, without that the readers of this run are untrained."""
    return [line for line in result.stderr.splitlines() if "its answer means little" not in line]


def test_ask_prints_the_number_and_its_place(
    run: Path, charlm: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points(monkeypatch, (3, 7), "2009")
    file = tmp_path / "mine.txt"
    file.write_text(MINE)
    result = charlm(*PAGE, "ask", run, file)
    assert result.stdout == "2009  row 4, columns 8 to 11\n"
    padded, untrained = result.stderr.splitlines()
    assert padded == f"{file}: 4 lines of up to 27 characters; padded with blanks to 24 x 40"
    assert untrained.endswith(
        " finds less than 95 % at seen places, so its answer means little; train it with more "
        "--steps"
    )
    piped = charlm(*PAGE, "ask", run, "-", "--reader", "feedforward", input=MINE)
    assert piped.stdout == result.stdout
    assert piped.stderr.startswith("standard input: 4 lines")


def test_ask_says_what_it_cuts(
    run: Path, charlm: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points(monkeypatch, (3, 7), "2009")
    file = tmp_path / "mine.txt"
    long = [MINE.rstrip("\n"), *["a" * 52, "b\tc"], *["d"] * 24]
    file.write_text("\r\n".join(long) + "\n\n")
    assert notes(charlm(*PAGE, "ask", run, file)) == [
        f"{file}: 30 lines; the last 6 are cut",
        f"{file}: line 5 has 52 characters; 12 are cut",
    ]
    # What is padded is said of the lines that are left.
    file.write_text("       2009\n" * 30)
    assert notes(charlm(*PAGE, "ask", run, file)) == [
        f"{file}: 30 lines; the last 6 are cut",
        f"{file}: 24 lines of up to 11 characters; padded with blanks to 24 x 40",
    ]
    file.write_text(MINE + "≈ ☃\n≈\n")
    assert notes(charlm(*PAGE, "ask", run, file))[1:] == [
        "read as the unknown symbol: 3 characters the model has never seen: '≈' U+2248 (2 times), "
        "'☃' U+2603; the first at line 5, column 1"
    ]


@pytest.mark.parametrize(
    ("place", "value", "doubt"),
    [
        ((3, 7), "1987", "answers 1987, but points at 2009"),
        ((2, 7), "2009", "points at 'anno', which is not a number of four digits"),
        ((0, -3), "2009", "points at 'v', which is not a number of four digits"),
        ((23, 36), "2009", "points at '    ', which is not a number of four digits"),
    ],
)
def test_ask_says_what_speaks_against_an_answer(
    run: Path,
    charlm: Invoke,
    place: tuple[int, int],
    value: str,
    doubt: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points(monkeypatch, place, value)
    result = charlm(*PAGE, "ask", run, "-", "--reader", "conv", input=MINE)
    assert result.stderr.splitlines()[-1] == f"conv {doubt}"
    assert result.stdout.startswith(value)


def test_a_page_in_another_encoding(
    run: Path, charlm: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points(monkeypatch, (0, 5), "2009")
    file = tmp_path / "mine.txt"
    for command, text in (("ask", "anno 2009 ≈ì\n"), ("score", "anno 2009 ≈ì\n=== 2009\n")):
        file.write_bytes(text.encode("utf-16-le"))
        refused(charlm(*PAGE, command, run, file), 1, "--encoding")
        result = charlm(*PAGE, command, run, file, "--encoding", "utf-16-le")
        assert result.exit_code == 0, result.output
        assert "'≈' U+2248" in result.stderr


def test_a_page_without_a_number_has_no_answer(run: Path, charlm: Invoke) -> None:
    result = charlm(*PAGE, "ask", run, "-", input="anno 200 20091\n")
    assert result.stdout == "-\n"
    assert "no answer: standard input has no four-digit number" in result.stderr
    options = ("--html", "x.html")
    refused(charlm(*PAGE, "ask", run, "-", *options, input="ciao\n"), 2, "leave out --saliency")


def test_the_saliency_is_that_of_what_decides(
    run: Path, charlm: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points(monkeypatch, (3, 7), "2009")
    page = tmp_path / "why.html"
    result = charlm(*PAGE, "ask", run, "-", "--saliency", "--html", page, input=MINE)
    answer, *grid, name = result.stdout.splitlines()
    assert answer == "2009  row 4, columns 8 to 11"
    text, marks = grid[:4], grid[5:]
    assert text == MINE.splitlines()
    assert grid[4] == ""
    assert marks == ["", "", "        99", ""]  # only the two n of "anno" count
    assert name == str(page)
    shown = page.read_text("utf-8")
    assert "answers <b>2009, row 4, columns 8 to 11</b>" in shown
    strong = re.findall(r'title="\+0\.\d{3} nats" style="[^"]*0\.600\)">(.)<', shown)
    assert strong == ["n", "n"]
    assert "white-space: pre" in shown


def test_occlusion_is_the_drop_of_the_log_probability_of_place_and_digits(run: Path) -> None:
    """Against one page at a time, and probabilities instead of their logarithms."""
    panel = asking.Panel(Grid(run))
    sheet = sheets.fit(MINE, "mine")
    answer = asking.Answer("2009", 3, 7)
    reader = panel.members("conv")[0]
    found = asking.occlusion(reader, sheet, answer)

    def probability(ids: np.ndarray) -> float:
        with torch.no_grad():
            said = reader(torch.from_numpy(ids)[None])
        share = float(said.place.double().softmax(-1)[0, 3 * 40 + 10])
        for digit, scores in zip("2009", said.digits[0].double().softmax(-1), strict=True):
            share *= float(scores[int(digit)])
        return share

    ids = reader.vocabulary.encode([sheet.rows])[0].astype(np.int64)
    for row, column in ((0, 0), (2, 8), (3, 7), (3, 26)):
        without = ids.copy()
        without[row, column] = reader.vocabulary.unknown
        expected = np.log(probability(ids)) - np.log(probability(without))
        assert found[row, column] == pytest.approx(expected, abs=1e-4)
    blank = np.array([[character == " " for character in row] for row in sheet.rows])
    assert not found[blank].any()
    shown = panel.saliency("conv", sheet, answer)
    assert shown.text == MINE.rstrip("\n")
    assert shown.nats[shown.text.index("2009")] == pytest.approx(found[3, 7])


def test_colours_of_several_lines() -> None:
    found = Saliency("ab\n c", np.array([1.0, -0.5, 0, 0, 0.06]))
    assert maps.in_terminal(found, False) == "ab\n c\n\n9-\n 1"
    assert maps.in_terminal(found, True).count("\n") == 1
    # A mark is below its character, also after characters of two columns, of none, or escaped.
    wide = Saliency("日e\u0301\x1bx", np.array([1.0, 0.5, 0.5, 0, -1]))
    assert maps.in_terminal(wide, False) == "日e\u0301\\x1bx\n9 5    -"
    assert "</span>\n<span" in maps.in_html(found)


# -------------------------------------------------------------------------------------------- score


def test_score_counts_places_and_values(
    run: Path, charlm: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points(monkeypatch, (3, 7), "2009")
    file = tmp_path / "pages.txt"
    # The second page has the number twice: either place is right. The third one has another.
    twice = MINE.replace("1987", "2009")
    file.write_text(f"{MINE}=== 2009\n{twice}===2009 \n{MINE}=== 1987\n")
    result = charlm(*PAGE, "score", run, file)
    head, *rows = result.stdout.split("\n\n")[0].splitlines()
    assert head.split() == ["reader", "places", "values"]
    assert [row.split() for row in rows] == [
        ["conv", "66.7", "%", "2/3", "66.7", "%", "2/3"],
        ["feedforward", "66.7", "%", "2/3", "66.7", "%", "2/3"],
    ]
    error = "  2009 in row 4, columns 8 to 11 for 1987: page at line 11"
    assert f"errors of conv:\n{error}\n" in result.stdout
    scored = json.loads(charlm(*PAGE, "score", run, file, "--reader", "conv", "--json").stdout)
    assert scored == {
        "readers": {
            "conv": {
                "count": 3,
                "place": 2 / 3,
                "value": 2 / 3,
                "errors": [{"line": 11, "answer": "1987", "found": "2009", "row": 4, "column": 8}],
            }
        }
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MINE, "begins at line 1 has no answer"),
        (f"{MINE}=== 2009\n{MINE}", "begins at line 6 has no answer"),
        (f"{MINE}=== 09\n", "line 5 is '=== 09'; after a page comes === and its number"),
        ("\n=== 2009\n", "line 2 has an answer without a page before it"),
        (f"{MINE}=== 2010\n", "line 5: the number 2010 is not on the page"),
        (f"{MINE}20091\n=== 2010\n", "line 6: the number 2010 is not on the page"),
        (f"{' ' * 40}2010\n=== 2010\n", "line 2: the number 2010 is cut away"),
        ("\n" * 30 + "2010\n=== 2010\n", "line 32: the number 2010 is cut away"),
    ],
)
def test_a_bad_file_is_refused_by_its_line(
    run: Path, charlm: Invoke, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "pages.txt"
    file.write_text(text)
    refused(charlm(*PAGE, "score", run, file), 2, said)


def test_what_is_missing_is_named(run: Path, charlm: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text(MINE)
    for command in ("ask", "score"):
        nothing = charlm(*PAGE, command, run, tmp_path / "none.txt")
        refused(nothing, 2, "no such file")
        refused(charlm(*PAGE, command, run, "-", input=" \n\n"), 2, "the page is empty")
        refused(charlm(*PAGE, command, run, tmp_path), 2, "is a directory; name a text file")
    refused(charlm(*PAGE, "ask", tmp_path / "x", file), 2, "run one: charlm experiment page --out")
    refused(
        charlm(*PAGE, "ask", run, file, "--reader", "conv@10"), 2, f"{run} has conv, feedforward"
    )


# ---------------------------------------------------------------------------------------- for real


@pytest.mark.slow
def test_the_quick_run_shows_what_the_experiment_is_about(charlm: Invoke, tmp_path: Path) -> None:
    """In two dimensions, and with a convolution, what was learned holds at other places; with a
    weight for each place it does not."""
    out = tmp_path / "quick"
    result = charlm(*PAGE, "--quick", "--out", out)
    assert result.exit_code == 0, result.output
    results = Grid(out).results()
    for reader in ("conv", "mdlstm"):
        for part in (SEEN, BOTH):
            assert results.accuracy(reader, PLACES, part).mean > 0.9, (reader, part)
    assert results.accuracy("feedforward", PLACES, BOTH).mean < results.chance(PLACES, BOTH)
