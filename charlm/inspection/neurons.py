"""Which features of the text single units respond to.

Karpathy, Johnson and Fei-Fei (2015) showed cells that keep track of quotes or of the length of a
line. Here the text is labelled automatically, and every unit is tested as a predictor of every
label: how well does its activation after a character tell whether the label applies to that
character? The measure is the area under the ROC curve (AUC): 0.5 is chance, 1 a unit that is always
higher if the label applies, 0 a unit that is always lower.

A unit is chosen on one half of the text and tested on the other. Among hundreds of units one always
does well by chance, all the more because labels come in runs. As a control, the whole search is
repeated with the labels rotated against the text, which keeps their runs but removes their meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from charlm.arrays import Floats, Ids
from charlm.engine import Engine, log_softmax
from charlm.errors import RequestError
from charlm.surprisal import LN2
from charlm.text.streams import WARMUP

Bools = NDArray[np.bool_]

SHIFTS = 40
RAREST = 0.01
"""The smallest share of each half to which a label must apply, and to which it must not."""

_STREAMS = 32
_DRAWN = 7
_SOON, _FAR = 5, (20, 30, 40)


def labels(text: str) -> dict[str, Bools]:
    """The labels of ``text`` by name: (N,) each, whether it applies after the character has been
    read."""
    N = len(text)
    column = np.zeros(N, dtype=np.int64)  # characters since the line began
    in_word = np.zeros(N, dtype=np.int64)  # letters of the word so far
    quoted, depth, number, year = (np.zeros(N, dtype=np.int64) for _ in range(4))
    capitals = np.zeros(N, dtype=bool)  # no lower-case letter in the line so far
    open_quote = open_brackets = run = 0
    small = False
    for place, character in enumerate(text):
        before = place - 1
        if character == "\n":
            small = False
            if place and text[before] == "\n":
                open_quote = 0  # a quotation may continue on the next line, rarely after a gap
        column[place] = 0 if character == "\n" else (column[before] + 1 if place else 1)
        in_word[place] = (
            in_word[before] + 1 if character.isalpha() and place else character.isalpha()
        )
        small |= character.islower()
        capitals[place] = not small and column[place] > 1
        if character in '"“”«»':
            open_quote = {"“": 1, "«": 1, "”": 0, "»": 0}.get(character, 1 - open_quote)
        open_brackets = max(0, open_brackets + (character in "([{") - (character in ")]}"))
        quoted[place], depth[place] = open_quote, open_brackets
        run = run + 1 if character.isdigit() else 0
        number[place], year[place] = run > 0, run >= 2
    ends = np.array([character == "\n" for character in text])
    soon = np.zeros(N, dtype=bool)
    for ahead in range(1, _SOON + 1):
        soon[:-ahead] |= ends[ahead:]
    upper = np.array([character.isupper() for character in text])
    return {
        "inside quotes": quoted > 0,
        "inside brackets": depth > 0,
        "inside brackets in brackets": depth > 1,
        **{f"more than {far} characters into the line": column > far for far in _FAR},
        f"line ends within {_SOON} characters": soon,
        "line without small letters so far": capitals,
        "fourth letter of a word or later": in_word >= 4,
        "inside a word": in_word > 0,
        "inside a number": number > 0,
        "second digit or later": year > 0,
        "upper case": upper,
    }


def auc(activations: Floats, label: Bools) -> NDArray[np.float64]:
    """Area under the ROC curve of every unit: activations (N, H), label (N,) -> (H,).

    The Mann-Whitney statistic: of all pairs of a position to which the label applies and one to
    which it does not, the share in which the unit is higher at the first; ties count half.
    """
    return _auc_of_ranks(_ranks(activations), label)


def _ranks(activations: Floats) -> NDArray[np.float64]:
    """Mid-ranks of every column, from 1: equal values get the mean of their ranks."""
    ranks = np.empty(activations.shape)
    for unit in range(activations.shape[1]):
        _, inverse, counts = np.unique(
            activations[:, unit], return_inverse=True, return_counts=True
        )
        ends = counts.cumsum()
        ranks[:, unit] = (ends - (counts - 1) / 2)[inverse]
    return ranks


def _auc_of_ranks(ranks: NDArray[np.float64], label: Bools) -> NDArray[np.float64]:
    positive = int(label.sum())
    negative = len(label) - positive
    found: NDArray[np.float64] = (
        label.astype(np.float64) @ ranks - positive * (positive + 1) / 2
    ) / (positive * negative)
    return found


@dataclass(frozen=True)
class Found:
    """The unit that best predicts one label.

    auc: on the half of the text that the unit was not chosen on; below 0.5 for a unit that is lower
         if the label applies
    rises: whether the unit is higher if the label applies, in the half that it was chosen on
    chance: 95 % quantile of the strength that the same search finds with shifted labels
    by_character: the AUC of the current character alone, scored by how often the label applied to
                  it in the first half; 1 if the character determines the label and no memory is
                  needed
    share: of the positions to which the label applies
    bits: increase of the loss, in bits per character, if the unit is fixed at its mean
    usual_bits: the control: the median increase for seven random units of the same layer
    """

    label: str
    layer: int
    unit: int
    auc: float
    rises: bool
    chance: float
    by_character: float
    share: float
    bits: float
    usual_bits: float

    @property
    def strength(self) -> float:
        """The AUC in the direction that was chosen on the first half; below 0.5 if the direction is
        reversed on the second half."""
        return self.auc if self.rises else 1 - self.auc

    @property
    def side(self) -> str:
        """Whether the unit is high or low if the label applies."""
        return "high" if self.rises else "low"

    @property
    def told(self) -> str:
        """All figures in one sentence."""
        return (
            f"layer {self.layer + 1}, unit {self.unit}, {self.side} if the label applies: AUC "
            f"{self.strength:.3f} (by chance {self.chance:.3f}; the current character alone "
            f"{self.by_character:.3f}); fixing it at its mean costs {self.bits:+.4f} bits "
            f"per character (a random unit {self.usual_bits:+.4f})"
        )


@dataclass(frozen=True)
class Activations:
    """The activation of every unit after each character of a text.

    values: (N, L * H), layer by layer
    text: the N characters
    """

    values: Floats
    text: str
    hidden_size: int

    def unit(self, found: Found) -> Floats:
        """(N,) the activations of one unit."""
        return self.values[:, found.layer * self.hidden_size + found.unit]


def activations(engine: Engine, ids: Ids, text: str, *, most: int = 20_000) -> Activations:
    """The states h of all layers after each of the first ``most`` characters, in one stream from
    the zero state. Raises RequestError for a text of fewer than 2,000 characters, a model of bytes,
    and a network that is not recurrent."""
    config = engine.config
    if not config.recurrent:
        raise RequestError(f"{config.cell} is not recurrent: it has no units that remember")
    if len(ids) != len(text):
        raise RequestError("a model of bytes has no units for characters; take one of characters")
    ids, text = np.asarray(ids[:most], dtype=np.int64), text[:most]
    if len(ids) < 2000:
        raise RequestError(f"the text has {len(ids):,} characters; give at least 2,000")
    trace = engine.trace(ids[None])
    values = np.concatenate([layer["h"][0] for layer in trace.layers], axis=1)
    return Activations(values, text, config.hidden_size)


def search(found: Activations, *, seed: int = 0) -> list[Found]:
    """For every label that is frequent enough in both halves, the unit that predicts it best,
    sorted by AUC. ``bits`` and ``usual_bits`` are NaN until ``with_ablation`` computes them."""
    middle = len(found.text) // 2
    first, second = _ranks(found.values[:middle]), _ranks(found.values[middle:])
    rng = np.random.default_rng(seed)
    results = []
    for name, label in labels(found.text).items():
        halves = label[:middle], label[middle:]
        if not all(RAREST <= half.mean() <= 1 - RAREST for half in halves):
            continue
        unit, rises, judged = _best(first, second, *halves)
        shifted = []
        for _ in range(SHIFTS):
            by = int(rng.integers(middle // 10, middle - middle // 10))
            _, up, value = _best(first, second, *(np.roll(half, by) for half in halves))
            shifted.append(value if up else 1 - value)
        results.append(
            Found(
                name,
                unit // found.hidden_size,
                unit % found.hidden_size,
                judged,
                rises,
                float(np.quantile(shifted, 0.95)),
                _by_character(found.text, *halves),
                float(label.mean()),
                float("nan"),
                float("nan"),
            )
        )
    return sorted(results, key=lambda each: -each.strength)


def _best(
    first: NDArray[np.float64], second: NDArray[np.float64], learn: Bools, judge: Bools
) -> tuple[int, bool, float]:
    """The best unit on one half, whether it is higher if the label applies, and its AUC on the
    other half."""
    learnt = _auc_of_ranks(first, learn)
    unit = int(np.abs(learnt - 0.5).argmax())
    judged = float(_auc_of_ranks(second[:, unit : unit + 1], judge)[0])
    return unit, bool(learnt[unit] >= 0.5), judged


def remembering(found: list[Found], count: int) -> list[Found]:
    """The labels that a unit predicts best compared with the current character, each unit once.

    A unit that counts the characters of a line predicts several labels of the same kind.
    """
    order = sorted(found, key=lambda each: each.by_character - each.strength)
    units: dict[tuple[int, int], Found] = {}
    for each in order:
        units.setdefault((each.layer, each.unit), each)
    return list(units.values())[:count]


def _by_character(text: str, learn: Bools, judge: Bools) -> float:
    """How well the current character alone predicts a label; trained and tested like a unit."""
    held: dict[str, list[int]] = {}
    for character, holds in zip(text, learn, strict=False):
        count = held.setdefault(character, [0, 0])
        count[0] += int(holds)
        count[1] += 1
    mean = float(learn.mean())
    scores = [
        (held[c][0] + mean) / (held[c][1] + 1) if c in held else mean for c in text[len(learn) :]
    ]
    return float(auc(np.array(scores)[:, None], judge)[0])


# ---------------------------------------------------------------------------------------- ablation


def with_ablation(
    engine: Engine, ids: Ids, seen: Activations, found: list[Found], *, seed: int = 0
) -> list[Found]:
    """``found`` with the cost of fixing each unit at its mean and, as the control, the median cost
    for seven random units of its layer. The mean is taken over the half that the unit was chosen
    on; the cost is measured on the other half."""
    middle = len(seen.text) // 2
    ids = ids[max(0, middle - WARMUP) : len(seen.text)]
    whole = _bits(engine, ids, _change_nothing)
    means = seen.values[:middle].mean(0)

    @cache
    def cost(layer: int, unit: int) -> float:
        mean = float(means[layer * seen.hidden_size + unit])
        return _held(engine, ids, layer, unit, mean) - whole

    @cache
    def usual(layer: int) -> float:
        rng = np.random.default_rng([seed, layer])
        drawn = rng.choice(seen.hidden_size, min(_DRAWN, seen.hidden_size), replace=False)
        return float(np.median([cost(layer, unit) for unit in drawn.tolist()]))

    return [
        replace(each, bits=cost(each.layer, each.unit), usual_bits=usual(each.layer))
        for each in found
    ]


def ablation(engine: Engine, ids: Ids, layer: int, unit: int, value: float) -> float:
    """The increase of the loss of ids (N,), in bits per symbol, if a unit's state is ``value`` at
    every step: for the head, for the layers above and for the next step of its own layer."""

    return _held(engine, ids, layer, unit, value) - _bits(engine, ids, _change_nothing)


def _held(engine: Engine, ids: Ids, layer: int, unit: int, value: float) -> float:
    """Bits per symbol if the state of that unit is ``value`` at every step."""

    def hold(number: int, h: Floats) -> None:
        if number == layer:
            h[..., unit] = value

    return _bits(engine, ids, hold)


def _change_nothing(number: int, h: Floats) -> None:
    pass


def _bits(engine: Engine, ids: Ids, change: Callable[[int, Floats], None]) -> float:
    """Bits per symbol, read in streams; ``change`` gets every layer's state after every step."""
    ids = np.asarray(ids, dtype=np.int64)
    stretch = (len(ids) - 1 - WARMUP) // _STREAMS
    if stretch < 1:
        raise RequestError(
            f"the text has {len(ids):,} characters; give at least {WARMUP + _STREAMS + 1:,}"
        )
    begins = WARMUP + np.arange(_STREAMS) * stretch
    state = [
        tuple(part[n] for part in engine.initial_state(_STREAMS))
        for n in range(engine.config.num_layers)
    ]
    for number, part in enumerate(state):
        change(number, part[0])
    total = 0.0
    for t in range(-WARMUP, stretch):
        x = engine.embedding[ids[begins + t]][:, None]  # (B, 1, E)
        for number, layer in enumerate(engine.layers):
            y, after = layer.run(layer.project(x), state[number], None)
            after = tuple(part.copy() for part in after)
            change(number, y)
            change(number, after[0])
            state[number] = after
            x = y if number == 0 else x + y
        if t >= 0:
            scores = log_softmax(engine.head(x[:, 0]))
            total -= float(scores[np.arange(_STREAMS), ids[begins + t + 1]].sum())
    return total / (_STREAMS * stretch) / LN2
