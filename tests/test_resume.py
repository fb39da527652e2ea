"""Exact resume: k steps, a new trainer from the file, and N - k steps equal N steps, bit for bit.

Everything about a run is compared: SHA-256 over weights, optimizer and state, SHA-256 of the best
model, every number of the training progress in ``last``, every line of the log, and the loss of
every step. Only times may differ.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from conftest import covering
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charlm import checkpoint
from charlm.config import CELLS, OPTIMIZERS, ModelConfig, TrainConfig
from charlm.errors import CheckpointError
from charlm.rundir import Run
from charlm.text import dataset as data
from charlm.text.items import encode as encode_items
from charlm.text.records import Record
from charlm.text.tokenizer import CharTokenizer
from charlm.training.trainer import Trainer

Invoke = Callable[..., Result]

N = 14
"""Updates of a whole run: two epochs of EPOCH and a bit."""

EPOCH = 6
PRECISIONS = ("float32", "bfloat16")
LISTS: list[list[str]] = [list(CELLS), list(OPTIMIZERS), list(PRECISIONS)]
EVERY_COMBINATION = list(product(CELLS, OPTIMIZERS, PRECISIONS))
EVERY_PAIR = [
    pytest.param(
        *each,
        # For every day each cell with each optimizer, and with each precision.
        marks=[pytest.mark.slow] * (sum(map(list.index, LISTS, each)) % 2),
    )
    for each in EVERY_COMBINATION
]


@pytest.fixture(scope="module")
def little(text: str) -> data.Dataset:
    """207 characters to train on, 23 to validate: 6 steps of 2 x 17 an epoch."""
    train, val = text[:207], text[207:230]
    texts = data.Texts.of(train, val, name="little", split="nine to one")
    return data.encode(texts, data.choose_tokenizer(texts))


def plan(**options: Any) -> TrainConfig:
    """Neither the interval of evaluating nor that of saving divides N, an epoch, or the other."""
    fixed: dict[str, Any] = {
        "batch_size": 2,
        "seq_len": 17,
        "optimizer": "adamw",
        "learning_rate": 0.01,
        "steps": N,
        "warmup": 1,
        "precision": "float32",
        "eval_every": 4,
        "save_every": 5,
    }
    return TrainConfig(**(fixed | options))


def make(dataset: data.AnyDataset, config: TrainConfig, **shape: object) -> Trainer:
    options = {"hidden_size": 4, "num_layers": 2, "context": 3, "dropout": 0.3} | shape
    model = ModelConfig.resolve(**(dataset.shape | options))
    return Trainer(model, config, dataset, data.Source(("little.txt",)))


class Listener:
    """A reporter that records the loss of every step, and may end the process there."""

    def __init__(self, crash_at: int | None = None) -> None:
        self.losses: dict[int, float] = {}
        self.crash_at = crash_at

    def updated(self, step: int, nats: float, characters: int) -> None:
        self.losses[step] = nats
        if step == self.crash_at:
            raise Crash

    def evaluated(self, record: dict[str, Any]) -> None: ...

    def sampled(self, text: str) -> None: ...


class Crash(BaseException):
    """Stands for whatever ends a process without a chance to save."""


@dataclass(frozen=True)
class End:
    """Everything that a finished run leaves, without times."""

    state: str
    best: str
    log: list[dict[str, Any]]
    progress: dict[str, Any]
    dtypes: dict[str, str]
    provenance: dict[str, Any]

    @classmethod
    def of(cls, run: Run) -> End:
        last, best = checkpoint.read(run.last), checkpoint.read(run.best)
        assert last.training is not None
        return cls(
            checkpoint.state_sha256(last),
            checkpoint.weights_sha256(best),
            [_timeless(record) for record in run.read_log()],
            _timeless(last.training["progress"]),
            last.training["dtypes"],
            best.provenance,
        )


def _timeless(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "seconds"}


Losses = dict[int, float]


def train(
    path: Path,
    dataset: data.AnyDataset,
    config: TrainConfig,
    stops: Sequence[int] = (),
    *,
    how: str = "stop_at",
    **shape: object,
) -> tuple[End, Losses]:
    """Train to the end with a fresh trainer, restored from the file, after each of ``stops``.

    how: "stop_at", "interrupted" (a signal, which also interrupts evaluations) or "crash"
    """
    path.mkdir()
    run = Run(path)
    losses: Losses = {}
    for stop in (*stops, None):
        trainer = make(dataset, config, **shape)
        if run.last.exists():
            saved = checkpoint.read(run.last)
            trainer.restore(saved)
            # Types included: what was restored would be saved as what it was restored from.
            again = trainer.checkpoint(resumable=True)
            assert json.loads(json.dumps(again.training)) == saved.training
            assert checkpoint.state_sha256(again) == checkpoint.state_sha256(saved)
            run.cut_log(trainer.progress.evaluated_at)
        torch.manual_seed(17 * len(losses))  # as any program might leave it
        listener = Listener(stop if how == "crash" else None)
        try:
            ending = trainer.run(
                run,
                listener,
                stop_at=stop if how == "stop_at" else None,
                interrupted=lambda t=trainer, s=stop: how == "interrupted" and t.progress.step == s,  # type: ignore[misc]
            )
            finished = ending.finished
        except Crash:
            finished = False
        assert finished is (stop is None)
        for step, nats in listener.losses.items():
            # The loss never jumps: a repeated step gives the same loss, to the last bit.
            assert losses.setdefault(step, nats) == nats, f"update {step} after {stop}"
    return End.of(run), losses


Whole = Callable[..., tuple[End, Losses]]


@pytest.fixture(scope="module")
def whole(little: data.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The uninterrupted run of a plan and a shape, made once."""
    made: dict[str, tuple[End, Losses]] = {}

    def run(config: TrainConfig, **shape: Any) -> tuple[End, Losses]:
        key = repr((config, sorted(shape.items())))
        if key not in made:
            path = tmp_path_factory.mktemp("whole") / "run"
            made[key] = train(path, little, config, **shape)
        return made[key]

    return run


