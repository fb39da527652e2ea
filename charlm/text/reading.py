"""From files to text: files, directories, globs or standard input become one string.

Strictly: what is not text in the stated encoding is an error that says where.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import os
import shlex
import stat
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from charlm.errors import CorpusError, RequestError
from charlm.files import is_run

NEWLINES = ("keep", "unix")
_UTF_32_MARKS = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Text:
    """A corpus as one string, and where it came from."""

    text: str
    name: str
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """SHA-256 of the text in UTF-8: the same text is the same corpus, whatever its files."""
        return text_sha256(self.text)


def text_sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def read_text(
    sources: Sequence[str],
    *,
    encoding: str | None = None,
    newline: str = "keep",
    stdin: BinaryIO | None = None,
) -> Text:
    """Read and join the texts that ``sources`` name.

    sources: files, directories (every file below, hidden and binary ones left out), globs, or ``-``
    encoding: None is strict UTF-8, or what a byte-order mark says; a name is a Python codec
    newline: ``keep`` leaves line ends as they are, ``unix`` makes CRLF and lone CR into LF

    A text that does not end its last line is ended before the next one begins. Raises CorpusError
    for what cannot be read or decoded and for an empty corpus, RequestError for a source that names
    nothing.
    """
    if newline not in NEWLINES:
        raise RequestError(f"--newline is {newline!r}; choose one of {', '.join(NEWLINES)}")
    parts: list[str] = []
    paths: list[str] = []
    notes: list[str] = []
    for source in sources:
        if source == "-":
            if stdin is None:
                raise RequestError("'-' reads standard input, which is not available here")
            parts.append(decode(stdin.read(), "standard input", encoding))
            paths.append("-")
            continue
        for path, chosen in _expand(source):
            data = _read_bytes(path)
            if not chosen and _looks_binary(data):
                notes.append(f"left out {path}: not a text file")
                continue
            parts.append(decode(data, str(path), encoding))
            paths.append(str(path))
    if newline == "unix":
        parts = [part.replace("\r\n", "\n").replace("\r", "\n") for part in parts]
    joined = "".join(
        part if part.endswith(("\n", "\r")) or not part or number == len(parts) - 1 else part + "\n"
        for number, part in enumerate(parts)
    )
    if not joined:
        named = ", ".join(paths) or ", ".join(sources)
        raise CorpusError(f"{named}: the corpus is empty; give a file with text in it")
    return Text(joined, _name(sources), tuple(paths), tuple(notes))


def decode(data: bytes, name: str, encoding: str | None = None, *, remedy: str = "") -> str:
    """Decode strictly, dropping a byte-order mark; the error names file, byte offset and line."""
    if encoding is None:
        encoding = "utf-8"
        if data.startswith(_UTF_32_MARKS):
            encoding = "utf-32"
        elif data.startswith(_UTF_16_MARKS):
            encoding = "utf-16"
    other = "utf-8" if encoding != "utf-8" else "latin-1"
    remedy = remedy or f"name the file's encoding, for example --encoding {other}"
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
        text.encode("utf-8")  # some codecs let lone surrogates through, which are no text
        return text
    except UnicodeEncodeError as error:
        raise CorpusError(
            f"{name}: {encoding.upper()} gives half a character, U+{ord(text[error.start]):04X}, "
            f"at character {error.start:,}; {remedy}"
        ) from error
    except UnicodeDecodeError as error:
        try:
            line = data[: error.start].decode(encoding).count("\n") + 1
        except UnicodeError:  # a codec that cannot decode a part by itself
            line = data[: error.start].count(b"\n") + 1
        raise CorpusError(
            f"{name}: byte 0x{data[error.start]:02x} at offset {error.start:,} (line {line:,}) is "
            f"not valid {encoding.upper()}; {remedy}"
        ) from error
    except (LookupError, ValueError, AssertionError) as error:
        raise RequestError(
            f"{name}: cannot decode with --encoding {encoding}: {error!s:.100}; for example utf-8, "
            "latin-1, cp1252"
        ) from error


def _expand(source: str) -> Iterator[tuple[Path, bool]]:
    """The files that ``source`` names, in sorted order, and whether it named each one itself."""
    path = Path(source)
    if not source:
        raise RequestError("an empty name names no file; name a file, a directory or -")
    try:
        os.stat(source)
    except PermissionError as error:  # which os.path.exists takes for absence
        raise CorpusError(f"{source}: cannot be read ({error.strerror})") from error
    except (OSError, ValueError):
        pass  # it may be a glob
    if os.path.isdir(source):
        found = sorted(
            p
            for p in path.rglob("*")
            if os.path.isfile(p)  # Path.is_file raises where a link leads into the forbidden
            and not any(part.startswith(".") for part in p.relative_to(path).parts)
            and not is_run(p.parent)  # a model's own files are no text to train on
        )
        if not found:
            raise CorpusError(f"{source}: the directory holds no file; give one that holds text")
        yield from ((p, False) for p in found)
    elif os.path.exists(source):  # Path.exists raises for a name that is too long
        yield path, True
    else:
        matches = [m for m in sorted(glob.glob(source, recursive=True)) if os.path.isfile(m)]
        if not matches:
            raise RequestError(f"{source}: no such file or directory; check the path")
        yield from ((Path(m), False) for m in matches)


def _read_bytes(path: Path) -> bytes:
    """The whole of a file; CorpusError for what is none, and for one that changes meanwhile."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe may wait for ever
            raise CorpusError(
                f"{path}: is no file, and could not be read again; give - in its place and pipe it "
                f"in: - < {shlex.quote(str(path))}"
            )
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            data = file.read()
            after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise CorpusError(
                f"{path}: changed while it was read (from {before.st_size:,} to "
                f"{after.st_size:,} bytes); wait until it is whole, or take a copy"
            )
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorpusError(f"{path}: not a whole gzip file ({error}); fetch it again") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror or error})") from error


def _looks_binary(data: bytes) -> bool:
    """A NUL early on, as in every binary format, and no byte-order mark that would explain it."""
    return b"\0" in data[:8192] and not data.startswith(_UTF_32_MARKS + _UTF_16_MARKS)


def _name(sources: Sequence[str]) -> str:
    """A short name for the corpus: the first source's file name without endings."""
    first = sources[0]
    if first == "-":
        return "stdin"
    stem = Path(first).resolve().name.removesuffix(".gz")
    stem = stem.rsplit(".", 1)[0] if "." in stem[1:] else stem
    return stem.strip("*?[]") or "corpus"
