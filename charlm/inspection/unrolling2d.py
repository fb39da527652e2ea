"""The unrolled graph of a recurrence in two dimensions, without a model.

A multi-dimensional LSTM (Graves, Fernandez and Schmidhuber, Multi-Dimensional Recurrent Neural
Networks, 2007; here without its peephole connections) has a state h(i,j) for each place of a grid.
It is computed from the input x(i,j), from the place above and from the place to the left. Drawn as
text and as SVG without a library.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from charlm import webpage
from charlm.errors import RequestError
from charlm.svg import PAPER, adaptive

CELLS = ("mdlstm",)
MOST_ROWS, MOST_COLUMNS = 12, 20
EQUATIONS = (
    "a = W x(i,j) + U1 h(i-1,j) + U2 h(i,j-1) + b",
    "i, f1, f2, o = sigmoid and g = tanh of the five parts of a",
    "c(i,j) = f1 * c(i-1,j) + f2 * c(i,j-1) + i * g",
    "h(i,j) = o * tanh(c(i,j))",
)
"""The cell. Row i and column j count from 1; the factor i of g is the input gate."""


class Place(NamedTuple):
    """A place of a grid; row and column count from 1."""

    row: int
    column: int

    @property
    def step(self) -> int:
        """The first step at which the place can be computed, from 1: one step for a diagonal."""
        return self.row + self.column - 1

    @property
    def name(self) -> str:
        return f"h({self.row},{self.column})"


class Edge(NamedTuple):
    """What a place reads from a neighbor, and through which weight: U1 from above, U2 from the
    left."""

    begin: Place
    end: Place
    weight: str


@dataclass(frozen=True)
class Grid:
    """The places of a page, and what each reads.

    Raises RequestError unless there are 1 to 12 rows and 1 to 20 columns.
    """

    rows: int
    columns: int

    def __post_init__(self) -> None:
        if not (1 <= self.rows <= MOST_ROWS and 1 <= self.columns <= MOST_COLUMNS):
            raise RequestError(
                f"a grid of {self.rows} x {self.columns} places cannot be drawn; give 1 to "
                f"{MOST_ROWS} rows and 1 to {MOST_COLUMNS} columns"
            )

    @property
    def places(self) -> list[Place]:
        """Row by row."""
        return [Place(i + 1, j + 1) for i in range(self.rows) for j in range(self.columns)]

    @property
    def edges(self) -> list[Edge]:
        """The recurrent edges. The input x, through W, is one more at each place."""
        found = []
        for place in self.places:
            i, j = place
            if i > 1:
                found.append(Edge(Place(i - 1, j), place, "U1"))
            if j > 1:
                found.append(Edge(Place(i, j - 1), place, "U2"))
        return found

    @property
    def steps(self) -> int:
        """How many steps the grid takes if each computes a whole diagonal."""
        return self.rows + self.columns - 1

    @property
    def paths(self) -> int:
        """How many paths lead from the first place to the last. Each has R - 1 edges down and C - 1
        to the right, in any order."""
        return math.comb(self.rows + self.columns - 2, self.rows - 1)

    def json(self) -> dict[str, Any]:
        """Numbers, nodes and recurrent edges; a place is [row, column]."""
        return {
            "rows": self.rows,
            "columns": self.columns,
            "steps": self.steps,
            "paths": self.paths,
            "nodes": [{"place": [*place], "step": place.step} for place in self.places],
            "edges": [
                {"from": [*edge.begin], "to": [*edge.end], "weight": edge.weight}
                for edge in self.edges
            ],
        }


def notes(grid: Grid) -> list[str]:
    """What the graph shows, in sentences.

    Every path multiplies the forget gates on its way, f1 for an edge down and f2 for one to the
    right. If the gates are constant, the paths of n edges from one place add up to (f1 + f2)^n.
    In one dimension there is one path, and f is at most 1 (Leifert et al., Cells in
    Multidimensional Recurrent Neural Networks, 2016, on cells that do not grow).
    """
    r, c = grid.rows, grid.columns
    steps = "1 step" if grid.steps == 1 else f"{grid.steps} steps"
    ends = f"from h(1,1) to h({r},{c})"
    if grid.paths > 1:
        gradient = (
            f"{grid.paths:,} paths lead {ends}. The gradient is a sum over all of them, and each "
            "multiplies the forget gates on its way: f1 + f2 above 1 lets the gradient grow, below "
            "1 lets it vanish."
        )
    else:
        gradient = (
            f"1 path leads {ends}, as in one dimension: each edge multiplies the gradient by one "
            "forget gate, which is at most 1."
        )
    return [
        "W, U1, U2 and b are the same at every place. Outside the grid, h and c are zero.",
        "All places of one diagonal have the same step: they can be computed at the same time. "
        f"{r} + {c} - 1 = {steps} of whole diagonals instead of {r} x {c} = {r * c}.",
        gradient,
        "A reader of pages uses four of these, one from each corner.",
    ]


# ------------------------------------------------------------------------------------- as text

_TINTS = (224, 229, 194, 195, 189, 225)  # backgrounds of neighboring diagonals, in 256 colours
_ARROW = "─U2─►"
_GAP = " " * len(_ARROW)
_ASCII = str.maketrans("│─┌┐└┘├┬▼►", "|-++++++v>")


def text(
    grid: Grid, width: int = 100, *, colour: bool = False, ascii_only: bool = False
) -> list[str]:
    """The graph as lines of characters, without equations and notes.

    width: the width of the terminal; columns that do not fit follow below
    colour: whether each diagonal has its own background
    ascii_only: draw with ASCII characters, for an output that has no others
    """
    inner = len(Place(grid.rows, grid.columns).name) + 2
    beside = max(1, (width - len(_GAP)) // (len(_GAP) + inner + 2))
    lines: list[str] = []
    for first in range(1, grid.columns + 1, beside):
        last = min(first + beside - 1, grid.columns)
        if lines:
            lines.append("")
        if beside < grid.columns:
            lines.append(
                f"columns {first} to {last}:" if last > first else f"column {first}:",
            )
        for i in range(1, grid.rows + 1):
            boxes = [_box(grid, Place(i, j), inner, colour) for j in range(first, last + 1)]
            if last < grid.columns:
                boxes[-1][_MIDDLE] += _ARROW  # into the columns below
            lines += ["".join(parts).rstrip() for parts in zip(*boxes, strict=True)]
    return [line.translate(_ASCII) for line in lines] if ascii_only else lines


_MIDDLE = 3  # the line of a box that has the name, and the arrows from the left and to the right


def _box(grid: Grid, place: Place, inner: int, colour: bool) -> list[str]:
    """A place in six lines: what comes from above, the box, and the gap to its left."""
    above, left = place.row > 1, place.column > 1
    below, right = place.row < grid.rows, place.column < grid.columns
    rest = inner - 6  # W enters after two characters, U1 before the last two
    name, step = place.name.center(inner), f"step {place.step}".center(inner)
    if colour:
        tint = _TINTS[place.step % len(_TINTS)]
        step = f"\x1b[30;48;5;{tint}m{step}\x1b[0m"
    return [
        f"{_GAP}   x{' ' * rest}{'│' if above else ' '}   ",
        f"{_GAP}   │W{' ' * (rest - 1)}{'│U1' if above else '   '} ",
        f"{_GAP}┌──▼{'─' * rest}{'▼' if above else '─'}──┐",
        f"{_ARROW if left else _GAP}│{name}{'├' if right else '│'}",
        f"{_GAP}│{step}│",
        f"{_GAP}└───{'─' * rest}{'┬' if below else '─'}──┘",
    ]


# -------------------------------------------------------------------------------------- as SVG

_ACROSS, _DOWN, _WIDE, _TALL = 140, 112, 86, 46  # from place to place, and the size of a box
_STEP, _U1, _U2 = "#1b7837", "#d55e00", "#0072b2"
_LINE, _QUIET = "#666666", "#555555"


def svg(grid: Grid, legend: bool = True) -> str:
    """The graph as an SVG that follows the reader's colour scheme. Each diagonal has its own tint,
    the darker the later.

    legend: whether the equations and notes stand below the graph
    """
    width = max(_ACROSS * grid.columns, 520 if legend else 0)
    foot = 20 + _DOWN * grid.rows
    words = _legend(grid, foot + 20, width) if legend else []
    height = foot + (12 + 18 * (len(words) + 1) if legend else 0)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="system-ui, sans-serif" font-size="12">',
        f"<defs>{_tip('x', _LINE)}{_tip('U1', _U1)}{_tip('U2', _U2)}</defs>",
        f'<rect class="paper" width="{width}" height="{height}" fill="{PAPER}"/>',
        *(_band(grid, step) for step in range(1, grid.steps + 1)),
        *(_edge(edge) for edge in grid.edges),
        *(_node(grid, place) for place in grid.places),
        *words,
        "</svg>",
    ]
    return adaptive("".join(out))


def page(grid: Grid) -> str:
    """An HTML page with the equations, the graph, which scrolls if it is wide, and the notes."""
    title = f"Unrolled: a recurrence over {grid.rows} x {grid.columns} places"
    equations = "\n".join(EQUATIONS)
    explained = "".join(f"<p>{note}</p>" for note in notes(grid))
    return webpage.page(
        title,
        f"<h1>{title}</h1>\n<pre>{equations}</pre>{webpage.scrolling(svg(grid, legend=False))}"
        f"{explained}",
        "pre { white-space: pre-wrap; }",
    )


def _tip(name: str, colour: str) -> str:
    return (
        f'<marker id="tip-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="{colour}"/></marker>'
    )


def _centre(place: Place) -> tuple[int, int]:
    return _ACROSS * (place.column - 1) + 84, _DOWN * (place.row - 1) + 78


def _strength(grid: Grid, step: int) -> float:
    """The opacity of a diagonal's tint. The strongest leaves the text on it a contrast of 4.5 in
    light and in dark mode."""
    return 0.08 + 0.32 * (step - 1) / max(1, grid.steps - 1)


def _band(grid: Grid, step: int) -> str:
    """A stripe behind the places of one diagonal."""
    row = min(step, grid.rows)
    low = Place(row, step + 1 - row)
    column = min(step, grid.columns)
    (x1, y1), (x2, y2) = _centre(low), _centre(Place(step + 1 - column, column))
    return (
        f'<path d="M{x1} {y1}L{x2} {y2}" stroke="{_STEP}" stroke-width="26" '
        f'stroke-opacity="{_strength(grid, step):.2f}"/>'
        if low.column < column
        else ""
    )


def _edge(edge: Edge) -> str:
    (x1, y1), (x2, y2) = _centre(edge.begin), _centre(edge.end)
    if edge.weight == "U1":
        return _line(x1, y1 + _TALL // 2, x2, y2 - _TALL // 2 - 2, "U1", _U1, 12, 4)
    return _line(x1 + _WIDE // 2, y1, x2 - _WIDE // 2 - 2, y2, "U2", _U2, -2, -6)


def _line(
    x1: int, y1: int, x2: int, y2: int, weight: str, colour: str, dx: int, dy: int, tip: str = ""
) -> str:
    return (
        f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" stroke-width="1.5" '
        f'marker-end="url(#tip-{tip or weight})"/><text x="{(x1 + x2) / 2 + dx:g}" '
        f'y="{(y1 + y2) / 2 + dy:g}" font-style="italic" text-anchor="middle">{weight}</text>'
    )


def _node(grid: Grid, place: Place) -> str:
    x, y = _centre(place)
    box = (
        f'x="{x - _WIDE // 2}" y="{y - _TALL // 2}" width="{_WIDE}" height="{_TALL}" rx="6" '
        f'stroke="{_LINE}"'
    )
    left, top = x - _WIDE // 2, y - _TALL // 2
    return (
        _line(left - 12, top - 16, left + 6, top - 2, "W", _LINE, 16, -1, tip="x")
        + f'<text x="{left - 18}" y="{top - 18}" text-anchor="middle">x</text>'
        # The paper hides the stripe, so that the tint of the box is that of its step alone.
        + f'<rect {box} fill="{PAPER}"/><rect {box} fill="{_STEP}" '
        f'fill-opacity="{_strength(grid, place.step):.2f}"/>'
        f'<text x="{x}" y="{y - 3}" text-anchor="middle" font-weight="600">{place.name}</text>'
        f'<text x="{x}" y="{y + 14}" text-anchor="middle" font-size="11">step {place.step}</text>'
    )


def _legend(grid: Grid, top: int, width: int) -> list[str]:
    """Equations and notes, one text element for each line."""
    lines = [*((each, ' font-family="monospace"') for each in EQUATIONS), ("", "")]
    for note in notes(grid):
        lines += [(each, f' fill="{_QUIET}"') for each in wrapped([note], 10 * (width - 24) // 65)]
    return [
        f'<text x="12" y="{top + 18 * row}"{look}>{line}</text>'
        for row, (line, look) in enumerate(lines)
        if line
    ]


def wrapped(sentences: Sequence[str], width: int) -> list[str]:
    """Each note in lines of at most ``width`` characters."""
    return [line for each in sentences for line in textwrap.wrap(each, width)]
