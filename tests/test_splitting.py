"""How a corpus is divided: items by text and label, texts by file and by line."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import CheckpointError, RequestError
from charlm.text import cache, reading, utf8
from charlm.text import dataset as data
from charlm.text.dataset import Source
from charlm.text.splitting import TEST, TRAIN, VAL, divide, divide_lines

laws = settings(max_examples=100, deadline=None)

PAIRS = st.lists(st.tuples(st.text("abc", max_size=3), st.sampled_from("xyz")), max_size=60)
FRACTIONS = st.sampled_from([(0.0, 0.0), (0.1, 0.0), (0.3, 0.2), (0.5, 0.4), (0.0, 0.5)])


def divided(pairs: list[tuple[str, str]], *fractions: float) -> list[int]:
    return divide([text for text, _ in pairs], [label for _, label in pairs], *fractions)


# ----------------------------------------------------------------------------------- by item


@laws
@given(PAIRS, FRACTIONS)
def test_equal_texts_are_never_on_two_sides(
    pairs: list[tuple[str, str]], fractions: tuple[float, float]
) -> None:
    parts = defaultdict(set)
    for (text, _), part in zip(pairs, divided(pairs, *fractions), strict=True):
        parts[text].add(part)
    assert all(len(each) == 1 for each in parts.values())


@laws
@given(PAIRS, FRACTIONS, st.randoms(use_true_random=False))
def test_the_order_of_the_list_decides_nothing(
    pairs: list[tuple[str, str]], fractions: tuple[float, float], rng: random.Random
) -> None:
    order = list(range(len(pairs)))
    rng.shuffle(order)
    plain = divided(pairs, *fractions)
    assert divided([pairs[k] for k in order], *fractions) == [plain[k] for k in order]


@laws
@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), FRACTIONS)
def test_every_label_gives_its_share_to_every_part_within_rounding(
    sizes: list[int], fractions: tuple[float, float]
) -> None:
    labels = [f"{number:02}" for number, size in enumerate(sizes) for _ in range(size)]
    texts = [f"item {number}" for number in range(len(labels))]
    parts = divide(texts, labels, *fractions)
    counts = Counter(zip(labels, parts, strict=True))
    for number, size in enumerate(sizes):
        label = f"{number:02}"
        assert counts[label, TRAIN] >= 1
        for part, fraction in zip((VAL, TEST), fractions, strict=True):
            assert -1 < counts[label, part] - fraction * size < 1 or counts[label, TRAIN] == 1
            assert counts[label, part] < fraction * size + 1
            assert fraction or not counts[label, part]


@pytest.mark.parametrize(("size", "labels"), [(1000, 4), (100, 25), (7, 100)])
def test_the_parts_are_as_large_as_asked_for(size: int, labels: int) -> None:
    """Also if no label alone has a tenth to give: what rounding leaves over is made up for."""
    texts = [str(number) for number in range(size * labels)]
    parts = Counter(divide(texts, [str(int(t) % labels) for t in texts], 0.1, 0.05))
    assert abs(parts[VAL] - 0.1 * len(texts)) <= 1
    assert abs(parts[TEST] - 0.05 * len(texts)) <= 1


def test_labels_of_one_item_train_and_make_no_other_label_give_more() -> None:
    texts = [str(number) for number in range(120)]
    labels = [f"a{number}" for number in range(100)] + ["z"] * 20
    parts = divide(texts, labels, 0.1)
    assert parts[:100] == [TRAIN] * 100
    assert 2 <= parts[100:].count(VAL) <= 3


@laws
@given(st.sets(st.integers(), min_size=30, max_size=60), st.sets(st.integers(), max_size=3))
def test_few_other_items_move_few_of_those_that_were_there(old: set[int], new: set[int]) -> None:
    """In the order of their checksums, an item moves only if the border passes it."""
    texts = [str(number) for number in sorted(old)]
    more = [str(number) for number in sorted(new - old)]
    before = divide(texts, [""] * len(texts), 0.2)
    after = divide(texts + more, [""] * len(texts + more), 0.2)
    assert sum(a != b for a, b in zip(before, after, strict=False)) <= len(more)


def test_a_text_with_two_labels_counts_for_the_more_frequent_one() -> None:
    pairs = [("both", "a"), ("both", "b"), ("both", "b")]
    pairs += [(f"b{number}", "b") for number in range(9)] + [("a", "a")]
    # Ten texts of b, so one of them validates; of a only one, which trains.
    parts = divided(pairs, 0.1)
    assert parts[-1] == TRAIN
    assert len({text for (text, _), part in zip(pairs, parts, strict=True) if part == VAL}) == 1


def test_a_list_is_not_cut_at_its_end() -> None:
    """What validates comes from all over a sorted list."""
    texts = [f"{number:04}" for number in range(1000)]
    places = [k for k, part in enumerate(divide(texts, [""] * 1000, 0.1)) if part == VAL]
    assert len(places) == 100
    assert all(any(k // 200 == fifth for k in places) for fifth in range(5))
    assert abs(sum(places) / len(places) - 500) < 100


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (1.0, 0.0), (0.9, 0.2)])
def test_fractions_that_leave_nothing_are_refused(fractions: tuple[float, float]) -> None:
    with pytest.raises(RequestError, match="leave nothing to train on; lower one of them"):
        divide(["a", "b"], ["", ""], *fractions)


# ----------------------------------------------------------------------------------- by line

LINES = st.lists(st.sampled_from(["a", "b", "cd", "", "  ", "è"]), min_size=1, max_size=30)


def of_part(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


@laws
@given(LINES, FRACTIONS, st.booleans(), st.booleans())
def test_no_line_is_lost_and_equal_ones_stay_together(
    lines: list[str], fractions: tuple[float, float], ends: bool, shuffle: bool
) -> None:
    text = "\n".join(lines) + "\n" * ends
    parts = divide_lines(text, *fractions, shuffle=shuffle)
    assert Counter(of_part("\n".join(parts))) == Counter(of_part(text))
    seen = [set(of_part(part)) for part in parts]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    if not shuffle:
        assert sorted("".join(parts)) == sorted(text)  # every character, empty lines too
        if fractions == (0.0, 0.0):
            assert parts == (text, "", "")


def test_lines_keep_their_order_unless_they_are_shuffled() -> None:
    text = "".join(f"line {number:03}\n" for number in range(200))
    plain, drawn = divide_lines(text, 0.1), divide_lines(text, 0.1, shuffle=True)
    assert list(map(of_part, plain)) == [sorted(of_part(part)) for part in plain]
    assert list(map(sorted, map(of_part, drawn))) == list(map(of_part, plain))
    assert of_part(drawn[0]) != of_part(plain[0])
    assert divide_lines(text, 0.1, shuffle=True) == drawn


def test_a_last_line_without_an_end_gets_one_only_if_it_can_move() -> None:
    assert divide_lines("b\na\nc", 0.0) == ("b\na\nc", "", "")
    shuffled = divide_lines("b\na\nc", 0.0, shuffle=True)[0]
    assert sorted(shuffled.split("\n")) == ["", "a", "b", "c"] and shuffled.endswith("\n")


# ------------------------------------------------------------------------- a corpus from its files


def write(path: Path, **files: str) -> tuple[str, ...]:
    for name, text in files.items():
        (path / name).write_bytes(text.encode())
    return tuple(str(path / name) for name in files)


def parts_of(*sources: str, **options: Any) -> tuple[str, str, str]:
    texts = data.read(Source(sources, **options))
    return str(texts.train), str(texts.val), str(texts.test)


def test_several_files_are_split_by_file_and_one_by_its_end(tmp_path: Path) -> None:
    names = write(tmp_path, a="0123456789" * 2, b="abcdefghij")
    # The first gets the line end that joins them: 21 characters, of which 18 train.
    by_file = ("012345678901234567" + "abcdefghi", "89\n" + "j", "")
    assert parts_of(*names, split_by="auto") == by_file
    assert parts_of(*names, split_by="file") == by_file
    assert parts_of(*names) == ("01234567890123456789\nabcdef", "ghij", "")
    assert parts_of(names[1], split_by="auto") == ("abcdefghi", "j", "")
    assert data.read(Source(names, split_by="auto")).split_by == "file"
    assert data.read(Source(names[:1], split_by="auto")).split_by == "end"
    assert data.read(Source(names)).split_by == "end"
    val = Source(names, val_sources=names[:1], split_by="auto")
    assert data.read(val).split_by == "end"


def test_by_file_every_part_has_some_of_every_file(tmp_path: Path) -> None:
    names = write(tmp_path, a="0123456789", b="x", c="abcdefghij\n")
    train, val, test = parts_of(*names, split_by="file", val_fraction=0.2, test_fraction=0.2)
    # 11 characters each of a and c, 2 of b: a file of one character is a file too.
    assert (train, val, test) == ("012345" + "x" + "abcdef", "67" + "gh", "89\n" + "\n" + "ij\n")
    words = data.read(Source(names, split_by="file")).split
    assert words == "of each file: first 0.9 to train, last 0.1 to validate"


@pytest.mark.parametrize("newline", ["keep", "unix", "auto"])
@pytest.mark.parametrize("long", [False, True])
def test_by_file_is_the_same_however_long_the_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newline: str, long: bool
) -> None:
    """Slices of 3 bytes cut characters and line ends; no file may be taken for two."""
    files = {"a": "èé\r\nàì ò\rù" * 3, "b": "perché\nno" * 2, "c": "sì\r"}
    names = write(tmp_path, **files)
    ends = "\n" if newline != "keep" else None
    parts, whole = ["", ""], ""
    for name, text in files.items():
        text += "\n" if name != "c" and not text.endswith(("\r", "\n")) else ""
        if ends:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        cut = int(len(text) * (1 - 0.25))
        whole += text
        parts[0] += text[:cut]
        parts[1] += text[cut:]
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(utf8, "SLICE", 3)
    monkeypatch.setattr(reading, "LONG", 0 if long else 2**20)
    texts = data.read(Source(names, split_by="file", newline=newline, val_fraction=0.25))
    assert texts.train.on_disk is long
    assert [str(texts.train), str(texts.val)] == parts
    assert texts.characters == len("".join(parts)) == int(texts.counts.sum())
    assert texts.sha256 == reading.text_sha256(whole)  # as if it had not been divided


def test_documents_stay_whole_by_the_end_and_by_file(tmp_path: Path) -> None:
    names = write(tmp_path, a="aa|bb|cc|", b="dd|ee|ff|gg|\n")
    options = {"separator": "|", "val_fraction": 0.3}
    assert parts_of(*names, split_by="file", **options) == ("aa|bb|dd|ee|ff|", "cc|\ngg|\n", "")
    assert parts_of(*names, **options) == ("aa|bb|cc|\ndd|ee|", "ff|gg|\n", "")


def test_files_of_one_document_each_are_split_by_the_end(tmp_path: Path) -> None:
    """No file could give a part of itself, so the last ones validate unless it is asked for."""
    names = write(tmp_path, a="one|", b="two|", c="six|", d="ten|")
    options: dict[str, Any] = {"separator": "|", "val_fraction": 0.3}
    assert parts_of(*names, split_by="auto", **options) == ("one|\ntwo|", "\nsix|\nten|", "")
    with pytest.raises(RequestError, match=r"--document-separator '\|' does not occur"):
        parts_of(*names, split_by="file", **options)


def test_lines_from_all_over_a_text_validate(tmp_path: Path) -> None:
    lines = [f"{number:03}" for number in range(300)]
    (name,) = write(tmp_path, a="\n".join(lines))
    train, val, test = parts_of(name, split_by="line", test_fraction=0.1)
    assert (train, val, test) == divide_lines("\n".join(lines), 0.1, 0.1)
    assert len(of_part(val)) == len(of_part(test)) == 30
    texts = data.read(Source((name,), shuffle_lines=True))
    assert texts.split_by == "line"
    assert texts.split == "lines, drawn: 0.9 to train, 0.1 to validate"
    assert sorted(of_part(str(texts.whole))) == lines


def test_lines_of_a_long_text_are_not_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(reading, "LONG", 0)
    (name,) = write(tmp_path, a="a\nb\nc\n")
    for options in ({"split_by": "line"}, {"shuffle_lines": True}):
        with pytest.raises(RequestError, match="too long to divide by lines"):
            data.read(Source((name,), **options))


# ------------------------------------------------------------------------------ as it is stored


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"split_by": "file"},
        {"split_by": "line", "shuffle_lines": True},
        {"records": "items", "separator": ";"},
        {"records": "classify", "text_column": "name", "label_column": "from"},
        {"records": "tag", "val_fraction": 0.2, "test_fraction": 0.1},
    ],
)
def test_a_source_is_stored_and_read_again(options: dict[str, Any]) -> None:
    source = Source(("a.txt",), **options)
    stored = source.to_dict()
    assert set(options) <= set(stored)
    assert Source.from_dict(stored) == source
    new = {"records", "text_column", "label_column", "split_by", "shuffle_lines"}
    assert not (new - set(options)) & set(stored)


def test_a_run_from_before_there_was_a_choice_is_split_by_its_end() -> None:
    old = {"sources": ["a.txt", "b.txt"], "val_fraction": 0.1, "encoding": None, "newline": "keep"}
    assert Source.from_dict(old | {"val_sources": []}).split_by == "end"


@pytest.mark.parametrize(
    "wrong",
    [
        {"split_by": "page"},
        {"split_by": None},
        {"shuffle_lines": 1},
        {"records": "poems"},
        {"records": 0},
        {"text_column": 7},
        {"label_column": None},
        {"separator": ["\n"]},
    ],
)
def test_a_damaged_source_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="the description of the corpus is damaged"):
        Source.from_dict(Source(("a.txt",)).to_dict() | wrong)


# ------------------------------------------------------------------------------ lists of items


def test_the_parts_of_a_list_are_drawn_by_item_and_by_label(tmp_path: Path) -> None:
    lines = [f"{label}{number}\t{label}" for label in "ab" for number in range(50)]
    (name,) = write(tmp_path, a="\n".join(lines))
    texts = data.read(Source((name,), records="classify", test_fraction=0.2))
    assert texts.items is not None
    for part, share in ((texts.items.train, 35), (texts.items.val, 5), (texts.items.test, 10)):
        assert Counter(record.label for record in part) == {"a": share, "b": share}
        assert all(record.text[0] == record.label for record in part)
    assert texts.split == "items, drawn: 0.7 to train, 0.1 to validate, 0.2 to test"
    # Other labels are another corpus, though the texts are the same.
    (other,) = write(tmp_path, b="\n".join(lines).replace("\ta", "\tc"))
    assert data.read(Source((other,), records="classify")).sha256 != texts.sha256


def test_given_validation_items_that_are_training_items_are_left_out(tmp_path: Path) -> None:
    names = write(tmp_path, a="Ada\nBo\nCy\n", b="Bo\nDi\nBo\n")
    texts = data.read(Source(names[:1], val_sources=names[1:], records="items"))
    assert texts.items is not None
    assert [record.text for record in texts.items.train] == ["Ada", "Bo", "Cy"]
    assert [record.text for record in texts.items.val] == ["Di"]
    assert texts.notes == ("left out 2 validation items that are training items too",)
