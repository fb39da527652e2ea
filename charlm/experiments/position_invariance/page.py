"""One HTML page with the question, the results, the figures, the tables and some errors.

It needs no network and no other file.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from charlm import webpage
from charlm.experiments import webparts
from charlm.experiments.position_invariance import report
from charlm.experiments.position_invariance.examples import NEW_KINDS
from charlm.experiments.position_invariance.grid import Grid
from charlm.experiments.position_invariance.measures import MAIN, Results
from charlm.experiments.position_invariance.readers import KINDS
from charlm.experiments.webparts import cell
from charlm.files import write_atomically

_CAPTIONS = {
    "offsets": "Exact answers by the offset of the answer's first character. In training, no "
    "character of an answer was in a gray band.",
    "every-reader": "The same for each reader; each point is a seed.",
    "offset-by-length": "By offset of the answer and length of the sentence; dashed: the held-out "
    "bands.",
    "distance": "By the number of characters that follow the answer.",
    "learning-curves": "During training, on other sentences of the same kind as the training "
    "sentences.",
}


def write(results: Results, grid: Grid) -> Path:
    """Write page.html beside the results. The figures must have been drawn before."""
    path = grid.path / "page.html"
    write_atomically(path, html(results, grid.path / "figures").encode())
    return path


def html(results: Results, figures: Path) -> str:
    """The page as HTML. ``figures`` is the folder of the SVG files; those that are missing are left
    out."""
    config = results.config
    italian = not results.content["design"]["lines"]
    question = (
        "Does a network find the year in <em>Sono andato in Nepal nel 2009</em>, and in <em>Nel "
        "2009, sono andato in Nepal</em>?"
        if italian
        else "Does a network find the answer at any position?"
    )
    bands = " and ".join(f"{low} to {high}" for low, high in config["bands"])
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in report.findings(results))
    return webpage.page(
        "Position invariance",
        f"""<h1>{question}</h1>
