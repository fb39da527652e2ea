"""The report shows the right figures, marks untrained readers, and its files are self-contained."""

from __future__ import annotations

import copy
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charlm.experiments import tables
from charlm.experiments.measures import pack
from charlm.experiments.position_invariance import page, report
from charlm.experiments.position_invariance.measures import Results

# One sentence of 50 characters for every offset from 0 on: 20 seen, 10 held out, 5 neither.
SEEN, HELD_OUT, NEITHER = range(20), range(20, 30), range(30, 35)
OFFSETS = [*SEEN, *HELD_OUT, *NEITHER]
FIGURES = ("offsets", "every-reader", "offset-by-length", "distance", "learning-curves")

# (right of 20 at seen offsets, right of 10 at held-out ones), seed by seed.
Counts = Sequence[tuple[int, int]]
READERS: dict[str, Counts] = {
    "feedforward": [(20, 0), (19, 1)],
    "rnn": [(10, 9), (8, 10)],
    "lstm": [(20, 10), (20, 9)],
}
EVIL = '<script>alert("2009 & 1")</script>'


def right(seen: int, held_out: int) -> np.ndarray:
    """The first ones are right, and of those that are neither all."""
    return np.array([n < seen for n in range(20)] + [n < held_out for n in range(10)] + [True] * 5)


def outcome(correct: np.ndarray, unread: int = 0, errors: Sequence[dict[str, str]] = ()) -> Any:
    return {
        "right": pack(correct),
        "symbols_right": pack(np.repeat(correct, 4)),
        "unread": unread,
        "errors": list(errors),
    }


def content(
    readers: dict[str, Counts] = READERS,
    others: Sequence[str] = ("numbers", "years", "held-out answers"),
    lines: Sequence[Sequence[str]] = (),
) -> dict[str, Any]:
    """A results.json of readers that do as well as ``readers`` says, in every test alike but for
    the long sentences: of these none but the first is answered, and feedforward reads none."""
    names = ["none", *others, "long sentences"]
    cells = [
        {
            "reader": reader,
            "seed": seed,
            "curve": [{"step": 10 * n, "loss": 1 / n, "accuracy": n / 5} for n in range(1, 6)],
            "tests": {
                name: outcome(
                    np.arange(35) == 0 if name == "long sentences" else right(*count),
                    35 if (reader, name) == ("feedforward", "long sentences") else 0,
                    [{"text": EVIL, "answer": "2009", "found": "20" if name == "none" else ""}],
                )
                for name in names
            },
        }
        for reader, counts in readers.items()
        for seed, count in enumerate(counts, 1)
    ]
    made = {
        "config": {
            "width": 4,
            "readers": list(readers),
            "seeds": max(map(len, readers.values())),
            "steps": 1200,
            "per_offset": 1,
            "bands": [[20, 29]],
            "seen_starts": list(SEEN),
            "held_out_starts": list(HELD_OUT),
        },
        "design": {"lines": [list(line) for line in lines]},
        "versions": {"charlm": "1", "numpy": "2"},
        "tests": {
            name: {"start": OFFSETS, "length": [50] * 35, "floor": 0.02, "ceiling": 0.875}
            for name in names
        },
        "cells": cells,
    }
    copied: dict[str, Any] = json.loads(json.dumps(made))
    return copied


@pytest.fixture(scope="module")
def results() -> Results:
    return Results(content())


def cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


# ------------------------------------------------------------------------------------------ strips


@pytest.mark.parametrize(
    ("blocks", "expected"), [(tables.BLOCKS, " ▁▄▆█"), (tables.ASCII_BLOCKS, " .=*@")]
)
def test_a_strip_by_hand(blocks: str, expected: str) -> None:
    assert tables.strip(np.array([0, 1 / 8, 1 / 2, 3 / 4, 1]), blocks) == expected
    # The nearest block, and what rounding puts beyond the ends is still the end.
    assert tables.strip(np.array([0.06, 0.94, 1 + 1e-12, -1e-12]), blocks) == (
        expected[0] + expected[4] * 2 + expected[0]
    )


