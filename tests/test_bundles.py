"""Which items are read together: each once in an epoch, in an order that depends on no state."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from charlm.text.bundles import SORTED, Bundle, Bundles

laws = settings(max_examples=80, deadline=None)

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=60)
WINDOWS = st.sampled_from([None, 1, 3, 8, 30])


def made(lengths: list[int], batch_size: int, seq_len: int | None, seed: int = 1) -> Bundles:
    return Bundles(np.array(lengths), batch_size, seq_len, seed)


def epoch_of(bundles: Bundles, epoch: int = 0) -> list[Bundle]:
    S = bundles.steps_per_epoch
    return [bundles.at(step) for step in range(epoch * S, (epoch + 1) * S)]


def same(one: Bundle, other: Bundle) -> bool:
    return (one.rows.tolist(), one.window, one.epoch) == (
        other.rows.tolist(),
        other.window,
        other.epoch,
    )


@laws
@given(LENGTHS, st.integers(1, 9), WINDOWS, st.integers(0, 2))
def test_an_epoch_reads_every_symbol_once_and_in_order(
    lengths: list[int], batch_size: int, seq_len: int | None, epoch: int
) -> None:
    """Every item appears in consecutive windows of the same rows, the first of them 0, as many as
    it needs; and no item appears again."""
    bundles = made(lengths, batch_size, seq_len)
    read: dict[int, list[int]] = defaultdict(list)
    before: Bundle | None = None
    for bundle in epoch_of(bundles, epoch):
        assert bundle.epoch == epoch
        assert 1 <= len(bundle.rows) <= batch_size
        if bundle.window:
            assert before is not None and bundle.window == before.window + 1
            assert bundle.rows.tolist() == before.rows.tolist()
        for row in bundle.rows.tolist():
            read[row].append(bundle.window)
        before = bundle
    assert sorted(read) == list(range(len(lengths)))
    for row, windows in read.items():
        needed = 1 if seq_len is None else -(-lengths[row] // seq_len)
        assert windows == list(range(len(windows))) and len(windows) >= needed
    # A bundle takes as many steps as its longest item, and no more.
    for bundle in epoch_of(bundles, epoch):
        longest = max(lengths[row] for row in bundle.rows)
        assert seq_len is None or bundle.window * seq_len < longest


@laws
@given(LENGTHS, st.integers(1, 9), WINDOWS, st.randoms(use_true_random=False))
def test_a_step_is_the_same_whatever_was_asked_before(
    lengths: list[int], batch_size: int, seq_len: int | None, rng: random.Random
) -> None:
    steps = list(range(3 * made(lengths, batch_size, seq_len).steps_per_epoch))
    bundles = made(lengths, batch_size, seq_len)
    in_order = {step: bundles.at(step) for step in steps}
    rng.shuffle(steps)
    other = made(lengths, batch_size, seq_len)
    assert all(same(other.at(step), in_order[step]) for step in steps)


@pytest.mark.parametrize("seq_len", [None, 4])
def test_another_epoch_and_another_seed_have_another_order(seq_len: int | None) -> None:
    lengths = [1 + k % 9 for k in range(200)]

    def order(epoch: int, seed: int) -> list[list[int]]:
        return [b.rows.tolist() for b in epoch_of(made(lengths, 8, seq_len, seed), epoch)]

    assert order(0, 1) == order(0, 1)
    orders = [order(0, 1), order(1, 1), order(2, 1), order(0, 2)]
    for k, each in enumerate(orders):
        assert all(each != other for other in orders[k + 1 :])
    # Who is read together changes too, not only when.
    assert {frozenset(rows) for rows in orders[0]} != {frozenset(rows) for rows in orders[1]}
    assert len({len(each) for each in orders}) == 1


def test_every_place_of_an_epoch_gets_every_item() -> None:
    """Uniform enough: over many epochs no item is bound to a place."""
    bundles = made([5] * 12, 3, None)
    first = Counter(row for epoch in range(400) for row in bundles.at(epoch * 4).rows.tolist())
    # 100 times each on average; a standard deviation is below 9.
    assert len(first) == 12 and all(60 < count < 140 for count in first.values())


def padding(bundles: Bundles, lengths: NDArray[np.int64]) -> float:
    """The share of a whole epoch's rectangles that no item fills."""
    wide = sum(len(b.rows) * int(lengths[b.rows].max()) for b in epoch_of(bundles))
    return 1 - int(lengths.sum()) / wide


def test_items_of_similar_lengths_are_read_together() -> None:
    lengths = np.random.default_rng(3).integers(2, 30, 4096)
    bundles = Bundles(lengths, 64, 40, 1)
    rng = np.random.default_rng(4).permutation(4096).reshape(-1, 64)
    control = 1 - lengths.sum() / sum(64 * lengths[rows].max() for rows in rng)
    assert control > 0.4  # items drawn at random
    assert padding(bundles, lengths) < 0.06
    # And yet no batch is the same in the next epoch: only 1,024 items are sorted at once.
    assert len(lengths) > SORTED * 64


def test_the_steps_of_an_epoch_by_hand() -> None:
    # 3 short items in batches of 2: 2 steps. Lengths 9, 7, 5 with a window of 4: the longest two
    # take 3 steps together, the last one 2.
    bundles = made([4, 9, 1, 7, 2, 5], 2, 4)
    assert bundles.steps_per_epoch == 2 + 3 + 2
    long = [b for b in epoch_of(bundles) if 1 in b.rows]
    assert [b.rows.tolist() for b in long] == [[1, 3]] * 3
    assert [b.window for b in long] == [0, 1, 2]
    assert [b.window for b in epoch_of(bundles) if 5 in b.rows] == [0, 1]
