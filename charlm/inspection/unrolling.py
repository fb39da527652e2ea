"""A recurrence unrolled into a graph, with a model's own values in it.

The figure that every tutorial draws by hand: one column for each time step, the input below, the
state in the middle, the prediction above, and the same weights U, W and V at every step. Drawn here
as SVG without any library.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np

from charlm.arrays import Floats
from charlm.engine import Engine, softmax
from charlm.errors import RequestError
from charlm.inspection.pages import symbol_name
from charlm.text.tokenizer import Tokenizer

GATES = {"rnn": "", "gru": "rzn", "lstm": "ifgoc"}
NAMES = {
    "h": "state",
    "c": "cell",
    "i": "input gate",
    "f": "forget gate",
    "g": "candidate",
    "o": "output gate",
    "r": "reset gate",
    "z": "update gate",
    "n": "candidate",
}
MOST_STEPS = 40


@dataclass(frozen=True)
class Step:
    """One time step of an unrolled model.

    symbol: what was read
    first: whether the state before it is zero, and not that of a step which is left out
    layers: per layer name -> (H,): ``h``, and the gates of its cell
    expected: the likeliest symbols to come next and their probabilities, likeliest first
    """

    symbol: str
    first: bool
    layers: tuple[dict[str, Floats], ...]
    expected: tuple[tuple[str, float], ...]


def unroll(
    engine: Engine, tokenizer: Tokenizer, text: str, *, steps: int | None = None, top: int = 3
) -> list[Step]:
    """Every time step of reading ``text`` from the zero state, or the last ``steps`` of them.

    RequestError for a network without recurrence, for nothing to read, and for more than 40 steps.
    """
    if not engine.config.recurrent:
        raise RequestError(
            f"{engine.config.cell} is not recurrent, so there is nothing to unroll; take an rnn, "
            "gru or lstm"
        )
    ids = np.asarray(tokenizer.encode(text), dtype=np.int64)
    if not len(ids):
        raise RequestError('there is nothing to read; give a text, such as "ciao"')
    shown = len(ids) if steps is None else min(steps, len(ids))
    if shown > MOST_STEPS:
        raise RequestError(
            f"{shown} steps do not fit into a figure of {MOST_STEPS}; give a shorter text or "
            f"--steps {MOST_STEPS} for the last of them"
        )
    trace = engine.trace(ids[None])
    found = []
    for t in range(len(ids) - shown, len(ids)):
        p = softmax(trace.logits[0, t].astype(np.float64))
        likeliest = np.argsort(-p, kind="stable")[:top]
        found.append(
            Step(
                symbol_name(tokenizer, int(ids[t])),
                t == 0,
                tuple(
                    {name: values[0, t] for name, values in layer.items()} for layer in trace.layers
                ),
                tuple((symbol_name(tokenizer, int(i)), float(p[i])) for i in likeliest),
            )
        )
    return found


def squeezed(values: Floats, cells: int) -> Floats:
    """(H,) -> (cells,) or (H,) where that is fewer: means of neighbouring units."""
    if len(values) <= cells:
        return values
    return np.array([part.mean() for part in np.array_split(values, cells)])


def colour(value: float) -> str:
    """Blue at -1, white at 0, red at 1, as #rrggbb; beyond 1 (a cell's c, a ReLU) as at 1."""
    v = float(np.clip(value, -1, 1))
    strong = (33, 102, 172) if v < 0 else (178, 24, 43)
    mixed = (round(255 + abs(v) * (channel - 255)) for channel in strong)
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


_COLUMN, _STRIP, _CELL, _MOST_CELLS = 120, 12, 5, 32


