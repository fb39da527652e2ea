"""Heads for tasks other than the next character, on batches of texts of unequal length.

    features, _ = body(ids, state)               (B, T, H), one vector per character
    logits = reader(ids, lengths)                (B, outputs) or (B, T, outputs)

A ``SequenceReader`` is a body, or two that read in opposite directions, and a linear head. Its
``Reading`` decides which features the head sees:

    "last"    the features at the last character        many to one, (B, outputs)
    "max"     the maximum over time                     many to one, (B, outputs)
    "window"  one fixed window from the left            many to one, (B, outputs)
    "each"    the features at every character           many to many in step, (B, T, outputs)

``pointer_scores`` turns the logits of an "each" reader with one output into a choice of one
character. A language model can answer too: ``continuation`` builds the lines that it is trained on,
and ``continue_text`` generates the answer.

Texts of unequal length are padded on the right and come with ``lengths`` (B,), each at least 1. No
result depends on the padding, neither on its amount nor on its ids: a causal body does not see it
before the end of the text, the maximum leaves it out, a window reads ``pad`` in its place, and a
backward body reads each text reversed within its own length. New tensors are created on the device
of the ids.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from charlm.config import ModelConfig
from charlm.models.bodies import Body, initialize_body, make_body
from charlm.models.language import LanguageModel, initialize_head

Reading: TypeAlias = Literal["last", "max", "window", "each"]


def inside(ids: Tensor, lengths: Tensor) -> Tensor:
    """Which places of ids (B, T, ...) are text and not padding: (B, T) of bool.

    >>> inside(torch.tensor([[7, 8, 9], [7, 0, 0]]), torch.tensor([3, 1])).tolist()
    [[True, True, True], [True, False, False]]
    """
    return torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]


def reverse(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each text in x (B, T, ...); padding stays at the end. Twice changes nothing.

    >>> reverse(torch.tensor([[1, 2, 3], [4, 5, 0]]), torch.tensor([3, 2])).tolist()
    [[3, 2, 1], [5, 4, 0]]
    """
    B, T = x.shape[:2]
    forward = torch.arange(T, device=x.device)
    places = lengths[:, None] - 1 - forward  # (B, T)
    places = torch.where(places < 0, forward, places)
    return x[torch.arange(B, device=x.device)[:, None], places]


def from_the_end(body: Body, ids: Tensor, lengths: Tensor) -> Tensor:
    """The features of a body that reads each text reversed, in the order in which it reads:
    ids (B, T), lengths (B,) -> (B, T, H)."""
    features, _ = body(reverse(ids, lengths), body.initial_state(len(ids)))
    return cast(Tensor, features)


def last(features: Tensor, lengths: Tensor) -> Tensor:
    """The features at each text's last character: (B, T, H) -> (B, H)."""
    return features[torch.arange(len(features), device=features.device), lengths - 1]


def maximum(features: Tensor, lengths: Tensor) -> Tensor:
    """The largest value of each feature within each text (max pooling): (B, T, H) -> (B, H)."""
    padding = ~inside(features, lengths)
    return features.masked_fill(padding[..., None], -torch.inf).amax(1)


def window(body: Body, ids: Tensor, lengths: Tensor, pad: int) -> Tensor:
    """A window body's features for the first ``context`` characters alone: (B, T) -> (B, H).

    Every place beyond a text's end is read as ``pad``. By the body's contract, all characters of
    the window but the last are its state.
    """
    size = body.config.context
    text = torch.where(inside(ids, lengths), ids, pad)
    seen = F.pad(text[:, :size], (0, max(0, size - ids.shape[1])), value=pad)
    before = body.embedding(seen[:, :-1])  # (B, context - 1, E)
    features, _ = body(seen[:, -1:], (before[None],))
    return cast(Tensor, features[:, 0])


