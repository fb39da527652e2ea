"""What it costs to name the characters that a model folds into its unknown symbol.

With ``--min-count`` a model reads every rare character as one unknown symbol. Its loss then pays
for "some rare character", which costs less than saying which one: a model that folds nearly
everything would look better than every model that names all characters. So each folded character is
charged the difference: after the unknown symbol, one of K types, all equally likely, which costs
log2(K) bits. With this charge the probabilities of all characters of the alphabet add up to 1, as
those of the ladder's baselines do, so the figures can be compared.

K is the number of different characters of the corpus that the vocabulary lacks; the model's
provenance has it (``folded_types``). If the evaluated text has more of them, K is their number.

Charged: train's last line, eval, score, report, and ``val_bits_per_char_charged`` in the
provenance. Not charged, because it is the loss that is trained: the progress of a run, its log, and
``val_bits_per_char``. ``compare`` leaves folded characters out for all its models: there a charge
would only measure how many types each of them folds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.text.tokenizer import CODE_POINTS, CharTokenizer, Tokenizer, code_points

TYPES, SHARE = "folded_types", "folded_share"
"""Keys of a model's provenance: K, and the share of the corpus that is folded."""

MAX_FOLDED = 0.2
"""The largest share of a corpus that a model may fold if it is trained further on it. Above this
share, the loss is mostly that of the unknown symbol and says little about the text."""

_SLICE = 2**20


@dataclass(frozen=True)
class Folding:
    """The characters of a text that a tokenizer folds.

    types: how many different ones
    share: of all characters of the text
    """

    types: int
    share: float


def folding(tokenizer: Tokenizer, texts: Iterable[str]) -> Folding | None:
    """Count the folded characters of ``texts`` together; None if the tokenizer has no unknown
    symbol.

    >>> from charlm.text.tokenizer import CharTokenizer
    >>> folding(CharTokenizer("an", unknown=True), ["banana", "nab"])
    Folding(types=1, share=0.2222222222222222)
    """
    if not tokenizer.forbidden:
        return None
    types: set[str] = set()
    folded = characters = 0
    for text in map(tokenizer.normalize, texts):
        characters += len(text)
        for begin in range(0, len(text), _SLICE):
            part = text[begin : begin + _SLICE]
            unseen = tokenizer.unseen(part).tolist()
            types.update({part[place] for place in unseen})
            folded += len(unseen)
    return Folding(len(types), folded / max(1, characters))


def folding_of_counts(tokenizer: CharTokenizer, counts: NDArray[np.int64]) -> Folding | None:
    """The same for a text whose code point p occurs ``counts[p]`` times once it is normalized."""
    if not tokenizer.forbidden:
        return None
    folded = counts.copy()
    folded[code_points(tokenizer.characters)] = 0
    return Folding(int(np.count_nonzero(folded)), int(folded.sum()) / max(1, int(counts.sum())))


def types_to_name(
    tokenizer: Tokenizer, provenance: Mapping[str, Any], text: str, corpus: Iterable[str] = ()
) -> int:
    """K for ``text``; 1, which charges nothing, if the tokenizer has no unknown symbol.

    corpus: texts to count in as well if the provenance does not have the number
    """
    stored = stored_types(provenance)
    found = folding(tokenizer, [text] if stored else [text, *corpus])
    return 1 if found is None else max(1, stored, found.types)


def stored_types(provenance: Mapping[str, Any]) -> int:
    """K of the corpus; 0 if the provenance does not have it, as in files of older versions."""
    stored = provenance.get(TYPES)
    return stored if type(stored) is int and 0 < stored < CODE_POINTS else 0


def uniform_bits(tokenizer: Tokenizer, types: int = 1) -> float:
    """Bits per symbol if all are equally likely, each of the ``types`` folded ones for itself.

    >>> from charlm.text.tokenizer import CharTokenizer
    >>> uniform_bits(CharTokenizer("ab", unknown=True), types=6)
    3.0
    """
    return math.log2(tokenizer.vocab_size + (types - 1 if tokenizer.forbidden else 0))
