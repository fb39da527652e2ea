"""The readers: charlm's own bodies with a head that answers instead of one that goes on writing.

    feedforward        a fixed window of 128 characters from the left, one weight for each offset
    time-delay         dilated convolutions, then the maximum over all times
    time-delay-last    the same, read at the last character: it sees as far as it reaches
    rnn, gru, lstm     read from left to right, asked at the last character
    bilstm             two LSTMs of half the width, one of them from right to left
    tagger             an LSTM that says of every character, as it is read, whether it is the answer
    tagger-both        the same with both directions: what is reading ahead worth?
    writer-CELL        charlm's language model: reads sentence and tab, and writes the answer

All have the same number of parameters within ten percent. Sentences of unequal length come padded
with their lengths, and no answer depends on the padding: causal bodies are asked at the last
character, the maximum leaves it out, and what is read backwards is turned round within its length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from charlm.arrays import Ids
from charlm.config import ModelConfig
from charlm.models.bodies import Body, initialize_body, make_body
from charlm.models.language import LanguageModel, initialize, initialize_head
from charlm.text.tokenizer import CharTokenizer

WINDOW = 128
"""Characters that the feedforward reader sees: every sentence of training and eight more."""

PARAMETERS = 40_000
"""Of every reader, within ten percent. More would not help the feedforward one: it needs sentences
(docs/position-invariance.md)."""

WINDOW_EMBEDDING = 0.1
"""Times the usual spread of first embeddings, in the feedforward reader. Its characters have five
numbers each: drawn at full size, two digits that fell close together stay hard to tell apart."""

TEXT_WEIGHT = 0.1
"""What a character of the sentence counts in a writer's loss, beside a symbol of the answer."""

SEPARATOR, END = "\t", "\n"
UNREAD = ""
"""The answer of a reader that cannot read a sentence."""


@dataclass(frozen=True)
class Kind:
    """A kind of reader: how it reads and with which body."""

    name: str
    family: str  # "window", "last", "pool", "both", "tags", "tags both" or "writer"
    cell: str
    embedding_size: int = 32
    num_layers: int = 1
    kernel_size: int = 3

    @property
    def tags(self) -> bool:
        return self.family.startswith("tags")

    @property
    def both_ways(self) -> bool:
        return self.family.endswith("both")

    @property
    def longest(self) -> int | None:
        """The longest sentence that it can read; None: any."""
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

    tokenizer: of sentences, with the separator, the end (which also pads) and an unknown symbol
    alphabet, width: an answer is ``width`` symbols of ``alphabet``; shorter ones end in "no symbol"
    """

    tokenizer: CharTokenizer
    alphabet: str
    width: int

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
        """Classes of a place of the answer: its alphabet, and none."""
        return len(self.alphabet) + 1

    def encode(self, sentences: Sequence[str]) -> tuple[Ids, Ids]:
        """(ids (N, T), lengths (N,)), padded to the longest."""
        lengths = np.array([len(text) for text in sentences], dtype=np.int64)
        ids = np.full((len(sentences), int(lengths.max(initial=1))), self.pad, dtype=np.int64)
        for row, text in enumerate(sentences):
            ids[row, : len(text)] = self.tokenizer.encode(text)
        return ids, lengths

    def encode_answers(self, answers: Sequence[str]) -> Ids:
        """(N, width)."""
        none = len(self.alphabet)
        rows = [[self.alphabet.index(c) for c in answer] for answer in answers]
        return np.array([row + [none] * (self.width - len(row)) for row in rows], dtype=np.int64)

    def decode_answers(self, symbols: NDArray[np.int64]) -> list[str]:
        characters = [*self.alphabet, ""]
        return ["".join(characters[s] for s in row) for row in symbols.tolist()]


def shape(kind: Kind, vocabulary: Vocabulary, parameters: int = PARAMETERS) -> ModelConfig:
    """The body's configuration whose reader comes closest to that many parameters."""

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

    def surplus(hidden_size: int) -> int:
        return num_parameters(kind, config(hidden_size), vocabulary) - parameters

    low, high = 2, 4096
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if surplus(middle) < 0 else (low, middle)
    return config(min((low, high), key=lambda size: abs(surplus(size))))


