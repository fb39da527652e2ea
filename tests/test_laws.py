"""Laws for any text, any distribution and any setting that the tests of single units cover only in
part: encoding and decoding over a given vocabulary, growing temperature and repetition penalty, and
all filters together."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from charlm.config import SampleConfig
from charlm.sampling import Probabilities, distribution, min_p, top_k, top_p
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer

laws = settings(max_examples=100, deadline=None)


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# ------------------------------------------------------------------------------- encoding, decoding

CHARACTERS = st.characters(codec="utf-8")
VOCABULARIES = st.sets(CHARACTERS, min_size=1, max_size=30).map(lambda s: "".join(sorted(s)))


@laws
@given(VOCABULARIES, st.booleans(), st.data())
def test_any_text_over_a_vocabulary_comes_back(
    vocabulary: str, unknown: bool, data: st.DataObject
) -> None:
    """Also if the vocabulary comes from another text; in any order, with combining marks."""
    tokenizer = CharTokenizer(vocabulary, unknown=unknown)
    text = data.draw(st.text(alphabet=vocabulary))
    ids = tokenizer.encode(text)
    assert len(ids) == len(text)
    assert tokenizer.decode(ids) == text
    decoder = tokenizer.decoder()
    assert "".join(map(decoder.feed, ids.tolist())) + decoder.flush() == text


@laws
@given(VOCABULARIES, st.data())
def test_any_ids_come_back(vocabulary: str, data: st.DataObject) -> None:
    """The inverse: a model reads its own samples as the ids that it sampled."""
    tokenizer = CharTokenizer(vocabulary)
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1)))
    assert tokenizer.encode(tokenizer.decode(ids)).tolist() == ids


@laws
@given(st.text(alphabet=CHARACTERS))
def test_any_encodable_text_comes_back_from_bytes(text: str) -> None:
    tokenizer = ByteTokenizer()
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    decoder = tokenizer.decoder()
    assert "".join(map(decoder.feed, ids.tolist())) + decoder.flush() == text


# ----------------------------------------------------------------------------------------- sampling

LOGITS = st.lists(st.floats(-30, 30), min_size=2, max_size=9).map(np.array)


@st.composite
def configs(draw: st.DrawFn) -> SampleConfig:
    return SampleConfig(
        temperature=draw(st.sampled_from([0.0, 1e-9, 0.5, 1.0, 7.0, 1e9])),
        top_k=draw(st.integers(0, 10)),
        top_p=draw(st.floats(1e-6, 1)),
        min_p=draw(st.floats(0, 1)),
        repetition_penalty=draw(st.floats(0.01, 100)),
    )


@laws
@given(LOGITS, configs(), st.data())
def test_all_filters_together_leave_a_distribution(
    logits: Probabilities, config: SampleConfig, data: st.DataObject
) -> None:
    ids = st.integers(0, len(logits) - 1)
    recent = data.draw(st.lists(ids, max_size=80))
    forbidden = sorted(data.draw(st.sets(ids, max_size=len(logits) - 1)))
    before = logits.copy()
    p = distribution(logits, config, recent=recent, forbidden=forbidden)
    assert math.isclose(p.sum(), 1, rel_tol=1e-9)
    assert p.min() >= 0
    assert (p > 0).any()
    assert not p[forbidden].any()
    if config.top_k and config.temperature:
        # Ties at the edge are kept; without ties at most k symbols remain.
        assert (p > 0).sum() <= config.top_k or len(set(p[p > 0])) < (p > 0).sum()
    np.testing.assert_array_equal(logits, before)


@laws
@given(LOGITS, st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_the_colder_the_more_certain(logits: Probabilities, a: float, b: float) -> None:
    """At a lower temperature the odds of a more likely symbol against another never fall. So the
    most likely symbol gains, and the order stays the same."""
    cold, warm = (distribution(logits, SampleConfig(temperature=t)) for t in (min(a, b), max(a, b)))
    order = np.argsort(logits, kind="stable")
    assert (np.diff(cold[order]) >= -1e-12).all()
    assert cold[order[-1]] >= warm[order[-1]] - 1e-12
    for less, more in pairwise(order):
        # p(less) / p(more), multiplied out, because of zeros.
        assert cold[less] * warm[more] <= warm[less] * cold[more] + 1e-12


@laws
@given(LOGITS, st.floats(0.01, 100), st.floats(0.01, 100), st.data())
def test_the_penalty_lowers_the_more_the_larger_it_is(
    logits: Probabilities, a: float, b: float, data: st.DataObject
) -> None:
    """Relative to every symbol that did not occur; the odds among those stay the same."""
    seen = sorted(data.draw(st.sets(st.integers(0, len(logits) - 1), min_size=1)))
    unseen = [i for i in range(len(logits)) if i not in seen]
    mild, hard = (
        distribution(logits, SampleConfig(temperature=1.0, repetition_penalty=penalty), recent=seen)
        for penalty in (min(a, b), max(a, b))
    )
    assert hard[seen].sum() <= mild[seen].sum() + 1e-9
    for i in unseen:
        for j in seen:
            assert hard[j] * mild[i] <= mild[j] * hard[i] + 1e-12
        for k in unseen:
            assert math.isclose(hard[i] * mild[k], mild[i] * hard[k], rel_tol=1e-6, abs_tol=1e-12)


@laws
@given(
    LOGITS,
    st.sampled_from([(top_k, 1, 10), (top_p, 1e-6, 1.0), (min_p, 0.0, 1.0)]),
    st.data(),
)
def test_the_tighter_a_filter_the_likelier_is_what_it_keeps(
    logits: Probabilities, filtering: tuple[object, float, float], data: st.DataObject
) -> None:
    """The sets are nested and renormalized: no kept symbol loses probability, and the most likely
    one is always kept."""
    apply, low, high = filtering
    numbers = st.integers(1, 10) if apply is top_k else st.floats(low, high)
    one, other = sorted((data.draw(numbers), data.draw(numbers)))
    tight, loose = (other, one) if apply is min_p else (one, other)
    p = distribution(logits, SampleConfig(temperature=1.0))
    assume(p.min() > 0)
    few, many = apply(p, tight), apply(p, loose)  # type: ignore[operator]
    kept = few > 0
    assert not (kept & (many == 0)).any()
    assert (few[kept] >= many[kept] - 1e-12).all()
    assert few[p.argmax()] >= many[p.argmax()] - 1e-12 > -1e-12
    assert few[p.argmax()] > 0
