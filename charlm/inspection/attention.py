"""Where a model that rewrites looks at its source while it writes: the attention as an SVG picture.

A column for each symbol of the source, a row for each symbol of the target; the stronger a cell,
the more of the row's attention is there. The strength is an opacity, so the picture works in light
and in dark mode and in gray. A row sums to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from charlm.inspection.pages import symbol_name
from charlm.inspection.textmap import in_text
from charlm.svg import INK, PAPER, adaptive
from charlm.tasks.rewriting import Rewriter, Rewritten

_CELL, _EDGE, _LINE = 16, 12, 20
_BLUE = "#0072b2"
_FAINTEST = 0.01  # a weaker cell would be invisible and is left out
_LONGEST = 60  # characters of a heading
_STYLE = (
    f'text{{font:13px ui-monospace,"DejaVu Sans Mono",monospace;fill:{INK}}}'
    ".h{font:600 14px system-ui,sans-serif}.n{font:12px system-ui,sans-serif}"
    ".c{text-anchor:middle}"
)
END = "end"
"""The name of the end symbol's row."""


def svg(model: Rewriter, source: str, found: Rewritten) -> str:
    """The attention with which ``found`` was written from ``source``."""
    columns = [symbol_name(model.tokenizer, int(each)) for each in model.tokenizer.encode(source)]
    rows = [symbol_name(model.tokenizer, each) for each in found.ids]
    rows += [END] if found.ended else []
    assert found.attention.shape == (len(rows), len(columns))
    heading = f"{_short(source)} → {_short(found.text)}"
    note = f"ln p = {found.log_probability:.4g}; a row is a step and its cells sum to 1"
    left = _EDGE + 8 * max(3, *map(len, rows)) + 8
    top = _EDGE + 2 * _LINE + 8 * max(map(len, columns)) + 8
    out = [
        f'<text class="h" x="{_EDGE}" y="{_EDGE + 14}">{escape(heading)}</text>',
        f'<text class="n" x="{_EDGE}" y="{_EDGE + 14 + _LINE}">{escape(note)}</text>',
        *(_upright(name, left + _CELL * (k + 0.5), top - 6) for k, name in enumerate(columns)),
    ]
    for number, (name, weights) in enumerate(zip(rows, found.attention.tolist(), strict=True)):
        y = top + _CELL * number
        out.append(f'<text x="{_EDGE}" y="{y + 12}">{escape(name)}</text>')
        out += _cells(weights, left, y)
    width = max(left + _CELL * len(columns), _EDGE + 9 * max(len(heading), len(note))) + _EDGE
    height = top + _CELL * len(rows) + _EDGE
    grid = (
        f'<rect x="{left}" y="{top}" width="{_CELL * len(columns)}" height="{_CELL * len(rows)}" '
        'fill="none" stroke="#dddddd"/>'
    )
    return adaptive(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}"><style>{_STYLE}</style><rect width="{width}" height="{height}" '
        f'fill="{PAPER}"/>{grid}{"".join(out)}</svg>'
    )


def _cells(weights: Sequence[float], left: float, y: float) -> list[str]:
    return [
        f'<rect x="{left + _CELL * place}" y="{y}" width="{_CELL}" height="{_CELL}" '
        f'fill="{_BLUE}" fill-opacity="{weight:.2f}"/>'
        for place, weight in enumerate(weights)
        if weight >= _FAINTEST
    ]


def _upright(name: str, x: float, y: float) -> str:
    """The name of a column; a long one is turned."""
    if len(name) == 1:
        return f'<text class="c" x="{x}" y="{y}">{escape(name)}</text>'
    return f'<text x="{x + 4}" y="{y}" transform="rotate(-90 {x + 4} {y})">{escape(name)}</text>'


def _short(text: str) -> str:
    cut = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return "".join(map(in_text, cut))
