"""--minutes as a promise: a simulated machine changes its speed, and the run ends in time."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charlm import checkpoint
from charlm.config import ModelConfig, TrainConfig
from charlm.errors import CheckpointError
from charlm.rundir import Run
from charlm.text.dataset import Dataset, Source
from charlm.training.optim import learning_rate
from charlm.training.pace import Pace
from charlm.training.rows import Split
from charlm.training.state import Progress
from charlm.training.trainer import Ending, Trainer

STEPS, EVERY = 600, 120
PACE = Pace(budget=60.0, update=0.09, evaluation=0.5, final=2.0, end=STEPS)


class Machine:
    """A clock that moves only when the trainer works, at a speed that depends on the time."""

    def __init__(self, speed: Callable[[float], float]) -> None:
        self.now, self._speed = 0.0, speed

    def work(self, seconds: float) -> None:
        self.now += seconds / self._speed(self.now)


class Listener:
    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def updated(self, step: int, nats: float, characters: int) -> None: ...
    def evaluated(self, record: dict[str, Any]) -> None:
        self.records.append(record)

    def sampled(self, text: str) -> None: ...


@pytest.fixture
def made(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    numbers = itertools.count()

    def make(speed: Callable[[float], float], pace: Pace | None = PACE) -> Any:
        """A trainer on a machine, its run and its rates; nothing is computed."""
        machine = Machine(speed)
        model = ModelConfig.resolve(vocab_size=dataset.tokenizer.vocab_size, hidden_size=4)
        config = TrainConfig(
            batch_size=4,
            seq_len=10,
            optimizer="sgd",
            learning_rate=0.5,
            precision="float32",
            steps=STEPS,
            eval_every=EVERY,
            save_every=EVERY,
        )
        trainer = Trainer(model, config, dataset, Source(("tiny",)))
        trainer.progress.pace = pace
        rates: list[float] = []

        def update(batch: Any) -> float:
            machine.work(0.09)
            rates.append(learning_rate(config, trainer.place))
            trainer.progress.step += 1
            return 1.0

        def mean_nats(*args: Any, **kwargs: Any) -> float:
            machine.work(0.5)
            return 1.0

        monkeypatch.setattr(trainer, "update", update)
        monkeypatch.setattr("charlm.training.evaluate.mean_nats", mean_nats)
        monkeypatch.setattr(time, "monotonic", lambda: machine.now)
        run = Run(tmp_path / f"run-{next(numbers)}")
        run.path.mkdir()
        return trainer, machine, run, rates

    return make


@pytest.mark.parametrize(
    "speed",
    [
        pytest.param(lambda t: 1.0, id="as measured"),
        pytest.param(lambda t: 0.5, id="half as fast"),
        pytest.param(lambda t: 2.5, id="much faster"),
        pytest.param(lambda t: 0.5 if t < 30 else 1.0, id="busy in the first half"),
        pytest.param(lambda t: 1.0 if t < 30 else 0.5, id="busy in the second half"),
        pytest.param(lambda t: 0.3 if 20 < t < 40 else 1.0, id="busy in the middle"),
        pytest.param(lambda t: 0.25 if 20 < t < 50 else 1.0, id="busy until near the end"),
        pytest.param(lambda t: 0.1 if t < 15 else 1.0, id="nearly stopped at first"),
        pytest.param(lambda t: 0.6 + 0.4 * math.sin(t), id="up and down"),
    ],
)
def test_a_run_ends_within_a_twentieth_of_its_time(
    made: Any, speed: Callable[[float], float]
) -> None:
    trainer, machine, run, rates = made(speed)
    listener = Listener()
    assert trainer.run(run, listener) is Ending.COMPLETE
    machine.work(PACE.final)
    assert 0.95 * 60 < machine.now < 1.05 * 60
    # The schedule is whole: it warms up, falls to its end without a jump, and is evaluated there.
    assert rates[-1] < 0.05 * max(rates)
    assert max(abs(np.diff(rates[60:]))) < 0.05 * max(rates)
    assert listener.records[-1]["step"] == trainer.progress.step == trainer.end
    assert len(listener.records) == 1 + STEPS // EVERY


def test_without_a_pace_the_number_of_steps_is_the_promise(made: Any) -> None:
    """The control: the same busy machine takes twice the time."""
    trainer, machine, run, rates = made(lambda t: 0.5, pace=None)
    trainer.run(run, Listener())
    assert trainer.progress.step == STEPS
    assert machine.now > 100
    assert rates == [learning_rate(trainer.config, step) for step in range(STEPS)]


def test_the_plan_is_logged_stored_and_resumed(made: Any) -> None:
    trainer, machine, run, _ = made(lambda t: 0.5)
    listener = Listener()
    assert trainer.run(run, listener, stop_at=200) is Ending.STOP_AT
    planned = [record["planned_steps"] for record in run.read_log()]
    assert planned[0] == STEPS and planned[-1] < 0.6 * STEPS
    saved = checkpoint.read(run.last)
    again, machine, _, rates = made(lambda t: 0.5)
    assert saved.training is not None
    again.progress = Progress.from_dict(json.loads(json.dumps(saved.training["progress"])))
    assert again.progress.pace == trainer.progress.pace != PACE
    assert again.place == trainer.place
    assert again.end == trainer.end
    machine.now = 1000.0  # it is resumed much later
    assert again.run(run, Listener()) is Ending.COMPLETE
    used = again.progress.seconds + 2 * PACE.final
    assert 0.95 * 60 < used < 1.05 * 60
    assert rates[-1] < 0.1 * max(rates)


def with_blocks(
    made: Any, monkeypatch: pytest.MonkeyPatch, costs: Callable[[float, int], float], split: Any
) -> tuple[Trainer, Machine, Run, list[int]]:
    """A trainer whose steps cost ``costs(time, blocks)`` seconds, and the blocks of every step."""
    trainer, machine, run, _ = made(lambda t: 1.0)
    trainer.progress.split = split
    blocks: list[int] = []

    def update(batch: Any) -> float:
        machine.work(costs(machine.now, trainer.row_blocks))
        blocks.append(trainer.row_blocks)
        trainer.progress.step += 1
        return 1.0

    monkeypatch.setattr(trainer, "update", update)
    return trainer, machine, run, blocks


SPLIT = Split(blocks=1, other=2, usual=0.09)


def test_beside_another_program_the_rows_are_cut_into_blocks(
    made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One block is faster on an idle machine, two while another program runs (20 to 50 s)."""

    def costs(now: float, blocks: int) -> float:
        return [0.36, 0.18][blocks - 1] if 20 < now < 50 else [0.09, 0.13][blocks - 1]

    trainer, machine, run, blocks = with_blocks(made, monkeypatch, costs, SPLIT)
    assert trainer.run(run, Listener()) is Ending.COMPLETE
    machine.work(PACE.final)
    assert 0.95 * 60 < machine.now < 1.05 * 60
    first = blocks.index(2)
    assert 18 / 0.09 < first < 26 / 0.09
    assert np.mean(np.array(blocks[first:]) == 2) > 0.7
    assert {record["row_blocks"] for record in run.read_log()} == {1, 2}
    fixed, machine, run, blocks = with_blocks(made, monkeypatch, costs, None)
    fixed.run(run, Listener())
    assert set(blocks) == {1}  # the control
    assert trainer.progress.step > 1.15 * fixed.progress.step


