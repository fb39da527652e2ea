"""Which runs a sweep has, what they are called, how they are ranked and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweeping import TEXT, design, outcome

from charlm.config import ModelOptions, TrainOptions
from charlm.errors import RequestError
from charlm.sweeps import plots, ranking
from charlm.sweeps.design import Cell, Design, grid_of


def test_a_grid_is_every_combination_with_every_seed() -> None:
    made = Design(
        *(ModelOptions(), TrainOptions(seed=5), TEXT, ("some.txt",)),
        grid_of(["hidden_size=8,16", "dropout=0,0.5,0"]),
        seeds=2,
    )
    assert [tuple(cell.varied.values()) for cell in made.cells()] == [
        *[(8, 0.0, 5), (8, 0.5, 5), (16, 0.0, 5), (16, 0.5, 5)],
        *[(8, 0.0, 6), (8, 0.5, 6), (16, 0.0, 6), (16, 0.5, 6)],
    ]


def test_a_run_is_called_after_what_it_is_and_not_after_its_grid() -> None:
    (one,) = design(hidden_size=[16], dropout=[0.1]).cells()
    (same,) = design(dropout=[0.1], hidden_size=[16]).cells()
    assert one.name == same.name
    assert one.name in {c.name for c in design(hidden_size=[8, 16], dropout=[0.0, 0.1]).cells()}
    alone = Design(ModelOptions(hidden_size=16, dropout=0.1), TrainOptions(steps=10), TEXT, ())
    assert alone.cells()[0].name == one.name


@pytest.mark.parametrize(
    "other",
    [
        design(hidden_size=[16], dropout=[0.2]),
        design(hidden_size=[17], dropout=[0.1]),
        Design(
            *(ModelOptions(hidden_size=16, dropout=0.1), TrainOptions(steps=11), TEXT),
            ("some.txt",),
        ),
        Design(
            *(ModelOptions(hidden_size=16, dropout=0.1), TrainOptions(steps=10, seed=2), TEXT),
            ("some.txt",),
        ),
        Design(
            *(ModelOptions(hidden_size=16, dropout=0.1), TrainOptions(steps=10)),
            TEXT | {"sha256": "1" * 64},
            ("some.txt",),
        ),
    ],
)
def test_everything_that_changes_the_result_changes_the_name(other: Design) -> None:
    (one,) = design(hidden_size=[16], dropout=[0.1]).cells()
    assert other.cells()[0].name != one.name


def test_the_arguments_ask_for_the_configuration() -> None:
    options = TrainOptions(steps=7, counts=False, schedule="linear")
    asked = Design(ModelOptions(tie=True, dropout=0.25), options, TEXT, ("a.txt", "--nfc"))
    assert asked.cells()[0].arguments == (
        *("a.txt", "--nfc", "--dropout", "0.25", "--tie", "--schedule", "linear", "--steps", "7"),
        "--no-counts",
    )


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("hidden-size=128, 256", {"hidden_size": (128, 256)}),
        ("--dropout=0,.1", {"dropout": (0.0, 0.1)}),
        ("cell=lstm,gru", {"cell": ("lstm", "gru")}),
        ("tie=true,off", {"tie": (True, False)}),
    ],
)
def test_values_of_a_grid_have_the_type_of_their_option(
    asked: str, found: dict[str, tuple[Any, ...]]
) -> None:
    assert repr(grid_of([asked])) == repr(found)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["hidden_size"], "NAME=VALUE"),
        (["hidden_size="], "NAME=VALUE"),
        (["width=3"], "cannot vary 'width'; it can vary batch_size, cell, "),
        (["hidden_size=wide"], "hidden_size has the value 'wide'; give a whole number"),
        (["hidden_size=1.5"], "give a whole number"),
        (["dropout=nan"], "give a finite number"),
        (["dropout=1"], "--dropout is 1.0; give a value below 1"),
        (["cell=cnn"], "--cell is 'cnn'; choose one of lstm"),
        (["tie=maybe"], "give true or false"),
        (["seed=1,2"], "--seeds N"),
        (["dropout=0", "dropout=0.1"], "twice"),
        (["hidden-sise=8"], "did you mean hidden_size?"),
        (["no_counts=true"], "did you mean counts?"),
        (["hidden_size=8,"], "a comma too many?"),
    ],
)
def test_a_wrong_grid_is_refused_in_one_line(asked: list[str], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        grid_of(asked)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_values_that_make_no_sense_together_are_refused_before_anything_is_trained() -> None:
    with pytest.raises(RequestError, match="--tie needs equal sizes"):
        design(tie=[True], embedding_size=[8]).cells()


# ------------------------------------------------------------------------------------- ranking


def cell(size: int, seed: int) -> Cell:
    return Cell({"hidden_size": size, "seed": seed}, {"size": size, "seed": seed}, ())


def test_configurations_are_ranked_by_their_mean_and_runs_by_themselves() -> None:
    cells = [cell(8, 1), cell(16, 1), cell(8, 2), cell(16, 2)]
    bits = [1.0, 1.5, 3.0, 1.7]
    finished = {each.name: outcome(b) for each, b in zip(cells, bits, strict=True)}
    found = ranking.rank(cells, finished)
    assert [row.values for row in found] == [(16,), (8,)]
    assert [row.bits for row in found] == [pytest.approx(1.6), pytest.approx(2.0)]
    assert found[1].spread == (1.0, 3.0)
    assert ranking.best(finished) == cells[0].name
    assert ranking.best({}) is None


def test_where_counts_decide_everything_the_network_decides() -> None:
    cells = [cell(8, 1), cell(16, 1)]
    finished = {
        cells[0].name: outcome(1.25, network=3.5),
        cells[1].name: outcome(1.25, network=2.5),
    }
    assert ranking.best(finished) == cells[1].name
    assert ranking.rank(cells, finished)[0].values == (16,)


@pytest.mark.parametrize("factor", [1.0, 1.2, 3.0, 9.9, 10.0, 1e4])
def test_both_axes_have_numbers_whatever_they_span(factor: float) -> None:
    cells = [cell(8, 1), cell(16, 1)]
    finished = {
        each.name: outcome(1.0 + n, parameters=round(37_000 * size), seconds=37.0 * size)
        for n, (each, size) in enumerate(zip(cells, (1.0, factor), strict=True))
    }
    figure = plots.loss(ranking.rank(cells, finished), ["hidden_size"])
    figure.draw_without_rendering()
    for axes in figure.axes:
        low, high = axes.get_xlim()
        shown = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert len(shown) >= 2
        assert all(axes.xaxis.get_major_formatter()(tick, 0) for tick in shown)


def test_the_figure_has_every_run_where_it_belongs(tmp_path: Path) -> None:
    cells = [cell(8, 1), cell(16, 1), cell(8, 2), cell(16, 2)]
    finished = {
        each.name: outcome(1.0 + n, parameters=10 ** (n + 2), seconds=2.0**n)
        for n, each in enumerate(cells)
    }
    found = ranking.rank(cells, finished)
    figure = plots.loss(found, ["hidden_size"])
    left, right = figure.axes
    for axes, places in ((left, [100, 1000, 10_000, 100_000]), (right, [1, 2, 4, 8])):
        drawn = {
            (float(x), float(y))
            for line in axes.lines
            if line.get_alpha() is not None
            for x, y in np.asarray(line.get_xydata())
        }
        assert drawn == {(float(p), 1.0 + n) for n, p in enumerate(places)}
    legend = left.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["hidden size 8", "hidden size 16"]
    first = plots.draw(found, ["hidden_size"], tmp_path)
    again = [file.read_bytes() for file in first]
    assert [file.read_bytes() for file in plots.draw(found, ["hidden_size"], tmp_path)] == again
