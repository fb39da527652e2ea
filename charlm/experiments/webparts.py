"""Parts of the HTML page of an experiment: cells and rows of tables, paired differences, figures.

The functions return HTML; what comes from the results is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from html import escape
from pathlib import Path

from charlm.experiments.measures import Difference, Estimate, GridResults
from charlm.experiments.tables import percent
from charlm.svg import inline
from charlm.webpage import scrolling

STYLE = """
body { max-width: 64rem; }
table { width: 100%; font-size: .9rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--faint); text-align: right; }
th:first-child, td:first-child { text-align: left; padding-left: 0; min-width: 7rem;
  position: sticky; left: 0; background: var(--paper); }
th { vertical-align: bottom; } figure { margin: 2rem 0; }
code, .sentence { font-family: ui-monospace, monospace; font-size: .9rem; overflow-wrap: anywhere; }
.interval { color: var(--quiet); font-size: .8rem; white-space: nowrap; display: block; }
.untrained td { color: var(--quiet); }
"""
"""What is added to the style of every page of charlm."""


def cell(estimate: Estimate, mark: str = "") -> str:
    """A cell of a table: the mean in percent, and its interval below."""
    figure, _, interval = percent(estimate).partition(" ")
    return f'<td>{figure}{mark} <span class="interval">{interval}</span></td>'


def row(reader: str, cells: Iterable[str], trained: bool = True) -> str:
    """A row of a table about readers; an untrained one is marked.

    cells: HTML of each cell, with its ``<td>``
    """
    kind, star = ("", "") if trained else (' class="untrained"', " *")
    return f"<tr{kind}><td>{escape(reader)}{star}</td>{''.join(cells)}</tr>"


def table(heads: Iterable[str], rows: Iterable[str]) -> str:
    """A table that scrolls sideways. The first column needs no heading: it can be ``""``.

    heads: text of each column's heading
    rows: HTML of each row, with its ``<tr>``
    """
    names = "".join(f"<th>{escape(head)}</th>" for head in heads)
    return scrolling(f"<table><tr>{names}</tr>{''.join(rows)}</table>")


def notes(texts: Iterable[str]) -> str:
    """Small print below a table, a paragraph for each text."""
    return "".join(f"<p><small>{escape(text)}</small></p>" for text in texts)


def differences(
    title: str,
    best: str,
    others: Iterable[str],
    difference: Callable[[str, str], Difference],
    items: str,
) -> str:
    """The accuracy of the best reader minus that of each other one; empty without others.

    title: the heading
    others: the trained readers with which ``best`` is compared
    items: what was tested, such as "sentences"
    """
    rows = []
    for other in others:
        gap = difference(best, other)
        rows.append(
            f"<tr><td>{escape(best)} minus {escape(other)}</td><td>{100 * gap.mean:+.2f}</td>"
            f"<td>[{100 * gap.low:.2f}, {100 * gap.high:.2f}]</td><td>{gap.p:.4f}</td></tr>"
        )
    if not rows:
        return ""
    note = (
        f"On the same {items}, seed by seed; untrained readers are left out. "
        f"Interval: bootstrap over seeds and {items}. p: two-sided permutation test that flips "
        f"the signs of the {items}' differences at random; it tells whether other {items} "
        "would give the same result with these seeds."
    )
    head = ("", "points", "95 % interval", "p")
    return f"<h2>{escape(title)}</h2>{table(head, rows)}<p><small>{note}</small></p>"


def figures(captions: Mapping[str, str], folder: Path) -> str:
    """The SVG figures of those names that are in the folder, each with its caption and wide enough
    to be read."""
    drawn = []
    for name, caption in captions.items():
        path = folder / f"{name}.svg"
        if path.exists():
            svg = inline(path.read_text(encoding="utf-8"), name)
            drawn.append(
                f"<figure>{scrolling(svg)}<figcaption>{escape(caption)}</figcaption></figure>"
            )
    return "".join(drawn)


def versions(results: GridResults) -> str:
    """What the readers were made with, in a line."""
    made_with = results.content["versions"].items()
    return escape(", ".join(f"{name} {version}" for name, version in made_with))
