"""``charlm train``: a text file in, a trained model out."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from charlm import launch, rundir, runs
from charlm.cli.corpusoptions import check_corpus_options, corpus_options, source_of, weighted
from charlm.cli.options import (
    Command,
    Number,
    chosen,
    corpus_option,
    either,
    fields_of,
    from_fields,
    given,
    option,
    out_option,
    typed,
)
from charlm.cli.signals import Interruption
from charlm.cli.terminal import echo, say
from charlm.config import CELLS, ModelOptions, TrainConfig, TrainOptions
from charlm.errors import CheckpointError, RequestError, UnknownCharacterError
from charlm.text.unknown import ONLY_LF, sees_only_lf

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint
    from charlm.rundir import Run
    from charlm.text.dataset import Dataset, Source, Texts
    from charlm.training.group import Group
    from charlm.training.trainer import Trainer

# The options that --resume allows: where the run and its corpus are, the device, and how far to
# train now.
_WITH_RESUME = {"resume", "out", "stop_at", "device", "moved_to"}


@click.command(cls=Command)
@click.argument("corpus", nargs=-1)
@from_fields(ModelOptions)
@option(
    "--init-from",
    group="Model",
    metavar="MODEL",
    help="Start from the weights of this run or model file, with its shape and vocabulary.",
)
@from_fields(TrainOptions)
@option(
    "--stop-at",
    group="Length",
    type=Number(int, min=1),
    help="Save and stop after this training step; --resume continues on the same schedule.",
)
@corpus_options
@option("--name", group="Run", help="Name of the run [default: the name of the corpus]")
@out_option("the runs")
@option("--force", group="Run", is_flag=True, help="Replace the run of this name.")
@option(
    "--resume",
    group="Run",
    metavar="RUN",
    help="Continue this run from its last checkpoint, with its saved settings.",
)
@option(
    "--device",
    group="Run",
    default="auto",
    show_default=True,
    help="Device to train on: cpu, cuda, mps, ...; auto: a CUDA GPU if there is one.",
)
@corpus_option("moved_to", group="Run")
@click.pass_context
def command(ctx: click.Context, /, corpus: tuple[str, ...], **options: Any) -> None:
    """Train a model on a text and save it as a run.

    CORPUS: files, directories, glob patterns, or - for standard input. The defaults are sensible:
    no options are needed. Ctrl-C saves the run; --resume continues it.

    \b
    charlm train book.txt                          train, save in checkpoints/book
    charlm train book.txt --minutes 2              train for two minutes
    charlm train src/**/*.py --cell gru --name code
    charlm train --mix letters.txt=3 diary.txt=1   three of four rows from the first
    zcat big.gz | charlm train - --name big
    charlm train --resume book                     continue from the last checkpoint
    charlm train more.txt --init-from book         continue with book's weights on another text
    """
    began = time.monotonic()
    with Interruption() as interrupted:
        try:
            group = _group(options["device"])
            resume = options["resume"] or _of_this_job(options["out"], group)
            if resume is None:
                trainer, piped = _prepare(ctx, corpus, options, began, group)
                # Created only now, so that a refused request leaves no directory behind.
                with _begun(options, trainer) as run:
                    if piped is not None and run is not None:
                        run.keep_stdin(piped)
                    _train(run, trainer, options["stop_at"], interrupted)
            else:
                also = given(ctx) - _WITH_RESUME
                if also and options["resume"] is not None:
                    named = ", ".join(typed(ctx, name) for name in sorted(also))
                    raise RequestError(f"--resume uses the run's saved settings; leave out {named}")
                found = rundir.find_run(resume, options["out"])
                with _locked(found, group) as run:
                    trainer = _resume(found, options["device"], options["moved_to"], group)
                    _train(run, trainer, options["stop_at"], interrupted)
        except KeyboardInterrupt:
            say("interrupted before training began")
            sys.exit(interrupted.exit_code)


def _group(device: str) -> Group | None:
    """The processes that a launcher has started, this one among them; None without a launcher."""
    if launch.size() == 1:
        return None  # and torch is not needed yet
    from charlm.training.group import join

    return join(_device(device))


def _of_this_job(out: Path, group: Group | None) -> str | None:
    """The run that this job of a launcher has begun, if the launcher has started any of its
    processes again after one had failed."""
    if group is None or not group.any(launch.restarts() > 0):
        return None
    found: str | None = group.tell(_run_of_this_job(out) if group.writes else None)
    return found


def _run_of_this_job(out: Path) -> str | None:
    from charlm import checkpoint
    from charlm.files import is_run

    for path in filter(is_run, sorted(out.glob("*"))):
        with contextlib.suppress(CheckpointError):
            training = checkpoint.read_header(rundir.Run(path).last).training
            if training is not None and training.get("job") == launch.job():
                return str(path)
    return None


@contextlib.contextmanager
def _begun(options: dict[str, Any], trainer: Trainer) -> Iterator[Run | None]:
    """The new run, under its lock; for a process that does not write it, None."""
    with contextlib.ExitStack() as stack:
        run = None
        with trainer.group.first():
            if trainer.group.writes:
                run = stack.enter_context(
                    rundir.begin(
                        options["out"],
                        options["name"],
                        trainer.dataset.name,
                        force=options["force"],
                    )
                )
        yield run


@contextlib.contextmanager
def _locked(run: Run, group: Group | None) -> Iterator[Run | None]:
    """The run under its lock, before it is read: another process could train it further. For a
    process that does not write it, None."""
    if group is None:
        with run.locked():
            yield run
        return
    with contextlib.ExitStack() as stack:
        with group.first():
            if group.writes:
                stack.enter_context(run.locked())
        yield run if group.writes else None


def _prepare(
    ctx: click.Context,
    corpus: tuple[str, ...],
    options: dict[str, Any],
    began: float,
    group: Group | None,
) -> tuple[Trainer, BinaryIO | None]:
    """A trainer for a new run, with every setting decided, and the text of standard input, if that
    was read."""
    if not corpus:
        raise RequestError("no corpus given; type charlm train corpus.txt, or give --resume RUN")
    _check_options(ctx, options)
    from charlm.text import dataset as data
    from charlm.text.idfile import IdFile
    from charlm.training import parity, plan
    from charlm.training.group import ALONE
    from charlm.training.trainer import Trainer

    device = _device(options["device"])
    shape = chosen(ModelOptions, options)
    start: Checkpoint | None = None
    if options["init_from"] is not None:
        start, shape = _start_from(ctx, options)
    corpus, weights = weighted(corpus) if options["mix"] else (corpus, ())
    source = source_of(options, corpus, weights)
    piped = _piped(source)
    texts = _read_corpus(source, piped, start)
    source = replace(source, newline=texts.newline)
    if start is not None:
        try:
            dataset = data.encode(texts, start.tokenizer.with_newline(texts.newline))
        except UnknownCharacterError as error:
            raise UnknownCharacterError(
                f"{texts.name} has {error}; remove them, or train a new model without --init-from"
            ) from error
        _check_folded(dataset)
    else:
        tokenizer = data.choose_tokenizer(
            texts, level=options["level"], min_count=options["min_count"], nfc=options["nfc"]
        )
        dataset = data.encode(texts, tokenizer)
    shape["vocab_size"] = dataset.tokenizer.vocab_size
    model = ModelOptions(**shape)
    model.settle()  # refuse a wrong shape before timing anything
    _describe_corpus(texts, dataset)
    if weights:
        parts = zip(corpus, weights, texts.train_parts, strict=True)
        mixed = (f"{Path(n).name} {w:g} ({len(part):,} characters)" for n, w, part in parts)
        say(f"mix     by weight, to train: {', '.join(mixed)}")
    if isinstance(dataset.ids, IdFile):
        size = len(dataset.ids) * dataset.ids.dtype.itemsize
        say(
            f"cache   {dataset.ids.path.parent} keeps its characters as numbers, {size / 1e6:,.0f} "
            "MB; charlm corpus cache clear removes them"
        )
    parity.check(model.settle(), device)
    notes = texts.notes
    del texts  # training needs the ids alone
    train = TrainOptions(**chosen(TrainOptions, options))
    group = group or ALONE
    settled = plan.settle(model, train, dataset, source, device, began=began, group=group)
    for note in (*notes, *settled.notes):
        say(note)
    trainer = Trainer(settled.model, settled.train, dataset, source, device, group)
    trainer.progress.pace, trainer.progress.split = settled.pace, settled.split
    if start is not None:
        trainer.load_weights(start.weights)
    return trainer, piped


def _read_corpus(source: Source, piped: BinaryIO | None, start: Checkpoint | None) -> Texts:
    """The corpus. Its line ends are read as those of the model to start from, unless --newline
    says how."""
    from charlm.text import dataset

    def read(source: Source) -> Texts:
        if piped is not None:
            piped.seek(0)
        return dataset.read(source, piped)

    if start is None or source.newline != "auto":
        return read(source)
    unix = replace(source, newline="unix")
    if start.tokenizer.newline == "unix":
        return read(unix)
    texts = read(source)
    has_cr = bool(texts.counts[ord("\r")])
    if not has_cr or not sees_only_lf(start.tokenizer):
        return texts
    texts = read(unix)
    return replace(texts, notes=(*texts.notes, ONLY_LF))


def _piped(source: Source) -> BinaryIO | None:
    """What comes from standard input if the corpus or the validation text is "-", else None."""
    asked = (*source.sources, *source.val_sources).count("-")
    if asked > 1:
        raise RequestError("standard input can be read only once; give - once")
    if asked and sys.stdin is None:
        raise RequestError("- means standard input, which is closed; give a file")
    from charlm.text.reading import keep

    if asked and launch.size() > 1:
        raise RequestError(
            "- means standard input, which only one of several processes gets; give a file"
        )
    return keep(sys.stdin.buffer) if asked else None


def _check_options(ctx: click.Context, options: dict[str, Any]) -> None:
    """Refuse wrong options before torch is imported, which takes seconds."""
    if options["moved_to"]:
        raise RequestError(
            "--corpus says where the corpus of a run is now, for --resume; to train on a text, "
            f"type charlm train {shlex.quote(options['moved_to'][0])}"
        )
    ModelOptions(**chosen(ModelOptions, options)).settle()
    TrainOptions(**chosen(TrainOptions, options)).check_length()
    for name, spec in fields_of(ModelOptions).items():
        cells = spec.metadata.get("cells", CELLS)
        if name in given(ctx) and options["cell"] not in cells and options["init_from"] is None:
            raise RequestError(
                f"{typed(ctx, name)} has no effect with --cell {options['cell']}, only with "
                f"{either(cells)}; leave it out"
            )
    check_corpus_options(ctx, options)
    if options["name"] is not None:
        rundir.check_name(options["out"], options["name"], force=options["force"])


TRAINED_WITH = {"dropout", "embedding_dropout"}
"""The fields of a model that another run with the same weights may have otherwise."""


def _start_from(ctx: click.Context, options: dict[str, Any]) -> tuple[Checkpoint, dict[str, Any]]:
    """The model of --init-from and its shape; RequestError if an option contradicts it."""
    start = runs.open_model(options["init_from"], options["out"]).checkpoint
    shape = start.config.to_dict()
    for name in given(ctx) & {*fields_of(ModelOptions), "level", "min_count", "nfc"} - TRAINED_WITH:
        if options[name] != shape.get(name):
            raise RequestError(
                f"--init-from uses the model's shape and vocabulary; leave out {typed(ctx, name)}"
            )
    return start, shape | {name: options[name] for name in TRAINED_WITH}


def _check_folded(dataset: Dataset) -> None:
    """RequestError if the model of --init-from has never seen many of the corpus's characters."""
    from charlm.text.folding import MAX_FOLDED

    if dataset.folding is not None and dataset.folding.share > MAX_FOLDED:
        raise RequestError(
            f"{100 * dataset.folding.share:.0f} % of {dataset.name} are characters that the model "
            f"of --init-from has never seen, more than {100 * MAX_FOLDED:.0f} %; train a new model "
            "without --init-from"
        )


