"""Samples on stdout: each character at once while it is sampled, or whole: ranked, as JSON, or in a
file.

A ``Draft`` is a sample that is still to be sampled, a ``charlm.ranking.Sample`` one that is
complete.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

import click

from charlm.cli.prompts import Prompt
from charlm.cli.terminal import say
from charlm.display import one_line, printable
from charlm.errors import CharlmError
from charlm.ranking import Sample, best_first

if TYPE_CHECKING:
    from charlm.config import SampleConfig
    from charlm.generate import CharLM
    from charlm.single import Avoid, Start
    from charlm.text.tokenizer import Tokenizer

_LONGEST = 60  # characters of a prompt in a heading


class Draft:
    """A sample, while it is sampled: iterate over its pieces, once.

    number: from 0, among those of the same prompt
    keep: whether ``text`` will be asked for
    """

    def __init__(
        self, number: int, prompt: Prompt, start: Start, pieces: Iterator[str], *, keep: bool
    ) -> None:
        self.number, self.prompt, self.start = number, prompt, start
        self._pieces = pieces
        self._kept: list[str] | None = [] if keep else None
        self._complete = False
        self.last = ""  # the last piece so far

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces:
            self.last = piece
            if self._kept is not None:
                self._kept.append(piece)
            yield piece
        self._complete = True

    @property
    def text(self) -> str:
        """What has been sampled so far, if ``keep`` was set."""
        return "".join(self._kept or ())

    def ended_early(self, tokenizer: Tokenizer, config: SampleConfig, avoid: Avoid | None) -> bool:
        """Whether it is complete, and shorter than asked for because nothing may follow it."""
        from charlm.single import exhausted

        if not self._complete or len(self.text) >= config.length:
            return False
        return exhausted(tokenizer, self.start, self.text, config, avoid)


@dataclass(frozen=True)
class Layout:
    """How samples are shown.

    seed: that JSON tells
    include_prompt: whether the prompt stands before the text
    several: whether there is more than one sample of each prompt
    ranked: whether the headings tell nats per character
    """

    seed: int | None = None
    as_json: bool = False
    include_prompt: bool = True
    several: bool = False
    ranked: bool = False

    def _parts(self, prompt: Prompt, number: int) -> list[str]:
        """Which sample it is; nothing if it is the only one. Lines and samples count from 1."""
        parts = [] if prompt.line is None else [f"line {prompt.line}"]
        return [*parts, f"sample {number + 1}"] if self.several else parts

    def name(self, prompt: Prompt, number: int) -> str:
        """How a message about a sample begins: ``line 2, sample 1: ``."""
        parts = self._parts(prompt, number)
        return f"{', '.join(parts)}: " if parts else ""

    def headed(self, prompt: Prompt) -> bool:
        """Whether a sample has a line above it that says which it is."""
        return self.ranked or bool(self._parts(prompt, 0))

    def heading(self, prompt: Prompt, number: int, nats_per_char: float | None = None) -> str:
        """That line."""
        parts = self._parts(prompt, number)
        if self.ranked:
            nats = "no characters" if nats_per_char is None else f"{nats_per_char:.4f} nats/char"
            parts.append(nats)
        if prompt.line is None:
            return f"--- {', '.join(parts).removeprefix('' if self.ranked else 'sample ')} ---"
        title, shown = ", ".join(parts), one_line(prompt.text)
        shown = shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "..."
        return f'--- {title}: "{shown}" ---'

    def record(self, prompt: Prompt, sample: Sample) -> str:
        """One line of JSON."""
        record: dict[str, Any] = {"sample": sample.number + 1, "seed": self.seed}
        if prompt.line is not None:
            record["line"] = prompt.line
        record["prompt"] = sample.prompt
        record["text"] = (sample.prompt if self.include_prompt else "") + sample.text
        record["characters"] = sample.characters
        record["log_probability"] = sample.log_probability
        record["nats_per_char"] = sample.nats_per_char
        return json.dumps(record)

    def blocks(self, samples: Iterable[tuple[Prompt, Sample]]) -> Iterator[str]:
        """What is printed for each sample: all of it one after the other is the output."""
        first = True
        for prompt, sample in samples:
            text = (sample.prompt if self.include_prompt else "") + sample.text
            if self.as_json:
                yield self.record(prompt, sample) + "\n"
            elif self.headed(prompt):
                heading = self.heading(prompt, sample.number, sample.nats_per_char)
                yield f"{'' if first else chr(10)}{heading}\n{text}\n"
            else:
                yield text
            first = False


def complete(
    drafts: Iterable[Draft], model: CharLM, *, ranked: bool, weigh: bool, abreast: int
) -> Iterator[tuple[Prompt, Sample]]:
    """Sample the drafts to their ends.

    ranked: those of each prompt in the order of their nats per character
    weigh: compute their nats
    abreast: so many are complete at the same time
    """

    def finished(group: Iterator[Draft]) -> Iterator[Sample]:
        while batch := list(islice(group, abreast)):
            texts = ["".join(draft) for draft in batch]
            if weigh:
                yield from model.weigh_all(batch[0].start, texts, batch[0].number)
            else:
                for draft, text in zip(batch, texts, strict=True):
                    yield Sample(draft.number, draft.prompt.text, text)

    for prompt, group in groupby(drafts, key=lambda draft: draft.prompt):
        samples = finished(group)
        for sample in best_first(samples) if ranked else samples:
            yield prompt, sample


def show(samples: Iterable[tuple[Prompt, Sample]], layout: Layout) -> None:
    """Print samples that are complete, each as soon as it is there."""
    for block in layout.blocks(samples):
        write(block)
        if sys.stdout.isatty() and not block.endswith("\n"):
            click.echo()


def show_drafts(drafts: Iterable[Draft], layout: Layout, speaks: Callable[[Draft], bool]) -> None:
    """Print samples, each character as it is sampled.

    speaks: whether a message about this draft, which is complete, follows on stderr
    """
    terminal, first = sys.stdout.isatty(), True
    for draft in drafts:
        headed = layout.headed(draft.prompt)
        if headed:
            write(f"{'' if first else chr(10)}{layout.heading(draft.prompt, draft.number)}\n")
        begin = draft.prompt.text if layout.include_prompt else ""
        write(begin)
        message = False
        try:
            for piece in draft:
                write(piece)
            message = speaks(draft)
        except (KeyboardInterrupt, CharlmError):
            message = True
            raise
        finally:
            if terminal or headed:
                click.echo()
            elif message and not (draft.last or begin).endswith("\n"):
                # A pipe gets the text alone. If it leads to the same screen as stderr, the
                # message must not begin in the text's last line.
                say("")
        first = False


def write(text: str) -> None:
    """Print at once. A terminal gets no control characters, a pipe gets the text unchanged."""
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()