def test_the_whole_run_is_worth_comparing_with(little: data.Dataset, whole: Whole) -> None:
    """Epochs as announced; dropout, state and optimizer take part; losses differ from each other,
    so that one that comes a step late is seen."""
    trainer = make(little, plan())
    assert trainer.streams.steps_per_epoch == EPOCH
    assert 2 * EPOCH < N
    end, losses = whole(plan())
    assert list(losses) == list(range(1, N + 1))
    assert len(set(losses.values())) == N
    assert [record["step"] for record in end.log] == [0, 4, 8, 12, 14]
    assert whole(plan(), dropout=0.0)[0].state != end.state
    assert whole(plan(optimizer="sgd"))[0].state != end.state
    assert whole(plan(precision="bfloat16"))[0].state != end.state
    assert whole(plan(seed=2))[0].state != end.state


# ------------------------------------------------------------------------------------- k and N - k


@pytest.mark.parametrize(
    ("cell", "optimizer", "precision"),
    [
        ("lstm", "muon", "float32"),
        pytest.param("gru", "adamw", "bfloat16", marks=pytest.mark.slow),
        ("conv", "rmsprop", "bfloat16"),
    ],
)
def test_k_and_the_rest_are_the_whole_for_every_k(
    little: data.Dataset, whole: Whole, tmp_path: Path, cell: str, optimizer: str, precision: str
) -> None:
    config = plan(optimizer=optimizer, precision=precision)
    expected = whole(config, cell=cell)
    for k in range(1, N):
        assert train(tmp_path / str(k), little, config, [k], cell=cell) == expected, f"k = {k}"


@pytest.mark.parametrize(("cell", "optimizer", "precision"), EVERY_PAIR)
def test_every_cell_and_optimizer_resumes_exactly(
    little: data.Dataset, whole: Whole, tmp_path: Path, cell: str, optimizer: str, precision: str
) -> None:
    """Just after the start of the second epoch: its first step is done."""
    config = plan(optimizer=optimizer, precision=precision, steps=EPOCH + 3)
    parts = train(tmp_path / "parts", little, config, [EPOCH + 1], cell=cell)
    assert parts == whole(config, cell=cell)


@pytest.mark.parametrize("how", ["interrupted", "crash"])
def test_a_signal_and_a_crash_lose_nothing_that_can_be_seen_for_every_k(
    little: data.Dataset, whole: Whole, tmp_path: Path, how: str
) -> None:
    """A signal interrupts an evaluation, which is repeated after resuming; a crash leaves a state
    and a log of different age, and some steps are repeated."""
    for k in range(1, N + 1):
        if (how, k) != ("interrupted", N):
            parts = train(tmp_path / str(k), little, plan(), [k], how=how)
            assert parts == whole(plan()), f"{how} at {k}"


