"""Lists of items by the command line: train, sample, score, classify and tag, end to end."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from listing import FEW, KINDS, names
from test_imports import brings_torch, command

from charlm import checkpoint
from charlm.runs import load, open_model
from charlm.tasks.answers import Classifier, Tagger
from charlm.text import dataset as data
from charlm.text.dataset import Source

Invoke = Callable[..., Result]

# -------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("kind", ["items", "labelled"])
def test_a_list_is_learned_better_than_by_its_letters_alone(
    runs: dict[str, Path], lists: Path, kind: str
) -> None:
    """Below the loss of the training items' own frequencies of characters, ends included."""
    found = open_model(str(runs[kind]))
    items = found.texts.items
    assert items is not None
    train = Counter("".join(record.text + "\n" for record in items.train))
    val = Counter("".join(record.text + "\n" for record in items.val))
    total = sum(train.values())
    bits = -sum(
        n * math.log2((train[c] + 1) / (total + len(train) + 1)) for c, n in val.items()
    ) / sum(val.values())
    facts = found.provenance
    assert facts["val_bits_per_char"] < bits - 0.5
    assert facts["val_bits_per_item"] == pytest.approx(
        facts["val_bits_per_char"] * sum(val.values()) / len(items.val)
    )
    # What training says of its best model is what the exact loss says.
    log = [json.loads(line) for line in (runs[kind] / "log.jsonl").read_text().splitlines()]
    best = min(record["val_bits_per_char"] for record in log)
    assert best == pytest.approx(facts["val_bits_per_char"], abs=1e-5)
    scores = load(runs[kind]).score_items
    per_item = [
        scores([r.text], r.label or None)[0].bits_per_char * (len(r.text) + 1) for r in items.val
    ]
    assert sum(per_item) / len(per_item) == pytest.approx(facts["val_bits_per_item"], abs=1e-4)


def test_provenance_says_how_many_items_there_were(runs: dict[str, Path]) -> None:
    for kind, run in runs.items():
        facts = checkpoint.read(run / "best.safetensors").provenance
        count = 120 if kind == "tag" else 240
        assert facts["train_items"] + facts["val_items"] == count
        assert facts["val_exact"] is True
        assert facts["split"] == "items, drawn: 0.9 to train, 0.1 to validate"
        said = (run / "said").read_text()
        assert f"({facts['train_items']} / {facts['val_items']} items)" in said
        assert not (run / "counts.safetensors").exists()
    assert "end symbols among them" in (runs["items"] / "said").read_text()


@pytest.mark.parametrize(("kind", "verb"), [("classify", "classify"), ("tag", "tag")])
def test_a_reader_learns_and_says_what_the_commonest_label_reaches(
    runs: dict[str, Path], kind: str, verb: str
) -> None:
    found = open_model(str(runs[kind]))
    items = found.texts.items
    assert items is not None
    said = (runs[kind] / "said").read_text()
    assert f"next   charlm {verb} {runs[kind]} FILE" in said
    asker: Any = (Classifier if kind == "classify" else Tagger)(found.checkpoint)
    answers = asker.log_probabilities(asker.encode([record.text for record in items.val]))
    right = nats = count = 0.0
    for record, log_p in zip(items.val, answers, strict=True):
        wanted = [record.label] if kind == "classify" else list(record.label)
        for label, row in zip(wanted, np.atleast_2d(log_p), strict=True):
            right += asker.labels[int(row.argmax())] == label
            nats -= float(row[asker.labels.index(label)])
            count += 1
    unit = "item" if kind == "classify" else "char"
    assert found.provenance["val_accuracy"] == pytest.approx(right / count)
    assert found.provenance[f"val_bits_per_{unit}"] == pytest.approx(nats / count / math.log(2))
    labels = Counter(
        label
        for record in items.train
        for label in ([record.label] if kind == "classify" else record.label)
    )
    common = labels.most_common(1)[0][0]
    held = (
        [r.label for r in items.val]
        if kind == "classify"
        else [t for r in items.val for t in r.label]
    )
    share = held.count(common) / len(held)
    assert f"{100 * share:.2f} %" in said
    assert right / count > share + 0.2


