"""Characters that a model has never seen: one rule for every command, and how they are named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import RequestError, UnknownCharacterError
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer
from charlm.text.unknown import (
    OMIT,
    ONLY_LF,
    describe_character,
    describe_slices,
    describe_unknown,
    readable,
)

Invoke = Callable[..., Result]

PLAIN = CharTokenizer("\nab")
FOLDING = CharTokenizer("\nab", unknown=True)
NAMED = "1 character the model has never seen: '☃' U+2603; the first at line 2, column 2"


@pytest.mark.parametrize("policy", ["error", "skip", OMIT])
@pytest.mark.parametrize("tokenizer", [PLAIN, FOLDING, ByteTokenizer()])
def test_a_text_of_known_characters_passes(
    tokenizer: CharTokenizer | ByteTokenizer, policy: str
) -> None:
    assert readable(tokenizer, "ab\nb", policy) == ("ab\nb", "")


def test_a_model_with_an_unknown_symbol_folds_whatever_is_asked() -> None:
    for policy in ("error", "skip"):
        found = readable(FOLDING, "a\nb☃", policy)
        assert found == ("a\nb☃", f"read as the unknown symbol: {NAMED}")


def test_a_model_without_one_refuses_or_skips() -> None:
    with pytest.raises(UnknownCharacterError) as error:
        readable(PLAIN, "a\nb☃", what="the prompt")
    assert str(error.value) == (
        f"the prompt has {NAMED}; remove them or give --on-unknown skip to leave them out"
    )
    assert readable(PLAIN, "a\nb☃", "skip") == ("a\nb", f"left out {NAMED}")


CR = "line ends with CR are read as LF: the model has seen no others"


@pytest.mark.parametrize("policy", ["error", "skip", OMIT])
@pytest.mark.parametrize("tokenizer", [PLAIN, FOLDING])
def test_a_model_that_has_seen_only_lf_reads_other_line_ends_as_lf(
    tokenizer: CharTokenizer, policy: str
) -> None:
    assert readable(tokenizer, "a\r\nb\rb\n", policy) == ("a\nb\nb\n", CR)
    if policy != "error":
        note = readable(tokenizer, "a\r\nb☃", policy).note
        assert note.startswith(f"{CR}; ") and NAMED in note


def test_a_model_that_has_seen_cr_or_no_line_end_reads_cr_as_it_is() -> None:
    assert readable(CharTokenizer("\n\rab"), "a\r\nb") == ("a\r\nb", "")
    assert readable(ByteTokenizer(), "a\r\nb") == ("a\r\nb", "")
    assert readable(CharTokenizer("\nab", newline="unix"), "a\r\nb") == ("a\r\nb", "")
    with pytest.raises(UnknownCharacterError, match=r"U\+000D"):
        readable(CharTokenizer("ab"), "a\rb")


def test_a_model_of_an_lf_corpus_evaluates_the_same_text_with_crlf(
    charlm: Invoke, trained: Path, text: str, tmp_path: Path
) -> None:
    file = tmp_path / "crlf.txt"
    file.write_bytes(text.replace("\n", "\r\n").encode())
    result = charlm("eval", trained, file, "--no-ladder")
    assert result.exit_code == 0 and CR in result.stderr
    file.write_bytes(text.encode())
    assert charlm("eval", trained, file, "--no-ladder").stdout == result.stdout


def test_omitting_does_not_fold() -> None:
    assert readable(FOLDING, "a\nb☃", OMIT) == ("a\nb", f"left out {NAMED}")


def test_another_policy_is_refused() -> None:
    with pytest.raises(RequestError, match="choose error or skip"):
        readable(PLAIN, "a", "guess")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="ab\n☃é"), min_size=1))
def test_slices_are_described_as_the_whole(slices: list[str]) -> None:
    whole = "".join(slices)
    unseen = PLAIN.unseen(whole)
    if len(unseen):
        assert describe_slices(PLAIN, slices) == describe_unknown(whole, unseen)


@pytest.mark.parametrize(
    ("character", "shown"), [("é", "'é' U+00E9"), ("\x1b", "U+001B"), ("\u202e", "U+202E")]
)
def test_an_unprintable_character_is_never_shown_raw(character: str, shown: str) -> None:
    assert describe_character(character) == shown


# ------------------------------------------------------------------- the same rule in the commands


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory, corpus: Path, charlm: Invoke) -> Path:
    """A run whose model has an unknown symbol."""
    out = tmp_path_factory.mktemp("folded")
    options = ["--hidden-size", 8, "--steps", 2, "--min-count", 20, "--out", out]
    assert charlm("train", corpus, *options).exit_code == 0
    return out / "tiny"


@pytest.mark.parametrize(
    "arguments",
    [
        ["eval", "RUN", "-", "--no-ladder"],
        ["score", "RUN", "-"],
        ["inspect", "neurons", "RUN", "-", "--json"],
        ["inspect", "gradients", "RUN", "-", "--lags", 4, "--places", 4],
        ["inspect", "unroll", "RUN", "il ☃"],
        ["sample", "RUN", "--prompt", "il ☃", "--length", 3],
    ],
    ids=lambda arguments: " ".join(map(str, arguments[:2])),
)
@pytest.mark.parametrize("folds", [True, False])
def test_every_command_follows_the_rule(
    charlm: Invoke, folded: Path, trained: Path, text: str, arguments: list[object], folds: bool
) -> None:
    run = folded if folds else trained
    given = [run if each == "RUN" else each for each in arguments]
    done = charlm(*given, input=f"il mare ☃\n{text * 2}".encode())
    assert "U+2603" in done.stderr
    if folds:
        assert done.exit_code == 0, done.output
        assert "read as the unknown symbol" in done.stderr
    elif arguments[1] in ("neurons", "gradients"):
        assert done.exit_code == 0, done.output
        assert "left out 1 character" in done.stderr
    else:
        assert done.exit_code == 2


# ------------------------------------------------------------------------------ training further on


def test_what_is_folded_is_said_and_stored(
    charlm: Invoke, folded: Path, text: str, tmp_path: Path
) -> None:
    source = tmp_path / "more.txt"
    source.write_text(f"{text}☃{text}", encoding="utf-8")
    options = ["--init-from", folded, "--steps", 2, "--out", tmp_path]
    done = charlm("train", source, *options)
    known = json.loads(charlm("info", folded, "--json").stdout)["tokenizer"]["characters"]
    lost = [character for character in f"{text}☃{text}" if character not in known]
    share = len(lost) / (2 * len(text) + 1)
    assert (
        f"folded  {100 * share:.3g} % of the characters, of {len(set(lost))} types, are read as"
    ) in done.stderr
    told = json.loads(charlm("info", tmp_path / "more", "--json").stdout)["provenance"]
    assert (told["folded_types"], told["folded_share"]) == (len(set(lost)), share)


def test_a_model_is_not_trained_on_a_text_that_it_folds(
    charlm: Invoke, folded: Path, text: str, tmp_path: Path
) -> None:
    """Another script: its loss would be that of the unknown symbol."""
    source = tmp_path / "arabic.txt"
    source.write_text("قال الراوي يا سادة\n" * 80, encoding="utf-8")
    done = charlm("train", source, "--init-from", folded, "--steps", 2, "--out", tmp_path)
    assert done.exit_code == 2
    assert "79 % of arabic are characters that the model of --init-from" in done.stderr
    assert "more than 20 %; add them with --add-characters, or train a new model" in done.stderr
    assert not (tmp_path / "arabic").exists()


def test_a_model_without_an_unknown_symbol_says_nothing_of_it(
    charlm: Invoke, trained: Path, corpus: Path, tmp_path: Path
) -> None:
    done = charlm("train", corpus, "--init-from", trained, "--steps", 2, "--out", tmp_path)
    assert done.exit_code == 0
    assert "folded" not in done.stderr


def test_characters_that_cannot_be_learned_are_named_with_a_remedy(
    charlm: Invoke, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "snow.txt").write_text("il ☃\n" * 80, encoding="utf-8")
    done = charlm("train", tmp_path / "snow.txt", "--init-from", trained, "--out", tmp_path)
    assert done.exit_code == 2
    assert "error: snow has 72 characters the model has never seen: '☃' U+2603" in done.stderr
    assert "remove them, or train a new model without --init-from" in done.stderr
    assert not (tmp_path / "snow").exists()


@pytest.mark.parametrize(("end", "said"), [("\n", False), ("\r\n", True)])
def test_a_model_of_lf_is_trained_further_on_crlf(
    charlm: Invoke, trained: Path, text: str, tmp_path: Path, end: str, said: bool
) -> None:
    (tmp_path / "more.txt").write_bytes(text.replace("\n", end).encode())
    begin = ["train", tmp_path / "more.txt", "--init-from", trained, "--out", tmp_path]
    done = charlm(*begin, "--steps", 4, "--stop-at", 2)
    assert done.exit_code == 0, done.output
    assert (ONLY_LF in done.stderr) == said
    told = json.loads(charlm("info", tmp_path / "more", "--json").stdout)["tokenizer"]
    assert told.get("newline") == ("unix" if said else None)
    assert charlm("train", "--resume", tmp_path / "more").exit_code == 0
    assert charlm("eval", tmp_path / "more", "--no-ladder").exit_code == 0
    refused = charlm(*begin, "--name", "kept", "--newline", "keep")
    assert (refused.exit_code, "U+000D" in refused.stderr) == ((2, True) if said else (0, False))


@pytest.mark.parametrize("option", [[], ["--newline", "unix"]])
def test_the_newline_rule_comes_from_the_model_or_from_the_option(
    charlm: Invoke, text: str, tmp_path: Path, option: list[str]
) -> None:
    dos = tmp_path / "dos.txt"
    dos.write_bytes(text.replace("\n", "\r\n").encode())
    options = ["--hidden-size", 8, "--steps", 2, "--out", tmp_path]
    first = ["--newline", "keep" if option else "unix"]
    source = tmp_path / "first.txt"
    source.write_text(text, encoding="utf-8")
    assert charlm("train", source, *options, *first).exit_code == 0
    model = tmp_path / "first"
    done = charlm("train", dos, "--init-from", model, "--steps", 2, "--out", tmp_path, *option)
    assert done.exit_code == 0, done.output
    assert charlm("eval", tmp_path / "dos", dos, "--no-ladder").exit_code == 0
    told = json.loads(charlm("info", tmp_path / "dos", "--json").stdout)
    assert told["tokenizer"]["newline"] == "unix"
