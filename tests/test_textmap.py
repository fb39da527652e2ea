"""Coloured text: every character is there, in its place and with its background."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

import charlm as package
from charlm.config import SampleConfig
from charlm.inspection import reading, textmap
from charlm.inspection.textmap import BLUE, RED, Block, Mark
from charlm.svg import DARK, INK, PAPER

Invoke = Callable[..., Result]
SVG = "{http://www.w3.org/2000/svg}"


def drawn(blocks: list[Block], columns: int = 88) -> ElementTree.Element:
    return ElementTree.fromstring(textmap.svg(blocks, columns=columns))


def lines(root: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text") if "class" not in text.attrib]


def test_lines_break_at_their_ends_and_after_the_last_column() -> None:
    root = drawn([Block("a", [Mark(c) for c in "abc\ndefgh\n\ni"])], columns=3)
    assert lines(root) == ["abc", "def", "gh", "i"]
    heights = [float(t.attrib["y"]) for t in root.iter(f"{SVG}text")][1:]
    assert [int(b - a) for a, b in pairwise(heights)] == [20, 20, 40]


def test_backgrounds_are_behind_their_characters() -> None:
    root = drawn(
        [Block("", [Mark("a"), Mark("b", 0.5), Mark("c", 1.0, BLUE), Mark("d", holds=True)])]
    )
    grounds = [r for r in root.iter(f"{SVG}rect") if "fill-opacity" in r.attrib]
    left = [float(g.attrib["x"]) for g in grounds]
    assert left == pytest.approx([16 + 8.4, 16 + 2 * 8.4], abs=0.06)
    assert [g.attrib["fill-opacity"] for g in grounds] == ["0.38", "0.75"]
    assert [g.attrib["fill"] for g in grounds] == [f"rgb{RED}", f"rgb{BLUE}"]
    (under,) = root.iter(f"{SVG}path")
    assert under.attrib["d"].startswith("M41.2")


def test_a_terminal_shows_the_same_and_no_control_character() -> None:
    shown = textmap.ansi(
        [Mark("a"), Mark("b", 1.0), Mark("\n", 0.9), Mark("\x1b", 0.5, BLUE), Mark("c", holds=True)]
    )
    assert shown.startswith("a\x1b[48;5;203m\x1b[30mb\x1b[0m")  # the strongest red
    assert shown.endswith("\x1b[4mc\x1b[0m")
    assert shown.count("\n") == 1
    left = re.sub(r"\x1b\[(48;5;\d+|30|4|0)m", "", shown)
    assert "\x1b" not in left and left.replace("\n", "").startswith("ab↵")


def test_a_sample_is_the_redder_the_less_likely_it_was() -> None:
    marks = textmap.likelihood("ab", [("c", 1.0), ("d", 2**-4), ("e", 2**-8), ("f", 0.0)])
    assert [mark.text for mark in marks] == list("abcdef")
    assert [mark.strength for mark in marks[:5]] == [0, 0, 0, 0.5, 1]
    assert marks[5].strength > 1 and marks[5].ground.endswith("0.75)")
    assert textmap.likelihood_legend()[0].text == "100 %"


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_well_formed_and_complete(text: str) -> None:
    root = drawn([Block(text, [Mark(c, 0.5) for c in text])], columns=10)
    seen = "".join(lines(root)).replace("⏎", "")
    wanted = "".join(textmap.in_text(c) for c in text if c not in "\n⏎").replace("\t", " ")
    assert seen.split() == wanted.split() or seen.replace(" ", "") == wanted.replace(" ", "")


def test_a_character_without_a_value_has_no_background() -> None:
    assert Mark("a", math.nan).ground == Mark("a", 0.0).ground == ""
    assert Mark("a", 5.0).ground == "rgb(200 50 30/0.75)"


def luminance(colour: Sequence[float]) -> float:
    """Relative luminance of (red, green, blue), each from 0 to 255, as WCAG 2 defines it."""
    parts = [c / 255 for c in colour]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", [RED, BLUE])
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_on_the_strongest_background_can_be_read(
    colour: tuple[int, int, int], mode: str
) -> None:
    inks = (PAPER, INK) if mode == "light" else (DARK[PAPER], DARK[INK])
    paper, ink = ([int(each[at : at + 2], 16) for at in (1, 3, 5)] for each in inks)
    share = Mark("a", 1.0, colour).opacity
    behind = [share * c + (1 - share) * p for c, p in zip(colour, paper, strict=True)]
    low, high = sorted((luminance(ink), luminance(behind)))
    assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG AA


def test_a_picture_has_a_dark_mode() -> None:
    source = textmap.svg([Block("a", [Mark("b", holds=True)])])
    dark = source[source.index("(prefers-color-scheme: dark)") : source.index("</style>")]
    for exchanged in (f'[fill="{PAPER}"]', f'[stroke="{INK}"]'):
        assert exchanged in dark
    assert f"svg,svg text{{fill:{DARK[INK]}}}" in dark


def test_a_unit_is_blue_below_its_mean_and_red_above() -> None:
    marks = textmap.activation("abc", np.array([-1.0, 0.0, 2.0]), [True, False, False], 0.0)
    assert [mark.colour for mark in marks] == [BLUE, RED, RED]
    assert marks[0].strength < marks[2].strength and marks[1].strength == 0
    assert [mark.holds for mark in marks] == [True, False, False]


def test_score_draws_what_it_read(charlm: Invoke, trained: Path, tmp_path: Path, text: str) -> None:
    path, figure = tmp_path / "t.txt", tmp_path / "t.svg"
    path.write_text(text[:300], encoding="utf-8")
    assert charlm("score", trained, path, "--figure", figure).stdout == f"{figure}\n"
    root = ElementTree.parse(figure).getroot()
    lm = package.load(trained)
    bits = reading.read(lm.engine, lm.tokenizer, text[:300]).bits
    strong = [g for g in root.iter(f"{SVG}rect") if "fill-opacity" in g.attrib][4:]  # the legend
    assert len(strong) == np.sum(bits / textmap.MOST_BITS >= 0.02)
    refused = charlm("score", trained, path, "--figure", tmp_path / "t.png")
    assert refused.exit_code == 2 and "ends in .svg" in refused.stderr


def test_sample_draws_what_it_wrote(charlm: Invoke, trained: Path, tmp_path: Path) -> None:
    figure = tmp_path / "s.svg"
    options = ("--seed", 3, "--length", 120, "--prompt", "il ")
    assert charlm("sample", trained, "--show-probs", "--figure", figure, *options).exit_code == 0
    root = ElementTree.parse(figure).getroot()
    written = package.load(trained).sample("il ", **vars(SampleConfig(seed=3, length=120)))
    seen = "".join(lines(root)[1:]).replace("⏎", "")
    assert seen.split() == ("il " + written).replace("\n", "").split() or (
        seen.replace(" ", "") == ("il " + written).replace("\n", "").replace(" ", "")
    )
    refused = charlm("sample", trained, "--figure", figure)
    assert refused.exit_code == 2 and "--show-probs" in refused.stderr
