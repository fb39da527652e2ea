"""Open settings are decided before step 0: by defaults, by epochs, or by --minutes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

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
from charlm.text import dataset as data
from charlm.text.tokenizer import CharTokenizer
from charlm.training import plan, recipe
from charlm.training.pace import Pace
from charlm.training.plan import Costs, Plan
from charlm.training.rows import Split
from charlm.training.trainer import Trainer

CPU = torch.device("cpu")


def corpus_of(length: int) -> data.Dataset:
    text = "abcdefgh" * (length // 8 + 1)
    texts = data.Texts.of(text[:length], text[:100])
    return data.encode(texts, CharTokenizer("abcdefgh"))


def settle(
    length: int = 10_000, *, shape: dict[str, Any] | None = None, ago: float = 0.0, **options: Any
) -> Plan:
    model = ModelOptions(**({"vocab_size": 8, "hidden_size": 16} | (shape or {})))
    return plan.settle(
        model,
        TrainOptions(**options),
        corpus_of(length),
        data.Source(("x",)),
        CPU,
        began=time.monotonic() - ago,
    )


# ---------------------------------------------------------------------------------------- defaults


def test_nothing_is_left_open() -> None:
    settled = settle()
    optional = {"epochs", "minutes"}
    assert all(v is not None for v in settled.model.to_dict().values())
    assert {k for k, v in settled.train.to_dict().items() if v is None} == optional
    assert settled.train.precision in ("float32", "bfloat16")
    assert settled.train.learning_rate == default_learning_rate("muon", 16)


def test_the_default_length_is_eight_passes_within_reason() -> None:
    """64 x 64 of a training part of 400 x 4096 + 1: 400 steps an epoch."""
    assert settle(400 * 4096 + 1).train.steps == 8 * 400
    assert settle(10_000).train.steps == 1500
    assert settle(4_000_000).train.steps == 8 * (3_999_999 // 4096)
    assert TrainConfig.DEFAULT_STEPS_BETWEEN == (1500, 20_000)


def test_epochs_are_counted_in_windows() -> None:
    """Of 10,000 characters 9,999 are targets: 39 windows of 16 x 16."""
    options: dict[str, Any] = {"batch_size": 16, "seq_len": 16}
    assert settle(epochs=2.0, **options).train.steps == 78
    assert settle(epochs=0.5, **options).train.steps == 20
    assert settle(epochs=1e-9, **options).train.steps == 1


def test_what_is_asked_for_is_kept() -> None:
    settled = settle(
        steps=77,
        batch_size=3,
        seq_len=5,
        learning_rate=0.25,
        eval_every=9,
        save_every=11,
        precision="float32",
        shape={"dropout": 0.3},
    )
    expected = {
        "steps": 77,
        "batch_size": 3,
        "seq_len": 5,
        "learning_rate": 0.25,
        "eval_every": 9,
        "save_every": 11,
        "precision": "float32",
    }
    assert expected.items() <= settled.train.to_dict().items()
    assert settled.model.dropout == 0.3
    assert settled.notes == ()


@pytest.mark.parametrize(("steps", "interval"), [(1000, 50), (999, 50), (500, 25), (40, 25)])
def test_a_run_is_evaluated_twenty_times_but_not_too_often(steps: int, interval: int) -> None:
    train = settle(steps=steps).train
    assert (train.eval_every, train.save_every) == (interval, interval)


def test_saving_goes_with_evaluating_unless_asked() -> None:
    assert settle(steps=100, eval_every=7).train.save_every == 7


def test_default_dropout_is_none_for_few_passes_and_grows_to_four_tenths() -> None:
    assert default_dropout(0.5) == default_dropout(4) == 0.0
    rates = [default_dropout(epochs) for epochs in (4, 5, 8, 16, 32, 64, 1e4, 1e9)]
    assert rates == sorted(rates)
    assert rates[1] > 0
    assert rates[-1] == 0.4


def test_dropout_follows_from_the_planned_epochs() -> None:
    assert settle(epochs=4.0).model.dropout == 0.0
    assert settle(epochs=16.0).model.dropout == pytest.approx(default_dropout(16), abs=0.01)
    windows = (10_000 - 1) // (16 * 16)
    by_steps = settle(steps=8 * windows, batch_size=16, seq_len=16)
    assert by_steps.model.dropout == default_dropout(8) > 0
    assert settle(epochs=16.0, shape={"dropout": 0.0}).model.dropout == 0.0


def test_the_embeddings_have_the_same_dropout_unless_another_is_asked_for() -> None:
    assert settle(epochs=4.0).model.embedding_dropout == 0.0
    assert settle(epochs=16.0).model.embedding_dropout == pytest.approx(
        default_dropout(16), abs=0.01
    )
    assert settle(shape={"dropout": 0.3}).model.embedding_dropout == 0.3
    other = settle(epochs=16.0, shape={"embedding_dropout": 0.35}).model
    assert other.embedding_dropout == 0.35 != other.dropout
    stored = other.to_dict()
    del stored["embedding_dropout"]  # as in files from before
    assert ModelConfig.from_dict(stored).embedding_dropout == 0.0


def test_a_small_corpus_gets_a_smaller_window_and_says_so() -> None:
    settled = settle(3000)
    B, T = settled.train.window
    assert B * T * 8 <= 3000
    assert settled.notes[0].startswith(f"small corpus: batch size {B} and window {T}")


@pytest.mark.parametrize(
    "two",
    [{"epochs": 1.0, "steps": 5}, {"steps": 5, "minutes": 1.0}, {"epochs": 1.0, "minutes": 1}],
)
def test_two_lengths_are_refused(two: dict[str, Any]) -> None:
    one, other = (f"--{name}" for name in ("epochs", "steps", "minutes") if name in two)
    with pytest.raises(RequestError, match=f"{one} and {other} both set"):
        settle(**two)


# ----------------------------------------------------------------------------------------- minutes


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> Costs:
    """A step takes 10 ms, an evaluation 0.4 s, a save 0.1 s, the exact loss at the end 3 s."""
    known = Costs(update=0.01, evaluation=0.4, save=0.1, final=3.0)
    monkeypatch.setattr(plan, "measure", lambda *a, **k: known)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    return known


def test_minutes_fix_the_steps_by_hand(costs: Costs) -> None:
    """Of 60 s, the end takes 3.1. A twentieth of 56.9 s is enough for 5 evaluations of half a
    second; with the one before the first step that is 3 s, which leaves 53.9 s for 5,390 steps."""
    settled = settle(minutes=1.0)
    assert settled.train.steps == 5390
    assert settled.train.eval_every == 1078
    assert "10.0 ms per training step, so about 5,390 steps" in settled.notes[-1]


def test_what_has_passed_since_the_start_counts(costs: Costs) -> None:
    """Half a minute later 26.9 s are left: for the fewest evaluations, four and the one before the
    first step, 2.5 s, and 24.4 s of steps."""
    assert settle(minutes=1.0, ago=30.0).train.steps == 2440


def test_an_interval_that_is_asked_for_is_paid_for(costs: Costs) -> None:
    """A step costs 10 ms and a hundredth of half a second: 15 ms of 56.4 s."""
    settled = settle(minutes=1.0, eval_every=100)
    assert settled.train.steps == 3760
    assert settled.train.eval_every == 100


def test_dropout_follows_from_the_steps_that_the_clock_allows(costs: Costs) -> None:
    settled = settle(minutes=1.0, batch_size=16, seq_len=16)
    assert settled.model.dropout == default_dropout(5390 / 39)


@pytest.mark.parametrize("budget", [30.0, 60.0, 600.0, 3600.0])
@pytest.mark.parametrize("every", [None, 10, 1000])
def test_a_plan_fits_its_budget(budget: float, every: int | None) -> None:
    costs = Costs(update=0.01, evaluation=0.4, save=0.1, final=3.0)
    steps, _ = costs.plan(budget, every)
    every = every or math.ceil(steps / costs.plan(budget, None)[1])
    spent = steps * 0.01 + (1 + steps // every) * 0.5 + 3.1
    assert 0.9 * budget < spent <= budget + 0.6


def test_too_few_minutes_are_used_all_the_same_and_said(costs: Costs) -> None:
    """The end of the run alone takes 3.1 s, longer than the 3 s that were asked for."""
    settled = settle(minutes=0.05)
    assert settled.train.steps == plan.LEAST_STEPS
    # 10 steps, two evaluations, the end.
    assert "this run will take about 4 s: reading, timing and the end" in settled.notes[-1]
    assert "this run will take" not in "".join(settle(minutes=0.2).notes)


def test_few_seconds_are_not_spent_on_evaluations(costs: Costs) -> None:
    """Of 6 s, 3.1 are for the end; four evaluations would take most of the rest."""
    settled = settle(minutes=0.1)
    assert settled.train.eval_every == settled.train.steps == 190


def test_the_pace_is_that_of_the_plan(costs: Costs) -> None:
    settled = settle(minutes=1.0, ago=12.0)
    assert settled.pace == Pace(48.0, 0.01, 0.5, 3.0, settled.train.steps)
    assert settle(steps=10).pace is None


def test_measure_times_a_throwaway_copy() -> None:
    """No figure of a clock is checked, only that each is one and that nothing is left behind."""
    dataset = corpus_of(3000)
    model = ModelConfig.resolve(vocab_size=8, hidden_size=8)
    train = TrainConfig(
        batch_size=4,
        seq_len=8,
        learning_rate=0.01,
        steps=1000,
        precision="float32",
        optimizer="adamw",
        eval_every=100,
        save_every=100,
    )
    found = plan.measure(Trainer(model, train, dataset, data.Source(("x",)), CPU), seconds=1.0)
    for seconds in (found.update, found.save, found.final):
        assert seconds > 0
    assert found.evaluation >= 0
    assert np.isfinite([found.update, found.save, found.final, found.evaluation]).all()


# ------------------------------------------------------------------------------------------ recipe


@pytest.fixture
def steps_take(monkeypatch: pytest.MonkeyPatch, costs: Costs) -> Callable[[float], None]:
    """Set the seconds that a training step of a small batch is found to take."""

    def set_to(seconds: float) -> None:
        monkeypatch.setattr(plan, "time_steps", lambda trainer, limit: seconds)

    return set_to


def test_the_width_follows_from_the_steps_that_fit(steps_take: Callable[[float], None]) -> None:
    """A step of 32x64 characters counts as half a step of 64x64."""
    text: dict[str, Any] = {"length": 40_000, "minutes": 1.0, "shape": {"hidden_size": None}}
    steps_take(0.05)
    few = settle(**text)
    assert (few.model.hidden_size, few.train.batch_size) == (256, 32)
    assert few.notes[0].startswith("256 units: about 1,080 steps")
    assert few.notes[0].endswith("batches of 32 give twice as many")
    steps_take(0.005)
    many = settle(**text)
    assert (many.model.hidden_size, many.train.batch_size) == (
        256,
        32,
    )  # 40,000 characters are too few for more
    assert "would learn 40,000 characters by heart" in many.notes[0]


def test_another_number_of_blocks_can_be_tried_where_it_may_be_faster() -> None:
    def split(hidden: int, blocks: int, batch: int = 64, cell: str = "lstm") -> Any:
        model = ModelConfig.resolve(vocab_size=5, hidden_size=hidden, cell=cell)
        return plan._split(model, blocks, batch, torch.device("cpu"), 0.1)

    with mock.patch("torch.get_num_threads", return_value=2):
        assert split(512, 1) == Split(blocks=1, other=2, usual=0.1)
        assert split(512, 2) == Split(blocks=2, other=1, usual=0.0, wait=2)
        assert split(256, 1) == Split(blocks=1, other=2, usual=0.1)
        assert split(256, 2) is None  # two are the fastest on a busy machine as well
        assert split(512, 1, batch=16) is None and split(512, 1, cell="gru") is None


def test_the_thresholds_of_the_recipe() -> None:
    (widest, _), (wide, _) = recipe.WIDER
    long = recipe.WIDE_FROM_CHARACTERS
    for steps, length, width, batch in [
        (0, long, 256, None),  # not read once
        (500, 1_024_000, 256, 32),  # read exactly twice
        (499, 1_024_000, 256, None),
        (wide - 1, long, 256, 32),
        (wide, long, 384, 32),
        (wide, long - 1, 256, 32),
        (widest - 1, long, 384, 32),
        (widest, long, 512, None),
        (widest, long - 1, 256, 32),
    ]:
        chosen = recipe.choose(steps, length)
        assert (chosen.hidden_size, chosen.batch_size) == (width, batch)
        assert (f"batches of {batch}" in chosen.reason) == (batch is not None)
    for options in ({"batch_is_open": False}, {"processor": False}):
        assert recipe.choose(wide - 1, long, **options).batch_size is None


def test_what_is_asked_for_wins_over_the_recipe(steps_take: Callable[[float], None]) -> None:
    steps_take(0.05)
    open_width = {"hidden_size": None}
    asked = settle(40_000, minutes=1.0, shape={"hidden_size": 24})
    assert asked.model.hidden_size == 24
    assert asked.train.batch_size == 64
    assert not any("units" in note for note in asked.notes)
    batch = settle(40_000, minutes=1.0, shape=open_width, batch_size=48)
    assert (batch.model.hidden_size, batch.train.batch_size) == (256, 48)
    assert not any("batches of 32" in note for note in batch.notes)
    gru = settle(40_000, minutes=1.0, shape=open_width | {"cell": "gru"})
    assert (gru.model.hidden_size, gru.train.batch_size) == (256, 64)
    steps = settle(40_000, steps=100, shape=open_width)
    assert (steps.model.hidden_size, steps.train.batch_size) == (256, 64)


# ---------------------------------------------------------------------------------------- patience


@pytest.mark.parametrize(
    ("epochs", "evaluations", "expected"),
    [(187, 20, 5), (10, 20, 0), (10.1, 20, 5), (100, 10, 0), (100, 11, 5), (100, 60, 15)],
)
def test_a_text_that_is_read_many_times_has_patience(
    epochs: float, evaluations: float, expected: int
) -> None:
    assert default_patience(epochs, evaluations) == expected


def test_patience_is_said_and_can_be_turned_off() -> None:
    early = settle(5000, steps=1500)
    assert early.train.patience == 5
    assert "training stops after 5 evaluations without an improvement" in early.notes[-1]
    never = settle(5000, steps=1500, patience=0)
    assert never.train.patience == 0
    assert not any("stops" in note for note in never.notes)
    assert settle(40_000, steps=50).train.patience == 0


# ---------------------------------------------------------------------------------- blocks of rows


@pytest.mark.parametrize(("one", "two", "chosen"), [(0.03, 0.02, 2), (0.02, 0.03, 1)])
def test_with_minutes_the_faster_number_of_blocks_is_taken(
    one: float, two: float, chosen: int, costs: Costs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    taken = {1: one, 2: two}
    monkeypatch.setattr(plan, "time_steps", lambda trainer, limit: taken[trainer.config.row_blocks])
    settled = settle(40_000, minutes=1.0)
    assert settled.train.row_blocks == chosen
    assert f"{chosen} block" in settled.notes[0] and "20.0 ms per training step" in settled.notes[0]
    assert settle(40_000, minutes=1.0, row_blocks=3).train.row_blocks == 3
    assert settle(40_000, steps=10).train.row_blocks == 2
    assert settle(40_000, minutes=0.1).train.row_blocks == 2