def test_a_signal_during_the_last_evaluation_leaves_only_that_to_do(
    little: data.Dataset, whole: Whole, tmp_path: Path
) -> None:
    assert train(tmp_path / "run", little, plan(), [N], how="interrupted") == whole(plan())


STOPS = {
    "evaluation": [4],
    "save": [5],
    "neither": [3],
    "epoch": [EPOCH],
    "second-epoch": [2 * EPOCH],
    "first-update": [1],
    "last-but-one": [N - 1],
    "evaluation-save-epoch": [4, 5, 6],
    "neighbours": [EPOCH - 1, EPOCH, EPOCH + 1],
    "twice-the-same": [7, 7],
    "one-by-one": list(range(1, N)),
}


@pytest.mark.parametrize(("stops", "evals"), covering(STOPS, [4, 100]))
def test_a_chain_of_stops_is_the_whole(
    little: data.Dataset, whole: Whole, tmp_path: Path, stops: str, evals: int
) -> None:
    config = plan(optimizer="muon", eval_every=evals, save_every={4: 5, 100: 6}[evals])
    assert train(tmp_path / "run", little, config, STOPS[stops]) == whole(config)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.integers(1, N - 1), max_size=5),
    st.sampled_from(["stop_at", "interrupted", "crash"]),
    st.sampled_from([(4, 5), (5, 3), (3, 7)]),
)
def test_any_sequence_of_stops_is_the_whole(
    little: data.Dataset,
    whole: Whole,
    tmp_path_factory: pytest.TempPathFactory,
    stops: list[int],
    how: str,
    every: tuple[int, int],
) -> None:
    # A stop behind the place that was reached ends nothing (stop_at) or never comes (the others).
    stops = sorted(set(stops)) if how != "stop_at" else sorted(stops)
    config = plan(eval_every=every[0], save_every=every[1], precision="bfloat16")
    path = tmp_path_factory.mktemp("any") / "run"
    assert train(path, little, config, stops, how=how) == whole(config)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        # Too fast: its losses rise now and then, so that best and patience have a say.
        ({"patience": 2, "eval_every": 1, "learning_rate": 0.2, "schedule": "constant"}, {}),
        ({"eval_every": 1, "learning_rate": 0.2, "schedule": "constant"}, {}),
        ({"schedule": "linear", "warmup": 5, "final_learning_rate": 0.0}, {}),
        ({"schedule": "constant", "warmup": 0, "clip": 0.0, "weight_decay": 0.0}, {}),
        ({"optimizer": "muon", "sample_every": 3}, {"tie": True, "num_layers": 3}),
        ({"seed": 2**63 - 1}, {"dropout": 0.9, "cell": "gru"}),
        ({"seq_len": 1, "batch_size": 1}, {"cell": "window", "context": 5}),
        ({}, {"cell": "conv", "kernel_size": 2, "num_layers": 4}),
    ],
)
def test_every_kind_of_plan_resumes_exactly(
    little: data.Dataset,
    whole: Whole,
    tmp_path: Path,
    options: dict[str, Any],
    shape: dict[str, Any],
) -> None:
    config = plan(**options)
    expected = whole(config, **shape)
    end = expected[0].progress["step"]
    assert (end < N) is ("patience" in options)
    stops = [k for k in (2, 3, 4, EPOCH, EPOCH + 1) if k < end]
    assert train(tmp_path / "run", little, config, stops, **shape) == expected


@pytest.mark.parametrize("level", ["byte", "folded", "unvalidated"])
def test_every_kind_of_text_resumes_exactly(text: str, tmp_path: Path, level: str) -> None:
    train_part, val = text[:207], "" if level == "unvalidated" else text[207:230]
    texts = data.Texts.of(train_part, val)
    options: dict[str, Any] = {"byte": {"level": "byte"}, "folded": {"min_count": 3}}
    dataset = data.encode(texts, data.choose_tokenizer(texts, **options.get(level, {})))
    one = train(tmp_path / "whole", dataset, plan())
    assert train(tmp_path / "parts", dataset, plan(), [3, 4, 7]) == one


