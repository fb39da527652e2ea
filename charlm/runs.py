"""From what a user names, a run or a file, to a verified model: ``open_model``.

With the model come its provenance, the run that it belongs to and, if they can be read, the texts
that it was trained and validated on.
"""

from __future__ import annotations

import codecs
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from charlm import checkpoint, counts
from charlm.checkpoint import Checkpoint
from charlm.errors import CheckpointError, RequestError
from charlm.generate import CharLM
from charlm.rundir import Run, check_file, find_model
from charlm.text import dataset
from charlm.text.newlines import RULES

WITHOUT_COUNTS = "give --network-only, or delete the file"


@dataclass(frozen=True)
class OpenModel:
    """A model that has been found, read and verified; ``open_model`` makes one.

    path: its file
    checkpoint: the content of the file
    run: the run that the file belongs to; None for a model file on its own
    corpus: where its corpus is now, if the user said so
    network_only: leave out the counts of the run
    """

    path: Path
    checkpoint: checkpoint.Checkpoint
    run: Run | None = None
    corpus: tuple[str, ...] = ()
    network_only: bool = False

    @property
    def name(self) -> str:
        """The name of the run, if this is its best model; otherwise that of the file."""
        return self.path.parent.name if self.run and self.path == self.run.best else self.path.stem

    @property
    def provenance(self) -> dict[str, Any]:
        """What the model says about its corpus and its training."""
        return self.checkpoint.provenance

    @cached_property
    def model(self) -> CharLM:
        """The model itself, ready to sample and to score: the network, and the run's counts.

        RequestError if it was trained for a task in which it writes nothing.
        """
        if not self.checkpoint.config.writes:
            raise RequestError(self._not_for("predict the next character"))
        return CharLM(self.checkpoint, self.counts)

    def for_task(self, task: str) -> Checkpoint:
        """The model's file, for a command that needs a model of this task: classify, tag or
        rewrite. RequestError if it is another one."""
        config = self.checkpoint.config
        if config.task != task and not (task == "classify" and config.conditions):
            raise RequestError(self._not_for(task))
        return self.checkpoint

    def _not_for(self, what: str) -> str:
        """Why the model cannot do what is asked, and what it can do."""
        config = self.checkpoint.config
        command = config.task
        if config.writes:
            command = "classify" if config.conditions else "sample"
            trained = "to write items of a label" if config.conditions else "to write text"
        else:
            trained = f"with --task {config.task}"
        return (
            f"{self.name} cannot {what}: it was trained {trained}; type charlm {command} "
            f"{shlex.quote(str(self.path.parent))}"
        )

    @cached_property
    def counts(self) -> counts.Counts | None:
        """The counts beside the run's best model, unless they are to be left out. CheckpointError
        if the file is damaged or belongs to another model."""
        if self.run is None or self.path != self.run.best or self.network_only:
            return None
        if not os.path.lexists(self.run.counts):
            return None
        try:
            found = counts.read(self.run.counts)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; {WITHOUT_COUNTS}") from error
        if not found.belongs_to(self.checkpoint):
            raise CheckpointError(
                f"{self.run.counts} belongs to another model than {self.path}; {WITHOUT_COUNTS}"
            )
        return found

    @cached_property
    def texts(self) -> dataset.Texts:
        """The texts that the model was trained and validated on, read when they are first used.

        They are taken from ``corpus`` or from where the run found them, and must have the checksum
        in the model's provenance. Raises RequestError if they cannot be found or have changed.
        """
        source = self._source()
        if source is not None:
            owner = self.run or Run(self.path.parent)
            moved = relocated(source, self.corpus) if self.corpus else source
            return reread(moved, owner, self.provenance)
        if not self.corpus:
            raise RequestError(
                f"{self.path}: this file alone does not say where its corpus is; give it with "
                "--corpus PATH"
            )
        return self._texts_of_file()

    def _source(self) -> dataset.Source | None:
        """Where the run read its corpus; None if no file at hand says so."""
        training = self.checkpoint.training
        if training is None and self.run is not None and self.run.last.exists():
            # The header is enough: the text that it leads to has a checksum of its own.
            training = checkpoint.read_header(self.run.last).training
        return None if training is None else dataset.Source.from_dict(training.get("source"))

    def _texts_of_file(self) -> dataset.Texts:
        """The corpus at ``corpus``, for a model that does not say how its run read it: split as the
        provenance says, with the line ends that give the right checksum."""
        cut = self.provenance.get("train_characters")
        split = self.provenance.get("split")
        if isinstance(split, str) and ("drawn" in split or "of each file" in split):
            raise RequestError(
                f"{self.path}: this file alone does not say how its corpus was read ({split}); "
                "name the directory of its run"
            )
        for newline in RULES:
            source = dataset.Source(_absolute(self.corpus), newline=newline, val_fraction=0.0)
            texts = dataset.read(source)
            if texts.sha256 == self.provenance.get("corpus_sha256") and type(cut) is int:
                train, held_out = texts.train.split(cut)
                tested = self.provenance.get("test_characters")
                cut = len(held_out) - (tested if type(tested) is int else 0)
                val, test = held_out.split(max(0, cut))
                return replace(texts, train=train, val=val, test=test)
        raise RequestError(_not_the_corpus(self.corpus, self.path))


