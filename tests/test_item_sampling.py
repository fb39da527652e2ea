"""Items that a model writes: against the exact probability of every item of a tiny vocabulary."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from charlm.beam import Found, likeliest
from charlm.checkpoint import Checkpoint
from charlm.config import CELLS, ModelConfig, SampleConfig
from charlm.errors import RequestError
from charlm.generate import CharLM, Label
from charlm.itemfacts import ItemFacts
from charlm.newitems import Drawn, new_items, of_pattern
from charlm.single import Start
from charlm.surprisal import nats_after
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer

FACTS = ItemFacts("\n", ("de", "en", "it"), (5, 3, 2))


def make(
    letters: str = "ab",
    facts: ItemFacts = FACTS,
    cell: str = "gru",
    *,
    ends: float = 0.5,
    unknown: bool = False,
) -> CharLM:
    """A model of random weights; ends: how much more often an item ends than by chance."""
    tokenizer = CharTokenizer.from_text("\n" + letters)
    if unknown:
        tokenizer = CharTokenizer(tokenizer.characters, unknown=True)
    config = ModelConfig.resolve(
        vocab_size=tokenizer.vocab_size,
        cell=cell,
        hidden_size=6,
        context=3,
        task="items",
        num_labels=len(facts.labels),
    )
    rng = np.random.default_rng(7)
    weights = {
        name: (0.6 * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in config.parameter_shapes().items()
    }
    weights["head.bias"][0] += ends
    return CharLM(Checkpoint(config, tokenizer, weights, items=facts))


PLAIN = make(facts=ItemFacts("\n"))
LABELLED = make()


def exact(model: CharLM, texts: list[str], label: Label = None) -> list[float]:
    """p(item and its end), multiplied out in the engine."""
    found = []
    for text in texts:
        start = model.start(label=label)
        logits, state, nats = start.logits, start.state, 0.0
        for token in model.tokenizer.encode(text + "\n").astype(np.int64):
            scores = logits.astype(np.float64)
            nats += float(np.log(np.exp(scores).sum()) - scores[token])
            step, state = model.engine.step(np.array([token]), state)
            logits = step[0]
        found.append(math.exp(-nats))
    return found


def every(letters: str, longest: int) -> list[str]:
    return [
        "".join(each)
        for length in range(longest + 1)
        for each in itertools.product(letters, repeat=length)
    ]


# ------------------------------------------------------------------------------- what is drawn


@pytest.mark.parametrize(
    ("model", "label"), [(PLAIN, None), (LABELLED, "it"), (LABELLED, {"de": 1.0, "en": 3.0})]
)
def test_items_come_as_often_as_they_are_likely(model: CharLM, label: Label) -> None:
    """Chi-square over the likely items, each with its end; all others are one class."""
    N = 3000
    texts = every("ab", 6)
    p = exact(model, texts, label)
    assert sum(p) < 1
    config = SampleConfig(temperature=1.0, length=200, seed=3)
    drawn = Counter("".join(each) for each in model.streams("", config, N, label=label))
    likely = [(text, each) for text, each in zip(texts, p, strict=True) if each * N > 10]
    assert len(likely) > 5
    classes = [(drawn[text], each * N) for text, each in likely]
    seen, expected = (sum(column) for column in zip(*classes, strict=True))
    classes.append((N - seen, N - expected))
    square = sum((a - b) ** 2 / b for a, b in classes)
    freedom = len(classes) - 1
    assert square < freedom + 4 * math.sqrt(2 * freedom), (square, freedom)


def test_items_of_no_label_are_those_of_labels_by_their_shares() -> None:
    N = 4000
    config = SampleConfig(temperature=1.0, length=200, seed=5)
    labels = Counter(LABELLED.label_of(config, number) for number in range(N))
    for label, share in zip(FACTS.labels, FACTS.shares(), strict=True):
        assert abs(labels[label] - share * N) < 4 * math.sqrt(N * share * (1 - share))
    own = "en"
    assert {LABELLED.label_of(config, number, own) for number in range(20)} == {own}
    assert PLAIN.label_of(config, 3) is None


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("label", [None, "de", {"de": 0.5, "it": 0.5}])
def test_the_kth_stream_is_the_stream_of_number_k(cell: str, label: Label) -> None:
    model = make("abcde", cell=cell)
    config = SampleConfig(temperature=1.0, length=40, seed=11)
    found = ["".join(each) for each in model.streams("a", config, 70, label=label)]
    for number in (0, 1, 2, 5, 33, 64, 69):
        assert found[number] == "".join(model.stream("a", config, number=number, label=label))
    assert not any("\n" in each for each in found)
    assert len(set(found)) > 10
    assert (
        "".join(each.text for each in model.draws("a", config, number=5, label=label)) == found[5]
    )
    past = SampleConfig(temperature=1.0, length=40, seed=11, no_repeat=3)
    some = ["".join(each) for each in model.streams("a", past, 6, label=label)]
    assert some[4] == "".join(model.stream("a", past, number=4, label=label))


def test_an_item_ends_at_its_end_symbol_and_not_at_the_length() -> None:
    config = SampleConfig(temperature=1.0, length=10_000, seed=1)
    found = ["".join(each) for each in PLAIN.streams("", config, 200)]
    assert max(map(len, found)) < 1000
    assert PLAIN.sample(seed=4, temperature=1.0) == "".join(
        PLAIN.stream(config=SampleConfig(temperature=1.0, seed=4))
    )
    short = SampleConfig(temperature=1.0, length=2, seed=1)
    cut = ["".join(each) for each in PLAIN.streams("", short, 200)]
    assert cut == [each[:2] for each in found]
    assert PLAIN.sample("a", seed=4, include_prompt=True).startswith("a")


def test_a_blend_of_one_label_is_the_label_and_only_proportions_count() -> None:
    config = SampleConfig(temperature=1.0, seed=2)

    def sampled(label: Label) -> list[str]:
        return ["".join(each) for each in LABELLED.streams("", config, 30, label=label)]

    assert sampled({"en": 0.1}) == sampled("en") == sampled({"en": 7, "de": 0})
    assert sampled({"en": 1, "de": 3}) == sampled({"de": 0.75, "en": 0.25})
    assert sampled("en") != sampled("de")


@pytest.mark.parametrize("wrong", ["fr", {"fr": 1.0}, {"de": 0.0}, {}, {"de": -1.0, "en": 2.0}])
def test_a_label_that_there_is_not_is_refused(wrong: Label) -> None:
    with pytest.raises(RequestError):
        LABELLED.sample(label=wrong)
    with pytest.raises(RequestError, match="the model has no labels; leave out --label"):
        PLAIN.sample(label="de")


# -------------------------------------------------------------------------------- how likely it is


@pytest.mark.parametrize("label", ["de", "it", {"de": 1.0, "en": 1.0}])
def test_weighing_scoring_and_multiplying_out_agree(label: Label) -> None:
    texts = ["a", "abba", "b" * 9, "ab"]
    p = exact(LABELLED, texts, label)
    scores = LABELLED.score_items(texts, label)
    start = LABELLED.start(label=label)
    for text, each, score in zip(texts, p, scores, strict=True):
        sample = LABELLED.weigh(start, text)
        assert sample.characters == score.characters == len(text) + 1
        assert sample.nats == pytest.approx(-math.log(each), rel=1e-5)
        assert score.nats_per_char * score.characters == pytest.approx(-math.log(each), rel=1e-5)
    # The part after a prompt costs what it adds.
    after = LABELLED.weigh(LABELLED.start("ab", label=label), "ba")
    alone = LABELLED.weigh(LABELLED.start("", label=label), "ab").nats
    assert after.nats is not None and alone is not None
    assert after.nats < -math.log(p[1])


def test_without_a_label_an_item_is_one_of_any() -> None:
    texts = ["a", "abba", "b"]
    each = [exact(LABELLED, texts, label) for label in FACTS.labels]
    p = np.array(FACTS.shares()) @ np.array(each)
    for mean, score in zip(p, LABELLED.score_items(texts), strict=True):
        assert score.nats_per_char * score.characters == pytest.approx(-math.log(mean), rel=1e-5)
    with pytest.raises(RequestError, match="the model has no labels"):
        PLAIN.score_items(texts, "de")


def test_ranked_items_are_the_streams_by_nats_per_character() -> None:
    options: dict[str, Any] = {"temperature": 1.0, "seed": 3, "length": 100}
    found = LABELLED.ranked("", 20, **options)
    streams = ["".join(e) for e in LABELLED.streams("", SampleConfig(**options), 20)]
    assert sorted(sample.number for sample in found) == list(range(20))
    config = SampleConfig(**options)
    for sample in found:
        assert sample.text == streams[sample.number]
        own = LABELLED.label_of(config, sample.number)
        (p,) = exact(LABELLED, [sample.text], own)
        assert sample.nats == pytest.approx(-math.log(p), rel=1e-4)
    ranks = [sample.nats_per_char for sample in found]
    assert ranks == sorted(ranks)  # type: ignore[type-var]


# ------------------------------------------------------------------------------------- beam search


def searched(model: CharLM, width: int, length: int, prompt: str = "", **more: Any) -> list[Found]:
    start = model.start(prompt, label="en" if model.labels else None)
    return likeliest(
        *(model.predictor, start.logits, start.state, model.opening),
        width=width,
        length=length,
        **more,
    )


@pytest.mark.parametrize("model", [PLAIN, LABELLED])
@pytest.mark.parametrize("ends", [-2.0, 0.5])
def test_a_wide_beam_is_the_exhaustive_search(model: CharLM, ends: float) -> None:
    model = make("ab", model.items or FACTS, ends=ends)
    label = "en" if model.labels else None
    texts = every("ab", 4)
    ranked = sorted(zip(exact(model, texts, label), texts, strict=True), reverse=True)
    found = searched(model, 40, 4)
    assert [model.tokenizer.decode(each.ids) for each in found] == [text for _, text in ranked]
    np.testing.assert_allclose(
        [math.exp(-f.nats) for f in found], [p for p, _ in ranked], rtol=1e-5
    )


def slowly(model: CharLM, width: int, length: int) -> list[tuple[float, str]]:
    """The same search in plain Python, which gives nothing up early: (p, item)."""
    ended: list[tuple[float, str]] = []
    beginnings = [""]
    letters = model.tokenizer.decode(range(1, model.tokenizer.vocab_size))
    for _ in range(length + 1):
        ended += zip(exact(model, beginnings, "en"), beginnings, strict=True)
        longer = [text + letter for text in beginnings for letter in letters]
        start = model.start(label="en")
        weighed = sorted((begun_nats(model, start, text), text) for text in longer)
        beginnings = [text for _, text in weighed[:width]]
    return sorted(ended, reverse=True)[:width]


def begun_nats(model: CharLM, start: Start, text: str) -> float:
    """-ln p of a beginning, which need not end there."""
    ids = model.tokenizer.encode(text)
    return float(nats_after(model.predictor, start.logits, start.state, [ids]).sum())


@pytest.mark.parametrize("width", [1, 3, 8])
def test_a_beam_is_the_plain_search_though_it_gives_up_early(width: int) -> None:
    for ends in (-1.0, 0.5):
        model = make("abc", ends=ends)
        found = searched(model, width, 6)
        expected = slowly(model, width, 6)
        assert [model.tokenizer.decode(each.ids) for each in found] == [t for _, t in expected]
        np.testing.assert_allclose(
            [math.exp(-each.nats) for each in found], [p for p, _ in expected], rtol=1e-4
        )


def test_a_narrow_beam_finds_no_worse_than_greedy_and_tells_the_truth() -> None:
    model = make("abcdef", ends=-0.5)
    for width in (1, 3, 10):
        found = searched(model, width, 12)
        texts = [model.tokenizer.decode(each.ids) for each in found]
        assert len(set(texts)) == len(texts) <= width
        p = exact(model, texts, "en")
        np.testing.assert_allclose([math.exp(-each.nats) for each in found], p, rtol=1e-4)
        assert p == sorted(p, reverse=True)
    best = [searched(model, width, 12)[0].nats for width in (1, 3, 10, 50)]
    assert best[-1] <= best[0]


def test_a_beam_goes_on_from_its_prompt_and_avoids_the_unknown_symbol() -> None:
    model = make("ab", unknown=True)
    found = searched(model, 50, 3, prompt="a", forbidden=model.tokenizer.forbidden)
    texts = [model.tokenizer.decode(each.ids) for each in found]
    assert sorted(texts) == sorted(every("ab", 3))
    best = max(zip(exact(model, ["a" + text for text in texts], "en"), texts, strict=True))
    assert texts[0] == best[1]


# ------------------------------------------------------------------------------------- new items


@pytest.mark.parametrize("label", [None, "it"])
def test_new_items_are_in_no_list_and_none_comes_twice(label: Label) -> None:
    known = ["a", "b", "ab", "ba", "aa"]
    config = SampleConfig(temperature=1.0, length=30, seed=9)
    counted = Drawn()
    found = list(new_items(LABELLED, known, 25, config, label=label, counted=counted))
    items = [item for _, item, _ in found]
    assert len(items) == len(set(items)) == 25
    assert not set(items) & set(known) and "" not in items
    assert found == list(new_items(LABELLED, known, 25, config, label=label))
    assert counted.drawn == counted.known + counted.again + 25
    assert counted.known > 0 and 0 < counted.share_known < 1
    # They are those of the streams that are new, in their order.
    streams = ["".join(e) for e in LABELLED.streams("", config, 64, label=label)]
    fresh = [s for s in dict.fromkeys(streams) if s and s not in known]
    assert items[: len(fresh)] == fresh[:25]
    for number, item, own in found:
        if number < 64:
            assert item == streams[number]
            assert own == LABELLED.label_of(config, number, label)


def test_when_a_model_can_write_no_other_fewer_come() -> None:
    config = SampleConfig(temperature=1.0, length=1, seed=9)
    counted = Drawn()
    found = [item for _, item, _ in new_items(PLAIN, ["a"], 5, config, counted=counted)]
    assert found == ["b"]
    assert counted.drawn >= 5000
    # A second list is drawn as far as the first, whatever was drawn for that.
    again = [item for _, item, _ in new_items(PLAIN, ["b"], 1, config, counted=counted)]
    assert again == ["a"]


def test_new_items_begin_with_the_prompt_and_are_compared_whole() -> None:
    config = SampleConfig(temperature=1.0, length=30, seed=9)
    known = ["ab", "aba", "b"]
    found = [item for _, item, _ in new_items(PLAIN, known, 10, config, prompt="ab")]
    assert all(item.startswith("ab") and item not in known for item in found)
    assert "abb" in found


# --------------------------------------------------------------------------------------- patterns


@pytest.mark.parametrize(
    ("pattern", "prompt"), [("?a?", ""), ("ab*", ""), ("b?*", ""), ("?????", ""), ("a?b", "aa")]
)
def test_items_look_like_their_pattern(pattern: str, prompt: str) -> None:
    model = make("abc", unknown=True)
    config = SampleConfig(temperature=1.5, length=40, seed=2)
    avoid = of_pattern(model, pattern, prompt)
    found = [prompt + "".join(e) for e in model.streams(prompt, config, 40, avoid=avoid)]
    fixed = pattern.removesuffix("*")
    for item in found:
        assert all(p in ("?", c) for p, c in zip(fixed, item, strict=False))
        assert len(item) >= len(fixed) and (pattern.endswith("*") or len(item) == len(fixed))
    assert pattern == "a?b" or len(set(found)) > 2


@pytest.mark.parametrize(
    ("pattern", "prompt", "said"),
    [
        ("", "", "has no character"),
        ("*", "", "has no character"),
        ("a*b", "", r"has a \* inside; put it at the end"),
        ("?x", "", "has 'x', which no item has"),
        ("a\nb", "", "which no item has"),
        ("?a", "bb", "no item of --pattern '\\?a' begins with 'bb'"),
        ("?a", "bab", "begins with 'bab'"),
        ("a*", "b", "begins with 'b'"),
    ],
)
def test_a_pattern_that_no_item_has_is_refused(pattern: str, prompt: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        of_pattern(PLAIN, pattern, prompt)


def test_patterns_are_of_characters() -> None:
    config = ModelConfig.resolve(vocab_size=256, hidden_size=2, task="items")
    weights = {n: np.zeros(s, np.float32) for n, s in config.parameter_shapes().items()}
    model = CharLM(Checkpoint(config, ByteTokenizer(), weights, items=ItemFacts("\n")))
    with pytest.raises(RequestError, match="needs a model of characters"):
        of_pattern(model, "a?")
    assert model.opening == 10
