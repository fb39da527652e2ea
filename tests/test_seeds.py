"""The source of all randomness: stable across versions, different for every purpose."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.seeds import derive

PURPOSES = ("streams", "weights", "dropout", "sampling", "timing")


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ((1, "streams"), 3_717_377_837_946_358_015),
        ((1, "weights"), 38_901_565_946_305_238),
        ((7, "dropout", 1000), 6_057_720_654_326_239_846),
        ((2**63 - 1, "sampling", 3, 2), 8_333_132_283_476_355_608),
    ],
)
def test_a_seed_means_the_same_for_ever(arguments: tuple[int, str], value: int) -> None:
    assert derive(*arguments) == value


def test_every_seed_purpose_step_and_rank_has_its_own_number() -> None:
    every = list(itertools.product(range(6), PURPOSES, range(6), range(3)))
    assert len({derive(*arguments) for arguments in every}) == len(every)


@settings(deadline=None)
@given(st.integers(0, 2**63 - 1), st.sampled_from(PURPOSES), st.integers(0, 2**40))
def test_a_derived_seed_suits_every_generator(seed: int, purpose: str, step: int) -> None:
    assert 0 <= derive(seed, purpose, step) < 2**63


def test_an_unknown_purpose_is_refused() -> None:
    with pytest.raises(ValueError, match="not in"):
        derive(1, "nonsense")
