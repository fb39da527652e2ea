"""The ladder against slow dictionaries, arithmetic by hand, and texts whose entropy is known."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import RequestError
from charlm.ladder import Rung, compressed_bits, format_ladder, ladder
from charlm.ngram import NGramModel

LN2 = math.log(2)


# --- the oracle: Chen & Goodman's formulas over dictionaries of tuples ----------------------------


class SlowKneserNey:
    """Modified Kneser-Ney, one n-gram at a time, sharing no line and no idea with the package."""

    START = -1

    def __init__(self, train: list[int], vocab_size: int, order: int) -> None:
        self.vocab_size, self.order = vocab_size, min(order, len(train))
        self.counts: list[Counter[tuple[int, ...]]] = []
        for n in range(1, self.order + 1):
            grams = [tuple(train[i : i + n]) for i in range(len(train) - n + 1)]
            if n == self.order:
                self.counts.append(Counter(grams))
            else:
                before = [self.START, *train]
                pairs = {(before[i], gram) for i, gram in enumerate(grams)}
                self.counts.append(Counter(gram for _, gram in pairs))
        self.discounts = [self.estimate(list(c.values())) for c in self.counts]

    @staticmethod
    def estimate(counts: list[int]) -> dict[int, float]:
        n1, n2, n3, n4 = (sum(1 for c in counts if c == wanted) for wanted in (1, 2, 3, 4))
        fixed = {1: 0.5, 2: 1.0, 3: 1.5}
        if 0 in (n1, n2, n3, n4):
            return fixed
        y = n1 / (n1 + 2 * n2)
        d = {1: 1 - 2 * y * n2 / n1, 2: 2 - 3 * y * n3 / n2, 3: 3 - 4 * y * n4 / n3}
        return d if all(value > 0 for value in d.values()) else fixed

    def p(self, c: int, context: list[int]) -> float:
        context = context[max(0, len(context) - self.order + 1) :]
        return self._p(c, tuple(context))

    def _p(self, c: int, context: tuple[int, ...]) -> float:
        lower = self._p(c, context[1:]) if context else 1 / self.vocab_size
        counts, d = self.counts[len(context)], self.discounts[len(context)]
        followers = {g: a for g, a in counts.items() if g[:-1] == context}
        if not followers:
            return lower
        removed = sum(d[min(a, 3)] for a in followers.values())
        a = followers.get((*context, c), 0)
        kept = a - d[min(a, 3)] if a else 0.0
        return (kept + removed * lower) / sum(followers.values())


def markov_ids(rng: random.Random, length: int, vocab_size: int) -> list[int]:
    """A text with structure: the next id is mostly a function of the last two."""
    ids = [0, 1]
    while len(ids) < length:
        follower = (3 * ids[-1] + ids[-2] ** 2 + 1) % vocab_size
        ids.append(follower if rng.random() < 0.6 else int(vocab_size * rng.random() ** 2))
    return ids


@pytest.mark.parametrize(
    ("order", "vocab_size", "train_length"),
    [
        *[(1, 3, 40), (2, 5, 300), (3, 7, 500), (5, 4, 400), (4, 30, 300)],
        *[(6, 2, 5), (3, 1, 9), (5, 9, 1)],  # shorter than the order, one symbol, one character
    ],
)
def test_ngram_equals_dictionaries(order: int, vocab_size: int, train_length: int) -> None:
    rng = random.Random(1000 * order + vocab_size)
    # Training lacks the last id, and the evaluated text has contexts that training never saw.
    train = markov_ids(rng, train_length + 2, max(1, vocab_size - 1))[2:]
    text = [rng.randrange(vocab_size) for _ in range(30)] + train[:30]
    model = NGramModel.fit(train, vocab_size, order)
    slow = SlowKneserNey(train, vocab_size, order)

    expected = [-math.log(slow.p(text[i], text[:i])) for i in range(1, len(text))]
    np.testing.assert_allclose(model.nats(text), expected, rtol=0, atol=1e-10)
    for end in (0, 1, 2, 17, 45):
        row = [slow.p(c, text[:end]) for c in range(vocab_size)]
        np.testing.assert_allclose(model.distribution(text[:end]), row, rtol=0, atol=1e-10)


def test_discounts_that_come_out_negative_are_not_used() -> None:
    # One character once, one twice, four three times, one four times: D2 would be 2 - 4 = -2.
    train = [c for c, count in enumerate([1, 2, 3, 3, 3, 3, 4]) for _ in range(count)]
    p = NGramModel.fit(train, 8, 1).distribution([])
    removed = 0.5 + 1 + 5 * 1.5
    assert math.isclose(p[1], (2 - 1 + removed / 8) / 19)
    assert math.isclose(p[7], removed / 8 / 19)


def test_both_kinds_of_discount_were_compared() -> None:
    """The oracle test means little if every case above took the fixed discounts, or none did."""
    fixed = {1: 0.5, 2: 1.0, 3: 1.5}
    slow = SlowKneserNey(markov_ids(random.Random(3007), 502, 6)[2:], 7, 3)
    assert slow.discounts[0] == fixed
    assert slow.discounts[2] != fixed


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_distribution_is_one_and_agrees_with_nats(data: st.DataObject) -> None:
    vocab_size = data.draw(st.integers(1, 6))
    ids = st.integers(0, vocab_size - 1)
    train = data.draw(st.lists(ids, min_size=1, max_size=60))
    text = data.draw(st.lists(ids, min_size=2, max_size=20))
    model = NGramModel.fit(train, vocab_size, data.draw(st.integers(1, 8)))
    nats = model.nats(text)
    for i in range(len(text)):
        p = model.distribution(text[:i])
        assert p.shape == (vocab_size,)
        assert p.min() > 0
        assert math.isclose(p.sum(), 1, abs_tol=1e-12)
        if i:
            assert math.isclose(nats[i - 1], -math.log(p[text[i]]), abs_tol=1e-12)


def test_unseen_character_and_context_cost_a_finite_amount() -> None:
    model = NGramModel.fit([0, 1, 2, 1] * 50, vocab_size=9, order=5)
    assert np.isfinite(model.nats([0, 8, 7, 8, 8])).all()
    # After a character that training lacks, the model knows what it knows without any context.
    np.testing.assert_array_equal(model.distribution([0, 1, 8]), model.distribution([]))


def test_ngram_forgets_what_lies_beyond_its_order() -> None:
    rng = random.Random(5)
    model = NGramModel.fit(markov_ids(rng, 500, 6), 6, 4)
    tail = [1, 2, 3]
    np.testing.assert_array_equal(model.distribution([5, 0, *tail]), model.distribution(tail))
    assert not np.array_equal(model.distribution([5, 3]), model.distribution([0, 3]))


@pytest.mark.parametrize("ids", [[0, 3], [-1, 0], [[0, 1]]])
def test_ids_out_of_range_are_refused(ids: list[int]) -> None:
    model = NGramModel.fit([0, 1, 2], 3, 2)
    for use in (model.nats, model.distribution, lambda ids: NGramModel.fit(ids, 3, 2)):
        with pytest.raises(ValueError, match="ids"):
            use(ids)


# --- the rungs by hand ----------------------------------------------------------------------------


def bits(rungs: list[Rung]) -> dict[str, float]:
    return {rung.name: rung.bits_per_char for rung in rungs}


def test_order_and_names() -> None:
    names = [rung.name for rung in ladder("abracadabra", "abra", order=3)]
    assert names == ["uniform", "unigram", "3-gram", "gzip", "bz2", "xz"]


@pytest.mark.parametrize(
    ("train", "text", "expected"), [("a", "aa", 0), ("ab", "ba", 1), ("ab", "cda", 2)]
)
def test_uniform_is_log2_of_the_common_alphabet(train: str, text: str, expected: float) -> None:
    assert bits(ladder(train, text))["uniform"] == expected


def test_an_alphabet_of_one_costs_nothing() -> None:
    rungs = bits(ladder("a" * 20, "aaaa", order=3))
    assert abs(rungs["unigram"]) < 1e-12
    assert abs(rungs["3-gram"]) < 1e-12


def test_unigram_by_hand() -> None:
    # Training: a a a b, alphabet a b c: p = 4/7, 2/7, 1/7. Counted: b, c, a.
    expected = -(math.log2(2 / 7) + math.log2(1 / 7) + math.log2(4 / 7)) / 3
    assert math.isclose(bits(ladder("aaab", "abca"))["unigram"], expected)


def test_ngram_rung_is_the_mean_of_its_nats() -> None:
    train, text = "il treno da Roma " * 9, "da Roma il treno"
    alphabet = sorted(set(train + text))
    ids = [[alphabet.index(c) for c in part] for part in (train, text)]
    nats = NGramModel.fit(ids[0], len(alphabet), 4).nats(ids[1])
    expected = nats.sum() / (len(text) - 1) / LN2
    assert math.isclose(bits(ladder(train, text, order=4))["4-gram"], expected)


# --- compressors ----------------------------------------------------------------------------------

COMPRESSORS: list[Callable[[bytes], bytes]] = [gzip.compress, bz2.compress, lzma.compress]


@pytest.mark.parametrize("compress", COMPRESSORS)
def test_compressors_on_texts_of_known_entropy(compress: Callable[[bytes], bytes]) -> None:
    rng = random.Random(0)
    page = "".join(chr(rng.randrange(32, 127)) for _ in range(1000))
    assert compressed_bits(compress, page, page * 40) < 0.3
    # 128 characters, alike and independent, one byte each: 7 bits and nothing to be gained.
    noise = ["".join(chr(rng.randrange(128)) for _ in range(20_000)) for _ in range(2)]
    assert 6.95 < compressed_bits(compress, *noise) < 7.3


def test_compression_divides_by_characters_not_bytes() -> None:
    rng = random.Random(1)
    noise = ["".join(chr(0x4E00 + rng.randrange(16384)) for _ in range(5000)) for _ in range(2)]
    assert 14 < compressed_bits(lzma.compress, *noise) < 24  # 3 bytes each, 14 bits of them noise


# --- the ladder as a whole ------------------------------------------------------------------------

WORDS = """
il la un una treno mattina sera stazione viaggio montagna mare nave porto parte arriva
lentamente verso quando dopo prima estate inverno neve pioggia sole luna strada ponte fiume valle
città paese casa finestra luce ombra silenzio voce canto ritorno domani ieri sempre mai
""".split()  # noqa: SIM905


def prose(seed: int, length: int) -> str:
    rng = random.Random(seed)
    weights = [1 / (rank + 1) for rank in range(len(WORDS))]
    text = " ".join(
        word + rng.choice(["", "", "", "", ",", ".\n"])
        for word in rng.choices(WORDS, weights, k=length // 4)
    )
    return text[:length]


def shuffled(text: str, seed: int) -> str:
    characters = list(text)
    random.Random(seed).shuffle(characters)
    return "".join(characters)


def test_prose_orders_the_rungs() -> None:
    rungs = bits(ladder(prose(1, 60_000), prose(2, 6_000)))
    assert rungs["uniform"] > rungs["unigram"] + 0.5
    assert rungs["unigram"] > rungs["gzip"] > rungs["7-gram"] + 0.2
    assert min(rungs, key=rungs.__getitem__) == "7-gram"


def test_control_on_shuffled_text_context_gains_nothing() -> None:
    """Independent characters: whoever gets below the unigram has seen the evaluated text."""
    whole = shuffled(prose(3, 44_000), seed=4)
    train, text = whole[:40_000], whole[40_000:]
    honest = bits(ladder(train, text))
    assert honest["7-gram"] > honest["unigram"] - 0.005
    # The control can fail: counts that include the evaluated text are far below.
    leaky = bits(ladder(train + text, text))
    assert leaky["7-gram"] < honest["unigram"] - 1


def test_long_training_text_is_cut_to_its_last_part() -> None:
    old, recent, text = "zzzyyy" * 200, prose(5, 3000), prose(6, 500)
    cut, whole = ladder(old + recent, text, max_train=3000), ladder(old + recent, text)
    alone = ladder(recent + "zy", text)  # the same alphabet, without the old part
    noted = [rung.name for rung in cut if "last 3,000" in rung.note]
    assert noted == ["7-gram", "gzip", "bz2", "xz"]
    assert not any("last" in rung.note for rung in whole)
    assert bits(cut)["unigram"] == bits(whole)["unigram"]
    assert bits(cut)["uniform"] == bits(whole)["uniform"]
    assert abs(bits(cut)["7-gram"] - bits(alone)["7-gram"]) < 0.01
    for name in ("gzip", "bz2", "xz"):
        assert bits(cut)[name] == bits(ladder(recent, text))[name]


@settings(max_examples=15, deadline=None)
@given(
    st.text(st.characters(), min_size=1, max_size=30),
    st.text(st.characters(), min_size=2, max_size=30),
)
def test_any_characters_even_lone_surrogates(train: str, text: str) -> None:
    for train_text in (train, train + "\ud800\x00\U0010ffff"):
        rungs = ladder(train_text, text + "\udfff", order=4)
        assert all(math.isfinite(rung.bits_per_char) for rung in rungs)
        assert all(rung.bits_per_char >= 0 for rung in rungs[:3])


@pytest.mark.parametrize(
    ("train", "text", "options", "reason"),
    [
        ("", "abc", {}, "training text"),
        ("abc", "", {}, "0 characters"),
        ("abc", "a", {}, "at least 2"),
        ("abc", "abc", {"order": 0}, "order is 0"),
        ("abc", "abc", {"max_train": 0}, "max_train is 0"),
    ],
)
def test_requests_that_make_no_sense(
    train: str, text: str, options: dict[str, int], reason: str
) -> None:
    with pytest.raises(RequestError, match=reason):
        ladder(train, text, **options)
    with pytest.raises(RequestError, match="empty"):
        NGramModel.fit([], 3)


# --- the table ------------------------------------------------------------------------------------

RUNGS = [Rung("uniform", 6.0, "log2(64)"), Rung("xz", 2.5, ""), Rung("7-gram", 2.1884, "counts")]


def test_table_places_the_model() -> None:
    assert format_ladder(RUNGS, model_bits=2.3, model_name="lstm").splitlines() == [
        "   bits per character",
        "     6.000  uniform  log2(64)",
        "     2.500  xz",
        "->   2.300  lstm",
        "     2.188  7-gram   counts",
    ]


def test_table_without_a_model_and_with_a_tie() -> None:
    assert "->" not in format_ladder(RUNGS)
    tied = format_ladder(RUNGS, model_bits=2.5).splitlines()
    assert tied.index("->   2.500  model") == tied.index("     2.500  xz") - 1
    assert format_ladder(RUNGS, model_bits=math.inf).splitlines()[1].startswith("->     inf")


@pytest.mark.parametrize("value", [math.nan, -0.1])
def test_table_refuses_what_is_no_number_of_bits(value: float) -> None:
    with pytest.raises(RequestError, match="model_bits"):
        format_ladder(RUNGS, model_bits=value)