def _resume(run: Run, device: str, moved_to: tuple[str, ...], group: Group | None) -> Trainer:
    """The trainer in the state of the run's last checkpoint."""
    from charlm import checkpoint
    from charlm.text import dataset as data
    from charlm.training import parity, state
    from charlm.training.group import ALONE
    from charlm.training.trainer import Trainer

    saved, damage = _newest_state(run)
    source, config = _stored(saved, run)
    if moved_to:
        source = runs.relocated(source, moved_to)  # from now on the run reads it there
    dataset = data.encode(runs.reread(source, run, saved.provenance), saved.tokenizer)
    chosen_device = _device(device)
    parity.check(saved.config, chosen_device)
    trainer = Trainer(saved.config, config, dataset, source, chosen_device, group or ALONE)
    trainer.restore(saved)
    if damage:
        say(f"{damage}; continuing from {run.previous}")
        # Before the next save, which would keep the damaged file as ``previous``.
        if trainer.group.writes:
            checkpoint.write(run.last, saved)
    say(f"resuming {run.path} at step {trainer.progress.step:,}")
    differences = state.differences(saved, trainer.device)
    if differences:
        say(f"not bit-exact because {', '.join(differences)}")
    return trainer


def _newest_state(run: Run) -> tuple[Checkpoint, str]:
    """``last``, and ""; if it is damaged or missing, ``previous`` and what is wrong."""
    from charlm import checkpoint

    try:
        return checkpoint.read(run.last), ""
    except CheckpointError as error:
        if not run.previous.exists():
            raise
        try:
            return checkpoint.read(run.previous), str(error)
        except CheckpointError as second:
            raise CheckpointError(f"{error}; {second}") from second


