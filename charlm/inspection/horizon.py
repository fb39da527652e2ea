"""The measures of ``memory`` for one model, with their controls. Needs torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from charlm.arrays import Ids
from charlm.config import ModelConfig
from charlm.engine import Engine, Weights
from charlm.generate import CharLM
from charlm.inspection import memory
from charlm.inspection.memory import ENOUGH, Curve, Probe, States
from charlm.inspection.rebuilding import STEPS, Rebuilt, rebuild
from charlm.models.language import build

_CONTROL_PLACES = 128  # enough to show that a curve is flat
_LONGEST = 2048  # the longest context that is read within seconds

REBUILT = 10
"""Number of characters that the decoder reconstructs."""


@dataclass(frozen=True)
class Horizon:
    """How much of the past a model uses and its hidden state holds.

    curve, probe: of the model; untrained_curve, untrained_probe: of an untrained model of the same
    shape
    window: how many units its gradient went back through in training; None if unknown
    unit: what is counted, a character or a byte
    """

    curve: Curve
    untrained_curve: Curve
    probe: Probe
    untrained_probe: Probe
    rebuilt: Rebuilt
    window: int | None
    unit: str = "character"

    @property
    def measured_beyond(self) -> bool:
        """Whether a context longer than the training window was measured."""
        return self.window in self.curve.contexts[:-1]

    def verdict(self) -> str:
        """Whether a longer window of truncated BPTT would help, in one sentence."""
        usable, longest = self.curve.usable(), self.curve.contexts[-1]
        said = f"{usable} {self.unit}s of context do as well as {longest}"
        if self.window is None:
            return f"{said}."
        if not self.measured_beyond:
            return f"{said}; nothing beyond the training window of {self.window} was measured."
        mean, low, high = self.curve.beyond(self.window)
        interval = f"{mean:.3f} bits per {self.unit} [{low:.3f}, {high:.3f}]"
        said = f"{said}; context beyond the training window of {self.window} saves {interval}"
        if low > ENOUGH:
            return f"{said}, so a longer --seq-len is worth trying."
        if high > ENOUGH:
            return f"{said}: too few {self.unit}s to tell whether a longer --seq-len would help."
        if 2 * usable > self.window:
            return (
                f"{said}: the model uses all of its training window; train it with a longer "
                "--seq-len to see whether that helps."
            )
        return f"{said}: a longer --seq-len would hardly help this model."

    def to_dict(self) -> dict[str, Any]:
        """All values as JSON types; ``low`` and ``high`` are the interval of ``bits_per_unit``."""
        low, high = self.curve.interval()
        return {
            "context": {
                "contexts": list(self.curve.contexts),
                "bits_per_unit": self.curve.mean.tolist(),
                "low": low.tolist(),
                "high": high.tolist(),
                "positions": len(self.curve.bits),
                "untrained": self.untrained_curve.mean.tolist(),
                "usable": self.curve.usable(),
                "window": self.window,
                "beyond_window": self.curve.beyond(self.window)
                if self.window and self.measured_beyond
                else None,
                "unit": self.unit,
            },
            "probe": {
                "lags": list(self.probe.lags),
                "accuracy": self.probe.accuracy.tolist(),
                "untrained": self.untrained_probe.accuracy.tolist(),
                "shuffled": self.probe.shuffled.tolist(),
                "chance": self.probe.chance.tolist(),
                "reach": self.probe.reach(),
            },
            "rebuilt": {
                "accuracy": self.rebuilt.accuracy.tolist(),
                "shuffled": self.rebuilt.shuffled.tolist(),
            },
        }


def measure(
    config: ModelConfig,
    weights: Weights,
    ids: Ids,
    *,
    window: int | None = None,
    unit: str = "character",
    seed: int = 0,
    decoder_steps: int = STEPS,
) -> Horizon:
    """Compute all measures on ids (N,). Training the decoder for ``steps`` steps takes most of the
    time.

    window: the length of truncated BPTT in training; contexts up to twice as long are measured if
            the text is long enough

    Raises RequestError if the text is too short.
    """
    control = {name: part.detach().numpy() for name, part in build(config, 0).named_parameters()}
    model, untrained = Engine(config, weights), Engine(config, control)
    symbols, reach = config.vocab_size, max(memory.LAGS)
    states = memory.states(model, ids, reach=reach)
    contexts: tuple[int, ...] = memory.CONTEXTS
    if window is not None:
        most = max(max(contexts), min(len(ids) // 4, _LONGEST))
        contexts = tuple(sorted({*contexts, *(c for c in (window, 2 * window) if c <= most)}))
    return Horizon(
        memory.context_curve(model, ids, contexts=contexts, seed=seed),
        memory.context_curve(untrained, ids, contexts=contexts, wanted=_CONTROL_PLACES, seed=seed),
        memory.probe(states, symbols, seed=seed),
        memory.probe(memory.states(untrained, ids, reach=reach), symbols, seed=seed),
        rebuild(
            States(states.features, states.past[:, :REBUILT]),
            symbols,
            steps=decoder_steps,
            seed=seed,
        ),
        window,
        unit,
    )


def training_window(lm: CharLM) -> int | None:
    """How many symbols a model's gradient went back through in training; None if its file does not
    say."""
    window = lm.provenance.get("seq_len")
    return window if isinstance(window, int) else None
