"""The readers: which characters each of them can see, and what it is trained to answer.

The oracle is charlm's NumPy engine, which knows nothing of batches, lengths and padding: it reads
one sentence alone, and what a reader says must follow from those features and the head alone.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode

import charlm
from charlm.engine import Engine
from charlm.experiments.position_invariance import ask, store
from charlm.experiments.position_invariance.readers import (
    END,
    KINDS,
    PARAMETERS,
    SEPARATOR,
    UNREAD,
    WINDOW,
    AnyReader,
    Reader,
    Vocabulary,
    Writer,
    build,
    num_parameters,
    shape,
)
from charlm.models.bodies import Body, WindowBody

Array = NDArray[np.float64]

SENTENCES = [
    "Era il 2009.",
    "Nel 1969, siamo andati in Nepal con due amici e un cane; poi più niente.",
    "1987",
    "a",
    "Sono andato a Roma, e ci ho pensato a lungo: correva l'anno 2014, o forse no, chi lo sa?",
    "Nel 2009, sono andato in Nepal",
    "x" * WINDOW,
]
WORDS = Vocabulary.of(SENTENCES, "0123456789", 4)

every_kind = pytest.mark.parametrize("name", KINDS)
READERS = [name for name, kind in KINDS.items() if kind.family != "writer"]
WRITERS = [name for name, kind in KINDS.items() if kind.family == "writer"]
TAGGERS = [name for name, kind in KINDS.items() if kind.tags]
POINTERS = [name for name, kind in KINDS.items() if kind.points]
ANSWERING = [name for name in READERS if name not in TAGGERS + POINTERS]
every_reader = pytest.mark.parametrize("name", READERS)
every_writer = pytest.mark.parametrize("name", WRITERS)


def make(name: str, words: Vocabulary = WORDS, seed: int = 3) -> AnyReader:
    """A small reader in which every parameter matters. ``build`` alone leaves biases at zero and
    the head so small that all answers are alike."""
    kind = KINDS[name]
    reader = build(kind, shape(kind, words, 6000), words, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter_name, parameter in reader.named_parameters():
            if "bias" in parameter_name:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        reader.head.weight *= 20
    return reader.eval()


def reader_of(name: str, words: Vocabulary = WORDS) -> Reader:
    reader = make(name, words)
    assert isinstance(reader, Reader)
    return reader


def writer_of(name: str, words: Vocabulary = WORDS) -> Writer:
    writer = make(name, words)
    assert isinstance(writer, Writer)
    return writer


def encoded(sentences: list[str], words: Vocabulary = WORDS) -> tuple[Tensor, Tensor]:
    ids, lengths = words.encode(sentences)
    return torch.from_numpy(ids), torch.from_numpy(lengths)


# ------------------------------------------------------------------------------------- the oracle


def engine_of(body: Body, head: torch.nn.Linear | None = None) -> Engine:
    """A body in NumPy and float64. Without ``head``, all weights of its head are zero."""
    V, H = body.config.vocab_size, body.config.hidden_size
    weights = {
        f"body.{name}": parameter.detach().double().numpy()
        for name, parameter in body.named_parameters()
    }
    weights["head.weight"] = np.zeros((V, H)) if head is None else _double(head.weight)
    weights["head.bias"] = np.zeros(V) if head is None else _double(head.bias)
    return Engine(body.config, weights)


def _double(tensor: Tensor) -> Array:
    values: Array = tensor.detach().double().numpy()
    return values


def features_alone(body: Body, ids: NDArray[np.int64]) -> Array:
    """The features of one text without padding: (T, H)."""
    engine = engine_of(body)
    features, _ = engine.body(ids[None], engine.initial_state(1))
    return np.asarray(features[0], dtype=np.float64)


def expected_logits(reader: Reader, text: str) -> Array:
    """The logits of one text without padding: (width, symbols), (T,) for tags, (T, 2) for a
    pointer."""
    words, kind = reader.vocabulary, reader.kind
    ids = words.tokenizer.encode(text).astype(np.int64)
    if kind.family == "window":
        ids = np.pad(ids, (0, WINDOW - len(ids)), constant_values=words.pad)
    forward = features_alone(reader.body, ids)
    seen = {"window": forward[-1], "last": forward[-1], "pool": forward.max(0)}
    seen["tags"] = seen["points"] = forward
    if reader.backward_body is not None:
        backward = features_alone(reader.backward_body, ids[::-1].copy())
        seen["both"] = np.concatenate([forward[-1], backward[-1]])
        seen["tags both"] = np.concatenate([forward, backward[::-1]], axis=1)
        seen["points both"] = seen["tags both"]
    logits: Array = seen[kind.family] @ _double(reader.head.weight).T + _double(reader.head.bias)
    if kind.points:
        return logits
    return logits[:, 0] if kind.tags else logits.reshape(words.width, words.symbols)


def log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


@torch.no_grad()
@every_reader
def test_logits_are_those_of_the_engine_that_reads_each_sentence_alone(name: str) -> None:
    """The batch has texts of many lengths, so that a mistake with padding or rows would show."""
    reader = reader_of(name)
    logits = reader(*encoded(SENTENCES))
    for row, text in enumerate(SENTENCES):
        found = logits[row, : len(text)] if reader.kind.each else logits[row]
        np.testing.assert_allclose(found.numpy(), expected_logits(reader, text), atol=2e-4)
    # Different sentences have different logits. Otherwise the test above would mean little.
    other = reader(*encoded(SENTENCES[::-1]))
    assert (logits[0] - other[0]).abs().max() > 0.01


# ---------------------------------------------------------------------------------------- padding


@torch.no_grad()
@every_reader
def test_no_logit_depends_on_padding_or_on_the_rest_of_the_batch(name: str) -> None:
    reader = reader_of(name).double()
    together = reader(*encoded(SENTENCES))
    for row, text in enumerate(SENTENCES):
        ids, lengths = encoded([text])
        alone = reader(ids, lengths)
        further = reader(torch.nn.functional.pad(ids, (0, 190), value=WORDS.pad), lengths)
        for other in (together[row : row + 1], further):
            found = other[:, : len(text)] if reader.kind.each else other
            # Everything is float64 except the logits, which are rounded to float32.
            torch.testing.assert_close(found, alone, rtol=1e-6, atol=1e-6)


@torch.no_grad()
@every_reader
def test_what_the_padding_is_made_of_does_not_matter(name: str) -> None:
    reader = reader_of(name).double()
    ids, lengths = encoded(SENTENCES)
    expected = reader(ids, lengths)
    inside = torch.arange(ids.shape[1]) < lengths[:, None]
    digits = torch.from_numpy(WORDS.tokenizer.encode("2").astype(np.int64))
    found = reader(torch.where(inside, ids, digits), lengths)
    if reader.kind.each:
        expected, found = expected[inside], found[inside]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


class SelectAll(TorchFunctionMode):
    """On the meta device no value is known, so ``x[mask]`` selects every place."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function is Tensor.__getitem__:
            x, index = args
            if x.is_meta and isinstance(index, Tensor) and index.dtype == torch.bool:
                return x.flatten(0, index.ndim - 1)
        return function(*args, **(kwargs or {}))


