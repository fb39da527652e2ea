"""The readers: charlm's bodies with a head that answers instead of predicting a character.

    feedforward        a fixed window of 128 characters from the left, one weight for each offset
    time-delay         dilated convolutions, then the maximum over time
    time-delay-last    the same, read at the last character: it sees its receptive field only
    rnn, gru, lstm     from left to right, read at the last character
    bilstm             two LSTMs of half the width, one of them from right to left
    tagger             an LSTM that decides for each character, while reading, if it is the answer
    tagger-both        the same in both directions: how much does reading ahead help?
    pointer            an LSTM that chooses the places where the answer starts and ends
    pointer-both       the same in both directions
    writer-CELL        charlm's language model: it reads sentence and tab and writes the answer

All have the same number of parameters within ten percent. The bodies and heads are those of
``charlm.models``; this module has what belongs to the experiment: the kinds, the vocabulary and the
answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from charlm.arrays import Ids
from charlm.config import ModelConfig
from charlm.experiments.widths import width_for
from charlm.models.bodies import Body
from charlm.models.heads import (
    Reading,
    SequenceReader,
    continuation,
    continuation_nats,
    continue_text,
    pointer_scores,
    tagging_loss,
)
from charlm.models.language import LanguageModel, initialize
from charlm.text.items import IGNORED, pad
from charlm.text.tokenizer import CharTokenizer

WINDOW = 128
"""Characters that the feedforward reader sees: eight more than the longest training sentence."""

PARAMETERS = 40_000
"""Parameters of every reader, within ten percent. The feedforward reader would not be better with
more parameters: it needs more sentences (docs/position-invariance.md)."""

WINDOW_EMBEDDING = 0.1
"""Scale of the feedforward reader's initial embedding, times the default. Its embedding size is 5:
at full scale, two digits that start close together stay hard to tell apart."""

TEXT_WEIGHT = 0.1
"""Weight of a character of the sentence in a writer's loss; a symbol of the answer has 1."""

SEPARATOR, END = "\t", "\n"
UNREAD = ""
"""The answer of a reader that cannot read a sentence."""


@dataclass(frozen=True)
class Kind:
    """A kind of reader: its body and where its head looks."""

    name: str
    family: str  # "window", "last", "pool", "both", "tags", "points", ("... both") or "writer"
    cell: str
    embedding_size: int = 32
    num_layers: int = 1
    kernel_size: int = 3

    @property
    def tags(self) -> bool:
        return self.family.startswith("tags")

    @property
    def points(self) -> bool:
        return self.family.startswith("points")

    @property
    def each(self) -> bool:
        """Whether it decides about each character; the others write symbols of the answer."""
        return self.tags or self.points

    @property
    def both_ways(self) -> bool:
        return self.family.endswith("both")

    @property
    def reading(self) -> Reading:
        """The features that the head sees (``charlm.models.heads``)."""
        if self.each:
            return "each"
        named: dict[str, Reading] = {"window": "window", "pool": "max"}
        return named.get(self.family, "last")

    @property
    def longest(self) -> int | None:
        """Characters of the longest sentence that it can read; None for any length."""
        return WINDOW if self.family == "window" else None

    def can_read(self, text: str) -> bool:
        return self.longest is None or len(text) <= self.longest


KINDS = {
    kind.name: kind
    for kind in (
        Kind("feedforward", "window", "window", embedding_size=5),
        Kind("time-delay", "pool", "conv", num_layers=3, kernel_size=5),
        Kind("time-delay-last", "last", "conv", num_layers=3, kernel_size=5),
        Kind("rnn", "last", "rnn"),
        Kind("gru", "last", "gru"),
        Kind("lstm", "last", "lstm"),
        Kind("bilstm", "both", "lstm"),
        Kind("tagger", "tags", "lstm"),
        Kind("tagger-both", "tags both", "lstm"),
        Kind("pointer", "points", "lstm"),
        Kind("pointer-both", "points both", "lstm"),
        Kind("writer-rnn", "writer", "rnn"),
        Kind("writer-gru", "writer", "gru"),
        Kind("writer-lstm", "writer", "lstm"),
        Kind("writer-window", "writer", "window", embedding_size=4),
        Kind("writer-conv", "writer", "conv", num_layers=6),
    )
}


