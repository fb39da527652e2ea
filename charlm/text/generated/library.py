"""Texts that every installation of Python contains: `python-prose` and `python-stdlib`.

They are the docstrings and the source files of the running interpreter's standard library, so they
differ between Python versions (`python_version`), but not between machines.
"""

from __future__ import annotations

import ast
import os
import random
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

from charlm.errors import CorpusError


def python_version() -> str:
    """The version that generates a Python corpus, to be named with any figure: "CPython 3.11.7"."""
    name = {"cpython": "CPython", "pypy": "PyPy"}.get(sys.implementation.name)
    return f"{name or sys.implementation.name} {'.'.join(map(str, sys.version_info[:3]))}"


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


def make_python_prose(seed: int, root: Path | None = None) -> str:
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