def open_model(
    given: str | None,
    out: Path | None = None,
    *,
    corpus: Sequence[str] = (),
    usage: str | None = None,
    network_only: bool = False,
) -> OpenModel:
    """Find, read and verify the model that ``given`` names, as ``find_model`` finds it.

    corpus: where its corpus is now, if it has moved
    network_only: leave out the counts of the run
    usage: what to say if ``given`` turns out to be a text; default: how to train on it

    Raises RequestError if there is no such model, CheckpointError if it is not a model or damaged.
    """
    path = find_model(given, out)
    try:
        loaded = checkpoint.read(path)
    except CheckpointError as error:
        if not _is_text(path):
            raise
        usage = usage or f"to train a model on it: charlm train {shlex.quote(str(path))}"
        raise CheckpointError(f"{path} is a text, not a model; {usage}") from error
    run = Run(path.parent)
    belongs = path in (run.best, run.last, run.previous)
    return OpenModel(path, loaded, run if belongs else None, tuple(corpus), network_only)


def load(path: str | Path | None = None, *, network_only: bool = False) -> CharLM:
    """Open a model for use: a run's name or directory, a model file, or None for the newest run.

    The best model of a run uses the run's counts too, unless ``network_only`` is set.
    """
    return open_model(None if path is None else str(path), network_only=network_only).model


def _is_text(path: Path) -> bool:
    """Whether a file begins like a text in UTF-8; a model file begins with zero bytes among the
    first eight."""
    if not path.is_file():  # opening a pipe could block
        return False
    try:
        with path.open("rb") as file:
            begin = file.read(4096)
        text = codecs.getincrementaldecoder("utf-8")().decode(begin)
    except (OSError, UnicodeDecodeError):
        return False
    return bool(text) and "\0" not in text


def reread(source: dataset.Source, run: Run, provenance: dict[str, Any]) -> dataset.Texts:
    """Read the texts of an earlier run again.

    Raises RequestError if they cannot be found or are not those in ``provenance``, CheckpointError
    if that does not say which they are.
    """
    check_file(run.stdin)
    stdin = run.stdin.open("rb") if run.stdin.exists() else None
    try:
        texts = dataset.read(source, stdin)
    except RequestError as error:
        raise RequestError(
            f"{error}; if the corpus of {run.path} has moved, give --corpus PATH"
        ) from error
    finally:
        if stdin is not None:
            stdin.close()
    found = (texts.sha256, len(texts.train), len(texts.val), len(texts.test))
    keys = ("corpus_sha256", "train_characters", "val_characters", "test_characters")
    try:
        # Runs from before there were test texts do not say that they have none.
        recorded = tuple(({"test_characters": 0} | provenance)[key] for key in keys)
        name = provenance["corpus"]
    except KeyError as error:
        raise CheckpointError(
            f"{run.path} does not say what it was trained on ({error})"
        ) from error
    if found != recorded:
        differences = ", ".join(
            f"{key} {str(new)[:12]} instead of {str(old)[:12]}"
            for key, new, old in zip(keys, found, recorded, strict=True)
            if new != old
        )
        raise RequestError(_not_the_corpus(source.sources, run.path, differences))
    return replace(texts, name=name)


def relocated(source: dataset.Source, paths: Sequence[str]) -> dataset.Source:
    """``source`` with its corpus at other ``paths``: those of the training text, or, as many as
    there were in all, those of the training text and then those of the validation text."""
    moved, validating = _absolute(paths), len(source.val_sources)
    if validating and len(moved) == len(source.sources) + validating:
        return replace(source, sources=moved[:-validating], val_sources=moved[-validating:])
    if source.weights and len(moved) != len(source.weights):
        raise RequestError(
            f"the run mixes {len(source.weights)} texts; give --corpus for each of them, in their "
            f"order, not {len(moved)} times"
        )
    return replace(source, sources=moved)


def _absolute(paths: Sequence[str]) -> tuple[str, ...]:
    """Paths that mean the same files when the run is resumed from another directory."""
    return tuple(os.path.abspath(path) for path in paths)


def _not_the_corpus(paths: Sequence[str], owner: Path, differences: str = "") -> str:
    shown = f" ({differences})" if differences else ""
    return (
        f"{', '.join(paths)}: the text is not the one that {owner} was trained on{shown}; find the "
        "unchanged text and give it with --corpus PATH"
    )
