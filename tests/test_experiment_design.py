"""Nothing leaks: no training answer is inside a band, and no held-out answer is used in training. A
template is either understood or refused with the number of its line.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from charlm.errors import CharlmError, RequestError
from charlm.experiments.position_invariance import design, examples
from charlm.experiments.position_invariance.design import Design
from charlm.experiments.position_invariance.examples import Example, Pool, Source
from charlm.text.grammar.chance import Rng, between

# The held-out offsets, written out; a band's ends belong to it.
HELD_OUT = {*range(24, 34), *range(52, 62)}
SEEDS = (1, 2, 3)


def small_pool(
    rng: Rng, source: Source, size: int, allowed: Callable[[Example], bool] | None = None
) -> Pool:
    """A hundred thousand natural sentences take seconds, and two thousand follow the same laws.
    Only 27 of the hundred thousand begin with their year and name another one, so such sentences
    are added here."""

    def mostly(rng: Rng) -> Example:
        grammars = (examples.italian, examples.with_four_digits, examples.with_new_kinds)
        if source not in grammars or rng.random() > 0.01:
            return source(rng)
        return Example(f"2009: la chiesa è del {between(rng, 1400, 1900)}.", "2009", 0, "years")

    return Pool(rng, mostly, min(size, 2000), allowed)


@pytest.fixture(scope="module", autouse=True)
def _small_pools() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(design, "Pool", small_pool)
        yield


@pytest.fixture(scope="module")
def question() -> Design:
    return design.years()


@pytest.fixture(scope="module")
def training(question: Design) -> dict[int, list[Example]]:
    return {seed: question.training(seed, 2500) for seed in SEEDS}


@pytest.fixture(scope="module")
def validation(question: Design) -> dict[int, list[Example]]:
    return {seed: question.validation(seed) for seed in SEEDS}


@pytest.fixture(scope="module")
def tested(question: Design) -> dict[str, list[Example]]:
    return question.tests(2)


def leaks(sentences: Iterable[Example]) -> list[Example]:
    """Those whose answer has a character inside a band."""
    return [
        each
        for each in sentences
        if HELD_OUT & set(range(each.start, each.start + len(each.answer)))
    ]


def together(sets: dict[Any, list[Example]]) -> list[Example]:
    return [each for sentences in sets.values() for each in sentences]


def answered(example: Example) -> bool:
    return example.text.find(example.answer, example.start) == example.start


# --------------------------------------------------------------------------------------- no leak


def test_no_character_of_an_answer_stands_in_a_band(
    training: dict[int, list[Example]], validation: dict[int, list[Example]]
) -> None:
    for seed in SEEDS:
        assert leaks(training[seed]) == []
        assert leaks(validation[seed]) == []
        assert all(answered(each) for each in training[seed] + validation[seed])


class Edged(Design):
    """A wrong design: its bands are one offset too narrow at their lower ends."""

    @property
    def seen_starts(self) -> tuple[int, ...]:
        return tuple(sorted({*super().seen_starts, 21, 49}))


def test_the_search_for_leaks_finds_one(question: Design) -> None:
    wrong = Edged.from_dict(question.to_dict())
    found = leaks(wrong.training(1, 1500))
    assert {each.start for each in found} == {21, 49}


def test_no_held_out_answer_is_ever_asked_for(
    question: Design, training: dict[int, list[Example]], validation: dict[int, list[Example]]
) -> None:
    for seed in SEEDS:
        asked = {each.answer for each in training[seed] + validation[seed]}
        assert not asked & set(question.held_out)
        assert asked <= set(question.trained)


def shown(question: Design, sentences: Iterable[Example]) -> set[str]:
    """Held-out answers that occur anywhere in the texts."""
    numbers = {n for each in sentences for n in re.findall(r"(?<!\d)\d{4}(?!\d)", each.text)}
    return numbers & set(question.held_out)


def test_no_held_out_answer_stands_anywhere_in_training(
    question: Design, training: dict[int, list[Example]], validation: dict[int, list[Example]]
) -> None:
    """Not as another year ("nato nel 1985") nor as another number either."""
    assert shown(question, together(training) + together(validation)) == set()
    # The control: natural sentences are full of them.
    rng = random.Random(0)
    pool = question.pool(rng, 3000)
    natural = [pool.take(rng, level, "1999") for level in ("numbers", "years") for _ in range(500)]
    assert len(shown(question, [each for each in natural if each])) > 10


def test_every_other_offset_occurs_in_training(training: dict[int, list[Example]]) -> None:
    """Otherwise a reader would fail in a band because offsets around it are missing too."""
    reachable = {start for start in range(117) if not HELD_OUT & set(range(start, start + 4))}
    for seed in SEEDS:
        assert {each.start for each in training[seed]} == reachable
    count = Counter(each.start for each in together(training))
    # Half are spread evenly over 91 offsets: 41 of 7,500 at each, and never far fewer.
    assert min(count.values()) > 20


def test_neither_level_nor_answer_tells_the_offset(training: dict[int, list[Example]]) -> None:
    """Sentences with a late answer must otherwise be like the others."""
    drawn = together(training)
    late = [each for each in drawn if each.start >= 62]
    wanted = {"none": 0.4, "numbers": 0.1, "years": 0.3, "four digits": 0.2, "new kinds": 0.0}
    for level in wanted:
        share = sum(each.level == level for each in drawn) / len(drawn)
        late_share = sum(each.level == level for each in late) / len(late)
        # Somewhat fewer with more in them: more of those are too long.
        assert abs(share - wanted[level]) < 0.08
        assert abs(late_share - share) < 0.12
    early_answers = {each.answer for each in drawn if each.start < 21}
    assert len({each.answer for each in late} & early_answers) > 350


def test_half_of_training_asks_for_common_answers_and_all_beside_other_years(
    question: Design, training: dict[int, list[Example]]
) -> None:
    drawn = together(training)
    beside_years = [each for each in drawn if each.level == "years"]
    rest = Counter(each.answer for each in drawn if each.level != "years")
    # The other years are recent ones too: else the value would tell which is asked about.
    assert {each.answer for each in beside_years} == set(question.common)
    common = sum(rest[answer] for answer in question.common) / sum(rest.values())
    # One half, and of the other half the 104 of all 880 answers.
    assert abs(common - (0.5 + 0.5 * 104 / 880)) < 0.03
    asked = rest + Counter(each.answer for each in beside_years)
    # Of the rare ones none is left out: two or three of each are asked for here.
    assert len(question.trained) - len(asked) < 80


def test_seeds_differ_and_repeat(question: Design, training: dict[int, list[Example]]) -> None:
    assert question.training(1, 300) == question.training(1, 300)
    one, two = ({each.text for each in training[seed]} for seed in (1, 2))
    assert len(one & two) < 5
    # Further sentences serve to watch the learning: none that has been learnt from.
    assert not {each.text for each in question.validation(1, 200)} & one


# ----------------------------------------------------------------------------------------- tests


def test_every_offset_is_tested_at_every_level(tested: dict[str, list[Example]]) -> None:
    levels = ["none", "numbers", "years", "four digits", "new kinds"]
    assert list(tested) == [*levels, "held-out answers", "long sentences"]
    for level in levels:
        assert Counter(each.start for each in tested[level]) == dict.fromkeys(range(117), 2)
        for each in tested[level]:
            assert answered(each)
            assert each.level == level
            assert 5 <= len(each.text) <= 120
            rest = each.text[: each.start] + "#" + each.text[each.start + 4 :]
            assert any(map(str.isdigit, rest)) == (level != "none")
            if level == "years":
                assert re.search(r"(?<!\d)(?:1[4-9]|20)\d\d(?!\d)", rest)
            if level in ("four digits", "new kinds"):
                others = re.findall(r"(?<!\d)\d{4}(?!\d)", rest)
                assert others
                assert each.answer not in others


# The words beside a number of a new kind, written out.
NEW = re.compile(
    r"\b(?:linea|linea era la|CAP|CAP era|codice postale|finisce per|termina in|sui|frequenza"
    r"|armadietto|nell'armadietto|matricola|matricola era) \d{4}(?!\d)"
    r"|(?<!\d)\d{4} (?:operai|bottiglie|elettori|voti|pecore|capre|mucche|calorie|kHz|monaci)\b"
    r"|\bmonaci erano \d{4}",
    re.IGNORECASE,
)


def of_a_new_kind(sentences: Iterable[Example]) -> list[Example]:
    return [each for each in sentences if NEW.search(each.text)]


def test_no_number_of_a_new_kind_occurs_in_training(
    training: dict[int, list[Example]],
    validation: dict[int, list[Example]],
    tested: dict[str, list[Example]],
) -> None:
    drawn = together(training) + together(validation)
    assert sum(each.level == "four digits" for each in drawn) > 1000
    assert of_a_new_kind(drawn) == []
    assert of_a_new_kind(tested["four digits"]) == []
    # The control: the search finds nearly all of the test, in which some words are misspelled.
    assert len(of_a_new_kind(tested["new kinds"])) > 0.9 * len(tested["new kinds"])


def test_the_value_of_a_four_digit_number_does_not_tell_that_it_is_no_year(
    training: dict[int, list[Example]],
) -> None:
    """Most of them could be years, and about as many as of the years asked for are recent ones."""
    asked, others = [], []
    for each in together(training):
        if each.level == "four digits":
            rest = each.text[: each.start] + "#" + each.text[each.start + 4 :]
            others += [int(n) for n in re.findall(r"(?<!\d)\d{4}(?!\d)", rest)]
            asked.append(int(each.answer))
    assert len(others) >= len(asked) > 1000
    assert sum(1000 <= n <= 2099 for n in others) / len(others) > 0.75
    recent, other_recent = (sum(1900 <= n < 2030 for n in each) for each in (asked, others))
    assert abs(recent / len(asked) - other_recent / len(others)) < 0.12
    before = sum(
        re.search(r"(?<!\d)\d{4}(?!\d)", each.text[: each.start]) is not None
        for each in together(training)
        if each.level == "four digits"
    )
    assert 0.4 < before / len(asked) < 0.65  # before the year, or after it


def test_an_older_design_has_no_such_sentences(question: Design) -> None:
    described = question.to_dict()
    assert described.pop("four_digits")
    old = Design.from_dict(described)
    assert not old.four_digits
    drawn = Counter(each.level for each in old.training(1, 2500))
    assert set(drawn) == {"none", "numbers", "years"}
    assert abs(drawn["numbers"] / 2500 - 0.2) < 0.05
    assert list(old.tests(1)) == ["none", "numbers", "years", "held-out answers", "long sentences"]


def test_answers_that_are_tested(question: Design, tested: dict[str, list[Example]]) -> None:
    for name, sentences in tested.items():
        asked = {each.answer for each in sentences}
        if name == "held-out answers":
            assert asked <= set(question.held_out)
            assert len(sentences) == 40
            assert leaks(sentences) == []  # new answers at places that are not new
        else:
            assert asked <= set(question.common)


def test_long_sentences_are_longer_than_any_of_training(
    training: dict[int, list[Example]], tested: dict[str, list[Example]]
) -> None:
    lengths = [len(each.text) for each in tested["long sentences"]]
    assert len(lengths) == 40
    assert max(len(each.text) for each in training[1]) <= 120 < min(lengths)
    assert 300 < max(lengths) <= 400
    starts = [each.start for each in tested["long sentences"]]
    assert all(map(answered, tested["long sentences"]))
    # The answer stands anywhere in them, also where no short sentence has characters.
    assert len(set(starts)) > 20
    assert max(starts) > 250
    # Half have it early, at offsets of training, so that hundreds of characters follow it.
    early = [each for each in tested["long sentences"] if each.start <= 116]
    assert len(early) >= 20
    distances = sorted(len(each.text) - each.start - 4 for each in early)
    assert distances[len(distances) // 2] > 150 and distances[-1] > 250
    assert max(len(each.text) - each.start - 4 for each in training[1]) < 120


def test_tests_are_the_same_on_every_call(
    question: Design, tested: dict[str, list[Example]]
) -> None:
    random.seed(5)
    random.random()
    again = Design.from_dict(question.to_dict()).tests(2)
    assert again == tested


def test_test_sentences_are_not_those_of_training(
    training: dict[int, list[Example]], tested: dict[str, list[Example]]
) -> None:
    trained = {each.text for each in together(training)}
    texts = [each.text for each in together(tested)]
    assert len(texts) > 700
    assert sum(text in trained for text in texts) == 0
    # With the year left out they are not either, but for the shortest ("Nepal, 2009.").
    bare = {each.text.replace(each.answer, "#") for each in together(training)}
    again = [e for e in together(tested) if e.text.replace(e.answer, "#") in bare]
    assert len(again) / len(texts) < 0.01
    assert all(len(each.text) < 40 for each in again)


# ---------------------------------------------------------------------------------------- offsets


def worded(*answers: str) -> Design:
    return Design(answers, (), answers)


@pytest.mark.parametrize(
    ("width", "seen", "held_out"),
    [
        # The answer at 20 ends at 23, before the band; at 21 its last character stands in it.
        (4, [*range(21), *range(34, 49), *range(62, 117)], [*range(24, 31), *range(52, 59)]),
        (1, [*range(24), *range(34, 52), *range(62, 120)], [*range(24, 34), *range(52, 62)]),
        (6, [*range(19), *range(36, 49), *range(66, 115)], [*range(24, 31), *range(54, 61)]),
        # Bands are longer by six than the answer, the gap between them is 18 wide.
        (10, [*range(15), *range(40, 49), *range(74, 111)], [*range(24, 31), *range(58, 65)]),
        (18, [*range(7), 48, *range(90, 103)], [*range(24, 31), *range(66, 73)]),
        (20, [*range(5), *range(94, 101)], [*range(24, 31), *range(68, 75)]),
    ],
)
def test_offsets_by_hand(width: int, seen: list[int], held_out: list[int]) -> None:
    made = worded("x" * width, "y")  # the widest answer decides
    assert made.width == width
    assert made.starts == tuple(range(120 - width + 1))
    assert made.seen_starts == tuple(seen)
    assert made.held_out_starts == tuple(held_out)


def test_years_by_their_definition(question: Design) -> None:
    recent = {str(year) for year in range(1900, 2030)}
    assert set(question.common) | set(question.held_out) == recent
    assert len(question.held_out) == 26  # a fifth
    assert not set(question.held_out) & set(question.trained)
    assert set(question.common) < set(question.trained)
    older = set(question.trained) - recent
    assert older < {str(year) for year in (*range(1000, 1900), *range(2030, 2100))}
    assert len(older) == 970 - 194
    assert len(question.trained) == len(set(question.trained))
    assert (question.width, question.alphabet, question.italian) == (4, "0123456789", True)
    assert design.years() == question
    # Held-out years are spread: were they a decade, its first three digits would be new as well.
    assert len({year[:3] for year in question.held_out}) > 8


def test_a_design_survives_json(question: Design, trips: Design) -> None:
    for each in (question, trips, worded("a", "bc")):
        again = Design.from_dict(json.loads(json.dumps(each.to_dict(), ensure_ascii=False)))
        assert again == each
        assert (again.seen_starts, again.alphabet) == (each.seen_starts, each.alphabet)
    assert Design.from_dict(trips.to_dict()).training(3, 20) == trips.training(3, 20)


# -------------------------------------------------------------------------------------- templates

TRIPS = """\
# Trips, in two languages: {nobody} reads this {slot}.
year: 1998-2003, 42, MMXX
place: Rome,  Nepal, the Alps, 東京

