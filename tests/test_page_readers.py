"""The readers of pages: their size, their head, their answers, and that one can learn to read.

The bodies have tests of their own; here is what the experiment adds to them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from charlm.experiments.page import training
from charlm.experiments.page.design import Design, numbers, standard
from charlm.experiments.page.layouts import ASKED, Page
from charlm.experiments.page.readers import (
    KERNELS,
    KINDS,
    PARAMETERS,
    Reader,
    Shape,
    Vocabulary,
    build,
    num_parameters,
    shape_of,
)
from charlm.experiments.page.training import Material, accuracy, train
from charlm.models.pages import Convolution

DESIGN = standard()
SMALL = Design(DESIGN.trained, DESIGN.held_out, rows=10, columns=20)
"""Pages that are read quickly."""
WITHOUT_PLACES = [name for name in KINDS if not KINDS[name].separate]


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    """The vocabulary of a full run."""
    pages = islice(DESIGN.training(0), 5000)
    return Vocabulary.of("".join({cell for page in pages for row in page.rows for cell in row}))


@pytest.fixture(scope="module")
def pages() -> list[Page]:
    return list(islice(SMALL.training(5), 7))


def small(name: str, words: Vocabulary, seed: int = 1, hidden_size: int = 5) -> Reader:
    kind = KINDS[name]
    shape = Shape(kind.embedding_size, hidden_size, SMALL.rows, SMALL.columns)
    return build(kind, shape, words, seed)


def spread(reader: Reader, scale: float = 4.0) -> Reader:
    """Heads that are no longer near zero: the gates of some places are open, of others closed."""
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for head in (reader.place, reader.digits):
            for parameter in (head.weight, head.bias):
                parameter.copy_(torch.from_numpy(scale * rng.normal(size=tuple(parameter.shape))))
    return reader


def ids_of(reader: Reader, pages: list[Page]) -> NDArray[np.int64]:
    return reader.vocabulary.encode([page.rows for page in pages]).astype(np.int64)


def log_softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = scores - scores.max(-1, keepdims=True)
    found: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return found


# -------------------------------------------------------------------------------------------- size


@pytest.mark.parametrize("name", [name for name in KINDS if name != "feedforward-wide"])
def test_every_reader_has_its_parameters_within_five_percent(name: str, words: Vocabulary) -> None:
    kind = KINDS[name]
    shape = shape_of(kind, words)
    assert kind.parameters == PARAMETERS
    assert num_parameters(kind, shape, words) == pytest.approx(PARAMETERS, rel=0.05)
    assert kind.times == 1


def test_only_one_reader_is_larger_and_reads_more_pages(words: Vocabulary) -> None:
    """It has its own row, outside the comparison."""
    wide = KINDS["feedforward-wide"]
    found = num_parameters(wide, shape_of(wide, words), words)
    assert found == pytest.approx(1_000_000, rel=0.05)
    assert wide.times == 8


@pytest.mark.parametrize("name", WITHOUT_PLACES)
def test_the_size_does_not_depend_on_the_page(name: str, words: Vocabulary) -> None:
    """So the readers of other widths are the same readers."""
    shapes = [shape_of(KINDS[name], words, columns=columns) for columns in (10, 40, 80)]
    assert len({shape.hidden_size for shape in shapes}) == 1
    assert len({num_parameters(KINDS[name], shape, words) for shape in shapes}) == 1


@pytest.mark.parametrize("name", KINDS)
def test_the_number_of_parameters_is_that_of_the_reader_that_is_built(
    name: str, words: Vocabulary
) -> None:
    reader = small(name, words)
    counted = sum(parameter.numel() for parameter in reader.parameters())
    assert num_parameters(reader.kind, reader.shape, words) == counted


@pytest.mark.parametrize("name", KINDS)
def test_build_is_a_function_of_its_seed(name: str, words: Vocabulary) -> None:
    torch.manual_seed(5)
    one = small(name, words, seed=1).state_dict()
    torch.manual_seed(6)
    before = torch.random.get_rng_state()
    again, other = (small(name, words, seed).state_dict() for seed in (1, 2))
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not torch.equal(one["place.weight"], other["place.weight"])
    assert not torch.equal(one["embedding.weight"], other["embedding.weight"])
    assert torch.equal(torch.random.get_rng_state(), before)  # nobody else's numbers change


@pytest.mark.parametrize("name", KINDS)
def test_an_untrained_reader_knows_nothing(name: str, words: Vocabulary) -> None:
    """The first loss is that of equal scores, 16.1 nats: ln 960 for the place, 4 ln 10 for the
    digits. The features of the convolutions are large, which costs them some nats at first."""
    kind = KINDS[name]
    reader = build(kind, shape_of(kind, words), words, seed=1)
    material = Material.of(words, islice(DESIGN.training(1), 8))
    loss = float(reader.loss(*material.batch(slice(0, 8))).detach())
    equal = np.log(960) + 4 * np.log(10)
    assert equal - 0.3 < loss < equal + (5 if "conv" in name else 0.3)


# -------------------------------------------------------------------------------------------- head


@pytest.mark.parametrize("name", WITHOUT_PLACES)
def test_the_head_computed_slowly(name: str, words: Vocabulary, pages: list[Page]) -> None:
    """A score for every place; a gate for every place; of each feature the largest and the
    smallest gated value; from their sum the digits."""
    reader = spread(small(name, words))
    ids = ids_of(reader, pages)
    with torch.no_grad():
        features = reader.body(reader.embedding(torch.from_numpy(ids))).double().numpy()
        found = reader(torch.from_numpy(ids))
    w, b = (p.detach().double().numpy() for p in (reader.place.weight, reader.place.bias))
    W, B = (p.detach().double().numpy() for p in (reader.digits.weight, reader.digits.bias))
    for n in range(len(pages)):
        gated = []
        for row in range(SMALL.rows):
            for column in range(SMALL.columns):
                feature = features[n, row, column]
                score = float(w[0] @ feature + b[0])
                place = row * SMALL.columns + column
                assert found.place[n, place].item() == pytest.approx(score, rel=1e-4, abs=1e-4)
                gated.append(feature / (1 + np.exp(-score)))
        seen = np.max(gated, axis=0) + np.min(gated, axis=0)
        digits = (W @ seen + B).reshape(4, 10)
        np.testing.assert_allclose(found.digits[n].numpy(), digits, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["feedforward", "feedforward-wide"])
def test_the_head_of_a_reader_without_places(
    name: str, words: Vocabulary, pages: list[Page]
) -> None:
    reader = spread(small(name, words))
    ids = torch.from_numpy(ids_of(reader, pages))
    with torch.no_grad():
        features = reader.body(reader.embedding(ids))
        found = reader(ids)
    assert features.shape == (7, 5)
    assert torch.allclose(found.place, features @ reader.place.weight.T + reader.place.bias)
    digits = features @ reader.digits.weight.T + reader.digits.bias
    assert torch.allclose(found.digits, digits.view(7, 4, 10))


@pytest.mark.parametrize("name", KINDS)
def test_the_loss_by_hand(name: str, words: Vocabulary, pages: list[Page]) -> None:
    """Nats for the place of the last digit, and for each of the four digits, a mean over pages."""
    reader = spread(small(name, words), scale=1.0)
    ids = torch.from_numpy(ids_of(reader, pages))
    with torch.no_grad():
        found = reader(ids)
    places, digits = (log_softmax(part.double().numpy()) for part in found)
    expected = 0.0
    for n, page in enumerate(pages):
        expected -= places[n, page.row * 20 + page.column + 3]
        for place, digit in enumerate(page.answer):
            expected -= digits[n, place, int(digit)]
    material = Material.of(words, pages)
    loss = float(reader.loss(*material.batch(slice(0, 7))).detach())
    assert loss == pytest.approx(expected / 7, rel=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_the_loss_reaches_every_parameter(name: str, words: Vocabulary, pages: list[Page]) -> None:
    reader = spread(small(name, words), scale=0.3)
    material = Material.of(words, pages)
    reader.loss(*material.batch(slice(0, 7))).backward()
    for key, parameter in reader.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 0, key


# ----------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize("name", KINDS)
def test_answers_are_the_highest_scores(name: str, words: Vocabulary, pages: list[Page]) -> None:
    """The place of the first digit, three columns before the one that is scored."""
    reader = spread(small(name, words))
    ids = ids_of(reader, pages)
    with torch.no_grad():
        found = reader(torch.from_numpy(ids))
    answers = reader.answers(ids)
    for n in range(len(pages)):
        best = int(found.place[n].numpy().argmax())
        assert (answers.rows[n], answers.columns[n]) == (best // 20, best % 20 - 3)
        assert answers.values[n] == "".join(str(int(d.argmax())) for d in found.digits[n].numpy())


def test_the_place_of_an_answer_is_that_of_the_first_digit(
    words: Vocabulary, pages: list[Page]
) -> None:
    """Row 1, columns 4 to 7, and the value 1987, whatever is on the page."""
    reader = small("feedforward", words)
    with torch.no_grad():
        reader.place.bias[1 * 20 + 7] = 100.0
        for place, digit in enumerate((1, 9, 8, 7)):
            reader.digits.bias[10 * place + digit] = 100.0
    found = reader.answers(ids_of(reader, pages[:2]))
    assert (found.rows.tolist(), found.columns.tolist()) == ([1, 1], [4, 4])
    assert found.values == ["1987", "1987"]
    with torch.no_grad():
        reader.place.bias[2 * 20 + 1] = 200.0  # no number could end there
    found = reader.answers(ids_of(reader, pages[:1]))
    assert (found.rows.tolist(), found.columns.tolist()) == ([2], [-2])


@pytest.mark.parametrize("name", KINDS)
def test_answers_come_in_order_whatever_the_batch(
    name: str, words: Vocabulary, pages: list[Page]
) -> None:
    reader = spread(small(name, words))
    ids = ids_of(reader, pages)
    whole = reader.answers(ids)
    for size in (1, 3):
        parts = reader.answers(ids, batch_size=size)
        assert parts.values == whole.values
        assert parts.rows.tolist() == whole.rows.tolist()
        assert parts.columns.tolist() == whole.columns.tolist()


def test_unknown_characters_are_read_as_one_symbol(words: Vocabulary) -> None:
    ids = words.encode([["anno 1987", "§anno ½¾ "]])
    assert ids.shape == (1, 2, 9)
    assert ids[0, 1, 0] == ids[0, 1, 6] == ids[0, 1, 7] == words.unknown
    assert words.unknown not in ids[0, 0]
    assert ids[0, 0, :4].tolist() == ids[0, 1, 1:5].tolist()
    assert ids[0, 0, 4] == ids[0, 1, 5] != words.unknown


def test_no_page_has_a_character_that_the_vocabulary_lacks(words: Vocabulary) -> None:
    for design in (DESIGN, *(DESIGN.of_width(width) for width in (10, 20, 80))):
        pages = [page.rows for page in islice(design.training(1), 500)]
        assert not (words.encode(pages) == words.unknown).any()


def test_material_by_hand(words: Vocabulary, pages: list[Page]) -> None:
    material = Material.of(words, iter(pages), 5)
    assert len(material) == 5
    for n, page in enumerate(pages[:5]):
        assert words.tokenizer.decode(material.ids[n].flatten().tolist()) == "".join(page.rows)
        last = divmod(int(material.places[n]), 20)
        assert last == (page.row, page.column + 3)
        assert page.rows[last[0]][last[1]] == page.answer[-1]
        assert "".join(map(str, material.digits[n].tolist())) == page.answer


def test_many_pages_as_arrays_are_all_of_them(
    words: Vocabulary, pages: list[Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Material.of(words, pages)
    monkeypatch.setattr(training, "_AT_ONCE", 3)
    parts = Material.of(words, pages)
    assert np.array_equal(parts.ids, whole.ids)
    assert np.array_equal(parts.places, whole.places)
    assert np.array_equal(parts.digits, whole.digits)


# --------------------------------------------------------------------------------- receptive field


def test_the_receptive_field_is_what_a_score_depends_on(words: Vocabulary) -> None:
    """Every character of 9 x 37 around a place, and none beyond."""
    reader = spread(build(KINDS["conv"], Shape(8, 20, 24, 40), words, seed=1))
    assert reader.receptive_field == (9, 37)
    rng = np.random.default_rng(0)
    ids = torch.from_numpy(rng.integers(0, words.tokenizer.vocab_size, (4, 24, 40)))
    embedded = reader.embedding(ids).detach().requires_grad_()
    features = reader.body(embedded)
    reader.place(features)[:, 12, 20].sum().backward()
    assert embedded.grad is not None
    depends = (embedded.grad != 0).any(-1).any(0).numpy()
    rows, columns = np.nonzero(depends)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 16, 2, 38)
    assert depends[8:17, 2:39].all()


WORD = re.compile("|".join(ASKED), re.IGNORECASE)


def to_the_word(page: Page) -> list[tuple[int, int]]:
    """Rows and columns from the last digit of the asked number to each letter of its word, the only
    one of the trip."""
    [(row, word)] = [
        (row, found) for row, line in enumerate(page.rows) for found in WORD.finditer(line)
    ]
    last = page.column + 3
    return [(row - page.row, at - last) for at in range(*word.span())]


@pytest.mark.parametrize("columns", [10, 20, 40, 80])
def test_the_field_of_the_convolutions_holds_the_word_from_the_last_digit(columns: int) -> None:
    design = DESIGN if columns == 40 else DESIGN.of_width(columns)
    rows, wide = Convolution(1, 1, KERNELS).receptive_field
    count = 3000 if columns == 40 else 500
    drawn = design.draw(random.Random(1), design.places(), design.trained)
    away = np.array([each for page in islice(drawn, count) for each in to_the_word(page)])
    farthest = np.abs(away).max(0)
    assert farthest[0] <= rows // 2, f"a word is {farthest[0]} rows away"
    assert farthest[1] <= wide // 2, f"a letter is {farthest[1]} columns away"
    assert away[:, 0].max() == 0  # never below its number
    if columns == 40:
        assert farthest.tolist() == [2, 18]  # as the comment at KERNELS says


@pytest.mark.parametrize("name", [name for name in KINDS if "conv" not in name])
def test_the_other_readers_have_no_such_limit(name: str, words: Vocabulary) -> None:
    assert small(name, words).receptive_field == (SMALL.rows, SMALL.columns)


# ----------------------------------------------------------------------------------------- training


def pages_for(steps: int, *, mixed: bool) -> tuple[list[Page], list[Page]]:
    """Pages for so many steps, and others; ``mixed``: any number of a page is called the asked
    one."""
    rng = random.Random(3)

    def pages() -> Iterator[Page]:
        for page in islice(SMALL.training(1), 32 * steps + 200):
            if mixed:
                row, column, answer = rng.choice(numbers(page))
                yield replace(page, row=row, column=column, answer=answer)
            else:
                yield page

    found = list(pages())
    return found[200:], found[:200]


def taught(words: Vocabulary, steps: int, *, mixed: bool) -> tuple[float, float]:
    """The accuracy of a convolution on pages that it has not read, and that of picking a number
    at random."""
    some, others = pages_for(steps, mixed=mixed)
    kind = KINDS["conv"]
    reader = build(kind, shape_of(kind, words, SMALL.rows, SMALL.columns), words, seed=1)
    material, validation = (Material.of(words, each) for each in (some, others))
    curve = train(reader, material, validation, name="conv", seed=1, steps=steps)
    assert curve[-1].step == steps
    assert curve[-1].loss < curve[0].loss
    assert curve[-1].accuracy == accuracy(reader, validation)
    return curve[-1].accuracy, float(np.mean([1 / len(numbers(page)) for page in others]))


def test_a_convolution_learns_to_find_the_asked_number(words: Vocabulary) -> None:
    """The slowest test of this file, with the next one."""
    found, chance = taught(words, 130, mixed=False)
    assert chance < 0.45  # there are few numbers on such a small page
    assert found > 0.8


def test_if_the_answers_are_mixed_up_there_is_nothing_to_learn(words: Vocabulary) -> None:
    """So what is found above is found by the words, not by the places."""
    found, chance = taught(words, 60, mixed=True)
    assert abs(found - chance) < 0.12  # 3.5 standard errors of 200 pages


def test_some_characters_are_lost_in_training_but_none_of_the_asked_number(
    words: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "UNKNOWN_SHARE", 0.5)
    some, others = pages_for(2, mixed=False)
    reader = small("conv", words)
    material = Material.of(words, some)
    read: list[torch.Tensor] = []

    def loss(ids: torch.Tensor, places: torch.Tensor, digits: torch.Tensor) -> torch.Tensor:
        read.append(ids.clone())
        return Reader.loss(reader, ids, places, digits)

    monkeypatch.setattr(reader, "loss", loss)
    train(reader, material, Material.of(words, others[:5]), name="conv", seed=1, steps=2)
    ids = torch.cat(read).numpy()
    assert ids.shape == (64, 10, 20)
    lost = ids == words.unknown
    assert 0.4 < lost.mean() < 0.6
    for n, page in enumerate(some):
        assert not lost[n, page.row, page.column : page.column + 4].any()
        kept = ids[n][~lost[n]]
        assert (kept == material.ids[n][~lost[n]]).all()  # each page is read once, in order


def test_accuracy_counts_right_places(words: Vocabulary, pages: list[Page]) -> None:
    reader = small("feedforward", words)
    page = pages[0]
    with torch.no_grad():
        reader.place.bias[page.row * 20 + page.column + 3] = 100.0
    moved = [replace(page, row=(page.row + n) % 10) for n in range(4)]
    assert accuracy(reader, Material.of(words, moved)) == 0.25
