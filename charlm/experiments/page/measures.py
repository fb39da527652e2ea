"""Accuracies by the place of the asked number, from which answers were right.

An answer is a place and a value; each is right or wrong by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.experiments.measures import TRAINED, Bools, Difference, Estimate, GridResults, unpack
from charlm.experiments.page.design import PARTS, PLACES, SEEN, Design
from charlm.experiments.page.layouts import FAMILIES

PLACE, VALUE = ANSWERS = ("place", "value")


def width_test(width: int) -> str:
    """The name of the test of pages of that width."""
    return f"width {width}"


class Results(GridResults):
    """The content of a results.json, with methods that compute figures from it."""

    def __init__(self, content: dict[str, Any]) -> None:
        super().__init__(content)
        self.tests: dict[str, dict[str, Any]] = content["tests"]
        self.design = Design.from_dict(self.config["design"])

    def mask(self, test: str, part: str | None = None, family: str | None = None) -> Bools:
        """(N,): the pages of a test whose asked number is in that part, and of that family."""
        facts = self.tests[test]
        rows, columns = facts["row"], facts["column"]
        found = np.ones(len(rows), dtype=bool)
        if part is not None:
            found &= [
                self.design.part(row, column) == part
                for row, column in zip(rows, columns, strict=True)
            ]
        if family is not None:
            found &= np.array(facts["family"]) == family
        return found

    def right(self, reader: str, seed: int, test: str, answer: str = PLACE) -> Bools:
        """(N,): which places, or which values, are right."""
        packed = self.cells[reader, seed]["tests"][test][answer]
        return unpack(packed, (len(self.tests[test]["row"]),))

    def accuracy(
        self,
        reader: str,
        test: str = PLACES,
        part: str | None = None,
        family: str | None = None,
        answer: str = PLACE,
    ) -> Estimate:
        """Share of pages whose place, or whose value, is right."""
        mask = self.mask(test, part, family)
        if not mask.any():
            return Estimate.of([])
        return self.over_seeds(
            reader, lambda seed: float(self.right(reader, seed, test, answer)[mask].mean())
        )

    def chance(
        self, test: str = PLACES, part: str | None = None, family: str | None = None
    ) -> float:
        """Expected accuracy of picking one of the numbers of each page at random."""
        return float(np.mean(np.array(self.tests[test]["chance"])[self.mask(test, part, family)]))

    def other_number(self, reader: str, part: str, family: str | None = None) -> Estimate:
        """Share of pages for which a reader points at another number."""
        mask = self.mask(PLACES, part, family)
        return self.over_seeds(
            reader,
            lambda seed: float(self.right(reader, seed, PLACES, "other_number")[mask].mean()),
        )

    def untrained(self, reader: str, answer: str = PLACE) -> Estimate:
        """Accuracy before training."""
        return self.over_seeds(reader, lambda seed: self.cells[reader, seed]["untrained"][answer])

    def map(self, reader: str, family: str, answer: str = PLACE) -> NDArray[np.float64]:
        """(rows, columns): the accuracy by the place of the number's first digit, over seeds and
        pages; NaN where the family has no page."""
        facts = self.tests[PLACES]
        mask = self.mask(PLACES, family=family)
        rows, columns = (np.array(facts[name])[mask] for name in ("row", "column"))
        right = np.mean(
            [self.right(reader, seed, PLACES, answer)[mask] for seed in self.seeds(reader)], axis=0
        )
        total, count = np.zeros((2, self.design.rows, self.design.columns))
        np.add.at(total, (rows, columns), right)
        np.add.at(count, (rows, columns), 1)
        return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)

    def gap(
        self, reader: str, part: str, answer: str = PLACE, family: str | None = None
    ) -> Estimate:
        """Accuracy at seen places minus that in another part, seed by seed, in one family or in
        both, each counted alike: the left edge has no pages with a word to the left, so the parts
        differ in their share of families."""
        pairs = [
            (self.mask(PLACES, SEEN, each), self.mask(PLACES, part, each))
            for each in FAMILIES
            if family in (None, each)
        ]

        def of_seed(seed: int) -> float:
            right = self.right(reader, seed, PLACES, answer)
            return float(np.mean([right[seen].mean() - right[held].mean() for seen, held in pairs]))

        return self.over_seeds(reader, of_seed)

    def difference(self, one: str, other: str, part: str, answer: str = PLACE) -> Difference:
        """The difference in accuracy between two readers on the same pages, seed by seed."""
        mask = self.mask(PLACES, part)
        return self.compared(
            one, other, lambda reader, seed: self.right(reader, seed, PLACES, answer)[mask]
        )

    def trained(self, reader: str, family: str | None = None, answer: str = PLACE) -> bool:
        """Whether a reader does well at seen places; otherwise no conclusion can be drawn from
        it."""
        return self.accuracy(reader, PLACES, SEEN, family, answer).mean >= TRAINED

    def best(self) -> str:
        """The reader with the highest accuracy over all parts and both answers."""
        return max(
            self.main,
            key=lambda reader: np.mean(
                [
                    self.accuracy(reader, PLACES, part, answer=a).mean
                    for part in PARTS
                    for a in ANSWERS
                ]
            ),
        )

    @property
    def main(self) -> list[str]:
        """The readers of the usual pages."""
        return [reader for reader in self.readers if "@" not in reader]

    def by_width(
        self, reader: str, family: str, answer: str = PLACE
    ) -> tuple[list[int], list[Estimate]]:
        """The accuracy of a reader by the width of its pages: (widths, accuracies)."""
        widths = [width for width in self.config["widths"] if f"{reader}@{width}" in self.readers]
        found = [
            self.accuracy(f"{reader}@{width}", width_test(width), family=family, answer=answer)
            for width in widths
        ]
        return widths, found


def rows(results: Results) -> Iterator[Sequence[object]]:
    """The accuracies as rows of a table: reader, seed, test, part, family, and both shares."""
    yield ["reader", "seed", "test", "part", "family", "pages", *ANSWERS]
    for reader, seed in results.cells:
        for test in results.cells[reader, seed]["tests"]:
            parts = PARTS if test == PLACES else (None,)
            for part in parts:
                for family in FAMILIES:
                    mask = results.mask(test, part, family)
                    shares = [
                        f"{results.right(reader, seed, test, answer)[mask].mean():.6f}"
                        for answer in ANSWERS
                    ]
                    yield [reader, seed, test, part or "all", family, int(mask.sum()), *shares]
