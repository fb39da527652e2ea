"""A seeded grammar of Italian travel prose: the corpus `viaggi` and sentences that state a year.

    chance      random choices that are the same on every platform and Python version
    words       articles, articulated prepositions, agreement
    verbs       the tenses of a story
    calendar    dates, hours, numbers, seasons, and the weather that a month allows
    places      countries and towns with their prepositions
    people      companions, names, invented villages
    lexicon     sights, food, goods and people, by culture
    template    the notation of sentence templates
    rules_*     the templates: of a day, of what happens, of a year; `rules` joins them
    scene       who travels, where and when; fills the slots of the templates
    sentences   single sentences that state one year, or with the names of persons in them
    diary       dated, consistent entries

Every text is a function of the numbers that `rng.random()` returns, and of nothing else.
"""

from __future__ import annotations

from charlm.text.grammar.diary import diary, entries
from charlm.text.grammar.rules_number import KINDS, NEW_KINDS
from charlm.text.grammar.sentences import (
    POSITIONS,
    Named,
    Position,
    Sentence,
    named,
    note,
    numbered,
    sentence,
    undated,
)

__all__ = [
    "KINDS",
    "NEW_KINDS",
    "POSITIONS",
    "Named",
    "Position",
    "Sentence",
    "diary",
    "entries",
    "named",
    "note",
    "numbered",
    "sentence",
    "undated",
]
