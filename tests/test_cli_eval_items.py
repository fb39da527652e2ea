"""Runs on items held against lists: what ``eval`` says is what other commands say, one by one."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from listing import FEW

import charlm as package
from charlm import checkpoint
from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig
from charlm.errors import RequestError
from charlm.generate import CharLM
from charlm.inspection import itemreport
from charlm.itemfacts import ItemFacts
from charlm.ladder import item_ladder
from charlm.ngram import NGramModel
from charlm.onelabel import of_label
from charlm.runs import open_model
from charlm.text.records import Record
from charlm.text.tokenizer import CharTokenizer

Invoke = Callable[..., Result]
Runs = dict[str, Path]


@pytest.fixture(scope="module")
def rewriter(tmp_path_factory: pytest.TempPathFactory, charlm: Invoke) -> Path:
    """A run that turns words around, badly."""
    path = tmp_path_factory.mktemp("rewriter")
    words = [a + b + c for a in "abc" for b in "xyz" for c in "uvw"]
    (path / "turned.tsv").write_text("".join(f"{word}\t{word[::-1]}\n" for word in words))
    result = charlm(
        *("train", path / "turned.tsv", "--task", "rewrite", "--out", path, *FEW, "--steps", 60)
    )
    assert result.exit_code == 0, result.output
    return path / "turned"


def held_out(run: Path) -> list[Record]:
    items = open_model(str(run)).texts.items
    assert items is not None
    return items.val


def evaluated(charlm: Invoke, run: Path, *more: object) -> dict[str, Any]:
    result = charlm("eval", run, "--json", *more)
    assert result.exit_code == 0, result.output
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def asked(charlm: Invoke, command: str, run: Path, texts: Sequence[str], *more: object) -> str:
    result = charlm(command, run, "-", *more, input="\n".join(texts) + "\n")
    assert result.exit_code == 0, result.output
    return result.stdout


# -------------------------------------------------------------------------------------- the loss


def test_the_loss_of_items_is_that_of_their_scores(charlm: Invoke, runs: Runs) -> None:
    val = held_out(runs["items"])
    facts = evaluated(charlm, runs["items"])
    lines = asked(charlm, "score", runs["items"], [r.text for r in val], "--json").splitlines()
    scores = [json.loads(line) for line in lines]
    bits, characters = sum(s["bits"] for s in scores), sum(s["characters"] for s in scores)
    assert characters == sum(len(r.text) + 1 for r in val) == facts["characters"]
    assert facts["bits_per_char"] == pytest.approx(bits / characters, rel=1e-6)
    assert facts["bits_per_item"] == pytest.approx(bits / len(val), rel=1e-6)
    assert facts["training_items"] == 0
    assert facts["bits_per_char"] < facts["ladder"]["unigram"] < facts["ladder"]["uniform"]
    printed = charlm("eval", runs["items"]).stdout
    assert f"{facts['bits_per_item']:.3f} bits/item" in printed
    assert "7-gram   modified Kneser-Ney, by item" in printed


@pytest.mark.parametrize("order", [2, 4])
def test_an_n_gram_reads_no_item_beside_another(order: int) -> None:
    train, items = ["anna", "bob", "ada", "nora", "b"], ["bona", "a", "dora"]
    rungs = {rung.name: rung.bits_per_char for rung in item_ladder(train, items, "|", order=order)}
    symbols = sorted({*"".join(train + items), "|"})
    number = {c: k for k, c in enumerate(symbols)}
    pads = "|" * (order - 2)
    text = "|" + "".join(pads + item + "|" for item in train)
    model = NGramModel.fit([number[c] for c in text], len(symbols), order)
    nats = 0.0
    for item in items:  # each alone, after as many end symbols as its context is long
        ids = [number[c] for c in "|" * (order - 1) + item + "|"]
        nats += float(model.nats(ids)[-(len(item) + 1) :].sum())
    total = sum(len(item) + 1 for item in items)
    assert rungs[f"{order}-gram"] == pytest.approx(nats / total / math.log(2), rel=1e-9)
    counts = Counter("".join(item + "|" for item in train))
    unigram = [
        math.log2((counts[c] + 1) / (counts.total() + len(symbols))) for c in "|".join(items) + "|"
    ]
    assert rungs["unigram"] == pytest.approx(-sum(unigram) / total, rel=1e-9)
    with pytest.raises(RequestError, match="there are no items to compare"):
        item_ladder(train, [], "|")


# ----------------------------------------------------------------------------- labels, tags, texts


@pytest.mark.parametrize("kind", ["labelled", "classify"])
def test_the_accuracy_is_that_of_classify(charlm: Invoke, runs: Runs, kind: str) -> None:
    val = held_out(runs[kind])
    facts = evaluated(charlm, runs[kind])
    lines = asked(charlm, "classify", runs[kind], [r.text for r in val], "--json").splitlines()
    found = [json.loads(line) for line in lines]
    right = [each["label"] == record.label for each, record in zip(found, val, strict=True)]
    nats = [-math.log(each["probabilities"][r.label]) for each, r in zip(found, val, strict=True)]
    assert facts["labels"]["accuracy"] == pytest.approx(np.mean(right))
    assert facts["labels"]["nats_per_item"] == pytest.approx(np.mean(nats), rel=1e-6)
    most = Counter(record.label for record in val).most_common(1)[0]
    known = open_model(str(runs[kind])).checkpoint.items
    assert known is not None
    frequent = max(zip(known.counts, known.labels, strict=True))[1]
    share = np.mean([record.label == frequent for record in val])
    assert facts["controls"]["most frequent label"]["accuracy"] == pytest.approx(share)
    assert most[1] >= share * len(val)
    assert "naive Bayes of n-grams" in facts["controls"]
    printed = charlm("eval", runs[kind]).stdout
    assert ("labels by Bayes' rule" in printed) is (kind == "labelled")
    assert "calibration error" in printed and "-> this model" in printed


def test_the_tags_that_are_right_are_those_of_tag(charlm: Invoke, runs: Runs) -> None:
    val = held_out(runs["tag"])
    facts = evaluated(charlm, runs["tag"])
    answers = asked(charlm, "tag", runs["tag"], [r.text for r in val]).splitlines()
    pairs = [
        (t, a)
        for r, tags in zip(val, answers, strict=True)
        for t, a in zip(r.label, tags, strict=True)
    ]
    assert facts["tags"]["accuracy"] == pytest.approx(np.mean([t == a for t, a in pairs]))
    whole = np.mean([r.label == tags for r, tags in zip(val, answers, strict=True)])
    assert facts["tags"]["whole_items"] == pytest.approx(whole)
    same = np.mean([t == c for r in val for t, c in zip(r.label, r.text, strict=True)])
    assert facts["controls"]["nothing is found"]["accuracy"] == pytest.approx(same)
    assert "WHOLE ITEMS" in charlm("eval", runs["tag"]).stdout


def test_what_is_exact_is_what_rewrite_writes(charlm: Invoke, rewriter: Path) -> None:
    val = held_out(rewriter)
    facts = evaluated(charlm, rewriter, "--beam", 2)
    written = asked(charlm, "rewrite", rewriter, [r.text for r in val], "--beam", 2).splitlines()
    exact = np.mean([r.label == text for r, text in zip(val, written, strict=True)])
    assert facts["rewritten"]["exact_match"] == pytest.approx(exact)
    assert facts["rewritten"]["beam"] == 2
    assert facts["controls"]["copy the source"]["exact_match"] == 0.0
    assert "(greedy search)" in charlm("eval", rewriter).stdout


def test_a_list_that_was_trained_on_is_told(charlm: Invoke, runs: Runs, lists: Path) -> None:
    result = charlm("eval", runs["items"], lists / "names.txt")
    assert "of the 240 items are training items: the result is better than on new ones" in (
        result.stderr
    )


def test_what_cannot_be_evaluated_is_refused(
    charlm: Invoke,
    runs: Runs,
    trained: Path,
    tmp_path: Path,
) -> None:
    assert "--beam is for a model that rewrites" in charlm("eval", trained, "--beam", 2).stderr
    result = charlm("eval", runs["classify"], "--test")
    assert result.exit_code == 2
    assert "has no test items" in result.stderr
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((runs["items"] / "best.safetensors").read_bytes())
    result = charlm("eval", alone)
    assert result.exit_code == 2
    assert "no validation items" in result.stderr
    (tmp_path / "new.txt").write_text("Maro\nLuca\n")
    result = charlm("eval", alone, tmp_path / "new.txt")
    assert result.exit_code == 0, result.output
    assert "no baselines" in result.stderr


# ------------------------------------------------------------------------------------- the reports


@pytest.mark.parametrize("kind", ["items", "labelled", "classify", "tag", "rewrite"])
def test_a_report_shows_what_eval_says(
    charlm: Invoke,
    runs: Runs,
    rewriter: Path,
    tmp_path: Path,
    kind: str,
) -> None:
    run = rewriter if kind == "rewrite" else runs[kind]
    out = tmp_path / "page.html"
    result = charlm("report", run, "--out", out)
    assert result.exit_code == 0, result.output
    page, facts = out.read_text(encoding="utf-8"), evaluated(charlm, run)
    assert page.count("<svg") >= {"classify": 3, "labelled": 3}.get(kind, 1)
    shown = {
        "items": f"<b>{facts.get('bits_per_char', 0):.4f}</b> bits per character",
        "labelled": f"<b>{100 * facts.get('labels', {}).get('accuracy', 0):.2f} %</b> of",
        "classify": f"<b>{100 * facts.get('labels', {}).get('accuracy', 0):.2f} %</b> of",
        "tag": f"<b>{100 * facts.get('tags', {}).get('accuracy', 0):.2f} %</b> of",
        "rewrite": f"<b>{100 * facts.get('rewritten', {}).get('exact_match', 0):.2f} %</b> of",
    }
    assert shown[kind] in page
    assert ("Which characters decided" in page) is (kind in ("labelled", "classify"))
    assert ("Where it looks" in page) is (kind == "rewrite")


def test_a_label_from_elsewhere_cannot_write_into_the_page(charlm: Invoke, tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    lines = [f"{'ab' * (k % 5 + 1)}{k}\t{hostile if k % 2 else 'fine'}\n" for k in range(60)]
    (tmp_path / "hostile.tsv").write_text("".join(lines))
    made = charlm(
        *("train", tmp_path / "hostile.tsv", "--labelled", "--out", tmp_path, *FEW, "--steps", 5)
    )
    assert made.exit_code == 0, made.output
    out = tmp_path / "page.html"
    assert charlm("report", tmp_path / "hostile", "--out", out).exit_code == 0
    page = out.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_examples_are_wrong_ones_first_and_spread_over_the_list() -> None:
    right = [number % 3 > 0 for number in range(90)]
    chosen = itemreport._chosen(right)
    wrong = [number for number in chosen if not right[number]]
    assert chosen[: len(wrong)] == wrong == [0, 15, 30, 45, 60, 75]
    assert len(chosen) == itemreport.EXAMPLES
    assert max(chosen) > 70


# --------------------------------------------------------------------- one label, and from Python


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "window", "conv"])
@pytest.mark.parametrize("tie", [False, True])
def test_the_model_of_one_label_predicts_as_the_model_with_that_label(cell: str, tie: bool) -> None:
    config = ModelConfig.resolve(
        vocab_size=4, cell=cell, hidden_size=6, context=3, task="items", num_labels=2, tie=tie
    )
    rng = np.random.default_rng(0)
    weights = {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in config.parameter_shapes().items()
    }
    facts = ItemFacts("|", ("one", "two"), (3, 1))
    model = Checkpoint(config, CharTokenizer("abc|"), weights, items=facts)
    for label in ("two", {"one": 1.0, "two": 3.0}):
        alone = CharLM(of_label(model, {label: 1.0} if isinstance(label, str) else label))
        assert not alone.labels
        expected = CharLM(model).start("abca", label=label).logits
        np.testing.assert_allclose(alone.start("abca").logits, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(RequestError, match="no label 'three'"):
        of_label(model, {"three": 1.0})
    with pytest.raises(RequestError, match="has no labels; leave out --label"):
        of_label(of_label(model, {"one": 1.0}), {"one": 1.0})


def test_inspect_wants_to_know_as_what(charlm: Invoke, runs: Runs) -> None:
    result = charlm("inspect", "unroll", runs["labelled"], "Maro")
    assert result.exit_code == 2
    assert "has labels; say as what to look at it, for example --label de" in result.stderr
    assert charlm("inspect", "unroll", runs["labelled"], "Maro", "--label", "it").exit_code == 0


def test_the_models_that_answer_from_python(charlm: Invoke, runs: Runs, rewriter: Path) -> None:
    texts = ["Maro", "Helmut"]
    for kind in ("labelled", "classify"):
        found = package.load_classifier(runs[kind]).classify(texts)
        lines = asked(charlm, "classify", runs[kind], texts).splitlines()
        assert [line.split("\t")[0] for line in lines] == [label for label, _ in found]
        assert [float(line.split("\t")[1]) for line in lines] == [round(p, 4) for _, p in found]
    tags = package.load_tagger(runs["tag"]).tag(["cosi e"])
    assert tags == asked(charlm, "tag", runs["tag"], ["cosi e"]).splitlines()
    (best,) = package.load_rewriter(rewriter).rewrite(["axu"])[0]
    assert [best.text] == asked(charlm, "rewrite", rewriter, ["axu"]).splitlines()
    with pytest.raises(RequestError, match="cannot tag: it was trained with --task classify"):
        package.load_tagger(runs["classify"])


def test_info_tells_end_and_labels(charlm: Invoke, runs: Runs) -> None:
    shown = charlm("info", runs["labelled"]).stdout
    facts = checkpoint.read(runs["labelled"] / "best.safetensors").items
    assert facts is not None
    assert f"labels      2: {facts.describe()[3:]}" in shown
    assert json.loads(charlm("info", runs["labelled"], "--json").stdout)["items"]["end"] == "\n"


def test_the_text_of_a_list_alone_is_not_enough(
    charlm: Invoke,
    runs: Runs,
    lists: Path,
    tmp_path: Path,
) -> None:
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((runs["items"] / "best.safetensors").read_bytes())
    result = charlm("sample", alone, "--new", "--corpus", lists / "names.txt")
    assert result.exit_code == 2
    assert "does not say how its corpus was read" in result.stderr
