"""Whole numbers from 0 to 999,999 in Italian and in English words; the corpus `numbers`.

Italian, in one word as on a cheque: the tens lose their last vowel before uno and otto (ventuno,
ventotto), cento loses its own before otto and ottanta only (centotto, centottanta, but centouno);
tre at the end of a longer word has an accent (ventitré, but ventitremila).
"""

from __future__ import annotations

from collections.abc import Iterator

from charlm.text.generated.lines import Pair
from charlm.text.grammar.chance import Rng, between, chance
from charlm.text.grammar.words import words

LARGEST = 999_999

_UNITS = words(
    "zero, uno, due, tre, quattro, cinque, sei, sette, otto, nove, dieci, undici, dodici, "
    "tredici, quattordici, quindici, sedici, diciassette, diciotto, diciannove"
)
_TENS = words("-, -, venti, trenta, quaranta, cinquanta, sessanta, settanta, ottanta, novanta")
_ENGLISH_UNITS = words(
    "zero, one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, "
    "thirteen, fourteen, fifteen, sixteen, seventeen, eighteen, nineteen"
)
_ENGLISH_TENS = words("-, -, twenty, thirty, forty, fifty, sixty, seventy, eighty, ninety")


def _below_a_thousand(number: int) -> str:
    """1 to 999, tre without its accent; nothing for 0."""
    hundreds, rest = divmod(number, 100)
    word = ""
    if hundreds:
        word = ("" if hundreds == 1 else _UNITS[hundreds]) + "cento"
        if rest == 8 or rest // 10 == 8:
            word = word[:-1]
    if rest < 20:
        return word + (_UNITS[rest] if rest else "")
    tens, unit = divmod(rest, 10)
    stem = _TENS[tens][:-1] if unit in (1, 8) else _TENS[tens]
    return word + stem + (_UNITS[unit] if unit else "")


def italian(number: int) -> str:
    """A number from 0 to 999,999 in Italian.

    >>> italian(1234), italian(23), italian(23_180), italian(1003)
    ('milleduecentotrentaquattro', 'ventitré', 'ventitremilacentottanta', 'milletré')
    """
    if not 0 <= number <= LARGEST:
        raise ValueError(f"{number} is not from 0 to {LARGEST}")
    if number == 0:
        return _UNITS[0]
    thousands, rest = divmod(number, 1000)
    word = "" if not thousands else "mille"
    if thousands > 1:
        word = _below_a_thousand(thousands) + "mila"
    word += _below_a_thousand(rest)
    return word[:-1] + "é" if word.endswith("tre") and word != "tre" else word


def english(number: int, *, with_and: bool = True, hyphen: bool = True) -> str:
    """A number from 0 to 999,999 in English, as in Britain or (without "and") in America.

    >>> english(12_005), english(345, with_and=False, hyphen=False)
    ('twelve thousand and five', 'three hundred forty five')
    """
    if not 0 <= number <= LARGEST:
        raise ValueError(f"{number} is not from 0 to {LARGEST}")
    thousands, rest = divmod(number, 1000)
    hundreds, small = divmod(rest, 100)
    said = []
    if thousands:
        said.append(english(thousands, with_and=with_and, hyphen=hyphen) + " thousand")
    if hundreds:
        said.append(_ENGLISH_UNITS[hundreds] + " hundred")
    if small or not said:
        if said and with_and:
            said.append("and")
        tens, unit = divmod(small, 10)
        if small < 20:
            said.append(_ENGLISH_UNITS[small])
        else:
            joint = "-" if hyphen else " "
            said.append(_ENGLISH_TENS[tens] + (joint + _ENGLISH_UNITS[unit] if unit else ""))
    return " ".join(said)


def _number(rng: Rng) -> int:
    """As many numbers of one digit as of six, and every third one with zeros among its digits."""
    digits = between(rng, 1, len(str(LARGEST)))
    number = between(rng, 10 ** (digits - 1) if digits > 1 else 0, 10**digits - 1)
    if chance(rng, 1 / 3):
        for place in range(digits - 1):
            if chance(rng, 0.5):
                number -= number // 10**place % 10 * 10**place
    return number


def numbers(rng: Rng) -> Iterator[Pair]:
    """Endless pairs: the digits of a number, and the number in Italian words."""
    while True:
        number = _number(rng)
        yield str(number), italian(number)


def digits(rng: Rng) -> Iterator[Pair]:
    """Endless pairs: a number in words, half of them Italian and half English, and its digits."""
    while True:
        number = _number(rng)
        if chance(rng, 0.5):
            yield italian(number), str(number)
        else:
            with_and, hyphen = chance(rng, 2 / 3), chance(rng, 0.8)
            yield english(number, with_and=with_and, hyphen=hyphen), str(number)
