"""Accuracies and differences by the place of the answer, from which answers were right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.experiments.measures import (
    TRAINED,
    Bools,
    Difference,
    Estimate,
    GridResults,
    Reals,
    unpack,
)
from charlm.experiments.position_invariance.mistakes import (
    ERRORS,
    NOT_IN_SENTENCE,
    WRONG_NUMBER,
)

MAIN, HELD_OUT_ANSWERS, LONG = "none", "held-out answers", "long sentences"


class Results(GridResults):
    """The content of a results.json, with methods that compute figures from it."""

    def __init__(self, content: dict[str, Any]) -> None:
        super().__init__(content)
        self.tests: dict[str, dict[str, Any]] = content["tests"]
        self.width = int(self.config["width"])

    # ------------------------------------------------------------------------- where and what

    def starts(self, test: str) -> NDArray[np.int64]:
        return np.array(self.tests[test]["start"], dtype=np.int64)

    def lengths(self, test: str) -> NDArray[np.int64]:
        return np.array(self.tests[test]["length"], dtype=np.int64)

    def distances(self, test: str) -> NDArray[np.int64]:
        """(N,) characters that follow the answer; a short answer counts as if it had the full
        width."""
        found: NDArray[np.int64] = self.lengths(test) - self.starts(test) - self.width
        return np.maximum(0, found)

    def places(self, test: str, part: str) -> Bools:
        """Which sentences of a test have their answer at "seen", "held out" or "all" offsets.

        Offsets at which only some characters of the answer are in a band are neither.
        """
        starts = self.starts(test)
        if part == "all":
            return np.ones(len(starts), dtype=bool)
        allowed = self.config["seen_starts" if part == "seen" else "held_out_starts"]
        return np.isin(starts, allowed)

    def symbols_right(self, reader: str, seed: int, test: str) -> Bools:
        """(N, width): which characters of the answers were right."""
        shape = (len(self.starts(test)), self.width)
        return unpack(self.cells[reader, seed]["tests"][test]["symbols_right"], shape)

    def right(self, reader: str, seed: int, test: str) -> Bools:
        """(N,): which answers were exactly right."""
        count = len(self.starts(test))
        return unpack(self.cells[reader, seed]["tests"][test]["right"], (count,))

    @property
    def knows_errors(self) -> bool:
        """Whether the kinds of errors were recorded; in older results they were not."""
        return all("chance" in facts for facts in self.tests.values())

    def wrong(self, reader: str, seed: int, test: str, error: str) -> Bools:
        """(N,): which answers are errors of that kind (``mistakes``)."""
        stored = self.cells[reader, seed]["tests"][test]
        shape = (len(self.starts(test)),)
        number = unpack(stored["wrong_number"], shape)
        invented = unpack(stored["not_in_sentence"], shape)
        rest = ~(self.right(reader, seed, test) | number | invented)
        return {WRONG_NUMBER: number, NOT_IN_SENTENCE: invented}.get(error, rest)

    # ----------------------------------------------------------------------------- the figures

    def accuracy(self, reader: str, test: str = MAIN, part: str = "all") -> Estimate:
        """Share of answers that are exactly right."""
        mask = self.places(test, part)
        if not mask.any():
            return Estimate.of([])
        return self.over_seeds(reader, lambda seed: self.right(reader, seed, test)[mask].mean())

    def errors(self, reader: str, test: str, part: str = "all") -> dict[str, Estimate]:
        """Share of answers that are errors of each kind. With ``accuracy`` they add up to 1."""
        mask = self.places(test, part)
        if not mask.any():
            return {error: Estimate.of([]) for error in ERRORS}
        return {
            error: Estimate.of(
                float(self.wrong(reader, seed, test, error)[mask].mean())
                for seed in self.seeds(reader)
            )
            for error in ERRORS
        }

    def by_symbol(self, reader: str, test: str = MAIN, part: str = "held out") -> list[Estimate]:
        """The same for each character of the answer separately."""
        mask = self.places(test, part)
        seeds = self.seeds(reader)
        means = [self.symbols_right(reader, seed, test)[mask].mean(0) for seed in seeds]
        return [Estimate.of(float(mean[place]) for mean in means) for place in range(self.width)]

    def by_offset(self, reader: str, test: str = MAIN) -> tuple[NDArray[np.int64], Reals]:
        """(offsets (K,), accuracy (seeds, K))."""
        starts = self.starts(test)
        offsets = np.unique(starts)
        rows = [
            [self.right(reader, seed, test)[starts == offset].mean() for offset in offsets]
            for seed in self.seeds(reader)
        ]
        return offsets, np.array(rows)

    def worst_offset(
        self, reader: str, test: str = MAIN, part: str = "held out"
    ) -> tuple[int, float]:
        """(offset, accuracy over seeds) where a reader does worst; (-1, NaN) without offsets."""
        offsets, rows = self.by_offset(reader, test)
        allowed = np.isin(offsets, self.starts(test)[self.places(test, part)])
        if not allowed.any():
            return -1, float("nan")
        means = np.where(allowed, rows.mean(0), np.inf)
        return int(offsets[means.argmin()]), float(means.min())

    def by_distance(
        self, reader: str, test: str = MAIN, bins: Sequence[int] = tuple(range(0, 121, 10))
    ) -> tuple[list[str], Reals]:
        """(bins, accuracy (seeds, bins)) by the characters that follow the answer; empty bins are
        left out."""
        distance = self.distances(test)
        names, masks = [], []
        for low, high in zip(bins, [*bins[1:], 10**9], strict=True):
            mask = (distance >= low) & (distance < high)
            if mask.any():
                names.append(f"{low}-{high - 1}" if high < 10**9 else f"{low}+")
                masks.append(mask)
        rows = [
            [self.right(reader, seed, test)[mask].mean() for mask in masks]
            for seed in self.seeds(reader)
        ]
        return names, np.array(rows)

    def by_offset_and_length(
        self, reader: str, test: str = MAIN, step: int = 10
    ) -> tuple[list[int], list[int], Reals]:
        """(lower edges of offsets, of lengths, accuracy (offsets, lengths)); NaN for bins without
        sentences."""
        starts, lengths = self.starts(test) // step, self.lengths(test) // step
        right = np.mean([self.right(reader, seed, test) for seed in self.seeds(reader)], axis=0)
        rows, columns = int(starts.max()) + 1, int(lengths.max()) + 1
        count, total = np.zeros((rows, columns)), np.zeros((rows, columns))
        np.add.at(count, (starts, lengths), 1)
        np.add.at(total, (starts, lengths), right)
        mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
        return [step * i for i in range(rows)], [step * i for i in range(columns)], mean

    def gap(self, reader: str) -> Estimate:
        """Accuracy at seen offsets minus that at held-out ones, seed by seed, at equal distances to
        the end of the sentence.

        Offset and distance to the end are related, so a reader that forgets would do worse in the
        bands for that reason alone. Sentences are therefore compared within bins of ten characters
        of distance, weighted like the held-out sentences. Bins that one of the two lacks are left
        out; if they share no bin, the result is the plain difference.
        """
        bins = self.distances(MAIN) // 10
        seen, held = (self.places(MAIN, part) for part in ("seen", "held out"))
        if not (seen.any() and held.any()):
            return Estimate.of([])
        both = np.intersect1d(bins[seen], bins[held])
        if not len(both):
            bins, both = np.zeros_like(bins), np.zeros(1, dtype=bins.dtype)
        weights = np.array([np.count_nonzero(held & (bins == each)) for each in both])

        def of_seed(seed: int) -> float:
            right = self.right(reader, seed, MAIN)
            gaps = [
                right[seen & (bins == b)].mean() - right[held & (bins == b)].mean() for b in both
            ]
            return float(np.average(gaps, weights=weights))

        return self.over_seeds(reader, of_seed)

    def difference(
        self, one: str, other: str, test: str = MAIN, part: str = "held out"
    ) -> Difference:
        """The difference in accuracy between two readers on the same sentences, seed by seed."""
        mask = self.places(test, part)
        return self.compared(one, other, lambda reader, seed: self.right(reader, seed, test)[mask])

    def trained(self, reader: str) -> bool:
        """Whether a reader does well at seen offsets; otherwise no conclusion can be drawn from
        it."""
        return self.accuracy(reader, MAIN, "seen").mean >= TRAINED

    def floor(self, test: str = MAIN) -> float:
        """Accuracy of always giving the answer that is most frequent in training."""
        return float(self.tests[test]["floor"])

    def ceiling(self, test: str = MAIN) -> float:
        """Accuracy of the regular expression: the first separate group of four digits."""
        return float(self.tests[test]["ceiling"])

    def chance(self, test: str, part: str = "all") -> float:
        """Expected accuracy if one of the numbers of each sentence is picked at random; NaN without
        sentences."""
        mask = self.places(test, part)
        if not mask.any():
            return float("nan")
        return float(np.mean(np.array(self.tests[test]["chance"])[mask]))

    def best(self) -> str:
        """The reader with the highest mean accuracy over all tests; taggers are left out."""
        answering = [name for name in self.readers if not name.startswith("tagger")]
        return max(
            answering or self.readers,
            key=lambda name: np.mean([self.accuracy(name, test).mean for test in self.tests]),
        )
