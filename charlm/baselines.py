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

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Compressor = Callable[[bytes], bytes]

# Of the orders 3 to 12, 7 is best on tinyshakespeare; on the Divina Commedia 6 is, by 0.001 bits.
DEFAULT_ORDER = 7
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


# --- the n-gram model -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Level:
    """All n-grams of one length, numbered in the order of their keys, with smoothed probabilities.

    The n-gram "context, then c" has the key `context * V + c`, where `context` is the number of
    the (n-1)-gram, so the followers of one context stand side by side. Both tables of floats have
    one entry more than there are n-grams or contexts: what training never saw has the number -1,
    and Python reads -1 as "the last".
    """

    keys: Ints  # (G,) ascending
    share: Floats  # (G + 1,) discounted count / total of its context; 0 if never seen
    backoff: Floats  # (C + 1,) weight of the next shorter context; 1 if never seen

    def number(self, keys: Ints) -> Ints:
        """The numbers of these n-grams, -1 where training has none.

        A context of -1 makes a negative key, which is never found: no mask is needed.
        """
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, -1)


@dataclass(frozen=True, eq=False)
class NGramModel:
    """Interpolated modified Kneser-Ney: Chen & Goodman, "An empirical study of smoothing techniques
    for language modeling", Computer Speech & Language 13 (1999).

        p_n(c | h) = (a(h c) - D(a(h c))) / a(h .)  +  backoff(h) p_{n-1}(c | h less its first)
        backoff(h) = (D1 N1(h .) + D2 N2(h .) + D3 N3+(h .)) / a(h .)
        p_0(c)     = 1 / V

    Here `a` is the count for the longest n-grams; for shorter ones it is the number of distinct
    left neighbours, where the start of the text is a neighbour of its own. N1, N2, N3+ are the
    numbers of followers of h with a = 1, 2, 3 or more, and D(0) = 0. An order of n predicts a
    character from the n - 1 before it. Build one with `fit`.
    """

    vocab_size: int
    order: int
    levels: tuple[_Level, ...]  # levels[k] predicts from k characters of context

    @classmethod
    def fit(
        cls, train_ids: npt.ArrayLike, vocab_size: int, order: int = DEFAULT_ORDER
    ) -> NGramModel:
        """Count `train_ids` (N,), each in [0, vocab_size), in time O(order N log N).

        A training text shorter than the order gives as many levels as it has characters.
        Raises RequestError for an order below 1 or no training text, ValueError for ids out of
        range.
        """
        if order < 1:
            raise RequestError(f"the n-gram order is {order}: give 1 or more")
        ids = _checked(train_ids, vocab_size)
        if len(ids) == 0:
            raise RequestError("the n-gram's training text is empty: give at least one character")
        # gram[i] is the number of the n-gram whose first character is ids[i]; of empty ones there
        # is one in front of every character and one at the end.
        gram, keys, num_contexts = np.zeros(len(ids) + 1, np.int64), np.zeros(1, np.int64), 1
        levels: list[_Level] = []
        for length in range(1, min(order, len(ids)) + 1):
            longer_keys, longer = _rank(gram[:-1] * vocab_size + ids[length - 1 :])
            if length > 1:
                counts = _left_neighbours(longer, gram, len(longer_keys), len(keys))
                levels.append(_smooth(keys, num_contexts, counts, vocab_size))
            gram, keys, num_contexts = longer, longer_keys, len(keys)
        levels.append(_smooth(keys, num_contexts, np.bincount(gram), vocab_size))
        return cls(vocab_size, order, tuple(levels))

    def nats(self, ids: npt.ArrayLike) -> Floats:
        """The cost in nats of every counted character of `ids` (N,): shape (N - 1,).

        Element i is -ln p(ids[i + 1] | the order - 1 characters before it, or as many as there
        are). Raises ValueError for ids out of range.
        """
        ids = _checked(ids, self.vocab_size)
        p = np.full(len(ids), 1.0 / self.vocab_size)
        gram = np.zeros(len(ids) + 1, np.int64)
        for k, level in enumerate(self.levels):
            context = gram[:-1]  # the k characters before each of ids[k:]
            gram = level.number(context * self.vocab_size + ids[k:])
            p[k:] = level.share[gram] + level.backoff[context] * p[k:]
        cost: Floats = -np.log(p[1:])
        return cost

    def distribution(self, context_ids: npt.ArrayLike) -> Floats:
        """The probabilities (V,) of the character after `context_ids`, of any length, even 0.

        Only the last order - 1 of them count. Raises ValueError for ids out of range.
        """
        ids = _checked(context_ids, self.vocab_size)
        p = np.full(self.vocab_size, 1.0 / self.vocab_size)
        for k, level in enumerate(self.levels[: len(ids) + 1]):
            context = np.zeros(1, np.int64)
            for shorter, c in zip(self.levels, ids[len(ids) - k :], strict=False):
                context = shorter.number(context * self.vocab_size + c)
            first_key = int(context[0]) * self.vocab_size
            low, high = np.searchsorted(level.keys, (first_key, first_key + self.vocab_size))
            p *= level.backoff[context]
            p[level.keys[low:high] - first_key] += level.share[low:high]
        return p


