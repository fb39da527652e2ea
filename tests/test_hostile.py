"""Malicious files are refused in one line, within a second and 200 MB.

Every file here is one that the checksum alone would not stop: it is signed, or it is refused before
the checksum is looked at. Those that are only *used* are read by the real command in a process of
its own, whose memory and time are measured; those that training is *resumed* from are given to the
command in this process, since importing torch takes longer than all the rest.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import io
import itertools
import json
import os
import pickle
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from conftest import covering

from charlm import checkpoint, tensorfile
from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig
from charlm.errors import CheckpointError
from charlm.itemfacts import ItemFacts
from charlm.tensorfile import MAX_HEADER, MAX_ITEMS
from charlm.text.tokenizer import CharTokenizer

Invoke = Callable[..., Result]
Header = dict[str, Any]

SECONDS = 1.0
MEGABYTES = 200
PATIENCE = 30.0
"""Seconds after which a process counts as hanging: many times what a busy machine needs."""

LONG = MAX_HEADER - 10_000
"""Characters of one string in a header that is just not too long."""

ASTRAL = "\U0001f600"
"""One such character makes Python keep four bytes for each of the others."""

NOT_HELD: list[Any] = ["F64", "F16", "BF16", "BOOL", "I32", "F4", "F8_E4M3", "C64", "", None, [], 7]
HELD = {"F32": "<f4", "I64": "<i8", "U8": "|u1", "F64": "<f8", "BOOL": "|b1", "I32": "<i4"}


# --------------------------------------------------------------------------- making a file by hand


def small() -> bytes:
    """A resumable model of two units, as charlm writes it."""
    config = ModelConfig.resolve(vocab_size=4, hidden_size=2, cell="gru")
    rng = np.random.default_rng(1)
    weights = {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in config.parameter_shapes().items()
    }
    extra = {
        "optimizer:head.bias/step": np.array(3, np.float32),
        "optimizer:head.bias/exp_avg": np.full(4, 0.1, np.float32),
        "state:0": np.full((1, 2, 2), 0.1, np.float32),
    }
    provenance = {"corpus": "città", "step": 3, "val_bits_per_char": None}
    tokenizer = CharTokenizer("abé", unknown=True, nfc=True)
    training = {"progress": {"step": 3}, "config": {"batch_size": 2}}
    return checkpoint.dump(Checkpoint(config, tokenizer, weights, provenance, training, extra))


SMALL = small()


def opened(data: bytes) -> tuple[Header, bytes]:
    """Header and tensors' bytes of a file."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def ascii_json(value: Any) -> str:
    """JSON with as few escapes as ASCII allows: U+007F itself, which json would escape."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"[^\0-\x7f]+", lambda found: json.dumps(found.group())[1:-1], text)


def packed(header: Header | str | bytes, body: bytes = b"") -> bytes:
    """A file of this header, which may be any text at all."""
    if isinstance(header, dict):
        header = ascii_json(header)
    data = header.encode("ascii") if isinstance(header, str) else header
    return struct.pack("<Q", len(data)) + data + body


def sign(header: Header, body: bytes) -> Header:
    """``header`` with the checksum that the format states, for types that it does not know too."""
    metadata = header["__metadata__"]
    metadata.pop("sha256", None)
    sha = hashlib.sha256(json.dumps(metadata, sort_keys=True, separators=(",", ":")).encode())
    for name in sorted(set(header) - {"__metadata__"}):
        entry = header[name]
        begin, end = entry["data_offsets"]
        dtype = HELD.get(entry["dtype"], entry["dtype"])
        sha.update(json.dumps([name, dtype, entry["shape"]]).encode() + body[begin:end])
    metadata["sha256"] = sha.hexdigest()
    return header


def signed(change: Callable[[Header], object] = lambda header: None, body: bytes = b"") -> bytes:
    """The small model after ``change``, ``body`` behind its tensors, and a checksum that fits."""
    header, rest = opened(SMALL)
    change(header)
    return packed(sign(header, rest + body), rest + body)


def with_metadata(**metadata: str) -> bytes:
    return signed(lambda header: header["__metadata__"].update(metadata))


def with_fields(key: str, **fields: Any) -> bytes:
    """The small model with other fields in one of its pieces of JSON."""
    before = json.loads(opened(SMALL)[0]["__metadata__"][key])
    return with_metadata(**{key: json.dumps(before | fields)})


def with_entry(name: str, **fields: Any) -> bytes:
    """The small model with another claim about one of its tensors; not signed where the claim
    leads outside the file."""
    header, body = opened(SMALL)
    header.setdefault(name, {}).update(fields)
    return packed(header, body)


def with_vocabulary(characters: Any, **fields: Any) -> bytes:
    kind = {"kind": "char", "unknown": True, "nfc": True, "characters": characters} | fields
    return with_metadata(tokenizer=ascii_json(kind))


def empty_tensors(names: Iterator[str]) -> bytes:
    """The small model and these tensors of no elements, each of them consistent in itself."""

    def add(header: Header) -> None:
        end = max(header[name]["data_offsets"][1] for name in header if name != "__metadata__")
        entry = {"dtype": "U8", "shape": [0], "data_offsets": [end, end]}
        header.update(dict.fromkeys(names, entry))

    return signed(add)


def with_weights(*values: float) -> bytes:
    """The small model with these numbers in turn for every weight and every state."""
    header, body = opened(SMALL)
    data = bytearray(body)
    turn = itertools.cycle(values)
    for name in sorted(set(header) - {"__metadata__"}):
        if header[name]["dtype"] == "F32":
            for place in range(*places(name), 4):
                data[place : place + 4] = struct.pack("<f", next(turn))
    return packed(sign(header, bytes(data)), bytes(data))


def moved(padding: int = 64, **places: Callable[[int, int], tuple[int, int]]) -> bytes:
    """The small model with the bytes of some tensors elsewhere; signed."""

    def move(header: Header) -> None:
        for name, place in places.items():
            entry = header[name.replace("__", ".")]
            entry["data_offsets"] = list(place(*entry["data_offsets"]))

    return signed(move, bytes(padding))


def deep_in(key: str, depth: int, *, within: bool = False) -> bytes:
    lists = nested(depth)
    return with_metadata(**{key: f'{{"a": {lists}}}' if within else lists})


def full_of_names(key: str) -> bytes:
    """Not signed: that would take longer than all the rest."""
    text = "{" + ",".join(f'"{n}":1' for n in names(MAX_ITEMS - 200)) + "}"
    return with_metadata(**{key: text}).replace(b'"sha256": "', b'"sha256": "0')


def nested(depth: int, opening: str = "[", closing: str = "]", inside: str = "") -> str:
    return opening * depth + inside + closing * depth


def many(item: str, count: int) -> str:
    return "[" + ",".join([item] * count) + "]"


def names(count: int) -> Iterator[str]:
    return (f"{number:x}" for number in range(count))


def renamed(text: str, key: str) -> str:
    """JSON of an object in which ``key`` occurs a second time, with another value."""
    return f'{{"{key}": 7, {text[1:]}'


def same_name_twice() -> bytes:
    header, body = opened(SMALL)
    return packed(renamed(ascii_json(header), "head.bias"), body)


def same_name_twice_in(key: str, name: str) -> bytes:
    return with_metadata(**{key: renamed(opened(SMALL)[0]["__metadata__"][key], name)})


def same_key_in_metadata() -> bytes:
    header, body = opened(SMALL)
    text = ascii_json(header)
    return packed(text.replace('"format":', '"format": "charlm/1", "format":', 1), body)


class Bomb:
    """Unpickled, it makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


