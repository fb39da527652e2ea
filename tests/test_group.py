"""One model on several processes: the same weights as in one, whatever their number."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from group_worker import run

from charlm import checkpoint, launch
from charlm.cli import child
from charlm.cli.train import _of_this_job
from charlm.errors import LostProcessError, RequestError
from charlm.models.bodies import Dropout
from charlm.training.group import ALONE, Group, Processes, _name
from charlm.training.rows import pieces

Weights = dict[str, np.ndarray]
WORKER = Path(__file__).parent / "group_worker.py"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def together(size: int, scenarios: list[dict[str, Any]], folder: Path) -> dict[str, Weights]:
    """The weights that ``size`` processes end each scenario with, by its name."""
    file = folder / f"scenarios-{size}.json"
    file.write_text(json.dumps(scenarios))
    port = str(free_port())
    common = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(file)],
            env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert all(process.returncode == 0 for process in processes), errors
    return {each["name"]: dict(np.load(f"{file}.{each['name']}.npz")) for each in scenarios}


def apart(one: Weights, other: Weights) -> float:
    """The largest difference of two weights."""
    assert one.keys() == other.keys()
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


DOUBLE: dict[str, Any] = {"name": "double", "steps": 200, "double": True}
DROPOUT: dict[str, Any] = {
    "name": "dropout",
    "steps": 100,
    "shape": {"dropout": 0.2, "embedding_dropout": 0.2},
    "config": {"optimizer": "adamw", "learning_rate": 0.005},
}
BLOCKS = DROPOUT | {"name": "blocks", "config": {"row_blocks": 2, **DROPOUT["config"]}}
CONTROLS = [
    DOUBLE | {"name": what.replace(" ", "-"), "broken": what}
    for what in ("same rows", "state forgotten")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("group")


def legs(folder: Path, name: str, **more: Any) -> list[dict[str, Any]]:
    """40 steps at once; 20, and 20 more from the checkpoint."""
    common = {"steps": 40, "shape": {"dropout": 0.2}} | more
    (folder / f"{name}-whole").mkdir()
    (folder / f"{name}-parts").mkdir()
    parts = {"directory": str(folder / f"{name}-parts")}
    return [
        {"name": f"{name}-whole", "directory": str(folder / f"{name}-whole"), **common},
        {"name": f"{name}-20", "stop_at": 20, **parts, **common},
        {"name": f"{name}-parts", "resume": True, **parts, **common},
    ]


@pytest.fixture(scope="module")
def two(folder: Path) -> dict[str, Weights]:
    again = [DROPOUT | {"name": "again"}, *legs(folder, "two"), *legs(folder, "swap")]
    again[-2]["broken"] = "rows swapped"
    return together(2, [DOUBLE, DROPOUT, BLOCKS, *CONTROLS, *again], folder)


def test_two_processes_give_the_weights_of_one(two: dict[str, Weights]) -> None:
    assert apart(two["double"], run(DOUBLE, ALONE)) < 1e-12


@pytest.mark.slow
def test_four_processes_give_the_weights_of_one(folder: Path) -> None:
    four = together(4, [DOUBLE, DROPOUT, BLOCKS], folder)
    for scenario, close in ((DOUBLE, 1e-12), (DROPOUT, 1e-6), (BLOCKS, 1e-6)):
        assert apart(four[scenario["name"]], run(scenario, ALONE)) < close


@pytest.mark.parametrize("scenario", [DROPOUT, BLOCKS], ids=["one block", "two blocks"])
def test_a_row_has_the_same_dropout_however_many_processes_there_are(
    two: dict[str, Weights], scenario: dict[str, Any]
) -> None:
    assert apart(two[scenario["name"]], run(scenario, ALONE)) < 1e-6


@pytest.mark.parametrize("broken", [each["name"] for each in CONTROLS])
def test_a_wrong_division_would_be_noticed(two: dict[str, Weights], broken: str) -> None:
    assert apart(two[broken], two["double"]) > 0.01


def test_the_same_number_of_processes_gives_the_same_bits(two: dict[str, Weights]) -> None:
    assert apart(two["again"], two["dropout"]) == 0.0


def test_twenty_and_twenty_steps_are_forty(two: dict[str, Weights]) -> None:
    assert apart(two["two-parts"], two["two-whole"]) == 0.0
    assert apart(two["two-20"], two["two-whole"]) > 0.01


def test_gathered_rows_that_are_swapped_would_be_noticed(two: dict[str, Weights]) -> None:
    assert apart(two["swap-parts"], two["swap-whole"]) > 1e-4


def test_a_checkpoint_does_not_know_how_many_processes_wrote_it(
    two: dict[str, Weights], folder: Path
) -> None:
    """One process goes on from the checkpoint of two, with the whole state."""
    assert "two-20" in two  # the two have run
    one = folder / "one"
    one.mkdir()
    first = {"name": "x", "steps": 40, "shape": {"dropout": 0.2}, "directory": str(one)}
    run(first | {"stop_at": 20}, ALONE)
    mine = checkpoint.read(one / "last.safetensors")
    theirs = checkpoint.read(folder / "two-parts" / "previous.safetensors")
    assert mine.extra.keys() == theirs.extra.keys()
    for name, value in mine.extra.items():
        np.testing.assert_allclose(value, theirs.extra[name], atol=1e-4)
        assert value.shape == theirs.extra[name].shape
    whole = run(first | {"resume": True}, ALONE)
    assert apart(whole, two["two-whole"]) < 1e-3


# --------------------------------------------------------------------------------- without others


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    class Three(Group):
        size = 3

    Three().check(9)
    with pytest.raises(RequestError, match=r"3 processes cannot share the 8 rows .* 1, 2, 4 or 8"):
        Three().check(8)


@pytest.mark.parametrize(("size", "blocks"), [(1, 1), (2, 1), (2, 2), (4, 2), (2, 4), (8, 3)])
def test_the_pieces_of_all_processes_are_the_blocks(size: int, blocks: int) -> None:
    found: dict[int, list[int]] = {}
    for rank in range(size):
        each = 24 // size
        for piece in pieces(slice(rank * each, (rank + 1) * each), 24, blocks):
            rows = range(piece.first, piece.first + len(range(*piece.rows.indices(each))))
            assert piece.all == 24 // blocks
            found.setdefault(piece.block, []).extend(rows)
    assert found == {block: list(range(24 // blocks)) for block in range(blocks)}


@pytest.mark.parametrize("own_generator", [False, True])
@pytest.mark.parametrize("layout", ["rows first", "time first"])
def test_a_mask_of_some_rows_is_part_of_that_of_all(own_generator: bool, layout: str) -> None:
    def mask(x: torch.Tensor, rows: tuple[int, int] | None) -> torch.Tensor:
        dropout = Dropout(0.5)
        dropout.rows = rows
        dropout.generator = torch.Generator().manual_seed(3) if own_generator else None
        torch.manual_seed(3)
        found: torch.Tensor = dropout(x)
        return found

    whole = torch.ones(8, 5, 6) if layout == "rows first" else torch.ones(5, 8, 6).transpose(0, 1)
    expected = mask(whole, None)
    assert 0.3 < float((expected == 0).float().mean()) < 0.7
    for first in (0, 2, 6):
        assert torch.equal(mask(whole[first : first + 2], (first, 8)), expected[first : first + 2])
    assert not torch.equal(mask(whole[2:4], None), expected[2:4])  # the control


# ------------------------------------------------------------------------- how they find each other


def names(store: Any, size: int) -> list[str]:
    """What the processes of one start agree on, each in a thread; the last rank comes first."""
    with ThreadPoolExecutor(size) as pool:
        found = []
        for rank in reversed(range(size)):
            found.append(pool.submit(_name, store, rank, size, 20.0))
            time.sleep(0.05)
        return [each.result() for each in found]


def test_processes_agree_on_a_name_whatever_others_have_left_in_the_store() -> None:
    """A launcher's store outlives the processes; after a restart it is full of old words."""
    store = dist.HashStore()  # type: ignore[attr-defined]
    store.set("charlm/word/1", "of a process that is gone")
    first, again = names(store, 3), names(store, 3)
    assert len(set(first)) == len(set(again)) == 1
    assert first != again


