"""What a file that is not text looks like, from its first bytes, and how to get text out of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DECOMPRESS = "decompress it first: "
_TEXT = "give a text file"


@dataclass(frozen=True)
class FileType:
    """A kind of file.

    name: with its article, for "it looks like ..."
    remedy: what to do to get text
    certain: whether no text begins like this; otherwise the bytes count only if the rest cannot be
             read as text either
    """

    name: str
    remedy: str
    certain: bool = True


# (offset, first bytes, type), the more specific first. Formats: their specifications, and the
# table of the Unix command `file`.
_SIGNATURES = [
    (0, b"%PDF-", FileType("a PDF document", "convert it first: pdftotext FILE")),
    (0, b"\x1f\x8b", FileType("gzip", "add .gz to its name, then charlm decompresses it")),
    (0, b"\xfd7zXZ\0", FileType("xz", f"{_DECOMPRESS}xz -d FILE")),
    (0, b"\x28\xb5\x2f\xfd", FileType("zstd", f"{_DECOMPRESS}zstd -d FILE")),
    (0, b"BZh", FileType("bzip2", f"{_DECOMPRESS}bunzip2 FILE", certain=False)),
    (0, b"7z\xbc\xaf\x27\x1c", FileType("a 7z archive", "unpack it first: 7z x FILE")),
    (0, b"Rar!\x1a\x07", FileType("a RAR archive", "unpack it first: unrar x FILE")),
    (
        0,
        b"PK\x03\x04",
        FileType(
            "a zip archive (.zip, .docx, .odt, .epub)",
            "unpack it first (unzip FILE), or save the document as plain text",
        ),
    ),
    (257, b"ustar", FileType("a tar archive", "unpack it first: tar -xf FILE", certain=False)),
    (
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        FileType("an old Office document (.doc, .xls)", "save it as plain text"),
    ),
    (0, b"\x89PNG", FileType("a PNG image", _TEXT)),
    (0, b"\xff\xd8\xff", FileType("a JPEG image", _TEXT)),
    (0, b"GIF8", FileType("a GIF image", _TEXT, certain=False)),
    (0, b"II*\0", FileType("a TIFF image", _TEXT)),
    (0, b"MM\0*", FileType("a TIFF image", _TEXT)),
    (8, b"WEBP", FileType("a WebP image", _TEXT, certain=False)),
    (8, b"WAVE", FileType("a WAV sound file", _TEXT, certain=False)),
    (0, b"ID3", FileType("an MP3 sound file", _TEXT, certain=False)),
    (0, b"OggS\0", FileType("an Ogg sound or video file", _TEXT)),
    (0, b"fLaC", FileType("a FLAC sound file", _TEXT, certain=False)),
    (4, b"ftyp", FileType("an MP4 video", _TEXT, certain=False)),
    (0, b"\x1aE\xdf\xa3", FileType("a Matroska or WebM video", _TEXT)),
    (0, b"\x7fELF", FileType("a Linux program", _TEXT)),
    (0, b"MZ", FileType("a Windows program", _TEXT, certain=False)),
    (0, b"SQLite format 3\0", FileType("an SQLite database", "export the text first")),
    (0, b"PAR1", FileType("a Parquet table", "export the text first", certain=False)),
]

_EARLY = 8192
"""Bytes in which a NUL is looked for."""

_JUDGED = 2**20
"""Bytes by which an encoding is judged."""

_CONTROLS = re.compile(rb"[\x00-\x07\x0e-\x1a\x1c-\x1f]")

_UTF_8 = re.compile(
    rb"[\x00-\x7f]+|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)


def file_type(data: bytes) -> FileType | None:
    """The type that ``data`` begins like, or None."""
    for offset, signature, found in _SIGNATURES:
        if data.startswith(signature, offset):
            return found
    return None


def has_nul(data: bytes) -> bool:
    """Whether there is a NUL early on, as in nearly every binary format and in no UTF-8 text."""
    return b"\0" in data[:_EARLY]


def control_bytes(data: bytes) -> tuple[int, int]:
    """(how many of the first bytes are control characters that no text has, how many bytes that
    were). Tab, line ends, form feed, backspace and escape do occur in texts."""
    start = data[:_EARLY]
    return len(_CONTROLS.findall(start)), len(start)


def utf_16_order(data: bytes) -> str | None:
    """``utf-16-le`` or ``utf-16-be`` if ``data`` looks like such text without a byte-order mark.

    Letters of the Latin script have a NUL as every second byte there.
    """
    start = data[: _EARLY // 2 * 2]
    for name, zeros, others in (
        ("utf-16-le", start[1::2], start[0::2]),
        ("utf-16-be", start[0::2], start[1::2]),
    ):
        if zeros.count(0) > len(zeros) / 2 and not others.count(0):
            return name
    return None


def code_page(data: bytes) -> str:
    """cp1252 or latin-1 for ``data`` that is not UTF-8, judged by its bytes 0x80 to 0x9F.

    In latin-1 they are control characters, which no text has; in cp1252, which is otherwise the
    same, they are curly quotes, dashes and the euro sign. Five of them have no meaning in cp1252
    either. Valid UTF-8 sequences are left out first, for files that mix the two.
    """
    alone = _UTF_8.sub(b"", data[:_JUDGED])
    if not any(0x80 <= byte <= 0x9F for byte in alone):
        return "latin-1"
    try:
        alone.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"
