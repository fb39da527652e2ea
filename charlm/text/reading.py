"""From files to text: files, directories, globs or standard input become one text.

Strictly: bytes that are not text in the stated encoding are an error that says where they are.
"""

from __future__ import annotations

import codecs
import glob
import gzip
import hashlib
import os
import shlex
import stat
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from charlm.errors import CorpusError, RequestError
from charlm.files import is_run
from charlm.text.filetypes import (
    FileType,
    code_page,
    control_bytes,
    file_type,
    has_nul,
    utf_16_order,
)
from charlm.text.newlines import RULES, unix_blocks
from charlm.text.utf8 import SLICE, Utf8Text

_UTF_32_MARKS = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF_8_MARK = "\ufeff".encode()


@dataclass(frozen=True)
class Text:
    """A text and where it was read.

    utf8: the text, a block for each file
    name: a short name for it
    sources: the files, ``-`` for standard input
    notes: what the reader should know about how it was read, a line each
    """

    utf8: Utf8Text
    name: str
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All of it as one string, decoded now: up to four bytes a character."""
        return str(self.utf8)

    @property
    def sha256(self) -> str:
        """SHA-256 of the text in UTF-8: it depends on the text alone, not on its files."""
        return self.utf8.sha256

    def with_unix_newlines(self) -> Text:
        """The same text with every line end as LF."""
        return replace(self, utf8=Utf8Text(unix_blocks(self.utf8.blocks)))


def text_sha256(text: str) -> str:
    """SHA-256 of ``text`` in UTF-8, in lower-case hexadecimal."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def read_text(
    sources: Sequence[str],
    *,
    encoding: str | None = None,
    newline: str = "keep",
    stdin: BinaryIO | None = None,
) -> Text:
    """Read and join the texts that ``sources`` name.

    sources: files, directories (every file in them, except hidden and binary ones), globs, or ``-``
    encoding: None for strict UTF-8, or what a byte-order mark says; otherwise a Python codec
    newline: ``keep`` leaves line ends as they are, ``unix`` makes CR LF and a lone CR into LF

    A newline is added after each text that does not end with one, except the last. Raises
    CorpusError if a file cannot be read or decoded or if all are empty, RequestError if a source
    does not exist.
    """
    if newline not in RULES:
        raise RequestError(f"--newline is {newline!r}; choose one of {', '.join(RULES)}")
    parts: list[bytes | memoryview] = []
    paths: list[str] = []
    notes: list[str] = []
    for source in sources:
        if source == "-":
            if stdin is None:
                raise RequestError("'-' reads standard input, which is not available here")
            parts.append(_to_utf8(stdin.read(), "standard input", encoding))
            paths.append("-")
            continue
        for path, chosen in _expand(source):
            data = _read_bytes(path)
            if not chosen and (reason := _why_binary(data)):
                notes.append(f"left out {path}: {reason}")
                continue
            parts.append(_to_utf8(data, str(path), encoding))
            paths.append(str(path))
    blocks: list[bytes | memoryview] = []
    for number, part in enumerate(parts):
        blocks.append(part)
        if len(part) and part[-1] not in b"\r\n" and number < len(parts) - 1:
            blocks.append(b"\n")
    if not any(map(len, blocks)):
        named = ", ".join(paths) or ", ".join(sources)
        raise CorpusError(f"{named}: the corpus is empty; give a file with text in it")
    text = Text(Utf8Text(blocks), _name(sources), tuple(paths), tuple(notes))
    return text.with_unix_newlines() if newline == "unix" else text


def decode(data: bytes, name: str, encoding: str | None = None, *, remedy: str = "") -> str:
    """Decode ``data`` strictly, without its byte-order mark.

    remedy: what to do about a wrong encoding; default: which ``--encoding`` to give

    Raises CorpusError, which names the file, the byte, its offset and its line, if the bytes are
    not text in the encoding; RequestError for an unknown encoding.
    """
    return str(Utf8Text([_to_utf8(data, name, encoding, remedy)]))


def _to_utf8(data: bytes, name: str, encoding: str | None, remedy: str = "") -> bytes | memoryview:
    """``data`` as UTF-8 without its byte-order mark; itself, not a copy, if it is UTF-8."""
    codec = encoding if encoding is not None else _marked(data)
    found = file_type(data)
    try:
        known = codecs.lookup(codec).name
        if found and found.certain and not known.startswith(("utf-16", "utf-32")):
            raise _not_text(name, found)
        if known == "utf-8":
            _check_utf_8(data)
            if encoding is None:
                _check_binary(data, name, found, remedy)
            return memoryview(data)[3:] if data.startswith(_UTF_8_MARK) else data
        text = data.decode(codec).removeprefix("\ufeff")
        return text.encode("utf-8")
    except UnicodeEncodeError as error:  # some codecs accept lone surrogates, which are not text
        other = remedy or _other_encoding(data, codec, 0)
        raise CorpusError(
            f"{name}: {codec.upper()} gives half a character, U+{ord(text[error.start]):04X}, "
            f"at character {error.start:,}; {other}"
        ) from error
    except UnicodeDecodeError as error:
        if found:
            raise _not_text(name, found) from error
        start = min(error.start, len(data) - 1)  # Punycode can place the error after the last byte
        place = f"byte 0x{data[start]:02x} at offset {start:,} "
        cause = f"{place}(line {_line(data, codec, start):,}) is not valid {codec.upper()}"
        if encoding is None and codec == "utf-8" and (binary := _looks_binary(data)):
            raise CorpusError(
                f"{name}: this is not text: {cause}, and {binary}; give a text file"
            ) from error
        other = remedy or _other_encoding(data, codec, start)
        raise CorpusError(f"{name}: {cause}; {other}") from error
    except (LookupError, ValueError, AssertionError) as error:
        raise RequestError(
            f"{name}: cannot decode with --encoding {codec}: {error!s:.100}; for example utf-8, "
            "latin-1, cp1252"
        ) from error