def test_the_loss_after_a_resume_goes_on_where_it_was(
    little: data.Dataset, whole: Whole, tmp_path: Path
) -> None:
    """Step k + 1 of a resumed run reports the same loss as in the whole run, for k = 7: in the
    middle of an epoch, where a lost state would show."""
    run = Run(tmp_path)
    make(little, plan()).run(run, Listener(), stop_at=7)
    expected = whole(plan())[1][8]
    seen = []
    for forget in ("nothing", "state", "dropout"):
        trainer = make(little, plan())
        trainer.restore(checkpoint.read(run.last))
        if forget == "state":
            trainer.state = trainer.model.initial_state(2)
        if forget == "dropout":
            trainer.config = replace(trainer.config, seed=2)
        seen.append(trainer.update(trainer.streams.batch(7)))
    assert seen[0] == expected
    assert seen[1] != expected
    assert seen[2] != expected


# ------------------------------------------------------------------------- by the command, for real

OPTIONS: list[object] = [
    "--hidden-size",
    4,
    "--num-layers",
    2,
    "--dropout",
    0.3,
    "--device",
    "cpu",
    "--warmup",
    1,
    "--batch-size",
    2,
    "--seq-len",
    17,
    "--steps",
    N,
    "--eval-every",
    4,
    "--save-every",
    5,
]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory, text: str) -> Path:
    path = tmp_path_factory.mktemp("book") / "book.txt"
    path.write_text(text[:230], encoding="utf-8")
    return path


def said(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stderr


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, charlm: Invoke, book: Path
) -> Callable[..., End]:
    """The end of an uninterrupted ``charlm train`` with these options, made once."""
    made: dict[tuple[str, ...], End] = {}

    def run(*options: object) -> End:
        key = tuple(map(str, options))
        if key not in made:
            out = tmp_path_factory.mktemp("finished")
            said(charlm("train", book, "--out", out, *OPTIONS, *options))
            made[key] = End.of(Run(out / "book"))
        return made[key]

    return run


FLOAT: list[object] = ["--precision", "float32", "--optimizer", "muon"]
COMMAND = [sys.executable, "-m", "charlm"]


