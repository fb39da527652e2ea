"""``charlm train``: a text file in, a trained model out."""

from __future__ import annotations

import io
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlm import runs
from charlm.cli.options import from_fields, given, typed
from charlm.cli.signals import Interruption
from charlm.cli.terminal import echo, say
from charlm.cli.texts import corpus_option
from charlm.config import ModelConfig, TrainConfig
from charlm.errors import CheckpointError, RequestError
from charlm.text.dataset import DEFAULT_VAL_FRACTION
from charlm.text.reading import NEWLINES

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint
    from charlm.runs import Run
    from charlm.text.dataset import Dataset, Source, Texts
    from charlm.training.trainer import Trainer

_SHAPE = (
    "cell",
    "hidden_size",
    "num_layers",
    "embedding_size",
    "nonlinearity",
    "context",
    "kernel_size",
    "dropout",
    "tie",
)
_TRAINING = (
    "batch_size",
    "seq_len",
    "optimizer",
    "learning_rate",
    "schedule",
    "warmup",
    "final_learning_rate",
    "clip",
    "weight_decay",
    "seed",
    "precision",
    "epochs",
    "steps",
    "minutes",
    "eval_every",
    "save_every",
    "sample_every",
    "patience",
)
_OF_ONE_CELL = {
    "nonlinearity": ("rnn", "window", "conv"),
    "context": ("window",),
    "kernel_size": ("conv",),
}
# What may be said beside --resume: where the run is, where it computes, how far it goes now.
_WITH_RESUME = {"resume", "out", "stop_at", "device", "moved_to"}


@click.command()
@click.argument("corpus", nargs=-1)
@from_fields(ModelConfig, *_SHAPE)
@from_fields(TrainConfig, *_TRAINING)
@click.option(
    "--stop-at", type=click.IntRange(1), help="End after this update; schedule unchanged."
)
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, ... or auto.")
@click.option(
    "--tokenizer",
    "level",
    type=click.Choice(["char", "byte"]),
    default="char",
    show_default=True,
    help="Unicode characters, or the bytes of UTF-8.",
)
@click.option(
    "--min-count",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Fold characters rarer than this into one unknown symbol.",
)
@click.option("--nfc", is_flag=True, help="Bring the text to Unicode's composed form (NFC).")
@click.option("--encoding", help="Encoding of the files [default: UTF-8, or by byte-order mark]")
@click.option(
    "--newline",
    type=click.Choice(NEWLINES),
    default="keep",
    show_default=True,
    help="Keep line ends as they are, or make CRLF and CR into LF.",
)
@click.option(
    "--val-fraction",
    type=float,
    default=DEFAULT_VAL_FRACTION,
    show_default=True,
    help="Share of the text, at its end, that validates.",
)
@click.option("--val-file", multiple=True, help="Validate on this text instead.")
@click.option("--name", help="Name of the run [default: after the corpus]")
@click.option("--force", is_flag=True, help="Replace a run that has this name already.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=runs.DEFAULT_OUT,
    show_default=True,
    help="Where runs are kept.",
)
@corpus_option(name="moved_to")
@click.option("--resume", metavar="RUN", help="Go on with a run, exactly; takes all from it.")
@click.option("--init-from", metavar="MODEL", help="Start from the weights of this model.")
@click.pass_context
def command(ctx: click.Context, /, corpus: tuple[str, ...], **options: Any) -> None:
    """Train a model on CORPUS: files, directories, globs, or - for standard input.

    \b
    charlm train book.txt                        good results with no option
    charlm train book.txt --minutes 2            as good as two minutes allow
    charlm train src/**/*.py --cell gru --name code
    zcat big.gz | charlm train - --name big
    charlm train --resume book                   go on where it stopped
    """
    began = time.monotonic()
    with Interruption() as interrupted:
        try:
            if options["resume"] is None:
                trainer, piped = _prepare(ctx, corpus, options, began)
                # Made only now: what is refused leaves nothing behind.
                with runs.begin(
                    options["out"],
                    options["name"],
                    trainer.dataset.texts.name,
                    force=options["force"],
                ) as run:
                    if piped:
                        run.keep_stdin(piped)
                    _train(run, trainer, options["stop_at"], interrupted)
            else:
                also = given(ctx) - _WITH_RESUME
                if also:
                    named = ", ".join(typed(ctx, name) for name in sorted(also))
                    raise RequestError(f"--resume takes everything from the run; leave out {named}")
                run = runs.find_run(options["resume"], options["out"])
                with run.locked():  # before it is read, so that nobody moves it on in between
                    trainer = _resume(run, options["device"], options["moved_to"])
                    _train(run, trainer, options["stop_at"], interrupted)
        except KeyboardInterrupt:
            say("interrupted before anything was begun")
            sys.exit(interrupted.exit_code)


