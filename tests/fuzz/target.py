"""What the fuzzer calls: bytes in, nothing out, an exception for every law that is broken.

The laws, for any bytes:

- a model file is read or refused with CheckpointError, quickly, and nothing else happens;
- what is read is what the file says, according to an independent parser;
- what is read can be written and read again, and is the same;
- a file whose checksum does not match is refused, unless its content is unchanged.

The first byte chooses what the others are: a file as it is, a script that changes a whole file and
signs it again (so that the checksum does not shield what is behind it), or a tokenizer's JSON. No
fuzzer is needed to run a case: ``tests/test_fuzz_cases.py`` runs them all.
"""

from __future__ import annotations

import copy
import hashlib
import json
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from charlm import checkpoint
from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig
from charlm.errors import CheckpointError
from charlm.itemfacts import ItemFacts
from charlm.text.tokenizer import (
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    tokenizer_from_dict,
    tokenizer_to_json,
)

T = TypeVar("T")
Header = dict[str, Any]

SECONDS = 1.0
RAW, SCRIPT, TOKENIZER = range(3)
NUMPY = {"F32": "<f4", "I64": "<i8", "U8": "|u1"}


def run_one(data: bytes) -> None:
    """Run one case. CheckpointError is an expected result; any other exception is a bug."""
    mode, rest = (data[0] % 3, data[1:]) if data else (RAW, b"")
    if mode == RAW:
        _check_unsigned(rest)
    elif mode == SCRIPT:
        _check_script(Script(rest))
    else:
        _check_tokenizer(rest)


# ----------------------------------------------------------------------------------------- the laws


def _check_unsigned(data: bytes) -> None:
    """A checksum does not match by chance, so what is read must be one of the known models."""
    found = _read(data)
    if found is not None:
        assert _fingerprint(found) in KNOWN, "a file passed that nobody signed"
        _check_comes_back(found)


def _check_script(script: Script) -> None:
    data, signed = script.run()
    found = _read(data)
    if found is None:
        return
    assert signed or _fingerprint(found) in KNOWN, "a change passed that was not signed"
    _check_says(found, data)
    _check_comes_back(found)


def _check_says(found: Checkpoint, data: bytes) -> None:
    """What was read is what the file contains, read with json and slices alone."""
    header, body = opened(data)
    metadata = header.pop("__metadata__")
    said = {key: json.loads(text) for key, text in metadata.items() if key in _PARTS}
    read = {
        "config": found.config.to_dict(),
        "tokenizer": found.tokenizer.to_dict(),
        "provenance": found.provenance,
        "training": found.training,
        "items": _facts(found),
    }
    said["config"] = _BEFORE | said["config"]  # what an older file leaves out
    assert read == {"training": None, "items": None} | said, (
        "what was read is not what the file says"
    )
    tensors = found.weights | found.extra
    assert set(tensors) == set(header), "a tensor came or went"
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        value = tensors[name]
        assert (value.dtype.str, list(value.shape)) == (NUMPY[entry["dtype"]], entry["shape"])
        assert value.tobytes() == body[begin:end], f"{name} is not what the file holds"
        assert value.dtype != np.float32 or np.isfinite(value).all(), f"{name} is not finite"


def _check_comes_back(found: Checkpoint) -> None:
    again = checkpoint.parse(checkpoint.dump(found))
    assert _fingerprint(again) == _fingerprint(found), "written and read again it is another one"