@every_kind
def test_the_loss_is_computed_on_the_device_of_the_batch(name: str) -> None:
    """The meta device refuses most mixing with the processor, as a GPU does."""
    reader = make(name).to("meta")
    with SelectAll():
        loss = reader.loss(*(part.to("meta") for part in batch()))
    assert loss.device.type == "meta"
    assert loss.shape == ()


def test_a_tensor_left_on_the_processor_is_seen() -> None:
    """The control of the test above."""
    reader = make("tagger").to("meta")
    ids, lengths, answers, starts = (part.to("meta") for part in batch())
    with SelectAll(), pytest.raises(RuntimeError, match="device"):
        reader.loss(ids, lengths.new_zeros(len(ids), device="cpu"), answers, starts)


@every_kind
def test_answers_come_in_order_whatever_the_batch(name: str) -> None:
    reader = make(name)
    alone = [reader.answers([text])[0] for text in SENTENCES]
    assert len(set(alone)) >= 3
    assert reader.answers(SENTENCES) == alone
    assert reader.answers(SENTENCES[::-1], batch_size=3) == alone[::-1]
    assert reader.answers(SENTENCES * 3, batch_size=2) == alone * 3
    assert reader.answers([]) == []
    assert reader.answers(["", SENTENCES[0], ""]) == [UNREAD, alone[0], UNREAD]