I went to {place} in {year}.
   In {year} we left {place} for good: {place}!
luogo = Città del Capo, l'Åland
Nel {year} sono andato a {luogo}, è vero.
\t
"""


def write(folder: Path, text: str, name: str = "trips.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trips(tmp_path_factory: pytest.TempPathFactory) -> Design:
    return design.from_template(write(tmp_path_factory.mktemp("templates"), TRIPS))


def test_a_template_is_read_as_written(trips: Design) -> None:
    assert trips == Design(
        trained=("1998", "1999", "2000", "2001", "2002", "2003", "42", "MMXX"),
        held_out=(),  # too few to spare any
        common=("1998", "1999", "2000", "2001", "2002", "2003", "42", "MMXX"),
        lines=(
            ("I went to ", "place", " in ", "year", "."),
            ("In ", "year", " we left ", "place", " for good: ", "place", "!"),
            ("Nel ", "year", " sono andato a ", "luogo", ", è vero."),
        ),
        fillers={
            "year": ("1998", "1999", "2000", "2001", "2002", "2003", "42", "MMXX"),
            "place": ("Rome", "Nepal", "the Alps", "東京"),
            "luogo": ("Città del Capo", "l'Åland"),
        },
        asked="year",
    )
    assert (trips.width, trips.alphabet, trips.italian) == (4, "0123489MX", False)


def test_the_docstring_s_own_template(tmp_path: Path) -> None:
    """The example in the help must work unchanged."""
    shown = (design.from_template.__doc__ or "").split("\n\n")[-1]
    made = design.from_template(write(tmp_path, shown))
    assert made.asked == "slot"
    assert set(made.trained) | set(made.held_out) == {str(year) for year in range(1950, 2026)}
    assert len(made.held_out) == 15  # a fifth of 76
    assert len(made.lines) == 2


@pytest.mark.parametrize(
    ("definitions", "asked"),
    [
        ("town: Rome, Oslo\nyear: 1, 2\nslot: a, b", "slot"),
        ("town: Rome, Oslo\nyear: 1, 2", "year"),
        ("town: Rome, Oslo\nday: 1, 2", "town"),
    ],
)
def test_the_slot_that_is_asked_about(tmp_path: Path, definitions: str, asked: str) -> None:
    path = write(tmp_path, f"{definitions}\nWe saw {{{asked}}} again.\n")
    assert design.from_template(path).asked == asked


def test_answers_of_a_template_are_held_out_from_ten_on(tmp_path: Path) -> None:
    for count, held_out in ((9, 0), (10, 2), (50, 10)):
        path = write(tmp_path, f"slot: 1-{count}\nIt was {{slot}}.\n")
        made = design.from_template(path)
        assert len(made.held_out) == held_out
        both = sorted(made.trained + made.held_out, key=int)
        assert both == [str(n) for n in range(1, count + 1)]
        assert not {each.answer for each in made.training(1, 500)} & set(made.held_out)


def test_sentences_of_a_template_keep_every_promise(trips: Design) -> None:
    sentences = trips.training(1, 2500)
    assert leaks(sentences) == []
    for each in sentences:
        assert answered(each)
        assert each.answer in trips.trained
        assert 5 <= len(each.text) <= 120
    assert {each.answer for each in sentences} == set(trips.trained)
    assert {each.start for each in sentences} == set(trips.seen_starts)
    # Both languages and every filler; two slots of one name are filled each by itself.
    text = "\n".join(each.text for each in sentences)
    for part in ("I went to ", "sono andato a ", "the Alps", "東京", "l'Åland", "Città del Capo"):
        assert part in text
    pairs = set(re.findall(r"left (Rome|Nepal) for good: (Rome|Nepal)!", text))
    assert len(pairs) == 4
    # No Italian travel in front of somebody's own sentences.
    assert not re.search(r"\b(?:siamo|hanno|abbiamo|viaggio)\b", text)


def test_a_template_is_tested_at_every_offset(trips: Design) -> None:
    tested = trips.tests(2)
    assert list(tested) == ["none", "long sentences"]
    assert Counter(each.start for each in tested["none"]) == dict.fromkeys(range(117), 2)
    assert all(answered(each) for each in together(tested))
    assert all(120 < len(each.text) <= 400 for each in tested["long sentences"])


@pytest.mark.parametrize(
    ("text", "others"),
    [
        ("slot: Rome, Oslo\nbus: red, blue\nThe {bus} bus to {slot}.", set()),
        ("slot: Rome, Oslo\nbus: red, 12\nThe {bus} bus to {slot}.", {"numbers"}),
        ("slot: Rome, Oslo\nBus 12 to {slot}.", {"numbers"}),
        ("slot: Rome, Oslo\nvia: Bern, Oslo\nTo {slot} by {via}.", {"years"}),
        ("slot: 10-99\nborn: 5, 10-30\nBorn in {born}, gone in {slot}.", {"numbers", "years"}),
        # Another answer is another answer, also where the user wrote it out, or with more.
        ("slot: Rome, Oslo\nFrom Oslo to {slot}.", {"years"}),
        ("slot: Rome, Oslo\nvia: the road to Oslo\nTo {slot} by {via}.", {"years"}),
    ],
)
def test_levels_of_a_template(tmp_path: Path, text: str, others: set[str]) -> None:
    made = design.from_template(write(tmp_path, f"{text}\nWe like {{slot}}.\n"))
    pool = made.pool(random.Random(1), 300)
    assert set(pool.levels) == {"none", *others}
    for seed in range(20):
        plain = pool.take(random.Random(seed), "none", made.trained[0])
        assert plain is not None
        assert not re.search(r"\d|Oslo", plain.text.replace(plain.answer, "#"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("I went to {place}.\n", r"needs sentences with a \{slot\}"),
        ("slot: 1950-2025\n# nothing else\n", "needs sentences"),
        ("\n\n# only a remark\n", "needs sentences"),
        (
            "slot: a, b\n\nIt is {slot}.\nWe {slot} to {plaice}.\n",
            r"line 4 has \{plaice\}.*plaice:",
        ),
        ("slot: a, b\n# remark\nWe went.\n", r"line 3 contains \{slot\}.* 0 times"),
        ("slot: a, b\nIt is {slot}.\n{slot} and {slot}.\n", r"line 3 contains \{slot\}.* 2 times"),
        ("slot: a\nIt is {slot}.\n", "slot has one filler"),
        ("slot: a, a,a\nIt is {slot}.\n", "slot has one filler"),
        (f"slot: a, {'b' * 21}\nIt is {{slot}}.\n", "slot has a filler of over 20 characters"),
        # An empty list gives nothing to draw from.
        ("slot: a, b\nplace: ,\nIt is {slot} in {place}.\n", "place"),
        ("slot: ,\nIt is {slot}.\n", "slot has"),
        ("slot: 2025-1950\nIt is {slot}.\n", "line 1: 2025-1950 is not a range"),
        ("slot: 1-9999999999\nIt is {slot}.\n", "line 1: 1-9999999999 is not a range"),
    ],
)
def test_a_wrong_template_is_refused_by_name_and_line(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(RequestError, match=f"^{re.escape(str(path))}: .*{said}") as caught:
        design.from_template(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"slot: a, b\nIt is \xff {slot}.\n", r"\(line 2\)"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "it looks like a PNG image"),
    ],
)
def test_a_file_that_is_no_text_is_refused(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "trips.bin"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CharlmError, match=f"^{re.escape(str(path))}: .*{said}") as caught:
        design.from_template(path)
    assert "\n" not in str(caught.value)


class Patient(random.Random):
    """Gives numbers, but not for ever: a search that cannot end fails here and does not hang."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.left = 300_000

    def random(self) -> float:
        self.left -= 1
        assert self.left > 0, "drawing does not come to an end"
        return super().random()


