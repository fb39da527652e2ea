"""Pieces of work for the workers of a cluster, which import this file."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from charlm.parallel import Wanted


def leave_pid(path: str, wanted: Wanted) -> None:
    """Write which process did the work."""
    Path(path).write_text(f"{os.getpid()} {wanted()}")


def die(path: str, wanted: Wanted) -> None:
    """End as a process does for which there is no memory."""
    os.kill(os.getpid(), signal.SIGKILL)
