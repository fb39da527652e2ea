"""Which characters moved an answer, in colour: blue spoke for it, red against it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from charlm.display import printable
from charlm.errors import CharlmError, RequestError
from charlm.experiments.position_invariance.ask import NO_ANSWER, Panel, occlusion
from charlm.files import write_atomically

# From faint to full, in the 256 colours of terminals: backgrounds for and against.
_FOR = (195, 153, 117, 75, 33)
_AGAINST = (224, 217, 210, 203, 196)
_SMALL = 0.05

LONGEST = 1000
"""Characters of a sentence whose saliency is shown."""


@dataclass(frozen=True)
class Saliency:
    """A text and what its answer's log-probability loses without each character: (T,) nats, the
    mean of the reader's seeds."""

    text: str
    nats: NDArray[np.float64]

    @property
    def shares(self) -> NDArray[np.float64]:
        """From -1 to 1: the largest of them is 1."""
        return self.nats / max(1e-9, float(np.abs(self.nats).max()))


def of(panel: Panel, name: str, text: str, answer: str) -> Saliency:
    """RequestError where there is no answer to explain, or too long a text to look at it once
    without each of its characters."""
    if answer in ("", NO_ANSWER):
        raise RequestError("there is no answer to explain; leave out --saliency and --html")
    text = " ".join(text.split())
    if len(text) > LONGEST:
        raise RequestError(
            f"the sentence has {len(text):,} characters; a saliency is shown of at most {LONGEST:,}"
        )
    nats = np.mean([occlusion(reader, text, answer) for reader in panel.members(name)], axis=0)
    return Saliency(text, nats)


def in_terminal(found: Saliency, colour: bool, indent: int = 0) -> str:
    """The text on coloured ground; without colour, followed by a line of marks beneath, which
    begins after ``indent`` spaces."""
    import os

    if colour and not os.environ.get("NO_COLOR"):
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
        " " if abs(share) < _SMALL else (str(min(9, int(10 * share))) if share > 0 else "-")
        for share in found.shares
    )
    return f"{printable(found.text)}\n{' ' * indent}{marks}".rstrip()


def in_html(found: Saliency) -> str:
    """Spans with a background; the exact figure in each one's title."""
    pieces = []
    for character, share, nats in zip(found.text, found.shares, found.nats, strict=True):
        colour = "37, 99, 235" if share > 0 else "220, 38, 38"
        pieces.append(
            f'<span title="{nats:+.3f} nats" style="background: rgba({colour}, '
            f'{0.75 * abs(share):.3f})">{escape(character)}</span>'
        )
    return "".join(pieces)


def write_page(path: Path, found: Saliency, answer: str, name: str) -> None:
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>What moved the answer</title>
<style>body {{ font: 1.3rem/1.8 ui-monospace, monospace; margin: 3rem auto; max-width: 50rem;
padding: 0 1rem; color-scheme: light dark; }} p {{ font: 1rem/1.5 system-ui, sans-serif; }}</style>
<p>{escape(name)} answers <b>{escape(answer)}</b>. Blue characters spoke for it, red ones against:
the answer's log-probability without each of them (hover for the figure).</p>
<div>{in_html(found)}</div></html>
"""
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise CharlmError(f"--html {path}: cannot be written ({error.strerror})") from error
