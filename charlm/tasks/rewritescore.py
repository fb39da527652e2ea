"""How well a model rewrites: exact matches and edits, beside controls that learn nothing.

An edit is a character that is inserted, removed or replaced (Levenshtein, 1966).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.errors import RequestError
from charlm.tasks.rewriting import Rewriter
from charlm.text.items import pad
from charlm.text.records import Record
from charlm.text.tokenizer import code_points

COMPARED, SEARCHED = 200, 20_000
"""Of so many items the control looks for the nearest source, among so many training items."""

_TOGETHER = 128
"""Texts that are compared with another one at once."""


@dataclass(frozen=True)
class RewriteScore:
    """What was written, held against the targets.

    items: how many were written
    exact: how many of them are the target, character by character
    edits: the edits between what was written and the targets, summed
    characters: of the targets, summed
    """

    items: int
    exact: int
    edits: int
    characters: int

    @property
    def exact_match(self) -> float:
        """The share of the items that are the target."""
        return self.exact / self.items

    @property
    def edits_per_item(self) -> float:
        return self.edits / self.items

    @property
    def edits_per_char(self) -> float:
        """Edits for each character of the targets."""
        return self.edits / self.characters

    @classmethod
    def of(cls, written: Sequence[str], targets: Sequence[str]) -> RewriteScore:
        """RequestError without targets.

        >>> RewriteScore.of(["2009", "1999"], ["2009", "199"]).to_dict()["edits_per_item"]
        0.5
        """
        if not targets:
            raise RequestError("there are no items to score")
        pairs = list(zip(written, targets, strict=True))
        return cls(
            len(pairs),
            sum(text == target for text, target in pairs),
            sum(edit_distance(text, target) for text, target in pairs if text != target),
            sum(map(len, targets)),
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "items": self.items,
            "exact": self.exact,
            "exact_match": self.exact_match,
            "edits_per_item": self.edits_per_item,
            "edits_per_char": self.edits_per_char,
        }


def score(
    model: Rewriter,
    records: Sequence[Record],
    beam: int = 1,
    *,
    advanced: Callable[[int, int], object] = lambda done, total: None,
) -> RewriteScore:
    """Rewrite the texts of ``records`` and hold the best of each against its label.

    Texts and labels are normalised as the model reads them. Errors as in ``Rewriter.rewrite``.
    """
    normalize = model.tokenizer.normalize
    found = model.rewrite([record.text for record in records], beam, advanced=advanced)
    return RewriteScore.of(
        [each[0].text for each in found], [normalize(record.label) for record in records]
    )


def controls(records: Sequence[Record], training: Sequence[Record]) -> dict[str, RewriteScore]:
    """The scores of what needs no model, by name.

    copy the source            the text as it is
    most frequent target       of the training items, always the same
    nearest training source    the target of the training item whose text needs the fewest edits;
                               of at most ``COMPARED`` items, among at most ``SEARCHED``
    """
    targets = [record.label for record in records]
    counted = Counter(record.label for record in training)
    most = max(sorted(counted), key=counted.__getitem__)
    some, known = _spread(records, COMPARED), _spread(training, SEARCHED)
    places = nearest([record.text for record in some], [record.text for record in known])
    guesses = [known[place].label for place in places]
    return {
        "copy the source": RewriteScore.of([record.text for record in records], targets),
        "most frequent target": RewriteScore.of([most] * len(records), targets),
        "nearest training source": RewriteScore.of(guesses, [record.label for record in some]),
    }


def _spread(records: Sequence[Record], most: int) -> Sequence[Record]:
    """At most so many of the records, from all over their list."""
    return records[:: -(-len(records) // most)]


# --------------------------------------------------------------------------------- edit distance


def edit_distance(one: str, other: str) -> int:
    """The fewest edits that make one text of the other.

    >>> edit_distance("kitten", "sitting")
    3
    """
    return int(edit_distances(one, *codes_of([other]))[0])


def edit_distances(
    text: str, codes: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The edits between ``text`` and each of many texts, (N,).

    codes, lengths: the texts, from ``codes_of``

    Row by row (Wagner & Fischer, 1974), all texts at once: row i has the edits between the first i
    characters of ``text`` and every beginning of the others.
    """
    offsets = np.arange(codes.shape[1] + 1, dtype=np.int32)
    row = np.tile(offsets, (len(codes), 1))
    for i, code in enumerate(map(ord, text), 1):
        below = row + 1  # a character of ``text`` removed
        below[:, 0] = i
        np.minimum(below[:, 1:], row[:, :-1] + (codes != code), out=below[:, 1:])  # replaced
        # Inserted, any number of them: the smallest of below[k] + (j - k) over k <= j.
        row = np.minimum.accumulate(below - offsets, axis=1) + offsets
    return row[np.arange(len(codes)), lengths].astype(np.int64)


def nearest(texts: Sequence[str], known: Sequence[str]) -> list[int]:
    """For each text the place of the known one that needs the fewest edits, the first of several.

    An edit changes how often a character occurs by one, or of two characters. So texts whose
    characters differ too much need not be compared, and the most alike are compared first.
    """
    codes, lengths = codes_of(known)
    symbols = np.unique(codes[codes >= 0])
    counts = np.stack([(codes == symbol).sum(1) for symbol in symbols], 1).astype(np.int32)
    found = []
    for text in texts:
        own = np.array([text.count(chr(symbol)) for symbol in symbols])
        surplus = counts - own
        missing = len(text) - own.sum()  # characters that no known text has
        least = np.maximum(surplus.clip(0).sum(1), (-surplus).clip(0).sum(1) + missing)
        order = np.argsort(least, kind="stable")
        best: tuple[int, int] | None = None
        for begin in range(0, len(order), _TOGETHER):
            rows = order[begin : begin + _TOGETHER]
            if best is not None and least[rows[0]] > best[0]:
                break
            edits = edit_distances(text, codes[rows, : lengths[rows].max()], lengths[rows])
            here = min(zip(edits.tolist(), rows.tolist(), strict=True))
            best = here if best is None else min(best, here)
        assert best is not None
        found.append(best[1])
    return found


def codes_of(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The code points of texts (N, T), padded, and their lengths (N,)."""
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    joined = code_points("".join(texts)).astype(np.int64)
    if not len(joined):
        return np.zeros((len(texts), 0), np.int64), lengths
    return pad(joined, np.cumsum(lengths) - lengths, lengths)