# --------------------------------------------------------------------------------- each by itself


@torch.no_grad()
def test_feedforward_is_a_window_read_in_the_ordinary_way_at_its_last_place() -> None:
    reader = reader_of("feedforward").double()
    body = reader.body
    assert isinstance(body, WindowBody)
    for text in SENTENCES:
        padded = text + END * (WINDOW - len(text))
        ids = torch.from_numpy(WORDS.tokenizer.encode(padded).astype(np.int64))[None]
        features, _ = body(ids, body.initial_state(1))  # (1, WINDOW, H), every place
        expected = reader.head(features[:, -1]).view(1, WORDS.width, WORDS.symbols)
        torch.testing.assert_close(reader(*encoded([text])), expected.float(), rtol=0, atol=1e-5)


def test_feedforward_does_not_read_more_than_its_window_and_the_others_do() -> None:
    at_most, more = SENTENCES[0].ljust(WINDOW, "o"), SENTENCES[0].ljust(WINDOW + 1, "o")
    for name in KINDS:
        reader = make(name)
        with torch.no_grad():
            if name in TAGGERS:  # so that a character is marked, whatever the weights say
                reader.head.bias.add_(1000)
        read, unread = reader.answers([at_most, more])
        assert read != UNREAD
        assert (unread == UNREAD) == (name == "feedforward")
        assert KINDS[name].longest == (WINDOW if name == "feedforward" else None)


@torch.no_grad()
def test_time_delay_takes_the_maximum_over_the_features_of_the_text_alone() -> None:
    """The convolutions as loops over time: at t they read t, t - d, t - 2d, ..."""
    reader = reader_of("time-delay")
    embedding = _double(reader.body.embedding.weight)

    def features(ids: NDArray[np.integer]) -> Array:
        x: Array = embedding[ids]
        for number, layer in enumerate(reader.body.layers):
            assert isinstance(layer.weight, Tensor) and isinstance(layer.bias, Tensor)
            W, b = _double(layer.weight), _double(layer.bias)  # (H, in, K)
            y = np.tile(b, (len(x), 1))
            for t in range(len(x)):
                for k in range(W.shape[2]):
                    past = t - (W.shape[2] - 1 - k) * 2**number
                    if past >= 0:
                        y[t] += W[:, :, k] @ x[past]
            y = np.maximum(y, 0)
            x = y if number == 0 else x + y
        return x

    ids, lengths = encoded(SENTENCES)
    found = reader.features(ids, lengths).numpy()
    for row, text in enumerate(SENTENCES):
        own = features(WORDS.tokenizer.encode(text)).max(0)
        np.testing.assert_allclose(found[row], own, atol=1e-4)
    # Some features would be larger at the padding, so it matters that it is left out.
    with_padding = features(ids[0].numpy()).max(0)
    assert (with_padding > found[0] + 0.1).any()


@torch.no_grad()
@pytest.mark.parametrize("name", ["rnn", "gru", "lstm", "time-delay-last"])
def test_the_last_character_counts_and_so_does_the_first_within_reach(name: str) -> None:
    reader = reader_of(name).double()
    text = SENTENCES[4]

    def moved_by_a_change_at(place: int) -> float:
        changed = text[:place] + ("1" if text[place] != "1" else "2") + text[place + 1 :]
        one, other = reader.features(*encoded([text, changed]))
        return float((one - other).abs().max())

    assert moved_by_a_change_at(len(text) - 1) > 1e-3
    assert moved_by_a_change_at(len(text) - 3) > 1e-4
    reach = reader.config.receptive_field
    if name == "time-delay-last":
        assert reach == 1 + 4 * (1 + 2 + 4)
        assert moved_by_a_change_at(len(text) - reach) > 1e-6
        assert moved_by_a_change_at(len(text) - reach - 1) < 1e-12
    else:
        assert reach is None
        assert moved_by_a_change_at(0) > 0


