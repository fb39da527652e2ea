"""Examples of the experiment: after every change of a sentence, its answer is at the stated offset
and remains the only one of its level.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from charlm.experiments.position_invariance import examples
from charlm.experiments.position_invariance.examples import Example, Pool, Source
from charlm.text import grammar
from charlm.text.grammar.chance import Rng

# What the experiment promises of a sentence, written out: 5 to 120 characters.
LENGTHS = range(5, 121)
# A year has four characters, so it may begin at 0 to 116.
OFFSETS = range(117)
LEVELS = ("none", "numbers", "years")
ANSWERS = tuple(str(year) for year in range(1000, 2100))

# An independent judgement of what else stands in a sentence: a number of four digits is a year
# where a preposition or a month stands before it, unless it counts something.
_YEAR = re.compile(
    r"(?:\b(?:nel|del|dal|al|il|in|lontano|classe|anno|estate|n\.|(?:dopo|prima|giusto|prossimo),|natale"
    r"|pasqua|capodanno|ferragosto|gennaio|febbraio|marzo|aprile|maggio|giugno|luglio|agosto"
    r"|settembre|ottobre|novembre|dicembre) |/|\()"
    r"(?:1[4-9]|20)\d\d(?!\d)(?! lire| euro| metri| allo stadio)",
    re.IGNORECASE,
)


def beside(example: Example) -> str:
    """The sentence with another sign in place of the answer, so that its halves do not meet."""
    end = example.start + len(example.answer)
    return f"{example.text[: example.start]}#{example.text[end:]}"


def judged(example: Example) -> str:
    """The level of a sentence as a regular expression sees it."""
    rest = beside(example)
    if not any(map(str.isdigit, rest)):
        return "none"
    return "years" if _YEAR.search(rest) else "numbers"


def answered(example: Example) -> bool:
    """Whether the answer is at the offset that the example states."""
    return example.text.find(example.answer, example.start) == example.start


def a_stream(seed: int, pool: Pool, **options: Any) -> Iterator[Example]:
    """Examples of all levels, years and offsets."""
    return examples.draw(random.Random(seed), pool, LEVELS, [ANSWERS], OFFSETS, **options)


@pytest.fixture(scope="module")
def natural() -> list[Example]:
    rng = random.Random(3)
    return [examples.italian(rng) for _ in range(4000)]


@pytest.fixture(scope="module")
def by_level(natural: list[Example]) -> dict[str, list[Example]]:
    return {level: [each for each in natural if each.level == level] for level in LEVELS}


@pytest.fixture(scope="module")
def pool(natural: list[Example]) -> Pool:
    """Of just these sentences."""
    remaining = iter(natural)
    return Pool(random.Random(0), lambda rng: next(remaining), len(natural))


@pytest.fixture(scope="module")
def drawn(pool: Pool) -> list[Example]:
    return list(islice(a_stream(4, pool), 4000))


# ------------------------------------------------------------------------------ natural sentences


def test_a_natural_sentence_says_where_its_year_stands(natural: list[Example]) -> None:
    assert all(answered(each) for each in natural)
    assert {each.answer for each in natural} == {str(year) for year in range(1950, 2026)}


def test_levels_are_those_that_a_regular_expression_sees(natural: list[Example]) -> None:
    assert [each.level for each in natural] == [judged(each) for each in natural]
    # Of each there is enough for this to mean something, also of numbers that look like years.
    assert min(Counter(each.level for each in natural).values()) > 300
    like_years = [e for e in natural if re.search(r"(?<!\d)1[4-9]\d\d(?!\d)", beside(e))]
    assert Counter(each.level for each in like_years)["numbers"] > 50


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("Nel 2009 andai in Nepal.", "none"),
        ("Nel 2009, stanza 12.", "numbers"),
        ("Nel 2009 a 1985 metri.", "numbers"),
        ("Nel 2009, la chiesa è del 1620.", "years"),
        ("Nel 2009 andai con Anna, nata nel 1951, e 1200 lire.", "years"),
    ],
)
def test_the_judgement_of_levels_can_tell_them_apart(text: str, level: str) -> None:
    assert judged(Example(text, "2009", 4, "?")) == level


@pytest.mark.parametrize(
    ("source", "shares"),
    [
        (examples.with_four_digits, {"four digits": 0.25, "new kinds": 0}),
        (examples.with_new_kinds, {"four digits": 0.25, "new kinds": 0.25}),
    ],
)
def test_a_quarter_of_a_pool_has_four_digit_numbers(
    source: Source, shares: dict[str, float]
) -> None:
    rng = random.Random(9)
    drawn = [source(rng) for _ in range(2000)]
    assert all(map(answered, drawn))
    for level, share in shares.items():
        of_level = [each for each in drawn if each.level == level]
        assert abs(len(of_level) / 2000 - share) < 0.04
        assert all(re.search(r"(?<!\d)\d{4}(?!\d)", beside(each)) for each in of_level)


# ----------------------------------------------------------------------------------- taking one


def test_an_answer_that_is_the_other_number_is_not_taken() -> None:
    """Either number would be right, so nothing could be learned from it."""
    for level in ("four digits", "new kinds", "years"):
        only = Example("Nel 2009, stanza 1407.", "2009", 4, level)
        pool = Pool(random.Random(0), lambda rng, only=only: only, 3)  # type: ignore[misc]
        taken = pool.take(random.Random(0), level, "1999")
        assert taken == Example("Nel 1999, stanza 1407.", "1999", 4, level)
        refused = pool.take(random.Random(0), level, "1407")
        assert (refused is None) == (level != "years")


def test_a_pool_gives_its_own_sentences_with_another_answer(
    pool: Pool, by_level: dict[str, list[Example]]
) -> None:
    rng = random.Random(5)
    assert pool.levels == list(LEVELS)
    for level in LEVELS:
        known = {(beside(each), each.start) for each in by_level[level]}
        taken = [pool.take(rng, level, answer) for answer in ANSWERS]
        found = [each for each in taken if each is not None]
        assert [each.answer for each in found] == list(ANSWERS)
        assert all(answered(each) and each.level == level for each in found)
        assert {(beside(each), each.start) for each in found} <= known
        # Not one of them again and again: of so many, hundreds must be different.
        assert len({beside(each) for each in found}) > min(len(known), len(ANSWERS)) / 3


@pytest.mark.parametrize("answer", ["7", "60 d.C.", "l'anno della cometa", "二〇〇九"])
def test_an_answer_of_another_length_moves_what_follows_it(
    pool: Pool, by_level: dict[str, list[Example]], answer: str
) -> None:
    known = {(beside(each), each.start) for each in by_level["years"]}
    for seed in range(50):
        taken = pool.take(random.Random(seed), "years", answer)
        assert taken is not None
        assert taken.answer == answer
        assert answered(taken)
        assert (beside(taken), taken.start) in known


@pytest.mark.parametrize("level", LEVELS)
def test_a_pool_gives_none_that_begins_later_than_asked(
    pool: Pool, by_level: dict[str, list[Example]], level: str
) -> None:
    rng = random.Random(6)
    starts = sorted(each.start for each in by_level[level])
    for most in (*range(0, 116, 5), starts[-1]):
        fitting = {start for start in starts if start <= most}
        for _ in range(40):
            taken = pool.take(rng, level, "1492", at_most=most)
            if taken is None:
                assert not fitting
            else:
                assert taken.start in fitting
    # The bound itself is among what is given, and not only what lies far below it.
    median = starts[len(starts) // 2]
    given = [pool.take(rng, level, "1492", at_most=median) for _ in range(3000)]
    assert median in {each.start for each in given if each is not None}


def test_a_pool_gives_nothing_where_nothing_fits(by_level: dict[str, list[Example]]) -> None:
    plain = iter(each for each in by_level["none"] if each.start > 10)
    late = Pool(random.Random(0), lambda rng: next(plain), 100)
    assert late.levels == ["none"]
    rng = random.Random(7)
    assert late.take(rng, "none", "2009", at_most=10) is None
    assert late.take(rng, "none", "2009") is not None
    assert late.take(rng, "years", "2009") is None


# ---------------------------------------------------------------------------------------- moving


@pytest.mark.parametrize("italian", [True, False])
def test_an_answer_can_be_moved_to_every_offset(
    by_level: dict[str, list[Example]], italian: bool
) -> None:
    rng = random.Random(8)
    for start in OFFSETS:
        for example in rng.sample(by_level["none"], 12) + rng.sample(by_level["years"], 2):
            there = examples.moved(rng, example, start, italian=italian)
            assert (there.start, there.answer, there.level) == (
                start,
                example.answer,
                example.level,
            )
            assert answered(there)
            if start <= example.start:
                # Cut: what is left is the end of the sentence, to the letter.
                assert there.text == example.text[example.start - start :]
                continue
            # Lengthened: the whole sentence, behind something that holds no number at all.
            before, whole = there.text[: start - example.start], there.text[-len(example.text) :]
            assert whole == example.text
            assert len(before) + len(whole) == len(there.text)
            assert not any(map(str.isdigit, before))
            assert example.answer not in before


def test_what_is_put_in_front_varies(by_level: dict[str, list[Example]]) -> None:
    """If it were always the same, a reader could count from its end."""
    example = next(each for each in by_level["none"] if each.start < 20)
    rng = random.Random(9)
    fronts = {examples.moved(rng, example, 90).text[: 90 - example.start] for _ in range(300)}
    assert len(fronts) > 295
    assert len({front[-5:] for front in fronts}) > 100


def test_fillers_are_sentences_without_a_year_or_made_up_words() -> None:
    rng = random.Random(10)
    told = [grammar.undated(rng).text for _ in range(4000)]
    vocabulary = set(re.findall(r"\w+", " ".join(told)))

    def made_up(text: str) -> bool:
        found = re.findall(r"\w+", text)
        return sum(word in vocabulary for word in found) < len(found) / 2

    fillers = [examples.filler(rng, italian=True) for _ in range(2000)]
    assert not any(map(str.isdigit, "".join(fillers)))
    assert 0.3 < sum(map(made_up, fillers)) / len(fillers) < 0.5  # four in ten are meant
    # In front of a template of the user's there is nothing but made-up words.
    foreign = [examples.filler(rng, italian=False) for _ in range(500)]
    assert sum(map(made_up, foreign)) / len(foreign) > 0.9
    assert all(re.fullmatch(r"[^\W\d_]+( [^\W\d_]+){0,4}", each) for each in foreign)
    assert len(set(foreign)) > 450


# -------------------------------------------------------------------------------------- disturbing


def test_a_disturbance_spares_the_answer_and_every_number(natural: list[Example]) -> None:
    rng = random.Random(11)
    for example in natural:
        longest = max(len(example.text), 100)
        after = examples.disturbed(rng, example, longest)
        assert answered(after)
        assert (after.start, after.answer, after.level) == (
            example.start,
            example.answer,
            example.level,
        )
        assert re.findall(r"\d", after.text) == re.findall(r"\d", example.text)
        assert len(after.text) <= longest


@pytest.mark.parametrize("shape", ["{}", "{} è bella.", "Vedi {}!", "«{}»", "İzmir, {} e Çeşme."])
def test_a_disturbance_spares_answers_that_are_words(shape: str) -> None:
    """A typo, a lost capital, all capitals: none of them may change the answer, even if it is the
    first word, or move it ("İ" in lower case is two characters)."""
    rng = random.Random(12)
    for answer in ("Roma", "éclair", "Straße", "ΣΑΣ", "9º"):
        example = Example(shape.format(answer), answer, shape.index("{"), "none")
        for _ in range(200):
            after = examples.disturbed(rng, example, 120, italian=False)
            assert after.start == example.start
            assert answered(after), after


def test_people_write_with_slips_without_capitals_and_without_full_stops() -> None:
    """Each disturbance has about the stated frequency: one in four, one in five and so on."""
    rng = random.Random(13)
    example = Example("Sono andato in Nepal nel 2009 con Anna.", "2009", 25, "none")
    count: Counter[str] = Counter()
    for _ in range(4000):
        text = examples.disturbed(rng, example, 120).text
        same = text.casefold()[:38] == example.text.casefold()[:38]
        count["as it was"] += text == example.text
        count["slip"] += not same
        count["no capital"] += text[0].islower()
        count["no full stop"] += len(text) == len(example.text) - 1
        count["remark"] += len(text) > len(example.text)
        count["capitals"] += text.isupper()
    shares = {name: number / 4000 for name, number in count.items()}
    assert 0.15 < shares["slip"] < 0.28  # 0.3 but for blanks, the answer and true keys
    assert 0.20 < shares["no capital"] < 0.28  # 0.25, and capitals undo it
    assert 0.11 < shares["no full stop"] < 0.19  # 0.2, of which a quarter get a remark
    assert 0.21 < shares["remark"] < 0.29
    assert 0.02 < shares["capitals"] < 0.06
    assert 0.25 < shares["as it was"] < 0.42


# ----------------------------------------------------------------------------------------- drawing


def test_what_is_drawn_keeps_every_promise(drawn: list[Example]) -> None:
    assert all(answered(each) for each in drawn)
    assert {len(each.text) for each in drawn} <= set(LENGTHS)
    assert {each.start for each in drawn} <= set(OFFSETS)
    assert {each.answer for each in drawn} <= set(ANSWERS)
    for each in drawn:
        rest = beside(each)
        # A slip may hit the word that shows a year, so only its digits are asked for here.
        assert any(map(str.isdigit, rest)) == (each.level != "none")
        if each.level == "years":
            assert re.search(r"(?<!\d)(?:1[4-9]|20)\d\d(?!\d)", rest)
    shares = Counter(each.level for each in drawn)
    assert all(1100 < shares[level] < 1600 for level in LEVELS)  # uniformly among the levels


def test_drawn_sentences_are_often_imperfect(drawn: list[Example]) -> None:
    capitals = [e for e in drawn if e.text.isupper()]
    unended = [e for e in drawn if e.text[-1].isalpha()]
    assert 40 < len(capitals) < 300
    assert len(unended) > 400
    assert len({each.text for each in drawn}) > 3950


def test_half_are_moved_and_what_is_moved_stands_anywhere_alike(pool: Pool) -> None:
    plain = ["none"]
    starts: dict[float, Counter[int]] = {}
    for share in (0.0, 1.0):
        stream = examples.draw(
            random.Random(14), pool, plain, [ANSWERS], OFFSETS, moved_share=share
        )
        starts[share] = Counter(each.start // 13 for each in islice(stream, 2700))
    # Nine stretches of 13 offsets: 300 each, within four standard deviations.
    assert set(starts[1.0]) == set(range(9))
    assert all(abs(number - 300) < 70 for number in starts[1.0].values())
    # Natural sentences begin with the year, or have it early: this is why half are moved.
    assert starts[0.0][0] > 450
    assert starts[0.0][8] < 120


def a_marked_pool() -> Pool:
    """Sentences between braces, which nothing else holds: it can be seen whether one is whole."""

    def source(rng: Rng) -> Example:
        word, level = "a" * (1 + int(20 * rng.random())), LEVELS[int(3 * rng.random())]
        other = {"none": "e", "numbers": "77", "years": "1812"}[level]
        text = f"{{{word} 2009 {word} {other} {word}}}"
        return Example(text, "2009", text.index("2009"), level)

    return Pool(random.Random(15), source, 600)


def test_only_sentences_without_other_numbers_are_cut() -> None:
    """The words that tell one number from another must not be lost."""
    whole: dict[str, list[bool]] = {level: [] for level in LEVELS}
    for each in islice(a_stream(16, a_marked_pool()), 1500):
        first, last = each.text.find("{"), each.text.find("}")
        assert answered(each)
        whole[each.level].append(first >= 0 and last >= 0)
        if whole[each.level][-1]:
            # Of the three words between the braces every letter is left, slips counted.
            words = re.findall(r"\w+", each.text[first:last])
            assert len({len(word) for word in (words[0], words[2], words[-1])}) == 1
    assert all(whole["numbers"])
    assert all(whole["years"])
    assert 0.2 < sum(whole["none"]) / len(whole["none"]) < 0.9  # and these are


def test_a_stream_is_a_function_of_its_seed(pool: Pool) -> None:
    def some(seed: int) -> list[Example]:
        return list(islice(a_stream(seed, pool), 60))

    first = some(1)
    random.seed(99)  # the state of the module is nobody's concern
    assert first == some(1)
    assert first != some(2)
    assert len(set(first) & set(some(2))) < 3


def test_a_stream_asks_its_source_for_nothing_but_numbers(pool: Pool) -> None:
    """`random.Random.choice` and its kind may change between versions of Python."""

    class Bare:
        def __init__(self) -> None:
            self._numbers = random.Random(1)

        def random(self) -> float:
            return self._numbers.random()

    bare = examples.draw(Bare(), pool, LEVELS, [ANSWERS], OFFSETS)
    assert list(islice(bare, 60)) == list(islice(a_stream(1, pool), 60))


@pytest.mark.parametrize("longest", [60, 120, 400])
def test_no_drawn_sentence_is_longer_than_asked(pool: Pool, longest: int) -> None:
    stream = examples.draw(
        random.Random(17), pool, ["none"], [ANSWERS], range(longest - 3), longest=longest
    )
    lengths = [len(each.text) for each in islice(stream, 400)]
    assert min(lengths) >= 5
    assert 0.9 * longest < max(lengths) <= longest


def test_each_group_of_answers_gets_its_share(pool: Pool) -> None:
    """One answer of a small group is asked for as often as all of a large one."""
    stream = examples.draw(random.Random(18), pool, ["none"], [ANSWERS[:100], ["2009"]], OFFSETS)
    asked = Counter(each.answer for each in islice(stream, 1000))
    assert 430 < asked["2009"] < 570
    assert len(asked) > 90


def test_allowed_offsets_bind_natural_sentences_as_well(pool: Pool) -> None:
    allowed = [0, 1, 2, 40, 41, 100]
    for share in (0.0, 0.5, 1.0):
        stream = examples.draw(
            random.Random(19), pool, LEVELS, [ANSWERS], allowed, moved_share=share
        )
        assert {each.start for each in islice(stream, 300)} <= set(allowed)
