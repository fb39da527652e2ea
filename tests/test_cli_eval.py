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
from conftest import write_text

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


def test_a_compressor_below_its_resolution_has_no_figure(charlm: Invoke, trained: Path) -> None:
    """Two characters add some ten bytes to an archive: 40 bits for each would mean nothing."""
    facts = json.loads(charlm("eval", trained, "-", "--json", input="il").stdout)
    assert [facts["ladder"][name] for name in ("gzip", "bz2", "xz")] == [None] * 3
    assert facts["ladder"]["unigram"] > 0
    shown = charlm("eval", trained, "-", input="il").stdout.splitlines()[-3:]
    assert all(line.split()[0] == "-" and "below resolution" in line for line in shown)


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


@pytest.mark.parametrize("command", ["eval", "score", "report", "sample", "info", "compare"])
def test_a_text_in_the_place_of_a_model_is_named(
    charlm: Invoke, trained: Path, corpus: Path, tmp_path: Path, command: str
) -> None:
    arguments = {"compare": [corpus, trained, corpus]}.get(command, [corpus])
    remedy = {
        "sample": f"charlm train {corpus}",
        "info": f"charlm train {corpus}",
        "compare": f"charlm compare RUN RUN {corpus}",
    }.get(command, f"charlm {command} RUN {corpus}")
    refused(charlm(command, *arguments), 1, f"{corpus} is a text, not a model", remedy)
    other = tmp_path / "model"
    other.write_bytes(b"\x80\x04K\x01." + bytes(100))  # no text, and no model either
    if command != "compare":
        refused(charlm(command, other), 1, "not a safetensors file")


def test_the_text_that_was_given_stands_in_the_remedy(charlm: Invoke, corpus: Path) -> None:
    refused(charlm("eval", corpus, "my letter.txt"), 1, "charlm eval RUN 'my letter.txt'")


# ---------------------------------------------------------------- texts that it was trained on


def facts_of(charlm: Invoke, *arguments: object) -> dict[str, object]:
    result = charlm("eval", *arguments, "--json")
    assert result.exit_code == 0, result.output
    facts: dict[str, object] = json.loads(result.stdout)
    return facts


def test_a_text_that_was_trained_on_is_said(
    charlm: Invoke, trained: Path, corpus: Path, text: str, tmp_path: Path
) -> None:
    file = tmp_path / "text.txt"
    new = write_text(600, seed=9)
    cases = {  # what is evaluated: all of it trained on, share of its pieces, part of what is said
        text: (True, pytest.approx(1301 / 1451), "was trained on this text"),
        text[:1350]: (True, 1, "was trained on this text"),
        text[200:900]: (True, 1, "was trained on this text"),
        new: (False, 0, ""),
        text[600:1000] + new: (False, pytest.approx(351 / 951), "37 % of this text's passages"),
        text[:49]: (False, None, ""),  # a piece has 50 characters
    }
    for evaluated, (trained_on, share, said) in cases.items():
        file.write_text(evaluated, encoding="utf-8")
        facts = facts_of(charlm, trained, file)
        assert (facts["trained_on"], facts["training_overlap"]) == (trained_on, share)
        shown = charlm("eval", trained, file, "--no-ladder")
        assert said in shown.stderr if said else shown.stderr == ""
        assert len(shown.stdout.splitlines()) == 1


