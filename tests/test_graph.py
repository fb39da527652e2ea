"""A recorded training step: the same as without, for every turn, and nothing moved by recording.

A processor records nothing, so what is recorded is computed here instead, and torch.cuda is played
by stand-ins. On a GPU ``benchmarks/gpu.py`` compares both.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from test_train import dataset_of, make, settings, weights

from charlm.text import dataset as data
from charlm.training import graph as graphs
from charlm.training.graph import StepGraph
from charlm.training.trainer import Trainer

STEPS = 25  # more than two epochs of 11


@pytest.fixture
def dataset() -> data.Dataset:
    text = "".join(f"{a}{b} " for a, b in itertools.product("abcde", repeat=2))
    return dataset_of(text * 18, text)


def trained(trainer: Trainer, steps: int = STEPS) -> list[float]:
    """The losses of a trainer that reads late, as on a GPU."""
    trainer.late = True
    losses = []
    for _ in range(steps):
        losses.append(trainer.advance(trainer.streams.batch(trainer.progress.step)))
    return [each for each in [*losses, trainer.read()] if each is not None]


def with_graph(trainer: Trainer) -> Trainer:
    trainer.recorded = True
    return trainer


OPTIONS: dict[str, Any] = {"steps": STEPS, "orthogonalize_every": 3}


@pytest.mark.parametrize("optimizer", graphs.OPTIMIZERS)
@pytest.mark.parametrize("cell", ["lstm", "gru", "conv"])
def test_the_recorded_step_is_the_step(dataset: data.Dataset, cell: str, optimizer: str) -> None:
    """State carried and reset, learning rate, dropout and Muon's turns are those of each step."""
    config = settings(optimizer=optimizer, **OPTIONS)
    shape = {"cell": cell, "dropout": 0.3, "embedding_dropout": 0.2}
    plain = make(dataset, config, **shape)
    recorded = with_graph(make(dataset, config, **shape))
    expected, found = trained(plain), trained(recorded)
    assert len(found) == STEPS and len(set(found)) == STEPS
    assert found == pytest.approx(expected, abs=1e-4)
    torch.testing.assert_close(weights(recorded), weights(plain), atol=2e-3, rtol=1e-3)
    assert plain._graph is None and recorded._graph is not None
    for one, other in zip(recorded.state, plain.state, strict=True):
        torch.testing.assert_close(one, other, atol=2e-3, rtol=1e-3)


def test_sgd_is_not_recorded(dataset: data.Dataset) -> None:
    trainer = with_graph(make(dataset, settings(optimizer="sgd")))
    trained(trainer, 2)
    assert trainer._graph is None


class Recording:
    """What torch.cuda does while a step is recorded. A replay repeats the Python of the recording,
    with the turn that it had then: as a graph does, which asks Python nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails_at: int | None = None) -> None:
        self.fails_at = fails_at
        self.recorded: list[int] = []
        for name, stand_in in (
            ("Stream", lambda device: self),
            ("current_stream", lambda: self),
            ("stream", lambda stream: contextlib.nullcontext()),
            ("CUDAGraph", lambda: self),
            ("graph", self.graph),
        ):
            monkeypatch.setattr(torch.cuda, name, stand_in)

    def wait_stream(self, other: Any) -> None: ...
    def replay(self) -> None: ...

    @contextlib.contextmanager
    def graph(self, graph: Any, stream: Any) -> Iterator[None]:
        if len(self.recorded) == self.fails_at:
            self.recorded.append(-1)
            raise RuntimeError("operation not permitted when stream is capturing")
        self.recorded.append(len(self.recorded))
        yield


def record(trainer: Trainer) -> list[Callable[[], object]]:
    step = StepGraph(trainer.model, trainer.optimizers, trainer.config, trainer.state)
    return step._recorded()


@pytest.mark.parametrize("before", [0, 7])
def test_recording_moves_nothing(
    dataset: data.Dataset, before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run goes on as if there had been no recording, at its beginning and after a resume."""
    config = settings(optimizer="muon", **OPTIONS)
    plain, other = (make(dataset, config) for _ in range(2))
    for trainer in (plain, other):
        trained(trainer, before)
    recording = Recording(monkeypatch)
    assert len(record(other)) == 3 == len(recording.recorded)  # one graph for each turn of Muon
    assert torch.equal(weights(other), weights(plain))
    assert other.optimizers.turn == plain.optimizers.turn == before
    assert all(parameter.grad is None for parameter in other.model.parameters())
    assert trained(plain, 9) == trained(other, 9)
    assert torch.equal(weights(other), weights(plain))


@pytest.mark.parametrize("fails_at", [0, 1])
def test_a_step_that_cannot_be_recorded_is_computed(
    dataset: data.Dataset, fails_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(optimizer="muon", **OPTIONS)
    plain, other = make(dataset, config), with_graph(make(dataset, config))
    recording = Recording(monkeypatch, fails_at)

    class OnGPU(StepGraph):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self._recorded()

    monkeypatch.setattr("charlm.training.trainer.StepGraph", OnGPU)
    assert trained(plain) == trained(other)
    assert recording.recorded[-2:] == [-1, fails_at + 1]  # the last one frees torch's generator
    assert other.recorded is False
    assert torch.equal(weights(other), weights(plain))


def test_a_replay_takes_the_graph_of_its_turn(dataset: data.Dataset) -> None:
    """Each stand-in for a graph does what was decided when it was recorded, whatever is counted."""
    config = settings(optimizer="muon", **OPTIONS)
    plain, other = make(dataset, config), with_graph(make(dataset, config))
    expected = trained(plain, 4)  # and not a multiple of the turns
    found = trained(other, 4)
    step = other._graph
    assert step is not None

    def replay(turn: int) -> Callable[[], None]:
        def of_the_turn() -> None:
            counted = other.optimizers.turn
            other.optimizers.turn = turn
            step._compute()
            other.optimizers.turn = counted

        return of_the_turn

    step._turns = [replay(turn) for turn in range(3)]
    expected += trained(plain, 8)
    found += trained(other, 8)
    assert found == pytest.approx(expected, abs=1e-4)
    assert other.optimizers.turn == plain.optimizers.turn == 12
    torch.testing.assert_close(weights(other), weights(plain), atol=2e-3, rtol=1e-3)
