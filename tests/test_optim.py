"""The schedule at points computed by hand, which optimizer takes which parameter, and an exact
round trip."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from charlm.config import CELLS, OPTIMIZERS, ModelConfig, TrainConfig
from charlm.errors import CheckpointError
from charlm.models.language import LanguageModel, build, loss_sum
from charlm.training import optim
from charlm.training.optim import (
    MINIMAX,
    QUINTICS,
    Muon,
    Optimizers,
    hidden_matrices,
    learning_rate,
    orthogonalized,
)

V, H = 7, 8


def make(cell: str = "lstm", **more: object) -> LanguageModel:
    return build(ModelConfig.resolve(vocab_size=V, cell=cell, hidden_size=H, **more), seed=1)


def config(**options: Any) -> TrainConfig:
    fixed: dict[str, Any] = {
        "batch_size": 2,
        "seq_len": 3,
        "learning_rate": 1.0,
        "precision": "float32",
        "steps": 100,
        "warmup": 10,
        "eval_every": 10,
        "save_every": 10,
    }
    return TrainConfig(**(fixed | options))


# ----------------------------------------------------------------------------------------- schedule


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        ("cosine", 0, 0.1),
        ("cosine", 4, 0.5),
        ("cosine", 9, 1.0),
        ("cosine", 10, 1.0),
        ("cosine", 55, 0.2 + 0.8 / 2),
        ("cosine", 40, 0.2 + 0.8 * 3 / 4),
        ("cosine", 100, 0.2),
        ("linear", 0, 0.1),
        ("linear", 10, 1.0),
        ("linear", 55, 0.2 + 0.8 / 2),
        ("linear", 28, 0.2 + 0.8 * 4 / 5),
        ("linear", 100, 0.2),
        ("constant", 0, 0.1),
        ("constant", 10, 1.0),
        ("constant", 100, 1.0),
    ],
)
def test_schedule_by_hand(schedule: str, step: int, expected: float) -> None:
    settings = config(schedule=schedule, final_learning_rate=0.2)
    assert learning_rate(settings, step) == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_rate_falls_after_warm_up_and_never_below_its_end(schedule: str) -> None:
    settings = config(schedule=schedule, learning_rate=3.0, final_learning_rate=0.01)
    rates = [learning_rate(settings, step) for step in range(10, 101)]
    assert all(a > b for a, b in itertools.pairwise(rates))
    assert rates[-1] == pytest.approx(0.03)


def test_warm_up_takes_a_tenth_of_the_run_at_most() -> None:
    settings = config(warmup=50, steps=20)
    assert [learning_rate(settings, step) for step in range(3)] == pytest.approx([0.5, 1.0, 1.0])


@pytest.mark.parametrize("options", [{"warmup": 0}, {"steps": 1}, {"steps": 9}])
def test_without_warm_up_the_first_rate_is_the_peak(options: dict[str, int]) -> None:
    assert learning_rate(config(**options), 0) == 1.0


# ----------------------------------------------------------------------------------- who takes what


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("lstm", ["weight_ih_l0", "weight_hh_l0"]),
        ("gru", ["weight_ih_l0", "weight_hh_l0"]),
        ("rnn", ["weight_ih_l0", "weight_hh_l0"]),
        ("window", ["weight"]),
        ("conv", []),  # kernels have three dimensions, and Muon takes two
    ],
)
@pytest.mark.parametrize("tie", [False, True])
def test_muon_takes_the_hidden_matrices_and_adamw_the_rest(
    cell: str, names: list[str], tie: bool
) -> None:
    model = make(cell, num_layers=2, tie=tie)
    expected = {f"body.layers.{layer}.{name}" for layer in range(2) for name in names}
    assert set(hidden_matrices(model)) == expected
    found: dict[str, set[str]] = {}
    by_parameter = {p: name for name, p in model.named_parameters()}
    for optimizer in Optimizers(model, config(optimizer="muon")).all:
        parameters = {by_parameter[p] for group in optimizer.param_groups for p in group["params"]}
        found[type(optimizer).__name__] = parameters
    assert found.get("Muon", set()) == expected
    assert found["AdamW"] == set(by_parameter.values()) - expected


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_parameter_has_exactly_one_optimizer(name: str) -> None:
    model = make()
    owned = [
        id(parameter)
        for optimizer in Optimizers(model, config(optimizer=name)).all
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_is_a_share_of_the_learning_rate_and_no_part_of_the_gradient(
    name: str,
) -> None:
    for decay in (0.0, 0.3):
        model = make()
        before = {key: p.detach().clone() for key, p in model.named_parameters()}
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        Optimizers(model, config(optimizer=name, weight_decay=decay)).step(0.01)
        for key, parameter in model.named_parameters():
            torch.testing.assert_close(parameter.detach(), before[key] * (1 - 0.01 * decay))


# -------------------------------------------------------------------------------------------- steps


def take_steps(model: LanguageModel, optimizers: Optimizers, number: int, first: int = 0) -> Tensor:
    """The weights after some steps on random gradients that depend only on the step."""
    for step in range(first, first + number):
        generator = torch.Generator().manual_seed(step)
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizers.step(0.01)
        optimizers.zero_grad()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_loaded_optimizer_goes_on_exactly(name: str, cell: str) -> None:
    settings = config(optimizer=name)
    model = make(cell)
    optimizers = Optimizers(model, settings)
    take_steps(model, optimizers, 3)
    tensors = {key: value.clone() for key, value in optimizers.tensors().items()}
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    expected = take_steps(model, optimizers, 3, first=3)

    def go_on(saved: dict[str, Tensor]) -> Tensor:
        fresh = make(cell)
        fresh.load_state_dict(weights)
        again = Optimizers(fresh, settings)
        again.load(saved)
        assert set(again.tensors()) == set(saved)
        return take_steps(fresh, again, 3, first=3)

    assert torch.equal(go_on(tensors), expected)
    # What is loaded is a copy, so the same tensors serve twice.
    assert torch.equal(go_on(tensors), expected)
    assert not torch.equal(go_on({}), expected)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_new_optimizer_has_no_state(name: str) -> None:
    assert Optimizers(make(), config(optimizer=name)).tensors() == {}


def test_tensors_are_named_after_their_parameter() -> None:
    model = make()
    optimizers = Optimizers(model, config(optimizer="muon"))
    take_steps(model, optimizers, 1)
    names = {key.rpartition("/")[0] for key in optimizers.tensors()}
    assert names == {name for name, _ in model.named_parameters()}
    assert "body.layers.0.weight_hh_l0/momentum_buffer" in optimizers.tensors()
    assert "head.bias/exp_avg_sq" in optimizers.tensors()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_rate_scales_the_update(name: str) -> None:
    moved = []
    for rate in (1e-3, 2e-3, 0.0):
        model = make()
        before = torch.cat([p.detach().flatten() for p in model.parameters()]).clone()
        optimizers = Optimizers(model, config(optimizer=name))
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizers.step(rate)
        after = torch.cat([p.detach().flatten() for p in model.parameters()])
        moved.append(float((after - before).norm()))
    assert moved[1] == pytest.approx(2 * moved[0], rel=1e-2)
    assert moved[2] == 0


@pytest.mark.parametrize(
    ("name", "rate"), [("muon", 0.02), ("adamw", 0.02), ("rmsprop", 0.01), ("sgd", 0.3)]
)
def test_every_optimizer_reduces_the_loss(name: str, rate: float) -> None:
    model = make()
    optimizers = Optimizers(model, config(optimizer=name))
    ids = torch.arange(33).remainder(V)[None]

    def loss() -> Tensor:
        logits, _ = model(ids[:, :-1], model.initial_state(1))
        return loss_sum(logits, ids[:, 1:]) / 32

    before = loss().item()
    assert before == pytest.approx(math.log(V), abs=0.1)
    for _ in range(40):
        loss().backward()
        optimizers.step(rate)
        optimizers.zero_grad()
    assert loss().item() < before / 2


# --------------------------------------------------------------------------------------------- Muon

SHAPES = [(6, 6), (12, 5), (5, 12), (1, 9)]


def test_matrices_that_take_turns_move_twice_as_far_half_as_often() -> None:
    """Against torch's Muon, whose parameters are set back at every other step: the momentum goes
    on, and a move is one at twice the rate, decay included."""
    noise = torch.Generator().manual_seed(4)
    ours = [torch.nn.Parameter(torch.ones(4, 6)) for _ in range(2)]
    theirs = [torch.nn.Parameter(torch.ones(4, 6)) for _ in range(2)]
    one = Muon(list(ours), weight_decay=0.1, every=2)
    other = torch.optim.Muon(theirs, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    one.param_groups[0]["lr"], other.param_groups[0]["lr"] = 0.02, 0.04
    moved = []
    for step in range(6):
        for mine, its in zip(ours, theirs, strict=True):
            mine.grad = torch.randn(4, 6, generator=noise)
            its.grad = mine.grad.clone()
        before = [parameter.detach().clone() for parameter in theirs]
        stood = [parameter.detach().clone() for parameter in ours]
        one.step()
        other.step()
        with torch.no_grad():
            theirs[(step + 1) % 2].copy_(before[(step + 1) % 2])
        moved.append([not torch.equal(a, b) for a, b in zip(ours, stood, strict=True)])
        for mine, its in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, its, atol=2e-3, rtol=0)
    assert moved == [[True, False], [False, True]] * 3


def test_a_turn_is_stored_and_resumed() -> None:
    model = build(ModelConfig.resolve(vocab_size=5, hidden_size=4), seed=1)
    fixed: dict[str, Any] = {"batch_size": 1, "seq_len": 1, "learning_rate": 0.1, "steps": 9}
    fixed |= {"precision": "float32", "eval_every": 1, "save_every": 1}
    config = TrainConfig(**fixed, orthogonalize_every=2)
    optimizers = Optimizers(model, config)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizers.step(0.1)
    stored = optimizers.tensors()
    matrix = "body.layers.0.weight_hh_l0"
    assert int(stored[f"{matrix}/step"]) == 1
    again = Optimizers(model, config)
    again.load(stored)
    assert {k: v.tolist() for k, v in again.tensors().items()} == {
        k: v.tolist() for k, v in stored.items()
    }
    plain = Optimizers(model, TrainConfig(**fixed))
    with pytest.raises(CheckpointError, match="step"):
        plain.load(stored)


@pytest.mark.parametrize("name", QUINTICS)
@pytest.mark.parametrize("shape", SHAPES)
def test_orthogonalizing_is_a_polynomial_of_the_singular_values(
    shape: tuple[int, int], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optim, "has_bfloat16", lambda device: False)
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    u, s, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    start = s = s / matrix.double().norm()
    for a, b, c in QUINTICS[name]:
        s = a * s + b * s**3 + c * s**5
    found = orthogonalized(matrix, QUINTICS[name])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), u @ torch.diag(s) @ v, atol=1e-5, rtol=1e-4)
    near = s[start > (0.0 if name == "jordan" else 0.01)]
    assert (near > 0.3).all() and (s < 1.3).all()  # near 1, though some were near 0


def test_the_minimax_polynomials_deviate_least() -> None:
    """On [0.01, 1], and then on what is left of it, none near them comes nearer to 1; together they
    bring every singular value from 0.01 on to 0.7 or more, and none above 1.3."""

    def value(quintic: Sequence[float], x: Tensor) -> Tensor:
        a, b, c = quintic
        return a * x + b * x**3 + c * x**5

    x = torch.logspace(-2, 0, 20_001, dtype=torch.float64)
    noise = torch.Generator().manual_seed(1)
    for quintic in MINIMAX:
        # They expect 1.02 times the value, to be safe, and have four decimals.
        best = torch.tensor([f * 1.02**k for f, k in zip(quintic, (1, 3, 5), strict=True)])
        farthest = float((value(best.tolist(), x) - 1).abs().max())
        for _ in range(300):
            near = best * (1 + 0.02 * torch.randn(3, generator=noise))
            assert float((value(near.tolist(), x) - 1).abs().max()) > farthest - 0.005
        x = value(best.tolist(), x)
    x = torch.logspace(-2, 0, 20_001, dtype=torch.float64)
    for quintic in MINIMAX:
        x = value(quintic, x)
    assert float(x.min()) > 0.69 and float(x.max()) < 1.28
    small = torch.tensor([1e-5], dtype=torch.float64)
    for quintic in MINIMAX:
        small = value(quintic, small)
    assert float(small) / 1e-5 == pytest.approx(73.8, rel=0.01)


@pytest.mark.parametrize("name", QUINTICS)
def test_the_polynomials_of_muon_are_those_it_was_given(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step by hand, from the singular values of its gradient."""
    monkeypatch.setattr(optim, "has_bfloat16", lambda device: False)
    matrix = torch.nn.Parameter(torch.zeros(6, 9))
    muon = Muon([matrix], weight_decay=0.0, quintics=QUINTICS[name])
    gradient = torch.randn(6, 9, generator=torch.Generator().manual_seed(2))
    matrix.grad = gradient.clone()
    muon.param_groups[0]["lr"] = 0.1
    muon.step()
    u, s, v = torch.linalg.svd(gradient.double(), full_matrices=False)
    s = s / gradient.double().norm()
    for a, b, c in QUINTICS[name]:
        s = a * s + b * s**3 + c * s**5
    expected = -0.1 * 0.2 * 3 * (u @ torch.diag(s) @ v)
    torch.testing.assert_close(matrix.detach().double(), expected, atol=1e-5, rtol=1e-4)


