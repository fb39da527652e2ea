"""What a launcher such as ``torchrun`` says about this process: one of several, and which.

``torchrun`` sets these environment variables; SLURM and MPI have their own, which it translates.
"""

from __future__ import annotations

import os
import socket

VARIABLES = (
    *("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    *("TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_RUN_ID"),
)
"""The environment variables that say so."""


def size() -> int:
    """How many processes train together; 1 without a launcher."""
    return _number("WORLD_SIZE", 1) if "RANK" in os.environ else 1


def rank() -> int:
    """The number of this process among them."""
    return _number("RANK", 0) if size() > 1 else 0


def local_rank() -> int:
    """Its number among those of this machine."""
    return _number("LOCAL_RANK", 0) if size() > 1 else 0


def restarts() -> int:
    """How often the launcher has started the processes again after one of them had failed."""
    return _number("TORCHELASTIC_RESTART_COUNT", 0) if size() > 1 else 0


def job() -> str:
    """What the launcher calls this training; the same after a restart. Empty without a launcher."""
    if size() == 1:
        return ""
    name = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    return f"{socket.gethostname()}-{os.getppid()}" if name in ("none", "default") else name


def _number(name: str, default: int) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else default
