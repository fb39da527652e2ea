"""The processes that train one model together (``torchrun``).

There is one rule: the rows of every batch are divided among the processes, and nothing else. Each
process has the whole model. It computes the gradient of its own rows; the sums over all rows are
the same everywhere, and so is every update. Only the hidden state is divided, like the rows, and it
is gathered before it is saved, so that a checkpoint does not know how many processes there were.

    torchrun --nproc-per-node 2 -m charlm train corpus.txt

Decisions that depend on a clock, on a signal or on a file are made by the process of rank 0 and
sent to the others (``agree``, ``tell``); otherwise they could differ, and one process would wait
for another that has stopped.

The messages travel by gloo, torch's transport for processors, or by NCCL between GPUs.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor

from charlm import launch
from charlm.errors import LostProcessError, RequestError

START, TIMEOUT = 1800, 25
"""Seconds that a process waits for the others before it gives up: at the start, when they read the
text, and later. Nobody may work longer alone than the latter while the others wait."""


class Group:
    """One process alone: nothing is sent.

    rank: the number of this process; 0 writes and decides
    size: how many processes there are
    """

    rank = 0
    size = 1

    @property
    def orphaned(self) -> bool:
        """Whether the launcher has ended. Nobody else would notice: without it the processes would
        train on for ever."""
        return False

    @property
    def writes(self) -> bool:
        """Whether this process writes the files and prints."""
        return self.rank == 0

    def rows(self, batch_size: int) -> slice:
        """Which rows of a batch are those of this process."""
        each = batch_size // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def check(self, batch_size: int) -> None:
        """RequestError unless the rows of a batch can be divided evenly."""
        if batch_size % self.size:
            sizes = [n for n in range(1, batch_size + 1) if batch_size % n == 0]
            raise RequestError(
                f"{self.size} processes cannot share the {batch_size} rows of a batch evenly; "
                f"start {', '.join(map(str, sizes[:-1]))} or {sizes[-1]} of them"
            )

    def sum(self, values: Tensor) -> None:
        """Replace ``values`` by their sums over all processes."""

    def broadcast(self, values: Tensor, source: int = 0) -> None:
        """Replace ``values`` by those of the process of rank ``source``."""

    def gather(self, part: Tensor) -> Tensor:
        """The rows (axis 1) of all processes, in their order; the same in every process."""
        return part

    def agree(self, number: float) -> float:
        """The number of rank 0."""
        return number

    def tell(self, value: Any) -> Any:
        """What rank 0 gives, as JSON can store it."""
        return value

    def any(self, mine: bool) -> bool:
        """Whether it is so in any process."""
        return mine

    @contextlib.contextmanager
    def first(self) -> Iterator[None]:
        """Rank 0 goes first; if it fails, so do all."""
        yield

    def end(self) -> None:
        """Leave the group: from here on every process is alone."""


ALONE = Group()


class Processes(Group):
    """The processes that ``torchrun`` has started."""

    def __init__(self, device: torch.device, timeout: float = TIMEOUT) -> None:
        self.rank, self.size = launch.rank(), launch.size()
        patience = datetime.timedelta(seconds=START)
        agents = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        store = dist.TCPStore(  # type: ignore[attr-defined]
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=self.rank == 0 and not agents,  # torchrun has one already
            timeout=patience,
        )
        # After a restart torchrun's store still has the addresses of the processes before (2.13).
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=dist.PrefixStore(  # type: ignore[attr-defined]
                f"charlm/{_name(store, self.rank, self.size, START)}", store
            ),
            rank=self.rank,
            world_size=self.size,
            timeout=patience,
        )
        dist.barrier()
        self._group = dist.new_group(timeout=datetime.timedelta(seconds=timeout))
        self._device = device
        self._parent = os.getppid()
        mine = [socket.gethostname(), os.getpid()]
        self._everyone: list[list[Any]] = [self._from(rank, mine) for rank in range(self.size)]

    @property
    def orphaned(self) -> bool:
        return os.getppid() != self._parent

    def sum(self, values: Tensor) -> None:
        with self._others():
            dist.all_reduce(values, group=self._group)

    def broadcast(self, values: Tensor, source: int = 0) -> None:
        with self._others():
            dist.broadcast(values, source, group=self._group)

    def gather(self, part: Tensor) -> Tensor:
        part = part.contiguous()
        found = [torch.empty_like(part) for _ in range(self.size)]
        with self._others():
            dist.all_gather(found, part, group=self._group)
        return torch.cat(found, dim=1)

    def agree(self, number: float) -> float:
        value = torch.tensor([number], dtype=torch.float64, device=self._device)
        self.broadcast(value)
        return float(value)

    def tell(self, value: Any) -> Any:
        return self._from(0, value)

    def any(self, mine: bool) -> bool:
        return any([self._from(rank, mine) for rank in range(self.size)])

    def _from(self, rank: int, value: Any) -> Any:
        """What the process of this rank gives, as JSON."""
        mine = json.dumps(value).encode() if rank == self.rank else b""
        length = torch.tensor([len(mine)], device=self._device)
        self.broadcast(length, rank)
        data = torch.zeros(int(length), dtype=torch.uint8, device=self._device)
        if rank == self.rank:
            data[:] = torch.frombuffer(bytearray(mine), dtype=torch.uint8)
        self.broadcast(data, rank)
        return json.loads(data.cpu().numpy().tobytes())

    @contextlib.contextmanager
    def first(self) -> Iterator[None]:
        if self.rank == 0:
            failed: dict[str, Any] = {}
            try:
                yield
            except BaseException as error:
                code = getattr(error, "exit_code", 1)
                failed = {"message": str(error), "code": code}
                raise
            finally:
                self.tell(failed)
        else:
            failed = self.tell(None)
            if failed:
                raise SystemExit(failed["code"])  # rank 0 says why
            yield

    def end(self) -> None:
        with contextlib.suppress(RuntimeError, ValueError):  # the launcher may be gone
            dist.destroy_process_group()

    @contextlib.contextmanager
    def _others(self) -> Iterator[None]:
        """What torch raises if another process does not answer, as one line that names it."""
        try:
            yield
        except RuntimeError as error:
            raise LostProcessError(self._missing(str(error))) from error

    def _missing(self, cause: str) -> str:
        here = socket.gethostname()
        gone = [
            f"rank {rank} (process {pid})"
            for rank, (host, pid) in enumerate(getattr(self, "_everyone", []))
            if host == here and rank != self.rank and not _runs(pid)
        ]
        if gone:
            what = f"{' and '.join(gone)} has ended"
        else:
            late = f"in {TIMEOUT} s" if "imed out" in cause else f"({cause.splitlines()[0][:100]})"
            what = f"another process does not answer {late}"
        return f"{what}, so rank {self.rank} stops too; --resume continues from the last checkpoint"


def _name(store: Any, rank: int, size: int, seconds: float) -> str:
    """A name for these processes that no others have had, agreed on through the launcher's store.

    Raises LostProcessError if one of them does not come within ``seconds``.

    After a failure the store still holds what the processes before have written, and a launcher
    that took the place of a lost one counts its restarts anew. So each process shows a word of its
    own, and rank 0 answers to each word with the name, until every process has read it.
    """
    word = secrets.token_hex(8)
    until = time.monotonic() + seconds
    if rank > 0:
        store.set(f"charlm/word/{rank}", word)
        try:
            store.wait([f"charlm/name/{word}"], datetime.timedelta(seconds=seconds))
        except RuntimeError as error:
            raise LostProcessError(f"rank 0 did not come within {seconds:g} s") from error
        name: str = store.get(f"charlm/name/{word}").decode()
        store.set(f"charlm/read/{name}/{rank}", "")
        return name
    waiting = set(range(1, size))
    while waiting:
        if time.monotonic() > until:
            raise LostProcessError(
                f"rank {', '.join(map(str, sorted(waiting)))} did not come within {seconds:g} s"
            )
        for other in list(waiting):
            if store.check([f"charlm/word/{other}"]):
                shown = store.get(f"charlm/word/{other}").decode()
                store.set(f"charlm/name/{shown}", word)
            if store.check([f"charlm/read/{word}/{other}"]):
                waiting.remove(other)
        time.sleep(0.02)
    return word


def leave(code: int) -> NoReturn:
    """End a process that has nothing left to do.

    At once: the transport has threads of its own, and now and then Python's usual shutdown ended
    with an abort in one of them, which a launcher takes for a failure.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _runs(pid: int) -> bool:
    """Whether a process of this machine runs; one that has ended may still have its number."""
    status = Path(f"/proc/{pid}/stat")
    if status.parent.parent.is_dir() and Path("/proc/self").exists():
        try:
            return status.read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
        except OSError:
            return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def join(device: torch.device) -> Group:
    """The group of this process: ``ALONE``, unless a launcher has started several."""
    return Processes(device) if launch.size() > 1 else ALONE
