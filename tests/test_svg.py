"""SVG figures keep their light colours, have dark ones, and fit into a page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from charlm import svg

FIGURE = (
    '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg xmlns="http://www.w3.org/2000/svg" '
    'xmlns:xlink="http://www.w3.org/1999/xlink" width="300pt" height="100pt" '
    'viewBox="0 0 300 100"><defs><path id="a" style="stroke: #0072b2"/></defs>'
    '<use xlink:href="#a" style="fill: #ffffff; stroke: #0072b2"/>'
    '<rect fill="#b2182b" fill-opacity="0.5" clip-path="url(#a)"/>'
    '<text style="font-size: 8px; font-family: x">0</text><text font-size="12">1</text></svg>'
)


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb" as WCAG 2 defines it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_by_hand() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("light", [c for c in svg.DARK if c not in (svg.PAPER, "#dddddd")])
def test_every_colour_stands_out_in_both_schemes(light: str) -> None:
    text = light in (svg.INK, "#000000", "#555555", "#666666")
    least = 4.5 if text else 3.0  # WCAG 2: text, and other parts of a figure
    assert contrast(light, svg.PAPER) >= least
    assert contrast(svg.DARK[light], svg.DARK[svg.PAPER]) >= least


def test_dark_mode_exchanges_the_colours_and_changes_nothing_else() -> None:
    made = svg.adaptive(FIGURE)
    ElementTree.fromstring(made)
    style = made[made.index("<style>") : made.index("</style>") + len("</style>")]
    assert made.replace(style, "") == FIGURE
    assert "@media (prefers-color-scheme: dark)" in style
    rules = dict(re.findall(r"\],\[([^\]]+)\]\{([^}]+)\}", style))
    assert rules == {
        'fill="#ffffff"': "fill:#16181c!important",
        'stroke="#0072b2"': "stroke:#56b4e9!important",
        'fill="#b2182b"': "fill:#e8604c!important",
    }


def test_an_inlined_figure_is_as_wide_as_its_smallest_text_needs() -> None:
    made = svg.inline(FIGURE, "one")
    root = ElementTree.fromstring(made)
    assert "width" not in root.attrib and "height" not in root.attrib
    least = int(re.findall(r"min-width:(\d+)px", root.attrib["style"])[0])
    assert 8 * least / 300 == pytest.approx(svg.SMALLEST, abs=0.02)
    assert int(re.findall(r"max-width:(\d+)px", root.attrib["style"])[0]) > least
    assert svg.inline('<svg viewBox="0 0 10 20"></svg>', "b").count("min-width:10px") == 1


def test_inlined_figures_share_no_id() -> None:
    one, two = svg.inline(FIGURE, "one"), svg.inline(FIGURE, "two")
    assert "<?xml" not in one and "DOCTYPE" not in one
    ids = [re.findall(r'\bid="([^"]+)"', each) for each in (one, two)]
    assert ids == [["one-a"], ["two-a"]]
    assert 'href="#one-a"' in one and "url(#one-a)" in one
