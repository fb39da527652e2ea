"""The model that rewrites an item: an encoder and a decoder with attention, in torch.

Bahdanau, Cho and Bengio, "Neural machine translation by jointly learning to align and translate"
(2015). The encoder reads the source in both directions; h_j (2H,) are the features of both at
character j, its annotation. The decoder writes the target symbol by symbol. s is its state, y the
embedding of the symbol before; at step t:

    e_j = v . tanh(W s_{t-1} + U h_j)       how well character j fits
    a   = softmax(e)                        the attention, over the characters of the source alone
    c_t = sum_j a_j h_j                     the context
    s_t = cell(s_{t-1}, [y_{t-1}; c_t])
    p_t = softmax(head([s_t; c_t; y_{t-1}]))

s_0 is tanh of a linear function of the backward body's features at the first character, where it
has read everything; the c of an LSTM starts at 0. Before the first symbol the decoder reads the end
symbol, and it ends a target by writing it. Source and target share the embedding.

``charlm.tasks.rewriting`` is the same in NumPy, with greedy and beam search.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from charlm.config import GATES, ModelConfig
from charlm.models.bodies import Body, Dropout, TensorState, initialize_body, make_body
from charlm.models.heads import from_the_end, inside, reverse
from charlm.models.language import initialize_head
from charlm.seeds import derive


class Attention(nn.Module):
    """The softmax of v . tanh(W s + U h_j) over the characters of the source."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.state = nn.Linear(hidden_size, hidden_size, bias=False)  # W
        self.annotations = nn.Linear(2 * hidden_size, hidden_size, bias=False)  # U
        self.score = nn.Linear(hidden_size, 1, bias=False)  # v

    def forward(self, s: Tensor, keys: Tensor, padding: Tensor) -> Tensor:
        """s (B, H), keys U h_j (B, T, H), padding (B, T) of bool -> the attention (B, T)."""
        scores = self.score(torch.tanh(keys + self.state(s)[:, None]))[..., 0]
        return cast(Tensor, scores.float().masked_fill(padding, -torch.inf).softmax(-1))


class Rewriter(nn.Module):
    """ids (B, T), lengths (B,), the symbols before those of the targets (B, S) -> logits
    (B, S, V)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        E, H = config.embedding_size, config.hidden_size
        self.body: Body = make_body(config)
        self.backward_body: Body = make_body(config)
        self.backward_body.embedding = self.body.embedding
        self.start = nn.Linear(H, H)
        self.attention = Attention(H)
        if config.cell == "rnn":
            cell: nn.RNNCellBase = nn.RNNCell(E + 2 * H, H, nonlinearity=config.nonlinearity)
        else:
            cell = (nn.LSTMCell if config.cell == "lstm" else nn.GRUCell)(E + 2 * H, H)
        self.decoder = cell
        self.dropout = Dropout(config.dropout)
        self.head = nn.Linear(E + 3 * H, config.vocab_size)

    def initial_state(self, batch_size: int) -> TensorState:
        """Nothing: no state is carried from one item to the next."""
        return ()

    def forward(self, ids: Tensor, lengths: Tensor, previous: Tensor) -> Tensor:
        """The scores of every symbol of the targets; no result depends on padding."""
        forward, _ = self.body(ids, self.body.initial_state(len(ids)))
        backward = reverse(from_the_end(self.backward_body, ids, lengths), lengths)
        annotations = torch.cat([forward, backward], -1)  # (B, T, 2H)
        keys = self.attention.annotations(annotations)  # (B, T, H)
        padding = ~inside(ids, lengths)
        s = torch.tanh(self.start(backward[:, 0]))
        c = torch.zeros_like(s)  # of an LSTM
        embedded = self.body.embed(previous)  # (B, S, E)
        states, contexts = [], []
        for y in embedded.unbind(1):
            weights = self.attention(s, keys, padding).to(annotations.dtype)
            context = (weights[:, None] @ annotations)[:, 0]  # (B, 2H)
            x = torch.cat([y, context.to(y.dtype)], -1)
            if self.config.cell == "lstm":
                s, c = self.decoder(x, (s, c))
            else:
                s = self.decoder(x, s)
            states.append(s)
            contexts.append(context)
        written = self.dropout(torch.stack(states, 1))
        read = torch.cat([written, torch.stack(contexts, 1), embedded], -1)  # (B, S, 3H + E)
        return cast(Tensor, self.head(read).float())

    @torch.no_grad()
    def initialize(self) -> None:
        """Draw the initial weights as those of the other models are drawn."""
        initialize_body(self.body)
        initialize_body(self.backward_body)  # draws the shared embedding a second time
        initialize_head(self.head)
        for linear in (self.start, self.attention.state, self.attention.annotations):
            nn.init.normal_(linear.weight, std=1 / math.sqrt(linear.in_features))
        nn.init.zeros_(self.start.bias)
        nn.init.normal_(self.attention.score.weight, std=1 / math.sqrt(self.config.hidden_size))
        H, cell = self.config.hidden_size, self.decoder
        nn.init.normal_(cell.weight_ih, std=1 / math.sqrt(cell.input_size))
        for gate in range(GATES[self.config.cell]):
            nn.init.orthogonal_(cell.weight_hh[gate * H : (gate + 1) * H])
        nn.init.zeros_(cell.bias_ih)
        nn.init.zeros_(cell.bias_hh)
        if self.config.cell == "lstm":
            cell.bias_ih[H : 2 * H] = 1.0


def build_rewriter(config: ModelConfig, seed: int) -> Rewriter:
    """A new model with random weights; the same configuration and seed give the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "weights"))
        model = Rewriter(config)
        model.initialize()
    return model
