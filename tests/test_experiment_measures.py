"""Accuracies, intervals and p values, against sums by hand, binomial distributions and the
enumeration of all sign flips.
"""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.experiments import measures
from charlm.experiments.measures import Estimate, pack, paired, unpack
from charlm.experiments.position_invariance.measures import Results

# A dozen sentences: where the answer of four characters begins, and how long they are.
STARTS = [0, 0, 10, 10, 20, 20, 22, 25, 25, 28, 28, 40]
LENGTHS = [10, 24, 14, 30, 24, 50, 40, 29, 45, 60, 32, 120]
#          seen: 0, 10, 20, 40; held out: 25, 28; the answer at 22 is half in a band

# Which answers were right, seed by seed. A 0 stands above the characters that were right.
RIGHT = {
    ("rnn", 1): "1111 1110 1001",
    ("rnn", 2): "1111 1100 0001",
    ("rnn", 3): "1111 0111 1001",
    ("gru", 1): "1111 1111 1111",
    ("gru", 2): "1111 1111 1011",
    ("gru", 3): "1111 1111 1110",
    ("tagger", 2): "1111 1111 1111",
}
WRONG_SYMBOLS = {
    ("rnn", 1): {7: "1110", 9: "1100", 10: "0000"},
    ("rnn", 2): {6: "0111", 7: "1110", 8: "1110", 9: "1110", 10: "1110"},
    ("rnn", 3): {4: "1101", 9: "0000", 10: "0011"},
}


def bits(text: str) -> np.ndarray:
    return np.array([c == "1" for c in text.replace(" ", "")])


def judged(reader: str, seed: int) -> dict[str, Any]:
    right = bits(RIGHT[reader, seed])
    wrong = WRONG_SYMBOLS.get((reader, seed), {})
    symbols = [bits("1111") if yes else bits(wrong.get(n, "0000")) for n, yes in enumerate(right)]
    return {"right": pack(right), "symbols_right": pack(np.array(symbols)), "unread": 0}


def far(right: str) -> dict[str, Any]:
    """Two long sentences."""
    return {
        "right": pack(bits(right)),
        "symbols_right": pack(np.repeat(bits(right), 4)),
        "unread": 0,
    }


def content(**changed: Any) -> dict[str, Any]:
    """A results.json, through JSON as when it is read; the fourth reader is not finished."""
    made = {
        "config": {
            "width": 4,
            "readers": ["tagger", "gru", "lstm", "rnn"],
            "seen_starts": [0, 1, 10, 20, 40],
            "held_out_starts": [25, 26, 28],
        },
        "tests": {
            "none": {"start": STARTS, "length": LENGTHS, "floor": 0.125, "ceiling": 1.0},
            "long sentences": {
                "start": [200, 3],
                "length": [300, 121],
                "floor": 0.0,
                "ceiling": 0.5,
            },
        },
        "cells": [
            {
                "reader": reader,
                "seed": seed,
                "tests": {
                    "none": judged(reader, seed),
                    # The one that does worse on the dozen does better here.
                    "long sentences": far("00" if reader == "gru" else "11"),
                },
            }
            for reader, seed in RIGHT
        ],
    }
    copied: dict[str, Any] = json.loads(json.dumps(made | changed))
    return copied


@pytest.fixture(scope="module")
def results() -> Results:
    return Results(content())


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_a_gap_is_taken_at_equal_distances_to_the_end(results: Results) -> None:
    """By hand. Characters after the answer, in tens: seen 0 2 0 1 0 2 (and 7, which no held-out
    sentence has), held out 0 1 2 0, so tens 0, 1 and 2 count twice, once and once."""
    # Of rnn's first seed all seen ones are right there, and held out the second: 1, 0 and 1.
    # Of its third, in tens 0 two of three against one of two, in tens 1 and 2 as in the first.
    close(results.gap("rnn").values, [(2 * 1 + 0 + 1) / 4, 1, (2 * (2 / 3 - 1 / 2) + 0 + 1) / 4])
    close(results.gap("gru").values[0], 0)


