"""Counts beside the network, from the command line: every command means the same model."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from conftest import write_text

import charlm as package
from charlm import checkpoint, counts
from charlm.config import SampleConfig
from charlm.errors import CheckpointError

Invoke = Callable[..., Result]
SHAPE = [
    *("--hidden-size", 16, "--steps", 30, "--batch-size", 8, "--seq-len", 20),
    *("--precision", "float32", "--device", "cpu", "--optimizer", "adamw"),
]
TEXT = write_text(24_000, seed=5)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("book") / "book.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained_with(charlm: Invoke, book: Path) -> tuple[Path, Result]:
    """A run with counts and a test part, and what its training printed."""
    done = charlm("train", book, "--out", book.parent, *SHAPE, "--test-fraction", 0.2)
    assert done.exit_code == 0, done.output
    return book.parent / "book", done


@pytest.fixture
def counted(trained_with: tuple[Path, Result]) -> Path:
    return trained_with[0]


def facts(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def bits_by_hand(run: Path, text: str) -> float:
    """The mixture's bits per character, character by character, from the formulas."""
    lm = package.load(run, network_only=True)
    beside = counts.read(run / "counts.safetensors")
    a, b = beside.weights
    ids = [int(i) for i in lm.tokenizer.encode(text)]
    state, total = lm.engine.initial_state(1), 0.0
    for place, (before, after) in enumerate(itertools.pairwise(ids)):
        logits, state = lm.engine.step(np.array([before]), state)
        network = np.exp(logits[0].astype(float) - logits.max())
        p = (network / network.sum()) ** a * beside.ngram.distribution(ids[: place + 1]) ** b
        total -= math.log2(p[after] / p.sum())
    return total / (len(ids) - 1)


def test_train_eval_score_and_a_computation_by_hand_agree(
    charlm: Invoke, trained_with: tuple[Path, Result], tmp_path: Path
) -> None:
    run, done = trained_with
    val = TEXT[16_800:19_200]
    by_hand = bits_by_hand(run, val)
    found = facts(charlm("eval", run, "--json"))
    assert found["bits_per_char"] == pytest.approx(by_hand, rel=1e-6)
    assert done.stdout.startswith(f"best validation {by_hand:.4f} bits/char")
    (tmp_path / "val.txt").write_text(val, encoding="utf-8")
    each = [
        json.loads(line)["bits"]
        for line in charlm("score", run, tmp_path / "val.txt", "--json").stdout.splitlines()
    ]
    assert sum(each[1:]) / len(each[1:]) == pytest.approx(by_hand, rel=1e-6)
    assert (
        found["bits_per_char"]
        == facts(charlm("info", run, "--json"))["counts"]["val_bits_per_char_mixture"]
    )
    named = [run, shutil.copytree(run, tmp_path / "other"), tmp_path / "val.txt"]
    compared = facts(charlm("compare", *named, "--json"))
    for side in compared.values():
        assert side["bits_per_char"] == pytest.approx(by_hand, rel=1e-6)
        assert side["counts"] == f"{found['counts']['order']}-gram"


def test_together_they_beat_both(charlm: Invoke, counted: Path) -> None:
    """On validation text, which chose the weights, and on test text, which nothing has seen."""
    for part in ([], ["--test"]):
        found = facts(charlm("eval", counted, "--json", *part))
        apart = found["network"]["bits_per_char"], found["counts"]["bits_per_char"]
        assert found["bits_per_char"] < min(apart)
        assert found["network"]["characters"] == found["characters"]


def test_eval_shows_three_rungs_and_the_weights(charlm: Invoke, counted: Path) -> None:
    lines = charlm("eval", counted).stdout.splitlines()
    beside = counts.read(counted / "counts.safetensors")
    assert any(line.split()[1:] == ["lstm", "the", "network", "alone"] for line in lines)
    (alone,) = (line for line in lines if "the run's counts alone" in line)
    assert alone.endswith(beside.describe())
    (together,) = (line for line in lines if line.startswith("->"))
    assert together.split()[2:] == ["lstm", "+", beside.name]
    assert f"{beside.weights.network:.2f}" in alone and f"{beside.weights.ngram:.2f}" in alone


