"""From files to text: files, directories, globs or standard input become one text.

Strictly: bytes that are not text in the stated encoding are an error that says where they are.

A text of up to ``LONG`` bytes is read into memory. The bytes of a longer one stay where they are,
and are read slice by slice; if they are not UTF-8 there (compressed, another encoding, standard
input, line ends to change), a copy in UTF-8 is made in the cache (``charlm.text.cache``).
"""

from __future__ import annotations

import codecs
import contextlib
import glob
import gzip
import hashlib
import io
import os
import shlex
import shutil
import stat
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, cast

from charlm.errors import CorpusError, RequestError
from charlm.files import is_run
from charlm.text import cache, utf8
from charlm.text.fileblock import FileBlock, changed
from charlm.text.filetypes import (
    FileType,
    code_page,
    control_bytes,
    file_type,
    has_nul,
    utf_16_order,
)
from charlm.text.newlines import RULES, LineEnds, unix_blocks
from charlm.text.survey import NotUtf8, Survey
from charlm.text.utf8 import Block, Utf8Text, bytes_of, pieces

LONG = 64 * 2**20
"""Bytes from which on a text is not read into memory."""

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
    survey: what a pass over it found, if it is a long text
    """

    utf8: Utf8Text
    name: str
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()
    survey: Survey | None = None

    @property
    def text(self) -> str:
        """All of it as one string, decoded now: up to four bytes a character."""
        return str(self.utf8)

    @property
    def sha256(self) -> str:
        """SHA-256 of the text in UTF-8: it depends on the text alone, not on its files."""
        return self.utf8.sha256

    @property
    def ends(self) -> LineEnds:
        """Its line ends, counted."""
        return self.survey.ends if self.survey else LineEnds.of(self.utf8.blocks)

    def with_unix_newlines(self) -> Text:
        """The same text with every line end as LF, still a block for each file."""
        if self.survey is None:
            blocks = [b"".join(unix_blocks([block])) for block in self.utf8.blocks]
            return replace(self, utf8=Utf8Text(blocks))
        if not self.survey.ends.crlf and not self.survey.ends.cr:
            return self
        return _surveyed(replace(self, utf8=Utf8Text(map(_with_unix_newlines, self.utf8.blocks))))


def _with_unix_newlines(block: Block) -> Block:
    """A block of a long text with every line end as LF, in a file if it is in one."""
    if isinstance(block, FileBlock):
        return _copied(("unix", _identified(block)), block.name, unix_blocks([block]))
    return memoryview(b"".join(unix_blocks([block])))


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
    files = [file for source in sources for file in _files(source, stdin)]
    long = sum(file.size for file in files) > LONG
    blocks: list[Block] = []
    paths: list[str] = []
    notes: list[str] = []
    for file in files:
        data = file.read(long)
        if not file.chosen and (reason := _why_binary(_head(data))):
            notes.append(f"left out {file.name}: {reason}")
            continue
        if blocks and len(blocks[-1]) and bytes_of(blocks[-1][-1:]) not in (b"\r", b"\n"):
            blocks.append(memoryview(b"\n"))
        blocks.append(_to_utf8(data, file.name, encoding))
        paths.append(file.source)
    if not any(map(len, blocks)):
        named = ", ".join(paths) or ", ".join(sources)
        raise CorpusError(f"{named}: the corpus is empty; give a file with text in it")
    text = Text(Utf8Text(blocks), _name(sources), tuple(paths), tuple(notes))
    if text.utf8.on_disk:
        text = _surveyed(text, encoding)
    return text.with_unix_newlines() if newline == "unix" else text


def decode(data: bytes, name: str, encoding: str | None = None, *, remedy: str = "") -> str:
    """Decode ``data`` strictly, without its byte-order mark.

    remedy: what to do about a wrong encoding; default: which ``--encoding`` to give

    Raises CorpusError, which names the file, the byte, its offset and its line, if the bytes are
    not text in the encoding; RequestError for an unknown encoding.
    """
    return str(Utf8Text([_to_utf8(memoryview(data), name, encoding, remedy)]))


def keep(stream: BinaryIO) -> BinaryIO:
    """All that ``stream`` gives, to be read as often as needed: in memory, or, if it is long, in a
    file of the cache that is removed when it is closed or the process ends."""
    begin = stream.read(LONG + 1)
    if len(begin) <= LONG:
        return io.BytesIO(begin)
    with cache.writing():
        directory = cache.directory()
        cache.make_directory()
        kept = tempfile.NamedTemporaryFile(  # noqa: SIM115 - it lives as long as it is used
            dir=directory, prefix="stdin-", suffix=".tmp"
        )
        kept.write(begin)
        shutil.copyfileobj(stream, kept)
        kept.flush()
    kept.seek(0)
    return cast(BinaryIO, kept)


# ------------------------------------------------------------------------------------ long texts


def _surveyed(text: Text, encoding: str | None = None) -> Text:
    """The long text, after a pass over it."""
    blocks = text.utf8.blocks
    found = _survey(blocks, text.name, encoding)
    for block in blocks if encoding is None else ():
        if isinstance(block, FileBlock):
            head = _head(block)
            _check_binary(head, len(block), block.name, file_type(head), "")
    return replace(text, utf8=found.text(blocks), survey=found)


def joint_survey(blocks: Sequence[Block], name: str) -> Survey | None:
    """What a pass over the blocks of several texts finds; None if all of them are in memory."""
    if not any(isinstance(block, FileBlock) for block in blocks):
        return None
    return _survey(blocks, name)


def _survey(blocks: Sequence[Block], name: str, encoding: str | None = None) -> Survey:
    """What a pass over ``blocks`` finds, if the cache does not know that."""

    def survey() -> Survey:
        try:
            return Survey.of(blocks)
        except NotUtf8 as error:
            block, offset = blocks[error.number], error.offset
            assert isinstance(block, FileBlock)  # what is in memory has been checked
            # The offset in the file: its byte-order mark is no part of the block.
            file = FileBlock(block.path, block.name, block.identity, 0, block.end)
            offset += block.begin
            raise _not_decoded(file, block.name, "utf-8", encoding, offset) from error

    times = [
        max(block.identity.modified, block.identity.changed)
        for block in blocks
        if isinstance(block, FileBlock) and not _is_copy(block)
    ]
    # The time of a file that is being written right now does not tell its states apart.
    if times and time.time_ns() - max(times) < _SETTLED * 10**9:
        return survey()
    key = cache.key_of(_SURVEY, utf8.SLICE, *map(_identified, blocks))
    facts = cache.made("survey", key, name, lambda file: survey().to_dict()).facts
    try:
        return Survey.from_dict(facts)
    except (KeyError, TypeError, ValueError, IndexError):  # damaged
        return survey()


_SURVEY = 1
"""The version of what a survey holds."""

_SETTLED = 2
"""Seconds after which another change to a file changes its time too, on every file system."""


def _identified(block: Block) -> list[Any]:
    """What tells a block from every other: for JSON."""
    if isinstance(block, memoryview):
        return [hashlib.sha256(block).hexdigest()]
    if _is_copy(block):  # its name is a checksum of what it holds
        return [block.path.name, block.begin, block.end]
    return [os.path.abspath(block.path), *astuple(block.identity), block.begin, block.end]


def _is_copy(block: FileBlock) -> bool:
    return block.path.parent == cache.directory() and block.path.name.startswith("text-")


def _copied(key: Sequence[Any], name: str, data: Iterable[bytes]) -> FileBlock:
    """A copy of ``data`` in the cache, called ``name`` in messages."""

    def make(file: BinaryIO) -> dict[str, Any]:
        for piece in data:
            file.write(piece)
        return {}

    entry = cache.made("text", cache.key_of(*key), Path(name).name, make)
    return FileBlock.whole(entry.path, name)


def _transcoded(data: FileBlock, codec: str) -> Iterator[bytes]:
    """The text in UTF-8, without its byte-order mark. UnicodeDecodeError with the place in the
    whole; UnicodeEncodeError, with the place in characters, for a lone surrogate."""
    b"".decode(codec)  # LookupError for a codec that does not give text
    decoder = codecs.getincrementaldecoder(codec)()
    offset = characters = 0
    for piece in pieces(data):
        held = len(decoder.getstate()[0])
        try:
            text = decoder.decode(bytes(piece), final=offset + len(piece) == len(data))
        except UnicodeDecodeError as error:
            start = offset - held + error.start
            raise UnicodeDecodeError(codec, b"", start, start + 1, error.reason) from None
        try:
            yield (text if characters else text.removeprefix("\ufeff")).encode("utf-8")
        except UnicodeEncodeError as error:
            start = characters + error.start
            raise UnicodeEncodeError(
                "utf-8", text[error.start], start, start + 1, error.reason
            ) from None
        characters += len(text)
        offset += len(piece)


# -------------------------------------------------------------------------------------- encodings


def _head(data: Block) -> bytes:
    """The first bytes, by which a file is judged."""
    return bytes(bytes_of(data[:_JUDGED]))


_JUDGED = 2**16


def _to_utf8(data: Block, name: str, encoding: str | None, remedy: str = "") -> Block:
    """``data`` as UTF-8 without its byte-order mark; itself, not a copy, if it is UTF-8.

    Whether a file is UTF-8 is not known before its survey.
    """
    head = _head(data)
    codec = encoding if encoding is not None else _marked(head)
    found = file_type(head)
    try:
        known = codecs.lookup(codec).name
        if found and found.certain and not known.startswith(("utf-16", "utf-32")):
            raise _not_text(name, found)
        if known == "utf-8":
            if isinstance(data, memoryview):
                _check_utf_8(data)
                if encoding is None:
                    _check_binary(head, len(data), name, found, remedy)
            return data[3:] if head.startswith(_UTF_8_MARK) else data
        if isinstance(data, FileBlock):
            return _copied((known, _identified(data)), name, _transcoded(data, codec))
        text = bytes(data).decode(codec).removeprefix("\ufeff")
        return memoryview(text.encode("utf-8"))
    except UnicodeEncodeError as error:  # some codecs accept lone surrogates, which are not text
        other = remedy or _other_encoding(data, codec, 0)
        half = error.object[0] if len(error.object) == 1 else error.object[error.start]
        raise CorpusError(
            f"{name}: {codec.upper()} gives half a character, U+{ord(half):04X}, "
            f"at character {error.start:,}; {other}"
        ) from error
    except UnicodeDecodeError as error:
        raise _not_decoded(data, name, codec, encoding, error.start, remedy) from error
    except (LookupError, ValueError, AssertionError) as error:
        raise RequestError(
            f"{name}: cannot decode with --encoding {codec}: {error!s:.100}; for example utf-8, "
            "latin-1, cp1252"
        ) from error


def _not_decoded(
    data: Block, name: str, codec: str, encoding: str | None, offset: int, remedy: str = ""
) -> CorpusError:
    """The error for bytes that are not ``codec`` at ``offset``."""
    head = _head(data)
    found = file_type(head)
    if found:
        return _not_text(name, found)
    start = min(offset, len(data) - 1)  # Punycode can place the error after the last byte
    byte = bytes_of(data[start : start + 1])[0]
    place = f"byte 0x{byte:02x} at offset {start:,} "
    cause = f"{place}(line {_line(data, codec, start):,}) is not valid {codec.upper()}"
    if encoding is None and codec == "utf-8" and (binary := _looks_binary(head)):
        return CorpusError(f"{name}: this is not text: {cause}, and {binary}; give a text file")
    return CorpusError(f"{name}: {cause}; {remedy or _other_encoding(data, codec, start)}")


def _marked(data: bytes) -> str:
    """The encoding that a byte-order mark says; UTF-8 without one."""
    if data.startswith(_UTF_32_MARKS):
        return "utf-32"
    return "utf-16" if data.startswith(_UTF_16_MARKS) else "utf-8"


def _check_utf_8(data: memoryview) -> None:
    """UnicodeDecodeError, with its place in ``data``, for bytes that are not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0
    for piece in pieces(data):
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(piece, final=offset + len(piece) == len(data))
        except UnicodeDecodeError as error:
            start = offset - held + error.start
            raise UnicodeDecodeError("utf-8", b"", start, start + 1, error.reason) from None
        offset += len(piece)


