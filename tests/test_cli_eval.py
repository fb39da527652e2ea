"""``charlm eval`` and ``charlm info``: exact figures of a text, facts about a model."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import charlm as package
from charlm import checkpoint

Invoke = Callable[..., Result]


def refused(result: Result, code: int, *parts: str) -> None:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    for part in parts:
        assert part in last


# -------------------------------------------------------------------------------------------- eval


def test_json_has_the_documented_keys_and_the_exact_figure(
    charlm: Invoke, trained: Path, text: str
) -> None:
    result = charlm("eval", trained, "--json")
    facts = json.loads(result.stdout)
    assert set(facts) == {
        *("bits_per_char", "nats_per_char", "perplexity", "characters"),
        *("trained_on", "training_overlap", "ladder"),
    }
    assert (facts["trained_on"], facts["training_overlap"]) == (False, 0)
    expected = package.load(trained).evaluate(text[int(len(text) * 0.9) :])
    assert facts["bits_per_char"] == expected.bits_per_char
    assert facts["characters"] == 149
    assert facts["nats_per_char"] == pytest.approx(facts["bits_per_char"] * math.log(2))
    assert facts["perplexity"] == pytest.approx(2 ** facts["bits_per_char"])
    assert {"uniform", "unigram", "gzip"} < set(facts["ladder"])


def test_the_figure_is_the_one_that_training_stored(charlm: Invoke, trained: Path) -> None:
    stored = checkpoint.read(trained / "best.safetensors").provenance
    facts = json.loads(charlm("eval", trained, "--json", "--no-ladder").stdout)
    assert facts["bits_per_char"] == stored["val_bits_per_char"]
    assert stored["val_exact"] is True
    assert "ladder" not in facts


def test_the_figures_stand_beside_the_ladder(charlm: Invoke, trained: Path) -> None:
    result = charlm("eval", trained)
    first, *rest = result.stdout.splitlines()
    assert first.endswith("149 characters")
    assert "bits/char" in first and "nats/char" in first and "perplexity" in first
    assert any(line.startswith("->") and "lstm" in line for line in rest)
    assert len(charlm("eval", trained, "--no-ladder").stdout.splitlines()) == 1


def test_a_file_and_stdin_give_the_same(charlm: Invoke, trained: Path, corpus: Path) -> None:
    by_file = charlm("eval", trained, corpus, "--json", "--no-ladder")
    by_stdin = charlm("eval", trained, "-", "--json", "--no-ladder", input=corpus.read_bytes())
    assert by_file.stdout == by_stdin.stdout
    assert json.loads(by_file.stdout)["characters"] == 1499


def test_encoding_is_that_of_the_file(charlm: Invoke, trained: Path, tmp_path: Path) -> None:
    text = "Città è vento.\nPerché il mare.\n"
    (tmp_path / "utf8").write_text(text, encoding="utf-8")
    (tmp_path / "latin").write_text(text, encoding="latin-1")
    expected = charlm("eval", trained, tmp_path / "utf8", "--no-ladder").stdout
    found = charlm("eval", trained, tmp_path / "latin", "--no-ladder", "--encoding", "latin-1")
    assert found.stdout == expected
    refused(charlm("eval", trained, tmp_path / "latin"), 1, "byte 0xe0 at offset 4", "--encoding")


def test_unseen_characters_are_refused_or_left_out(
    charlm: Invoke, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "with").write_text("il ☃mare☃\n", encoding="utf-8")
    (tmp_path / "without").write_text("il mare\n", encoding="utf-8")
    result = charlm("eval", trained, tmp_path / "with")
    refused(result, 2, "U+2603 (2 times)", "line 1, column 4", "--on-unknown skip")
    skipped = charlm(
        "eval", trained, tmp_path / "with", "--on-unknown", "skip", "--no-ladder", "--json"
    )
    expected = charlm("eval", trained, tmp_path / "without", "--no-ladder", "--json")
    assert skipped.stdout == expected.stdout
    assert "left out" in skipped.stderr and "U+2603" in skipped.stderr


def test_a_model_alone_can_be_evaluated_on_a_named_text(
    charlm: Invoke, trained: Path, corpus: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "shared.safetensors"
    shutil.copy(trained / "best.safetensors", alone)
    result = charlm("eval", alone, corpus, "--json")
    assert result.exit_code == 0
    assert "ladder" not in json.loads(result.stdout)
    assert "no ladder" in result.stderr
    refused(charlm("eval", alone), 2, "no validation text", f"charlm eval {alone} FILE")


def test_a_changed_corpus_is_not_taken_for_the_old_one(
    charlm: Invoke, tmp_path: Path, text: str
) -> None:
    source = tmp_path / "book.txt"
    source.write_text(text, encoding="utf-8")
    made = charlm(
        "train",
        source,
        "--out",
        tmp_path / "out",
        "--hidden-size",
        4,
        "--steps",
        1,
        "--optimizer",
        "sgd",
        "--device",
        "cpu",
    )
    assert made.exit_code == 0, made.output
    source.write_text(text + "più", encoding="utf-8")
    result = charlm("eval", tmp_path / "out" / "book")
    assert result.exit_code == 2
    assert "not the one" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("content", "code", "part"),
    [(b"", 1, "empty"), (b"a", 2, "fewer than 2 characters"), (b"a\xff", 1, "byte 0xff")],
)
def test_a_useless_text_is_refused(
    charlm: Invoke, trained: Path, tmp_path: Path, content: bytes, code: int, part: str
) -> None:
    (tmp_path / "text").write_bytes(content)
    refused(charlm("eval", trained, tmp_path / "text"), code, part)


def test_missing_files_and_runs_are_refused(charlm: Invoke, trained: Path, tmp_path: Path) -> None:
    refused(charlm("eval", trained, tmp_path / "nothing.txt"), 2, "no such file")
    refused(charlm("eval", tmp_path / "nothing"), 2, "no run called")
    refused(charlm("eval", trained, "x", "--encoding", "klingon"), 2)
    assert charlm("eval").exit_code == 2


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_a_file_is_read_where_there_is_no_standard_input(trained: Path, corpus: Path) -> None:
    command = '"$0" -m charlm eval "$1" "$2" --no-ladder <&-'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, str(trained), str(corpus)],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0


# -------------------------------------------------------------------------------------------- info


def test_info_json_tells_everything(charlm: Invoke, trained: Path) -> None:
    facts = json.loads(charlm("info", trained, "--json").stdout)
    best = trained / "best.safetensors"
    loaded = checkpoint.read(best)
    assert facts["file"] == str(best)
    assert facts["bytes"] == best.stat().st_size
    assert facts["config"] == loaded.config.to_dict()
    assert facts["parameters"] == sum(w.size for w in loaded.weights.values())
    assert facts["weights_sha256"] == checkpoint.weights_sha256(loaded)
    assert facts["provenance"]["corpus"] == "tiny"
    assert facts["tokenizer"]["kind"] == "char"


def test_info_for_people_names_shape_size_and_provenance(charlm: Invoke, trained: Path) -> None:
    shown = charlm("info", trained).stdout
    for part in ("LSTM 1x16", "parameters", "hidden_size 16", "sha256", "corpus      tiny"):
        assert part in shown


def test_a_shared_model_says_nothing_about_paths(charlm: Invoke, trained: Path) -> None:
    facts = json.loads(charlm("info", trained / "best.safetensors", "--json").stdout)
    assert "/" not in json.dumps(facts["provenance"])


def test_a_validation_file_is_not_told_with_its_path(
    charlm: Invoke, corpus: Path, tmp_path: Path
) -> None:
    charlm(
        "train",
        corpus,
        "--val-file",
        corpus,
        "--out",
        tmp_path,
        "--hidden-size",
        4,
        "--steps",
        1,
        "--optimizer",
        "sgd",
        "--device",
        "cpu",
    )
    facts = json.loads(charlm("info", tmp_path / "tiny", "--json").stdout)
    assert str(corpus.parent) not in json.dumps(facts["provenance"])


def test_info_refuses_what_is_no_model(charlm: Invoke, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no model at all")
    refused(charlm("info", tmp_path / "text"), 1)
    refused(charlm("info", tmp_path / "nothing"), 2)