@dataclass(frozen=True)
class Vocabulary:
    """Characters of sentences and of answers as numbers.

    tokenizer: for sentences, with the separator, the end (which also pads) and an unknown symbol
    alphabet, width: an answer is ``width`` symbols of ``alphabet``; shorter ones end in "no symbol"
    shortest: symbols of the shortest answer
    """

    tokenizer: CharTokenizer
    alphabet: str
    width: int
    shortest: int = 1

    @classmethod
    def of(cls, sentences: Sequence[str], alphabet: str, width: int) -> Vocabulary:
        characters = sorted(set("".join(sentences)) | set(alphabet) | {SEPARATOR, END})
        return cls(CharTokenizer("".join(characters), unknown=True), alphabet, width)

    @cached_property
    def pad(self) -> int:
        return int(self.tokenizer.encode(END)[0])

    @cached_property
    def separator(self) -> int:
        return int(self.tokenizer.encode(SEPARATOR)[0])

    @property
    def unknown(self) -> int:
        return self.tokenizer.forbidden[0]

    @property
    def symbols(self) -> int:
        """Classes at each place of the answer: its alphabet and "no symbol"."""
        return len(self.alphabet) + 1

    def encode(self, sentences: Sequence[str]) -> tuple[Ids, Ids]:
        """N sentences -> ids (N, T), padded to the longest sentence, and lengths (N,)."""
        lengths = np.array([len(text) for text in sentences], dtype=np.int64)
        ids = self.tokenizer.encode("".join(sentences) or END)
        found, _ = pad(ids, lengths.cumsum() - lengths, lengths)
        if not found.shape[1]:  # of empty sentences alone
            return np.full((len(sentences), 1), self.pad, dtype=np.int64), lengths
        return np.where(found == IGNORED, self.pad, found), lengths

    def encode_answers(self, answers: Sequence[str]) -> Ids:
        """N answers -> symbols (N, width), padded with "no symbol"."""
        none = len(self.alphabet)
        rows = [[self.alphabet.index(c) for c in answer] for answer in answers]
        return np.array([row + [none] * (self.width - len(row)) for row in rows], dtype=np.int64)

    def decode_answers(self, symbols: NDArray[np.int64]) -> list[str]:
        """The inverse of ``encode_answers``."""
        characters = [*self.alphabet, ""]
        return ["".join(characters[s] for s in row) for row in symbols.tolist()]


def shape(kind: Kind, vocabulary: Vocabulary, parameters: int = PARAMETERS) -> ModelConfig:
    """The configuration of the body that brings the reader closest to that many parameters."""

    def config(hidden_size: int) -> ModelConfig:
        return ModelConfig.resolve(
            vocab_size=vocabulary.tokenizer.vocab_size,
            cell=kind.cell,
            hidden_size=hidden_size,
            embedding_size=kind.embedding_size,
            num_layers=kind.num_layers,
            context=WINDOW,
            kernel_size=kind.kernel_size,
            nonlinearity="relu" if kind.cell in ("window", "conv") else "tanh",
        )

    return config(
        width_for(parameters, lambda size: num_parameters(kind, config(size), vocabulary))
    )


def num_parameters(kind: Kind, config: ModelConfig, vocabulary: Vocabulary) -> int:
    """The number of parameters of a reader, computed without creating it."""
    shapes = config.parameter_shapes()
    body = sum(math.prod(s) for name, s in shapes.items() if name.startswith("body."))
    embedding = math.prod(shapes["body.embedding.weight"])
    if kind.family == "writer":
        return config.num_parameters
    ways = 2 if kind.both_ways else 1
    return (
        body
        + (ways - 1) * (body - embedding)
        + (ways * config.hidden_size + 1) * outputs(kind, vocabulary)
    )


def outputs(kind: Kind, vocabulary: Vocabulary) -> int:
    """Logits of the head: for each character (is it the answer? or: does the answer start here, and
    does it end here?), or for every symbol of the answer."""
    if kind.each:
        return 2 if kind.points else 1
    return vocabulary.width * vocabulary.symbols