def num_parameters(kind: Kind, config: ModelConfig, vocabulary: Vocabulary) -> int:
    """Parameters of a reader, without making one."""
    shapes = config.parameter_shapes()
    body = sum(math.prod(s) for name, s in shapes.items() if name.startswith("body."))
    embedding = math.prod(shapes["body.embedding.weight"])
    if kind.family == "writer":
        return config.num_parameters
    ways = 2 if kind.both_ways else 1
    outputs = 1 if kind.tags else vocabulary.width * vocabulary.symbols
    return body + (ways - 1) * (body - embedding) + (ways * config.hidden_size + 1) * outputs


class Reader(nn.Module):
    """A body and a head. ids (B, T), lengths (B,) -> logits.

    Of an answer (B, width, symbols); of tags (B, T).
    """

    def __init__(self, kind: Kind, config: ModelConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.kind = kind
        self.config = config
        self.vocabulary = vocabulary
        self.body: Body = make_body(config)
        self.backward_body: Body | None = make_body(config) if kind.both_ways else None
        if self.backward_body is not None:
            self.backward_body.embedding = self.body.embedding
        ways = 2 if kind.both_ways else 1
        outputs = 1 if kind.tags else vocabulary.width * vocabulary.symbols
        self.head = nn.Linear(ways * config.hidden_size, outputs)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        features = self.features(ids, lengths)
        logits = cast(Tensor, self.head(features).float())
        if self.kind.tags:
            return logits[..., 0]
        return logits.view(-1, self.vocabulary.width, self.vocabulary.symbols)

    def features(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """What the head sees: (B, H), for tags (B, T, H)."""
        B, T = ids.shape
        kind = self.kind
        if kind.family == "window":
            # One window alone, by the body's own contract: all but its last character are state.
            window = F.pad(ids[:, :WINDOW], (0, max(0, WINDOW - T)), value=self.vocabulary.pad)
            before = self.body.embedding(window[:, :-1])  # (B, WINDOW - 1, E)
            features, _ = self.body(window[:, -1:], (before[None],))
            return cast(Tensor, features[:, 0])
        features, _ = self.body(ids, self.body.initial_state(B))  # (B, T, H)
        if self.backward_body is not None:
            turned = turn(ids, lengths)
            backwards, _ = self.backward_body(turned, self.backward_body.initial_state(B))
            if kind.tags:
                return torch.cat([features, turn(backwards, lengths)], dim=-1)
            features = torch.cat([features, backwards], dim=-1)
        if kind.tags:
            return cast(Tensor, features)
        if kind.family == "pool":
            padding = torch.arange(T) >= lengths[:, None]  # (B, T)
            return cast(Tensor, features.masked_fill(padding[..., None], -torch.inf).amax(1))
        return cast(Tensor, features[torch.arange(B), lengths - 1])

    def loss(self, ids: Tensor, lengths: Tensor, answers: Tensor, starts: Tensor) -> Tensor:
        """Mean nats per symbol of the answer (B, width); for tags, per character of the text."""
        logits = self(ids, lengths)
        if not self.kind.tags:
            return F.cross_entropy(logits.flatten(0, 1), answers.flatten())
        wanted, inside = self._tags(ids, lengths, answers, starts)
        return F.binary_cross_entropy_with_logits(logits[inside], wanted[inside])

    def _tags(
        self, ids: Tensor, lengths: Tensor, answers: Tensor, starts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(which characters are the answer as 0 or 1, which are text), both (B, T)."""
        places = torch.arange(ids.shape[1])
        count = (answers < len(self.vocabulary.alphabet)).sum(1)
        wanted = (places >= starts[:, None]) & (places < (starts + count)[:, None])
        return wanted.float(), places < lengths[:, None]

    @torch.no_grad()
    def answers(self, sentences: Sequence[str], batch_size: int = 256) -> list[str]:
        """Its answer to every sentence; UNREAD for one that is too long for it."""
        self.eval()
        found = [UNREAD] * len(sentences)
        readable = [n for n, text in enumerate(sentences) if text and self.kind.can_read(text)]
        readable.sort(key=lambda n: len(sentences[n]))
        for first in range(0, len(readable), batch_size):
            rows = readable[first : first + batch_size]
            texts = [sentences[n] for n in rows]
            ids, lengths = map(torch.from_numpy, self.vocabulary.encode(texts))
            logits = self(ids, lengths)
            if self.kind.tags:
                tags = (logits > 0).numpy()
                read = [
                    "".join(c for c, tag in zip(t, row, strict=False) if tag)
                    for t, row in zip(texts, tags, strict=True)
                ]
            else:
                read = self.vocabulary.decode_answers(logits.argmax(-1).numpy())
            for n, answer in zip(rows, read, strict=True):
                found[n] = answer
        return found


class Writer(nn.Module):
    """charlm's language model as a reader: it reads the sentence and a tab, and writes the answer.

    The model inside is an ordinary one, trained on lines "sentence TAB answer"; its file can be
    sampled from with ``charlm sample``.
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
        """Mean nats per symbol of the answers, plus a tenth of those per character of the texts.

        By count alone five symbols would drown in ninety, and a network of this size, kept busy
        with the spelling of made-up words, finds out late or never that the answer is to be copied.
        """
        B = len(ids)
        line = F.pad(ids, (0, answers.shape[1] + 2), value=self.vocabulary.pad)
        rows, after = torch.arange(B), lengths.clone()
        line[rows, after] = self.vocabulary.separator
        digits = torch.from_numpy(self._symbol_ids)[answers]  # (B, width)
        for place in range(answers.shape[1]):
            line[rows, after + 1 + place] = digits[:, place]
        logits, _ = self.model(line[:, :-1], self.model.initial_state(B))
        nats = F.cross_entropy(
            logits.float().flatten(0, 1), line[:, 1:].flatten(), reduction="none"
        )
        nats = nats.view(B, -1)
        places = torch.arange(1, line.shape[1])
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
        """The likeliest continuation after sentence and tab, up to the end of the line.

        Sentences of one length are read together, so that there is no padding at all.
        """
        self.eval()
        found = [UNREAD] * len(sentences)
        order = sorted((n for n, t in enumerate(sentences) if t), key=lambda n: len(sentences[n]))
        first = 0
        while first < len(order):
            length = len(sentences[order[first]])
            rows = [n for n in order[first : first + batch_size] if len(sentences[n]) == length]
            first += len(rows)
            ids = torch.from_numpy(
                self.vocabulary.encode([sentences[n] + SEPARATOR for n in rows])[0]
            )
            logits, state = self.model(ids, self.model.initial_state(len(rows)))
            written = []
            for _ in range(self.vocabulary.width):
                last = logits[:, -1].float()
                last[:, self.vocabulary.unknown] = -torch.inf
                written.append(last.argmax(-1))
                logits, state = self.model(written[-1][:, None], state)
            for n, row in zip(rows, torch.stack(written, 1).numpy(), strict=True):
                found[n] = self.vocabulary.tokenizer.decode(row).partition(END)[0]
        return found


AnyReader = Reader | Writer


def turn(x: Tensor, lengths: Tensor) -> Tensor:
    """Each row of x (B, T, ...) from its last character to its first; padding stays behind."""
    B, T = x.shape[:2]
    places = lengths[:, None] - 1 - torch.arange(T)  # (B, T)
    places = torch.where(places < 0, torch.arange(T), places)
    return x[torch.arange(B)[:, None], places]


def build(kind: Kind, config: ModelConfig, vocabulary: Vocabulary, seed: int) -> AnyReader:
    """A reader with fresh weights, initialised as charlm's models are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind.family == "writer":
            writer = Writer(kind, config, vocabulary)
            initialize(writer.model)
            return writer
        reader = Reader(kind, config, vocabulary)
        initialize_body(reader.body)
        initialize_head(reader.head)
        if kind.family == "window":
            with torch.no_grad():
                reader.body.embedding.weight.mul_(WINDOW_EMBEDDING)
        if reader.backward_body is not None:
            initialize_body(reader.backward_body)  # the embedding, which both share, once more
        return reader
