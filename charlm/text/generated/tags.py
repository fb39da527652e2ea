"""A tag for each character of an Italian sentence: `accents`, `capitals`, `spaces` and `person`.

Text and tags have the same number of code points. Of `accents` and `capitals` the tags are the
sentence as it should be, and the text is what is left of it without accents or capitals:

    perche e tardi   ->  perché è tardi
    sono a roma.     ->  Sono a Roma.

Of `spaces` a tag is B where a word begins and I inside it: "Sonoaroma" is BIIIBBIII. Of `person` it
is B at the start of a person's name, I inside it and O elsewhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from charlm.text import grammar
from charlm.text.generated.lines import Pair
from charlm.text.grammar.chance import Rng, chance

_END = re.compile(r"(?<=[.!?]) (?=[A-ZÀÈÉÌÒÙ«])")
NOTHING_TO_DO = 0.3
"""`accents` and `person` keep this share of the sentences without an accent or a name: most lines
have something to restore or to find."""


def sentences(rng: Rng) -> Iterator[str]:
    """Endless Italian sentences: those of an entry of the diary, then as many single ones."""
    for entry in grammar.entries(rng):
        # The first paragraph is the heading: town and date.
        told = [each for part in entry.split("\n\n")[1:] for each in _END.split(part)]
        yield from told
        for _ in told:
            yield (grammar.sentence if chance(rng, 0.5) else grammar.undated)(rng).text


def without_accents(text: str) -> str:
    """Every letter without the marks above and below it; as many characters as before.

    >>> without_accents("perché è così, a Besançon?")
    'perche e cosi, a Besancon?'
    """
    return "".join(unicodedata.normalize("NFD", char)[0] for char in text)


def accents(rng: Rng) -> Iterator[Pair]:
    """Sentences without accents, and the sentences."""
    for sentence in sentences(rng):
        bare = without_accents(sentence)
        if bare != sentence or chance(rng, NOTHING_TO_DO):
            yield bare, sentence


def capitals(rng: Rng) -> Iterator[Pair]:
    """Sentences in lower case, and the sentences."""
    for sentence in sentences(rng):
        yield sentence.lower(), sentence


def spaces(rng: Rng) -> Iterator[Pair]:
    """Sentences without spaces, and B where a word begins, I elsewhere."""
    for sentence in sentences(rng):
        words = sentence.split(" ")
        yield "".join(words), "".join("B" + "I" * (len(word) - 1) for word in words)


def person(rng: Rng) -> Iterator[Pair]:
    """Sentences, and B at the first character of a person's name, I at its others, O elsewhere."""
    while True:
        told = grammar.named(rng)
        if not told.persons and not chance(rng, NOTHING_TO_DO):
            continue
        tags = ["O"] * len(told.text)
        for start, end in told.persons:
            tags[start:end] = "B" + "I" * (end - start - 1)
        yield told.text, "".join(tags)