@torch.no_grad()
def test_a_tag_does_not_change_with_what_comes_later_unless_both_directions_are_read() -> None:
    text, place = SENTENCES[1], 30
    changed = text[:place] + "9" + text[place + 1 :]
    earlier = {}
    for name in TAGGERS:
        reader = reader_of(name).double()
        one, other = reader(*encoded([text, changed]))
        moved = (one - other).abs()
        assert moved[place] > 1e-6
        assert moved[place + 1] > 1e-6
        earlier[name] = float(moved[:place].max())
    assert earlier["tagger"] == 0
    assert earlier["tagger-both"] > 1e-6


@torch.no_grad()
@pytest.mark.parametrize("name", ["bilstm", "tagger-both", "pointer-both"])
def test_a_reversed_text_is_read_alike_with_the_directions_swapped(name: str) -> None:
    reader = reader_of(name).double()
    mirror = copy.deepcopy(reader)
    assert isinstance(mirror.backward_body, Body)
    mirror.body.layers, mirror.backward_body.layers = (
        mirror.backward_body.layers,
        mirror.body.layers,
    )
    H = reader.config.hidden_size
    mirror.head.weight.copy_(torch.cat([reader.head.weight[:, H:], reader.head.weight[:, :H]], 1))
    found = reader(*encoded(SENTENCES))
    mirrored = mirror(*encoded([text[::-1] for text in SENTENCES]))
    for row, text in enumerate(SENTENCES):
        one, other = found[row], mirrored[row]
        if reader.kind.each:
            one, other = one[: len(text)], other[: len(text)].flip(0)
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
    # Without the swap the logits differ.
    same_way = reader(*encoded([text[::-1] for text in SENTENCES]))
    assert (same_way - mirrored).abs().max() > 0.01


@pytest.mark.parametrize("name", ["bilstm", "tagger-both", "pointer-both"])
def test_both_directions_share_one_embedding_and_nothing_else(name: str) -> None:
    reader = reader_of(name)
    assert reader.backward_body is not None
    assert reader.backward_body.embedding is reader.body.embedding
    for one, other in zip(
        reader.body.layers.parameters(), reader.backward_body.layers.parameters(), strict=True
    ):
        assert not torch.equal(one, other)


# ------------------------------------------------------------------------------------------- loss

BATCH = [  # text, answer, start; answers of every length, since a template has such
    ("Era il 2009.", "2009", 7),
    ("Nel 19, siamo andati", "19", 4),
    ("a 987", "987", 2),
    ("Sono andato a Roma, e ci ho pensato a lungo: 2014", "2014", 45),
]


def batch(extra: int = 0) -> tuple[Tensor, ...]:
    ids, lengths = encoded([text for text, _, _ in BATCH])
    ids = torch.nn.functional.pad(ids, (0, extra), value=WORDS.pad)
    answers = torch.from_numpy(WORDS.encode_answers([answer for _, answer, _ in BATCH]))
    return ids, lengths, answers, torch.tensor([start for _, _, start in BATCH])