def test_a_stopped_run_goes_on_and_is_the_whole(
    lists: Path, runs: dict[str, Path], charlm: Invoke, tmp_path: Path
) -> None:
    for kind, (file, *how) in KINDS.items():
        result = charlm(
            *("train", lists / file, *how, "--name", kind, "--out", tmp_path, *FEW),
            *("--steps", 60, "--stop-at", 27),
        )
        assert result.exit_code == 0 and "saved at step 27 of 60" in result.output
        result = charlm("train", "--resume", tmp_path / kind)
        assert result.exit_code == 0, result.output
        for name in ("last", "best"):
            one, two = (
                checkpoint.read(d / kind / f"{name}.safetensors")
                for d in (tmp_path, runs[kind].parent)
            )
            assert checkpoint.state_sha256(one) == checkpoint.state_sha256(two), (kind, name)
            assert one.provenance == two.provenance
            assert one.items == two.items


def test_minutes_end_in_time(lists: Path, charlm: Invoke, tmp_path: Path) -> None:
    result = charlm(
        *("train", lists / "names.tsv", "--labelled", "--out", tmp_path, "--minutes", 0.03),
        *("--hidden-size", 8, "--device", "cpu"),
    )
    assert result.exit_code == 0, result.output
    facts = checkpoint.read(tmp_path / "names" / "best.safetensors").provenance
    assert facts["val_exact"] and "per training step, so about" in result.output