def test_a_reader_that_only_forgets_has_no_gap() -> None:
    """It is right where fewer than 20 characters follow: less often in the bands, where more do."""
    starts = np.array([0] * 30 + [25] * 30)
    distances = np.array([5] * 20 + [25] * 10 + [5] * 10 + [25] * 20)
    right = distances < 20
    made = content()
    made["config"]["readers"] = ["gru"]
    lengths = (starts + 4 + distances).tolist()
    made["tests"] = {
        "none": {"start": starts.tolist(), "length": lengths, "floor": 0.0, "ceiling": 1.0}
    }
    judged_so = {"right": pack(right), "symbols_right": pack(np.repeat(right, 4)), "unread": 0}
    made["cells"] = [{"reader": "gru", "seed": 1, "tests": {"none": judged_so}}]
    found = Results(made)
    seen, held = (found.accuracy("gru", "none", part).mean for part in ("seen", "held out"))
    close([seen, held], [2 / 3, 1 / 3])
    close(found.gap("gru").mean, 0)


# ------------------------------------------------------------------------------------ truth values


def test_truth_values_are_the_bits_of_bytes_from_the_highest_on() -> None:
    # 1000 0001 1 -> 0x81 0x80 -> gYA=
    assert pack(np.array([1, 0, 0, 0, 0, 0, 0, 1, 1], dtype=bool)) == "gYA="
    assert unpack("gYA=", (3, 3)).tolist() == [
        [True, False, False],
        [False, False, False],
        [False, True, True],
    ]


@given(st.integers(0, 40), st.integers(1, 6), st.randoms(use_true_random=False))
def test_unpacking_undoes_packing(rows: int, width: int, rng: Any) -> None:
    right = np.array([rng.random() < 0.5 for _ in range(rows * width)], dtype=bool)
    right = right.reshape(rows, width)
    np.testing.assert_array_equal(unpack(pack(right), right.shape), right)
    np.testing.assert_array_equal(unpack(pack(right.ravel()), [rows * width]), right.ravel())


# ----------------------------------------------------------------------------------- by hand


def test_which_readers_and_seeds_there_are(results: Results) -> None:
    assert results.readers == ["tagger", "gru", "rnn"]  # as asked for, but for the unfinished
    assert [results.seeds(name) for name in results.readers] == [[2], [1, 2, 3], [1, 2, 3]]


def test_places_are_seen_held_out_or_neither(results: Results) -> None:
    seen, held_out = results.places("none", "seen"), results.places("none", "held out")
    assert np.flatnonzero(seen).tolist() == [0, 1, 2, 3, 4, 5, 11]
    assert np.flatnonzero(held_out).tolist() == [7, 8, 9, 10]
    assert results.places("none", "all").all()


def test_accuracy_by_hand(results: Results) -> None:
    close(results.accuracy("rnn").values, [9 / 12, 7 / 12, 9 / 12])
    close(results.accuracy("rnn").mean, 25 / 36)
    close(results.accuracy("rnn", part="seen").values, [1, 1, 6 / 7])
    close(results.accuracy("rnn", part="held out").values, [1 / 4, 0, 2 / 4])
    close(results.accuracy("gru", part="held out").values, [1, 3 / 4, 1])
    close(results.accuracy("gru", "long sentences").values, [0, 0, 0])
    close(results.accuracy("tagger").values, [1])


def test_intervals_by_hand(results: Results) -> None:
    """Of three seeds, all three draws are the worst one's in 1 of 27 resamples: more than 2.5 %, so
    an interval reaches from the worst seed to the best."""
    held_out = results.accuracy("rnn", part="held out")
    close([held_out.low, held_out.mean, held_out.high], [0, 0.25, 0.5])
    seen = results.accuracy("rnn", part="seen")
    close([seen.low, seen.mean, seen.high], [6 / 7, 20 / 21, 1])


def test_a_part_without_sentences_has_no_accuracy(results: Results) -> None:
    none = results.accuracy("rnn", "long sentences", "held out")
    assert none.values == ()
    assert math.isnan(none.mean)


def test_accuracy_by_offset_by_hand(results: Results) -> None:
    offsets, rows = results.by_offset("rnn")
    assert offsets.tolist() == [0, 10, 20, 22, 25, 28, 40]
    close(rows, [[1, 1, 1, 1, 1 / 2, 0, 1], [1, 1, 1, 0, 0, 0, 1], [1, 1, 1 / 2, 1, 1, 0, 1]])


