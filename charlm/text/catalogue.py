"""The corpora that charlm can generate or download.

Generated corpora need no network: they come from the grammar, from rules, from the standard library
of the running interpreter or from the package Faker. Downloads are in `charlm.text.downloads`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from charlm.errors import CorpusError, RequestError
from charlm.files import write_atomically
from charlm.text.generated.lines import Pair, as_tsv, distinct
from charlm.text.grammar.chance import Rng

VIAGGI_CHARS = 1_000_000
LINES = 20_000
DEFAULT_SEED = 2009


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue.

    `kind` is "make" or "get"; `task` is "text", or what the labels of its lines are for:
    "classify", "tag" or "rewrite"; `size` is a description; `options` are those of
    `charlm corpus make` that it takes.
    """

    name: str
    kind: str
    size: str
    language: str
    source: str
    description: str
    task: str = "text"
    options: tuple[str, ...] = ()

    @property
    def filename(self) -> str:
        """The file that it is written to by default: plain text, or lines text<TAB>label."""
        return f"{self.name}.{'txt' if self.task == 'text' else 'tsv'}"


_GENERATED = "generated; same licence as charlm"
_FAKER = "the package Faker; MIT licence"


def _labelled(name: str, task: str, language: str, description: str) -> Entry:
    """A corpus of labelled lines that are drawn at random."""
    size = f"{LINES:,} lines, or --lines"
    return Entry(name, "make", size, language, _GENERATED, description, task, ("lines", "seed"))


CATALOGUE = (
    Entry(
        "viaggi",
        "make",
        "1 MB, or --chars",
        "Italian",
        _GENERATED,
        "a travel diary from a seeded grammar",
        options=("chars", "seed"),
    ),
    Entry(
        "python-prose",
        "make",
        "about 1.8 MB",
        "English",
        "Python's documentation; PSF licence",
        "paragraphs of the standard library's docstrings and help topics, shuffled",
        options=("seed",),
    ),
    Entry(
        "python-stdlib",
        "make",
        "about 12 MB",
        "Python",
        "Python's source; PSF licence",
        "the source files of the standard library, tests left out",
    ),
    _labelled("dates", "rewrite", "Italian, English", "dates as people write them -> 1994-03-03"),
    _labelled("numbers", "rewrite", "Italian", "digits -> numbers in words, to 999,999"),
    _labelled("digits", "rewrite", "Italian, English", "numbers in words -> digits"),
    _labelled("imperfetto", "rewrite", "Italian", "sentences in the present -> in the imperfect"),
    _labelled("accents", "tag", "Italian", "sentences without accents; the sentences"),
    _labelled("capitals", "tag", "Italian", "sentences in lower case; the sentences"),
    _labelled(
        "spaces", "tag", "Italian", "sentences without spaces; B where a word begins, else I"
    ),
    _labelled("person", "tag", "Italian", "sentences; B and I on names of persons, O elsewhere"),
    Entry(
        "surnames",
        "make",
        "19 thousand lines",
        "33 countries",
        _FAKER,
        "surnames by country",
        "classify",
    ),
    Entry(
        "first-names",
        "make",
        "19 thousand lines",
        "33 countries",
        _FAKER,
        "first names by country",
        "classify",
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
class Made:
    """A corpus: its text, how long that is, and what else than charlm it depends on."""

    text: str
    size: str
    origin: str


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


def _drawn(name: str) -> Callable[[Rng], Iterator[Pair]]:
    """What draws the lines of a labelled corpus."""
    from charlm.text.generated import dates, imperfetto, numbers, tags

    sources: dict[str, Callable[[Rng], Iterator[Pair]]] = {
        "dates": dates.dates,
        "numbers": numbers.numbers,
        "digits": numbers.digits,
        "imperfetto": imperfetto.imperfetto,
        "accents": tags.accents,
        "capitals": tags.capitals,
        "spaces": tags.spaces,
        "person": tags.person,
    }
    return sources[name]


def make_labelled(name: str, num_lines: int = LINES, seed: int = DEFAULT_SEED) -> str:
    """Lines `text<TAB>label` of a corpus that is drawn at random, no two texts equal.

    The lines are a function of (name, seed, num_lines), and more lines of the same seed begin with
    the fewer ones. Raises RequestError for fewer than 1 and for more than there are.
    """
    return as_tsv(distinct(_drawn(name)(random.Random(seed)), num_lines))


def make(
    name: str,
    *,
    seed: int = DEFAULT_SEED,
    num_chars: int = VIAGGI_CHARS,
    num_lines: int = LINES,
) -> Made:
    """Make a corpus whose kind is "make"; each takes the arguments that its entry names.

    Raises RequestError if it cannot be that long or needs a package that is not installed.
    """
    from charlm.text.generated import library, surnames

    if name in ("viaggi", "python-prose", "python-stdlib"):
        if name == "viaggi":
            text, origin = make_viaggi(num_chars, seed), f"seed {seed}"
        elif name == "python-prose":
            text = library.make_python_prose(seed)
            origin = f"{library.python_version()}, seed {seed}"
        else:
            text, origin = library.make_python_stdlib(), library.python_version()
        return Made(text, f"{len(text):,} characters", origin)
    if name in surnames.USUAL:
        pairs = surnames.names(name)
        text, labels = as_tsv(pairs), len({label for _, label in pairs})
        origin = (
            f"{labels} labels, {surnames.faker_version()}; some names have several labels, so no "
            f"classifier can be right about more than {surnames.best_accuracy(pairs):.1%} of them"
        )
    else:
        text, origin = make_labelled(name, num_lines, seed), f"seed {seed}"
    return Made(text, f"{text.count(chr(10)):,} lines", origin)


def write(path: Path, text: str) -> None:
    """Write UTF-8 with '\\n' line ends, atomically.

    Raises CorpusError if the folder or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode("utf-8"))
    except OSError as error:
        raise CorpusError(f"cannot write {path}: {error.strerror or error}") from error
