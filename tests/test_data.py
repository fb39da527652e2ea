"""A prepared corpus: its split, its vocabulary, its ids, and the provenance in a shared model."""

from __future__ import annotations

import hashlib
import io
import json
import tracemalloc
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charlm import runs
from charlm.errors import CheckpointError, CorpusError, RequestError, UnknownCharacterError
from charlm.rundir import Run
from charlm.text import dataset as data
from charlm.text.dataset import Source
from charlm.text.folding import Folding
from charlm.text.tokenizer import ByteTokenizer, CharTokenizer
from charlm.text.utf8 import Utf8Text


def write(path: Path, text: str) -> str:
    path.write_bytes(text.encode())
    return str(path)


@pytest.fixture
def book(tmp_path: Path) -> str:
    return write(tmp_path / "book.txt", "abcab" * 19 + "xyzé\n")


def test_the_last_tenth_validates(book: str) -> None:
    texts = data.read(Source((book,)))
    assert str(texts.train) + str(texts.val) == str(texts.whole) == Path(book).read_text("utf-8")
    assert (len(texts.train), len(texts.val)) == (90, 10)
    assert texts.split == "first 0.9 to train, last 0.1 to validate"
    assert texts.name == "book"


def test_nothing_need_be_kept_for_validation(book: str) -> None:
    texts = data.read(Source((book,), val_fraction=0.0))
    assert str(texts.train) == str(texts.whole)
    assert texts.split == "all of it to train, nothing to validate"
    assert not data.encode(texts, data.choose_tokenizer(texts)).can_validate


def test_another_file_may_validate(book: str, tmp_path: Path) -> None:
    texts = data.read(Source((book,), val_sources=(write(tmp_path / "val.txt", "QRS"),)))
    assert str(texts.train) == Path(book).read_text("utf-8")
    assert str(texts.val) == "QRS"
    assert texts.sha256 == hashlib.sha256(Path(book).read_bytes() + b"QRS").hexdigest()
    assert {"Q", "a"} <= set(data.choose_tokenizer(texts).decode(range(10)))


def test_both_parts_are_read_with_the_same_options(tmp_path: Path) -> None:
    for name in ("train", "val"):
        (tmp_path / name).write_bytes(b"citt\xe0\r\n")
    train, val = str(tmp_path / "train"), str(tmp_path / "val")
    texts = data.read(Source((train,), "latin-1", "unix", val_sources=(val,)))
    assert str(texts.train) == str(texts.val) == "città\n"


def test_the_vocabulary_is_that_of_the_whole_corpus(book: str) -> None:
    texts = data.read(Source((book,)))
    tokenizer = data.choose_tokenizer(texts)
    assert isinstance(tokenizer, CharTokenizer)
    assert tokenizer.characters == "\nabcxyzé"
    assert max(np.asarray(data.encode(texts, tokenizer).val_ids)) == 7


def test_rare_characters_are_counted_over_the_whole_corpus(book: str) -> None:
    tokenizer = data.choose_tokenizer(data.read(Source((book,))), min_count=19)
    assert isinstance(tokenizer, CharTokenizer)
    assert tokenizer.characters == "abc" and tokenizer.unknown


def test_a_corpus_of_rare_characters_alone_is_refused(book: str) -> None:
    with pytest.raises(RequestError, match="--min-count 99: no character occurs 99 times; lower"):
        data.choose_tokenizer(data.read(Source((book,))), min_count=99)


def test_bytes_are_chosen_and_go_with_no_option_of_characters(book: str) -> None:
    texts = data.read(Source((book,)))
    assert isinstance(data.choose_tokenizer(texts, level="byte"), ByteTokenizer)
    for min_count, nfc in ((2, False), (1, True)):
        with pytest.raises(RequestError, match="--tokenizer byte cannot be combined"):
            data.choose_tokenizer(texts, level="byte", min_count=min_count, nfc=nfc)


def test_ids_are_those_of_the_two_parts(book: str) -> None:
    texts = data.read(Source((book,)))
    dataset = data.encode(texts, data.choose_tokenizer(texts))
    assert dataset.tokenizer.decode(np.asarray(dataset.train_ids)) == str(texts.train)
    assert dataset.tokenizer.decode(np.asarray(dataset.val_ids)) == str(texts.val)


def test_a_foreign_vocabulary_names_what_it_lacks(book: str) -> None:
    with pytest.raises(UnknownCharacterError, match="'é' U\\+00E9"):
        data.encode(data.read(Source((book,))), CharTokenizer("\nabcxyz"))


def test_one_character_is_no_training_text(tmp_path: Path) -> None:
    texts = data.read(Source((write(tmp_path / "tiny.txt", "ab"),)))
    with pytest.raises(CorpusError, match="tiny: 1 of 2 characters left to train on"):
        data.encode(texts, data.choose_tokenizer(texts))


@pytest.mark.parametrize(("characters", "can"), [(10, False), (20, True)])
def test_validating_takes_two_characters(tmp_path: Path, characters: int, can: bool) -> None:
    texts = data.read(Source((write(tmp_path / "short", "a" * characters),)))
    assert data.encode(texts, data.choose_tokenizer(texts)).can_validate == can


