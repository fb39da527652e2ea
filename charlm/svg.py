"""SVG figures that can be read in light and in dark mode, at any width, and several in one page.

A figure is drawn for white paper, in the colours of ``DARK``, and ``adaptive`` adds a style sheet
that exchanges them in dark mode. So a program that knows nothing of style sheets still shows the
light figure.
"""

from __future__ import annotations

import re

PAPER, INK = "#ffffff", "#1b1b1b"
DARK = {
    PAPER: "#16181c",
    INK: "#e8e6e3",
    "#000000": "#e8e6e3",  # matplotlib's own lines
    "#555555": "#b3b1ad",  # secondary text
    "#666666": "#a5a39f",  # a grey line
    "#dddddd": "#3b3e44",  # grid lines
    # Okabe & Ito, some of them darkened until they stand out on white.
    "#0072b2": "#56b4e9",
    "#3a93c8": "#9ad4f5",
    "#d55e00": "#ff9a4d",
    "#008a64": "#35d0a0",
    "#c0568f": "#e6a0c8",
    "#a57c00": "#e0b93a",
    # Values: negative, positive, and the opening of a gate.
    "#2166ac": "#5aa2e0",
    "#b2182b": "#e8604c",
    "#1b7837": "#5bbf7a",
}
"""From a colour on white paper to the same on dark paper. Text has a contrast of at least 4.5 and
a line of at least 3 in both (WCAG 2), grid lines excepted."""

SMALLEST = 9.5
"""Pixels: no text of a figure in a page is drawn smaller."""
_LARGEST = (
    1.35  # times its own size: on a wide screen a figure's text is not larger than the page's
)


def adaptive(svg: str) -> str:
    """An SVG whose colours follow the reader's colour scheme. Colours that are not in ``DARK`` stay
    as they are."""
    paper, ink = DARK[PAPER], DARK[INK]
    exchanged = [
        f'[style*="{kind}: {light}"],[{kind}="{light}"]{{{kind}:{dark}!important}}'
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
        if f"{kind}: {light}" in svg or f'{kind}="{light}"' in svg
    ]
    style = (
        "<style>@media (prefers-color-scheme: dark){"
        f"svg:root{{color-scheme:dark;background:{paper}}}"
        f"svg,svg text{{fill:{ink}}}"  # without a fill of their own, shapes and text are black
        f"{''.join(exchanged)}}}</style>"
    )
    return re.sub(r"<svg\b[^>]*>", lambda root: root[0] + style, svg, count=1)


def inline(svg: str, prefix: str) -> str:
    """A figure as an element of a page: as wide as the page allows, but never so narrow that its
    text cannot be read (the page must let it scroll) or much larger than it was drawn.

    The prologue, which only a file of its own may have, is left out, and ``prefix`` makes its ids
    unlike those of the page's other figures.
    """
    svg = svg[svg.index("<svg") :]
    sizes = re.findall(r"\bfont(?:-size)?:\s*(?:[\w-]+ )*?([\d.]+)px", svg)
    sizes += re.findall(r'\bfont-size="([\d.]+)(?:px)?"', svg)
    width = float(re.findall(r'viewBox="\S+ \S+ (\S+) \S+"', svg)[0])
    least = width * SMALLEST / min(map(float, sizes), default=SMALLEST)
    style = (
        f'style="width:100%;min-width:{least:.0f}px;max-width:{max(least, _LARGEST * width):.0f}px"'
    )
    svg = re.sub(
        r"<svg\b[^>]*>",
        lambda root: re.sub(r' (?:width|height)="[^"]*"', "", root[0])[:-1] + f" {style}>",
        svg,
        count=1,
    )
    return distinct(svg, prefix)


def distinct(svg: str, prefix: str) -> str:
    """The figure with ids that begin with ``prefix``: two figures of one library share names."""
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
