"""Reading files as text, splitting a text, and choosing the training window."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from charlm.errors import CorpusError, RequestError, ShortCorpusError
from charlm.text.dataset import cut_after
from charlm.text.filetypes import utf_16_order
from charlm.text.reading import decode, read_text, text_sha256
from charlm.text.streams import fit_window

laws = settings(max_examples=100, deadline=None)


def write(path: Path, data: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


# ------------------------------------------------------------------------------------- reading


def test_one_file_is_read_as_it_is(tmp_path: Path) -> None:
    text = "città\r\nαβγ\t😀\rlast line without end"
    source = write(tmp_path / "book.one.txt", text)
    read = read_text([source])
    assert read.text == text
    assert read.name == "book.one"
    assert read.sources == (source,)
    assert read.notes == ()


def test_files_are_joined_in_the_order_given_each_ending_its_last_line(tmp_path: Path) -> None:
    names = [write(tmp_path / name, name.upper()) for name in ("b", "a")]
    assert read_text([*names, write(tmp_path / "c", "C\n")]).text == "B\nA\nC\n"


def test_a_directory_is_read_sorted_and_deep_without_hidden_and_binary_files(
    tmp_path: Path,
) -> None:
    write(tmp_path / "b.txt", "two\n")
    write(tmp_path / "a" / "deep" / "z.txt", "one\n")
    write(tmp_path / "c.txt.gz", gzip.compress(b"three\n"))
    write(tmp_path / ".git" / "config", "hidden\n")
    write(tmp_path / "a" / ".secret", "hidden\n")
    binary = write(tmp_path / "image.png", b"\x89PNG\0\0")
    read = read_text([str(tmp_path)])
    assert read.text == "one\ntwo\nthree\n"
    assert read.notes == (f"left out {binary}: it looks like a PNG image",)


def test_a_hidden_directory_is_read_where_it_is_named(tmp_path: Path) -> None:
    write(tmp_path / ".notes" / "a.txt", "said\n")
    assert read_text([str(tmp_path / ".notes")]).text == "said\n"


def test_a_glob_is_read_sorted_and_through_directories(tmp_path: Path) -> None:
    for name in ("b.py", "a.py", "sub/c.py", "d.txt"):
        write(tmp_path / name, name + "\n")
    assert read_text([str(tmp_path / "*.py")]).text == "a.py\nb.py\n"
    assert read_text([str(tmp_path / "**" / "*.py")]).text == "a.py\nb.py\nsub/c.py\n"


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    assert read_text([write(tmp_path / "x[1]*.txt", "itself")]).text == "itself"


def test_standard_input_is_a_source_among_others(tmp_path: Path) -> None:
    read = read_text(["-", write(tmp_path / "a", "file")], stdin=io.BytesIO("città".encode()))
    assert read.text == "città\nfile"
    assert read.name == "stdin"


def test_standard_input_that_is_not_there_is_refused() -> None:
    with pytest.raises(RequestError, match="standard input"):
        read_text(["-"])


def test_a_gzip_file_is_read_through(tmp_path: Path) -> None:
    read = read_text([write(tmp_path / "book.txt.gz", gzip.compress("città".encode()))])
    assert read.text == "città"
    assert read.name == "book"


@pytest.mark.parametrize(
    "data",
    [b"plain", gzip.compress(b"text" * 99)[:-9], b"\x1f\x8b\x08" + 7 * b"\0" + b"\xff" * 9],
    ids=["plain", "cut off", "damaged"],
)
def test_a_broken_gzip_file_is_an_error_that_names_it(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(CorpusError, match=r"bad\.gz: not a complete gzip file"):
        read_text([write(tmp_path / "bad.gz", data)])


def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    source = write(tmp_path / "locked.txt", "text")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CorpusError, match=r"locked\.txt: cannot be read \(Permission denied\)"):
        read_text([source])


@pytest.mark.parametrize("name", ["nowhere.txt", "*.nothing", "a\0b"])
def test_a_source_that_names_nothing_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RequestError, match="no such file or directory"):
        read_text([f"{tmp_path}/{name}"])


def test_an_empty_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="the directory has no file"):
        read_text([str(tmp_path)])


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])
def test_an_empty_corpus_is_an_error(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(CorpusError, match=r"empty\.txt: the corpus is empty"):
        read_text([write(tmp_path / "empty.txt", data)])


def test_a_named_binary_file_is_read_as_text_or_refused(tmp_path: Path) -> None:
    assert read_text([write(tmp_path / "nul.txt", b"a\0b")]).text == "a\0b"
    with pytest.raises(CorpusError, match=r"not text: byte 0x89 at .* not valid UTF-8.* NUL"):
        read_text([write(tmp_path / "image.png", b"\0\x89PNG")])


def test_line_ends_are_kept_unless_asked(tmp_path: Path) -> None:
    source = write(tmp_path / "dos.txt", "a\r\nb\rc\n\r\n")
    assert read_text([source]).text == "a\r\nb\rc\n\r\n"
    assert read_text([source], newline="unix").text == "a\nb\nc\n\n"


def test_an_unknown_newline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="choose one of keep, unix"):
        read_text([write(tmp_path / "a", "a")], newline="dos")


@laws
@given(st.text())
def test_utf_8_is_decoded_whatever_the_text(text: str) -> None:
    # Where every second byte is a NUL, it is taken for UTF-16 and refused.
    assume(not utf_16_order(text.encode()))
    assert decode(text.encode(), "x") == text.removeprefix("\ufeff")


@laws
@given(st.text().filter(lambda t: not t.startswith("\0")), st.sampled_from(["le", "be"]))
def test_utf_16_is_recognised_by_its_mark(text: str, order: str) -> None:
    assert decode(("\ufeff" + text).encode("utf-16-" + order), "x") == text.removeprefix("\ufeff")


@pytest.mark.parametrize("encoding", [None, "utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_the_byte_order_mark_is_dropped(encoding: str | None) -> None:
    codec = {None: "utf-8", "utf-8-sig": "utf-8", "utf-16": "utf-16-be"}.get(encoding, encoding)
    assert codec is not None
    assert decode("\ufeffà la".encode(codec), "x", encoding) == "à la"


def test_a_mark_inside_the_text_stays() -> None:
    assert decode("a\ufeffb".encode(), "x") == "a\ufeffb"


def test_another_encoding_is_used_when_asked() -> None:
    assert decode(b"citt\xe0 \x80", "x", "cp1252") == "città €"
    assert decode(b"\xff\xfea", "x", "latin-1") == "ÿþa"


def test_an_invalid_byte_is_named_with_file_offset_line_and_remedy() -> None:
    data = "prima\nsecònda\n".encode() + b"citt\xe0 vecchia"
    with pytest.raises(CorpusError) as error:
        decode(data, "diary.txt")
    assert str(error.value) == (
        "diary.txt: byte 0xe0 at offset 19 (line 3) is not valid UTF-8; name the file's encoding, "
        "for example --encoding latin-1"
    )


@laws
@given(
    st.text(),
    st.sampled_from([b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5"]),
    st.text(),
    st.integers(1, 9),
)
def test_the_offset_is_that_of_the_first_invalid_byte(
    before: str, bad: bytes, after: str, size: int
) -> None:
    """In whichever slice it is, and wherever that begins."""
    start = len(before.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charlm.text.utf8.SLICE", size)
        with pytest.raises(CorpusError) as error:
            decode(before.encode() + bad + after.encode(), "x")
    line = before.count("\n") + 1
    assert f"byte 0x{bad[0]:02x} at offset {start:,} (line {line:,})" in str(error.value)


@pytest.mark.parametrize("encoding", ["nonsense", "", "base64", "rot13", "undefined"])
def test_an_encoding_that_is_none_is_refused(encoding: str) -> None:
    with pytest.raises(RequestError, match=f"--encoding {encoding}"):
        decode(b"text", "x", encoding)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("Promessi Sposi.txt", "Promessi Sposi"),
        ("v1.2.txt.gz", "v1.2"),
        (".hidden", ".hidden"),
        ("noending", "noending"),
    ],
)
def test_a_corpus_is_called_after_its_first_file(tmp_path: Path, source: str, name: str) -> None:
    data = gzip.compress(b"text") if source.endswith(".gz") else b"text"
    first = write(tmp_path / source, data)
    assert read_text([first, write(tmp_path / "second", "text")]).name == name


def test_a_directory_given_as_a_dot_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "poems" / "a.txt", "text")
    monkeypatch.chdir(tmp_path / "poems")
    assert read_text([os.curdir]).name == "poems"
    assert read_text(["*"]).name == "corpus"


def test_the_hash_is_that_of_the_text_and_not_of_its_files(tmp_path: Path) -> None:
    text = "città\n"
    plain = read_text([write(tmp_path / "a", text)])
    packed = read_text([write(tmp_path / "b.gz", gzip.compress(text.encode("utf-16")))])
    assert plain.sha256 == packed.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert text_sha256("città") != plain.sha256


# --------------------------------------------------------------------------------------- split


@laws
@given(st.integers(0, 10**9))
def test_nine_tenths_train_as_in_nanogpt(length: int) -> None:
    assert cut_after(length) == int(length * 0.9)


@laws
@given(st.integers(0, 10**9), st.floats(0, 1, exclude_max=True))
def test_the_rest_validates(length: int, fraction: float) -> None:
    cut = cut_after(length, fraction)
    assert 0 <= cut <= length
    assert abs(length - cut - fraction * length) <= 1


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 2.0, float("nan"), float("inf")])
def test_an_impossible_fraction_is_refused(fraction: float) -> None:
    with pytest.raises(RequestError, match="--val-fraction"):
        cut_after(3, fraction)


# ---------------------------------------------------------------------------------- fit_window

ASKED = st.none() | st.integers(1, 300)


@laws
@given(st.integers(0, 50_000), ASKED, ASKED)
def test_the_window_fits_and_is_the_one_asked_for(
    length: int, batch_size: int | None, seq_len: int | None
) -> None:
    try:
        B, T = fit_window(length, batch_size, seq_len)
    except ShortCorpusError as error:
        enough = int(re.search(r"at least ([\d,]+)", str(error))[1].replace(",", ""))  # type: ignore[index]
        assert enough > length
        fit_window(enough, batch_size, seq_len)
        with pytest.raises(ShortCorpusError):
            fit_window(enough - 1, batch_size, seq_len)
        return
    assert length > B * T
    assert batch_size in (None, B)
    assert seq_len in (None, T)


@pytest.mark.parametrize(
    ("length", "window"),
    [
        (10**9, (64, 64)),
        (8 * 64 * 64 + 1, (64, 64)),
        (8 * 64 * 64, (32, 64)),
        (4097, (16, 32)),
        (513, (4, 16)),
        (17, (2, 8)),
        (3, (1, 2)),
    ],
)
def test_a_small_text_shrinks_the_default_window(length: int, window: tuple[int, int]) -> None:
    assert fit_window(length) == window


@laws
@given(st.integers(513, 100_000))
def test_an_epoch_has_at_least_eight_windows(length: int) -> None:
    B, T = fit_window(length)
    assert length > 8 * B * T


def test_what_is_left_open_shrinks_around_what_is_asked() -> None:
    assert fit_window(10**9, batch_size=7) == (7, 64)
    assert fit_window(1000, seq_len=100) == (4, 100)
    assert fit_window(1000, batch_size=100) == (100, 8)


@pytest.mark.parametrize(
    ("asked", "lower"),
    [
        ((100, None), "lower --batch-size"),
        ((None, 100), "lower --seq-len"),
        ((10, 10), "lower --batch-size and --seq-len"),
        ((1, 100), "lower --seq-len"),
        ((100, 1), "lower --batch-size"),
    ],
)
def test_the_error_says_which_option_to_lower(
    asked: tuple[int | None, int | None], lower: str
) -> None:
    with pytest.raises(ShortCorpusError) as error:
        fit_window(100, *asked)
    assert str(error.value).endswith("; " + lower)


def test_a_text_too_short_for_any_window_is_an_error_that_says_how_much_it_takes() -> None:
    with pytest.raises(ShortCorpusError, match="has 2 characters; at least 3 are needed"):
        fit_window(2)


# ------------------------------------------------------------------------------------- edge cases


def test_utf_32_is_not_read_as_utf_16() -> None:
    assert "\0" not in decode("ciao".encode("utf-32"), "x")


@pytest.mark.parametrize(
    ("data", "encoding"), [(b"+2AA-", "utf-7"), (rb"\ud800", "unicode_escape")]
)
def test_a_lone_surrogate_is_not_text(data: bytes, encoding: str) -> None:
    with pytest.raises(CorpusError):
        decode(data, "x", encoding)


def test_a_name_too_long_for_the_system_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no such file"):
        read_text([f"{tmp_path}/{'a' * 5000}"])


def test_an_empty_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.txt", "text")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError):
        read_text([""])


def test_a_directory_is_read_without_the_runs_in_it(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "text\n")
    write(tmp_path / "checkpoints" / "a" / "last.safetensors", b"\0")
    write(tmp_path / "checkpoints" / "a" / "log.jsonl", "{}\n")
    assert read_text([str(tmp_path)]).text == "text\n"


def test_a_smaller_text_never_takes_a_bigger_batch() -> None:
    sizes = [B * T for B, T in (fit_window(length) for length in range(3, 40_000, 7))]
    assert sizes == sorted(sizes)
