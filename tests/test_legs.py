"""A finished run goes on: the schedule of every leg, exact resume within it, best model and log."""

from __future__ import annotations

import itertools
import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from charlm import checkpoint, launch
from charlm.cli.train import _goes_on_already
from charlm.config import ModelConfig, TrainConfig
from charlm.counts import read as read_counts
from charlm.errors import CheckpointError
from charlm.rundir import Run
from charlm.text import dataset as data
from charlm.training.group import ALONE, Group
from charlm.training.legs import Leg
from charlm.training.optim import learning_rate
from charlm.training.pace import Pace
from charlm.training.state import Progress
from charlm.training.trainer import Ending, Trainer

Invoke = Callable[..., Result]

FIRST, SECOND = 9, 8
"""Steps of two legs; an epoch has 6, so both end in the middle of one."""


@pytest.fixture(scope="module")
def little(text: str) -> data.Dataset:
    """207 characters to train on, 23 to validate: 6 steps of 2 x 17 an epoch."""
    texts = data.Texts.of(text[:207], text[207:230], name="little")
    return data.encode(texts, data.choose_tokenizer(texts))


def plan(**options: Any) -> TrainConfig:
    fixed: dict[str, Any] = {
        "batch_size": 2,
        "seq_len": 17,
        "optimizer": "adamw",
        "learning_rate": 0.01,
        "steps": FIRST,
        "warmup": 1,
        "precision": "float32",
        "eval_every": 4,
        "save_every": 3,
    }
    return TrainConfig(**(fixed | options))


def make(dataset: data.Dataset, config: TrainConfig, **shape: object) -> Trainer:
    options = {"hidden_size": 4, "num_layers": 2, "dropout": 0.3} | shape
    model = ModelConfig.resolve(vocab_size=dataset.tokenizer.vocab_size, **options)
    return Trainer(model, config, dataset, data.Source(("little.txt",)))


class Listener:
    def __init__(self) -> None:
        self.losses: list[float] = []

    def updated(self, step: int, nats: float, characters: int) -> None:
        self.losses.append(nats)

    def evaluated(self, record: dict[str, Any]) -> None: ...
    def sampled(self, text: str) -> None: ...


class Crash(BaseException):
    """Stands for whatever ends a process without a chance to save."""


class Crashing(Listener):
    def updated(self, step: int, nats: float, characters: int) -> None:
        raise Crash


def again(dataset: data.Dataset, run: Run, **shape: object) -> Trainer:
    """A fresh trainer from the run's last checkpoint, as the command makes it."""
    saved = checkpoint.read(run.last)
    assert saved.training is not None
    trainer = make(dataset, TrainConfig.from_dict(saved.training["config"]), **shape)
    trainer.restore(saved)
    assert json.loads(json.dumps(trainer.checkpoint(resumable=True).training)) == saved.training
    run.cut_log(trainer.progress.evaluated_at)
    return trainer


def left_by(run: Run) -> Any:
    """Everything that a run leaves, without times."""
    last, best = checkpoint.read(run.last), checkpoint.read(run.best)
    assert last.training is not None
    progress = last.training["progress"]
    legs = [{**leg, "seconds": 0} for leg in progress["legs"]]
    return (
        checkpoint.state_sha256(last),
        checkpoint.weights_sha256(best),
        [{k: v for k, v in record.items() if k != "seconds"} for record in run.read_log()],
        progress | {"seconds": 0, "legs": legs},
        last.training["config"],
        last.provenance,
        best.provenance,
    )


def first_leg(path: Path, dataset: data.Dataset, **options: Any) -> Run:
    path.mkdir()
    run = Run(path)
    assert make(dataset, plan(**options)).run(run, Listener()) is Ending.COMPLETE
    return run


# ------------------------------------------------------------------------------------- the schedule


