"""A text as UTF-8 bytes: whatever is computed slice by slice is what the whole gives."""

from __future__ import annotations

import hashlib
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.text.newlines import LineEnds, to_unix, unix_blocks
from charlm.text.utf8 import _CUT, Utf8Text

laws = settings(max_examples=100, deadline=None)

# Letters that compose, marks, Hangul, line ends, wide characters: what a cut could spoil.
TRICKY = st.text(
    alphabet="ae\u0301\u0323\u0327\r\n \u1100\u1161\u11a8\uac00\u0915\u093c一😀\u30ab\u3099"
)


@st.composite
def texts(draw: st.DrawFn) -> Utf8Text:
    return Utf8Text(part.encode() for part in draw(st.lists(TRICKY)))


@laws
@given(texts(), st.integers(1, 9))
def test_slices_make_up_the_text(text: Utf8Text, size: int) -> None:
    slices = list(text.slices(size))
    assert "".join(slices) == str(text)
    assert all(slices)


@laws
@given(texts(), st.integers(1, 9))
def test_slices_normalize_to_what_the_whole_does(text: Utf8Text, size: int) -> None:
    for normalize in (lambda t: unicodedata.normalize("NFC", t), to_unix):
        assert "".join(map(normalize, text.slices(size))) == normalize(str(text))


def test_a_text_is_cut_only_before_what_never_joins_the_character_before_it() -> None:
    """All of Unicode: no character before which a text is cut is the second part of a composed one,
    a combining mark, or changed by NFC itself."""
    second = {
        int(parts[1], 16)
        for point in range(0x110000)
        if len(parts := unicodedata.decomposition(chr(point)).split()) == 2
        and not parts[0].startswith("<")
    }
    assert 0x301 in second  # the control
    for point in range(0x110000):
        if 0xD800 <= point <= 0xDFFF or not _CUT.match(chr(point).encode()):
            continue
        character = chr(point)
        assert point not in second
        assert not unicodedata.combining(character)
        assert unicodedata.normalize("NFC", character) == character
        assert character != "\n"


@pytest.mark.parametrize(
    ("text", "pieces"),
    [("a" * 100, 20), ("le vie\n" * 20, 18), ("一二三" * 40, 60), ("\n" * 50, 1)],
)
def test_slices_are_about_as_long_as_asked(text: str, pieces: int) -> None:
    assert len(list(Utf8Text.of(text).slices(5))) >= pieces


@laws
@given(texts(), st.integers(0, 60))
def test_a_text_is_split_after_any_character(text: Utf8Text, cut: int) -> None:
    whole = str(text)
    before, after = text.split(cut)
    assert (str(before), str(after)) == (whole[:cut], whole[cut:])


@laws
@given(texts(), texts())
def test_lengths_hashes_and_sums_are_those_of_the_string(one: Utf8Text, other: Utf8Text) -> None:
    both = one + other
    assert len(both) == len(str(one)) + len(str(other))
    assert both.num_bytes == len(str(both).encode())
    assert both.sha256 == hashlib.sha256(str(both).encode()).hexdigest()
    assert both == Utf8Text.of(str(both))
    assert (one == other) == (str(one) == str(other))


def test_long_texts_are_counted_and_split_across_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlm.text.utf8.SLICE", 4)
    text = Utf8Text.of("aè一😀" * 9)
    assert len(text) == 36
    for cut in range(40):
        assert str(text.split(cut)[0]) == ("aè一😀" * 9)[:cut]


def test_a_text_keeps_its_bytes_and_copies_none() -> None:
    data = b"abc" * 100
    text = Utf8Text([data])
    for block in (text.blocks[0], text.split(7)[1].blocks[0]):
        assert isinstance(block, memoryview) and block.obj is data


# ---------------------------------------------------------------------------------------- line ends

ENDS = st.lists(st.sampled_from(["\n", "\r", "\r\n", "a", "è"])).map("".join)


@laws
@given(ENDS, st.integers(1, 5))
def test_line_ends_are_counted_across_slices(text: str, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charlm.text.utf8.SLICE", size)
        ends = LineEnds.of([memoryview(text.encode())])
    crlf = text.count("\r\n")
    assert ends == LineEnds(crlf, text.count("\n") - crlf, text.count("\r") - crlf)
    assert ends.mixed == (np.count_nonzero([ends.crlf, ends.lf, ends.cr]) > 1)


@laws
@given(ENDS, st.integers(1, 5))
def test_line_ends_become_lf_across_slices(text: str, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charlm.text.utf8.SLICE", size)
        found = b"".join(unix_blocks([memoryview(text.encode())])).decode()
    assert found == to_unix(text)
    assert "\r" not in found


def test_line_ends_are_named_with_their_counts() -> None:
    assert str(LineEnds(1200, 3, 0)) == "1,200 CR LF, 3 LF"
