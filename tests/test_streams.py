"""The streams of stateful truncated BPTT, tested on ids that equal their own positions."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import ShortCorpusError
from charlm.text.streams import Batch, Streams


@st.composite
def many_streams(draw: st.DrawFn) -> Streams:
    B, T = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    length = 1 + B * T + draw(st.integers(0, 120))
    return Streams(np.arange(length), B, T, draw(st.integers(0, 2**63 - 1)))


def epoch(streams: Streams, number: int) -> list[Batch]:
    first = number * streams.steps_per_epoch
    return [streams.batch(first + window) for window in range(streams.steps_per_epoch)]


def targets(streams: Streams, number: int) -> list[int]:
    return [int(i) for batch in epoch(streams, number) for i in batch.targets.ravel()]


def left_out(streams: Streams, number: int) -> set[int]:
    return set(range(1, len(streams.ids))) - set(targets(streams, number))


EPOCHS = st.integers(0, 50)
laws = settings(max_examples=60, deadline=None)


@laws
@given(many_streams(), st.integers(0, 500))
def test_a_target_follows_its_input(streams: Streams, step: int) -> None:
    batch = streams.batch(step)
    assert batch.inputs.shape == (streams.batch_size, streams.seq_len)
    assert (batch.targets == batch.inputs + 1).all()


@laws
@given(many_streams(), EPOCHS)
def test_no_target_comes_twice_in_an_epoch(streams: Streams, number: int) -> None:
    seen = targets(streams, number)
    assert len(seen) == len(set(seen))


@laws
@given(many_streams(), EPOCHS)
def test_fewer_targets_than_one_batch_are_left_out(streams: Streams, number: int) -> None:
    assert len(left_out(streams, number)) < streams.batch_size * streams.seq_len


@laws
@given(many_streams(), EPOCHS)
def test_the_next_epoch_leaves_out_others(streams: Streams, number: int) -> None:
    lost = left_out(streams, number)
    assert not lost or lost != left_out(streams, number + 1)


@laws
@given(many_streams())
def test_three_epochs_read_everything(streams: Streams) -> None:
    assert not set.intersection(*(left_out(streams, number) for number in range(3)))


@laws
@given(many_streams(), EPOCHS)
def test_every_epoch_starts_elsewhere(streams: Streams, number: int) -> None:
    if streams.num_targets > 1:
        assert streams.start(number) != streams.start(number + 1)
    assert streams.batch(number * streams.steps_per_epoch).inputs[0, 0] == streams.start(number)


@laws
@given(many_streams(), EPOCHS)
def test_a_window_goes_on_where_the_one_before_ended(streams: Streams, number: int) -> None:
    for before, after in pairwise(epoch(streams, number)):
        follows = (before.inputs[:, -1] + 1) % streams.num_targets
        assert (after.inputs[:, 0] == follows).all()


@laws
@given(many_streams(), EPOCHS)
def test_streams_lie_end_to_end_on_the_ring(streams: Streams, number: int) -> None:
    whole = np.concatenate([batch.inputs for batch in epoch(streams, number)], axis=1).ravel()
    assert (whole == (streams.start(number) + np.arange(whole.size)) % streams.num_targets).all()


@laws
@given(many_streams(), st.integers(0, 500))
def test_the_state_is_foreign_at_the_start_of_an_epoch_alone(streams: Streams, step: int) -> None:
    batch = streams.batch(step)
    assert batch.epoch == step // streams.steps_per_epoch
    assert batch.starts_epoch == (step % streams.steps_per_epoch == 0)


@laws
@given(many_streams(), st.integers(0, 10**9))
def test_a_batch_depends_on_seed_and_step_alone(streams: Streams, step: int) -> None:
    again = Streams(streams.ids, streams.batch_size, streams.seq_len, streams.seed)
    again.batch(3)
    assert (streams.batch(step).inputs == again.batch(step).inputs).all()


def test_another_seed_starts_elsewhere() -> None:
    starts = {Streams(np.arange(10_000), 2, 5, seed).start(0) for seed in range(20)}
    assert len(starts) == 20


def test_a_short_ring_by_hand() -> None:
    streams = Streams(np.arange(10, 22), 2, 2, seed=1)
    with patch.object(Streams, "start", lambda self, epoch: 5 * epoch):
        first, second, third = (streams.batch(step) for step in range(3))
    assert first.inputs.tolist() == [[10, 11], [14, 15]]
    assert first.targets.tolist() == [[11, 12], [15, 16]]
    assert second.inputs.tolist() == [[12, 13], [16, 17]]
    assert (first.starts_epoch, second.starts_epoch) == (True, False)
    assert third.inputs.tolist() == [[15, 16], [19, 20]]
    assert (third.epoch, third.starts_epoch) == (1, True)


def test_the_ring_closes_without_a_false_pair() -> None:
    streams = Streams(np.arange(6), 1, 5, seed=1)
    with patch.object(Streams, "start", lambda self, epoch: 3):
        batch = streams.batch(0)
    assert batch.inputs.tolist() == [[3, 4, 0, 1, 2]]
    assert batch.targets.tolist() == [[4, 5, 1, 2, 3]]


@laws
@given(many_streams(), st.integers(0, 500))
def test_a_batch_is_that_of_the_ring_written_out(streams: Streams, step: int) -> None:
    """The definition: every place of the ring by itself, as in earlier versions."""
    ids = np.random.default_rng(0).integers(0, 9, len(streams.ids)).astype(np.uint8)
    streams = Streams(ids, streams.batch_size, streams.seq_len, streams.seed)
    number, window = divmod(step, streams.steps_per_epoch)
    rows = np.arange(streams.batch_size)[:, None] * streams.stream_len
    columns = window * streams.seq_len + np.arange(streams.seq_len)
    places = (streams.start(number) + rows + columns) % streams.num_targets
    batch = streams.batch(step)
    np.testing.assert_array_equal(batch.inputs, ids[places])
    np.testing.assert_array_equal(batch.targets, ids[places + 1])


class FromFile:
    """A reader that a later version could have: it seeks and reads, one window after another."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return self.path.stat().st_size

    def windows(self, starts: Any, length: int) -> Any:
        with self.path.open("rb") as file:
            rows = []
            for start in starts.tolist():
                file.seek(start)
                rows.append(np.frombuffer(file.read(length), np.uint8))
        assert all(len(row) == length for row in rows), "a window beyond the end was asked for"
        return np.stack(rows)


def test_a_file_can_take_the_place_of_an_array(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 99, 500).astype(np.uint8)
    path = tmp_path / "ids"
    path.write_bytes(ids.tobytes())
    array, file = Streams(ids, 3, 7, seed=1), Streams(FromFile(path), 3, 7, seed=1)
    for step in range(2 * array.steps_per_epoch):
        one, other = array.batch(step), file.batch(step)
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.targets, other.targets)


def test_ids_keep_their_small_type() -> None:
    assert Streams(np.zeros(50, np.uint8), 2, 3, seed=1).batch(0).inputs.dtype == np.uint8


@pytest.mark.parametrize("length", [0, 1, 12])
def test_a_text_shorter_than_one_batch_is_refused(length: int) -> None:
    with pytest.raises(ShortCorpusError, match="needs at least 13; lower --batch-size and --seq"):
        Streams(np.arange(length), 3, 4, seed=1)
    Streams(np.arange(13), 3, 4, seed=1)
