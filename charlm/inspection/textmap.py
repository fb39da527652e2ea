"""Text with a coloured background behind each character, for a terminal, as HTML and as SVG.

The colour shows the surprisal or probability of a character, or the activation of a unit. Its
strength is an opacity, so that it works in light and in dark mode and in gray.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

import numpy as np

from charlm.arrays import Floats
from charlm.display import printable
from charlm.inspection.reading import Reading
from charlm.svg import INK, PAPER, adaptive

RED, BLUE = (200, 50, 30), (33, 102, 172)
MOST_BITS = 8.0
"""The surprisal, in bits, from which on a character has the strongest red."""
STRONGEST = 0.75
"""The opacity of the strongest background: the text on it keeps a contrast of 4.5 (WCAG 2) in light
and in dark mode."""

_FAINTEST = 0.02  # a weaker background would be invisible and is left out


@dataclass(frozen=True)
class Mark:
    """A character and its background.

    strength: from 0, no background, to 1, the strongest
    holds: whether the character is underlined: a label holds there
    """

    text: str
    strength: float = 0.0
    colour: tuple[int, int, int] = RED
    holds: bool = False

    @property
    def opacity(self) -> float:
        """The opacity of the background; 0 if there is none, for a strength of NaN as well."""
        return STRONGEST * min(1.0, self.strength) if self.strength >= _FAINTEST else 0.0

    @property
    def ground(self) -> str:
        """The background as a CSS colour; empty if there is none."""
        return f"rgb({' '.join(map(str, self.colour))}/{self.opacity:.2f})" if self.opacity else ""


@dataclass(frozen=True)
class Block:
    """A text with a heading; all but the heading's first line is written smaller.

    legend: marks that explain the colours, in one row above the text
    """

    heading: str
    marks: Sequence[Mark]
    legend: Sequence[Mark] = ()


def shown(symbol: str) -> str:
    """A symbol made visible: a sign for white space, U+XXXX for what cannot be printed."""
    names = {"\n": "⏎", "\t": "⇥", " ": "␣", "\r": "␍"}
    if symbol in names:
        return names[symbol]
    return symbol if symbol.isprintable() else f"U+{ord(symbol[0]):04X}"


def in_text(character: str) -> str:
    """A character within a text: unchanged, unless it would be invisible there."""
    return character if character.isprintable() or character == "\t" else shown(character)


# ------------------------------------------------------------------------------- what is coloured


def surprise(reading: Reading) -> list[Mark]:
    """Redder background: higher surprisal. The first character is only context and has none."""
    return [
        Mark(character, 0.0 if bits != bits else bits / MOST_BITS)
        for character, bits in zip(reading.characters, reading.bits.tolist(), strict=True)
    ]


def surprise_legend() -> list[Mark]:
    return [
        Mark(f"{level * MOST_BITS / 4:g}{' bits' if level == 4 else ''}", level / 4)
        for level in range(5)
    ]


def likelihood(prompt: str, drawn: Iterable[tuple[str, float]]) -> list[Mark]:
    """A sample. Redder background: lower probability under the model; the prompt has none.

    drawn: each character and its probability
    """
    return [
        *(Mark(character) for character in prompt),
        *(Mark(text, _unlikely(probability)) for text, probability in drawn),
    ]


def likelihood_legend() -> list[Mark]:
    return [Mark(f"{p:g} %", _unlikely(p / 100)) for p in (100, 25, 6, 1.5, 0.4)]


def _unlikely(probability: float) -> float:
    """The strength of a probability: proportional to its bits, like a surprisal."""
    return -math.log2(max(probability, 1e-9)) / MOST_BITS


def activation(text: str, values: Floats, holds: Iterable[bool], mean: float) -> list[Mark]:
    """A unit's activation: blue below ``mean``, its mean over a longer text, and red above.

    holds: for each character, whether to underline it

    values (N,): the unit's state after each character of ``text``
    """
    spread = max(1e-9, float(np.quantile(np.abs(values - mean), 0.95)))
    return [
        Mark(character, min(1.0, abs(value)), BLUE if value < 0 else RED, bool(held))
        for character, value, held in zip(
            text, ((values - mean) / spread).tolist(), holds, strict=True
        )
    ]


# --------------------------------------------------------------------------- in a terminal

Grounds = Mapping[tuple[int, int, int], Sequence[int | None]]
"""For each colour of a mark, some of the 256 colours of a terminal: none, then from pale to
strong."""

TWO_SIDED: Grounds = {RED: (None, 224, 217, 210, 203), BLUE: (None, 195, 153, 117, 75)}
HEAT: Grounds = {RED: (None, 230, 229, 223, 216, 209, 203, 196)}


def ansi(marks: Sequence[Mark], grounds_of: Grounds = TWO_SIDED) -> str:
    """The text for a terminal with 256 colours."""
    pieces = []
    for mark in marks:
        grounds = grounds_of[mark.colour]
        strength = mark.strength if mark.strength >= _FAINTEST else 0.0
        ground = grounds[min(len(grounds) - 1, int(strength * len(grounds)))]
        text = printable("↵" if mark.text == "\n" and ground else mark.text.strip("\n"))
        style = f"\x1b[48;5;{ground}m\x1b[30m" if ground else ""
        style += "\x1b[4m" if mark.holds and text else ""
        pieces.append(f"{style}{text}\x1b[0m" if style and text else text)
        if mark.text == "\n":
            pieces.append("\n")
    return "".join(pieces)


# ------------------------------------------------------------------------------------ as a picture


def html(marks: Sequence[Mark], *, numbered: bool = False) -> str:
    """A box with a span for each character. ``numbered``: each has its index in ``data-n``."""
    spans = []
    for number, mark in enumerate(marks):
        style = f"background:{mark.ground};" if mark.ground else ""
        style += "text-decoration:underline" if mark.holds else ""
        attributes = f' data-n="{number}"' if numbered else ""
        attributes += f' style="{style}"' if style else ""
        text = "⏎\n" if mark.text == "\n" else in_text(mark.text)
        spans.append(f"<span{attributes}>{escape(text)}</span>")
    return f'<div class="heat">{"".join(spans)}</div>'


def html_legend(marks: Sequence[Mark]) -> str:
    """A span for each mark."""
    return "".join(
        f'<span style="background:{mark.ground or "none"}">{escape(mark.text)}</span>'
        for mark in marks
    )


_WIDE, _TALL, _EDGE = 8.4, 20, 16
_STYLE = (
    f'text{{font:14px ui-monospace,"DejaVu Sans Mono",monospace;fill:{INK};white-space:pre}}'
    ".h{font:600 14px system-ui,sans-serif}.n{font:12px system-ui,sans-serif}"
)


def svg(blocks: Sequence[Block], *, columns: int = 88) -> str:
    """The text as an SVG picture, with lines broken after ``columns``."""
    out: list[str] = []
    y, wide = _EDGE, 60
    for block in blocks:
        for number, words in enumerate(block.heading.split("\n")):
            heading = escape("".join(map(in_text, words)))
            wide = max(wide, round(len(words) * (0.75 if number else 0.95)))  # not monospaced
            out.append(
                f'<text class="{"n" if number else "h"}" x="{_EDGE}" y="{y + 14}">{heading}</text>'
            )
            y += _TALL
        y += 4
        if block.legend:
            spaced = [replace(mark, text=f" {mark.text} ") for mark in block.legend]
            out += _line([each for mark in spaced for each in (mark, Mark(" "))], y)
            y += _TALL + 6
        for line in _broken(block.marks, columns):
            out += _line(line, y)
            y += _TALL
            wide = max(wide, sum(len(_cell(mark)) for mark in line))
        y += _EDGE
    width = round(2 * _EDGE + wide * _WIDE)
    return adaptive(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" '
        f'height="{y}"><style>{_STYLE}</style><rect width="{width}" height="{y}" fill="{PAPER}"/>'
        f"{''.join(out)}</svg>"
    )


def _cell(mark: Mark) -> str:
    """The text of a mark in a line of the picture."""
    if mark.text == "\n":
        return "⏎" if mark.ground else ""
    return " " if mark.text == "\t" else in_text(mark.text)


def _broken(marks: Sequence[Mark], columns: int) -> Iterator[list[Mark]]:
    """The lines of a text; a line that is too long is broken."""
    line: list[Mark] = []
    wide = 0
    for mark in marks:
        wide += len(_cell(mark))
        if wide > columns and line:
            yield line
            line, wide = [], len(_cell(mark))
        line.append(mark)
        if mark.text == "\n":
            yield line
            line, wide = [], 0
    if line:
        yield line


def _line(marks: Sequence[Mark], y: float) -> Iterator[str]:
    """One line: the backgrounds, the underlines, and its text in one piece."""
    x = float(_EDGE)
    for mark in marks:
        width = _WIDE * len(_cell(mark))
        if mark.ground:
            yield (
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_TALL - 2}" '
                f'fill="rgb{mark.colour}" fill-opacity="{mark.opacity:.2f}"/>'
            )
        if mark.holds and width:
            yield f'<path d="M{x:.1f} {y + _TALL - 3}h{width:.1f}" stroke="{INK}"/>'
        x += width
    text = "".join(map(_cell, marks))
    if text.strip():
        yield (
            f'<text x="{_EDGE}" y="{y + 14}" xml:space="preserve" '
            f'textLength="{_WIDE * len(text):.1f}">{escape(text)}</text>'
        )
