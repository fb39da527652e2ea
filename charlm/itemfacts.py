"""What a model of items has beside its configuration: where an item ends, and its labels.

A model file stores it as JSON under ``items`` (``charlm.checkpoint``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from charlm.errors import CheckpointError, RequestError

LONGEST_LABEL = 200
"""Characters of the longest label."""


@dataclass(frozen=True)
class ItemFacts:
    """The end symbol and the labels of a model of items.

    end: the character that a model of items reads before and predicts after each of them
    labels: the names of the labels, sorted; empty without labels
    counts: how many training items have each label
    """

    end: str
    labels: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()

    def number(self, label: str) -> int:
        """The number of a label; RequestError if there is none of that name."""
        try:
            return self.labels.index(label)
        except ValueError:
            shown = ", ".join(self.labels[:40]) + (", ..." if len(self.labels) > 40 else "")
            if not self.labels:
                raise RequestError("the model has no labels; leave out --label") from None
            raise RequestError(
                f"the model has no label {label[:60]!r}; it has {len(self.labels)}: {shown}"
            ) from None

    def describe(self, most: int = 8) -> str:
        """How many labels there are, and the most frequent of them with their counts.

        >>> ItemFacts("|", ("a", "b"), (1, 3)).describe()
        '2: b 3, a 1'
        """
        order = sorted(zip(self.counts, self.labels, strict=True), key=lambda e: (-e[0], e[1]))
        shown = ", ".join(f"{label} {count:,}" for count, label in order[:most])
        return f"{len(order)}: {shown}{', ...' if len(order) > most else ''}"

    def shares(self) -> list[float]:
        """The share of the training items that has each label."""
        total = sum(self.counts)
        return [count / total for count in self.counts]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """The inverse of ``to_dict``; CheckpointError for anything else."""
        try:
            end, labels, counts = values["end"], values["labels"], values["counts"]
            good = (
                set(values) == {"end", "labels", "counts"}
                and isinstance(end, str)
                and len(end) == 1
                and _all(labels, str)
                and _all(counts, int)
                and all(0 < len(label) <= LONGEST_LABEL for label in labels)
                and list(labels) == sorted(set(labels))
                and len(labels) == len(counts)
                and not any("\ud800" <= c <= "\udfff" for text in (end, *labels) for c in text)
                and all(0 <= count < 2**53 for count in counts)
                and bool(sum(counts)) == bool(counts)
            )
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"the facts about items are damaged ({error!r:.100})") from error
        if not good:
            raise CheckpointError("the facts about items are damaged")
        return cls(end, tuple(labels), tuple(counts))


def _all(values: Any, kind: type) -> bool:
    return isinstance(values, list | tuple) and all(type(value) is kind for value in values)
