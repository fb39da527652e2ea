"""Copied passages are found and prevented; the probability of each sampled character."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from charlm.config import SampleConfig
from charlm.engine import softmax
from charlm.errors import RequestError
from charlm.generate import CharLM
from charlm.inspection.novelty import SuffixArray, matches, no_copies, novelty
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer

Invoke = Callable[..., Result]
few = st.text("ab", max_size=40)


@given(few, few)
def test_matches_are_what_looking_at_every_run_finds(sample: str, text: str) -> None:
    found = matches(sample, SuffixArray(text))
    for begin, length in enumerate(found):
        longest = max(
            n for n in range(len(sample) - begin + 1) if sample[begin : begin + n] in text
        )
        assert length == longest


@given(st.text(max_size=60) | few)
def test_a_suffix_array_is_every_suffix_in_order(text: str) -> None:
    order = SuffixArray(text).order.tolist()
    assert order == sorted(range(len(text)), key=lambda place: text[place:])


@given(few, few)
def test_a_string_is_found_wherever_it_stands(wanted: str, text: str) -> None:
    index = SuffixArray(text)
    first, last = index.find(wanted)
    places = {n for n in range(len(text)) if text.startswith(wanted, n)}
    assert set(index.order[first:last].tolist()) == places
    assert (wanted in index) == bool(places)


@given(few, few)
def test_followers_are_what_comes_after(tail: str, text: str) -> None:
    expected = {
        text[n + len(tail)] for n in range(len(text) - len(tail)) if text.startswith(tail, n)
    }
    assert SuffixArray(text).followers(tail) == expected


def test_novelty_by_hand() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    text = SuffixArray(letters)
    found = novelty("--cdefg--", text, gram=3)
    assert found.longest == "cdefg"
    assert found.share == pytest.approx(3 / 7)  # cde, def and efg of seven
    assert novelty(letters, text).share == 1
    assert novelty("", text) == novelty("", text, 1)
    assert novelty("xy", text).share is None
    noise = "".join(random.Random(0).choice("0123456789") for _ in range(200))
    assert (novelty(noise, text).longest, novelty(noise, text).share) == ("", 0)


@pytest.mark.parametrize("most", [1, 2, 4])
def test_no_run_of_a_sample_is_a_longer_copy(most: int, make_lm: Callable[..., CharLM]) -> None:
    lm = make_lm(CharTokenizer("abcdefgh"))
    rng = random.Random(1)
    length = {1: 12, 2: 60, 4: 900}[most]
    text = SuffixArray("".join(rng.choice("abcdefgh") for _ in range(length)))
    avoid = no_copies(text, most)
    config = SampleConfig(length=300, seed=1)
    drawn = "".join(lm.stream("a", config, avoid=avoid))
    assert len(novelty(drawn, text).longest) <= most
    free = "".join(lm.stream("a", config))
    assert len(novelty(free, text).longest) > most  # the control


def test_where_nothing_is_left_to_say_it_is_said(make_lm: Callable[..., CharLM]) -> None:
    lm = make_lm(CharTokenizer("ab"))
    with pytest.raises(RequestError, match="every character"):
        list(lm.stream("a", SampleConfig(length=5, seed=0), avoid=lambda text: "ab"))


def test_draws_are_the_stream_with_what_the_model_thought(make_lm: Callable[..., CharLM]) -> None:
    lm = make_lm(CharTokenizer("abcdefgh"))
    config = SampleConfig(length=40, seed=3, temperature=0.7, top_k=5)
    draws = list(lm.draws("abc", config))
    assert "".join(each.text for each in draws) == "".join(lm.stream("abc", config))
    ids = lm.tokenizer.encode("abc" + "".join(each.text for each in draws))
    state = lm.engine.initial_state(1)
    logits, _ = lm.engine.forward(ids[None].astype(int), state)
    for place, each in enumerate(draws, start=3):
        p = softmax(logits[0, place - 1])  # the model's own, not what temperature makes of it
        assert each.probability == pytest.approx(p[ids[place]], rel=1e-3)
        np.testing.assert_allclose(each.logits, logits[0, place - 1], rtol=1e-3, atol=1e-4)


def test_a_character_of_several_bytes_is_as_likely_as_all_of_them(
    make_lm: Callable[..., CharLM],
) -> None:
    lm = make_lm(ByteTokenizer())
    logits = np.full(256, -20.0, dtype=np.float32)
    logits[[0xC3, 0xA8]] = 0  # è, half the time at each byte
    lm.engine.head_weight = np.zeros_like(lm.engine.head_weight)
    lm.engine.head_bias = logits
    config = SampleConfig(length=60, seed=0)
    draws = list(lm.draws("a", config))
    whole = [each for each in draws if each.text == "è"]
    broken = [each for each in draws if each.text == "\ufffd"]
    assert whole and broken
    # Broken off after its first byte, or a second byte without a first: one byte each.
    assert all(each.probability == pytest.approx(0.25, rel=1e-2) for each in whole)
    assert all(each.probability == pytest.approx(0.5, rel=1e-2) for each in broken)


# -------------------------------------------------------------------------------------- the command


def test_novelty_is_said_on_stderr_and_the_text_is_the_same(
    charlm: Invoke, trained: Path, text: str
) -> None:
    options = ("sample", trained, "--length", 80, "--seed", 4)
    plain, told = charlm(*options), charlm(*options, "--novelty")
    assert told.exit_code == 0, told.output
    assert told.stdout == plain.stdout
    said = re.fullmatch(
        r'\n?longest passage from the training text: (\d+) characters \("(.*)"\); (\d+) % of its '
        r"passages of 20 characters are copies\n"
        r"the same for held-out text of the same length: (\d+) characters; \d+ %\n",
        told.stderr,
    )
    assert said is not None, told.stderr
    # Held by hand: the longest runs of the text that the command reads as held out.
    cut = len(text) * 9 // 10
    lengths = matches(text[cut : cut + 80], SuffixArray(text[:cut]))
    assert int(said[4]) == max(lengths)
    assert int(said[1]) == len(said[2].replace("\\n", "\n"))
    assert said[2].replace("\\n", "\n") in told.stdout


def test_the_message_does_not_begin_in_the_last_line_of_a_piped_sample(
    charlm: Invoke, trained: Path
) -> None:
    """stdout and stderr may lead to the same screen, as with ``charlm sample --novelty | tee``."""
    options = ("sample", trained, "--seed", 4, "--novelty", "--length")
    whole = charlm(*options, 80)
    end = whole.stdout.index("\n") + 1  # a length with which the text ends in a line end
    assert charlm(*options, end).stderr.startswith("longest passage")
    assert charlm(*options, end - 1).stderr.startswith("\nlongest passage")
    several = charlm(*options, end - 1, "--num-samples", 2)
    assert several.stdout.endswith("\n")
    assert several.stderr.startswith("sample 1: longest passage")
    assert several.stderr.count("\nsample 2: ") == 2


def test_max_copy_holds(charlm: Invoke, trained: Path, text: str) -> None:
    options = ("sample", trained, "--length", 200, "--seed", 4, "--temperature", 0.3)
    done = charlm(*options, "--max-copy", 4)
    assert done.exit_code == 0, done.output
    training = SuffixArray(text[: len(text) * 9 // 10])
    assert len(novelty(done.stdout, training).longest) <= 4
    assert len(novelty(charlm(*options).stdout, training).longest) > 4


def test_probabilities_as_lines(charlm: Invoke, trained: Path) -> None:
    options = ("sample", trained, "--length", 12, "--seed", 4)
    done = charlm(*options, "--show-probs", "--alternatives", 3)
    assert done.exit_code == 0, done.output
    rows = done.stdout.splitlines()
    assert len(rows) == 12
    for row in rows:
        symbol, figure, unit, *listed = row.split()
        shares = [int(share.removesuffix("%")) for share in listed[1::2]]
        assert unit == "%" and len(shares) == 3 and shares == sorted(shares, reverse=True)
        if symbol in listed[::2]:
            assert round(float(figure)) == pytest.approx(shares[listed[::2].index(symbol)], abs=1)


def test_the_probabilities_of_several_samples_are_numbered(charlm: Invoke, trained: Path) -> None:
    options = ("sample", trained, "--length", 6, "--seed", 4, "--show-probs")
    one, two = charlm(*options), charlm(*options, "--num-samples", 2)
    first, second = two.stdout.split("\n\n")
    assert first.splitlines() == ["--- 1 ---", *one.stdout.splitlines()]
    assert second.splitlines()[0] == "--- 2 ---"
    assert len(second.splitlines()) == 7
    assert second.splitlines()[1:] != first.splitlines()[1:]
    assert two.stderr == one.stderr


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--show-probs", "--json", "--stop", "a"], "leave out --stop, --json"),
        (["--alternatives", 2], "belongs to --show-probs"),
        (["--max-copy", 0], "--max-copy"),
        (["--corpus", "book.txt"], "--corpus belongs to --novelty, --max-copy and --new"),
    ],
)
def test_what_makes_no_sense_is_refused(
    charlm: Invoke, trained: Path, options: list[object], part: str
) -> None:
    done = charlm("sample", trained, *options)
    assert done.exit_code == 2
    assert part in done.stderr
    assert done.stdout == ""


def test_without_the_training_text_it_is_said(
    charlm: Invoke, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "best.safetensors").write_bytes((trained / "best.safetensors").read_bytes())
    done = charlm("sample", tmp_path / "best.safetensors", "--novelty")
    assert done.exit_code == 2
    assert "this file alone does not say where its corpus is; give it with --corpus" in done.stderr