def test_separators_documents_of_several_lines_and_bytes(charlm: Invoke, tmp_path: Path) -> None:
    poems = tmp_path / "poems.txt"
    poems.write_text("".join(f"rose {k}\nè blu\n%%\n" for k in range(60)), encoding="utf-8")
    for name, level in (("c", "char"), ("b", "byte")):
        result = charlm(
            *("train", poems, "--items", "--item-separator", "%%", "--out", tmp_path),
            *("--name", name, "--tokenizer", level, *FEW, "--steps", 20),
        )
        assert result.exit_code == 0, result.output
        model = load(tmp_path / name)
        assert model.end == "\x1e"
        assert "\x1e" not in model.sample(seed=1, length=100)
        assert open_model(str(tmp_path / name)).texts.items.train[0].text.count("\n") == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--labelled", "--task", "tag"], "--labelled and --task both say what the labels are for"),
        (["--items", "--split-by", "line"], "--split-by is for running text"),
        (["--items", "--document-separator", "x"], "--document-separator is for running text"),
        (["--task", "classify", "--shuffle-lines"], "--shuffle-lines is for running text"),
        (["--item-separator", ";"], "--item-separator belongs to --items"),
        (["--labelled", "--item-separator", ";"], "--item-separator belongs to --items"),
        (["--items", "--item-separator", ""], "--item-separator is empty"),
        (["--text-column", "name"], "--text-column belongs to --labelled and --task"),
        (["--items", "--label-column", "name"], "--label-column belongs to --labelled and --task"),
        (["--shuffle-lines", "--split-by", "end"], "--shuffle-lines splits by line"),
        (["--split-by", "line", "--document-separator", "x"], "keeps documents whole"),
        (["--task", "classify", "--seq-len", "9"], "--seq-len has no effect with --task classify"),
        (["--task", "classify", "--tie"], "--tie shares the embeddings"),
        (["--task", "classify", "--row-blocks", "2"], "--row-blocks has no effect"),
        (["--items", "--min-count", "241"], "which ends an item; lower --min-count"),
        (["--task", "tag", "--nfc"], "one tag for each character"),
        (["--labelled", "--val-fraction", "0.7", "--test-fraction", "0.5"], "nothing to train on"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    charlm: Invoke, lists: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    corpus = lists / ("accents.tsv" if "tag" in options else "names.tsv")
    result = charlm("train", corpus, *options, "--out", tmp_path, "--steps", 1, "--hidden-size", 4)
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert not list(tmp_path.iterdir())


def test_a_bad_line_leaves_nothing_behind(charlm: Invoke, tmp_path: Path) -> None:
    bad = tmp_path / "bad.tsv"
    bad.write_text("Ada\ten\nBo\n")
    result = charlm("train", bad, "--labelled", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert result.output.startswith(f"error: {bad}: line 2 has 0 tabs; write text, a tab")
    assert result.output.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_new_run_from_another_model(
    charlm: Invoke, lists: Path, runs: dict[str, Path], corpus: Path, tmp_path: Path
) -> None:
    short = ["--steps", 2, "--device", "cpu", "--precision", "float32", "--out", tmp_path]

    def started(file: Path, start: str, name: str, *how: object) -> Result:
        return charlm("train", file, *how, "--init-from", runs[start], "--name", name, *short)

    more = tmp_path / "more.tsv"
    more.write_text("".join(f"{name}\t{label}\n" for name, label in names()[::2]) + "Žiga\tde\n")
    for number, (start, *how) in enumerate(
        [("labelled", "--labelled"), ("classify", "--task", "classify")]
    ):
        result = started(more, start, str(number), *how, "--add-characters")
        assert result.exit_code == 0, result.output
        new = checkpoint.read(tmp_path / str(number) / "last.safetensors")
        assert new.items is not None and new.items.labels == ("de", "it")
        assert "Ž" in new.tokenizer.to_dict()["characters"]
    other = tmp_path / "other.tsv"
    other.write_text(
        "".join(f"{name}\t{'fr' if label == 'de' else label}\n" for name, label in names())
    )
    for file, start, how, said in (
        (other, "labelled", ["--labelled"], "has the label 'fr', which the model of --init-from"),
        (other, "classify", ["--task", "classify"], "has the label 'fr', which the model"),
        (lists / "names.tsv", "labelled", ["--task", "classify"], "and the corpus is for classify"),
        (
            lists / "names.txt",
            "classify",
            ["--items"],
            "a model for classify, and the corpus is for",
        ),
        (lists / "names.tsv", "items", ["--labelled"], "the model of --init-from has no labels"),
        (lists / "names.txt", "labelled", ["--items"], "a model with labels, and the corpus has"),
        (lists / "names.txt", "classify", [], "the corpus is for text"),
    ):
        result = started(file, start, "refused", *how)
        assert result.exit_code == 2, result.output
        assert said in result.output
    result = started(lists / "names.txt", "items", "text")  # to running text: also a list can be
    assert result.exit_code == 0, result.output
    assert checkpoint.read(tmp_path / "text" / "last.safetensors").items is None


# ----------------------------------------------------------------------------------- sample, score


def lines_of(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_items_are_written_a_line_each(runs: dict[str, Path], charlm: Invoke) -> None:
    model = load(runs["items"])
    options = ["--seed", 3, "--temperature", 1.0, "--num-samples", 20]
    lines = lines_of(charlm("sample", runs["items"], *options))
    from charlm.config import SampleConfig

    config = SampleConfig(temperature=1.0, seed=3)
    assert lines == ["".join(each) for each in model.streams("", config, 20)]
    assert len(lines_of(charlm("sample", runs["items"]))) == 10
    begun = lines_of(charlm("sample", runs["items"], "--prefix", "Ma", *options))
    assert all(line.startswith("Ma") for line in begun) and len(set(begun)) > 5
    assert lines_of(charlm("sample", runs["items"], "--prompt", "Ma", *options)) == begun


def test_a_drawn_label_is_printed_behind_its_item(runs: dict[str, Path], charlm: Invoke) -> None:
    options = ["--seed", 3, "--num-samples", 40]
    lines = [line.split("\t") for line in lines_of(charlm("sample", runs["labelled"], *options))]
    model = load(runs["labelled"])
    from charlm.config import SampleConfig

    config = SampleConfig(seed=3)
    for number in (0, 7, 39):
        text = "".join(model.stream("", config, number=number))
        assert lines[number] == [text, model.label_of(config, number)]
    assert {line[1] for line in lines} == {"de", "it"}
    own = lines_of(charlm("sample", runs["labelled"], "--label", "it", *options))
    assert own == ["".join(e) for e in model.streams("", config, 40, label="it")]
    blend = ["--label", "it=1", "--label", "de=3"]
    both = lines_of(charlm("sample", runs["labelled"], *blend, *options))
    weights = {"it": 0.25, "de": 0.75}
    assert both == ["".join(e) for e in model.streams("", config, 40, label=weights)]


@pytest.mark.parametrize("kind", ["items", "labelled"])
def test_new_items_are_not_in_the_list(
    runs: dict[str, Path], charlm: Invoke, kind: str, tmp_path: Path
) -> None:
    known = {name for name, _ in names()}
    out = tmp_path / "new.jsonl"
    result = charlm(
        "sample", runs[kind], "--new", "--num-samples", 15, "--seed", 1, "--json", "--out", out
    )
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in out.read_text().splitlines()]
    found = [record["text"] for record in records]
    assert len(set(found)) == 15 and not set(found) & known
    said = result.stderr
    assert "are in the list," in said and "were drawn before" in said
    model = load(runs[kind])
    for record in records:  # each is weighed as what it was written of
        (score,) = model.score_items([record["text"]], record.get("label"))
        nats = score.nats_per_char * score.characters
        assert record["log_probability"] == pytest.approx(-nats, rel=1e-5)
        assert record["characters"] == len(record["text"]) + 1


def test_when_there_are_no_more_new_items_those_that_there_are_are_printed(
    runs: dict[str, Path], charlm: Invoke
) -> None:
    options = ["--new", "--pattern", "M", "--num-samples", 2, "--length", 5]
    result = charlm("sample", runs["items"], *options)
    assert result.exit_code == 1
    assert result.stdout == "M\n" and "1 items are missing" in result.stderr


def test_a_pattern_and_a_beam(runs: dict[str, Path], charlm: Invoke) -> None:
    found = lines_of(charlm("sample", runs["items"], "--pattern", "M?r*", "--num-samples", 8))
    assert all(line[0] == "M" and line[2] == "r" for line in found)
    found = lines_of(charlm("sample", runs["labelled"], "--beam", 30, "--label", "de", "--rank"))
    nats = [float(line.split("\t")[0]) for line in found]
    assert nats == sorted(nats) and len(found) == 10
    texts = [line.split("\t")[1] for line in found]
    scores = load(runs["labelled"]).score_items(texts, "de")
    assert nats == pytest.approx([s.nats_per_char for s in scores], abs=1e-4)


def test_novelty_counts_whole_items(runs: dict[str, Path], charlm: Invoke) -> None:
    result = charlm("sample", runs["items"], "--novelty", "--num-samples", 50, "--seed", 2)
    found = open_model(str(runs["items"])).texts.items
    assert found is not None
    train = {record.text for record in found.train}
    held = {record.text for record in found.val}
    drawn = lines_of(result)
    copies, right = (sum(line in some for line in drawn) for some in (train, held))
    assert (
        f"{copies} of 50 items ({2 * copies:.1f} %) are training items; {right} (" in result.stderr
    )


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("items", ["--label", "it"], "the model has no labels; leave out --label"),
        ("labelled", ["--label", "fr"], "no label 'fr'; it has 2: de, it"),
        ("labelled", ["--label", "fr=1"], "no label 'fr'"),
        ("labelled", ["--label", "it", "--label", "de"], "give LABEL=WEIGHT"),
        ("labelled", ["--label", "it=0"], "not all 0"),
        ("labelled", ["--beam", "3"], "--beam needs a label for this model"),
        ("items", ["--beam", "3", "--new"], "leave out --new"),
        ("items", ["--pattern", "Ma*", "--prefix", "Lu"], "begins with 'Lu'"),
        ("items", ["--interactive"], "leave out --interactive"),
        ("items", ["--show-probs", "--new"], "leave out --new"),
        ("items", ["--prefix", "a", "--prompt", "b"], "both say how an item begins"),
        ("classify", [], "it was trained with --task classify; type charlm classify"),
    ],
)
def test_what_a_list_cannot_do_is_refused(
    runs: dict[str, Path], charlm: Invoke, kind: str, options: list[str], said: str
) -> None:
    result = charlm("sample", runs[kind], *options)
    assert result.exit_code == 2, result.output
    assert said in result.output and result.output.count("\n") == 1


