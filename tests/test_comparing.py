"""Comparing models: paired gaps computed by hand, and the coverage of the intervals."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from charlm.errors import RequestError
from charlm.inspection import comparing
from charlm.inspection.reading import Reading

Invoke = Callable[..., Result]


def reading(text: str, bits: np.ndarray) -> Reading:
    whole = np.concatenate([[np.nan], bits])
    return Reading(text, whole, np.zeros((len(text), 1), dtype=np.int64), np.ones((len(text), 1)))


def of(bits: np.ndarray) -> Reading:
    return reading("a" * (len(bits) + 1), bits)


def test_a_gap_is_the_mean_of_paired_differences() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.exponential(2, 1000), rng.exponential(2, 1000)
    found = comparing.gap(of(one), of(other), block=50)
    assert found.mean == pytest.approx((other - one).mean())
    assert found.low < found.mean < found.high
    back = comparing.gap(of(other), of(one), block=50)
    assert (back.mean, back.low, back.high) == pytest.approx(
        (-found.mean, -found.high, -found.low), abs=1e-9
    )


def test_a_model_against_itself_is_no_gap_at_all() -> None:
    bits = np.random.default_rng(0).exponential(2, 5000)
    assert comparing.gap(of(bits), of(bits)) == comparing.Gap(0.0, 0.0, 0.0, 0.0)


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Gaps that hang together over 20 characters: blocks of 40 cover, single characters (the
    control) do not."""
    rng = np.random.default_rng(1)
    covered = {1: 0, 40: 0}
    for _ in range(40):
        gaps = np.repeat(rng.normal(0.1, 1.0, 80), 20)
        for block in covered:
            found = comparing.gap(of(np.zeros(1600)), of(gaps), block=block, seed=2)
            covered[block] += found.low <= 0.1 <= found.high
    assert covered[40] >= 34
    assert covered[1] <= 20


def test_pairing_finds_what_the_spread_of_either_would_hide() -> None:
    rng = np.random.default_rng(3)
    hard = rng.exponential(3, 4000)
    found = comparing.gap(of(hard), of(hard + 0.01 + rng.normal(0, 0.02, 4000)))
    assert 0 < found.low < 0.01 < found.high < 0.02


def test_chance_is_as_large_as_gaps_without_a_difference_are() -> None:
    """If no model is better, 5 of 100 gaps are larger than chance."""
    rng = np.random.default_rng(4)
    larger = 0
    for _ in range(200):
        found = comparing.gap(of(rng.exponential(2, 4000)), of(rng.exponential(2, 4000)), block=40)
        larger += abs(found.mean) > found.chance
    assert 2 <= larger <= 22
    # By hand: 20 blocks whose sums are +1 or -1 with even odds, so the mean's spread is 20 ** 0.5.
    clear = comparing.gap(of(np.zeros(20)), of(np.ones(20)), block=1)
    assert clear.mean == 1.0
    assert clear.chance == pytest.approx(2 * 20**0.5 / 20, rel=0.15)


def test_shares_add_up_to_the_gap() -> None:
    text = "Ab c1, \nDé!"
    kinds = [
        "capital",
        "letter",
        "space",
        "word's first letter",
        "digit",
        "other sign",
        "space",
        "line end",
        "capital",
        "letter",
        "other sign",
    ]
    assert comparing.by_place(text) == kinds
    bits = np.arange(1.0, 11.0)
    found = comparing.shares(reading(text, 0 * bits), reading(text, bits), block=1)
    assert sum(share.contribution for share in found) == pytest.approx(bits.mean())
    by_kind = {share.kind: share for share in found}
    space = by_kind["space"]
    assert (space.count, space.mean, space.contribution) == (2, 4.0, 0.8)  # 2 and 6 bits, of ten
    assert set(by_kind) == set(kinds)
    assert [share.contribution for share in found] == sorted(
        (share.contribution for share in found), reverse=True
    )


def test_a_share_of_nothing_is_not_told_from_nothing() -> None:
    """One model is better on capitals alone; what small letters seem to add is noise."""
    rng = np.random.default_rng(6)
    text = "".join(rng.choice(list("abcdeF"), 5001))
    gains = rng.normal(0, 0.5, 5000) + np.array([c == "F" for c in text[1:]])
    shares = comparing.shares(reading(text, np.zeros(5000)), reading(text, gains))
    found = {share.kind: share for share in shares}
    assert 0 < found["capital"].low < 1 / 6 < found["capital"].high < 0.25
    assert found["letter"].low < 0 < found["letter"].high


def test_a_long_text_has_longer_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    bits = np.random.default_rng(7).normal(0.1, 1, 40_000)
    whole = comparing.gap(of(np.zeros(40_000)), of(bits), block=10)
    monkeypatch.setattr(comparing, "_MOST_BLOCKS", 50)
    coarse = comparing.gap(of(np.zeros(40_000)), of(bits), block=10)
    assert coarse.mean == whole.mean
    assert coarse.high - coarse.low == pytest.approx(whole.high - whole.low, rel=0.4)