def _checked(ids: npt.ArrayLike, vocab_size: int) -> Ints:
    array = np.asarray(ids, dtype=np.int64)
    if array.ndim != 1:
        raise ValueError(f"ids must be one row, got shape {array.shape}")
    if array.size and not 0 <= array.min() <= array.max() < vocab_size:
        raise ValueError(f"ids run from {array.min()} to {array.max()}: outside [0, {vocab_size})")
    return array


def _rank(keys: Ints) -> tuple[Ints, Ints]:
    """The distinct keys, ascending, and for every key its place among them."""
    order = np.argsort(keys)
    in_order = keys[order]
    is_new = np.ones(len(keys), bool)
    is_new[1:] = in_order[1:] != in_order[:-1]
    places = np.empty(len(keys), np.int64)
    places[order] = np.cumsum(is_new) - 1
    return in_order[is_new], places


def _left_neighbours(longer: Ints, gram: Ints, num_longer: int, num_grams: int) -> Ints:
    """For every n-gram its number of distinct left neighbours, the start of the text being one."""
    suffix = np.empty(num_longer, np.int64)
    suffix[longer] = gram[1:]  # all occurrences of an (n+1)-gram end in the same n-gram
    neighbours = np.bincount(suffix, minlength=num_grams)
    neighbours[gram[0]] += 1
    return neighbours


def _smooth(keys: Ints, num_contexts: int, counts: Ints, vocab_size: int) -> _Level:
    context = keys // vocab_size
    discount = _discounts(counts)[np.minimum(counts, 3)]
    total = np.bincount(context, counts, num_contexts)
    removed = np.bincount(context, discount, num_contexts)
    # A context that stands only at the very end of training has no follower: all is passed on.
    backoff = np.divide(removed, total, out=np.ones(num_contexts), where=total > 0)
    share = (counts - discount) / total[context]
    return _Level(keys, np.append(share, 0.0), np.append(backoff, 1.0))


def _discounts(counts: Ints) -> Floats:
    """What is taken from a count of 0, 1, 2 and of 3 or more: (4,), after Chen & Goodman 1999.

    The estimate needs n-grams with each of the counts 1 to 4. A text too small or too regular for
    that, or an estimate that would leave shorter contexts nothing, gets fixed discounts.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)
    if n[1:5].all():
        y = n[1] / (n[1] + 2 * n[2])
        d1, d2, d3 = (i - (i + 1) * y * n[i + 1] / n[i] for i in (1, 2, 3))
        if min(d1, d2, d3) > 0:
            return np.array([0.0, d1, d2, d3])
    return np.array([0.0, 0.5, 1.0, 1.5])


# --- the ladder -----------------------------------------------------------------------------------


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
