"""Sampling text: a prompt goes in, characters come out one at a time."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, takewhile
from typing import Any, TypeAlias

import numpy as np

from charlm import checkpoint
from charlm.arrays import Floats, State
from charlm.config import ModelConfig, SampleConfig
from charlm.counts import Counts
from charlm.engine import Engine
from charlm.errors import RequestError
from charlm.itemscore import item_nats, labelled, nats_by_label
from charlm.lockstep import ABREAST, Lockstep
from charlm.mixture import Apart, Mixed, Predictor
from charlm.ranking import Sample, best_first
from charlm.sampling import draw, not_finite
from charlm.seeds import derive
from charlm.single import Avoid, Drawn, Start, checked, drawn
from charlm.stopping import until
from charlm.surprisal import Score, nats_after, score, scores_apart
from charlm.text import unknown
from charlm.text.folding import types_to_name
from charlm.text.items import count_characters, encode_items
from charlm.text.tokenizer import Tokenizer

Label: TypeAlias = str | Mapping[str, float] | None
"""What an item is written of: a label, or several with their weights."""


class CharLM:
    """A trained model, ready to sample and to score, without torch. ``charlm.load`` opens one."""

    def __init__(self, loaded: checkpoint.Checkpoint, counts: Counts | None = None) -> None:
        """counts: of the run, to be used together with the network (``charlm.counts``)"""
        self.config: ModelConfig = loaded.config
        self.tokenizer: Tokenizer = loaded.tokenizer
        self.provenance: dict[str, Any] = loaded.provenance
        self.weights = loaded.weights
        self.engine = Engine(loaded.config, loaded.weights)
        self.items = loaded.items
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

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the model can write an item of; empty without labels."""
        return self.items.labels if self.items is not None else ()

    @property
    def end(self) -> str:
        """The character that ends an item; empty for a model of running text."""
        return self.items.end if self.items is not None else ""

    def sample(
        self,
        prompt: str | Start = "",
        *,
        stop: str | Sequence[str] = (),
        on_unknown: str = "error",
        include_prompt: bool = False,
        include_stop: bool = False,
        label: Label = None,
        **options: Any,
    ) -> str:
        """The text that follows ``prompt``; of a model of items, one item. Options as in
        ``SampleConfig``; arguments and errors as in ``stream``."""
        return "".join(
            self.stream(
                prompt,
                SampleConfig(**options),
                stop=stop,
                on_unknown=on_unknown,
                include_prompt=include_prompt,
                include_stop=include_stop,
                label=label,
            )
        )

    def stream(
        self,
        prompt: str | Start = "",
        config: SampleConfig | None = None,
        *,
        number: int = 0,
        stop: str | Sequence[str] = (),
        on_unknown: str = "error",
        avoid: Avoid | None = None,
        include_prompt: bool = False,
        include_stop: bool = False,
        label: Label = None,
    ) -> Generator[str]:
        """Yield the text that follows ``prompt``, at most ``config.length`` characters, as it is
        sampled.

        prompt: a text, or the result of ``start``
        number: the number of this sample, if several are drawn with the same seed
        stop: one or several strings; the text ends before the first of them that is complete
        on_unknown: what to do about unseen characters of the prompt (``charlm.text.unknown``)
        avoid: a function from the text so far, prompt included, to the characters that may not
        follow
        include_prompt: the first piece is the prompt, which ``config.length`` does not count
        include_stop: the text ends after the stop string, not before it
        label: what to write an item of, if the model has labels: a label, or several with their
            weights, which are blended; None: one drawn by its share of the training items, another
            one for another ``number``

        The same model, prompt, config with a seed, and number give the same text. With
        ``config.no_repeat`` the text is shorter than ``config.length`` if every next character
        would write a stretch of so many characters a second time. Raises
        UnknownCharacterError immediately, not when the first character is requested, and
        RequestError if ``no_repeat`` is asked of a model of bytes.
        """
        config = self._seeded(config)
        label = self.label_of(config, number, label)
        config, start = self._ready(prompt, config, on_unknown, label)
        characters = (each.text for each in self._drawn(start, config, number, avoid))
        stop = (stop,) if isinstance(stop, str) else stop
        pieces = until(characters, stop, config.length, include_stop=include_stop, end=self.end)
        return _after(start.prompt, pieces) if include_prompt else pieces

    def streams(
        self,
        prompt: str | Start = "",
        config: SampleConfig | None = None,
        count: int = ABREAST,
        *,
        stop: str | Sequence[str] = (),
        on_unknown: str = "error",
        avoid: Avoid | None = None,
        include_prompt: bool = False,
        include_stop: bool = False,
        label: Label = None,
    ) -> list[Generator[str]]:
        """``count`` samples: the n-th iterator gives the characters of ``stream(..., number=n)``.

        64 texts at a time are sampled side by side, several times faster than one after the other
        (``charlm.lockstep``); to read one samples as much of the others. With a repetition
        penalty, ``no_repeat`` or ``avoid``, which need the past of each text, they are sampled one
        after the other.

        Without a seed in ``config``, a new one is chosen for all of them. Other arguments and
        errors as in ``stream``.
        """
        config = self._seeded(config)
        stop = (stop,) if isinstance(stop, str) else stop
        found: dict[int, Generator[str]] = {}
        for own, numbers in self._by_label(config, count, label):
            config, start = self._ready(prompt, config, on_unknown, own)
            if count == 1 or not side_by_side(config, avoid):
                for number in numbers:
                    found[number] = self.stream(
                        *(start, config),
                        number=number,
                        stop=stop,
                        avoid=avoid,
                        include_prompt=include_prompt,
                        include_stop=include_stop,
                    )
                continue
            for first in range(0, len(numbers), ABREAST):
                some = numbers[first : first + ABREAST]
                lockstep = Lockstep(
                    self.predictor,
                    self.tokenizer,
                    start.logits,
                    start.state,
                    config,
                    some,
                    stop=stop,
                    include_stop=include_stop,
                    end=self.end,
                    threads=os.cpu_count() or 1,
                )
                for place, number in enumerate(some):
                    pieces = lockstep.read(place)
                    found[number] = _after(start.prompt, pieces) if include_prompt else pieces
        return [found[number] for number in range(count)]

    def _by_label(
        self, config: SampleConfig, count: int, label: Label
    ) -> list[tuple[Label, list[int]]]:
        """The numbers of the samples, by what they are written of."""
        if label is not None or not self.labels:
            return [(label, list(range(count)))]
        found: dict[Label, list[int]] = {}
        for number in range(count):
            found.setdefault(self.label_of(config, number), []).append(number)
        return list(found.items())

    def label_of(self, config: SampleConfig, number: int, label: Label = None) -> Label:
        """What sample ``number`` is an item of: ``label``, or if that is None and the model has
        labels, one drawn by its share of the training items. ``config`` must have a seed."""
        if label is not None or self.items is None or not self.labels:
            return label
        assert config.seed is not None
        rng = np.random.default_rng(derive(config.seed, "sampling", number, 1))
        return self.labels[draw(np.array(self.items.shares()), rng)]

    @staticmethod
    def _seeded(config: SampleConfig | None) -> SampleConfig:
        """``config`` with a seed, a new one if it has none."""
        config = config or SampleConfig()
        return config if config.seed is not None else replace(config, seed=secrets.randbits(32))

    def ranked(
        self,
        prompt: str | Start = "",
        count: int = ABREAST,
        *,
        stop: str | Sequence[str] = (),
        on_unknown: str = "error",
        avoid: Avoid | None = None,
        include_stop: bool = False,
        label: Label = None,
        **options: Any,
    ) -> list[Sample]:
        """``count`` samples with their log-probability, the most likely per character first.

        The texts are those of ``streams``; options as in ``SampleConfig``, arguments and errors as
        in ``stream``.
        """
        config = self._seeded(SampleConfig(**options))
        found = []
        for own, numbers in self._by_label(config, count, label):
            config, start = self._ready(prompt, config, on_unknown, own)
            streams = self.streams(
                *(start, config, count),
                stop=stop,
                avoid=avoid,
                include_stop=include_stop,
            )
            weighed = self.weigh_all(start, ["".join(streams[number]) for number in numbers])
            found += [replace(s, number=n) for s, n in zip(weighed, numbers, strict=True)]
        return best_first(found)

    def weigh(self, start: Start, text: str) -> Sample:
        """``text`` with its nats after a prompt: -ln p(text | prompt), by the model itself, before
        temperature and filters; no repetition penalty and nothing forbidden enters it. Of a model
        of items the end symbol is counted too.

        ``text`` is taken as it is written, without normalizing it. After an empty prompt the model
        has read the opening symbol. Raises UnknownCharacterError for an unknown character,
        CheckpointError if the nats are not finite.
        """
        return self.weigh_all(start, [text])[0]

    def weigh_all(self, start: Start, texts: Sequence[str], first: int = 0) -> list[Sample]:
        """``weigh`` for several texts, 64 side by side, as samples with numbers from ``first``."""
        encode, count = self.tokenizer.encode_written, self.tokenizer.count_characters
        # Equal texts get equal nats. Of a model of items, each ends with the end symbol.
        different = {text: encode(text + self.end) for text in texts}
        ids, found = list(different.values()), []
        for begin in range(0, len(ids), ABREAST):
            batch = ids[begin : begin + ABREAST]
            found += nats_after(self.predictor, start.logits, start.state, batch).tolist()
        if not all(map(math.isfinite, found)):
            raise not_finite()
        nats = dict(zip(different, found, strict=True))
        return [
            Sample(number, start.prompt, text, nats[text], count(different[text]))
            for number, text in enumerate(texts, start=first)
        ]

    def draws(
        self,
        prompt: str | Start = "",
        config: SampleConfig | None = None,
        *,
        number: int = 0,
        on_unknown: str = "error",
        avoid: Avoid | None = None,
        label: Label = None,
    ) -> Iterator[Drawn]:
        """The text that ``stream`` gives, with the model's probability of every character."""
        config = self._seeded(config)
        label = self.label_of(config, number, label)
        config, start = self._ready(prompt, config, on_unknown, label)
        found = islice(self._drawn(start, config, number, avoid, tell=True), config.length)
        return takewhile(lambda each: each.text != self.end, found) if self.end else found

    def _drawn(
        self,
        start: Start,
        config: SampleConfig,
        number: int,
        avoid: Avoid | None,
        *,
        tell: bool = False,
    ) -> Iterator[Drawn]:
        return drawn(self.predictor, self.tokenizer, start, config, number, avoid, tell=tell)

    def start(self, prompt: str = "", on_unknown: str = "error", label: Label = None) -> Start:
        """Read ``prompt`` once, for any number of samples. UnknownCharacterError as in ``stream``;
        CheckpointError if the model's output is not finite; RequestError for a label that the model
        does not have. Without a label, a model with labels reads as an item of none."""
        prompt = self._readable(prompt, on_unknown)
        ids = self._ids_of_prompt(prompt)
        return Start(ids, *self.read(ids, self._written_as(label)), prompt)

    def _written_as(self, label: Label) -> State | None:
        """The state before an item of a label, or of a blend; None: the zero state."""
        if label is None:
            return None
        weights = self._weights_of(label)
        return labelled(self.predictor.initial_state(1), weights)

    def _weights_of(self, label: str | Mapping[str, float]) -> Floats:
        """The weights of the labels, (1, K), which sum to 1."""
        if self.items is None:
            raise RequestError("the model has no labels; leave out --label")
        weights = np.zeros((1, max(1, len(self.labels))))
        for name, weight in ({label: 1.0} if isinstance(label, str) else label).items():
            weights[0, self.items.number(name)] = weight
        total = weights.sum()
        if not (np.isfinite(total) and total > 0 and (weights >= 0).all()):
            raise RequestError("the weights of the labels must be 0 or more, and not all 0")
        return np.asarray(weights / total)

    def check(self, config: SampleConfig) -> None:
        """RequestError if this model cannot sample in that way."""
        if config.no_repeat and self.tokenizer.kind != "char":
            raise RequestError("--no-repeat needs a model of characters; this one is of bytes")

    def _ready(
        self,
        prompt: str | Start,
        config: SampleConfig | None,
        on_unknown: str,
        label: Label = None,
    ) -> tuple[SampleConfig, Start]:
        """What every way of sampling needs; RequestError as ``check`` raises it."""
        config = config or SampleConfig()
        self.check(config)
        if isinstance(prompt, Start):
            return config, prompt
        return config, self.start(prompt, on_unknown, label)

    def read_prompt(self, prompt: str, on_unknown: str = "error") -> list[int]:
        """The ids of ``prompt``, or of the opening symbol if nothing is left of it."""
        return self._ids_of_prompt(self._readable(prompt, on_unknown))

    def _readable(self, prompt: str, on_unknown: str) -> str:
        return unknown.readable(self.tokenizer, prompt, on_unknown, what="the prompt").text

    def _ids_of_prompt(self, prompt: str) -> list[int]:
        ids = [int(i) for i in self.tokenizer.encode(prompt)]
        if self.end:  # an item is read after the symbol that ends the one before it
            return [self.opening, *ids]
        return ids or [self.opening]

    @property
    def opening(self) -> int:
        """The id that the model reads, unprinted, if the prompt is empty: a newline, so that the
        text begins like a line. If the vocabulary has no newline, the most common character. For a
        model of items, its end symbol."""
        if self.end:
            return int(self.tokenizer.encode(self.end)[0])
        if not len(self.tokenizer.unseen("\n")):
            return int(self.tokenizer.encode("\n")[0])
        common = str(self.provenance.get("commonest", ""))
        if common and not len(self.tokenizer.unseen(common)):
            return int(self.tokenizer.encode(common)[0])
        return 0

    def extend(self, start: Start, text: str) -> Start:
        """``start`` after ``text`` has followed, which is taken as it is written: only ``text`` is
        read. Errors as in ``weigh``."""
        ids = self.tokenizer.encode_written(text).tolist()
        if not ids:
            return start
        before = start.ids if start.prompt or self.end else []  # without the opening symbol
        return Start([*before, *ids], *self.read(ids, start.state), start.prompt + text)

    def read(self, ids: list[int], state: State | None = None) -> tuple[Floats, State]:
        """The logits (V,) after ``ids`` and the state there, from ``state`` or the zero state."""
        state = self.predictor.initial_state(1) if state is None else state
        # In chunks, so that a long prompt needs no more memory than a short one.
        for start in range(0, len(ids), 1024):
            logits, state = self.predictor.last(np.array([ids[start : start + 1024]]), state)
        return checked(logits[0]), state

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

    @property
    def chance(self) -> float:
        """Bits per symbol if every symbol is equally likely."""
        return math.log2(self.tokenizer.vocab_size)

    def score_items(
        self,
        items: Sequence[str],
        label: Label = None,
        *,
        advanced: Callable[[int, int], object] = lambda done, total: None,
    ) -> list[Score]:
        """The loss of each item, its end symbol included: of a model of items (``--items``).

        label: score them as items of a label, or of a blend; None: of any label, each by its share
            of the training items
        advanced: called with (how many items are scored, of how many)

        Raises UnknownCharacterError for an unknown character, RequestError for an empty item or a
        model of running text.
        """
        if self.items is None:
            raise RequestError("the model was not trained on items; train with --items")
        encoded = encode_items(items, self.tokenizer, self.items)
        if self.labels and label is None:
            nats = nats_by_label(self.predictor, encoded, len(self.labels), advanced)  # (N, K)
            with np.errstate(divide="ignore"):
                nats = -np.logaddexp.reduce(np.log(self.items.shares()) - nats, axis=1)
        else:
            weights = None if label is None else self._weights_of(label)[0]
            nats = item_nats(self.predictor, encoded, weights, advanced=advanced)
        found = []
        for number, each in enumerate(nats.tolist()):
            characters = count_characters(self.tokenizer, encoded.chosen(slice(number, number + 1)))
            found.append(Score.of(each, characters))
        return found

    def folded_types(self, text: str, corpus: Iterable[str] = ()) -> int:
        """How many different characters the unknown symbol represents; 1 without such a symbol."""
        return types_to_name(self.tokenizer, self.provenance, text, corpus)


def side_by_side(config: SampleConfig, avoid: Avoid | None) -> bool:
    """Whether several texts can be sampled in lockstep, because none depends on all of its past."""
    return avoid is None and not config.no_repeat and config.repetition_penalty == 1.0


def _after(prompt: str, pieces: Generator[str]) -> Generator[str]:
    if prompt:
        yield prompt
    yield from pieces


def readable(model: CharLM, text: str, on_unknown: str, say: Callable[[str], None]) -> str:
    """``text`` as the model can read it, by the rule of ``charlm.text.unknown``.

    ``say`` is called with one line if anything is left out or read as the unknown symbol. Raises
    UnknownCharacterError as ``unknown.readable`` does.
    """
    text, note = unknown.readable(model.tokenizer, text, on_unknown)
    if note:
        say(note)
    return text
