"""Many texts at once: a model takes one step for all of them, then each draws its next character.

    logits (B, V)  ->  probabilities (B, V)  ->  ids (B,)  ->  step of the model  ->  logits (B, V)
                                             ^
                       a random number (B,), each from the text's own generator

For one text, two thirds of the time are the cost of calling NumPy, some fifty times a character. In
lockstep each call serves all texts, and the texts are divided among threads, because NumPy releases
Python's lock while it computes. A thread draws a block of characters, then waits for the others.

The same seed must give the same text, whatever is sampled beside it. That is not self-evident. BLAS
multiplies several rows by another routine than a single row, so the last bits of the logits differ.
A random number close to the edge between two characters then takes the other one, and from there on
the texts have nothing in common. A model whose state is chaotic, as random weights make it, even
amplifies the last bits until every draw is another. So ``Engine.step`` multiplies row by row, which
takes twice as long as one product of all rows, and everything else is computed element by element
or along one row. A text is then the same, bit by bit, alone and beside others, also after some of
them have ended, and whatever the number of threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import NamedTuple

import numpy as np

from charlm.arrays import Floats, State
from charlm.config import SampleConfig
from charlm.errors import CheckpointError, RequestError
from charlm.mixture import Predictor
from charlm.sampling import distribution, draw_rows, not_finite
from charlm.seeds import derive
from charlm.stopping import Ending
from charlm.text.tokenizer import Decoder, Tokenizer

ABREAST = 64
"""Texts of one lockstep. More would not be faster, and the first one would wait for them."""

# Ids that a thread draws for each text before it waits for the others: a few at first, so that the
# first character comes at once, then twice as many each time.
_FIRST_BLOCK, _LONGEST_BLOCK = 4, 64

_ROWS = 16  # at least so many texts make a thread worth starting


class _Text:
    """One text: where its random numbers come from, and what can be shown of it so far."""

    def __init__(self, number: int, config: SampleConfig, ending: Ending, decoder: Decoder) -> None:
        assert config.seed is not None
        self.rng = np.random.default_rng(derive(config.seed, "sampling", number))
        self.ending = ending
        self.pieces: deque[str] = deque()
        self.error: CheckpointError | None = None
        self._decoder = decoder

    def feed(self, ids: list[int]) -> None:
        for token in ids:
            for character in self._decoder.feed(token):
                if self.ending.ended:
                    return
                piece = self.ending.feed(character)
                if piece:
                    self.pieces.append(piece)

    @property
    def goes_on(self) -> bool:
        return self.error is None and not self.ending.ended


class _Rows(NamedTuple):
    """The texts of one thread; row b of the arrays belongs to ``texts[b]``.

    logits: (B, V) of the next symbol
    state: the model's, after the symbols so far
    """

    texts: list[_Text]
    logits: Floats
    state: State

    def that_go_on(self) -> _Rows:
        kept = [row for row, text in enumerate(self.texts) if text.goes_on]
        if len(kept) == len(self.texts):
            return self
        texts = [self.texts[row] for row in kept]
        return _Rows(texts, self.logits[kept], tuple(part[:, kept] for part in self.state))


class Lockstep:
    """The samples ``numbers`` of one seed, side by side: iterate over ``read(k)`` for the k-th.

    logits, state: the model's after the prompt, (V,) and of a batch of 1
    config: with a seed, and without a repetition penalty or ``no_repeat``, which would need the
    past of each text
    stop: strings before which a text ends; with ``include_stop`` after them
    end: a character that ends a text and is not shown
    threads: the texts are divided among them, if there are enough

    To read one text draws as much of the others, which is kept until they are read. The texts may
    be read in any order, but not in several threads at the same time.
    """

    def __init__(
        self,
        predictor: Predictor,
        tokenizer: Tokenizer,
        logits: Floats,
        state: State,
        config: SampleConfig,
        numbers: Sequence[int],
        *,
        stop: Sequence[str] = (),
        include_stop: bool = False,
        end: str = "",
        threads: int = 1,
    ) -> None:
        self._predictor, self._tokenizer = predictor, tokenizer
        self._logits, self._state = logits, state
        self._config, self._stop, self._include_stop = config, stop, include_stop
        self._end = end
        self._numbers, self._threads = numbers, threads
        self._block_size = _FIRST_BLOCK

    @cached_property
    def _texts(self) -> list[_Text]:
        return [
            _Text(number, self._config, self._ending(), self._tokenizer.decoder())
            for number in self._numbers
        ]

    def _ending(self) -> Ending:
        return Ending(
            self._stop, self._config.length, include_stop=self._include_stop, end=self._end
        )

    @cached_property
    def _rows(self) -> list[_Rows]:
        """The texts of every thread, from the prompt on."""
        # Computes the model's tables before the threads start.
        self._predictor.step(np.zeros(2, np.int64), self._predictor.initial_state(2))
        parts = max(1, min(self._threads, len(self._texts) // _ROWS))
        shares = [self._texts[part::parts] for part in range(parts)]
        return [
            _Rows(
                texts,
                np.repeat(self._logits[None], len(texts), axis=0),
                tuple(np.repeat(array, len(texts), axis=1) for array in self._state),
            )
            for texts in shares
        ]

    def read(self, place: int) -> Generator[str]:
        """Yield one of the texts as it is sampled.

        Raises CheckpointError if the model's output for this text is not finite, RequestError if
        the sampling was interrupted while another text was read.
        """
        text = self._texts[place]
        try:
            while text.pieces or text.goes_on:
                if text.pieces:
                    yield text.pieces.popleft()
                else:
                    self._advance()
            if text.error is not None:
                raise text.error
        finally:
            text.ending.ended = True  # if nobody reads on, nobody needs to sample it

    def _advance(self) -> None:
        """Draw a block of every text that goes on."""
        # An interruption leaves some threads' texts ahead of their state: they are given up.
        rows, self._rows = [each.that_go_on() for each in self._rows], []
        rows = [each for each in rows if each.texts]
        if not rows:
            raise RequestError("the sampling of these texts was interrupted; sample them again")
        if len(rows) == 1:
            self._rows = [self._block(rows[0])]
        else:
            with ThreadPoolExecutor(len(rows)) as pool:
                self._rows = list(pool.map(self._block, rows))
        self._block_size = min(2 * self._block_size, _LONGEST_BLOCK)

    def _block(self, rows: _Rows) -> _Rows:
        """Draw up to ``_block_size`` ids for each of these texts."""
        texts, logits, state = rows
        steps = min(self._block_size, max(text.ending.left for text in texts))
        u = np.stack([text.rng.random(steps) for text in texts], axis=1)  # (T, B)
        ids = np.empty((len(texts), steps), np.int64)  # (B, T)
        drawn = [steps] * len(texts)  # fewer if the output for a text is not finite
        for t in range(steps):
            if not np.isfinite(logits).all():
                for row in np.flatnonzero(~np.isfinite(logits).all(-1)):
                    drawn[row] = min(drawn[row], t)
                    # Its row is computed until the block ends; zeros cause no warnings.
                    logits[row] = 0
                    for array in state:
                        array[:, row] = 0
            p = distribution(logits, self._config, forbidden=self._tokenizer.forbidden)
            ids[:, t] = draw_rows(p, u[t])
            logits, state = self._predictor.step(ids[:, t], state)
        for text, some, count in zip(texts, ids.tolist(), drawn, strict=True):
            text.feed(some[:count])
            if count < steps and not text.ending.ended:
                text.error = not_finite()
        return _Rows(texts, logits, state)
