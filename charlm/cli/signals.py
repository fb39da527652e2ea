"""Ctrl-C and SIGTERM: at once where nothing can be lost, politely where something can."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType, TracebackType


class Stop(KeyboardInterrupt):
    """A signal, as an exception. Not KeyboardInterrupt itself: Python takes one that leaves code in
    a string (which importing torch runs a lot of) for one that nobody caught, and ends with -2."""


class Interruption:
    """A context in which SIGINT and SIGTERM raise Stop, so that what is being written is cleaned
    up; within ``politely()`` they only set a flag that the training loop asks for.

    Calling it says whether a signal came; ``exit_code`` is 128 + its number. After the first one
    the system's own handling is back, so that a second one ends the process.
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
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)
        if not self._polite:
            raise Stop
        # A handler may interrupt a write to the same stream, which buffered writing does not allow.
        with contextlib.suppress(OSError):
            os.write(2, b"\nstopping after this update and saving; once more leaves at once\n")
