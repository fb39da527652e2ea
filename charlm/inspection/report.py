"""One page about a run: learning curve, comparison with simpler models, samples, surprisal, units,
gradients and memory.

``gather`` computes everything as plain values and arrays; ``html`` fills ``templates/report.html``
with them. If a model or a text is unsuited for a part, the page says why. Needs torch, matplotlib
and jinja2 (the extra ``report``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from charlm import drawing, webpage
from charlm.errors import RequestError
from charlm.generate import CharLM
from charlm.inspection import gradients, horizon, neurons, pages, plots, reading, textmap
from charlm.inspection.adapting import torch_model
from charlm.inspection.gradients import Flow
from charlm.inspection.horizon import Horizon
from charlm.inspection.neurons import Activations, Found
from charlm.inspection.reading import Reading
from charlm.ladder import Rung, ladder, parts_of
from charlm.models.language import build
from charlm.surprisal import Score
from charlm.svg import inline

TEMPERATURES = (0.3, 0.7, 1.0)
SAMPLE_LENGTH = 500
READ = 2500
"""Number of characters in the map of surprisals."""
UNITS, UNIT_TEXT = 5, 800
"""Number of units shown, and of characters of text for each."""
PLACES = 32
"""Number of positions at which gradients are computed."""
DECODER_STEPS = 120
"""Training steps of the decoder: few, so that a report takes less than a minute."""


@dataclass
class Report:
    """Everything that the page shows. A part that is None has its reason in ``missing``."""

    name: str
    source: str
    lm: CharLM
    log: list[dict[str, Any]]
    score: Score
    chance: float  # bits per character of a uniform guess, on the whole text
    rungs: list[Rung]  # baselines; empty without the training text
    parts: list[Rung]  # network and counts apart; empty without counts
    samples: list[tuple[float, str]]
    reading: Reading
    units: tuple[list[Found], Activations] | None = None
    flows: tuple[Flow, Flow] | None = None
    horizon: Horizon | None = None
    missing: dict[str, str] = field(default_factory=dict)


Part = TypeVar("Part")


def gather(
    name: str,
    lm: CharLM,
    text: str,
    *,
    source: str = "a text",
    train: str | None = None,
    corpus: Iterable[str] = (),
    log: list[dict[str, Any]] | None = None,
    window: int | None = None,
    seed: int = 0,
    threads: int = 1,
    doing: Callable[[str], None] = lambda part: None,
) -> Report:
    """Compute a report on ``text``, which the model can read.

    source: what ``text`` is, in a few words
    train: the training text, for the comparison with simpler models; None if it is not at hand
    corpus: texts in which to count folded characters, as for ``CharLM.evaluate``
    log: the records of the run's log
    window: how many symbols truncated BPTT went back in training
    doing: called with the name of each part before it is computed

    Raises RequestError if the text has fewer than two characters.
    """
    ids = lm.tokenizer.encode(text)
    types = lm.folded_types(text, corpus)
    doing("score")
    known = lm.tokenizer.normalize
    apart = lm.evaluate_apart(text, corpus)
    whole = reading.read(
        lm.predictor,
        lm.tokenizer,
        text,
        alternatives=1,
        threads=threads,
        streams=reading.STREAMS if len(text) >= reading.LONG else 1,
        folded_types=types,
    )
    doing("ladder")
    rungs = [] if train is None else ladder(known(train), known(text))
    parts = parts_of(lm, apart)
    doing("samples")
    samples = [
        (temperature, lm.sample(temperature=temperature, length=SAMPLE_LENGTH, seed=seed))
        for temperature in TEMPERATURES
    ]
    found = Report(
        name,
        source,
        lm,
        log or [],
        apart.mixture if apart is not None else whole.score,
        whole.chance(lm.tokenizer),
        rungs,
        parts,
        samples,
        reading.read(lm.predictor, lm.tokenizer, text[:READ], folded_types=types),
    )

    def part(what: str, compute: Callable[[], Part]) -> Part | None:
        doing(what)
        try:
            return compute()
        except RequestError as error:
            found.missing[what] = str(error)
            return None

    def units() -> tuple[list[Found], Activations]:
        seen = neurons.activations(lm.engine, ids, known(text))
        best = neurons.remembering(neurons.search(seen, seed=seed), UNITS)
        if not best:
            raise RequestError("no label occurs often enough in this text")
        return neurons.with_ablation(lm.engine, ids, seen, best, seed=seed), seen

    def flows() -> tuple[Flow, Flow]:
        models = torch_model(lm.config, lm.weights), build(lm.config, seed=0)
        first, second = (
            gradients.flow(model, ids, lags=100, wanted=PLACES, seed=seed) for model in models
        )
        return first, second

    found.units = part("units", units)
    found.flows = part("gradients", flows)
    found.horizon = part(
        "memory",
        lambda: horizon.measure(
            lm.config,
            lm.weights,
            ids,
            window=window,
            unit=lm.tokenizer.unit,
            seed=seed,
            decoder_steps=DECODER_STEPS,
        ),
    )
    return found


def html(report: Report) -> str:
    """The page as HTML; it needs no network and no other file."""
    environment = Environment(
        loader=PackageLoader("charlm.inspection"), autoescape=True, undefined=StrictUndefined
    )
    # Jinja escapes everything that is inserted, except what is marked as HTML.
    made = {
        "style": Markup(webpage.STYLE + pages.STYLE),
        "script": Markup(pages.SCRIPT),
        "heat_map": Markup(pages.heat_map(report.reading, report.lm.tokenizer)),
    }
    if report.units is not None:
        made["units"] = Markup(pages.neurons_body(*report.units, UNIT_TEXT))
    for name, figure in _figures(report).items():
        drawn = [inline(svg, f"{name}-{n}") for n, svg in enumerate(drawing.panels(figure))]
        made[name] = Markup(webpage.scrolling(f'<div class="panels">{"".join(drawn)}</div>'))
    page = environment.get_template("report.html").render(
        report=report,
        made=made,
        facts=_facts(report),
        rungs=_rungs(report),
        fading=report.flows[0].fading(report.lm.tokenizer.unit) if report.flows else "",
        chance=report.reading.chance(report.lm.tokenizer),
        rebuilt=_rebuilt(report),
    )
    return page + "\n"


def _figures(report: Report) -> dict[str, Figure]:
    figures = {}
    if _has_curve(report.log):
        figures["curve"] = plots.learning_curve(
            report.log,
            "train_nats_per_char",
            "val_nats_per_char",
            dropout=bool(report.lm.config.dropout or report.lm.config.embedding_dropout),
        )
    if report.flows is not None:
        model, untrained = report.flows
        figures["gradients"] = plots.gradients(
            {report.name: model}, {report.name: untrained}, report.lm.tokenizer.unit
        )
    if report.horizon is not None:
        figures["memory"] = plots.memory({report.name: report.horizon})
    return figures


def _has_curve(log: list[dict[str, Any]]) -> bool:
    """Whether one of the losses was logged at two steps."""
    return any(
        sum(isinstance(record.get(f"{part}_nats_per_char"), int | float) for record in log) > 1
        for part in ("train", "val")
    )


def _facts(report: Report) -> list[tuple[str, str]]:
    """(name, value) of each fact about the run."""
    known = report.lm.provenance
    facts = [("model", report.lm.describe())]
    if "corpus" in known:
        size = known.get("corpus_characters")
        facts.append(
            ("corpus", f"{known['corpus']}, {size:,} characters" if size else str(known["corpus"]))
        )
    if "step" in known and "steps" in known:
        facts.append(("training", f"best at step {known['step']:,} of {known['steps']:,}"))
    facts.append(("symbols", f"{report.lm.tokenizer.vocab_size} ({report.lm.tokenizer.kind})"))
    if report.score.folded_note:
        facts.append(("folded", report.score.folded_note))
    facts += [(key, str(known[key])) for key in ("charlm", "torch") if key in known]
    return facts


def _rungs(report: Report) -> list[tuple[str, float | None, str, bool]]:
    """(name, bits per character, note, whether it is the model): most bits first, those without a
    value last."""
    rungs = [(rung.name, rung.bits_per_char, rung.note, False) for rung in report.rungs]
    if not rungs:  # the other baselines need the training text
        rungs.append(("uniform", report.chance, "all characters equally likely", False))
    rungs += [(rung.name, rung.bits_per_char, rung.note, False) for rung in report.parts]
    counts = report.lm.counts
    name = report.lm.config.cell + ("" if counts is None else f" + {counts.name}")
    rungs.append((name, report.score.bits_per_char, "this model", True))
    return sorted(rungs, key=lambda rung: math.inf if rung[1] is None else -rung[1])


def _rebuilt(report: Report) -> list[tuple[str, str]]:
    if report.horizon is None:
        return []
    return [
        ("".join(map(textmap.shown, read)), "".join(map(textmap.shown, made)))
        for read, made in report.horizon.rebuilt.examples(report.lm.tokenizer)
    ]
