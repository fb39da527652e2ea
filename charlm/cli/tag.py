"""``charlm tag``: a tag for each character of each line."""

from __future__ import annotations

import click

from charlm.cli.options import (
    Command,
    encoding_option,
    file_argument,
    json_option,
    on_unknown_option,
    run_argument,
)
from charlm.cli.terminal import echo, echo_json, say
from charlm.cli.texts import open_named


@click.command(cls=Command)
@run_argument()
@file_argument
@json_option("Print one JSON object per line, with tags, their probabilities and spans.")
@on_unknown_option()
@encoding_option()
def command(model: str, file: str, as_json: bool, on_unknown: str, encoding: str | None) -> None:
    """Print the tags of each line, one for each character.

    FILE: a text with one item a line; default, or -: standard input. RUN: a run trained with --task
    tag. If the tags are the characters of a text, such as one with its accents restored, that text
    is printed. An empty line gets an empty line.

    \b
    charlm tag accents < plain.txt
    charlm tag names letter.txt --json
    """
    import numpy as np

    from charlm.cli.lines import read_lines
    from charlm.cli.progress import reading_bar
    from charlm.tasks.answers import Tagger
    from charlm.tasks.spans import spans_of

    opened = open_named(model, "tag", None if file == "-" else file)
    tagger = Tagger(opened.for_task("tag"))
    lines = read_lines(file, tagger.tokenizer, encoding=encoding, on_unknown=on_unknown)
    asked = [line.read for line in lines if line.read]
    if not asked:
        say("no line to tag")
        return
    with reading_bar("items") as advanced:
        answers = iter(tagger.log_probabilities(tagger.encode(asked), advanced))
    for line in lines:
        if not line.read:
            echo_json({"text": line.given, "tags": ""}) if as_json else echo("")
            continue
        log_p = next(answers)
        tags = tagger.tags(log_p)
        if not as_json:
            echo(tags)
            continue
        text = tagger.tokenizer.normalize(line.read)
        spans = [
            {"begin": begin, "end": end, "text": text[begin:end], "tags": tags[begin:end]}
            for begin, end in spans_of(text, tags, set(tagger.labels))
        ]
        p = np.exp(log_p.max(-1)).tolist()
        echo_json({"text": text, "tags": tags, "probabilities": p, "spans": spans})
