"""How much of a text was trained on, against looking every piece up."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm import overlap
from charlm.overlap import PIECE, Overlap, shared


def by_hand(text: str, other: str) -> float:
    pieces = [text[n : n + PIECE] for n in range(len(text) - PIECE + 1)]
    return sum(piece in other for piece in pieces) / len(pieces)


def noise(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("abcdefgh è\n☃", k=length))


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
def test_the_share_is_that_of_looking_every_piece_up(a: int, b: int, c: int) -> None:
    common = noise(a, 1)
    text, other = noise(b, 2) + common + noise(c, 3), noise(c, 4) + common + noise(b, 5)
    if len(text) < PIECE:
        assert shared(text, other) is None
    else:
        assert shared(text, other) == pytest.approx(by_hand(text, other))


@given(st.text("ab", min_size=PIECE, max_size=90), st.text("ab", max_size=90))
def test_pieces_of_few_characters_are_told_apart(text: str, other: str) -> None:
    assert shared(text, other + text[3:] + other) == pytest.approx(
        by_hand(text, other + text[3:] + other)
    )


def test_a_piece_across_two_chunks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    other = noise(1000, 1)
    monkeypatch.setattr(overlap, "_CHUNK", 100)
    assert shared(other, other) == 1
    assert shared(other[80:140], noise(30, 2) + other) == 1


def test_of_a_long_text_a_part_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    half = noise(4000, 1)
    monkeypatch.setattr(overlap, "MOST_PIECES", 100)
    assert shared(half + noise(4000, 2), half) == pytest.approx(0.5, abs=0.02)


def test_what_was_trained_on() -> None:
    corpus = noise(1000, 1)
    train, val = corpus[:900], corpus[900:]
    assert overlap.overlap(train, train) == Overlap(True, 1.0)
    assert overlap.overlap(train[100:300], train) == Overlap(True, 1.0)
    assert overlap.overlap(val, train) == Overlap(False, 0.0)
    assert overlap.overlap(corpus, None, is_corpus=True) == Overlap(True, None)
    assert overlap.overlap(train, None) == Overlap(False, None)
    whole = overlap.overlap(corpus, train, is_corpus=True)
    assert whole.trained_on and whole.share == pytest.approx(851 / 951)
    assert overlap.overlap(train[:20], train) == Overlap(False, None)  # too short to say