@pytest.mark.parametrize("command", ["eval", "score", "sample"])
def test_network_only_is_the_run_without_its_counts(
    charlm: Invoke, counted: Path, tmp_path: Path, command: str
) -> None:
    arguments: dict[str, list[Any]] = {
        "eval": ["--json"],
        "score": ["--json"],
        "sample": ["--seed", 3, "--length", 80],
    }
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(counted / "best.safetensors", bare)
    text = [] if command == "sample" else [tmp_path / "text.txt"]
    (tmp_path / "text.txt").write_text(TEXT[:300], encoding="utf-8")
    with_counts = charlm(command, counted, *text, *arguments[command])
    alone = charlm(command, counted, *text, *arguments[command], "--network-only")
    without = charlm(command, bare, *text, *arguments[command])
    assert alone.exit_code == without.exit_code == 0, alone.output + without.output
    if command == "eval":  # the bare file does not say where its corpus is
        keys = ("bits_per_char", "nats_per_char", "perplexity", "characters")
        assert [facts(alone)[k] for k in keys] == [facts(without)[k] for k in keys]
    else:
        assert alone.stdout == without.stdout
    assert with_counts.stdout != alone.stdout


def test_what_is_sampled_has_the_probability_that_score_gives_it(counted: Path) -> None:
    lm = package.load(counted)
    drawn = list(lm.draws("La ", SampleConfig(length=60, temperature=1.0, seed=2)))
    written = "".join(each.text for each in drawn)
    begin = lm.evaluate("La ")
    whole = lm.evaluate("La " + written)
    bits = whole.bits_per_char * whole.characters - begin.bits_per_char * begin.characters
    assert bits == pytest.approx(-sum(math.log2(each.probability) for each in drawn), rel=1e-5)
    assert lm.sample("La ", length=60, temperature=1.0, seed=2) == written
    assert package.load(counted, network_only=True).sample("La ", length=60, seed=2) != written


def test_samples_are_ranked_by_the_mixture(charlm: Invoke, counted: Path) -> None:
    options = ("--num-samples", 4, "--rank", "--json", "--length", 40, "--prompt", "La ")
    found = {}
    for more in ([], ["--network-only"]):
        done = charlm("sample", counted, *options, "--seed", 2, *more)
        lm = package.load(counted, network_only=bool(more))
        begin = lm.evaluate("La ")
        losses = []
        for record in map(json.loads, done.stdout.splitlines()):
            whole = lm.evaluate("La " + record["text"])
            nats = whole.nats_per_char * whole.characters - begin.nats_per_char * begin.characters
            assert -record["log_probability"] == pytest.approx(nats, rel=1e-4)
            losses.append(record["nats_per_char"])
        assert losses == sorted(losses)
        found[bool(more)] = losses
    assert found[False] != found[True]


def test_max_copy_and_novelty_hold_with_counts(charlm: Invoke, counted: Path) -> None:
    """Counts repeat the training text more than a network does."""
    arguments = ["sample", counted, "--length", 400, "--seed", 1, "--temperature", 0.5]
    free = charlm(*arguments).stdout
    assert max_copied(free) > 9
    bound = charlm(*arguments, "--max-copy", 9)
    assert bound.exit_code == 0, bound.output
    assert max_copied(bound.stdout) <= 9


def max_copied(written: str) -> int:
    train = TEXT[:16_800]
    longest = 0
    for begin in range(len(written)):
        while written[begin : begin + longest + 1] in train and begin + longest < len(written):
            longest += 1
    return longest


def test_the_last_checkpoint_and_a_file_alone_are_the_network(
    counted: Path, tmp_path: Path
) -> None:
    assert package.load(counted).counts is not None
    assert package.load(counted / "best.safetensors").counts is not None
    assert package.load(counted / "last.safetensors").counts is None
    shutil.copy(counted / "best.safetensors", tmp_path / "model.safetensors")
    assert package.load(tmp_path / "model.safetensors").counts is None


def test_counts_of_another_model_are_refused(
    charlm: Invoke, counted: Path, trained: Path, tmp_path: Path
) -> None:
    mixed_up = shutil.copytree(trained, tmp_path / "run")
    shutil.copy(counted / "counts.safetensors", mixed_up)
    result = charlm("sample", mixed_up)
    assert result.exit_code == 1
    assert "counts.safetensors belongs to another model" in result.stderr
    assert charlm("sample", mixed_up, "--network-only", "--length", 5).exit_code == 0


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      ", b"some text\n" * 9])
def test_damaged_counts_are_refused_in_one_line(
    charlm: Invoke, counted: Path, tmp_path: Path, content: bytes
) -> None:
    damaged = shutil.copytree(counted, tmp_path / "run")
    (damaged / "counts.safetensors").write_bytes(content)
    for command in ("sample", "eval"):
        result = charlm(command, damaged)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"error: {damaged}/counts.safetensors: ")
        assert len(result.stderr.splitlines()) == 1


