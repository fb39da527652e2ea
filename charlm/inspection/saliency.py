"""Which characters decided: blue ones made an answer more likely, red ones less."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from charlm import webpage
from charlm.display import printable
from charlm.errors import CharlmError
from charlm.files import write_atomically

# Backgrounds for and against the answer, from faint to full, in the 256 colours of a terminal.
_FOR = (195, 153, 117, 75, 33)
_AGAINST = (224, 217, 210, 203, 196)
_SMALL = 0.05


@dataclass(frozen=True)
class Saliency:
    """A text, and by how many nats the log-probability of its answer falls without each character:
    (T,). In a text of several lines a line end is a character, whose value is 0."""

    text: str
    nats: NDArray[np.float64]

    @property
    def shares(self) -> NDArray[np.float64]:
        """The same from -1 to 1; the largest magnitude is 1."""
        return self.nats / max(1e-9, float(np.abs(self.nats).max()))

    @property
    def several_lines(self) -> bool:
        return "\n" in self.text


def in_terminal(found: Saliency, colour: bool, indent: int = 0) -> str:
    """The text with coloured backgrounds. Without colour, a line of marks follows below the text,
    after ``indent`` spaces: 1 to 9 for the answer, - against it. A text of several lines is
    followed by an empty line and as many lines of marks."""
    if colour:
        pieces = []
        for character, share in zip(found.text, found.shares, strict=True):
            scale = _FOR if share > 0 else _AGAINST
            shown = printable(character)
            if abs(share) < _SMALL:
                pieces.append(shown)
            else:
                tone = scale[min(len(scale) - 1, int(abs(share) * len(scale)))]
                pieces.append(f"\x1b[48;5;{tone}m\x1b[30m{shown}\x1b[0m")
        return "".join(pieces)
    marks = "".join(
        character if character == "\n" else _mark(share, _columns(character))
        for character, share in zip(found.text, found.shares, strict=True)
    )
    if found.several_lines:
        lines = "\n".join(line.rstrip() for line in marks.split("\n"))
        return f"{printable(found.text)}\n\n{lines}"
    return f"{printable(found.text)}\n{' ' * indent}{marks}".rstrip()


def _columns(character: str) -> int:
    """How many columns of a terminal a character takes."""
    if unicodedata.category(character) in ("Mn", "Me", "Cf") and printable(character) == character:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else len(printable(character))


def _mark(share: float, width: int) -> str:
    """The mark below a character of so many columns."""
    if abs(share) < _SMALL or not width:
        return " " * width
    return (str(max(1, min(9, int(10 * share)))) if share > 0 else "-").ljust(width)


def in_html(found: Saliency) -> str:
    """A span for each character: its background shows its share, its title the value in nats."""
    pieces = []
    for character, share, nats in zip(found.text, found.shares, found.nats, strict=True):
        if character == "\n":
            pieces.append(character)
            continue
        colour = "37, 99, 235" if share > 0 else "220, 38, 38"
        pieces.append(
            f'<span title="{nats:+.3f} nats" style="background: rgba({colour}, '
            f'{_STRONGEST * abs(share):.3f})">{escape(character)}</span>'
        )
    return "".join(pieces)


_STRONGEST = 0.6
"""The opacity of the strongest background: text stays readable on it in light and in dark mode."""


def write_page(path: Path, found: Saliency, answer: str, name: str) -> None:
    """Write the saliency as a page. Raises CharlmError if it cannot be written."""
    shown = f'<div class="saliency">{in_html(found)}</div>'
    style = ".saliency { font: 1.3rem/1.8 ui-monospace, monospace; overflow-wrap: anywhere; }"
    if found.several_lines:
        shown = webpage.scrolling(shown)
        style = ".saliency { font: 1rem/1.35 ui-monospace, monospace; white-space: pre; }"
    content = webpage.page(
        "What moved the answer",
        f"""<p>{escape(name)} answers <b>{escape(answer)}</b>. Blue characters made this answer more
likely, red ones less: the change of its log-probability without each character. Point at one for
the value.</p>
{shown}""",
        style,
    )
    try:
        write_atomically(path, content.encode())
    except OSError as error:
        raise CharlmError(f"--html {path}: cannot be written ({error.strerror})") from error
