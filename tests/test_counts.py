"""The file of counts: small, exact, tied to its model, and read with suspicion."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_text

from charlm import counts, tensorfile
from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig
from charlm.counts import Counts
from charlm.engine import Engine
from charlm.errors import CheckpointError
from charlm.mixture import Mixed, Weights
from charlm.ngram import NGramModel
from charlm.surprisal import surprisals
from charlm.tensorfile import Tensors
from charlm.text.tokenizer import CharTokenizer

TEXT = write_text(8000)
TOKENIZER = CharTokenizer("".join(sorted(set(TEXT))))
IDS = TOKENIZER.encode(TEXT)
V = TOKENIZER.vocab_size


def model(seed: int = 1) -> Checkpoint:
    config = ModelConfig.resolve(vocab_size=V, hidden_size=8)
    rng = np.random.default_rng(seed)
    weights = {
        name: rng.standard_normal(size).astype(np.float32)
        for name, size in config.parameter_shapes().items()
    }
    return Checkpoint(config, TOKENIZER, weights)


@pytest.fixture(scope="module")
def fitted() -> Counts:
    return counts.fit(model(), IDS[:6000], IDS[6000:])


def test_what_is_read_is_what_was_written(fitted: Counts) -> None:
    again = counts.parse(counts.dump(fitted))
    assert again.weights == fitted.weights
    assert again.facts == fitted.facts
    assert again.ngram.order == fitted.ngram.order
    for one, other in zip(again.ngram.levels, fitted.ngram.levels, strict=True):
        np.testing.assert_array_equal(one.keys, other.keys)
        np.testing.assert_array_equal(one.share, other.share)
        np.testing.assert_array_equal(one.backoff, other.backoff)
    np.testing.assert_array_equal(again.ngram.nats(IDS[6000:]), fitted.ngram.nats(IDS[6000:]))


@pytest.mark.parametrize("vocab_size", [1, 2, 256, 257, 65_536, 65_537])
def test_vocabularies_of_every_width(vocab_size: int, fitted: Counts) -> None:
    ids = np.random.default_rng(0).integers(max(0, vocab_size - 40), vocab_size, 300)
    ngram = counts.rounded(NGramModel.fit(ids, vocab_size, 3, keep_once=1))
    again = counts.parse(counts.dump(Counts(ngram, Weights(1.0, 0.5), "a", "b", {})))
    np.testing.assert_array_equal(again.ngram.nats(ids), ngram.nats(ids))


def test_an_ngram_takes_at_most_eight_bytes_and_the_header_is_small(fitted: Counts) -> None:
    size = len(counts.dump(fitted))
    assert fitted.num_ngrams > 1000
    assert size < 8 * fitted.num_ngrams


def test_rounding_changes_the_loss_by_less_than_a_millionth() -> None:
    exact = NGramModel.fit(IDS[:6000], V, 8, keep_once=6)
    stored = counts.rounded(exact)
    assert abs(exact.nats(IDS[6000:]).mean() - stored.nats(IDS[6000:]).mean()) < 1e-6
    for end in (0, 1, 50, 5000):
        assert abs(stored.distribution(IDS[:end]).sum() - 1) < 1e-12


def test_a_certain_character_leaves_the_others_a_chance() -> None:
    """After ten million times "ab", the share of b after a would be 1 in float32."""
    ngram = NGramModel.fit([0, 1] * 40_000, 3, 2)
    sure = ngram.levels[1]
    nearly = np.append(np.full(len(sure.keys), 1 - 1e-9), 0.0)
    levels = (ngram.levels[0], type(sure)(sure.keys, nearly, sure.backoff, 3))
    stored = counts.rounded(NGramModel(3, 2, levels))
    p = stored.distribution([0])
    assert p.min() > 0
    assert abs(p.sum() - 1) < 1e-12


def test_ngrams_that_occur_once_are_not_in_the_file(fitted: Counts) -> None:
    """A unique passage of the training text cannot be read from the file beyond 6 characters."""
    text = TEXT[:6000]
    assert fitted.facts["keep_once"] == 6
    long = counts.rounded(NGramModel.fit(IDS[:6000], V, 9, keep_once=counts.KEEP_ONCE))
    stored = counts.parse(counts.dump(Counts(long, Weights(1.0, 0.5), "a", "b", {}))).ngram
    for length, level in enumerate(stored.levels, start=1):
        grams = [text[i : i + length] for i in range(len(text) - length + 1)]
        once = {gram for gram in set(grams) if grams.count(gram) == 1} if length > 6 else set()
        if length == 7:
            assert len(once) > 100  # there is something to leave out
        assert len(level.keys) == len(set(grams)) - len(once)


def test_both_together_are_better_than_either_on_validation(fitted: Counts) -> None:
    trained_on = Engine(model().config, model().weights)
    val = IDS[6000:]
    network = surprisals(trained_on, val).mean()
    both = surprisals(Mixed(trained_on, fitted.ngram, fitted.weights), val).mean()
    assert both <= min(network, fitted.ngram.nats(val).mean()) + 1e-3


def test_counts_belong_to_one_model(fitted: Counts) -> None:
    assert fitted.belongs_to(model())
    assert not fitted.belongs_to(model(seed=2))
    renamed = CharTokenizer("".join(sorted(set(TEXT) - {"."} | {"~"})))
    assert renamed.vocab_size == V
    other = model()
    assert not fitted.belongs_to(Checkpoint(other.config, renamed, other.weights))


# ----------------------------------------------------------------------------------- suspicion


def resigned(
    data: bytes,
    tensors: Callable[[Tensors], Any] = lambda t: None,
    facts: Callable[[dict[str, Any]], Any] = lambda f: None,
) -> bytes:
    """The file with changed tensors or facts and a valid checksum."""
    from safetensors.numpy import load

    values = dict(load(data))
    tensors(values)
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    metadata.pop("sha256")
    about = json.loads(metadata["counts"])
    facts(about)
    metadata["counts"] = json.dumps(about)
    return tensorfile.dump(values, metadata, too_long="")


def set_share(value: float) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        tensors["share:1"] = tensors["share:1"].copy()
        tensors["share:1"][0] = value

    return change


def flip_child(tensors: Tensors) -> None:
    tensors["children:2"] = tensors["children:2"].copy()
    tensors["children:2"][3] ^= 1


def swap_symbols(tensors: Tensors) -> None:
    tensors["symbol:0"] = tensors["symbol:0"][::-1].copy()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tensors": set_share(0.999999)}, "leave no other character"),
        ({"tensors": set_share(-0.1)}, "not a tree"),
        ({"tensors": set_share(float("nan"))}, "not a tree"),
        ({"tensors": set_share(float("inf"))}, "not a tree"),
        ({"tensors": flip_child}, "not a tree"),
        ({"tensors": swap_symbols}, "not a tree"),
        ({"tensors": lambda t: t.pop("share:2")}, "wrong tensors: .*'share:2'"),
        ({"tensors": lambda t: t.update(more=np.zeros(2, np.float32))}, "tensors: 'more'"),
        ({"tensors": lambda t: t.update({"share:0": np.zeros((2, 2), np.float32)})}, "tensors"),
        ({"facts": lambda f: f.update(order=99)}, "damaged metadata"),
        ({"facts": lambda f: f.update(order=True)}, "damaged metadata"),
        ({"facts": lambda f: f.update(order=2)}, "wrong tensors"),
        ({"facts": lambda f: f.update(vocab_size=3)}, "not a tree"),
        ({"facts": lambda f: f.update(vocab_size=10**9)}, "damaged metadata"),
        ({"facts": lambda f: f.update(network=-1.0)}, "damaged metadata"),
        ({"facts": lambda f: f.update(network=0.0, ngram=0.0)}, "damaged metadata"),
        ({"facts": lambda f: f.update(network="1")}, "damaged metadata"),
        ({"facts": lambda f: f.pop("model")}, "damaged metadata"),
    ],
)
def test_a_signed_file_that_makes_no_sense_is_refused(
    change: dict[str, Any], message: str, fitted: Counts
) -> None:
    assert counts.parse(resigned(counts.dump(fitted))).weights == fitted.weights
    with pytest.raises(CheckpointError, match=message):
        counts.parse(resigned(counts.dump(fitted), **change))


def test_every_changed_byte_and_every_length_is_refused(fitted: Counts) -> None:
    data = counts.dump(fitted)
    rng = np.random.default_rng(2)
    for place in rng.integers(8, len(data), 60):
        changed = bytearray(data)
        changed[place] ^= 1 << rng.integers(8)
        with pytest.raises(CheckpointError):
            counts.parse(bytes(changed))
    for length in (0, 7, 100, len(data) // 2, len(data) - 1):
        with pytest.raises(CheckpointError):
            counts.parse(data[:length])


def test_a_model_is_not_counts(fitted: Counts, tmp_path: Path) -> None:
    from charlm import checkpoint

    with pytest.raises(CheckpointError, match="not the counts of a charlm run"):
        counts.parse(checkpoint.dump(model()))
    with pytest.raises(CheckpointError, match="not a charlm model"):
        checkpoint.parse(counts.dump(fitted))
    with pytest.raises(CheckpointError, match="no such file"):
        counts.read(tmp_path / "counts.safetensors")