def test_extremes_are_whole_words_in_their_places() -> None:
    text = "the cat sat\non mats"
    bits = np.zeros(len(text) - 1)
    bits[3:6] = 1  # cat
    bits[14:18] = -2  # mats
    won, lost = comparing.extremes(reading(text, 0 * bits), reading(text, bits), 3)
    assert won == ["+3.0 bits  the [cat]"]
    assert lost == ["-8.0 bits  the cat sat\non [mats]"]


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(RequestError, match="different texts"):
        comparing.gap(reading("ab", np.ones(1)), reading("ac", np.ones(1)))
    with pytest.raises(RequestError, match="at least 2,001"):
        comparing.gap(of(np.ones(1999)), of(np.ones(1999)))


# -------------------------------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, corpus: Path, charlm: Invoke) -> Path:
    out = tmp_path_factory.mktemp("other")
    done = charlm(
        "train",
        corpus,
        "--out",
        out,
        "--cell",
        "rnn",
        "--hidden-size",
        4,
        "--steps",
        5,
        "--precision",
        "float32",
        "--device",
        "cpu",
        "--optimizer",
        "adamw",
        "--no-counts",
    )
    assert done.exit_code == 0, done.output
    return out / "tiny"


@pytest.fixture
def long(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "long.txt"
    path.write_text(text * 2, encoding="utf-8")
    return path


def test_the_command_says_what_eval_says_of_each(
    charlm: Invoke, trained: Path, other: Path, long: Path
) -> None:
    done = charlm("compare", trained, other, long, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    bits = []
    for run in (trained, other):
        scored = json.loads(charlm("eval", run, long, "--json", "--no-ladder").stdout)
        bits.append(scored["bits_per_char"])
        assert found[str(run)]["bits_per_char"] == pytest.approx(bits[-1], abs=1e-6)
        assert found[str(run)]["characters_per_second"] > 0
    gap = found[str(other)]["worse_than_first"]
    assert gap["mean"] == pytest.approx(bits[1] - bits[0], abs=1e-6)
    assert 0 < gap["chance"] < gap["low"] < gap["mean"] < gap["high"]
    assert found[str(trained)]["worse_than_first"] is None


def test_the_table_shows_where_one_wins(
    charlm: Invoke, trained: Path, other: Path, long: Path
) -> None:
    done = charlm("compare", trained, other, long, "--words", 2)
    assert done.exit_code == 0, done.output
    assert done.stdout.count(" bits  ") in (2, 3, 4)
    for part in (
        "lstm 1x16",
        "rnn 1x4",
        "bits/char",
        "by chance",
        "by character",
        "does best",
    ):
        assert part in done.stdout
    assert "letter" in done.stdout


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_names_are_refused(charlm: Invoke, trained: Path, long: Path, count: int) -> None:
    done = charlm("compare", *[trained] * count, long)
    assert done.exit_code == 2
    assert "at least two runs, then a text" in done.stderr


def test_a_run_stands_once(charlm: Invoke, trained: Path, long: Path) -> None:
    done = charlm("compare", trained, trained, long)
    assert done.exit_code == 2
    assert "is named twice" in done.stderr


def test_what_one_cannot_read_is_left_out_for_all(
    charlm: Invoke, trained: Path, other: Path, text: str
) -> None:
    done = charlm("compare", trained, other, "-", "--json", input=("€" + text * 2).encode())
    assert done.exit_code == 0, done.output
    assert "for all models, because of" in done.stderr and "left out 1 character" in done.stderr
    assert json.loads(done.stdout)[str(other)]["characters"] == len(text) * 2 - 1


def test_an_unknown_symbol_is_no_way_to_win(
    charlm: Invoke, trained: Path, text: str, tmp_path: Path
) -> None:
    """A model that folds all but a few characters does not name them. If the unknown symbol
    represents many, that is cheaper than naming one."""
    source = tmp_path / "folded.txt"
    source.write_text(text, encoding="utf-8")
    least = Counter(text).most_common(4)[-1][1]
    run = charlm(
        "train", source, "--hidden-size", 8, "--steps", 2, "--min-count", least, "--out", tmp_path
    )
    assert run.exit_code == 0, run.output
    done = charlm("compare", trained, tmp_path / "folded", "-", "--json", input=(text * 4).encode())
    assert done.exit_code == 0, done.output
    assert "for all models, because of" in done.stderr and ": left out" in done.stderr
    common = {c for c, count in Counter(text).items() if count >= least}
    found = json.loads(done.stdout)
    for each in found.values():
        assert each["characters"] == sum(c in common for c in text * 4) - 1
