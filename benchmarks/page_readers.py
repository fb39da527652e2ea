"""Draw the readers of the page experiment: what a place sees, and in which order it is read.

python benchmarks/page_readers.py [--picture docs/pictures/page-readers.svg]

What is shaded is computed, not drawn by hand: the places whose input moves the features of the
marked place, in an untrained body of that kind.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from charlm.models.multidim import MDLSTM
from charlm.models.pages import Convolution, Flattened, PageBody, ReNet, Separate
from charlm.svg import adaptive

ROWS, COLUMNS = 9, 13
MARKED = (4, 7)
CELL, GAP = 14, 44
LINE, TINT, INK, GREY = "#d55e00", "#0072b2", "#1b1b1b", "#555555"

Point = tuple[float, float]


def sees(body: PageBody) -> list[tuple[int, int]]:
    """The places on which the features of the marked place depend."""
    page = torch.randn(1, ROWS, COLUMNS, 3, dtype=torch.float64, requires_grad=True)
    features = body.double()(page)
    mark = features if features.ndim == 2 else features[0, MARKED[0], MARKED[1]]
    (gradient,) = torch.autograd.grad(mark.square().sum(), page)
    rows, columns = torch.nonzero(gradient[0].abs().sum(-1), as_tuple=True)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def _middle(row: float, column: float) -> Point:
    return (column + 0.5) * CELL, (row + 0.5) * CELL


def _arrow(start: Point, end: Point, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="3 2"' if dashed else ""
    return (
        f'<line x1="{start[0]:g}" y1="{start[1]:g}" x2="{end[0]:g}" y2="{end[1]:g}" '
        f'stroke="{LINE}" stroke-width="1.4" marker-end="url(#tip)"{dash}/>'
    )


def by_rows() -> str:
    """Arrows along each row that is read before the marked place."""
    lines = [_arrow(_middle(row, -0.4), _middle(row, COLUMNS - 0.8)) for row in range(MARKED[0])]
    return "".join([*lines, _arrow(_middle(MARKED[0], -0.4), _middle(MARKED[0], MARKED[1] - 0.6))])


def by_columns() -> str:
    lines = [_arrow(_middle(-0.4, c), _middle(ROWS - 0.8, c)) for c in range(MARKED[1])]
    return "".join([*lines, _arrow(_middle(-0.4, MARKED[1]), _middle(MARKED[0] - 0.6, MARKED[1]))])


def rows_then_columns() -> str:
    row, column = MARKED
    along = [
        arrow
        for r in range(ROWS)
        for arrow in (
            _arrow(_middle(r, -0.4), _middle(r, column - 0.7), dashed=True),
            _arrow(_middle(r, COLUMNS - 0.6), _middle(r, column + 0.7), dashed=True),
        )
    ]
    down = _arrow(_middle(-0.4, column), _middle(row - 0.6, column))
    up = _arrow(_middle(ROWS - 0.6, column), _middle(row + 0.6, column))
    return "".join([*along, down, up])


def from_corners() -> str:
    """At some places of each quarter the two arrows that lead on from them."""
    row, column = MARKED
    drawn = []
    for down, right, rows, columns in (
        (1, 1, (0, 2), (1, 4)),
        (1, -1, (0, 2), (9, 11)),
        (-1, 1, (6, 8), (1, 4)),
        (-1, -1, (6, 8), (9, 11)),
    ):
        for r in rows:
            for c in columns:
                at = _middle(r, c)
                drawn.append(_arrow(at, (at[0] + 1.4 * right * CELL, at[1])))
                drawn.append(_arrow(at, (at[0], at[1] + 1.2 * down * CELL)))
    for right in (1, -1):
        drawn.append(_arrow(_middle(row, column - 1.6 * right), _middle(row, column - 0.6 * right)))
    for down in (1, -1):
        drawn.append(_arrow(_middle(row - 1.6 * down, column), _middle(row - 0.6 * down, column)))
    return "".join(drawn)


def every_weight() -> str:
    """Lines from some places to one unit beside the page."""
    unit = (COLUMNS + 1.6) * CELL, ROWS * CELL / 2
    lines = [
        _arrow(_middle(r, c), (unit[0] - 7, unit[1]))
        for r, c in ((0, 2), (1, 9), (3, 5), (5, 11), (6, 1), (8, 8))
    ]
    return "".join(lines) + (
        f'<circle cx="{unit[0]:g}" cy="{unit[1]:g}" r="6" fill="none" stroke="{INK}"/>'
    )


def coordinates() -> str:
    labels = [
        f'<text x="{_middle(0, c)[0]:g}" y="-4" text-anchor="middle" font-size="9" '
        f'fill="{GREY}">{text}</text>'
        for c, text in ((0, "-1"), (COLUMNS // 2, "0"), (COLUMNS - 1, "1"))
    ]
    labels += [
        f'<text x="{COLUMNS * CELL + 4}" y="{_middle(r, 0)[1] + 3:g}" font-size="9" '
        f'fill="{GREY}">{text}</text>'
        for r, text in ((0, "-1"), (ROWS // 2, "0"), (ROWS - 1, "1"))
    ]
    return "".join(labels)


def nothing() -> str:
    return ""


KERNELS = ((3, 3, 1, 1), (3, 3, 1, 2))
PANELS: tuple[tuple[str, str, Callable[[], PageBody], Callable[[], str]], ...] = (
    (
        "feedforward",
        "a weight for every place",
        lambda: Separate(3, 4, ROWS, COLUMNS),
        every_weight,
    ),
    ("lstm", "one text, row by row", lambda: Flattened(3, 4), by_rows),
    ("lstm-columns", "one text, column by column", lambda: Flattened(3, 4, "columns"), by_columns),
    ("conv", "a rectangle, the same weights", lambda: Convolution(3, 4, KERNELS), nothing),
    (
        "coordconv",
        "and each place's row and column",
        lambda: Convolution(3, 4, KERNELS, coordinates=True),
        coordinates,
    ),
    ("renet", "rows both ways, then columns", lambda: ReNet(3, 4), rows_then_columns),
    ("mdlstm", "from each corner", lambda: MDLSTM(3, 2), from_corners),
)


def drawing() -> str:
    """All readers as one SVG."""
    torch.manual_seed(1)
    wide, tall = COLUMNS * CELL + 3 * CELL, ROWS * CELL
    across = 4
    width = across * (wide + 14) + 10
    height = -(-len(PANELS) // across) * (tall + GAP + 18) + 10
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="system-ui, sans-serif" font-size="12">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" '
        f'markerHeight="6" orient="auto"><path d="M0 0L8 4L0 8z" fill="{LINE}"/></marker></defs>',
        f'<rect class="paper" width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, (name, said, body, arrows) in enumerate(PANELS):
        x = 10 + number % across * (wide + 14)
        y = GAP + number // across * (tall + GAP + 18)
        seen = set(sees(body()))
        out.append(
            f'<g transform="translate({x} {y})"><text y="-26" font-weight="bold" fill="{INK}">'
            f'{name}</text><text y="-13" font-size="11" fill="{GREY}">{said}</text>'
        )
        for row in range(ROWS):
            for column in range(COLUMNS):
                opacity = 0.35 if (row, column) in seen else 0
                out.append(
                    f'<rect x="{column * CELL}" y="{row * CELL}" width="{CELL}" height="{CELL}" '
                    f'fill="{TINT}" fill-opacity="{opacity:g}" stroke="#666666" '
                    'stroke-width=".4"/>'
                )
        if name != "feedforward":
            row, column = MARKED
            out.append(
                f'<rect x="{column * CELL}" y="{row * CELL}" width="{CELL}" height="{CELL}" '
                f'fill="none" stroke="{INK}" stroke-width="2"/>'
            )
        out.append(f"{arrows()}</g>")
    out.append("</svg>")
    return adaptive("".join(out))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", type=Path, default=Path("docs/pictures/page-readers.svg"))
    picture: Path = parser.parse_args().picture
    picture.write_text(drawing() + "\n", encoding="utf-8")
    print(picture)


if __name__ == "__main__":
    main()
