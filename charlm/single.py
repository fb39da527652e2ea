"""One text, character by character: what a sample may contain can depend on all of it so far.

    logits (V,)  ->  probabilities (V,), without what may not follow  ->  id  ->  step of the model

``charlm.lockstep`` draws many texts at once, several times faster, but knows nothing of their past.
"""

from __future__ import annotations

import math
import secrets
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

import numpy as np

from charlm.arrays import Floats, State
from charlm.config import SampleConfig
from charlm.engine import log_softmax
from charlm.errors import RequestError
from charlm.mixture import Predictor
from charlm.repeats import Repeats
from charlm.sampling import REPETITION_WINDOW, distribution, draw, not_finite
from charlm.seeds import derive
from charlm.text.tokenizer import Tokenizer

Avoid = Callable[[str], Collection[str]]
"""From a text so far, prompt included, to the characters that may not follow."""


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
    prompt: the prompt as it was read, empty if only the opening symbol was
    """

    ids: list[int]
    logits: Floats
    state: State
    prompt: str = ""


def checked(logits: Floats) -> Floats:
    """``logits``; CheckpointError if they are not finite."""
    if not np.isfinite(logits).all():
        raise not_finite()
    return logits


class _Past:
    """A text so far, as far as it decides on what may follow."""

    def __init__(
        self, tokenizer: Tokenizer, start: Start, config: SampleConfig, avoid: Avoid | None
    ) -> None:
        self._tokenizer, self._avoid = tokenizer, avoid
        self._text = tokenizer.decode(start.ids) if avoid is not None else ""
        self._repeats = Repeats(config.no_repeat) if config.no_repeat else None
        if self._repeats is not None and start.prompt:  # the opening symbol is not written
            for character, token in zip(tokenizer.decode(start.ids), start.ids, strict=True):
                self._repeats.add(character, token)

    def add(self, character: str, token: int) -> None:
        """``character`` has been written; of several bytes, ``token`` is the last."""
        if self._avoid is not None:
            self._text += character
        if self._repeats is not None:
            self._repeats.add(character, token)

    def forbidden(self) -> tuple[int, ...] | None:
        """The ids that may not follow; None if none is left, because each of them would write a
        stretch a second time. RequestError if ``avoid`` alone leaves none."""
        ids = self._tokenizer.forbidden
        if self._avoid is not None:
            ids = (*ids, *self._ids_of(self._avoid(self._text)))
            if self._all(ids):
                raise RequestError(
                    "every character that could come next is to be avoided; avoid fewer"
                )
        if self._repeats is not None:
            ids = (*ids, *self._repeats.forbidden)
            if self._all(ids):
                return None
        return ids

    def _all(self, ids: tuple[int, ...]) -> bool:
        return len(set(ids)) >= self._tokenizer.vocab_size

    def _ids_of(self, characters: Collection[str]) -> list[int]:
        known = [c for c in characters if not len(self._tokenizer.unseen(c))]
        return [int(self._tokenizer.encode(c)[0]) for c in known]


def drawn(
    predictor: Predictor,
    tokenizer: Tokenizer,
    start: Start,
    config: SampleConfig,
    number: int = 0,
    avoid: Avoid | None = None,
    *,
    tell: bool = False,
) -> Iterator[Drawn]:
    """Sample characters: for ever, or with ``no_repeat`` until nothing may follow.

    number: of the sample, if several are drawn with the same seed
    tell: compute the model's own probability of every character
    """
    ids, logits, state, _ = start
    past = _Past(tokenizer, start, config, avoid)
    seed = secrets.randbits(32) if config.seed is None else config.seed
    rng = np.random.default_rng(derive(seed, "sampling", number))
    decoder = tokenizer.decoder()
    recent = deque(ids, maxlen=REPETITION_WINDOW)
    last = np.zeros(1, dtype=np.int64)
    nats, first, begins = 0.0, logits, True
    while (forbidden := past.forbidden()) is not None:
        first = logits if begins else first
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
            past.add(character, token)
        last[0] = token
        next_logits, state = predictor.step(last, state)
        logits = checked(next_logits[0])


def exhausted(
    tokenizer: Tokenizer, start: Start, text: str, config: SampleConfig, avoid: Avoid | None = None
) -> bool:
    """Whether ``text``, sampled from ``start``, ends because nothing may follow it."""
    if not config.no_repeat:
        return False
    past = _Past(tokenizer, start, config, avoid)
    for character, token in zip(text, tokenizer.encode_written(text).tolist(), strict=True):
        past.add(character, token)
    return past.forbidden() is None
