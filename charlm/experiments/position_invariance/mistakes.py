"""What kind of error a wrong answer is, and what somebody who picks a number at random gets right.

wrong number           another number of the sentence that could be the answer
not in the sentence    invented: it occurs nowhere in the sentence
rest                   a piece of the sentence that is no whole number, or no answer at all
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from charlm.experiments.position_invariance.examples import Example

WRONG_NUMBER, NOT_IN_SENTENCE, REST = "wrong number", "not in the sentence", "rest"
ERRORS = (WRONG_NUMBER, NOT_IN_SENTENCE, REST)
SHOWN = ERRORS[:2]
"""The kinds that tables show."""


def kind_of(found: str, example: Example, any_answer: re.Pattern[str]) -> str:
    """The kind of error that an answer is; empty if it is right.

    any_answer: matches what could be the answer; for a year, a separate group of four digits
    """
    if found == example.answer:
        return ""
    if found and found not in example.text:
        return NOT_IN_SENTENCE
    return WRONG_NUMBER if found in any_answer.findall(example.text) else REST


def chances(sentences: Sequence[Example], any_answer: re.Pattern[str]) -> list[float]:
    """For each sentence the probability of its answer if one of its numbers is picked at random,
    all equally likely."""
    found = [(each.answer, any_answer.findall(each.text)) for each in sentences]
    return [round(numbers.count(answer) / max(1, len(numbers)), 6) for answer, numbers in found]
