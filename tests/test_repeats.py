"""``no_repeat``: no stretch is written twice, nothing else changes, and what ends a text."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.config import SampleConfig
from charlm.errors import RequestError
from charlm.generate import CharLM
from charlm.repeats import Repeats
from charlm.single import exhausted
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer

MakeLM = Callable[..., CharLM]
LETTERS = CharTokenizer("\n abcdeé")


def would_repeat(text: str, length: int) -> set[str]:
    """By reading all of the text again: the characters that would repeat a stretch of it."""
    return {c for c in LETTERS.characters if (text + c)[-length:] in text and len(text) >= length}


@given(st.text("abc", max_size=40), st.integers(1, 6))
def test_the_forbidden_are_those_that_a_rescan_finds(text: str, length: int) -> None:
    repeats = Repeats(length)
    for place, character in enumerate(text):
        naive = would_repeat(text[:place], length)
        assert {LETTERS.characters[token] for token in repeats.forbidden} == naive
        repeats.add(character, LETTERS.characters.index(character))


@pytest.mark.parametrize("length", [1, 2, 3, 5])
@pytest.mark.parametrize("prompt", ["", "a", "abcabcab", "é\n\né"])
def test_the_text_is_the_one_that_a_rescan_gives(make_lm: MakeLM, length: int, prompt: str) -> None:
    """Another route to the same text: an ``avoid`` that searches everything written so far."""
    model = make_lm(LETTERS, scale=1.0)

    def avoid(text: str) -> set[str]:
        # With an empty prompt this text begins with the opening symbol, which is not written.
        found = would_repeat(text if prompt else text[1:], length)
        return found if len(found) < LETTERS.vocab_size else set()

    written = model.sample(prompt, length=80, seed=3, no_repeat=length)
    config = SampleConfig(length=80, seed=3)
    naive = "".join(model.stream(prompt, config, avoid=avoid))
    assert naive.startswith(written)
    whole = prompt + written
    for end in range(max(len(prompt), length) + 1, len(whole) + 1):
        assert whole[end - length : end] not in whole[: end - 1]
    # It goes on until nothing is left, and no longer.
    assert (len(written) < 80) == (len(would_repeat(whole, length)) == LETTERS.vocab_size)


def test_each_character_comes_once_and_then_the_text_ends(make_lm: MakeLM) -> None:
    written = make_lm(LETTERS).sample("ab", length=60, seed=1, no_repeat=1)
    assert sorted(written) == sorted(set(LETTERS.characters) - set("ab"))


def test_the_opening_symbol_is_not_written(make_lm: MakeLM) -> None:
    """Without a prompt the model reads a line end, which nobody sees: it may still come."""
    assert "\n" in make_lm(LETTERS).sample(length=60, seed=1, no_repeat=1)
    assert "\n" not in make_lm(LETTERS).sample("\n", length=60, seed=1, no_repeat=1)


def test_a_text_that_repeats_nothing_stays_as_it_is(make_lm: MakeLM) -> None:
    model = make_lm(LETTERS)
    assert model.sample(length=60, seed=1, no_repeat=61) == model.sample(length=60, seed=1)
    assert model.sample(length=60, seed=1, no_repeat=2) != model.sample(length=60, seed=1)


def test_what_is_held_back_for_a_stop_string_is_shown_if_the_text_ends(make_lm: MakeLM) -> None:
    model = make_lm(LETTERS)
    whole = model.sample("ab", length=60, seed=1, no_repeat=1)
    assert model.sample("ab", length=60, seed=1, no_repeat=1, stop=whole[-2:] + "a") == whole


def test_several_samples_and_draws_are_those_of_one(make_lm: MakeLM) -> None:
    model, config = make_lm(LETTERS), SampleConfig(length=40, seed=2, no_repeat=2)
    alone = ["".join(model.stream("a", config, number=n)) for n in range(3)]
    assert ["".join(each) for each in model.streams("a", config, 3)] == alone
    assert "".join(each.text for each in model.draws("a", config, number=2)) == alone[2]


def test_it_works_beside_avoid(make_lm: MakeLM) -> None:
    """``avoid`` takes b and c, ``no_repeat`` what is left, one after the other: then it ends."""
    model, config = make_lm(LETTERS), SampleConfig(length=40, seed=2, no_repeat=1)
    written = "".join(model.stream("a", config, avoid=lambda text: "bc"))
    assert sorted(written) == sorted("\n deé")
    start = model.start("a")
    assert exhausted(LETTERS, start, written, config, lambda text: "bc")
    assert not exhausted(LETTERS, start, written, config)
    assert not exhausted(LETTERS, start, written[:-1], config, lambda text: "bc")
    with pytest.raises(RequestError, match="to be avoided"):
        list(model.stream("a", config, avoid=lambda text: LETTERS.characters))


def test_folded_characters_of_the_prompt_are_no_stretch_of_the_text(make_lm: MakeLM) -> None:
    model = make_lm(CharTokenizer("abc", unknown=True))
    written = model.sample("☃", length=9, seed=1, no_repeat=1)
    assert sorted(written) == ["a", "b", "c"]


def test_what_nfc_joins_is_still_two_characters(make_lm: MakeLM) -> None:
    model = make_lm(CharTokenizer("eé\u0301", nfc=True))
    config = SampleConfig(no_repeat=1, seed=1)
    written = "".join(model.stream("e\u0301", config))  # one é
    assert sorted(written) == ["e", "\u0301"]
    assert exhausted(model.tokenizer, model.start("é"), written, config)


def test_a_model_of_bytes_is_refused_at_once(make_lm: MakeLM) -> None:
    model = make_lm(ByteTokenizer())
    with pytest.raises(RequestError, match="--no-repeat needs a model of characters"):
        model.stream("a", SampleConfig(no_repeat=3))
    with pytest.raises(RequestError, match="needs a model of characters"):
        model.ranked("a", 2, no_repeat=3)