def torch_file(path: Path) -> bytes:
    file = io.BytesIO()
    torch.save({"weights": torch.zeros(3), "bomb": Bomb(path)}, file)
    return file.getvalue()


# -------------------------------------------------------------------- reading it in its own process


def serve() -> None:
    """The other side of ``Reader``: for every line of JSON on stdin fork, run charlm, report.

    It runs in a small process started for it. On Linux a started process counts its parent's memory
    as its own peak, and pytest with torch is large; a forked one counts what it has itself.
    """
    import importlib
    import json
    import os
    import sys
    import time
    import traceback

    from charlm import checkpoint, cli

    for module in (
        "cli.eval",
        "cli.info",
        "cli.sample",
        "cli.terminal",
        "text.dataset",
        "runs",
    ):
        importlib.import_module(f"charlm.{module}")  # before the fork, once for all

    def run(ask: dict[str, object]) -> int:
        for number, name in ((1, "stdout"), (2, "stderr")):
            path = f"{ask['out']}/{name}"
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        took: list[float] = []
        real = checkpoint.read

        def timed(path: object) -> object:
            # Processor time: what other processes take is none of the reader's. Waiting shows as
            # a process that does not end.
            began = time.process_time()
            try:
                return real(path)  # type: ignore[arg-type]
            finally:
                took.append(time.process_time() - began)

        checkpoint.read = timed  # type: ignore[assignment]
        times = os.open(f"{ask['out']}/seconds", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        if ask["unprivileged"] and os.geteuid() == 0:
            os.setegid(65534)
            os.seteuid(65534)
        code = 0
        try:
            if ask["megabytes"]:
                b"\1" * (int(str(ask["megabytes"])) * 2**20)
            else:
                cli.main(ask["arguments"], prog_name="charlm")
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            traceback.print_exc()
            code = 70
        os.write(times, json.dumps(took).encode())
        sys.stdout.flush()
        sys.stderr.flush()
        return code

    for line in sys.stdin:
        ask = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(run(ask))
        deadline = time.monotonic() + ask["patience"]
        done = 0
        while not done:
            done, status, usage = os.wait4(child, os.WNOHANG)
            if not done and time.monotonic() > deadline:
                os.kill(child, 9)
                deadline += 1e9
            time.sleep(0.002)
        unit = 2**20 if sys.platform == "darwin" else 2**10
        reply = {"code": os.waitstatus_to_exitcode(status), "megabytes": usage.ru_maxrss / unit}
        print(json.dumps(reply), flush=True)


@dataclass(frozen=True)
class Outcome:
    """How one run of the command ended; ``code`` is -9 if it had to be killed."""

    code: int
    stdout: str
    stderr: str
    megabytes: float
    seconds: float  # of checkpoint.read, in all


class Reader:
    """Runs ``charlm`` as often as asked, each time in a fresh process that is measured."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        code = "from __future__ import annotations\n" + inspect.getsource(serve) + "\nserve()\n"
        paths = os.pathsep.join([str(Path(checkpoint.__file__).parents[1]), *sys.path])
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": paths, "PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    def __call__(
        self,
        *arguments: object,
        megabytes: int = 0,
        unprivileged: bool = False,
        patience: float = PATIENCE,
    ) -> Outcome:
        """Run the command with these arguments, or allocate this many megabytes instead."""
        assert self.process.stdin is not None and self.process.stdout is not None
        ask = {
            "arguments": [str(argument) for argument in arguments],
            "out": str(self.directory),
            "megabytes": megabytes,
            "unprivileged": unprivileged,
            "patience": patience,
        }
        self.process.stdin.write(json.dumps(ask) + "\n")
        self.process.stdin.flush()
        reply = json.loads(self.process.stdout.readline())
        out, err, times = (
            (self.directory / name).read_bytes().decode(errors="replace")
            if (self.directory / name).exists()
            else ""
            for name in ("stdout", "stderr", "seconds")
        )
        return Outcome(reply["code"], out, err, reply["megabytes"], sum(json.loads(times or "[]")))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    if not hasattr(os, "fork"):
        pytest.skip("the reader forks")
    reader = Reader(tmp_path_factory.mktemp("reader"))
    yield reader
    assert reader.process.stdin is not None and reader.process.stdout is not None
    reader.process.stdin.close()
    reader.process.wait()
    reader.process.stdout.close()


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where a file may be made that is not kept with the other traces of the tests: some are
    large."""
    path = tmp_path / "model.safetensors"
    yield path
    path.unlink(missing_ok=True)


def assert_one_line(stderr: str) -> None:
    """An error as the command promises it: one line, nothing that a terminal would act upon, and
    foreseen."""
    assert stderr.startswith("error: ") and stderr.endswith("\n")
    harmful = {"Cc", "Cs", "Zl", "Zp"}
    assert not [c for c in stderr[:-1] if unicodedata.category(c) in harmful]
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", stderr)
    assert len(stderr) < 5000
    assert "a fault in charlm" not in stderr and "not enough memory" not in stderr


def assert_refused(reader: Reader, *arguments: object, code: int = 1) -> Outcome:
    """One line and a code, in little memory and little time; the best time of three counts."""
    outcome = reader(*arguments)
    for _ in range(2):
        if outcome.seconds < SECONDS:
            break
        outcome = min(outcome, reader(*arguments), key=lambda each: each.seconds)
    assert outcome.code == code, (outcome.code, outcome.stderr[-500:])
    assert outcome.stdout == ""
    assert_one_line(outcome.stderr)
    assert outcome.megabytes < MEGABYTES
    assert outcome.seconds < SECONDS
    return outcome


# ------------------------------------------------------------------------- the measure is a measure


def test_an_ordinary_model_passes(reader: Reader, path: Path) -> None:
    path.write_bytes(signed())
    outcome = reader("info", path)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert "GRU 1x2" in outcome.stdout
    assert outcome.megabytes < MEGABYTES and 0 < outcome.seconds < SECONDS


def test_so_does_a_vocabulary_of_half_a_million_characters(reader: Reader, path: Path) -> None:
    """The bounds are no narrower than what people may need."""
    large = ordinary("".join(map(chr, range(0x10000, 0x10000 + 500_000))))
    path.write_bytes(large)
    outcome = reader("info", path)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert "500000 symbols" in outcome.stdout


def test_a_vocabulary_that_could_not_be_read_again_is_not_written() -> None:
    with pytest.raises(CheckpointError, match="more than a model file can hold"):
        ordinary("".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)])))


def ordinary(characters: str) -> bytes:
    """A model of one unit with this vocabulary, as charlm writes it."""
    config = ModelConfig.resolve(vocab_size=len(characters), hidden_size=1, cell="rnn")
    shapes = config.parameter_shapes().items()
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes}
    return checkpoint.dump(Checkpoint(config, CharTokenizer(characters), weights))


def test_the_meter_sees_memory_that_is_taken(reader: Reader) -> None:
    assert reader(megabytes=300).megabytes > 300
    assert reader(megabytes=1).megabytes < 100  # and forgets it: every process has its own peak