<p>A feedforward network has separate weights for each position and must learn the language again at
each; a recurrent network shares its weights over time; a time-delay network shares them too, but
sees only neighbors (Goodfellow, Bengio, Courville, <em>Deep Learning</em>, chapter 10). Here all
networks have the same number of parameters within ten percent and read the same training sentences,
in which no character of an answer is at offsets {bands}. They are then tested on answers at these
offsets.</p>
<h2>Results</h2><ul>{said}</ul>
{_table(results)}
<h2>Figures</h2>{webparts.figures(_captions(results), figures)}
{_kinds_of_errors(results)}{_by_symbol(results)}
{_differences(results)}
{_errors(results)}
<h2>How it was computed</h2>
<p>{config["seeds"]} seed{"s" if config["seeds"] > 1 else ""}, {config["steps"]:,} training steps of
64 sentences for each reader, {config["per_offset"]} test sentences for each offset and level.
Intervals are 95 % percentile bootstrap intervals over seeds. {webparts.versions(results)}.</p>""",
        webparts.STYLE,
    )


def _table(results: Results) -> str:
    heads = report.columns(results)
    rows = []
    untrained = unread = False
    for reader in results.readers:
        cells = []
        for _, test, part in heads:
            mark = ""
            if any(
                results.cells[reader, s]["tests"][test]["unread"] for s in results.seeds(reader)
            ):
                mark, unread = " †", True
            cells.append(cell(results.accuracy(reader, test, part), mark))
        offset, worst = results.worst_offset(reader)
        cells.append(f"<td>{100 * worst:.1f} at {offset}</td>")
        trained = results.trained(reader)
        untrained = untrained or not trained
        rows.append(webparts.row(reader, cells, trained))
    for name, value in (
        ("most frequent answer (floor)", results.floor),
        ("first number (a regular expression)", results.ceiling),
    ):
        cells = [f"<td>{100 * value(test):.1f}</td>" for _, test, _ in heads]
        rows.append(f"<tr><td>{name}</td>{''.join(cells)}<td></td></tr>")
    notes = [
        "Exact answers in percent. seen, held out: at those offsets of the answer, with no other "
        "number in the sentence; numbers, years: beside the answer, at held-out offsets; new "
        "answers: never seen in training; long: more than 120 characters."
    ]
    if NEW_KINDS in results.tests:
        notes.append(
            "four digits: a number beside the answer that is not a year, such as a room; new "
            "kinds: of a kind that never occurs in training; both at held-out offsets."
        )
    if untrained:
        notes.append("* untrained: below 95 % at seen offsets, so no conclusion is drawn.")
    if unread:
        notes.append("† cannot read some of these sentences; they count as errors.")
    names = ["reader", *(head for head, _, _ in heads), "worst held-out offset"]
    return webparts.table(names, rows) + webparts.notes(notes)


def _captions(results: Results) -> dict[str, str]:
    first = f"{_CAPTIONS['offsets']} {report.before_band(results)}".rstrip()
    return _CAPTIONS | {"offsets": first}


def _differences(results: Results) -> str:
    best = results.best()
    trained = [reader for reader in results.readers if results.trained(reader)]
    others = [reader for reader in trained if reader != best and best in trained]
    return webparts.differences(
        "Paired differences at held-out offsets", best, others, results.difference, "sentences"
    )


def _silence(reader: str, text: str) -> str:
    """What to show for an empty answer: a tagger may find nothing in a text that it has read."""
    return "nothing" if KINDS[reader].can_read(text) else "not read"


def _kinds_of_errors(results: Results) -> str:
    """How many answers are another number of the sentence, and how many are not in it."""
    tests = report.error_tests(results)
    if not tests:
        return ""
    heads = [f"{test}: {head}" for test in tests for head in report.ERROR_COLUMNS.values()]
    rows = []
    for reader in results.readers:
        found = [results.errors(reader, test, "held out") for test in tests]
        cells = "".join(cell(each[error]) for each in found for error in report.ERROR_COLUMNS)
        star = "" if results.trained(reader) else " *"
        rows.append(f"<tr><td>{escape(reader)}{star}</td>{cells}</tr>")
    chance = "".join(f"<td>{cell}</td>" for cell in report.chance_row(results, tests))
    rows.append(f"<tr><td>one of the numbers, at random</td>{chance}</tr>")
    return (
        "<h2>Two kinds of errors</h2><p>Percent of all answers at held-out offsets. other: another "
        "number of the sentence; invented: a number that is nowhere in the sentence. A pointer "
        "answers a place, so it cannot invent. The rest of the errors are pieces of the sentence "
        "or no answer.</p>" + webparts.table(["reader", *heads], rows)
    )


def _by_symbol(results: Results) -> str:
    """The accuracy of each character of the answer, at held-out offsets."""
    rows = []
    for reader in results.readers:
        cells = [cell(each) for each in results.by_symbol(reader)]
        star = "" if results.trained(reader) else " *"
        rows.append(f"<tr><td>{escape(reader)}{star}</td>{''.join(cells)}</tr>")
    heads = [f"character {place + 1}" for place in range(results.width)]
    return (
        "<h2>Character by character</h2><p>Percent of answers in which this character is right, "
        "whether or not the others are, at held-out offsets and with no other number in the "
        "sentence.</p>" + webparts.table(["reader", *heads], rows)
    )


def _errors(results: Results) -> str:
    parts = []
    for reader in results.readers:
        cell = results.cells[reader, results.seeds(reader)[0]]
        lines = [
            f'<li><span class="sentence">{escape(error["text"])}</span>: '
            f"{escape(error['found'] or _silence(reader, error['text']))} instead of "
            f"{escape(error['answer'])}</li>"
            for test in results.tests
            for error in cell["tests"][test]["errors"][: 3 if test == MAIN else 2]
        ]
        if lines:
            parts.append(
                f"<details><summary>{escape(reader)}</summary><ul>{''.join(lines)}</ul></details>"
            )
    return f"<h2>Some errors</h2>{''.join(parts)}" if parts else ""
