"""The exact pass: bits of every character except the first, for any chunk size, also with bytes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from charlm.config import CELLS
from charlm.engine import softmax
from charlm.errors import RequestError
from charlm.generate import CharLM
from charlm.surprisal import LN2, Score, score, surprisals
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer

MakeLM = Callable[..., CharLM]
LETTERS = CharTokenizer("abcdefg")
IDS = np.random.default_rng(0).integers(0, 7, 300)


@pytest.mark.parametrize("cell", CELLS)
def test_nats_are_those_of_single_steps(make_lm: MakeLM, cell: str) -> None:
    engine = make_lm(LETTERS, cell=cell).engine
    state, expected = engine.initial_state(1), []
    for one, following in itertools.pairwise(IDS):
        logits, state = engine.step(np.array([one]), state)
        expected.append(-math.log(softmax(logits[0].astype(np.float64))[following]))
    np.testing.assert_allclose(surprisals(engine, IDS), expected, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("chunk", [1, 7, 298, 299, 300, 10_000])
def test_the_chunk_changes_nothing(make_lm: MakeLM, cell: str, chunk: int) -> None:
    engine = make_lm(LETTERS, cell=cell).engine
    np.testing.assert_allclose(
        surprisals(engine, IDS, chunk=chunk), surprisals(engine, IDS), atol=1e-5
    )


def test_a_text_longer_than_a_chunk_is_one_text(make_lm: MakeLM) -> None:
    engine = make_lm(LETTERS, cell="lstm").engine
    ids = np.random.default_rng(1).integers(0, 7, 2500)
    whole = surprisals(engine, ids, chunk=len(ids))
    np.testing.assert_allclose(surprisals(engine, ids), whole, atol=1e-5)


@pytest.mark.parametrize("ids", [[], [3]])
def test_no_id_but_the_first_gives_no_nats(make_lm: MakeLM, ids: list[int]) -> None:
    assert surprisals(make_lm(LETTERS).engine, np.array(ids, dtype=np.int64)).shape == (0,)


def test_small_unsigned_ids_are_read_like_any_other(make_lm: MakeLM) -> None:
    engine = make_lm(LETTERS).engine
    np.testing.assert_array_equal(surprisals(engine, IDS.astype(np.uint8)), surprisals(engine, IDS))


# ------------------------------------------------------------------------------------------- scores


def test_a_uniform_model_scores_log2_of_the_vocabulary(make_lm: MakeLM) -> None:
    model = make_lm(LETTERS, scale=0.0)
    result = score(model.engine, LETTERS, IDS)
    assert result.bits_per_char == pytest.approx(math.log2(7), rel=1e-6)
    assert result.nats_per_char == pytest.approx(math.log(7), rel=1e-6)
    assert result.perplexity == pytest.approx(7, rel=1e-5)
    assert result.characters == 299


def test_the_first_character_is_context_and_is_not_counted(make_lm: MakeLM) -> None:
    engine = make_lm(LETTERS).engine
    result = score(engine, LETTERS, np.array([2, 5]))
    logits, _ = engine.step(np.array([2]), engine.initial_state(1))
    assert result.nats_per_char == pytest.approx(-math.log(softmax(logits[0])[5]), rel=1e-5)
    assert result.characters == 1


def test_a_score_is_the_sum_over_the_count(make_lm: MakeLM) -> None:
    engine = make_lm(LETTERS).engine
    result = score(engine, LETTERS, IDS)
    assert result.nats_per_char == pytest.approx(surprisals(engine, IDS).sum() / 299)
    assert result.bits_per_char == pytest.approx(result.nats_per_char / math.log(2))
    assert result.perplexity == pytest.approx(2**result.bits_per_char)


@pytest.mark.parametrize(
    ("text", "counted_bytes", "characters"),
    [("ab", 1, 1), ("aé€", 5, 2), ("€a", 1, 1), ("😀é", 2, 1), ("é\n😀b", 6, 3)],
)
def test_bytes_are_divided_by_code_points(
    make_lm: MakeLM, text: str, counted_bytes: int, characters: int
) -> None:
    """The uniform model spends 8 bits on a byte; a first character of several is all context."""
    tokenizer = ByteTokenizer()
    result = score(make_lm(tokenizer, scale=0.0).engine, tokenizer, tokenizer.encode(text))
    assert result.characters == characters
    assert result.bits_per_char == pytest.approx(8 * counted_bytes / characters, rel=1e-6)


@pytest.mark.parametrize("text", ["", "a"])
def test_fewer_than_two_characters_are_refused(make_lm: MakeLM, text: str) -> None:
    with pytest.raises(RequestError, match="fewer than 2 characters"):
        score(make_lm(LETTERS).engine, LETTERS, LETTERS.encode(text))


def test_one_character_of_four_bytes_is_still_one_character(make_lm: MakeLM) -> None:
    tokenizer = ByteTokenizer()
    with pytest.raises(RequestError, match="fewer than 2 characters"):
        score(make_lm(tokenizer).engine, tokenizer, tokenizer.encode("😀"))


def test_a_hopeless_model_has_a_perplexity_all_the_same() -> None:
    result = Score.of(1e9, 2)
    assert math.isfinite(result.perplexity)
    assert result.bits_per_char == 1e9 / 2 / LN2


def test_a_score_as_a_dictionary_has_the_documented_keys() -> None:
    assert set(Score.of(1.0, 1).to_dict()) == {
        "bits_per_char",
        "nats_per_char",
        "perplexity",
        "characters",
    }