def test_a_model_of_text_writes_no_items(trained: Path, charlm: Invoke) -> None:
    for options in (
        ["--label", "it"],
        ["--new"],
        ["--prefix", "a"],
        ["--pattern", "a"],
        ["--beam", 2],
    ):
        result = charlm("sample", trained, *options)
        assert result.exit_code == 2 and "is for a model of items" in result.output
    for verb in ("classify", "tag"):
        result = charlm(verb, trained, input="a\n")
        assert result.exit_code == 2 and "cannot " + verb in result.output


@pytest.mark.parametrize("label", [None, "it"])
def test_a_list_is_scored_likeliest_first(
    runs: dict[str, Path], charlm: Invoke, label: str | None
) -> None:
    kind = "labelled" if label else "items"
    given = ["Maro", "", "Berberber", "oMar", "Luca"]
    options = ["--label", label] if label else []
    result = charlm("score", runs[kind], *options, "--json", input="\n".join(given) + "\n")
    records = [json.loads(line) for line in lines_of(result)]
    model = load(runs[kind])
    expected = {t: s for t in given if t for s in model.score_items([t], label)}
    assert {record["text"] for record in records} == set(expected)
    for record in records:
        score = expected[record["text"]]
        assert record["bits_per_char"] == pytest.approx(score.bits_per_char, rel=1e-5)
        assert record["bits"] == pytest.approx(score.bits_per_char * score.characters, rel=1e-5)
    bits = [record["bits_per_char"] for record in records]
    assert bits == sorted(bits)
    total = sum(s.bits_per_char * s.characters for s in expected.values())
    assert f"{total / 4:.3f} bits/item over 4 items, end symbols included" in result.stderr
    table = lines_of(charlm("score", runs[kind], *options, input="\n".join(given)))
    assert [line[18:] for line in table] == [record["text"] for record in records]


