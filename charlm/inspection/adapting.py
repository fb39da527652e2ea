"""Dynamic evaluation: a model that learns while it reads. Needs torch.

After each window has been scored, the weights take one step of gradient descent on it (Mikolov et
al., 2010; Krause et al., 2018). Every character is scored before the model learns from it. If a
text repeats its patterns, its surprisal falls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from charlm.arrays import Ids
from charlm.config import ModelConfig
from charlm.engine import Weights
from charlm.errors import DivergenceError, RequestError
from charlm.generate import CharLM
from charlm.models.language import LanguageModel, loss_sum
from charlm.surprisal import LN2, count_folded, counted_characters, first_character
from charlm.training.optim import OneOptimizer
from charlm.training.step import descend

WINDOW = 64
CLIP = 1.0


def torch_model(config: ModelConfig, weights: Weights) -> LanguageModel:
    """The torch model with these weights, in evaluation mode."""
    model = LanguageModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(weights[name]))
    model.eval()
    return model


@dataclass(frozen=True)
class Adapted:
    """Nats of every id except the first, with fixed weights and with learning."""

    static: NDArray[np.float64]
    dynamic: NDArray[np.float64]

    @property
    def gain(self) -> float:
        """Bits per symbol saved by learning while reading."""
        return float(self.static.mean() - self.dynamic.mean()) / LN2


def bits_per_char(model: CharLM, text: str, rate: float) -> tuple[float, float]:
    """Bits per character of ``text`` for the network with fixed weights, and if it learns while it
    reads. Raises RequestError for a text of one window, on which nothing could show."""
    ids = model.tokenizer.encode(text)
    if len(ids) - 1 <= WINDOW:
        raise RequestError(
            f"the text has {len(text):,} characters; what the model learns shows from symbol "
            f"{WINDOW + 2} on: give a longer one"
        )
    found = adapt(model.config, model.weights, ids, rate=rate)
    context = first_character(model.tokenizer, ids) - 1  # its bytes after the first
    characters = counted_characters(model.tokenizer, ids)
    folded = count_folded(model.tokenizer, ids, model.folded_types(text), characters)
    charge = folded.bits_per_char if folded else 0.0
    return (
        float(found.static[context:].sum()) / characters / LN2 + charge,
        float(found.dynamic[context:].sum()) / characters / LN2 + charge,
    )


def adapt(
    config: ModelConfig, weights: Weights, ids: Ids, *, rate: float, window: int = WINDOW
) -> Adapted:
    """Read ids (N,) once with fixed weights, and once with a step of SGD at ``rate`` after every
    window.

    The gradient stops at the start of the window and its norm is clipped at 1, as in training.
    Raises DivergenceError if a loss is not finite, because the rate is too high.
    """
    ids = np.asarray(ids, dtype=np.int64)
    read = [_pass(config, weights, ids, r, window) for r in (0.0, rate)]
    return Adapted(read[0], read[1])


def _pass(
    config: ModelConfig, weights: Weights, ids: Ids, rate: float, window: int
) -> NDArray[np.float64]:
    model = torch_model(config, weights)
    optimizer = OneOptimizer(torch.optim.SGD(model.parameters()))
    state = model.initial_state(1)
    nats = np.empty(len(ids) - 1)
    for start in range(0, len(ids) - 1, window):
        stop = min(start + window, len(ids) - 1)
        inputs = torch.from_numpy(ids[None, start:stop])
        targets = torch.from_numpy(ids[None, start + 1 : stop + 1])
        with torch.set_grad_enabled(rate > 0):
            logits, state = model(inputs, state)
            each = logits.detach()[0].log_softmax(-1).gather(-1, targets[0][:, None])[:, 0]
            nats[start:stop] = -each.double().numpy()
            if rate > 0:
                total = loss_sum(logits, targets)
                try:
                    descend(model, optimizer, total, stop - start, rate=rate, clip=CLIP)
                except DivergenceError as error:
                    raise DivergenceError(
                        f"character {start:,}: {error}; give a lower --rate"
                    ) from error
        state = tuple(part.detach() for part in state)
    return nats
