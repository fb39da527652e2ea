"""Text to ids and back: decoding inverts encoding, and unknown characters are named."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import CheckpointError, UnknownCharacterError
from charlm.text.newlines import RULES
from charlm.text.tokenizer import (
    REPLACEMENT,
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    tokenizer_from_dict,
    tokenizer_to_json,
)

laws = settings(max_examples=60, deadline=None)
TEXTS = st.text(min_size=1)
TOKENIZERS = st.one_of(
    st.builds(
        CharTokenizer,
        st.sets(st.characters(codec="utf-8"), min_size=1).map(lambda s: "".join(sorted(s))),
        unknown=st.booleans(),
        nfc=st.booleans(),
        newline=st.sampled_from(RULES),
    ),
    st.builds(ByteTokenizer, newline=st.sampled_from(RULES)),
)


@laws
@given(TEXTS)
def test_characters_come_back(text: str) -> None:
    tokenizer = CharTokenizer.from_text(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@laws
@given(st.text())
def test_bytes_come_back_whatever_the_text(text: str) -> None:
    tokenizer = ByteTokenizer()
    assert tokenizer.decode(tokenizer.encode(text)) == text


@laws
@given(TEXTS)
def test_vocabulary_is_the_sorted_set_of_code_points(text: str) -> None:
    assert CharTokenizer.from_text(text).characters == "".join(sorted(set(text)))


def test_ids_count_up_in_code_point_order() -> None:
    tokenizer = CharTokenizer.from_text("zé😀a\n")
    assert tokenizer.characters == "\nazé😀"
    assert tokenizer.encode("a\n😀éz").tolist() == [1, 0, 4, 3, 2]


@laws
@given(TEXTS, TEXTS, st.integers(1, 4))
def test_encoding_agrees_with_a_loop_over_a_dictionary(corpus: str, text: str, least: int) -> None:
    common = sorted(c for c in set(corpus) if corpus.count(c) >= least)
    if not common:
        with pytest.raises(ValueError, match=f"no character occurs {least} times"):
            CharTokenizer.from_text(corpus, min_count=least)
        return
    tokenizer = CharTokenizer.from_text(corpus, min_count=least)
    ids = {c: number for number, c in enumerate(common)}
    assert tokenizer.unknown == (len(common) < len(set(corpus)))
    expected = [ids.get(c, len(common)) for c in text]
    if tokenizer.unknown or max(expected) < len(common):
        assert tokenizer.encode(text).tolist() == expected
    else:
        with pytest.raises(UnknownCharacterError):
            tokenizer.encode(text)


def test_rare_characters_fold_into_one_symbol_that_is_never_sampled() -> None:
    tokenizer = CharTokenizer.from_text("aabbcd", min_count=2)
    assert tokenizer.vocab_size == 3
    assert tokenizer.forbidden == (2,)
    assert tokenizer.encode("abcdz").tolist() == [0, 1, 2, 2, 2]
    assert tokenizer.decode([0, 2]) == "a" + REPLACEMENT


def test_nothing_is_forbidden_where_nothing_was_folded() -> None:
    assert CharTokenizer.from_text("aabb", min_count=2).forbidden == ()
    assert ByteTokenizer().forbidden == ()


@pytest.mark.parametrize(
    ("size", "dtype"), [(1, "uint8"), (256, "uint8"), (257, "uint16"), (65_537, "uint32")]
)
def test_ids_take_the_smallest_type_that_holds_them(size: int, dtype: str) -> None:
    characters = "".join(map(chr, range(0x10000, 0x10000 + size)))
    ids = CharTokenizer(characters).encode(characters)
    assert ids.dtype == dtype
    assert ids.tolist() == list(range(size))


def test_the_unknown_symbol_counts_for_the_type() -> None:
    characters = "".join(map(chr, range(256)))
    ids = CharTokenizer(characters, unknown=True).encode("\0😀")
    assert ids.tolist() == [0, 256]


@laws
@given(TOKENIZERS)
def test_the_empty_text_has_no_ids(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("").tolist() == []
    assert tokenizer.decode([]) == ""


def test_normal_form_is_off_unless_asked() -> None:
    assert CharTokenizer.from_text("e\u0301").characters == "e\u0301"
    assert CharTokenizer.from_text("e\u0301", nfc=True).characters == "é"


@laws
@given(TEXTS)
def test_composed_text_comes_back_composed(text: str) -> None:
    tokenizer = CharTokenizer.from_text(text, nfc=True)
    assert tokenizer.decode(tokenizer.encode(text)) == unicodedata.normalize("NFC", text)


def test_unknown_characters_are_named_counted_and_located() -> None:
    with pytest.raises(UnknownCharacterError) as error:
        CharTokenizer("\nab").encode("ab\nbéa\ta é")
    assert str(error.value) == (
        "4 characters the model has never seen: 'é' U+00E9 (2 times), U+0009, ' ' U+0020; "
        "the first at line 2, column 2"
    )


def test_only_eight_unknown_characters_are_named() -> None:
    with pytest.raises(UnknownCharacterError, match=r"'i' U\+0069 and 2 more; the first at line 1"):
        CharTokenizer("a").encode("abcdefghijk")


@laws
@given(TOKENIZERS, st.text(alphabet=st.characters()))
def test_what_is_left_after_dropping_the_unseen_is_known(tokenizer: Tokenizer, text: str) -> None:
    known = tokenizer.without_unseen(text)
    assert not len(tokenizer.unseen(known))
    assert tokenizer.decode(tokenizer.encode(known)) == tokenizer.normalize(known)
    if tokenizer.newline != "unix" and not (isinstance(tokenizer, CharTokenizer) and tokenizer.nfc):
        assert len(known) + len(tokenizer.unseen(text)) == len(text)


def test_neighbours_that_compose_once_a_character_is_dropped_are_dropped_too() -> None:
    tokenizer = CharTokenizer("e\u0301", nfc=True)
    assert tokenizer.unseen("ex\u0301e").tolist() == [1]
    assert tokenizer.without_unseen("ex\u0301e") == "e"


def test_the_unknown_symbol_does_not_hide_what_is_unseen() -> None:
    tokenizer = CharTokenizer("ab", unknown=True)
    assert tokenizer.unseen("axb\U0010ffff").tolist() == [1, 3]
    assert tokenizer.without_unseen("axb\U0010ffff") == "ab"


def test_bytes_are_those_of_utf_8() -> None:
    assert ByteTokenizer().encode("è€").tolist() == [0xC3, 0xA8, 0xE2, 0x82, 0xAC]


@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), CharTokenizer("a")])
def test_a_lone_surrogate_is_an_unknown_character(tokenizer: Tokenizer) -> None:
    with pytest.raises(UnknownCharacterError, match=r"U\+D800; the first at line 1, column 2"):
        tokenizer.encode("a\ud800")


@laws
@given(st.text())
def test_every_code_point_is_counted_once(text: str) -> None:
    for tokenizer in (ByteTokenizer(), CharTokenizer.from_text(text + "a")):
        assert tokenizer.count_characters(tokenizer.encode(text)) == len(text)


@laws
@given(st.lists(st.integers(0, 255)))
def test_bytes_one_by_one_read_as_all_at_once(ids: list[int]) -> None:
    decoder = ByteTokenizer().decoder()
    assert "".join([*map(decoder.feed, ids), decoder.flush()]) == ByteTokenizer().decode(ids)


def test_an_incomplete_sequence_is_held_back() -> None:
    decoder = ByteTokenizer().decoder()
    assert [decoder.feed(byte) for byte in "a€".encode()] == ["a", "", "", "€"]
    assert decoder.flush() == ""
    assert decoder.feed(0xE2) == ""
    assert decoder.flush() == REPLACEMENT


def test_two_decoders_do_not_share_what_they_hold_back() -> None:
    first, second = ByteTokenizer().decoder(), ByteTokenizer().decoder()
    first.feed(0xC3)
    assert second.feed(ord("a")) == "a"
    assert first.feed(0xA8) == "è"


@laws
@given(TOKENIZERS, st.data())
def test_characters_one_by_one_read_as_all_at_once(tokenizer: Tokenizer, data: Any) -> None:
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1)))
    decoder = tokenizer.decoder()
    assert "".join(map(decoder.feed, ids)) + decoder.flush() == tokenizer.decode(np.array(ids, int))


@laws
@given(TOKENIZERS)
def test_a_tokenizer_survives_json(tokenizer: Tokenizer) -> None:
    again = tokenizer_from_dict(json.loads(tokenizer_to_json(tokenizer)))
    assert type(again) is type(tokenizer)
    assert again.to_dict() == tokenizer.to_dict()


def test_the_stored_form_is_this() -> None:
    assert tokenizer_to_json(CharTokenizer("aé", unknown=True, nfc=True)) == (
        '{"characters": "a\\u00e9", "kind": "char", "nfc": true, "unknown": true}'
    )
    assert tokenizer_to_json(ByteTokenizer()) == '{"kind": "byte"}'
    assert json.loads(tokenizer_to_json(ByteTokenizer(newline="unix"))) == {
        "kind": "byte",
        "newline": "unix",
    }


def test_a_file_from_before_the_newline_rule_keeps_line_ends() -> None:
    assert tokenizer_from_dict(CHAR).newline == "keep"
    assert tokenizer_from_dict({"kind": "byte"}).newline == "keep"


@pytest.mark.parametrize("tokenizer", [CharTokenizer("\nab"), ByteTokenizer()])
def test_the_newline_rule_is_applied_to_every_text(tokenizer: Tokenizer) -> None:
    unix = tokenizer.with_newline("unix")
    dos = "a\r\nb\ra\n\r"
    assert unix.normalize(dos) == "a\nb\na\n\n"
    assert unix.encode(dos).tolist() == unix.encode("a\nb\na\n\n").tolist()
    assert not len(unix.unseen(dos))
    assert tokenizer.normalize(dos) == dos
    assert tokenizer_from_dict(unix.to_dict()).newline == "unix"


@pytest.mark.parametrize("make", [ByteTokenizer, lambda **rule: CharTokenizer("a", **rule)])
def test_another_newline_rule_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="keep or unix"):
        make(newline="auto")


def test_a_long_text_is_encoded_slice_by_slice_to_the_same_ids(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "abcé😀\n" * 50
    tokenizer = CharTokenizer.from_text(text)
    whole, unseen = tokenizer.encode(text), tokenizer.unseen(f"{text}z{text}z")
    monkeypatch.setattr("charlm.text.tokenizer._SLICE", 7)
    assert tokenizer.encode(text).tolist() == whole.tolist()
    assert tokenizer.unseen(f"{text}z{text}z").tolist() == unseen.tolist() == [300, 601]
    assert CharTokenizer.from_text(text).characters == tokenizer.characters


CHAR = {"kind": "char", "characters": "ab", "unknown": False, "nfc": False}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"kind": "byte", "unknown": False},
        {"kind": "word"},
        {key: value for key, value in CHAR.items() if key != "nfc"},
        CHAR | {"surplus": 1},
        CHAR | {"kind": ["char"]},
        CHAR | {"kind": "byte"},
        CHAR | {"characters": ["a", "b"]},
        CHAR | {"characters": ""},
        CHAR | {"characters": "ba"},
        CHAR | {"characters": "aa"},
        CHAR | {"characters": "a\ud800"},
        CHAR | {"unknown": 0},
        CHAR | {"nfc": None},
        CHAR | {"newline": "keep"},
        CHAR | {"newline": "auto"},
        CHAR | {"newline": None},
        CHAR | {"newline": ["unix"]},
        {"kind": "byte", "newline": "keep"},
    ],
)
def test_what_no_tokenizer_wrote_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="the file's tokenizer"):
        tokenizer_from_dict(values)


@pytest.mark.parametrize("characters", ["", "ba", "aa", "a\udfff"])
def test_an_impossible_vocabulary_is_refused(characters: str) -> None:
    with pytest.raises(ValueError, match="a vocabulary holds"):
        CharTokenizer(characters)
