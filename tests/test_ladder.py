"""The ladder against arithmetic by hand, and against texts whose entropy is known."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import RequestError
from charlm.ladder import ARCHIVERS, Rung, archive_sizes, format_ladder, ladder
from charlm.ngram import NGramModel

LN2 = math.log(2)


# --- the rungs by hand ----------------------------------------------------------------------------


def bits(rungs: list[Rung]) -> dict[str, float]:
    return {rung.name: rung.bits_per_char for rung in rungs if rung.bits_per_char is not None}


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


def added_bytes(compress: Callable[[bytes], bytes], train: str, text: str) -> int:
    before, after = archive_sizes(compress, train, text)
    return after - before


COMPRESSORS: list[Callable[[bytes], bytes]] = [gzip.compress, bz2.compress, lzma.compress]


@pytest.mark.parametrize("compress", COMPRESSORS)
def test_compressors_on_texts_of_known_entropy(compress: Callable[[bytes], bytes]) -> None:
    rng = random.Random(0)
    page = "".join(chr(rng.randrange(32, 127)) for _ in range(1000))
    assert 8 * added_bytes(compress, page, page * 40) / 40_000 < 0.3
    # 128 characters, equally likely and independent, one byte each: 7 bits that nothing can save.
    noise = ["".join(chr(rng.randrange(128)) for _ in range(20_000)) for _ in range(2)]
    assert 6.95 < 8 * added_bytes(compress, *noise) / 20_000 < 7.3


def test_the_rungs_are_those_of_the_command_line_tools() -> None:
    train, text = prose(7, 20_000), prose(8, 5000)
    found = bits(ladder(train, text))
    compressors: dict[str, Callable[[bytes], bytes]] = {
        "gzip": lambda data: gzip.compress(data, 9, mtime=0),
        "bz2": lambda data: bz2.compress(data, 9),
        "xz": lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
    }
    for name, compress in compressors.items():
        added = len(compress((train + text).encode())) - len(compress(train.encode()))
        assert found[name] == pytest.approx(8 * added / 5000)


def test_compression_divides_by_characters_not_bytes() -> None:
    rng = random.Random(1)
    train, text = ("".join(chr(0x4E00 + rng.randrange(16384)) for _ in range(5000)) for _ in "ab")
    assert 14 < bits(ladder(train, text))["xz"] < 24  # 3 bytes each, 14 bits of them noise


def without_value(rungs: list[Rung]) -> dict[str, str]:
    return {rung.name: rung.note for rung in rungs if rung.bits_per_char is None}


def test_a_repetitive_text_is_below_the_resolution() -> None:
    """bz2 needs fewer bytes for a text and its continuation than for the text alone."""
    train, text = "ab" * 30_000, "ab" * 1000
    raw = [added_bytes(bz2.compress, train, "ab" * n) for n in range(1, 1000, 25)]
    assert min(raw) < 0
    rungs = ladder(train, text)
    assert set(without_value(rungs)) == {"gzip", "bz2", "xz"}
    assert all(note.startswith("below resolution") for note in without_value(rungs).values())
    assert bits(rungs)["7-gram"] < 0.001  # what counts characters has no such limit


def test_two_characters_are_below_the_resolution() -> None:
    """Each archiver adds several whole bytes, which would be tens of bits for each character."""
    train = prose(9, 3000)
    rungs = ladder(train, "zq")
    assert set(without_value(rungs)) == {"gzip", "bz2", "xz"}
    added = added_bytes(ARCHIVERS[0].compress, train, "zq")
    assert f"adds {added} bytes, fewer than 20" in without_value(rungs)["gzip"]
    assert {"uniform", "unigram", "7-gram"} == set(bits(rungs))


@pytest.mark.parametrize("length", [1500, 12_000, 60_000])
def test_the_resolution_is_more_than_an_archive_varies_by(length: int) -> None:
    """Archives of texts that differ by a few characters differ by less than the resolution, and the
    resolution is of that order."""
    whole = prose(10, length + 100)
    for archiver in ARCHIVERS:
        sizes = [len(archiver.compress(whole[: length + n].encode())) for n in range(0, 30, 3)]
        spread = max(sizes) - min(sizes)
        assert 0 < spread < archiver.resolution(sizes[0]) < 20 * spread


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
    old, recent, text = "zzzyyy" * 200, prose(5, 3000), prose(6, 2000)
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


@settings(max_examples=8, deadline=None)
@given(
    st.text(st.characters(), min_size=1, max_size=30),
    st.text(st.characters(), min_size=2, max_size=30),
)
def test_any_characters_even_lone_surrogates(train: str, text: str) -> None:
    for train_text in (train, train + "\ud800\x00\U0010ffff"):
        rungs = ladder(train_text, text + "\udfff", order=4)
        assert set(bits(rungs)) >= {"uniform", "unigram", "4-gram"}
        assert all(math.isfinite(value) and value >= 0 for value in bits(rungs).values())


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


def test_a_rung_without_a_value_comes_last() -> None:
    rungs = [Rung("gzip", None, "below resolution"), *RUNGS]
    assert format_ladder(rungs, model_bits=1.5).splitlines()[-2:] == [
        "->   1.500  model",
        "         -  gzip     below resolution",
    ]


@pytest.mark.parametrize("value", [math.nan, -0.1])
def test_table_refuses_what_is_no_number_of_bits(value: float) -> None:
    with pytest.raises(RequestError, match="model_bits"):
        format_ladder(RUNGS, model_bits=value)
