"""Items from files: each format against records written by hand, and every bad line refused."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charlm.errors import CharlmError, CorpusError, RequestError
from charlm.tasks.spans import spans_of
from charlm.text.records import Layout, Listing, Record, read_records

laws = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(path: Path, content: str | bytes, kind: str = "labelled", **layout: Any) -> Listing:
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return read_records([str(path)], Layout(kind, **layout))


PEOPLE = [Record("Ada", "en"), Record("Zoë Š.", "de"), Record("D'Annunzio, G.", "it")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "Ada\ten\nZoë Š.\tde\nD'Annunzio, G.\tit\n"),
        ("a.txt", "\n\nAda\ten\n  \nZoë Š.\tde\nD'Annunzio, G.\tit"),
        ("crlf.tsv", "\ufeffAda\ten\r\nZoë Š.\tde\r\nD'Annunzio, G.\tit\r\n"),
        ("a.tsv.gz", "Ada\ten\nZoë Š.\tde\nD'Annunzio, G.\tit\n"),
        ("a.csv", 'text,label\nAda,en\nZoë Š.,de\n"D\'Annunzio, G.",it\n'),
        ("order.csv", '\n"label",n,text\nen,1,Ada\n\nde,2,Zoë Š.\nit,3,"D\'Annunzio, G."\n'),
        ("A.CSV.gz", '\ufefftext,label\r\nAda,en\r\nZoë Š.,de\r\n"D\'Annunzio, G.",it\r\n'),
        (
            "a.jsonl",
            '{"text": "Ada", "label": "en"}\n\n{"label": "de", "text": "Zo\\u00eb Š.", "x": [1]}\n'
            '{"text": "D\'Annunzio, G.", "label": "it"}',
        ),
        (
            "a.ndjson.gz",
            '\ufeff{"text": "Ada", "label": "en"}\r\n{"text": "Zoë Š.", "label": "de"}\r\n'
            '{"text": "D\'Annunzio, G.", "label": "it"}\r\n',
        ),
    ],
)
def test_every_format_gives_the_same_records(tmp_path: Path, name: str, content: str) -> None:
    found = read(tmp_path / name, content)
    assert found.records == PEOPLE


def test_a_quote_in_csv_is_written_twice(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", 'text,label\n"Joe ""King"" Oliver",jazz\n')
    assert found.records == [Record('Joe "King" Oliver', "jazz")]


def test_columns_and_keys_have_the_names_that_were_given(tmp_path: Path) -> None:
    names = {"text_column": "name", "label_column": "from"}
    content = "id,from,name\n7,it,Ada\n"
    assert read(tmp_path / "a.csv", content, **names).records == [Record("Ada", "it")]
    content = '{"name": "Ada", "from": 12}\n{"name": "Bo", "from": 1.5}\n'
    found = read(tmp_path / "a.jsonl", content, **names)
    assert found.records == [Record("Ada", "12"), Record("Bo", "1.5")]


def test_several_files_each_in_its_own_format(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("Ada\ten")
    (tmp_path / "b.csv").write_text("label,text\nde,Bo\n")
    found = read_records([str(tmp_path / "a.tsv"), str(tmp_path / "b.csv")], Layout("classify"))
    assert found.records == [Record("Ada", "en"), Record("Bo", "de")]


@pytest.mark.parametrize(
    ("content", "separator", "expected"),
    [
        ("Ada\nBo\n", "\n", ["Ada", "Bo"]),
        ("\ufeffAda\r\n\r\n \r\nBo", "\n", ["Ada", "Bo"]),
        (" Ada \nBo\tC", "\n", [" Ada ", "Bo\tC"]),
        ("Ada;Bo; ;;C;", ";", ["Ada", "Bo", "C"]),
        ("Roses\nred\n\nViolets\nblue\n\n\n", "\n\n", ["Roses\nred", "Violets\nblue"]),
        ("Soup\nwater\n---\nBread\nflour\n---\n", "---", ["Soup\nwater", "Bread\nflour"]),
    ],
)
def test_a_list_has_an_item_between_separators(
    tmp_path: Path, content: str, separator: str, expected: list[str]
) -> None:
    found = read(tmp_path / "a.txt", content, "items", separator=separator)
    assert [record.text for record in found.records] == expected
    assert {record.label for record in found.records} == {""}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.tsv", "Ada\ten\nBo\n", "line 2 has 0 tabs; write text, a tab and the label"),
        ("a.tsv", "Ada\ten\n\nBo\tde\tx\n", "line 3 has 2 tabs"),
        ("a.tsv", "Ada\ten\n\tde\n", "line 2 has no text; remove the line or complete it"),
        ("a.tsv", "Ada\t \n", "line 1 has no label"),
        ("a.tsv", f"Ada\t{'x' * 201}\n", "label of 201 characters, more than 200; is the text in"),
        ("a.csv", "text,label\nAda,en\nBo,de,1\n", "line 3 has 3 fields, the header 2; quote a f"),
        ("a.csv", 'text,label\nAda,"en\n', "is not CSV (unexpected end of data)"),
        ("a.csv", 'text,label\n"Ada\nBo",en\n', "has a tab or a line end in its text; remove it"),
        ("a.csv", "text,label\nA\tb,en\n", "line 2 has a tab or a line end in its text"),
        ("a.jsonl", '{"text": "Ada", "label": "en"}\n{"text":\n', "line 2 is not a JSON object"),
        ("a.jsonl", "[1]\n", "line 1 is not a JSON object; write one object a line"),
        ("a.jsonl", '{"label": "en"}\n', "no text under 'text'; name the key with --text-column"),
        ("a.jsonl", '{"text": 7, "label": "en"}\n', "line 1 has no text under 'text'"),
        ("a.jsonl", '{"text": "Ada"}\n', "no label under 'label'; name the key with --label-col"),
        ("a.jsonl", '{"text": "Ada", "label": true}\n', "line 1 has no label under 'label'"),
        ("a.jsonl", '{"text": "A\\rb", "label": "en"}\n', "a tab or a line end in its text"),
        ("a.jsonl", '{"text": "Ada", "label": "e\\nn"}\n', "a tab or a line end in its label"),
        ("a.jsonl", '{"text": "\\ud83d", "label": "en"}\n', "line 1 has half a character"),
        ("a.jsonl", "[" * 100_000 + "\n", "line 1 is not a JSON object"),
    ],
)
def test_a_bad_line_is_named_with_its_cause_and_a_remedy(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    with pytest.raises(CorpusError) as caught:
        read(tmp_path / name, content)
    message = str(caught.value)
    assert said in message
    assert message.startswith(f"{tmp_path / name}: line ")
    assert "\n" not in message and len(message) < 400


def test_a_column_that_is_missing_is_a_wrong_request_that_lists_the_columns(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"no column 'label', but name, from; .*--label-column"):
        read(tmp_path / "a.csv", "name,from\nAda,it\n", text_column="name")


@pytest.mark.parametrize("kind", ["items", "labelled"])
def test_a_file_without_an_item_is_no_list(tmp_path: Path, kind: str) -> None:
    with pytest.raises(CorpusError, match="no items; give a file with one a line"):
        read(tmp_path / "a.txt", "\n  \n\n", kind)


# ------------------------------------------------------------------------------- tags and spans


def test_tags_are_as_many_as_characters(tmp_path: Path) -> None:
    good = "perche\tperché\nè qui\tOOBII\n"
    assert read(tmp_path / "a.tsv", good, "tag").records[1] == Record("è qui", "OOBII")
    with pytest.raises(CorpusError, match="line 1 has 6 characters and 5 tags; write one tag for"):
        read(tmp_path / "a.tsv", "perche\tperch\n", "tag")


def test_spans_become_tags_and_tags_the_same_spans(tmp_path: Path) -> None:
    record = {"text": "Io e Ada, Bo", "spans": [[5, 8, "name"], [10, 12]]}
    found = read(tmp_path / "a.jsonl", json.dumps(record), "tag").records
    assert found == [Record("Io e Ada, Bo", "OOOOOBIIOOBI")]
    assert spans_of(*found[0], "BIO") == [(5, 8), (10, 12)]


@pytest.mark.parametrize(
    "spans",
    [[[0, 9]], [[2, 2]], [[3, 1]], [[-1, 2]], [[0, 2], [1, 3]], [[0]], [0, 1], 7, [["a", 2]]],
)
def test_spans_that_no_text_has_are_refused(tmp_path: Path, spans: Any) -> None:
    content = json.dumps({"text": "Ada Bo", "spans": spans})
    with pytest.raises(CorpusError, match=r"line 1 has spans that are not .* its 6 characters"):
        read(tmp_path / "a.jsonl", content, "tag")


@laws
@given(st.lists(st.sampled_from("BIO"), min_size=1, max_size=12))
def test_spans_of_tags_mark_what_is_not_outside(tags: list[str]) -> None:
    """Every character of a span is B or I, every other O, and each begins at a B or after an O."""
    spans = spans_of("x" * len(tags), "".join(tags), "BIO")
    inside = {place for begin, end in spans for place in range(begin, end)}
    assert inside == {place for place, tag in enumerate(tags) if tag != "O"}
    begins = {
        place
        for place, tag in enumerate(tags)
        if tag == "B" or (tag == "I" and (place == 0 or tags[place - 1] == "O"))
    }
    assert {begin for begin, _ in spans} == begins


# ------------------------------------------------------------------------------------------ laws

PRINTED = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"), min_size=1
).filter(lambda text: bool(text.strip()))
SOME = st.lists(st.tuples(PRINTED, PRINTED.filter(lambda label: len(label) <= 200)), min_size=1)


@laws
@given(SOME, st.sampled_from(["tsv", "csv", "jsonl"]), st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_is_read(
    tmp_path: Path, pairs: list[tuple[str, str]], end: str, line_end: str
) -> None:
    if end == "csv":
        written = io.StringIO()
        table = csv.writer(written, lineterminator=line_end)
        table.writerows([("text", "label"), *pairs])
        content = written.getvalue()
    else:
        lines = [
            "\t".join(pair)
            if end == "tsv"
            else json.dumps(dict(zip(("text", "label"), pair, strict=True)), ensure_ascii=False)
            for pair in pairs
        ]
        content = line_end.join(lines)
    found = read(tmp_path / f"a.{end}", content)
    assert found.records == [Record(*pair) for pair in pairs]


@laws
@given(st.text(max_size=30), st.sampled_from(["a.tsv", "a.csv", "a.jsonl"]))
def test_anything_else_is_refused_in_one_line(tmp_path: Path, content: str, name: str) -> None:
    try:
        data = content.encode()
    except UnicodeEncodeError:
        return
    try:
        found = read(tmp_path / name, data)
    except CharlmError as error:
        lines = str(error).count("\n")
        assert lines == 0
        return
    for record in found.records:
        assert record.text.strip() and record.label.strip()
        assert not set("\t\r\n") & {*record.text, *record.label}
