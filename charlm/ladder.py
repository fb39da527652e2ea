"""The ladder: the bits per character of simple baselines on the same text.

    uniform          all characters of the alphabet equally likely: log2(V)
    unigram          how often each character occurs in the training text
    n-gram           interpolated modified Kneser-Ney (charlm.ngram)
    gzip, bz2, xz    general compressors, given the training text

A model that is no better than the n-gram has learned nothing that counting would not have found.

uniform, unigram and n-gram follow the package's convention: sums of nats over the counted
characters, bits = nats / ln 2, and the first character of the evaluated text is context and is not
counted. Their alphabet is that of training and evaluated text together, and each gives every
character in it a probability above zero. The compressors count every character, because the first
one costs them bits like any other, and they keep learning while they read the evaluated text. In an
alphabetical list, where each line repeats the beginning of the one before, that is an advantage.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from charlm.errors import RequestError
from charlm.ngram import DEFAULT_ORDER, Floats, NGramModel

if TYPE_CHECKING:
    from charlm.generate import CharLM
    from charlm.mixture import Apart

Compressor = Callable[[bytes], bytes]

# The n-gram and the compressors use at most this much training text, its end: with 20 million
# characters they need about a minute and 1.5 GB.
MAX_TRAIN_CHARS = 20_000_000
CODE_POINTS = 0x110000


@dataclass(frozen=True)
class Rung:
    """One line of the ladder.

    bits_per_char: None if the text is too short or too regular for this compressor to measure
    note: how the value was obtained, or why there is none
    """

    name: str
    bits_per_char: float | None
    note: str


def ladder(
    train_text: str, text: str, *, order: int = DEFAULT_ORDER, max_train: int = MAX_TRAIN_CHARS
) -> list[Rung]:
    """The bits per character of ``text`` given ``train_text``: six rungs, in the order above.

    The unigram adds one to every count, so that a character new to it has a finite cost. The
    n-gram and the compressors use the last ``max_train`` characters of the training text; if that
    is not all of it, their notes say so. Raises RequestError for an empty training text and for a
    text of fewer than 2 characters.
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
    cut = "" if len(recent) == len(train_text) else f"; last {max_train:,} of training only"
    return [
        Rung("uniform", math.log2(vocab_size), f"log2({vocab_size})"),
        Rung("unigram", _mean_bits(-np.log(unigram[ids[1:]])), "character frequencies, add-one"),
        Rung(f"{order}-gram", _mean_bits(ngram.nats(ids)), f"modified Kneser-Ney{cut}"),
        *(_compressed(archiver, recent, text, cut) for archiver in ARCHIVERS),
    ]


def item_ladder(
    train: Sequence[str], items: Sequence[str], end: str, *, order: int = DEFAULT_ORDER
) -> list[Rung]:
    """The bits per character of ``items`` given the training items, end symbols counted: uniform,
    unigram and n-gram. Nothing is carried from one item to the next.

    For the n-gram, ``order - 1`` end symbols stand before every item, as for a model that pads
    sentences at their beginning (Chen & Goodman, 1999), so that its context never reaches into
    another item. Raises RequestError if there are no items.
    """
    if not train or not items:
        raise RequestError("there are no items to compare: give some")
    pads = end * (order - 2)  # the end symbol of the item before is one more

    def padded(texts: Sequence[str]) -> str:
        return end + "".join(pads + text + end for text in texts)

    train_points, points = _code_points(padded(train)), _code_points(padded(items))
    alphabet = np.unique(np.concatenate([train_points, points]))
    vocab_size = len(alphabet)
    train_ids, ids = (np.searchsorted(alphabet, each) for each in (train_points, points))
    lengths = np.array([len(text) + 1 for text in items])
    # Which ids are counted: those of the items and of their end symbols, not the padding.
    counted = np.repeat(
        np.tile([False, True], len(items)), np.ravel([[len(pads), n] for n in lengths])
    )
    counts = np.bincount(np.searchsorted(alphabet, _code_points("".join(t + end for t in train))))
    counts = np.pad(counts, (0, vocab_size - len(counts)))
    unigram = (counts + 1) / (counts.sum() + vocab_size)
    targets = ids[1:][counted]
    ngram = NGramModel.fit(train_ids, vocab_size, order)
    return [
        Rung("uniform", math.log2(vocab_size), f"log2({vocab_size})"),
        Rung("unigram", _mean_bits(-np.log(unigram[targets])), "character frequencies, add-one"),
        Rung(f"{order}-gram", _mean_bits(ngram.nats(ids)[counted]), "modified Kneser-Ney, by item"),
    ]


