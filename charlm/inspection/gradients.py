"""How far back the gradient reaches: vanishing and exploding gradients in a trained model.

L_t is the loss of one character. Measured against the lag k: the norm of dL_t/ds_{t-k}, where s is
the whole state that is carried from t-k to t-k+1 (h; for the LSTM h and c together), and the norm
of dL_t/dx_{t-k} at the embedded input, which every kind of network has. If each step back
multiplies the gradient by a factor below 1, the model cannot learn from distant characters; if the
factor is above 1, the gradient explodes (Hochreiter, 1991; Bengio et al., 1994; Pascanu et al.,
2013).
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
"""The fewest positions for a median and quartiles."""


@dataclass(frozen=True)
class Flow:
    """Norms of the gradient of one character's loss (nats), at many positions of a text.

    inputs: (P, K + 1) with respect to the embedded input k characters back; k = 0 is the last
            character read before the prediction
    states: (P, L, K) with respect to each layer's state after reading the input k back, for k from
            1 on (at 0 there is only the head between state and loss); None for a network without a
            state
    """

    inputs: NDArray[np.float64]
    states: NDArray[np.float64] | None

    def quartiles(self, layer: int | None = None) -> NDArray[np.float64]:
        """Lower quartile, median and upper quartile over positions: of the inputs (3, K + 1) or of
        a layer's state (3, K)."""
        if layer is None:
            norms = self.inputs
        elif self.states is None:
            raise RequestError("this network carries no state from one character to the next")
        else:
            norms = self.states[:, layer]
        return np.percentile(norms, QUARTILES, axis=0)

    def half_life(self) -> float:
        """Characters in which the median gradient at the inputs halves, from a line fitted to its
        logarithm over the lags from 1 on. Negative if it grows, infinite if it stays constant, NaN
        if it is not above zero at two lags."""
        median = self.quartiles()[1][1:]
        lags = np.flatnonzero(median > 0)
        if len(lags) < 2:
            return float("nan")
        slope = float(np.polyfit(lags, np.log2(median[lags]), 1)[0])
        return float("inf") if slope == 0 else -1 / slope

    def fading(self, unit: str = "character") -> str:
        """How the gradient at the input changes with the lag, in one sentence."""
        median = self.quartiles()[1]
        reached = int(np.flatnonzero(median > 0).max(initial=-1))
        if reached < len(median) - 1:
            far = f"{max(0, reached)} {unit}{'' if reached == 1 else 's'}"
            return f"At the input the gradient is zero beyond {far} back."
        half = self.half_life()
        if 0 < half < 1000 * len(median):
            return f"At the input the gradient halves every {half:.1f} {unit}s."
        return "At the input the gradient does not vanish."


def places(count: int, lags: int, wanted: int, seed: int) -> NDArray[np.int64]:
    """``wanted`` random positions t without repetition, each with ``lags`` characters before it and
    a prefix of as many. Raises RequestError if the text is too short for four of them, the fewest
    for a median and quartiles."""
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
    """Gradients at up to ``wanted`` positions of ids (N,). Before the ``lags`` characters that are
    measured, the model reads as many as a prefix, so that its state is a typical one."""
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
        # One step at a time, so that the gradient can be taken with respect to every state.
        for part in torch.split(read, 1 if recurrent else read.shape[1], dim=1):
            logits, state = model(part, state)
            states.append(state)  # no measured loss depends on the last one
    finally:
        hook.remove()
    # The losses of different positions are independent, so one backward pass is enough for all.
    loss = loss_sum(logits[:, -1:], targets)
    carried = [part for each in states[:-1] for part in each] if recurrent else []
    found = torch.autograd.grad(loss, [*embedded, *carried])
    by_input = torch.cat(found[: len(embedded)], dim=1)  # (P, K + 1, E)
    # In float64, because the square of 1e-25 is 0 in float32.
    inputs = by_input.double().norm(dim=-1).flip(1).numpy()  # lag 0 first
    if not recurrent:
        return Flow(inputs, None)
    gradients = torch.stack(found[len(embedded) :]).double()  # (K * parts, L, P, H)
    # h and, for the LSTM, c of one lag together.
    each_lag = gradients.reshape(lags, -1, *gradients.shape[1:])
    norms = each_lag.square().sum((1, 4)).sqrt()  # (K, L, P)
    return Flow(inputs, norms.flip(0).permute(2, 1, 0).numpy())
