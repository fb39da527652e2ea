"""Training one reader: the order of the sentences, unknown characters, learning, and its log."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from charlm.errors import DivergenceError
from charlm.experiments.position_invariance import training
from charlm.experiments.position_invariance.design import Design
from charlm.experiments.position_invariance.examples import Example
from charlm.experiments.position_invariance.readers import (
    KINDS,
    AnyReader,
    Kind,
    Vocabulary,
    build,
    shape,
)
from charlm.experiments.position_invariance.training import (
    BATCH_SIZE,
    SORTED,
    Material,
    train,
)
from charlm.experiments.training import CurvePoint
from charlm.seeds import derive
from charlm.training.optim import hidden_matrices

BLOCK = BATCH_SIZE * SORTED
ANSWERS = ("1950", "1969", "2009", "2024")
DESIGN = Design(
    trained=ANSWERS,
    held_out=(),
    common=ANSWERS,
    lines=(("I went to ", "place", " in ", "slot", "."), ("In ", "slot", " it was ", "place", "!")),
    fillers={"slot": ANSWERS, "place": ("Rome", "Nepal", "the Alps")},
    asked="slot",
)


@pytest.fixture(scope="module")
def sentences() -> list[Example]:
    """Twice as many as are sorted together."""
    return DESIGN.training(1, 4 * BLOCK)  # 64 updates


@pytest.fixture(scope="module")
def vocabulary(sentences: list[Example]) -> Vocabulary:
    return Vocabulary.of([each.text for each in sentences], "012456789", 4)


@pytest.fixture(scope="module")
def material(vocabulary: Vocabulary, sentences: list[Example]) -> Material:
    return Material.of(vocabulary, sentences)


@pytest.fixture(autouse=True)
def small_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fiftieth of the experiment's parameters: what is tested here does not depend on them."""
    monkeypatch.setattr(training, "shape", lambda kind, words: shape(kind, words, 3000))


Losses = Callable[..., Tensor]


@pytest.fixture
def wrap_loss(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Losses], Losses]], None]:
    """Wrap the loss of the reader that ``train`` builds."""

    def wrap(around: Callable[[Losses], Losses]) -> None:
        def built(*args: Any) -> AnyReader:
            reader = build(*args)
            monkeypatch.setattr(reader, "loss", around(reader.loss))
            return reader

        monkeypatch.setattr(training, "build", built)

    return wrap


def learn(
    material: Material,
    vocabulary: Vocabulary,
    *,
    name: str = "time-delay",
    seed: int = 1,
    steps: int = 3,
    validation: list[Example] | None = None,
    **more: Any,
) -> tuple[AnyReader, list[CurvePoint]]:
    few = [Example("In 1950 it was Rome!", "1950", 3, "none")]
    return train(
        KINDS[name],
        vocabulary,
        material,
        few if validation is None else validation,
        seed=seed,
        steps=steps,
        **more,
    )


# ------------------------------------------------------------------------ which sentences and when


@pytest.fixture(scope="module")
def lengths() -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(5, 121, size=3 * BLOCK)


def test_every_sentence_of_a_block_is_read_once_and_only_then_the_next_block(
    lengths: NDArray[np.int64],
) -> None:
    for block in range(3):
        steps = range(block * SORTED, (block + 1) * SORTED)
        rows = np.concatenate([training._rows(lengths, 5, step) for step in steps])
        assert sorted(rows.tolist()) == list(range(block * BLOCK, (block + 1) * BLOCK))


def test_a_batch_holds_neighbours_in_length(lengths: NDArray[np.int64]) -> None:
    """The batches of a block, put in order of their lengths, are the block sorted."""
    for block in range(3):
        batches = [training._rows(lengths, 5, block * SORTED + place) for place in range(SORTED)]
        assert all(len(rows) == BATCH_SIZE for rows in batches)
        found = sorted(lengths[rows].tolist() for rows in batches)
        expected = np.sort(lengths[block * BLOCK : (block + 1) * BLOCK])
        assert np.concatenate(found).tolist() == expected.tolist()


def test_rows_are_a_pure_function_of_seed_and_step(lengths: NDArray[np.int64]) -> None:
    def rows(seed: int, steps: Iterator[int] | range) -> dict[int, list[int]]:
        return {step: training._rows(lengths, seed, step).tolist() for step in steps}

    forward = rows(5, range(40))
    np.random.seed(3)  # what others draw does not matter
    assert rows(5, reversed(range(40))) == forward
    assert rows(6, range(40)) != forward