def draw_everything(path: Path) -> tuple[dict[str, list[Example]], str]:
    """(all sets of sentences of a template, "") or, where it is refused, ({}, why)."""
    try:
        made = design.from_template(path)
        sets = {"training": made.training(1, 100), "validation": made.validation(1, 20)}
        return sets | made.tests(1), ""
    except RequestError as error:
        return {}, str(error)


@pytest.mark.parametrize(
    "text",
    [
        # Sentences with other numbers are never cut, so none of these can have {slot} at offset 0.
        "slot: 1950-2025\nI left in {slot}.\nFor 30 euros I left in {slot}.\n",
        # ... or at offset 116, where a sentence of 120 characters must end.
        "slot: 1950-2025\nI left in {slot}.\nIn {slot} it was 30 euros.\n",
        # There is no sentence without.
        "slot: 1950-2025\nborn: 1950-1990\nBorn in {born}, I left in {slot}.\n",
        # Too long to be whole in 120 characters, and not to be cut.
        f"slot: 1950-2025\nIn {{slot}} for 3 years{' and on' * 20}.\nI left in {{slot}}.\n",
        f"slot: 1950-2025\nIn {{slot}} for 3 years{' and on' * 20}.\n",
        # A sentence without is so rare that a few draws do not meet it.
        "slot: 1950-2025\nborn: 1-99\nborn: 1-99\n"
        + "Born in {born}, I left in {slot}.\n" * 19
        + "I left in {slot}.\n",
        # Shorter than five characters.
        "slot: 1-9\n{slot}\n",
    ],
    ids=[
        "numbers before",
        "numbers after",
        "always years",
        "a long one",
        "only long",
        "a rare one",
        "short",
    ],
)
def test_every_template_ends_drawing_or_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    path = write(tmp_path, text)
    monkeypatch.setattr(design, "random", SimpleNamespace(Random=Patient))
    sets, refused = draw_everything(path)
    if refused:
        assert str(path) in refused
    else:
        assert all(sets.values())
        assert all(answered(each) for each in together(sets))
        # Whether a reader learnt its task is told by sentences without anything else.
        assert "none" in sets


def test_answers_wider_than_a_band_are_refused_or_asked_for_in_it(tmp_path: Path) -> None:
    """Otherwise no sentence shows whether a reader learned its task, and hours of training are
    wasted."""
    path = write(tmp_path, "slot: the green valley, the old town\nWe left for {slot}.\n")
    _, refused = draw_everything(path)
    if refused:
        assert str(path) in refused
    else:
        assert design.from_template(path).held_out_starts


def test_drawing_reaches_each_single_offset(question: Design) -> None:
    pool = question.pool(random.Random(20))
    for start in question.seen_starts:
        for share in (0.5, 1.0):
            stream = examples.draw(
                Patient(start), pool, ["none"], [question.common], [start], moved_share=share
            )
            assert {each.start for each in islice(stream, 3)} == {start}
