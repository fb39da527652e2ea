"""Characters that a model folds into its unknown symbol are paid for, in every figure of a text."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from conftest import write_text

import charlm as package
from charlm import checkpoint
from charlm.engine import log_softmax
from charlm.generate import CharLM
from charlm.surprisal import score
from charlm.text.folding import folding, stored_types, types_to_name, uniform_bits
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer

Invoke = Callable[..., Result]
FOLDED = CharTokenizer("ab", unknown=True)
UNKNOWN = 2
KEPT = 4  # symbols that the run below keeps


# ------------------------------------------------------------------------------------- the counting


def test_folded_characters_are_counted_by_hand() -> None:
    found = folding(FOLDED, ["abcab", "cdda", ""])
    assert found is not None
    assert (found.types, found.share) == (2, 4 / 9)
    assert folding(CharTokenizer("abcd"), ["abcd"]) is None
    assert folding(ByteTokenizer(), ["abcd"]) is None


def test_characters_are_counted_as_they_are_encoded() -> None:
    """In NFC e and its accent are one character."""
    composed = CharTokenizer("a", unknown=True, nfc=True)
    assert folding(composed, ["ae\u0301"]) == folding(composed, ["a\u00e9"])
    assert folding(FOLDED, ["ae\u0301"]) != folding(FOLDED, ["a\u00e9"])


def test_a_text_longer_than_a_slice_is_one_text(monkeypatch: pytest.MonkeyPatch) -> None:
    text = write_text(500)
    tokenizer = CharTokenizer.from_text(text, min_count=20)
    whole = folding(tokenizer, [text])
    monkeypatch.setattr("charlm.text.folding._SLICE", 7)
    assert folding(tokenizer, [text]) == whole


def test_the_number_is_the_corpus_s_or_that_of_a_text_with_more() -> None:
    stored = {"folded_types": 5}
    assert types_to_name(FOLDED, stored, "abcd") == 5
    assert types_to_name(FOLDED, stored, "abcdefghij") == 8
    assert types_to_name(FOLDED, stored, "ab", corpus=["cdefghijk"]) == 5  # one rule, one number
    assert types_to_name(FOLDED, {}, "abcd", corpus=["cef"]) == 4
    assert types_to_name(FOLDED, {}, "ab") == 1
    assert types_to_name(CharTokenizer("ab"), stored, "ab") == 1


@pytest.mark.parametrize("value", [None, 0, -3, True, 2.5, "7", [7], {}, 10**400])
def test_a_number_that_charlm_did_not_write_is_not_used(value: Any) -> None:
    assert stored_types({"folded_types": value}) == 0


# --------------------------------------------------------------------------------------- the charge


def test_an_unknown_symbol_costs_what_naming_one_of_its_types_adds(
    make_lm: Callable[..., CharLM],
) -> None:
    lm = make_lm(FOLDED)
    ids = np.array([UNKNOWN, 0, UNKNOWN, 1, UNKNOWN])  # the first is context
    plain, charged = (score(lm.engine, FOLDED, ids, folded_types=types) for types in (1, 8))
    assert charged.bits_per_char == pytest.approx(plain.bits_per_char + 2 / 4 * 3)
    assert charged.perplexity == pytest.approx(2**charged.bits_per_char)
    assert charged.uncharged_bits == pytest.approx(plain.bits_per_char)
    assert charged.to_dict()["folded"] == {"types": 8, "share": 0.5, "bits_per_char": 1.5}
    letters = CharTokenizer("abc")
    assert "folded" not in score(make_lm(letters).engine, letters, ids).to_dict()


def test_charged_probabilities_of_the_alphabet_add_up_to_one(
    make_lm: Callable[..., CharLM],
) -> None:
    """Whatever the next character is, of two in the vocabulary and six that are folded."""
    lm = make_lm(FOLDED)
    total = 0.0
    for character in "abcdefgh":
        bits = lm.evaluate("ab" + character, corpus=["cdefgh"]).bits_per_char * 2
        first = lm.evaluate("ab").bits_per_char
        total += 2 ** -(bits - first)
    assert total == pytest.approx(1, rel=1e-6)


def test_a_uniform_model_of_a_folded_alphabet() -> None:
    assert uniform_bits(FOLDED, types=6) == 3
    assert uniform_bits(CharTokenizer("abcd")) == 2
    assert uniform_bits(ByteTokenizer()) == 8


# ----------------------------------------------------------------------- in every figure of a text


@pytest.fixture(scope="module")
def corpus_text() -> str:
    return write_text(8000, seed=3)


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory, charlm: Invoke, corpus_text: str) -> Any:
    """A run that keeps four symbols of some thirty, and what its training printed."""
    folder = tmp_path_factory.mktemp("folded")
    (folder / "few.txt").write_text(corpus_text, encoding="utf-8")
    least = Counter(corpus_text).most_common(KEPT)[-1][1]
    shape = ("--hidden-size", 8, "--steps", 20, "--seq-len", 16, "--optimizer", "adamw")
    done = charlm(
        *("train", folder / "few.txt", "--out", folder, "--min-count", least, *shape),
        *("--precision", "float32", "--device", "cpu", "--no-counts"),
    )
    assert done.exit_code == 0, done.output
    return folder / "few", done


@pytest.fixture(scope="module")
def right(folded: Any, corpus_text: str) -> tuple[float, float, int]:
    """(bits per character, the part that names folded characters, K), computed apart: one step
    after another, with dictionaries."""
    lm = package.load(folded[0])
    assert isinstance(lm.tokenizer, CharTokenizer) and len(lm.tokenizer.characters) == KEPT
    ids = {character: number for number, character in enumerate(lm.tokenizer.characters)}
    types = set(corpus_text) - set(ids)
    assert len(types) > 20
    text = corpus_text[int(len(corpus_text) * 0.9) :]
    state, total, naming = lm.engine.initial_state(1), 0.0, 0.0
    for before, after in itertools.pairwise(text):
        logits, state = lm.engine.step(np.array([ids.get(before, KEPT)]), state)
        total -= float(log_softmax(logits[0])[ids.get(after, KEPT)]) / math.log(2)
        naming += 0.0 if after in ids else math.log2(len(types))
    count = len(text) - 1
    return (total + naming) / count, naming / count, len(types)


def test_a_folded_model_is_not_flattered(charlm: Invoke, folded: Any, right: Any) -> None:
    """Uncharged, it would be below character frequencies, though it hardly knows any character."""
    bits, naming, _ = right
    facts = json.loads(charlm("eval", folded[0], "--json").stdout)
    assert facts["bits_per_char"] == pytest.approx(bits, rel=1e-4)
    assert facts["bits_per_char"] - naming < facts["ladder"]["unigram"] < facts["bits_per_char"]
    assert facts["bits_per_char"] < facts["ladder"]["uniform"]


def test_train_eval_json_and_provenance_agree(charlm: Invoke, folded: Any, right: Any) -> None:
    run, done = folded
    bits, naming, types = right
    line = next(line for line in done.stdout.splitlines() if line.startswith("best validation"))
    found = re.search(r"validation (\S+) bits.* = (\S+) nats.*uniform .*: (\S+) bits", line)
    assert found is not None
    assert float(found[1]) == pytest.approx(bits, abs=2e-4)
    assert float(found[2]) == pytest.approx(bits * math.log(2), abs=2e-4)
    assert float(found[3]) == pytest.approx(math.log2(types + KEPT), abs=1e-4)
    assert f"each as one of {types}" in done.stderr and f"{naming:.4f} of the bits" in done.stderr
    shown = charlm("eval", run)
    assert shown.stdout.startswith(f"{found[1]} bits/char")
    assert f"each as one of {types}" in shown.stderr and "counted in" not in shown.stderr
    facts = json.loads(charlm("eval", run, "--json").stdout)
    assert facts["folded"]["types"] == types
    assert facts["folded"]["bits_per_char"] == pytest.approx(naming)
    stored = checkpoint.read(run / "best.safetensors").provenance
    assert stored["val_bits_per_char_charged"] == facts["bits_per_char"]
    assert stored["val_bits_per_char"] == pytest.approx(bits - naming, abs=1e-4)  # as it ever was
    assert stored["folded_types"] == types
    assert 0.5 < stored["folded_share"] < 0.8


def test_score_and_report_say_the_same(
    charlm: Invoke, folded: Any, right: Any, tmp_path: Path, corpus_text: str
) -> None:
    run, _ = folded
    bits, _, types = right
    text = corpus_text[int(len(corpus_text) * 0.9) :]
    scored = charlm("score", run, "--json", input=text.encode())
    each = [json.loads(line)["bits"] for line in scored.stdout.splitlines()]
    assert sum(each[1:]) / len(each[1:]) == pytest.approx(bits, rel=1e-4)
    assert f"{bits:.2f}" in scored.stderr and f"each as one of {types}" in scored.stderr
    tokenizer = package.load(run).tokenizer
    assert isinstance(tokenizer, CharTokenizer)
    kept = tokenizer.characters
    rare = [b for c, b in zip(text[1:], each[1:], strict=True) if c not in kept]
    assert min(rare) > math.log2(types)
    done = charlm("report", run, "--out", tmp_path / "page.html")
    assert done.exit_code == 0, done.output
    page = unescape((tmp_path / "page.html").read_text("utf-8"))
    (shown,) = re.findall(r"<b>(\S+)</b> bits per character", page)
    assert float(shown) == pytest.approx(bits, abs=2e-4)
    assert f"each as one of {types}" in page
    learnt = charlm("score", run, "--dynamic", input=text.encode())
    assert float(learnt.stdout.split()[1]) == pytest.approx(bits, abs=2e-4)


def test_an_older_model_counts_in_the_corpus_or_in_the_text_and_says_so(
    charlm: Invoke, folded: Any, right: Any, tmp_path: Path, corpus_text: str
) -> None:
    run, _ = folded
    bits, _, types = right
    older = tmp_path / "run"
    older.mkdir()
    for file in ("best", "last"):
        saved = checkpoint.read(run / f"{file}.safetensors")
        kept = {k: v for k, v in saved.provenance.items() if "fold" not in k and "charged" not in k}
        checkpoint.write(older / f"{file}.safetensors", replace(saved, provenance=kept))
    done = charlm("eval", older)
    assert done.stdout.startswith(f"{bits:.2f}")
    assert f"each as one of {types} (counted in the corpus" in done.stderr
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((older / "best.safetensors").read_bytes())
    done = charlm("eval", alone, "-", input="eccole! eccole!")
    assert "(counted in this text alone, which may be too few" in done.stderr
    assert len(set(corpus_text)) == types + KEPT


def test_a_run_without_validation_text_has_the_number_too(
    charlm: Invoke, tmp_path: Path, corpus_text: str
) -> None:
    source = tmp_path / "all.txt"
    source.write_text(corpus_text, encoding="utf-8")
    done = charlm(
        *("train", source, "--out", tmp_path, "--min-count", 100, "--val-fraction", 0),
        *("--hidden-size", 4, "--steps", 1, "--optimizer", "sgd", "--device", "cpu"),
    )
    assert done.exit_code == 0, done.output
    stored = checkpoint.read(tmp_path / "all" / "best.safetensors").provenance
    rare = {c: n for c, n in Counter(corpus_text).items() if n < 100}
    assert stored["folded_types"] == len(rare)
    assert stored["folded_share"] == pytest.approx(sum(rare.values()) / len(corpus_text))
    assert "val_exact" not in stored
