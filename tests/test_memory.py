"""How much of the past a hidden state holds: planted memories are found, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

import charlm as package
from charlm import checkpoint
from charlm.engine import Engine, softmax
from charlm.errors import RequestError
from charlm.generate import CharLM
from charlm.inspection import memory, rebuilding
from charlm.inspection.memory import Curve, States
from charlm.text.tokenizer import CharTokenizer

Invoke = Callable[..., Result]
TOKENIZER = CharTokenizer("abcdefgh")
NOISE = np.random.default_rng(0).integers(8, size=9000)


def remembering(back: int, count: int = 4000, reach: int = 6) -> States:
    """States that encode one thing at random: which of eight characters was read ``back`` ago."""
    rng = np.random.default_rng(1)
    past = NOISE[reach + np.arange(count)[:, None] - np.arange(reach + 1)]
    code = rng.standard_normal((8, 12))
    features = code[past[:, back]] + 0.05 * rng.standard_normal((count, 12))
    return States(features.astype(np.float32), past)


# ----------------------------------------------------------------------------------------- context


@pytest.mark.parametrize("cell", ["lstm", "window"])
def test_a_curve_is_the_loss_after_so_much_and_no_more(
    cell: str, make_lm: Callable[..., CharLM]
) -> None:
    lm = make_lm(TOKENIZER, cell=cell, num_layers=1)
    ids = NOISE[:40]
    found = memory.context_curve(lm.engine, ids, contexts=(1, 3, 8), wanted=1000)
    assert found.bits.shape == (32, 3)  # every place with 8 before it
    by_hand = []
    for place in range(8, 40):
        row = []
        for context in (1, 3, 8):
            state = lm.engine.initial_state(1)
            for token in ids[place - context : place]:
                logits, state = lm.engine.step(np.array([token]), state)
            row.append(-np.log2(softmax(logits[0])[ids[place]]))
        by_hand.append(row)
    by_place = np.array(sorted(by_hand))
    np.testing.assert_allclose(np.array(sorted(found.bits.tolist())), by_place, rtol=1e-4)
    if cell == "window":  # it sees three characters: more changes nothing
        np.testing.assert_allclose(found.bits[:, 1], found.bits[:, 2], rtol=1e-5)
        assert found.usable() in (1, 3)


def one_step(lm: CharLM) -> np.ndarray:
    """(V, V) bits of every character after every single one, each in a pass of its own."""
    rows = []
    for token in range(lm.tokenizer.vocab_size):
        logits, _ = lm.engine.step(np.array([token]), lm.engine.initial_state(1))
        rows.append(-np.log2(softmax(logits[0].astype(np.float64))))
    return np.array(rows)


def test_one_character_of_context_is_one_step_from_the_zero_state(
    make_lm: Callable[..., CharLM],
) -> None:
    """Once the curve at context 1 seemed to be off by 0.1 bits: 4.181 for 4.296 +- 0.025. It was
    the mean over 512 positions, and neither it nor its standard error of 0.09 was wrong."""
    lm = make_lm(TOKENIZER, cell="lstm", num_layers=1, scale=1.5)
    bits = one_step(lm)[NOISE[:-1], NOISE[1:]]  # of every character but the first
    every = memory.context_curve(lm.engine, NOISE, contexts=(1, 8), wanted=len(NOISE))
    assert len(every.bits) == len(NOISE) - 8
    assert every.mean[0] == pytest.approx(bits[7:].mean(), rel=1e-5)
    covered, means = 0, []
    for seed in range(60):
        found = memory.context_curve(lm.engine, NOISE, contexts=(1,), seed=seed)
        (low,), (high,) = found.interval()
        means.append(found.mean[0])
        covered += low <= bits.mean() <= high
    error = bits.std() / 512**0.5
    assert abs(np.mean(means) - bits.mean()) < 3 * error / 60**0.5  # unbiased
    assert np.std(means) == pytest.approx(error, rel=0.3)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.35)
    assert covered >= 50  # of 60, 57 expected


def test_usable_and_beyond_by_hand() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.3, (400, 1))
    curve = Curve((1, 2, 4, 8), noise + np.array([3.0, 2.5, 2.209, 2.2]))
    assert curve.usable() == 4
    for window, expected in ((1, 0.8), (2, 0.3), (4, 0.009), (8, 0.0)):
        mean, low, high = curve.beyond(window)
        assert (mean, low, high) == pytest.approx((expected,) * 3, abs=1e-9)  # paired: no noise


def test_an_interval_knows_that_neighbours_are_alike() -> None:
    """If groups of eight positions are equal, there are an eighth as many observations."""
    rng = np.random.default_rng(1)
    alike, alone = np.repeat(rng.normal(0, 1, 64), 8), rng.normal(0, 1, 512)
    widths = []
    for saved in (alike, alone):
        _, low, high = Curve((1, 2), np.stack([saved, np.zeros(512)], axis=1)).beyond(1)
        widths.append(high - low)
    assert widths[0] == pytest.approx(4 * 1 / 8, rel=0.35)  # 2 x 1.96 / sqrt(64)
    assert widths[0] > 2 * widths[1]


def test_a_text_shorter_than_the_context_is_refused(make_lm: Callable[..., CharLM]) -> None:
    lm = make_lm(TOKENIZER)
    with pytest.raises(RequestError, match="a context of 64 needs at least 65"):
        memory.context_curve(lm.engine, NOISE[:64], contexts=(1, 64))
    assert len(memory.context_curve(lm.engine, NOISE[:65], contexts=(1, 64)).bits) == 1


# ----------------------------------------------------------------------------------------- states


def test_states_are_those_of_reading_and_the_past_is_the_past(
    make_lm: Callable[..., CharLM],
) -> None:
    lm = make_lm(TOKENIZER, cell="window", num_layers=1)  # so that a stream's warm-up is enough
    found = memory.states(lm.engine, NOISE, reach=5, wanted=2000)
    features, _ = lm.engine.body(NOISE[None], lm.engine.initial_state(1))
    count = len(found.features)
    assert 1900 < count <= 2000
    np.testing.assert_allclose(found.features, features[0, 128 : 128 + count], rtol=1e-4, atol=1e-6)
    for back in range(6):
        np.testing.assert_array_equal(found.past[:, back], NOISE[128 - back : 128 - back + count])
    with pytest.raises(RequestError, match="at least 1,128"):
        memory.states(lm.engine, NOISE[:1127], reach=5)


def test_what_is_learnt_from_is_not_what_is_judged_on() -> None:
    learn, judge = remembering(0).halves()
    assert len(learn.features) + len(judge.features) == 4000 - 7
    everything = remembering(0).features
    np.testing.assert_array_equal(judge.features, everything[2000:])
    np.testing.assert_array_equal(learn.features, everything[:1993])


# ------------------------------------------------------------------------------------------- probe


@pytest.mark.parametrize("back", [0, 2, 5])
def test_a_probe_finds_what_is_there_and_nothing_else(back: int) -> None:
    found = memory.probe(remembering(back), 8, lags=range(7))
    for lag, accuracy in zip(found.lags, found.accuracy, strict=True):
        if lag == back:
            assert accuracy > 0.98
        else:
            assert accuracy < 0.2  # one of eight, drawn alike
    assert (found.shuffled < 0.2).all()
    assert (found.chance < 0.2).all()
    assert found.reach() == (0 if back == 0 else -1)


def test_reach_ends_at_the_first_gap() -> None:
    half = np.full(4, 0.5)
    probe = memory.Probe((0, 1, 2, 4), np.array([1.0, 0.56, 0.54, 0.9]), half, half)
    assert probe.reach() == 1


# ---------------------------------------------------------------------------------------- decoder


def test_a_decoder_rebuilds_what_is_there_and_nothing_else() -> None:
    found = rebuilding.rebuild(remembering(3), 8, steps=150)
    assert found.guesses.shape == found.truth.shape == (2000, 7)
    assert found.accuracy[3] > 0.95
    others = np.delete(found.accuracy, 3)
    assert (others < 0.25).all() and (found.shuffled < 0.25).all()
    np.testing.assert_allclose(found.accuracy, (found.guesses == found.truth).mean(0))


def test_a_decoder_is_a_function_of_its_seed() -> None:
    one, other = (rebuilding.rebuild(remembering(1, 1200), 8, steps=5) for _ in range(2))
    np.testing.assert_array_equal(one.guesses, other.guesses)


# -------------------------------------------------------------------------------------- the command


def test_memory_says_what_the_functions_found(
    charlm: Invoke, trained: Path, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "long.txt"
    path.write_text(text * 2, encoding="utf-8")
    done = charlm("inspect", "memory", trained, path, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)[str(trained)]
    lm = package.load(trained)
    curve = memory.context_curve(Engine(lm.config, lm.weights), lm.tokenizer.encode(text * 2))
    np.testing.assert_allclose(found["context"]["bits_per_unit"], curve.mean, rtol=1e-5)
    low, high = np.array(found["context"]["low"]), np.array(found["context"]["high"])
    np.testing.assert_allclose([low, high], curve.interval(), rtol=1e-5)
    assert found["context"]["positions"] == 512
    training = checkpoint.read(trained / "last.safetensors").training
    assert training is not None
    assert found["context"]["window"] == training["config"]["seq_len"]
    untrained = np.array(found["context"]["untrained"])
    assert np.ptp(untrained) < 0.05 < np.ptp(curve.mean)  # the control does not fall
    assert found["probe"]["accuracy"][0] > found["probe"]["chance"][0] + 0.2
    shown = charlm("inspect", "memory", trained, path)
    assert shown.exit_code == 0, shown.output
    (margin,) = [line for line in shown.stdout.splitlines() if line.lstrip().startswith("95 % +-")]
    assert float(margin.split()[-1]) == pytest.approx((high[-1] - low[-1]) / 2, abs=6e-4)
    for part in ("characters of context do as well as 512", "linear probe", "shuffled", "decoder"):
        assert part in shown.stdout


def test_too_short_a_text_is_refused(charlm: Invoke, trained: Path, corpus: Path) -> None:
    done = charlm("inspect", "memory", trained, input=b"il mare\n" * 80)
    assert done.exit_code == 2
    assert "at least" in done.stderr
