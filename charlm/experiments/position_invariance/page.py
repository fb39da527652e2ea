"""One HTML page with the question, the figures, the table and some errors; it needs no network and
no other file."""

from __future__ import annotations

from html import escape
from pathlib import Path

from charlm.experiments.position_invariance import report
from charlm.experiments.position_invariance.grid import Grid
from charlm.experiments.position_invariance.measures import MAIN, Difference, Results
from charlm.experiments.position_invariance.readers import KINDS
from charlm.experiments.position_invariance.report import percent
from charlm.files import write_atomically
from charlm.svg import distinct

_STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 1rem/1.55 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; display: block;
  overflow-x: auto; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; white-space: nowrap; }
figure { margin: 1.5rem 0; padding: 1rem; background: #fff; border-radius: .4rem;
  overflow-x: auto; }
figure svg { max-width: 100%; height: auto; display: block; margin: auto; min-width: 34rem; }
figcaption { color: #444; font-size: .9rem; }
code, .sentence { font-family: ui-monospace, monospace; font-size: .9rem; }
.interval { color: GrayText; font-size: .8rem; white-space: nowrap; }
.untrained { opacity: .6; }
"""

_CAPTIONS = {
    "offsets": "Exact answers by the offset of the answer's first character. In training no "
    "character of an answer ever stood in a grey band.",
    "every-reader": "The same for every reader by itself; each point is a seed.",
    "offset-by-length": "By offset and length of the sentence; dotted: the held-out bands.",
    "distance": "By the number of characters that follow the answer.",
    "learning-curves": "While training, on further sentences like those of training.",
}


def write(results: Results, grid: Grid) -> Path:
    """Write page.html beside the results; the figures must have been drawn."""
    path = grid.path / "page.html"
    write_atomically(path, html(results, grid.path / "figures").encode())
    return path


def html(results: Results, figures: Path) -> str:
    config = results.config
    italian = not results.content["design"]["lines"]
    question = (
        "Does a network find the year in <em>Sono andato in Nepal nel 2009</em>, and in <em>Nel "
        "2009, sono andato in Nepal</em>?"
        if italian
        else "Does a network find the answer wherever it stands?"
    )
    bands = " and ".join(f"{low} to {high}" for low, high in config["bands"])
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in report.findings(results))
    drawn = "".join(
        f"<figure>{distinct((figures / f'{name}.svg').read_text(encoding='utf-8'), name)}"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for name, caption in _CAPTIONS.items()
        if (figures / f"{name}.svg").exists()
    )
    versions = ", ".join(
        f"{name} {version}" for name, version in results.content["versions"].items()
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Position invariance</title><style>{_STYLE}</style></head><body>
<h1>{question}</h1>
<p>A feedforward network has weights of its own for every place and must learn the language anew at
each; a recurrent network shares its weights over time; a time-delay network shares them too, but
sees only neighbours (Goodfellow, Bengio, Courville, <em>Deep Learning</em>, chapter 10). Here all
have the same number of parameters within ten percent and read the same sentences, in which no
character of an answer ever stands at offsets {bands}. Then they are asked for answers that stand
there.</p>
<h2>What came of it</h2><ul>{said}</ul>
{_table(results)}
<h2>Figures</h2>{drawn}
{_by_symbol(results)}
{_differences(results)}
{_errors(results)}
<h2>How it was made</h2>
<p>{config["seeds"]} seed(s), {config["steps"]:,} updates of 64 sentences for every reader,
{config["per_offset"]} test sentences for each offset and level; intervals are 95 % percentile
bootstrap intervals over seeds. {escape(versions)}.</p>
</body></html>
"""


def _table(results: Results) -> str:
    heads = report.columns(results)
    names = "".join(f"<th>{escape(head)}</th>" for head, _, _ in heads)
    rows = []
    untrained = unread = False
    for reader in results.readers:
        cells = []
        for _, test, part in heads:
            figure, _, interval = report.percent(results.accuracy(reader, test, part)).partition(
                " "
            )
            mark = ""
            if any(
                results.cells[reader, s]["tests"][test]["unread"] for s in results.seeds(reader)
            ):
                mark, unread = " †", True
            cells.append(f'<td>{figure}{mark} <span class="interval">{interval}</span></td>')
        offset, worst = results.worst_offset(reader)
        cells.append(f"<td>{100 * worst:.1f} at {offset}</td>")
        kind, star = "", ""
        if not results.trained(reader):
            kind, star, untrained = ' class="untrained"', " *", True
        rows.append(f"<tr{kind}><td>{escape(reader)}{star}</td>{''.join(cells)}</tr>")
    for name, value in (
        ("most frequent answer (floor)", results.floor),
        ("first number (a regular expression)", results.ceiling),
    ):
        cells = [f"<td>{100 * value(test):.1f}</td>" for _, test, _ in heads]
        rows.append(f"<tr><td>{name}</td>{''.join(cells)}<td></td></tr>")
    notes = [
        "Exact answers in percent. seen, held out: offsets of the answer, nothing else in the "
        "sentence; numbers, years: such beside the answer, at held-out offsets; new answers: they "
        "stand nowhere in training; long: more than 120 characters."
    ]
    if untrained:
        notes.append("* untrained: below 95 % at seen offsets, so it supports no conclusion.")
    if unread:
        notes.append("† cannot read some of these sentences; they count as errors.")
    return (
        f"<table><tr><th>reader</th>{names}<th>worst held-out offset</th></tr>"
        f"{''.join(rows)}</table>"
        + "".join(f"<p><small>{escape(note)}</small></p>" for note in notes)
    )


def _differences(results: Results) -> str:
    best = results.best()
    rows = []
    for other in results.readers:
        if other != best and results.trained(best) and results.trained(other):
            gap: Difference = results.difference(best, other)
            rows.append(
                f"<tr><td>{escape(best)} minus {escape(other)}</td><td>{100 * gap.mean:+.2f}</td>"
                f"<td>[{100 * gap.low:.2f}, {100 * gap.high:.2f}]</td><td>{gap.p:.4f}</td></tr>"
            )
    if not rows:
        return ""
    return (
        "<h2>Paired differences at held-out offsets</h2><table><tr><th></th><th>points</th>"
        f"<th>95 % interval</th><th>p</th></tr>{''.join(rows)}</table><p><small>On the same "
        "sentences, seed by seed; untrained readers are left out. Interval: seeds and sentences "
        "resampled; p: signs of the sentences' differences flipped at random, two-sided, which is "
        "about other sentences and these seeds.</small></p>"
    )


def _silence(reader: str, text: str) -> str:
    """What stands for an empty answer: a tagger may find nothing in a text that it has read."""
    return "nothing" if KINDS[reader].can_read(text) else "not read"


def _by_symbol(results: Results) -> str:
    """Each character of the answer by itself, at held-out offsets."""
    places = range(results.width)
    rows = []
    for reader in results.readers:
        cells = [f"<td>{percent(each)}</td>" for each in results.by_symbol(reader)]
        star = "" if results.trained(reader) else " *"
        rows.append(f"<tr><td>{escape(reader)}{star}</td>{''.join(cells)}</tr>")
    heads = "".join(f"<th>character {place + 1}</th>" for place in places)
    return (
        "<h2>Character by character</h2><p>Share of answers in which that character is right, at "
        "held-out offsets, nothing else in the sentence; the others may be wrong.</p>"
        f"<table><tr><th>reader</th>{heads}</tr>{''.join(rows)}</table>"
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