def _check_binary(head: bytes, size: int, name: str, found: FileType | None, remedy: str) -> None:
    """CorpusError for valid UTF-8 with NULs that looks like another encoding or a known format."""
    if not has_nul(head):
        return
    if (order := utf_16_order(head)) and size % 2 == 0:
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


def _line(data: Block, codec: str, offset: int) -> int:
    """The number of the line in which the byte at ``offset`` is."""
    before = data[:offset]
    try:
        decoder = codecs.getincrementaldecoder(codec)()
        return sum(decoder.decode(bytes(piece)).count("\n") for piece in pieces(before)) + 1
    except (UnicodeError, LookupError):  # a codec that cannot decode a part of a text
        return sum(bytes(piece).count(b"\n") for piece in pieces(before)) + 1


def _other_encoding(data: Block, codec: str, offset: int) -> str:
    """Which encoding to try after ``codec`` has failed at ``offset``."""
    head = _head(data)
    if codec != "utf-8":
        other = "utf-8"
    elif head.startswith(_UTF_16_MARKS):
        other = "utf-16"
    else:
        around = bytes(bytes_of(data[offset : offset + 2**20]))
        other = utf_16_order(head) or code_page(around)
    return _name_encoding(other)


def _name_encoding(encoding: str) -> str:
    return f"name the file's encoding, for example --encoding {encoding}"