def test_what_does_not_help_is_rarely_tried(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def costs(now: float, blocks: int) -> float:
        return [0.2, 0.25][blocks - 1]

    trainer, _, run, blocks = with_blocks(made, monkeypatch, costs, SPLIT)
    trainer.run(run, Listener())
    assert 0 < np.mean(np.array(blocks) == 2) < 0.15
    tried = np.flatnonzero(np.diff(blocks) == 1)
    assert (np.diff(np.diff(tried)) > 0).all() and len(tried) > 2  # ever more rarely


def test_a_split_by_hand() -> None:
    assert SPLIT.again(0.1) == SPLIT  # not slow enough
    trial = SPLIT.again(0.3)
    assert (trial.blocks, trial.other, trial.before) == (2, 1, 0.3)
    kept = trial.again(0.2)
    assert (kept.blocks, kept.before, kept.wait) == (2, 0.0, 2)
    back = trial.again(0.29)  # hardly faster
    assert (back.blocks, back.other, back.before, back.wait) == (1, 2, 0.0, 4)
    for left in (3, 2, 1, 0):
        back = back.again(0.3)
        assert (back.blocks, back.wait) == (1, left)
    assert back.again(0.3).again(0.3).wait == 8
    assert kept.again(0.2).again(0.2).again(0.2).blocks == 1  # two blocks are slow as well
    # Planned on a busy machine: one block is tried after two plans, and is usual if it is faster.
    unsure = Split(blocks=2, other=1, usual=0.0, wait=2).again(0.13).again(0.13)
    assert unsure.blocks == 2
    one = unsure.again(0.13)
    assert (one.blocks, one.before) == (1, 0.13)
    assert one.again(0.09) == dataclasses.replace(one, usual=0.09, before=0.0, wait=2)
    assert one.again(0.13).blocks == 2


@pytest.mark.parametrize(
    "change", [{"blocks": 0}, {"other": 1e3}, {"usual": math.nan}, {"more": 1}, {"wait": True}]
)
def test_a_damaged_split_is_refused(change: dict[str, Any]) -> None:
    values = json.loads(json.dumps(dataclasses.asdict(SPLIT)))
    assert Split.from_dict(values) == SPLIT
    assert Split.from_dict(None) is None
    with pytest.raises(CheckpointError, match="blocks are damaged"):
        Split.from_dict(values | change)


def test_places_by_hand() -> None:
    pace = Pace(10.0, 0.1, 0.0, 0.0, end=100)
    assert [pace.at(step, 100) for step in (0, 1, 99, 100)] == [0.0, 1.0, 99.0, 100.0]
    # At step 40, 4 s are left and a step takes 0.2 s: 20 more steps, each three places.
    pace = dataclasses.replace(pace, recent=0.2)
    again = pace.again(40, 100, used=6.0, update=0.2, evaluations=0)
    assert (again.end, again.step, again.place) == (60, 40, 40.0)
    assert [again.at(step, 100) for step in (40, 41, 60)] == [40.0, 43.0, 100.0]
    # Evaluations and the end are slower as well, by half at most: 2.5 s are left.
    dear = dataclasses.replace(pace, evaluation=0.25, final=0.5)
    assert dear.again(40, 100, used=6.0, update=0.2, evaluations=2).end == 52
    # An evaluation that was just made says what those to come cost; steps are half as fast now.
    for took, usual in ((0.5, 0.25), (0.1, 0.1), (1.0, 0.5), (0.3, 0.25)):
        known = dear.again(40, 100, used=6.0, update=0.2, evaluations=2, evaluation=took)
        assert known.evaluation == usual
        assert known.end == 40 + int((4.0 - 1.5 * (0.5 + 2 * usual)) / 0.2)
    # Faster than at the start: the end of the run is not believed to be faster.
    fast = dataclasses.replace(dear, recent=0.05)
    assert fast.again(40, 100, used=6.0, update=0.05, evaluations=2).end == 100
    # Nothing is left: the run ends here.
    over = pace.again(40, 100, used=11.0, update=0.2, evaluations=0)
    assert over.end == 40 and over.at(40, 100) == 100.0


@pytest.mark.parametrize(
    "change",
    [{"end": 1.5}, {"end": -1}, {"budget": "60"}, {"place": math.nan}, {"more": 1}, {"step": True}],
)
def test_a_damaged_pace_is_refused(change: dict[str, Any]) -> None:
    values = json.loads(json.dumps(dataclasses.asdict(PACE)))
    assert Pace.from_dict(values) == PACE
    assert Pace.from_dict(None) is None
    with pytest.raises(CheckpointError, match="pace is damaged"):
        Pace.from_dict(values | change)
    with pytest.raises(CheckpointError, match="pace is damaged"):
        Pace.from_dict("now")
