"""One HTML page with the question, two pages as examples, the results, the maps and some errors.

It needs no network and no other file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from charlm import webpage
from charlm.experiments import webparts
from charlm.experiments.measures import Estimate
from charlm.experiments.page import report
from charlm.experiments.page.design import BOTH, PARTS, PLACES
from charlm.experiments.page.examples import word_of
from charlm.experiments.page.grid import Grid
from charlm.experiments.page.layouts import DIGITS, FAMILIES, KINDS, Page
from charlm.experiments.page.measures import PLACE, Results
from charlm.experiments.webparts import cell
from charlm.files import write_atomically

Tests = Mapping[str, Sequence[Page]]

_CAPTIONS = {
    "maps": "Numbers found by the place of the first digit, two maps for each reader: the word "
    "above the number, and the word to its left. Framed: the places of training. A frame ends "
    "before a band of columns, because no digit may be in it. Gray: no word, or not the whole "
    "number, has room there. *: below 95 % at seen places.",
    "parts": "Numbers found in the four parts of a page; each point is a seed.",
    "widths": "Numbers found on pages of other widths, with as many parameters; each point is a "
    "seed. These pages have no held-out places.",
    "learning-curves": "Numbers found during training, on other pages of the same kind as the "
    "training pages.",
}
_MAPS = ("maps",)

_STYLE = """
.sheets { display: flex; flex-wrap: wrap; gap: 1.5rem; } .sheets > * { max-width: 100%; }
.sheets figure { margin: .5rem 0; max-width: 23rem; }
pre { font: .8rem/1.3 ui-monospace, monospace; margin: 0; padding: .5rem .7rem;
  border: 1px solid var(--faint); width: max-content; }
