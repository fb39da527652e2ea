"""Articles, prepositions and agreement of Italian words.

A tag of two letters says gender and number: "ms", "fs", "mp", "fp". An article depends on the tag
and on the sound with which the next word begins, so a noun phrase is composed first and gets
its article last: "un antico ponte", "un'antica chiesa", "lo stretto vicolo", "il vicolo stretto".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

VOWELS = "aeiouàèéìòù"

# One table for all articulated prepositions: rows are prepositions, columns the seven articles.
ARTICLES = ("il", "lo", "la", "l'", "i", "gli", "le")
ARTICULATED: dict[str, tuple[str, ...]] = {
    "di": ("del", "dello", "della", "dell'", "dei", "degli", "delle"),
    "a": ("al", "allo", "alla", "all'", "ai", "agli", "alle"),
    "da": ("dal", "dallo", "dalla", "dall'", "dai", "dagli", "dalle"),
    "in": ("nel", "nello", "nella", "nell'", "nei", "negli", "nelle"),
    "su": ("sul", "sullo", "sulla", "sull'", "sui", "sugli", "sulle"),
    # With "con" and "per" modern Italian keeps the two words apart.
    "con": tuple(f"con {article}" for article in ARTICLES),
    "per": tuple(f"per {article}" for article in ARTICLES),
    "tra": tuple(f"tra {article}" for article in ARTICLES),
}

_IMPURE = re.compile(r"(s[^aeiouhàèéìòù]|sh|z|gn|ps|pn|x|y|i[aeou])")


def glued(article: str, word: str) -> str:
    """Article (or articulated preposition) and word, with no gap after an apostrophe."""
    return article + word if article.endswith("'") else f"{article} {word}"


@cache
def article(tag: str, word: str) -> str:
    """The definite article for a word of the given tag: il, lo, la, l', i, gli, le."""
    start = word.lower()
    impure = _IMPURE.match(start) is not None
    # The h of "hotel" is silent.
    vowel = not impure and start.lstrip("h")[0] in VOWELS
    if tag == "ms":
        return "l'" if vowel else "lo" if impure else "il"
    if tag == "fs":
        return "l'" if vowel else "la"
    if tag == "mp":
        return "gli" if vowel or impure else "i"
    return "le"


@cache
def indefinite(tag: str, word: str) -> str:
    """The indefinite article: un, uno, una, un'; for plurals the partitive dei, degli, delle."""
    definite = article(tag, word)
    if tag == "ms":
        return "uno" if definite == "lo" else "un"
    if tag == "fs":
        return "un'" if definite == "l'" else "una"
    return articulated("di", definite)


@cache
def articulated(preposition: str, definite: str) -> str:
    """Preposition and article in one: articulated("di", "lo") is "dello"."""
    return ARTICULATED[preposition][ARTICLES.index(definite)]


# Adjectives in -co whose masculine plural keeps the hard sound; the others (gotico) take -ci.
_HARD_CO = {
    "antico",
    "bianco",
    "fresco",
    "ricco",
    "sporco",
    "stanco",
    "secco",
    "fioco",
    "cieco",
    "turco",
    "tedesco",
    "fiacco",
    "franco",
}
_BELLO = {"il": "bel", "lo": "bello", "la": "bella", "l'": "bell'", "i": "bei", "gli": "begli"}


@cache
def agree(adjective: str, tag: str) -> str:
    """An adjective or participle, given as masculine singular, in the form that the tag requires.

    In a phrase of several words only those with a star change ("chiuso* per lavori"). Words
    that end otherwise than in -o or -e do not change.
    """
    if "*" in adjective:
        return " ".join(
            agree(word[:-1], tag) if word.endswith("*") else word for word in adjective.split(" ")
        )
    if tag == "ms" or " " in adjective:
        return adjective
    stem, ending = adjective[:-1], adjective[-1]
    if ending == "e":
        return adjective if tag == "fs" else stem + "i"
    if ending != "o":
        return adjective
    if tag == "fs":
        return stem + "a"
    hard = stem[-1] in "cg"
    if tag == "fp":
        return stem + ("he" if hard else "e")
    if stem.endswith("i"):
        return stem
    if stem.endswith("c") and adjective not in _HARD_CO:
        return stem + "i"
    return stem + ("hi" if hard else "i")


def beautiful(tag: str, word: str) -> str:
    """ "bello" before a noun, with the gap to it: bel ponte, bell'albergo, begli occhi."""
    definite = article(tag, word)
    return glued(_BELLO.get(definite, "belle"), word)


@dataclass(frozen=True)
class Noun:
    """A noun phrase without its article. `then` is how it is named the second time."""

    text: str
    tag: str
    then: str = ""

    def the(self) -> str:
        """With the definite article."""
        return glued(article(self.tag, self.text), self.text)

    def a(self) -> str:
        """With the indefinite article."""
        return glued(indefinite(self.tag, self.text), self.text)

    def after(self, preposition: str) -> str:
        """After a preposition and the definite article: "nella valle", "con il sindaco"."""
        return glued(articulated(preposition, article(self.tag, self.text)), self.text)


@cache
def nouns(table: str) -> tuple[Noun, ...]:
    """Nouns from a table "chiesa fs, ponte di legno ms": the last word of each is its tag."""
    found = []
    for item in " ".join(table.split()).split(", "):
        text, _, tag = item.rpartition(" ")
        if tag not in ("ms", "fs", "mp", "fp"):
            raise ValueError(f"noun without a tag: {item!r}")
        found.append(Noun(text, tag))
    return tuple(found)


@cache
def words(table: str) -> tuple[str, ...]:
    """Words or phrases from a table separated by commas."""
    return tuple(" ".join(table.split()).split(", "))


_EUPHONIC = re.compile(r"\b([aeAE]) (?=([aeèAEÈ]))")


def euphonic(text: str) -> str:
    """Write "ad" and "ed" before the same vowel, as in "ad Atene", "ed è", and nowhere else."""

    def mend(match: re.Match[str]) -> str:
        first, following = match.group(1), match.group(2).lower().replace("è", "e")
        return f"{first}d " if first.lower() == following else match.group(0)

    return _EUPHONIC.sub(mend, text)


def sentence_case(text: str) -> str:
    """Capitalize the first letter, also after a quotation mark; digits stay."""
    for place, letter in enumerate(text):
        if letter.isalnum():
            return text[:place] + letter.upper() + text[place + 1 :]
    return text
