"""Every case that the fuzzer kept: a bug that it found must not come back. See fuzz/README.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz import target

from charlm import checkpoint
from charlm.errors import CheckpointError
from charlm.text.tokenizer import ByteTokenizer

CASES = sorted((Path(__file__).parent / "fuzz" / "cases").iterdir())
SEEDS = [case for case in CASES if case.name.startswith("seed-")]
MODELS = [case for case in SEEDS if case.read_bytes()[0] == target.RAW]
SCRIPTS = [case for case in SEEDS if case.read_bytes()[0] == target.SCRIPT]


def test_there_are_cases_of_every_kind_and_not_too_many() -> None:
    kinds = {case.read_bytes()[0] % 3 for case in CASES}
    assert kinds == {target.RAW, target.SCRIPT, target.TOKENIZER}
    assert len(MODELS) == len(target.models())
    assert len(CASES) <= 70 and sum(case.stat().st_size for case in CASES) < 200_000


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_breaks_no_law(case: Path) -> None:
    target.run_one(case.read_bytes())


@pytest.mark.parametrize("case", MODELS, ids=lambda case: case.name)
def test_a_seed_is_a_model_that_is_still_read(case: Path) -> None:
    """Not one that is refused, which would break no law either: files outlive versions."""
    model = checkpoint.parse(case.read_bytes()[1:])
    assert model.provenance["corpus"] == "città"


def test_a_script_can_change_a_file_and_sign_it() -> None:
    """Otherwise every law would hold because every file is refused at its checksum."""
    after = []
    for data in (bytes([0, 1]), bytes([0, 0])):
        file, signed = target.Script(data).run()
        after.append((signed, checkpoint.parse(file).provenance["step"]))
    assert after == [(True, 3), (False, 3)]
    # One change, in metadata, of the provenance, its field "corpus", to the number 5.
    change = bytes([0, 1, 0, 2, 1, 2, target._VALUES.index("5"), 0])
    file, _ = target.Script(change).run()
    assert checkpoint.parse(file).provenance["corpus"] == 5
    unsigned, _ = target.Script(bytes([0, 0]) + change[2:]).run()
    with pytest.raises(CheckpointError, match="checksum"):
        checkpoint.parse(unsigned)


# ------------------------------------------------------------------- every law can be broken


def break_law(monkeypatch: pytest.MonkeyPatch, parse: Any, cases: list[Path] = SCRIPTS) -> None:
    """Some case must notice that ``parse`` is what reads now."""
    monkeypatch.setattr(checkpoint, "parse", parse)
    for case in cases:
        target.run_one(case.read_bytes())


real = checkpoint.parse


def test_another_error_is_a_find(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(data: bytes) -> None:
        raise KeyError("head.bias")

    with pytest.raises(KeyError):
        break_law(monkeypatch, parse)


def test_a_file_that_passes_unsigned_is_a_find(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(data: bytes) -> checkpoint.Checkpoint:
        model = real(data)
        model.provenance["corpus"] = "another"
        return model

    with pytest.raises(AssertionError, match="nobody signed"):
        break_law(monkeypatch, parse, MODELS)


@pytest.mark.parametrize("what", ["provenance", "training", "weights", "sign", "state"])
def test_another_model_than_the_file_says_is_a_find(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def parse(data: bytes) -> checkpoint.Checkpoint:
        model = real(data)
        if what == "provenance":
            model.provenance["step"] = 4
        elif what == "training" and model.training is not None:
            model.training["progress"]["step"] = 4
        elif what == "weights":
            model.weights["head.bias"][:] += 1
        elif what == "sign":
            model.weights["head.bias"][0] = -model.weights["head.bias"][0]
        elif what == "state":
            model.extra.clear()
        return model

    with pytest.raises(AssertionError, match=r"not what the file|came or went"):
        break_law(monkeypatch, parse)


def test_a_model_that_cannot_be_written_again_is_a_find(monkeypatch: pytest.MonkeyPatch) -> None:
    dump = checkpoint.dump

    def forgetful(model: checkpoint.Checkpoint) -> bytes:
        return dump(checkpoint.Checkpoint(model.config, model.tokenizer, model.weights))

    monkeypatch.setattr(checkpoint, "dump", forgetful)
    with pytest.raises(AssertionError, match="written and read again"):
        break_law(monkeypatch, real)


def test_a_slow_answer_is_a_find(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "SECONDS", 0.0)
    with pytest.raises(AssertionError, match="took"):
        break_law(monkeypatch, real)


def test_another_tokenizer_is_a_find(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "tokenizer_from_dict", lambda values: ByteTokenizer())
    text = json.dumps({"kind": "char", "characters": "ab", "unknown": False, "nfc": False})
    with pytest.raises(AssertionError, match="not what was read"):
        target.run_one(bytes([target.TOKENIZER]) + text.encode())


def test_what_a_script_changes_differs_by_its_bytes_alone() -> None:
    """A case found once is the same case everywhere: safetensors' random order must not show."""
    rng = np.random.default_rng(2)
    for _ in range(50):
        data = rng.integers(0, 256, 40, dtype=np.uint8).tobytes()
        assert target.Script(data).run() == target.Script(data).run()
