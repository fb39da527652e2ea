"""Pages of 24 rows that hold the year of a trip and other four-digit numbers.

Every number has a word that names it. In one family of pages the word stands above its number, in
the other to its left:

    above      VOLO     ANNO     CODICE            left      VOLO ...... 1911
               1911     2009       1987                      ANNO ...... 2009

So the number that is asked for is the one whose word means the year of the trip. All numbers of a
page look alike (years of 1900 to 2029), and other words name the others. No number but the asked
one has such a word above it or to its left, and the asked number has no other word there.

There are four kinds of pages, each in both families: a table, a form, a page of a diary in columns,
and a boarding pass. ``draw`` puts the asked number at any place that is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from charlm.text.grammar.chance import Rng, between, chance, pick, shuffle

Family = Literal["above", "left"]
FAMILIES: tuple[Family, Family] = ("above", "left")
KINDS = ("table", "form", "diary", "boarding pass")

ROWS, COLUMNS = 24, 40
DIGITS = 4

ASKED = ("anno", "viaggio", "partenza", "andata")
"""Words that name the year of the trip."""
OTHERS = (
    "volo",
    "nato",
    "data",
    "codice",
    "stanza",
    "gruppo",
    "tessera",
    "pratica",
    "rinnovo",
    "scadenza",
    "ricevuta",
    "deposito",
)
"""Words that name other numbers. They are as long as those above, so that the length of a word does
not tell which number is meant."""

_TEXT = tuple(
    """il la un una di da con per tra sul nel al dal mare monte lago fiume vento pioggia sole neve
    treno bus barca auto strada piazza ponte torre porto casa letto pane vino pesce zuppa
    mercato museo chiesa giardino amici zia nonno Ada Bruno Carla Dario Elena Fabio Gina Lima
    Roma Nepal Oslo Cuba Kyoto Dakar Quito Porto Malta Lecce Pisa Bari lungo breve bello stanco
    tardi presto ieri oggi poi mai""".split()  # noqa: SIM905
)
_SHORT = (
    "12:40",
    "07:05",
    "18:30",
    "85,00",
    "9,50",
    "B12",
    "C3",
    "n. 7",
    "sì",
    "no",
    "-",
    "EUR",
    "kg 23",
)

_REACH = 4
"""Rows below a word in which it names a number; to the right it is the rest of the row."""


@dataclass(frozen=True)
class Page:
    """A page and what is asked of it.

    rows: ROWS lines of equal length
    answer: the asked number, and row, column: the place of its first digit
    family, kind: where the word stands, and what the page is
    """

    rows: tuple[str, ...]
    answer: str
    row: int
    column: int
    family: Family
    kind: str

    @property
    def text(self) -> str:
        return "\n".join(self.rows)


@dataclass(frozen=True)
class Block:
    """A word and the number that it names: (row, column) of the first character of each."""

    word: str
    number: str
    word_at: tuple[int, int]
    number_at: tuple[int, int]


class Canvas:
    """A page that is being drawn. Nothing is written over what is there already."""

    def __init__(self, rows: int, columns: int) -> None:
        self.cells = [[" "] * columns for _ in range(rows)]
        self.rows, self.columns = rows, columns

    def fits(self, row: int, column: int, text: str) -> bool:
        """Whether the text can be written there, with a blank before and after it."""
        if not (0 <= row < self.rows and column >= 0 and column + len(text) <= self.columns):
            return False
        near = self.cells[row][max(0, column - 1) : column + len(text) + 1]
        return all(cell == " " for cell in near)

    def write(self, row: int, column: int, text: str) -> bool:
        """Write the text if it fits; whether it did."""
        if not self.fits(row, column, text):
            return False
        self.cells[row][column : column + len(text)] = text
        return True

    def put(self, block: Block) -> bool:
        """Write word and number if both fit; whether they did."""
        (wr, wc), (nr, nc) = block.word_at, block.number_at
        if not (self.fits(wr, wc, block.word) and self.fits(nr, nc, block.number)):
            return False
        self.cells[wr][wc : wc + len(block.word)] = block.word
        self.cells[nr][nc : nc + len(block.number)] = block.number
        return True


def draw(
    rng: Rng,
    family: Family,
    kind: str,
    answer: str,
    place: tuple[int, int],
    numbers: tuple[str, ...],
    columns: int = COLUMNS,
    rows: int = ROWS,
) -> Page | None:
    """A page with the asked number at ``place``; None if the word that was drawn does not fit
    there: then draw again.

    numbers: those that the others are drawn from
    """
    style = _STYLES[kind](rng, family)
    asked = _block(rng, style, family, pick(rng, ASKED), answer, place, columns)
    canvas = Canvas(rows, columns)
    if asked is None or not canvas.put(asked):
        return None
    blocks = [asked]
    most = between(rng, 3, 6)
    for at in _places(rng, style, family, place, rows, columns):
        if len(blocks) > most:
            break
        other = _block(rng, style, family, pick(rng, OTHERS), pick(rng, numbers), at, columns)
        if other is not None and not _misleads(other, blocks) and canvas.put(other):
            blocks.append(other)
    for block in blocks:
        _decorate(rng, canvas, style, family, block)
    _fill(rng, canvas, style, family, blocks)
    return Page(tuple(map("".join, canvas.cells)), answer, *place, family, kind)


# ------------------------------------------------------------------------------- the kinds of pages


@dataclass(frozen=True)
class Style:
    """How the blocks of a page are arranged and what is around them.

    capitals: how words are written: as they are, capitalized, or in capitals
    gap: rows from a word down to its number, or characters from the end of a word to its number
    leader: what fills that gap
    align: where a word above begins: with its number, where both end together, or between
    pitch: rows and columns from one block to the next
    stagger: columns by which a block may be out of line
    text: share of the remaining places that get words
    frame: whether the page has a border; bars: whether lines divide it into columns
    """

    capitals: int
    gap: int
    leader: str
    align: int
    pitch: tuple[int, int]
    stagger: int
    text: float
    frame: bool = False
    bars: bool = False


def _table(rng: Rng, family: Family) -> Style:
    gap = between(rng, 1, 2) if family == "above" else between(rng, 1, 5)
    tall = between(rng, gap + 2, 6) if family == "above" else between(rng, 1, 3)
    return Style(
        capitals=between(rng, 0, 2),
        gap=gap,
        leader=pick(rng, " -"),
        align=between(rng, 0, 2),
        pitch=(tall, between(rng, 10, 14)),
        stagger=0,
        text=0.35,
    )


def _form(rng: Rng, family: Family) -> Style:
    gap = 1 if family == "above" else between(rng, 2, 7)
    tall = between(rng, 3, 5) if family == "above" else between(rng, 2, 3)
    return Style(
        capitals=between(rng, 0, 1),
        gap=gap,
        leader=pick(rng, "._: "),
        align=between(rng, 0, 2),
        pitch=(tall, between(rng, 11, 18)),
        stagger=4,
        text=0.15,
    )


def _diary(rng: Rng, family: Family) -> Style:
    tall = between(rng, 4, 6) if family == "above" else between(rng, 2, 5)
    return Style(
        capitals=0,
        gap=1,
        leader=" ",
        align=between(rng, 0, 2),
        pitch=(tall, between(rng, 12, 16)),
        stagger=6,
        text=0.8,
        bars=True,
    )


def _boarding(rng: Rng, family: Family) -> Style:
    gap = between(rng, 1, 2) if family == "above" else between(rng, 1, 3)
    tall = between(rng, gap + 2, 5) if family == "above" else 2
    return Style(
        capitals=2,
        gap=gap,
        leader=" ",
        align=between(rng, 0, 2),
        pitch=(tall, between(rng, 10, 15)),
        stagger=2,
        text=0.2,
        frame=True,
    )


_STYLES = {"table": _table, "form": _form, "diary": _diary, "boarding pass": _boarding}


def _block(
    rng: Rng,
    style: Style,
    family: Family,
    word: str,
    number: str,
    at: tuple[int, int],
    columns: int,
) -> Block | None:
    """A word above or to the left of a number at ``at``; None if it would leave the page."""
    row, column = at
    word = (word, word.capitalize(), word.upper())[style.capitals]
    if family == "left":
        start = column - style.gap - len(word)
        if start < 0:  # a narrow place: as close as possible
            start = column - 1 - len(word)
        return Block(word, number, (row, start), at) if start >= 0 else None
    first, last = column, column + DIGITS - len(word)  # left-aligned, right-aligned
    fitting = [s for s in (first, last, (first + last) // 2) if 0 <= s <= columns - len(word)]
    if row < style.gap or not fitting:
        return None
    wanted = (first, last, (first + last) // 2)[style.align]
    start = wanted if wanted in fitting else fitting[0]
    return Block(word, number, (row - style.gap, start), at)


def _places(
    rng: Rng, style: Style, family: Family, place: tuple[int, int], rows: int, columns: int
) -> Iterator[tuple[int, int]]:
    """Places of other numbers: a lattice around the asked one, in random order, some left out."""
    tall, wide = style.pitch
    row0, column0 = place
    found = []
    for k in range(-(row0 // tall), (rows - 1 - row0) // tall + 1):
        for m in range(-(column0 // wide) - 1, (columns - 1 - column0) // wide + 2):
            if (k, m) != (0, 0):
                found.append((k, m))
    shuffle(rng, found)
    beside = [each for each in found if each[0] == 0 and chance(rng, 0.3)]
    for k, m in dict.fromkeys(beside[:1] + found):
        shift = between(rng, -style.stagger, style.stagger) if k else 0
        at = (row0 + k * tall, column0 + m * wide + shift)
        if 0 <= at[1] <= columns - DIGITS:
            yield at


def _misleads(other: Block, blocks: list[Block]) -> bool:
    """Whether a word of one block could be taken for that of another's number."""
    return any(
        _could_name(other.word_at, len(other.word), each.number_at)
        or _could_name(each.word_at, len(each.word), other.number_at)
        for each in blocks
    )


