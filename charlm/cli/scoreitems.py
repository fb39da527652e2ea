"""``charlm score`` with a model of items: the lines of a file, the likeliest first."""

from __future__ import annotations

import json

from charlm.cli.lines import read_lines
from charlm.cli.progress import reading_bar
from charlm.cli.terminal import echo, say
from charlm.generate import CharLM


def score_lines(
    model: CharLM,
    file: str,
    label: str | None,
    *,
    as_json: bool,
    encoding: str | None,
    on_unknown: str,
) -> None:
    """Print bits per character, bits and the item of every line, the least surprising first.

    label: score the items as ones of this label. Without one, a model with labels gives the
        probability of an item of any label: the mean over all, by their shares in training
    """
    lines = read_lines(file, model.tokenizer, encoding=encoding, on_unknown=on_unknown)
    asked = [line for line in lines if line.read]
    if not asked:
        say("no line to score")
        return
    with reading_bar("items") as advanced:
        found = model.score_items([line.read for line in asked], label, advanced=advanced)
    ranked = sorted(zip(found, asked, strict=True), key=lambda pair: pair[0].bits_per_char)
    for score, line in ranked:
        if as_json:
            record = {
                "text": line.given,
                "bits_per_char": score.bits_per_char,
                "bits": score.bits_per_char * score.characters,
                "characters": score.characters,
            }
            echo(json.dumps(record))
        else:
            bits = score.bits_per_char * score.characters
            echo(f"{score.bits_per_char:6.3f}  {bits:8.3f}  {line.given}")
    total = sum(score.bits_per_char * score.characters for score in found)
    characters = sum(score.characters for score in found)
    say(
        f"{total / characters:.4f} bits/char, {total / len(found):.3f} bits/item over "
        f"{len(found):,} items, end symbols included (by chance {model.chance:.4f} bits/char)"
    )
