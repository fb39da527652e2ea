"""Many independent pieces of work on several processes, here or on a cluster, through joblib.

Each piece leaves its result in a file. So nothing has to come back but the message that it is done,
and a piece that was lost with its process is done again.

Here joblib's own processes (loky) do the work; on a cluster those of a Dask scheduler
(``charlm.cluster``), which must see the same files.
"""

from __future__ import annotations

import contextlib
import multiprocessing.resource_tracker
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from charlm.errors import CharlmError

Task = TypeVar("Task")

ATTEMPTS = 3
"""How often work is begun again without a piece being finished in between. A piece that needs more
memory than there is would otherwise be begun for ever."""

LOOK = 0.5
"""Seconds between two looks whether the command is still alive."""

BEAT, STALE = 5.0, 120.0
"""Seconds between two touches of a command's marker, and after how many seconds without one its
work is given up. File systems of several machines may show a change a minute late."""

_touched: dict[str, tuple[int, float]] = {}
"""When this process saw the time of a marker change, by its own clock."""


class LostWorkError(CharlmError):
    """A piece of work was lost with its process and may be tried again."""


class UnwantedError(CharlmError):
    """The command that wanted a piece of work has ended."""


@dataclass(frozen=True)
class Wanted:
    """Whether work is still wanted: as long as the file ``marker`` is there and the command touches
    it. Who does the work looks now and then, on whatever machine it is, and can leave things as
    they should be."""

    marker: str

    @classmethod
    @contextlib.contextmanager
    def within(cls, folder: Path) -> Iterator[Wanted]:
        """What is wanted from now to the end of the context.

        folder: an existing directory that every process sees
        """
        marker = folder / f".wanted-{secrets.token_hex(4)}"
        marker.touch()
        wanted = cls(str(marker))

        def touch() -> None:
            with contextlib.suppress(OSError):
                os.utime(marker)

        try:
            with every(BEAT, touch):
                yield wanted
        finally:
            wanted.withdraw()

    @staticmethod
    def withdraw_old(folder: Path) -> None:
        """End what a command that was killed has left to the workers of a cluster."""
        for marker in folder.glob(".wanted-*"):
            marker.unlink(missing_ok=True)

    def withdraw(self) -> None:
        """The work that is being done ends soon, and what waits is not begun."""
        with contextlib.suppress(OSError):
            os.unlink(self.marker)

    def __call__(self) -> bool:
        try:
            touched = os.stat(self.marker).st_mtime_ns
        except OSError:
            return False
        # Only whether it changes counts: the clocks of two machines may differ.
        before, since = _touched.get(self.marker, (None, 0.0))
        if touched != before:
            since = time.monotonic()
            _touched[self.marker] = touched, since
        return time.monotonic() - since < STALE

    def check(self) -> None:
        """UnwantedError if the work is not wanted any more."""
        if not self():
            raise UnwantedError("the command that started this has ended")


