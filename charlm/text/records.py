"""Lists of items, with or without labels: lines, CSV and JSON lines to ``Record``s, strictly.

    list       one item a line, or between ``--item-separator``
    TSV        text TAB label, one item a line; the default of labelled files
    CSV        with a header that names the columns            name.csv
    JSONL      one JSON object a line                          name.jsonl, name.ndjson

A label is a class, or for ``tag`` a string of one tag for each character, or for ``rewrite`` the
text that the item becomes. Every error names the line.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

from charlm.errors import CorpusError, RequestError
from charlm.itemfacts import LONGEST_LABEL
from charlm.text.newlines import to_unix
from charlm.text.reading import read_text

KINDS = ("items", "labelled", "classify", "tag", "rewrite")
"""What a list of items is read for; all but the first have a label for each item."""

OUTSIDE, BEGIN, INSIDE = "O", "B", "I"
"""Tags of spans: a character of no span, the first of one, another of one (Ramshaw & Marcus,
"Text chunking using transformation-based learning", 1995)."""


class Record(NamedTuple):
    """An item and its label, empty without labels."""

    text: str
    label: str = ""


@dataclass(frozen=True)
class Layout:
    """How the items stand in their files.

    kind: one of ``KINDS``
    separator: what ends an item in a list without labels
    text_column, label_column: the names of the columns of a CSV file or the keys of JSON lines
    """

    kind: str
    separator: str = "\n"
    text_column: str = "text"
    label_column: str = "label"

    @property
    def labelled(self) -> bool:
        return self.kind != "items"


class Listing(NamedTuple):
    """What was read: the items in their order, a name for them, and what to tell the user."""

    records: list[Record]
    name: str
    notes: tuple[str, ...]


def read_records(
    sources: Sequence[str],
    layout: Layout,
    *,
    encoding: str | None = None,
    stdin: BinaryIO | None = None,
) -> Listing:
    """Read the items of ``sources`` (as ``reading.read_text`` finds them). Line ends are read as
    LF.

    Raises CorpusError, with the line, for a line that is not an item; the errors of ``read_text``.
    """
    records: list[Record] = []
    notes: list[str] = []
    names: list[str] = []
    for source in sources:
        whole = read_text([source], encoding=encoding, stdin=stdin)
        notes += whole.notes
        names.append(whole.name)
        # Each file of a directory or a pattern is read by itself: it may be CSV or JSON lines.
        for file in whole.sources:
            several = len(whole.sources) > 1
            text = read_text([file], encoding=encoding) if several else whole
            records += parse(to_unix(text.text), file, layout)
    if not records:
        raise CorpusError(f"{', '.join(sources)}: no items; give a file with one a line")
    return Listing(
        records, names[0] if len(names) == 1 else f"{names[0]}+{len(names) - 1}", tuple(notes)
    )


def parse(text: str, source: str, layout: Layout) -> list[Record]:
    """The items of one file's text."""
    if not layout.labelled:
        return _items(text, layout.separator)
    end = source.lower().removesuffix(".gz").rpartition(".")[2]
    if end == "csv":
        found = _csv(text, source, layout)
    elif end in ("jsonl", "ndjson"):
        found = _json_lines(text, source, layout)
    else:
        found = _tab_separated(text, source)
    return [_checked(where, text, label, layout.kind) for where, text, label in found]


def _items(text: str, separator: str) -> list[Record]:
    """The items between separators; an item has no line end at its beginning or end, and empty ones
    are left out."""
    pieces = (piece.strip("\n") for piece in text.split(separator))
    return [Record(piece) for piece in pieces if piece.strip()]