def test_a_process_that_waits_for_ever_is_seen(reader: Reader, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    outcome = reader("sample", "--prompt-file", tmp_path / "pipe", patience=0.5)
    assert outcome.code == -9


def test_an_error_of_two_lines_is_seen() -> None:
    for stderr in ("", "error: a\nb\n", "error: a\x1b[2J\n", "error: a fault in charlm (x)\n"):
        with pytest.raises(AssertionError):
            assert_one_line(stderr)


def test_what_is_signed_here_is_signed_as_charlm_does_it() -> None:
    checkpoint.parse(signed())
    assert json.loads(ascii_json({"é\x7f": ASTRAL})) == {"é\x7f": ASTRAL}


def test_the_process_of_its_own_is_the_command_itself(path: Path) -> None:
    """Once without any harness: the command as it is typed."""
    path.write_bytes(struct.pack("<Q", 10**8))
    os.truncate(path, 10**8 + 8)
    done = subprocess.run(
        [sys.executable, "-m", "charlm", "info", path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert_one_line(done.stderr)
    assert "its header has 100,000,000 bytes" in done.stderr


# ------------------------------------------------------------------------------- one file, one read

FORMED: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "seven bytes": lambda: b"\0" * 7,
    "an empty header": lambda: struct.pack("<Q", 0),
    "a header of 2^63 bytes": lambda: struct.pack("<Q", 2**63) + b"{}",
    "a header of 2^64 - 1 bytes": lambda: b"\xff" * 8 + b"{}",
    "a header that is cut off": lambda: SMALL[:100],
    "text": lambda: b"Nel mezzo del cammin di nostra vita\n" * 99,
    # --- 16 MB of header
    "a header full of lists": lambda: packed(many("[]", LONG // 3)),
    "a header with as many lists as allowed": lambda: packed(
        '{"a":' + many("[]", MAX_ITEMS // 2 - 9) + "}"
    ),
    "a header full of objects": lambda: packed('{"a":' + many("{}", MAX_ITEMS // 2 - 9) + "}"),
    "a header full of objects with a name each": lambda: packed(
        '{"a":[' + ",".join(f'{{"{n}":1.5}}' for n in names(MAX_ITEMS // 2 - 9)) + "]}"
    ),
    "a header full of names": lambda: packed(
        "{" + ",".join(f'"{ascii_json(ASTRAL)[1:-1]}{n}":1.5' for n in names(MAX_ITEMS - 9)) + "}"
    ),
    "a header full of the shortest names": lambda: packed(
        "{" + ",".join(f'"{n}":1' for n in names(LONG // 12)) + "}"
    ),
    "a header full of numbers of 4300 digits": lambda: packed(
        '{"a":' + many("9" * 4300, LONG // 4301) + "}"
    ),
    "a header full of spaces": lambda: packed(" " * LONG + "{}"),
    "a header of one long string": lambda: packed(ascii_json({"a": "x" * (LONG - 20) + ASTRAL})),
    "a string without end": lambda: packed('{"a": "' + "x" * LONG),
    "a string of escapes": lambda: packed('{"a": "' + "\\u0041" * (LONG // 6) + '"}'),
    "an integer of 16 million digits": lambda: packed('{"a": ' + "9" * LONG + "}"),
    "a fraction of 16 million digits": lambda: packed('{"a": 0.' + "3" * LONG + "}"),
    "a fraction just above the middle of two floats": lambda: packed(
        '{"a": 9007199254740993.' + "0" * (LONG - 99) + "1}"
    ),
    "a power of 16 million digits": lambda: packed('{"a": 1e' + "9" * LONG + "}"),
    "a power that undoes 16 million digits": lambda: packed(
        '{"a": 1' + "0" * (LONG - 99) + f"e-{LONG - 99}}}"
    ),
    "a type of 16 MB": lambda: packed(
        ascii_json({"a": {"dtype": ASTRAL + "\x7f" * LONG, "shape": [], "data_offsets": [0, 0]}})
    ),
    "a tensor with a name of 16 MB": lambda: empty_tensors(iter([ASTRAL + "\x7f" * (LONG - 999)])),
    "a format of 16 MB": lambda: with_metadata(format=ASTRAL + "\x7f" * (LONG - 9999)),
    "a checksum of 16 MB": lambda: packed(
        ascii_json(
            {
                "__metadata__": opened(SMALL)[0]["__metadata__"]
                | {"sha256": ASTRAL + "\x7f" * (LONG - 9999)}
            }
            | {k: v for k, v in opened(SMALL)[0].items() if k != "__metadata__"}
        ),
        opened(SMALL)[1],
    ),
    "a cell of 16 MB": lambda: with_metadata(
        config=ascii_json(config() | {"cell": ASTRAL + "\x7f" * (LONG - 9999)})
    ),
    "a field with a name of 16 MB": lambda: with_metadata(
        config=ascii_json(config() | {ASTRAL + "\x7f" * (LONG - 9999): 1})
    ),
    "a size of 16 million digits": lambda: with_metadata(
        config=json.dumps(config()).replace('"hidden_size": 2', '"hidden_size": ' + "2" * LONG)
    ),
    "a provenance of 16 MB, unsigned": lambda: with_metadata(
        provenance=ascii_json({"a": ASTRAL + "x" * (LONG - 9999)})
    ).replace(b'"sha256": "', b'"sha256": "0'),
    "metadata of 16 MB that nobody asked for": lambda: with_metadata(
        surplus=ASTRAL + "\x7f" * (LONG - 9999)
    ).replace(b'"sha256": "', b'"sha256": "0'),
    # --- nested
    "lists 100,000 deep": lambda: packed(nested(100_000)),
    "objects 100,000 deep": lambda: packed(nested(100_000, '{"a":', "}", "1")),
    "lists 100,000 deep that do not end": lambda: packed("[" * 100_000),
    # --- JSON that is none, or not charlm's
    "a list for a header": lambda: packed("[]"),
    "NaN in the header": lambda: packed('{"a": NaN}'),
    "no ASCII in the header": lambda: packed('{"é": 1}'.encode()),
    "a tensor twice": same_name_twice,
    "metadata twice": same_key_in_metadata,
    "a field of the configuration twice": lambda: same_name_twice_in("config", "hidden_size"),
    "a field of the tokenizer twice": lambda: same_name_twice_in("tokenizer", "kind"),
    "a field of the provenance twice": lambda: same_name_twice_in("provenance", "step"),
    "metadata that is a number": lambda: packed('{"__metadata__": 7}'),
    "metadata that holds a number": lambda: packed('{"__metadata__": {"format": 7}}'),
    "another format": lambda: with_metadata(format="charlm/2"),
    # --- shapes
    "a shape of 2^62": lambda: with_entry("head.bias", shape=[2**62]),
    "a shape of 2^62 with places": lambda: with_entry(
        "head.bias", shape=[2**62], data_offsets=[0, 2**64]
    ),
    "a shape whose product is 2^64": lambda: with_entry("head.bias", shape=[2**32, 2**32]),
    "a shape whose product is 16 modulo 2^64": lambda: with_entry(
        "head.bias", shape=[2**62 + 4], data_offsets=opened(SMALL)[0]["head.bias"]["data_offsets"]
    ),
    "a negative shape": lambda: with_entry("head.bias", shape=[-4]),
    "two negative numbers in a shape": lambda: with_entry("head.bias", shape=[-2, -2]),
    "a shape of nothing times 2^62": lambda: with_entry(
        "state:1", dtype="F32", shape=[0, 2**62, 2**62], data_offsets=[0, 0]
    ),
    "a shape of nothing times 10^4000": lambda: signed(
        lambda h: h.update(
            {"state:1": {"dtype": "F32", "shape": [0, 10**4000], "data_offsets": [0, 0]}}
        )
    ),
    "a shape of a hundred numbers": lambda: with_entry("head.bias", shape=[1] * 99 + [4]),
    "a shape of 200,000 numbers": lambda: with_entry("head.bias", shape=[1] * 200_000 + [4]),
    "a shape that is no list": lambda: with_entry("head.bias", shape="4"),
    "a shape with a fraction": lambda: with_entry("head.bias", shape=[4.0]),
    "a place before the beginning": lambda: with_entry("head.bias", data_offsets=[-16, 0]),
    "a place behind the end": lambda: with_entry("head.bias", data_offsets=[10**9, 10**9 + 16]),
    "places that are turned round": lambda: with_entry("head.bias", data_offsets=[16, 0]),
    # --- the places of tensors
    "two tensors on the same bytes": lambda: moved(
        body__layers__0__bias_hh_l0=lambda a, b: places("body.layers.0.bias_ih_l0")
    ),
    "tensors that overlap": lambda: moved(head__bias=lambda a, b: (a - 4, b - 4)),
    "a tensor that takes four bytes of its neighbour": lambda: moved(
        padding=0,
        body__layers__0__bias_hh_l0=lambda a, b: (a, b + 4),
        body__layers__0__bias_ih_l0=lambda a, b: (a + 4, b),
    ),
    "a hole between tensors": lambda: moved(head__bias=lambda a, b: (end() + 16, end() + 32)),
    "bytes behind the last tensor": lambda: signed(body=bytes(16)),
    # --- tensors that do not belong to the model
    "10^4 surplus tensors": lambda: empty_tensors(f"x{n}" for n in names(10_000)),
    "as many surplus tensors as there may be values": lambda: empty_tensors(
        f"x{n}" for n in names(MAX_ITEMS // 8)
    ),
    "as many surplus slots as there may be values": lambda: empty_tensors(
        f"optimizer:head.bias/{n}" for n in names(MAX_ITEMS // 8)
    ),
    "surplus slots of a parameter that there is not": lambda: empty_tensors(
        f"optimizer:{n}/step" for n in names(10)
    ),
    "surplus states, numbered in every script": lambda: empty_tensors(
        f"state:{''.join(digits)}" for digits in itertools.product("٠١٢३४५६๗๘๙", repeat=4)
    ),
    "a state numbered in another script": lambda: empty_tensors(iter(["state:١"])),
    "a tensor too few": lambda: signed(lambda h: h.pop("head.bias")),
    "no tensor at all": lambda: packed(
        sign({"__metadata__": opened(SMALL)[0]["__metadata__"]}, b"")
    ),
    "a tensor without a name": lambda: empty_tensors(iter([""])),
    "tensors of training in a model to be used": lambda: signed(
        lambda h: h["__metadata__"].pop("training")
    ),
    **{
        f"weights of type {dtype}": partial(with_entry, "head.bias", dtype=dtype)
        for dtype in NOT_HELD
    },
    "weights in integers": lambda: signed(lambda h: h["head.bias"].update(dtype="U8", shape=[16])),
    "weights in long integers": lambda: signed(
        lambda h: h["head.bias"].update(dtype="I64", shape=[2])
    ),
    **{
        f"weights that are {value}": partial(with_weights, value)
        for value in (float("nan"), float("inf"), -float("inf"))
    },
    # --- the configuration
    "10^9 units": lambda: with_fields("config", hidden_size=10**9),
    "10^9 symbols": lambda: with_fields("config", vocab_size=10**9),
    "10^4 layers": lambda: with_fields("config", num_layers=10_000),
    "a million symbols": lambda: with_fields("config", vocab_size=1_200_000),
    "65,536 units in 256 layers": lambda: with_fields(
        "config", hidden_size=65_536, embedding_size=65_536, num_layers=256
    ),
    "layers that double 255 times": lambda: with_fields("config", cell="conv", num_layers=256),
    "a size of 1e999": lambda: with_metadata(
        config=json.dumps(config()).replace('"hidden_size": 2', '"hidden_size": 1e999')
    ),
    "a dropout of 1e999": lambda: with_metadata(
        config=json.dumps(config()).replace('"dropout": 0.0', '"dropout": 1e999')
    ),
    "a dropout of NaN": lambda: with_fields("config", dropout=float("nan")),
    # --- the vocabulary
    "a lone surrogate": lambda: with_vocabulary("ab\ud800"),
    "a character twice": lambda: with_vocabulary("abb"),
    "an unsorted vocabulary": lambda: with_vocabulary("bac"),
    "an empty vocabulary": lambda: with_vocabulary(""),
    "two million characters": lambda: with_vocabulary("a" * 2_000_000),
    "sixteen million characters": lambda: with_vocabulary(ASTRAL + "x" * (LONG - 9999)),
    "a vocabulary that is a list": lambda: with_vocabulary(["a", "b", "é"]),
    "a vocabulary that is a number": lambda: with_vocabulary(3),
    "an unknown symbol that is a number": lambda: with_vocabulary("abé", unknown=1),
    "an unknown kind of tokenizer": lambda: with_vocabulary("abé", kind="word"),
    "a kind of tokenizer that is a list": lambda: with_vocabulary("abé", kind=["char"]),
    "a vocabulary and bytes": lambda: with_vocabulary("abé", kind="byte"),
    # --- the provenance
    "a provenance of NaN": lambda: with_fields("provenance", val_bits_per_char=float("nan")),
    "a provenance of Infinity": lambda: with_fields("provenance", val_bits_per_char=float("inf")),
    "a provenance of 1e999": lambda: with_metadata(provenance='{"val_bits_per_char": 1e999}'),
    "a provenance that is a list": lambda: with_metadata(provenance="[]"),
    "a training that is a list": lambda: with_metadata(training="[]"),
}
for key in ("config", "tokenizer", "provenance", "training"):
    FORMED |= {
        f"lists 100,000 deep in {key}": partial(deep_in, key, 100_000),
        f"lists 100,000 deep within {key}": partial(deep_in, key, 100_000, within=True),
        f"lists 900 deep within {key}": partial(deep_in, key, 900, within=True),
        f"names that fill {key}": partial(full_of_names, key),
    }


def config() -> dict[str, Any]:
    return dict(json.loads(opened(SMALL)[0]["__metadata__"]["config"]))


def places(name: str) -> tuple[int, int]:
    begin, end = opened(SMALL)[0][name]["data_offsets"]
    return begin, end


def end() -> int:
    return len(opened(SMALL)[1])


SLOW = {
    "a field with a name of 16 MB",
    "a checksum of 16 MB",
    "a tensor with a name of 16 MB",
    "a header of one long string",
    "a header full of spaces",
    "sixteen million characters",
    "a fraction just above the middle of two floats",
    "a power that undoes 16 million digits",
    "metadata of 16 MB that nobody asked for",
}
"""Large files, each of which has a sister in the everyday tests."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in FORMED],
)
def test_a_hostile_file_is_refused_in_a_second_and_in_little_memory(
    reader: Reader, path: Path, name: str
) -> None:
    path.write_bytes(FORMED[name]())
    assert_refused(reader, "info", path)


# ------------------------------------------------------------------------------- facts about items


def a_list(task: str = "items", facts: Any = None, **fields: Any) -> bytes:
    """A model of a list with two labels, signed; ``facts`` instead of its own about items."""
    labels = ("de", "it")
    shape = {"task": task, "num_labels": 2, "hidden_size": 2, "cell": "gru"} | fields
    config = ModelConfig.resolve(vocab_size=4, **shape)
    weights = {name: np.ones(s, np.float32) for name, s in config.parameter_shapes().items()}
    model = Checkpoint(
        config, CharTokenizer("\nabc"), weights, {}, items=ItemFacts("\n", labels, (1, 2))
    )
    header, body = opened(checkpoint.dump(model))
    if facts is not None:
        header["__metadata__"]["items"] = facts if isinstance(facts, str) else ascii_json(facts)
    return packed(sign(header, body), body)


GOOD = {"end": "\n", "labels": ["de", "it"], "counts": [1, 2]}
LISTS: dict[str, Any] = {
    "empty": "",
    "null": "null",
    "a list": "[]",
    "cut off": ascii_json(GOOD)[:-3],
    "a key more": GOOD | {"more": 1},
    "a key less": {"end": "\n", "labels": ["de", "it"]},
    "too few labels": GOOD | {"labels": ["de"], "counts": [3]},
    "too many labels": GOOD | {"labels": ["de", "en", "it"], "counts": [1, 1, 1]},
    "a label twice": GOOD | {"labels": ["de", "de"]},
    "labels in disorder": GOOD | {"labels": ["it", "de"]},
    "a label of a million characters": GOOD | {"labels": ["de", "x" * 10**6]},
    "half a character": GOOD | {"labels": ["de", "\ud800"]},
    "more labels than memory for them": '{"end": "\\n", "labels": '
    + many('"a"', 10**6)
    + ', "counts": [1]}',
    "a negative count": GOOD | {"counts": [4, -1]},
    "a label without an item": GOOD | {"counts": [4, 0]},
    "a count that is no number": GOOD | {"counts": [1, float("nan")]},
    "a count of 400 digits": GOOD | {"counts": [1, 10**400]},
    "an end of two characters": GOOD | {"end": "\n\n"},
    "an end that the vocabulary lacks": GOOD | {"end": ";"},
    "no end": GOOD | {"end": ""},
    "a key twice": renamed(ascii_json(GOOD), "end"),
}


@pytest.mark.parametrize("name", LISTS)
def test_hostile_facts_about_items_are_refused(reader: Reader, path: Path, name: str) -> None:
    path.write_bytes(a_list(facts=LISTS[name]))
    assert_refused(reader, "info", path)


@pytest.mark.parametrize("task", ["items", "classify", "tag"])
def test_facts_and_task_belong_together(reader: Reader, path: Path, task: str) -> None:
    checkpoint.parse(a_list(task, GOOD))
    header, body = opened(a_list(task))
    del header["__metadata__"]["items"]
    path.write_bytes(packed(sign(header, body), body))
    assert f"a model for {task} lacks facts" in assert_refused(reader, "info", path).stderr
    path.write_bytes(with_metadata(items=ascii_json({"end": "a", "labels": [], "counts": []})))
    assert "a model for text has facts" in assert_refused(reader, "info", path).stderr


def test_labels_cannot_steer_a_terminal(path: Path, charlm: Invoke) -> None:
    """They are results, so a pipe gets them as they are; an error has them escaped."""
    facts = GOOD | {"labels": ["\x1b[2J\rerror: a", "\x1b]0;x\x07\u202e"]}
    path.write_bytes(a_list(facts=facts))
    assert_one_line(charlm("sample", path, "--label", "fr").stderr)
    result = charlm("classify", path, "--json", input="ab\n")
    assert result.exit_code == 0 and "\x1b" not in result.stdout


CLAIMS = [
    "a shape of 2^62",
    "a shape of 2^62 with places",
    "a shape whose product is 2^64",
    "a shape whose product is 16 modulo 2^64",
    "a negative shape",
    "two negative numbers in a shape",
    "a shape of nothing times 2^62",
    "a shape of nothing times 10^4000",
    "a shape of a hundred numbers",
    "a shape of 200,000 numbers",
    "a shape that is no list",
    "a shape with a fraction",
    "a place before the beginning",
    "a place behind the end",
    "places that are turned round",
    "two tensors on the same bytes",
    "tensors that overlap",
    "a hole between tensors",
    "a tensor that takes four bytes of its neighbour",
    "bytes behind the last tensor",
    "10^4 surplus tensors",
    "a tensor too few",
    "no tensor at all",
    "10^9 units",
    "10^9 symbols",
    "10^4 layers",
    "a lone surrogate",
    "weights of type F64",
    "weights in integers",
    "tensors of training in a model to be used",
]
"""What a header gives away, without a look at the tensors."""


@pytest.mark.parametrize("name", CLAIMS)
def test_a_header_that_gives_itself_away_is_refused_before_a_tensor_is_read(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def load_tensors(data: bytes) -> None:
        raise AssertionError("the tensors were read")

    monkeypatch.setattr(tensorfile, "load_tensors", load_tensors)
    with pytest.raises(CheckpointError):
        checkpoint.parse(FORMED[name]())
    with pytest.raises(AssertionError, match="the tensors were read"):
        checkpoint.parse(SMALL)


def sparse(path: Path, data: bytes, size: int) -> None:
    """A file that begins with ``data`` and claims to be large, without taking up the place."""
    path.write_bytes(data)
    os.truncate(path, size)


def large(name: str, dtype: str, shape: list[int]) -> bytes:
    """The small model with one more tensor of a gigabyte behind the others, or the last of them
    grown to one. Its checksum is none: for that the gigabyte would have to be read."""

    def add(header: Header) -> None:
        begin = header[name]["data_offsets"][0] if name in header else end()
        assert not any(entry.get("data_offsets", [0])[0] > begin for entry in header.values())
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + 10**9]}

    header, body = opened(SMALL)
    add(header)
    return packed(header, body)


def claimed(file: bytes) -> int:
    """The size that a file's own header makes it have."""
    header, _ = opened(file)
    ends = [int(e["data_offsets"][1]) for name, e in header.items() if name[0] != "_"]
    (length,) = struct.unpack("<Q", file[:8])
    return 8 + int(length) + max(ends)


def far_away(name: str) -> bytes:
    """The small model with the bytes of one tensor at the end of a gigabyte."""
    header, body = opened(SMALL)
    begin, _ = header[name]["data_offsets"]
    length = places(name)[1] - begin
    header[name]["data_offsets"] = [end() + 10**9 - length, end() + 10**9]
    return packed(header, body)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        pytest.param(lambda: struct.pack("<Q", 10**8), 10**8 + 8, id="a header of 100 MB"),
        pytest.param(lambda: struct.pack("<Q", 10**8) + b"{" + b" " * 99, 10**8 + 8, id="of JSON"),
        pytest.param(lambda: struct.pack("<Q", MAX_HEADER), 10**9, id="a header of zeros"),
        pytest.param(signed, 10**9, id="a gigabyte behind the last tensor"),
        pytest.param(lambda: far_away("state:0"), 0, id="a gigabyte between two tensors"),
        pytest.param(lambda: large("x", "U8", [10**9]), 0, id="a surplus tensor of a gigabyte"),
        pytest.param(
            lambda: large("optimizer:head.bias/momentum_buffer", "U8", [10**9]),
            0,
            id="a slot of a gigabyte",
        ),
        pytest.param(
            lambda: large("state:0", "F32", [1, 25 * 10**7]), 0, id="a state of a gigabyte"
        ),
        pytest.param(
            lambda: large("state:1", "F32", [1, 25 * 10**7]), 0, id="one more state of a gigabyte"
        ),
    ],
)
def test_a_file_that_claims_a_gigabyte_is_refused_unread(
    reader: Reader, path: Path, data: Callable[[], bytes], size: int
) -> None:
    file = data()
    sparse(path, file, size or claimed(file))
    assert_refused(reader, "info", path)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *covering(
            [("info", "--json"), ("sample",), ("eval",)],
            ["as many surplus slots as there may be values", "10^9 units", "weights that are nan"],
        ),
        pytest.param(("sample",), "a header full of names", marks=pytest.mark.slow),
        pytest.param(("eval",), "a format of 16 MB", marks=pytest.mark.slow),
    ],
)
def test_so_it_is_by_every_command_that_uses_a_model(
    reader: Reader, path: Path, tmp_path: Path, command: tuple[str, ...], name: str
) -> None:
    path.write_bytes(FORMED[name]())
    text = tmp_path / "text.txt"
    text.write_text("abba", encoding="utf-8")
    also = [text] if command == ("eval",) else []
    assert_refused(reader, *command, path, *also)


def test_a_provenance_of_16_megabytes_is_printed_or_refused_in_little_memory(
    reader: Reader, path: Path
) -> None:
    """It is signed and harmless; but what it says about itself is no reason to take memory."""
    path.write_bytes(with_metadata(provenance=ascii_json({"a": ASTRAL + "x" * (LONG - 9999)})))
    for more in ([], ["--json"]):
        outcome = reader("info", *more, path)
        assert outcome.code in (0, 1)
        assert outcome.megabytes < MEGABYTES
        if outcome.code:
            assert_one_line(outcome.stderr)


@pytest.mark.parametrize("depth", [40, 400, 800, 950, 990])
def test_deep_provenance_is_printed_or_refused_but_never_a_fault(
    reader: Reader, path: Path, depth: int
) -> None:
    path.write_bytes(with_metadata(provenance='{"corpus": ' + nested(depth) + "}"))
    for more in ([], ["--json"]):
        outcome = reader("info", *more, path)
        if outcome.code:
            assert outcome.code == 1
            assert_one_line(outcome.stderr)


@pytest.mark.parametrize(
    "value", ["\x1b[2J\x1b]0;owned\x07", "\u202edlrow", "a\rb\x9b31m", "\ud800"]
)
def test_what_a_file_says_about_itself_cannot_steer_a_terminal(
    reader: Reader, path: Path, value: str
) -> None:
    path.write_bytes(
        with_fields("provenance", corpus=value, **{value: [value], "commonest": value})
    )
    outcome = reader("info", path)
    assert (outcome.code, outcome.stderr) == (0, "")
    lines = outcome.stdout.splitlines()
    assert len(lines) == outcome.stdout.count("\n")
    assert not [c for c in "".join(lines) if unicodedata.category(c) == "Cc"]
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", outcome.stdout)


def test_what_a_file_says_about_itself_cannot_forge_a_line(reader: Reader, path: Path) -> None:
    path.write_bytes(with_fields("provenance", corpus="x\nweights     sha256 0", **{"a\nfile": 1}))
    lines = reader("info", path).stdout.splitlines()
    assert len([line for line in lines if line.startswith(("weights", "file"))]) == 2


@pytest.mark.parametrize(
    "values", [(3.4e38,), (-3.4e38,), (1e-45,), (3.4e38, -3.4e38), (3e38, -1, 0)]
)
def test_weights_at_the_edge_of_float32_end_in_text_or_in_one_line(
    reader: Reader, path: Path, tmp_path: Path, values: tuple[float, ...]
) -> None:
    """They are finite, so they may be in a file; their products are not."""
    path.write_bytes(with_weights(*values))
    text = tmp_path / "text.txt"
    text.write_text("abba" * 99, encoding="utf-8")
    for arguments in (
        ("sample", path, "--length", 20),
        ("sample", path, "--temperature", 0),
        ("sample", path, "--top-p", 0.5, "--top-k", 2),
        ("eval", path, text, "--no-ladder"),
    ):
        outcome = reader(*arguments)
        if outcome.code:
            assert outcome.code == 1
            assert_one_line(outcome.stderr)
        else:
            assert outcome.stderr == "" and "nan" not in outcome.stdout


# --------------------------------------------------------------------------------- never a pickle


@pytest.mark.parametrize("command", ["info", "sample"])
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(torch_file, id="torch.save"),
        pytest.param(lambda trace: pickle.dumps(Bomb(trace)), id="protocol 4"),
        pytest.param(lambda trace: pickle.dumps(Bomb(trace), protocol=0), id="protocol 0"),
        pytest.param(
            lambda trace: with_metadata(
                training=json.dumps(
                    {
                        "progress": pickle.dumps(Bomb(trace), 0).decode(),
                        "config": {"batch_size": 2},
                    }
                )
            ).replace(b'"sha256": "', b'"sha256": "0'),
            id="in metadata",
        ),
        *(
            pytest.param(
                lambda trace, key=key: with_metadata(
                    **{key: pickle.dumps(Bomb(trace), 0).decode("ascii")}
                ),
                id=f"instead of the {key}",
            )
            for key in ("config", "tokenizer", "provenance", "training")
        ),
    ],
)
def test_no_pickle_is_ever_opened(
    reader: Reader, path: Path, command: str, make: Callable[[Path], bytes]
) -> None:
    trace = path.with_name("trace")
    path.write_bytes(make(trace))
    assert_refused(reader, command, path)
    assert not trace.exists()


def test_the_bomb_would_go_off(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "trace")))
    assert (tmp_path / "trace").exists()


# ------------------------------------------------------------------------------ names of no file


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    run.mkdir()
    return run


SPECIAL: dict[str, Callable[[Path], object]] = {
    "directory": lambda path: path.mkdir(),
    "fifo": lambda path: os.mkfifo(path),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "link to a directory": lambda path: path.symlink_to("/"),
}


@pytest.mark.parametrize(("kind", "command"), covering(SPECIAL, ["info", "sample", "eval"]))
def test_a_run_whose_model_is_no_file_is_refused_at_once(
    reader: Reader, run_directory: Path, kind: str, command: str
) -> None:
    """An archive from a stranger may contain a pipe: charlm must neither wait for it nor read
    it."""
    SPECIAL[kind](run_directory / "best.safetensors")
    assert_refused(reader, command, run_directory)


@pytest.mark.parametrize("kind", [*SPECIAL, "loop", "nothing"])
def test_a_name_of_no_file_is_a_wrong_request(reader: Reader, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model"
    others = {"loop": lambda path: path.symlink_to(path), "nothing": lambda path: None}
    (SPECIAL | others)[kind](path)
    if kind == "link to a directory" and os.path.exists("/best.safetensors"):
        pytest.skip("this machine's root directory is a run")
    assert_refused(reader, "info", path, code=2)


def test_a_loop_of_links_in_a_run_is_refused(reader: Reader, run_directory: Path) -> None:
    (run_directory / "best.safetensors").symlink_to("last.safetensors")
    (run_directory / "last.safetensors").symlink_to("best.safetensors")
    assert_refused(reader, "info", run_directory, code=2)
    (run_directory / "previous.safetensors").write_bytes(b"")
    assert_refused(reader, "info", run_directory)


def test_a_file_without_permission_is_refused(reader: Reader) -> None:
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        path = Path(directory) / "model.safetensors"
        path.write_bytes(signed())
        os.chmod(path, 0)
        outcome = reader("info", path, unprivileged=True)
        assert outcome.code == 1 and "Permission denied" in outcome.stderr
        assert_one_line(outcome.stderr)


HARMFUL_NAMES = [
    "a\nerror: b",
    "\x1b[31m\x1b]0;x\x07",
    "\u202egnp.",
    "a\rb",
    "\x9b2J",
    "\x7f",
    "é" * 120,
]


@pytest.mark.parametrize(("name", "command"), covering(HARMFUL_NAMES, ["info", "sample", "eval"]))
def test_a_name_cannot_make_the_error_longer_than_a_line(
    reader: Reader, tmp_path: Path, name: str, command: str
) -> None:
    (tmp_path / name).write_bytes(SMALL[:-1])
    assert_refused(reader, command, tmp_path / name)
    run = tmp_path / "runs" / name
    run.mkdir(parents=True)
    (run / "best.safetensors").write_bytes(SMALL[:-1])
    assert_refused(reader, command, run)
    assert_refused(reader, command, tmp_path / name / "more", code=2)


def test_a_name_that_is_not_utf_8_is_one_line_too(reader: Reader, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xfe.safetensors")
    (tmp_path / name).write_bytes(b"")
    assert_refused(reader, "info", tmp_path / name)


# ------------------------------------------------------------------------------------ to be resumed


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, charlm: Invoke, corpus: Path) -> Path:
    """The directory of a run that is half done; tests copy it."""
    out = tmp_path_factory.mktemp("stopped")
    done = charlm(
        "train",
        corpus,
        "--out",
        out,
        "--name",
        "run",
        "--hidden-size",
        4,
        "--steps",
        4,
        "--stop-at",
        2,
        "--batch-size",
        4,
        "--seq-len",
        8,
        "--precision",
        "float32",
        "--device",
        "cpu",
    )
    assert done.exit_code == 0, done.output
    (out / "run" / "previous.safetensors").unlink()  # which resuming would fall back on
    return out / "run"


@dataclass
class Stored:
    """A resumable file, taken apart to be changed."""

    header: Header
    body: bytes
    training: dict[str, Any]
    provenance: dict[str, Any]

    @classmethod
    def of(cls, path: Path) -> Stored:
        header, body = opened(path.read_bytes())
        metadata = header["__metadata__"]
        return cls(
            header, body, json.loads(metadata["training"]), json.loads(metadata["provenance"])
        )

    def data(self) -> bytes:
        header = copy.deepcopy(self.header)
        for key in ("training", "provenance"):
            # json.dumps writes an infinite float as a name, which is refused for that alone.
            text = json.dumps(getattr(self, key)).replace("Infinity", "1e999")
            header["__metadata__"][key] = text
        return packed(sign(header, self.body), self.body)

    def set(self, path: str, value: Any) -> Stored:
        """``training`` at a path with slashes becomes ``value``; a value of DELETE removes it."""
        *way, last = path.split("/", 1) if path.startswith("dtypes/") else path.split("/")
        place = self.training
        for key in way:
            place = place[key]
        if value is DELETE:
            del place[last]
        else:
            place[last] = value
        return self

    def replace(self, name: str, dtype: str, shape: list[int], data: bytes) -> Stored:
        """A tensor becomes another one; the others keep their bytes, behind it."""
        entries = {k: v for k, v in self.header.items() if k not in ("__metadata__", name)}
        body = bytearray(data)
        header = {"__metadata__": self.header["__metadata__"]}
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [0, len(data)]}
        for other, entry in entries.items():
            begin, end = entry["data_offsets"]
            place = [len(body), len(body) + end - begin]
            header[other] = entry | {"data_offsets": place}
            body += self.body[begin:end]
        self.header, self.body = header, bytes(body)
        return self

    def remove(self, name: str) -> Stored:
        self.replace(name, "U8", [0], b"")
        del self.header[name]
        return self


DELETE = object()
SLOT = "optimizer:head.bias/exp_avg"
MOMENTUM = "optimizer:body.layers.0.weight_hh_l0/momentum_buffer"
HUGE = 10**400
Change = Callable[[Stored], object]


def sets(path: str, value: Any) -> Change:
    return lambda stored: stored.set(path, value)


LEG: dict[str, Any] = {"steps": 1, "learning_rate": 0.1, "seconds": 1.0}
VALUES: dict[str, list[Any]] = {
    "config": [DELETE, None, [], "x", 7, {}],
    "source": [DELETE, None, [], "x", 7, {}, ["sources"], [["sources", ["a"]]]],
    "progress": [DELETE, None, [], "x", 7, {}],
    "dtypes": [DELETE, None, [], "x", 7, {}],
    "progress/step": [DELETE, None, "2", [2], True, 2.0, -1, -2, HUGE, 2**63, 1e999, 0],
    "progress/loss_sum": [DELETE, None, "x", True, -5, 1e999, HUGE, [0.0]],
    "progress/loss_count": [DELETE, None, "x", 1.5, -5, HUGE],
    "progress/best_nats": [DELETE, "x", [], True, -5, 1e999, {}],
    "progress/best_step": [DELETE, None, "x", 1.5, -5, HUGE],
    "progress/evaluated_at": [DELETE, None, "x", 1.5, -2, HUGE],
    "progress/evaluations_without_best": [DELETE, None, "x", 1.5, -5, HUGE],
    "progress/seconds": [DELETE, None, "x", True, -5, 1e999],
    "progress/legs": [None, 7, "x", {}, [None], [[]], [{"steps": 1}], [LEG | {"steps": HUGE}]],
    f"dtypes/{SLOT}": [
        DELETE,
        None,
        [],
        7,
        "x",
        "float16",
        "Tensor",
        "load",
        "hub",
        "__name__",
        "os",
        "int64",
        "uint8",
        "bfloat16",
    ],
    f"dtypes/{MOMENTUM}": ["int64", "uint8"],
    "dtypes/optimizer:head.bias/step": ["uint8", "int64"],
    "dtypes/state:0": [DELETE, "complex64", "int64", "uint8", "bfloat16"],
    "config/batch_size": [DELETE, None, 0, -1, "4", 4.0, True, 65_537, HUGE, [4]],
    "config/seq_len": [None, 0, 1_000_001],
    "config/learning_rate": [None, 0.0, -1.0, 1e999, HUGE, "x"],
    "config/steps": [None, 0, -1, 10**13, HUGE],
    "config/optimizer": [DELETE, None, "sgd", "adamw", "rmsprop", "eval", ["muon"]],
    "config/schedule": [None, "x"],
    "config/precision": [None, "auto", "float64"],
    "config/seed": [None, -1, 2**63, 1.0],
    "config/eval_every": [None, 0, -1, 1.0],
    "config/save_every": [None, 0],
    "config/clip": [None, -1.0, 1e999],
    "config/surplus": [1],
    "source/sources": [
        DELETE,
        None,
        [],
        [""],
        [None],
        [7],
        [["a"]],
        ["/dev/zero"],
        ["a\0b"],
        ["\ud800"],
        ["/nowhere/\x1b[2J\nx"],
        "",
        {},
        ["x" * 5000],
        ["[" * 500],
        ["**" * 50],
        ["-"],
    ],
    "source/val_sources": [None, [""], [7], ["/dev/zero"], ["a\0b"], "", 7],
    "source/newline": [None, "x", [], 7],
    "source/val_fraction": [None, 7, -0.1, 1.0, "0.1", 1e999, HUGE, [], 0.5],
    "source/encoding": [
        7,
        [],
        "x",
        "a\0b",
        "\ud800",
        "rot13",
        "zlib",
        "hex",
        "undefined",
        "../../x",
        "",
        "x" * 100_000,
        "idna",
        "utf-16",
        "a\nb",
    ],
    "source/surplus": [1],
}
CHANGES: dict[str, Change] = {
    f"{path} {'missing' if value is DELETE else f'{value!r:.20}'}": sets(path, value)
    for path, values in VALUES.items()
    for value in values
}

CHANGES |= {
    "a slot missing": lambda stored: stored.remove(SLOT),
    "a slot surplus": lambda stored: stored.replace(
        "optimizer:head.bias/more", "F32", [4], bytes(16)
    ).set("dtypes/optimizer:head.bias/more", "float32"),
    "every slot missing": lambda stored: [
        stored.remove(name) for name in list(stored.header) if name.startswith("optimizer:")
    ],
    "a slot of another shape": lambda stored: stored.replace(SLOT, "F32", [1], bytes(4)),
    "a slot of no shape": lambda stored: stored.replace(SLOT, "F32", [], bytes(4)),
    "a slot of no elements": lambda stored: stored.replace(SLOT, "F32", [0, 2**40], b""),
    "a state missing": lambda stored: stored.remove("state:0"),
    "a state surplus": lambda stored: stored.replace("state:7", "F32", [1], bytes(4)).set(
        "dtypes/state:7", "float32"
    ),
    "a state of another shape": lambda stored: stored.replace("state:0", "F32", [1], bytes(4)),
    "a state for another batch": lambda stored: stored.replace(
        "state:0", "F32", [1, 5, 4], bytes(80)
    ),
    "65,536 streams of a million": lambda stored: stored.set("config/batch_size", 65_536).set(
        "config/seq_len", 1_000_000
    ),
    "a million characters a window": lambda stored: stored.set("config/seq_len", 1_000_000),
    "65,536 streams": lambda stored: stored.set("config/batch_size", 65_536),
    "8 streams": lambda stored: stored.set("config/batch_size", 8),
    "another text": lambda stored: stored.provenance.update(corpus_sha256="0" * 64),
    "no text": lambda stored: stored.provenance.pop("corpus_sha256"),
    "a text with a long name": lambda stored: stored.provenance.update(
        corpus_sha256="\x1b[2J\n" * 10_000
    ),
    "a text that is a list": lambda stored: stored.provenance.update(train_characters=[[]]),
    "no provenance": lambda stored: stored.provenance.clear(),
    "no training": lambda stored: stored.training.clear(),
}


@pytest.fixture
def bounded() -> Iterator[None]:
    """20 seconds and two gigabytes more than there are now; more is an exception."""

    def late(number: int, frame: FrameType | None) -> None:
        raise RuntimeError("it hangs")

    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 20)
    resource.setrlimit(resource.RLIMIT_AS, (now + 2**31, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


needs_limits = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="limits of memory are set as Linux has them"
)


def resume(charlm: Invoke, run: Path) -> Result:
    return charlm("train", "--resume", run, "--device", "cpu")


@needs_limits
@pytest.mark.usefixtures("bounded")
def test_an_ordinary_run_is_resumed(charlm: Invoke, stopped: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    last = run / "last.safetensors"
    last.write_bytes(Stored.of(last).data())
    done = resume(charlm, run)
    assert done.exit_code == 0, done.output
    assert checkpoint.read(last).provenance["step"] == 4


@needs_limits
@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("name", CHANGES)
def test_a_hostile_state_is_refused_and_left_as_it_was(
    charlm: Invoke, stopped: Path, tmp_path: Path, name: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    last = run / "last.safetensors"
    stored = Stored.of(last)
    CHANGES[name](stored)
    last.write_bytes(stored.data())
    before = last.read_bytes()
    done = resume(charlm, run)
    assert done.exit_code in (1, 2), done.output
    assert_one_line(done.stderr)
    assert last.read_bytes() == before


HARMFUL = "\x1b[2J\x1b]0;x\x07\rerror: a\nerror: b\u202e"


def assert_harmless(output: str) -> None:
    """There may be several lines of messages, but the content of a file must not add any."""
    assert not [c for c in output if unicodedata.category(c) == "Cc" and c != "\n"]
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", output)
    assert "\nerror: b" not in output and len(output) < 20_000


@needs_limits
@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    ("value", "key"),
    covering(
        [HARMFUL, [HARMFUL], {HARMFUL: HARMFUL}, "x" * 10**6],
        ["device", "threads", "instructions", "torch"],
    ),
)
def test_what_a_state_says_about_its_machine_cannot_steer_a_terminal(
    charlm: Invoke, stopped: Path, tmp_path: Path, key: str, value: Any
) -> None:
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    stored = Stored.of(run / "last.safetensors")
    (stored.provenance if key == "torch" else stored.training)[key] = value
    (run / "last.safetensors").write_bytes(stored.data())
    done = resume(charlm, run)
    assert done.exit_code == 0, done.output
    assert "not bit-exact" in done.stderr
    assert_harmless(done.output)


def test_neither_can_the_state_that_is_not_taken(
    charlm: Invoke, stopped: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    (run / "last.safetensors").rename(run / "previous.safetensors")
    (run / "last.safetensors").write_bytes(with_fields("config", **{HARMFUL: 1}))
    done = resume(charlm, run)
    assert done.exit_code == 0, done.output
    assert "continuing from" in done.stderr
    assert_harmless(done.output)


@needs_limits
@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    ("name", "key"),
    covering(
        [f"/nowhere/{HARMFUL}", "/dev/zero", "a\0b", "\ud800", "x" * 10**6, "-"],
        ["source/sources", "source/val_sources"],
    ),
)
def test_eval_goes_on_without_a_text_that_cannot_be_had(
    charlm: Invoke, stopped: Path, corpus: Path, tmp_path: Path, key: str, name: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    stored = Stored.of(run / "last.safetensors")
    stored.set(key, [name])
    (run / "last.safetensors").write_bytes(stored.data())
    done = charlm("eval", run, corpus)
    assert done.exit_code == 0, done.output
    assert "no ladder" in done.stderr
    assert_harmless(done.output)
    without = charlm("eval", run)
    assert without.exit_code == 2
    assert_harmless(without.output)


BESIDE = ("stdin.txt", "log.jsonl", "previous.safetensors", ".last.safetensors.x.tmp")


@needs_limits
@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    ("kind", "file"), covering(["fifo", "device", "directory", "loop"], BESIDE)
)
def test_what_lies_beside_the_model_in_a_run_is_not_waited_for(
    charlm: Invoke, stopped: Path, corpus: Path, tmp_path: Path, file: str, kind: str
) -> None:
    """A pipe has no writer, a device no end. Neither is opened; training goes on or says why."""
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    (run / file).unlink(missing_ok=True)
    (SPECIAL | {"loop": lambda path: path.symlink_to(path)})[kind](run / file)
    done = charlm("eval", run, corpus)
    assert done.exit_code in (0, 1), done.output
    done = resume(charlm, run)
    if done.exit_code:
        assert done.exit_code in (1, 2)
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert "a fault in charlm" not in errors[0]


@needs_limits
@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("kind", ["fifo", "device", "directory"])
def test_a_run_whose_state_is_no_file_is_refused(
    charlm: Invoke, stopped: Path, tmp_path: Path, kind: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    (run / "last.safetensors").unlink()
    SPECIAL[kind](run / "last.safetensors")
    done = resume(charlm, run)
    assert done.exit_code == 1
    assert_one_line(done.stderr)
    done = charlm("train", "--init-from", run / "last.safetensors", run / "log.jsonl")
    assert done.exit_code in (1, 2)
    assert_one_line(done.stderr)