def test_a_process_that_does_not_come_is_named() -> None:
    for rank in (0, 1):
        message = rf"rank {1 - rank} did not come within 0\.2 s"
        with pytest.raises(LostProcessError, match=message):
            _name(dist.HashStore(), rank, 2, 0.2)  # type: ignore[attr-defined]


def test_a_launcher_says_who_a_process_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in launch.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert (launch.size(), launch.rank(), launch.restarts(), launch.job()) == (1, 0, 0, "")
    for name, value in zip(launch.VARIABLES, ("3", "4", "1", "2", "book"), strict=True):
        monkeypatch.setenv(name, value)
    assert (launch.size(), launch.rank(), launch.local_rank()) == (4, 3, 1)
    assert (launch.restarts(), launch.job()) == (2, "book")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert launch.job().endswith(f"-{os.getppid()}")
    monkeypatch.setenv("WORLD_SIZE", "many")
    assert launch.size() == 1


class Restarted(Group):
    """A group of which some process has been started again."""

    def any(self, mine: bool) -> bool:
        return True


def test_a_job_that_was_started_again_finds_its_run_and_no_other(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, job in (("mine", "book"), ("other", "poems")):
        shutil.copytree(trained, tmp_path / name)
        last = checkpoint.read(tmp_path / name / "last.safetensors")
        assert last.training is not None
        changed = replace(last, training=last.training | {"job": job})
        checkpoint.write(tmp_path / name / "last.safetensors", changed)
    monkeypatch.setattr(launch, "job", lambda: "book")
    assert _of_this_job(tmp_path, Restarted()) == str(tmp_path / "mine")
    assert _of_this_job(tmp_path, Group()) is None  # nobody was started again
    assert _of_this_job(tmp_path, None) is None
    monkeypatch.setattr(launch, "job", lambda: "letters")
    assert _of_this_job(tmp_path, Restarted()) is None


def test_the_process_of_a_run_ends_when_its_pipe_does(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    real, sent = os.read, list[int]()
    monkeypatch.setattr(os, "read", lambda descriptor, size: real(read, size))
    monkeypatch.setattr(signal, "pthread_kill", lambda thread, number: sent.append(number))
    waiting = threading.Thread(target=child._end_with_parent)
    waiting.start()
    time.sleep(0.1)
    assert sent == []
    os.close(write)
    waiting.join(10)
    os.close(read)
    assert sent == [signal.SIGTERM]


def test_a_group_of_one_process_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE", raising=False)
    one = Processes(torch.device("cpu"))
    try:
        assert (one.rank, one.size, one.writes) == (0, 1, True)
        assert one.rows(8) == slice(0, 8)
        assert not one.orphaned
        values = torch.arange(6.0).reshape(1, 6)
        for group in (one, ALONE):
            part = values.clone()
            group.sum(part)
            group.broadcast(part)
            assert torch.equal(part, values)
            assert torch.equal(group.gather(values), values)
            assert group.agree(0.1) == 0.1
            assert group.tell({"a": [1, "é", None]}) == {"a": [1, "é", None]}
            assert (group.any(True), group.any(False)) == (True, False)
            with group.first():
                pass
            with pytest.raises(RequestError, match="taken"), group.first():
                raise RequestError("taken")
    finally:
        one.end()
    stops = pytest.raises(LostProcessError, match="so rank 0 stops too; --resume continues")
    with stops, one._others():
        raise RuntimeError("Connection closed by peer")