def test_the_worst_offset_by_hand(results: Results) -> None:
    assert results.worst_offset("rnn") == (28, 0.0)
    # At 22 it is right in 2 of 3, at 20 in 5 of 6: only the second is a seen offset.
    assert results.worst_offset("rnn", part="seen") == pytest.approx((20, 5 / 6))
    assert results.worst_offset("gru") == pytest.approx((28, 5 / 6))


def test_accuracy_of_single_characters_by_hand(results: Results) -> None:
    found = results.by_symbol("rnn")
    close(
        [each.values for each in found],
        [
            [3 / 4, 4 / 4, 2 / 4],
            [3 / 4, 4 / 4, 2 / 4],
            [2 / 4, 4 / 4, 3 / 4],
            [1 / 4, 0 / 4, 3 / 4],
        ],
    )
    close([each.mean for each in found], [3 / 4, 3 / 4, 3 / 4, 1 / 3])
    # Of all places: the third character of seed 3 is also wrong once at a seen offset.
    close(results.by_symbol("rnn", part="all")[2].values, [10 / 12, 12 / 12, 10 / 12])


def test_accuracy_by_what_follows_the_answer_by_hand(results: Results) -> None:
    # After the answer: 6, 20, 0, 16, 0, 26, 14, 0, 16, 28, 0 and 76 characters.
    names, rows = results.by_distance("rnn")
    assert names == ["0-9", "10-19", "20-29", "70-79"]
    close(rows, [[3 / 5, 1, 2 / 3, 1], [3 / 5, 1 / 3, 2 / 3, 1], [3 / 5, 1, 2 / 3, 1]])
    names, rows = results.by_distance("rnn", bins=(0, 16, 77))
    assert names == ["0-15", "16-76"]
    close(rows[1], [3 / 6, 4 / 6])
    assert results.by_distance("rnn", bins=(20,))[0] == ["20+"]


def test_no_sentence_is_lost_where_answers_are_shorter_than_the_longest() -> None:
    """A template's answers are of unequal length; the shorter ones may end a sentence, too."""
    changed = content()
    changed["tests"]["none"]["length"] = [start + 3 for start in STARTS]
    names, rows = Results(changed).by_distance("rnn")
    assert names == ["0-9"]
    close(rows, [[9 / 12], [7 / 12], [9 / 12]])


def test_accuracy_by_offset_and_length_by_hand(results: Results) -> None:
    offsets, lengths, mean = results.by_offset_and_length("rnn", step=20)
    assert offsets == [0, 20, 40]
    assert lengths == [0, 20, 40, 60, 80, 100, 120]
    expected = np.full((3, 7), np.nan)
    expected[0, :2] = 1
    expected[1, :4] = np.nan, (2 / 3 + 1 / 3 + 0) / 3, (1 + 2 / 3 + 2 / 3) / 3, 0
    expected[2, 6] = 1
    close(mean, expected)


def test_the_difference_of_two_readers_by_hand(results: Results) -> None:
    gap = results.difference("gru", "rnn")
    # Sentence by sentence, over seeds: 2/3, 1/3, 2/3 and 1.
    assert gap.mean == pytest.approx(2 / 3)
    # No flip but none and all gives as large a sum: 2 of 16.
    assert gap.p == pytest.approx(2 / 16, abs=0.03)
    # Every resample of three seeds and, of each, every one of four sentences.
    gaps = np.array([[1, 0, 1, 1], [1, 1, 0, 1], [0, 0, 1, 1]])
    drawn = [
        gaps[list(seeds)].mean(0)[list(sentences)].mean()
        for seeds in itertools.product(range(3), repeat=3)
        for sentences in itertools.product(range(4), repeat=4)
    ]
    for edge, share in ((gap.low, 0.025), (gap.high, 0.975)):
        assert np.mean(np.array(drawn) < edge - 1e-9) <= share + 0.01
        assert np.mean(np.array(drawn) <= edge + 1e-9) >= share - 0.01
    # Only the seed that both have: there gru lacks the ninth sentence of all, at 28.
    alone = results.difference("gru", "tagger")
    assert (alone.mean, alone.p) == pytest.approx((-1 / 4, 1))
    assert results.difference("rnn", "rnn") == measures.Difference(0, 0, 0, 1)


