"""The frame of every HTML page that charlm writes: one file, no network, light and dark mode, and
readable on a telephone."""

from __future__ import annotations

from html import escape

from charlm.svg import DARK, INK, PAPER

STYLE = f"""
:root {{ color-scheme: light dark;
  --ink: #1b1b1b; --paper: #fdfdfb; --quiet: #5c5c5a; --faint: #8886; --own: #0072b2; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: {DARK[INK]}; --paper: {DARK[PAPER]}; --quiet: #a8a6a2; --own: #6cb8ee; }} }}
body {{ font: 1rem/1.55 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; color: var(--ink); background: var(--paper); }}
h1, h2, h3 {{ line-height: 1.2; overflow-wrap: anywhere; }} h2 {{ margin-top: 2.5rem; }}
a {{ color: var(--own); }}
table {{ border-collapse: collapse; }}
th, td {{ text-align: left; padding: .15rem .7rem .15rem 0; vertical-align: baseline; }}
/* What is wider than the page scrolls by itself; a shadow at an edge says that there is more. */
.scroll {{ overflow-x: auto; background:
  linear-gradient(to right, var(--paper) 1rem, transparent 2rem) left / 100% 100% local,
  linear-gradient(to left, var(--paper) 1rem, transparent 2rem) right / 100% 100% local,
  linear-gradient(to right, var(--faint), transparent .6rem) left / 100% 100% scroll,
  linear-gradient(to left, var(--faint), transparent .6rem) right / 100% 100% scroll; }}
.scroll .paper, .scroll [id$="-patch_1"] {{ display: none; }} /* a figure's own background */
figure {{ margin: 1rem 0; }}
figure svg {{ display: block; height: auto; }}
.panels {{ display: flex; flex-wrap: wrap; align-items: flex-start; gap: 1rem; }}
.panels svg {{ flex: 1 1 20rem; }}
figcaption, .absent, small {{ color: var(--quiet); font-size: .9rem; }}
"""
"""Colours as variables, and what is common to text, tables and figures."""


def page(title: str, body: str, style: str = "") -> str:
    """A page around ``body``, which is HTML. ``style`` is added to ``STYLE``."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{STYLE}{style}</style></head><body>
{body}
</body></html>
"""


def scrolling(content: str) -> str:
    """``content``, which is HTML, in a box that scrolls sideways if it is wider than the page."""
    return f'<div class="scroll" tabindex="0">{content}</div>'