@torch.no_grad()
@pytest.mark.parametrize("name", ANSWERING)
def test_loss_is_the_mean_of_nats_over_every_symbol_of_the_answers(name: str) -> None:
    reader = reader_of(name)
    nats = []
    for text, answer, _ in BATCH:
        scores = log_softmax(expected_logits(reader, text))
        wanted = [int(c) for c in answer] + [10] * (4 - len(answer))  # 10: no symbol
        nats += [-scores[place, symbol] for place, symbol in enumerate(wanted)]
    assert len(nats) == 16
    for extra in (0, 7):
        assert reader.loss(*batch(extra)).item() == pytest.approx(np.mean(nats), abs=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("name", TAGGERS)
def test_loss_of_tags_is_the_mean_over_every_character_of_the_texts(name: str) -> None:
    reader = reader_of(name)
    nats = []
    for text, answer, start in BATCH:
        for place, logit in enumerate(expected_logits(reader, text)):
            sign = 1 if start <= place < start + len(answer) else -1
            nats.append(math.log1p(math.exp(-sign * logit)))
    assert len(nats) == sum(len(text) for text, _, _ in BATCH)
    for extra in (0, 7):
        assert reader.loss(*batch(extra)).item() == pytest.approx(np.mean(nats), abs=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("name", POINTERS)
def test_loss_of_a_pointer_is_the_mean_over_the_starts_and_the_ends(name: str) -> None:
    """Both are a choice among the characters of the text; answers of every length have an end."""
    reader = reader_of(name)
    nats = []
    for text, answer, start in BATCH:
        first, last = log_softmax(expected_logits(reader, text).T)  # (T,) each
        nats += [-first[start], -last[start + len(answer) - 1]]
    assert len(nats) == 8
    for extra in (0, 7):
        assert reader.loss(*batch(extra)).item() == pytest.approx(np.mean(nats), abs=1e-4)


@torch.no_grad()
@every_writer
def test_loss_of_a_writer_is_that_of_its_answers_and_a_tenth_of_its_sentences(name: str) -> None:
    """The tab is not part of the loss. The end of the line after the answer is; a shorter answer is
    filled with ends to its full width."""
    writer = writer_of(name)
    engine = engine_of(writer.body, writer.head)
    sentences, answers = [], []
    for text, answer, _ in BATCH:
        line = text + SEPARATOR + answer.ljust(4, END) + END
        ids = WORDS.tokenizer.encode(line).astype(np.int64)
        logits, _ = engine.forward(ids[None], engine.initial_state(1))
        scores = log_softmax(np.asarray(logits[0], dtype=np.float64))
        nats = [-scores[place - 1, ids[place]] for place in range(1, len(ids))]
        sentences += nats[: len(text) - 1]
        answers += nats[len(text) :]
    assert len(answers) == 4 * 5
    expected = np.mean(answers) + 0.1 * np.mean(sentences)
    for extra in (0, 7):
        assert writer.loss(*batch(extra)).item() == pytest.approx(expected, abs=1e-4)


@torch.no_grad()
@every_kind
def test_an_untrained_reader_knows_nothing(name: str) -> None:
    """Its loss is that of a uniform choice among all possible symbols."""
    kind = KINDS[name]
    loss = build(kind, shape(kind, WORDS), WORDS, 1).loss(*batch()).item()
    nothing = math.log(2) if kind.tags else math.log(WORDS.symbols)
    if kind.points:  # any character of the text, each as likely
        nothing = float(np.mean([math.log(len(text)) for text, _, _ in BATCH]))
    if kind.family == "writer":
        nothing = 1.1 * math.log(WORDS.tokenizer.vocab_size)
    assert loss == pytest.approx(nothing, rel=0.1)


@every_kind
def test_the_loss_reaches_every_parameter(name: str) -> None:
    reader = make(name)
    reader.loss(*batch()).backward()
    for parameter_name, parameter in reader.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


# ---------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize("name", ANSWERING)
def test_the_answer_is_the_likeliest_symbol_at_every_place(name: str) -> None:
    reader = reader_of(name)
    symbols = [*WORDS.alphabet, ""]
    expected = [
        "".join(symbols[s] for s in expected_logits(reader, text).argmax(-1)) for text in SENTENCES
    ]
    assert reader.answers(SENTENCES) == expected


@pytest.mark.parametrize("name", TAGGERS)
def test_the_answer_of_a_tagger_is_the_characters_that_it_marks(name: str) -> None:
    reader = reader_of(name)
    strange = ["Nel \N{SNOWMAN}2009\N{SNOWMAN}", *SENTENCES]
    expected = [
        "".join(c for c, logit in zip(t, expected_logits(reader, t), strict=True) if logit > 0)
        for t in strange
    ]
    assert reader.answers(strange) == expected
    assert any(expected)
    with torch.no_grad():
        reader.head.bias.add_(1000)
    assert reader.answers(strange) == strange  # itself, and not as the reader sees it


@pytest.mark.parametrize("name", POINTERS)
@pytest.mark.parametrize("shortest", [1, 3, 4])
def test_the_answer_of_a_pointer_is_the_likeliest_of_all_stretches(
    name: str, shortest: int
) -> None:
    """Every stretch of an allowed length is tried, one by one."""
    words = Vocabulary(WORDS.tokenizer, WORDS.alphabet, WORDS.width, shortest)
    reader = reader_of(name, words)
    expected = []
    for text in SENTENCES:
        first, last = log_softmax(expected_logits(reader, text).T)
        stretches = {
            (start, end): first[start] + last[end - 1]
            for start in range(len(text))
            for end in range(start + shortest, min(start + 4, len(text)) + 1)
        }
        start, end = max(stretches, key=lambda each: stretches[each], default=(0, 0))
        expected.append(text[start:end])
    assert reader.answers(SENTENCES) == expected
    assert {len(answer) for answer in expected if answer} <= set(range(shortest, 5))
    assert ("" in expected) == (shortest > 1)  # "a" has no stretch of three characters
    if shortest == 1:
        assert len({len(answer) for answer in expected}) > 1


POINTING = {name: make(name) for name in POINTERS}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=5), st.sampled_from(POINTERS)
)
def test_what_a_pointer_answers_stands_in_the_sentence(texts: list[str], name: str) -> None:
    """Whatever its weights, the sentence and the rest of the batch. The control: an untrained
    reader of another kind makes its answers up."""
    for text, answer in zip(texts, POINTING[name].answers(texts), strict=True):
        assert answer
        assert answer in text
        assert len(answer) <= WORDS.width