def _prepare(
    ctx: click.Context, corpus: tuple[str, ...], options: dict[str, Any], began: float
) -> tuple[Trainer, bytes]:
    """A trainer with everything settled, and what came from standard input."""
    if not corpus:
        raise RequestError("no corpus given: charlm train corpus.txt, or --resume RUN")
    _check_options(ctx, options)
    from charlm.text import dataset as data
    from charlm.training import plan
    from charlm.training.trainer import Trainer

    device = _device(options["device"])
    source = data.Source(
        sources=tuple(_absolute(name) for name in corpus),
        encoding=options["encoding"],
        newline=options["newline"],
        val_fraction=options["val_fraction"],
        val_sources=tuple(_absolute(name) for name in options["val_file"]),
    )
    piped = _piped(source)
    texts = data.read(source, io.BytesIO(piped))
    shape = {name: options[name] for name in _SHAPE}
    start: Checkpoint | None = None
    if options["init_from"] is not None:
        start, shape = _start_from(ctx, options)
        dataset = data.encode(texts, start.tokenizer)
    else:
        tokenizer = data.choose_tokenizer(
            texts, level=options["level"], min_count=options["min_count"], nfc=options["nfc"]
        )
        dataset = data.encode(texts, tokenizer)
    shape["vocab_size"] = dataset.tokenizer.vocab_size
    # Refuse a wrong shape before anything is timed; dropout stays open until the steps are known.
    ModelConfig.resolve(**shape)
    config = TrainConfig(**{name: options[name] for name in _TRAINING})
    _describe_corpus(texts, dataset)
    settled = plan.settle(ModelConfig(**shape), config, dataset, source, device, began=began)
    for note in (*texts.notes, *settled.notes):
        say(note)
    trainer = Trainer(settled.model, settled.train, dataset, source, device)
    if start is not None:
        trainer.load_weights(start.weights)
    return trainer, piped


def _piped(source: Source) -> bytes:
    """Standard input, if the corpus or the validation text is to come from it."""
    asked = (*source.sources, *source.val_sources).count("-")
    if asked > 1:
        raise RequestError("'-' stands for standard input, which can be read only once")
    if asked and sys.stdin is None:
        raise RequestError("'-' stands for standard input, which is closed")
    return sys.stdin.buffer.read() if asked else b""


def _check_options(ctx: click.Context, options: dict[str, Any]) -> None:
    """What can be refused in a moment is refused before torch is imported."""
    if options["moved_to"]:
        raise RequestError(
            "--corpus says where the corpus of a run is now, for --resume; to train on a text, "
            f"type charlm train {shlex.quote(options['moved_to'][0])}"
        )
    ModelConfig.resolve(**{name: options[name] for name in _SHAPE})
    TrainConfig(**{name: options[name] for name in _TRAINING}).check_length()
    for name, cells in _OF_ONE_CELL.items():
        if name in given(ctx) and options["cell"] not in cells and options["init_from"] is None:
            raise RequestError(
                f"{typed(ctx, name)} means nothing to --cell {options['cell']}, only to "
                f"{', '.join(cells)}; leave it out"
            )
    if options["val_file"] and "val_fraction" in given(ctx):
        raise RequestError("--val-file and --val-fraction both say what validates; give one")
    if options["name"] is not None:
        runs.check_name(options["out"], options["name"], force=options["force"])
    if not 0.0 <= options["val_fraction"] < 1.0:
        raise RequestError(
            f"--val-fraction is {options['val_fraction']}; give at least 0 and less than 1"
        )


def _start_from(ctx: click.Context, options: dict[str, Any]) -> tuple[Checkpoint, dict[str, Any]]:
    """The model to start from and its shape, which options may not contradict."""
    start = runs.open_model(options["init_from"], options["out"]).checkpoint
    shape = start.config.to_dict()
    for name in given(ctx) & {*_SHAPE, "level", "min_count", "nfc"} - {"dropout"}:
        if options[name] != shape.get(name):
            raise RequestError(
                "--init-from takes shape and vocabulary from the model; leave out "
                f"{typed(ctx, name)}"
            )
    return start, shape | {"dropout": options["dropout"]}