def test_adapt_is_reported_apart_and_agrees_with_score(
    charlm: Invoke, counted: Path, tmp_path: Path
) -> None:
    (tmp_path / "val.txt").write_text(TEXT[16_800:19_200], encoding="utf-8")
    found = facts(charlm("eval", counted, "--adapt", "--json"))
    plain = facts(charlm("eval", counted, "--json"))
    assert found["bits_per_char"] == plain["bits_per_char"]
    assert "adapted" not in plain
    assert found["adapted"]["fixed"] == pytest.approx(found["network"]["bits_per_char"], rel=1e-5)
    assert found["adapted"]["bits_per_char"] < found["adapted"]["fixed"] - 0.01
    lines = charlm("score", counted, tmp_path / "val.txt", "--dynamic").stdout.splitlines()
    dynamic = float(lines[1].split()[1])
    assert dynamic == pytest.approx(found["adapted"]["bits_per_char"], abs=1e-4)
    shown = charlm("eval", counted, "--adapt", "--rate", 0.1, "--no-ladder").stdout.splitlines()
    assert shown[1].startswith(f"adapting  {dynamic:.4f} bits/char: the network alone")


# ---------------------------------------------------------------------------------------- training


def test_no_counts_are_left_out(charlm: Invoke, book: Path, tmp_path: Path) -> None:
    result = charlm("train", book, "--out", tmp_path, *SHAPE, "--no-counts")
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "book" / "counts.safetensors").exists()
    assert "alone" not in charlm("eval", tmp_path / "book").stdout
    # The network does not depend on them.
    charlm("train", book, "--out", tmp_path, "--name", "with", *SHAPE)
    one, other = (checkpoint.read(tmp_path / n / "best.safetensors") for n in ("book", "with"))
    assert checkpoint.weights_sha256(one) == checkpoint.weights_sha256(other)


def test_a_finished_run_is_not_counted_again(
    charlm: Invoke, counted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(counted, tmp_path / "run")
    before = (run / "counts.safetensors").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(counts, "fit", None)
        again = charlm("train", "--resume", run)
    assert again.exit_code == 0, again.output
    assert (run / "counts.safetensors").read_bytes() == before
    (run / "counts.safetensors").write_bytes(b"damaged")
    again = charlm("train", "--resume", run)
    assert again.exit_code == 0, again.output
    one, other = (counts.read(r / "counts.safetensors") for r in (run, counted))
    assert counts.dump(one)[8:20] and one.facts == other.facts
    np.testing.assert_array_equal(one.ngram.levels[-1].share, other.ngram.levels[-1].share)


def test_a_long_text_is_counted_from_its_end_and_that_is_said(
    charlm: Invoke, book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "MAX_TRAIN_CHARS", 5000)
    result = charlm("train", book, "--out", tmp_path, *SHAPE)
    assert result.exit_code == 0, result.output
    assert "counted: the last 5,000 symbols of the training text" in result.stderr
    found = counts.read(tmp_path / "book" / "counts.safetensors")
    train_ids = package.load(tmp_path / "book").tokenizer.encode(TEXT[: int(0.9 * len(TEXT))])
    # Level 0: the characters of the part that was counted.
    assert set(found.ngram.levels[0].symbol.tolist()) == set(train_ids[-5000:].tolist())


def test_without_validation_text_nothing_could_weigh_the_counts(
    charlm: Invoke, book: Path, tmp_path: Path
) -> None:
    result = charlm("train", book, "--out", tmp_path, *SHAPE, "--val-fraction", 0)
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "book" / "counts.safetensors").exists()


def test_force_removes_the_counts_of_the_old_run(
    charlm: Invoke, book: Path, tmp_path: Path
) -> None:
    for more in ([], ["--no-counts", "--force"]):
        result = charlm("train", book, "--out", tmp_path, "--name", "a", *SHAPE, *more)
        assert result.exit_code == 0, result.output
    assert not (tmp_path / "a" / "counts.safetensors").exists()


# ----------------------------------------------------------------------------------- the test part