class Reader(SequenceReader):
    """A body and a head that answers: ids (B, T), lengths (B,) -> logits.

    The logits are (B, width, symbols) for an answer, (B, T) for tags, and (B, T, 2) for a pointer:
    of the answer's start and of its end.
    """

    def __init__(self, kind: Kind, config: ModelConfig, vocabulary: Vocabulary) -> None:
        super().__init__(
            config,
            outputs(kind, vocabulary),
            reading=kind.reading,
            both_ways=kind.both_ways,
            pad=vocabulary.pad,
        )
        self.kind = kind
        self.vocabulary = vocabulary

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        logits = super().forward(ids, lengths)
        if self.kind.points:
            return logits
        if self.kind.tags:
            return logits[..., 0]
        return logits.view(-1, self.vocabulary.width, self.vocabulary.symbols)

    def loss(self, ids: Tensor, lengths: Tensor, answers: Tensor, starts: Tensor) -> Tensor:
        """Mean cross-entropy in nats per symbol of the answer, per character for tags, or per place
        (start and end) for a pointer.

        ids (B, T), lengths (B,), answers (B, width), starts (B,): where each answer begins.
        """
        logits = self(ids, lengths)
        if self.kind.points:
            ends = starts + self._lengths(answers) - 1
            first, last = self._places(logits, lengths)
            return (F.nll_loss(first, starts) + F.nll_loss(last, ends)) / 2
        if not self.kind.tags:
            return F.cross_entropy(logits.flatten(0, 1), answers.flatten())
        return tagging_loss(logits, self._tags(ids, answers, starts), lengths)

    def _tags(self, ids: Tensor, answers: Tensor, starts: Tensor) -> Tensor:
        """1 for each character of the answer, 0 for the others: (B, T)."""
        places = torch.arange(ids.shape[1], device=ids.device)
        ends = starts + self._lengths(answers)
        wanted = (places >= starts[:, None]) & (places < ends[:, None])
        return wanted.float()

    def _lengths(self, answers: Tensor) -> Tensor:
        """Symbols of each answer: (B, width) -> (B,)."""
        return (answers < len(self.vocabulary.alphabet)).sum(1)

    @staticmethod
    def _places(logits: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The log-probability of each character to be the first one of the answer, and the last:
        logits (B, T, 2) -> twice (B, T) nats."""
        return pointer_scores(logits[..., 0], lengths), pointer_scores(logits[..., 1], lengths)

    def spans(self, logits: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The most likely answer of a pointer: logits (B, T, 2) -> its start and length, each (B,).

        Its length is one of those from the shortest to the longest answer. A span that leaves the
        text has probability 0; a text shorter than the shortest answer has none: length 0.
        """
        first, last = self._places(logits, lengths)
        B, T = first.shape
        sizes = range(self.vocabulary.shortest, min(self.vocabulary.width, T) + 1)
        scores = first.new_full((B, T, len(sizes) + 1), -torch.inf)
        for place, size in enumerate(sizes, 1):
            scores[:, : T - size + 1, place] = first[:, : T - size + 1] + last[:, size - 1 :]
        best = scores.flatten(1).argmax(-1)  # the first one, of length 0, if none is possible
        start, number = best // scores.shape[2], best % scores.shape[2]
        length = (number + (self.vocabulary.shortest - 1)).masked_fill(number == 0, 0)
        return start, length

    @torch.no_grad()
    def answers(self, sentences: Sequence[str], batch_size: int = 256) -> list[str]:
        """The answer to every sentence; UNREAD for one that is too long for this reader."""
        self.eval()
        device = self.head.weight.device
        found = [UNREAD] * len(sentences)
        readable = [n for n, text in enumerate(sentences) if text and self.kind.can_read(text)]
        readable.sort(key=lambda n: len(sentences[n]))
        for first in range(0, len(readable), batch_size):
            rows = readable[first : first + batch_size]
            texts = [sentences[n] for n in rows]
            ids, lengths = (
                torch.from_numpy(part).to(device) for part in self.vocabulary.encode(texts)
            )
            logits = self(ids, lengths)
            if self.kind.tags:
                tags = (logits > 0).cpu().numpy()
                read = [
                    "".join(c for c, tag in zip(t, row, strict=False) if tag)
                    for t, row in zip(texts, tags, strict=True)
                ]
            elif self.kind.points:
                start, size = (part.tolist() for part in self.spans(logits, lengths))
                read = [t[s : s + n] for t, s, n in zip(texts, start, size, strict=True)]
            else:
                read = self.vocabulary.decode_answers(logits.argmax(-1).cpu().numpy())
            for n, answer in zip(rows, read, strict=True):
                found[n] = answer
        return found


class Writer(nn.Module):
    """charlm's language model as a reader: it reads the sentence and a tab, and writes the answer.

    The model inside is an ordinary one, trained on lines "sentence TAB answer"; ``charlm sample``
    can sample from its file.
    """

    def __init__(self, kind: Kind, config: ModelConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.kind = kind
        self.config = config
        self.vocabulary = vocabulary
        self.model = LanguageModel(config)

    @property
    def body(self) -> Body:
        return self.model.body

    @property
    def head(self) -> nn.Linear:
        return self.model.head

    def loss(self, ids: Tensor, lengths: Tensor, answers: Tensor, starts: Tensor) -> Tensor:
        """Mean nats per symbol of the answers plus 0.1 times mean nats per character of the texts.

        An answer has five symbols, a sentence about ninety. With equal weights, a network of this
        size mostly learns to spell invented words and learns late or never to copy the answer.
        """
        symbols = torch.from_numpy(self._symbol_ids).to(ids.device)[answers]  # (B, width)
        words = self.vocabulary
        line = continuation(ids, lengths, symbols, separator=words.separator, end=words.pad)
        nats = continuation_nats(self.model, line)
        places = torch.arange(1, line.shape[1], device=ids.device)
        text = places < lengths[:, None]
        answer = (places > lengths[:, None]) & (places <= lengths[:, None] + answers.shape[1] + 1)
        return nats[answer].mean() + TEXT_WEIGHT * nats[text].mean()

    @cached_property
    def _symbol_ids(self) -> Ids:
        """Symbol of an answer -> id; "no symbol" is the end of the line."""
        characters = self.vocabulary.tokenizer.encode(self.vocabulary.alphabet)
        return np.append(characters.astype(np.int64), self.vocabulary.pad)

    @torch.no_grad()
    def answers(self, sentences: Sequence[str], batch_size: int = 256) -> list[str]:
        """The most likely continuation after sentence and tab, up to the end of the line.

        Sentences of one length are read together, so that there is no padding at all.
        """
        self.eval()
        device = self.head.weight.device
        found = [UNREAD] * len(sentences)
        order = sorted((n for n, t in enumerate(sentences) if t), key=lambda n: len(sentences[n]))
        first = 0
        while first < len(order):
            length = len(sentences[order[first]])
            rows = [n for n in order[first : first + batch_size] if len(sentences[n]) == length]
            first += len(rows)
            ids, _ = self.vocabulary.encode([sentences[n] + SEPARATOR for n in rows])
            written = continue_text(
                self.model,
                torch.from_numpy(ids).to(device),
                self.vocabulary.width,
                forbidden=(self.vocabulary.unknown,),
            )
            for n, row in zip(rows, written.cpu().numpy(), strict=True):
                found[n] = self.vocabulary.tokenizer.decode(row).partition(END)[0]
        return found


AnyReader = Reader | Writer


def build(kind: Kind, config: ModelConfig, vocabulary: Vocabulary, seed: int) -> AnyReader:
    """A reader with new weights, initialized like charlm's models."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind.family == "writer":
            writer = Writer(kind, config, vocabulary)
            initialize(writer.model)
            return writer
        reader = Reader(kind, config, vocabulary)
        reader.initialize()
        if kind.family == "window":
            with torch.no_grad():
                reader.body.embedding.weight.mul_(WINDOW_EMBEDDING)
        return reader
