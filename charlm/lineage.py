"""The models that a model was trained further from (``charlm train --init-from``).

The provenance of a model has one entry for each of them, the oldest first: which text it was
trained on, how far, its checksum, and its loss on its own validation text. So it can be said later
what training on another text has made the model forget.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from charlm.checkpoint import Checkpoint, weights_sha256
from charlm.text.dataset import MAX_EXACT

KEY = "started_from"

_KEPT = (
    *("corpus", "corpus_sha256", "train_characters", "val_characters", "split", "step"),
    *("val_bits_per_char", "val_bits_per_char_charged", "val_exact"),
)
"""What an entry has of the provenance of the earlier model: like that, it never has a path."""


def lineage_after(start: Checkpoint) -> list[dict[str, Any]]:
    """What the provenance of a model that starts from ``start`` has under ``KEY``."""
    before = start.provenance.get(KEY)
    entry = {key: start.provenance[key] for key in _KEPT if key in start.provenance}
    own = entry | {"weights_sha256": weights_sha256(start)}
    return [*(before if isinstance(before, list) else []), own]


@dataclass(frozen=True)
class Earlier:
    """One of these models, as far as its entry makes sense.

    train, val: how many characters of its corpus were to train and then to validate
    step: the training step that it is from
    bits_per_char: its exact loss on its validation text, the network alone; None if it is not known
    """

    corpus: str
    corpus_sha256: str
    train: int
    val: int
    step: int
    bits_per_char: float | None

    @classmethod
    def of(cls, entry: Any) -> Earlier | None:
        """None for what ``lineage_after`` has not written: a file can say anything."""
        if not isinstance(entry, dict):
            return None
        texts: list[Any] = [entry.get(key) for key in ("corpus", "corpus_sha256")]
        numbers: list[Any] = [entry.get(k) for k in ("train_characters", "val_characters", "step")]
        if not all(isinstance(each, str) for each in texts):
            return None
        if not all(type(each) is int and 0 <= each < 2**63 for each in numbers):
            return None
        loss = entry.get("val_bits_per_char_charged", entry.get("val_bits_per_char"))
        exact = entry.get("val_exact") is True and type(loss) is float and math.isfinite(loss)
        corpus, sha256 = texts
        train, val, step = numbers
        return cls(corpus, sha256, train, val, step, loss if exact else None)

    def validation_part(self, corpus: str) -> str:
        """The part of its corpus that its exact loss was measured on."""
        return corpus[self.train : self.train + min(self.val, MAX_EXACT)]

    def describe(self) -> str:
        """One phrase for people: ``book at step 1,500, 2.160 bits/char``."""
        loss = "" if self.bits_per_char is None else f", {self.bits_per_char:.3f} bits/char"
        return f"{self.corpus} at step {self.step:,}{loss}"


def earlier_models(provenance: Mapping[str, Any]) -> list[Earlier]:
    """The models that the model with this provenance was trained further from, oldest first."""
    entries = provenance.get(KEY)
    found = map(Earlier.of, entries if isinstance(entries, list) else [])
    return [each for each in found if each is not None]