def execute(*arguments: object) -> str:
    """``charlm`` in a process of its own; its stderr."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_new_process_goes_on_exactly(
    charlm: Invoke, book: Path, tmp_path: Path, finished: Callable[..., End]
) -> None:
    """The slow tests do the same for every k, with a process of its own for both parts."""
    talk = said(charlm("train", book, "--out", tmp_path, *OPTIONS, *FLOAT, "--stop-at", 7))
    assert "saved at step 7 of 14" in talk
    assert checkpoint.read(tmp_path / "book" / "last.safetensors").provenance["step"] == 7
    talk = execute("train", "--resume", tmp_path / "book")
    assert "not bit-exact" not in talk
    assert End.of(Run(tmp_path / "book")) == finished(*FLOAT)


def test_another_number_of_threads_is_said_in_one_line(
    charlm: Invoke, book: Path, tmp_path: Path
) -> None:
    said(charlm("train", book, "--out", tmp_path, *OPTIONS, *FLOAT, "--stop-at", 2))
    here = torch.get_num_threads()
    torch.set_num_threads(here + 1)
    try:
        talk = said(charlm("train", "--resume", tmp_path / "book", "--stop-at", 3))
    finally:
        torch.set_num_threads(here)
    expected = f"not bit-exact because the number of threads was {here} and is {here + 1}"
    assert excuses(talk) == [expected]


def excuses(talk: str) -> list[str]:
    return [line for line in talk.splitlines() if "bit-exact" in line]


DIFFERENCES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "device": ("the device was cuda and is cpu", {"device": "cuda"}, {}),
    "threads": ("the number of threads was 64 and is {threads}", {"threads": 64}, {}),
    "instructions": (
        "the processor's instruction set was AVX1024 and is {instructions}",
        {"instructions": "AVX1024"},
        {},
    ),
    "torch": ("the version of torch was 2.0.1 and is {torch}", {}, {"torch": "2.0.1"}),
}


@pytest.mark.parametrize(
    "changed",
    [
        *([], ["device"], ["threads"], ["instructions"], ["torch"]),
        *(["device", "torch"], ["device", "threads", "instructions", "torch"]),
    ],
    ids="+".join,
)
def test_what_may_round_otherwise_is_named_in_one_line(
    charlm: Invoke, book: Path, tmp_path: Path, changed: list[str]
) -> None:
    said(charlm("train", book, "--out", tmp_path, *OPTIONS, *FLOAT, "--stop-at", 2))
    last = tmp_path / "book" / "last.safetensors"
    saved = checkpoint.read(last)
    assert saved.training is not None
    parts = []
    for name in changed:
        phrase, training, provenance = DIFFERENCES[name]
        here = {
            "threads": torch.get_num_threads(),
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "torch": torch.__version__,
        }
        parts.append(phrase.format(**here))
        saved = replace(
            saved,
            training={**(saved.training or {}), **training},
            provenance=saved.provenance | provenance,
        )
    checkpoint.write(last, saved)
    talk = said(charlm("train", "--resume", tmp_path / "book"))
    expected = [f"not bit-exact because {', '.join(parts)}"] if parts else []
    assert excuses(talk) == expected
    # It is a warning: the run continues, and from then on stores the facts of this machine.
    again = said(charlm("train", "--resume", tmp_path / "book"))
    assert excuses(again) == []


@pytest.mark.parametrize(
    ("evals", "saves", "samples"),
    [(1, 1, 0), (100, 100, 0), (3, 7, 2), (N, 1, 5), (2, 100, 1)],
)
def test_looking_saving_and_sampling_change_nothing(
    charlm: Invoke,
    book: Path,
    tmp_path: Path,
    finished: Callable[..., End],
    evals: int,
    saves: int,
    samples: int,
) -> None:
    # The later of two equal options counts.
    every = ["--eval-every", evals, "--save-every", saves, "--sample-every", samples]
    talk = said(charlm("train", book, "--out", tmp_path, *OPTIONS, *FLOAT, *every))
    assert talk.count("--- sample") == (N // samples if samples else 0)
    assert End.of(Run(tmp_path / "book")).state == finished(*FLOAT).state


@pytest.mark.parametrize(
    ("k", "kind"),
    covering(
        [4, 5, EPOCH, 7], [["--tokenizer", "byte"], ["--val-fraction", 0], ["--min-count", 3]]
    ),
)
def test_the_command_resumes_every_kind_of_run(
    charlm: Invoke,
    book: Path,
    tmp_path: Path,
    finished: Callable[..., End],
    kind: list[object],
    k: int,
) -> None:
    said(charlm("train", book, "--out", tmp_path, *OPTIONS, *FLOAT, *kind, "--stop-at", k))
    said(charlm("train", "--resume", tmp_path / "book"))
    assert End.of(Run(tmp_path / "book")) == finished(*FLOAT, *kind)


def test_a_run_that_began_from_another_resumes_exactly(
    charlm: Invoke, book: Path, tmp_path: Path
) -> None:
    said(charlm("train", book, "--out", tmp_path, "--name", "start", *OPTIONS, *FLOAT))
    begin = ["train", book, "--out", tmp_path, "--init-from", tmp_path / "start", *OPTIONS[4:]]
    said(charlm(*begin, *FLOAT, "--name", "whole"))
    said(charlm(*begin, *FLOAT, "--name", "parts", "--stop-at", 3))
    (tmp_path / "start" / "best.safetensors").unlink()  # it is not needed any more
    said(charlm("train", "--resume", tmp_path / "parts"))
    one, other = (End.of(Run(tmp_path / name)) for name in ("whole", "parts"))
    assert one == other


def test_stopping_beyond_the_end_or_behind_it_is_harmless(
    charlm: Invoke, book: Path, tmp_path: Path, finished: Callable[..., End]
) -> None:
    said(charlm("train", book, "--out", tmp_path, *OPTIONS, *FLOAT, "--stop-at", 9))
    before = (tmp_path / "book" / "last.safetensors").read_bytes()
    talk = said(charlm("train", "--resume", tmp_path / "book", "--stop-at", 3))
    assert "saved at step 9 of 14" in talk
    assert (tmp_path / "book" / "last.safetensors").read_bytes() == before
    said(charlm("train", "--resume", tmp_path / "book", "--stop-at", 1000))
    assert End.of(Run(tmp_path / "book")) == finished(*FLOAT)


# ------------------------------------------------------------------------ from previous.safetensors


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut off": cut,
    "one bit": flip,
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "gone": lambda path: path.unlink(),
    "a directory": directory,
}


def loads(path: Path) -> bool:
    try:
        return checkpoint.read(path).training is not None
    except CheckpointError:
        return False


@pytest.fixture
def stopped(charlm: Invoke, book: Path, tmp_path: Path) -> Run:
    """A run that was stopped at step 7, with ``previous`` at 5 and the log beyond both."""
    said(charlm("train", book, "--out", tmp_path, *OPTIONS, *FLOAT, "--stop-at", 8))
    run = Run(tmp_path / "book")
    steps = [checkpoint.read(path).provenance["step"] for path in (run.previous, run.last)]
    assert steps == [5, 8]
    assert [record["step"] for record in run.read_log()] == [0, 4, 8]
    return run


@pytest.mark.parametrize("damage", [name for name in DAMAGE if name != "a directory"])
def test_a_damaged_last_gives_way_to_previous_and_nothing_is_lost(
    charlm: Invoke, stopped: Run, finished: Callable[..., End], damage: str
) -> None:
    DAMAGE[damage](stopped.last)
    talk = said(charlm("train", "--resume", stopped.path))
    line = next(line for line in talk.splitlines() if "continuing from" in line)
    assert line.startswith(f"{stopped.last}: ")
    assert line.endswith(f"; continuing from {stopped.previous}")
    assert f"resuming {stopped.path} at step 5" in talk
    assert End.of(stopped) == finished(*FLOAT)


def test_a_fallback_alone_makes_last_whole_again(charlm: Invoke, stopped: Run) -> None:
    """As a kill would find it right after: two files, both whole, both of step 5."""
    flip(stopped.last)
    said(charlm("train", "--resume", stopped.path, "--stop-at", 5))
    files = [checkpoint.read(path) for path in (stopped.last, stopped.previous)]
    assert [file.provenance["step"] for file in files] == [5, 5]
    assert checkpoint.state_sha256(files[0]) == checkpoint.state_sha256(files[1])
    talk = said(charlm("train", "--resume", stopped.path, "--stop-at", 6))
    assert "continuing from" not in talk


@pytest.mark.parametrize("damage", ["one bit", "gone"])
def test_previous_is_whole_at_every_moment_of_a_fallback(
    charlm: Invoke,
    stopped: Run,
    finished: Callable[..., End],
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
) -> None:
    """Between any two steps of the file system, a kill leaves at least one state to resume from."""
    DAMAGE[damage](stopped.last)
    seen: list[tuple[bool, bool]] = []

    def watched(name: str) -> Callable[..., Any]:
        original = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            seen.append((loads(stopped.previous), loads(stopped.last)))
            result = original(*args, **kwargs)
            seen.append((loads(stopped.previous), loads(stopped.last)))
            return result

        return call

    for name in ("link", "replace", "fsync", "unlink", "chmod"):
        monkeypatch.setattr(os, name, watched(name))
    said(charlm("train", "--resume", stopped.path))
    assert seen[0] == (True, False)
    assert seen[-1] == (True, True)
    assert all(previous for previous, _ in seen)
    first = seen.index((True, True))
    assert all(last for _, last in seen[first:])
    assert End.of(stopped) == finished(*FLOAT)


@pytest.mark.parametrize("damages", [("one bit", "empty"), ("gone", "cut off"), ("zeros", "zeros")])
def test_where_both_are_damaged_both_are_named(
    charlm: Invoke, stopped: Run, damages: tuple[str, str]
) -> None:
    DAMAGE[damages[0]](stopped.last)
    DAMAGE[damages[1]](stopped.previous)
    before = {path: path.read_bytes() for path in stopped.path.iterdir()}
    result = charlm("train", "--resume", stopped.path)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(f"error: {stopped.last}: ")
    assert f"{stopped.previous}: " in result.stderr
    assert {path: path.read_bytes() for path in stopped.path.iterdir()} == before


@pytest.mark.parametrize("damage", DAMAGE)
def test_without_a_previous_a_damaged_last_is_refused(
    charlm: Invoke, stopped: Run, damage: str
) -> None:
    stopped.previous.unlink()
    DAMAGE[damage](stopped.last)
    result = charlm("train", "--resume", stopped.path)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(f"error: {stopped.last}: ")


def test_a_previous_from_elsewhere_changes_the_excuses_not_the_fallback(
    charlm: Invoke, stopped: Run
) -> None:
    """The difference is that of the state from which the run actually continues."""
    saved = checkpoint.read(stopped.previous)
    checkpoint.write(stopped.previous, replace(saved, provenance=saved.provenance | {"torch": "1"}))
    flip(stopped.last)
    talk = said(charlm("train", "--resume", stopped.path, "--stop-at", 6))
    assert len(excuses(talk)) == 1
    assert "the version of torch was 1 and is" in talk


# ------------------------------------------------------------------------------------ takes minutes


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "optimizer", "precision"), EVERY_COMBINATION)
def test_every_cell_and_optimizer_resumes_exactly_at_every_k(
    little: data.Dataset, whole: Whole, tmp_path: Path, cell: str, optimizer: str, precision: str
) -> None:
    config = plan(optimizer=optimizer, precision=precision)
    expected = whole(config, cell=cell)
    for k in range(1, N):
        assert train(tmp_path / str(k), little, config, [k], cell=cell) == expected, f"k = {k}"


@pytest.mark.slow
@pytest.mark.parametrize("k", range(1, N))
def test_two_processes_are_one_for_every_k(
    book: Path, tmp_path: Path, finished: Callable[..., End], k: int
) -> None:
    execute("train", book, "--out", tmp_path, *OPTIONS, *FLOAT, "--stop-at", k)
    execute("train", "--resume", tmp_path / "book")
    assert End.of(Run(tmp_path / "book")) == finished(*FLOAT)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs processes that fork")
@pytest.mark.parametrize(("cell", "optimizer", "precision"), EVERY_COMBINATION)
def test_new_processes_resume_every_cell_and_optimizer_at_every_k(
    book: Path,
    tmp_path: Path,
    finished: Callable[..., End],
    cell: str,
    optimizer: str,
    precision: str,
) -> None:
    """Every part is a process that has imported charlm and done nothing else before."""
    context = multiprocessing.get_context("forkserver")
    # torch._dynamo: what torch imports when it makes its first optimizer, most of a second.
    context.set_forkserver_preload(["charlm.cli.train", "charlm.training.plan", "torch._dynamo"])

    def command(*arguments: object) -> None:
        # click's commands cannot be sent to another process; a line that calls one can.
        line = f"from charlm.cli import main; main({[str(a) for a in arguments]!r})"
        process = context.Process(target=exec, args=(line, {}))
        process.start()
        process.join()
        assert process.exitcode == 0

    options = ["--cell", cell, "--optimizer", optimizer, "--precision", precision]
    expected = finished(*options)
    for k in range(1, N):
        out = tmp_path / str(k)
        command("train", book, "--out", out, *OPTIONS, *options, "--stop-at", k)
        command("train", "--resume", out / "book")
        assert End.of(Run(out / "book")) == expected, f"k = {k}"


# ------------------------------------------------------------------------------ lists of items


def listed(kind: str) -> data.AnyDataset:
    """23 items of 1 to 12 characters to train on, 5 to validate."""
    rng = random.Random(3)
    records = []
    for number in range(28):
        item = "".join(rng.choices("abcde", k=rng.randint(1, 12)))
        label = "".join("xy"[c < "c"] for c in item)
        records.append(Record(item, label if kind == "tag" else "pqr"[number % 3]))
    tokenizer = CharTokenizer.from_text("\nabcde")
    return encode_items("list", (records[:23], records[23:]), tokenizer, "\n", {}, kind=kind)


@pytest.mark.parametrize("kind", ["items", "labelled", "classify", "tag"])
@pytest.mark.parametrize("how", ["stop_at", "interrupted", "crash"])
def test_lists_of_items_resume_exactly(tmp_path: Path, kind: str, how: str) -> None:
    """20 steps are 10 and 10. With a window of 3 most items are read in several steps, so that some
    stops come in the middle of one."""
    dataset = listed(kind)
    config = plan(batch_size=4, seq_len=3, steps=20, optimizer="muon")
    expected = train(tmp_path / "whole", dataset, config)
    assert len(set(expected[1].values())) == 20
    for stops in ([10], [1, 6, 7, 19]):
        parts = train(tmp_path / "-".join(map(str, stops)), dataset, config, stops, how=how)
        assert parts == expected, stops


@pytest.mark.parametrize("cell", ["gru", "conv"])
def test_an_item_is_resumed_wherever_it_was_left(tmp_path: Path, cell: str) -> None:
    dataset = listed("labelled")
    config = plan(batch_size=4, seq_len=3, steps=16)
    streams = make(dataset, config, cell=cell).streams
    middles = [step for step in range(1, 16) if not streams.batch(step).starts_epoch]
    assert len(middles) > 5
    expected = train(tmp_path / "whole", dataset, config, cell=cell)
    for k in middles:
        assert train(tmp_path / str(k), dataset, config, [k], cell=cell) == expected, k
