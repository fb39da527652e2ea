"""Many files scored side by side, each by one of several processes.

The results come in the order of the files, whatever process is done first, and are those of one
file after the other. A process opens the model once and keeps it.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from charlm.errors import CharlmError

if TYPE_CHECKING:
    from charlm.generate import CharLM
    from charlm.inspection.reading import Reading


@dataclass(frozen=True)
class Scored:
    """What was found about a file.

    bits_per_char, characters: None if it could not be scored; ``error`` says why, in one line
    notes: what was done to its text, a line each
    """

    file: str
    bits_per_char: float | None = None
    characters: int | None = None
    error: str = ""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON prints it; only what there is to say."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "", ())}


@dataclass(frozen=True)
class Asked:
    """How every file is scored; the fields are those of the options of ``charlm score``."""

    model: str
    network_only: bool
    on_unknown: str
    encoding: str | None
    exact: bool


_asked: Asked
_loaded: CharLM


def _open(asked: Asked) -> None:
    """The model of this process."""
    global _asked, _loaded
    from charlm import runs

    _asked = asked
    _loaded = runs.open_model(asked.model, network_only=asked.network_only).model


def read(
    loaded: CharLM, text: str, alternatives: int, exact: bool, threads: int | None = None
) -> Reading:
    from charlm.inspection import reading

    streams = 1 if exact or len(text) < reading.LONG else reading.STREAMS
    return reading.read(
        loaded.predictor,
        loaded.tokenizer,
        text,
        alternatives=alternatives,
        streams=streams,
        threads=threads or os.cpu_count() or 1,
        folded_types=loaded.folded_types(text),
    )


def _score(file: str) -> Scored:
    from charlm.cli.texts import text_of
    from charlm.generate import readable

    notes: list[str] = []
    try:
        text = readable(_loaded, text_of(file, _asked.encoding), _asked.on_unknown, notes.append)
        found = read(_loaded, text, 1, _asked.exact, threads=1).score
    except CharlmError as error:
        named = str(error) if file in str(error) else f"{file}: {error}"
        return Scored(file, error=named)
    return Scored(file, found.bits_per_char, found.characters, notes=tuple(notes))


def score(asked: Asked, files: Sequence[str], jobs: int) -> Iterator[Scored]:
    """Score every file, with ``jobs`` processes. CharlmError if a process is lost."""
    if jobs == 1:
        _open(asked)
        yield from map(_score, files)
        return
    # Not forked: the parent may have threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(files)), context, _open, (asked,)) as pool:
        try:
            yield from pool.map(_score, files)
        except BrokenProcessPool as error:
            raise CharlmError(
                "one of the processes has ended, perhaps for lack of memory; try fewer --jobs"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