def _stored(saved: Checkpoint, run: Run) -> tuple[Source, TrainConfig]:
    from charlm.text.dataset import Source

    if saved.training is None:
        raise RequestError(
            f"{run.path} cannot be resumed: it has no optimizer state; to train its weights "
            f"further: charlm train CORPUS --init-from {shlex.quote(str(run.path))}"
        )
    source = Source.from_dict(saved.training.get("source"))
    return source, TrainConfig.from_dict(saved.training.get("config"))


def _train(
    run: Run | None, trainer: Trainer, stop_at: int | None, interrupted: Interruption
) -> None:
    """Train, then print the result. If interrupted: save, and exit with the signal's code.

    run: None for a process that does not write it
    """
    from charlm.cli.progress import ProgressReporter
    from charlm.training.trainer import Ending

    config, progress = trainer.config, trainer.progress
    over = trainer.ended
    if over:
        say(
            f"the run is finished ({over.value}); to train its model further: charlm train CORPUS "
            f"--init-from {shlex.quote(str(run.path if run else ''))}"
        )
    with interrupted.politely():
        if run is not None:
            _describe_run(run, trainer)
            run.cut_log(progress.evaluated_at)
        reporter = ProgressReporter(trainer.end, progress.step, trainer.dataset.symbols_per_char)
        try:
            ending = trainer.run(run, reporter, stop_at=stop_at, interrupted=interrupted)
        finally:
            reporter.close()
    if ending is Ending.PATIENCE and not over:
        say(
            f"stopped at step {progress.step:,} of {trainer.end:,}: {config.patience} evaluations "
            "without an improvement (--patience)"
        )
    timed = progress.pace is not None and ending.finished and ending is not Ending.PATIENCE
    if timed and not over and trainer.end != config.steps:
        say(
            f"planned {config.steps:,} steps at the start and made {progress.step:,}, as many as "
            "the time allowed"
        )
    stopped = interrupted() or ending is Ending.INTERRUPTED
    trainer.group.end()
    if run is None:
        from charlm.training.group import leave

        leave(interrupted.exit_code if stopped else 0)
    if ending.finished and not interrupted():
        try:
            _summarize(run, trainer)
            return
        except KeyboardInterrupt:
            say("")
    resume = f"charlm train --resume {shlex.quote(str(run.path))}"
    say(f"saved at step {progress.step:,} of {trainer.end:,}; continue: {resume}")
    if stopped or interrupted():
        sys.exit(interrupted.exit_code)


