"""Texts side by side: each is bit by bit the text that it is alone, whatever is beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import write_text

from charlm import lockstep
from charlm.arrays import Ids, State
from charlm.checkpoint import Checkpoint
from charlm.config import CELLS, ModelConfig, SampleConfig
from charlm.counts import Counts
from charlm.errors import CheckpointError, RequestError
from charlm.generate import CharLM
from charlm.lockstep import ABREAST, Lockstep
from charlm.mixture import Weights
from charlm.ngram import NGramModel
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer, Tokenizer

TEXT = write_text(3000)
TOKENIZER = CharTokenizer.from_text(TEXT)
SIZES = {"head.weight": 0.1, "body.embedding.weight": 0.3}
CONFIG = SampleConfig(length=200, seed=1, temperature=1.0)


def model(tokenizer: Tokenizer = TOKENIZER, *, counts: bool = False, **shape: Any) -> CharLM:
    """A model that amplifies the last bits of what it computes, until after some hundred characters
    nothing is the same: a recurrent one is chaotic with weights of this size.
    """
    options = {"hidden_size": 96, "embedding_size": 16, "context": 5} | shape
    config = ModelConfig.resolve(vocab_size=tokenizer.vocab_size, **options)
    rng = np.random.default_rng(3)
    weights = {
        name: (SIZES.get(name, 1.0) * rng.standard_normal(size)).astype(np.float32)
        for name, size in config.parameter_shapes().items()
    }
    beside = None
    if counts:
        ngram = NGramModel.fit(tokenizer.encode(TEXT), tokenizer.vocab_size, 6, keep_once=3)
        beside = Counts(ngram, Weights(0.3, 0.7), "", "", {})
    return CharLM(Checkpoint(config, tokenizer, weights), beside)


def alone(lm: CharLM, config: SampleConfig, count: int, prompt: str = "", **more: Any) -> list[str]:
    """The texts one after the other."""
    return ["".join(lm.stream(prompt, config, number=n, **more)) for n in range(count)]


def together(
    lm: CharLM, config: SampleConfig, count: int, prompt: str = "", **more: Any
) -> list[str]:
    return ["".join(each) for each in lm.streams(prompt, config, count, **more)]


# --------------------------------------------------------------------- the text that it is alone


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_every_text_is_the_one_that_is_sampled_alone(cell: str, counts: bool) -> None:
    lm = model(cell=cell, num_layers=2, counts=counts)
    texts = together(lm, CONFIG, 40, "Il mare")
    assert texts == alone(lm, CONFIG, 40, "Il mare")
    assert len(set(texts)) == 40


@pytest.mark.parametrize("counts", [False, True])
def test_sixty_four_long_texts_are_those_sampled_alone(counts: bool) -> None:
    lm, config = model(counts=counts), replace(CONFIG, length=600)
    assert together(lm, config, 64) == alone(lm, config, 64)


def test_another_last_bit_would_give_other_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above can fail: they do if the state of texts side by side differs in its last bit
    from that of a text alone, as a product of all rows makes it."""
    lm, config = model(), replace(CONFIG, length=400)
    expected, step = alone(lm, config, 8), lm.engine.step

    def careless(ids: Ids, state: State) -> tuple[Any, State]:
        logits, after = step(ids, state)
        return logits, tuple(np.nextafter(part, np.float32(2)) for part in after)

    monkeypatch.setattr(lm.engine, "step", careless)
    assert not set(together(lm, config, 8)) & set(expected)


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.0},
        {"temperature": 0.5},
        {"temperature": 1.5, "top_k": 3},
        {"top_p": 0.7},
        {"min_p": 0.2},
        {"top_k": 9, "top_p": 0.9, "min_p": 0.01},
        {"repetition_penalty": 1.3},
        {"length": 0},
        {"length": 1},
    ],
)
def test_whatever_the_options(options: dict[str, Any], counts: bool) -> None:
    lm, config = model(counts=counts), replace(CONFIG, **options)
    assert together(lm, config, 20, "la") == alone(lm, config, 20, "la")


@pytest.mark.parametrize(
    "tokenizer", [ByteTokenizer(), CharTokenizer(TOKENIZER.characters, unknown=True)]
)
@pytest.mark.parametrize("stop", [(), ("a", "\n")])
def test_bytes_and_a_symbol_that_is_never_written(
    tokenizer: Tokenizer, stop: tuple[str, ...]
) -> None:
    lm, config = model(tokenizer), replace(CONFIG, length=80)
    assert together(lm, config, 33, stop=stop) == alone(lm, config, 33, stop=stop)


@pytest.mark.parametrize("stop", ["a", ["che", "o", "re"], ["qqqq"]])
def test_texts_that_end_early_leave_the_others_as_they_are(stop: str | list[str]) -> None:
    lm = model(counts=True)
    texts = together(lm, CONFIG, 40, stop=stop)
    assert texts == alone(lm, CONFIG, 40, stop=stop)
    assert len(set(map(len, texts))) > 1 or stop == ["qqqq"]


def test_characters_that_cannot_come_next_are_avoided() -> None:
    lm = model()
    texts = together(lm, CONFIG, 3, avoid=lambda text: "aeio")
    assert texts == alone(lm, CONFIG, 3, avoid=lambda text: "aeio")
    assert not set("".join(texts)) & set("aeio")


def test_a_vocabulary_too_large_for_tables() -> None:
    tokenizer = CharTokenizer("".join(sorted(set(TEXT) | {chr(0x4E00 + n) for n in range(1100)})))
    lm, config = model(tokenizer, counts=True), replace(CONFIG, length=60)
    assert together(lm, config, 20) == alone(lm, config, 20)


# ------------------------------------------------------------------------- whatever is beside it


