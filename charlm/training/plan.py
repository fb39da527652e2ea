"""Decide, before step 0, the settings that the user left open: window, length, learning rate,
dropout, intervals.

Afterwards the run's configuration is complete. Nothing in it is measured or guessed again, so a
resumed run is the same run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from charlm import counts
from charlm.checkpoint import dump
from charlm.config import (
    ModelConfig,
    ModelOptions,
    TrainConfig,
    TrainOptions,
    default_dropout,
    default_learning_rate,
    default_patience,
)
from charlm.errors import RequestError
from charlm.mixture import Mixed
from charlm.models.predictor import network_on
from charlm.ngram import NGramModel
from charlm.surprisal import surprisals
from charlm.text.dataset import AnyDataset, Source
from charlm.text.items import ItemDataset
from charlm.text.streams import DEFAULT_BATCH_SIZE, DEFAULT_SEQ_LEN, WARMUP
from charlm.training import evaluate, recipe
from charlm.training.group import ALONE, Group
from charlm.training.objectives import learning_of
from charlm.training.pace import Pace
from charlm.training.precision import choose_precision
from charlm.training.rows import Split, default_blocks, most_blocks
from charlm.training.summary import exact_loss
from charlm.training.trainer import Trainer, never

EVALUATIONS = 20
"""How often a run is evaluated if no interval is asked for."""

EVALUATION_SHARE = 0.05
FEWEST_EVALUATIONS = 4
"""The largest share of a run with --minutes for evaluations, if that leaves enough of them."""

ORTHOGONALIZE_EVERY = 3
"""Muon moves each matrix at every third training step, three times as far: a third of the time, the
same losses (docs/log.md)."""

ORTHOGONALIZER = "minimax"
"""Three tuned polynomials instead of Jordan's five: 0.6 of the time, a little lower losses
(docs/log.md)."""

WORTH_THE_RISK = 1.15
"""How many times faster one block of rows must be than several."""

TIMED_ITEMS = 256
"""Validation items that are timed; the others are assumed to take as long."""

LEAST_STEPS = 10
"""The fewest training steps of a run with --minutes, however short the time."""

LEAST_INTERVAL = 25
"""The fewest training steps between evaluations if no interval is asked for."""


@dataclass(frozen=True)
class Plan:
    """A complete configuration, and what to tell the user about how it was decided."""

    model: ModelConfig
    train: TrainConfig
    notes: tuple[str, ...]
    pace: Pace | None = None
    split: Split | None = None


@dataclass(frozen=True)
class Trials:
    """What a copy of the run needs that is trained a little, only to be timed."""

    dataset: AnyDataset
    source: Source
    device: torch.device
    group: Group = ALONE

    def trainer(self, model: ModelConfig, train: TrainConfig) -> Trainer:
        return Trainer(model, train, self.dataset, self.source, self.device, self.group)

    def since(self, began: float) -> float:
        """Seconds since ``began``, as rank 0 sees it."""
        return self.group.agree(time.monotonic() - began)


def settle(
    model: ModelOptions,
    train: TrainOptions,
    dataset: AnyDataset,
    source: Source,
    device: torch.device,
    *,
    began: float,
    group: Group = ALONE,
) -> Plan:
    """Decide every open field.

    began: ``time.monotonic()`` when the command started; ``--minutes`` counts from there
    group: the processes that will train together: they time the run together, by one clock
    """
    notes: list[str] = []
    train.check_length()
    items = isinstance(dataset, ItemDataset)
    if train.row_blocks not in (None, 1) and not model.settle().writes:
        raise RequestError(f"--row-blocks has no effect with --task {model.task}; leave it out")
    if train.sample_every and not model.settle().writes:
        raise RequestError(f"a model for {model.task} writes no samples; leave out --sample-every")
    if items:  # their counts would run across the ends of items
        train = replace(train, counts=False)
    trials = Trials(dataset, source, device, group)
    minutes = train.minutes
    if minutes is not None and model.hidden_size is None and model.cell == "lstm":
        model, train, reason = _with_recipe(model, train, minutes, trials, began)
        notes.append(reason)
    model = replace(model, hidden_size=model.settle().hidden_size)
    B, T = dataset.window(train.batch_size, train.seq_len)
    open_batch = train.batch_size is None and B != DEFAULT_BATCH_SIZE
    open_window = train.seq_len is None and T != DEFAULT_SEQ_LEN
    if (open_batch or open_window) and not items:
        notes.append(
            f"small corpus: batch size {B} and window {T} instead of {DEFAULT_BATCH_SIZE} and "
            f"{DEFAULT_SEQ_LEN}"
        )
    blocks_are_open = train.row_blocks is None
    group.check(B)
    train = _with_window(model, train, B, T, device)
    if minutes is not None and blocks_are_open:
        train, reason = _with_fastest_blocks(model, train, minutes, trials)
        notes.extend([reason] if reason else [])
    settled = settle_length(model, train, trials, began=began, may_split=blocks_are_open)
    return replace(settled, notes=(*notes, *settled.notes))


def settle_length(
    model: ModelOptions,
    train: TrainOptions,
    trials: Trials,
    *,
    began: float,
    may_split: bool,
    begin: int = 0,
) -> Plan:
    """Decide the number of steps and what follows from it; nothing else may be open but dropout.

    may_split: whether a run with --minutes may change its number of blocks
    begin: the step at which the leg begins that is planned (``charlm.training.legs``)
    """
    dataset, minutes, pace, split = trials.dataset, train.minutes, None, None
    B, T = train.batch_size or 1, train.seq_len or 1
    notes: list[str] = []
    steps_per_epoch = dataset.steps_per_epoch(B, T)
    if minutes is not None:
        steps, evaluations, costs = _fill(model, train, minutes, trials, began)
        if train.eval_every is None:
            train = replace(train, eval_every=math.ceil(steps / evaluations))
        notes.append(
            f"--minutes {minutes:g}: {1e3 * costs.update:.1f} ms per training step, so about "
            f"{steps:,} steps"
        )
        budget = minutes * 60 - trials.since(began)
        late = costs.total(steps, evaluations) - budget
        if late > max(1.0, 0.05 * 60 * minutes):
            notes.append(
                f"this run will take about {minutes * 60 + late:.0f} s: reading, timing and "
                "the end of the run need that long here; a lower --val-fraction helps"
            )
        pace = Pace(
            budget=max(0.0, budget),
            update=costs.update,
            evaluation=costs.evaluation + costs.save,
            final=costs.final,
            end=begin + steps,
            step=begin,
        )
        if may_split:
            blocks = train.row_blocks or 1
            split = _split(model.settle(), blocks, B, trials.device, costs.update)
    elif train.epochs is not None:
        steps = max(1, round(train.epochs * steps_per_epoch))
    elif train.steps is not None:
        steps = train.steps
    else:
        fewest, most = TrainOptions.DEFAULT_STEPS_BETWEEN
        steps = min(most, max(fewest, round(TrainOptions.DEFAULT_EPOCHS * steps_per_epoch)))
    complete = _complete(model, train, steps, steps_per_epoch, begin)
    if train.patience is None and complete[1].patience and dataset.can_validate:
        notes.append(
            f"the text will be read {(begin + steps) / steps_per_epoch:.0f} times: training stops "
            f"after {complete[1].patience} evaluations without an improvement (--patience 0: never)"
        )
    return Plan(*complete, tuple(notes), pace, split)


def _with_window(
    model: ModelOptions, train: TrainOptions, B: int, T: int, device: torch.device
) -> TrainOptions:
    """Decide what follows from the model, the window and the device."""
    settled = model.settle()
    return replace(
        train,
        batch_size=B,
        seq_len=T,
        precision=choose_precision(train.precision, device),
        orthogonalize_every=train.orthogonalize_every or ORTHOGONALIZE_EVERY,
        orthogonalizer=train.orthogonalizer or ORTHOGONALIZER,
        row_blocks=train.row_blocks or default_blocks(settled, B, device),
        learning_rate=train.learning_rate
        or default_learning_rate(train.optimizer, settled.hidden_size),
    )


def _with_recipe(
    model: ModelOptions,
    train: TrainOptions,
    minutes: float,
    trials: Trials,
    began: float,
) -> tuple[ModelOptions, TrainOptions, str]:
    """Choose the hidden size, and the batch size if it is open, by a short timing."""
    narrow = replace(model, hidden_size=recipe.NARROW)
    B, T = trials.dataset.window(train.batch_size, train.seq_len)
    trial = _complete(narrow, _with_window(narrow, train, B, T, trials.device), 1000, 1000)
    seconds = time_steps(trials.trainer(*trial), min(2.0, 1.2 * minutes))
    # As if the window were the default one, and a tenth of the time were not for training steps.
    seconds *= (DEFAULT_BATCH_SIZE * DEFAULT_SEQ_LEN) / (B * T)
    left = minutes * 60 - trials.since(began)
    chosen = recipe.choose(
        max(0, int(0.9 * left / seconds)),
        trials.dataset.train_symbols,
        processor=trials.device.type == "cpu",
        batch_is_open=train.batch_size is None and B == DEFAULT_BATCH_SIZE,
    )
    model = replace(model, hidden_size=chosen.hidden_size)
    train = replace(train, batch_size=chosen.batch_size or train.batch_size)
    return model, train, chosen.reason


def _with_fastest_blocks(
    model: ModelOptions,
    train: TrainOptions,
    minutes: float,
    trials: Trials,
) -> tuple[TrainOptions, str]:
    """Time one block of rows against one for each thread, if both make sense and there is time for
    that; the reason is empty if not."""
    several = most_blocks(model.settle(), train.batch_size or 1, trials.device)
    if several == 1 or minutes < 0.5:
        return train, ""
    taken: dict[int, float] = {}
    for blocks in (1, several):
        trial = _complete(model, replace(train, row_blocks=blocks), 1000, 1000)
        trainer = trials.trainer(*trial)
        taken[blocks] = time_steps(trainer, min(1.0, 0.6 * minutes))
    # One block on several threads is many times slower beside another busy program, so it must be
    # clearly faster now.
    best = 1 if WORTH_THE_RISK * taken[1] < taken[several] else several
    (other,) = set(taken) - {best}
    reason = (
        f"{best} block{'s' * (best > 1)} of rows: {1e3 * taken[best]:.1f} ms per training step, "
        f"with {other} {1e3 * taken[other]:.1f}"
    )
    return replace(train, row_blocks=best), reason


def _split(
    model: ModelConfig, blocks: int, batch_size: int, device: torch.device, update: float
) -> Split | None:
    """What the run can do if its number of blocks turns out to be slow."""
    several = most_blocks(model, batch_size, device)
    if several == 1:
        return None
    if blocks == 1:
        return Split(blocks=1, other=several, usual=update)
    if default_blocks(model, batch_size, device) == 1:
        return Split(blocks=several, other=1, usual=0.0, wait=2)
    return None


def _fill(
    model: ModelOptions,
    train: TrainOptions,
    minutes: float,
    trials: Trials,
    began: float,
) -> tuple[int, int, Costs]:
    """(steps, evaluations) that fill the time, and the costs that were measured.

    The speed depends on dropout, dropout on the number of steps, and that on the speed. So start
    from a guess, and time again if the guess was wrong about whether there is dropout.
    """
    steps_per_epoch = trials.dataset.steps_per_epoch(train.batch_size or 1, train.seq_len or 1)
    guess = 1000
    for _ in range(2):
        trial = _complete(model, train, guess, steps_per_epoch)
        costs = measure(trials.trainer(*trial), seconds=minutes * 60)
        budget = minutes * 60 - trials.since(began)
        steps, evaluations = costs.plan(budget, train.eval_every)
        planned, _ = _complete(model, train, steps, steps_per_epoch)
        if bool(planned.dropout) == bool(trial[0].dropout):
            break
        guess = steps
    return steps, evaluations, costs


def _complete(
    model: ModelOptions, train: TrainOptions, steps: int, steps_per_epoch: int, begin: int = 0
) -> tuple[ModelConfig, TrainConfig]:
    """Decide what follows from the number of steps, after ``begin`` of earlier legs."""
    eval_every = train.eval_every or max(LEAST_INTERVAL, math.ceil(steps / EVALUATIONS))
    patience = train.patience
    if patience is None:
        patience = default_patience((begin + steps) / steps_per_epoch, steps / eval_every)
    decided = {
        "steps": steps,
        "patience": patience,
        "eval_every": eval_every,
        "save_every": train.save_every or eval_every,
    }
    dropout, embedding_dropout = model.dropout, model.embedding_dropout
    if dropout is None:
        dropout = default_dropout(
            steps / steps_per_epoch, model.settle().hidden_size, items=model.task == "items"
        )
    if embedding_dropout is None:
        embedding_dropout = dropout
    return (
        replace(model, dropout=dropout, embedding_dropout=embedding_dropout).settle(),
        TrainConfig(**(train.to_dict() | decided)),
    )


@dataclass(frozen=True)
class Costs:
    """The time in seconds of each part of a run."""

    update: float
    evaluation: float
    save: float
    final: float

    def plan(self, budget: float, eval_every: int | None) -> tuple[int, int]:
        """(steps, evaluations) that fill ``budget`` seconds, the end of the run included.

        Evaluations take a limited share of it, but there are a few unless they would take most of
        it. If the time is too short for anything, there are ``LEAST_STEPS`` all the same.
        """
        left = budget - self.final - self.save
        each = self.evaluation + self.save
        if eval_every is None:
            few = FEWEST_EVALUATIONS if 4 * FEWEST_EVALUATIONS * each < left else 1
            evaluations = max(few, min(EVALUATIONS, int(EVALUATION_SHARE * left / each)))
            # One more evaluation before the first step; any of them may save a new best model.
            steps = int((left - (evaluations + 1) * each) / self.update)
        else:
            steps = int((left - each) / (self.update + each / eval_every))
            evaluations = max(1, steps // eval_every)
        return max(LEAST_STEPS, steps), evaluations

    def total(self, steps: int, evaluations: int) -> float:
        """Seconds from step 0 until everything is done."""
        each = self.evaluation + self.save
        return steps * self.update + (evaluations + 1) * each + self.save + self.final


def measure(trainer: Trainer, *, seconds: float) -> Costs:
    """Time a copy of the run of ``seconds``, which is then discarded."""
    dataset = trainer.dataset
    per_update = time_steps(trainer, min(6.0, 0.06 * seconds))
    evaluation = 0.0
    if isinstance(dataset, ItemDataset):
        some = dataset.beginning(TIMED_ITEMS)
        learning = learning_of(trainer.model.config, some, trainer.device)
        if dataset.can_validate:
            evaluate_some = partial(learning.validation_nats, trainer.model, never, trainer.group)
            evaluate_some()
            evaluation = (
                trainer.group.agree(_timed(evaluate_some)) * len(dataset.val) / len(some.val)
            )
    elif dataset.can_validate:
        # Two lengths tell the fixed part (warm-up of the streams) from the cost of a character.
        ids = dataset.val_ids
        short = ids[: min(len(ids), 2 * evaluate.STREAMS * WARMUP)]
        evaluate.mean_nats(trainer.model, short[: len(short) // 2 + 2])
        timed = trainer.group.agree
        half = timed(
            _timed(lambda: evaluate.mean_nats(trainer.model, short[: len(short) // 2 + 2]))
        )
        whole = timed(_timed(lambda: evaluate.mean_nats(trainer.model, short)))
        per_id = max(0.0, whole - half) / (len(short) / 2)
        evaluation = whole + per_id * (min(len(ids), evaluate.MAX_TARGETS) - len(short))
    state = trainer.whole_state()
    save = 2 * _timed(lambda: dump(trainer.checkpoint(resumable=True, state=state)))
    agree = trainer.group.agree
    return Costs(per_update, evaluation, agree(save), agree(_final(trainer)))


def time_steps(trainer: Trainer, limit: float) -> float:
    """The seconds of one training step, timed for ``limit`` seconds after half as many to warm up
    caches and thread pools."""

    def updates(seconds: float) -> list[float]:
        """Seconds of each training step, until they sum to ``seconds``; at least one."""
        durations: list[float] = []
        while sum(durations) < seconds:
            began = time.perf_counter()
            trainer.advance(trainer.streams.batch(trainer.progress.step))
            trainer.read()
            durations.append(trainer.group.agree(time.perf_counter() - began))
        return durations

    updates(0.5 * limit)
    # A little below the median: the first seconds are slower than the rest of a run (measured: by 3
    # to 7 percent), and a short burst of another program's work must not shorten the whole run.
    durations = sorted(updates(limit))
    return durations[len(durations) // 3]


def _final(trainer: Trainer) -> float:
    """The seconds that the end of the run will take: counting, and the exact pass over the
    validation text."""
    model, dataset = trainer.checkpoint(resumable=False), trainer.dataset
    if not dataset.can_validate:
        return 0.0
    if isinstance(dataset, ItemDataset):
        part = dataset.beginning(TIMED_ITEMS)
        seconds = _timed(lambda: exact_loss(model, part, trainer.device))
        return seconds * len(dataset.exact) / len(part.val)
    network = network_on(trainer.device, model.config, model.weights)
    predictor, seconds = network, 0.0
    if trainer.config.counts:
        vocab_size = model.config.vocab_size
        train_ids = np.asarray(dataset.train_ids[-50_000:])
        val_ids = dataset.exact_ids[:4000]
        began = time.perf_counter()
        ngram = NGramModel.fit(train_ids, vocab_size, counts.ORDERS[-1])
        counted = time.perf_counter()
        weights = counts.fit_weights(network, ngram, val_ids)
        fitted = time.perf_counter()
        most = counts.most_counted(dataset.train_ids)
        larger = min(len(dataset.train_ids), most) / len(train_ids)
        more = counts.num_fitted(len(dataset.val_ids), vocab_size) / len(val_ids)
        # Choosing the order costs as much as counting; sorting more takes longer for each number.
        seconds = 2.5 * larger * (counted - began) + max(1.0, more) * (fitted - counted)
        predictor = Mixed(network, ngram, weights)
    some = dataset.exact_ids[:2000]
    surprisals(predictor, some[:500])
    each = _timed(lambda: surprisals(predictor, some)) / max(1, len(some))
    return seconds + each * len(dataset.exact_ids)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
