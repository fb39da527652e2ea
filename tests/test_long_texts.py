"""Texts that are not read into memory: the same ids, checksums and errors as those that are."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charlm.errors import CharlmError, CorpusError
from charlm.text import cache, reading, utf8
from charlm.text import dataset as data
from charlm.text.dataset import Dataset, Source, Texts
from charlm.text.idfile import IdFile
from charlm.text.streams import ArrayReader, Streams
from charlm.text.tokenizer import count_characters

laws = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

# What the edge of a slice can cut: characters of 1 to 4 bytes, letters and their marks, line ends.
TRICKY = st.text(alphabet="ae\u0301\u0323\r\n \u1100\u1161\u11a8一😀\ufeff", max_size=40)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cache"
    monkeypatch.setenv(cache.VARIABLE, str(path))
    return path


def as_long(size: int) -> Any:
    """A context in which every text is long, and is read in slices of ``size`` bytes."""
    patch = pytest.MonkeyPatch.context()

    class Context:
        def __enter__(self) -> None:
            entered = patch.__enter__()
            entered.setattr(reading, "LONG", 0)
            entered.setattr(utf8, "SLICE", size)

        def __exit__(self, *error: object) -> None:
            patch.__exit__(None, None, None)

    return Context()


def prepared(source: Source, stdin: bytes | None = None, **options: Any) -> tuple[Texts, Dataset]:
    texts = data.read(source, None if stdin is None else io.BytesIO(stdin))
    return texts, data.encode(texts, data.choose_tokenizer(texts, **options))


def outcome(source: Source, stdin: bytes | None = None, **options: Any) -> Any:
    """All that a run knows of its text, or the error."""
    try:
        texts, dataset = prepared(source, stdin, **options)
    except CharlmError as error:
        return type(error).__name__, str(error)
    return (
        np.asarray(dataset.ids).tolist(),
        str(np.asarray(dataset.ids).dtype),
        dataset.cut,
        dataset.provenance(),
        dataset.tokenizer.to_dict(),
        dataset.exact,
        (str(texts.train), str(texts.val), str(texts.test)),
        (texts.split, texts.notes, texts.newline),
    )


OPTIONS: list[dict[str, Any]] = [
    {},
    {"level": "byte"},
    {"nfc": True},
    {"min_count": 2},
]


@laws
@given(
    st.lists(TRICKY, min_size=1, max_size=3),
    st.integers(1, 9),
    st.sampled_from(["auto", "keep", "unix"]),
    st.sampled_from(OPTIONS),
    st.sampled_from(["utf-8", "utf-16-le", "latin-1", "shift_jis", "gzip", "mark"]),
    st.sampled_from([(0.1, 0.0), (0.3, 0.2), (0.0, 0.0)]),
)
def test_a_long_text_is_what_a_short_one_is(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[str],
    size: int,
    newline: str,
    options: dict[str, Any],
    stored: str,
    fractions: tuple[float, float],
) -> None:
    """Whatever the slices cut: files, encodings, compression, line ends, NFC, bytes, folding."""
    folder = tmp_path_factory.mktemp("texts")
    encoding = None if stored in ("utf-8", "gzip", "mark") else stored
    files = []
    for number, part in enumerate(parts):
        raw = part.encode(encoding or "utf-8", "replace")
        raw = b"\xef\xbb\xbf" + raw if stored == "mark" else raw
        file = folder / f"{number}.txt{'.gz' if stored == 'gzip' else ''}"
        file.write_bytes(gzip.compress(raw) if stored == "gzip" else raw)
        files.append(str(file))
    source = Source(tuple(files), encoding, newline, fractions[0], test_fraction=fractions[1])
    expected = outcome(source, **options)
    with as_long(size):
        assert outcome(source, **options) == expected
        assert outcome(source, **options) == expected  # now from the cache


@laws
@given(st.binary(max_size=30), st.integers(1, 9), st.booleans(), st.booleans())
def test_what_is_not_text_is_the_same_error(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes, size: int, second: bool, mark: bool
) -> None:
    """The file, the byte, its offset and its line, wherever the slices end."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "good.txt").write_text("città\nvecchia\n" * 3, encoding="utf-8")
    begin = b"\xef\xbb\xbf" * mark + "perché\nno: ".encode()
    (folder / "bad.txt").write_bytes(begin + tail + b"\nend of it\n")
    names = ("good.txt", "bad.txt") if second else ("bad.txt",)
    source = Source(tuple(str(folder / name) for name in names))
    expected = outcome(source)
    with as_long(size):
        assert outcome(source) == expected


