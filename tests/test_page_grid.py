"""The grid of the pages: tiny cells, computed in this process, and figures from answers that are
known. What every grid promises is tested with the other experiment and with the harness.
"""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from charlm.errors import CheckpointError, RequestError
from charlm.experiments.measures import pack, unpack
from charlm.experiments.page import grid as grids
from charlm.experiments.page import measures, store
from charlm.experiments.page.design import (
    BOTH,
    HELD_OUT_COLUMN,
    HELD_OUT_ROW,
    NEW_YEARS,
    PLACES,
    SEEN,
    Design,
    numbers,
    standard,
)
from charlm.experiments.page.grid import Grid, Settings, judge
from charlm.experiments.page.layouts import FAMILIES, Page
from charlm.experiments.page.measures import VALUE, Results
from charlm.experiments.page.readers import KINDS, Answers, Reader, Vocabulary, build
from charlm.experiments.position_invariance.grid import Grid as SentenceGrid
from charlm.parallel import Workers

YEARS = standard().trained
TINY = Design(YEARS, standard().held_out, 6, 14, row_bands=((2, 3),), column_bands=((6, 9),))
SETTINGS = Settings(("conv",), seeds=1, steps=3, per_place=1, widths=(10,))
CELLS = (("conv", 1), ("conv@10", 1))


