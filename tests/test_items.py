"""Items in batches: padding by hand, and losses apart from what is read beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from charlm.arrays import Ids
from charlm.config import ModelConfig
from charlm.engine import Engine, log_softmax
from charlm.errors import CorpusError, RequestError, ShortCorpusError, UnknownCharacterError
from charlm.itemfacts import ItemFacts
from charlm.itemscore import item_nats, nats_by_label, one_hot, score_items
from charlm.models.language import LanguageModel, build
from charlm.surprisal import LN2
from charlm.text import items as module
from charlm.text.items import (
    IGNORED,
    RECORD_SEPARATOR,
    ItemDataset,
    Items,
    ItemStreams,
    WholeItems,
    count_characters,
    encode,
    encode_items,
    end_symbol,
    pad,
)
from charlm.text.records import Record
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer, Tokenizer
from charlm.training.evaluate import mean_item_nats
from charlm.training.objectives import NextSymbol

CPU = torch.device("cpu")
LETTERS = CharTokenizer.from_text("\nabcdeè")


def words(count: int, longest: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("abcdeè"), rng.integers(1, longest))) for _ in range(count)]


def dataset(
    texts: list[str],
    val: Sequence[str] = (),
    *,
    kind: str = "items",
    labels: str = "",
    tokenizer: Tokenizer = LETTERS,
) -> ItemDataset:
    def records(some: Sequence[str]) -> list[Record]:
        return [Record(t, labels[k % len(labels)] if labels else "") for k, t in enumerate(some)]

    return encode("list", (records(texts), records(val)), tokenizer, "\n", {}, kind=kind)


def model_of(found: ItemDataset, cell: str = "gru", **shape: Any) -> tuple[LanguageModel, Engine]:
    options = {"hidden_size": 6, "embedding_size": 5, "context": 3, "num_layers": 2} | shape
    config = ModelConfig.resolve(cell=cell, **(found.shape | options))
    model = build(config, 3).double().eval()
    torch.manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model, Engine(config, {n: p.detach().numpy() for n, p in model.named_parameters()})


def one_by_one(
    engine: Engine, texts: list[str], weights: NDArray[Any] | None = None
) -> list[float]:
    """-ln p of every item by itself, symbol by symbol, from the zero state: the oracle."""
    found = []
    for number, text in enumerate(texts):
        state = engine.initial_state(1)
        if weights is not None:
            state = (*state[:-1], weights[None, number : number + 1].astype(state[-1].dtype))
        read, wanted = LETTERS.encode("\n" + text), LETTERS.encode(text + "\n")
        nats = 0.0
        for token, target in zip(read.tolist(), wanted.tolist(), strict=True):
            logits, state = engine.step(np.array([token]), state)
            nats -= float(log_softmax(logits[0])[target])
        found.append(nats)
    return found


# ---------------------------------------------------------------------------------- in the array


def test_items_in_the_array_by_hand() -> None:
    found = Items.of(["ab", "c", "a"], CharTokenizer("\nabc"), "\n")
    assert found.ids.tolist() == [0, 1, 2, 0, 3, 0, 1, 0]
    assert found.begins.tolist() == [1, 4, 6]
    assert found.lengths.tolist() == [2, 1, 1]
    assert len(found) == 3
    rows = np.array([1, 0])
    inputs, lengths = found.padded(rows, after=False)
    targets, _ = found.padded(rows, after=True)
    assert inputs.tolist() == [[0, 3, IGNORED], [0, 1, 2]]
    assert targets.tolist() == [[3, 0, IGNORED], [1, 2, 0]]
    assert lengths.tolist() == [2, 3]
    assert found.read(rows)[0].tolist() == [[3, IGNORED], [1, 2]]
    second, left = found.padded(rows, first=2, most=2, after=True)
    assert second.tolist() == [[IGNORED], [0]] and left.tolist() == [0, 1]


def test_pad_by_hand() -> None:
    ids, begins, lengths = np.arange(10, 20), np.array([5, 0, 9]), np.array([3, 0, 1])

    def padded(**options: int) -> Any:
        return pad(ids, begins, lengths, **options)[0].tolist()

    assert padded() == [[15, 16, 17], [IGNORED] * 3, [19, IGNORED, IGNORED]]
    assert padded(first=1) == [[16, 17], [IGNORED] * 2, [IGNORED] * 2]
    assert padded(first=1, most=1) == [[16], [IGNORED], [IGNORED]]
    assert padded(first=3) == [[], [], []]


@pytest.mark.parametrize("kind", ["classify", "tag"])
def test_answers_and_chosen_items_belong_to_their_texts(kind: str) -> None:
    pairs = [("ab", "x"), ("c", "y"), ("abc", "x")]
    if kind == "tag":
        pairs = [("ab", "xy"), ("c", "y"), ("abc", "yyx")]
    records = [Record(*pair) for pair in pairs]
    found = encode("list", (records, records[:1]), LETTERS, "\n", {}, kind=kind).train
    names = "xy"
    for rows in (np.array([2, 0]), np.array([1])):
        answers = found.answers(rows)
        some = found.chosen(rows)
        assert some.answers(np.arange(len(rows))).tolist() == answers.tolist()
        for row, answer, text in zip(
            rows, answers, some.read(np.arange(len(rows)))[0], strict=True
        ):
            wanted = pairs[row][1]
            got = [names[a] for a in np.atleast_1d(answer).tolist() if a != IGNORED]
            assert "".join(got) == wanted
            assert LETTERS.decode(text[text >= 0]) == pairs[row][0]


def test_facts_about_labels_by_hand() -> None:
    found = dataset(["a", "b", "c"], ["d"], kind="classify", labels="yx")
    assert found.item_facts == ItemFacts("\n", ("x", "y"), (1, 2))
    assert found.item_facts.shares() == [1 / 3, 2 / 3]
    assert found.shape == {"vocab_size": 7, "task": "classify", "num_labels": 2}
    records = [Record("ab", "IO"), Record("c", "O")], [Record("a", "B")]
    tags = encode("list", records, LETTERS, "\n", {}, kind="tag").item_facts
    assert tags == ItemFacts("\n", ("B", "I", "O"), (0, 1, 2))  # counted in training


def test_the_end_symbol_is_one_symbol_of_every_vocabulary() -> None:
    assert [end_symbol(s) for s in ("\n", ";", "\n\n", "---", "§", "")] == [
        "\n",
        ";",
        *[RECORD_SEPARATOR] * 4,
    ]


# -------------------------------------------------------------------------------------- refusals


def test_lists_that_cannot_be_learned_are_refused() -> None:
    with pytest.raises(ShortCorpusError, match="1 items left to train on"):
        dataset(["a"], ["b"])
    with pytest.raises(CorpusError, match=r"the item 'a\\nb' has '\\n' in it, which ends an item"):
        dataset(["a", "a\nb"])
    parts = [Record("a", "x"), Record("b", "x")], [Record("c", "z")]
    with pytest.raises(CorpusError, match="the label 'z' has no training item; add some"):
        encode("list", parts, LETTERS, "\n", {}, kind="labelled")


def test_items_that_a_model_cannot_read_are_refused() -> None:
    facts = ItemFacts("\n")
    for wrong, said in ((["a", ""], "an item is empty"), (["a\nb"], "the symbol in it that ends")):
        with pytest.raises(RequestError, match=said):
            encode_items(wrong, LETTERS, facts)
    with pytest.raises(UnknownCharacterError):
        encode_items(["z"], LETTERS, facts)
    _, engine = model_of(dataset(["a", "b"]))
    nothing = encode_items([], LETTERS, facts)
    with pytest.raises(RequestError, match="no items to score"):
        score_items(engine, LETTERS, nothing)


# ------------------------------------------------------------------------------------------ losses


def losses(found: ItemDataset, model: LanguageModel, B: int, T: int) -> tuple[float, int]:
    """The summed training loss of one epoch, and how many targets it counts."""
    learning, streams = NextSymbol(found, CPU), found.streams(B, T, 1)
    state, total, counted = model.initial_state(B), 0.0, 0
    for step in range(streams.steps_per_epoch):
        with torch.no_grad():
            nats, count, state = learning.objective(model, streams.batch(step), state)
        total, counted = total + float(nats), counted + count
    return total, counted


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "window", "conv"])
@pytest.mark.parametrize("labels", ["", "xyz"])
def test_training_is_charged_what_the_items_cost_one_by_one(cell: str, labels: str) -> None:
    """Whatever the batch and the window: padding and empty rows cost nothing, and an item that is
    read in several windows costs what it does in one."""
    texts = words(23, 12)
    found = dataset(texts, kind="labelled" if labels else "items", labels=labels)
    model, engine = model_of(found, cell)
    weights = None
    if labels:
        weights = np.eye(3)[[k % 3 for k in range(len(texts))]]
    expected = sum(one_by_one(engine, texts, weights))
    symbols = sum(map(len, texts)) + len(texts)
    for B, T in ((1, 100), (4, 100), (4, 3), (5, 1), (64, 5)):
        total, counted = losses(found, model, B, T)
        assert counted == symbols
        assert total == pytest.approx(expected, rel=1e-9), (B, T)


def test_a_batch_by_hand() -> None:
    found = dataset(["ab", "c", "abcde"], kind="labelled", labels="xyx")
    streams = found.streams(2, 4, 1)
    assert isinstance(streams, ItemStreams)
    batches = [streams.batch(step) for step in range(streams.steps_per_epoch)]
    assert len(batches) == 3  # the short two together, the long one in two windows
    ids = {c: int(LETTERS.encode(c)[0]) for c in "\nabcde"}
    shown = {-100: ".", **{v: k for k, v in ids.items()}}
    told = [
        (["".join(shown[t] for t in row) for row in b.targets.tolist()], b.starts_epoch)
        for b in batches
    ]
    assert sorted(told) == [
        (["ab\n", "c\n."], True),
        (["abcd", "...."], True),
        (["e\n", ".."], False),
    ]
    short = next(b for b in batches if b.targets.shape == (2, 3))
    assert short.labels is not None and short.labels.tolist() == [0, 1]
    assert (short.inputs >= 0).all() and short.counted == 5
    assert short.inputs[:, 0].tolist() == [ids["\n"]] * 2


def test_whole_items_by_hand() -> None:
    found = dataset(["ab", "c", "abcde"], kind="classify", labels="xyx")
    streams = found.streams(2, 99, 1)
    assert isinstance(streams, WholeItems)
    assert streams.seq_len == 5 and streams.steps_per_epoch == 2
    read = []
    for step in range(2):
        batch = streams.batch(step)
        assert batch.lengths is not None and batch.starts_epoch
        read += [
            (LETTERS.decode(ids[:length]), label)
            for ids, length, label in zip(batch.inputs, batch.lengths, batch.targets, strict=True)
        ]
    assert sorted(read) == [("ab", 0), ("abcde", 0), ("c", 1)]


@pytest.mark.parametrize("cell", ["lstm", "conv"])
@pytest.mark.parametrize("labels", ["", "xyz"])
def test_every_route_to_the_validation_loss_is_the_same(
    monkeypatch: pytest.MonkeyPatch, cell: str, labels: str
) -> None:
    val = words(9, 14, seed=1)
    found = dataset(words(9, 5), val, kind="labelled" if labels else "items", labels=labels)
    model, engine = model_of(found, cell)
    weights = None if not labels else one_hot(found.val.labels, 3)  # type: ignore[arg-type]
    expected = one_by_one(engine, val, weights)
    symbols = sum(map(len, val)) + len(val)
    for rows, window in ((64, 256), (2, 3), (1, 1)):
        monkeypatch.setattr("charlm.itemscore.ROWS", rows)
        monkeypatch.setattr("charlm.itemscore.WINDOW", window)
        monkeypatch.setattr("charlm.training.evaluate.ITEMS", rows)
        monkeypatch.setattr("charlm.training.evaluate.WINDOW", window)
        np.testing.assert_allclose(item_nats(engine, found.val, weights), expected, rtol=1e-9)
        assert mean_item_nats(model, found.val) == pytest.approx(sum(expected) / symbols, rel=1e-9)
    result = score_items(engine, LETTERS, found.val, len(found.item_facts.labels))
    assert result.items == 9 and result.score.characters == symbols
    assert result.bits_per_item == pytest.approx(sum(expected) / 9 / LN2, rel=1e-9)
    assert result.to_dict()["nats_per_item"] == pytest.approx(sum(expected) / 9, rel=1e-9)


def test_nats_by_label_are_those_of_an_item_written_as_each() -> None:
    texts = words(7, 6)
    found = dataset(texts, kind="labelled", labels="xyz")
    _, engine = model_of(found)
    calls: list[tuple[int, int]] = []
    nats = nats_by_label(engine, found.train, 3, lambda done, of: calls.append((done, of)))
    for k in range(3):
        expected = one_by_one(engine, texts, np.tile(np.eye(3)[k], (7, 1)))
        np.testing.assert_allclose(nats[:, k], expected, rtol=1e-6)
    assert calls == [(7, 21), (14, 21), (21, 21)]
    blend = np.array([0.2, 0.8, 0.0])
    expected = one_by_one(engine, texts, np.tile(blend, (7, 1)))
    np.testing.assert_allclose(item_nats(engine, found.train, blend), expected, rtol=1e-9)


def test_bytes_are_charged_by_the_character() -> None:
    texts = ["è", "ab", "日本"]
    found = dataset(texts, texts, tokenizer=ByteTokenizer())
    assert found.train_symbols == 2 + 2 + 6 + 3
    assert count_characters(found.tokenizer, found.train) == 1 + 2 + 2 + 3
    some = found.train.chosen(np.array([2]))
    assert count_characters(found.tokenizer, some) == 3
    assert found.symbols_per_char == 13 / 8


# ----------------------------------------------------------------------------- what a run settles


def test_the_window_of_a_list() -> None:
    found = dataset([*words(100, 9), "a" * 20])
    assert found.window(None, None) == (12, 21)  # an eighth of the list, the longest with its end
    assert found.window(5, 3) == (5, 3)
    many = dataset([*words(1000, 9), "a" * 1000])
    assert many.window(None, None) == (module.DEFAULT_BATCH_SIZE, module.LONGEST_WINDOW)
    labelled = dataset(words(100, 9), kind="classify", labels="xy")
    with pytest.raises(RequestError, match="--seq-len has no effect with --task classify"):
        labelled.window(None, 8)


def test_of_a_long_list_the_exact_loss_is_that_of_its_first_items(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_EXACT", 3)
    val = ["a", "bc", "d", "eee"]
    found = dataset(["a", "b"], val)
    _, engine = model_of(found)
    assert score_items(engine, LETTERS, found.exact).nats_per_item == pytest.approx(
        sum(one_by_one(engine, val[:3])) / 3
    )
    timed = found.beginning(2)
    assert len(timed.val) == 2 and timed.train is found.train


def test_an_item_of_the_unknown_symbol_is_charged_for_its_name() -> None:
    """A model that folds rare characters pays for saying which one it was."""
    tokenizer = CharTokenizer("\nab", unknown=True)
    found = dataset(["ab", "aq", "ba"], ["aq", "b"], tokenizer=tokenizer)
    _, engine = model_of(found)
    assert found.folding is not None
    plain = score_items(engine, tokenizer, found.val, folded_types=1)
    charged = score_items(engine, tokenizer, found.val, folded_types=8)
    # One folded character of eight kinds: 3 bits, over 5 symbols.
    assert charged.score.bits_per_char - plain.score.bits_per_char == pytest.approx(3 / 5)
    assert charged.score.uncharged_bits == pytest.approx(plain.score.bits_per_char)


def test_ids_of_items_are_not_changed_by_reading_them() -> None:
    found = dataset(["ab", "c", "abcde"]).train
    before: Ids = found.ids.copy()
    inputs, _ = found.padded(np.array([0, 1]), after=False)
    inputs[:] = 7
    assert (found.ids == before).all()
    assert replace(found).chosen(slice(1)).begins.tolist() == [1]
