"""``charlm eval`` on the text of an earlier model (``charlm.lineage``): what was forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.terminal import say

if TYPE_CHECKING:
    from charlm.lineage import Earlier
    from charlm.runs import OpenModel


@dataclass(frozen=True)
class Forgotten:
    """The network alone on the validation part of an earlier model's corpus.

    bits_per_char: now; ``earlier`` has that of before
    """

    earlier: Earlier
    characters: int
    bits_per_char: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "corpus": self.earlier.corpus,
            "step": self.earlier.step,
            "characters": self.characters,
            "bits_per_char": self.bits_per_char,
            "bits_per_char_before": self.earlier.bits_per_char,
        }

    def print(self) -> None:
        earlier, now = self.earlier, self.bits_per_char
        before = earlier.bits_per_char
        if before is None:
            compared = "what it was before is not known exactly"
        elif now > before:
            compared = f"it was {before:.4f}, so {now - before:.4f} were forgotten"
        else:
            compared = f"it was {before:.4f}, so nothing was forgotten"
        click.echo(
            f"earlier   {now:.4f} bits/char: the network alone on the validation text of "
            f"{earlier.corpus} ({self.characters:,} characters); {compared}"
        )
        say(
            f"the model was trained on {earlier.corpus} before its own text; the first line is of "
            "all of that, its training part too"
        )


def forgotten(found: OpenModel, text: str, on_unknown: str) -> Forgotten | None:
    """Compare with the last of the earlier models whose whole corpus ``text`` is; None if it is
    that of none of them."""
    from charlm.generate import CharLM, readable
    from charlm.lineage import earlier_models
    from charlm.text.newlines import to_unix
    from charlm.text.reading import text_sha256

    models = earlier_models(found.provenance)
    if not models:
        return None
    # The line ends of the earlier corpus may have been read by another rule.
    by_sha256 = {text_sha256(each): each for each in (to_unix(text), text)}
    for earlier in reversed(models):
        if earlier.corpus_sha256 in by_sha256:
            part = earlier.validation_part(by_sha256[earlier.corpus_sha256])
            network = CharLM(found.checkpoint)
            part = readable(network, part, on_unknown, lambda note: None)
            if len(part) < 2:
                return None
            result = network.evaluate(part)
            return Forgotten(earlier, result.characters, result.bits_per_char)
    return None
