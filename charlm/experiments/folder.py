"""The directory of an experiment: what is in it, and what is refused.

Every JSON file except results.json carries the SHA-256 of its own content, and all name the same
experiment: a file that was changed, or that belongs to another experiment, is refused.

config.json             the question and the settings, which --resume continues with
tests.json              the test items, the same for every cell
cells/READER-SEED.*     the trained weights, and, written last, the cell's answers; while it is
                        being computed, how many steps it has made
results.json            everything together: the only input of the figures
results.csv             the accuracies as a table
"""

from __future__ import annotations

import re
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Self

from charlm import sealed
from charlm.errors import CharlmError, CheckpointError, RequestError

BEGIN_AGAIN = "choose another --out and start again"
GO_ON = "remove it and continue with --resume"


class Folder:
    """The directory of an experiment. The kind of experiment is a subclass."""

    command: ClassVar[str]
    """Its command's name: ``charlm experiment NAME``."""
    formats: ClassVar[tuple[str, ...]]
    """What its config.json says about itself: the current format, then older ones."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.json"
        self.tests_file = path / "tests.json"
        self.results_file = path / "results.json"
        self.table_file = path / "results.csv"

    def cell(self, reader: str, seed: int, ending: str = "json") -> Path:
        return self.path / "cells" / f"{reader}-{seed}.{ending}"

    @cached_property
    def config(self) -> dict[str, Any]:
        config = sealed.parse(self.config_file, BEGIN_AGAIN)
        if config.get("format") not in self.formats:
            other = _command_of(str(config.get("format")))
            if other not in ("", self.command):
                raise RequestError(
                    f"{self.path} contains an experiment of another kind; its command is: charlm "
                    f"experiment {other}"
                )
            raise CheckpointError(
                f"{self.config_file}: not an experiment of this version of charlm; choose another "
                "--out"
            )
        return sealed.verified(self.config_file, config, BEGIN_AGAIN)

    @property
    def experiment(self) -> str:
        """The identifier that all files of this experiment share."""
        return sealed.digest(self.config)

    @classmethod
    def find(cls, given: str) -> Self:
        """The experiment in a directory; RequestError if there is none."""
        found = cls(Path(given))
        if not found.config_file.exists():
            raise RequestError(
                f"{given} contains no experiment; run one: charlm experiment {cls.command} --out "
                f"{given}"
            )
        _ = found.config  # a damaged one is refused here, before anything starts
        return found

    def require_new(self) -> None:
        """RequestError if there is an experiment, or what is left of one."""
        if self.config_file.exists():
            raise RequestError(
                f"{self.path} already contains an experiment; continue with --resume, or choose "
                "another --out"
            )
        if any((self.path / "cells").glob("*.json")):
            raise RequestError(
                f"{self.path} contains readers of an experiment whose config.json is missing; "
                "choose another --out"
            )

    def create(self, config: dict[str, Any], tests: dict[str, Any]) -> None:
        """Store question, settings and tests, once, before anything is computed.

        config: its ``format``, ``recipe``, ``readers`` (in the order of the tables) and what else
            the experiment needs
        """
        self.require_new()
        try:
            (self.path / "cells").mkdir(parents=True, exist_ok=True)
            sealed.write(self.tests_file, {"experiment": sealed.digest(config), **tests})
            sealed.write(self.config_file, config)
        except OSError as error:
            raise CharlmError(
                f"{self.path}: cannot be written ({error.strerror}); choose another --out"
            ) from error

    def read_tests(self) -> dict[str, Any]:
        """What ``create`` has stored as tests."""
        return self.read(self.tests_file, BEGIN_AGAIN)

    def read(self, path: Path, remedy: str) -> dict[str, Any]:
        """What ``write`` wrote. CheckpointError, ending with ``remedy``, for anything else."""
        content = sealed.read(path, remedy)
        if content.pop("experiment", None) != self.experiment:
            raise CheckpointError(f"{path}: of another experiment; {remedy}")
        return content

    def write(self, path: Path, content: dict[str, Any]) -> None:
        """Write a file of this experiment, sealed."""
        sealed.write(path, {"experiment": self.experiment, **content})


def _command_of(said: str) -> str:
    """The name of the experiment of a format such as ``charlm-page/1``; "" if charlm has none with
    that name."""
    found = re.fullmatch(r"charlm-([a-z-]+)/\d+", said)
    name = found[1] if found else ""
    spec = find_spec(f"charlm.experiments.{name.replace('-', '_')}") if name else None
    return name if spec and spec.submodule_search_locations else ""  # every experiment is a folder
