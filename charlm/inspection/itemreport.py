"""One page about a run on items: learning curve, loss or answers beside what is simpler, examples.

``gather`` computes everything as plain values; ``html`` fills ``templates/itemreport.html`` with
them. Needs matplotlib and jinja2 (the extra ``report``), not torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from charlm import drawing, webpage
from charlm.checkpoint import Checkpoint
from charlm.config import SampleConfig
from charlm.inspection import attention, labelplots, pages, plots
from charlm.inspection.saliency import Saliency, in_html
from charlm.itemscore import ItemScore
from charlm.ladder import Rung
from charlm.runs import OpenModel
from charlm.svg import inline
from charlm.tasks import evaluation
from charlm.tasks.answers import Classifier
from charlm.tasks.evaluation import Beside
from charlm.tasks.labelscore import LabelScore
from charlm.tasks.rewritescore import RewriteScore
from charlm.tasks.rewriting import Rewriter, Rewritten
from charlm.tasks.tagscore import TagScore
from charlm.text.records import Record

SAMPLES, LABELS = 30, 12
"""Items that are sampled, and labels of which some are."""
PER_LABEL, TEMPERATURE = 8, 0.8
EXAMPLES = 12
"""Items whose answers are shown: as many wrong ones as there are, up to half, and right ones."""


@dataclass(frozen=True)
class Written:
    """An item that the model wrote. known: "", "train" or "held out": the list that it is in."""

    text: str
    known: str


@dataclass(frozen=True)
class Example:
    """An item and its answer. shown: the item as HTML, with what decided or what is wrong."""

    shown: str
    truth: str
    answer: str
    right: bool
    probability: float | None = None


@dataclass
class ItemReport:
    """Everything that the page shows; a part that this kind of run does not have is None."""

    name: str
    opened: OpenModel
    kind: str
    source: str
    log: list[dict[str, Any]]
    loss: ItemScore | None = None
    rungs: list[Rung] = field(default_factory=list)
    labels: Beside[LabelScore] | None = None
    tags: Beside[TagScore] | None = None
    rewritten: Beside[RewriteScore] | None = None
    attention: list[str] = field(default_factory=list)  # SVG pictures
    samples: list[tuple[str, list[Written]]] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)


def gather(
    opened: OpenModel,
    records: Sequence[Record],
    train: Sequence[Record],
    *,
    source: str,
    log: list[dict[str, Any]] | None = None,
    seed: int = 0,
    doing: Callable[[str], None] = lambda part: None,
) -> ItemReport:
    """Compute a report on ``records``.

    source: what they are, in a few words; train: the training items, if they are at hand
    log: the records of the run's log; doing: called with the name of each part before it
    """
    loaded = opened.checkpoint
    kind = evaluation.kind_of(loaded)
    found = ItemReport(opened.name, opened, kind, source, log or [])
    if loaded.config.writes:
        doing("loss")
        found.loss, found.rungs = evaluation.loss(opened.model, records, train)
        doing("samples")
        found.samples = _samples(opened, records, train, seed)
    if kind in ("labelled", "classify"):
        doing("labels")
        found.labels = evaluation.labels(loaded, records, train)
        doing("examples")
        found.examples = _explained(Classifier(loaded), found.labels.score, records)
    elif kind == "tag":
        doing("tags")
        found.tags, answers = evaluation.tags(loaded, records, train)
        found.examples = _tagged(records, answers)
    elif kind == "rewrite":
        doing("rewriting")
        found.rewritten, best = evaluation.rewritten(loaded, records, train)
        found.examples, found.attention = _rewritings(loaded, records, best)
    return found


def _samples(
    opened: OpenModel, records: Sequence[Record], train: Sequence[Record], seed: int
) -> list[tuple[str, list[Written]]]:
    """Items that the model wrote, by label: those with the most training items."""
    model = opened.model
    lists = {record.text: "held out" for record in records}
    lists |= {record.text: "train" for record in train}
    names: list[str] = [""]
    if model.items is not None and model.labels:
        order = np.argsort(-np.array(model.items.counts), kind="stable")[:LABELS]
        names = [model.labels[k] for k in order.tolist()]
    found = []
    for name in names:
        count = PER_LABEL if name else SAMPLES
        config = SampleConfig(temperature=TEMPERATURE, seed=seed)
        streams = model.streams("", config, count, label=name or None)
        texts = ["".join(pieces) for pieces in streams]
        found.append((name, [Written(text, lists.get(text, "")) for text in texts]))
    return found


def _chosen(right: Sequence[bool]) -> list[int]:
    """The numbers of the examples: wrong ones first, each kind evenly spaced."""
    wrong = [n for n, each in enumerate(right) if not each]
    good = [n for n, each in enumerate(right) if each]
    few = _spaced(wrong, EXAMPLES // 2)
    return [*few, *_spaced(good, EXAMPLES - len(few))]


def _spaced(numbers: list[int], count: int) -> list[int]:
    if len(numbers) <= count:
        return numbers
    return [numbers[k * len(numbers) // count] for k in range(count)]


def _explained(
    classifier: Classifier, score: LabelScore, records: Sequence[Record]
) -> list[Example]:
    """Items with the characters that decided about their labels."""
    right = (score.answers == score.truth).tolist()
    found = []
    for number in _chosen(right):
        text = classifier.tokenizer.normalize(records[number].text)
        answer = score.names[int(score.answers[number])]
        shown = in_html(Saliency(text, classifier.saliency(text, answer)))
        p = float(np.exp(score.log_p[number].max()))
        found.append(Example(shown, records[number].label, answer, right[number], p))
    return found


def _tagged(records: Sequence[Record], answers: Sequence[str]) -> list[Example]:
    """Items with the tags that are right in bold and those that are wrong in red."""
    right = [record.label == answer for record, answer in zip(records, answers, strict=True)]
    found = []
    for number in _chosen(right):
        text, truth, answer = *records[number], answers[number]
        pieces = [
            f'<span class="wrong" title="{escape(wanted)}">{escape(given)}</span>'
            if given != wanted
            else escape(given)
            for given, wanted in zip(answer, truth, strict=True)
        ]
        found.append(Example(escape(text), "".join(pieces), answer, right[number]))
    return found


def _rewritings(
    loaded: Checkpoint, records: Sequence[Record], best: Sequence[Rewritten]
) -> tuple[list[Example], list[str]]:
    """What was written, wrong ones first, and where the model looked while it wrote some of it."""
    model = Rewriter.of(loaded)
    right = [
        each.text == model.tokenizer.normalize(record.label)
        for record, each in zip(records, best, strict=True)
    ]
    chosen = _chosen(right)
    examples = [
        Example(
            escape(records[n].text),
            escape(records[n].label),
            best[n].text,
            right[n],
            float(np.exp(best[n].log_probability)),
        )
        for n in chosen
    ]
    drawn = [n for n in chosen if right[n]][:2] + [n for n in chosen if not right[n]][:1]
    source = model.tokenizer.normalize
    return examples, [attention.svg(model, source(records[n].text), best[n]) for n in drawn]


def html(report: ItemReport) -> str:
    """The page as HTML; it needs no network and no other file."""
    environment = Environment(
        loader=PackageLoader("charlm.inspection"), autoescape=True, undefined=StrictUndefined
    )
    made = {"style": Markup(webpage.STYLE + pages.STYLE + STYLE)}
    if report.attention:
        drawn = [
            webpage.scrolling(inline(each, f"at-{n}")) for n, each in enumerate(report.attention)
        ]
        made["attention"] = Markup("".join(drawn))
    for name, figure in _figures(report).items():
        drawn = [inline(svg, f"{name}-{n}") for n, svg in enumerate(drawing.panels(figure))]
        made[name] = Markup(webpage.scrolling(f'<div class="panels">{"".join(drawn)}</div>'))
    page = environment.get_template("itemreport.html").render(
        report=report,
        made=made,
        facts=_facts(report),
        rungs=_rungs(report),
        examples=[(Markup(each.shown), Markup(each.truth), each) for each in report.examples],
    )
    return page + "\n"


STYLE = """
.item { font: 1.05rem/1.6 ui-monospace, monospace; overflow-wrap: anywhere; }
.known { color: var(--quiet); } .wrong { background: rgba(220, 38, 38, .35); }
.samples { columns: 12rem auto; list-style: none; padding: 0; }
"""
"""What this page adds to ``pages.STYLE``."""


def _figures(report: ItemReport) -> dict[str, Figure]:
    figures = {}
    unit = "item" if report.kind == "classify" else "char"
    keys = f"train_nats_per_{unit}", f"val_nats_per_{unit}"
    if any(sum(isinstance(r.get(key), int | float) for r in report.log) > 1 for key in keys):
        config = report.opened.checkpoint.config
        figures["curve"] = plots.learning_curve(
            report.log,
            *keys,
            dropout=bool(config.dropout or config.embedding_dropout),
            unit="item" if unit == "item" else "character",
        )
    if report.labels is not None:
        figures["confusion"] = labelplots.confusion(report.labels.score)
        figures["calibration"] = labelplots.calibration(report.labels.score)
    return figures


def _facts(report: ItemReport) -> list[tuple[str, str]]:
    """(name, value) of each fact about the run."""
    loaded, known = report.opened.checkpoint, report.opened.provenance
    facts = [("model", loaded.config.describe())]
    if "corpus" in known:
        items = f"{known.get('train_items', 0):,} training items"
        facts.append(("corpus", f"{known['corpus']}, {items}"))
    if "step" in known and "steps" in known:
        facts.append(("training", f"best at step {known['step']:,} of {known['steps']:,}"))
    assert loaded.items is not None
    if loaded.items.labels:
        facts.append(("labels", f"{len(loaded.items.labels):,}"))
    facts.append(("symbols", f"{loaded.tokenizer.vocab_size} ({loaded.tokenizer.kind})"))
    return facts + [(key, str(known[key])) for key in ("charlm", "torch") if key in known]


def _rungs(report: ItemReport) -> list[tuple[str, float | None, str, bool]]:
    """(name, bits per character, note, whether it is the model): most bits first."""
    if report.loss is None:
        return []
    rungs = [(rung.name, rung.bits_per_char, rung.note, False) for rung in report.rungs]
    cell = report.opened.checkpoint.config.cell
    rungs.append((cell, report.loss.score.bits_per_char, "this model", True))
    return sorted(rungs, key=lambda rung: -(rung[1] or 0.0))
