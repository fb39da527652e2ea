"""``charlm score``: the surprisal of every character of a text."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlm.cli import many
from charlm.cli.figures import TEXT, figure_option
from charlm.cli.options import (
    Choice,
    Command,
    Number,
    encoding_option,
    json_option,
    network_only_option,
    nothing_beside,
    on_unknown_option,
    only_one,
    option,
    run_argument,
)
from charlm.cli.terminal import echo, echo_json, say, say_error, use_colour, write_result
from charlm.cli.texts import open_named, text_of
from charlm.errors import RequestError

if TYPE_CHECKING:
    from charlm.generate import CharLM
    from charlm.inspection.reading import Reading


@click.command(cls=Command)
@run_argument()
@click.argument("files", metavar="[FILE]...", nargs=-1)
@option("--by", type=Choice(["line", "word"]), help="Rank lines or words by their surprisal.")
@json_option("Print one JSON object per character, line or word.")
@option("--html", type=click.Path(path_type=Path), help="Write the heat map to this HTML file.")
@figure_option(TEXT)
@option(
    "--alternatives",
    type=Number(int, min=1, max=50),
    default=5,
    show_default=True,
    help="List this many of the characters that the model found most likely.",
)
@option(
    "--label",
    metavar="LABEL",
    help="Of a model of items with labels: score the items as ones of this label [default: of any]",
)
@option("--exact", is_flag=True, help="Read a long text in one stream, not in many.")
@option(
    "--dynamic",
    is_flag=True,
    help="Let the network learn while it reads; print the gain, without the counts.",
)
@option(
    "--rate",
    type=Number(float, above=0.0, max=100.0),
    default=0.1,
    show_default=True,
    help="Learning rate of --dynamic.",
)
@option(
    "--jobs",
    type=Number(int, min=1),
    help="Score several files in so many processes [default: one for each core].",
)
@network_only_option()
@on_unknown_option()
@encoding_option()
def command(
    model: str,
    files: tuple[str, ...],
    by: str | None,
    as_json: bool,
    html: Path | None,
    figure: Path | None,
    alternatives: int,
    label: str | None,
    exact: bool,
    dynamic: bool,
    rate: float,
    jobs: int | None,
    network_only: bool,
    on_unknown: str,
    encoding: str | None,
) -> None:
    """Show the surprisal of every character of a text, or that of many texts.

    FILE: a text; default, or -: standard input. Several files get a line each, in their order:
    bits per character, characters, name. A terminal shows the text in colour (redder
    background: higher surprisal); a pipe, or a terminal with NO_COLOR, gets a table. A text of
    20,000 characters or more is read in many parallel streams, each after 128 characters of
    context; --exact reads it in one. If the run has n-gram counts, they are used too.

    \b
    charlm score book letter.txt
    charlm score book letter.txt --html letter.html   point at a character to see the alternatives
    charlm score book letter.txt --figure letter.svg
    charlm score book poems.txt --by line | head      the least surprising lines first
    charlm score book letter.txt --json --alternatives 3
    charlm score book letter.txt --dynamic
    charlm score book letters/*.txt --jobs 4          many files, a line each
    charlm score names list.txt                       a model of items: the likeliest line first
    """
    if len(files) > 1:
        if dynamic or by or html or figure:
            raise RequestError(
                "several files get a line each; leave out --by, --html, --figure and --dynamic, or "
                "give one file"
            )
        _show_many(
            many.Asked(model, network_only, on_unknown, encoding, exact), files, jobs, as_json
        )
        return
    if jobs is not None:
        raise RequestError("--jobs is for several files; leave it out for one")
    file = files[0] if files else "-"
    if dynamic and (by or html or figure or as_json):
        raise RequestError(
            "--dynamic prints two numbers; leave out --by, --html, --figure and --json"
        )
    only_one(html=html, figure=figure, json=as_json)
    if by and (html or figure):
        raise RequestError("--by ranks in text or --json; leave out --html and --figure")
    from charlm.generate import readable

    loaded = open_named(
        model,
        "score",
        None if file == "-" else file,
        network_only=network_only or dynamic,  # only the network can learn while it reads
    ).model
    if loaded.items is not None:
        from charlm.cli.scoreitems import score_lines

        nothing_beside(
            "a model of items",
            "scores each line as an item",
            by=by,
            html=html,
            figure=figure,
            dynamic=dynamic,
            exact=exact,
        )
        score_lines(
            *(loaded, file, label), as_json=as_json, encoding=encoding, on_unknown=on_unknown
        )
        return
    if label is not None:
        raise RequestError("--label is for a model of items with labels (train --labelled)")
    text = readable(loaded, text_of(file, encoding), on_unknown, say)
    if dynamic:
        _show_gain(loaded, text, rate)
        return
    reading = many.read(loaded, text, alternatives, exact)
    if html is not None:
        from charlm.inspection.pages import score_page

        write_result("--html", html, score_page(reading, loaded.tokenizer, _title(file)))
    elif figure is not None:
        from charlm.inspection import textmap

        block = textmap.Block(
            f"{_title(file)}: {reading.score.bits_per_char:.3f} bits per character (by chance "
            f"{reading.chance(loaded.tokenizer):.3f})",
            textmap.surprise(reading),
            textmap.surprise_legend(),
        )
        write_result("--figure", figure, textmap.svg([block]))
    elif as_json:
        for record in _records(reading, loaded, by):
            click.echo(json.dumps(record))
    elif by:
        for begin, end, bits in _ranked(reading, by):
            echo(f"{bits:6.3f}  {reading.characters[begin:end]}")
    elif use_colour():
        click.echo(_in_colour(reading))
    else:
        _table(reading, loaded)
    score = reading.score
    say(
        f"{score.bits_per_char:.4f} bits/char over {score.characters:,} characters (by chance "
        f"{reading.chance(loaded.tokenizer):.4f})"
    )
    if score.folded_note:
        say(score.folded_note)


def _show_many(asked: many.Asked, files: tuple[str, ...], jobs: int | None, as_json: bool) -> None:
    """A line for every file; CharlmError at the end if some could not be scored."""
    from charlm.cli.progress import bar
    from charlm.errors import CharlmError

    if "-" in files:
        raise RequestError(
            "- means standard input, which is not one of several files; leave it out"
        )
    open_named(asked.model, "score", files[0], network_only=asked.network_only)  # refuse it here
    drawn = bar(len(files), unit="files", delay=1.0)
    failed = 0
    for found in many.score(asked, files, jobs or os.cpu_count() or 1):
        if drawn is not None:
            drawn.update(1)
        for note in found.notes:
            say(f"{found.file}: {note}")
        failed += bool(found.error)
        if as_json:
            echo_json(found.to_dict())
        elif found.error:
            say_error(found.error)
        else:
            echo(f"{found.bits_per_char:7.4f}  {found.characters:>10,}  {found.file}")
    if drawn is not None:
        drawn.close()
    if failed:
        raise CharlmError(f"{failed} of {len(files)} files could not be scored")


def _title(file: str) -> str:
    return "standard input" if file == "-" else Path(file).name


_CONTROL = 20_000
"""Characters that the model samples itself, as a control: it can learn nothing from them."""


def _show_gain(loaded: CharLM, text: str, rate: float) -> None:
    from charlm.inspection.adapting import bits_per_char

    static, dynamic = bits_per_char(loaded, text, rate)
    own = loaded.sample(length=min(len(text), _CONTROL), seed=0)
    before, after = bits_per_char(loaded, own, rate)
    click.echo(f"static   {static:.4f} bits/char")
    click.echo(f"dynamic  {dynamic:.4f} bits/char, learning at rate {rate:g} while it reads")
    click.echo(f"gain     {static - dynamic:.4f}")
    say(
        f"control: on {len(own):,} characters that the model sampled itself, from which it can "
        f"learn nothing, the gain is {before - after:.4f}"
    )


def _ranked(reading: Reading, by: str) -> list[tuple[int, int, float]]:
    """(begin, end, bits per character) of lines or words, the least surprising first."""
    found = [(a, b, reading.mean_bits(a, b)) for a, b in reading.spans(by)]
    return sorted((each for each in found if not math.isnan(each[2])), key=lambda each: each[2])


def _records(reading: Reading, loaded: CharLM, by: str | None) -> list[dict[str, Any]]:
    if by:
        return [
            {"text": reading.characters[begin:end], "begin": begin, "bits_per_char": bits}
            for begin, end, bits in _ranked(reading, by)
        ]
    records = []
    for place, character in enumerate(reading.characters):
        bits = float(reading.bits[place])
        expected = zip(reading.expected[place].tolist(), reading.shares[place], strict=True)
        records.append(
            {
                "index": place,
                "character": character,
                "bits": None if math.isnan(bits) else bits,
                "expected": [
                    {"symbol": _symbol(loaded, token), "probability": float(share)}
                    for token, share in expected
                    if token >= 0
                ],
            }
        )
    return records


def _symbol(loaded: CharLM, token: int) -> str:
    """The character of an id; for one byte of a longer character, the name of the byte."""
    from charlm.inspection.pages import symbol_name
    from charlm.text.tokenizer import REPLACEMENT

    character = loaded.tokenizer.decode([token])
    return symbol_name(loaded.tokenizer, token) if character == REPLACEMENT else character


def _in_colour(reading: Reading) -> str:
    from charlm.inspection.textmap import HEAT, MOST_BITS, RED, ansi, surprise

    grounds = HEAT[RED]
    scale = "".join(
        f"\x1b[48;5;{ground}m\x1b[30m {MOST_BITS * n / len(grounds):g} \x1b[0m"
        for n, ground in enumerate(grounds)
        if ground
    )
    return f"{ansi(surprise(reading), HEAT)}\n\nbits from {scale}"


def _table(reading: Reading, loaded: CharLM) -> None:
    from charlm.inspection.pages import symbol_name
    from charlm.inspection.textmap import shown

    for place, character in enumerate(reading.characters):
        bits = reading.bits[place]
        expected = " ".join(
            f"{symbol_name(loaded.tokenizer, int(token))} {100 * share:.0f}%"
            for token, share in zip(reading.expected[place], reading.shares[place], strict=True)
            if token >= 0
        )
        figure = "     -" if math.isnan(bits) else f"{bits:6.2f}"
        echo(f"{place:>7}  {shown(character):<6}  {figure}  {expected}".rstrip())