def _could_name(word_at: tuple[int, int], length: int, number_at: tuple[int, int]) -> bool:
    """Whether a number is below the word, or in the same row a little to its right."""
    rows = number_at[0] - word_at[0]
    if rows == 0:
        return 0 <= number_at[1] - (word_at[1] + length) < 9
    begins, ends = number_at[1], number_at[1] + DIGITS
    return 0 < rows <= _REACH and begins <= word_at[1] + length and word_at[1] <= ends


# ----------------------------------------------------------------------------------- what is around


def _decorate(rng: Rng, canvas: Canvas, style: Style, family: Family, block: Block) -> None:
    """The dots or the colon between a word and its number, the rule below a head of a table."""
    if style.leader == " ":
        return
    row, column = block.word_at
    if family == "left":
        gap = canvas.cells[row][column + len(block.word) : block.number_at[1]]
        if style.leader == ":":
            gap[0] = ":" if len(gap) > 1 else gap[0]
        else:
            gap[1:-1] = style.leader * (len(gap) - 2) if len(gap) > 2 else gap[1:-1]
        canvas.cells[row][column + len(block.word) : block.number_at[1]] = gap
    elif style.leader == "-" and block.number_at[0] - row == 2:
        canvas.write(row + 1, column, "-" * len(block.word))