def _resume(run: Run, device: str, moved_to: tuple[str, ...]) -> Trainer:
    """The trainer as it was when the run last saved."""
    from charlm import checkpoint
    from charlm.text import dataset as data
    from charlm.training.trainer import Trainer

    saved, damage = _newest_state(run)
    source, config = _stored(saved, run)
    if moved_to:
        source = runs.relocated(source, moved_to)  # from now on the run reads it there
    dataset = data.encode(runs.reread(source, run, saved.provenance), saved.tokenizer)
    trainer = Trainer(saved.config, config, dataset, source, _device(device))
    trainer.restore(saved)
    if damage:
        say(f"{damage}; going on from {run.previous}")
        # Before the next save, which keeps what it finds in this place.
        checkpoint.write(run.last, saved)
    say(f"resuming {run.path} at step {trainer.progress.step:,}")
    differences = trainer.differences(saved)
    if differences:
        say(f"not bit-exact because {', '.join(differences)}")
    return trainer


def _newest_state(run: Run) -> tuple[Checkpoint, str]:
    """The state to go on from: ``last``; where that is damaged or gone ``previous``, and why."""
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
        raise RequestError(f"{run.path} holds no state of training to resume from")
    source = Source.from_dict(saved.training.get("source"))
    config = TrainConfig.from_dict(saved.training.get("config"))
    if not config.settled:
        raise CheckpointError(f"{run.last}: the run's settings are incomplete")
    return source, config


def _train(run: Run, trainer: Trainer, stop_at: int | None, interrupted: Interruption) -> None:
    """Run the loop, then say what came of it. Interrupted, it is saved, and this exits."""
    from charlm.cli.progress import ProgressReporter

    config, progress = trainer.config, trainer.progress
    assert config.steps is not None
    with interrupted.politely():
        _describe_run(run, trainer)
        run.cut_log(progress.evaluated_at)
        reporter = ProgressReporter(config.steps, progress.step, trainer.symbols_per_char)
        try:
            finished = trainer.run(run, reporter, stop_at=stop_at, interrupted=interrupted)
        finally:
            reporter.close()
    if finished and not interrupted():
        try:
            _summarize(run, trainer)
            return
        except KeyboardInterrupt:
            say("")
    resume = f"charlm train --resume {shlex.quote(str(run.path))}"
    say(f"saved at step {progress.step:,} of {config.steps:,}; go on: {resume}")
    if interrupted():
        sys.exit(interrupted.exit_code)


def _summarize(run: Run, trainer: Trainer) -> None:
    """The result on stdout: the exact figure of the best model, its files, the next command."""
    from charlm.training import summary

    result = summary.finish(run, trainer.dataset)
    if result is None:
        click.echo("no validation text, so no figure: give --val-fraction or --val-file")
    else:
        click.echo(
            f"best validation {result.bits_per_char:.4f} bits/char = "
            f"{result.nats_per_char:.4f} nats/char over {result.characters:,} characters "
            f"(step {trainer.progress.best_step:,}; uniform over the vocabulary: "
            f"{summary.uniform_bits(trainer.dataset, result):.4f} bits)"
        )
        if result.folded is not None:
            say(result.folded.note)
        if trainer.progress.best_step == 0:
            say(
                "the validation loss never fell below the untrained model's; the newest weights "
                f"are in {run.last}"
            )
    echo(f"files  {run.best}  {run.last}  {run.log}")
    echo(f"next   charlm sample {shlex.quote(str(run.path))}")


def _device(name: str) -> Any:
    from charlm.training.devices import choose_device

    return choose_device(name)


def _absolute(name: str) -> str:
    """A path that still means the same text when the run is resumed from another directory."""
    return name if name == "-" else os.path.abspath(name)


def _describe_corpus(texts: Texts, dataset: Dataset) -> None:
    symbols = "bytes" if dataset.tokenizer.kind == "byte" else "symbols"
    say(
        f"corpus  {texts.name}: {len(texts.train) + len(texts.val):,} characters, "
        f"{dataset.tokenizer.vocab_size} {symbols}"
    )
    say(f"split   {texts.split} ({len(texts.train):,} / {len(texts.val):,} characters)")


def _describe_run(run: Run, trainer: Trainer) -> None:
    config, model = trainer.config, trainer.model.config
    assert config.steps is not None
    B, T = config.window
    epochs = config.steps / trainer.streams.steps_per_epoch
    say(f"model   {model.describe()}")
    say(
        f"train   {config.steps:,} updates of {B}x{T} ({epochs:.1f} epochs), {config.optimizer}, "
        f"learning rate {config.learning_rate:.3g}, dropout {model.dropout:g}, "
        f"{config.precision} on {trainer.device}"
    )
    say(f"run     {run.path}")
