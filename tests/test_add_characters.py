"""New text, new characters: what a model keeps when it gets more, and what it says about itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from numpy.typing import NDArray

from charlm import checkpoint
from charlm.checkpoint import Checkpoint
from charlm.config import CELLS, ModelConfig, default_learning_rate
from charlm.extending import unseen_characters, with_characters
from charlm.itemfacts import ItemFacts
from charlm.lineage import earlier_models, lineage_after
from charlm.models.language import build
from charlm.rundir import Run
from charlm.text import dataset as data
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer, Tokenizer

Invoke = Callable[..., Result]

OLD, NEW = "abdeghz", "Acéfy☃"  # before, between and after the old ones


def random_model(tokenizer: Tokenizer, **shape: object) -> Checkpoint:
    options = {"hidden_size": 8, "embedding_size": 8, "context": 3} | shape
    config = ModelConfig.resolve(vocab_size=tokenizer.vocab_size, **options)
    rng = np.random.default_rng(5)
    shapes = config.parameter_shapes().items()
    weights = {name: rng.normal(0, 0.5, size).astype(np.float32) for name, size in shapes}
    items = None if config.task == "text" else ItemFacts("\n")
    return Checkpoint(config, tokenizer, weights, items=items)


def logits_of(model: Checkpoint, text: str) -> NDArray[np.float64]:
    """After every character of ``text``, by torch in float64: (T, V)."""
    network = build(model.config, seed=0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.from_numpy(model.weights[name]))
    network = network.double()
    network.eval()
    ids = torch.from_numpy(model.tokenizer.encode(text).astype(np.int64))[None]
    state = tuple(part.double() for part in network.initial_state(1))
    with torch.no_grad():
        logits, _ = network(ids, state)
    found: NDArray[np.float64] = logits[0].numpy()
    return found


def ids_of(model: Checkpoint, characters: str) -> NDArray[np.int64]:
    return model.tokenizer.encode(characters).astype(np.int64)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize("unknown", [False, True])
def test_old_characters_keep_the_ratios_of_their_probabilities(
    cell: str, tie: bool, unknown: bool
) -> None:
    """In random contexts of old characters; and a new one is as likely as their geometric mean."""
    old = random_model(CharTokenizer(OLD, unknown=unknown), cell=cell, tie=tie)
    new = with_characters(old, NEW)
    text = "".join(np.random.default_rng(3).choice(list(OLD), 60))
    before, after = logits_of(old, text), logits_of(new, text)
    kept, added = ids_of(new, OLD), ids_of(new, NEW)
    assert after.shape == (60, len(OLD) + len(NEW) + unknown)
    known = before[:, : len(OLD)]
    np.testing.assert_allclose(after[:, kept], known, rtol=0, atol=1e-12)
    if unknown:
        np.testing.assert_allclose(after[:, -1], before[:, -1], rtol=0, atol=1e-12)
    mean = known.mean(axis=1, keepdims=True).repeat(len(NEW), axis=1)
    np.testing.assert_allclose(after[:, added], mean, rtol=0, atol=1e-6)
    # The control: in the order of their ids nothing fits.
    assert np.abs(after[:, : len(OLD)] - known).max() > 0.1


def test_the_vocabulary_remains_sorted_and_every_row_moves_with_its_character() -> None:
    tokenizer = CharTokenizer("ace", unknown=True, nfc=True, newline="unix")
    old = random_model(tokenizer)
    new = with_characters(replace(old, provenance={"corpus": "x"}), "db")
    wanted = CharTokenizer("abcde", unknown=True, nfc=True, newline="unix")
    assert new.tokenizer.to_dict() == wanted.to_dict()
    assert new.provenance == {"corpus": "x"} and new.config.vocab_size == 6
    for name in ("body.embedding.weight", "head.weight", "head.bias"):
        a, c, e, unknown = old.weights[name]
        mean = (a.astype(np.float64) + c + e) / 3
        expected = np.stack([a, mean, c, mean, e, unknown])
        np.testing.assert_allclose(new.weights[name], expected, rtol=0, atol=1e-7)
        np.testing.assert_array_equal(new.weights[name][[0, 2, 4, 5]], old.weights[name])
    for name in set(old.weights) - {"body.embedding.weight", "head.weight", "head.bias"}:
        assert new.weights[name] is old.weights[name]


def test_a_model_that_rewrites_gets_rows_in_its_head_too() -> None:
    old = random_model(CharTokenizer("\n" + OLD), task="rewrite")
    new = with_characters(old, "☃")
    for name, shape in new.config.parameter_shapes().items():
        assert new.weights[name].shape == shape
    rows = ids_of(new, "\n" + OLD)
    np.testing.assert_array_equal(new.weights["head.weight"][rows], old.weights["head.weight"])


def test_what_cannot_be_added_is_refused() -> None:
    with pytest.raises(ValueError, match="each once"):
        with_characters(random_model(CharTokenizer("ab")), "cb")
    with pytest.raises(ValueError, match="bytes"):
        with_characters(random_model(ByteTokenizer()), "c")


@pytest.mark.parametrize(
    ("tokenizer", "expected"),
    [
        (CharTokenizer("ab"), "e\u0301é☃"),
        (CharTokenizer("ab", nfc=True), "é☃"),
        (CharTokenizer("ab", unknown=True), "e\u0301é☃"),
        (ByteTokenizer(), ""),
    ],
)
def test_unseen_characters_are_those_of_all_parts(tokenizer: Tokenizer, expected: str) -> None:
    texts = data.Texts.of("abe\u0301é", "ba☃☃")
    assert unseen_characters(texts, tokenizer) == "".join(sorted(expected))


# --------------------------------------------------------------------------------- by the command

SMALL: list[object] = [
    *("--precision", "float32", "--device", "cpu", "--optimizer", "adamw"),
    *("--batch-size", 4, "--seq-len", 20, "--eval-every", 5),
]


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory, text: str) -> Path:
    """``text`` with three characters that it does not have, one of them in the last tenth only."""
    path = tmp_path_factory.mktemp("strange") / "strange.txt"
    changed = text.replace("mare", "ñare").replace("monte", "☃onte")
    path.write_text(changed[:-5] + "ø" * 5, encoding="utf-8")
    return path


def begin(strange: Path, start: Path, out: Path, *more: object) -> list[object]:
    return ["train", strange, "--init-from", start, "--out", out, *SMALL, *more]


@pytest.fixture(scope="module")
def added(
    tmp_path_factory: pytest.TempPathFactory, charlm: Invoke, trained: Path, strange: Path
) -> Path:
    """A run of one step that began from ``trained`` with three more characters."""
    out = tmp_path_factory.mktemp("added")
    done = charlm(*begin(strange, trained, out, "--steps", 1, "--add-characters"))
    assert done.exit_code == 0, done.stderr
    assert "added   3 to the characters of the model: 'ñ' U+00F1, 'ø' U+00F8, '☃' U+2603" in (
        done.stderr
    )
    return out / "strange"


def test_before_the_first_update_nothing_old_has_changed(
    added: Path, trained: Path, text: str
) -> None:
    """``previous`` is what was saved at step 0."""
    old = checkpoint.read(trained / "best.safetensors")
    new = checkpoint.read(added / "previous.safetensors")
    assert new.training is not None and new.training["progress"]["step"] == 0
    assert new.provenance["step"] == 0
    assert not [name for name in new.extra if name.startswith("optimizer:")]
    known = old.tokenizer.to_dict()["characters"]
    kept = ids_of(new, known)
    after = logits_of(new, text[:200])[:, kept]
    np.testing.assert_allclose(after, logits_of(old, text[:200]), rtol=0, atol=1e-12)
    trained_on = checkpoint.read(added / "last.safetensors")
    assert np.abs(logits_of(trained_on, text[:200])[:, kept] - after).max() > 1e-3  # the control


def test_without_the_option_the_error_says_what_it_would_add(
    charlm: Invoke, trained: Path, strange: Path, tmp_path: Path
) -> None:
    done = charlm(*begin(strange, trained, tmp_path / "out"))
    assert done.exit_code == 2
    assert "the model has never seen: '☃' U+2603 (" in done.stderr
    assert (
        "add the 3 new characters of the text with --add-characters, remove them, or" in done.stderr
    )
    assert not (tmp_path / "out").exists()


def test_a_run_with_more_characters_resumes_exactly(
    charlm: Invoke, trained: Path, strange: Path, tmp_path: Path
) -> None:
    options = ["--steps", 8, "--add-characters"]
    assert charlm(*begin(strange, trained, tmp_path / "whole", *options)).exit_code == 0
    assert (
        charlm(*begin(strange, trained, tmp_path / "parts", *options, "--stop-at", 3)).exit_code
        == 0
    )
    assert charlm("train", "--resume", tmp_path / "parts" / "strange").exit_code == 0
    for file in ("best.safetensors", "last.safetensors"):
        one, other = (checkpoint.read(tmp_path / n / "strange" / file) for n in ("whole", "parts"))
        assert checkpoint.state_sha256(one) == checkpoint.state_sha256(other)
        assert one.provenance == other.provenance


def test_only_with_new_characters_the_default_rate_is_lower(
    charlm: Invoke, trained: Path, strange: Path, corpus: Path, tmp_path: Path
) -> None:
    def rate(text: Path, *more: object) -> float:
        options = ["--steps", 1, "--add-characters", "--name", "run", "--force", *more]
        assert charlm(*begin(text, trained, tmp_path, *options)).exit_code == 0
        found = checkpoint.read_header(tmp_path / "run" / "last.safetensors").training
        assert found is not None
        return float(found["config"]["learning_rate"])

    usual = default_learning_rate("adamw", 16)
    assert rate(strange) == usual / 2
    assert rate(corpus) == usual
    assert rate(strange, "--learning-rate", 0.0123) == 0.0123


def test_the_provenance_remembers_every_text_and_no_path(
    charlm: Invoke, added: Path, trained: Path, strange: Path, corpus: Path, tmp_path: Path
) -> None:
    first, second = (checkpoint.read(each / "best.safetensors") for each in (trained, added))
    assert second.provenance["corpus"] == "strange"
    (entry,) = second.provenance["started_from"]
    assert entry == lineage_after(first)[0]
    assert entry["corpus"] == "tiny"
    assert entry["corpus_sha256"] == first.provenance["corpus_sha256"]
    assert entry["step"] == first.provenance["step"]
    assert entry["weights_sha256"] == checkpoint.weights_sha256(first)
    assert entry["val_bits_per_char"] == first.provenance["val_bits_per_char"]
    done = charlm(*begin(corpus, added, tmp_path, "--steps", 1, "--name", "third"))
    assert done.exit_code == 0, done.stderr  # the old text again: it has no new characters
    third = checkpoint.read(tmp_path / "third" / "best.safetensors").provenance
    assert third["started_from"] == [entry, lineage_after(second)[1]]
    assert str(corpus.parent) not in json.dumps(third) and str(trained) not in json.dumps(third)
    shown = charlm("info", tmp_path / "third").stdout
    (line,) = [each for each in shown.splitlines() if each.startswith("started_from")]
    bits = [each["val_bits_per_char"] for each in third["started_from"]]
    steps = [each["step"] for each in third["started_from"]]
    assert line == (
        f"started_from tiny at step {steps[0]}, {bits[0]:.3f} bits/char, then strange at step "
        f"{steps[1]}, {bits[1]:.3f} bits/char"
    )
    assert "started_from" not in charlm("info", trained).stdout


@pytest.mark.parametrize(
    "wrong",
    [
        *(7, "x", {"corpus": "y"}, [7], [[]], [None], [{}], [{"corpus": 5}]),
        [{"corpus": "y\x1b[2J", "corpus_sha256": "0", "train_characters": 10**400}],
        [{"corpus": "y", "corpus_sha256": "0", "train_characters": -1, "val_characters": 1}],
    ],
)
def test_a_file_that_says_nonsense_about_its_past_can_be_used(
    charlm: Invoke, added: Path, corpus: Path, tmp_path: Path, wrong: Any
) -> None:
    run = Path(shutil.copytree(added, tmp_path / "run"))
    for path in (run / "best.safetensors", run / "last.safetensors"):
        saved = checkpoint.read(path)
        facts = {"started_from": wrong, "legs": wrong}
        checkpoint.write(path, replace(saved, provenance=saved.provenance | facts))
    assert earlier_models({"started_from": wrong}) == []
    shown = charlm("info", run)
    assert shown.exit_code == 0 and "\x1b" not in shown.stdout
    assert charlm("eval", run, corpus, "--no-ladder").exit_code == 0
    assert charlm("train", "--resume", run).exit_code == 0
    assert charlm(*begin(corpus, run, tmp_path, "--steps", 1, "--name", "next")).exit_code == 0


def test_eval_on_the_old_text_says_what_was_forgotten(
    charlm: Invoke, added: Path, trained: Path, corpus: Path, text: str, tmp_path: Path
) -> None:
    held_out = tmp_path / "held-out.txt"
    held_out.write_text(text[1350:], encoding="utf-8")

    def bits(*arguments: object) -> Any:
        done = charlm("eval", *arguments, "--no-ladder", "--json")
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    told = bits(added, corpus)
    assert told["earlier"] == {
        "corpus": "tiny",
        "step": checkpoint.read_header(trained / "best.safetensors").provenance["step"],
        "characters": 149,
        "bits_per_char": pytest.approx(bits(added, held_out, "--network-only")["bits_per_char"]),
        "bits_per_char_before": pytest.approx(bits(trained)["bits_per_char"]),
    }
    assert told["bits_per_char"] != told["earlier"]["bits_per_char"]  # that of the whole text
    now, before = told["earlier"]["bits_per_char"], told["earlier"]["bits_per_char_before"]
    said = charlm("eval", added, corpus, "--no-ladder").stdout.splitlines()[1]
    verdict = f"{now - before:.4f} were" if now > before else "nothing was"
    assert said == (
        f"earlier   {now:.4f} bits/char: the network alone on the validation text of tiny (149 "
        f"characters); it was {before:.4f}, so {verdict} forgotten"
    )
    assert "earlier" not in bits(added, held_out)
    assert "earlier" not in bits(trained, corpus)


# ----------------------------------------------------------------------------- every kind of model


def test_a_model_with_an_unknown_symbol_gets_rows_for_what_it_would_fold(
    charlm: Invoke, corpus: Path, strange: Path, tmp_path: Path
) -> None:
    options = [*SMALL, "--hidden-size", 8, "--steps", 2, "--out", tmp_path]
    assert charlm("train", corpus, *options, "--min-count", 20, "--name", "rare").exit_code == 0
    rare = checkpoint.read(tmp_path / "rare" / "best.safetensors").tokenizer
    folds = charlm(*begin(strange, tmp_path / "rare", tmp_path, "--steps", 1, "--name", "folds"))
    assert folds.exit_code == 0 and "are read as the unknown symbol" in folds.stderr
    adds = charlm(
        *begin(strange, tmp_path / "rare", tmp_path, "--steps", 1, "--name", "adds"),
        "--add-characters",
    )
    assert adds.exit_code == 0, adds.stderr
    found = checkpoint.read(tmp_path / "adds" / "best.safetensors").tokenizer
    everything = set(strange.read_text(encoding="utf-8")) | set(rare.to_dict()["characters"])
    assert found.to_dict() == rare.to_dict() | {"characters": "".join(sorted(everything))}
    assert "folded  0 % of the characters" in adds.stderr


def test_where_there_is_nothing_to_add_that_is_said(
    charlm: Invoke, trained: Path, corpus: Path, strange: Path, tmp_path: Path
) -> None:
    same = charlm(*begin(corpus, trained, tmp_path, "--steps", 1, "--add-characters"))
    assert same.exit_code == 0
    assert "--add-characters adds nothing: the model knows every character" in same.stderr
    options = [*SMALL, "--hidden-size", 8, "--steps", 1, "--out", tmp_path]
    charlm("train", corpus, *options, "--tokenizer", "byte", "--name", "bytes")
    more = begin(strange, tmp_path / "bytes", tmp_path, "--steps", 1, "--add-characters")
    done = charlm(*more)
    assert done.exit_code == 0, done.stderr
    assert "--add-characters adds nothing: a model of bytes can read every character" in done.stderr
    alone = charlm("train", strange, "--add-characters", "--out", tmp_path / "none")
    assert alone.exit_code == 2 and "give it with --init-from MODEL" in alone.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("newline", "grows"), [("auto", False), ("keep", True)])
def test_line_ends_with_cr_are_no_new_characters_unless_they_are_kept(
    charlm: Invoke, trained: Path, text: str, tmp_path: Path, newline: str, grows: bool
) -> None:
    (tmp_path / "dos.txt").write_bytes(text.replace("\n", "\r\n").replace("mare", "ñ").encode())
    options = ["--steps", 1, "--add-characters", "--newline", newline]
    done = charlm(*begin(tmp_path / "dos.txt", trained, tmp_path, *options))
    assert done.exit_code == 0, done.stderr
    found = checkpoint.read(tmp_path / "dos" / "best.safetensors").tokenizer.to_dict()
    assert ("\r" in found["characters"]) is grows and "ñ" in found["characters"]
    assert charlm("train", "--resume", tmp_path / "dos", "--steps", "+2").exit_code == 0
    assert Run(tmp_path / "dos").read_log()[-1]["leg"] == 2