# ------------------------------------------------------------------------------- classify and tag


@pytest.mark.parametrize("kind", ["labelled", "classify"])
@pytest.mark.parametrize("prior", [[], ["uniform"], ["it=1", "de=9"]])
def test_every_line_gets_its_label(
    runs: dict[str, Path], charlm: Invoke, kind: str, prior: list[str]
) -> None:
    from charlm.tasks.answers import prior_of

    given = ["Maroluca", "Helmut", "", "Berni"]
    options = [part for each in prior for part in ("--prior", each)]
    result = charlm("classify", runs[kind], *options, input="\n".join(given) + "\n")
    lines = lines_of(result)
    loaded = checkpoint.read(runs[kind] / "best.safetensors")
    classifier = Classifier(loaded, prior_of(prior, ("de", "it")))
    asked = [text for text in given if text]
    p = np.exp(classifier.log_probabilities(classifier.encode(asked)))
    assert lines[2] == ""
    for text, row, line in zip(asked, p, [*lines[:2], lines[3]], strict=True):
        best = int(row.argmax())
        names = ["de", "it"]
        expected = [names[best], f"{row[best]:.4f}", names[1 - best], f"{row[1 - best]:.4f}", text]
        assert line.split("\t") == expected
    assert [line.split("\t")[0] for line in lines[:2]] == ["it", "de"]
    told = charlm("classify", runs[kind], *options, "--json", "--saliency", input="\n".join(given))
    records = [json.loads(line) for line in lines_of(told)]
    assert records[2] == {"text": "", "label": None}
    assert sum(records[0]["probabilities"].values()) == pytest.approx(1)
    np.testing.assert_allclose(
        records[0]["saliency"], classifier.saliency("Maroluca", "it"), atol=1e-6
    )
    shown = lines_of(charlm("classify", runs[kind], "--saliency", input="Maroluca\n"))
    assert shown[1] == "Maroluca" and len(shown) in (2, 3)


def test_tags_of_accents_are_the_text_with_its_accents(
    runs: dict[str, Path], charlm: Invoke
) -> None:
    given = ["cosi e", "", "perche no", "casa"]
    lines = lines_of(charlm("tag", runs["tag"], input="\n".join(given) + "\n"))
    assert lines == ["così è", "", "perché no", "casa"]
    records = [
        json.loads(line)
        for line in lines_of(charlm("tag", runs["tag"], "--json", input="cosi e\n\n"))
    ]
    assert records[0]["tags"] == "così è" and len(records[0]["probabilities"]) == 6
    assert records[0]["spans"] == [
        {"begin": 3, "end": 4, "text": "i", "tags": "ì"},
        {"begin": 5, "end": 6, "text": "e", "tags": "è"},
    ]
    assert records[1] == {"text": "", "tags": ""}


def test_an_unknown_character_is_named_with_its_line(runs: dict[str, Path], charlm: Invoke) -> None:
    for verb, kind in (("classify", "classify"), ("tag", "tag"), ("score", "items")):
        result = charlm(verb, runs[kind], input="sera\nXsera\n" if kind == "tag" else "Ma\nXMa\n")
        assert result.exit_code == 2
        assert "line 2 has 1 character the model has never seen: 'X'" in result.output
        skipped = charlm(verb, runs[kind], "--on-unknown", "skip", input="casa\nYYY\n")
        assert skipped.exit_code == 0, skipped.output
        assert "lines have characters that the model has never seen" in skipped.stderr
    result = charlm("classify", runs["classify"], input="\n\n")
    assert result.exit_code == 0 and result.output == "no line to classify\n"


