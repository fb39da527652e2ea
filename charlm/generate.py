"""Prompt in, characters out, as a stream: engine, sampler and tokenizer at work together."""

from __future__ import annotations

import math
import secrets
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from charlm import checkpoint, runs
from charlm.arrays import Floats, State
from charlm.config import ModelConfig, SampleConfig
from charlm.engine import Engine, log_softmax
from charlm.errors import CheckpointError, RequestError, UnknownCharacterError
from charlm.sampling import REPETITION_WINDOW, distribution, draw
from charlm.seeds import derive
from charlm.surprisal import Score, score
from charlm.text.tokenizer import Tokenizer, describe_unknown

UNKNOWN_POLICIES = ("error", "skip")

Avoid = Callable[[str], Collection[str]]


class Drawn(NamedTuple):
    """A character that was drawn.

    probability: what the model gave it, before temperature and filters; 1 where nobody asked
    logits: (V,) of the symbol with which it begins
    """

    text: str
    probability: float
    logits: Floats


class CharLM:
    """A trained model, ready to write and to score; needs no torch. ``charlm.load`` makes one."""

    def __init__(self, loaded: checkpoint.Checkpoint) -> None:
        self.config: ModelConfig = loaded.config
        self.tokenizer: Tokenizer = loaded.tokenizer
        self.provenance: dict[str, Any] = loaded.provenance
        self.weights = loaded.weights
        self.engine = Engine(loaded.config, loaded.weights)

    def sample(
        self, prompt: str = "", *, stop: str = "", on_unknown: str = "error", **options: Any
    ) -> str:
        """Text that follows ``prompt`` (which is not repeated). Options as in ``SampleConfig``."""
        config = SampleConfig(**options)
        return "".join(self.stream(prompt, config, stop=stop, on_unknown=on_unknown))

    def stream(
        self,
        prompt: str = "",
        config: SampleConfig | None = None,
        *,
        number: int = 0,
        stop: str = "",
        on_unknown: str = "error",
        avoid: Avoid | None = None,
    ) -> Iterator[str]:
        """Yield the text that follows ``prompt`` as it is drawn, at most ``length`` characters.

        number: which of several samples with one seed this is
        stop: the text ends before the first occurrence of this string
        on_unknown: ``error`` refuses a prompt with an unseen character, ``skip`` leaves it out
        avoid: told the text so far, prompt included, it says which characters must not come next

        The same (model, prompt, config with a seed, number) gives the same text. A prompt that
        cannot be read raises at once, not when the first character is asked for.
        """
        config = config or SampleConfig()
        if config.seed is None:
            config = replace(config, seed=secrets.randbits(32))
        ids = self.read_prompt(prompt, on_unknown)
        characters = (each.text for each in self._drawn(ids, config, number, avoid, tell=False))
        return _until(characters, stop, config.length)

    def draws(
        self,
        prompt: str = "",
        config: SampleConfig | None = None,
        *,
        number: int = 0,
        on_unknown: str = "error",
        avoid: Avoid | None = None,
    ) -> Iterator[Drawn]:
        """The same text as ``stream`` gives, with what the model thought of every character."""
        config = config or SampleConfig()
        if config.seed is None:
            config = replace(config, seed=secrets.randbits(32))
        ids = self.read_prompt(prompt, on_unknown)
        return islice(self._drawn(ids, config, number, avoid, tell=True), config.length)

    def read_prompt(self, prompt: str, on_unknown: str = "error") -> list[int]:
        """The ids of ``prompt``, or of the opening symbol where there is nothing to read."""
        if on_unknown not in UNKNOWN_POLICIES:
            raise RequestError(
                f"--on-unknown is {on_unknown!r}; choose {' or '.join(UNKNOWN_POLICIES)}"
            )
        unseen = self.tokenizer.unseen(prompt)
        if len(unseen):
            if on_unknown == "error":
                text = self.tokenizer.normalize(prompt)
                raise UnknownCharacterError(
                    f"the prompt holds {describe_unknown(text, unseen)}; leave it out or give "
                    "--on-unknown skip"
                )
            prompt = self.tokenizer.without_unseen(prompt)
        return [int(i) for i in self.tokenizer.encode(prompt)] or [self.opening]

    @property
    def opening(self) -> int:
        """The id that is read, unprinted, where there is no prompt: a newline, so that the text
        begins as a line does; without newlines in the vocabulary, the commonest character."""
        if not len(self.tokenizer.unseen("\n")):
            return int(self.tokenizer.encode("\n")[0])
        common = str(self.provenance.get("commonest", ""))
        if common and not len(self.tokenizer.unseen(common)):
            return int(self.tokenizer.encode(common)[0])
        return 0

    def read(self, ids: list[int]) -> tuple[Floats, State]:
        """Logits (V,) after ``ids`` and the state there, from the zero state."""
        state = self.engine.initial_state(1)
        for start in range(
            0, len(ids), 1024
        ):  # a long prompt needs no more memory than a short one
            features, state = self.engine.body(np.array([ids[start : start + 1024]]), state)
        return self._checked(self.engine.head(features[0, -1])), state

    @staticmethod
    def _checked(logits: Floats) -> Floats:
        if not np.isfinite(logits).all():
            raise CheckpointError(
                "the model's output is not finite: its weights are too large to compute with"
            )
        return logits

    def _drawn(
        self,
        ids: list[int],
        config: SampleConfig,
        number: int,
        avoid: Avoid | None,
        *,
        tell: bool,
    ) -> Iterator[Drawn]:
        """Characters without end, drawn one symbol after another."""
        assert config.seed is not None
        text = self.tokenizer.decode(ids) if avoid is not None else ""
        rng = np.random.default_rng(derive(config.seed, "sampling", number))
        decoder = self.tokenizer.decoder()
        recent = deque(ids, maxlen=REPETITION_WINDOW)
        logits, state = self.read(ids)
        last = np.zeros(1, dtype=np.int64)
        nats, first, begins = 0.0, logits, True
        while True:
            first = logits if begins else first
            forbidden = self.tokenizer.forbidden
            if avoid is not None:
                forbidden = (*forbidden, *self._ids_of(avoid(text)))
                if len(set(forbidden)) >= self.tokenizer.vocab_size:
                    raise RequestError("every character that could come next is to be avoided")
            p = distribution(logits, config, recent=recent, forbidden=forbidden)
            token = draw(p, rng)
            recent.append(token)
            own = -float(log_softmax(logits)[token]) if tell else 0.0
            characters = decoder.feed(token)
            goes_on = 0x80 <= token < 0xC0 and len(characters) < 2
            if characters and not begins and not goes_on:
                # This byte does not go on with the character: it breaks it off and begins another.
                yield Drawn(characters[0], math.exp(-nats), first)
                characters, nats, first = characters[1:], 0.0, logits
            # A character of several bytes is as likely as all of them together.
            nats += own
            begins = bool(characters)
            for character in characters:
                yield Drawn(character, math.exp(-nats), first)
                nats = 0.0
                text += character if avoid is not None else ""
            last[0] = token
            next_logits, state = self.engine.step(last, state)
            logits = self._checked(next_logits[0])

    def _ids_of(self, characters: Collection[str]) -> list[int]:
        known = [c for c in characters if not len(self.tokenizer.unseen(c))]
        return [int(self.tokenizer.encode(c)[0]) for c in known]

    def evaluate(self, text: str) -> Score:
        """Bits per character of ``text``, exactly; UnknownCharacterError for unseen ones."""
        return score(self.engine, self.tokenizer, self.tokenizer.encode(text))