def svg(steps: list[Step], cell: str, chance: float) -> str:
    """The unrolled graph as SVG. ``chance``: the share of each symbol in a model that has learnt
    nothing, which the picture names beside the expected ones."""
    layers = len(steps[0].layers)
    units = len(steps[0].layers[0]["h"])
    cells = min(units, _MOST_CELLS)
    tall = cells * _CELL
    shown = ["h", *GATES[cell]]
    block = tall + 66
    width = max(400, 90 + _COLUMN * len(steps))
    top = 26 + 16 * len(steps[0].expected)
    foot = top + 34 + layers * block + 8
    height = foot + 18
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="system-ui, sans-serif" font-size="12">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        '<text x="8" y="20" fill="#555">expected</text>'
        f'<text x="8" y="36" fill="#777" font-size="10">by chance {100 * chance:.1f} %</text>',
        f'<text x="8" y="{foot - 14}" fill="#555">read</text>',
        f'<text x="8" y="{foot + 8}" fill="#777" font-size="10">{cell_of(units, _MOST_CELLS)}: '
        "blue is -1, white 0, red 1</text>",
    ]

    def arrow(x1: float, y1: float, x2: float, y2: float, label: str, dx: float, dy: float) -> None:
        out.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#555" marker-end="url(#tip)"/>'
            f'<text x="{(x1 + x2) / 2 + dx}" y="{(y1 + y2) / 2 + dy}" fill="#555" '
            f'font-style="italic" text-anchor="middle">{label}</text>'
        )

    for t, step in enumerate(steps):
        left = 80 + _COLUMN * t
        middle = left + _COLUMN / 2 - 10
        for n, (symbol, share) in enumerate(step.expected):
            out.append(
                f'<text x="{middle}" y="{20 + 16 * n}" text-anchor="middle">{escape(symbol)} '
                f'<tspan fill="#777">{100 * share:.0f} %</tspan></text>'
            )
        wide = _STRIP * len(shown)
        for number, layer in enumerate(reversed(step.layers)):
            y = top + 34 + number * block
            begin = middle - wide / 2
            for strip, name in enumerate(shown):
                values = squeezed(layer[name], _MOST_CELLS)
                x = begin + strip * _STRIP
                for unit, value in enumerate(values):
                    out.append(
                        f'<rect x="{x:g}" y="{y + unit * _CELL}" width="{_STRIP - 2}" '
                        f'height="{_CELL}" fill="{colour(float(value))}"/>'
                    )
                out.append(
                    f'<rect x="{x:g}" y="{y}" width="{_STRIP - 2}" height="{tall}" fill="none" '
                    f'stroke="#999" stroke-width=".6"><title>{NAMES[name]}</title></rect>'
                    f'<text x="{x + _STRIP / 2 - 1:g}" y="{y + tall + 12}" text-anchor="middle" '
                    f'font-size="10" fill="#777">{name}</text>'
                )
            above = "V" if number == 0 else ""
            arrow(middle, y - 4, middle, y - 26, above, 10, 4)
            if number < layers - 1:  # a layer beyond the first adds its input to its output
                out.append(
                    f'<path d="M{middle} {y + block - 12}H{begin - 10}V{y - 14}H{middle - 2}" '
                    'fill="none" stroke="#999" marker-end="url(#tip)"/>'
                    f'<text x="{middle - 9}" y="{y - 18}" fill="#555" text-anchor="middle">+</text>'
                )
            if t == 0 and not step.first:
                arrow(begin - 26, y + tall / 2, begin - 3, y + tall / 2, "U", -4, -5)
            if t + 1 < len(steps):
                arrow(begin + wide + 2, y + tall / 2, begin + _COLUMN - 3, y + tall / 2, "U", 0, -5)
            if number == layers - 1:
                arrow(middle, y + tall + 38, middle, y + tall + 18, "W", 12, 4)
        out.append(
            f'<rect x="{middle - 14}" y="{foot - 30}" width="28" height="22" rx="4" '
            f'fill="#f2f2ef" stroke="#999"/><text x="{middle}" y="{foot - 15}" '
            f'text-anchor="middle" font-family="monospace">{escape(step.symbol)}</text>'
        )
    out.append("</svg>")
    return "".join(out)


def cell_of(units: int, cells: int) -> str:
    """What a cell of a strip shows, where a state of ``units`` is drawn in that many."""
    if units <= cells:
        return "each cell is a unit"
    return f"each cell is the mean of {units / cells:.0f} units that stand side by side"


def legend(cell: str, units: int, layers: int = 1) -> str:
    """What the strips and arrows are, in a few words."""
    gates = ", ".join(f"{name} {NAMES[name]}" for name in GATES[cell])
    more = f", {gates}" if gates else ""
    return (
        f"h state{more}; {cell_of(units, _MOST_CELLS)}: blue is -1, white 0, red 1. The "
        "weights W, U and V are the same at every step."
        + (" What a layer reads is added to its output (+)." if layers > 1 else "")
    )