def _fill(rng: Rng, canvas: Canvas, style: Style, family: Family, blocks: list[Block]) -> None:
    """Words, times and prices in the free places, without anything that looks like a year."""
    if style.frame:
        _frame(canvas)
    bar = between(rng, 12, 20) if style.bars else 0
    kept = {(each.number_at[0], each.number_at[1]) for each in blocks}
    for row in range(canvas.rows):
        if chance(rng, 0.3) and not style.bars:
            continue
        column = between(rng, 0, 3)
        if bar:
            for at in range(bar, canvas.columns - 1, bar):
                canvas.write(row, at, "|")
        while column < canvas.columns - 1:
            text = pick(rng, _TEXT) if chance(rng, 0.85) else pick(rng, _SHORT)
            if chance(rng, style.text) and not _between(row, column, len(text), blocks, family):
                canvas.write(row, column, text)
            column += len(text) + 1 + (between(rng, 0, 6) if style.text < 0.5 else 0)
    assert all(canvas.cells[r][c].isdigit() for r, c in kept)


def _between(row: int, column: int, length: int, blocks: list[Block], family: Family) -> bool:
    """Whether a text there would come between a word and its number."""
    for each in blocks:
        (wr, wc), (nr, nc) = each.word_at, each.number_at
        if family == "left":
            if row == wr and column < nc and column + length > wc:
                return True
        elif (
            wr < row < nr
            and column < max(wc + len(each.word), nc + DIGITS)
            and (column + length > min(wc, nc))
        ):
            return True
    return False


def _frame(canvas: Canvas) -> None:
    """A border, where the edge of the page is free."""
    last, right = canvas.rows - 1, canvas.columns - 1
    for row in (0, last):
        for column in range(canvas.columns):
            if canvas.cells[row][column] == " ":
                canvas.cells[row][column] = "-"
    for row in range(1, last):
        for column in (0, right):
            near = canvas.cells[row][1] if column == 0 else canvas.cells[row][right - 1]
            if canvas.cells[row][column] == " " and near == " ":
                canvas.cells[row][column] = "|"
