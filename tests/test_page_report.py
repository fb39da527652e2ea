"""The page experiment's report shows the right figures, draws no conclusion from untrained readers,
and its files are self-contained."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle

from charlm.experiments.measures import pack
from charlm.experiments.page import grid, htmlpage, plots, report
from charlm.experiments.page.design import NEW_YEARS, PARTS, PLACES, SEEN, Design
from charlm.experiments.page.examples import word_of
from charlm.experiments.page.layouts import ASKED, FAMILIES, Page
from charlm.experiments.page.measures import Results, width_test

DESIGN = Design(("1911", "1987", "2009"), ("1969",), 6, 16, ((2, 3),), ((6, 10),))
WIDTHS = (10, 20)

# Accuracy in the four parts, for each seed: seen, held-out column, held-out row, both held out.
Shares = Sequence[tuple[int, int, int, int]]
READERS: dict[str, Shares] = {
    "feedforward": [(1, 0, 0, 0), (1, 0, 0, 0)],
    "feedforward-wide": [(1, 0, 0, 0), (1, 0, 0, 0)],
    "lstm": [(0, 0, 0, 0), (0, 1, 1, 1)],
    "conv": [(1, 1, 1, 1), (1, 1, 1, 1)],
    "mdlstm": [(1, 1, 1, 0), (1, 1, 1, 1)],
}
FIGURES = ["maps", "parts", "widths", "learning-curves"]
EVIL = "<b>&9"
SVG = "{http://www.w3.org/2000/svg}"


def pages() -> list[Page]:
    """One page for every place and family that allows it."""
    rng = Random(1)
    return [
        page
        for place in DESIGN.places()
        for family in FAMILIES
        if DESIGN.possible(family, place)
        for page in islice(DESIGN.draw(rng, [place], DESIGN.trained, [family]), 1)
    ]


PAGES = pages()


def outcome(right: np.ndarray, errors: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    nothing = np.zeros(len(right), dtype=bool)
    return {
        "place": pack(right),
        "value": pack(nothing),
        "other_number": pack(nothing),
        "errors": list(errors),
    }


def cell(key: str, seed: int, shares: tuple[int, int, int, int], steps: int = 4) -> dict[str, Any]:
    """The cell of a reader that is right in those parts, and of a wide one where its width is."""
    width, wide = grid.width_of(key), grid.kind_of(key) == "feedforward-wide"
    if width is None:
        parts = [DESIGN.part(page.row, page.column) for page in PAGES]
        right = np.array([bool(shares[PARTS.index(part)]) if part else True for part in parts])
        error = {"page": 7, "place": [3, -2], "value": EVIL}
        tests = {PLACES: outcome(right, [error]), NEW_YEARS: outcome(right)}
    else:
        right = np.arange(len(PAGES)) % 2 == 0 if width == 20 else np.ones(len(PAGES), dtype=bool)
        tests = {width_test(width): outcome(right)}
    return {
        "reader": key,
        "seed": seed,
        "parameters": 999_000 if wide else 21_000 + seed,
        "hidden_size": 30,
        "steps": 560 if wide else 70,
        "receptive_field": [3, 9] if key.startswith("conv") else [6, width or 16],
        "untrained": {"place": 0.01, "value": 0.0},
        "seconds_training": 2.5,
        "curve": [{"step": n, "loss": 1 / n, "accuracy": n / 5} for n in range(1, steps)],
        "tests": tests,
    }


def content(readers: dict[str, Shares] = READERS, widths: Sequence[int] = WIDTHS) -> Any:
    settings = grid.Settings(tuple(readers), 2, 70, 1, tuple(widths))
    facts = {
        "row": [page.row for page in PAGES],
        "column": [page.column for page in PAGES],
        "family": [page.family for page in PAGES],
        "kind": [page.kind for page in PAGES],
        "chance": [0.25] * len(PAGES),
    }
    made = {
        "config": {
            "readers": settings.keys,
            "kinds": list(readers),
            "widths": list(widths),
            "seeds": 2,
            "steps": 70,
            "per_place": 1,
            "recipe": {"parameters": 21_000, "batch_size": 32},
            "design": DESIGN.to_dict(),
        },
        "versions": {"charlm": "1", "numpy": "2"},
        "tests": {name: facts for name in (PLACES, NEW_YEARS, *map(width_test, widths))},
        "cells": [
            cell(key, seed, readers[grid.kind_of(key)][seed - 1]) for key, seed in settings.cells()
        ],
    }
    return json.loads(json.dumps(made))


@pytest.fixture(scope="module")
def results() -> Results:
    return Results(content())


def columns(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


# ------------------------------------------------------------------------------------------- table


def test_the_tables_show_the_figures(results: Results) -> None:
    above, left, values, wide_above, _, _ = report.table(results).split("\n\n")
    head, _, *rows = above.split("\n")
    assert columns(head) == ["word above", *PARTS]
    whole, none, half = "100.0 [100.0, 100.0]", "0.0 [0.0, 0.0]", "50.0 [0.0, 100.0]"
    assert [columns(row) for row in rows] == [
        ["feedforward", whole, none, none, none],
        ["feedforward-wide", whole, none, none, none],
        ["lstm *", none, half, half, half],
        ["conv", whole, whole, whole, whole],
        ["mdlstm", whole, whole, whole, half],
        ["before training", *["1.0"] * 4],
        ["random number", *["25.0"] * 4],
    ]
    assert left.startswith("word to the left")
    _, _, *rows = values.split("\n")
    assert columns(rows[1])[-1] == "999,000"
    assert columns(rows[3])[:3] == ["conv", none, none]
    assert columns(rows[5]) == ["before training", "0.0", "0.0", "1.0", "0.0"]
    head, _, *rows = wide_above.split("\n")
    assert columns(head) == ["word above", "10 columns", "20 columns"]
    assert [columns(row)[0] for row in rows] == ["lstm", "conv", "mdlstm", "random number"]
    of_family = np.array([page.family == "above" for page in PAGES])
    share = 100 * (np.arange(len(PAGES)) % 2 == 0)[of_family].mean()
    assert columns(rows[0])[1:] == [whole, f"{share:.1f} [{share:.1f}, {share:.1f}]"]
    assert columns(rows[-1])[1:] == ["25.0", "25.0"]  # by chance, at each width
    assert max(map(len, report.table(results).split("\n"))) <= 120


def test_the_notes_keep_a_large_reader_apart_and_state_the_field(results: Results) -> None:
    said = "\n".join(report.notes(results))
    assert (
        "feedforward-wide is outside the comparison: it has 999,000 parameters and is trained for "
        "8 times as many steps." in said
    )
    assert "conv: the score of a place depends on 3 rows x 9 columns around it." in said
    assert "*  untrained: below 95 %" in said
    assert report.compared(results) == ["feedforward", "lstm", "conv", "mdlstm"]
    alone = "\n".join(report.notes(Results(content({"mdlstm": [(1, 1, 1, 1)] * 2}, ()))))
    for word in ("*", "outside", "around it", "columns:"):
        assert word not in alone


def test_strips_show_every_row_and_column(results: Results) -> None:
    title, *lines, held = report.strips(results).split("\n")
    assert "row" in title
    # The first row has no room for a word above; the last three columns none for a number.
    by_row, by_column = (
        lines[0].removeprefix("feedforward      above ").removesuffix("|").split("|")
    )
    assert by_row == " █  ██"
    places = [DESIGN.part(0, c) for c in range(DESIGN.columns - 3)]
    assert by_column == "".join(" " if part == PARTS[1] else "█" for part in places) + "   "
    assert held == f"{'held out':<16}       {'  ^^  '} {' ' * 6 + '^' * 5}"


# ---------------------------------------------------------------------------------------- findings


def test_a_sentence_for_each_reader_and_family(results: Results) -> None:
    said = dict(sentence.split(": ", 1) for sentence in report.findings(results))
    assert list(said) == [
        f"{reader}, {where}" for reader in READERS for where in report.WHERE.values()
    ]
    assert said["feedforward, word above"] == (
        "it finds 100.0 [100.0, 100.0] % at seen places, 0.0 [0.0, 0.0] % in held-out columns, 0.0 "
        "[0.0, 0.0] % in held-out rows and 0.0 [0.0, 0.0] % where both are held out: what it "
        "learned does not generalize to held-out rows and columns."
    )
    assert said["conv, word to the left"].endswith(
        ": what it learned generalizes to held-out rows and columns."
    )
    assert said["lstm, word above"] == (
        "it finds only 0.0 [0.0, 0.0] % at seen places, so no conclusion is drawn from it."
    )
    assert said["mdlstm, word above"].endswith(
        ": what it learned holds in held-out columns and in held-out rows; what it learned does "
        "not hold where both are held out."
    )


def test_a_family_is_judged_by_itself() -> None:
    """A reader that learned only one of the families has a conclusion in that one."""
    made = content({"conv": [(1, 1, 1, 1)] * 2}, ())
    for each in made["cells"]:
        each["tests"][PLACES]["place"] = pack(np.array([p.family == "left" for p in PAGES]))
    found = Results(made)
    above, left = report.findings(found)
    assert "no conclusion" in above
    assert "generalizes" in left
    assert "conv *" in "\n".join(report.places(found, "above"))
    assert "conv *" not in "\n".join(report.places(found, "left"))
    assert "conv *" not in "\n".join(report.values(found))


# ----------------------------------------------------------------------------------- figures, page


@pytest.fixture(scope="module")
def folder(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("figures")
    plots.draw_all(results, made)
    return made


def test_every_figure_is_drawn(folder: Path, results: Results) -> None:
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{ending}" for name in FIGURES for ending in ("svg", "png")
    }
    titles = [
        "".join(text.itertext())
        for text in ET.parse(folder / "maps.svg").getroot().iter(f"{SVG}text")
    ]
    for reader in READERS:
        for family in FAMILIES:
            untrained = " *" if reader == "lstm" else ""
            assert f"{reader}{untrained}: {family}" in titles
    assert "prefers-color-scheme: dark" in (folder / "maps.svg").read_text("utf-8")


def test_frames_are_around_the_seen_places_and_nothing_else(results: Results) -> None:
    figure = plots.maps(results)
    axes = figure.axes[0]
    image = np.asarray(axes.images[0].get_array())
    assert image.shape == (DESIGN.rows, DESIGN.columns)
    framed = set()
    for patch in axes.patches:
        assert isinstance(patch, Rectangle)
        (x, y), width, height = patch.get_xy(), patch.get_width(), patch.get_height()
        framed |= {
            (r, c)
            for r in range(DESIGN.rows)
            for c in range(DESIGN.columns)
            if x < c < x + width and y < r < y + height
        }
    assert framed == set(DESIGN.places(SEEN))
    # 100 % where the feedforward reader was right, 0 where not, nothing where no number can be.
    shown = axes.images[0].get_array()
    assert shown is not None
    for place in DESIGN.places():
        if DESIGN.possible("above", place):
            part = DESIGN.part(*place)
            assert shown[place] == (1 if part in (SEEN, "") else 0)
    assert np.ma.getmaskarray(shown)[0].all()
    plt.close(figure)


def test_without_widths_there_is_no_figure_of_them(tmp_path: Path) -> None:
    drawn = plots.draw_all(Results(content({"conv": [(1, 1, 1, 1)] * 2}, ())), tmp_path)
    assert "widths.svg" not in {path.name for path in drawn}


def test_the_page_is_one_file_with_everything(results: Results, folder: Path) -> None:
    page = htmlpage.html(results, {PLACES: PAGES}, folder)
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    assert EVIL not in page
    assert "&lt;b&gt;&amp;9 instead of" in page
    for sentence in report.findings(results):
        assert sentence in page
    assert page.count("<figure>") == len(FIGURES) + len(FAMILIES) + len(READERS)
    for name in FIGURES:
        assert f'id="{name}-' in page
    assert "rows 3 to 4, and never in columns\n7 to 11" in page
    assert "feedforward-wide is outside the comparison" in page
    compared = page[page.index("Paired differences") :]
    assert "conv minus mdlstm" in compared
    assert "conv minus feedforward<" in compared
    assert "minus lstm" not in compared  # untrained
    assert "minus feedforward-wide" not in compared


def test_an_example_marks_the_number_and_its_word() -> None:
    for page in PAGES:
        found = word_of(page)
        assert found is not None
        assert found.word.lower() in ASKED
        row, column = found.at
        assert page.rows[row][column:].startswith(found.word)
        if page.family == "left":
            assert row == page.row
            assert column < page.column
        else:
            assert row < page.row
    shown = htmlpage.sheet(
        ["a <2009>", "b"], {(0, 3): (4, "b"), (0, 5): (4, "s"), (1, 0): (1, "i")}
    )
    assert "<pre>a &lt;<b>2009</b><s>&gt;</s>\n<i>b</i></pre>" in shown
