"""Ctrl-C and SIGTERM: stop at once if nothing can be lost, otherwise after saving."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType, TracebackType

from charlm import launch


class Stop(KeyboardInterrupt):
    """A signal as an exception. Not KeyboardInterrupt itself, because Python treats that specially:
    if it leaves code that was run from a string, as in importing torch, the process ends with -2
    even if the exception is caught later."""


class Interruption:
    """A context in which SIGINT and SIGTERM raise Stop, so that unfinished files are removed.

    Within ``politely()`` they only set a flag, which the training loop reads. Calling the object
    returns whether a signal came; ``exit_code`` is 128 + its number. The first signal restores the
    system's handlers, so a second one ends the process.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._polite = False
        self._before: dict[int, object] = {}

    def __call__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        return 128 + (self.signal or signal.SIGINT)

    @contextlib.contextmanager
    def politely(self) -> Iterator[None]:
        self._polite = True
        try:
            yield
        finally:
            self._polite = False

    def __enter__(self) -> Interruption:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._received)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _received(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        # A launcher sends its signal twice, and kills what is left after half a minute.
        second = signal.SIG_IGN if launch.size() > 1 else signal.SIG_DFL
        for each in self._before:
            signal.signal(each, second)
        if not self._polite:
            raise Stop
        if launch.rank() > 0:
            return
        # Unbuffered: the signal may have interrupted a buffered write to the same stream.
        with contextlib.suppress(OSError):
            os.write(2, b"\nsaving after this training step; press Ctrl-C again to stop at once\n")