def test_a_reader_that_decodes_slice_by_slice_would_be_noticed(tmp_path: Path) -> None:
    """The control: without an incremental decoder and without safe places to cut, texts differ."""
    text = "perché e\u0301 così\r\nè 一😀\n" * 3
    raw = text.encode()
    for size in range(1, 10):
        pieces = [raw[k : k + size].decode("utf-8", "replace") for k in range(0, len(raw), size)]
        assert "".join(pieces) != text
        units = [text[k : k + size] for k in range(0, len(text), size)]
        composed = "".join(unicodedata.normalize("NFC", unit) for unit in units)
        assert composed != unicodedata.normalize("NFC", text) or size not in (1,)


@pytest.mark.parametrize("size", [3, 64])
def test_sources_of_every_kind(tmp_path: Path, size: int) -> None:
    """A directory with a binary file, standard input, a validation text: the same as in memory."""
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("città\r\n" * 9)
    (folder / "b.txt").write_text("senza fine riga")
    (folder / "empty.txt").write_text("")
    (folder / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    (folder / "nul.bin").write_bytes(b"abc\0def")
    val = tmp_path / "val.txt"
    val.write_text("della città\n" * 5)
    for source in (
        Source((str(folder),)),
        Source((str(folder), "-")),
        Source((str(folder / "*.txt"),), val_sources=(str(val),)),
        Source(("-",), val_sources=(str(folder),)),
    ):
        stdin = "dalla pipe: è\n".encode() * 3 if "-" in source.sources else None
        expected = outcome(source, stdin)
        assert expected[-2][0]
        with as_long(size):
            assert outcome(source, stdin) == expected


def test_only_a_long_text_is_left_on_the_disk(tmp_path: Path, own_cache: Path) -> None:
    file = tmp_path / "book.txt"
    file.write_text("le vie\n" * 100)
    texts, dataset = prepared(Source((str(file),)))
    assert not texts.whole.on_disk and isinstance(dataset.ids, np.ndarray)
    assert not own_cache.exists()
    with as_long(16):
        texts, dataset = prepared(Source((str(file),)))
        assert texts.whole.on_disk and isinstance(dataset.ids, IdFile)


def test_the_limit_is_that_of_all_files_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        (tmp_path / name).write_text("x" * 60)
    monkeypatch.setattr(reading, "LONG", 100)
    assert not data.read(Source((str(tmp_path / "a"),))).whole.on_disk
    assert data.read(Source((str(tmp_path / "a"), str(tmp_path / "b")))).whole.on_disk


# --------------------------------------------------------------------------------------- the cache


@pytest.fixture
def book(tmp_path: Path) -> Path:
    file = tmp_path / "book.txt"
    file.write_text("perché la città è grande\n" * 40, encoding="utf-8")
    os.utime(file, (1e9, 1e9))
    return file


@pytest.fixture
def long() -> Iterator[None]:
    with as_long(64):
        yield


def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file had been written long ago: its change time cannot be set."""
    monkeypatch.setattr(reading, "_SETTLED", -1)


def test_a_text_is_surveyed_and_encoded_once(
    book: Path, long: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(monkeypatch)
    first = outcome(Source((str(book),)))
    monkeypatch.setattr("charlm.text.survey.Survey.of", None)
    monkeypatch.setattr("charlm.text.dataset._encoded", None)
    assert outcome(Source((str(book),))) == first


def test_a_text_that_was_just_written_is_surveyed_again(
    book: Path, long: None, own_cache: Path
) -> None:
    """Its time does not tell yet whether it is the same."""
    outcome(Source((str(book),)))
    assert [entry.kind for entry in cache.entries()] == ["ids"]


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such permissions")
def test_nobody_else_can_read_the_cache(book: Path, long: None, own_cache: Path) -> None:
    outcome(Source((str(book),)))
    assert own_cache.stat().st_mode & 0o077 == 0


def test_what_takes_long_is_announced_once(
    book: Path, long: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(monkeypatch)
    said: list[str] = []
    monkeypatch.setattr(cache, "announce", said.append)
    for _ in range(2):
        outcome(Source((str(book),)))
    assert said == [
        "reading book, once, to check and count it ...",
        "writing book as numbers, once ...",
    ]


def test_another_text_of_the_same_length_is_another_text(
    book: Path, long: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(monkeypatch)
    before = outcome(Source((str(book),)))
    book.write_text(book.read_text().replace("grande", "GRANDE"))
    os.utime(book, (1e9, 1e9))
    after = outcome(Source((str(book),)))
    assert before[3]["corpus_sha256"] != after[3]["corpus_sha256"]
    assert before[0] != after[0]


def test_the_ids_depend_on_the_options(book: Path, long: None) -> None:
    for options in OPTIONS:
        for fraction in (0.1, 0.2):
            outcome(Source((str(book),), val_fraction=fraction), **options)
    # No character of this text is rare, so --min-count changes nothing.
    assert [e.kind for e in cache.entries()].count("ids") == 2 * (len(OPTIONS) - 1)


def test_a_text_that_changes_while_it_is_read_is_refused(book: Path, long: None) -> None:
    texts = data.read(Source((str(book),)))
    with book.open("a") as file:
        file.write("more\n")
    with pytest.raises(CorpusError, match=r"book.txt: changed while it was read \(from 1,"):
        data.encode(texts, data.choose_tokenizer(texts))


def test_a_file_cut_short_underneath_is_an_error(book: Path, long: None) -> None:
    """And not a signal, as with a mapped file."""
    texts, dataset = prepared(Source((str(book),)))
    assert isinstance(dataset.ids, IdFile)
    os.truncate(dataset.ids.path, 100)
    with pytest.raises(CorpusError, match="have been cut short; charlm corpus cache clear"):
        dataset.ids.windows(np.array([0, 500]), 20)
    os.truncate(book, 10)
    with pytest.raises(CorpusError, match="changed while it was read"):
        str(texts.whole)


def test_the_cache_can_be_removed_while_a_run_uses_it(book: Path, long: None) -> None:
    dataset = prepared(Source((str(book),)))[1]
    expected = np.asarray(dataset.ids)
    assert cache.clear() > len(expected)
    assert cache.entries() == []
    assert (np.asarray(dataset.ids) == expected).all()
    assert outcome(Source((str(book),)))[0] == expected.tolist()


def test_a_damaged_entry_is_made_again(
    book: Path, long: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(monkeypatch)
    expected = outcome(Source((str(book),)))
    for kind in ("survey", "ids"):
        for content in ("", "{", "[]", '{"size": -1}'):
            (entry,) = (entry for entry in cache.entries() if entry.kind == kind)
            entry.path.with_suffix(".json").write_text(content)
            assert outcome(Source((str(book),))) == expected
    for entry in cache.entries():
        os.truncate(entry.path, entry.path.stat().st_size // 2)
    assert outcome(Source((str(book),))) == expected


@pytest.mark.parametrize("facts", [{}, {"cut": "9"}, {"cut": 10**9}, {"cut": -1}])
def test_facts_that_no_version_wrote_are_refused(
    book: Path, long: None, facts: dict[str, Any]
) -> None:
    outcome(Source((str(book),)))
    (entry,) = cache.entries()
    stored = json.dumps(facts | {"size": entry.path.stat().st_size})
    entry.path.with_suffix(".json").write_text(stored)
    kind, message = outcome(Source((str(book),)))
    assert kind == "CorpusError" and "damaged; charlm corpus cache clear" in message


def test_a_cache_that_cannot_be_written_is_an_error_with_a_remedy(
    book: Path, long: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file"))
    kind, message = outcome(Source((str(book),)))
    assert kind == "CorpusError"
    assert "the cache of long texts cannot be written" in message
    assert f"name another directory in {cache.VARIABLE}" in message


def test_several_readers_at_once_make_an_entry_once(own_cache: Path) -> None:
    made = []

    def make(file: Any) -> dict[str, Any]:
        made.append(threading.get_ident())
        file.write(b"x" * 1000)
        return {}

    threads = [
        threading.Thread(target=lambda: cache.made("ids", "k", "book", make)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert cache.made("ids", "k", "book", make).path.read_bytes() == b"x" * 1000


KILLED = """
import os, signal, sys
from charlm.text import cache, dataset, reading, utf8
reading.LONG, utf8.SLICE = 0, 64
left = int(sys.argv[2])

def counted(real):
    def call(*arguments, **more):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **more)
    return call