def test_eval_test_reads_the_end_of_the_corpus(
    charlm: Invoke, counted: Path, tmp_path: Path
) -> None:
    (tmp_path / "end.txt").write_text(TEXT[19_200:], encoding="utf-8")
    held_out = facts(charlm("eval", counted, "--test", "--json"))
    named = facts(charlm("eval", counted, tmp_path / "end.txt", "--json"))
    assert held_out["bits_per_char"] == named["bits_per_char"]
    assert held_out["characters"] == 4799
    assert facts(charlm("eval", counted, "--json"))["characters"] == 2399
    known = checkpoint.read(counted / "best.safetensors").provenance
    parts = [known[f"{part}_characters"] for part in ("train", "val", "test")]
    assert parts == [16_800, 2400, 4800]
    assert known["split"] == "first 0.7 to train, next 0.1 to validate, last 0.2 to test"


def test_no_choice_depends_on_the_test_text(charlm: Invoke, counted: Path, tmp_path: Path) -> None:
    """Another test text of the same characters: the same network, the same counts."""
    (tmp_path / "book.txt").write_text(TEXT[:19_200] + TEXT[19_200:][::-1], encoding="utf-8")
    result = charlm(
        "train", tmp_path / "book.txt", "--out", tmp_path, *SHAPE, "--test-fraction", 0.2
    )
    assert result.exit_code == 0, result.output
    one, other = (checkpoint.read(run / "best.safetensors") for run in (counted, tmp_path / "book"))
    assert checkpoint.weights_sha256(one) == checkpoint.weights_sha256(other)
    a, b = (counts.read(run / "counts.safetensors") for run in (counted, tmp_path / "book"))
    assert (a.weights, a.facts, a.ngram.order) == (b.weights, b.facts, b.ngram.order)
    assert one.provenance["corpus_sha256"] != other.provenance["corpus_sha256"]


def test_a_run_without_a_test_part_says_so(charlm: Invoke, trained: Path) -> None:
    result = charlm("eval", trained, "--test")
    assert result.exit_code == 2
    assert "has no test text; train with --test-fraction to hold one back" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--test-fraction", 0.95], "leave nothing to train on"),
        (["--test-fraction", 1], "give a value below 1"),
        (["--test-fraction", 0.1, "--val-file", "BOOK"], "in a file of its own"),
    ],
)
def test_impossible_test_parts_are_refused(
    charlm: Invoke, book: Path, tmp_path: Path, options: list[Any], message: str
) -> None:
    options = [book if each == "BOOK" else each for each in options]
    result = charlm("train", book, "--out", tmp_path, *SHAPE, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_moved_corpus_has_its_test_part(charlm: Invoke, counted: Path, tmp_path: Path) -> None:
    """The model's file alone says how long each part is."""
    shutil.copy(counted / "best.safetensors", tmp_path / "model.safetensors")
    (tmp_path / "moved.txt").write_text(TEXT, encoding="utf-8")
    found = facts(
        charlm(
            *("eval", tmp_path / "model.safetensors", "--corpus", tmp_path / "moved.txt"),
            *("--test", "--json"),
        )
    )
    expected = facts(charlm("eval", counted, "--test", "--json", "--network-only"))
    assert found["bits_per_char"] == expected["bits_per_char"]


def test_what_does_not_use_the_counts_works_without_them(
    charlm: Invoke, counted: Path, tmp_path: Path
) -> None:
    damaged = shutil.copytree(counted, tmp_path / "run")
    (damaged / "counts.safetensors").write_bytes(b"some text\n")
    assert charlm("inspect", "unroll", damaged, "ciao").exit_code == 0
    result = charlm("info", damaged)
    assert result.exit_code == 0
    assert result.stderr.startswith("the counts cannot be used: ")
    refused = charlm("sample", damaged)
    assert "give --network-only, or delete the file" in refused.stderr


@pytest.mark.parametrize(
    "facts",
    [{"characters": "x"}, {"characters": -1}, {"val_bits_per_char_mixture": "0.5"}],
)
def test_counts_that_say_nonsense_about_themselves_are_refused(
    counted: Path, tmp_path: Path, facts: dict[str, Any]
) -> None:
    found = counts.read(counted / "counts.safetensors")
    forged = tmp_path / "counts.safetensors"
    forged.write_bytes(counts.dump(replace(found, facts=found.facts | facts)))
    with pytest.raises(CheckpointError, match="damaged metadata"):
        counts.read(forged)
