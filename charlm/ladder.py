"""The ladder: what a text costs without a neural network, so that bits per character say something.

    uniform          every character of the alphabet alike: log2(V)
    unigram          how often each character occurs in the training text
    n-gram           interpolated modified Kneser-Ney: what counting can do
    gzip, bz2, xz    the compressors everybody has, given the training text

A model that does not get below the n-gram has learnt nothing that counting would not have found.

The statistical rungs follow the package's convention: sums of nats over the counted characters,
bits = nats / ln 2, and the first character of the evaluated text is context and is not counted.
Their alphabet is that of training and evaluated text together, and each of them gives every
character of it a probability above zero. The compressors count every character, because the first
costs them bits like any other, and they go on learning while they read the evaluated text: on a
list in alphabetical order, where each line repeats the last one's beginning, that shows.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.errors import RequestError
from charlm.ngram import DEFAULT_ORDER, Floats, NGramModel

Compressor = Callable[[bytes], bytes]

# From a longer training text the n-gram and the compressors take the last part only: at this length
# they need about a minute and 1.5 GB.
MAX_TRAIN_CHARS = 20_000_000
CODE_POINTS = 0x110000


@dataclass(frozen=True)
class Rung:
    """One value of the ladder, and in a few words how it was obtained."""

    name: str
    bits_per_char: float
    note: str


def ladder(
    train_text: str, text: str, *, order: int = DEFAULT_ORDER, max_train: int = MAX_TRAIN_CHARS
) -> list[Rung]:
    """The bits per character of `text` given `train_text`, one rung each in the order of this file.

    The unigram adds one to every count, so that a character new to it has a finite cost. The
    n-gram and the compressors use the last `max_train` characters of the training text; their
    notes say so where that is not all of it. Raises RequestError for an empty training text and
    for a text of fewer than 2 characters.
    """
    if not train_text:
        raise RequestError("the ladder's training text is empty: give at least one character")
    if len(text) < 2:
        raise RequestError(
            f"the text to measure has {len(text)} characters: give at least 2, the first is context"
        )
    if max_train < 1:
        raise RequestError(f"max_train is {max_train} characters: give 1 or more")
    train_points, points = _code_points(train_text), _code_points(text)
    train_counts = np.bincount(train_points, minlength=CODE_POINTS)
    alphabet = np.flatnonzero(train_counts + np.bincount(points, minlength=CODE_POINTS))
    vocab_size = len(alphabet)
    id_of = np.zeros(CODE_POINTS, np.int64)
    id_of[alphabet] = np.arange(vocab_size)
    ids = id_of[points]

    unigram = (train_counts[alphabet] + 1) / (len(train_text) + vocab_size)
    ngram = NGramModel.fit(id_of[train_points[-max_train:]], vocab_size, order)
    recent = train_text[-max_train:]
    cut = "" if len(recent) == len(train_text) else f"; of training the last {max_train:,} only"
    return [
        Rung("uniform", math.log2(vocab_size), f"log2({vocab_size})"),
        Rung("unigram", _mean_bits(-np.log(unigram[ids[1:]])), "character frequencies, add-one"),
        Rung(f"{order}-gram", _mean_bits(ngram.nats(ids)), f"modified Kneser-Ney{cut}"),
        *(
            Rung(name, compressed_bits(compress, recent, text), note + cut)
            for name, compress, note in _compressors()
        ),
    ]


def compressed_bits(compress: Compressor, train_text: str, text: str) -> float:
    """8 (len(C(train + text)) - len(C(train))) / characters of text, in UTF-8; surrogates pass.

    This is what the text adds to an archive that holds the training text already, its first
    character included. It measures the compressor's memory too: gzip sees back 32 KiB, however
    long the training text is; bz2 sorts blocks of 900 kB one by one, so that the text gains from
    the training text in its own block only, and the figure moves with the block's boundary; xz
    sees back 64 MiB. Whole bytes, and xz's padding to 4 of them, make the figure rough for a text
    of a few hundred characters.
    """
    train_bytes, text_bytes = (part.encode("utf-8", "surrogatepass") for part in (train_text, text))
    added = len(compress(train_bytes + text_bytes)) - len(compress(train_bytes))
    return 8 * added / len(text)


def _compressors() -> list[tuple[str, Compressor, str]]:
    extreme = 9 | lzma.PRESET_EXTREME
    return [
        ("gzip", lambda data: gzip.compress(data, 9, mtime=0), "-9, sees back 32 KiB"),
        ("bz2", lambda data: bz2.compress(data, 9), "-9, blocks of 900 kB"),
        ("xz", lambda data: lzma.compress(data, preset=extreme), "-9e, sees back 64 MiB"),
    ]


def _code_points(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _mean_bits(nats: Floats) -> float:
    return float(nats.sum() / len(nats) / math.log(2))


def format_ladder(
    rungs: Iterable[Rung], *, model_bits: float | None = None, model_name: str = "model"
) -> str:
    """The rungs as an aligned table, highest bits first, the model among them behind an arrow.

    A model that ties with a rung stands above it, for it has not got below. Without `model_bits`
    the table has the rungs alone. Raises RequestError for `model_bits` below 0 or not a number.
    """
    rows = [(rung.bits_per_char, "  ", rung.name, rung.note) for rung in rungs]
    if model_bits is not None:
        if not model_bits >= 0:
            raise RequestError(f"model_bits is {model_bits}: give bits per character, 0 or more")
        rows.insert(0, (model_bits, "->", model_name, ""))
    rows.sort(key=lambda row: -row[0])  # stable: the model stays above a rung it ties with
    width = max((len(name) for _, _, name, _ in rows), default=0)
    lines = [f"{arrow}{bits:8.3f}  {name:<{width}}  {note}" for bits, arrow, name, note in rows]
    return "\n".join(line.rstrip() for line in ["   bits per character", *lines])
