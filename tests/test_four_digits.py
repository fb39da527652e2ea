"""Hand-written Italian sentences with a year and a four-digit number that is not one.

They are `benchmarks/handwritten-four-digits.tsv`; `benchmarks/four_digits.py` measures trained
readers on them. Here they go through the code that reads, answers and judges: with readers that
do what they say, so that the right figures are known by hand.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from charlm.experiments.measures import unpack
from charlm.experiments.position_invariance import ask, mistakes
from charlm.experiments.position_invariance.design import years
from charlm.experiments.position_invariance.examples import Example
from charlm.experiments.position_invariance.grid import first_answer, judge
from charlm.experiments.position_invariance.readers import KINDS, Reader, Vocabulary, build, shape
from charlm.text import grammar

FILE = Path(__file__).parent.parent / "benchmarks" / "handwritten-four-digits.tsv"
SENTENCES = ask.read_scored(FILE)
DESIGN = years()


def numbers(text: str) -> list[str]:
    return re.findall(r"(?<!\d)\d{4}(?!\d)", text)


def other(example: Example) -> str:
    """The number that is not the year."""
    (found,) = (number for number in numbers(example.text) if number != example.answer)
    return found


def test_every_sentence_has_a_year_and_one_other_four_digit_number() -> None:
    assert len(SENTENCES) >= 40
    assert len({each.text for each in SENTENCES}) == len(SENTENCES)
    for each in SENTENCES:
        assert len(numbers(each.text)) == 2
        assert numbers(each.text).count(each.answer) == 1
        assert 1900 <= int(each.answer) < 2030
        assert len(each.text) <= 120  # every kind of reader can read it
    # The first number is as often the year as not, and most of the others could be years.
    first = [numbers(each.text)[0] == each.answer for each in SENTENCES]
    assert sum(first) / len(first) == pytest.approx(0.5, abs=0.05)
    assert sum(1000 <= int(other(each)) <= 2099 for each in SENTENCES) == len(SENTENCES)
    assert sum(1900 <= int(other(each)) < 2030 for each in SENTENCES) > len(SENTENCES) / 3


def test_the_grammar_writes_none_of_them() -> None:
    """Not even three of their words in a row beside the number that is not the year, but for a few
    that cannot be said in another way ("una folla di 2000 persone")."""
    rng = random.Random(1)
    kinds = grammar.KINDS + grammar.NEW_KINDS
    text = "\n".join(grammar.numbered(rng, kinds).text for _ in range(20_000))
    text = re.sub(r"(?<!\d)\d{4}(?!\d)", "#", text).lower()
    for each in SENTENCES:
        assert re.sub(r"(?<!\d)\d{4}(?!\d)", "#", each.text).lower().rstrip(".") not in text
    longer = 0
    for each in SENTENCES:
        words = re.findall(r"\w+|#", each.text.replace(other(each), "#").lower())
        place = words.index("#")
        around = " ".join(words[max(0, place - 2) : place + 3])
        longer += around in text
    assert longer <= len(SENTENCES) / 10


ANSWERS: dict[str, tuple[Callable[[Example], str], tuple[int, int, int, int]]] = {
    # what it answers; of 80: right, the other number, invented, the rest
    "always right": (lambda each: each.answer, (80, 0, 0, 0)),
    "the other number": (other, (0, 80, 0, 0)),
    "the first number": (lambda each: first_answer(each.text, DESIGN), (39, 41, 0, 0)),
    "a year that is nowhere": (lambda each: "1066", (0, 0, 80, 0)),
    "the first word": (lambda each: each.text[:4], (2, 0, 0, 78)),
    "nothing": (lambda each: "", (0, 0, 0, 80)),
    "digits of both": (lambda each: other(each)[:2] + each.answer[2:], (30, 0, 50, 0)),
}


@pytest.mark.parametrize("said", ANSWERS)
def test_errors_are_counted_by_their_kind(said: str) -> None:
    answer, (right, wrong, invented, rest) = ANSWERS[said]
    found = [answer(each) for each in SENTENCES]
    judged = judge(found, SENTENCES, DESIGN, None)
    shape_of = (len(SENTENCES),)
    assert unpack(judged["right"], shape_of).sum() == right
    assert unpack(judged["wrong_number"], shape_of).sum() == wrong
    assert unpack(judged["not_in_sentence"], shape_of).sum() == invented
    assert right + wrong + invented + rest == len(SENTENCES)


def test_one_of_the_two_numbers_at_random_is_right_every_second_time() -> None:
    chances: Sequence[float] = mistakes.chances(SENTENCES, DESIGN.any_answer)
    assert set(chances) == {0.5}


@pytest.mark.parametrize("name", ["pointer", "pointer-both"])
def test_a_pointer_never_invents_a_number(name: str) -> None:
    """Untrained, it is always wrong, and always with four characters of the sentence."""
    texts = [each.text for each in SENTENCES]
    made = Vocabulary.of(texts, "0123456789", 4)
    words = Vocabulary(made.tokenizer, made.alphabet, made.width, shortest=4)
    for seed in range(3):
        reader = build(KINDS[name], shape(KINDS[name], words), words, seed)
        assert isinstance(reader, Reader)
        found = reader.answers(texts)
        assert all(len(f) == 4 and f in text for f, text in zip(found, texts, strict=True))
        judged = judge(found, SENTENCES, DESIGN, None)
        assert not unpack(judged["not_in_sentence"], (len(texts),)).any()
        assert not unpack(judged["right"], (len(texts),)).all()