def test_a_model_file_alone_knows_its_corpus_by_the_checksum(
    charlm: Invoke, trained: Path, corpus: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "shared.safetensors"
    shutil.copy(trained / "best.safetensors", alone)
    facts = facts_of(charlm, alone, corpus)
    assert (facts["trained_on"], facts["training_overlap"]) == (True, None)
    part = tmp_path / "part.txt"
    part.write_text(corpus.read_text("utf-8")[:900], encoding="utf-8")
    assert facts_of(charlm, alone, part)["trained_on"] is False  # nobody can know
    shown = charlm("eval", alone, corpus, "--no-ladder")
    assert shown.stderr.count("\n") == 1 and "was trained on this text" in shown.stderr


# -------------------------------------------------------------------------- a corpus that moved


@pytest.fixture
def moved(charlm: Invoke, tmp_path: Path, text: str) -> tuple[Path, Path]:
    """A run, and where its corpus is now."""
    corpus, run = train(charlm, tmp_path, text)
    (tmp_path / "elsewhere").mkdir()
    return run, corpus.rename(tmp_path / "elsewhere" / "novel.txt")


def train(charlm: Invoke, folder: Path, text: str, *options: object) -> tuple[Path, Path]:
    corpus = folder / "book.txt"
    corpus.write_text(text, encoding="utf-8", newline="")
    small = ("--hidden-size", 4, "--steps", 6, "--stop-at", 3, "--optimizer", "sgd")
    made = charlm("train", corpus, "--out", folder / "out", *small, "--device", "cpu", *options)
    assert made.exit_code == 0, made.output
    return corpus, folder / "out" / "book"


def test_without_the_corpus_it_is_said_what_to_give(
    charlm: Invoke, moved: tuple[Path, Path]
) -> None:
    run, corpus = moved
    for command in (["eval", run], ["sample", run, "--novelty"], ["train", "--resume", run]):
        result = charlm(*command)
        assert result.exit_code == 2 and result.stdout == ""
        last = result.stderr.splitlines()[-1]
        assert "book.txt: no such file" in last and "give --corpus PATH" in last
    shown = charlm("eval", run, corpus)
    assert "give --corpus PATH" in shown.stderr and "no ladder" in shown.stderr
    # Without the ladder the corpus is not needed: nothing to complain about.
    assert charlm("eval", run, corpus, "--no-ladder").stderr.count("\n") == 1


def test_a_corpus_that_has_moved_is_read_where_it_is_now(
    charlm: Invoke, moved: tuple[Path, Path], text: str
) -> None:
    run, corpus = moved
    evaluated = facts_of(charlm, run, "--corpus", corpus)
    assert evaluated["characters"] == 149 and "ladder" in evaluated
    options = ("sample", run, "--length", 60, "--seed", 1, "--temperature", 0.1)
    assert "longest passage" in charlm(*options, "--novelty", "--corpus", corpus).stderr
    copied = charlm(*options, "--max-copy", 2, "--corpus", corpus)
    assert copied.exit_code == 0 and copied.stdout != charlm(*options).stdout


def test_another_text_is_not_taken_for_the_corpus(
    charlm: Invoke, moved: tuple[Path, Path], tmp_path: Path
) -> None:
    run, corpus = moved
    corpus.write_text(corpus.read_text("utf-8") + "più", encoding="utf-8")
    for command in (
        ["eval", run, "--corpus", corpus],
        ["eval", run, corpus, "--corpus", corpus],
        ["sample", run, "--novelty", "--corpus", corpus],
        ["train", "--resume", run, "--corpus", corpus],
    ):
        refused(charlm(*command), 2, f"{corpus}: the text is not the one that {run}", "--corpus")
    refused(charlm("eval", run, "--corpus", tmp_path / "nowhere"), 2, "nowhere: no such file")


def test_a_resumed_run_remembers_where_its_corpus_is_now(
    charlm: Invoke, moved: tuple[Path, Path], tmp_path: Path, text: str
) -> None:
    run, corpus = moved
    resumed = charlm("train", "--resume", run, "--corpus", corpus)
    assert resumed.exit_code == 0, resumed.output
    (tmp_path / "stay").mkdir()
    _, stayed = train(charlm, tmp_path / "stay", text)
    assert charlm("train", "--resume", stayed).exit_code == 0
    moved_one, other = (checkpoint.read(each / "last.safetensors") for each in (run, stayed))
    assert checkpoint.state_sha256(moved_one) == checkpoint.state_sha256(other)
    assert charlm("eval", run).exit_code == 0  # without --corpus
    refused(charlm("train", "--corpus", corpus), 2, "no corpus given")
    refused(charlm("train", corpus, "--corpus", corpus), 2, f"type charlm train {corpus}")


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_model_file_alone_takes_a_corpus_too(
    charlm: Invoke, tmp_path: Path, text: str, ends: str
) -> None:
    text = text.replace("\n", ends)
    corpus, run = train(charlm, tmp_path, text, "--newline", "unix", "--val-fraction", 0.3)
    expected = facts_of(charlm, run)
    alone = tmp_path / "alone.safetensors"
    shutil.copy(run / "best.safetensors", alone)
    refused(charlm("eval", alone), 2, "does not say where its corpus is; give it with --corpus")
    assert facts_of(charlm, alone, "--corpus", corpus) == expected
    corpus.write_text(text[:-1], encoding="utf-8", newline="")
    refused(charlm("eval", alone, "--corpus", corpus), 2, f"{corpus}: the text is not the one")


def test_training_and_validation_files_move_together_or_apart(
    charlm: Invoke, tmp_path: Path, text: str
) -> None:
    val = tmp_path / "val.txt"
    val.write_text(text[:300], encoding="utf-8")
    corpus, run = train(charlm, tmp_path, text, "--val-file", val)
    expected = facts_of(charlm, run)
    assert (expected["characters"], expected["trained_on"]) == (299, True)
    corpus = corpus.rename(tmp_path / "corpus.txt")
    assert facts_of(charlm, run, "--corpus", corpus) == expected
    val = val.rename(tmp_path / "validation.txt")
    refused(charlm("eval", run, "--corpus", corpus), 2, "val.txt: no such file")
    assert facts_of(charlm, run, "--corpus", corpus, "--corpus", val) == expected


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