def test_two_bytes_of_one_character_are_too_little_to_validate_on(tmp_path: Path) -> None:
    for text, can in (("a" * 9 + "è", False), ("a" * 18 + "èè", True)):
        texts = data.read(Source((write(tmp_path / "short", text),)))
        assert data.encode(texts, ByteTokenizer()).can_validate == can


def test_composing_happens_before_the_vocabulary_is_taken(tmp_path: Path) -> None:
    texts = data.read(Source((write(tmp_path / "nfc.txt", "e\u0301" * 10),)))
    tokenizer = data.choose_tokenizer(texts, nfc=True)
    assert isinstance(tokenizer, CharTokenizer)
    assert tokenizer.characters == "é" and tokenizer.nfc


def test_provenance_tells_what_the_text_was(book: str) -> None:
    texts = data.read(Source((book,)))
    assert data.encode(texts, data.choose_tokenizer(texts)).provenance() == {
        "corpus": "book",
        "corpus_sha256": hashlib.sha256(Path(book).read_bytes()).hexdigest(),
        "corpus_characters": 100,
        "train_characters": 90,
        "val_characters": 10,
        "split": "first 0.9 to train, last 0.1 to validate",
        "commonest": "a",
    }


@pytest.mark.parametrize(
    "source",
    [
        Source(("book",)),
        Source(("a", "-"), "latin-1", "unix", 0.25, ("b", "c")),
    ],
)
def test_a_source_survives_json(source: Source) -> None:
    assert Source.from_dict(json.loads(json.dumps(source.to_dict()))) == source


def provenance(source: Source, stdin: io.BytesIO | None = None) -> dict[str, Any]:
    texts = data.read(source, stdin)
    return data.encode(texts, data.choose_tokenizer(texts)).provenance()


def test_a_run_reads_its_text_again(book: str, tmp_path: Path) -> None:
    source = Source((book,))
    again = runs.reread(source, Run(tmp_path), provenance(source))
    assert again == data.read(source)


def test_standard_input_is_read_again_from_the_run(tmp_path: Path) -> None:
    source, run = Source(("-",)), Run(tmp_path)
    run.stdin.write_bytes("città vecchia".encode())
    before = provenance(source, io.BytesIO("città vecchia".encode()))
    assert str(runs.reread(source, run, before).whole) == "città vecchia"


def test_a_text_that_has_changed_is_refused(book: str, tmp_path: Path) -> None:
    source = Source((book,))
    before = provenance(source)
    write(Path(book), Path(book).read_text("utf-8").replace("x", "X"))
    with pytest.raises(RequestError, match=r"is not the one that .* was trained on"):
        runs.reread(source, Run(tmp_path), before)


def test_a_text_that_has_gone_is_refused(book: str, tmp_path: Path) -> None:
    source = Source((book,))
    before = provenance(source)
    Path(book).unlink()
    with pytest.raises(RequestError, match="no such file"):
        runs.reread(source, Run(tmp_path), before)


def test_a_renamed_corpus_keeps_its_name_in_the_run(book: str, tmp_path: Path) -> None:
    before = provenance(Source((book,)))
    moved = str(Path(book).rename(tmp_path / "moved.txt"))
    assert runs.reread(Source((moved,)), Run(tmp_path), before).name == "book"


# ------------------------------------------------------------------------------------- edge cases


def test_provenance_never_holds_a_path(book: str, tmp_path: Path) -> None:
    val = write(tmp_path / "val.txt", "abc")
    assert str(tmp_path) not in json.dumps(provenance(Source((book,), val_sources=(val,))))


def test_composing_does_not_depend_on_where_the_text_is_cut(tmp_path: Path) -> None:
    texts = data.read(Source((write(tmp_path / "nfc.txt", "aaaaaaaae\u0301"),)))
    data.encode(texts, data.choose_tokenizer(texts, nfc=True))


def test_a_moved_border_between_training_and_validation_is_refused(tmp_path: Path) -> None:
    train, val = tmp_path / "train", tmp_path / "val"
    source = Source((write(train, "abcabc"),), val_sources=(write(val, "abcabc"),))
    before = provenance(source)
    write(train, "abcabcabc"), write(val, "abc")
    with pytest.raises(RequestError):
        runs.reread(source, Run(tmp_path), before)


@pytest.mark.parametrize("values", [{}, {"sources": ["a"], "val_sources": [], "surplus": 1}])
def test_a_source_that_none_wrote_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError):
        Source.from_dict(values)