def _marked(data: bytes) -> str:
    """The encoding that a byte-order mark says; UTF-8 without one."""
    if data.startswith(_UTF_32_MARKS):
        return "utf-32"
    return "utf-16" if data.startswith(_UTF_16_MARKS) else "utf-8"


def _check_utf_8(data: bytes) -> None:
    """UnicodeDecodeError, with its place in ``data``, for bytes that are not UTF-8."""
    if data.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(data)
    for begin in range(0, len(data), SLICE):
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(view[begin : begin + SLICE], final=begin + SLICE >= len(data))
        except UnicodeDecodeError as error:
            place = begin - held
            raise UnicodeDecodeError(
                "utf-8", data, place + error.start, place + error.end, error.reason
            ) from None


def _check_binary(data: bytes, name: str, found: FileType | None, remedy: str) -> None:
    """CorpusError for valid UTF-8 with NULs that looks like another encoding or a known format."""
    if not has_nul(data):
        return
    if (order := utf_16_order(data)) and len(data) % 2 == 0:
        raise CorpusError(
            f"{name}: every second byte is a NUL, as in UTF-16; {remedy or _name_encoding(order)}"
        )
    if found:
        raise _not_text(name, found)


def _looks_binary(data: bytes) -> str:
    """Why ``data``, which is not UTF-8, is no text in any encoding of bytes, or ""."""
    if has_nul(data):
        return "" if utf_16_order(data) else f"offset {data.index(0):,} is a NUL byte"
    controls, judged = control_bytes(data)
    if controls <= judged / 50:
        return ""
    return f"{controls:,} of its first {judged:,} bytes are control characters"


def _line(data: bytes, codec: str, offset: int) -> int:
    """The number of the line in which the byte at ``offset`` is."""
    try:
        return data[:offset].decode(codec).count("\n") + 1
    except UnicodeError:  # a codec that cannot decode a part of a text
        return data.count(b"\n", 0, offset) + 1


def _other_encoding(data: bytes, codec: str, offset: int) -> str:
    """Which encoding to try after ``codec`` has failed at ``offset``."""
    if codec != "utf-8":
        other = "utf-8"
    elif data.startswith(_UTF_16_MARKS):
        other = "utf-16"
    else:
        other = utf_16_order(data) or code_page(data[offset : offset + SLICE])
    return _name_encoding(other)


def _name_encoding(encoding: str) -> str:
    return f"name the file's encoding, for example --encoding {encoding}"


def _not_text(name: str, found: FileType) -> CorpusError:
    file = shlex.quote(name) if name != "standard input" else "FILE"
    remedy = found.remedy.replace("FILE", file)
    return CorpusError(f"{name}: this is not text: it looks like {found.name}; {remedy}")


def _expand(source: str) -> Iterator[tuple[Path, bool]]:
    """The files that ``source`` names, in sorted order, and whether it named each one itself."""
    path = Path(source)
    if not source:
        raise RequestError("an empty name is not a file; name a file, a directory or -")
    try:
        os.stat(source)
    except PermissionError as error:  # os.path.exists would say that it does not exist
        raise CorpusError(f"{source}: cannot be read ({error.strerror})") from error
    except (OSError, ValueError):
        pass  # it may be a glob
    if os.path.isdir(source):
        found = sorted(
            p
            for p in path.rglob("*")
            if os.path.isfile(p)  # Path.is_file raises for a link into a forbidden directory
            and not any(part.startswith(".") for part in p.relative_to(path).parts)
            and not is_run(p.parent)  # a model's own files are not a corpus
        )
        if not found:
            raise CorpusError(f"{source}: the directory has no file; give one with text files")
        yield from ((p, False) for p in found)
    elif os.path.exists(source):  # Path.exists raises for a name that is too long
        yield path, True
    else:
        matches = [m for m in sorted(glob.glob(source, recursive=True)) if os.path.isfile(m)]
        if not matches:
            raise RequestError(f"{source}: no such file or directory; check the path")
        yield from ((Path(m), False) for m in matches)


def _read_bytes(path: Path) -> bytes:
    """The content of a file, decompressed if its name ends in .gz.

    CorpusError if it is not a regular file, cannot be read, or changes while it is read.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe could block
            raise CorpusError(
                f"{path}: not a regular file, so it could not be read again later; give - instead "
                f"and pipe it in: - < {shlex.quote(str(path))}"
            )
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            data = file.read()
            after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise CorpusError(
                f"{path}: changed while it was read (from {before.st_size:,} to "
                f"{after.st_size:,} bytes); wait until it is complete, or take a copy"
            )
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorpusError(
            f"{path}: not a complete gzip file ({error}); download or copy it again"
        ) from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror or error})") from error


def _why_binary(data: bytes) -> str:
    """Why ``data`` is not text, or "": its first bytes, or a NUL without a byte-order mark."""
    found = file_type(data)
    if found and found.certain:
        return f"it looks like {found.name}"
    if has_nul(data) and not data.startswith(_UTF_32_MARKS + _UTF_16_MARKS):
        return "not a text file"
    return ""


def _name(sources: Sequence[str]) -> str:
    """A short name for the corpus: the first source's file name without endings."""
    first = sources[0]
    if first == "-":
        return "stdin"
    stem = Path(first).resolve().name.removesuffix(".gz")
    stem = stem.rsplit(".", 1)[0] if "." in stem[1:] else stem
    return stem.strip("*?[]") or "corpus"
