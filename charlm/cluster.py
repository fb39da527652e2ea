"""The workers of a Dask scheduler as a backend of joblib (``charlm.parallel``). Needs Dask."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

from charlm.errors import CharlmError, RequestError
from charlm.extras import how_to_install

CONNECT = 10.0
"""Seconds to wait for a scheduler, and for its first worker."""


def _backend(client: Any) -> Any:
    """joblib's Dask backend (1.6), but for two things.

    It says that there are at least two threads: with one, joblib does all work in the command's own
    process. And it tells joblib of a task that Dask has given up: joblib waits for that for ever.
    """
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):  # type: ignore[misc]
        def effective_n_jobs(self, n_jobs: int) -> int:
            threads: int = super().effective_n_jobs(n_jobs)
            return max(2, threads)

        def submit(self, func: Any, callback: Callable[[Any], None]) -> Any:
            future = super().submit(func, callback)

            def given_up(done: Any) -> None:
                if done.exception() is not None:
                    callback(done.exception())

            future.add_done_callback(given_up)
            return future

        def retrieve_result_callback(self, out: Any) -> Any:
            if isinstance(out, BaseException):
                raise out
            return super().retrieve_result_callback(out)

    return Backend(client=client)


@contextlib.contextmanager
def connected(address: str, again: str) -> Iterator[Any]:
    """joblib's backend for the workers of the Dask scheduler at ``address``. What goes wrong there
    becomes one line, also later: RequestError if nobody answers, CharlmError if it is lost.

    again: how to continue after an error
    """
    try:
        from dask import distributed
    except ImportError as error:
        raise CharlmError(
            f"--dask needs Dask, which is not installed: {how_to_install('cluster')}"
        ) from error
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("distributed"):  # every error is told below
            logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = distributed.Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise RequestError(
            f"no Dask scheduler answers at {address}; start one with dask scheduler, and a worker "
            f"on every machine: dask worker {address}"
        ) from error
    try:
        with client:
            try:
                client.wait_for_workers(1, timeout=CONNECT)
            except TimeoutError as error:
                raise RequestError(
                    f"the Dask scheduler at {address} has no worker; start one on every machine: "
                    f"dask worker {address}"
                ) from error
            yield _backend(client)
    except distributed.KilledWorker as error:
        raise CharlmError(
            "a piece of work killed one Dask worker after the other, perhaps for lack of memory; "
            f"what is finished remains: {again}"
        ) from error
    except (CancelledError, OSError) as error:
        raise CharlmError(
            f"the Dask scheduler at {address} is gone; what is finished remains: {again}"
        ) from error