pre b, pre i, pre s { font-style: normal; font-weight: 700; text-decoration: none; }
pre b { background: rgba(37, 99, 235, .4); } /* the text on it can be read in both modes */
pre i { border-bottom: 2px solid var(--own); }
pre s { outline: 2px solid #d55e00; }
"""


def write(results: Results, grid: Grid) -> Path:
    """Write page.html beside the results. The figures must have been drawn before."""
    path = grid.path / "page.html"
    write_atomically(path, html(results, grid.tests, grid.path / "figures").encode())
    return path


def html(results: Results, tests: Tests, figures: Path) -> str:
    """The page as HTML.

    tests: the test pages, from which the examples and the errors are shown
    figures: the folder of the SVG files; those that are missing are left out
    """
    design = results.design
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in report.findings(results))
    others = {name: text for name, text in _CAPTIONS.items() if name not in _MAPS}
    maps = {name: _CAPTIONS[name] for name in _MAPS}
    return webpage.page(
        "The year in two dimensions",
        f"""<h1>Does a network find the year of a trip on a page, at any place?</h1>
<p>A page has {design.rows} rows of {design.columns} characters and several four-digit numbers. Each
has a word that names it: above the number in one half of the pages, to its left in the other. The
asked number is the one whose word means the year of the trip. So a reader must connect places that
are close on the page but, read row by row, a whole row or more apart (Graves, Fernandez,
Schmidhuber, <em>Multi-dimensional recurrent neural networks</em>, 2007).</p>
<p>In training the asked number is never in rows {_bands(design.row_bands)}, and never in columns
{_bands(design.column_bands)}. The readers are then tested there. They answer a place and a
value.{_alike(results)}</p>
<h2>Two pages</h2><div class="sheets">{_examples(tests[PLACES])}</div>
<h2>Results</h2><ul>{said}</ul>
<h2>Maps</h2>{webparts.figures(maps, figures)}
<h2>Tables</h2>{_tables(results)}
<h2>Figures</h2>{webparts.figures(others, figures)}
{_differences(results)}
{_errors(results, tests[PLACES])}
{_computed(results)}""",
        webparts.STYLE + _STYLE,
    )


def _bands(bands: Sequence[tuple[int, int]]) -> str:
    """Rows or columns, counted from 1."""
    return " and ".join(f"{first + 1} to {last + 1}" for first, last in bands)


def _alike(results: Results) -> str:
    said = [f"{reader} {report.apart(results, reader)}." for reader in _outside(results)]
    counts = [_facts(results, reader)["parameters"] for reader in report.compared(results)]
    if counts:
        said.insert(
            0,
            f"They have between {min(counts):,} and {max(counts):,} parameters and read the same "
            "pages.",
        )
    return escape(" ".join(["", *said, *report.fields(results)]))


def _outside(results: Results) -> list[str]:
    return [reader for reader in results.main if report.outside(results, reader)]


# ------------------------------------------------------------------------------------------- pages


def sheet(rows: Sequence[str], marks: Mapping[tuple[int, int], tuple[int, str]]) -> str:
    """A page in a fixed-width font.

    marks: (row, column) -> (number of characters, HTML element around them); they do not overlap
    """
    lines = []
    for number, row in enumerate(rows):
        pieces, done = [], 0
        for (_, column), (length, element) in sorted(
            (place, mark) for place, mark in marks.items() if place[0] == number
        ):
            first = max(column, done)
            pieces.append(escape(row[done:first]))
            done = max(done, column + length)
            pieces.append(f"<{element}>{escape(row[first:done])}</{element}>")
        lines.append("".join([*pieces, escape(row[done:])]))
    text = "\n".join(lines)
    return webpage.scrolling(f"<pre>{text}</pre>")


def _examples(pages: Sequence[Page]) -> str:
    """A page of each family, not at its edge, with the asked number and its word marked."""
    shown = []
    for number, family in enumerate(FAMILIES):
        fitting = [page for page in pages if (page.family, page.kind) == (family, KINDS[number])]
        fitting = fitting or [page for page in pages if page.family == family]
        page = fitting[len(fitting) // 2]
        marks = {(page.row, page.column): (DIGITS, "b")}
        found = word_of(page)
        if found is not None:
            marks[found.at] = (len(found.word), "i")
        shown.append(
            f"<figure>{sheet(page.rows, marks)}<figcaption>{escape(report.WHERE[family])}: a "
            f"{escape(page.kind)}. The asked number is on blue ground, its word underlined."
            "</figcaption></figure>"
        )
    return "".join(shown)


def _errors(results: Results, pages: Sequence[Page]) -> str:
    parts = []
    for reader in results.main:
        first = results.cells[reader, results.seeds(reader)[0]]
        # First those at places unlike those of training.
        found = sorted(
            first["tests"][PLACES]["errors"],
            key=lambda error: -_rank(results, pages[error["page"]]),
        )
        shown = [_error(results, pages[error["page"]], error) for error in found[:2]]
        if shown:
            parts.append(
                f"<details><summary>{escape(reader)}</summary>"
                f'<div class="sheets">{"".join(shown)}</div></details>'
            )
    if not parts:
        return ""
    note = "On blue ground: the asked number. In a red frame: where the reader points."
    return f"<h2>Some errors</h2><p>{note}</p>{''.join(parts)}"


def _rank(results: Results, page: Page) -> int:
    part = results.design.part(page.row, page.column)
    return PARTS.index(part) if part else -1


def _error(results: Results, page: Page, error: Mapping[str, Any]) -> str:
    row, column = error["place"]
    marks = {(page.row, page.column): (DIGITS, "b")}
    length = DIGITS + min(0, column)
    marks[row, max(0, column)] = (length, "s")
    part = results.design.part(page.row, page.column) or "partly held out"
    return (
        f"<figure>{sheet(page.rows, marks)}<figcaption>{escape(error['value'])} instead of "
        f"{escape(page.answer)}; {escape(part)}</figcaption></figure>"
    )


# ------------------------------------------------------------------------------------------ tables


def _tables(results: Results) -> str:
    tables = [_places(results, family) for family in FAMILIES]
    tables.append(_values(results))
    if report.wide(results):
        tables += [_widths(results, family) for family in FAMILIES]
    return "".join(tables) + webparts.notes([" ".join(report.notes(results))])


def _places(results: Results, family: str) -> str:
    rows = [
        webparts.row(
            reader,
            [cell(results.accuracy(reader, PLACES, part, family)) for part in PARTS],
            report.learned(results, reader, family),
        )
        for reader in results.main
    ]
    before = [report.before_training(results, PLACE)] * len(PARTS)
    chance = [results.chance(PLACES, part, family) for part in PARTS]
    rows += [_control(report.BEFORE, before), _control(report.RANDOM, chance)]
    head = f"Places found: {report.WHERE[family]}"
    return f"<h3>{escape(head)}</h3>{webparts.table(['reader', *PARTS], rows)}"


def _values(results: Results) -> str:
    rows = []
    for reader in results.main:
        found = [
            cell(results.accuracy(reader, test, part, answer=answer))
            for _, test, part, answer in report.VALUE_COLUMNS
        ]
        parameters = f"<td>{_facts(results, reader)['parameters']:,}</td>"
        rows.append(webparts.row(reader, [*found, parameters], report.learned(results, reader)))
    before = [report.before_training(results, answer) for *_, answer in report.VALUE_COLUMNS]
    chance = [results.chance(test, part) for _, test, part, _ in report.VALUE_COLUMNS]
    rows += [_control(report.BEFORE, before, "<td></td>")]
    rows += [_control(report.RANDOM, chance, "<td></td>")]
    heads = ["reader", *(head for head, *_ in report.VALUE_COLUMNS), "parameters"]
    return f"<h3>Values, and years never seen</h3>{webparts.table(heads, rows)}"


def _widths(results: Results, family: str) -> str:
    every = results.config["widths"]
    rows = []
    for reader in report.wide(results):
        found = dict(zip(*results.by_width(reader, family), strict=True))
        rows.append(
            webparts.row(reader, [cell(found.get(width, Estimate.of([]))) for width in every])
        )
    rows.append(_control(report.RANDOM, report.chances(results, family)))
    heads = ["reader", *(f"{width} columns" for width in every)]
    head = f"Page widths: {report.WHERE[family]}"
    return f"<h3>{escape(head)}</h3>{webparts.table(heads, rows)}"


def _control(name: str, shares: Sequence[float], more: str = "") -> str:
    cells = "".join(f"<td>{report.one_figure(share)}</td>" for share in shares)
    return f"<tr><td>{escape(name)}</td>{cells}{more}</tr>"


def _differences(results: Results) -> str:
    """The best reader at both held out, against the others that learned the task."""
    shares = {
        reader: results.accuracy(reader, PLACES, BOTH).mean
        for reader in report.compared(results)
        if report.learned(results, reader)
    }
    if not shares:
        return ""
    best = max(shares, key=lambda reader: shares[reader])
    return webparts.differences(
        "Paired differences where row and column are held out",
        best,
        [reader for reader in shares if reader != best],
        lambda one, other: results.difference(one, other, BOTH),
        "pages",
    )


def _computed(results: Results) -> str:
    config = results.config
    batch_size = config["recipe"]["batch_size"]
    rows = []
    for reader in results.main:
        cells = [results.cells[reader, seed] for seed in results.seeds(reader)]
        seconds = sum(each["seconds_training"] for each in cells) / len(cells)
        rows.append(
            f"<tr><td>{escape(reader)}</td><td>{cells[0]['parameters']:,}</td>"
            f"<td>{cells[0]['hidden_size']}</td><td>{cells[0]['steps']:,}</td>"
            f"<td>{seconds:,.0f}</td></tr>"
        )
    heads = ["reader", "parameters", "hidden size", "training steps", "seconds of training"]
    return f"""<h2>How it was computed</h2>
<p>{config["seeds"]} seed{"s" if config["seeds"] > 1 else ""}, {config["steps"]:,} training steps of
{batch_size} pages for each reader, {config["per_place"]} test pages of each kind for each place.
Intervals are 95 % percentile bootstrap intervals over seeds. {webparts.versions(results)}.</p>
{webparts.table(heads, rows)}"""


def _facts(results: Results, reader: str) -> Mapping[str, int]:
    return results.cells[reader, results.seeds(reader)[0]]
