"""Labels by Bayes' rule against brute force, priors by hand, and tags."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from charlm.checkpoint import Checkpoint
from charlm.config import CELLS, ModelConfig
from charlm.engine import Engine, log_softmax
from charlm.errors import CheckpointError, RequestError, UnknownCharacterError
from charlm.generate import CharLM
from charlm.itemfacts import ItemFacts
from charlm.itemscore import labelled
from charlm.tasks.answers import Classifier, Tagger, prior_of, weights_of
from charlm.tasks.reader import Reader, read_items
from charlm.tasks.spans import spans_of
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer

LETTERS = CharTokenizer.from_text("\nabcdef")
FACTS = ItemFacts("\n", ("de", "en", "it"), (5, 3, 2))
TEXTS = ["abc", "f", "defdefdef", "ba"]


def make(task: str = "items", cell: str = "gru", facts: ItemFacts = FACTS) -> Checkpoint:
    config = ModelConfig.resolve(
        vocab_size=7,
        cell=cell,
        hidden_size=6,
        context=3,
        task=task,
        num_labels=len(facts.labels),
    )
    rng = np.random.default_rng(5)
    weights = {
        name: (0.6 * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in config.parameter_shapes().items()
    }
    return Checkpoint(config, LETTERS, weights, items=facts)


def likelihood(loaded: Checkpoint, text: str, label: int) -> float:
    """ln p(text and its end | label), multiplied out symbol by symbol."""
    engine = Engine(loaded.config, loaded.weights)
    state = labelled(engine.initial_state(1), np.eye(len(loaded.items.labels))[[label]])  # type: ignore[union-attr]
    total = 0.0
    for read, wanted in zip("\n" + text, text + "\n", strict=True):
        logits, state = engine.step(LETTERS.encode(read).astype(np.int64), state)
        total += float(log_softmax(logits[0].astype(np.float64))[LETTERS.encode(wanted)[0]])
    return total


def by_hand(loaded: Checkpoint, text: str, prior: list[float]) -> NDArray[Any]:
    joint = [math.exp(likelihood(loaded, text, k)) * share for k, share in enumerate(prior)]
    return np.array(joint) / sum(joint)


@pytest.mark.parametrize("cell", CELLS)
def test_bayes_is_brute_force(cell: str) -> None:
    loaded = make(cell=cell)
    classifier = Classifier(loaded)
    items = classifier.encode(TEXTS)
    found = np.exp(classifier.log_probabilities(items))
    for row, text in zip(found, TEXTS, strict=True):
        np.testing.assert_allclose(row, by_hand(loaded, text, [0.5, 0.3, 0.2]), rtol=1e-4)
    np.testing.assert_allclose(found.sum(1), 1.0)
    nats = classifier.item_nats(items)
    assert nats[2, 1] == pytest.approx(-likelihood(loaded, TEXTS[2], 1), rel=1e-5)


@pytest.mark.parametrize(
    ("given", "prior"),
    [
        (["uniform"], [1 / 3, 1 / 3, 1 / 3]),
        (["de=1", "en=7", "it=2"], [0.1, 0.7, 0.2]),
        (["it=0.25", "de=0.75"], [0.75, 0.0, 0.25]),
        (["en=2"], [0.0, 1.0, 0.0]),
    ],
)
def test_a_prior_is_what_is_multiplied_with(given: list[str], prior: list[float]) -> None:
    loaded = make()
    classifier = Classifier(loaded, prior_of(given, FACTS.labels))
    found = np.exp(classifier.log_probabilities(classifier.encode(TEXTS)))
    for row, text in zip(found, TEXTS, strict=True):
        np.testing.assert_allclose(row, by_hand(loaded, text, prior), rtol=1e-4)


def test_a_reader_has_learned_the_shares_and_another_prior_replaces_them() -> None:
    loaded = make("classify")
    plain = Classifier(loaded)
    items = plain.encode(TEXTS)
    p = np.exp(np.stack(read_items(Reader(loaded.config, loaded.weights), items)))
    np.testing.assert_allclose(np.exp(plain.log_probabilities(items)), p, rtol=1e-6)
    wanted = np.array([0.1, 0.2, 0.7])
    other = Classifier(loaded, {"de": 1, "en": 2, "it": 7})
    expected = p * wanted / np.array([0.5, 0.3, 0.2])
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(np.exp(other.log_probabilities(items)), expected, rtol=1e-5)
    # Its own shares as the prior change nothing.
    same = Classifier(loaded, {"de": 5, "en": 3, "it": 2})
    np.testing.assert_allclose(np.exp(same.log_probabilities(items)), p, rtol=1e-6)
    without = Classifier(loaded, {"de": 1, "en": 1})
    q = np.exp(without.log_probabilities(items))
    assert (q[:, 2] == 0).all()
    np.testing.assert_allclose(q.sum(1), 1.0)


def test_a_file_with_a_label_of_no_training_item_is_damaged() -> None:
    """Its share is divided by. Of tags some may be known from the validation items alone."""
    facts = ItemFacts("\n", ("de", "en", "it"), (5, 0, 2))
    for task in ("items", "classify"):
        with pytest.raises(CheckpointError, match="label 'en' has no training item"):
            make(task, facts=facts)
    make("tag", facts=facts)


def test_wrong_priors_are_refused() -> None:
    loaded = make()
    for given, said in (
        (["de"], "give LABEL=WEIGHT"),
        (["=3"], "give LABEL=WEIGHT"),
        (["de=-1"], "a weight of 0 or more"),
        (["de=nan"], "a weight of 0 or more"),
        (["de=1", "de=2"], "names 'de' twice"),
        (["uniform", "de=1"], "give LABEL=WEIGHT"),
        (["fr=1"], "no label 'fr'; it has 3: de, en, it"),
        (["de=0"], "no label a share above 0"),
    ):
        with pytest.raises(RequestError, match=said):
            Classifier(loaded, prior_of(given, FACTS.labels))
    assert prior_of([], FACTS.labels) is None
    assert weights_of(["a=b=0.5"], "--label") == {"a=b": 0.5}


def test_saliency_is_what_a_character_adds() -> None:
    loaded = make()
    classifier = Classifier(loaded)

    def log_p(text: str) -> float:
        return float(np.log(by_hand(loaded, text, [0.5, 0.3, 0.2])[2]))

    found = classifier.saliency("abc", "it")
    expected = [log_p("abc") - log_p(rest) for rest in ("bc", "ac", "ab")]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert classifier.saliency("a", "it").tolist() == [0.0]
    with pytest.raises(RequestError, match="no label 'fr'"):
        classifier.saliency("abc", "fr")


def test_a_model_is_asked_only_what_it_can_answer() -> None:
    text = make(facts=ItemFacts("\n"))
    tag = make("tag", facts=ItemFacts("\n", ("B", "I", "O"), (1, 1, 1)))
    for loaded in (text, tag):
        with pytest.raises(RequestError, match="no labels to choose from"):
            Classifier(loaded)
    for loaded in (text, make(), make("classify")):
        with pytest.raises(RequestError, match="does not tag; train with --task tag"):
            Tagger(loaded)
    for wrong in ("", "a\nb"):
        with pytest.raises(RequestError):
            Classifier(make()).encode([wrong])
    with pytest.raises(UnknownCharacterError):
        Tagger(tag).encode(["xyz"])


def test_tags_are_the_likeliest_at_every_character() -> None:
    tagger = Tagger(make("tag", facts=ItemFacts("\n", ("B", "I", "O"), (1, 1, 1))))
    answers = tagger.log_probabilities(tagger.encode(TEXTS))
    for text, log_p in zip(TEXTS, answers, strict=True):
        tags = tagger.tags(log_p)
        assert len(tags) == len(text)
        assert all(log_p[t]["BIO".index(tag)] == log_p[t].max() for t, tag in enumerate(tags))


@pytest.mark.parametrize(
    ("text", "tags", "alphabet", "spans"),
    [
        ("Io e Ada", "OOOOOBII", "BIO", [(5, 8)]),
        ("AdaBo", "BIIBI", "BIO", [(0, 3), (3, 5)]),
        ("AdaBo", "IIOOI", "BIO", [(0, 2), (4, 5)]),
        ("AdaBo", "BBBBB", "BI", [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]),
        ("abc", "OOO", "O", []),
        ("perche e", "perché è", "perché è", [(5, 6), (7, 8)]),
        ("abc", "ABC", "ABC", [(0, 3)]),
        ("abc", "abc", "abc", []),
    ],
)
def test_spans_by_hand(text: str, tags: str, alphabet: str, spans: list[tuple[int, int]]) -> None:
    assert spans_of(text, tags, alphabet) == spans


# -------------------------------------------------------------------------------- facts about items


def test_facts_are_stored_and_read_again() -> None:
    for facts in (FACTS, ItemFacts("\x1e"), ItemFacts(";", ("a",), (7,))):
        assert ItemFacts.from_dict(facts.to_dict()) == facts


GOOD: dict[str, Any] = {"end": "\n", "labels": ["a", "b"], "counts": [1, 2]}


@pytest.mark.parametrize(
    "wrong",
    [
        *(None, [], "text", 7, {}),
        *({key: value for key, value in GOOD.items() if key != left} for left in GOOD),
        GOOD | {"more": 1},
        *(GOOD | {"end": end} for end in ("", "ab", None, 7, ["\n"])),
        *(GOOD | {"labels": labels} for labels in ("ab", ["a"], ["a", "a"], ["a", ""], ["a", 1])),
        *(GOOD | {"labels": labels} for labels in (None, {"a": 1, "b": 2}, ["a", "b" * 201])),
        *(GOOD | {"labels": labels} for labels in (["a", "\ud800"], ["b", "a"])),
        *(GOOD | {"counts": counts} for counts in ([1], [1, -2], [1, 2.0], [1, True], [0, 0])),
        *(GOOD | {"counts": counts} for counts in (None, "12", [1, 2**53], [1, None])),
        {"end": "\n", "labels": [], "counts": [1]},
        GOOD | {"end": "\udc00"},
    ],
)
def test_damaged_facts_are_refused(wrong: Any) -> None:
    with pytest.raises(CheckpointError, match="the facts about items are damaged") as caught:
        ItemFacts.from_dict(wrong)
    assert "\n" not in str(caught.value)


def test_facts_belong_to_their_model() -> None:
    loaded = make()
    parts = (loaded.config, LETTERS, loaded.weights)
    with pytest.raises(CheckpointError, match="lacks facts about items"):
        Checkpoint(*parts)
    with pytest.raises(CheckpointError, match="has 3 labels, but 2 names"):
        Checkpoint(*parts, items=ItemFacts("\n", ("a", "b"), (1, 1)))
    with pytest.raises(CheckpointError, match="cannot read its own end symbol"):
        Checkpoint(*parts, items=ItemFacts("q", FACTS.labels, FACTS.counts))
    config = ModelConfig.resolve(vocab_size=256, hidden_size=2, task="items")
    weights = {n: np.zeros(s, np.float32) for n, s in config.parameter_shapes().items()}
    for end, newline in (("é", "keep"), ("\r", "unix")):
        tokenizer = ByteTokenizer(newline=newline)
        with pytest.raises(CheckpointError, match="cannot read its own end symbol"):
            Checkpoint(config, tokenizer, weights, items=ItemFacts(end))


def test_a_model_of_text_has_no_facts(make_lm: Callable[..., CharLM]) -> None:
    lm = make_lm(LETTERS)
    with pytest.raises(CheckpointError, match="a model for text has facts about items"):
        Checkpoint(lm.config, LETTERS, lm.weights, items=ItemFacts("\n"))
    assert lm.items is None and lm.labels == () and lm.end == ""
