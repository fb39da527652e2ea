"""``--novelty`` and ``--max-copy``: what a sample copies from the training text."""

from __future__ import annotations

from collections.abc import Callable

from charlm.cli.terminal import say
from charlm.cli.texts import beginning, recent
from charlm.display import one_line
from charlm.errors import RequestError
from charlm.inspection.novelty import GRAM, SuffixArray, no_copies, novelty
from charlm.runs import OpenModel
from charlm.text.dataset import MAX_EXACT


class Copies:
    """The training text of a run, indexed, and its held-out text, which is the control."""

    def __init__(self, opened: OpenModel) -> None:
        texts, tokenizer = opened.texts, opened.model.tokenizer
        self._kind = tokenizer.kind
        trained_on = tokenizer.normalize(recent(texts))
        self._held_out = tokenizer.normalize(beginning(texts.val, MAX_EXACT, "the validation text"))
        self._index = SuffixArray(trained_on)

    def avoid(self, most: int) -> Callable[[str], set[str]]:
        """The ``avoid`` of ``--max-copy``; RequestError for a model of bytes."""
        if self._kind != "char":
            raise RequestError("--max-copy needs a model of characters; this one is of bytes")
        return no_copies(self._index, most)

    def say(self, name: str, sample: str) -> None:
        """Print how much of the sample is copied and, as the control, how much of held-out text of
        the same length occurs in the training text."""
        found = novelty(sample, self._index)
        longest = one_line(found.longest)
        shown = longest if len(longest) <= 60 else longest[:60] + "..."
        share = (
            ""
            if found.share is None
            else f"; {100 * found.share:.0f} % of its passages of {GRAM} characters are copies"
        )
        say(
            f"{name}longest passage from the training text: {len(found.longest)} characters "
            f'("{shown}"){share}'
        )
        if len(self._held_out) >= len(sample) > 0:
            usual = novelty(self._held_out[: len(sample)], self._index)
            share = "" if usual.share is None else f"; {100 * usual.share:.0f} %"
            say(
                f"{name}the same for held-out text of the same length: {len(usual.longest)} "
                f"characters{share}"
            )
