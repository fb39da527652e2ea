"""``charlm classify``: the label of each line."""

from __future__ import annotations

import click

from charlm.cli.options import (
    Command,
    encoding_option,
    file_argument,
    json_option,
    on_unknown_option,
    option,
    run_argument,
)
from charlm.cli.terminal import echo, echo_json, say
from charlm.cli.texts import open_named


@click.command(cls=Command)
@run_argument()
@file_argument
@option(
    "--prior",
    multiple=True,
    metavar="LABEL=SHARE",
    help="How likely a label is before the line is read; repeat it, or give uniform; "
    "a label that is not named has no share [default: as often as in the training items]",
)
@option(
    "--saliency",
    is_flag=True,
    help="Show which characters decided: by how much the label gets less likely without each.",
)
@json_option("Print one JSON object per line, with the probability of every label.")
@on_unknown_option()
@encoding_option()
def command(
    model: str,
    file: str,
    prior: tuple[str, ...],
    saliency: bool,
    as_json: bool,
    on_unknown: str,
    encoding: str | None,
) -> None:
    """Print the most likely label of each line.

    FILE: a text with one item a line; default, or -: standard input. RUN: a run trained with --task
    classify, or with --labelled, which classifies by Bayes' rule. The columns: label, its
    probability, the runner-up, its probability, the line. An empty line gets an empty line.

    \b
    charlm classify names < list.txt
    charlm classify names list.txt --prior uniform
    charlm classify names list.txt --prior Italian=0.8 --prior Spanish=0.2
    charlm classify names list.txt --json
    charlm classify names list.txt --saliency
    """
    import numpy as np

    from charlm.cli.lines import read_lines
    from charlm.cli.progress import reading_bar
    from charlm.cli.terminal import use_colour
    from charlm.inspection import saliency as shown
    from charlm.tasks.answers import Classifier, prior_of

    checkpoint = open_named(model, "classify", None if file == "-" else file).for_task("classify")
    assert checkpoint.items is not None
    classifier = Classifier(checkpoint, prior_of(prior, checkpoint.items.labels))
    lines = read_lines(file, classifier.tokenizer, encoding=encoding, on_unknown=on_unknown)
    asked = [line.read for line in lines if line.read]
    if not asked:
        say("no line to classify")
        return
    with reading_bar("items") as advanced:
        log_p = classifier.log_probabilities(classifier.encode(asked), advanced)
    answers = iter(np.exp(log_p))
    for line in lines:
        if not line.read:
            echo_json({"text": line.given, "label": None}) if as_json else echo("")
            continue
        p = next(answers)
        best, second = np.argsort(-p, kind="stable")[:2].tolist() if len(p) > 1 else (0, 0)
        label = classifier.labels[best]
        why = classifier.saliency(line.read, label) if saliency else None
        if as_json:
            record = {
                "text": line.given,
                "label": label,
                "probability": float(p[best]),
                "probabilities": dict(zip(classifier.labels, p.tolist(), strict=True)),
            }
            if why is not None:
                record["saliency"] = why.tolist()
            echo_json(record)
            continue
        echo(f"{label}\t{p[best]:.4f}\t{classifier.labels[second]}\t{p[second]:.4f}\t{line.given}")
        if why is not None:
            echo(shown.in_terminal(shown.Saliency(line.read, why), use_colour()))
