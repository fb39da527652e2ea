"""The corpora that charlm can generate or download.

Generated corpora need no network: `viaggi` comes from the grammar, the two Python corpora from the
standard library of the running interpreter. Downloads are verified by SHA-256, so that a figure
measured on one refers to the same text everywhere.
"""

from __future__ import annotations

import ast
import hashlib
import os
import random
import sys
import sysconfig
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from charlm.errors import CorpusError, RequestError
from charlm.extras import how_to_install
from charlm.files import write_atomically

VIAGGI_CHARS = 1_000_000
DEFAULT_SEED = 2009


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue. `kind` is "make" or "get"; `size` is a description."""

    name: str
    kind: str
    size: str
    language: str
    source: str
    description: str


CATALOGUE = (
    Entry(
        "viaggi",
        "make",
        "1 MB, or --chars",
        "Italian",
        "generated; same licence as charlm",
        "a travel diary from a seeded grammar",
    ),
    Entry(
        "python-prose",
        "make",
        "about 1.8 MB",
        "English",
        "Python's documentation; PSF licence",
        "paragraphs of the standard library's docstrings and help topics, shuffled",
    ),
    Entry(
        "python-stdlib",
        "make",
        "about 12 MB",
        "Python",
        "Python's source; PSF licence",
        "the source files of the standard library, tests left out",
    ),
    Entry(
        "shakespeare",
        "get",
        "1.1 MB",
        "English",
        "karpathy/char-rnn; public domain",
        "tiny Shakespeare: scenes from the plays",
    ),
    Entry(
        "dante",
        "get",
        "0.5 MB",
        "Italian",
        "gmagistr/divina-commedia-nanogpt; public domain",
        "the Divina Commedia, after Project Gutenberg",
    ),
    Entry(
        "names",
        "get",
        "0.2 MB",
        "English",
        "karpathy/makemore; public data",
        "32 thousand first names, one per line",
    ),
)


@dataclass(frozen=True)
class Download:
    """The address of a corpus, and the SHA-256 of its bytes in lower-case hexadecimal."""

    url: str
    sha256: str


_RAW = "https://raw.githubusercontent.com"
# A later version of the file ends with a table of special characters.
_DANTE_COMMIT = "8f4e82cbcfeadca0b641bf60970e81ffdae9a3f4"
DOWNLOADS: Mapping[str, Download] = {
    "shakespeare": Download(
        f"{_RAW}/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
    "dante": Download(
        f"{_RAW}/gmagistr/divina-commedia-nanogpt/{_DANTE_COMMIT}/divina_commedia.txt",
        "81f9544d85aff13c525d5f7e5428e628a6acbe60ad749f9df1ccf952f34de4a9",
    ),
    "names": Download(
        f"{_RAW}/karpathy/makemore/master/names.txt",
        "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
    ),
}


def python_version() -> str:
    """The version that generates a Python corpus, to be named with any figure: "CPython 3.11.7"."""
    name = {"cpython": "CPython", "pypy": "PyPy"}.get(sys.implementation.name)
    return f"{name or sys.implementation.name} {'.'.join(map(str, sys.version_info[:3]))}"


# ---- viaggi -----------------------------------------------------------------------------------


def make_viaggi(num_chars: int = VIAGGI_CHARS, seed: int = DEFAULT_SEED) -> str:
    """The Italian travel diary: exactly `num_chars` characters, the last of them a newline.

    The last entry is cut when the count is reached. The text is a function of (seed, num_chars) on
    every platform and Python version, and a longer text of the same seed begins with the shorter
    one. Raises RequestError if num_chars is less than 1.
    """
    from charlm.text.grammar import diary

    if num_chars < 1:
        raise RequestError(f"a corpus of {num_chars} characters is empty: ask for at least 1")
    return diary(random.Random(seed), num_chars)


# ---- the standard library ---------------------------------------------------------------------

_LEFT_OUT = {
    "test",
    "tests",
    "idle_test",
    "site-packages",
    "dist-packages",
    "__pycache__",
    "lib-dynload",
}


def _stdlib_files(root: Path | None) -> Iterator[tuple[str, Path]]:
    """(relative path with "/", path) of the library's source files, in the order of those paths."""
    root = Path(sysconfig.get_paths()["stdlib"]) if root is None else root
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [
            name for name in folders if name not in _LEFT_OUT and not name.startswith("config-")
        ]
        for name in files:
            if name.endswith(".py") and not name.startswith("_sysconfigdata"):
                path = Path(folder, name)
                found.append((path.relative_to(root).as_posix(), path))
    if not found:
        raise CorpusError(f"no standard library sources in {root}: this Python has none")
    yield from sorted(found)


def _read(path: Path) -> str | None:
    """The text of a source file, or None if it is not UTF-8 or cannot be read."""
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _docstrings(source: str) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node, clean=True)
            if text:
                yield text


def _topics() -> list[str]:
    """The help topics of this interpreter; some builds have none."""
    try:
        from pydoc_data import topics
    except ImportError:
        return []
    return [topics.topics[name] for name in sorted(topics.topics)]