def test_strips_show_every_offset_and_mark_the_held_out_ones(results: Results) -> None:
    title, *lines, held_out = report.strips(results).split("\n")
    assert "offset" in title
    assert lines[0] == "feedforward " + "█" * 19 + "▄" + "▄" + " " * 9 + "█████|"
    assert lines[2] == "lstm        " + "█" * 20 + "█" * 9 + "▄" + "█████|"
    assert held_out == "held out    " + " " * 20 + "^" * 10 + " " * 5
    assert report.strips(results, tables.ASCII_BLOCKS).isascii()


# ------------------------------------------------------------------------------------------- table


def test_the_table_shows_the_figures(results: Results) -> None:
    head, rule, feedforward, rnn, lstm, floor, ceiling = report.table(results).split("\n")[:7]
    assert cells(head) == [
        "reader",
        "seen",
        "held out",
        "numbers",
        "years",
        "new answers",
        "long",
        "worst held out",
    ]
    assert set(rule) == {"-"}
    held_out = "5.0 [0.0, 10.0]"
    everywhere = "71.4 [71.4, 71.4]"  # 25 of 35 under both seeds
    assert cells(feedforward) == [
        "feedforward",
        "97.5 [95.0, 100.0]",
        *[held_out] * 3,
        everywhere,
        "2.9 [2.9, 2.9] †",
        "0.0 at 21",
    ]
    assert cells(rnn)[:3] == ["rnn *", "45.0 [40.0, 50.0]", "95.0 [90.0, 100.0]"]
    assert cells(lstm) == [
        "lstm",
        "100.0 [100.0, 100.0]",
        *["95.0 [90.0, 100.0]"] * 3,
        "98.6 [97.1, 100.0]",
        "2.9 [2.9, 2.9]",
        "50.0 at 29",
    ]
    assert cells(floor) == ["most frequent", *["2.0"] * 6]
    assert cells(ceiling) == ["first number", *["87.5"] * 6]


def test_the_table_explains_its_marks_where_it_has_any(results: Results) -> None:
    whole = report.table(results)
    assert re.search(r"^\*  untrained: below 95 %", whole, re.MULTILINE)
    assert re.search(r"^†  cannot read some of these sentences", whole, re.MULTILINE)
    assert "mean of 2 seeds [95 % bootstrap interval over seeds]" in whole
    good = report.table(Results(content({"lstm": READERS["lstm"]})))
    assert "*" not in good
    assert "†" not in good


def with_errors() -> dict[str, Any]:
    """``content`` with a level of four-digit numbers and what is known of its errors: of the ten
    answers at held-out offsets, feedforward gives 4 and 2 times the other number, and 3 and 5 times
    one that is nowhere; the lstm only the other one."""
    made = content(others=("four digits", "new kinds"))
    for facts in made["tests"].values():
        facts["chance"] = [0.5] * 30 + [0.1] * 5
    wrong = {"feedforward": [(4, 3), (2, 5)], "rnn": [(0, 1), (0, 0)], "lstm": [(0, 0), (1, 0)]}
    for cell in made["cells"]:
        number, invented = wrong[cell["reader"]][cell["seed"] - 1]
        place = np.arange(35)
        # From the last held-out offset backwards: the first ones are right.
        errors = {"wrong_number": place >= 30 - number, "not_in_sentence": place < 30 - number}
        errors["wrong_number"] &= place < 30
        errors["not_in_sentence"] &= place >= 30 - number - invented
        for test in cell["tests"].values():
            test |= {error: pack(mask) for error, mask in errors.items()}
    return made


def test_the_table_of_errors_shows_both_kinds_beside_chance() -> None:
    table = report.error_table(Results(with_errors())).split("\n")
    head, rule, feedforward, rnn, lstm, chance = table[:6]
    assert cells(head) == [
        "reader",
        "four digits: other",
        "four digits: invented",
        "new kinds: other",
        "new kinds: invented",
    ]
    assert set(rule) == {"-"}
    assert cells(feedforward) == ["feedforward", *["30.0 [20.0, 40.0]", "40.0 [30.0, 50.0]"] * 2]
    assert cells(rnn) == ["rnn *", *["0.0 [0.0, 0.0]", "5.0 [0.0, 10.0]"] * 2]
    assert cells(lstm) == ["lstm", *["5.0 [0.0, 10.0]", "0.0 [0.0, 0.0]"] * 2]
    # Of those at held-out offsets every second is right by chance.
    assert cells(chance) == ["any number", *["50.0", "0.0"] * 2]
    assert any("picked at random" in line for line in table[6:])