def test_the_orthogonalizer_of_the_configuration_is_used() -> None:
    """Old runs have Jordan's polynomials, new ones three of their own."""
    model = make()
    for name, quintics in QUINTICS.items():
        muon = Optimizers(model, config(optimizer="muon", orthogonalizer=name)).all[0]
        assert isinstance(muon, Muon)
        assert muon.quintics == quintics
    assert len(QUINTICS["jordan"]) == 5 and len(QUINTICS["minimax"]) == 3
    stored = config().to_dict()
    del stored["orthogonalizer"]
    assert TrainConfig.from_dict(stored).orthogonalizer == "jordan"


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_muon_is_torch_s_muon(
    shape: tuple[int, int], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit where it computes in bfloat16 as well, and to its rounding where it does not."""
    monkeypatch.setattr(optim, "has_bfloat16", lambda device: native)
    noise = torch.Generator().manual_seed(4)
    ours, theirs = (
        torch.nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(5)))
        for _ in range(2)
    )
    one = Muon([ours], weight_decay=0.1)
    other = torch.optim.Muon([theirs], weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for step in range(5):
        ours.grad = torch.randn(shape, generator=noise)
        theirs.grad = ours.grad.clone()
        for optimizer in (one, other):
            optimizer.param_groups[0]["lr"] = 0.02 / (step + 1)
            optimizer.step()
        if native:
            assert torch.equal(ours, theirs)
        else:
            torch.testing.assert_close(ours, theirs, atol=0.002, rtol=0)
    assert torch.equal(one.state[ours]["momentum_buffer"], other.state[theirs]["momentum_buffer"])


WITHOUT = """
import sys
import torch
from torch import nn
from charlm.config import TrainConfig
from charlm.training.optim import Optimizers

model = nn.Linear(3, 2)
options = dict(batch_size=1, seq_len=1, steps=1, learning_rate=0.1, precision="float32")
optimizers = Optimizers(model, TrainConfig(**options, eval_every=1, save_every=1))
model(torch.ones(1, 3)).sum().backward()
optimizers.step(0.1)
print("torch._dynamo" in sys.modules)
"""


def test_training_does_not_import_the_compiler() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
