"""Samples that are complete, and their order by how likely the model finds them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """A text that a model has written.

    number: of the sample, from 0, among those of the same prompt and seed
    prompt: what it follows; ``text`` does not contain it
    nats: -ln p(text | prompt), by the model's own distribution, before temperature and filters;
        None if it was not computed
    characters: that the nats are divided by: those of ``text``, and an end symbol if there is one
    """

    number: int
    prompt: str
    text: str
    nats: float | None = None
    characters: int = 0

    @property
    def log_probability(self) -> float | None:
        """ln p(text | prompt), in nats: never above 0."""
        return None if self.nats is None else -self.nats

    @property
    def nats_per_char(self) -> float | None:
        """None if the nats were not computed, or for a text of no characters."""
        return None if self.nats is None or not self.characters else self.nats / self.characters


def best_first(samples: Iterable[Sample]) -> list[Sample]:
    """Sorted by nats per character, the lowest first; samples without any come last.

    >>> ranked = best_first([Sample(0, "", "abc", 6.0, 3), Sample(1, "", "ab", 2.0, 2)])
    >>> [sample.text for sample in ranked]
    ['ab', 'abc']
    """

    def order(sample: Sample) -> tuple[bool, float, int]:
        nats = sample.nats_per_char
        return nats is None, nats or 0.0, sample.number

    return sorted(samples, key=order)