def test_a_test_without_held_out_offsets_has_no_errors_there() -> None:
    made = with_errors()
    made["config"]["held_out_starts"] = []
    table = report.error_table(Results(made))
    assert cells(table.split("\n")[2]) == ["feedforward", *["-"] * 4]
    assert "nan" not in table


def test_results_that_do_not_know_their_errors_have_no_such_table(
    results: Results, tmp_path: Path
) -> None:
    assert report.error_table(results) == ""
    assert "Two kinds of errors" not in page.html(results, tmp_path)
    made = page.html(Results(with_errors()), tmp_path)
    shown = made[made.index("Two kinds of errors") :].partition("</table>")[0]
    texts = re.sub(r"<[^>]+>", " ", shown).split()
    assert texts[texts.index("feedforward") + 1 :][:3] == ["30.0", "[20.0,", "40.0]"]
    assert texts[texts.index("random") + 1 :] == ["50.0", "0.0"] * 2


def test_right_answers_and_all_errors_add_up() -> None:
    found = Results(with_errors())
    for reader in found.readers:
        for part in ("seen", "held out", "all"):
            errors = found.errors(reader, "new kinds", part)
            right = found.accuracy(reader, "new kinds", part)
            for seed, share in enumerate(right.values):
                total = share + sum(each.values[seed] for each in errors.values())
                assert total == pytest.approx(1)


def test_one_seed_has_no_interval() -> None:
    whole = report.table(Results(content({"lstm": [(20, 9)]})))
    assert cells(whole.split("\n")[2])[:3] == ["lstm", "100.0", "90.0"]
    assert "[" not in whole
    assert "mean of 1 seed." in whole


def test_a_test_that_is_not_there_has_no_column() -> None:
    whole = report.table(Results(content(others=[])))
    assert cells(whole.split("\n")[0]) == ["reader", "seen", "held out", "long", "worst held out"]
    assert len(cells(whole.split("\n")[2])) == 5
    assert "numbers," not in whole
    # Nor is it explained below.
    assert "new answers" not in whole


# ---------------------------------------------------------------------------------------- findings


def test_findings_tell_three_cases_apart(results: Results) -> None:
    feedforward, rnn, lstm = report.findings(results)
    assert feedforward.startswith(
        "feedforward answers 97.5 [95.0, 100.0] % correctly at seen offsets and 5.0 [0.0, 10.0] % "
        "at held-out ones"
    )
    assert "does not generalize to other positions" in feedforward
    assert lstm.startswith("lstm answers 100.0 [100.0, 100.0] % correctly at seen offsets and 95.0")
    assert "what it learned generalizes to other positions" in lstm
    # No conclusion about the untrained one, although it does well where others do not.
    assert "no conclusion is drawn from it" in rnn
    assert "45.0" in rnn
    assert not re.search("held|generalize", rnn)


def test_a_reader_does_not_generalize_if_its_seeds_disagree() -> None:
    """Eleven seeds answer all ten held-out sentences and one none: the mean is high, but one seed
    in twelve fails."""
    found = Results(content({"lstm": [(20, 10)] * 11 + [(20, 0)]}))
    (said,) = report.findings(found)
    assert "its seeds differ too much to say whether it generalizes" in said
    (sure,) = report.findings(Results(content({"lstm": [(20, 10)] * 12})))
    assert "what it learned generalizes" in sure


def test_no_finding_about_offsets_that_were_not_tested() -> None:
    """If answers are wider than a band, no offset is held out."""
    changed = content({"lstm": [(20, 10)]})
    changed["config"]["held_out_starts"] = []
    found = Results(changed)
    assert report.findings(found) == ["lstm was tested at no held-out offset."]
    assert "inf" not in report.table(found)