def _not_text(name: str, found: FileType) -> CorpusError:
    file = shlex.quote(name) if name != "standard input" else "FILE"
    remedy = found.remedy.replace("FILE", file)
    return CorpusError(f"{name}: this is not text: it looks like {found.name}; {remedy}")


@dataclass(frozen=True)
class _File:
    """A file to read, or standard input.

    path: None for a stream that has none
    source: as ``Text.sources`` names it; ``name``: as messages do
    chosen: whether it was named itself, so that it must not be left out
    """

    path: Path | None
    source: str
    chosen: bool = True
    stream: BinaryIO | None = None

    @property
    def name(self) -> str:
        return STDIN if self.source == "-" else self.source

    @cached_property
    def size(self) -> int:
        """About how many bytes of text it has."""
        if self.path is None:
            return 0
        with contextlib.suppress(OSError):
            return os.stat(self.path).st_size * (_GZIP if self.path.suffix == ".gz" else 1)
        return 0

    def read(self, long: bool) -> Block:
        """Its bytes, decompressed if its name ends in .gz.

        CorpusError if it is not a regular file, cannot be read, or changes while it is read.
        """
        if self.path is None:
            return memoryview(self.stream.read() if self.stream else b"")
        with _reading_errors(self.path):
            if not stat.S_ISREG(os.stat(self.path).st_mode):  # opening a pipe could block
                raise CorpusError(
                    f"{self.path}: not a regular file, so it could not be read again later; give - "
                    f"instead and pipe it in: - < {shlex.quote(str(self.path))}"
                )
            compressed = self.path.suffix == ".gz"
            if long:
                block = FileBlock.whole(self.path, self.name)
                if not compressed:
                    return block
                return _copied(("gzip", _identified(block)), self.name, _decompressed(block))
            with self.path.open("rb") as file:
                before = os.fstat(file.fileno())
                data = file.read()
                after = os.fstat(file.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise changed(self.name, before.st_size, after.st_size)
            return memoryview(gzip.decompress(data) if compressed else data)


@contextlib.contextmanager
def _reading_errors(path: Path) -> Iterator[None]:
    """Errors of the system and of gzip, as CorpusError."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorpusError(
            f"{path}: not a complete gzip file ({error}); download or copy it again"
        ) from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror or error})") from error


_GZIP = 4
"""About how many times longer a compressed text is than its file."""

STDIN = "standard input"


def _decompressed(block: FileBlock) -> Iterator[bytes]:
    """The content of a gzip file."""
    with _reading_errors(block.path), gzip.open(block.path) as content:
        while piece := content.read(utf8.SLICE):
            yield piece
    block[-1:].read()  # an error if the file is another one by now


def _files(source: str, stdin: BinaryIO | None) -> Iterator[_File]:
    """What ``source`` names, files in sorted order."""
    if source == "-":
        if stdin is None:
            raise RequestError("'-' reads standard input, which is not available here")
        yield _File(_path_of(stdin), "-", stream=stdin)
    else:
        yield from (_File(path, str(path), chosen) for path, chosen in _expand(source))


def _path_of(stream: BinaryIO) -> Path | None:
    """The regular file that ``stream`` reads from its beginning, if it is one with a name."""
    try:
        path = Path(stream.name)
        same = os.path.samestat(os.fstat(stream.fileno()), os.stat(path))
        return path if same and path.is_file() and stream.tell() == 0 else None
    except (AttributeError, TypeError, ValueError, OSError):
        return None


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