def test_floor_ceiling_and_threshold(results: Results) -> None:
    assert (results.floor(), results.ceiling()) == (0.125, 1)
    assert (results.floor("long sentences"), results.ceiling("long sentences")) == (0, 0.5)
    assert results.trained("rnn")  # 20 of 21 at seen offsets, whatever it does elsewhere


def test_a_reader_below_the_threshold_is_untrained() -> None:
    changed = content()
    for cell in changed["cells"]:
        if cell["reader"] == "rnn" and cell["seed"] == 1:
            cell["tests"]["none"]["right"] = pack(bits("0111 1110 1001"))
    found = Results(changed)
    close(found.accuracy("rnn", part="seen").mean, 19 / 21)  # 90 %
    assert not found.trained("rnn")
    assert found.trained("gru")


def test_the_best_is_judged_by_all_tests_and_is_no_tagger(results: Results) -> None:
    # On the dozen gru is better, 34 of 36 to 25 of 36; on the long ones it answers none.
    assert results.best() == "rnn"
    assert results.accuracy("gru").mean > results.accuracy("rnn").mean
    only = [cell for cell in content()["cells"] if cell["reader"] == "tagger"]
    assert Results(content(cells=only)).best() == "tagger"


# ---------------------------------------------------------------------------------- intervals


def test_equal_seeds_give_a_point() -> None:
    for count in (1, 2, 5):
        found = Estimate.of([0.25] * count)
        assert (found.mean, found.low, found.high) == (0.25, 0.25, 0.25)
        assert found.values == (0.25,) * count


@pytest.mark.parametrize(
    ("ones", "seeds"), [(1, 2), (1, 3), (1, 5), (2, 5), (4, 10), (9, 10), (7, 20)]
)
def test_intervals_of_seeds_that_are_right_or_wrong_are_binomial(ones: int, seeds: int) -> None:
    """A resample of 0s and 1s holds a binomial number of 1s: its quantiles can be summed up."""
    chance = ones / seeds
    mass = [math.comb(seeds, k) * chance**k * (1 - chance) ** (seeds - k) for k in range(seeds + 1)]
    below = list(itertools.accumulate(mass))
    low = next(k for k, share in enumerate(below) if share >= 0.025)
    high = next(k for k, share in enumerate(below) if share >= 0.975)
    # Ten thousand resamples settle a quantile only where the sum is not just at it.
    assert min(abs(share - edge) for share in below for edge in (0.025, 0.975)) > 0.005
    found = Estimate.of([1.0] * ones + [0.0] * (seeds - ones))
    close([found.low, found.mean, found.high], [low / seeds, chance, high / seeds])


