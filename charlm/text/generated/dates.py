"""Dates in words and numbers, Italian and English, and the ISO date; the corpus `dates`.

No source can mean two days. Years have four digits or are spelled. A date made of three numbers is
drawn only if its day is above 12 or equal to the month, so that it does not matter which of the
two comes first. A weekday, where there is one, is that of the date.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from charlm.text.generated.lines import Pair
from charlm.text.generated.numbers import english, italian
from charlm.text.grammar.calendar import MONTHS, days_in
from charlm.text.grammar.chance import Rng, between, chance, pick
from charlm.text.grammar.words import words

FIRST_YEAR, LAST_YEAR = 1800, 2099

_ENGLISH_MONTHS = words(
    "January, February, March, April, May, June, July, August, September, October, November, "
    "December"
)
_ENGLISH_DAYS = words("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday")
_ITALIAN_DAYS = words("lunedì, martedì, mercoledì, giovedì, venerdì, sabato, domenica")
_ORDINALS = words(
    "first, second, third, fourth, fifth, sixth, seventh, eighth, ninth, tenth, eleventh, "
    "twelfth, thirteenth, fourteenth, fifteenth, sixteenth, seventeenth, eighteenth, "
    "nineteenth, twentieth"
)

# d, dd: the day in digits; nth: 3rd; third: in words; y: the year in digits, year: in words.
_ENGLISH = (
    "{d} {month} {y}",
    "{dd} {month} {y}",
    "{nth} {month} {y}",
    "{nth} of {month} {y}",
    "{nth} of {month}, {y}",
    "the {nth} of {month} {y}",
    "the {nth} of {month}, {y}",
    "{month} {d}, {y}",
    "{month} {d} {y}",
    "{month} {nth}, {y}",
    "{month} the {nth}, {y}",
    "{mon} {d}, {y}",
    "{d} {mon} {y}",
    "{d}-{mon}-{y}",
    "{y} {month} {d}",
    "the {third} of {month} {y}",
    "{month} {third}, {y}",
    "{third} of {month} {year}",
    "the {third} of {month} {year}",
    "the {third} of {month}, {year}",
    "{month} {third}, {year}",
    "{month} the {third}, {year}",
)
# tre: the day in words; il: the article with its gap; anno: the year in words.
_ITALIAN = (
    "{d} {mese} {y}",
    "{dd} {mese} {y}",
    "{d} {mes} {y}",
    "{d} {mes}. {y}",
    "{d} {mese} del {y}",
    "{tre} {mese} {y}",
    "{tre} {mese} {anno}",
    "{tre} {mese} del {anno}",
)
_ITALIAN_WITH_ARTICLE = (
    "{il_d} {mese} {y}",
    "{il_d} {mese} del {y}",
    "{il_d} di {mese} del {y}",
    "{il_tre} {mese} {y}",
    "{il_tre} {mese} {anno}",
    "{il_tre} {mese} del {anno}",
    "addì {d} {mese} {y}",
)
_NUMERIC = (
    "{dd}/{mm}/{y}",
    "{dd}.{mm}.{y}",
    "{dd}-{mm}-{y}",
    "{d}/{m}/{y}",
    "{d}.{m}.{y}",
    "{mm}/{dd}/{y}",
    "{m}/{d}/{y}",
    "{y}/{mm}/{dd}",
    "{y}-{mm}-{dd}",
)


def _ordinal(day: int) -> str:
    """1 to 31 as a word: "twenty-third"."""
    if day <= 20:
        return _ORDINALS[day - 1]
    tens, unit = divmod(day, 10)
    if unit == 0:
        return "thirtieth"
    return f"{english(10 * tens)}-{_ORDINALS[unit - 1]}"


def _suffix(day: int) -> str:
    if day in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def year_in_english(rng: Rng, year: int) -> str:
    """A year from 1800 to 2099 as it is read out: "nineteen ninety-four", "nineteen oh five"."""
    century, rest = divmod(year, 100)
    with_and, hyphen = chance(rng, 0.7), chance(rng, 0.8)
    if century == 20 and (rest < 10 or chance(rng, 0.4)):
        return english(year, with_and=with_and, hyphen=hyphen)
    tail = english(rest, hyphen=hyphen)
    if rest == 0 or chance(rng, 0.15):
        joint = " and " if with_and else " "
        return f"{english(century)} hundred" + (joint + tail if rest else "")
    return f"{english(century)} {'oh ' if rest < 10 else ''}{tail}"


def _in_english(rng: Rng, date: datetime.date) -> str:
    month = _ENGLISH_MONTHS[date.month - 1]
    text = pick(rng, _ENGLISH).format(
        d=date.day,
        dd=f"{date.day:02d}",
        nth=f"{date.day}{_suffix(date.day)}",
        third=_ordinal(date.day),
        month=month,
        mon=month[:4] if month == "September" and chance(rng, 0.5) else month[:3],
        y=date.year,
        year=year_in_english(rng, date.year),
    )
    if chance(rng, 0.4):
        weekday = _ENGLISH_DAYS[date.weekday()]
        short = chance(rng, 0.3)
        text = f"{weekday[:3] if short else weekday}{pick(rng, (', ', ' '))}{text}"
    return text.lower() if chance(rng, 0.1) else text


def _in_italian(rng: Rng, date: datetime.date) -> str:
    month = MONTHS[date.month - 1]
    digits = pick(rng, ("1", "1º", "1°")) if date.day == 1 else str(date.day)
    spelled = "primo" if date.day == 1 else italian(date.day)
    article = "l'" if date.day in (8, 11) else "il "
    with_article = chance(rng, 0.4)
    text = pick(rng, _ITALIAN_WITH_ARTICLE if with_article else _ITALIAN).format(
        d=digits,
        dd=f"{date.day:02d}",
        tre=spelled,
        il_d=article + digits,
        il_tre=article + spelled,
        mese=month,
        mes=month[:3],
        y=date.year,
        anno=italian(date.year),
    )
    if not with_article and chance(rng, 0.6):
        weekday = _ITALIAN_DAYS[date.weekday()]
        short = chance(rng, 0.2)
        text = f"{weekday[:3] if short else weekday}{pick(rng, (' ', ', '))}{text}"
    return text[0].upper() + text[1:] if chance(rng, 0.2) else text


def _in_numbers(rng: Rng, date: datetime.date) -> str:
    return pick(rng, _NUMERIC).format(
        d=date.day,
        dd=f"{date.day:02d}",
        m=date.month,
        mm=f"{date.month:02d}",
        y=date.year,
    )


def dates(rng: Rng) -> Iterator[Pair]:
    """Endless pairs: a date as people write it, and the same as YYYY-MM-DD; 1800 to 2099."""
    while True:
        year, month = between(rng, FIRST_YEAR, LAST_YEAR), between(rng, 1, 12)
        date = datetime.date(year, month, between(rng, 1, days_in(month, year)))
        clear = date.day > 12 or date.day == date.month
        if clear and chance(rng, 0.15):
            text = _in_numbers(rng, date)
        else:
            text = (_in_english if chance(rng, 0.5) else _in_italian)(rng, date)
        yield text, date.isoformat()