def _check_tokenizer(data: bytes) -> None:
    try:
        values = json.loads(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return
    if not isinstance(values, dict):
        return
    found = _refused(lambda: tokenizer_from_dict(values))
    if found is None:
        return
    assert found.to_dict() == values, "the tokenizer is not what was read"
    again = tokenizer_from_dict(json.loads(tokenizer_to_json(found)))
    assert again.to_dict() == values, "written and read again it is another one"
    _check_reads_its_own(found)


def _check_reads_its_own(tokenizer: Tokenizer) -> None:
    """Every id decodes to a text, and that text is encoded as that id."""
    ids = np.arange(tokenizer.vocab_size)
    if isinstance(tokenizer, CharTokenizer):
        assert tokenizer.decode(ids).startswith(tokenizer.characters)
        if not tokenizer.nfc:
            assert tokenizer.encode(tokenizer.characters).tolist() == list(
                range(len(tokenizer.characters))
            )


def _read(data: bytes) -> Checkpoint | None:
    """The result of ``parse`` for ``data``, or None if it refuses."""
    return _refused(lambda: checkpoint.parse(data))


def _refused(read: Callable[[], T]) -> T | None:
    """The result of ``read``, or None for CheckpointError; a case is slow if it is slow three
    times."""
    times = []
    for _ in range(3):
        began = time.process_time()
        try:
            found = read()
        except CheckpointError:
            found = None
        times.append(time.process_time() - began)
        if times[-1] < SECONDS:
            return found
    raise AssertionError(f"took {min(times):.1f} s")


def _fingerprint(model: Checkpoint) -> str:
    """Everything that a model contains, as one text."""
    return json.dumps(
        [
            checkpoint.state_sha256(model),
            checkpoint.weights_sha256(model),
            model.config.to_dict(),
            model.tokenizer.to_dict(),
            model.provenance,
            model.training,
            _facts(model),
        ],
        sort_keys=True,
    )


def _facts(model: Checkpoint) -> Any:
    """What the model says about items, as JSON has it."""
    return None if model.items is None else json.loads(json.dumps(model.items.to_dict()))


# ----------------------------------------------------------------------------- models to begin with


def _model(
    tokenizer: Tokenizer, *, resumable: bool, items: ItemFacts | None = None, **shape: Any
) -> Checkpoint:
    options = {"hidden_size": 2, "cell": "gru", "context": 2} | shape
    config = ModelConfig.resolve(vocab_size=tokenizer.vocab_size, **options)
    rng = np.random.default_rng(1)
    weights = {
        name: rng.standard_normal(size).astype(np.float32)
        for name, size in config.parameter_shapes().items()
    }
    provenance = {"corpus": "città", "step": 3, "val_bits_per_char": 2.5, "commonest": "e"}
    if not resumable:
        return Checkpoint(config, tokenizer, weights, provenance, items=items)
    training = {
        "progress": {"step": 3, "best_nats": 0.5},
        "config": {"batch_size": 2},
        "source": {"sources": ["a.txt"], "encoding": None},
        "dtypes": {"state:0": "float32"},
    }
    extra = {
        "optimizer:head.bias/step": np.array(3, np.float32),
        "optimizer:head.bias/exp_avg": np.zeros(len(weights["head.bias"]), np.float32),
    }
    for number, size in enumerate(config.carried_shapes(2)):
        extra[f"state:{number}"] = np.full(size, 0.1, np.float32)
    return Checkpoint(config, tokenizer, weights, provenance, training, extra, items)


def models() -> dict[str, Checkpoint]:
    """One small model of every kind, all different."""
    letters = CharTokenizer("abé", unknown=True, nfc=True)
    return {
        "char": _model(letters, resumable=False),
        "char-resumable": _model(CharTokenizer("\nab😀"), resumable=True, cell="lstm"),
        "byte": _model(ByteTokenizer(), resumable=False, hidden_size=1, cell="rnn"),
        "byte-resumable": _model(ByteTokenizer(), resumable=True, hidden_size=1, cell="rnn"),
        "conv": _model(letters, resumable=False, cell="conv", num_layers=2),
        "window": _model(letters, resumable=True, cell="window", tie=True),
        "labelled": _model(
            CharTokenizer("\nab"),
            resumable=True,
            items=ItemFacts("\n", ("de", "it"), (1, 2)),
            task="items",
            num_labels=2,
        ),
        "classify": _model(
            CharTokenizer("\nab"),
            resumable=True,
            items=ItemFacts("\n", ("è",), (3,)),
            task="classify",
            num_labels=1,
        ),
        "list": _model(
            ByteTokenizer(), resumable=False, items=ItemFacts("\x1e"), task="items", hidden_size=1
        ),
    }


def opened(data: bytes) -> tuple[Header, bytes]:
    """Header and tensors' bytes of a file."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


_PARTS = ("config", "tokenizer", "provenance", "training", "items")
_BEFORE = {
    spec.name: spec.metadata["before"] for spec in fields(ModelConfig) if "before" in spec.metadata
}
_BASES = [opened(checkpoint.dump(model)) for model in models().values()]
KNOWN = {_fingerprint(model) for model in models().values()}


# ------------------------------------------------------------------------------------------ scripts

# JSON to put in place of a value: too large, too deep, of another type, or invalid.
_VALUES = (
    "null",
    "true",
    "false",
    "-1",
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "-0.0",
    "0.5",
    "1.0",
    "1e999",
    "1e-999",
    "255",
    "256",
    "65536",
    "65537",
    "1200000",
    "1000000000",
    "2147483648",
    "4611686018427387904",
    "9223372036854775808",
    "18446744073709551616",
    "NaN",
    "-Infinity",
    "1" * 400,
    "1" * 4301,
    '""',
    '"x"',
    '"a"',
    '"ab"',
    '"ba"',
    '"aa"',
    '"ab\\u00e9"',
    '"\\ud800"',
    '"\\u0000"',
    '"\\ud83d\\ude00"',
    '"char"',
    '"byte"',
    '"lstm"',
    '"gru"',
    '"rnn"',
    '"window"',
    '"conv"',
    '"tanh"',
    '"relu"',
    '"F32"',
    '"I64"',
    '"U8"',
    '"F64"',
    '"BF16"',
    '"charlm/1"',
    "[]",
    "[0]",
    "[1]",
    "[4]",
    "[2, 2]",
    "[1, 2, 2]",
    "[0, 0]",
    "[0, 8]",
    "[0, 4611686018427387904]",
    "{}",
    '{"a": 1}',
    '{"a": 1, "a": 2}',
    "[" * 20 + "]" * 20,
    "[" * 900 + "]" * 900,
    "[" * 2000,
    "",
    "}",
    ",",
    "1 2",
    '"items"',
    '"classify"',
    '"tag"',
    '"rewrite"',
    '"\\n"',
    '["de", "it"]',
    '["it", "de"]',
    "[1, 2, 3]",
)
_NAMES = (
    "",
    "x",
    "kind",
    "characters",
    "unknown",
    "nfc",
    "cell",
    "hidden_size",
    "num_layers",
    "tie",
    "training",
    "provenance",
    "config",
    "tokenizer",
    "format",
    "sha256",
    "head.bias",
    "head.weight",
    "body.embedding.weight",
    "state:0",
    "state:1",
    "state:01",
    "state:٣",
    "state:-1",
    "optimizer:head.bias/step",
    "optimizer:head.bias/exp_avg",
    "optimizer:head.bias/x",
    "optimizer:x/step",
    "optimizer:",
    "\ud800",
    "__metadata__",
    "items",
    "end",
    "labels",
    "counts",
    "task",
    "num_labels",
)


class Script:
    """Bytes as a list of changes to one of the small models; missing bytes are read as zeros."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def run(self) -> tuple[bytes, bool]:
        """(the changed file, whether its checksum was made for it)."""
        header, body = copy.deepcopy(_BASES[self.number(len(_BASES))])
        # safetensors orders metadata at random, and a script must always do the same.
        metadata = dict(sorted(header.pop("__metadata__").items()))
        signs = self.number(8) > 0
        for _ in range(8):
            if self._place >= len(self._data):
                break
            change = self.pick(
                (self._in_metadata, self._of_metadata, self._in_header, self._of_header)
            )
            change(metadata, header)
            body = self._in_body(body)
        if signs:
            metadata["sha256"] = _signature(metadata, header, body) or metadata.get("sha256", "")
        text = _unquoted(json.dumps({"__metadata__": metadata, **header}))
        return struct.pack("<Q", len(text)) + text.encode("ascii", "replace") + body, signs

    # -------------------------------------------------------------------------------- what it reads

    def number(self, below: int) -> int:
        """A number from 0 to ``below`` - 1, from one byte or two."""
        width = 1 if below <= 256 else 2
        taken = self._data[self._place : self._place + width]
        self._place += width
        return int.from_bytes(taken, "little") % below

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.number(len(choices))]

    def text(self) -> str:
        """Up to 255 bytes as a text, with any content."""
        length = self.number(256)
        taken = self._data[self._place : self._place + length]
        self._place += length
        return taken.decode("utf-8", "surrogateescape")

    def value(self) -> str:
        """A piece of JSON, or what claims to be one, quoted so that json.dumps lets it through."""
        choice = self.number(256)
        if choice >= len(_VALUES):
            return self.text()
        return f"\0{choice}\0"

    def name(self) -> str:
        return self.text() if self.number(4) == 0 else self.pick(_NAMES)

    # ------------------------------------------------------------------------------ what it changes

    def _in_metadata(self, metadata: dict[str, str], header: Header) -> None:
        """Something within a piece of JSON in the metadata."""
        key = self.pick(_PARTS)
        try:
            whole = json.loads(metadata[key])
        except (KeyError, ValueError, RecursionError):
            metadata[key] = self.text()
            return
        self._somewhere(whole)
        text = _unquoted(json.dumps(whole))
        if self.number(16) == 1 and text.startswith("{"):
            text = f'{{"{self.pick(_NAMES)}": {_unquoted(json.dumps(self.value()))}, {text[1:]}'
        metadata[key] = text

    def _somewhere(self, whole: Any) -> None:
        """Replace, remove or add a value, some way down."""
        place = whole
        while isinstance(place, dict | list) and place:
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key = self.pick(list(keys))
            if isinstance(place[key], dict | list) and place[key] and self.number(4):
                place = place[key]
                continue
            action = self.number(4)
            if action == 0 and isinstance(place, dict):
                place[self.name()] = self.value()
            elif action == 1:
                del place[key]
            else:
                place[key] = self.value()
            return

    def _of_metadata(self, metadata: dict[str, str], header: Header) -> None:
        """A whole piece of metadata: other text, gone, new, or with something inserted."""
        key = self.pick((*sorted(metadata), self.name()))
        action = self.number(4)
        if action == 0:
            metadata.pop(key, None)
        elif action == 1:
            metadata[key] = self.text()
        else:
            text = metadata.get(key, "")
            place = self.number(len(text) + 1)
            metadata[key] = text[:place] + self.text() + text[place + self.number(4) :]

    def _in_header(self, metadata: dict[str, str], header: Header) -> None:
        """A claim about a tensor."""
        if not header:
            return
        entry = header[self.pick(sorted(header))]
        if not isinstance(entry, dict):
            return
        key = self.pick(("dtype", "shape", "data_offsets"))
        numbers = entry.get(key)
        if isinstance(numbers, list) and numbers and self.number(2):
            place = self.number(len(numbers))
            numbers[place] = self.pick((0, 1, 2, 4, 8, 16, -1, 2**62, 2**64, self.value()))
        else:
            entry[key] = self.value()

    def _of_header(self, metadata: dict[str, str], header: Header) -> None:
        """A tensor that is gone, has another name, comes twice, or changes places."""
        if not header:
            return
        names = sorted(header)
        first, second = self.pick(names), self.pick(names)
        action = self.number(5)
        if action == 0:
            del header[first]
        elif action == 1:
            header[self.name()] = header.pop(first)
        elif action == 2:
            header[self.name()] = copy.deepcopy(header[first])
        elif action == 3:
            header[first], header[second] = header[second], header[first]
        else:
            header[first] = self.value()

    def _in_body(self, body: bytes) -> bytes:
        """Mostly nothing; or a few bytes are others, gone, or new."""
        action = self.number(16)
        if action == 1:
            return body + bytes(self.number(64))
        if action == 2:
            return body[: self.number(len(body) + 1)]
        if action == 3:
            place = 4 * self.number(len(body) // 4 + 1)
            values = (np.nan, np.inf, -np.inf, 0.0, -0.0, 3e38, 1e-45)
            return body[:place] + struct.pack("<f", self.pick(values)) + body[place + 4 :]
        return body


def _unquoted(text: str) -> str:
    """JSON text with the values that ``Script.value`` chose in their places, as they are."""
    pieces = text.split('"\\u0000')
    for number, piece in enumerate(pieces[1:], start=1):
        choice, mark, rest = piece.partition('\\u0000"')
        known = mark and choice.isdecimal() and int(choice) < len(_VALUES)
        pieces[number] = _VALUES[int(choice)] + rest if known else '"\\u0000' + piece
    return "".join(pieces)


def _signature(metadata: dict[str, str], header: Header, body: bytes) -> str | None:
    """The checksum as the format states it; None where the header is too damaged to have one."""
    rest = {key: value for key, value in metadata.items() if key != "sha256"}
    try:
        entries = json.loads(_unquoted(json.dumps(header)))
        text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
        sha = hashlib.sha256(text.encode())
        for name in sorted(entries):
            begin, end = entries[name]["data_offsets"]
            what = [name, NUMPY[entries[name]["dtype"]], entries[name]["shape"]]
            sha.update(json.dumps(what).encode() + body[begin:end])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return sha.hexdigest()