def _is_prose(paragraph: str) -> bool:
    """Whether a paragraph reads as English sentences rather than as markup, tables or code."""
    if any(mark in paragraph for mark in (">>>", "::=", "\n..", "+--", "===", "---", "\x00")):
        return False
    letters = sum(char.isalpha() or char.isspace() for char in paragraph)
    tokens = paragraph.split()
    words = sum(token.strip(".,;:()'\"?!").isalpha() for token in tokens)
    return len(tokens) >= 6 and letters >= 0.8 * len(paragraph) and words >= 0.6 * len(tokens)


def make_python_prose(seed: int = DEFAULT_SEED, root: Path | None = None) -> str:
    """English prose that every Python installation contains, about 1.8 MB, shuffled by the seed.

    Paragraphs of the docstrings of every module, class and function of the standard library, and of
    `pydoc_data.topics` (what `help("for")` prints). Indentation is removed; each paragraph occurs
    once; blank lines separate them. Left out: directories of tests, paragraphs with doctests or
    grammar rules, underlined headings, directives, and paragraphs of which less than four fifths
    are letters and spaces or that have fewer than six words: signatures, tables, lists of names.
    The text depends on the Python version (`python_version`) but not on the machine. `root` is the
    folder of another standard library than this interpreter's. Raises CorpusError if it has no
    sources.
    """
    import inspect

    from charlm.text.grammar.chance import shuffle

    texts: list[str] = []
    for _, path in _stdlib_files(root):
        source = _read(path)
        if source is not None:
            texts.extend(_docstrings(source))
    if root is None:
        texts.extend(_topics())
    unique: dict[str, None] = {}
    for text in texts:
        for block in "\n".join(line.rstrip() for line in text.splitlines()).split("\n\n"):
            paragraph = inspect.cleandoc(block).strip()
            if _is_prose(paragraph):
                unique.setdefault(paragraph)
    # Sorted first, so that the order does not depend on the order of the files.
    paragraphs = sorted(unique)
    shuffle(random.Random(seed), paragraphs)
    return "\n\n".join(paragraphs) + "\n"


def make_python_stdlib(root: Path | None = None) -> str:
    """The source files of the standard library in the order of their paths, about 12 MB.

    Tests, installed packages and generated tables are left out, as are files that are not UTF-8.
    The text differs between Python versions: see `python_version`.
    """
    sources = (_read(path) for _, path in _stdlib_files(root))
    return "\n".join(text for text in sources if text)


# ---- writing and downloading ------------------------------------------------------------------


def write(path: Path, text: str) -> None:
    """Write UTF-8 with '\\n' line ends, atomically.

    Raises CorpusError if the folder or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode("utf-8"))
    except OSError as error:
        raise CorpusError(f"cannot write {path}: {error.strerror or error}") from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes in lower-case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Fetched:
    """A downloaded corpus: its file, and whether that existed already."""

    path: Path
    reused: bool


def fetch(
    name: str,
    directory: Path,
    *,
    filename: str | None = None,
    force: bool = False,
    downloads: Mapping[str, Download] = DOWNLOADS,
    timeout: float = 30.0,
) -> Fetched:
    """Download a corpus into `directory` as NAME.txt (or `filename`) and verify its SHA-256.

    A file with the right hash is reused. A different file of that name is replaced only with
    `force`. The download is verified before it is written to `directory`, and written atomically.
    `downloads` is the table of addresses, `timeout` is in seconds. Raises RequestError for a name
    that is not in the table, a different file of that name or a missing pooch; CorpusError if the
    download fails or its hash is wrong.
    """
    if name not in downloads:
        raise RequestError(f"no corpus {name!r} to download: choose from {', '.join(downloads)}")
    wanted = downloads[name]
    target = directory / (filename or f"{name}.txt")
    try:
        if target.is_file() and file_sha256(target) == wanted.sha256:
            return Fetched(target, reused=True)
    except OSError as error:
        raise CorpusError(f"cannot read {target}: {error.strerror or error}") from error
    if target.exists() and not force:
        raise RequestError(f"{target} exists and is a different text: give --force to replace it")
    try:
        import pooch
    except ImportError as error:
        raise RequestError(
            f"downloading needs pooch, which is not installed: {how_to_install('data')}"
        ) from error
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as elsewhere:
            arrived = Path(elsewhere, name)
            pooch.HTTPDownloader(timeout=timeout, progressbar=False)(wanted.url, arrived, None)
            data = arrived.read_bytes()
        got = hashlib.sha256(data).hexdigest()
        if got != wanted.sha256:
            raise CorpusError(
                f"{wanted.url} is not the expected text: SHA-256 {got}, expected {wanted.sha256}; "
                "it may have changed, or the download was cut short: try again later"
            )
        write_atomically(target, data)
    except (OSError, ValueError) as error:
        # requests raises subclasses of OSError for refused connections and HTTP errors alike.
        cause = " ".join(str(error).split())
        raise CorpusError(f"cannot download {wanted.url}: {cause}; is the network up?") from error
    return Fetched(target, reused=False)
