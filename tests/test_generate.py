"""Writing: seeds, stop strings, lengths in characters, prompts, and what is never written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import charlm as package
from charlm.checkpoint import Checkpoint
from charlm.config import CELLS, ModelConfig, SampleConfig
from charlm.errors import CheckpointError, RequestError, UnknownCharacterError
from charlm.generate import CharLM
from charlm.stopping import until
from charlm.text.tokenizer import REPLACEMENT, ByteTokenizer, CharTokenizer

MakeLM = Callable[..., CharLM]
LETTERS = CharTokenizer("\n abcdeé")


def successor(tokenizer: CharTokenizer | ByteTokenizer, cycle: list[int], **more: Any) -> CharLM:
    """A model that, whatever the seed, follows every id of ``cycle`` by the next one."""
    V = tokenizer.vocab_size
    config = ModelConfig.resolve(
        vocab_size=V, cell="window", context=1, hidden_size=V, embedding_size=V
    )
    head = np.zeros((V, V), np.float32)
    for one, following in zip(cycle, cycle[1:] + cycle[:1], strict=True):
        head[following, one] = 100
    weights = {
        "body.embedding.weight": np.eye(V, dtype=np.float32),
        "body.layers.0.weight": np.eye(V, dtype=np.float32),
        "body.layers.0.bias": np.zeros(V, np.float32),
        "head.weight": head,
        "head.bias": np.zeros(V, np.float32),
    }
    return CharLM(Checkpoint(config, tokenizer, weights, **more))


# ------------------------------------------------------------------------------------------- seeds


@pytest.mark.parametrize("cell", CELLS)
def test_the_same_seed_gives_the_same_text_and_another_another(make_lm: MakeLM, cell: str) -> None:
    model = make_lm(LETTERS, cell=cell)
    one = model.sample("ab", length=60, seed=1)
    assert model.sample("ab", length=60, seed=1) == one
    assert model.sample("ab", length=60, seed=2) != one
    assert len(one) == 60


def test_without_a_seed_every_text_is_new(make_lm: MakeLM) -> None:
    model = make_lm(LETTERS)
    assert model.sample(length=60) != model.sample(length=60)


def test_samples_of_one_seed_differ_by_their_number(make_lm: MakeLM) -> None:
    model, config = make_lm(LETTERS), SampleConfig(length=60, seed=1)
    texts = ["".join(model.stream(config=config, number=n)) for n in (0, 1, 0)]
    assert texts[0] == texts[2] != texts[1]


def test_a_shorter_text_is_the_beginning_of_a_longer_one(make_lm: MakeLM) -> None:
    model = make_lm(LETTERS)
    assert model.sample(length=60, seed=1).startswith(model.sample(length=20, seed=1))
    assert model.sample(length=0, seed=1) == ""


def test_greedy_does_not_depend_on_the_seed(make_lm: MakeLM) -> None:
    model = make_lm(LETTERS)
    texts = {model.sample("a", length=40, seed=n, temperature=0.0) for n in range(4)}
    assert len(texts) == 1


def test_the_prompt_matters_as_far_as_the_model_sees(make_lm: MakeLM) -> None:
    """A window of 3 sees the last three characters of a prompt and not the fourth."""
    model = make_lm(LETTERS, cell="window", context=3, scale=2.0)
    one = model.sample("a" + "bcd", length=40, seed=1)
    assert model.sample("e" + "bcd", length=40, seed=1) == one
    assert model.sample("a" + "ecd", length=40, seed=1) != one


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("length", [1024, 1025, 2050])
def test_a_long_prompt_is_read_as_one_text(make_lm: MakeLM, cell: str, length: int) -> None:
    model = make_lm(LETTERS, cell=cell, scale=0.3)
    ids = np.random.default_rng(0).integers(0, LETTERS.vocab_size, length).tolist()
    logits, _ = model.read(ids)
    whole, _ = model.engine.forward(np.array([ids]), model.engine.initial_state(1))
    np.testing.assert_allclose(logits, whole[0, -1], atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_a_prompt_that_is_read_once_serves_every_sample(
    make_lm: MakeLM, cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the state shared, the texts are those of samples that each read the prompt."""
    model, prompt = make_lm(LETTERS, cell=cell, num_layers=2), "abcé" * 300
    config = SampleConfig(length=40, seed=1, repetition_penalty=1.2)
    alone = ["".join(model.stream(prompt, config, number=n)) for n in range(3)]
    start = model.start(prompt)
    with monkeypatch.context() as patch:
        patch.setattr(model, "read", None)  # nothing reads the prompt again
        shared = [model.stream(start, config, number=n) for n in range(3)]
        # In turn, so that each continues from a state that the others have not changed.
        pieces = zip(*shared, strict=True)
        assert ["".join(text) for text in zip(*pieces, strict=True)] == alone
        drawn = model.draws(start, config, number=2)
        assert "".join(each.text for each in drawn) == alone[2]
    assert model.sample(start, length=40, seed=1) == model.sample(prompt, length=40, seed=1)


