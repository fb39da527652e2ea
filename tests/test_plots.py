"""Figures show the arrays that they were given, and what their labels say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import Result
from conftest import write_text
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from charlm import drawing
from charlm.arrays import Ids
from charlm.config import ModelConfig
from charlm.inspection import horizon, memory, plots
from charlm.inspection.comparing import Gap, Share
from charlm.inspection.gradients import Flow
from charlm.inspection.memory import Curve
from charlm.models.language import build

Invoke = Callable[..., Result]
VERDICTS = (
    "is worth trying",
    "too few characters to tell",
    "uses all of its training window",
    "would hardly help",
)


@pytest.fixture(scope="module")
def ids() -> Ids:
    text = write_text(4000)
    symbols = {c: n for n, c in enumerate(sorted(set(text)))}
    return np.array([symbols[c] for c in text])


@pytest.fixture(scope="module")
def found(ids: Ids) -> horizon.Horizon:
    config = ModelConfig.resolve(vocab_size=int(ids.max()) + 1, cell="gru", hidden_size=6)
    weights = {n: 3 * p.detach().numpy() for n, p in build(config, 3).named_parameters()}
    return horizon.measure(config, weights, ids, window=32)


def ydata(axes: object, label: str) -> np.ndarray:
    (line,) = [each for each in axes.get_lines() if each.get_label() == label]  # type: ignore[attr-defined]
    return np.asarray(line.get_ydata())


def test_memory_draws_both_measures(found: horizon.Horizon) -> None:
    figure = plots.memory({"one": found})
    left, right = figure.axes
    usable = found.curve.usable()
    np.testing.assert_array_equal(ydata(left, f"one (uses {usable})"), found.curve.mean)
    np.testing.assert_array_equal(ydata(right, "one"), found.probe.accuracy)
    assert any(
        np.array_equal(found.untrained_curve.mean, line.get_ydata()) for line in left.get_lines()
    )
    drawn = [line.get_ydata() for line in right.get_lines()]
    for control in (found.untrained_probe.accuracy, found.probe.chance):
        assert any(np.array_equal(control, line) for line in drawn)
    (dot,) = [line for line in left.get_lines() if line.get_marker() == "o"]
    assert np.asarray(dot.get_xdata()).tolist() == [usable]


def test_a_horizon_says_what_its_parts_say(found: horizon.Horizon) -> None:
    facts = found.to_dict()
    assert facts["context"]["usable"] == found.curve.usable()
    assert facts["context"]["beyond_window"] == found.curve.beyond(32)
    assert "training window of 32" in found.verdict()
    assert facts["probe"]["untrained"] == found.untrained_probe.accuracy.tolist()
    assert facts["probe"]["untrained"] != facts["probe"]["accuracy"]


def test_what_lies_beyond_a_window_is_measured_or_said_not_to_be(
    found: horizon.Horizon, ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = memory.CONTEXTS
    monkeypatch.setattr(memory, "CONTEXTS", (1, 8))
    config = ModelConfig.resolve(vocab_size=int(ids.max()) + 1, cell="rnn", hidden_size=6)
    weights = {n: p.detach().numpy() for n, p in build(config, 3).named_parameters()}
    longer = horizon.measure(config, weights, ids, window=30, unit="byte", decoder_steps=1)
    assert longer.curve.contexts == longer.untrained_curve.contexts == (1, 8, 30, 60)
    assert longer.to_dict()["context"]["beyond_window"] == longer.curve.beyond(30)
    assert "training window of 30" in longer.verdict() and "bits per byte" in longer.verdict()
    # 3,000 characters of context would leave four thousand characters too few places.
    far = horizon.measure(config, weights, ids, window=3000, decoder_steps=1)
    assert far.curve.contexts == (1, 8)
    assert far.to_dict()["context"]["beyond_window"] is None
    assert "nothing beyond the training window of 3000 was measured" in far.verdict()
    assert kept == found.curve.contexts


@pytest.mark.parametrize(
    ("means", "spread", "said"),
    [
        ((3.0, 2.5, 2.2, 2.0), 0.01, "is worth trying"),
        ((3.0, 2.5, 2.2, 2.18), 1.0, "too few characters to tell"),
        ((3.0, 2.5, 2.2, 2.2), 0.01, "uses all of its training window"),
        ((3.0, 2.2, 2.2, 2.2), 0.01, "would hardly help"),
    ],
)
def test_the_verdict_says_what_the_curve_says(
    found: horizon.Horizon, means: tuple[float, ...], spread: float, said: str
) -> None:
    """Of a window of 32 among contexts of 1, 8, 32 and 64."""
    noise = np.random.default_rng(0).normal(0, spread, (256, 4))
    curve = Curve((1, 8, 32, 64), np.array(means) + noise - noise.mean(0))
    verdict = replace(found, curve=curve).verdict()
    assert "training window of 32" in verdict
    assert [each for each in VERDICTS if each in verdict] == [said]


def test_more_runs_than_styles_are_all_drawn(found: horizon.Horizon) -> None:
    _, right = plots.memory({f"run {n}": found for n in range(7)}).axes
    assert {f"run {n}" for n in range(7)} <= {line.get_label() for line in right.get_lines()}


def bars(axes: Axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def test_a_comparison_draws_intervals_and_shares() -> None:
    gaps = {"b": Gap(0.2, 0.1, 0.3, 0.05), "c": Gap(-0.1, -0.2, 0.0, 0.15)}
    shares = [
        Share("letter", 10, 0.3, 0.15, 0.1, 0.2),
        Share("space", 5, -0.1, -0.05, -0.06, -0.01),
    ]
    left, right = plots.comparison(gaps, "a", shares, "b").axes
    drawn = [tuple(np.asarray(line.get_xdata()).tolist()) for line in left.get_lines()]
    assert {(0.1, 0.3), (-0.2, 0.0)} <= set(drawn)
    assert [label.get_text() for label in left.get_yticklabels()] == ["b", "c"]
    assert [bar.get_x() for bar in bars(left)] == [-0.05, -0.15]
    assert [bar.get_width() for bar in bars(left)] == [0.1, 0.3]
    assert [bar.get_width() for bar in bars(right)] == [0.15, -0.05]
    assert left.get_title(loc="left") == "bits per character more than a"


def losses(*bits: float, every: int = 10) -> list[dict[str, float]]:
    return [{"step": every * n, "val": np.log(2) * each} for n, each in enumerate(bits)]


def test_a_learning_curve_is_in_bits() -> None:
    log = losses(6, 4, 3.5)
    log[1]["train"] = np.log(2) * 3
    (axes,) = plots.learning_curve(log, "train", "val").axes
    np.testing.assert_allclose(ydata(axes, "validation"), [6, 4, 3.5])
    np.testing.assert_allclose(ydata(axes, "training"), [3])
    (axes,) = plots.learning_curve(log, "train", "val", dropout=True).axes
    np.testing.assert_allclose(ydata(axes, "training (with dropout)"), [3])


def test_a_learning_curve_leaves_out_the_first_tenth_and_marks_the_best() -> None:
    """Otherwise the fall from log2(V) bits would make the rest of the curve look flat."""
    bits = [6.6, 3.4, 3.0, *np.linspace(2.9, 2.5, 15), 2.6, 2.7]
    (axes,) = plots.learning_curve(losses(*bits), "train", "val").axes
    np.testing.assert_allclose(ydata(axes, "validation"), bits[2:])
    low, high = axes.get_ylim()
    assert high < 3.1 and low > 2.4
    (best,) = [line for line in axes.get_lines() if line.get_marker() == "o"]
    np.testing.assert_allclose(np.asarray(best.get_xydata(), float), [[170, 2.5]])
    assert best.get_label() == "best: 2.500 at step 170"
    # A best model from before that is shown, and so are the points of a short run.
    (axes,) = plots.learning_curve(losses(6, 2, *[3] * 28), "train", "val").axes
    assert ydata(axes, "validation")[0] == pytest.approx(2)
    (axes,) = plots.learning_curve(losses(6, 5), "train", "val").axes
    np.testing.assert_allclose(ydata(axes, "validation"), [6, 5])


def test_no_legend_covers_a_curve(found: horizon.Horizon) -> None:
    flow = Flow(np.ones((4, 9)), np.ones((4, 1, 8)))
    for figure in (
        plots.memory({"one": found}),
        plots.gradients({"one": flow}, {"one": flow}),
        plots.learning_curve(losses(6, 5, 4, 3), "train", "val"),
    ):
        figure.draw_without_rendering()
        for axes in figure.axes:
            legend = axes.get_legend()
            assert legend is not None
            assert legend.get_window_extent().y1 < axes.get_window_extent().y0
            assert axes.xaxis.label.get_window_extent().y0 > legend.get_window_extent().y1


def test_panels_are_figures_of_their_own(found: horizon.Horizon) -> None:
    both = drawing.panels(plots.memory({"one": found}))
    titles = ["loss against context", "what the state still holds"]
    for svg, title in zip(both, titles, strict=True):
        root = ElementTree.fromstring(svg)
        width = float(root.attrib["viewBox"].split()[2])
        assert 250 < width < 370  # a telephone is 360 to 430 pixels wide
        assert [each for each in titles if each in svg] == [title]
        assert "prefers-color-scheme: dark" in svg
    assert both == drawing.panels(plots.memory({"one": found}))  # no date in it


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(
            ["inspect", "memory", "RUN", "TEXT", "--with", "OTHER"], marks=pytest.mark.slow
        ),
        ["inspect", "gradients", "RUN", "TEXT", "--with", "OTHER", "--lags", 8, "--places", 4],
        ["compare", "RUN", "OTHER", "TEXT"],
    ],
)
def test_commands_draw_svg_and_png(
    command: list[object], charlm: Invoke, trained: Path, corpus: Path, tmp_path: Path
) -> None:
    text, other = tmp_path / "text.txt", tmp_path / "other.safetensors"
    text.write_text(write_text(3000), encoding="utf-8")
    other.write_bytes((trained / "best.safetensors").read_bytes())
    names = {"RUN": trained, "OTHER": other, "TEXT": text}
    for ending in ("svg", "png"):
        path = tmp_path / f"figure.{ending}"
        done = charlm(*(names.get(str(part), part) for part in command), "--figure", path)
        assert (done.exit_code, done.stdout) == (0, f"{path}\n"), done.output
        if ending == "svg":
            texts = "".join(ElementTree.parse(path).getroot().itertext())
            assert str(other) in texts
    both = charlm(*(names.get(str(part), part) for part in command), "--figure", path, "--json")
    assert both.exit_code == 2 and "--figure and --json each give the result" in both.stderr
    refused = charlm(*(names.get(str(part), part) for part in command), "--figure", "x.pdf")
    assert refused.exit_code == 2 and "ends in .svg or .png" in refused.stderr


def test_memory_of_two_ends_with_what_each_uses(
    charlm: Invoke, trained: Path, tmp_path: Path
) -> None:
    text, other = tmp_path / "text.txt", tmp_path / "other.safetensors"
    text.write_text(write_text(3000), encoding="utf-8")
    other.write_bytes((trained / "best.safetensors").read_bytes())
    done = charlm("inspect", "memory", trained, text, "--with", other)
    assert done.exit_code == 0, done.output
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"usable context: {trained} ")
    uses = [int(part.split()[-2]) for part in last.split(", ")]
    assert uses[0] == uses[1]  # it is the same model
    refused = charlm("inspect", "memory", trained, text, "--with", trained)
    assert refused.exit_code == 2 and "is named twice" in refused.stderr


def test_neurons_draw_the_labels_that_take_memory(
    charlm: Invoke, trained: Path, tmp_path: Path
) -> None:
    text, path = tmp_path / "text.txt", tmp_path / "neurons.svg"
    text.write_text(write_text(4000), encoding="utf-8")
    done = charlm("inspect", "neurons", trained, text, "--figure", path)
    assert (done.exit_code, done.stdout) == (0, f"{path}\n"), done.output
    texts = [each.text or "" for each in ElementTree.parse(path).getroot().iter()]
    headings = [each for each in texts if "AUC" in each]
    assert 1 <= len(headings) <= 4
    assert all("by chance" in each and "current character alone" in each for each in headings)