@pytest.mark.parametrize("name", [*ANSWERING, *WRITERS])
def test_what_other_readers_answer_need_not_stand_in_the_sentence(name: str) -> None:
    answers = make(name).answers(SENTENCES)
    assert any(answer not in text for answer, text in zip(answers, SENTENCES, strict=True))


@every_writer
def test_a_writers_answer_is_what_charlm_would_go_on_writing(name: str, tmp_path: Path) -> None:
    """Compared with the NumPy engine and sampler, which read the saved file."""
    writer = writer_of(name)
    asked = [text[:n] for text in SENTENCES for n in (1, 3, 9, len(text))]
    seen = []
    for earlier in (0, 3, 10, 100):  # ever more answers end before their full width
        with torch.no_grad():
            writer.head.bias[WORDS.pad] = earlier
        store.save(tmp_path / "writer.safetensors", writer)
        lm = charlm.load(tmp_path / "writer.safetensors")
        expected = [lm.sample(t + SEPARATOR, temperature=0, length=4, stop=END) for t in asked]
        assert writer.answers(asked) == expected
        seen += expected
    assert len(set(seen)) >= 6
    assert {len(answer) for answer in seen} >= {4, 0}, seen


@every_writer
def test_a_writer_never_writes_the_unknown_symbol(name: str) -> None:
    writer = writer_of(name)
    with torch.no_grad():
        writer.head.bias[WORDS.unknown] += 1000
    answers = writer.answers(SENTENCES)
    assert any(answers)
    assert all("\N{REPLACEMENT CHARACTER}" not in answer for answer in answers)


# A pointer answers with the character itself, whatever it is.
@pytest.mark.parametrize("name", [name for name in KINDS if name not in POINTERS])
def test_unknown_characters_are_read_as_one_unknown_symbol(name: str) -> None:
    reader = make(name)
    with torch.no_grad():
        if name in TAGGERS:
            reader.head.bias.sub_(1000)  # no character is marked: a mark would show the character
    texts = [f"Nel 2009{c} in Nepal" for c in "\N{SNOWMAN}Ж\x00\U0001f600\ud800a"]
    *unknown, _ = reader.answers(texts)
    assert set(unknown) == {unknown[0]}
    if isinstance(reader, Reader):
        with torch.no_grad():
            logits = reader(*encoded(texts))
        assert torch.equal(logits[0], logits[1])
        assert not torch.equal(logits[0], logits[-1])


@pytest.mark.parametrize("name", TAGGERS)
def test_saliency_of_a_tagger_is_that_of_its_own_tags(name: str) -> None:
    """Also if the marked characters are not adjacent, or if the text needs several batches."""
    reader = make(name)
    text = "14 agosto 1984 a Roma, " * 6  # 138 characters
    whole = [text, *(text[:n] + "\N{SNOWMAN}" + text[n + 1 :] for n in range(len(text)))]
    with torch.no_grad():
        reader.head.bias.sub_(reader(*encoded([text])).median())  # so that half are marked
        logits = reader(*encoded(whole)).double()  # (T + 1, T)
    tags = logits[0] > 0
    assert 3 < tags.sum() < len(text) - 3
    sure = torch.where(tags, logits, -logits).sigmoid().log().sum(1)
    (answer,) = reader.answers([text])
    found = ask.occlusion(reader, text, answer)
    np.testing.assert_allclose(found, (sure[0] - sure[1:]).numpy(), atol=1e-4)