# -------------------------------------------------------------------------------------------- stop


def naive(text: str, stops: Sequence[str], length: int) -> str:
    """The shortest beginning that ends in a stop string, less the longest that it ends in."""
    text = text[:length]
    for end in range(1, len(text) + 1):
        found = [len(stop) for stop in stops if stop and text[:end].endswith(stop)]
        if found:
            return text[: end - max(found)]
    return text


STOPS = st.lists(st.text("ab", max_size=4), max_size=3)


@given(st.text("ab", max_size=30), STOPS, st.integers(0, 30))
def test_stop_is_the_first_occurrence_of_any(text: str, stops: list[str], length: int) -> None:
    length = min(length, len(text))
    assert "".join(until(iter(text), stops, length)) == naive(text, stops, length)


@given(st.text("ab", max_size=30), st.text("ab", min_size=1, max_size=4))
def test_one_stop_string_cuts_before_its_first_place(text: str, stop: str) -> None:
    assert "".join(until(iter(text), [stop], len(text))) == text.split(stop)[0]


@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [
        ("aaab", ["aab"], "a"),
        ("ababac", ["abac"], "ab"),
        ("aab", ["aab"], ""),
        ("abcaa", ["aab"], "abcaa"),  # held back, but no stop string follows
        ("abc", [""], "abc"),
        ("abc", [], "abc"),
        ("abc", ["x"], "abc"),
        ("abc", ["abcd"], "abc"),
        ("abcde", ["d", "b"], "a"),  # the first in the text, not the first given
        ("abcde", ["d", ""], "abc"),
        ("abcde", ["abcd", "bc"], "a"),  # the first to be complete
        ("abcde", ["c", "abc"], ""),  # of those that are complete at once, the longest
    ],
)
def test_stop_strings_by_hand(text: str, stops: list[str], expected: str) -> None:
    assert "".join(until(iter(text), stops, len(text))) == expected


@given(st.text("ab", max_size=30), STOPS)
def test_nothing_is_taken_back(text: str, stops: list[str]) -> None:
    """At no time has a piece been yielded that the final text lacks."""
    final = naive(text, stops, len(text))
    shown = ""
    for piece in until(iter(text), stops, len(text)):
        assert piece
        shown += piece
        assert final.startswith(shown)


def test_a_character_that_cannot_begin_the_stop_string_is_shown_at_once() -> None:
    source = iter("xab")
    pieces = until(source, ["abc", "b"], 3)
    assert next(pieces) == "x"
    assert "".join(source) == "ab"


def test_stop_cuts_the_text_that_the_seed_gives(make_lm: MakeLM) -> None:
    model = make_lm(LETTERS)
    whole = model.sample(length=200, seed=3)
    stop = whole[50:52]
    assert model.sample(length=200, seed=3, stop=stop) == whole[: whole.index(stop)]
    stops = [whole[90:94], whole[40:44], stop]
    first = min(whole.index(each) for each in stops)
    assert model.sample(length=200, seed=3, stop=stops) == whole[:first]


def test_the_stop_string_counts_in_the_text_and_not_in_the_prompt() -> None:
    model = successor(CharTokenizer("abc"), [0, 1, 2])
    assert model.sample("ab", length=5, stop="bc") == "ca"