def _summarize(run: Run, trainer: Trainer) -> None:
    """Print the exact validation loss of the best model, the files, and a command to try next."""
    from charlm.cli.progress import reading_bar
    from charlm.training import summary

    wanted = trainer.config.counts
    if wanted and trainer.dataset.can_validate:
        say("counting the training text ...")
    with reading_bar() as advanced:
        found = summary.finish(
            run, trainer.dataset, with_counts=wanted, device=trainer.device, advanced=advanced
        )
    if found is None:
        click.echo("no validation loss: the run has no validation text (see --val-fraction)")
    else:
        result = found.score
        click.echo(
            f"best validation {result.bits_per_char:.4f} bits/char = "
            f"{result.nats_per_char:.4f} nats/char over {result.characters:,} characters "
            f"(step {trainer.progress.best_step:,}; uniform over the vocabulary: "
            f"{summary.uniform_bits(trainer.dataset, result):.4f} bits)"
        )
        if trainer.dataset.exact is not None:
            held_out = trainer.dataset.facts["val_characters"]
            say(f"measured: the beginning of the {held_out:,} characters of the validation text")
        if found.counts is not None and found.apart is not None:
            click.echo(
                f"    network alone {found.network.bits_per_char:.4f}, {found.counts.name} alone "
                f"{found.apart.ngram.bits_per_char:.4f}; together {found.counts.describe()}"
            )
            counted = found.counts.facts["characters"]
            if counted < len(trainer.dataset.train_ids):
                say(f"counted: the last {counted:,} symbols of the training text, not all of it")
        if result.folded_note:
            say(result.folded_note)
        if trainer.progress.best_step == 0:
            say(
                "the validation loss never fell below that of the model before training; the "
                f"newest weights are in {run.last}"
            )
    beside = f"{run.counts}  " if run.counts.exists() else ""
    echo(f"files  {run.best}  {beside}{run.last}  {run.log}")
    echo(f"next   charlm sample {shlex.quote(str(run.path))}")


