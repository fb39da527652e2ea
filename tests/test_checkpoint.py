"""A model file is read as it was written; any other file is an error."""

from __future__ import annotations

import copy
import errno
import hashlib
import io
import json
import os
import pickle
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from charlm import checkpoint, tensorfile
from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig
from charlm.errors import CheckpointError
from charlm.tensorfile import Tensors
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer

TOKENIZER = CharTokenizer("abé", unknown=True, nfc=True)
DTYPES = {"F32": "<f4", "I64": "<i8", "U8": "|u1"}


def weights_of(config: ModelConfig) -> Tensors:
    rng = np.random.default_rng(1)
    return {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in config.parameter_shapes().items()
    }


def small(**shape: Any) -> Checkpoint:
    config = ModelConfig.resolve(**({"vocab_size": 4, "hidden_size": 2, "cell": "gru"} | shape))
    return Checkpoint(
        config,
        TOKENIZER,
        weights_of(config),
        provenance={"corpus": "città", "step": 3, "val_bits_per_char": None},
        training={"progress": {"step": 3}, "config": {"batch_size": 2}},
        extra={
            "optimizer:head.bias/step": np.array(3, np.int64),
            "optimizer:head.bias/exp_avg": np.arange(4, dtype=np.uint8),
            **{
                f"state:{number}": np.full(size, 0.1, np.float32)
                for number, size in enumerate(config.state_shapes(2))
            },
        },
    )


SMALL = checkpoint.dump(small())

