"""Truncated backpropagation through time (Williams & Peng, 1990); stopping and going on again.

``Trainer.update`` is the whole method: read one window of every stream from the state where the
last one ended, backpropagate within the window, step, and cut the gradient at the window's edge
while the state's values cross it.

Everything random in step t comes from (seed, t), so a trainer is described by its tensors and a
handful of numbers: what ``checkpoint`` stores and ``restore`` puts back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor

import charlm
from charlm import checkpoint
from charlm.checkpoint import Checkpoint, Tensors
from charlm.config import ModelConfig, SampleConfig, TrainConfig
from charlm.errors import CheckpointError, DivergenceError
from charlm.generate import CharLM
from charlm.models.bodies import TensorState
from charlm.models.language import LanguageModel, build, loss_sum
from charlm.runs import Run
from charlm.seeds import derive
from charlm.surprisal import LN2
from charlm.text.dataset import Dataset, Source
from charlm.text.streams import Batch, Streams
from charlm.training import evaluate
from charlm.training.evaluate import Interrupted
from charlm.training.optim import Optimizers, learning_rate
from charlm.training.precision import arithmetic


class Reporter(Protocol):
    """Who is told what happens. The command line draws a bar; tests listen."""

    def updated(self, step: int, nats: float, characters: int) -> None: ...
    def evaluated(self, record: dict[str, Any]) -> None: ...
    def sampled(self, text: str) -> None: ...


@dataclass
class Progress:
    """The numbers that change while training: with the tensors, all there is to a trainer."""

    step: int = 0
    loss_sum: float = 0.0  # nats per character, summed over the updates since the last evaluation
    loss_count: int = 0
    best_nats: float | None = None
    best_step: int = 0
    evaluated_at: int = -1  # the step of the last evaluation
    evaluations_without_best: int = 0
    seconds: float = 0.0

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """The inverse of ``asdict``; CheckpointError for anything else."""
        try:
            progress = cls(**{spec.name: values[spec.name] for spec in fields(cls)})
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"where training stands is damaged ({error!r:.100})") from error
        for name, value in asdict(progress).items():
            whole = isinstance(getattr(cls, name), int)
            number = type(value) is int or (type(value) is float and not whole)
            if name == "best_nats" and value is None:
                continue
            least = -1 if name == "evaluated_at" else 0
            if not number or not least <= value < 2**63:
                raise CheckpointError(f"where training stands is damaged ({name} {value!r:.60})")
        return progress


class Trainer:
    """One run of training: a model, its optimizers, its streams, and where it stands."""

    def __init__(
        self,
        model_config: ModelConfig,
        config: TrainConfig,
        dataset: Dataset,
        source: Source,
        device: torch.device | None = None,
    ) -> None:
        self.config = config
        self.dataset = dataset
        self.source = source
        self.device = device or torch.device("cpu")
        self.model: LanguageModel = build(model_config, config.seed).to(self.device)
        self.optimizers = Optimizers(self.model, config)
        self.streams = Streams(dataset.train_ids, *config.window, seed=config.seed)
        self.state: TensorState = self.model.initial_state(self.streams.batch_size)
        self.progress = Progress()
        self._saved: Progress | None = None  # where it stood when it was last saved

    # ------------------------------------------------------------------------------- one update

    def update(self, batch: Batch) -> float:
        """One step of truncated BPTT; returns the window's mean loss in nats per symbol.

        Raises DivergenceError, before anything is changed, where loss or gradient is not finite.
        """
        step = self.progress.step
        inputs, targets = self._tensor(batch.inputs), self._tensor(batch.targets)  # (B, T)
        state = (
            self.model.initial_state(self.streams.batch_size) if batch.starts_epoch else self.state
        )
        torch.manual_seed(derive(self.config.seed, "dropout", step))
        self.model.train()

        with arithmetic(self.config.precision, self.device):
            logits, state = self.model(inputs, state)
        loss = loss_sum(logits, targets) / targets.numel()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = self._clip()
        nats = loss.item()
        if not (math.isfinite(nats) and math.isfinite(norm)):
            self.optimizers.zero_grad()
            raise self._diverged(step, f"loss {nats:.4g} and gradient norm {norm:.4g}")
        self.optimizers.step(learning_rate(self.config, step))
        self.optimizers.zero_grad()
        self.state = tuple(part.detach() for part in state)  # values cross, the gradient does not
        self.progress.step += 1
        return nats

    def _clip(self) -> float:
        """The gradient's norm, which is scaled down to ``clip`` where it is larger (Pascanu et al.,
        2013)."""
        limit = self.config.clip or math.inf
        return torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit).item()

    def _diverged(self, step: int, what: str, *, updated: bool = False) -> DivergenceError:
        """updated: whether the update that did it has been made already, as the last one"""
        rate = learning_rate(self.config, max(0, step - 1) if updated else step)
        what += " after the last update" if updated else ""
        return DivergenceError(
            f"step {step:,}: {what} at learning rate {rate:.3g}; try a lower --learning-rate or "
            "--clip"
        )

    def _tensor(self, ids: Any) -> Tensor:
        return torch.from_numpy(ids.astype(np.int64)).to(self.device)

    # -------------------------------------------------------------------------------- the loop

    def run(
        self,
        run: Run,
        reporter: Reporter,
        *,
        stop_at: int | None = None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train to the end, or to ``stop_at``, or until interrupted; True if the run is finished.

        Evaluating, saving and sampling read the model and change nothing: the weights at the end
        do not depend on how often they happen. The state is saved before anything else is done, so
        there is something to go on from at any moment; an evaluation that is interrupted is made
        after resuming. Raises DivergenceError, naming the checkpoint that is left.
        """
        config, progress = self.config, self.progress
        assert config.steps is not None
        assert config.save_every is not None
        stop = min(config.steps, stop_at or config.steps)
        began = time.monotonic() - progress.seconds
        broken_off = False
        try:
            if self._saved is None:
                self.save(run)
            try:
                if self.evaluation_is_due:
                    self.evaluate(run, reporter, interrupted)
                while progress.step < stop and not self.out_of_patience and not interrupted():
                    nats = self.update(self.streams.batch(progress.step))
                    progress.loss_sum += nats
                    progress.loss_count += 1
                    progress.seconds = time.monotonic() - began
                    reporter.updated(progress.step, nats, math.prod(config.window))
                    if self.evaluation_is_due:
                        self.evaluate(run, reporter, interrupted)
                    if config.sample_every and progress.step % config.sample_every == 0:
                        reporter.sampled(self.write_sample())
                    if progress.step % config.save_every == 0:
                        self.save(run)
            except Interrupted:
                broken_off = True
            self.save(run)
        except DivergenceError as error:
            if self._saved is None:
                raise
            raise DivergenceError(
                f"{error}; {run.last} is finite and holds step {self._saved.step:,}"
            ) from error
        return not broken_off and (progress.step >= config.steps or self.out_of_patience)

    @property
    def evaluation_is_due(self) -> bool:
        """Whether this step is one to evaluate at and has not been evaluated yet."""
        config, step = self.config, self.progress.step
        assert config.eval_every is not None
        due = step % config.eval_every == 0 or step == config.steps
        return due and self.progress.evaluated_at != step

    @property
    def out_of_patience(self) -> bool:
        patience = self.config.patience
        return bool(patience) and self.progress.evaluations_without_best >= patience

    def evaluate(
        self, run: Run, reporter: Reporter, interrupted: Callable[[], bool] = lambda: False
    ) -> None:
        """Validate, log, and keep the model if it is the best so far.

        Without a validation part there is no best; the newest model takes its place. Raises
        Interrupted, with nothing changed, where that is asked for.
        """
        config, progress = self.config, self.progress
        train_nats = progress.loss_sum / progress.loss_count if progress.loss_count else None
        record: dict[str, Any] = {
            "step": progress.step,
            "epoch": round(progress.step / self.streams.steps_per_epoch, 4),
            "learning_rate": learning_rate(config, progress.step),
            "train_nats_per_char": train_nats and train_nats * self.symbols_per_char,
        }
        if self.dataset.can_validate:
            ids = self.dataset.val_ids
            nats = evaluate.mean_nats(self.model, ids, interrupted=interrupted)
            nats *= self.symbols_per_char
            # The last update may have spoilt the weights without a loss of its own to show it.
            if not math.isfinite(nats):
                raise self._diverged(progress.step, f"validation loss {nats:.4g}", updated=True)
            record |= {"val_nats_per_char": nats, "val_bits_per_char": nats / LN2}
            better = progress.best_nats is None or nats < progress.best_nats
        else:
            nats, better = math.nan, True
        progress.loss_sum, progress.loss_count = 0.0, 0
        progress.evaluated_at = progress.step
        if better:
            progress.best_nats = nats if self.dataset.can_validate else None
            progress.best_step = progress.step
            progress.evaluations_without_best = 0
            checkpoint.write(run.best, self.checkpoint(resumable=False))
        else:
            progress.evaluations_without_best += 1
        record |= {"best": better, "seconds": round(progress.seconds, 2)}
        run.append_log(record)
        reporter.evaluated(record)

    @property
    def symbols_per_char(self) -> float:
        """1 for characters; for bytes, how many of them a character takes in this corpus."""
        ids = self.dataset.val_ids if self.dataset.can_validate else self.dataset.train_ids
        return len(ids) / self.dataset.tokenizer.count_characters(ids)

    def write_sample(self, length: int = 300) -> str:
        """A sample from the model as it is now; the same at the same step of the same run."""
        model = CharLM(self.checkpoint(resumable=False))
        config = SampleConfig(length=length, seed=self.progress.step)
        return "".join(model.stream(config=config))

    # ------------------------------------------------------------------------ stopping, resuming

    def save(self, run: Run) -> None:
        """Write ``last.safetensors``, keeping the one before as ``previous.safetensors``; nothing
        to do where it stands as it was last saved."""
        if self._saved != self.progress:
            checkpoint.write(run.last, self.checkpoint(resumable=True), keep_as=run.previous)
            self._saved = replace(self.progress)

    def weights(self) -> Tensors:
        """The parameters as NumPy arrays; a tied head is stored once."""
        return {
            name: parameter.detach().cpu().numpy().copy()
            for name, parameter in self.model.named_parameters()
        }

    def checkpoint(self, *, resumable: bool) -> Checkpoint:
        """All there is to the trainer as one file's content; the model alone if not resumable.

        Raises DivergenceError where a number in it is not finite.
        """
        progress = self.progress
        nats = progress.best_nats if progress.best_step == progress.step else None
        provenance = self.dataset.provenance() | {
            "step": progress.step,
            "steps": self.config.steps,
            "batch_size": self.streams.batch_size,
            "seq_len": self.streams.seq_len,
            "val_bits_per_char": None if nats is None else nats / LN2,
            "charlm": charlm.__version__,
            "torch": str(torch.__version__),
        }
        parts: dict[str, Any] = {
            "config": self.model.config,
            "tokenizer": self.dataset.tokenizer,
            "weights": self.weights(),
            "provenance": provenance,
        }
        if resumable:
            tensors = {f"optimizer:{k}": v for k, v in self.optimizers.tensors().items()}
            tensors |= {f"state:{number}": part for number, part in enumerate(self.state)}
            parts["extra"] = {name: _widened(tensor) for name, tensor in tensors.items()}
            parts["training"] = {
                "config": self.config.to_dict(),
                "source": self.source.to_dict(),
                "progress": asdict(progress),
                "dtypes": {k: str(t.dtype).removeprefix("torch.") for k, t in tensors.items()},
                "device": self.device.type,
                "threads": torch.get_num_threads(),
                "instructions": torch.backends.cpu.get_cpu_capability(),
            }
        for name, value in {**parts["weights"], **parts.get("extra", {})}.items():
            if not np.isfinite(value).all():
                raise self._diverged(progress.step, f"{name} is not finite", updated=True)
        return Checkpoint(**parts)

    @torch.no_grad()
    def load_weights(self, weights: Tensors) -> None:
        """Take over the parameters of a model of the same shape."""
        for name, parameter in self.model.named_parameters():
            parameter.copy_(torch.from_numpy(weights[name]))

    def differences(self, saved: Checkpoint) -> list[str]:
        """What about this machine may round otherwise than where ``saved`` was written."""
        training = saved.training or {}
        instructions = torch.backends.cpu.get_cpu_capability()
        pairs = (
            ("device", training.get("device"), self.device.type),
            ("number of threads", training.get("threads"), torch.get_num_threads()),
            (
                "processor's instruction set",
                training.get("instructions", instructions),  # older files do not tell it
                instructions,
            ),
            ("version of torch", saved.provenance.get("torch"), str(torch.__version__)),
        )
        return [f"the {what} was {old} and is {new}" for what, old, new in pairs if old != new]

    def restore(self, saved: Checkpoint) -> None:
        """Become the trainer that wrote ``saved``; CheckpointError where it is not of this run."""
        training = saved.training
        if training is None or saved.config != self.model.config:
            raise CheckpointError("the checkpoint cannot be resumed from: name a run's directory")
        progress = Progress.from_dict(training.get("progress"))
        try:
            tensors = {
                name: _narrowed(name, value, training["dtypes"][name], self.config.precision)
                for name, value in saved.extra.items()
            }
            state = tuple(
                tensors.pop(f"state:{number}").to(self.device) for number in range(len(self.state))
            )
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"what resuming needs is damaged ({error!r:.100})") from error
        if any(new.shape != old.shape for new, old in zip(state, self.state, strict=True)):
            raise CheckpointError("what resuming needs is damaged (the state's shape)")
        slots = {name.removeprefix("optimizer:"): value for name, value in tensors.items()}
        if bool(slots) != bool(progress.step):
            raise CheckpointError(
                f"what resuming needs is damaged: {len(slots)} tensors of the optimizer at step "
                f"{progress.step}"
            )
        self.optimizers.load(slots)
        self.load_weights(saved.weights)
        self.state = state
        self.progress = progress
        self._saved = replace(progress)


_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.float32, torch.bfloat16, torch.int64, torch.uint8)
}


def _narrowed(name: str, value: Any, dtype: str, precision: str) -> Tensor:
    """The inverse of ``_widened``: only a bfloat16 state was ever widened."""
    was_bfloat16 = name.startswith("state:") and precision == dtype == "bfloat16"
    if dtype != str(value.dtype) and not was_bfloat16:
        raise TypeError(f"{name} of type {dtype!s:.20}")
    return torch.from_numpy(value).to(_DTYPES[dtype])


def _widened(tensor: Tensor) -> Any:
    """A tensor as NumPy has it: bfloat16 becomes float32, which holds every value of it."""
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return tensor.detach().cpu().numpy()