@dataclass(frozen=True)
class Workers:
    """Who does the work.

    jobs: processes of this machine at the same time
    dask: address of a Dask scheduler, whose workers do it instead, or ""
    """

    jobs: int = 1
    dask: str = ""

    def describe(self) -> str:
        return f"on the workers of {self.dask}" if self.dask else f"{self.jobs} at a time"

    def run(
        self,
        work: Callable[[Task, Wanted], None],
        tasks: Sequence[Task],
        wanted: Wanted,
        *,
        again: str = "give the command again",
    ) -> Iterator[tuple[Task, CharlmError | None]]:
        """Do ``work(task, wanted)`` for every task, and yield each one when it is done, with the
        error that it raised. The order is that in which they are finished.

        work: a function of a module; it runs in another process, and for one task may run again
        again: how to continue after an error

        If a process dies, its task and those of its neighbours are done again, at most ``ATTEMPTS``
        times in a row. Raises CharlmError if that does not help, or if a cluster cannot be reached.
        If the iteration is broken off, the processes of this machine are killed.
        """
        left = dict(enumerate(tasks))
        deaths = 0
        while left:
            lost: dict[int, Task] = {}
            try:
                for number, error in self._once(work, dict(left), wanted, again):
                    task = left.pop(number)
                    if isinstance(error, LostWorkError) and wanted():
                        lost[number] = task
                    else:
                        deaths = 0
                        yield task, error
            except BrokenProcessPool:
                lost |= left
            left = lost
            deaths += bool(lost)
            if lost and deaths == ATTEMPTS:
                raise CharlmError(
                    f"processes were killed {ATTEMPTS} times, perhaps for lack of memory; what is "
                    f"finished remains: {again}, with fewer --jobs"
                )

    def _once(
        self,
        work: Callable[[Task, Wanted], None],
        tasks: dict[int, Task],
        wanted: Wanted,
        again: str,
    ) -> Iterator[tuple[int, CharlmError | None]]:
        import joblib

        command = 0 if self.dask else os.getpid()
        attempt = joblib.delayed(_attempt)
        calls = [attempt(work, number, task, wanted, command) for number, task in tasks.items()]
        how: dict[str, Any] = {"batch_size": 1, "pre_dispatch": "all"}
        how["return_as"] = "generator_unordered"
        if self.dask:
            from charlm import cluster

            with cluster.connected(self.dask, again) as backend:
                yield from joblib.Parallel(n_jobs=-1, backend=backend, **how)(calls)
            return
        from joblib.externals.loky import get_reusable_executor

        _start_trackers()
        jobs = min(self.jobs, len(calls))  # if that is 1, joblib works in this very process
        with _silenced():
            try:
                with _shielded():
                    done = joblib.Parallel(jobs, backend="loky", max_nbytes=None, **how)(calls)
                yield from done
            finally:
                get_reusable_executor().shutdown(wait=True, kill_workers=True)


@contextlib.contextmanager
def every(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Meanwhile another thread calls ``call`` again and again; at the end it is called once more,
    unless an exception has ended what was being done."""
    over = threading.Event()

    def calling() -> None:
        while not over.wait(seconds):
            call()

    thread = threading.Thread(target=calling, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    call()


def _attempt(
    work: Callable[[Task, Wanted], None], number: int, task: Task, wanted: Wanted, command: int
) -> tuple[int, CharlmError | None]:
    """Do one piece of work, in one of the processes.

    command: the process that wants it, if that is on this machine, else 0
    """
    if command and os.getpid() != command:
        _depend_on(command)
    try:
        wanted.check()
        work(task, wanted)
    except CharlmError as error:
        return number, error
    return number, None


_depends = False


def _depend_on(command: int) -> None:
    """Make this process end with the command, and leave Ctrl-C to it."""
    global _depends
    if _depends:
        return
    _depends = True
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == command:
            time.sleep(LOOK)
        os._exit(1)

    if os.name == "posix":  # elsewhere a process keeps the number of a parent that is gone
        threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _shielded() -> Iterator[None]:
    """A process started in here never receives Ctrl-C, not even before it can ignore it. The
    command itself receives Ctrl-C and SIGTERM afterwards: half-started processes would complain."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    masks = hasattr(signal, "pthread_sigmask")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else set()
    try:
        yield
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for each, handler in handlers.items():
            signal.signal(each, handler or signal.SIG_DFL)
        for number in came[:1]:
            signal.raise_signal(number)


def _start_trackers() -> None:
    """Start the two helper processes of joblib and of Python that clean up after the others.

    They would be started with the first process, and that would unblock what ``_shielded`` blocks.
    They warn about things that are left over, as is natural after Ctrl-C: without these warnings.
    """
    from joblib.externals.loky.backend import resource_tracker

    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore"
    try:
        resource_tracker.ensure_running()
        multiprocessing.resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """A thread of joblib that fails while it is being ended says nothing.

    If the processes are killed while work is still handed out, the thread that does so looks for
    work that has just been withdrawn, and prints a KeyError (joblib 1.6).
    """
    before = threading.excepthook

    def hook(failed: threading.ExceptHookArgs) -> None:
        handing_out = failed.thread is not None and failed.thread.name == "ExecutorManagerThread"
        if not (handing_out and failed.exc_type is KeyError):
            before(failed)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