def quiet(done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    """A finished grid: one reader on small pages, and on others of width 10."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grids, "standard", lambda: TINY)
        patch.setattr(grids, "VOCABULARY_FROM", 600)
        patch.setattr(grids, "PER_WIDTH", 6)
        patch.setattr(grids, "VALIDATION", 10)
        made = Grid(tmp_path_factory.mktemp("page") / "grid")
        made.begin(SETTINGS)
        made.run(Workers(1), quiet)
        made.collect()
    return made


@pytest.fixture
def copy(whole: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grid:
    monkeypatch.setattr(grids, "VALIDATION", 10)
    shutil.copytree(whole.path, tmp_path / "copy")
    return Grid(tmp_path / "copy")


# ------------------------------------------------------------------------------------- the settings


def test_some_readers_are_trained_at_every_width_with_fewer_seeds() -> None:
    settings = Settings(("feedforward", "lstm", "conv"), seeds=5, steps=1, widths=(10, 80))
    wide = ["lstm@10", "lstm@80", "conv@10", "conv@80"]
    assert settings.keys == ["feedforward", "lstm", "conv", *wide]
    cells = settings.cells()
    assert len(cells) == len(set(cells)) == 3 * 5 + 4 * 3
    assert {seed for key, seed in cells if "@" in key} == {1, 2, 3}
    assert [seed for _, seed in cells] == sorted(seed for _, seed in cells)
    assert settings.describe().endswith("page widths 10, 80")
    assert "widths" not in Settings(("conv",), 1, 1).describe()


def test_keys_by_hand() -> None:
    assert grids.at_width("lstm", 80) == "lstm@80"
    assert (grids.kind_of("lstm@80"), grids.width_of("lstm@80")) == ("lstm", 80)
    assert (grids.kind_of("mdlstm-leaky"), grids.width_of("mdlstm-leaky")) == ("mdlstm-leaky", None)
    assert set(grids.WIDTH_READERS) <= set(KINDS)
    assert set(grids.QUICK_READERS) <= set(KINDS)
    assert not any(KINDS[name].separate for name in grids.WIDTH_READERS)


# ------------------------------------------------------------------------------------------- files


def test_a_grid_is_weights_and_answers_of_every_cell(whole: Grid) -> None:
    assert whole.unfinished() == []
    for key, seed in CELLS:
        assert whole.cell(key, seed).exists()
        assert whole.cell(key, seed, "safetensors").exists()
        assert not whole.cell(key, seed, "steps").exists()
    assert json.loads(whole.results_file.read_text()) == whole.results().content
    assert len(whole.table_file.read_text().splitlines()) > 10


def test_what_was_asked_is_stored(whole: Grid) -> None:
    found = Grid.find(str(whole.path))
    assert found.settings == SETTINGS
    assert found.design == TINY
    expected = TINY.tests(1)
    assert set(found.tests) == {PLACES, NEW_YEARS, "width 10"}
    assert found.tests[PLACES] == expected[PLACES]
    assert found.tests[NEW_YEARS] == expected[NEW_YEARS]
    assert len(found.tests["width 10"]) == 2 * 6
    known = set(found.config["characters"])
    assert known >= {cell for page in expected[PLACES] for row in page.rows for cell in row}


def test_a_reader_is_asked_the_pages_of_its_width(whole: Grid) -> None:
    usual, narrow = (whole.read(whole.cell(*cell), "") for cell in CELLS)
    assert set(usual["tests"]) == {PLACES, NEW_YEARS}
    assert set(narrow["tests"]) == {"width 10"}


def test_what_a_cell_says_is_what_the_reader_in_its_file_answers(whole: Grid) -> None:
    vocabulary = Vocabulary.of(whole.config["characters"])
    for (key, seed), design in zip(CELLS, (TINY, TINY.of_width(10)), strict=True):
        cell = whole.read(whole.cell(key, seed), "")
        reader = store.load(whole.cell(key, seed, "safetensors"), "conv", vocabulary, design)
        assert reader.shape.columns == design.columns
        for test, said in cell["tests"].items():
            assert judge(reader, whole.tests[test]) == said
        assert cell["parameters"] == sum(p.numel() for p in reader.parameters())
        assert cell["hidden_size"] == reader.shape.hidden_size
        assert cell["receptive_field"] == [9, 37]
        assert cell["steps"] == SETTINGS.steps
        assert [point["step"] for point in cell["curve"]] == [1, 2, 3]
        assert set(cell["untrained"]) == {"place", "value"}


def test_only_what_is_missing_is_computed_and_in_the_same_way(copy: Grid) -> None:
    kept, lost = (copy.cell(*cell) for cell in CELLS)
    before = json.loads(lost.read_text())
    weights = copy.cell(*CELLS[1], "safetensors").read_bytes()
    touched = kept.stat().st_mtime_ns
    lost.unlink()
    copy.cell(*CELLS[1], "safetensors").unlink()
    assert copy.unfinished() == [CELLS[1]]
    copy.run(Workers(1), quiet)
    assert copy.unfinished() == []
    assert kept.stat().st_mtime_ns == touched
    after = json.loads(lost.read_text())
    for name in ("tests", "curve", "untrained"):
        assert after[name] == before[name]
    found = copy.cell(*CELLS[1], "safetensors").read_bytes()
    assert sorted(found) == sorted(weights)  # the order of the metadata may differ


def test_the_readers_of_a_seed_read_the_same_pages_and_another_seed_others(whole: Grid) -> None:
    bench = whole.bench()
    one, again, other = (bench.make_material(seed) for seed in (1, 1, 2))
    pages = one.pages(TINY)
    assert pages is one.pages(TINY)
    assert np.array_equal(pages.ids, again.pages(TINY).ids)
    assert not np.array_equal(pages.ids, other.pages(TINY).ids)
    assert len(pages) == SETTINGS.steps * 32
    assert len(one.pages(TINY, 8)) == 8 * len(pages)  # as many more for the wide reader
    assert np.array_equal(one.pages(TINY, 8).ids[: len(pages)], pages.ids)
    assert one.pages(TINY.of_width(10)).ids.shape[1:] == (6, 10)
    assert not (one.validation(TINY).ids[:, None] == pages.ids).all((2, 3)).any()


def test_weights_of_another_width_or_kind_are_refused(whole: Grid) -> None:
    vocabulary = Vocabulary.of(whole.config["characters"])
    file = whole.cell("conv@10", 1, "safetensors")
    with pytest.raises(CheckpointError, match="continue with --resume"):
        store.load(file, "conv", vocabulary, TINY)
    with pytest.raises(CheckpointError, match="not the coordconv of this experiment"):
        store.load(file, "coordconv", vocabulary, TINY.of_width(10))


# --------------------------------------------------------------------------- another kind, damaged


def test_an_experiment_of_another_kind_is_refused_with_its_command(
    whole: Grid, tmp_path: Path
) -> None:
    with pytest.raises(RequestError) as caught:
        SentenceGrid.find(str(whole.path))
    assert str(caught.value) == (
        f"{whole.path} contains an experiment of another kind; its command is: charlm experiment "
        "page"
    )
    (tmp_path / "config.json").write_text('{"format": "charlm-position-invariance/1"}')
    with pytest.raises(RequestError, match="charlm experiment position-invariance"):
        Grid.find(str(tmp_path))


@pytest.mark.parametrize("said", ["charlm-page/99", "charlm-sweep/1", "charlm-grid/1", "x", 3])
def test_anything_else_is_no_experiment_of_this_version(said: object, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"format": said}))
    with pytest.raises(CheckpointError, match="not an experiment of this version of charlm"):
        Grid.find(str(tmp_path))


def test_a_changed_cell_is_refused(copy: Grid) -> None:
    file = copy.cell(*CELLS[0])
    file.write_text(file.read_text().replace('"hidden_size": ', '"hidden_size": 1'))
    with pytest.raises(CheckpointError, match="its checksum does not match"):
        copy.results()


def test_a_recipe_that_has_changed_is_refused(copy: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    copy.check_recipe()
    copy.cell(*CELLS[1]).unlink()
    copy.check_recipe()
    monkeypatch.setattr("charlm.experiments.page.training.RATE", 0.25)
    with pytest.raises(RequestError, match=r"learning rate times default 1.0 instead of 0.25"):
        copy.check_recipe()


# --------------------------------------------------------------------------------------- the judge


def test_judge_by_hand() -> None:
    """Right, at another number, at none; the value by itself."""
    page = Page(("anno 1987   ", "volo 1911   "), "1987", 0, 5, "left", "form")
    other = Page(("volo 1911   ", "anno 2009   "), "2009", 1, 5, "left", "form")
    pages = [page, page, page, other]

    class Told(Reader):
        def __init__(self) -> None:
            torch.nn.Module.__init__(self)
            self.vocabulary = Vocabulary.of("0123456789 anovl")

        def answers(self, ids: Any, batch_size: int = 64) -> Answers:
            assert ids.shape == (4, 2, 12)
            rows, columns = np.array([0, 1, 0, 1]), np.array([5, 5, 4, 5])
            return Answers(rows, columns, ["1987", "1911", "1987", "2008"])

    found = judge(Told(), pages)
    assert unpack(found["place"], (4,)).tolist() == [True, False, False, True]
    assert unpack(found["value"], (4,)).tolist() == [True, False, True, False]
    assert unpack(found["other_number"], (4,)).tolist() == [False, True, False, False]
    assert found["errors"] == [
        {"page": 1, "place": [1, 5], "value": "1911"},
        {"page": 2, "place": [0, 4], "value": "1987"},
    ]


def test_of_many_errors_some_from_everywhere_are_kept() -> None:
    pages = [page for page in TINY.tests(1)[PLACES] if page.family == "above"][:45]
    kind = KINDS["feedforward"]
    vocabulary = Vocabulary.of("".join({cell for page in pages for cell in page.text}))
    shape = grids_shape(kind.embedding_size)
    reader = build(kind, shape, vocabulary, 1)
    with torch.no_grad():
        reader.place.bias[0] = 100.0  # a place where no number ends
    found = judge(reader, pages)
    assert not unpack(found["place"], (45,)).any()
    kept = [error["page"] for error in found["errors"]]
    assert len(kept) == grids.ERRORS_KEPT
    assert (kept[0], kept[-1]) == (0, 44)
    assert kept == sorted(set(kept))


def grids_shape(embedding_size: int) -> Any:
    from charlm.experiments.page.readers import Shape

    return Shape(embedding_size, 3, TINY.rows, TINY.columns)


# ---------------------------------------------------------------------- results that we know

BY_HAND = Design(("1999",), (), 4, 12, row_bands=((2, 2),), column_bands=((5, 8),))
ASKED = (
    (1, 0, "above"),
    (1, 0, "above"),
    (3, 1, "above"),
    (1, 1, "left"),
    (1, 5, "above"),  # held-out column
    (1, 5, "left"),
    (2, 0, "above"),  # held-out row
    (2, 1, "left"),
    (2, 5, "above"),  # both
    (2, 5, "left"),
    (1, 3, "left"),  # in no part
)
ONE = {
    ("a", 1): ("10111001001", "11111111111"),
    ("a", 2): ("11111001001", "00000000000"),
    ("b", 1): ("00010000000", "11110000000"),
    ("b", 2): ("00000000000", "11110000000"),
}
"""Which places and which values are right, by reader and seed."""
CHANCE = [0.5, 0.25, 0.25, 0.2, 0.5, 0.25, 0.2, 0.2, 0.2, 0.4, 1.0]


def bits(text: str) -> str:
    return pack(np.array([each == "1" for each in text]))


def facts(asked: Sequence[tuple[int, int, str]], chance: Sequence[float]) -> dict[str, Any]:
    rows, columns, families = (list(each) for each in zip(*asked, strict=True))
    kinds = ["form"] * len(rows)
    return {
        "row": rows,
        "column": columns,
        "family": families,
        "kind": kinds,
        "chance": list(chance),
    }


def cell(reader: str, seed: int, tests: dict[str, Any]) -> dict[str, Any]:
    untrained = {"place": 0.01 * seed, "value": 0.5}
    return {"reader": reader, "seed": seed, "untrained": untrained, "tests": tests}


@pytest.fixture(scope="module")
def known() -> Results:
    cells = [
        cell(
            reader,
            seed,
            {
                PLACES: {
                    "place": bits(place),
                    "value": bits(value),
                    "other_number": bits("01000110000"),
                },
                NEW_YEARS: {"place": bits("10"), "value": bits("00"), "other_number": bits("00")},
            },
        )
        for (reader, seed), (place, value) in ONE.items()
    ]
    cells += [
        cell("a@10", 1, {"width 10": {"place": bits("1001"), "value": bits("1111")}}),
        cell("a@10", 2, {"width 10": {"place": bits("1011"), "value": bits("1111")}}),
        cell("a@80", 1, {"width 80": {"place": bits("0000"), "value": bits("0101")}}),
    ]
    narrow = [(1, 0, "above"), (1, 1, "above"), (1, 5, "left"), (2, 5, "left")]
    return Results(
        {
            "config": {
                "readers": ["b", "a", "never", "a@10", "a@20", "a@80"],
                "widths": [10, 20, 80],
                "design": BY_HAND.to_dict(),
            },
            "versions": {},
            "tests": {
                PLACES: facts(ASKED, CHANCE),
                NEW_YEARS: facts(ASKED[:1] + ASKED[3:4], [0.5, 0.5]),
                "width 10": facts(narrow, [0.5] * 4),
                "width 80": facts(narrow, [0.25] * 4),
            },
            "cells": cells,
        }
    )


def test_accuracy_by_part_and_family_by_hand(known: Results) -> None:
    def of(*arguments: Any, **more: Any) -> tuple[float, ...]:
        return tuple(round(value, 6) for value in known.accuracy("a", *arguments, **more).values)

    assert of() == (round(6 / 11, 6), round(7 / 11, 6))
    assert of(PLACES, SEEN) == (0.75, 1.0)
    assert of(PLACES, SEEN, "above") == (round(2 / 3, 6), 1.0)
    assert of(PLACES, SEEN, "left") == (1.0, 1.0)
    assert of(PLACES, HELD_OUT_COLUMN) == (0.5, 0.5)
    assert of(PLACES, HELD_OUT_COLUMN, "left") == (0.0, 0.0)
    assert of(PLACES, HELD_OUT_ROW, "above") == (0.0, 0.0)
    assert of(PLACES, HELD_OUT_ROW, "left") == (1.0, 1.0)
    assert of(PLACES, BOTH) == (0.0, 0.0)
    assert of(PLACES, None, "left") == (0.6, 0.6)
    assert of(PLACES, SEEN, answer=VALUE) == (1.0, 0.0)
    assert of(NEW_YEARS) == (0.5, 0.5)
    assert of(NEW_YEARS, family="left") == (0.0, 0.0)
    assert known.accuracy("a", PLACES, SEEN).mean == 0.875


def test_without_pages_there_is_no_accuracy(known: Results) -> None:
    found = known.accuracy("a", NEW_YEARS, BOTH)
    assert math.isnan(found.mean)
    assert found.values == ()


def test_chance_untrained_and_other_numbers_by_hand(known: Results) -> None:
    assert known.chance(PLACES, SEEN) == pytest.approx((0.5 + 0.25 + 0.25 + 0.2) / 4)
    assert known.chance(PLACES, BOTH, "left") == 0.4
    assert known.chance("width 80") == 0.25
    assert known.untrained("a").values == (0.01, 0.02)
    assert known.untrained("b", VALUE).mean == 0.5
    assert known.other_number("a", SEEN).values == (0.25, 0.25)
    assert known.other_number("b", HELD_OUT_ROW, "above").mean == 1.0
    assert known.other_number("b", BOTH).mean == 0.0


def test_the_map_by_hand(known: Results) -> None:
    nan = math.nan
    expected: NDArray[np.float64] = np.full((4, 12), nan)
    expected[1, 0] = (1 + 0 + 1 + 1) / 4  # two pages, two seeds
    expected[3, 1] = 1
    expected[1, 5] = 1
    expected[2, 0] = 0
    expected[2, 5] = 0
    np.testing.assert_array_equal(known.map("a", "above"), expected)
    left = known.map("a", "left", VALUE)
    assert left[1, 1] == left[1, 3] == 0.5
    assert np.isnan(left[1, 0])
    assert np.isfinite(left).sum() == 5


def test_the_gap_counts_both_families_alike(known: Results) -> None:
    """Above: 2/3 - 1 and 1 - 1; left: 1 - 0."""
    assert known.gap("a", HELD_OUT_COLUMN).values == pytest.approx([(2 / 3 - 1 + 1) / 2, 0.5])
    assert known.gap("a", BOTH).values == pytest.approx([(2 / 3 + 1) / 2, 1.0])
    assert known.gap("a", SEEN).values == (0.0, 0.0)


def test_a_difference_is_between_the_same_pages(known: Results) -> None:
    """At seen places: seed 1 is 3/4 against 1/4, seed 2 is 1 against 0."""
    assert known.difference("a", "b", SEEN).mean == pytest.approx((0.5 + 1) / 2)
    assert known.difference("b", "a", SEEN).mean == pytest.approx(-0.75)
    assert known.difference("a", "b", BOTH).mean == 0


def test_who_is_trained_and_who_is_best(known: Results) -> None:
    assert known.readers == ["b", "a", "a@10", "a@80"]
    assert known.main == ["b", "a"]
    assert not known.trained("a")
    assert known.trained("a", "left")
    assert not known.trained("a", "left", VALUE)
    assert not known.trained("b")
    assert known.best() == "a"


def test_accuracy_by_width_by_hand(known: Results) -> None:
    """Width 20 is not finished; width 80 has one seed."""
    widths, found = known.by_width("a", "above")
    assert widths == [10, 80]
    assert [each.values for each in found] == [(0.5, 0.5), (0.0,)]
    assert [each.values for each in known.by_width("a", "left")[1]] == [(0.5, 1.0), (0.0,)]
    assert [each.values for each in known.by_width("a", "left", VALUE)[1]] == [(1, 1), (0.5,)]
    assert known.by_width("b", "left") == ([], [])


def test_the_rows_of_the_table_by_hand(known: Results) -> None:
    head, *found = measures.rows(known)
    assert head == ["reader", "seed", "test", "part", "family", "pages", "place", "value"]
    assert ["a", 1, PLACES, SEEN, "above", 3, "0.666667", "1.000000"] in found
    assert ["b", 2, PLACES, HELD_OUT_ROW, "left", 1, "0.000000", "0.000000"] in found
    assert ["a", 1, NEW_YEARS, "all", "left", 1, "0.000000", "0.000000"] in found
    assert ["a@10", 2, "width 10", "all", "left", 2, "1.000000", "1.000000"] in found
    assert len(found) == 4 * (4 * 2 + 2) + 3 * 2


def test_the_table_of_a_grid_agrees_with_its_results(whole: Grid) -> None:
    table = list(csv.DictReader(io.StringIO(whole.table_file.read_text())))
    results = whole.results()
    assert {row["reader"] for row in table} == {"conv", "conv@10"}
    for row in table:
        part = None if row["part"] == "all" else row["part"]
        for answer in measures.ANSWERS:
            found = results.accuracy(row["reader"], row["test"], part, row["family"], answer)
            assert float(row[answer]) == pytest.approx(found.mean, abs=1e-6)
    pages = sum(int(row["pages"]) for row in table if row["test"] == "width 10")
    assert pages == 12


def test_the_facts_of_a_test_are_those_of_its_pages(whole: Grid) -> None:
    results = whole.results()
    for test, pages in whole.tests.items():
        said = results.tests[test]
        assert said["chance"] == [1 / len(numbers(page)) for page in pages]
        at = list(zip(said["row"], said["column"], said["family"], strict=True))
        assert at == [(page.row, page.column, page.family) for page in pages]
        assert set(said["family"]) == set(FAMILIES)
