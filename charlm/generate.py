"""Sampling text: a prompt goes in, characters come out one at a time."""

from __future__ import annotations

import math
import os
import secrets
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from charlm import checkpoint
from charlm.arrays import Floats, State
from charlm.config import ModelConfig, SampleConfig
from charlm.counts import Counts
from charlm.engine import Engine, log_softmax
from charlm.errors import RequestError
from charlm.lockstep import ABREAST, Lockstep
from charlm.mixture import Apart, Mixed, Predictor
from charlm.sampling import REPETITION_WINDOW, distribution, draw, not_finite
from charlm.seeds import derive
from charlm.stopping import until
from charlm.surprisal import Score, score, scores_apart
from charlm.text import unknown
from charlm.text.folding import types_to_name
from charlm.text.tokenizer import Tokenizer

Avoid = Callable[[str], Collection[str]]


class Drawn(NamedTuple):
    """A character that was sampled.

    probability: the model's own, before temperature and filters; 1 unless it was asked for
    logits: (V,) of the symbol with which the character begins
    """

    text: str
    probability: float
    logits: Floats


class Start(NamedTuple):
    """A prompt that a model has read: any number of samples can begin here.

    ids: of the prompt; of the opening symbol if the prompt is empty
    logits: (V,) of the next symbol
    state: the model's, after the prompt
    """

    ids: list[int]
    logits: Floats
    state: State


