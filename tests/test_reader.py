"""The models that answer about an item: torch against NumPy, and nothing depends on padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from charlm.config import CELLS, ModelConfig
from charlm.engine import Engine, log_softmax
from charlm.errors import CheckpointError
from charlm.models.readers import ItemReader, build_reader
from charlm.tasks.reader import Reader, nats_of, read_items, reversed_places
from charlm.text.items import Items, encode
from charlm.text.records import Record
from charlm.text.tokenizer import CharTokenizer
from charlm.training.answering import Labels
from charlm.training.group import ALONE

V, K, H, E = 7, 4, 6, 5
Array = NDArray[Any]
LETTERS = CharTokenizer.from_text("\nabcdef")
TEXTS = ["abc", "f", "abcdefabcdef", "ba", "ffffff", "cab", "d" * 9]

every_reader = pytest.mark.parametrize(
    ("cell", "task"), [(cell, task) for cell in CELLS for task in ("classify", "tag")]
)


def make(cell: str, task: str, layers: int = 2) -> tuple[ItemReader, Reader]:
    config = ModelConfig.resolve(
        vocab_size=V,
        cell=cell,
        num_layers=layers,
        hidden_size=H,
        embedding_size=E,
        context=4,
        task=task,
        num_labels=K,
    )
    model = build_reader(config, 3).double().eval()
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return model, Reader(config, {n: p.detach().numpy() for n, p in model.named_parameters()})


def items_of(task: str, texts: list[str] = TEXTS) -> Items:
    records = [
        Record(text, "wxyz"[k % 4] if task == "classify" else ("wxyz" * 4)[: len(text)])
        for k, text in enumerate(texts)
    ]
    records += [Record("abcd", "wxyz" if task == "tag" else each) for each in "wxyz"]
    found = encode("list", (records, records[:1]), LETTERS, "\n", {}, kind=task).train
    return found.chosen(slice(len(texts)))


def alone(reader: Reader, text: str) -> Array:
    ids = LETTERS.encode(text)[None].astype(np.int64)
    found: Array = reader.log_probabilities(ids, np.array([len(text)]))[0]
    return found


@every_reader
def test_numpy_is_torch_for_unequal_lengths(cell: str, task: str) -> None:
    model, reader = make(cell, task)
    found = items_of(task)
    ids, lengths = found.read(np.arange(len(found)))
    with torch.no_grad():
        logits = model(torch.from_numpy(np.maximum(ids, 0)), torch.from_numpy(lengths))
    expected = logits.double().log_softmax(-1).numpy()
    got = reader.log_probabilities(ids, lengths)
    for row, length in enumerate(lengths.tolist()):
        some = slice(length) if task == "tag" else slice(None)
        np.testing.assert_allclose(got[row][some], expected[row][some], atol=1e-5)


@every_reader
def test_an_answer_depends_on_its_item_alone(cell: str, task: str) -> None:
    """Not on what it is read beside, nor on what fills its row."""
    _, reader = make(cell, task)
    found = items_of(task)
    expected = [alone(reader, text) for text in TEXTS]
    for number, answer in enumerate(read_items(reader, found)):
        np.testing.assert_allclose(answer, expected[number], atol=1e-9)
    ids, lengths = found.read(np.arange(len(found)))
    for filling in (-100, 0, 6):
        filled = np.pad(ids, ((0, 0), (0, 3)), constant_values=filling)
        filled[filled < 0] = filling
        answers = reader.log_probabilities(filled, lengths)
        for row, text in enumerate(TEXTS):
            some = slice(len(text)) if task == "tag" else slice(None)
            np.testing.assert_allclose(answers[row][some], expected[row], atol=1e-9)


@every_reader
def test_items_come_back_in_their_order_however_many_are_read_at_once(
    cell: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, reader = make(cell, task)
    monkeypatch.setattr("charlm.tasks.reader.ROWS", 2)
    calls: list[tuple[int, int]] = []
    answers = read_items(reader, items_of(task), lambda done, of: calls.append((done, of)))
    for text, answer in zip(TEXTS, answers, strict=True):
        assert answer.shape == ((K,) if task == "classify" else (len(text), K))
        np.testing.assert_allclose(answer, alone(reader, text), atol=1e-9)
        np.testing.assert_allclose(np.exp(answer).sum(-1), 1.0)
    assert calls == [(2, 7), (4, 7), (6, 7), (7, 7)]


@pytest.mark.parametrize("cell", CELLS)
def test_both_bodies_are_plain_ones_and_one_reads_backwards(cell: str) -> None:
    """Against two engines without labels: one reads the item, the other the reversed item."""
    _, reader = make(cell, "tag")
    config = ModelConfig(**(reader.config.to_dict() | {"task": "text", "num_labels": 0}))
    parts: dict[str, Array] = {"head.weight": np.zeros((V, H)), "head.bias": np.zeros(V)}
    model, _ = make(cell, "tag")
    weights = {name: p.detach().numpy() for name, p in model.named_parameters()}
    text, features = "abcdefa", []
    for name, turn in (("body.", 1), ("backward_body.", -1)):
        own = {"body." + k.removeprefix(name): w for k, w in weights.items() if k.startswith(name)}
        own["body.embedding.weight"] = weights["body.embedding.weight"]
        engine = Engine(config, own | parts)
        ids = LETTERS.encode(text)[::turn].astype(np.int64)[None]
        trace = engine.trace(ids)
        features.append(trace.features[0][::turn])
    both = np.concatenate(features, -1)
    logits = both @ weights["head.weight"].T + weights["head.bias"]
    np.testing.assert_allclose(alone(reader, text), log_softmax(logits), atol=1e-9)


@every_reader
def test_the_loss_of_training_is_that_of_the_answers(cell: str, task: str) -> None:
    model, reader = make(cell, task)
    found = items_of(task)
    nats, count = nats_of(read_items(reader, found), found)
    assert count == (len(TEXTS) if task == "classify" else sum(map(len, TEXTS)))
    by_hand = 0.0
    for k, text in enumerate(TEXTS):
        answer = alone(reader, text)
        rows = [answer] if task == "classify" else list(answer)
        right = [k % 4] if task == "classify" else [t % 4 for t in range(len(text))]
        by_hand -= sum(float(row[label]) for row, label in zip(rows, right, strict=True))
    assert nats == pytest.approx(by_hand, rel=1e-9)
    records = [Record("a", "w"), Record("b", "x")]
    data = encode("list", (records, []), LETTERS, "\n", {}, kind=task)
    data = type(data)(data.name, LETTERS, task, found, found, data.item_facts, {})
    learning = Labels(data, torch.device("cpu"))
    assert learning.unit == ("item" if task == "classify" else "char")
    mean = learning.validation_nats(model, lambda: False, ALONE)
    assert mean == pytest.approx(by_hand / count, rel=1e-5)
    streams = data.streams(3, 99, 1)
    total, counted = 0.0, 0
    for step in range(streams.steps_per_epoch):
        loss, number, state = learning.objective(model, streams.batch(step), ())
        total, counted = total + float(loss.detach()), counted + number
        assert state == ()
    assert counted == count and total == pytest.approx(by_hand, rel=1e-5)


def test_reversed_places_by_hand() -> None:
    found = reversed_places(np.array([3, 1, 0]), 4)
    assert found.tolist() == [[2, 1, 0, 3], [0, 1, 2, 3], [0, 1, 2, 3]]


@pytest.mark.parametrize("task", ["classify", "tag"])
@pytest.mark.parametrize("cell", CELLS)
def test_the_configuration_says_what_torch_has(cell: str, task: str) -> None:
    model, reader = make(cell, task)
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert shapes == reader.config.parameter_shapes()
    assert model.initial_state(3) == () == reader.config.carried_shapes(3)


def test_weights_too_large_to_compute_with_are_an_error() -> None:
    _, reader = make("gru", "classify")
    reader.head_bias = reader.head_bias + np.array([np.inf, 0, 0, 0])
    with pytest.raises(CheckpointError, match="output is not finite"):
        alone(reader, "abc")