def test_batches_come_in_another_order_in_every_block_and_for_every_seed(
    lengths: NDArray[np.int64],
) -> None:
    """Otherwise every block would begin with the short sentences."""
    orders = []
    for seed in (5, 6):
        for block in range(3):
            first = [training._rows(lengths, seed, block * SORTED + k)[0] for k in range(SORTED)]
            orders.append(tuple(np.argsort(lengths[first], kind="stable").tolist()))
    assert len(set(orders)) == len(orders)
    assert tuple(range(SORTED)) not in orders


def test_steps_beyond_the_last_sentence_begin_again(lengths: NDArray[np.int64]) -> None:
    for step in range(3 * SORTED, 9 * SORTED):
        rows = training._rows(lengths, 5, step)
        assert len(set(rows.tolist())) == BATCH_SIZE
        assert 0 <= rows.min() <= rows.max() < len(lengths)
    one_block = lengths[:BLOCK]
    rows = np.concatenate([training._rows(one_block, 5, SORTED + k) for k in range(SORTED)])
    assert sorted(rows.tolist()) == list(range(BLOCK))


# ---------------------------------------------------------------------------------------- material


def test_a_batch_is_the_sentences_that_were_asked_for_and_as_long_as_its_longest(
    material: Material, vocabulary: Vocabulary, sentences: list[Example]
) -> None:
    by_length = sorted(range(200), key=lambda n: len(sentences[n].text))
    rows = np.array([by_length[0], by_length[40], by_length[20]])
    ids, lengths, answers, starts = material.batch(rows)
    chosen = [sentences[row] for row in rows]
    assert {part.dtype for part in (ids, lengths, answers, starts)} == {torch.int64}
    assert ids.shape == (3, max(len(each.text) for each in chosen))
    for row, each in enumerate(chosen):
        text = vocabulary.tokenizer.decode(ids[row].numpy())
        assert text == each.text.ljust(ids.shape[1], "\n")
        assert lengths[row] == len(each.text)
        start = int(starts[row])
        assert text[start : start + 4] == each.answer
    assert vocabulary.decode_answers(answers.numpy()) == [each.answer for each in chosen]


def test_a_vocabulary_of_any_size_survives_the_storage() -> None:
    """255 and 256 symbols are the last and the first on either side of a byte."""
    for count in (252, 253, 254, 255, 300):
        characters = "".join(map(chr, range(0x4E00, 0x4E00 + count)))
        words = Vocabulary.of([characters], "", 1)
        ids, *_ = Material.of(words, [Example(characters + "?", "", 0, "")]).batch(np.array([0]))
        assert words.tokenizer.decode(ids[0].numpy()) == characters + "\N{REPLACEMENT CHARACTER}"


def test_a_batch_may_be_changed_without_changing_the_material(material: Material) -> None:
    rows = np.arange(5)
    first = material.batch(rows)
    before = [part.clone() for part in first]
    for part in first:
        part.zero_()
    again = material.batch(rows)
    assert all(torch.equal(one, other) for one, other in zip(before, again, strict=True))


# ---------------------------------------------------------------------------------- the same again


