"""The training loop: train, evaluate, sample, save, and decide when to stop.

A single training step is in ``charlm.training.step``, the contents of a resumable checkpoint in
``charlm.training.state``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

import charlm
from charlm import checkpoint, lineage
from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig, SampleConfig, TrainConfig
from charlm.errors import CheckpointError, DivergenceError, RequestError
from charlm.generate import CharLM
from charlm.models.bodies import TensorState
from charlm.rundir import Run
from charlm.surprisal import LN2
from charlm.tensorfile import Tensors
from charlm.text.dataset import AnyDataset, Source
from charlm.text.items import ItemDataset
from charlm.text.streams import Batch
from charlm.training.evaluate import Interrupted
from charlm.training.graph import OPTIMIZERS as RECORDABLE
from charlm.training.graph import StepGraph
from charlm.training.group import ALONE, Group
from charlm.training.legs import facts_of
from charlm.training.objectives import learning_of
from charlm.training.optim import Optimizers, learning_rate
from charlm.training.pace import PLANS, Pace
from charlm.training.rows import Blocks, Split, pieces
from charlm.training.state import Progress, TrainState
from charlm.training.step import (
    Told,
    finite,
    update,
    update_in_blocks,
    update_in_group,
    update_late,
)

REMEDY = "try a lower --learning-rate or --clip"


class Reporter(Protocol):
    """Receives the progress of training. The command line draws a bar; tests record."""

    def updated(self, step: int, nats: float, characters: int) -> None: ...
    def evaluated(self, record: dict[str, Any]) -> None: ...
    def sampled(self, text: str) -> None: ...


class Ending(Enum):
    """Why ``Trainer.run`` returned."""

    COMPLETE = "all steps are done"
    PATIENCE = "too many evaluations without an improvement"
    STOP_AT = "the step given as stop_at is reached"
    INTERRUPTED = "interrupted"

    @property
    def finished(self) -> bool:
        """Whether the run is over, so that resuming it would train no further."""
        return self in (Ending.COMPLETE, Ending.PATIENCE)


class _Watch:
    """Measures training steps, without what happens between them."""

    def __init__(self) -> None:
        self.last = 0.0
        self.reset()

    def reset(self) -> None:
        self.seconds, self.steps = 0.0, 0

    def start(self) -> None:
        self._began = time.monotonic()

    def stop(self, seconds: float | None = None) -> None:
        """seconds: what to count instead of the time since ``start``, which is ``last`` then"""
        self.last = time.monotonic() - self._began
        self.seconds += self.last if seconds is None else seconds
        self.steps += 1


def never() -> bool:
    """Nobody asks to stop."""
    return False


class Trainer:
    """One training run: a model, its optimizers, its streams, its hidden state and its progress."""

    def __init__(
        self,
        model_config: ModelConfig,
        config: TrainConfig,
        dataset: AnyDataset,
        source: Source,
        device: torch.device | None = None,
        group: Group = ALONE,
    ) -> None:
        group.check(config.batch_size)
        if group.size > 1 and not model_config.writes:
            raise RequestError(
                f"--task {model_config.task} is trained by one process; start it without a launcher"
            )
        self.group = group
        self.config = config
        self.dataset = dataset
        self.source = source
        self.device = device or torch.device("cpu")
        self.learning = learning_of(model_config, dataset, self.device)
        self.model = self.learning.build(model_config, config.seed).to(self.device)
        self.optimizers = Optimizers(self.model, config, group)
        self.streams = dataset.streams(*config.window, config.seed)
        # Of the rows of this process alone.
        self.state: TensorState = self.model.initial_state(config.batch_size // group.size)
        self.progress = Progress()
        self.started_from: list[dict[str, Any]] = []  # of the provenance (``charlm.lineage``)
        self._blocks: Blocks | None = None
        # Blocks of rows are for processors, where reading a loss waits for nothing.
        alone = group.size == 1
        self.late = self.device.type != "cpu" and config.row_blocks == 1 and alone
        # Whether steps run as a CUDA graph, which needs batches of one shape.
        same_shape = not isinstance(dataset, ItemDataset)
        self.recorded = self.device.type == "cuda" and alone and same_shape
        self._graph: StepGraph | None = None
        self._unread: Tensor | None = None  # (loss, gradient norm) of the last step
        self._counts = math.prod(config.window)  # targets of the last step; of items they differ
        self._saved: Progress | None = None  # the progress at the last save
        self._told = Told(0, ())  # what all processes know since the last step
        self._to_tell: tuple[float, ...] = ()
        self._stop: Callable[[], bool] = lambda: False  # whether this process was asked to stop

    # -------------------------------------------------------------------------- one training step

    def update(self, batch: Batch) -> float:
        """One training step of truncated BPTT; returns the mean loss of the window in nats per
        symbol.

        Raises DivergenceError, before anything is changed, if loss or gradient is not finite.
        """
        config, step = self.config, self.progress.step
        try:
            blocks = min(self.row_blocks, config.batch_size)
            if self.group.size > 1:
                nats = self._update_in_group(batch, blocks)
            elif blocks > 1:
                nats, self.state = update_in_blocks(
                    self.model,
                    self._in_blocks(blocks),
                    self.optimizers,
                    self.learning.objective,
                    batch,
                    Batch.rows,
                    self.state,
                    config,
                    step,
                    self.place,
                )
            else:
                nats, self.state = update(
                    *(self.model, self.optimizers, self.learning.objective, batch, self.state),
                    *(config, step, self.place),
                )
        except DivergenceError as error:
            raise DivergenceError(f"{error}; {REMEDY}") from error
        self.progress.step += 1
        return nats

    def _in_blocks(self, number: int) -> Blocks:
        if self._blocks is None:
            self._blocks = Blocks(self.model, number)
        return self._blocks

    def _update_in_group(self, batch: Batch, row_blocks: int) -> float:
        config = self.config
        own = self.group.rows(config.batch_size)
        several = len(pieces(own, config.batch_size, row_blocks))
        nats, self.state, self._told = update_in_group(
            self.group,
            self.model,
            self._in_blocks(several) if several > 1 else None,
            self.optimizers,
            self.learning.objective,
            batch,
            Batch.rows,
            self.state,
            config,
            self.progress.step,
            self.place,
            row_blocks=row_blocks,
            stop=self._stop() or self.group.orphaned,
            numbers=self._to_tell,
        )
        return nats

    @property
    def row_blocks(self) -> int:
        """In how many blocks the rows of a batch are computed now (``charlm.training.rows``)."""
        split = self.progress.split
        return self.config.row_blocks if split is None else split.blocks

    def advance(self, batch: Batch) -> float | None:
        """``update``, but on a GPU the loss is read one step later, while the next step runs: the
        result is that of the step before, or None if it has been read already.

        Call ``read`` before the model is used for anything else. Raises DivergenceError one step
        late; what is saved is checked first.
        """
        if not self.late:
            return self.update(batch)
        step = self.progress.step
        graph = self._step_graph()
        if graph is not None:
            found, self.state = graph(batch, self.state, step, self.place)
        else:
            found, self.state = update_late(
                *(self.model, self.optimizers, self.learning.objective, batch, self.state),
                *(self.config, step, self.place),
            )
        nats = self.read()  # of the step before
        self._unread = found
        self.progress.step += 1
        return nats

    def _step_graph(self) -> StepGraph | None:
        """The recorded step; None if it shall not or cannot be recorded."""
        self.recorded = self.recorded and self.config.optimizer in RECORDABLE
        if self.recorded and self._graph is None:
            try:
                self._graph = StepGraph(self.model, self.optimizers, self.config, self.state)
            except RuntimeError:  # an older torch or driver: the same steps, one by one
                self.recorded = False
        return self._graph

    def read(self) -> float | None:
        """The loss of the last step, if it has not been read; DivergenceError as in ``update``."""
        found, self._unread = self._unread, None
        if found is None:
            return None
        step = self.progress.step - 1
        try:
            return finite(found, learning_rate(self.config, self._place_of(step)))
        except DivergenceError as error:
            raise DivergenceError(f"step {step:,}: {error}; {REMEDY}") from error

    # -------------------------------------------------------------------------------- the loop

    def run(
        self,
        run: Run | None,
        reporter: Reporter,
        *,
        stop_at: int | None = None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Ending:
        """Train to the end, or to step ``stop_at``, or until interrupted; returns why it ended.

        Evaluating, saving and sampling read the model and change nothing: the final weights do not
        depend on how often they happen. The state is saved before anything else, so that the run
        can be resumed at any moment; an interrupted evaluation is repeated after resuming. Raises
        DivergenceError, naming the checkpoint that remains.

        Of several processes (``group``) that of rank 0 has the run's directory and the clock; the
        others give None. All of them stop after the same step if one is asked to.
        """
        config, progress, together = self.config, self.progress, self.group.size > 1
        began = time.monotonic() - progress.seconds
        watch = _Watch()
        broken_off = False
        self._stop, asked = interrupted, interrupted
        if together:

            def asked() -> bool:
                return self._told.stop > 0

            interrupted = never
        try:
            if self._saved is None:
                self.save(run)
            try:
                if self.evaluation_is_due:
                    self.evaluate(run, reporter, interrupted)
                while (
                    progress.step < min(self.end, stop_at or self.end)
                    and not self.out_of_patience
                    and not asked()
                ):
                    self._to_tell = (time.monotonic() - began, watch.last)
                    watch.start()
                    batch = self.streams.batch(progress.step)
                    if isinstance(self.dataset, ItemDataset):
                        self._counts = batch.counted
                    self._counted(self.advance(batch), reporter)
                    stands_still = self._stands_still
                    if stands_still:
                        self._counted(self.read(), reporter)
                    watch.stop(self._told.numbers[1] if together else None)
                    progress.seconds = time.monotonic() - began
                    if together:
                        progress.seconds = self._told.numbers[0]
                    paused = time.monotonic()
                    evaluated = self.evaluation_is_due
                    if evaluated:
                        self.evaluate(run, reporter, interrupted)
                    if self._passes(config.sample_every) and self.group.writes:
                        reporter.sampled(self.write_sample())
                    if stands_still:
                        progress.seconds = self.group.agree(time.monotonic() - began)
                    if self._passes(config.save_every):
                        self.save(run)
                    if progress.pace is not None:
                        pause = None
                        if evaluated:
                            pause = self.group.agree(time.monotonic() - paused)
                        self._keep_pace(progress.pace, watch, pause)
                        if progress.step >= self.end and self.evaluation_is_due:
                            self.evaluate(run, reporter, interrupted)
            except Interrupted:
                broken_off = True
            self._counted(self.read(), reporter)
            self.save(run)
        except DivergenceError as error:
            if self._saved is None or run is None:
                raise
            raise DivergenceError(
                f"{error}; {run.last} is finite and holds step {self._saved.step:,}"
            ) from error
        if broken_off:
            return Ending.INTERRUPTED
        stopped = stop_at is not None and progress.step >= stop_at
        return self.ended or (Ending.STOP_AT if stopped else Ending.INTERRUPTED)

    def _counted(self, nats: float | None, reporter: Reporter) -> None:
        """Add the loss of a step to the mean that is logged."""
        if nats is not None:
            self.progress.loss_sum += nats
            self.progress.loss_count += 1
            reporter.updated(self.progress.step, nats, self._counts)

    @property
    def _stands_still(self) -> bool:
        """Whether the model is looked at after this step, so that its loss must be known."""
        config = self.config
        return (
            self.evaluation_is_due
            or self._passes(config.sample_every)
            or self._passes(config.save_every)
        )

    # ------------------------------------------------------------------------------- the schedule

    @property
    def end(self) -> int:
        """The last training step, as planned now."""
        progress, pace = self.progress, self.progress.pace
        return progress.begin + self.config.steps if pace is None else pace.end

    @property
    def place(self) -> float:
        """The place of the current step on the schedule of its leg: without a pace, the number of
        steps since the leg began."""
        return self._place_of(self.progress.step)

    def _place_of(self, step: int) -> float:
        progress, pace = self.progress, self.progress.pace
        return step - progress.begin if pace is None else pace.at(step, self.config.steps)

    def _passes(self, interval: int) -> bool:
        """Whether the last step reached a multiple of ``interval`` on the schedule; 0: never."""
        step = self.progress.step
        if not interval or step == self.progress.begin:
            return False
        return self._place_of(step) // interval > self._place_of(step - 1) // interval

    def _keep_pace(self, pace: Pace, watch: _Watch, evaluation: float | None) -> None:
        """Plan the rest of the run again if it is time to do so.

        evaluation: seconds that evaluating and saving took just now, if that was done
        """
        early = evaluation is None and watch.seconds < pace.budget / PLANS
        if early or self.progress.step >= pace.end:
            return
        progress, steps = self.progress, self.config.steps
        each = self.config.eval_every
        to_come = math.ceil(steps / each) - int(pace.at(progress.step, steps) // each)
        update = watch.seconds / watch.steps
        if progress.split is not None:
            progress.split = progress.split.again(update)
        progress.pace = pace.again(
            progress.step,
            steps,
            used=progress.seconds_of_leg,
            update=update,
            evaluations=to_come,
            evaluation=evaluation,
        )
        watch.reset()

    @property
    def ended(self) -> Ending | None:
        """Why the run is over; None if there is something left to do."""
        if self.evaluation_is_due:
            return None
        if self.progress.step >= self.end:
            return Ending.COMPLETE
        return Ending.PATIENCE if self.out_of_patience else None

    @property
    def evaluation_is_due(self) -> bool:
        """Whether the run is to be evaluated at this step and has not been yet."""
        step = self.progress.step
        due = step == 0 or step >= self.end or self._passes(self.config.eval_every)
        return due and self.progress.evaluated_at != step

    @property
    def out_of_patience(self) -> bool:
        """Whether the last ``patience`` evaluations found no new best model."""
        patience = self.config.patience
        return bool(patience) and self.progress.evaluations_without_best >= patience

    def evaluate(
        self, run: Run | None, reporter: Reporter, interrupted: Callable[[], bool] = lambda: False
    ) -> None:
        """Validate, log, and keep the model if it is the best so far.

        Without a validation part every model counts as the best. Raises Interrupted, with nothing
        changed, if ``interrupted()`` says so; DivergenceError if the loss is not finite.
        """
        config, progress = self.config, self.progress
        train_nats = progress.loss_sum / progress.loss_count if progress.loss_count else None
        symbols_per_char, unit = self.dataset.symbols_per_char, self.learning.unit
        record: dict[str, Any] = {
            "step": progress.step,
            "epoch": round(progress.step / self.streams.steps_per_epoch, 4),
            "learning_rate": learning_rate(config, self.place),
            f"train_nats_per_{unit}": train_nats and train_nats * symbols_per_char,
        }
        if self.dataset.can_validate:
            nats = self.learning.validation_nats(self.model, interrupted, self.group)
            nats *= symbols_per_char
            # The last step may have spoiled the weights, which no training loss has shown yet.
            if not math.isfinite(nats):
                raise self._spoilt(f"validation loss {nats:.4g}")
            record |= {f"val_nats_per_{unit}": nats, f"val_bits_per_{unit}": nats / LN2}
            better = progress.best_nats is None or nats < progress.best_nats
        else:
            nats, better = math.nan, True
        progress.loss_sum, progress.loss_count = 0.0, 0
        progress.evaluated_at = progress.step
        if better:
            progress.best_nats = nats if self.dataset.can_validate else None
            progress.best_step = progress.step
            progress.evaluations_without_best = 0
            if run is not None:
                # Those of the end of an earlier leg belong to the model that is replaced.
                run.counts.unlink(missing_ok=True)
                checkpoint.write(run.best, self.checkpoint(resumable=False))
        else:
            progress.evaluations_without_best += 1
        record |= {"best": better, "seconds": round(progress.seconds, 2)}
        if progress.legs:
            record["leg"] = len(progress.legs) + 1
        if progress.pace is not None:
            record["planned_steps"] = self.end
        if progress.split is not None:
            record["row_blocks"] = self.row_blocks
        if run is not None:
            run.append_log(record)
        reporter.evaluated(record)

    def _spoilt(self, what: str) -> DivergenceError:
        """The error for a model with values that are not finite after the last step."""
        step = self.progress.step
        rate = learning_rate(self.config, self._place_of(max(self.progress.begin, step - 1)))
        return DivergenceError(
            f"step {step:,}: {what} after the last step at learning rate {rate:.3g}; {REMEDY}"
        )

    def write_sample(self, length: int = 300) -> str:
        """A sample from the current model; the same at the same step of the same run."""
        model = CharLM(self.checkpoint(resumable=False))
        config = SampleConfig(length=length, seed=self.progress.step)
        return "".join(model.stream(config=config))

    # ------------------------------------------------------------------------ saving, resuming

    def save(self, run: Run | None) -> None:
        """Write ``last.safetensors``, keeping the one before as ``previous.safetensors``; does
        nothing if nothing has changed since the last save."""
        self.read()  # what is saved is known to be finite
        if self._saved != self.progress:
            whole = self.whole_state()
            if run is not None:
                found = self.checkpoint(resumable=True, state=whole)
                checkpoint.write(run.last, found, keep_as=run.previous)
            self._saved = replace(self.progress)

    def whole_state(self) -> TensorState:
        """The hidden state of all rows; every process of the group must ask for it."""
        return tuple(map(self.group.gather, self.state))

    def weights(self) -> Tensors:
        """Copies of the parameters as NumPy arrays; a tied head is stored once."""
        return {
            name: parameter.detach().cpu().numpy().copy()
            for name, parameter in self.model.named_parameters()
        }

    def checkpoint(self, *, resumable: bool, state: TensorState | None = None) -> Checkpoint:
        """The content of a model file; if resumable, with all that resuming needs.

        state: that of all rows, if this process has only some of them

        Raises DivergenceError if a number in it is not finite.
        """
        parts: dict[str, Any] = {
            "config": self.model.config,
            "tokenizer": self.dataset.tokenizer,
            "items": self.dataset.item_facts,
            "weights": self.weights(),
            "provenance": self.provenance(),
        }
        if resumable:
            stored = TrainState(
                self.progress, self.optimizers.tensors(), self.state if state is None else state
            )
            parts["extra"], parts["training"] = stored.stored(self.config, self.source, self.device)
        for name, value in {**parts["weights"], **parts.get("extra", {})}.items():
            if not np.isfinite(value).all():
                raise self._spoilt(f"{name} is not finite")
        return Checkpoint(**parts)

    def provenance(self) -> dict[str, Any]:
        """Where the model comes from: corpus, steps, window, validation loss, versions."""
        progress = self.progress
        nats = progress.best_nats if progress.best_step == progress.step else None
        legs = facts_of(progress.legs, self.end - progress.begin, self.config.learning_rate)
        return self.dataset.provenance() | {
            **({lineage.KEY: self.started_from} if self.started_from else {}),
            **({"legs": legs} if progress.legs else {}),
            "step": progress.step,
            "steps": self.end,
            "batch_size": self.streams.batch_size,
            "seq_len": self.streams.seq_len,
            f"val_bits_per_{self.learning.unit}": None if nats is None else nats / LN2,
            "charlm": charlm.__version__,
            "torch": str(torch.__version__),
        }

    def go_on(
        self, config: TrainConfig, pace: Pace | None = None, split: Split | None = None
    ) -> None:
        """Begin another leg where the run has ended (``charlm.training.legs``).

        config: of the new leg; pace, split: if it has a time
        """
        self.progress = self.progress.next_leg(self.config.learning_rate)
        self.progress.pace, self.progress.split = pace, split
        self.config = config
        self._graph = None  # a recorded step has the configuration of the leg before
        self._saved = None  # the first thing to do is to save

    @torch.no_grad()
    def load_weights(self, weights: Tensors) -> None:
        """Copy the parameters of a model of the same shape."""
        for name, parameter in self.model.named_parameters():
            parameter.copy_(torch.from_numpy(weights[name]))

    def restore(self, saved: Checkpoint) -> None:
        """Become the trainer that wrote ``saved``; CheckpointError if it is not of this run."""
        if saved.training is None or saved.config != self.model.config:
            raise CheckpointError("the checkpoint cannot be resumed from: name a run's directory")
        like = self.model.initial_state(self.config.batch_size)
        state = TrainState.read(saved, self.config, like)
        self.optimizers.load(state.optimizer)
        self.load_weights(saved.weights)
        self.state = tuple(
            part[:, self.group.rows(self.config.batch_size)].clone() for part in state.hidden
        )
        self.progress = state.progress
        self.started_from = saved.provenance.get(lineage.KEY, [])
        self._saved = replace(state.progress)