for name in ("fsync", "replace", "pread"):
    setattr(os, name, counted(getattr(os, name)))
texts = dataset.read(dataset.Source((sys.argv[1],)))
dataset.encode(texts, dataset.choose_tokenizer(texts))
print("done")
"""


def test_killed_at_any_moment_the_next_run_starts_clean(
    book: Path, long: None, own_cache: Path
) -> None:
    expected = outcome(Source((str(book),)))
    cache.clear()
    calls, ended = 0, False
    while not ended:
        command = [sys.executable, "-c", KILLED, str(book), str(calls)]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        ended = "done" in process.stdout
        assert ended or process.returncode == -signal.SIGKILL, process.stderr
        assert outcome(Source((str(book),))) == expected
        assert not list(own_cache.glob("*.tmp"))
        cache.clear()
        calls += 7
    assert calls > 14  # the control: it was killed


# ---------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_windows_of_a_file_are_those_of_the_array(tmp_path: Path, dtype: str) -> None:
    ids = np.random.default_rng(1).integers(0, 200, 1000).astype(dtype)
    path = tmp_path / "ids"
    path.write_bytes(ids.tobytes())
    file = IdFile(path, np.dtype(dtype))
    assert len(file) == 1000 and (np.asarray(file) == ids).all()
    for begin, end in ((0, 1000), (3, 900), (-20, None), (10, 5), (None, -3)):
        part, expected = file[begin:end], ids[begin:end]
        assert len(part) == len(expected) and (np.asarray(part) == expected).all()
    streams = [Streams(of, 4, 10, seed=3) for of in (file[5:805], ArrayReader(ids[5:805]))]
    for step in range(45):  # over the seam, and into the next epochs
        of_file, of_array = (stream.batch(step) for stream in streams)
        assert (of_file.inputs == of_array.inputs).all()
        assert (of_file.targets == of_array.targets).all()


def test_a_survey_counts_what_the_text_has(book: Path, long: None) -> None:
    texts = data.read(Source((str(book),)))
    whole = book.read_text()
    assert texts.survey is not None
    assert (texts.survey.counts == count_characters([whole])).all()
    assert (texts.characters, len(texts.train)) == (len(whole), int(0.9 * len(whole)))


def test_a_split_of_a_long_text_reads_one_slice(
    book: Path, long: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = reading.read_text([str(book)]).utf8
    whole = str(text)
    read = []
    original = utf8.bytes_of

    def noticed(block: utf8.Block) -> memoryview | bytes:
        read.append(1)
        return original(block)

    monkeypatch.setattr(utf8, "bytes_of", noticed)
    for cut in (0, 1, 500, len(whole) - 1):
        read.clear()
        before, after = text.split(cut)
        assert len(read) == 1
        assert (len(before), len(after)) == (cut, len(whole) - cut)
        again = before.split(cut // 2)  # the first part still knows
        assert len(read) <= 2
        assert str(again[0]) + str(again[1]) + str(after) == whole


def test_standard_input_longer_than_memory_is_kept_in_a_file(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LONG", 100)
    content = b"le vie\n" * 100
    short = reading.keep(io.BytesIO(content[:90]))
    assert isinstance(short, io.BytesIO) and short.read() == content[:90]
    kept = reading.keep(io.BytesIO(content))
    assert [path.name.split("-")[0] for path in own_cache.iterdir()] == ["stdin"]
    texts = data.read(Source(("-",)), kept)
    assert texts.whole.on_disk and str(texts.whole).encode() == content
    assert texts.name == "stdin"
    kept.close()
    assert list(own_cache.glob("stdin-*")) == []


def test_the_exact_loss_of_a_long_text_is_that_of_its_beginning(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "MAX_EXACT", 30)
    for level in ("char", "byte"):
        texts, dataset = prepared(Source((str(book),)), level=level)
        first = str(texts.val)[:30]
        assert dataset.exact == len(first.encode() if level == "byte" else first)
        assert dataset.tokenizer.decode(dataset.exact_ids) == str(texts.val)[:30]
    assert len(dataclasses.replace(dataset, exact=None).exact_ids) == len(dataset.val_ids)


def test_a_mixed_text_has_the_checksum_of_its_lf_form(tmp_path: Path) -> None:
    rng = random.Random(5)
    text = "".join(rng.choice(["a", "è", "\r", "\n", "\r\n"]) for _ in range(400))
    file = tmp_path / "mixed.txt"
    file.write_bytes(text.encode())
    expected = outcome(Source((str(file),), newline="auto"))
    for size in range(1, 10):
        with as_long(size):
            assert outcome(Source((str(file),), newline="auto")) == expected
