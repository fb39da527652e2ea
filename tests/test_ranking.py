"""What a sample's nats are, against the surprisal of the whole text, and the order by them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import charlm as package
from charlm.config import CELLS, SampleConfig
from charlm.engine import log_softmax
from charlm.errors import CheckpointError, UnknownCharacterError
from charlm.generate import CharLM
from charlm.ranking import Sample, best_first
from charlm.surprisal import surprisals
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer, Tokenizer

MakeLM = Callable[..., CharLM]
LETTERS = CharTokenizer("\n abcdeé")


def by_hand(model: CharLM, prompt: str, text: str) -> float:
    """-ln p(text | prompt), from the surprisals of prompt and text read as one."""
    before = [int(i) for i in model.tokenizer.encode(prompt or "\n")]
    ids = np.array([*before, *model.tokenizer.encode(text).tolist()])
    return float(surprisals(model.predictor, ids)[len(before) - 1 :].sum())


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("tokenizer", [LETTERS, ByteTokenizer()], ids=["char", "byte"])
@pytest.mark.parametrize("prompt", ["", "é", "ab\nc" * 20])
def test_the_nats_are_those_of_the_text_alone(
    make_lm: MakeLM, cell: str, tokenizer: Tokenizer, prompt: str
) -> None:
    model = make_lm(tokenizer, cell=cell)
    for text in ("a", "é", "abc é\nde" * 3):
        found = model.weigh(model.start(prompt), text)
        assert found.nats == pytest.approx(by_hand(model, prompt, text), rel=1e-5)
        assert (found.text, found.prompt, found.characters) == (text, prompt, len(text))


def test_a_long_text_is_read_as_one(make_lm: MakeLM) -> None:
    model, text = make_lm(LETTERS), "abc é\nde" * 300
    found = model.weigh(model.start("e"), text)
    assert found.nats == pytest.approx(by_hand(model, "e", text), rel=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_texts_of_any_length_side_by_side(make_lm: MakeLM, cell: str) -> None:
    """Rows that have ended, and those that are empty, count nothing after their end."""
    model = make_lm(LETTERS, cell=cell)
    texts = ["", "a", "abc", "abc é\nde" * 9, "a", "é" * 50, *["b" * n for n in range(1, 90)]]
    found = model.weigh_all(model.start("e"), texts, first=3)
    assert [(each.number, each.text) for each in found] == list(enumerate(texts, start=3))
    for each in found:
        assert each.nats == pytest.approx(by_hand(model, "e", each.text), rel=1e-4)
    assert found[1].nats == found[4].nats


def test_temperature_and_filters_do_not_change_the_nats(make_lm: MakeLM) -> None:
    """At temperature 0 every draw is certain, but not for the model itself."""
    model = make_lm(LETTERS)
    (sure,) = model.ranked("ab", 1, temperature=0.0, length=30)
    drawn = list(model.draws("ab", SampleConfig(temperature=0.0, length=30)))
    assert sure.text == "".join(each.text for each in drawn)
    assert sure.nats == pytest.approx(-sum(math.log(each.probability) for each in drawn), rel=1e-4)
    assert sure.nats is not None and sure.nats > 1


def test_ranked_are_the_streams_in_another_order(make_lm: MakeLM) -> None:
    model = make_lm(LETTERS)
    found = model.ranked("ab", 8, length=30, seed=4)
    texts = ["".join(each) for each in model.streams("ab", SampleConfig(length=30, seed=4), 8)]
    assert [texts[sample.number] for sample in found] == [sample.text for sample in found]
    assert sorted(sample.number for sample in found) == list(range(8))
    losses = [by_hand(model, "ab", sample.text) / 30 for sample in found]
    assert losses == sorted(losses)
    assert [s.nats_per_char for s in found] == pytest.approx(losses, rel=1e-5)
    assert found[0].log_probability == pytest.approx(-30 * losses[0], rel=1e-5)
    assert [sample.number for sample in found] != list(range(8))


def test_the_stop_string_counts_only_if_it_is_shown(make_lm: MakeLM) -> None:
    model = make_lm(LETTERS)
    (without,) = model.ranked("b", 1, stop="a", length=80, seed=1)
    (included,) = model.ranked("b", 1, stop="a", length=80, seed=1, include_stop=True)
    assert included.text == without.text + "a"
    assert included.nats == pytest.approx(by_hand(model, "b", included.text), rel=1e-5)
    assert without.nats == pytest.approx(by_hand(model, "b", without.text), rel=1e-5)


def test_a_run_with_its_own_distribution(trained: Path) -> None:
    model = package.load(trained)
    (best, *_) = model.ranked("Il ", 5, length=40, seed=1, temperature=0.7)
    logits, _ = model.engine.forward(
        model.tokenizer.encode("Il " + best.text)[None].astype(int), model.engine.initial_state(1)
    )
    scores = log_softmax(logits[0].astype(np.float64))
    ids = model.tokenizer.encode(best.text)
    by_engine = -sum(scores[2 + place, token] for place, token in enumerate(ids))
    assert best.nats == pytest.approx(by_engine, rel=1e-5)


def test_the_lowest_comes_first_and_nothing_to_divide_by_last() -> None:
    samples = [
        Sample(0, "", "", 0.0, 0),
        Sample(1, "", "abcd", 8.0, 4),
        Sample(2, "", "ab", 6.0, 2),  # fewer nats, but more for each character
        Sample(3, "", "cd", 4.0, 2),
        Sample(4, "", "not weighed"),
    ]
    assert [sample.number for sample in best_first(samples)] == [1, 3, 2, 0, 4]
    assert samples[0].nats_per_char is None and samples[0].log_probability == 0
    assert samples[4].nats_per_char is None and samples[4].log_probability is None


def test_what_was_sampled_is_weighed_as_it_is(make_lm: MakeLM) -> None:
    """NFC would join e and its accent to a character that is not even in the vocabulary."""
    model = make_lm(CharTokenizer("ae\u0301", nfc=True))
    found = model.weigh(model.start("a"), "e\u0301")
    assert found.characters == 2
    assert found.nats == pytest.approx(
        float(surprisals(model.predictor, np.array([0, 1, 2])).sum())
    )


def test_what_cannot_be_weighed_is_refused(make_lm: MakeLM) -> None:
    model = make_lm(LETTERS)
    start = model.start("a")
    with pytest.raises(UnknownCharacterError):
        model.weigh(start, "ab☃")
    model.engine.head_bias = np.full_like(model.engine.head_bias, np.nan)
    with pytest.raises(CheckpointError, match="not finite"):
        model.weigh(start, "ab")
