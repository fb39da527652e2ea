"""Dates, hours, numbers and seasons in Italian, and the weather that a month allows."""

from __future__ import annotations

from functools import cache

from charlm.text.grammar.chance import Rng, between, pick

MONTHS = (
    "gennaio",
    "febbraio",
    "marzo",
    "aprile",
    "maggio",
    "giugno",
    "luglio",
    "agosto",
    "settembre",
    "ottobre",
    "novembre",
    "dicembre",
)
SEASONS = ("inverno", "primavera", "estate", "autunno")
_SPELLED = (
    "zero",
    "uno",
    "due",
    "tre",
    "quattro",
    "cinque",
    "sei",
    "sette",
    "otto",
    "nove",
    "dieci",
    "undici",
    "dodici",
    "tredici",
    "quattordici",
    "quindici",
    "sedici",
    "diciassette",
    "diciotto",
    "diciannove",
    "venti",
)

# climate: weather in winter, spring, summer, autumn of that place. A repeated word is more likely.
_WEATHER = {
    "m": (
        "rain wind cold sun cloud",
        "sun sun cloud rain wind",
        "heat sun sun storm wind",
        "sun rain cloud wind storm",
    ),
    "t": (
        "cold rain fog snow cloud",
        "sun rain cloud wind sun",
        "sun heat storm cloud sun",
        "rain fog cloud sun wind",
    ),
    "n": (
        "snow cold wind snow",
        "cold rain cloud sun wind",
        "sun cloud rain wind sun",
        "rain wind fog cold",
    ),
    "a": ("snow cold sun cloud", "sun rain cloud wind", "sun storm cloud sun", "fog sun cold rain"),
    "h": ("cold sun wind snow", "sun wind cloud sun", "rain fog cloud storm", "sun cold wind sun"),
    "e": (
        "heat sun rain wind",
        "heat sun storm sun",
        "heat rain storm cloud",
        "rain sun heat wind",
    ),
    "d": ("sun wind sun", "sun wind heat", "heat heat sun wind", "sun heat wind"),
    "s": ("rain cold wind cloud", "sun wind rain cloud", "sun sun heat wind", "fog sun cloud rain"),
}
# Countries south of the equator: their January is summer.
_SOUTHERN = "s"


def season(month: int) -> str:
    """The season of a month as an Italian traveller counts it, by whole months."""
    return SEASONS[month % 12 // 3]


@cache
def weathers(climate: str, month: int) -> tuple[str, ...]:
    """The kinds of weather that are possible there in that month."""
    column = month % 12 // 3
    if climate == _SOUTHERN:
        column = (column + 2) % 4
    return tuple(_WEATHER[climate][column].split())


def days_in(month: int, year: int) -> int:
    """The number of days of a month in the Gregorian calendar."""
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def day_name(day: int) -> str:
    """The day as Italians write it in a date: "1º" for the first, digits otherwise."""
    return "1º" if day == 1 else str(day)


def spelled(number: int) -> str:
    """A small number in words; digits above twenty."""
    return _SPELLED[number] if number <= 20 else str(number)


def thousands(number: int) -> str:
    """Digits with a dot every three places from ten thousand up: 850, 4500, 12.000."""
    return f"{number:,}".replace(",", ".") if number >= 10_000 else str(number)


_HOURS = {
    "mattina": (6, 10),
    "tarda": (11, 12),
    "mezzogiorno": (12, 14),
    "pomeriggio": (3, 6),
    "sera": (7, 11),
}


def hour(rng: Rng, part: str) -> str:
    """A time of that part of the day after "alle" or "verso": "alle sette e mezza", "all'una"."""
    low, high = _HOURS[part]
    number = between(rng, low, high)
    number = number - 12 if number > 12 else number
    preposition = pick(rng, ("alle", "alle", "verso le"))
    tail = pick(rng, ("", "", " e mezza", " e un quarto", " e dieci", " meno venti", " passate"))
    if preposition == "verso le" and tail == " passate":
        tail = ""
    if number == 1:
        return ("all'una" if preposition == "alle" else "verso l'una") + tail.replace("te", "ta")
    return f"{preposition} {spelled(number)}{tail}"