def test_a_model_of_another_task_is_refused(runs: dict[str, Path], charlm: Invoke) -> None:
    for verb, kind, said in (
        ("classify", "items", "it was trained to write text; type charlm sample"),
        ("classify", "tag", "trained with --task tag; type charlm tag"),
        ("tag", "labelled", "trained to write items of a label"),
        ("score", "tag", "trained with --task tag; type charlm tag"),
    ):
        result = charlm(verb, runs[kind], input="a\n")
        assert result.exit_code == 2 and said in result.output, result.output


def test_none_of_this_needs_torch(runs: dict[str, Path], lists: Path) -> None:
    names = lists / "names.txt"
    asked = [
        command("classify", runs["labelled"], names),
        command("classify", runs["classify"], names),
        command("tag", runs["tag"], names, "--on-unknown", "skip"),
        command("sample", runs["labelled"], "--label", "it"),
        command("sample", runs["items"], "--new", "--num-samples", 3),
        command("score", runs["items"], names),
    ]
    assert not brings_torch("\n".join(asked))


# ---------------------------------------------------------------- running text, divided otherwise


def test_how_a_text_is_divided_is_stored_and_resumed(
    charlm: Invoke, tmp_path: Path, text: str
) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    for number in range(3):
        (parts / f"{number}.txt").write_text(
            text[number * 500 : (number + 1) * 500], encoding="utf-8"
        )
    one = tmp_path / "one.txt"
    one.write_text(text, encoding="utf-8")
    short = [
        "--steps",
        4,
        "--hidden-size",
        4,
        "--device",
        "cpu",
        "--no-counts",
        "--out",
        tmp_path / "out",
    ]
    for name, corpus, options, stored in (
        ("files", parts, [], "file"),
        ("end", parts, ["--split-by", "end"], "end"),
        ("lines", one, ["--split-by", "line"], "line"),
        ("mixed", one, ["--shuffle-lines"], "line"),
    ):
        result = charlm("train", corpus, *options, "--name", name, *short, "--stop-at", 2)
        assert result.exit_code == 0, result.output
        run = tmp_path / "out" / name
        training = checkpoint.read(run / "last.safetensors").training
        assert training is not None
        source = Source.from_dict(training["source"])
        assert source.split_by == stored
        texts = data.read(source)
        assert abs(len(texts.val) - 0.1 * texts.characters) < 60
        result = charlm("train", "--resume", run)
        assert result.exit_code == 0, result.output
        assert charlm("eval", run).exit_code == 0


# --------------------------------------------------------------------------- what is hard to learn


def test_lists_that_teach_nothing_or_do_not_fit_are_refused(
    charlm: Invoke, lists: Path, tmp_path: Path
) -> None:
    one = "".join(f"{name}\tsame\n" for name, _ in names())
    for content, how, said in (
        (one, [], "all items have the label 'same', so there is nothing to tell apart; add items"),
        (f"{'a' * 6000}\tx\n{one}", [], "has 6,000 characters, more than 5,000, and is read as a"),
        (one, ["--text-column", "label"], "both name 'label'; name two"),
    ):
        (tmp_path / "list.tsv").write_text(content)
        result = charlm(
            *("train", tmp_path / "list.tsv", "--task", "classify", *how, "--out", tmp_path, *FEW)
        )
        assert result.exit_code in (1, 2)
        assert said in result.output
    (tmp_path / "few.txt").write_text("Ada\nBo\n")
    made = charlm("train", tmp_path / "few.txt", "--items", "--out", tmp_path, *FEW, "--steps", 2)
    assert "there are too few different ones, or --val-fraction is 0" in made.output


def test_a_character_that_eval_cannot_read_is_named_with_its_item(
    charlm: Invoke, runs: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text("Maro\nLu日\n", encoding="utf-8")
    result = charlm("eval", runs["items"], tmp_path / "list.txt")
    assert result.exit_code == 2
    assert (
        "item 2 has 1 character the model has never seen: '日' U+65E5; the first at column 3"
        in (result.stderr)
    )
