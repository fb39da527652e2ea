"""``charlm sample`` with a model of items: a list, one item a line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm.cli.options import nothing_beside
from charlm.cli.prompts import Prompt
from charlm.cli.terminal import echo, say, write_result
from charlm.config import SampleConfig
from charlm.errors import CharlmError, RequestError
from charlm.generate import CharLM, Label
from charlm.newitems import Drawn, new_items, of_pattern
from charlm.ranking import Sample, best_first
from charlm.runs import OpenModel
from charlm.single import Avoid

ITEMS = 10
"""Items that are written if no number is asked for."""


@dataclass(frozen=True)
class Asked:
    """The options of ``charlm sample`` that items have.

    labels: LABEL or LABEL=WEIGHT, as they were typed
    beam: of how many beginnings the likeliest items are searched; 0: items are drawn
    """

    count: int
    labels: tuple[str, ...] = ()
    new: bool = False
    pattern: str | None = None
    beam: int = 0
    rank: bool = False
    as_json: bool = False
    novelty: bool = False
    stop: tuple[str, ...] = ()
    on_unknown: str = "error"


def label_of(given: tuple[str, ...], model: CharLM) -> Label:
    """What ``--label`` asks for: one label, or several with their weights. A label that has = in
    its name is taken as it is."""
    from charlm.tasks.answers import weights_of

    if not given:
        return None
    if not model.labels:
        raise RequestError("the model has no labels; leave out --label, or train with --labelled")
    assert model.items is not None
    if len(given) == 1 and (given[0] in model.labels or "=" not in given[0]):
        model.items.number(given[0])  # refuse one that there is not
        return given[0]
    weights = weights_of(given, "--label")
    for label in weights:
        model.items.number(label)
    return weights


def refuse_for_items(**given: object) -> None:
    """RequestError if an option was given that a list of items has no use for."""
    nothing_beside("a model of items", "writes whole items", **given)


def write_items(
    opened: OpenModel,
    prompts: list[Prompt],
    asked: Asked,
    config: SampleConfig,
    out: Path | None,
) -> None:
    """Print items that the model writes, or write them into a file."""
    model = opened.model
    label = label_of(asked.labels, model)
    if asked.beam:
        beside = {"new": asked.new, "pattern": asked.pattern, "stop": asked.stop}
        nothing_beside("--beam", "finds the likeliest items and draws none", **beside)
        if model.labels and label is None:
            raise RequestError("--beam needs a label for this model; add --label LABEL")
    avoids = [
        None if asked.pattern is None else of_pattern(model, asked.pattern, prompt.text)
        for prompt in prompts
    ]
    known = _lists(opened) if asked.new or asked.novelty else ((), ())
    counted = Drawn()
    lines: list[str] = []
    written: list[str] = []

    def put(sample: Sample, of: Label) -> None:
        written.append(sample.prompt + sample.text)
        line = _line(sample, of, asked, config)
        lines.append(line)
        if out is None:
            echo(line)

    missing = 0
    for prompt, avoid in zip(prompts, avoids, strict=True):
        found = _samples(model, prompt, asked, config, label, avoid, known[0] + known[1], counted)
        before = len(written)
        if asked.rank:
            pairs = list(found)
            of = {id(sample): each for sample, each in pairs}
            for sample in best_first(sample for sample, _ in pairs):
                put(sample, of[id(sample)])
        else:
            for sample, each in found:
                put(sample, each)
        missing += asked.count - (len(written) - before)
    if out is not None:
        write_result("--out", out, "".join(line + "\n" for line in lines))
    if asked.rank:
        say(f"by chance each symbol has {math.log(model.tokenizer.vocab_size):.4f} nats")
    if asked.new:
        say(
            f"drawn {counted.drawn:,}: {counted.known:,} ({100 * counted.share_known:.1f} %) are "
            f"in the list, {counted.again:,} were drawn before"
        )
    if asked.novelty:
        _say_novelty(written, *known)
    if missing and asked.new:
        raise CharlmError(
            f"{missing:,} items are missing: the model wrote no other new ones in "
            f"{counted.drawn:,} draws; raise --temperature, or ask for fewer"
        )


def _samples(
    model: CharLM,
    prompt: Prompt,
    asked: Asked,
    config: SampleConfig,
    label: Label,
    avoid: Avoid | None,
    known: tuple[str, ...],
    counted: Drawn,
) -> Iterator[tuple[Sample, Label]]:
    """Items that begin with ``prompt``, and what each is an item of."""
    weigh = asked.rank or asked.as_json
    if asked.beam:
        yield from ((sample, label) for sample in _likeliest(model, prompt, asked, config, label))
        return
    if asked.new:
        drawn = new_items(
            *(model, known, asked.count, config),
            prompt=prompt.text,
            label=label,
            avoid=avoid,
            counted=counted,
        )
        for number, item, own in drawn:
            text = item.removeprefix(prompt.text)
            yield _weighed(model, prompt, text, number, own, weigh), own
        return
    streams = model.streams(
        prompt.text, config, asked.count, stop=asked.stop, label=label, avoid=avoid
    )
    for number, pieces in enumerate(streams):
        own = model.label_of(config, number, label)
        yield _weighed(model, prompt, "".join(pieces), number, own, weigh), own


def _weighed(
    model: CharLM, prompt: Prompt, text: str, number: int, label: Label, weigh: bool
) -> Sample:
    if not weigh:
        return Sample(number, prompt.text, text)
    return model.weigh_all(model.start(prompt.text, label=label), [text], number)[0]


def _likeliest(
    model: CharLM, prompt: Prompt, asked: Asked, config: SampleConfig, label: Label
) -> Iterator[Sample]:
    from charlm.beam import likeliest

    start = model.start(prompt.text, label=label)
    found = likeliest(
        *(model.predictor, start.logits, start.state, model.opening),
        width=max(asked.beam, asked.count + 1),
        length=config.length,
        forbidden=model.tokenizer.forbidden,
    )
    # An item of no characters is in no list, however likely the model finds it.
    found = [each for each in found if each.ids or prompt.text]
    for number, each in enumerate(found[: asked.count]):
        text = model.tokenizer.decode(each.ids)
        yield Sample(number, prompt.text, text, each.nats, len(text) + 1)


def _line(sample: Sample, label: Label, asked: Asked, config: SampleConfig) -> str:
    item = sample.prompt + sample.text
    if asked.as_json:
        record: dict[str, Any] = {"sample": sample.number + 1, "seed": config.seed, "text": item}
        if label is not None:
            record["label"] = dict(label) if isinstance(label, Mapping) else label
        record |= {
            "prompt": sample.prompt,
            "characters": sample.characters,
            "log_probability": sample.log_probability,
            "nats_per_char": sample.nats_per_char,
        }
        return json.dumps(record)
    columns = [item]
    if asked.rank and sample.nats_per_char is not None:
        columns.insert(0, f"{sample.nats_per_char:.4f}")
    if isinstance(label, str) and not asked.labels:  # one that was drawn
        columns.append(label)
    return "\t".join(columns)


def _lists(opened: OpenModel) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The training items, and those that were held out."""
    items = opened.texts.items
    assert items is not None
    held_out = (*items.val, *items.test)
    return tuple(r.text for r in items.train), tuple(r.text for r in held_out)


def _say_novelty(written: list[str], train: tuple[str, ...], held_out: tuple[str, ...]) -> None:
    """How many of the items are copies, and how many are right guesses: held-out ones."""
    if not written:
        return
    seen, guessed = set(train), set(held_out) - set(train)
    copies = sum(item in seen for item in written)
    right = sum(item in guessed for item in written)
    total = len(written)
    say(
        f"{copies:,} of {total:,} items ({100 * copies / total:.1f} %) are training items; "
        f"{right:,} ({100 * right / total:.1f} %) are held-out ones, which the model has not seen"
    )
