"""The model that rewrites: NumPy = torch, the search against enumeration, the scores by hand."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from torch.nn import functional as F

from charlm import checkpoint
from charlm.config import RECURRENT_CELLS, ModelConfig
from charlm.errors import CheckpointError, RequestError
from charlm.inspection import attention
from charlm.models import rewriter as in_torch
from charlm.tasks import rewritescore
from charlm.tasks.rewritescore import (
    RewriteScore,
    codes_of,
    controls,
    edit_distance,
    edit_distances,
)
from charlm.tasks.rewriting import Rewriter, Rewritten, most_symbols, nats_of
from charlm.text.items import IGNORED, ItemDataset, Items, previous_symbols
from charlm.text.records import Record
from charlm.text.tokenizer import CharTokenizer
from charlm.training.optim import hidden_matrices

Invoke = Callable[..., Result]

TOKENIZER = CharTokenizer.from_text("\nabcdef")
SOURCES = np.array([[1, 2, 3, 1, 6], [2, 0, 0, 0, 0], [4, 5, 4, 0, 0]])
LENGTHS = np.array([5, 1, 3])
TARGETS = np.array([[3, 2, 0], [0, IGNORED, IGNORED], [6, 0, IGNORED]])


def models(
    cell: str, tokenizer: CharTokenizer = TOKENIZER, **shape: object
) -> tuple[in_torch.Rewriter, Rewriter]:
    """The same random weights in torch and in NumPy, float64."""
    config = ModelConfig.resolve(
        vocab_size=tokenizer.vocab_size,
        cell=cell,
        task="rewrite",
        **{"hidden_size": 5, "embedding_size": 3, **shape},
    )
    torch.manual_seed(3)
    network = in_torch.Rewriter(config).double().eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    weights = {name: each.detach().numpy() for name, each in network.named_parameters()}
    return network, Rewriter(config, weights, tokenizer, "\n")


@torch.no_grad()
def torch_scores(
    network: in_torch.Rewriter, ids: np.ndarray, lengths: np.ndarray, previous: np.ndarray
) -> np.ndarray:
    logits = network(torch.tensor(ids), torch.tensor(lengths), torch.tensor(previous))
    scores: np.ndarray = logits.double().log_softmax(-1).numpy()
    return scores


# ------------------------------------------------------------------------------------- the model


@pytest.mark.parametrize("cell", RECURRENT_CELLS)
def test_numpy_computes_what_torch_does(cell: str) -> None:
    network, model = models(cell, num_layers=2)
    previous = previous_symbols(TARGETS, model.end)
    expected = torch_scores(network, SOURCES, LENGTHS, previous)
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(
        model.log_probabilities(SOURCES, LENGTHS, previous), expected, atol=1e-5
    )


@pytest.mark.parametrize("cell", RECURRENT_CELLS)
def test_no_result_depends_on_padding(cell: str) -> None:
    """Beside longer sources, with anything behind it, a source is what it is alone."""
    network, model = models(cell)
    previous = previous_symbols(TARGETS, model.end)
    filled = np.where(np.arange(5) < LENGTHS[:, None], SOURCES, 6)
    together = torch_scores(network, filled, LENGTHS, previous)
    beside = model.log_probabilities(filled, LENGTHS, previous)
    for row, length in enumerate(LENGTHS.tolist()):
        one = SOURCES[row : row + 1, :length], LENGTHS[row : row + 1], previous[row : row + 1]
        np.testing.assert_allclose(together[row], torch_scores(network, *one)[0], atol=1e-6)
        np.testing.assert_allclose(beside[row], model.log_probabilities(*one)[0], atol=1e-12)
    texts = ["abcaf", "b", "ded"]
    for text, (found,) in zip(texts, model.rewrite(texts), strict=True):
        ((alone,),) = model.rewrite([text])
        assert found.ids == alone.ids
        assert found.log_probability == pytest.approx(alone.log_probability, abs=1e-9)
        np.testing.assert_allclose(found.attention, alone.attention, atol=1e-12)


def test_attention_is_the_equation_of_the_paper() -> None:
    """One step of a GRU, character by character in plain loops."""
    network, model = models("gru")
    w = {name: each.detach().numpy() for name, each in network.named_parameters()}
    source, (s,) = model.encode(SOURCES[:1], LENGTHS[:1])
    _, _, weights = model.step(np.array([0]), (s,), source)
    energies = []
    for h in source.annotations[0]:
        inner = w["attention.state.weight"] @ s[0] + w["attention.annotations.weight"] @ h
        energies.append(sum(v * math.tanh(x) for v, x in zip(model.v, inner, strict=True)))
    total = sum(map(math.exp, energies))
    assert weights[0].tolist() == pytest.approx([math.exp(e) / total for e in energies])
    backward = source.annotations[0, 0, 5:]
    assert s[0] == pytest.approx(np.tanh(w["start.weight"] @ backward + w["start.bias"]))


def test_the_loss_of_items_is_that_of_torch() -> None:
    network, model = models("lstm")
    targets = Items.of(["cb", "", "f"], TOKENIZER, "\n")
    sources = Items.of(["abcaf", "b", "ded"], TOKENIZER, "\n")
    items = Items(sources.ids, sources.begins, sources.lengths, None, targets)
    total, symbols = nats_of(model, items)
    previous = torch.tensor([[0, 3, 2], [0, 0, 0], [0, 6, 0]])
    logits = network(torch.tensor(SOURCES), torch.tensor(LENGTHS), previous)
    expected = F.cross_entropy(
        logits.flatten(0, 1), torch.tensor(TARGETS).flatten(), reduction="sum"
    )
    assert symbols == 6
    assert total == pytest.approx(expected.item(), abs=1e-5)


def test_a_model_has_the_shapes_of_its_configuration() -> None:
    for cell in RECURRENT_CELLS:
        network, _ = models(cell, num_layers=2)
        found = {name: tuple(each.shape) for name, each in network.named_parameters()}
        assert found == network.config.parameter_shapes()


def test_an_untrained_model_guesses() -> None:
    config = ModelConfig.resolve(vocab_size=7, hidden_size=32, task="rewrite")
    one, other = (in_torch.build_rewriter(config, seed=4) for _ in range(2))
    assert all(map(torch.equal, one.parameters(), other.parameters()))
    previous = torch.tensor(previous_symbols(TARGETS, 0))
    logits = one(torch.tensor(SOURCES), torch.tensor(LENGTHS), previous)
    nats = F.cross_entropy(logits.flatten(0, 1), torch.tensor(TARGETS).flatten())
    assert nats.item() == pytest.approx(math.log(7), abs=0.1)


def test_muon_takes_the_decoders_matrices() -> None:
    network, _ = models("lstm")
    assert {"decoder.weight_ih", "decoder.weight_hh"} <= set(hidden_matrices(network))
    assert not any("head" in name or "bias" in name for name in hidden_matrices(network))


@pytest.mark.parametrize("cell", ["window", "conv"])
def test_only_recurrent_cells_rewrite(cell: str) -> None:
    with pytest.raises(RequestError, match=f"--cell is {cell}; choose one of lstm, gru, rnn"):
        ModelConfig.resolve(cell=cell, task="rewrite")


# ------------------------------------------------------------------------------------ the search

TINY = CharTokenizer.from_text("\nxy")


def every_target(network: in_torch.Rewriter, source: list[int], most: int) -> dict[str, float]:
    """ln p of every target, ended or cut after ``most`` symbols, by torch."""
    found = {}
    bodies = (b for n in range(most + 1) for b in itertools.product((1, 2), repeat=n))
    for body in bodies:
        target = body if len(body) == most else (*body, 0)
        scores = torch_scores(
            network,
            np.array([source]),
            np.array([len(source)]),
            previous_symbols(np.array([target]), 0),
        )
        name = TINY.decode(list(target))
        found[name] = float(scores[0, np.arange(len(target)), target].sum())
    return found


def named(found: list[Rewritten]) -> dict[str, float]:
    return {each.text + "\n" * each.ended: each.log_probability for each in found}


@pytest.mark.parametrize("cell", RECURRENT_CELLS)
def test_a_beam_that_holds_everything_finds_every_target_in_order(cell: str) -> None:
    network, model = models(cell, TINY)
    expected = every_target(network, [1, 2, 2], 4)
    assert len(expected) == 1 + 2 + 4 + 8 + 16
    assert sum(map(math.exp, expected.values())) == pytest.approx(1)
    found = model.beam(np.array([1, 2, 2]), 100, most=4)
    assert named(found) == pytest.approx(expected, abs=1e-5)
    scores = [each.log_probability for each in found]
    assert scores == sorted(scores, reverse=True)


def test_a_narrow_beam_has_probabilities_of_the_model_and_may_miss_the_best() -> None:
    network, model = models("gru", TINY)
    missed = 0
    for source in itertools.product((1, 2), repeat=4):
        expected = every_target(network, list(source), 4)
        for width in (1, 2, 3):
            found = named(model.beam(np.array(source), width, most=4))
            assert len(found) == width
            assert found == pytest.approx({name: expected[name] for name in found}, abs=1e-5)
            missed += max(found.values()) < max(expected.values()) - 1e-3
    assert missed  # so the exhaustive test above is not one that any search passes


@pytest.mark.parametrize("cell", RECURRENT_CELLS)
def test_greedy_search_is_a_beam_of_one(cell: str) -> None:
    _, model = models(cell)
    model.head_bias = model.head_bias + 2.0 * np.eye(7)[model.end]  # so that many targets end
    rng = random.Random(2)
    texts = ["".join(rng.choices("abcdef", k=rng.randint(1, 9))) for _ in range(20)]
    ended = set()
    for text, (found,) in zip(texts, model.rewrite(texts), strict=True):
        (alone,) = model.beam(model.tokenizer.encode(text).astype(np.int64), 1)
        assert (found.ids, found.ended) == (alone.ids, alone.ended)
        assert found.log_probability == pytest.approx(alone.log_probability, abs=1e-9)
        np.testing.assert_allclose(found.attention, alone.attention, atol=1e-12)
        np.testing.assert_allclose(found.attention.sum(-1), 1)
        assert found.attention.shape == (len(found.ids) + found.ended, len(text))
        ended.add(found.ended)
        if not found.ended:
            assert len(found.ids) == most_symbols(len(text)) == 100 + 10 * len(text)
    assert True in ended


def test_the_unknown_symbol_is_never_written() -> None:
    folding = CharTokenizer("\nxy", unknown=True)
    _, model = models("gru", folding)
    model.head_bias = np.array([0.0, 0.0, 0.0, 50.0])
    ((greedy,),) = model.rewrite(["xyyx"])
    for found in (greedy, *model.beam(np.array([1, 2]), 3, most=3)):
        assert folding.forbidden[0] not in found.ids
        assert np.isfinite(found.log_probability)


def test_an_empty_text_and_weights_that_overflow_are_refused() -> None:
    _, model = models("gru")
    with pytest.raises(RequestError, match="empty text"):
        model.rewrite(["ab", ""])
    model.head_weight = np.full_like(model.head_weight, 1e308)
    with pytest.raises(CheckpointError, match="not finite"), np.errstate(all="ignore"):
        model.rewrite(["ab"])


# ------------------------------------------------------------------------------------ the scores


def naive_distance(one: str, other: str) -> int:
    """By the recursion of the definition."""

    @cache
    def left(i: int, j: int) -> int:
        if i == len(one) or j == len(other):
            return len(one) - i + len(other) - j
        return min(
            left(i + 1, j) + 1, left(i, j + 1) + 1, left(i + 1, j + 1) + (one[i] != other[j])
        )

    return left(0, 0)


def test_edit_distance_is_that_of_its_definition() -> None:
    rng = random.Random(1)
    texts = ["", *("".join(rng.choices("abé", k=rng.randint(0, 7))) for _ in range(40))]
    for text in texts[:15]:
        expected = [naive_distance(text, other) for other in texts]
        assert edit_distances(text, *codes_of(texts)).tolist() == expected
    assert edit_distance("sunday", "saturday") == 3
    assert edit_distance("", "") == 0


def test_the_nearest_text_is_that_of_all_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though most texts are not compared: ``IGNORED``, which pads, is no character of any."""
    rng = random.Random(6)
    known = ["".join(rng.choices("abcdé", k=rng.randint(1, 9))) for _ in range(300)]
    texts = ["".join(rng.choices("abcdéz", k=rng.randint(1, 9))) for _ in range(30)]
    compared = []

    def counting(text: str, codes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        compared.append(len(codes))
        return edit_distances(text, codes, lengths)

    monkeypatch.setattr(rewritescore, "_TOGETHER", 8)
    monkeypatch.setattr(rewritescore, "edit_distances", counting)
    expected = [min(range(300), key=lambda k: (naive_distance(t, known[k]), k)) for t in texts]
    assert rewritescore.nearest(texts, known) == expected
    assert sum(compared) < 300 * 30 / 2


def test_the_score_by_hand() -> None:
    score = RewriteScore.of(["abc", "abd", ""], ["abc", "xabc", "ab"])
    assert score == RewriteScore(items=3, exact=1, edits=4, characters=9)
    assert score.to_dict()["exact_match"] == pytest.approx(1 / 3)
    assert score.edits_per_item == pytest.approx(4 / 3)
    assert score.edits_per_char == pytest.approx(4 / 9)
    with pytest.raises(RequestError, match="no items"):
        RewriteScore.of([], [])


def test_the_controls_by_hand() -> None:
    training = [Record("aaa", "1"), Record("bbb", "2"), Record("bbbb", "2"), Record("cc", "3")]
    found = controls([Record("aab", "1"), Record("3", "3"), Record("bb", "2")], training)
    assert found["copy the source"].exact == 1
    assert found["most frequent target"].exact == 1
    nearest = found["nearest training source"]  # of "3" all are far, the shortest is the nearest
    assert nearest.exact == 3
    assert [each.items for each in found.values()] == [3, 3, 3]


# ------------------------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def pairs() -> list[tuple[str, str]]:
    """Every word of one to four letters of three, and the word reversed."""
    words = ["".join(w) for n in (1, 2, 3, 4) for w in itertools.product("abc", repeat=n)]
    return [(word, word[::-1]) for word in words]


@pytest.fixture(scope="module")
def reversing(
    tmp_path_factory: pytest.TempPathFactory, charlm: Invoke, pairs: list[tuple[str, str]]
) -> Path:
    """A run that learned to reverse words of a, b and c."""
    out = tmp_path_factory.mktemp("rewriting")
    corpus = out / "reversed.tsv"
    corpus.write_text("".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8")
    result = charlm(
        *("train", corpus, "--task", "rewrite", "--cell", "gru", "--hidden-size", 32),
        *("--batch-size", 32, "--steps", 150, "--dropout", 0, "--patience", 0),
        *("--eval-every", 150, "--out", out, "--name", "reversing", "--precision", "float32"),
    )
    assert result.exit_code == 0, result.output
    return out / "reversing"


def test_a_trained_model_reverses_words_it_has_not_seen(
    charlm: Invoke, reversing: Path, pairs: list[tuple[str, str]]
) -> None:
    from charlm import runs

    opened = runs.open_model(str(reversing))
    items = opened.texts.items
    assert items is not None
    held_out = [record.text for record in items.val]
    assert len(held_out) == 12
    assert not {record.text for record in items.train} & set(held_out)
    result = charlm("rewrite", reversing, input="\n".join(held_out))
    right = sum(map(str.__eq__, result.stdout.split("\n"), (w[::-1] for w in held_out)))
    assert right >= 11  # copying: those that are palindromes
    assert sum(word == word[::-1] for word in held_out) < 6


def test_the_exact_loss_is_in_the_file_and_that_of_numpy(reversing: Path) -> None:
    from charlm import runs
    from charlm.text import dataset

    opened = runs.open_model(str(reversing))
    items = dataset.encode_corpus(opened.texts, opened.checkpoint.tokenizer)
    assert isinstance(items, ItemDataset)
    total, symbols = nats_of(Rewriter.of(opened.checkpoint), items.val)
    bits = opened.provenance["val_bits_per_char"]
    assert bits == pytest.approx(total / symbols / math.log(2), rel=1e-5)
    log = [json.loads(line) for line in (reversing / "log.jsonl").read_text("utf-8").splitlines()]
    best = min(each["val_bits_per_char"] for each in log)
    assert best == pytest.approx(bits, rel=1e-3)  # torch, in float32 as well


def test_lines_come_back_in_their_order_with_empty_ones(charlm: Invoke, reversing: Path) -> None:
    result = charlm("rewrite", reversing, input="abca\n\nbc\r\n\n")
    assert result.stdout == "acba\n\ncb\n\n"


def test_json_has_what_the_beam_found(charlm: Invoke, reversing: Path) -> None:
    result = charlm("rewrite", reversing, "--beam", 3, "--json", input="abc\n\n")
    first, empty = map(json.loads, result.stdout.splitlines())
    assert (first["source"], first["text"]) == ("abc", "cba")
    found = [first, *first["alternatives"]]
    scores = [each["log_probability"] for each in found]
    assert len(found) == 3
    assert scores == sorted(scores, reverse=True)
    assert scores[0] < 0
    assert empty == {"source": "", "text": "", "log_probability": None, "alternatives": []}


def test_what_cannot_be_read_is_named_with_its_line(charlm: Invoke, reversing: Path) -> None:
    result = charlm("rewrite", reversing, input="abc\nabz\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'z' U+007A; the first at column 3" in result.stderr
    skipping = charlm("rewrite", reversing, "--on-unknown", "skip", input="abc\nabz\nz\n")
    assert skipping.stdout == "cba\nba\n\n"
    tabs = charlm("rewrite", reversing, input="abc\nabc\tcba\n")
    assert tabs.exit_code == 1
    assert "standard input: line 2 has a tab" in tabs.stderr


def test_a_model_of_another_task_is_refused_with_the_right_command(
    charlm: Invoke, trained: Path
) -> None:
    result = charlm("rewrite", trained, input="abc\n")
    assert result.exit_code == 2
    assert "cannot rewrite: it was trained to write text; type charlm sample" in result.stderr


def test_a_model_that_never_ends_is_cut(charlm: Invoke, reversing: Path, tmp_path: Path) -> None:
    model = checkpoint.read(reversing / "best.safetensors")
    assert model.items is not None
    end = int(model.tokenizer.encode(model.items.end)[0])
    model.weights["head.bias"][end] = -1000
    checkpoint.write(tmp_path / "endless.safetensors", model)
    result = charlm("rewrite", tmp_path / "endless.safetensors", input="ab\n")
    assert len(result.stdout) == 121
    assert "line 1: the model wrote no end; cut after 120 symbols" in result.stderr


def test_the_figure_shows_where_the_model_looks(
    charlm: Invoke, reversing: Path, tmp_path: Path
) -> None:
    file = tmp_path / "attention.svg"
    result = charlm("rewrite", reversing, "--figure", file, input="abcc\n")
    assert result.stdout == f"{file}\n"
    drawn = file.read_text("utf-8")
    model = Rewriter.of(checkpoint.read(reversing / "best.safetensors"))
    ((found,),) = model.rewrite(["abcc"])
    assert drawn == attention.svg(model, "abcc", found)
    assert drawn.count("fill-opacity") == (found.attention >= 0.01).sum()
    assert "abcc → ccba" in drawn
    several = charlm("rewrite", reversing, "--figure", file, input="ab\nba\n")
    assert several.exit_code == 2
    assert "draws one line, but there are 2" in several.stderr


def test_a_run_that_was_resumed_is_the_run_that_was_not(
    charlm: Invoke, reversing: Path, tmp_path: Path
) -> None:
    corpus = reversing.parent / "reversed.tsv"
    options = ("--task", "rewrite", "--hidden-size", 8, "--steps", 20, "--eval-every", 10)
    train = ("train", corpus, *options, "--dropout", 0.2, "--batch-size", 16, "--out", tmp_path)
    whole = charlm(*train, "--name", "whole")
    assert whole.exit_code == 0, whole.output
    assert f"charlm rewrite {tmp_path / 'whole'}" in whole.stdout
    charlm(*train, "--name", "halves", "--stop-at", 10)
    charlm("train", "--resume", tmp_path / "halves")
    shas = [
        checkpoint.state_sha256(checkpoint.read(tmp_path / name / "last.safetensors"))
        for name in ("whole", "halves")
    ]
    assert shas[0] == shas[1]


@pytest.mark.parametrize("options", [["--tokenizer", "byte"], ["--min-count", "2"]])
def test_bytes_and_folded_characters(charlm: Invoke, tmp_path: Path, options: list[str]) -> None:
    """Bits are counted by character of the targets, end symbols included."""
    corpus = tmp_path / "accents.tsv"
    words = ["".join(w) for w in itertools.product("aeà", repeat=3)]
    lines = [f"{word}\t{word.replace('à', 'èé')}\n" for word in [*words, "€aa"]]
    corpus.write_text("".join(lines), encoding="utf-8")
    run = tmp_path / "run"
    result = charlm(
        *("train", corpus, "--task", "rewrite", "--hidden-size", 8, "--steps", 5, *options),
        *("--out", tmp_path, "--name", "run", "--val-fraction", 0.2),
    )
    assert result.exit_code == 0, result.output
    from charlm import runs

    items = runs.open_model(str(run)).texts.items
    assert items is not None
    characters = sum(len(record.label) + 1 for record in items.val)
    assert f"over {characters:,} characters, {len(items.val)} end symbols" in result.stdout
    written = charlm("rewrite", run, "--beam", 2, input="aàe\n")
    assert written.exit_code == 0
    assert written.stdout.count("\n") == 1 or "--tokenizer" in options


def test_rewriting_leaves_torch_out(reversing: Path, tmp_path: Path) -> None:
    from test_imports import brings_torch, command

    lines = tmp_path / "lines.txt"
    lines.write_text("abc\n", encoding="utf-8")
    assert not brings_torch(command("rewrite", reversing, lines, "--beam", 2))
    figure = tmp_path / "a.svg"
    assert not brings_torch(command("rewrite", reversing, lines, "--figure", figure))