# ----------------------------------------------------------------------------------------- newlines


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("a\nb\n", "keep"),
        ("a\r\nb\r\n", "keep"),
        ("a\rb\r", "keep"),
        ("ab", "keep"),
        ("a\r\nb\n", "unix"),
        ("a\nb\rc", "unix"),
    ],
)
def test_mixed_line_ends_become_lf_unless_asked(tmp_path: Path, content: str, rule: str) -> None:
    path = write(tmp_path / "text", content)
    texts = data.read(Source((path,), newline="auto"))
    assert texts.newline == rule
    assert bool(texts.notes) == (rule == "unix")
    unix = content.replace("\r\n", "\n").replace("\r", "\n")
    assert str(texts.whole) == (unix if rule == "unix" else content)
    assert str(data.read(Source((path,), newline="keep")).whole) == content
    assert str(data.read(Source((path,), newline="unix")).whole) == unix


def test_line_ends_that_differ_between_training_and_validation_are_mixed(tmp_path: Path) -> None:
    train, val = write(tmp_path / "train", "a\r\nb\r\n"), write(tmp_path / "val", "a\nb\n")
    texts = data.read(Source((train,), newline="auto", val_sources=(val,)))
    assert str(texts.train) == str(texts.val) == "a\nb\n"
    assert texts.notes == (
        "the line ends are mixed (2 CR LF, 2 LF): all are read as LF; --newline keep leaves them",
    )


@pytest.mark.parametrize("level", ["char", "byte"])
def test_the_newline_rule_goes_into_the_tokenizer(tmp_path: Path, level: str) -> None:
    path = write(tmp_path / "text", "a\r\nb\r\n" * 9)
    for rule in ("keep", "unix"):
        texts = data.read(Source((path,), newline=rule))
        assert data.choose_tokenizer(texts, level=level).newline == rule


def test_another_newline_rule_is_refused(book: str) -> None:
    with pytest.raises(RequestError, match="choose one of auto, keep, unix"):
        data.read(Source((book,), newline="dos"))


def test_what_is_stored_is_settled() -> None:
    with pytest.raises(CheckpointError):
        Source.from_dict(Source(("book",), newline="auto").to_dict())


# ----------------------------------------------------------------------------------- slice by slice


@pytest.mark.parametrize("nfc", [False, True])
@pytest.mark.parametrize("tokenizer", ["char", "byte", "folding", "unix", "unix bytes"])
def test_a_corpus_in_slices_has_the_ids_of_its_parts_as_strings(
    tokenizer: str, nfc: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "Perche\u0301 no?\r\nSi\u0300, 一二 😀\n" * 30
    texts = data.read(Source((write(tmp_path / "text", content),), val_fraction=0.37))
    train, val = content[: int(len(content) * 0.63)], content[int(len(content) * 0.63) :]
    composed = [unicodedata.normalize("NFC", part) if nfc else part for part in (train, val)]
    known: Any = {
        "char": CharTokenizer.from_text("".join(composed)),
        "byte": ByteTokenizer(),
        "folding": CharTokenizer("\n\raes", unknown=True, nfc=nfc),
        "unix": CharTokenizer.from_text("".join(composed), nfc=nfc).with_newline("unix"),
        "unix bytes": ByteTokenizer(newline="unix"),
    }[tokenizer]
    if tokenizer == "char":
        known = CharTokenizer(known.characters, nfc=nfc)
    monkeypatch.setattr(Utf8Text.slices, "__defaults__", (11,))
    dataset = data.encode(texts, known)
    assert np.asarray(dataset.train_ids).tolist() == known.encode(train).tolist()
    assert np.asarray(dataset.val_ids).tolist() == known.encode(val).tolist()
    if tokenizer == "char":
        chosen = data.choose_tokenizer(texts, nfc=nfc)
        assert chosen.to_dict() == known.to_dict()


def test_what_a_foreign_vocabulary_lacks_is_named_for_the_whole_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = data.read(Source((write(tmp_path / "text", "abab\naéb\nüéa\n" * 3),), val_fraction=0))
    monkeypatch.setattr(Utf8Text.slices, "__defaults__", (4,))
    with pytest.raises(UnknownCharacterError) as error:
        data.encode(texts, CharTokenizer("\nab"))
    assert str(error.value) == (
        "9 characters the model has never seen: 'é' U+00E9 (6 times), 'ü' U+00FC (3 times); the "
        "first at line 2, column 2"
    )


def test_a_dataset_counts_what_it_folds(tmp_path: Path) -> None:
    texts = data.read(Source((write(tmp_path / "text", "aaaaaaaéaé"),), val_fraction=0.2))
    dataset = data.encode(texts, CharTokenizer("a", unknown=True))
    assert dataset.folding == Folding(types=1, share=0.2)
    told = dataset.provenance()
    assert (told["folded_types"], told["folded_share"]) == (1, 0.2)


def test_reading_and_encoding_take_little_more_memory_than_text_and_ids(tmp_path: Path) -> None:
    """benchmarks/corpus.py measures the whole process, on 100 MB."""
    size = 24_000_000
    path = write(tmp_path / "text", "Perché no? Sì, là.\n" * (size // 22))
    tracemalloc.start()
    try:
        texts = data.read(Source((path,), newline="auto"))
        data.encode(texts, data.choose_tokenizer(texts))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * size  # of which the file takes one, and the ids nearly one
