"""Several SVG figures in one page."""

from __future__ import annotations

import re


def distinct(svg: str, prefix: str) -> str:
    """A figure's element, without the prologue that only a file of its own has, and with ids unlike
    those of the page's other figures: two figures of one library name their parts alike."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