@pytest.mark.parametrize("name", ["feedforward", "time-delay", "bilstm", "tagger", "writer-gru"])
def test_a_seed_gives_its_weights_whatever_happens_around_it(
    material: Material, vocabulary: Vocabulary, name: str
) -> None:
    def weights(seed: int, noise: int) -> dict[str, Tensor]:
        torch.manual_seed(noise)
        random.seed(noise)
        np.random.seed(noise)
        validation = DESIGN.validation(noise, 5 * noise)
        reader, _ = learn(material, vocabulary, name=name, seed=seed, validation=validation)
        return {key: value.detach() for key, value in reader.named_parameters()}

    one, same, other = weights(1, 1), weights(1, 2), weights(2, 1)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not any(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", KINDS)
def test_one_update_changes_every_parameter(
    material: Material, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    config = shape(KINDS[name], vocabulary, 20_000)
    monkeypatch.setattr(training, "shape", lambda kind, words: config)
    reader, _ = learn(material, vocabulary, name=name, steps=1)
    fresh = dict(build(KINDS[name], config, vocabulary, derive(1, "weights")).named_parameters())
    for key, value in reader.named_parameters():
        assert not torch.equal(value, fresh[key]), key


@pytest.mark.parametrize("name", ["bilstm", "tagger-both"])
def test_muon_takes_the_matrices_of_both_directions(vocabulary: Vocabulary, name: str) -> None:
    reader = build(KINDS[name], shape(KINDS[name], vocabulary, 3000), vocabulary, 1)
    assert set(hidden_matrices(reader)) == {
        f"{way}body.layers.0.weight_{which}_l0"
        for way in ("", "backward_")
        for which in ("ih", "hh")
    }


def test_a_trained_reader_is_ready_to_be_asked(material: Material, vocabulary: Vocabulary) -> None:
    told: list[int] = []
    reader, _ = learn(material, vocabulary, steps=5, updated=told.append)
    assert told == [1, 2, 3, 4, 5]
    assert not reader.training


# ----------------------------------------------------------------------------------------- unknown


def spied(
    wrap_loss: Callable[[Callable[[Losses], Losses]], None],
) -> list[tuple[Tensor, ...]]:
    """What the loss was asked of, batch by batch."""
    seen: list[tuple[Tensor, ...]] = []

    def around(loss: Losses) -> Losses:
        def spy(*batch: Tensor) -> Tensor:
            seen.append(tuple(part.clone() for part in batch))
            return loss(*batch)

        return spy

    wrap_loss(around)
    return seen


@pytest.mark.parametrize("name", ["time-delay", "writer-rnn"])
def test_unknown_takes_any_character_but_the_answers_and_the_padding(
    material: Material,
    vocabulary: Vocabulary,
    wrap_loss: Callable[[Callable[[Losses], Losses]], None],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """If every character that can be lost is lost, the answer remains."""
    monkeypatch.setattr(training, "UNKNOWN_SHARE", 1.0)
    seen = spied(wrap_loss)
    learn(material, vocabulary, name=name)
    assert len(seen) == 3
    for ids, lengths, answers, starts in seen:
        for row, answer in enumerate(vocabulary.decode_answers(answers.numpy())):
            text = vocabulary.tokenizer.decode(ids[row].numpy())
            start, length = int(starts[row]), int(lengths[row])
            expected = "\N{REPLACEMENT CHARACTER}" * start + answer
            expected = expected.ljust(length, "\N{REPLACEMENT CHARACTER}")
            assert text == expected.ljust(len(text), "\n")


def test_few_characters_are_unknown_and_others_at_every_step(
    material: Material,
    vocabulary: Vocabulary,
    wrap_loss: Callable[[Callable[[Losses], Losses]], None],
) -> None:
    seen = spied(wrap_loss)
    learn(material, vocabulary, name="feedforward", steps=32)
    whole = [material.batch(training._rows(material.lengths, 1, step)) for step in range(32)]
    lost = [(a[0] == vocabulary.unknown) for a in seen]
    for (ids, *rest), (known, *others), gone in zip(seen, whole, lost, strict=True):
        # Nothing else is touched.
        assert torch.equal(ids[~gone], known[~gone])
        assert all(torch.equal(a, b) for a, b in zip(rest, others, strict=True))
    characters = sum(int(lengths.sum()) for _, lengths, *_ in seen)
    share = sum(int(gone.sum()) for gone in lost) / characters
    assert share == pytest.approx(training.UNKNOWN_SHARE, rel=0.3)
    places = [tuple(gone.nonzero()[:5].flatten().tolist()) for gone in lost]
    assert len(set(places)) > 25


# ---------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize("name", ["time-delay", "tagger-both"])
def test_a_small_task_is_learnt_and_answers_at_random_are_not(
    material: Material, vocabulary: Vocabulary, sentences: list[Example], name: str
) -> None:
    validation = DESIGN.validation(1, 200)
    _, curve = learn(material, vocabulary, name=name, steps=64, validation=validation)
    assert curve[-1].loss < 0.25 * curve[0].loss
    assert curve[-1].accuracy > 0.9
    # The control: the same sentences, each with the answer of another. Nothing can be learnt but
    # how often each of the four is given (for a tagger: where answers stand).
    order = np.random.default_rng(0).permutation(len(sentences))
    shuffled = replace(material, answers=material.answers[order], starts=material.starts[order])
    _, control = learn(shuffled, vocabulary, name=name, steps=64, validation=validation)
    assert control[-1].accuracy < 0.4
    assert control[-1].loss > 2 * curve[-1].loss


@pytest.mark.parametrize("name", KINDS)
def test_sixteen_updates_take_something_off_every_loss(
    material: Material, vocabulary: Vocabulary, name: str
) -> None:
    _, curve = learn(material, vocabulary, name=name, steps=16)
    losses = [point.loss for point in curve]
    assert np.mean(losses[-3:]) < 0.9 * losses[0]


# ------------------------------------------------------------------------------ the learning curve


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (1, [1]),
        (7, [1, 2, 3, 4, 5, 6, 7]),
        (31, [*range(2, 31, 2), 31]),
        (32, list(range(2, 33, 2))),
    ],
)
def test_the_curve_has_its_points_evenly_and_at_the_end(
    material: Material, vocabulary: Vocabulary, steps: int, expected: list[int]
) -> None:
    _, curve = learn(material, vocabulary, name="feedforward", steps=steps)
    assert [point.step for point in curve] == expected


def test_a_point_is_the_mean_loss_since_the_last_and_the_share_of_exact_answers(
    material: Material,
    vocabulary: Vocabulary,
    wrap_loss: Callable[[Callable[[Losses], Losses]], None],
) -> None:
    losses: list[float] = []

    def around(loss: Losses) -> Losses:
        def noted(*batch: Tensor) -> Tensor:
            found = loss(*batch)
            losses.append(found.item())
            return found

        return noted

    wrap_loss(around)
    validation = DESIGN.validation(1, 100)
    for n in range(0, 100, 3):  # so that some answers are wrong, however well it learns
        validation[n] = replace(validation[n], answer="2000")
    reader, curve = learn(material, vocabulary, steps=31, validation=validation)
    means = [np.mean(losses[n : n + 2]) for n in range(0, 31, 2)]
    assert [point.loss for point in curve] == pytest.approx(means)
    answers = reader.answers([each.text for each in validation])
    right = sum(a == each.answer for a, each in zip(answers, validation, strict=True))
    assert 0 < right <= 66
    assert curve[-1].accuracy == pytest.approx(right / 100)


# --------------------------------------------------------------------------------------- divergence


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_training_and_says_where(
    material: Material,
    vocabulary: Vocabulary,
    wrap_loss: Callable[[Callable[[Losses], Losses]], None],
    value: float,
) -> None:
    calls: list[int] = []

    def around(loss: Losses) -> Losses:
        def spoilt(*batch: Tensor) -> Tensor:
            calls.append(1)
            return loss(*batch) * (value if len(calls) == 4 else 1)

        return spoilt

    wrap_loss(around)
    told: list[int] = []
    with pytest.raises(DivergenceError) as caught:
        learn(material, vocabulary, name="lstm", seed=7, steps=9, updated=told.append)
    for part in ("lstm", "seed 7", "step 3", str(value)):
        assert part in str(caught.value)
    assert told == [1, 2, 3]


def test_a_gradient_that_is_not_finite_ends_the_training_as_well(
    material: Material, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(kind: Kind, *args: Any) -> AnyReader:
        reader = build(kind, *args)
        # Biases begin at zero: a loss of zero, with a slope that no float32 norm can hold.
        monkeypatch.setattr(reader, "loss", lambda *batch: (reader.head.bias * 1e38).sum())
        return reader

    monkeypatch.setattr(training, "build", built)
    with pytest.raises(DivergenceError, match="rnn, seed 2, step 0: loss 0 and gradient norm inf"):
        learn(material, vocabulary, name="rnn", seed=2)


def test_the_message_of_a_divergence_names_a_remedy_that_changes_something(
    material: Material,
    vocabulary: Vocabulary,
    wrap_loss: Callable[[Callable[[Losses], Losses]], None],
) -> None:
    """--seeds is how many repetitions there are: the same seed would diverge again."""
    wrap_loss(lambda loss: lambda *batch: loss(*batch) * math.nan)
    with pytest.raises(DivergenceError) as caught:
        learn(material, vocabulary)
    assert "another --seeds" not in str(caught.value)
