"""Truncated BPTT: one step against plain torch, resuming bit for bit, and when to stop."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from charlm import checkpoint
from charlm.config import CELLS, ModelConfig, TrainConfig
from charlm.errors import CheckpointError, DivergenceError
from charlm.models.language import build
from charlm.rundir import Run
from charlm.text import dataset as data
from charlm.text.streams import Batch
from charlm.training import evaluate
from charlm.training import step as step_module
from charlm.training.trainer import Ending, Trainer

SOURCE = data.Source(("tiny.txt",))


class Listener:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.records: list[dict[str, Any]] = []
        self.samples: list[str] = []

    def updated(self, step: int, nats: float, characters: int) -> None:
        self.losses.append(nats)

    def evaluated(self, record: dict[str, Any]) -> None:
        self.records.append(record)

    def sampled(self, text: str) -> None:
        self.samples.append(text)


def settings(**options: Any) -> TrainConfig:
    """4 streams of 30: of the tiny text's 1,350 training characters, 11 steps an epoch."""
    fixed: dict[str, Any] = {
        "batch_size": 4,
        "seq_len": 30,
        "optimizer": "adamw",
        "learning_rate": 0.01,
        "steps": 20,
        "warmup": 2,
        "precision": "float32",
        "eval_every": 4,
        "save_every": 5,
    }
    return TrainConfig(**(fixed | options))


def make(dataset: data.Dataset, config: TrainConfig | None = None, **shape: object) -> Trainer:
    options = {"hidden_size": 8, "num_layers": 2, "context": 4} | shape
    model = ModelConfig.resolve(vocab_size=dataset.tokenizer.vocab_size, **options)
    return Trainer(model, config or settings(), dataset, SOURCE)


def new_run(path: Path) -> Run:
    path.mkdir()
    return Run(path)


def weights(trainer: Trainer) -> Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()]).clone()


def log_of(run: Run) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in run.read_log()]


def dataset_of(train: str, val: str) -> data.Dataset:
    texts = data.Texts.of(train, val)
    return data.encode(texts, data.choose_tokenizer(texts))


# ------------------------------------------------------------------- one update against plain torch


DECAY = 0.1


class PlainTraining:
    """The same method written again, without an optimizer of torch or code of the trainer.

    Constant learning rate; SGD with momentum 0.9, or Adam with betas 0.9 and 0.99; in both the
    weights shrink by rate x decay first (Loshchilov & Hutter, 2019).
    """

    def __init__(self, model: torch.nn.Module, state: tuple[Tensor, ...], clip: float) -> None:
        self.model, self.state, self.clip = model, state, clip
        self.moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in model.parameters()]
        self.t = 0
        self.norms: list[float] = []

    def update(self, batch: Batch, rate: float, method: str) -> float:
        inputs = torch.from_numpy(batch.inputs.astype(np.int64))
        targets = torch.from_numpy(batch.targets.astype(np.int64))
        logits, state = self.model(inputs, self.state)
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))
        parameters = list(self.model.parameters())
        gradients = torch.autograd.grad(loss, parameters)
        self.state = tuple(part.detach() for part in state)
        norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in gradients))
        self.norms.append(norm)
        scale = min(1.0, self.clip / (norm + 1e-6)) if self.clip else 1.0
        self.t += 1
        with torch.no_grad():
            for p, g, (m, v) in zip(parameters, gradients, self.moments, strict=True):
                g = g * scale
                p.mul_(1 - rate * DECAY)
                if method == "sgd":
                    m.mul_(0.9).add_(g)
                    p.sub_(rate * m)
                else:
                    m.mul_(0.9).add_(0.1 * g)
                    v.mul_(0.99).add_(0.01 * g * g)
                    unbiased = m / (1 - 0.9**self.t), v / (1 - 0.99**self.t)
                    p.sub_(rate * unbiased[0] / (unbiased[1].sqrt() + 1e-8))
        return loss.item()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("method", "rate"), [("sgd", 0.1), ("adamw", 0.003)])