class SequenceReader(nn.Module):
    """A body, or one body for each direction (Schuster & Paliwal, 1997), and a linear head.

    config: the body's; two directions have ``hidden_size`` units each
    outputs: number of logits per text, or per character if ``reading`` is "each"
    both_ways: whether a second body, with the same embedding, reads each text from the end
    pad: the id that a window reads after the end of a text
    """

    def __init__(
        self,
        config: ModelConfig,
        outputs: int,
        *,
        reading: Reading,
        both_ways: bool = False,
        pad: int = 0,
    ) -> None:
        super().__init__()
        self.config = config
        self.reading = reading
        self.pad = pad
        self.body: Body = make_body(config)
        self.backward_body: Body | None = make_body(config) if both_ways else None
        if self.backward_body is not None:
            self.backward_body.embedding = self.body.embedding
        self.head = nn.Linear((2 if both_ways else 1) * config.hidden_size, outputs)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """ids (B, T), lengths (B,) -> logits (B, outputs), or (B, T, outputs) for "each"."""
        return cast(Tensor, self.head(self.features(ids, lengths)).float())

    def features(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """The input of the head: (B, H), or (B, T, H) for "each"; 2 H if it reads both ways."""
        if self.reading == "window":
            return window(self.body, ids, lengths, self.pad)
        features, _ = self.body(ids, self.body.initial_state(len(ids)))  # (B, T, H)
        if self.backward_body is not None:
            backward = from_the_end(self.backward_body, ids, lengths)
            if self.reading != "last":
                backward = reverse(backward, lengths)
            # The last character that the backward body reads is the first one of the text.
            features = torch.cat([features, backward], dim=-1)
        if self.reading == "each":
            return cast(Tensor, features)
        return (maximum if self.reading == "max" else last)(features, lengths)

    def initialize(self) -> None:
        """Draw the initial weights like those of a language model."""
        initialize_body(self.body)
        initialize_head(self.head)
        if self.backward_body is not None:
            initialize_body(self.backward_body)  # draws the shared embedding a second time


def tagging_loss(logits: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
    """Mean binary cross-entropy in nats per character of the texts: logits, tags (B, T)."""
    text = inside(logits, lengths)
    return F.binary_cross_entropy_with_logits(logits[text], tags[text])


def pointer_scores(logits: Tensor, lengths: Tensor) -> Tensor:
    """The log-probability of each character to be the chosen one: logits (B, T) -> (B, T) nats.

    A softmax over the characters of each text (Vinyals et al., 2015). Padding has probability 0.
    """
    return logits.masked_fill(~inside(logits, lengths), -torch.inf).log_softmax(-1)


def continuation(
    ids: Tensor, lengths: Tensor, answers: Tensor, *, separator: int, end: int
) -> Tensor:
    """Lines "text, separator, answer, end" to train a language model on.

    ids (B, T) and lengths (B,) of the texts, answers (B, A) -> (B, T + A + 2), padded with ``end``.
    """
    B, A = answers.shape
    line = F.pad(torch.where(inside(ids, lengths), ids, end), (0, A + 2), value=end)
    rows, after = torch.arange(B, device=ids.device), lengths.clone()
    line[rows, after] = separator
    for place in range(A):
        line[rows, after + 1 + place] = answers[:, place]
    return line


def continuation_nats(model: LanguageModel, line: Tensor) -> Tensor:
    """Surprisal in nats of every character except the first: line (B, T) -> (B, T - 1)."""
    logits, _ = model(line[:, :-1], model.initial_state(len(line)))
    nats = F.cross_entropy(logits.float().flatten(0, 1), line[:, 1:].flatten(), reduction="none")
    return nats.view(len(line), -1)


@torch.no_grad()
def continue_text(
    model: LanguageModel, ids: Tensor, count: int, *, forbidden: tuple[int, ...] = ()
) -> Tensor:
    """Append the most likely next character ``count`` times: ids (B, T) -> new ids (B, count).

    All texts must have the same length, without padding. ``forbidden`` ids are never chosen.
    """
    logits, state = model(ids, model.initial_state(len(ids)))
    written: list[Tensor] = []
    for _ in range(count):
        scores = logits[:, -1].float()
        if forbidden:
            scores[:, list(forbidden)] = -torch.inf
        written.append(scores.argmax(-1))
        logits, state = model(written[-1][:, None], state)
    return torch.stack(written, 1)