# ------------------------------------------------------------------------------------- compressors


@dataclass(frozen=True)
class Archiver:
    """A compressor, and how finely the growth of its archives measures a text.

    least, most: bytes; see ``resolution``
    """

    name: str
    compress: Compressor
    note: str
    least: int
    most: int

    def resolution(self, archive: int) -> int:
        """Bytes by which an archive of ``archive`` bytes can grow or shrink because of its format
        alone if the text becomes a few characters longer.

        gzip writes whole bytes, xz pads to multiples of 4, and bz2 recomputes the code tables of a
        block. Seen on prose and on source code, 1 kB to 2.5 MB: gzip up to 19 bytes, xz 8; bz2 up
        to 27 in an archive of 0.5 kB, 47 in one of 16 kB, 176 in larger ones.
        """
        return min(self.most, self.least + archive // 200)


ARCHIVERS = (
    Archiver("gzip", lambda data: gzip.compress(data, 9, mtime=0), "-9, 32 KiB window", 20, 20),
    Archiver("bz2", lambda data: bz2.compress(data, 9), "-9, blocks of 900 kB", 30, 200),
    Archiver(
        "xz",
        lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
        "-9e, 64 MiB window",
        20,
        20,
    ),
)


def archive_sizes(compress: Compressor, train_text: str, text: str) -> tuple[int, int]:
    """(len(C(train)), len(C(train + text))): bytes of archives of the training text without and
    with ``text``, both in UTF-8; lone surrogates are encoded like other code points.

    How much of the training text helps depends on the compressor: gzip has a window of 32 KiB,
    however long the training text is; bz2 sorts blocks of 900 kB separately, so only the training
    text in the same block helps; xz has a window of 64 MiB. The second archive can be the smaller
    one, see ``Archiver.resolution``.
    """
    train_bytes, text_bytes = (part.encode("utf-8", "surrogatepass") for part in (train_text, text))
    return len(compress(train_bytes)), len(compress(train_bytes + text_bytes))


def _compressed(archiver: Archiver, train_text: str, text: str, cut: str) -> Rung:
    """8 bits for each byte that the text adds, over all characters of the text."""
    before, after = archive_sizes(archiver.compress, train_text, text)
    added, least = after - before, archiver.resolution(before)
    if added < least:
        note = f"below resolution: the text adds {added} bytes, fewer than {least}"
        return Rung(archiver.name, None, note)
    return Rung(archiver.name, 8 * added / len(text), archiver.note + cut)


def parts_of(model: CharLM, apart: Apart | None) -> list[Rung]:
    """The rungs of a model's two parts, network and counts, if it has both (``charlm.counts``)."""
    if apart is None or model.counts is None:
        return []
    cell, counts = model.config.cell, model.counts
    return [
        Rung(cell, apart.network.bits_per_char, "the network alone"),
        Rung(
            counts.name,
            apart.ngram.bits_per_char,
            f"the run's counts alone; together {counts.describe()}",
        ),
    ]


# ------------------------------------------------------------------------------------------- table


def format_ladder(
    rungs: Iterable[Rung], *, model_bits: float | None = None, model_name: str = "model"
) -> str:
    """The rungs as an aligned table, most bits first, with an arrow at the model's line.

    A model that ties with a rung is placed above it: it is not better. A rung without a value comes
    last, with ``-`` for the value. Without ``model_bits`` the table has the rungs alone. Raises
    RequestError if ``model_bits`` is negative or not a number.
    """
    rows = [(rung.bits_per_char, "  ", rung.name, rung.note) for rung in rungs]
    if model_bits is not None:
        if not model_bits >= 0:
            raise RequestError(f"model_bits is {model_bits}: give bits per character, 0 or more")
        rows.insert(0, (model_bits, "->", model_name, ""))
    rows.sort(key=lambda row: math.inf if row[0] is None else -row[0])  # stable: ties keep order
    width = max((len(name) for _, _, name, _ in rows), default=0)
    lines = [
        f"{arrow}{'-' if bits is None else f'{bits:.3f}':>8}  {name:<{width}}  {note}"
        for bits, arrow, name, note in rows
    ]
    return "\n".join(line.rstrip() for line in ["   bits per character", *lines])


def _code_points(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _mean_bits(nats: Floats) -> float:
    return float(nats.sum() / len(nats) / math.log(2))