@pytest.mark.parametrize("clip", [0.0, 0.05, 100.0])
def test_updates_equal_plain_torch(
    dataset: data.Dataset, cell: str, method: str, rate: float, clip: float
) -> None:
    config = settings(
        optimizer=method,
        clip=clip,
        learning_rate=rate,
        schedule="constant",
        warmup=0,
        weight_decay=DECAY,
    )
    trainer = make(dataset, config, cell=cell)
    model = build(trainer.model.config, config.seed)
    plain = PlainTraining(model, model.initial_state(4), clip)
    for step in range(4):
        batch = trainer.streams.batch(step)
        assert trainer.update(batch) == pytest.approx(plain.update(batch, rate, method), abs=1e-6)
    for ours, theirs in zip(trainer.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    for one, other in zip(trainer.state, plain.state, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
    # Clipping was tried on both sides of the norm.
    assert (min(plain.norms) > 0.05) and (max(plain.norms) < 100)


@pytest.mark.parametrize("cell", CELLS)
def test_values_cross_the_edge_of_a_window_and_gradients_do_not(
    dataset: data.Dataset, cell: str
) -> None:
    trainer = make(dataset, cell=cell)
    trainer.update(trainer.streams.batch(0))
    assert any(part.abs().sum() > 0 for part in trainer.state)
    assert not any(part.requires_grad or part.grad_fn for part in trainer.state)
    batch, carried = trainer.streams.batch(1), trainer.state
    losses = []
    for state in (carried, trainer.model.initial_state(4)):
        other = make(dataset, cell=cell)
        other.load_weights(trainer.weights())
        other.progress.step, other.state = 1, state
        losses.append(other.update(batch))
    assert trainer.update(batch) == losses[0]
    assert abs(losses[0] - losses[1]) > 1e-6


def test_an_epoch_begins_from_the_zero_state(dataset: data.Dataset) -> None:
    trainer = make(dataset)
    epoch = trainer.streams.steps_per_epoch
    assert epoch == 11
    losses = []
    for noise in (0.0, 5.0):
        trainer = make(dataset)
        trainer.progress.step = epoch
        trainer.state = tuple(part + noise for part in trainer.state)
        losses.append(trainer.update(trainer.streams.batch(epoch)))
    assert losses[0] == losses[1]


def test_dropout_depends_on_seed_and_step_alone(dataset: data.Dataset) -> None:
    def first_loss(global_seed: int, step: int, seed: int = 1) -> float:
        trainer = make(dataset, settings(seed=1), dropout=0.5)
        trainer.config = replace(trainer.config, seed=seed)
        trainer.progress.step = step
        torch.manual_seed(global_seed)
        torch.rand(global_seed)
        return trainer.update(trainer.streams.batch(0))

    assert first_loss(1, 3) == first_loss(2, 3)
    assert first_loss(1, 3) != first_loss(1, 4)
    assert first_loss(1, 3) != first_loss(1, 3, seed=2)


def test_the_seed_decides_the_weights_and_the_batches(dataset: data.Dataset) -> None:
    one, same, other = (make(dataset, settings(seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(weights(one), weights(same))
    assert not torch.equal(weights(one), weights(other))
    batches = [trainer.streams.batch(0).inputs for trainer in (one, same, other)]
    np.testing.assert_array_equal(batches[0], batches[1])
    assert not np.array_equal(batches[0], batches[2])


# ----------------------------------------------------------------------------------------- resuming


def assert_same(one: Trainer, other: Trainer) -> None:
    """Bit for bit: weights, optimizer, state, numbers; types included."""
    assert torch.equal(weights(one), weights(other))
    ours, theirs = one.optimizers.tensors(), other.optimizers.tensors()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert tensor.dtype == theirs[name].dtype
        assert torch.equal(tensor, theirs[name]), name
    for a, b in zip(one.state, other.state, strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)
    assert replace(one.progress, seconds=0) == replace(other.progress, seconds=0)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ({"cell": "lstm"}, {}),
        ({"cell": "lstm"}, {"precision": "bfloat16"}),
        ({"cell": "gru", "tie": True}, {"optimizer": "muon", "precision": "bfloat16"}),
        ({"cell": "rnn"}, {"optimizer": "sgd", "weight_decay": 0.01}),
        ({"cell": "window"}, {"optimizer": "muon"}),
        ({"cell": "conv"}, {"optimizer": "rmsprop", "precision": "bfloat16"}),
        ({"cell": "lstm"}, {"optimizer": "muon", "save_every": 100, "eval_every": 3}),
    ],
    ids=lambda value: "-".join(map(str, value.values())) or "plain",
)
@pytest.mark.parametrize("stop", [10, 11])
def test_20_steps_are_10_and_10(
    dataset: data.Dataset, tmp_path: Path, shape: dict[str, Any], options: dict[str, Any], stop: int
) -> None:
    """With dropout, across the end of an epoch (step 11), in a fresh trainer from the file."""
    config = settings(**options)
    whole, run = make(dataset, config, dropout=0.3, **shape), new_run(tmp_path / "whole")
    assert whole.run(run, Listener()) is Ending.COMPLETE

    parts = new_run(tmp_path / "parts")
    first = make(dataset, config, dropout=0.3, **shape)
    assert first.run(parts, Listener(), stop_at=stop) is Ending.STOP_AT
    assert first.progress.step == stop
    torch.manual_seed(99)
    second = make(dataset, config, dropout=0.3, **shape)
    second.restore(checkpoint.read(parts.last))
    assert_same(second, first)
    assert second.run(parts, Listener()) is Ending.COMPLETE

    assert_same(second, whole)
    assert log_of(parts) == log_of(run)
    for file in ("best", "last"):
        one, other = (checkpoint.read(getattr(r, file)) for r in (run, parts))
        assert checkpoint.weights_sha256(one) == checkpoint.weights_sha256(other)
        assert one.provenance == other.provenance


def test_the_law_above_can_fail(dataset: data.Dataset, tmp_path: Path) -> None:
    """A resume that loses the hidden state or the state of the optimizer gives other weights."""
    ends = []
    for forget in ("nothing", "state", "optimizer"):
        run = new_run(tmp_path / forget)
        make(dataset, dropout=0.3).run(run, Listener(), stop_at=10)
        trainer = make(dataset, dropout=0.3)
        trainer.restore(checkpoint.read(run.last))
        if forget == "state":
            trainer.state = trainer.model.initial_state(4)
        if forget == "optimizer":
            trainer.optimizers = make(dataset).optimizers.__class__(trainer.model, trainer.config)
        trainer.run(run, Listener())
        ends.append(weights(trainer))
    assert not torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


@pytest.mark.parametrize("cell", ["rnn", "conv"])  # their states are bfloat16 everywhere
def test_a_bfloat16_state_survives_the_file(
    dataset: data.Dataset, tmp_path: Path, cell: str
) -> None:
    run, config = new_run(tmp_path / "run"), settings(precision="bfloat16")
    trainer = make(dataset, config, cell=cell)
    trainer.run(run, Listener(), stop_at=3)
    assert torch.bfloat16 in {part.dtype for part in trainer.state}
    again = make(dataset, config, cell=cell)
    again.restore(checkpoint.read(run.last))
    assert_same(again, trainer)


def test_resuming_at_step_0_is_the_same_run(dataset: data.Dataset, tmp_path: Path) -> None:
    """A run that was killed before its first save continues from step 0."""
    whole, run = make(dataset), new_run(tmp_path / "whole")
    whole.run(run, Listener())
    killed = new_run(tmp_path / "killed")
    make(dataset).run(killed, Listener(), interrupted=lambda: True)
    again = make(dataset)
    again.restore(checkpoint.read(killed.last))
    killed.cut_log(again.progress.evaluated_at)
    again.run(killed, Listener())
    assert_same(again, whole)
    assert log_of(killed) == log_of(run)


def test_a_log_beyond_the_checkpoint_is_cut_back(dataset: data.Dataset, tmp_path: Path) -> None:
    """A crash between saves leaves log lines of steps that a resume will repeat."""
    whole, run = make(dataset, settings(save_every=5)), new_run(tmp_path / "whole")
    whole.run(run, Listener())
    crashed = new_run(tmp_path / "crashed")
    make(dataset, settings(save_every=5)).run(crashed, Listener(), stop_at=5)
    with crashed.log.open("a") as file:
        file.write(json.dumps({"step": 8, "best": True}) + '\n{"step": 12, "be')
    again = make(dataset, settings(save_every=5))
    again.restore(checkpoint.read(crashed.last))
    crashed.cut_log(again.progress.evaluated_at)
    again.run(crashed, Listener())
    assert log_of(crashed) == log_of(run)


def test_a_model_without_training_state_cannot_be_resumed(
    dataset: data.Dataset, tmp_path: Path
) -> None:
    run = new_run(tmp_path / "run")
    make(dataset).run(run, Listener(), stop_at=2)
    with pytest.raises(CheckpointError):
        make(dataset).restore(checkpoint.read(run.best))
    with pytest.raises(CheckpointError):
        make(dataset, hidden_size=9).restore(checkpoint.read(run.last))


def test_a_missing_tensor_is_noticed(dataset: data.Dataset, tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    make(dataset).run(run, Listener(), stop_at=2)
    saved = checkpoint.read(run.last)
    del saved.extra["state:1"]
    with pytest.raises(CheckpointError, match="state:1"):
        make(dataset).restore(saved)


# ------------------------------------------------------------------------------- no observer effect


def test_looking_does_not_change_the_run(dataset: data.Dataset, tmp_path: Path) -> None:
    ends = []
    for number, (evals, saves, samples) in enumerate([(4, 5, 0), (1, 1, 1), (100, 100, 7)]):
        config = settings(eval_every=evals, save_every=saves, sample_every=samples)
        trainer = make(dataset, config, dropout=0.3)
        trainer.run(new_run(tmp_path / str(number)), Listener())
        ends.append(trainer)
    for other in ends[1:]:
        assert torch.equal(weights(ends[0]), weights(other))
        assert all(torch.equal(a, b) for a, b in zip(ends[0].state, other.state, strict=True))


def test_events_come_when_they_should(dataset: data.Dataset, tmp_path: Path) -> None:
    listener, run = Listener(), new_run(tmp_path / "run")
    make(dataset, settings(eval_every=6, sample_every=8)).run(run, listener)
    assert [record["step"] for record in listener.records] == [0, 6, 12, 18, 20]
    assert listener.records == run.read_log()
    assert len(listener.losses) == 20
    assert [len(sample) for sample in listener.samples] == [300, 300]


def test_train_loss_in_the_log_is_the_mean_since_the_last_line(
    dataset: data.Dataset, tmp_path: Path
) -> None:
    listener, run = Listener(), new_run(tmp_path / "run")
    make(dataset, settings(eval_every=6)).run(run, listener)
    means = [record["train_nats_per_char"] for record in listener.records]
    assert means[0] is None
    for number, (begin, end) in enumerate([(0, 6), (6, 12), (12, 18), (18, 20)]):
        assert means[number + 1] == pytest.approx(np.mean(listener.losses[begin:end]))


def test_the_log_is_per_character_also_for_bytes(text: str, tmp_path: Path) -> None:
    """Half of the characters take two bytes, so a character costs 1.5 times a byte."""
    doubled = "aé" * 500
    texts = data.Texts.of(doubled, "aé" * 50)
    dataset = data.encode(texts, data.choose_tokenizer(texts, level="byte"))
    trainer, listener = make(dataset, settings(steps=1)), Listener()
    assert dataset.symbols_per_char == pytest.approx(1.5)
    trainer.run(new_run(tmp_path / "run"), listener)
    record = listener.records[0]
    assert record["val_bits_per_char"] == pytest.approx(1.5 * 8, abs=0.2)
    assert record["val_nats_per_char"] == pytest.approx(record["val_bits_per_char"] * math.log(2))
    assert listener.records[1]["train_nats_per_char"] == pytest.approx(1.5 * listener.losses[0])


def test_best_is_the_model_of_the_lowest_validation_loss(
    dataset: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, 2.0, 2.5, 2.0, 2.2, 2.1])
    monkeypatch.setattr(evaluate, "mean_nats", lambda model, ids, **more: next(losses))
    run, listener = new_run(tmp_path / "run"), Listener()
    make(dataset).run(run, listener)
    assert [record["best"] for record in listener.records] == [True, True] + [False] * 4
    best = checkpoint.read(run.best).provenance
    assert best["step"] == 4
    assert best["val_bits_per_char"] == pytest.approx(2.0 / math.log(2))
    assert checkpoint.read(run.last).provenance["step"] == 20


def test_without_validation_the_newest_model_is_the_best(text: str, tmp_path: Path) -> None:
    run, listener = new_run(tmp_path / "run"), Listener()
    make(dataset_of(text, "")).run(run, listener)
    assert checkpoint.read(run.best).provenance["step"] == 20
    assert "val_nats_per_char" not in listener.records[-1]


# ------------------------------------------------------------------------------------- when to stop


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_divergence_stops_before_the_update(dataset: data.Dataset, what: str) -> None:
    trainer = make(dataset)
    trainer.update(trainer.streams.batch(0))
    if what == "loss":
        with torch.no_grad():
            trainer.model.head.bias[0] = math.nan
    else:
        trainer.model.head.bias.register_hook(lambda slope: torch.full_like(slope, math.inf))
    before, state = weights(trainer), trainer.state
    moments = {k: v.clone() for k, v in trainer.optimizers.tensors().items()}
    with pytest.raises(DivergenceError, match=r"step 1: loss .* lower --learning-rate"):
        trainer.update(trainer.streams.batch(1))
    torch.testing.assert_close(weights(trainer), before, rtol=0, atol=0, equal_nan=True)
    assert all(torch.equal(v, moments[k]) for k, v in trainer.optimizers.tensors().items())
    assert trainer.progress.step == 1
    assert all(one is other for one, other in zip(trainer.state, state, strict=True))
    assert all(p.grad is None for p in trainer.model.parameters())


def test_late_reads_change_nothing_that_is_written(dataset: data.Dataset, tmp_path: Path) -> None:
    """As on a GPU: the same weights, log and losses, though no step waits for its loss."""
    runs, listeners = [new_run(tmp_path / name) for name in ("at-once", "late")], []
    for run, late in zip(runs, (False, True), strict=True):
        trainer, listener = make(dataset, settings(optimizer="muon")), Listener()
        trainer.late = late
        trainer.run(run, listener)
        listeners.append(listener)
    assert listeners[0].losses == listeners[1].losses
    assert [timeless(r) for r in runs[0].read_log()] == [timeless(r) for r in runs[1].read_log()]
    for file in ("best", "last"):
        one, other = (checkpoint.read(getattr(run, file)) for run in runs)
        assert checkpoint.state_sha256(one) == checkpoint.state_sha256(other)


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "seconds"}


@pytest.mark.parametrize("save_every", [1, 3, 100])
def test_an_update_that_is_read_late_never_reaches_a_checkpoint(
    dataset: data.Dataset, tmp_path: Path, save_every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of step 5 is not finite, and its weights and moments are spoilt but finite."""
    run = new_run(tmp_path / "run")
    trainer = make(dataset, settings(save_every=save_every, eval_every=100, steps=12))
    trainer.late = True
    real = step_module.update_late

    def spoilt(*arguments: Any) -> Any:
        found, state = real(*arguments)
        return (found * math.nan if arguments[-1] == 5 else found), state

    monkeypatch.setattr("charlm.training.trainer.update_late", spoilt)
    with pytest.raises(DivergenceError, match=r"step 5: loss nan.*holds step (3|5|0)"):
        trainer.run(run, Listener())
    assert checkpoint.read(run.last).provenance["step"] <= 5


def test_divergence_leaves_the_last_checkpoint_intact(
    dataset: data.Dataset, tmp_path: Path
) -> None:
    run = new_run(tmp_path / "run")
    trainer = make(dataset, settings(optimizer="sgd", learning_rate=1e38, clip=0.0, warmup=0))
    with pytest.raises(DivergenceError):
        trainer.run(run, Listener())
    assert checkpoint.read(run.last).provenance["step"] == 0


def test_patience_counts_evaluations_without_a_new_best(
    dataset: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = [3.0, 2.0, 2.5, 1.9, 1.9, 2.0, 1.0]
    source = iter(losses)
    monkeypatch.setattr(evaluate, "mean_nats", lambda model, ids, **more: next(source))
    run, listener = new_run(tmp_path / "run"), Listener()
    trainer = make(dataset, settings(eval_every=1, patience=2))
    assert trainer.ended is None
    assert trainer.run(run, listener) is Ending.PATIENCE
    assert trainer.progress.step == 5  # neither an equal nor a worse loss is a new best
    saved = checkpoint.read(run.last)
    assert saved.provenance["step"] == 5
    again = make(dataset, settings(eval_every=1, patience=2))
    again.restore(saved)
    assert again.ended is Ending.PATIENCE
    assert again.run(run, listener) is Ending.PATIENCE
    assert again.progress.step == 5


def test_an_interruption_ends_after_the_update_and_saves(
    dataset: data.Dataset, tmp_path: Path
) -> None:
    run, listener = new_run(tmp_path / "run"), Listener()
    trainer = make(dataset, settings(save_every=100))
    ending = trainer.run(run, listener, interrupted=lambda: len(listener.losses) == 7)
    assert ending is Ending.INTERRUPTED
    assert trainer.ended is None
    assert checkpoint.read(run.last).provenance["step"] == trainer.progress.step == 7


def test_a_save_keeps_the_one_before(dataset: data.Dataset, tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    make(dataset, settings(save_every=5)).run(run, Listener())
    steps = [checkpoint.read(path).provenance["step"] for path in (run.previous, run.last)]
    assert steps == [15, 20]


# ----------------------------------------------------------------------------------------- learning


def unigram_bits(text: str) -> float:
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())


def test_what_can_be_remembered_is_learnt_and_chance_is_not(tmp_path: Path) -> None:
    sentence = "Il treno per Roma parte alle sette di sera.\n"
    ordered = sentence * 30
    shuffled = "".join(random.Random(0).sample(ordered, len(ordered)))
    bits: Callable[[str], float] = lambda text: _train_and_score(text, tmp_path)  # noqa: E731
    assert bits(ordered) < 0.5
    assert bits(shuffled) > unigram_bits(shuffled) - 0.3


def _train_and_score(text: str, tmp_path: Path) -> float:
    """Bits per character on the last tenth, of the best model in 120 steps."""
    cut = len(text) * 9 // 10
    config = settings(steps=120, learning_rate=0.02, eval_every=20, seq_len=20)
    trainer = make(dataset_of(text[:cut], text[cut:]), config, hidden_size=32, num_layers=1)
    listener = Listener()
    trainer.run(new_run(tmp_path / str(len(list(tmp_path.iterdir())))), listener)
    return float(min(record["val_bits_per_char"] for record in listener.records))


def test_a_trainer_can_begin_with_given_weights(dataset: data.Dataset) -> None:
    source = make(dataset)
    for step in range(5):
        source.update(source.streams.batch(step))
    fresh = make(dataset, settings(seed=2))
    fresh.load_weights(source.weights())
    assert torch.equal(weights(fresh), weights(source))
    assert evaluate.mean_nats(fresh.model, dataset.val_ids) == evaluate.mean_nats(
        source.model, dataset.val_ids
    )


def test_what_is_stored_is_a_copy(dataset: data.Dataset) -> None:
    trainer = make(dataset)
    stored = trainer.weights()
    before = {name: value.copy() for name, value in stored.items()}
    trainer.update(trainer.streams.batch(0))
    for name, value in stored.items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("state", [torch.float32, torch.bfloat16], ids=str)
def test_bfloat16_goes_on_where_the_processor_has_none(
    cell: str, state: torch.dtype, dataset: data.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """oneDNN raises at a bfloat16 LSTM without AVX-512; a run from elsewhere must continue
    there."""
    exact = make(dataset, settings(precision="float32"), cell=cell)
    trainer = make(dataset, settings(precision="bfloat16"), cell=cell)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    for step in range(4):
        trainer.state = tuple(part.to(state) for part in trainer.state)  # as the file has it
        losses = [each.update(each.streams.batch(step)) for each in (exact, trainer)]
        assert losses[0] != losses[1] and losses[1] == pytest.approx(losses[0], rel=0.02)
    available = torch.backends.mkldnn.is_available()
    assert torch.backends.mkldnn.enabled == available