@given(st.text("ab", max_size=30), STOPS, st.integers(0, 30))
def test_with_its_stop_string_the_text_is_longer_by_that(
    text: str, stops: list[str], length: int
) -> None:
    """Up to the first place at which a stop string is complete; otherwise the same text."""
    text = text[:length]
    ends = [e for e in range(1, len(text) + 1) for s in stops if s and text[:e].endswith(s)]
    shown = "".join(until(iter(text), stops, length, include_stop=True))
    assert shown == text[: min(ends, default=None)]


def test_an_end_of_the_characters_is_an_end_of_the_text() -> None:
    assert "".join(until(iter("aab"), ["abc"], 9)) == "aab"  # "ab" was held back
    assert "".join(until(iter(""), [], 9)) == ""


@pytest.mark.parametrize("count", [1, 3])
def test_prompt_and_stop_string_are_included_if_asked_for(make_lm: MakeLM, count: int) -> None:
    model, config = make_lm(LETTERS), SampleConfig(length=500, seed=3)

    def texts(include_prompt: bool = False, include_stop: bool = False) -> list[str]:
        streams = model.streams(
            "éd",
            config,
            count,
            stop="ab",
            include_prompt=include_prompt,
            include_stop=include_stop,
        )
        return ["".join(each) for each in streams]

    plain = texts()
    assert all(len(text) < 500 for text in plain)
    assert texts(include_prompt=True) == ["éd" + text for text in plain]
    assert texts(include_stop=True) == [text + "ab" for text in plain]
    assert texts(include_prompt=True, include_stop=True) == ["éd" + text + "ab" for text in plain]
    written = model.sample(
        "éd", include_prompt=True, include_stop=True, stop="ab", length=500, seed=3
    )
    assert written == "éd" + plain[0] + "ab"
    assert "" not in model.stream("", config, include_prompt=True)


def test_an_included_prompt_is_not_counted(make_lm: MakeLM) -> None:
    assert len(make_lm(LETTERS).sample("abc", include_prompt=True, length=5)) == 8


# ------------------------------------------------------------------------------------------- bytes


def test_length_counts_characters_of_several_bytes() -> None:
    text = "é€😀\n"  # two, three, four bytes and one; no byte comes twice
    model = successor(ByteTokenizer(), list(text.encode()))
    assert model.sample("\n", length=7, seed=1) == "é€😀\né€😀"
    assert model.sample("é", length=2, seed=1) == "€😀"
    assert list(model.stream("\n", SampleConfig(length=3))) == ["é", "€", "😀"]
    assert model.sample("\n", length=9, stop="😀") == "é€"


def test_bytes_that_are_no_utf8_read_as_replacement_characters() -> None:
    model = successor(ByteTokenizer(), [0x61, 0xC3, 0x62])  # a, the first half of é, b
    assert model.sample("a", length=5, seed=1) == f"{REPLACEMENT}ba{REPLACEMENT}b"


@pytest.mark.parametrize("length", [0, 1, 50])
def test_an_untaught_byte_model_writes_so_many_characters(make_lm: MakeLM, length: int) -> None:
    assert len(make_lm(ByteTokenizer()).sample(length=length, seed=1)) == length


# ----------------------------------------------------------------------------------------- prompts


def test_an_unseen_character_is_named_with_its_place(make_lm: MakeLM) -> None:
    model = make_lm(LETTERS)
    with pytest.raises(UnknownCharacterError, match=r"prompt .*'☃' U\+2603.* line 2, column 3"):
        model.stream("abc\nab☃")  # at once, before anything is drawn


def test_a_control_character_is_named_by_number_alone(make_lm: MakeLM) -> None:
    with pytest.raises(UnknownCharacterError, match=r"U\+001B") as caught:
        make_lm(LETTERS).stream("\x1b[31m")
    assert "\x1b" not in str(caught.value)


def test_skip_leaves_unseen_characters_out(make_lm: MakeLM) -> None:
    model = make_lm(LETTERS)
    expected = model.sample("abc", length=40, seed=1)
    assert model.sample("a☃b☃c", length=40, seed=1, on_unknown="skip") == expected
    nothing = model.sample("", length=40, seed=1)
    assert model.sample("☃", length=40, seed=1, on_unknown="skip") == nothing