def test_two_seeds_apart_say_nothing_but_from_one_to_the_other() -> None:
    found = Estimate.of([0.0, 1.0])
    assert (found.low, found.mean, found.high) == (0, 0.5, 1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_a_mean_lies_within_its_interval_and_that_within_the_seeds(values: list[float]) -> None:
    found = Estimate.of(values)
    order = [min(values), found.low, found.mean, found.high, max(values)]
    assert all(one <= other + 1e-12 for one, other in itertools.pairwise(order))
    assert found.mean == pytest.approx(math.fsum(values) / len(values))


def test_more_seeds_narrow_an_interval() -> None:
    widths = [(e := Estimate.of([0.2, 0.8] * n)).high - e.low for n in (2, 8, 32)]
    assert widths[0] > 1.6 * widths[1] > 1.6**2 * widths[2] > 0  # twice at each step, about


def test_no_seed_gives_no_number() -> None:
    found = Estimate.of([])
    assert found.values == ()
    assert math.isnan(found.mean) and math.isnan(found.low) and math.isnan(found.high)


# --------------------------------------------------------------------------- paired differences


def enumerated(gaps: np.ndarray) -> float:
    """The share of all flips of the sentences' signs whose sum is as far from 0 as theirs."""
    each = gaps.mean(0)
    sums = [abs(np.dot(signs, each)) for signs in itertools.product((-1, 1), repeat=len(each))]
    return float(np.mean(np.array(sums) >= abs(each.sum()) - 1e-9))


@pytest.mark.parametrize("num_seeds", [1, 3])
def test_p_is_that_of_all_flips_of_signs(num_seeds: int) -> None:
    rng = np.random.default_rng(1)
    for shift in (0.0, 0.2, 0.5):
        gaps = np.sign(rng.normal(shift, 1, size=(num_seeds, 9)).round())
        gaps[:, :2] = 0  # sentences that both readers answer tell nothing
        exact = enumerated(gaps)
        # 2,000 flips: four standard deviations.
        bound = 4 * math.sqrt(exact * (1 - exact) / 2000) + 1e-3
        assert paired(gaps).p == pytest.approx(exact, abs=bound)


def test_no_difference_is_none() -> None:
    for num_seeds in (1, 4):
        assert paired(np.zeros((num_seeds, 30))) == measures.Difference(0, 0, 0, 1)


def test_a_clear_difference_is_clear() -> None:
    gaps = np.zeros((3, 200))
    gaps[:, :60] = 1
    found = paired(gaps)
    assert found.mean == pytest.approx(0.3)
    # No flip of 60 signs is as far out; the least p is that of the flips that were drawn.
    assert found.p == pytest.approx(1 / 2001)
    assert 0.2 < found.low < 0.3 < found.high < 0.4


def test_a_difference_is_antisymmetric() -> None:
    rng = np.random.default_rng(2)
    gaps = rng.integers(-1, 2, size=(3, 40)).astype(float)
    one, other = paired(gaps), paired(-gaps)
    close([other.mean, other.low, other.high], [-one.mean, -one.high, -one.low])
    assert one.p == other.p
    assert one.low < one.mean < one.high


def test_without_a_difference_p_is_uniform() -> None:
    """A test at 5 % must give a false alarm in one case of twenty, whatever the number of seeds."""
    rng = np.random.default_rng(3)
    p = np.array([paired(rng.normal(size=(2, 25)), resamples=99).p for _ in range(400)])
    assert 0.02 < np.mean(p <= 0.05) < 0.09  # 20 of 400; standard deviation 4.4
    assert abs(p.mean() - 0.5) < 0.06
    assert abs(np.mean(p <= 0.5) - 0.5) < 0.1


def test_an_interval_of_one_seed_is_binomial_over_sentences() -> None:
    gaps = np.zeros((1, 50))
    gaps[0, :20] = 1
    mass = [math.comb(50, k) * 0.4**k * 0.6 ** (50 - k) for k in range(51)]
    below = list(itertools.accumulate(mass))
    low = next(k for k, share in enumerate(below) if share >= 0.025) / 50
    high = next(k for k, share in enumerate(below) if share >= 0.975) / 50
    found = paired(gaps)
    assert found.low == pytest.approx(low, abs=1 / 50 + 1e-9)
    assert found.high == pytest.approx(high, abs=1 / 50 + 1e-9)


def test_an_interval_knows_that_seeds_differ() -> None:
    """Better in every sentence under one seed, equal in all under the other: from 0 to 1."""
    gaps = np.array([[1.0] * 100, [0.0] * 100])
    found = paired(gaps)
    assert (found.low, found.mean, found.high) == (0, 0.5, 1)
    # Under both better in half of them: the same mean, and far more certain.
    same = paired(np.array([[1.0, 0.0] * 50] * 2))
    assert same.mean == 0.5
    assert 0.35 < same.low < same.high < 0.65


def test_seeds_that_undo_each_other_leave_their_uncertainty() -> None:
    """Better by every sentence under one seed, worse by every one under the other: the mean is 0,
    but nobody may say that it lies between 0 and 0."""
    found = paired(np.array([[1.0] * 100, [-1.0] * 100]))
    assert (found.mean, found.p) == (0, 1)
    assert (found.low, found.high) == (-1, 1)


def test_figures_are_the_same_on_every_call(results: Results) -> None:
    assert Estimate.of([0.1, 0.5, 0.7]) == Estimate.of([0.1, 0.5, 0.7])
    assert results.difference("gru", "rnn") == Results(content()).difference("gru", "rnn")