def load(path: str | Path | None = None) -> CharLM:
    """Open a model for use: a run's directory or name, a model file, or None for the newest run."""
    found = runs.find_model(None if path is None else str(path))
    return CharLM(checkpoint.read(found))


def readable(model: CharLM, text: str, on_unknown: str, say: Callable[[str], None]) -> str:
    """``text`` without unseen characters, if that is wanted (``skip``), which ``say`` is told; else
    UnknownCharacterError, naming them."""
    unseen = model.tokenizer.unseen(text)
    if not len(unseen):
        return text
    known = model.tokenizer.normalize(text)
    if model.tokenizer.forbidden:
        say(
            "read as the unknown symbol, which stands for any of them: "
            f"{describe_unknown(known, unseen)}"
        )
        return text
    if on_unknown == "error":
        raise UnknownCharacterError(
            f"the text holds {describe_unknown(known, unseen)}; give --on-unknown skip to leave "
            "them out"
        )
    say(f"left out {describe_unknown(known, unseen)}")
    return model.tokenizer.without_unseen(text)


def _until(characters: Iterator[str], stop: str, length: int) -> Iterator[str]:
    """The first ``length`` characters, ending before ``stop``.

    What could be the beginning of ``stop`` is held back until it turns out to be something else.
    """
    if not stop:
        yield from islice(characters, length)
        return
    held = ""
    for _ in range(length):
        held += next(characters)
        if held.endswith(stop):
            if len(held) > len(stop):
                yield held[: -len(stop)]
            return
        possible = min(len(stop), len(held))
        while not held.endswith(stop[:possible]):
            possible -= 1
        if len(held) > possible:
            yield held[: len(held) - possible]
            held = held[len(held) - possible :]
    if held:
        yield held