def test_skip_holds_with_composed_characters_too(make_lm: MakeLM) -> None:
    """Without the snowman, e and the accent after it become é, which is unseen as well."""
    model = make_lm(CharTokenizer("ex\u0301", nfc=True))
    assert model.read_prompt("xe☃\u0301", "skip")


def test_another_policy_is_refused(make_lm: MakeLM) -> None:
    with pytest.raises(RequestError, match="error or skip"):
        make_lm(LETTERS).sample("a", on_unknown="guess")


def test_a_prompt_is_composed_as_the_corpus_was(make_lm: MakeLM) -> None:
    model = make_lm(CharTokenizer("aé", nfc=True))
    assert model.read_prompt("ae\u0301") == [0, 1]


def test_no_prompt_begins_after_a_newline(make_lm: MakeLM) -> None:
    model = make_lm(LETTERS)
    assert model.sample(length=40, seed=1) == model.sample("\n", length=40, seed=1)
    assert model.sample(length=40, seed=1) != model.sample("b", length=40, seed=1)


def test_without_newlines_no_prompt_begins_after_the_commonest_character() -> None:
    tokenizer = CharTokenizer("abc")
    for common, text in [("a", "bca"), ("b", "cab"), ("c", "abc")]:
        model = successor(tokenizer, [0, 1, 2], provenance={"commonest": common})
        assert model.sample(length=3) == text
    for useless in ({}, {"commonest": "☃"}, {"commonest": None}, {"commonest": 7}):
        assert successor(tokenizer, [0, 1, 2], provenance=useless).sample(length=3) == "bca"


def test_the_unknown_symbol_is_never_written() -> None:
    """The model would follow a by the unknown symbol, which is the likeliest by far."""
    tokenizer = CharTokenizer("abc", unknown=True)
    model = successor(tokenizer, [0, 3])
    for temperature in (0.0, 0.8, 50.0):
        written = model.sample("a", length=100, seed=1, temperature=temperature)
        assert set(written) <= set("abc")


@pytest.mark.parametrize("policy", ["error", "skip"])
def test_an_unseen_prompt_character_is_read_as_the_unknown_symbol(policy: str) -> None:
    model = successor(CharTokenizer("abc", unknown=True), [0, 1, 2])
    assert model.read_prompt("a☃b", policy) == [0, 3, 1]


# --------------------------------------------------------------------------------------- the facade


def test_load_and_sample(trained: Path) -> None:
    model = package.load(trained)
    written = model.sample("Il ", length=50, seed=1)
    assert len(written) == 50
    assert (
        package.load(str(trained / "best.safetensors")).sample("Il ", length=50, seed=1) == written
    )


def test_load_finds_the_newest_run(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (trained.parent.parent / "checkpoints").unlink(missing_ok=True)
    (trained.parent.parent / "checkpoints").symlink_to(trained.parent)
    monkeypatch.chdir(trained.parent.parent)
    expected = package.load(trained).sample(length=20, seed=1)
    assert package.load().sample(length=20, seed=1) == expected
    assert package.load("tiny").sample(length=20, seed=1) == expected


def test_load_refuses_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RequestError):
        package.load(tmp_path / "nothing")
    (tmp_path / "text").write_text("no model")
    with pytest.raises(CheckpointError):
        package.load(tmp_path / "text")


def test_unknown_options_are_refused(make_lm: MakeLM) -> None:
    with pytest.raises(TypeError):
        make_lm(LETTERS).sample(temprature=1.0)
    with pytest.raises(AttributeError):
        _ = package.nothing_of_the_kind


def test_evaluate_scores_a_text(make_lm: MakeLM) -> None:
    result = make_lm(LETTERS, scale=0.0).evaluate("abcde")
    assert result.bits_per_char == pytest.approx(np.log2(LETTERS.vocab_size))
    assert result.characters == 4
    with pytest.raises(UnknownCharacterError):
        make_lm(LETTERS).evaluate("ab☃")
