"""The rows of a batch in blocks, each computed by a thread of its own.

The texts of a batch do not depend on each other, so their gradients can be computed apart and
added. A layer of a few hundred units is too small to be shared by threads: they wait for each other
after every product, 64 times in a window, and much longer if another process has one of the cores.
A block of rows needs no waiting until its gradient is done, and its activations fit into the
core's own cache.

Within a block everything is as without blocks. Results depend on the number of blocks, by rounding
and because each block draws its own dropout masks, but not on the number of threads of the machine.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import nn

from charlm.config import ModelConfig
from charlm.errors import CheckpointError
from charlm.models.bodies import Dropout
from charlm.training.numbers import read_numbers

Result = TypeVar("Result")

FEWEST_ROWS = 16
"""Matrix products of fewer rows than this take about as long as those of 16."""

LARGEST_HIDDEN = 384
"""Up to this hidden size blocks are faster. In wider layers the weights are most of what a core
reads, and two threads that share a product read them once; only beside another busy program blocks
are faster there too (docs/log.md), which is why runs with ``--minutes`` time both."""


def most_blocks(model: ModelConfig, batch_size: int, device: torch.device) -> int:
    """One block for each thread for an LSTM on a processor, otherwise one.

    torch has one function for the LSTM's whole loop over time on a processor. The loops of the
    other cells hold Python's lock 64 times in a window, so threads would wait for it.
    """
    if device.type != "cpu" or model.cell != "lstm" or not model.writes:
        return 1
    return max(1, min(torch.get_num_threads(), batch_size // FEWEST_ROWS))


def default_blocks(model: ModelConfig, batch_size: int, device: torch.device) -> int:
    """``most_blocks`` up to a size, otherwise one; with ``--minutes`` both are timed."""
    if model.hidden_size > LARGEST_HIDDEN:
        return 1
    return most_blocks(model, batch_size, device)


SLOWER = 1.3
"""How many times slower than usual steps must be before another number of blocks is tried."""

CLEARLY = 1.1
"""How many times faster it must be to be kept."""


@dataclass(frozen=True)
class Split:
    """How many blocks a run with ``--minutes`` uses now.

    One block on several threads can be the fastest on an idle machine and many times slower than
    several blocks beside another program. So when the steps get slow, the other number is tried
    for a while, and kept if it is faster; also if several blocks were faster at the start although
    one should be: another program may have been busy then. All of this is part of the progress that
    a checkpoint stores.

    blocks, other: the number in use, and the other one
    usual: seconds of a step when the run was planned; 0 if the machine may have been busy then
    before: seconds of a step with ``other``, while ``blocks`` are on trial; 0: no trial
    wait: plans until the next trial; ``pause``: how many there were after the last one
    """

    blocks: int
    other: int
    usual: float
    before: float = 0.0
    wait: int = 0
    pause: int = 2

    @classmethod
    def from_dict(cls, values: Any) -> Split | None:
        """The inverse of ``asdict``; CheckpointError for anything else."""
        split = read_numbers(cls, values, "blocks are")
        if split is not None and not all(1 <= n <= 1024 for n in (split.blocks, split.other)):
            raise CheckpointError("the run's blocks are damaged (their number)")
        return split

    def again(self, update: float) -> Split:
        """What follows when a step has taken ``update`` seconds since the last call.

        >>> Split(blocks=1, other=2, usual=0.1).again(0.5).blocks
        2
        """
        if self.before:
            if CLEARLY * update < self.before:
                return replace(self, usual=self.usual or update, before=0.0, wait=2, pause=2)
            # Trials that bring nothing become rarer.
            back = replace(self, blocks=self.other, other=self.blocks, before=0.0)
            return replace(back, wait=2 * self.pause, pause=2 * self.pause)
        if self.wait:
            return replace(self, wait=self.wait - 1)
        if update > SLOWER * self.usual:
            return replace(self, blocks=self.other, other=self.blocks, before=update)
        return self


class Blocks:
    """Copies of a model that share its parameters, and a thread for each.

    A copy has its own dropout, so that its masks depend on the block alone.
    """

    def __init__(self, model: nn.Module, number: int) -> None:
        self.parameters: list[torch.Tensor] = [p for p in model.parameters() if p.requires_grad]
        shared = {id(p): p for p in model.parameters()}
        self.models = [copy.deepcopy(model, dict(shared)).train() for _ in range(number)]
        self._pool = ThreadPoolExecutor(
            number, "block", initializer=torch.set_num_threads, initargs=(1,)
        )

    def __len__(self) -> int:
        return len(self.models)

    def each(
        self, work: Callable[[int, nn.Module], Result], number: int | None = None
    ) -> list[Result]:
        """``work(number, model)`` for every block, or the first ``number``, at the same time."""
        return list(self._pool.map(work, range(number or len(self)), self.models))

    def close(self) -> None:
        self._pool.shutdown()


def cut(rows: int, blocks: int) -> Sequence[slice]:
    """``rows`` in ``blocks`` slices whose lengths differ by at most one.

    >>> cut(10, 3)
    [slice(0, 4, None), slice(4, 7, None), slice(7, 10, None)]
    """
    ends = [-(-rows * k // blocks) for k in range(blocks + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(ends)]


def seed_dropout(model: nn.Module, seed: int) -> None:
    """Let every dropout of ``model`` draw from one generator with this seed."""
    generator: torch.Generator | None = None
    for module in model.modules():
        if isinstance(module, Dropout):
            if generator is None:
                generator = torch.Generator().manual_seed(seed)
            module.generator = generator


def let_torch_draw(model: nn.Module) -> None:
    """Undo ``seed_dropout``: every dropout draws from torch's own generator."""
    for module in model.modules():
        if isinstance(module, Dropout):
            module.generator = None


@dataclass(frozen=True)
class Piece:
    """The rows of one block that one process has.

    block: its number
    rows: of the process's own rows
    first, all: the first of them among all rows of the block
    """

    block: int
    rows: slice
    first: int
    all: int

    def place_dropout(self, model: nn.Module) -> None:
        """Let every dropout of ``model`` between layers use the masks of these rows."""
        for module in model.modules():
            # That of the embeddings draws entries of their matrix, not rows of the batch.
            if isinstance(module, Dropout) and not module.of_weights:
                whole = self.rows.stop - self.rows.start == self.all
                module.rows = None if whole else (self.first, self.all)


def pieces(own: slice, rows: int, blocks: int) -> list[Piece]:
    """The blocks of ``rows``, as far as they are in ``own``, the rows of one process.

    >>> pieces(slice(16, 32), rows=64, blocks=2)
    [Piece(block=0, rows=slice(0, 16, None), first=16, all=32)]
    """
    found = []
    for number, block in enumerate(cut(rows, blocks)):
        begin, end = max(own.start, block.start), min(own.stop, block.stop)
        if begin < end:
            mine = slice(begin - own.start, end - own.start)
            found.append(Piece(number, mine, begin - block.start, block.stop - block.start))
    return found
