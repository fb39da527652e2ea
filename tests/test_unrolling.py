"""The unrolled graph: its values are those of single steps, and the figure shows all of them."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from charlm.cli.inspect.unroll import _coloured, _columns, _opened
from charlm.engine import softmax
from charlm.errors import RequestError
from charlm.generate import CharLM
from charlm.inspection import unrolling
from charlm.text.tokenizer import CharTokenizer

Invoke = Callable[..., Result]
TOKENIZER = CharTokenizer("".join(sorted('\n &<>"abcio')))
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_every_value_is_that_of_a_single_step(cell: str, make_lm: Callable[..., CharLM]) -> None:
    lm = make_lm(TOKENIZER, cell=cell, num_layers=2)
    found = unrolling.unroll(lm.engine, TOKENIZER, "ciao <b>", top=4)
    state = lm.engine.initial_state(1)
    for step, character in zip(found, "ciao <b>", strict=True):
        assert step.symbol == ("␣" if character == " " else character)
        logits, state = lm.engine.step(TOKENIZER.encode(character), state)
        for layer in range(2):
            np.testing.assert_allclose(step.layers[layer]["h"], state[0][layer, 0], rtol=1e-4)
            if cell == "lstm":
                np.testing.assert_allclose(step.layers[layer]["c"], state[1][layer, 0], rtol=1e-4)
            assert set(step.layers[layer]) == {"h", *unrolling.GATES[cell]}
        p = softmax(logits[0])
        assert [share for _, share in step.expected] == pytest.approx(sorted(p)[::-1][:4], rel=1e-4)
    last = unrolling.unroll(lm.engine, TOKENIZER, "ciao <b>", steps=3, top=4)
    assert [s.symbol for s in last] == ["<", "b", ">"]
    assert [s.first for s in found[:2]] == [True, False] and not last[0].first
    arrows = [unrolling.svg(steps, cell, 0.1).count(">U<") for steps in (found[:3], last)]
    assert arrows == [2 * 2, 3 * 2]  # into what is cut off comes a state as well
    np.testing.assert_array_equal(last[0].layers[0]["h"], found[-3].layers[0]["h"])


def test_gates_explain_the_state(make_lm: Callable[..., CharLM]) -> None:
    """The figure's values satisfy the cell's own equations."""
    lm = make_lm(TOKENIZER, cell="lstm")
    before, step = unrolling.unroll(lm.engine, TOKENIZER, "ci")
    now, c = step.layers[0], before.layers[0]["c"]
    np.testing.assert_allclose(now["c"], now["f"] * c + now["i"] * now["g"], rtol=1e-4)
    np.testing.assert_allclose(now["h"], now["o"] * np.tanh(now["c"]), rtol=1e-4)


@pytest.mark.parametrize(("cell", "strips"), [("rnn", 1), ("gru", 4), ("lstm", 6)])
def test_the_figure_shows_every_step_strip_and_arrow(
    cell: str, strips: int, make_lm: Callable[..., CharLM]
) -> None:
    lm = make_lm(TOKENIZER, cell=cell, num_layers=2)
    steps = unrolling.unroll(lm.engine, TOKENIZER, 'a<&"')
    root = ET.fromstring(unrolling.svg(steps, cell, 1 / 9))
    every = [r for r in root.iter(f"{SVG}rect") if r.get("height") == "5"]
    key = 8 if cell == "rnn" else 16  # eight values on each scale
    key_cells, cells = every[:key], every[key:]
    assert len(cells) == 4 * 2 * strips * 8  # steps, layers, strips, units
    assert len(list(root.iter(f"{SVG}title"))) == 4 * 2 * strips
    words = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert words.count("+") == 4  # the second layer adds its input to its output
    assert words.count("U") == 3 * 2 and words.count("W") == 4 and words.count("V") == 4
    assert "by chance 11.1 %" in words
    for symbol in ("a", "<", "&", '"'):
        assert symbol in words
    # The first cell of the first strip is the first unit of the upper layer.
    colour, opacity = unrolling.fill("h", float(steps[0].layers[1]["h"][0]))
    assert (cells[0].get("fill"), cells[0].get("fill-opacity")) == (colour, f"{opacity:.2f}")
    # The key shows both scales from end to end, and names what is drawn on which.
    opacities = [each.get("fill-opacity") for each in key_cells]
    assert (opacities[0], opacities[7]) == ("1.00", "1.00")
    assert key_cells[0].get("fill") != key_cells[7].get("fill")
    gates = {"gru": "r, z", "lstm": "i, f, o"}.get(cell)
    if gates:
        assert (opacities[8], opacities[15]) == ("0.00", "1.00")
        assert len({each.get("fill") for each in key_cells[8:]}) == 1
        assert any(word.endswith(gates) for word in words)


def test_colours_and_means_by_hand() -> None:
    blue, red, green = "#2166ac", "#b2182b", "#1b7837"
    shown = [unrolling.fill("c", value) for value in (-2, -1, 0, 0.5, 1, 7)]
    assert shown == [(blue, 1), (blue, 1), (red, 0), (red, 0.5), (red, 1), (red, 1)]
    few = unrolling.squeezed(np.arange(10.0), 5)
    np.testing.assert_array_equal(few, [0.5, 2.5, 4.5, 6.5, 8.5])
    np.testing.assert_array_equal(unrolling.squeezed(np.arange(3.0), 5), [0, 1, 2])
    gates = [
        unrolling.fill(name, value) for name, value in zip("rzif", (0, 0.25, 0.5, 1), strict=True)
    ]
    assert gates == [(green, 0), (green, 0.25), (green, 0.5), (green, 1)]


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_gates_and_nothing_else_go_from_0_to_1(cell: str, make_lm: Callable[..., CharLM]) -> None:
    """A closed gate is empty and an open one full; half open is not white, as the middle of a scale
    from -1 to 1 would be."""
    lm = make_lm(TOKENIZER, cell=cell)
    for step in unrolling.unroll(lm.engine, TOKENIZER, "ciao <b>"):
        for name, values in step.layers[0].items():
            if name in unrolling.OPEN:
                assert values.min() >= 0
                for value in values:
                    assert unrolling.fill(name, value)[1] == pytest.approx(value)
    names = {"h", *unrolling.GATES[cell]}
    assert {name for name in names if name in unrolling.OPEN} == names - set("hgnc")
    assert "0 (empty: closed) to 1 (green: open)" in unrolling.legend(cell, 8)
    assert "gate" not in unrolling.legend("rnn", 8)


def test_a_terminal_draws_gates_on_their_own_scale() -> None:
    white, green, red = "\x1b[48;5;231m", "\x1b[48;5;28m", "\x1b[48;5;160m"
    assert [_opened(v)[:-6] for v in (-0.1, 0, 1)] == [white, white, green]
    assert (_coloured(0)[:-6], _coloured(1)[:-6]) == (white, red)
    step = unrolling.Step("a", True, ({"h": np.zeros(8), **{n: np.ones(8) for n in "rzn"}},), ())
    rows = dict(zip(["h", "r", "z", "n"], _columns([step], "gru", True), strict=False))
    assert [row.count(green) for row in rows.values()] == [0, 8, 8, 0]


def test_a_model_or_text_that_cannot_be_unrolled_is_refused(make_lm: Callable[..., CharLM]) -> None:
    lm = make_lm(TOKENIZER, cell="rnn")
    with pytest.raises(RequestError, match="41 steps do not fit"):
        unrolling.unroll(lm.engine, TOKENIZER, "a" * 41)
    assert len(unrolling.unroll(lm.engine, TOKENIZER, "a" * 41, steps=40)) == 40
    with pytest.raises(RequestError, match="the text is empty"):
        unrolling.unroll(lm.engine, TOKENIZER, "")
    conv = make_lm(TOKENIZER, cell="conv")
    with pytest.raises(RequestError, match="conv is not recurrent"):
        unrolling.unroll(conv.engine, TOKENIZER, "a")


# -------------------------------------------------------------------------------------- the command


def unroll(charlm: Invoke, *arguments: object) -> Result:
    return charlm("inspect", "unroll", *arguments)


def test_json_has_every_value(charlm: Invoke, trained: Path) -> None:
    done = unroll(charlm, trained, "il mare", "--json")
    assert done.exit_code == 0, done.output
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert [step["symbol"] for step in steps] == list("il␣mare")
    assert {name: len(values) for name, values in steps[0]["layers"][0].items()} == dict.fromkeys(
        "ifgoch", 16
    )


def test_a_terminal_shows_a_column_for_each_step(charlm: Invoke, trained: Path) -> None:
    done = unroll(charlm, trained, "il mare", "--top", 2)
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.stdout
    rows = [line for line in done.stdout.splitlines() if line.startswith("     read")]
    assert " ".join(rows).split().count("read") == len(rows)
    assert [word for row in rows for word in row.split()[1:]] == list("il␣mare")
    assert re.search(r"^ expected  (\S+ \d+% +)+$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("ending", ["svg", "html"])
def test_a_figure_in_which_the_text_stays_text(charlm: Invoke, tmp_path: Path, ending: str) -> None:
    corpus = tmp_path / "hostile.txt"
    corpus.write_text("<script>alert(1)</script> & 'x'\n" * 80, encoding="utf-8")
    made = charlm("train", corpus, "--hidden-size", 8, "--steps", 1, "--out", tmp_path)
    assert made.exit_code == 0, made.output
    path = tmp_path / f"unrolled.{ending}"
    done = unroll(charlm, tmp_path / "hostile", "<script> &", "--figure", path)
    assert (done.exit_code, done.stdout) == (0, f"{path}\n"), done.output
    text = path.read_text("utf-8")
    assert text.count("<svg") == 1
    assert "<script" not in text and "&lt;" in text and "&amp;" in text
    ET.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["il", "--figure", "x.png"], 2, "ends in .svg or .html"),
        (["il", "--figure", "nowhere/x.svg"], 1, "cannot be written"),
        (["il €"], 2, "'€' U+20AC"),
        ([""], 2, "the text is empty"),
    ],
)
def test_bad_requests(
    charlm: Invoke, trained: Path, arguments: list[object], code: int, part: str
) -> None:
    done = unroll(charlm, trained, *arguments)
    assert done.exit_code == code
    assert part in done.stderr


def test_what_a_cell_shows_is_explained() -> None:
    assert unrolling.cell_of(16, 32) == "each cell is a unit"
    assert "the mean of 64 neighboring units" in unrolling.cell_of(256, 4)