@pytest.mark.parametrize("name", POINTERS)
def test_saliency_of_a_pointer_is_that_of_all_places_of_its_answer(name: str) -> None:
    reader = make(name)
    text, answer = "Nel 2009 e nel 2009, o 1999", "2009"
    whole = [text, *(text[:n] + "\N{SNOWMAN}" + text[n + 1 :] for n in range(len(text)))]
    nats = []
    for each in whole:
        first, last = log_softmax(expected_logits(reader_of(name), each).T)
        nats.append(np.logaddexp(first[4] + last[7], first[15] + last[18]))
    found = ask.occlusion(reader, text, answer)
    np.testing.assert_allclose(found, nats[0] - np.array(nats[1:]), atol=1e-3)


# ----------------------------------------------------------------------------- vocabulary and size


@every_kind
@pytest.mark.parametrize(
    "words",
    [
        Vocabulary.of(["".join(map(chr, range(32, 140)))], "0123456789", 4),
        Vocabulary.of(["".join(map(chr, range(32, 60)))], "abcdefghijklmnopqrstuvwxyz ", 12),
        WORDS,
    ],
    ids=["years", "names", "few"],
)
def test_every_reader_has_its_parameters_within_ten_percent(name: str, words: Vocabulary) -> None:
    kind = KINDS[name]
    config = shape(kind, words)
    counted = sum(p.numel() for p in build(kind, config, words, seed=0).parameters())
    assert counted == num_parameters(kind, config, words)
    assert abs(counted - PARAMETERS) <= 0.1 * PARAMETERS
    # No other width comes closer.
    for other in (config.hidden_size - 1, config.hidden_size + 1):
        width = type(config)(**config.to_dict() | {"hidden_size": other})
        distance = abs(num_parameters(kind, width, words) - PARAMETERS)
        assert distance >= abs(counted - PARAMETERS)


@every_kind
def test_build_is_a_pure_function_of_its_seed(name: str) -> None:
    kind = KINDS[name]
    config = shape(kind, WORDS, 3000)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = build(kind, config, WORDS, seed=7).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    same = build(kind, config, WORDS, seed=7).state_dict()
    other = build(kind, config, WORDS, seed=8).state_dict()
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not any(torch.equal(one[key], other[key]) for key in one if "bias" not in key)


DIGITS = st.text("0123456789", max_size=4)


@settings(max_examples=50, deadline=None)
@given(st.lists(DIGITS, min_size=1, max_size=6))
def test_answers_of_unequal_length_come_back(answers: list[str]) -> None:
    symbols = WORDS.encode_answers(answers)
    assert symbols.shape == (len(answers), WORDS.width)
    assert WORDS.decode_answers(symbols.astype(np.int64)) == answers


def test_answers_by_hand() -> None:
    words = Vocabulary.of([], "abr", 4)
    assert words.encode_answers(["bar", "b", ""]).tolist() == [
        [1, 0, 2, 3],
        [1, 3, 3, 3],
        [3, 3, 3, 3],
    ]
    assert words.symbols == 4


def test_sentences_are_padded_with_ends_to_the_longest() -> None:
    ids, lengths = WORDS.encode(["al", "", "Nel 2009"])
    assert lengths.tolist() == [2, 0, 8]
    assert [WORDS.tokenizer.decode(row) for row in ids] == ["al" + 6 * END, 8 * END, "Nel 2009"]
    assert WORDS.encode([])[0].shape[0] == 0


def test_the_vocabulary_holds_what_no_sentence_needs_to_hold() -> None:
    words = Vocabulary.of(["abc"], "09", 2)
    assert words.tokenizer.characters == "\t\n09abc"
    assert words.tokenizer.decode([words.pad, words.separator]) == END + SEPARATOR
    assert words.unknown == 7
    assert words.encode(["a\N{SNOWMAN}"])[0].tolist() == [[4, 7]]