def test_the_fall_before_a_band_is_explained(results: Results) -> None:
    said = report.before_band(results)
    assert "has 4 characters" in said and "up to 3 characters before a band" in said
    short = content()
    short["config"]["width"] = 2
    assert "up to 1 character before" in report.before_band(Results(short))
    short["config"]["width"] = 1
    assert report.before_band(Results(short)) == ""


# ------------------------------------------------------------------------------------------- page


class Page(HTMLParser):
    """What a browser would see: elements, their ids, what they load, and the text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name.rpartition(":")[2] in ("href", "src", "srcset", "data", "action", "poster"):
                self.loaded.append(value or "")
            self.loaded += re.findall(r"url\(([^)]*)\)", value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.loaded += re.findall(r"url\(([^)]*)\)|@import\s*(\S*)", data)
        self.text += data


def test_a_page_escapes_what_somebody_wrote(results: Results, tmp_path: Path) -> None:
    seen = Page(page.html(results, tmp_path))
    assert seen.tags["script"] == 0
    assert f"{EVIL}: 20 instead of 2009" in seen.text
    assert f"{EVIL}: nothing instead of 2009" in seen.text
    assert seen.open == []  # every element is closed in its turn
    # Two seeds of three readers: the errors of the first, some of each test.
    assert seen.text.count("instead of") == 3 * 5


def test_a_page_says_what_the_table_says(results: Results, tmp_path: Path) -> None:
    seen = Page(page.html(results, tmp_path))
    for sentence in report.findings(results):
        assert sentence in seen.text
    for figure in ("97.5 [95.0, 100.0]", "5.0 [0.0, 10.0]", "2.9 † [2.9, 2.9]", "0.0 at 21"):
        assert figure in seen.text
    assert "rnn *" in seen.text
    assert "* untrained: below 95 %" in seen.text
    assert "offsets 20 to 29" in seen.text
    assert "Sono andato in Nepal" in seen.text
    # The best is lstm, and against feedforward it is right in 18 more of 20.
    assert "lstm minus feedforward+90.00" in seen.text
    assert "lstm minus rnn" not in seen.text  # which is untrained


def test_a_page_about_somebody_s_own_sentences_is_not_about_nepal(tmp_path: Path) -> None:
    mine = Results(content({"gru": [(20, 10)]}, [], [["We saw ", "slot", EVIL]]))
    seen = Page(page.html(mine, tmp_path))
    assert "Nepal" not in seen.text
    assert "Paired differences" not in seen.text  # there is nobody to differ from


# ----------------------------------------------------------------------------------------- figures


@pytest.fixture(scope="module")
def plots() -> Iterator[Any]:
    pytest.importorskip("matplotlib")
    from charlm.experiments import figures
    from charlm.experiments.position_invariance import plots

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(figures.LOOK, "figure.dpi", 40)  # fewer pixels to wait for
        yield plots


@pytest.fixture(scope="module")
def drawn(plots: Any, results: Results, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    written: list[Path] = plots.draw_all(results, tmp_path_factory.mktemp("drawn") / "figures")
    return written


def words(svg: Path) -> list[str]:
    """The texts of a figure; ET refuses what is not XML."""
    return ["".join(each.itertext()).strip() for each in ET.parse(svg).iter() if _is_text(each)]


def _is_text(element: ET.Element) -> bool:
    return element.tag.endswith("}text")


def test_every_figure_is_written_in_both_formats(drawn: list[Path], plots: Any) -> None:
    assert [path.name for path in drawn] == [f"{n}.{e}" for n in FIGURES for e in ("svg", "png")]
    for path in drawn:
        if path.suffix == ".svg":
            assert ET.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
        else:
            pixels = plots.plt.imread(path)
            assert min(pixels.shape[:2]) > 50
            assert pixels[..., :3].std() > 0.02  # something is drawn


def test_figures_name_every_reader_in_text(drawn: list[Path]) -> None:
    texts = {path.stem: words(path) for path in drawn if path.suffix == ".svg"}
    for reader in READERS:
        shown = f"{reader} (untrained)" if reader == "rnn" else reader
        assert shown in texts["offsets"]
        assert shown in texts["distance"]
        assert reader in texts["learning-curves"]
    # The untrained one is marked, and nobody else.
    assert {"feedforward", "rnn  (untrained)", "lstm"} <= set(texts["every-reader"])


def test_the_same_results_are_the_same_files(plots: Any, drawn: list[Path], tmp_path: Path) -> None:
    again = plots.draw_all(Results(content()), tmp_path)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in drawn]
    # Also tomorrow.
    assert not any(b"dc:date" in path.read_bytes() for path in again)


def test_a_page_needs_no_other_file(results: Results, drawn: list[Path]) -> None:
    source = page.html(results, drawn[0].parent)
    seen = Page(source)
    assert seen.tags["svg"] == seen.tags["figure"] == len(FIGURES)
    assert len(seen.ids) == len(set(seen.ids)) > 50
    # Whatever is loaded is part of the page, or of a figure as data.
    inside = [each for each in seen.loaded if not each.startswith("data:image/png;base64,")]
    assert inside
    assert {each.strip("'\"#") for each in inside} <= set(seen.ids)
    assert all(each.strip("'\"").startswith("#") for each in inside)
    assert "<?xml" not in source
    assert source.count("<!") == 1  # the page's own doctype
    assert Page(source + '<img src="https://a/b.png">').loaded[-1] == "https://a/b.png"


def some(readers: Sequence[str], seeds: int) -> dict[str, Counts]:
    return {name: [(20, 10), (19, 9)][:seeds] for name in readers}


def without(*missing: tuple[str, int]) -> dict[str, Any]:
    made = content(some(["feedforward", "gru", "lstm"], 2))
    made["cells"] = [c for c in made["cells"] if (c["reader"], c["seed"]) not in missing]
    return made


VARIANTS: dict[str, Callable[[], dict[str, Any]]] = {
    "one reader and seed, a template": lambda: content(
        some(["time-delay"], 1), [], [["In ", "slot", "."]]
    ),
    "only writers and a tagger": lambda: content(
        some(["writer-rnn", "writer-window", "tagger"], 2)
    ),
    "some missing": lambda: without(("feedforward", 2), ("gru", 1), ("gru", 2)),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_unusual_results_are_shown_as_well(plots: Any, tmp_path: Path, variant: str) -> None:
    made = Results(VARIANTS[variant]())
    written = plots.draw_all(made, tmp_path)
    assert {path.stem for path in written} == set(FIGURES)
    assert set(made.readers) <= set(words(tmp_path / "every-reader.svg"))
    shown = Page(page.html(made, tmp_path))
    for reader in made.readers:
        assert reader in shown.text
        assert any(line.startswith(reader) for line in report.table(made).split("\n"))
    assert len(report.findings(made)) == len(made.readers)
    if variant == "some missing":
        assert "gru" not in words(tmp_path / "offsets.svg")
        assert made.seeds("feedforward") == [1]


def test_every_kind_of_reader_has_a_look_of_its_own(plots: Any) -> None:
    from charlm.experiments.position_invariance.readers import KINDS

    assert set(plots.STYLES) == set(KINDS)
    assert sorted(name for group in plots.GROUPS.values() for name in group) == sorted(KINDS)
    for group in plots.GROUPS.values():
        # In gray, dash and marker alone tell them apart.
        looks = [json.dumps(plots.STYLES[name][1:]) for name in group]
        assert len(set(looks)) == len(looks)


def test_results_are_not_changed_by_being_shown(tmp_path: Path) -> None:
    made = content(some(["lstm"], 1))
    before = copy.deepcopy(made)
    page.html(Results(made), tmp_path)
    report.table(Results(made))
    assert made == before


def test_the_page_in_the_docs_is_what_the_code_makes_of_its_results() -> None:
    folder = Path(__file__).resolve().parent.parent / "docs" / "position-invariance"
    found = Results(json.loads((folder / "results.json").read_text("utf-8")))
    made = page.html(found, folder / "figures")
    # A plain comparison would print megabytes.
    assert ((folder / "page.html").read_text("utf-8") == made) is True, "run benchmarks/redraw.py"
