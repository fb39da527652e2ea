"""Heads: a batch gives the logits of each text alone, whatever the padding and the device."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from charlm.config import ModelConfig
from charlm.models import heads
from charlm.models.heads import Reading, SequenceReader
from charlm.models.language import LanguageModel, build

LENGTHS = torch.tensor([7, 3, 1])
CELLS = ("lstm", "gru", "rnn", "conv")


def config(cell: str) -> ModelConfig:
    return ModelConfig.resolve(
        vocab_size=11, cell=cell, hidden_size=6, embedding_size=5, context=4, num_layers=1
    )


def texts(pad: int = 0) -> Tensor:
    ids = torch.randint(1, 11, (3, 7), generator=torch.Generator().manual_seed(3))
    return torch.where(heads.inside(ids, LENGTHS), ids, pad)


def reader(cell: str, reading: Reading, both_ways: bool = False) -> SequenceReader:
    torch.manual_seed(5)
    made = SequenceReader(config(cell), 4, reading=reading, both_ways=both_ways)
    made.initialize()
    torch.nn.init.normal_(made.head.weight)  # so that a difference in the features shows
    return made


def by_hand(made: SequenceReader, row: Tensor) -> Tensor:
    """The logits of one text (T,), alone and without padding."""
    forward, _ = made.body(row[None], made.body.initial_state(1))
    features = forward[0]
    if made.backward_body is not None:
        backward, _ = made.backward_body(row.flip(0)[None], made.backward_body.initial_state(1))
        end = backward[0, -1:].expand(len(row), -1) if made.reading == "last" else None
        features = torch.cat([features, backward[0].flip(0) if end is None else end], dim=-1)
    if made.reading == "last":
        features = features[-1]
    elif made.reading == "max":
        features = features.max(0).values
    return torch.nn.functional.linear(features, made.head.weight, made.head.bias)


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("reading", ["last", "max", "each"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_batch_reads_like_each_text_alone_whatever_the_padding(
    cell: str, reading: Reading, both_ways: bool
) -> None:
    made = reader(cell, reading, both_ways)
    for pad in (0, 9):
        logits = made(texts(pad), LENGTHS)
        for row, length in enumerate(LENGTHS.tolist()):
            expected = by_hand(made, texts()[row, :length])
            found = logits[row, :length] if reading == "each" else logits[row]
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_without_lengths_the_padding_would_be_read() -> None:
    """The control of the test above: with full lengths, the padding changes the logits."""
    full = torch.full_like(LENGTHS, 7)
    for reading in ("last", "max"):
        made = reader("lstm", reading)
        assert not torch.allclose(made(texts(), full), made(texts(), LENGTHS), atol=1e-3)
        assert not torch.allclose(made(texts(9), full), made(texts(0), full), atol=1e-3)


def test_a_window_reads_its_first_characters_and_no_more() -> None:
    made = SequenceReader(config("window"), 4, reading="window", pad=0)
    made.initialize()
    other = texts()
    other[:, 4:] = 3
    torch.testing.assert_close(made(texts(), LENGTHS), made(other, LENGTHS))
    assert not torch.equal(made(other.flip(1), LENGTHS), made(other, LENGTHS))
    # A batch shorter than the window is filled with ``pad``.
    lengths = torch.tensor([2, 2, 1])
    short = made(other[:, :2], lengths)
    filled = torch.nn.functional.pad(other[:, :2], (0, 2))
    torch.testing.assert_close(short, made(filled, lengths))


def test_a_window_reads_pad_in_the_place_of_any_padding() -> None:
    made = SequenceReader(config("window"), 4, reading="window", pad=2)
    made.initialize()
    torch.nn.init.normal_(made.head.weight)
    padded = [made(texts(pad), LENGTHS) for pad in (0, 2, 9)]
    assert torch.equal(padded[0], padded[1])
    assert torch.equal(padded[0], padded[2])
    features, _ = made.body(texts(2)[:, :4], made.body.initial_state(3))  # read in the ordinary way
    torch.testing.assert_close(padded[0], made.head(features[:, -1]))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("reading", ["last", "max", "each"])
def test_everything_is_made_on_the_device_of_the_ids(cell: str, reading: Reading) -> None:
    """The meta device computes shapes only and refuses to mix with the processor, as a GPU does."""
    made = reader(cell, reading, both_ways=True).to("meta")
    ids, lengths = texts().to("meta"), LENGTHS.to("meta")
    logits = made(ids, lengths)
    assert logits.device.type == "meta"
    assert logits.shape == ((3, 7, 4) if reading == "each" else (3, 4))
    line = heads.continuation(ids, lengths, ids[:, :2], separator=1, end=0)
    assert line.device.type == "meta"
    assert line.shape == (3, 11)
    assert heads.pointer_scores(ids.float(), lengths).device.type == "meta"
    with pytest.raises(RuntimeError):
        made(ids, LENGTHS)  # the control: a tensor of the processor is refused


def test_reverse_by_hand() -> None:
    x = torch.tensor([[1, 2, 3, 0], [4, 0, 0, 0], [5, 6, 7, 8]])
    turned = heads.reverse(x, torch.tensor([3, 1, 4]))
    assert turned.tolist() == [[3, 2, 1, 0], [4, 0, 0, 0], [8, 7, 6, 5]]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 3))
def test_reversing_twice_is_the_identity(lengths: list[int], more: int) -> None:
    x = torch.randn(len(lengths), max(lengths) + more, 2)
    times = torch.tensor(lengths)
    assert torch.equal(heads.reverse(heads.reverse(x, times), times), x)


def test_a_pointer_is_a_distribution_over_the_text_alone() -> None:
    scores = heads.pointer_scores(torch.zeros(3, 7), LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        assert scores[row, :length].tolist() == pytest.approx([-math.log(length)] * length)
        assert torch.isneginf(scores[row, length:]).all()
    uneven = torch.tensor([[0.0, math.log(3.0), 100.0]])
    assert heads.pointer_scores(uneven, torch.tensor([2])).exp().tolist()[0] == pytest.approx(
        [0.25, 0.75, 0.0]
    )


def test_tagging_loss_counts_every_character_of_the_texts_once() -> None:
    logits, tags = torch.randn(3, 7), (torch.rand(3, 7) > 0.5).float()
    nats = [
        math.log1p(math.exp(-x if tag else x))
        for row, length in enumerate(LENGTHS.tolist())
        for x, tag in zip(logits[row, :length].tolist(), tags[row, :length].tolist(), strict=True)
    ]
    found = heads.tagging_loss(logits, tags, LENGTHS).item()
    assert found == pytest.approx(sum(nats) / len(nats), rel=1e-5)


def model() -> LanguageModel:
    return build(config("gru"), seed=3).eval()


def test_a_line_is_text_separator_answer_end() -> None:
    ids, lengths = torch.tensor([[5, 6, 0], [7, 0, 0]]), torch.tensor([2, 1])
    answers = torch.tensor([[8, 9], [9, 8]])
    expected = [[5, 6, 1, 8, 9, 0, 0], [7, 1, 9, 8, 0, 0, 0]]
    line = heads.continuation(ids, lengths, answers, separator=1, end=0)
    assert line.tolist() == expected
    # Whatever the texts are padded with, lines are padded with ends.
    ids[ids == 0] = 3
    assert heads.continuation(ids, lengths, answers, separator=1, end=0).tolist() == expected


def test_nats_of_a_line_are_those_of_single_steps() -> None:
    made, line = model(), texts(9)
    nats = heads.continuation_nats(made, line)
    state = made.initial_state(3)
    for t in range(line.shape[1] - 1):
        logits, state = made(line[:, t : t + 1], state)
        expected = -logits[:, 0].log_softmax(-1).gather(-1, line[:, t + 1, None])[:, 0]
        torch.testing.assert_close(nats[:, t], expected)


def test_greedy_decoding_takes_the_most_likely_symbol_that_is_allowed() -> None:
    made, ids = model(), texts(9)[:, :1]
    for forbidden in ((), (0, 4)):
        written = heads.continue_text(made, ids, 5, forbidden=forbidden)
        whole = torch.cat([ids, written], dim=1)
        logits, _ = made(whole, made.initial_state(3))
        logits[..., list(forbidden)] = -torch.inf
        assert torch.equal(written, logits[:, :-1].argmax(-1))
    free = heads.continue_text(made, ids, 5)
    banned = set(free.flatten().tolist())
    written = heads.continue_text(made, ids, 5, forbidden=tuple(banned))
    assert not set(written.flatten().tolist()) & banned