laws = settings(max_examples=100, deadline=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def same(a: Checkpoint, b: Checkpoint) -> bool:
    left, right = a.weights | a.extra, b.weights | b.extra
    return (
        (a.config, a.provenance, a.training) == (b.config, b.provenance, b.training)
        and a.tokenizer.to_dict() == b.tokenizer.to_dict()
        and (set(a.weights), set(a.extra)) == (set(b.weights), set(b.extra))
        and all(
            (left[name].dtype, left[name].shape) == (right[name].dtype, right[name].shape)
            and left[name].tobytes() == right[name].tobytes()
            for name in left
        )
    )


def opened(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and tensors' bytes, read by hand."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def closed(header: Any, body: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def signature(header: dict[str, Any], body: bytes) -> str:
    """The checksum as the format defines it, computed independently of the code."""
    metadata = {k: v for k, v in header["__metadata__"].items() if k != "sha256"}
    text = json.dumps(metadata, sort_keys=True, separators=(",", ":"))
    sha = hashlib.sha256(text.encode())
    for name in sorted(set(header) - {"__metadata__"}):
        entry = header[name]
        begin, end = entry["data_offsets"]
        sha.update(json.dumps([name, DTYPES[entry["dtype"]], entry["shape"]]).encode())
        sha.update(body[begin:end])
    return sha.hexdigest()


def signed(**metadata: str) -> bytes:
    """The file with other metadata and a matching checksum."""
    header, body = opened(SMALL)
    header["__metadata__"] |= metadata
    header["__metadata__"]["sha256"] = signature(header, body)
    return closed(header, body)


# ---------------------------------------------------------------------------- there and back

SHAPES = st.fixed_dictionaries(
    {
        "cell": st.sampled_from(["lstm", "gru", "rnn", "window", "conv"]),
        "hidden_size": st.integers(1, 5),
        "num_layers": st.integers(1, 3),
        "tie": st.booleans(),
    }
)


@laws
@given(SHAPES)
def test_what_is_written_is_read(shape: dict[str, Any]) -> None:
    assert same(checkpoint.parse(checkpoint.dump(small(**shape))), small(**shape))


def test_a_model_that_only_serves_to_be_used_holds_no_training() -> None:
    before = Checkpoint(small().config, TOKENIZER, small().weights)
    after = checkpoint.parse(checkpoint.dump(before))
    assert after.training is None and after.extra == {} and same(after, before)


def test_arrays_in_any_memory_order_are_stored_by_value(path: Path) -> None:
    before = small()
    turned = {name: np.asfortranarray(value) for name, value in before.weights.items()}
    checkpoint.write(path, Checkpoint(before.config, TOKENIZER, turned))
    for name, value in checkpoint.read(path).weights.items():
        np.testing.assert_array_equal(value, before.weights[name])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nothing_that_is_not_finite_is_ever_written(path: Path, value: float) -> None:
    before = small()
    for spoilt in ("head.bias", "state:0"):
        tensors = copy.deepcopy(before.weights | before.extra)
        tensors[spoilt].flat[0] = value
        with pytest.raises(CheckpointError, match=f"tensor {spoilt} .* not finite"):
            replace(
                before,
                weights={name: tensors[name] for name in before.weights},
                extra={name: tensors[name] for name in before.extra},
            )
    with pytest.raises(ValueError, match="not JSON compliant"):
        checkpoint.dump(replace(before, provenance={"val_bits_per_char": value}))


def test_each_save_keeps_the_one_before(path: Path) -> None:
    previous = path.with_name("previous.safetensors")
    for hidden_size in (1, 2, 3):
        checkpoint.write(path, small(hidden_size=hidden_size), keep_as=previous)
    assert checkpoint.read(path).config.hidden_size == 3
    assert checkpoint.read(previous).config.hidden_size == 2


def test_a_full_disk_is_an_error_and_the_old_file_stays(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.write(path, small())

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"cannot be written \(No space left on device\)"):
        checkpoint.write(path, small(hidden_size=3))
    assert same(checkpoint.read(path), small())


# -------------------------------------------------------------------------------- the format


def test_the_file_is_safetensors_with_json_strings_as_metadata() -> None:
    header, _ = opened(SMALL)
    metadata = header.pop("__metadata__")
    assert set(metadata) == {"format", "config", "tokenizer", "provenance", "training", "sha256"}
    assert metadata["format"] == "charlm/1"
    assert json.loads(metadata["config"]) == small().config.to_dict()
    assert json.loads(metadata["tokenizer"])["characters"] == "abé"
    assert json.loads(metadata["provenance"])["corpus"] == "città"
    assert json.loads(metadata["training"]) == small().training
    assert {entry["dtype"] for entry in header.values()} == {"F32", "I64", "U8"}


def test_the_checksum_is_the_one_that_the_format_states() -> None:
    header, body = opened(SMALL)
    assert header["__metadata__"]["sha256"] == signature(header, body)


def test_the_checksum_does_not_depend_on_the_order_of_anything() -> None:
    header, body = opened(SMALL)
    turned = dict(reversed(header.items()))
    turned["__metadata__"] = dict(reversed(header["__metadata__"].items()))
    assert signature(turned, body) == header["__metadata__"]["sha256"]
    metadata = {key: value for key, value in header["__metadata__"].items() if key != "sha256"}
    before = small()
    tensors = before.weights | before.extra
    assert (
        tensorfile.digest(metadata, tensors)
        == tensorfile.digest(dict(reversed(metadata.items())), dict(reversed(tensors.items())))
        == header["__metadata__"]["sha256"]
    )


def test_the_weights_have_a_checksum_of_their_own() -> None:
    before = small()
    again = Checkpoint(before.config, TOKENIZER, before.weights, {"corpus": "another"})
    assert checkpoint.weights_sha256(again) == checkpoint.weights_sha256(before)
    again.weights["head.bias"][0] += 1
    assert checkpoint.weights_sha256(again) != checkpoint.weights_sha256(small())


# -------------------------------------------------------------------------------- any change


def test_no_changed_bit_passes() -> None:
    for bit in range(8 * len(SMALL)):
        data = bytearray(SMALL)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CheckpointError):
            checkpoint.parse(bytes(data))


def test_no_file_that_was_cut_off_passes() -> None:
    for length in range(len(SMALL)):
        with pytest.raises(CheckpointError):
            checkpoint.parse(SMALL[:length])


@laws
@given(st.data())
def test_no_cut_no_copy_and_no_insertion_passes(data: Any) -> None:
    place = data.draw(st.integers(0, len(SMALL)))
    other = data.draw(st.integers(0, len(SMALL)))
    inserted = data.draw(st.binary(max_size=8))
    changed = SMALL[:place] + inserted + SMALL[other:]
    assume(changed != SMALL)
    try:
        after = checkpoint.parse(changed)
    except CheckpointError:
        return
    assert same(after, small())  # white space in the header means nothing


@laws
@given(st.binary() | st.binary().map(lambda rest: struct.pack("<Q", len(rest)) + rest))
def test_nonsense_is_refused(data: bytes) -> None:
    with pytest.raises(CheckpointError):
        checkpoint.parse(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@laws
@given(JSON, st.sampled_from(["dtype", "shape", "data_offsets", None]))
def test_a_header_that_claims_nonsense_is_refused(value: Any, key: str | None) -> None:
    header, body = opened(SMALL)
    if key is None:
        header["head.bias"] = value
    else:
        header["head.bias"][key] = value
    assume(header != opened(SMALL)[0])
    with pytest.raises(CheckpointError):
        checkpoint.parse(closed(header, body))


@pytest.mark.parametrize(
    "header", [b"[]", b"7", b"null", b'"x"', b"{", b"[" * 200_000, b"\xff", b'{"a": 1}', b""]
)
def test_a_header_that_is_no_header_is_refused(header: bytes) -> None:
    with pytest.raises(CheckpointError):
        checkpoint.parse(closed(header, b""))


def test_a_tensor_larger_than_the_file_is_refused_before_it_is_allocated() -> None:
    header, body = opened(SMALL)
    header["head.bias"] |= {"shape": [2**40], "data_offsets": [0, 2**42]}
    with pytest.raises(CheckpointError, match="a tensor is larger than the file"):
        checkpoint.parse(closed(header, body))


def rename(header: dict[str, Any], a: str, b: str) -> None:
    header[a], header[b] = header[b], header[a]


@pytest.mark.parametrize(
    "change",
    [
        lambda h: rename(h, "body.layers.0.bias_ih_l0", "body.layers.0.bias_hh_l0"),
        lambda h: h.update(
            {"optimizer:head.bias/exp_avg_sq": h.pop("optimizer:head.bias/exp_avg")}
        ),
        lambda h: h["__metadata__"].update(provenance="{}"),
        lambda h: h["__metadata__"].update(training='{"config": {"batch_size": 2}}'),
        lambda h: h["__metadata__"].update(surplus=""),
        lambda h: h["__metadata__"].pop("sha256"),
        lambda h: h["__metadata__"].update(sha256="0" * 64),
    ],
)
def test_a_change_that_is_well_formed_breaks_the_checksum(change: Any) -> None:
    header, body = opened(SMALL)
    change(header)
    with pytest.raises(CheckpointError, match="the checksum does not match"):
        checkpoint.parse(closed(header, body))


# ------------------------------------------------------------- signed, but not what it should be


def test_a_file_signed_by_hand_is_read() -> None:
    assert same(checkpoint.parse(signed()), small())


@pytest.mark.parametrize("value", ["charlm/2", "", '"charlm/1"'])
def test_another_format_is_refused(value: str) -> None:
    with pytest.raises(CheckpointError, match="not a charlm model"):
        checkpoint.parse(signed(format=value))


def test_a_safetensors_file_of_somebody_else_is_refused() -> None:
    header, body = opened(SMALL)
    del header["__metadata__"]
    with pytest.raises(CheckpointError, match="not a charlm model"):
        checkpoint.parse(closed(header, body))


@pytest.mark.parametrize("key", ["config", "tokenizer", "provenance"])
@pytest.mark.parametrize("value", ["", "{", "null", "[]", "7", '"x"', "[" * 100_000, "9" * 5000])
def test_metadata_that_is_no_object_is_refused(key: str, value: str) -> None:
    with pytest.raises(CheckpointError, match="damaged metadata"):
        checkpoint.parse(signed(**{key: value}))


def altered(**fields: Any) -> str:
    return json.dumps(small().config.to_dict() | fields)


@pytest.mark.parametrize(
    "config",
    [
        altered(surplus=1),
        altered(cell="transformer"),
        altered(cell=["gru"]),
        altered(hidden_size=3),
        altered(hidden_size=True),
        altered(hidden_size=2.0),
        altered(hidden_size=10**30),
        altered(hidden_size=-1),
        altered(vocab_size=5),
        altered(num_layers=2),
        altered(cell="lstm"),
        altered(tie=True),
        altered(dropout=float("nan")),
        altered(dropout=1.0),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(config: str) -> None:
    with pytest.raises(CheckpointError):
        checkpoint.parse(signed(config=config))


def test_a_tokenizer_of_another_size_is_refused() -> None:
    with pytest.raises(CheckpointError, match="the model has 4 symbols, but its tokenizer has 256"):
        checkpoint.parse(signed(tokenizer='{"kind": "byte"}'))
    with pytest.raises(CheckpointError, match="its tokenizer has 256"):
        Checkpoint(small().config, ByteTokenizer(), small().weights)


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w.pop("head.bias"),
        lambda w: w.update({"head.scale": np.ones(2, np.float32)}),
        lambda w: w.update({"head.bias": np.zeros(5, np.float32)}),
        lambda w: w.update({"head.bias": np.zeros((4, 1), np.float32)}),
        lambda w: w.update({"head.bias": np.zeros(4, np.float64)}),
        lambda w: w["head.bias"].fill(np.nan),
        lambda w: w["head.bias"].__setitem__(0, np.inf),
    ],
)
def test_weights_that_are_not_those_of_the_configuration_are_refused(change: Any) -> None:
    weights = copy.deepcopy(small().weights)
    change(weights)
    with pytest.raises(CheckpointError, match="tensor"):
        Checkpoint(small().config, TOKENIZER, weights)


# ---------------------------------------------------------------------------------- other files


class Bomb:
    def __reduce__(self) -> Any:
        return (os.mkdir, (os.environ["CHARLM_TEST_BOMB"],))


def test_a_pickle_is_refused_and_never_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = path.with_name("trace")
    monkeypatch.setenv("CHARLM_TEST_BOMB", str(trace))
    with pytest.raises(CheckpointError):
        checkpoint.parse(pickle.dumps(Bomb()))
    assert not trace.exists()


def test_other_formats_are_refused() -> None:
    archive = io.BytesIO()
    np.savez(archive, small().weights["head.bias"])
    for data in (archive.getvalue(), b"", b"plain text, longer than eight bytes"):
        with pytest.raises(CheckpointError, match="not a safetensors file"):
            checkpoint.parse(data)


def test_a_header_is_read_without_the_tensors(path: Path) -> None:
    path.write_bytes(SMALL)
    whole = checkpoint.read(path)
    path.write_bytes(SMALL[:-1] + bytes([SMALL[-1] ^ 1]))  # a bit of the last tensor
    header = checkpoint.read_header(path)
    assert (header.config, header.provenance) == (whole.config, whole.provenance)
    assert header.training == whole.training == small().training
    assert header.tokenizer.to_dict() == whole.tokenizer.to_dict()
    with pytest.raises(CheckpointError, match="checksum"):
        checkpoint.read(path)


@pytest.mark.parametrize(
    "data",
    [
        SMALL[:-1],
        struct.pack("<Q", tensorfile.MAX_HEADER + 1) + bytes(tensorfile.MAX_HEADER + 1),
        signed(format="charlm/2"),
        signed(provenance="[]"),
        signed(config=altered(hidden_size=3)),
        signed(training="7"),
    ],
)
def test_a_header_alone_is_read_with_the_same_suspicion(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    for read in (checkpoint.read, checkpoint.read_header):
        with pytest.raises(CheckpointError) as error:
            read(path)
        assert str(error.value).count(str(path)) == 1


def test_a_file_that_is_not_there_and_a_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere: no such file; name a run or a model file"):
        checkpoint.read(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="is not a file; name a run"):
        checkpoint.read(tmp_path)


# ------------------------------------------------------------------- shapes that nobody could train


@pytest.mark.parametrize("field", ["num_layers", "embedding_size"])
def test_an_open_field_is_refused(field: str) -> None:
    with pytest.raises(CheckpointError):
        checkpoint.parse(signed(config=altered(**{field: None})))


@pytest.mark.parametrize(
    "shape",
    [
        {"tie": True, "embedding_size": 3},
        {"cell": "conv", "num_layers": 40, "kernel_size": 256},
        {"dropout": None},
    ],
)
def test_a_shape_that_no_training_would_accept_is_refused(
    shape: dict[str, Any],
) -> None:
    with pytest.raises(CheckpointError, match="ModelConfig holds an impossible value: --"):
        checkpoint.parse(signed(config=altered(**shape)))


def test_a_shape_that_is_no_number_is_refused_before_it_is_multiplied() -> None:
    header, body = opened(SMALL)
    header["head.bias"]["shape"] = [10**15, "0"]
    with pytest.raises(CheckpointError):
        checkpoint.parse(closed(header, body))


@pytest.mark.parametrize("training", ["7", "[]", '"x"'])
def test_training_that_is_no_object_is_refused(training: str) -> None:
    with pytest.raises(CheckpointError):
        checkpoint.parse(signed(training=training))


@pytest.mark.parametrize(
    "extra",
    [
        {"optimizer:head.bias/step": np.zeros(2, np.float64)},
        {"optimizer:head.bias/on": np.zeros(2, bool)},
        {"optimizer:nothing/step": np.zeros(2, np.float32)},
        {"state:x": np.zeros(2, np.float32)},
        {"surplus": np.zeros(2, np.float32)},
        {"head.bias": np.zeros(4, np.float32)},
    ],
)
def test_what_could_not_be_read_again_is_never_written(path: Path, extra: Tensors) -> None:
    before = small()
    with pytest.raises(CheckpointError):
        checkpoint.write(path, replace(before, extra=extra))
    assert not path.exists()


def test_training_tensors_have_no_place_in_a_file_that_only_serves_to_be_used() -> None:
    with pytest.raises(CheckpointError, match=r"surplus tensors: .*state:0"):
        replace(small(), training=None)
    header, body = opened(SMALL)
    header["__metadata__"].pop("training")
    with pytest.raises(CheckpointError, match="surplus tensors"):
        checkpoint.parse(closed(header, body))