@pytest.mark.parametrize("count", [1, 2, 5, 31, 33, ABREAST + 2])
def test_a_text_depends_neither_on_its_neighbours_nor_on_their_number(count: int) -> None:
    lm, config = model(counts=True), replace(CONFIG, length=400)
    assert together(lm, config, count)[-2:] == alone(lm, config, count)[-2:]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_nothing(threads: int) -> None:
    lm, config = model(counts=True), replace(CONFIG, length=300)
    start = lm.start("la")
    side = Lockstep(
        lm.predictor, TOKENIZER, start.logits, start.state, config, range(48), threads=threads
    )
    assert ["".join(side.read(n)) for n in range(48)] == alone(lm, config, 48, "la")
    assert len(side._rows) == threads


def test_in_any_order_and_with_some_of_them_given_up() -> None:
    lm = model()
    expected = alone(lm, CONFIG, 36)
    streams = lm.streams("", CONFIG, 36)
    shown = {n: next(streams[n]) for n in (35, 7, 3)}
    for n in (3, 8, 9):
        streams[n].close()
    for n in (30, 7, 35, 0):
        assert shown.get(n, "") + "".join(streams[n]) == expected[n]


def test_without_a_seed_all_texts_are_new() -> None:
    lm, config = model(), replace(CONFIG, seed=None)
    assert len(set(together(lm, config, 3) + together(lm, config, 3))) == 6


def test_the_prompt_is_left_as_it_was() -> None:
    lm = model(counts=True)
    start = lm.start("la luna")
    before = [part.copy() for part in (start.logits, *start.state)]
    first = ["".join(each) for each in lm.streams(start, CONFIG, 4)]
    for part, old in zip((start.logits, *start.state), before, strict=True):
        np.testing.assert_array_equal(part, old)
    assert first == ["".join(each) for each in lm.streams(start, CONFIG, 4)]


# ------------------------------------------------------------------------------ while it is sampled


class Steps:
    """A predictor that counts its steps, and is interrupted at one of them."""

    def __init__(self, lm: CharLM, interrupt_at: int = -1) -> None:
        self._step: Callable[[Ids, State], tuple[Any, State]] = lm.predictor.step
        self.taken, self.interrupt_at = 0, interrupt_at

    def __call__(self, ids: Ids, state: State) -> tuple[Any, State]:
        self.taken += 1
        if self.taken == self.interrupt_at:
            raise KeyboardInterrupt
        return self._step(ids, state)


def test_the_first_character_comes_long_before_any_text_is_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lm = model()
    steps = Steps(lm)
    monkeypatch.setattr(lm.predictor, "step", steps)
    streams = lm.streams("", replace(CONFIG, length=10_000), 8)
    assert steps.taken == 0  # nothing is sampled before somebody reads
    next(streams[0])
    assert 0 < steps.taken < 10
    for _ in range(500):
        next(streams[0])
    assert steps.taken < 700


def test_texts_that_have_ended_cost_no_more_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = model()
    step, sizes = lm.predictor.step, []

    def noted(ids: Ids, state: State) -> tuple[Any, State]:
        sizes.append(len(ids))
        return step(ids, state)

    monkeypatch.setattr(lm.predictor, "step", noted)
    streams = lm.streams("", replace(CONFIG, length=1000), 8)
    next(streams[0])
    for each in streams[1:]:
        next(each)
        each.close()
    "".join(streams[0])
    assert sizes[-1] == 1


def test_after_an_interruption_no_text_goes_on_with_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = model()
    expected = alone(lm, CONFIG, 3)
    monkeypatch.setattr(lm.predictor, "step", Steps(lm, interrupt_at=30))
    first, second, third = lm.streams("", CONFIG, 3)
    with pytest.raises(KeyboardInterrupt):
        list(first)
    shown: list[str] = []
    with pytest.raises(RequestError, match="was interrupted"):
        read_into(shown, second)
    assert shown and expected[1].startswith("".join(shown))
    with pytest.raises(RequestError, match="was interrupted"):
        list(third)


def read_into(shown: list[str], pieces: Iterator[str]) -> None:
    for piece in pieces:
        shown.append(piece)


@pytest.mark.parametrize(("stop", "bias"), [((), 0), (("ab", "c"), 4)])
def test_only_the_text_whose_numbers_overflow_ends_with_an_error(
    stop: tuple[str, ...], bias: int
) -> None:
    """After the letter e this model's output is not finite. A text that has ended before, even
    in the same block, has no error."""
    tokenizer = CharTokenizer("abcde")
    lm = model(tokenizer, cell="window", context=1)
    lm.engine.head_bias[:] = [4, 4, 4, 4, bias]
    lm.engine.embedding[4] = np.nan  # as if its numbers were too large
    config = replace(CONFIG, length=60)

    def outcomes(streams: Sequence[Iterator[str]]) -> list[tuple[str, str]]:
        found = []
        for stream in streams:
            shown: list[str] = []
            try:
                read_into(shown, stream)
                found.append(("".join(shown), ""))
            except CheckpointError as error:
                found.append(("".join(shown), str(error)))
        return found

    expected = outcomes([lm.stream("", config, number=n, stop=stop) for n in range(40)])
    assert outcomes(lm.streams("", config, 40, stop=stop)) == expected
    assert 0 < sum(bool(error) for _, error in expected) < 40  # some do, some do not


def test_texts_that_need_their_past_are_sampled_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockstep.Lockstep, "read", None)
    lm = model()
    together(lm, replace(CONFIG, repetition_penalty=1.1), 2)
    together(lm, CONFIG, 2, avoid=lambda text: "a")
    together(lm, CONFIG, 1)
    with pytest.raises(TypeError):
        together(lm, CONFIG, 2)
