"""One training step: reduced over counts, clipped, checked before it is applied, and read once."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import charlm
from charlm.config import OPTIMIZERS, TrainConfig
from charlm.errors import DivergenceError
from charlm.models.bodies import TensorState
from charlm.training.optim import Optimizers
from charlm.training.step import descend, finite, update, update_late


def settings(**options: Any) -> TrainConfig:
    fixed: dict[str, Any] = {
        "batch_size": 1,
        "seq_len": 1,
        "optimizer": "sgd",
        "learning_rate": 0.5,
        "schedule": "constant",
        "warmup": 0,
        "weight_decay": 0.0,
        "clip": 0.0,
        "steps": 100,
        "precision": "float32",
        "eval_every": 1,
        "save_every": 1,
    }
    return TrainConfig(**(fixed | options))


class Point(nn.Module):
    """One parameter w (2,); the loss is its dot product with the batch, so that is the gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, 2.0]))
        self.dropout = nn.Dropout(0.5)


def plain(model: Point, count: int = 1) -> Any:
    def objective(
        _: nn.Module, batch: Tensor, state: TensorState
    ) -> tuple[Tensor, int, TensorState]:
        return (model.w * batch).sum(), count, (model.w * 2,)

    return objective


def step_once(model: Point, batch: Tensor, count: int = 1, **options: object) -> float:
    config = settings(**options)
    optimizers = Optimizers(model, config)
    loss, _ = update(model, optimizers, plain(model, count), batch, (), config, step=0)
    return loss


def test_the_loss_is_the_sum_over_the_count_and_so_is_its_gradient() -> None:
    """w . (3, 4) = 11, over 5 losses 2.2; SGD goes half of (3, 4) / 5 down."""
    model = Point()
    assert step_once(model, torch.tensor([3.0, 4.0]), count=5) == pytest.approx(2.2)
    torch.testing.assert_close(model.w.detach(), torch.tensor([1 - 0.3, 2 - 0.4]))


@pytest.mark.parametrize(
    ("clip", "scale"),
    [(0.0, 1.0), (10.0, 1.0), (1.0, 0.2), (2.5, 0.5)],
)
def test_a_gradient_longer_than_the_limit_is_scaled_down_to_it(clip: float, scale: float) -> None:
    """The gradient (3, 4) has norm 5."""
    model = Point()
    step_once(model, torch.tensor([3.0, 4.0]), clip=clip)
    expected = torch.tensor([1 - 0.5 * scale * 3, 2 - 0.5 * scale * 4])
    torch.testing.assert_close(model.w.detach(), expected)


def test_the_state_comes_back_without_its_gradient() -> None:
    model, config = Point(), settings()
    batch = torch.tensor([3.0, 4.0])
    _, (state,) = update(model, Optimizers(model, config), plain(model), batch, (), config, 0)
    assert torch.equal(state, torch.tensor([2.0, 4.0]))
    assert not state.requires_grad


def test_dropout_depends_on_seed_and_step_and_is_switched_on() -> None:
    def masked(seed: int, step: int) -> list[float]:
        model, config = Point().eval(), settings(seed=seed)
        seen: list[Tensor] = []

        def objective(
            _: nn.Module, batch: Tensor, state: TensorState
        ) -> tuple[Tensor, int, TensorState]:
            seen.append(model.dropout(torch.ones(64)))
            return (model.w * batch).sum(), 1, ()

        torch.manual_seed(len(seen) + step)
        update(model, Optimizers(model, config), objective, torch.ones(2), (), config, step)
        drawn: list[float] = seen[0].tolist()
        return drawn

    assert set(masked(1, 0)) == {0.0, 2.0}
    assert masked(1, 0) == masked(1, 0)
    assert masked(1, 0) != masked(1, 1)
    assert masked(1, 0) != masked(2, 0)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    ("batch", "count", "said"),
    [
        ([math.nan, 1.0], 1, "loss nan"),
        ([3e38, 3e38], 1, "loss inf"),
        ([3e38, -1.5e38], 1, "loss 0 and gradient norm inf"),
    ],
)
def test_what_is_not_finite_is_refused_before_anything_is_changed(
    optimizer: str, batch: list[float], count: int, said: str
) -> None:
    model, config = Point(), settings(optimizer=optimizer)
    optimizers = Optimizers(model, config)
    update(model, optimizers, plain(model), torch.tensor([3.0, 4.0]), (), config, 0)
    with torch.no_grad():
        model.w.copy_(torch.tensor([1.0, 2.0]))
    before = {name: value.clone() for name, value in optimizers.tensors().items()}
    assert before
    with pytest.raises(DivergenceError, match=f"^step 1,234: {said}.* at learning rate 0.5$"):
        update(model, optimizers, plain(model, count), torch.tensor(batch), (), config, 1234)
    assert model.w.tolist() == [1.0, 2.0]
    assert model.w.grad is None
    assert all(torch.equal(value, before[name]) for name, value in optimizers.tensors().items())


class Reads(TorchDispatchMode):
    """Counts single numbers that are read from tensors: on a GPU each waits for all work."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.scalars = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.scalars += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_host_reads_once_per_update(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lists: list[Tensor] = []
    real = Tensor.tolist

    def tolist(tensor: Tensor) -> Any:
        lists.append(tensor)
        return real(tensor)

    monkeypatch.setattr(Tensor, "tolist", tolist)
    model = nn.Sequential(nn.Linear(4, 4))
    config = settings(optimizer=optimizer, clip=1.0)
    optimizers = Optimizers(model, config)

    def objective(
        _: nn.Module, batch: Tensor, state: TensorState
    ) -> tuple[Tensor, int, TensorState]:
        return model(batch).square().sum(), 4, ()

    for step in range(2):
        lists.clear()
        with Reads() as reads:
            update(model, optimizers, objective, torch.ones(4), (), config, step)
        assert (reads.scalars, len(lists)) == (0, 1)
    with Reads() as reads:  # the count above can fail
        torch.ones(1).item()
    assert reads.scalars == 1


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_late_update_reads_nothing_and_is_the_same_update(optimizer: str) -> None:
    config = settings(optimizer=optimizer, clip=1.0)
    models = Point(), Point()
    several = [Optimizers(model, config) for model in models]
    for step in range(3):
        batch = torch.tensor([3.0, 4.0 - step])
        nats, _ = update(models[0], several[0], plain(models[0]), batch, (), config, step)
        with Reads() as reads:
            found, _ = update_late(models[1], several[1], plain(models[1]), batch, (), config, step)
        assert reads.scalars == 0
        assert finite(found, 0.5) == nats
        assert torch.equal(models[0].w, models[1].w)
    found, _ = update_late(
        models[1], several[1], plain(models[1]), torch.tensor([math.nan, 1.0]), (), config, 3
    )
    with pytest.raises(DivergenceError, match=r"loss nan .* rate 0\.5$"):
        finite(found, 0.5)


def test_descend_names_no_step() -> None:
    model = Point()
    optimizers = Optimizers(model, settings())
    with pytest.raises(DivergenceError, match=r"^loss nan and gradient norm .* rate 0\.25$"):
        descend(model, optimizers, model.w.sum() * math.nan, 1, rate=0.25, clip=1.0)


def test_no_other_module_backpropagates_or_clips() -> None:
    """A second loop with its own reduction, clipping or checks would diverge from this one."""
    package = Path(charlm.__file__).parent
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"\.backward\(|clip_grad", path.read_text("utf-8"))
    }
    assert found == {"training/step.py"}
