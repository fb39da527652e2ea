"""The unrolled graph of a recurrent model, with the model's own values in it.

One column for each time step: the input below, the state in the middle, the prediction above, and
the same weights U, W and V at every step (Goodfellow, Bengio and Courville, Deep Learning, figure
10.3). Drawn as SVG without a library.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np

from charlm.arrays import Floats
from charlm.engine import Engine, softmax
from charlm.errors import RequestError
from charlm.inspection.pages import symbol_name
from charlm.svg import adaptive
from charlm.text.tokenizer import Tokenizer

GATES = {"rnn": "", "gru": "rzn", "lstm": "ifgoc"}
"""What a cell computes besides h, by name in the equations."""
OPEN = frozenset("rzifo")
"""Of these, the gates: a sigmoid, from 0 (closed) to 1 (open). The others can be negative."""
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

    symbol: the symbol that was read
    first: True for the first symbol of the text, which is read from the zero state
    layers: for each layer, name -> (H,): ``h`` and what ``GATES`` lists for its cell
    expected: the most likely next symbols and their probabilities, most likely first
    """

    symbol: str
    first: bool
    layers: tuple[dict[str, Floats], ...]
    expected: tuple[tuple[str, float], ...]


def unroll(
    engine: Engine, tokenizer: Tokenizer, text: str, *, steps: int | None = None, top: int = 3
) -> list[Step]:
    """Every time step of reading ``text`` from the zero state, or the last ``steps`` of them.

    top: how many of the most likely next symbols to keep
    Raises RequestError if the model is not recurrent, the text is empty, or there are more than 40
    steps.
    """
    if not engine.config.recurrent:
        raise RequestError(
            f"{engine.config.cell} is not recurrent, so it cannot be unrolled; use an rnn, gru or "
            "lstm"
        )
    ids = np.asarray(tokenizer.encode(text), dtype=np.int64)
    if not len(ids):
        raise RequestError('the text is empty; give one, such as "ciao"')
    shown = len(ids) if steps is None else min(steps, len(ids))
    if shown > MOST_STEPS:
        raise RequestError(
            f"{shown} steps do not fit into a figure of {MOST_STEPS}; give a shorter text, or "
            f"--steps {MOST_STEPS} for the last {MOST_STEPS}"
        )
    trace = engine.trace(ids[None])
    found = []
    for t in range(len(ids) - shown, len(ids)):
        p = softmax(trace.logits[0, t].astype(np.float64))
        most_likely = np.argsort(-p, kind="stable")[:top]
        found.append(
            Step(
                symbol_name(tokenizer, int(ids[t])),
                t == 0,
                tuple(
                    {name: values[0, t] for name, values in layer.items()} for layer in trace.layers
                ),
                tuple((symbol_name(tokenizer, int(i)), float(p[i])) for i in most_likely),
            )
        )
    return found


def squeezed(values: Floats, cells: int) -> Floats:
    """(H,) -> (cells,), the means of neighboring units; unchanged if there are no more than that
    many units."""
    if len(values) <= cells:
        return values
    return np.array([part.mean() for part in np.array_split(values, cells)])


def fill(name: str, value: float) -> tuple[str, float]:
    """The colour of a value and its opacity, from 0 to 1.

    A gate (0 to 1): green, opaque if open. Anything else (-1 to 1): blue if negative and red if
    positive, opaque at -1 and 1, and so beyond them (an LSTM's cell, a ReLU).
    """
    if name in OPEN:
        return _OPEN, float(np.clip(value, 0, 1))
    return (_NEGATIVE if value < 0 else _POSITIVE), float(min(abs(value), 1))


_NEGATIVE, _POSITIVE, _OPEN = "#2166ac", "#b2182b", "#1b7837"
_COLUMN, _STRIP, _CELL, _MOST_CELLS = 120, 12, 5, 32