class CharLM:
    """A trained model, ready to sample and to score, without torch. ``charlm.load`` opens one."""

    def __init__(self, loaded: checkpoint.Checkpoint, counts: Counts | None = None) -> None:
        """counts: of the run, to be used together with the network (``charlm.counts``)"""
        self.config: ModelConfig = loaded.config
        self.tokenizer: Tokenizer = loaded.tokenizer
        self.provenance: dict[str, Any] = loaded.provenance
        self.weights = loaded.weights
        self.engine = Engine(loaded.config, loaded.weights)
        self.counts = counts
        self.predictor: Predictor = self.engine
        if counts is not None:
            self.predictor = Mixed(self.engine, counts.ngram, counts.weights)

    def __repr__(self) -> str:
        """``<CharLM: LSTM 1x256, 560,961 parameters, 97 symbols, trained on 'book'>``."""
        facts = f"{self.describe()}, {self.tokenizer.vocab_size} symbols"
        corpus = self.provenance.get("corpus")
        return f"<CharLM: {facts}{f', trained on {corpus!r:.60}' if corpus else ''}>"

    def describe(self) -> str:
        """One phrase for people: ``LSTM 1x256, 560,961 parameters, with a 12-gram``."""
        beside = f", with a {self.counts.name}" if self.counts is not None else ""
        return self.config.describe() + beside

    def sample(
        self,
        prompt: str | Start = "",
        *,
        stop: str | Sequence[str] = (),
        on_unknown: str = "error",
        **options: Any,
    ) -> str:
        """The text that follows ``prompt``, without the prompt. Options as in ``SampleConfig``;
        arguments and errors as in ``stream``."""
        config = SampleConfig(**options)
        return "".join(self.stream(prompt, config, stop=stop, on_unknown=on_unknown))

    def stream(
        self,
        prompt: str | Start = "",
        config: SampleConfig | None = None,
        *,
        number: int = 0,
        stop: str | Sequence[str] = (),
        on_unknown: str = "error",
        avoid: Avoid | None = None,
    ) -> Generator[str]:
        """Yield the text that follows ``prompt``, at most ``config.length`` characters, as it is
        sampled.

        prompt: a text, or the result of ``start``
        number: the number of this sample, if several are drawn with the same seed
        stop: one or several strings; the text ends before the first of them that is complete
        on_unknown: what to do about unseen characters of the prompt (``charlm.text.unknown``)
        avoid: a function from the text so far, prompt included, to the characters that may not
        follow

        The same model, prompt, config with a seed, and number give the same text. Raises
        UnknownCharacterError immediately, not when the first character is requested.
        """
        config, start = config or SampleConfig(), self._started(prompt, on_unknown)
        characters = (each.text for each in self._drawn(start, config, number, avoid, tell=False))
        return until(characters, (stop,) if isinstance(stop, str) else stop, config.length)

    def streams(
        self,
        prompt: str | Start = "",
        config: SampleConfig | None = None,
        count: int = ABREAST,
        *,
        stop: str | Sequence[str] = (),
        on_unknown: str = "error",
        avoid: Avoid | None = None,
    ) -> list[Generator[str]]:
        """``count`` samples: the n-th iterator gives the characters of ``stream(..., number=n)``.

        64 texts at a time are sampled side by side, several times faster than one after the other
        (``charlm.lockstep``); to read one samples as much of the others. With a repetition penalty
        or ``avoid``, which need the past of each text, they are sampled one after the other.

        Without a seed in ``config``, a new one is chosen for all of them. Other arguments and
        errors as in ``stream``.
        """
        config, start = config or SampleConfig(), self._started(prompt, on_unknown)
        if config.seed is None:
            config = replace(config, seed=secrets.randbits(32))
        stop = (stop,) if isinstance(stop, str) else stop
        if count == 1 or avoid is not None or config.repetition_penalty != 1.0:
            return [
                self.stream(start, config, number=number, stop=stop, avoid=avoid)
                for number in range(count)
            ]
        found: list[Generator[str]] = []
        for first in range(0, count, ABREAST):
            numbers = range(first, min(first + ABREAST, count))
            lockstep = Lockstep(
                self.predictor,
                self.tokenizer,
                start.logits,
                start.state,
                config,
                numbers,
                stop=stop,
                threads=os.cpu_count() or 1,
            )
            found += [lockstep.read(place) for place in range(len(numbers))]
        return found

    def draws(
        self,
        prompt: str | Start = "",
        config: SampleConfig | None = None,
        *,
        number: int = 0,
        on_unknown: str = "error",
        avoid: Avoid | None = None,
    ) -> Iterator[Drawn]:
        """The text that ``stream`` gives, with the model's probability of every character."""
        config, start = config or SampleConfig(), self._started(prompt, on_unknown)
        return islice(self._drawn(start, config, number, avoid, tell=True), config.length)

    def start(self, prompt: str = "", on_unknown: str = "error") -> Start:
        """Read ``prompt`` once, for any number of samples. UnknownCharacterError as in ``stream``;
        CheckpointError if the model's output is not finite."""
        ids = self.read_prompt(prompt, on_unknown)
        return Start(ids, *self.read(ids))

    def _started(self, prompt: str | Start, on_unknown: str) -> Start:
        return prompt if isinstance(prompt, Start) else self.start(prompt, on_unknown)

    def read_prompt(self, prompt: str, on_unknown: str = "error") -> list[int]:
        """The ids of ``prompt``, or of the opening symbol if nothing is left of it."""
        prompt = unknown.readable(self.tokenizer, prompt, on_unknown, what="the prompt").text
        return [int(i) for i in self.tokenizer.encode(prompt)] or [self.opening]

    @property
    def opening(self) -> int:
        """The id that the model reads, unprinted, if the prompt is empty: a newline, so that the
        text begins like a line. If the vocabulary has no newline, the most common character."""
        if not len(self.tokenizer.unseen("\n")):
            return int(self.tokenizer.encode("\n")[0])
        common = str(self.provenance.get("commonest", ""))
        if common and not len(self.tokenizer.unseen(common)):
            return int(self.tokenizer.encode(common)[0])
        return 0

    def read(self, ids: list[int]) -> tuple[Floats, State]:
        """The logits (V,) after ``ids`` and the state there, from the zero state."""
        state = self.predictor.initial_state(1)
        # In chunks, so that a long prompt needs no more memory than a short one.
        for start in range(0, len(ids), 1024):
            logits, state = self.predictor.last(np.array([ids[start : start + 1024]]), state)
        return self._checked(logits[0]), state

    @staticmethod
    def _checked(logits: Floats) -> Floats:
        if not np.isfinite(logits).all():
            raise not_finite()
        return logits

    def _drawn(
        self,
        start: Start,
        config: SampleConfig,
        number: int,
        avoid: Avoid | None,
        *,
        tell: bool,
    ) -> Iterator[Drawn]:
        """Sample characters indefinitely. ``tell``: with their probabilities."""
        ids, logits, state = start
        text = self.tokenizer.decode(ids) if avoid is not None else ""
        seed = secrets.randbits(32) if config.seed is None else config.seed
        rng = np.random.default_rng(derive(seed, "sampling", number))
        decoder = self.tokenizer.decoder()
        recent = deque(ids, maxlen=REPETITION_WINDOW)
        last = np.zeros(1, dtype=np.int64)
        nats, first, begins = 0.0, logits, True
        while True:
            first = logits if begins else first
            forbidden = self.tokenizer.forbidden
            if avoid is not None:
                forbidden = (*forbidden, *self._ids_of(avoid(text)))
                if len(set(forbidden)) >= self.tokenizer.vocab_size:
                    raise RequestError(
                        "every character that could come next is to be avoided; avoid fewer"
                    )
            p = distribution(logits, config, recent=recent, forbidden=forbidden)
            token = draw(p, rng)
            recent.append(token)
            own = -float(log_softmax(logits)[token]) if tell else 0.0
            characters = decoder.feed(token)
            continues = 0x80 <= token < 0xC0 and len(characters) < 2
            if characters and not begins and not continues:
                # This byte breaks the character before it off and begins another one.
                yield Drawn(characters[0], math.exp(-nats), first)
                characters, nats, first = characters[1:], 0.0, logits
            # The probability of a character of several bytes is the product of theirs.
            nats += own
            begins = bool(characters)
            for character in characters:
                yield Drawn(character, math.exp(-nats), first)
                nats = 0.0
                text += character if avoid is not None else ""
            last[0] = token
            next_logits, state = self.predictor.step(last, state)
            logits = self._checked(next_logits[0])

    def _ids_of(self, characters: Collection[str]) -> list[int]:
        known = [c for c in characters if not len(self.tokenizer.unseen(c))]
        return [int(self.tokenizer.encode(c)[0]) for c in known]

    def evaluate(
        self,
        text: str,
        corpus: Iterable[str] = (),
        *,
        advanced: Callable[[int, int], object] = lambda done, total: None,
    ) -> Score:
        """The exact bits per character of ``text``, in one pass.

        A model with an unknown symbol is charged for naming the characters that it folds
        (``charlm.text.folding``); ``corpus``, its training text, helps to count them if the model
        is too old to say how many there are. ``advanced`` as in ``surprisal.surprisals``.

        Raises UnknownCharacterError for an unknown character, RequestError for fewer than two
        characters.
        """
        ids = self.tokenizer.encode(text)
        types = self.folded_types(text, corpus)
        return score(self.predictor, self.tokenizer, ids, folded_types=types, advanced=advanced)

    def evaluate_apart(
        self,
        text: str,
        corpus: Iterable[str] = (),
        *,
        advanced: Callable[[int, int], object] = lambda done, total: None,
    ) -> Apart | None:
        """``evaluate`` for the network, the counts and both together, in one pass; None for a model
        without counts."""
        if not isinstance(self.predictor, Mixed):
            return None
        ids = self.tokenizer.encode(text)
        types = self.folded_types(text, corpus)
        return scores_apart(
            self.predictor, self.tokenizer, ids, folded_types=types, advanced=advanced
        )

    def folded_types(self, text: str, corpus: Iterable[str] = ()) -> int:
        """How many different characters the unknown symbol represents; 1 without such a symbol."""
        return types_to_name(self.tokenizer, self.provenance, text, corpus)


def readable(model: CharLM, text: str, on_unknown: str, say: Callable[[str], None]) -> str:
    """``text`` as the model can read it, by the rule of ``charlm.text.unknown``.

    ``say`` is called with one line if anything is left out or read as the unknown symbol. Raises
    UnknownCharacterError as ``unknown.readable`` does.
    """
    text, note = unknown.readable(model.tokenizer, text, on_unknown)
    if note:
        say(note)
    return text