def _tab_separated(text: str, source: str) -> Iterator[tuple[str, str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where, parts = f"{source}: line {number}", line.split("\t")
        if len(parts) != 2:
            raise CorpusError(
                f"{where} has {len(parts) - 1} tabs; write text, a tab and the label, and nothing "
                "else"
            )
        yield where, parts[0], parts[1]


def _csv(text: str, source: str, layout: Layout) -> Iterator[tuple[str, str, str]]:
    rows = csv.reader(io.StringIO(text), strict=True)
    header: list[str] = []
    try:
        for row in rows:
            where = f"{source}: line {rows.line_num}"
            if not row:
                continue
            if not header:
                header = row
                columns = [
                    _column(source, header, name, option)
                    for name, option in (
                        (layout.text_column, "--text-column"),
                        (layout.label_column, "--label-column"),
                    )
                ]
                continue
            if len(row) != len(header):
                raise CorpusError(
                    f"{where} has {len(row)} fields, the header {len(header)}; quote a field "
                    "that has a comma"
                )
            yield where, row[columns[0]], row[columns[1]]
    except csv.Error as error:
        raise CorpusError(f"{source}: line {rows.line_num} is not CSV ({error})") from error


def _column(source: str, header: list[str], name: str, option: str) -> int:
    if name not in header:
        raise RequestError(
            f"{source} has no column {name!r}, but {', '.join(header[:20])}; name one of them with "
            f"{option}"
        )
    return header.index(name)


def _json_lines(text: str, source: str, layout: Layout) -> Iterator[tuple[str, str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{source}: line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{where} is not a JSON object ({error!s:.80})") from error
        if not isinstance(record, dict):
            raise CorpusError(f"{where} is not a JSON object; write one object a line")
        item = record.get(layout.text_column)
        if not isinstance(item, str):
            raise CorpusError(
                f"{where} has no text under {layout.text_column!r}; name the key with --text-column"
            )
        label = record.get(layout.label_column)
        if layout.kind == "tag" and label is None and "spans" in record:
            label = _tags_of_spans(where, item, record["spans"])
        if type(label) is int or (type(label) is float and math.isfinite(label)):
            label = str(label)
        if not isinstance(label, str):
            raise CorpusError(
                f"{where} has no label under {layout.label_column!r}; name the key with "
                "--label-column"
            )
        yield where, item, label


def _tags_of_spans(where: str, text: str, spans: Any) -> str:
    """B, I and O for each character, from [[first, end], ...]: the place of a span's first
    character, counted from 0, and that after its last. A third entry, its kind, is not read."""
    tags = [OUTSIDE] * len(text)
    try:
        for span in spans:
            if not isinstance(span, list) or len(span) not in (2, 3):
                raise ValueError(f"{json.dumps(span)} is not")
            first, end = span[:2]
            if not (type(first) is type(end) is int and 0 <= first < end <= len(text)):
                raise ValueError(f"[{first}, {end}]")
            if set(tags[first:end]) != {OUTSIDE}:
                raise ValueError(f"[{first}, {end}] overlaps another")
            tags[first:end] = BEGIN + INSIDE * (end - first - 1)
    except (TypeError, ValueError) as error:
        raise CorpusError(
            f"{where} has spans that are not [[first, end], ...] within its {len(text)} characters"
            + (f" ({error!s:.60})" if isinstance(error, ValueError) else "")
        ) from error
    return "".join(tags)


_FORBIDDEN = frozenset("\t\n\r")
"""What JSON and CSV can have in a text: it would be read as the end of an item, or of a column."""


def _checked(where: str, text: str, label: str, kind: str) -> Record:
    if not text.strip() or not label.strip():
        missing = "text" if not text.strip() else "label"
        raise CorpusError(f"{where} has no {missing}; remove the line or complete it")
    for what, each in (("text", text), ("label", label)):
        if not _FORBIDDEN.isdisjoint(each):
            raise CorpusError(f"{where} has a tab or a line end in its {what}; remove it")
        if any("\ud800" <= character <= "\udfff" for character in each):
            raise CorpusError(
                f"{where} has half a character (a surrogate) in its {what}; remove it"
            )
    if kind == "tag" and len(text) != len(label):
        raise CorpusError(
            f"{where} has {len(text)} characters and {len(label)} tags; write one tag for each "
            "character"
        )
    if kind in ("labelled", "classify") and len(label) > LONGEST_LABEL:
        raise CorpusError(
            f"{where} has a label of {len(label):,} characters, more than {LONGEST_LABEL}; is the "
            "text in the other column?"
        )
    return Record(text, label)