def svg(steps: list[Step], cell: str, chance: float) -> str:
    """The unrolled graph as an SVG that follows the reader's colour scheme.

    chance: the probability of each symbol in an untrained model, shown for comparison
    """
    layers = len(steps[0].layers)
    units = len(steps[0].layers[0]["h"])
    cells = min(units, _MOST_CELLS)
    tall = cells * _CELL
    shown = ["h", *GATES[cell]]
    block = tall + 66
    width = max(440, 90 + _COLUMN * len(steps))
    top = 26 + 16 * len(steps[0].expected)
    foot = top + 34 + layers * block + 8
    height = foot + 46
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="system-ui, sans-serif" font-size="12">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#555555"/></marker></defs>',
        f'<rect class="paper" width="{width}" height="{height}" fill="#ffffff"/>',
        '<text x="8" y="20" fill="#555555">expected</text>'
        f'<text x="8" y="36" fill="#555555" font-size="10">by chance {100 * chance:.1f} %</text>',
        f'<text x="8" y="{foot - 14}" fill="#555555">read</text>',
        *_key(cell, units, foot + 8),
    ]

    def arrow(x1: float, y1: float, x2: float, y2: float, label: str, dx: float, dy: float) -> None:
        out.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#555555" '
            f'marker-end="url(#tip)"/><text x="{(x1 + x2) / 2 + dx}" y="{(y1 + y2) / 2 + dy}" '
            f'fill="#555555" font-style="italic" text-anchor="middle">{label}</text>'
        )

    for t, step in enumerate(steps):
        left = 80 + _COLUMN * t
        middle = left + _COLUMN / 2 - 10
        for n, (symbol, share) in enumerate(step.expected):
            out.append(
                f'<text x="{middle}" y="{20 + 16 * n}" text-anchor="middle">{escape(symbol)} '
                f'<tspan fill="#555555">{100 * share:.0f} %</tspan></text>'
            )
        wide = _STRIP * len(shown)
        for number, layer in enumerate(reversed(step.layers)):
            y = top + 34 + number * block
            begin = middle - wide / 2
            for strip, name in enumerate(shown):
                values = squeezed(layer[name], _MOST_CELLS)
                x = begin + strip * _STRIP
                for unit, value in enumerate(values):
                    out.append(_cell(x, y + unit * _CELL, *fill(name, float(value))))
                out.append(
                    f'<rect x="{x:g}" y="{y}" width="{_STRIP - 2}" height="{tall}" fill="none" '
                    f'stroke="#666666" stroke-width=".6"><title>{NAMES[name]}</title></rect>'
                    f'<text x="{x + _STRIP / 2 - 1:g}" y="{y + tall + 12}" text-anchor="middle" '
                    f'font-size="10" fill="#555555">{name}</text>'
                )
            above = "V" if number == 0 else ""
            arrow(middle, y - 4, middle, y - 26, above, 10, 4)
            if number < layers - 1:  # a layer beyond the first adds its input to its output
                out.append(
                    f'<path d="M{middle} {y + block - 12}H{begin - 10}V{y - 14}H{middle - 2}" '
                    'fill="none" stroke="#666666" marker-end="url(#tip)"/><text '
                    f'x="{middle - 9}" y="{y - 18}" fill="#555555" text-anchor="middle">+</text>'
                )
            if t == 0 and not step.first:
                arrow(begin - 26, y + tall / 2, begin - 3, y + tall / 2, "U", -4, -5)
            if t + 1 < len(steps):
                arrow(begin + wide + 2, y + tall / 2, begin + _COLUMN - 3, y + tall / 2, "U", 0, -5)
            if number == layers - 1:
                arrow(middle, y + tall + 38, middle, y + tall + 18, "W", 12, 4)
        out.append(
            f'<rect x="{middle - 14}" y="{foot - 30}" width="28" height="22" rx="4" '
            f'fill="none" stroke="#666666"/><text x="{middle}" y="{foot - 15}" '
            f'text-anchor="middle" font-family="monospace">{escape(step.symbol)}</text>'
        )
    out.append("</svg>")
    return adaptive("".join(out))


def _cell(x: float, y: float, colour: str, opacity: float) -> str:
    return (
        f'<rect x="{x:g}" y="{y}" width="{_STRIP - 2}" height="{_CELL}" fill="{colour}" '
        f'fill-opacity="{opacity:.2f}"/>'
    )


def _key(cell: str, units: int, y: float) -> list[str]:
    """What the colours mean: one line for values from -1 to 1, one for gates from 0 to 1."""
    gates = ", ".join(name for name in GATES[cell] if name in OPEN)
    others = ", ".join(name for name in ("h", *GATES[cell]) if name not in OPEN)
    lines = [("h", -1, others)] + ([(next(iter(OPEN & set(gates))), 0, gates)] if gates else [])
    out = []
    for row, (name, least, names) in enumerate(lines):
        at = y + 16 * row
        out.append(f'<text x="8" y="{at}" fill="#555555" font-size="10">{least}</text>')
        for place, value in enumerate(np.linspace(least, 1, 8)):
            out.append(_cell(22 + (_STRIP - 2) * place, at - 6, *fill(name, float(value))))
        out.append(
            f'<text x="{26 + 8 * (_STRIP - 2)}" y="{at}" fill="#555555" font-size="10">1 &#160; '
            f"{names}{'' if row else f'; {cell_of(units, _MOST_CELLS)}'}</text>"
        )
    return out


def cell_of(units: int, cells: int) -> str:
    """What one cell of a strip shows if a state of ``units`` is drawn with ``cells`` cells."""
    if units <= cells:
        return "each cell is a unit"
    return f"each cell is the mean of {units / cells:.0f} neighboring units"


def legend(cell: str, units: int, layers: int = 1) -> str:
    """What the strips, colours and arrows mean, in a few sentences."""
    parts = ", ".join(f"{name} {NAMES[name]}" for name in ("h", *GATES[cell]))
    scale = " Values from -1 (blue) through 0 (empty) to 1 (red)"
    gates = [name for name in GATES[cell] if name in OPEN]
    if gates:
        scale += f"; the gates {', '.join(gates)} from 0 (empty: closed) to 1 (green: open)"
    return (
        f"{parts}; {cell_of(units, _MOST_CELLS)}.{scale}. The weights W, U and V are the same at "
        "every step." + (" What a layer reads is added to its output (+)." if layers > 1 else "")
    )
