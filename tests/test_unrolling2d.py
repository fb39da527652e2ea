"""The unrolled graph in two dimensions: counts against brute force, and a drawing of all of it."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from test_svg import contrast

from charlm import svg
from charlm.errors import RequestError
from charlm.inspection import unrolling2d
from charlm.inspection.unrolling2d import Grid, Place

Invoke = Callable[..., Result]
SVG = "{http://www.w3.org/2000/svg}"
SIZES = [(1, 1), (1, 4), (4, 1), (2, 2), (3, 4), (5, 3), (12, 20)]
SMALL = [(r, c) for r, c in SIZES if r * c < 20]
PICTURE = Path(__file__).resolve().parent.parent / "docs" / "pictures" / "unroll-2d.svg"

GOLDEN = """\
        x              x              x              x
        │W             │W             │W             │W
     ┌──▼─────┐     ┌──▼─────┐     ┌──▼─────┐     ┌──▼─────┐
     │ h(1,1) ├─U2─►│ h(1,2) ├─U2─►│ h(1,3) ├─U2─►│ h(1,4) │
     │ step 1 │     │ step 2 │     │ step 3 │     │ step 4 │
     └─────┬──┘     └─────┬──┘     └─────┬──┘     └─────┬──┘
        x  │           x  │           x  │           x  │
        │W │U1         │W │U1         │W │U1         │W │U1
     ┌──▼──▼──┐     ┌──▼──▼──┐     ┌──▼──▼──┐     ┌──▼──▼──┐
     │ h(2,1) ├─U2─►│ h(2,2) ├─U2─►│ h(2,3) ├─U2─►│ h(2,4) │
     │ step 2 │     │ step 3 │     │ step 4 │     │ step 5 │
     └─────┬──┘     └─────┬──┘     └─────┬──┘     └─────┬──┘
        x  │           x  │           x  │           x  │
        │W │U1         │W │U1         │W │U1         │W │U1
     ┌──▼──▼──┐     ┌──▼──▼──┐     ┌──▼──▼──┐     ┌──▼──▼──┐
     │ h(3,1) ├─U2─►│ h(3,2) ├─U2─►│ h(3,3) ├─U2─►│ h(3,4) │
     │ step 3 │     │ step 4 │     │ step 5 │     │ step 6 │
     └────────┘     └────────┘     └────────┘     └────────┘

a = W x(i,j) + U1 h(i-1,j) + U2 h(i,j-1) + b
i, f1, f2, o = sigmoid and g = tanh of the five parts of a
c(i,j) = f1 * c(i-1,j) + f2 * c(i,j-1) + i * g
h(i,j) = o * tanh(c(i,j))