def _device(name: str) -> Any:
    from charlm.training.devices import choose_device

    return choose_device(name)


def _describe_corpus(texts: Texts, dataset: Dataset) -> None:
    symbols = "bytes" if dataset.tokenizer.kind == "byte" else "symbols"
    say(
        f"corpus  {texts.name}: {texts.characters:,} characters, "
        f"{dataset.tokenizer.vocab_size} {symbols}"
    )
    parts = [texts.train, texts.val, *([texts.test] if texts.test else [])]
    say(f"split   {texts.split} ({' / '.join(f'{len(part):,}' for part in parts)} characters)")
    if dataset.folding is not None:
        say(
            f"folded  {100 * dataset.folding.share:.3g} % of the characters, of "
            f"{dataset.folding.types:,} types, are read as the unknown symbol"
        )


def _describe_run(run: Run, trainer: Trainer) -> None:
    config, model = trainer.config, trainer.model.config
    B, T = config.window
    epochs = config.steps / trainer.streams.steps_per_epoch
    say(f"model   {model.describe()}")
    say(
        f"train   {config.steps:,} steps of {B}x{T} ({epochs:.1f} epochs), {config.optimizer}, "
        f"learning rate {config.learning_rate:.3g}, dropout {model.dropout:g}"
        + (f" and {model.embedding_dropout:g}" if model.embedding_dropout != model.dropout else "")
        + ", "
        f"{config.precision} on {trainer.device}"
    )
    say(f"run     {run.path}")
