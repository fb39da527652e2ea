"""Bad text, end to end: the table of docs/reliability.md. Every input has its stated outcome.

Either it trains: then the checkpoint has the SHA-256 and the vocabulary of exactly the text given
here, and the model can be sampled and evaluated. Or it is refused in one line that names file,
place and remedy, and leaves no file.
"""

from __future__ import annotations

import codecs
import contextlib
import encodings.aliases
import gzip
import hashlib
import io
import json
import math
import os
import random
import signal
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from conftest import covering, slow_but

from charlm.errors import CharlmError, CorpusError
from charlm.text.reading import decode

Invoke = Callable[..., Result]

TINY: list[object] = [
    "--hidden-size",
    4,
    "--precision",
    "float32",
    "--device",
    "cpu",
    "--optimizer",
    "adamw",
    "--batch-size",
    2,
    "--seq-len",
    4,
    "--steps",
    2,
]
TEXT = "Il mare è là.\nE la città?\n" * 6
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"  # man, joiner, woman, joiner, girl
EMOJI = f"{FAMILY} \U0001f44d\U0001f3fd \U0001f1ee\U0001f1f9 \u2764\ufe0f ok\n" * 12


@pytest.fixture(autouse=True)
def _nothing_hangs() -> Iterator[None]:
    """Reading a pipe without a writer would block; the test fails instead."""
    if os.name != "posix":
        yield
        return

    def late(number: int, frame: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def refused(result: Result, code: int, *parts: str) -> None:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    # Messages about the corpus may come first; the error is one line, and the last one.
    *talk, last = result.stderr.split("\n")[:-1]
    assert last.startswith("error: "), result.stderr
    assert not any(line.startswith("error: ") for line in talk)
    for part in parts:
        assert part in last


def is_trained_on(charlm: Invoke, run: Path, text: str, *, level: str = "char") -> None:
    """The model was trained on exactly this text, and it can be sampled and evaluated."""
    facts = json.loads(charlm("info", run, "--json").stdout)
    assert facts["provenance"]["corpus_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert facts["provenance"]["corpus_characters"] == len(text)
    known = None
    if level == "char":
        known = facts["tokenizer"]["characters"]
        composed = unicodedata.normalize("NFC", text) if facts["tokenizer"]["nfc"] else text
        assert known == "".join(sorted(set(composed)))
    shown = charlm("sample", run, "--length", 300, "--temperature", 1, "--seed", 1)
    assert (shown.exit_code, shown.stderr) == (0, "")
    written = shown.stdout_bytes.decode("utf-8")  # strictly
    assert len(written) == 300
    if known is not None:
        assert set(written) <= set(known)
    scored = json.loads(charlm("eval", run, "--json", "--no-ladder").stdout)
    assert 0 <= scored["bits_per_char"] < math.inf


# --------------------------------------------------------------------------------------- it trains


@dataclass(frozen=True)
class Good:
    """A content that trains, as ``text``; ``eval`` of the same file may need other options."""

    content: bytes
    text: str
    options: tuple[object, ...] = ()
    name: str = "text.txt"
    for_eval: tuple[object, ...] = ()
    level: str = "char"


DOS = "uno\r\ndue\r\n" * 20
MAC = "uno\rdue\r" * 20
MIXED = "uno\r\ndue\rtre\nquattro\n\r" * 10
ACCENTS = "perche\u0301 citta\u0300 x\u0302 e\u0301\n" * 8
RIGHT = "\u05e9\u05dc\u05d5\u05dd \u200fabc\u200e \u202edef\u202c \u2067\u0633\u0644\u2069\n" * 8
CONTROLS = "a\x1b[31m\x07\x08\x7f\x85\x9bb\n" * 16
NONCHARACTERS = "a\ufffe\uffff\U0010ffff\ufdd0\ue000\n" * 20
LONG = "abcdefghij" * 100_000

GOOD = {
    "BOM": Good(b"\xef\xbb\xbf" + TEXT.encode(), TEXT),
    "two BOMs": Good(b"\xef\xbb\xbf" * 2 + TEXT.encode(), "\ufeff" + TEXT),
    "BOM inside": Good(f"{TEXT}\ufeff{TEXT}".encode(), f"{TEXT}\ufeff{TEXT}"),
    "UTF-16 little-endian with BOM": Good(b"\xff\xfe" + TEXT.encode("utf-16-le"), TEXT),
    "UTF-16 big-endian with BOM": Good(b"\xfe\xff" + TEXT.encode("utf-16-be"), TEXT),
    "UTF-16 astral": Good(EMOJI.encode("utf-16"), EMOJI),
    "UTF-32 with BOM": Good(TEXT.encode("utf-32"), TEXT),
    "UTF-16 without BOM, named": Good(
        TEXT.encode("utf-16-le"),
        TEXT,
        ("--encoding", "utf-16-le"),
        for_eval=("--encoding", "utf-16-le"),
    ),
    "UTF-16 without BOM, ASCII, named as what it is not": Good(
        "abc\n".encode("utf-16-le") * 40,
        "a\0b\0c\0\n\0" * 40,
        ("--encoding", "utf-8"),
        for_eval=("--encoding", "utf-8"),
    ),
    "Latin-1, named": Good(
        TEXT.encode("latin-1"), TEXT, ("--encoding", "latin-1"), for_eval=("--encoding", "latin-1")
    ),
    "CRLF": Good(DOS.encode(), DOS),
    "CRLF to LF": Good(DOS.encode(), DOS.replace("\r\n", "\n"), ("--newline", "unix")),
    "CRLF to LF as bytes": Good(
        DOS.encode(),
        DOS.replace("\r\n", "\n"),
        ("--newline", "unix", "--tokenizer", "byte"),
        level="byte",
    ),
    "lone CR": Good(MAC.encode(), MAC),
    "lone CR to LF": Good(MAC.encode(), MAC.replace("\r", "\n"), ("--newline", "unix")),
    "mixed line ends": Good(MIXED.encode(), "uno\ndue\ntre\nquattro\n\n" * 10),
    "mixed line ends, kept": Good(MIXED.encode(), MIXED, ("--newline", "keep")),
    "mixed line ends to LF": Good(
        MIXED.encode(), "uno\ndue\ntre\nquattro\n\n" * 10, ("--newline", "unix")
    ),
    "NUL": Good(f"{TEXT}\0{TEXT}".encode(), f"{TEXT}\0{TEXT}"),
    "combining marks": Good(ACCENTS.encode(), ACCENTS),
    "combining marks composed": Good(ACCENTS.encode(), ACCENTS, ("--nfc",)),
    "emoji and ZWJ": Good(EMOJI.encode(), EMOJI),
    "emoji and ZWJ as bytes": Good(EMOJI.encode(), EMOJI, ("--tokenizer", "byte"), level="byte"),
    "right-to-left marks": Good(RIGHT.encode(), RIGHT),
    "escapes and controls": Good(CONTROLS.encode(), CONTROLS),
    "noncharacters": Good(NONCHARACTERS.encode(), NONCHARACTERS),
    "U+2028 for newlines": Good(
        TEXT.replace("\n", "\u2028").encode(), TEXT.replace("\n", "\u2028")
    ),
    "one repeated character": Good(b"a" * 200, "a" * 200),
    "only newlines": Good(b"\n" * 200, "\n" * 200),
    "only white space": Good(b" \t\r\n" * 40, " \t\r\n" * 40),
    "no newline at the end": Good(TEXT.rstrip("\n").encode(), TEXT.rstrip("\n")),
    "a line of 1 MB": Good(LONG.encode(), LONG, ("--val-fraction", 0.0005)),
    "three characters": Good(
        b"abc", "abc", ("--batch-size", 1, "--seq-len", 1, "--val-fraction", 0)
    ),
    "gzip of UTF-16": Good(gzip.compress(TEXT.encode("utf-16")), TEXT, name="text.txt.gz"),
}


@pytest.mark.parametrize("row", GOOD.values(), ids=GOOD.keys())
def test_it_trains_on_exactly_this_text(charlm: Invoke, tmp_path: Path, row: Good) -> None:
    source = tmp_path / row.name
    source.write_bytes(row.content)
    result = charlm("train", source, "--out", tmp_path / "out", *TINY, *row.options)
    assert result.exit_code == 0, result.output
    run = tmp_path / "out" / "text"
    facts = json.loads(charlm("info", run, "--json").stdout)
    assert facts["provenance"]["corpus_sha256"] == hashlib.sha256(row.text.encode()).hexdigest()
    if len(row.text) > 3:
        is_trained_on(charlm, run, row.text, level=row.level)
    if len(row.text) > 100_000:
        return  # a second's work, and eval reads files as training does
    scored = charlm("eval", run, source, "--json", "--no-ladder", *row.for_eval)
    assert scored.exit_code == 0, scored.output
    composed = unicodedata.normalize("NFC", row.text) if "--nfc" in row.options else row.text
    assert json.loads(scored.stdout)["characters"] == len(composed) - 1


# Those that differ in how standard input is saved and read again.
BY_PIPE = (
    *("BOM", "two BOMs", "UTF-16 little-endian with BOM", "UTF-16 without BOM, named"),
    *("CRLF to LF", "lone CR", "NUL", "combining marks composed", "emoji and ZWJ as bytes"),
    *("escapes and controls", "no newline at the end", "three characters"),
)


@pytest.mark.parametrize("name", slow_but(BY_PIPE, GOOD))
def test_standard_input_gives_the_same_text(charlm: Invoke, tmp_path: Path, name: str) -> None:
    """A stopped run reads it again, from the copy in the run's directory."""
    row = GOOD[name]
    packed = row.name.endswith(".gz")  # a pipe has no name to tell it by: zcat text.gz | charlm
    content = gzip.decompress(row.content) if packed else row.content
    begin = ["train", "-", "--out", tmp_path, *TINY, *row.options, "--stop-at", 1]
    assert charlm(*begin, input=content).exit_code == 0
    result = charlm("train", "--resume", tmp_path / "stdin")
    assert result.exit_code == 0, result.output
    facts = json.loads(charlm("info", tmp_path / "stdin", "--json").stdout)
    assert facts["provenance"]["corpus_sha256"] == hashlib.sha256(row.text.encode()).hexdigest()


def test_composed_marks_are_one_character_and_what_has_no_composed_form_stays(
    charlm: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text(ACCENTS, encoding="utf-8")
    vocabularies = []
    for number, option in enumerate([[], ["--nfc"]]):
        charlm("train", tmp_path / "text", "--out", tmp_path / str(number), *TINY, *option)
        facts = json.loads(charlm("info", tmp_path / str(number) / "text", "--json").stdout)
        vocabularies.append(facts["tokenizer"]["characters"])
    assert vocabularies == ["\n acehiprtx\u0300\u0301\u0302", "\n cehiprtx\u00e0\u00e9\u0302"]
    # A prompt is composed in the same way as the corpus.
    for prompt in ("citt\u00e0", "citta\u0300"):
        done = charlm("sample", tmp_path / "1" / "text", "--prompt", prompt, "--length", 1)
        assert done.exit_code == 0, done.output


@pytest.mark.parametrize("extra", [[], ["--json"], ["--num-samples", 3]])
def test_sampled_bytes_are_never_broken_output(
    charlm: Invoke, tmp_path: Path, extra: list[object]
) -> None:
    """An untrained model of bytes samples them at random: most are not valid UTF-8. They become
    U+FFFD, and the output is valid at any length."""
    (tmp_path / "text").write_text(EMOJI, encoding="utf-8")
    charlm(
        "train", tmp_path / "text", "--out", tmp_path, "--tokenizer", "byte", "--name", "b", *TINY
    )
    replaced = 0
    for length in (1, 2, 3, 50, 301):
        arguments = ["sample", tmp_path / "b", "--length", length, "--temperature", 2, "--seed", 3]
        shown = charlm(*arguments, *extra)
        assert shown.exit_code == 0
        text = shown.stdout_bytes.decode("utf-8")
        if extra == ["--json"]:
            text = json.loads(text)["text"]
        if extra != ["--num-samples", 3]:
            assert len(text) == length
        assert not any(0xD800 <= ord(c) <= 0xDFFF for c in text)
        replaced += text.count("\ufffd")
        out = tmp_path / "out.txt"
        charlm(*arguments, *extra, "--out", out)
        assert out.read_bytes().decode("utf-8") == shown.stdout_bytes.decode("utf-8")
    assert replaced > 50


# -------------------------------------------------------------------------------------- it does not


@dataclass(frozen=True)
class Bad:
    """A content that is refused with exit code ``code`` and a line that contains ``parts``.

    undecodable: whether every command that reads the file refuses it with the same line
    """

    content: bytes
    code: int
    parts: tuple[str, ...]
    options: tuple[object, ...] = ()
    name: str = "text.txt"
    undecodable: bool = True


START = TEXT.encode()  # 174 bytes, 12 lines
AT = f"at offset {len(START):,} (line 13)"
ENCODING = "name the file's encoding, for example --encoding"
WIDE = b"\xff\xfe" + TEXT.encode("utf-16-le")

BAD = {
    "invalid UTF-8": Bad(START + b"citt\xe0 b", 1, ("byte 0xe0 at offset 178 (line 13)", ENCODING)),
    "Latin-1": Bad("Perch\xe9 no?\n".encode("latin-1") * 9, 1, ("0xe9 at offset 5 (line 1)",)),
    "overlong UTF-8": Bad(START + b"\xc0\xaf", 1, (f"byte 0xc0 {AT}", ENCODING)),
    "surrogates in UTF-8": Bad(START + b"\xed\xa0\xbd\xed\xb8\x80", 1, (f"byte 0xed {AT}",)),
    "beyond U+10FFFF": Bad(START + b"\xf4\x90\x80\x80", 1, (f"byte 0xf4 {AT}",)),
    "cut off in a character": Bad(START + "€".encode()[:-1], 1, (f"byte 0xe2 {AT}",)),
    "UTF-16 with half a character": Bad(WIDE[:-1], 1, ("valid UTF-16", f"offset {len(WIDE) - 2}")),
    "lone high surrogate": Bad(
        WIDE + b"\x00\xd8a\0", 1, (f"byte 0x00 at offset {len(WIDE)} (line 13)", "UTF-16")
    ),
    "lone low surrogate": Bad(WIDE + b"\x00\xdca\0", 1, (f"offset {len(WIDE)} (line 13)",)),
    "UTF-32 beyond Unicode": Bad(
        b"\xff\xfe\0\0" + b"a\0\0\0" * 50 + b"\0\0\x11\0", 1, ("at offset 204 (line 1)", "UTF-32")
    ),
    "UTF-16 read as UTF-8": Bad(WIDE, 1, ("0xff at offset 0", "UTF-8"), ("--encoding", "utf-8")),
    "not the encoding named": Bad(
        START,
        1,
        ("byte 0xc3 at offset 8 (line 1) is not valid ASCII", "--encoding utf-8"),
        ("--encoding", "ascii"),
    ),
    "no such encoding": Bad(
        START, 2, ("--encoding klingon", "utf-8, latin-1"), ("--encoding", "klingon")
    ),
    "Windows": Bad(
        "Disse: “Sì”.\n".encode("cp1252"), 1, ("0x93 at offset 7", f"{ENCODING} cp1252")
    ),
    "an image, by name": Bad(
        b"\x89PNG\r\n\x1a\n\0\0", 1, ("this is not text: it looks like a PNG image; give a text",)
    ),
    "a PDF": Bad(b"%PDF-1.7\n%abc\n", 1, ("it looks like a PDF document; convert it", "pdftotext")),
    "xz": Bad(b"\xfd7zXZ\0\0\4", 1, ("it looks like xz; decompress it first: xz -d",)),
    "gzip without its suffix": Bad(
        gzip.compress(START), 1, ("it looks like gzip; add .gz to its name",)
    ),
    "zip, though an encoding is named": Bad(
        b"PK\x03\x04\x14\0", 1, ("a zip archive", "unzip"), ("--encoding", "latin-1")
    ),
    "UTF-16 without BOM, not ASCII": Bad(
        TEXT.encode("utf-16-le"), 1, ("byte 0xe8 at offset 16", f"{ENCODING} utf-16-le")
    ),
    "UTF-16 without BOM, ASCII": Bad(
        "abc\n".encode("utf-16-be") * 40, 1, ("every second byte is a NUL", f"{ENCODING} utf-16-be")
    ),
    "a tar archive of ASCII": Bad(
        b"text.txt".ljust(257, b"\0") + b"ustar\x0000" + b"a line\n" * 9,
        1,
        ("it looks like a tar archive; unpack it first: tar -xf",),
    ),
    "a binary file without NUL": Bad(
        b"\xcd\x01\x02\x0f" * 30,
        1,
        ("this is not text: byte 0xcd", "90 of its first 120 bytes are control"),
    ),
    "some binary file": Bad(
        b"ab\0\xff" * 9, 1, ("this is not text: byte 0xff at offset 3", "offset 2 is a NUL byte")
    ),
    "gzip of Latin-1": Bad(
        gzip.compress(b"citt\xe0"), 1, ("text.txt.gz: byte 0xe0 at offset 4",), name="text.txt.gz"
    ),
    "gzip cut off": Bad(
        gzip.compress(START)[:-9],
        1,
        ("not a complete gzip file", "copy it again"),
        name="text.txt.gz",
    ),
    "no gzip at all": Bad(START, 1, ("not a complete gzip file",), name="text.txt.gz"),
    "empty": Bad(b"", 1, ("text.txt: the corpus is empty; give a file",), undecodable=False),
    "empty gzip": Bad(
        gzip.compress(b""),
        1,
        ("text.txt.gz: the corpus is empty",),
        name="text.txt.gz",
        undecodable=False,
    ),
    "only a BOM": Bad(b"\xef\xbb\xbf", 1, ("the corpus is empty",), undecodable=False),
    "only a UTF-16 BOM": Bad(b"\xff\xfe", 1, ("the corpus is empty",), undecodable=False),
    "one character": Bad(
        "è".encode(), 1, ("0 of 1 characters", "at least 3", "thousands"), undecodable=False
    ),
    "two characters": Bad(b"ab", 1, ("1 of 2 characters", "at least 3"), undecodable=False),
    "shorter than a window": Bad(
        b"abcdefg\n", 2, ("7 characters", "at least 9", "lower --batch-size"), undecodable=False
    ),
}


@pytest.mark.parametrize("row", BAD.values(), ids=BAD.keys())
def test_it_is_refused_and_leaves_nothing(
    charlm: Invoke, trained: Path, tmp_path: Path, row: Bad
) -> None:
    source = tmp_path / row.name
    source.write_bytes(row.content)
    out = tmp_path / "out"
    result = charlm("train", source, "--out", out, *TINY, *row.options)
    refused(result, row.code, *row.parts)
    if row.undecodable:
        assert f"{source}: " in result.stderr
        # eval reads a file as train does, with the same error.
        scored = charlm("eval", trained, source, *row.options)
        assert (scored.exit_code, scored.stderr) == (result.exit_code, result.stderr)
    assert not out.exists()
    assert os.listdir(tmp_path) == [row.name]


@pytest.mark.parametrize(
    "row",
    [row for row in BAD.values() if not row.name.endswith(".gz")],
    ids=[name for name, row in BAD.items() if not row.name.endswith(".gz")],
)
def test_standard_input_is_refused_as_a_file_is(charlm: Invoke, tmp_path: Path, row: Bad) -> None:
    result = charlm("train", "-", "--out", tmp_path, *TINY, *row.options, input=row.content)
    parts = [part.replace("text.txt: ", "") for part in row.parts]
    refused(result, row.code, *parts)
    if row.undecodable:
        assert "standard input: " in result.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["invalid UTF-8", "lone high surrogate", "overlong UTF-8"])
def test_a_prompt_from_a_bad_file_is_refused(
    charlm: Invoke, trained: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "prompt").write_bytes(BAD[name].content)
    for result in (
        charlm("sample", trained, "--prompt-file", tmp_path / "prompt"),
        charlm("sample", trained, "--prompt", "-", input=BAD[name].content),
    ):
        refused(result, 1, "offset")
        # The remedy must be an option of this command.
        assert "--encoding" not in result.stderr


def test_a_prompt_loses_its_byte_order_mark(charlm: Invoke, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "prompt").write_bytes("\ufeffIl mare".encode("utf-16-le"))
    arguments = ["sample", trained, "--length", 9, "--seed", 1]
    by_file = charlm(*arguments, "--prompt-file", tmp_path / "prompt")
    assert by_file.stdout == charlm(*arguments, "--prompt", "Il mare").stdout


CODECS = sorted(set(encodings.aliases.aliases.values()) | {"idna", "punycode", "unicode_escape"})


@pytest.mark.filterwarnings("ignore:.*invalid.*escape:DeprecationWarning")
@pytest.mark.parametrize("codec", CODECS)
def test_no_codec_of_python_is_a_fault(codec: str) -> None:
    """Codecs raise different exceptions, and some cannot decode a part of a text."""
    rng = random.Random(7)
    marks = b"+-\\uUxN{}&=?\x1b$(J~\xff\xfe\0 ad8"
    samples = [b"", b"\xff", b"a\n\xff", b".FFa\x9da\xb1\0", b"\\ud800", b"+2AA-", b"\0\xd8"]
    for _ in range(60):
        length = rng.randrange(12)
        samples.append(
            bytes(rng.choice([rng.randrange(256), rng.choice(marks)]) for _ in range(length))
        )
    for data in samples:
        with contextlib.suppress(CharlmError):
            decode(data, "x.txt", codec).encode("utf-8")


def test_an_error_after_the_last_byte_names_the_last_byte() -> None:
    """As the codec ``punycode`` does from Python 3.13 on."""

    def fail(data: Any, errors: str = "strict") -> tuple[str, int]:
        raise UnicodeDecodeError("late", bytes(data), len(data), len(data) + 1, "incomplete")

    def find(name: str) -> codecs.CodecInfo | None:
        return codecs.CodecInfo(codecs.utf_8_encode, fail, name=name) if name == "late" else None

    codecs.register(find)
    try:
        with pytest.raises(CorpusError, match=r"byte 0x55 at offset 1 \(line 1\)"):
            decode(b"wU", "x.txt", "late")
    finally:
        codecs.unregister(find)


# ------------------------------------------------------------------------- directories and no files


def test_a_directory_with_binaries_in_it_is_read_without_them(
    charlm: Invoke, tmp_path: Path
) -> None:
    texts = tmp_path / "texts"
    (texts / "deep").mkdir(parents=True)
    (texts / "b.txt").write_bytes("\ufeffdue".encode("utf-16"))
    (texts / "a.txt").write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    (texts / "deep" / "c.txt").write_bytes(TEXT.encode())
    (texts / "empty.txt").write_bytes(b"")
    (texts / ".hidden").write_bytes(b"\xff")
    left_out = [texts / "image.png", texts / "deep" / "lib.so"]
    left_out[0].write_bytes(b"\x89PNG\r\n\0\0")
    left_out[1].write_bytes(b"\x7fELF\2\1\1\0\xff\xfe")
    result = charlm("train", texts, "--out", tmp_path / "out", *TINY)
    assert result.exit_code == 0, result.output
    for path, looks in zip(left_out, ("a PNG image", "a Linux program"), strict=True):
        assert f"left out {path}: it looks like {looks}" in result.stderr.splitlines()
    is_trained_on(charlm, tmp_path / "out" / "texts", TEXT + "\ufeffdue\n"[1:] + TEXT)


def test_a_directory_with_a_text_that_is_none_is_refused_by_its_name(
    charlm: Invoke, tmp_path: Path
) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_bytes(START)
    (texts / "b.txt").write_bytes(b"citt\xe0")
    result = charlm("train", texts, "--out", tmp_path / "out", *TINY)
    refused(result, 1, f"{texts / 'b.txt'}: byte 0xe0 at offset 4 (line 1)", "--encoding latin-1")
    assert not (tmp_path / "out").exists()


def test_a_directory_of_binaries_alone_is_an_empty_corpus(charlm: Invoke, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "image.png").write_bytes(b"\x89PNG\0")
    result = charlm("train", tmp_path / "texts", "--out", tmp_path / "out", *TINY)
    refused(result, 1, f"{tmp_path / 'texts'}: the corpus is empty; give a file with text in it")
    assert not (tmp_path / "out").exists()


posix = pytest.mark.skipif(os.name != "posix", reason="needs pipes and links")


@posix
@pytest.mark.parametrize("writer", [False, True])
def test_a_fifo_is_refused_at_once(
    charlm: Invoke, trained: Path, tmp_path: Path, writer: bool
) -> None:
    """A resumed run reads its text again, and a pipe can be read only once."""
    fifo = tmp_path / "pipe of text"
    os.mkfifo(fifo)
    descriptor = os.open(fifo, os.O_RDWR) if writer else None
    remedy = f"pipe it in: - < '{fifo}'"
    refused(
        charlm("train", fifo, "--out", tmp_path / "out", *TINY),
        1,
        f"{fifo}: not a regular file",
        remedy,
    )
    refused(charlm("eval", trained, fifo), 1, f"{fifo}: not a regular file")
    if descriptor is not None:
        os.close(descriptor)
    assert not (tmp_path / "out").exists()


@posix
def test_a_device_is_refused_at_once(charlm: Invoke, tmp_path: Path) -> None:
    result = charlm("train", "/dev/zero", "--out", tmp_path / "out", *TINY)
    refused(result, 1, "/dev/zero: not a regular file", "pipe it in: - < /dev/zero")


@posix
def test_what_is_no_file_is_passed_over_in_a_directory(charlm: Invoke, tmp_path: Path) -> None:
    """A pipe, a link to itself and a dangling link are skipped; a link to a file is read."""
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_bytes(START)
    os.mkfifo(texts / "b.pipe")
    (texts / "c.loop").symlink_to(texts / "c.loop")
    (texts / "d.nowhere").symlink_to(tmp_path / "nowhere")
    (texts / "e.around").symlink_to(texts, target_is_directory=True)
    (tmp_path / "elsewhere").write_text("fine\n")
    (texts / "f.link").symlink_to(tmp_path / "elsewhere")
    result = charlm("train", texts, "--out", tmp_path / "out", *TINY)
    assert result.exit_code == 0, result.output
    is_trained_on(charlm, tmp_path / "out" / "texts", TEXT + "fine\n")
    glob = charlm("train", f"{texts}/*", "--out", tmp_path / "glob", *TINY)
    assert glob.exit_code == 0, glob.output


@posix
def test_a_link_that_leads_to_itself_or_nowhere_is_refused(charlm: Invoke, tmp_path: Path) -> None:
    loop, nowhere = tmp_path / "loop", tmp_path / "nowhere"
    loop.symlink_to(loop)
    nowhere.symlink_to(tmp_path / "gone")
    for source in (loop, nowhere):
        result = charlm("train", source, "--out", tmp_path / "out", *TINY)
        refused(result, 2, f"{source}: no such file or directory; check the path")
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------------------- while it is read


def meddle(monkeypatch: pytest.MonkeyPatch, when: str, change: Callable[[], object]) -> None:
    """Call ``change`` once, while the file called ``when`` is being read."""
    original = Path.open
    changes = [change]

    class Meddled(io.FileIO):
        def read(self, size: int | None = -1, /) -> Any:
            data = super().read(-1 if size is None else size)
            while changes:
                changes.pop()()
            return data

    def opened(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self.name == when and args[:1] == ("rb",):
            return Meddled(self, "rb")
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", opened)


def append(path: Path, data: bytes) -> None:
    with open(path, "ab") as file:
        file.write(data)


def rewrite(path: Path) -> None:
    """Same size, other bytes. File systems may store coarse times: set the time by hand."""
    before = path.stat()
    path.write_bytes(path.read_bytes().upper())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


SIZE = len(START)
CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "grows": (lambda path: append(path, b"more"), f"from {SIZE} to {SIZE + 4} bytes"),
    "shrinks": (lambda path: os.truncate(path, 7), f"from {SIZE} to 7 bytes"),
    "is emptied": (lambda path: os.truncate(path, 0), f"from {SIZE} to 0 bytes"),
    "is rewritten": (rewrite, "changed while it was read"),
}


@pytest.mark.parametrize(
    ("what", "command"), covering(CHANGES, ["train", "train a directory", "eval", "val-file"])
)
def test_a_file_that_changes_while_it_is_read_is_refused(
    charlm: Invoke,
    trained: Path,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    command: str,
) -> None:
    (tmp_path / "texts").mkdir()
    source = tmp_path / "texts" / "log.txt"
    source.write_bytes(START)
    change, numbers = CHANGES[what]
    meddle(monkeypatch, "log.txt", lambda: change(source))
    out = tmp_path / "out"
    arguments: dict[str, list[object]] = {
        "train": ["train", source, "--out", out, *TINY],
        "train a directory": ["train", source.parent, "--out", out, *TINY],
        "eval": ["eval", trained, source],
        "val-file": ["train", corpus, "--val-file", source, "--out", out, *TINY],
    }
    result = charlm(*arguments[command])
    refused(result, 1, f"{source}: changed while it was read", numbers, "take a copy")
    assert not out.exists()
    # The file no longer changes: now it is another text, which can be read.
    if what == "grows":
        monkeypatch.undo()
        assert charlm(*arguments[command]).exit_code in (0, 2)


@pytest.mark.parametrize("whole", [False, True])
def test_a_file_that_vanishes_before_its_turn_is_named(
    charlm: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    """A directory is listed, then read: in between, one or all of its files can be deleted."""
    texts = tmp_path / "texts"
    texts.mkdir()
    for name in ("a.txt", "b.txt"):
        (texts / name).write_bytes(START)

    def vanish() -> None:
        (texts / "b.txt").unlink()
        if whole:
            (texts / "a.txt").unlink()
            texts.rmdir()

    meddle(monkeypatch, "a.txt", vanish)
    result = charlm("train", texts, "--out", tmp_path / "out", *TINY)
    refused(result, 1, f"{texts / 'b.txt'}: cannot be read (No such file or directory)")
    assert not (tmp_path / "out").exists()


@posix
@pytest.mark.parametrize("instead", [False, True])
def test_a_file_that_loses_its_name_while_it_is_read_was_read_whole(
    charlm: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instead: bool
) -> None:
    """Deleted, or replaced by a new file, as editors do: the run trains on the old text, and
    resuming reports that it is gone."""
    source = tmp_path / "a.txt"
    source.write_bytes(START)

    def replace() -> None:
        source.unlink()
        if instead:
            source.write_text("another text\n" * 20)

    meddle(monkeypatch, "a.txt", replace)
    result = charlm("train", source, "--out", tmp_path / "out", *TINY, "--stop-at", 1)
    assert result.exit_code == 0, result.output
    facts = json.loads(charlm("info", tmp_path / "out" / "a", "--json").stdout)
    assert facts["provenance"]["corpus_sha256"] == hashlib.sha256(START).hexdigest()
    resumed = charlm("train", "--resume", tmp_path / "out" / "a")
    refused(resumed, 2, "is not the one" if instead else f"{source}: no such file")


def test_a_file_that_nobody_touches_is_not_suspected(
    charlm: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the tests above: the same replacement of open(), without a change."""
    (tmp_path / "log.txt").write_bytes(START)
    happened: list[int] = []
    meddle(monkeypatch, "log.txt", lambda: happened.append(1))
    result = charlm("train", tmp_path / "log.txt", "--out", tmp_path / "out", *TINY)
    assert result.exit_code == 0, result.output
    assert happened == [1]