W, U1, U2 and b are the same at every place. Outside the grid, h and c are
zero.
All places of one diagonal have the same step: they can be computed at the same
time. 3 + 4 - 1 = 6 steps of whole diagonals instead of 3 x 4 = 12.
10 paths lead from h(1,1) to h(3,4). The gradient is a sum over all of them,
and each multiplies the forget gates on its way: f1 + f2 above 1 lets the
gradient grow, below 1 lets it vanish.
A reader of pages uses four of these, one from each corner.
"""


# -------------------------------------------------------------------------------------- the graph


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_edges_lead_from_a_neighbor_of_one_step_before(rows: int, columns: int) -> None:
    grid = Grid(rows, columns)
    weights = Counter(edge.weight for edge in grid.edges)
    assert (weights["U1"], weights["U2"]) == ((rows - 1) * columns, rows * (columns - 1))
    assert len(set(grid.edges)) == len(grid.edges)
    places = set(grid.places)
    assert len(places) == len(grid.places) == rows * columns
    for begin, end, weight in grid.edges:
        assert {begin, end} <= places
        assert end.step == begin.step + 1
        moved = (end.row - begin.row, end.column - begin.column)
        assert moved == {"U1": (1, 0), "U2": (0, 1)}[weight]


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_a_place_is_computed_as_soon_as_everything_it_reads_is_there(
    rows: int, columns: int
) -> None:
    """Steps by simulation: in each, every place is computed whose neighbors are there."""
    grid = Grid(rows, columns)
    done: set[Place] = set()
    for step in itertools.count(1):
        ready = {
            place
            for place in set(grid.places) - done
            if {edge.begin for edge in grid.edges if edge.end == place} <= done
        }
        if not ready:
            break
        assert {place.step for place in ready} == {step}
        done |= ready
    assert done == set(grid.places)
    assert step - 1 == grid.steps


@pytest.mark.parametrize(("rows", "columns"), SMALL)
def test_paths_are_those_that_a_walk_finds(rows: int, columns: int) -> None:
    grid = Grid(rows, columns)
    last = Place(rows, columns)

    def walks(place: Place) -> int:
        if place == last:
            return 1
        return sum(walks(edge.end) for edge in grid.edges if edge.begin == place)

    assert walks(Place(1, 1)) == grid.paths


def cells(rows: int, columns: int, first: float, f1: float, f2: float) -> np.ndarray:
    """c(i,j) with constant forget gates and no input but ``first`` at the first place."""
    c = np.zeros((rows + 1, columns + 1))
    for i, j in np.ndindex(rows, columns):
        new = first if (i, j) == (0, 0) else 0.0
        c[i + 1, j + 1] = f1 * c[i, j + 1] + f2 * c[i + 1, j] + new
    return c[1:, 1:]


@pytest.mark.parametrize(("f1", "f2"), [(0.5, 0.3), (0.5, 0.5), (0.9, 0.6)])
def test_the_gradient_is_the_sum_over_all_paths(f1: float, f2: float) -> None:
    """What the notes say, by differences: paths count, and f1 + f2 decides whether it grows."""
    n = 8
    gradient = (cells(n, n, 1.5, f1, f2) - cells(n, n, 0.5, f1, f2)) / 1.0
    for place in Grid(n, n).places:
        here = Grid(*place)
        assert gradient[place.row - 1, place.column - 1] == pytest.approx(
            here.paths * f1 ** (place.row - 1) * f2 ** (place.column - 1)
        )
    diagonals = [np.fliplr(gradient).trace(n - 1 - k) for k in range(n)]
    np.testing.assert_allclose(diagonals, [(f1 + f2) ** k for k in range(n)])


@pytest.mark.parametrize(("rows", "columns"), [(0, 4), (3, 0), (13, 4), (3, 21), (-1, -1)])
def test_a_grid_that_cannot_be_drawn_is_refused(rows: int, columns: int) -> None:
    with pytest.raises(RequestError, match=rf"^a grid of {rows} x {columns} places cannot be"):
        Grid(rows, columns)


def test_notes_have_the_numbers_of_the_grid() -> None:
    text = " ".join(unrolling2d.notes(Grid(5, 7)))
    assert "5 + 7 - 1 = 11 steps of whole diagonals instead of 5 x 7 = 35." in text
    assert "210 paths lead from h(1,1) to h(5,7)" in text
    assert "four of these, one from each corner" in text
    one = " ".join(unrolling2d.notes(Grid(1, 1)))
    assert "= 1 step of" in one and "1 path leads from h(1,1) to h(1,1)" in one
    assert "f1 + f2" not in " ".join(unrolling2d.notes(Grid(4, 1)))  # there is one forget gate


# ------------------------------------------------------------------------------------ the drawings


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_the_figure_shows_each_node_and_edge_once(rows: int, columns: int) -> None:
    grid = Grid(rows, columns)
    root = ET.fromstring(unrolling2d.svg(grid))
    words = ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]
    nodes = [word for word in words if re.fullmatch(r"h\(\d+,\d+\)", word)]
    assert nodes == [f"h({i + 1},{j + 1})" for i in range(rows) for j in range(columns)]
    counted = Counter(words)
    assert counted["x"] == counted["W"] == rows * columns
    assert counted["U1"] == (rows - 1) * columns and counted["U2"] == rows * (columns - 1)
    lines = Counter(line.get("stroke") for line in root.iter(f"{SVG}line"))
    assert sorted(lines.values()) == sorted(
        filter(None, (counted["x"], counted["U1"], counted["U2"]))
    )
    steps = Counter(word for word in words if word.startswith("step "))
    assert steps == Counter(f"step {i + j + 1}" for i in range(rows) for j in range(columns))
    for equation in unrolling2d.EQUATIONS:
        assert counted[equation] == 1
    for note in unrolling2d.notes(grid):
        assert note in " ".join(words)
    width, height = (float(root.get(side, "0")) for side in ("width", "height"))
    for each in root.iter(f"{SVG}text"):
        assert 0 < float(each.get("x", "0")) < width
        assert 0 < float(each.get("y", "0")) < height
    bare = ET.fromstring(unrolling2d.svg(grid, legend=False))
    assert len(list(bare.iter(f"{SVG}text"))) < len(words)


def test_an_arrow_ends_at_the_box_that_it_enters() -> None:
    root = ET.fromstring(unrolling2d.svg(Grid(3, 4)))
    boxes = {
        (float(r.get("x", "")), float(r.get("y", "")))
        for r in root.iter(f"{SVG}rect")
        if r.get("rx")
    }
    assert len(boxes) == 12
    for line in root.iter(f"{SVG}line"):
        x, y = (float(line.get(name, "")) for name in ("x2", "y2"))
        near = [
            (left, top)
            for left, top in boxes
            if left - 4 <= x <= left + 90 and top - 4 <= y <= top + 50
        ]
        assert len(near) == 1, (x, y)


def test_each_diagonal_has_its_own_tint_on_which_text_can_be_read() -> None:
    root = ET.fromstring(unrolling2d.svg(Grid(3, 4)))
    tints = [r.get("fill-opacity") for r in root.iter(f"{SVG}rect") if r.get("fill-opacity")]
    by_step: dict[int, set[str | None]] = {}
    for place, tint in zip(Grid(3, 4).places, tints, strict=True):
        by_step.setdefault(place.step, set()).add(tint)
    assert [len(found) for _, found in sorted(by_step.items())] == [1] * 6
    strengths = [float(found.pop() or 0) for _, found in sorted(by_step.items())]
    assert strengths == sorted(set(strengths))

    def mixed(tint: str, paper: str, share: float) -> str:
        pairs = zip(bytes.fromhex(tint[1:]), bytes.fromhex(paper[1:]), strict=True)
        return "#" + bytes(round(share * a + (1 - share) * b) for a, b in pairs).hex()

    green = "#1b7837"
    for share in strengths:
        assert contrast(svg.INK, mixed(green, svg.PAPER, share)) >= 4.5
        dark = mixed(svg.DARK[green], svg.DARK[svg.PAPER], share)
        assert contrast(svg.DARK[svg.INK], dark) >= 4.5


@pytest.mark.parametrize("width", [1, 40, 80, 100, 400])
@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_a_terminal_shows_every_place_within_its_width(rows: int, columns: int, width: int) -> None:
    lines = unrolling2d.text(Grid(rows, columns), width)
    names = re.findall(r"h\(\d+,\d+\)", " ".join(lines))
    assert sorted(names) == sorted(place.name for place in Grid(rows, columns).places)
    assert max(map(len, lines)) <= max(width, 25)
    # An arrow between two parts is drawn in both of them.
    parts = max(1, sum(line.endswith(":") for line in lines))
    assert " ".join(lines).count("─U2─►") == rows * (columns - 1) + rows * (parts - 1)
    # Every box is closed: its borders stand below each other.
    for top, bottom in zip(lines, lines[3:], strict=False):
        if "┌" in top:
            assert [m.start() for m in re.finditer("[┌┐]", top)] == [
                m.start() for m in re.finditer("[└┘]", bottom)
            ]


def test_colour_and_ascii_change_nothing_else() -> None:
    plain = unrolling2d.text(Grid(3, 4))
    tinted = unrolling2d.text(Grid(3, 4), colour=True)
    assert [re.sub(r"\x1b\[[\d;]*m", "", line) for line in tinted] == plain
    backgrounds = re.findall(r"48;5;(\d+)m step (\d)", "\n".join(tinted))
    assert len({step for _, step in backgrounds}) == len(set(backgrounds)) == 6
    in_ascii = unrolling2d.text(Grid(3, 4), ascii_only=True)
    assert all(map(str.isascii, in_ascii))
    assert list(map(len, in_ascii)) == list(map(len, plain))
    assert in_ascii[3].startswith("     | h(1,1) +-U2->| h(1,2) +-U2->")


# -------------------------------------------------------------------------------------- the command


def unroll(charlm: Invoke, *arguments: object) -> Result:
    return charlm("inspect", "unroll", *arguments)


def test_the_terminal_shows_the_golden_text(
    charlm: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    done = unroll(charlm, "--cell", "mdlstm", "--rows", 3, "--columns", 4)
    assert (done.exit_code, done.stdout, done.stderr) == (0, GOLDEN, "")
    assert unroll(charlm, "--cell", "mdlstm").stdout == GOLDEN


def test_an_output_without_unicode_gets_ascii() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "charlm", "inspect", "unroll", "--cell", "mdlstm"],
        env=os.environ | {"PYTHONIOENCODING": "ascii", "COLUMNS": "100"},
        capture_output=True,
        check=True,
    )
    shown = done.stdout.decode("ascii").splitlines()
    assert shown[0] == GOLDEN.splitlines()[0]
    assert "\\u" not in done.stdout.decode("ascii")
    assert "| h(3,4) |" in "\n".join(shown)


def test_json_is_the_graph(charlm: Invoke) -> None:
    done = unroll(charlm, "--cell", "mdlstm", "--rows", 2, "--columns", 3, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {key: found[key] for key in ("cell", "rows", "columns", "steps", "paths")} == {
        "cell": "mdlstm",
        "rows": 2,
        "columns": 3,
        "steps": 4,
        "paths": 3,
    }
    steps = {tuple(node["place"]): node["step"] for node in found["nodes"]}
    assert steps == {(1, 1): 1, (1, 2): 2, (1, 3): 3, (2, 1): 2, (2, 2): 3, (2, 3): 4}
    assert len(found["edges"]) == 7
    assert {"from": [1, 2], "to": [2, 2], "weight": "U1"} in found["edges"]
    assert {"from": [2, 1], "to": [2, 2], "weight": "U2"} in found["edges"]


def test_figures_are_written(charlm: Invoke, tmp_path: Path) -> None:
    for ending in ("svg", "html"):
        path = tmp_path / f"grid.{ending}"
        done = unroll(charlm, "--cell", "mdlstm", "--rows", 2, "--columns", 9, "--figure", path)
        assert (done.exit_code, done.stdout) == (0, f"{path}\n"), done.output
    page = (tmp_path / "grid.html").read_text("utf-8")
    assert page.count("<svg") == 1 and page.count(">h(2,9)<") == 1
    ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    for sentence in (*unrolling2d.EQUATIONS, *unrolling2d.notes(Grid(2, 9))):
        assert page.count(sentence) == 1
    assert (tmp_path / "grid.svg").read_text("utf-8") == unrolling2d.svg(Grid(2, 9))


def test_the_picture_of_the_docs_is_what_the_command_draws(charlm: Invoke, tmp_path: Path) -> None:
    made = tmp_path / "made.svg"
    done = unroll(charlm, "--cell", "mdlstm", "--rows", 3, "--columns", 4, "--figure", made)
    assert done.exit_code == 0, done.output
    assert PICTURE.read_text("utf-8") == made.read_text("utf-8"), "draw it again"


OF_THE_MODEL = "--cell takes no model and no text; leave out "


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cell", "mdlstm", "book"], OF_THE_MODEL + "RUN"),
        (["--cell", "mdlstm", "book", "ciao"], OF_THE_MODEL + "RUN, TEXT"),
        (["--cell", "mdlstm", "book", ""], OF_THE_MODEL + "RUN, TEXT"),
        (["--cell", "mdlstm", "--steps", 3], OF_THE_MODEL + "--steps"),
        (["--cell", "mdlstm", "--top", 3], OF_THE_MODEL + "--top"),
        (["--cell", "mdlstm", "--label", "it"], OF_THE_MODEL + "--label"),
        (["--cell", "lstm"], "--cell is 'lstm'; choose mdlstm"),
        (["--cell", "mdlstm", "--rows", 0], "--rows is 0; give at least 1"),
        (["--cell", "mdlstm", "--rows", 13], "--rows is 13; give at most 12"),
        (["--cell", "mdlstm", "--columns", 21], "--columns is 21; give at most 20"),
        (["--cell", "mdlstm", "--columns", "x"], "--columns is 'x'; give a whole number"),
        (["--cell", "mdlstm", "--figure", "x.png"], "ends in .svg or .html"),
        (["--cell", "mdlstm", "--figure", "x.svg", "--json"], "--figure and --json each give"),
        (["--rows", 3], "--rows can only be given with --cell; add --cell mdlstm, or leave out"),
        (
            ["book", "ciao", "--rows", 3, "--columns", 4],
            "--rows and --columns can only be given with --cell; add --cell mdlstm, or leave out "
            "--rows, --columns",
        ),
        ([], "charlm inspect unroll needs RUN and TEXT, or --cell mdlstm; "),
        (["--json"], "charlm inspect unroll needs RUN and TEXT, or --cell mdlstm; "),
        (["ciao"], "charlm inspect unroll needs TEXT; charlm inspect unroll --help shows"),
    ],
)
def test_exactly_one_form_can_be_asked_for(
    charlm: Invoke, arguments: list[object], message: str
) -> None:
    done = unroll(charlm, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert message in done.stderr


def test_help_shows_both_forms(charlm: Invoke) -> None:
    shown = " ".join(unroll(charlm, "--help").stdout.split())
    assert "[OPTIONS] [RUN] [TEXT]" in shown
    assert "charlm inspect unroll --cell mdlstm --rows 3 --columns 4" in shown
