"""How far back a gradient reaches: vanishing and exploding, measured in a trained model.

For the loss L_t of one character, the norm of dL_t/ds_{t-k} against the lag k, where s is the whole
state that is carried from t-k to t-k+1 (h, for the LSTM h and c together), and of dL_t/dx_{t-k},
the same for the embedded input: the one quantity that every kind of network has. Where each step
back multiplies the gradient by something below 1, what lies far back cannot be learnt from; where
it is above 1, updates explode (Hochreiter, 1991; Bengio et al., 1994; Pascanu et al., 2013).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charlm.arrays import Ids
from charlm.errors import RequestError
from charlm.models.language import LanguageModel, loss_sum

QUARTILES = (25, 50, 75)
FEWEST = 4
"""Places that a median and quartiles take."""


@dataclass(frozen=True)
class Flow:
    """Norms of the gradient of one character's loss (nats), at many places of a text.

    inputs: (P, K + 1) with respect to the embedded input k characters back; k = 0 is the character
            that was read last before the prediction
    states: (P, L, K) with respect to each layer's state after reading the input k back, for k from
            1 on (at 0 there is only the head between state and loss); None for a network that
            carries none
    """

    inputs: NDArray[np.float64]
    states: NDArray[np.float64] | None

    def quartiles(self, layer: int | None = None) -> NDArray[np.float64]:
        """Lower quartile, median and upper quartile over places, of the inputs (3, K + 1) or of a
        layer's state (3, K)."""
        if layer is None:
            norms = self.inputs
        elif self.states is None:
            raise RequestError("this network carries no state from one character to the next")
        else:
            norms = self.states[:, layer]
        return np.percentile(norms, QUARTILES, axis=0)

    def half_life(self) -> float:
        """Characters in which the median gradient at the inputs halves, from a line through its
        logarithm over the lags from 1 on; negative where it grows, infinite where it stays, NaN
        where it is not above zero at two lags."""
        median = self.quartiles()[1][1:]
        lags = np.flatnonzero(median > 0)
        if len(lags) < 2:
            return float("nan")
        slope = float(np.polyfit(lags, np.log2(median[lags]), 1)[0])
        return float("inf") if slope == 0 else -1 / slope

    def fading(self, unit: str = "character") -> str:
        """What becomes of the inputs' gradient on its way back, in one sentence."""
        median = self.quartiles()[1]
        reached = int(np.flatnonzero(median > 0).max(initial=-1))
        if reached < len(median) - 1:
            far = f"{max(0, reached)} {unit}{'' if reached == 1 else 's'}"
            return f"At the input nothing arrives from more than {far} back."
        half = self.half_life()
        if 0 < half < 1000 * len(median):
            return f"At the input it halves every {half:.1f} {unit}s."
        return "At the input it does not fade."


def places(count: int, lags: int, wanted: int, seed: int) -> NDArray[np.int64]:
    """Where to ask: ``wanted`` places t, drawn without repetition, with ``lags`` characters and
    their own prefix before them. RequestError where the text is too short for four of them, of
    which a median and quartiles can be said."""
    first, last = 2 * lags, count - 2
    if last - first + 1 < FEWEST:
        raise RequestError(
            f"the text has {count:,} characters; to look {lags} back at {FEWEST} places takes at "
            f"least {first + 1 + FEWEST:,}: give more text or fewer --lags"
        )
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(last - first + 1, min(wanted, last - first + 1), False)) + first


def flow(
    model: LanguageModel, ids: Ids, *, lags: int = 100, wanted: int = 64, seed: int = 0
) -> Flow:
    """Gradients at up to ``wanted`` places of ids (N,), each after ``lags`` characters of prefix
    that put the model into a state it would really be in."""
    ids = np.asarray(ids, dtype=np.int64)
    ends = places(len(ids), lags, wanted, seed)
    window = torch.from_numpy(ids[ends[:, None] + np.arange(-2 * lags, 1)])  # (P, 2K + 1)
    targets = torch.from_numpy(ids[ends + 1])[:, None]
    model.eval()
    with torch.no_grad():
        _, state = model(window[:, :lags], model.initial_state(len(ends)))
    recurrent = model.config.recurrent
    embedded: list[Tensor] = []
    states: list[tuple[Tensor, ...]] = []
    hook = model.body.embedding.register_forward_hook(
        lambda module, inputs, output: embedded.append(output)
    )
    try:
        read = window[:, lags:]  # (P, K + 1)
        # One step at a time, so that every state on the way is there to be differentiated by.
        for part in torch.split(read, 1 if recurrent else read.shape[1], dim=1):
            logits, state = model(part, state)
            states.append(state)  # the last one serves no loss that is asked about
    finally:
        hook.remove()
    # The losses of different places do not touch each other: one backward pass serves all.
    loss = loss_sum(logits[:, -1:], targets)
    carried = [part for each in states[:-1] for part in each] if recurrent else []
    found = torch.autograd.grad(loss, [*embedded, *carried])
    by_input = torch.cat(found[: len(embedded)], dim=1)  # (P, K + 1, E)
    # In float64, since the square of 1e-25 is nothing in float32.
    inputs = by_input.double().norm(dim=-1).flip(1).numpy()  # lag 0 first
    if not recurrent:
        return Flow(inputs, None)
    gradients = torch.stack(found[len(embedded) :]).double()  # (K * parts, L, P, H)
    # h and, for the LSTM, c of one lag together.
    each_lag = gradients.reshape(lags, -1, *gradients.shape[1:])
    norms = each_lag.square().sum((1, 4)).sqrt()  # (K, L, P)
    return Flow(inputs, norms.flip(0).permute(2, 1, 0).numpy())