def test_each_leg_warms_up_and_falls_by_hand(
    little: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    monkeypatch.setattr(
        "charlm.training.step.learning_rate",
        lambda config, place: rates.append(learning_rate(config, place)) or rates[-1],  # type: ignore[func-returns-value]
    )
    run = first_leg(tmp_path / "run", little, steps=10, warmup=50, final_learning_rate=0.1)
    trainer = again(little, run)
    trainer.go_on(replace(trainer.config, steps=20, learning_rate=0.004))
    trainer.run(run, Listener())

    def cosine(peak: float, warmup: int, total: int) -> list[float]:
        """Warm-up for a tenth of the leg, then half a cosine down to a tenth of the peak."""
        rising = [peak * (k + 1) / warmup for k in range(warmup)]
        shares = [0.5 + 0.5 * math.cos(math.pi * k / (total - warmup)) for k in range(total)]
        return rising + [peak * (0.1 + 0.9 * share) for share in shares[: total - warmup]]

    assert rates == pytest.approx(cosine(0.01, 1, 10) + cosine(0.004, 2, 20))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_at_a_constant_rate_two_legs_are_one_run(
    little: data.Dataset, tmp_path: Path, optimizer: str
) -> None:
    """Weights, optimizer, hidden state, batches and dropout go on as if there were no legs."""
    constant: dict[str, Any] = {"schedule": "constant", "warmup": 0, "optimizer": optimizer}
    whole = first_leg(tmp_path / "whole", little, steps=FIRST + SECOND, **constant)
    run = first_leg(tmp_path / "legs", little, **constant)
    trainer = again(little, run)
    trainer.go_on(replace(trainer.config, steps=SECOND))
    trainer.run(run, Listener())
    one, other = checkpoint.read(whole.last), checkpoint.read(run.last)
    assert checkpoint.state_sha256(one) == checkpoint.state_sha256(other)
    changed = replace(trainer.config, steps=SECOND, schedule="cosine")
    run = first_leg(tmp_path / "control", little, **constant)
    trainer = again(little, run)
    trainer.go_on(changed)
    trainer.run(run, Listener())
    assert checkpoint.state_sha256(one) != checkpoint.state_sha256(checkpoint.read(run.last))


def test_the_default_peak_is_that_of_the_first_leg(charlm: Invoke, finished: Path) -> None:
    first = training(finished)["config"]["learning_rate"]
    other = ["--learning-rate", 0.001]
    for given, rate in (([], first), (other, 0.001), ([], first)):
        assert charlm("train", "--resume", finished, "--steps", "+2", *given).exit_code == 0
        assert training(finished)["config"]["learning_rate"] == rate


# --------------------------------------------------------------------------------------- exactness


@pytest.fixture(scope="module")
def legs(little: data.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(a run after its first leg, what the uninterrupted second one leaves)"""
    path = tmp_path_factory.mktemp("legs")
    run = first_leg(path / "first", little, optimizer="muon")
    whole = Run(shutil.copytree(run.path, path / "whole"))
    trainer = again(little, whole)
    trainer.go_on(replace(trainer.config, steps=SECOND, eval_every=3))
    assert trainer.run(whole, Listener()) is Ending.COMPLETE
    return run, left_by(whole)


@pytest.mark.parametrize("how", ["stop_at", "interrupted"])
def test_within_a_leg_k_and_the_rest_are_the_whole_for_every_k(
    little: data.Dataset, tmp_path: Path, legs: Any, how: str
) -> None:
    first, whole = legs
    assert [r["step"] for r in whole[2]] == [0, 4, 8, 9, 12, 15, 17]
    for k in range(SECOND):
        run = Run(shutil.copytree(first.path, tmp_path / str(k)))
        trainer = again(little, run)
        trainer.go_on(replace(trainer.config, steps=SECOND, eval_every=3))
        stop = FIRST + k
        trainer.run(
            run,
            Listener(),
            stop_at=stop if how == "stop_at" else None,
            interrupted=lambda t=trainer, s=stop: how == "interrupted" and t.progress.step == s,  # type: ignore[misc]
        )
        assert trainer.progress.step == stop and trainer.ended is None
        assert again(little, run).run(run, Listener()) is Ending.COMPLETE
        assert left_by(run) == whole, f"k = {k}"


def test_a_leg_whose_process_was_killed_at_once_is_the_whole(
    little: data.Dataset, tmp_path: Path, legs: Any
) -> None:
    """The first thing that is saved is that another leg has begun."""
    first, whole = legs
    run = Run(shutil.copytree(first.path, tmp_path / "run"))
    trainer = again(little, run)
    trainer.go_on(replace(trainer.config, steps=SECOND, eval_every=3))
    with pytest.raises(Crash):
        trainer.run(run, Crashing())
    resumed = again(little, run)
    assert resumed.end == FIRST + SECOND and resumed.place == 0
    resumed.run(run, Listener())
    assert left_by(run) == whole


def test_the_law_above_can_fail(little: data.Dataset, tmp_path: Path, legs: Any) -> None:
    """A resume that forgets where the leg began is at another place of the schedule."""
    first, _ = legs
    run = Run(shutil.copytree(first.path, tmp_path / "run"))
    trainer = again(little, run)
    trainer.go_on(replace(trainer.config, steps=SECOND, eval_every=3))
    trainer.run(run, Listener(), stop_at=FIRST + 2)
    resumed = again(little, run)
    resumed.progress.legs = ()
    assert resumed.place != 2 and resumed.end != FIRST + SECOND


def test_a_run_from_before_there_were_legs_is_its_first_leg(legs: Any) -> None:
    saved = checkpoint.read(legs[0].last)
    assert saved.training is not None
    values = dict(saved.training["progress"])
    del values["legs"]
    assert Progress.from_dict(values) == Progress.from_dict(saved.training["progress"])
    assert Progress.from_dict(values).begin == 0


LEG = asdict(Leg(5, 0.01, 1.5))


@pytest.mark.parametrize(
    "wrong",
    [
        *("all", 7, {"steps": 5}, [None], [[]], [LEG | {"steps": 0}], [LEG | {"steps": 1.5}]),
        *([LEG | {"steps": -1}], [LEG | {"seconds": math.nan}], [LEG | {"more": 1}], [LEG] * 3),
        *([LEG | {"learning_rate": 0.0}], [LEG | {"learning_rate": "high"}], [LEG | {"steps": 11}]),
    ],
)
def test_damaged_legs_are_refused(wrong: Any) -> None:
    values = asdict(Progress(step=10)) | {"legs": [LEG]}
    assert Progress.from_dict(values).begin == 5
    with pytest.raises(CheckpointError, match="damaged"):
        Progress.from_dict(values | {"legs": wrong})


# ------------------------------------------------------------------------------------- in its time


def test_a_leg_with_a_time_ends_in_time(
    little: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that is half as fast as planned; the time of the first leg does not count."""
    now = itertools.count()
    clock = [0.0]

    def work(seconds: float) -> float:
        clock[0] += 2 * seconds
        return 1.0 - 1e-6 * next(now)

    run = first_leg(tmp_path / "run", little)
    trainer = again(little, run)
    trainer.progress.seconds = 1000.0
    config = replace(trainer.config, steps=600, warmup=50, eval_every=120)
    pace = Pace(60.0, update=0.09, evaluation=0.5, final=2.0, end=FIRST + 600, step=FIRST)
    trainer.go_on(config, pace)
    rates: list[float] = []

    def update(batch: Any) -> float:
        rates.append(learning_rate(trainer.config, trainer.place))
        trainer.progress.step += 1
        return work(0.09)

    monkeypatch.setattr(trainer, "update", update)
    monkeypatch.setattr("charlm.training.evaluate.mean_nats", lambda *_, **__: work(0.5))
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    assert trainer.run(run, Listener()) is Ending.COMPLETE
    assert 0.9 * 60 < clock[0] + 2 * 2.0 < 1.05 * 60
    assert 250 < len(rates) < 350
    assert rates[0] < 0.1 * max(rates) and rates[-1] < 0.1 * max(rates)
    assert len([r for r in run.read_log() if r.get("leg") == 2]) == 5
    assert trainer.progress.seconds > 1000


# ------------------------------------------------------------------------- best model and patience


def test_the_best_is_that_of_all_legs_and_patience_counts_anew(
    little: data.Dataset, tmp_path: Path
) -> None:
    """A rate that ruins the model: the leg ends by patience, and the best remains."""
    run = first_leg(tmp_path / "run", little)
    before = run.best.read_bytes()
    best = again(little, run).progress.best_nats
    for leg in (2, 3):
        trainer = again(little, run)
        ruinous: dict[str, Any] = {
            "steps": 100,
            "learning_rate": 3.0,
            "patience": 3,
            "eval_every": 2,
        }
        trainer.go_on(replace(trainer.config, **ruinous))
        assert trainer.run(run, Listener()) is Ending.PATIENCE
        assert len([r for r in run.read_log() if r.get("leg") == leg]) == 3
        assert trainer.progress.best_nats == best
    assert run.best.read_bytes() == before
    assert trainer.progress.begin == FIRST + 6


# --------------------------------------------------------------------------------- by the command

SMALL: list[object] = [
    *("--hidden-size", 8, "--precision", "float32", "--device", "cpu", "--optimizer", "adamw"),
    *("--batch-size", 4, "--seq-len", 20, "--steps", 12, "--eval-every", 5),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, corpus: Path, charlm: Invoke) -> Path:
    out = tmp_path_factory.mktemp("made")
    assert charlm("train", corpus, "--out", out, *SMALL).exit_code == 0
    return out / "tiny"


@pytest.fixture
def finished(made: Path, tmp_path: Path) -> Path:
    """A copy of a finished run with counts, which a test may train further."""
    return Path(shutil.copytree(made, tmp_path / "tiny"))


def training(run: Path) -> dict[str, Any]:
    found = checkpoint.read_header(run / "last.safetensors").training
    assert found is not None
    return found


def refused(result: Result, *parts: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    for part in parts:
        assert part in last


def test_going_on_twice_is_as_described_and_the_same_from_a_copy(
    charlm: Invoke, finished: Path, tmp_path: Path
) -> None:
    log = Run(finished).read_log()
    assert "\nlegs " not in charlm("info", finished / "last.safetensors").stdout
    copy = Path(shutil.copytree(finished, tmp_path / "copy"))
    for run in (finished, copy):
        first = charlm("train", "--resume", run, "--steps", "+6", "--eval-every", 3)
        assert first.exit_code == 0, first.stderr
        assert "6 steps more (leg 2 of the run) of 4x20" in first.stderr
        second = charlm("train", "--resume", run, "--epochs", "+0.5", "--learning-rate", 0.001)
        assert second.exit_code == 0, second.stderr
    assert left_by(Run(finished)) == left_by(Run(copy))
    records = Run(finished).read_log()
    assert records[: len(log)] == log
    assert all("leg" not in record for record in log)
    # 1,349 targets are 16 windows of 4 x 20; half of them is 8.
    added = [(record["leg"], record["step"]) for record in records[len(log) :]]
    assert added == [(2, 15), (2, 18), (3, 26)]
    legs = checkpoint.read_header(finished / "last.safetensors").provenance["legs"]
    rates = [training(finished)["progress"]["legs"][k]["learning_rate"] for k in (0, 1)]
    assert legs == [
        {"steps": 12, "learning_rate": rates[0]},
        {"steps": 6, "learning_rate": rates[1]},
        {"steps": 8, "learning_rate": 0.001},
    ]
    shown = charlm("info", finished / "last.safetensors").stdout
    assert f"legs        12 steps at {rates[0]:.3g}, 6 at {rates[1]:.3g}, 8 at 0.001\n" in shown


def test_an_interrupted_leg_is_continued_by_the_command(
    charlm: Invoke, finished: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(finished, tmp_path / "copy"))
    assert charlm("train", "--resume", finished, "--steps", "+6").exit_code == 0
    stopped = charlm("train", "--resume", copy, "--steps", "+6", "--stop-at", 15)
    assert "saved at step 15 of 18; continue: charlm train --resume" in stopped.stderr
    longer = charlm("train", "--resume", copy, "--steps", "+6")
    refused(
        longer, "is not finished (step 15 of 18)", f"finish it first: charlm train --resume {copy}"
    )
    assert training(copy)["progress"]["step"] == 15
    assert charlm("train", "--resume", copy).exit_code == 0
    assert left_by(Run(finished)) == left_by(Run(copy))


def test_minutes_are_as_many_more(charlm: Invoke, finished: Path) -> None:
    done = charlm("train", "--resume", finished, "--minutes", 0.02)
    assert done.exit_code == 0, done.stderr
    assert "ms per training step, so about" in done.stderr
    found = training(finished)
    assert found["config"]["minutes"] == 0.02 and found["config"]["epochs"] is None
    pace, progress = found["progress"]["pace"], found["progress"]
    assert 12 < progress["step"] == pace["end"] and progress["legs"][0]["steps"] == 12
    assert pace["budget"] <= 1.2
    # A leg that counts steps has no time.
    assert charlm("train", "--resume", finished, "--steps", "+2").exit_code == 0
    found = training(finished)
    assert found["progress"]["pace"] is None and found["config"]["minutes"] is None
    assert found["progress"]["step"] == progress["step"] + 2


def test_a_better_model_gets_counts_and_an_exact_loss_of_its_own(
    charlm: Invoke, finished: Path
) -> None:
    old = checkpoint.read(finished / "best.safetensors")
    done = charlm(
        "train", "--resume", finished, "--steps", "+40", "--eval-every", 5, "--stop-at", 30
    )
    assert done.exit_code == 0
    # A new best model in the middle of a leg: the counts of the old one are gone, so that the run
    # can be used.
    best = checkpoint.read(finished / "best.safetensors")
    assert checkpoint.weights_sha256(best) != checkpoint.weights_sha256(old)
    assert not (finished / "counts.safetensors").exists()
    assert len(charlm("sample", finished, "--length", 5).stdout) == 5
    done = charlm("train", "--resume", finished)
    best = checkpoint.read(finished / "best.safetensors")
    assert read_counts(finished / "counts.safetensors").belongs_to(best)
    assert best.provenance["val_exact"] is True
    told = json.loads(charlm("eval", finished, "--json", "--no-ladder").stdout)
    assert told["network"]["bits_per_char"] == pytest.approx(best.provenance["val_bits_per_char"])
    assert f"best validation {told['bits_per_char']:.4f} bits/char" in done.stdout


def test_a_leg_without_a_better_model_says_so(charlm: Invoke, finished: Path) -> None:
    before = (finished / "best.safetensors").read_bytes()
    counted = (finished / "counts.safetensors").read_bytes()
    worse = ["--learning-rate", 5, "--eval-every", 1, "--patience", 2]
    done = charlm("train", "--resume", finished, "--steps", "+60", *worse)
    assert done.exit_code == 0, done.stderr
    assert "never fell below that of the model before it went on" in done.stderr
    assert (finished / "best.safetensors").read_bytes() == before
    assert (finished / "counts.safetensors").read_bytes() == counted
    # It ended by patience, and can go on.
    assert "2 evaluations without an improvement" in done.stderr
    assert charlm("train", "--resume", finished, "--steps", "+2").exit_code == 0


def test_a_finished_run_says_how_to_go_on(charlm: Invoke, finished: Path) -> None:
    before = (finished / "last.safetensors").read_bytes()
    done = charlm("train", "--resume", finished)
    assert done.exit_code == 0
    assert f"charlm train --resume {finished} --minutes 5 (or --steps +400" in done.stderr
    assert f"charlm train CORPUS --init-from {finished}" in done.stderr
    assert (finished / "last.safetensors").read_bytes() == before


def test_what_is_not_possible_is_refused_and_changes_nothing(
    charlm: Invoke, finished: Path, corpus: Path, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    resume = ["train", "--resume", finished]
    refused(
        charlm(*resume, "--steps", 400), "--steps 400 is the length of a new run", "--steps +400"
    )
    refused(charlm(*resume, "--epochs", 1.5), "--epochs +1.5")
    refused(charlm(*resume, "--steps", "+5", "--minutes", 1), "--steps and --minutes both set")
    refused(charlm(*resume, "--steps", "+5", "--seed", 2), "leave out --seed")
    refused(charlm(*resume, "--steps", "+5", "--dropout", 0.5), "leave out --dropout")
    refused(
        charlm(*resume, "--patience", 2), "leave out --patience; it can be given with --steps +N"
    )
    refused(charlm(*resume, "--steps", "+0"), "--steps is 0; give at least 1")
    refused(charlm(*resume, "--steps", "+many"), "--steps is '+many'; give a whole number")
    refused(charlm(*resume, "--minutes", 0), "--minutes")
    new = charlm("train", corpus, "--out", tmp_path, "--steps", "+5")
    refused(new, "--steps +5 makes a finished run longer", "for a new run: --steps 5")
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


# --------------------------------------------------------------------------------- with a launcher


class Pair(Group):
    """One of two processes that a launcher has started; the other one is as this one."""

    size = 2


def test_a_job_that_is_started_again_does_not_go_on_twice(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, group = Run(finished), Pair()
    assert not _goes_on_already(run, None)
    monkeypatch.setattr(launch, "job", lambda: "this")
    monkeypatch.setattr(launch, "restarts", lambda: 1)
    assert not _goes_on_already(run, group)  # the leg had not begun when a process failed
    saved = checkpoint.read(run.last)
    checkpoint.write(run.last, replace(saved, training={**(saved.training or {}), "job": "this"}))
    assert _goes_on_already(run, group)
    monkeypatch.setattr(launch, "restarts", lambda: 0)
    assert not _goes_on_already(run, group)
    assert ALONE.size == 1
