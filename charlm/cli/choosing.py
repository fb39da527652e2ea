"""``charlm sample --interactive``: a person and a model write a text together.

The model shows several ways to go on, each to the end of a sentence. The person takes one of them
or types something else, and so on. All of this is on stderr, the answers come from standard input,
and the text is on stdout when it is finished, also if it was interrupted. The same seed and the
same answers give the same text.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from charlm.cli.options import either, unescaped
from charlm.cli.samples import write
from charlm.cli.terminal import say, say_text, write_result
from charlm.config import LONGEST_OFFER, SampleConfig
from charlm.display import one_line
from charlm.errors import RequestError, UnknownCharacterError
from charlm.generate import CharLM
from charlm.seeds import derive
from charlm.single import Avoid, Start
from charlm.text.unknown import readable

_SHOWN = 400  # characters of the text so far

_ENDS, _CLOSERS = ".!?…", "\"'”’»)]"


def sentence(characters: Iterable[str], most: int) -> str:
    """The characters up to the end of a sentence, at most ``most``.

    A sentence ends with a line, or with ``.``, ``!``, ``?`` or ``…`` and the quotation marks and
    brackets that close there, unless a letter or a digit follows (``3.5``). Line ends before it
    belong to it. One character after the sentence is read.

    >>> sentence("\\n\\nIt cost 3.5 lire...) And then", 99)
    '\\n\\nIt cost 3.5 lire...)'
    """
    text, ending = "", False
    for character in characters:
        if len(text) == most:
            break
        if ending and character not in _ENDS + _CLOSERS:
            if not character.isalnum():
                break
            ending = False
        text += character
        ending = character in _ENDS or (ending and character in _CLOSERS)
        if character == "\n" and text.strip():
            break
    return text


@dataclass
class _Place:
    """Where a choice is made.

    seed: depends on all that was chosen before: after another choice nothing sounds the same
    rounds: how often other ways to go on were asked for
    """

    start: Start
    seed: int
    rounds: int = 0
    offers: list[str] = field(default_factory=list)


class Talk:
    """A text that grows by one choice after the other.

    start: the prompt, read
    config: with a seed; its length is that of each way to go on
    count: ways to go on
    """

    def __init__(
        self, model: CharLM, start: Start, config: SampleConfig, count: int, avoid: Avoid | None
    ) -> None:
        assert config.seed is not None
        self.model, self.prompt, self.seed = model, start.prompt, config.seed
        self._config, self._count, self._avoid = config, count, avoid
        self._places = [_Place(start, config.seed)]

    @property
    def text(self) -> str:
        """The text so far, prompt included."""
        return self._places[-1].start.prompt

    def offers(self) -> list[str]:
        """The ways to go on from here, each once: the same ones until others are asked for."""
        place = self._places[-1]
        if not place.offers:
            seed = derive(place.seed, "choosing", place.rounds)
            most = min(self._config.length, LONGEST_OFFER)
            config = replace(self._config, seed=seed, length=most + 1)
            streams = self.model.streams(place.start, config, self._count, avoid=self._avoid)
            for stream in streams:
                with closing(stream):
                    offer = sentence(stream, most)
                if offer and offer not in place.offers:
                    place.offers.append(offer)
        return place.offers

    def others(self) -> None:
        """Ask for other ways to go on from here."""
        place = self._places[-1]
        place.rounds, place.offers = place.rounds + 1, []

    def add(self, text: str) -> None:
        """``text`` comes next."""
        place = self._places[-1]
        seed = derive(place.seed, "choosing", zlib.crc32(text.encode("utf-8", "surrogatepass")))
        self._places.append(_Place(self.model.extend(place.start, text), seed))

    def undo(self) -> bool:
        """Go back to the choice before this one; False if this is the first."""
        if len(self._places) == 1:
            return False
        self._places.pop()
        return True


def write_together(talk: Talk, on_unknown: str, include_prompt: bool, out: Path | None) -> None:
    """Talk until the person ends it, then print the text, whatever ended the talk."""
    if sys.stdin is None:
        raise RequestError("--interactive reads standard input, which is closed")
    say(f"the same answers with --seed {talk.seed} give the same text")
    try:
        _converse(talk, on_unknown)
    except KeyboardInterrupt:
        say("")  # the line of the question
        raise
    finally:
        text = talk.text if include_prompt else talk.text[len(talk.prompt) :]
        if out is not None:
            write_result("--out", out, text)
        else:
            write(text)
            if sys.stdout.isatty() and text[-1:] != "\n":
                click.echo()


def _converse(talk: Talk, on_unknown: str) -> None:
    shown = None
    while True:
        if talk.text != shown:
            shown = talk.text
            tail = shown if len(shown) <= _SHOWN else "..." + shown[-_SHOWN:]
            say_text(f"\n--- the text so far ---\n{tail or '(nothing yet)'}")
        offers = [f"{n}  {one_line(offer)}" for n, offer in enumerate(talk.offers(), start=1)]
        say_text("\n" + "\n".join(offers or ["(nothing may follow)"]))
        answer = _ask("number: take it; m: more; e: enter your own; u: undo; q: quit > ")
        if answer is None or answer.strip() == "q":
            return
        _obey(talk, answer.strip(), on_unknown)


def _obey(talk: Talk, answer: str, on_unknown: str) -> None:
    numbered = {str(number): offer for number, offer in enumerate(talk.offers(), start=1)}
    if answer in numbered:
        talk.add(numbered[answer])
    elif answer == "m":
        talk.others()
    elif answer == "e":
        own = _ask("your text (\\n: a line end; nothing: go back) > ")
        if own:
            _add_own(talk, unescaped(own), on_unknown)
    elif answer == "u":
        if not talk.undo():
            say("there is nothing to undo")
    else:
        say(f"{answer[:60]!r} is no answer: type {either([*numbered, 'm', 'e', 'u', 'q'])}")


def _add_own(talk: Talk, text: str, on_unknown: str) -> None:
    tokenizer = talk.model.tokenizer
    try:
        text, note = readable(
            tokenizer, text, on_unknown, what="your text", remedy="type it without them"
        )
    except UnknownCharacterError as error:
        say(str(error))
        return
    if note:
        say(f"your text: {note}")
    if text:
        talk.add(tokenizer.normalize(text))


def _ask(question: str) -> str | None:
    """One line of standard input, without its end; None after the last."""
    say_text(question, line_end=False)
    line = sys.stdin.buffer.readline()
    if not line:
        say("")
        return None
    text = line.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        say(text)  # so that what was printed can be read afterwards
    return text
