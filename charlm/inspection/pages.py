"""HTML that needs nothing else: one file, no network, light and dark. Every text is escaped."""

from __future__ import annotations

import json
from html import escape

from charlm.inspection.reading import Reading
from charlm.tokenizer import Tokenizer

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fdfdfb; --faint: #8886; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e3; --paper: #16181c; } }
body { font: 1rem/1.55 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; color: var(--ink); background: var(--paper); }
.heat { font: .95rem/1.7 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere;
  border: 1px solid var(--faint); border-radius: .4rem; padding: .8rem; }
.heat span:hover { outline: 2px solid var(--ink); }
#told { position: fixed; display: none; padding: .5rem .7rem; border-radius: .4rem; z-index: 9;
  background: var(--ink); color: var(--paper); font: .85rem/1.4 ui-monospace, monospace;
  white-space: pre; pointer-events: none; max-width: 90vw; }
.scroll { overflow-x: auto; background: #fff; border-radius: .4rem; }
.legend span { padding: .1rem .45rem; font: .85rem ui-monospace, monospace; }
"""

# Each character's figures stand in the page once, as JSON; a box follows the pointer or the finger.
SCRIPT = """
const told = document.getElementById("told");
const data = JSON.parse(document.getElementById("data").textContent);
function tell(event) {
  const place = event.target.dataset && event.target.dataset.n;
  if (place === undefined) { told.style.display = "none"; return; }
  const [character, bits, expected] = data[place];
  told.textContent = character + "  " + bits + " bits" +
    expected.map(([c, share]) => "\\n" + share.padStart(6) + " %  " + c).join("");
  told.style.display = "block";
  const box = told.getBoundingClientRect();
  told.style.left = Math.max(4, Math.min(event.clientX + 12, innerWidth - box.width - 8)) + "px";
  const below = event.clientY + 18;
  told.style.top = (below + box.height > innerHeight ? event.clientY - box.height - 12 : below) +
    "px";
}
for (const kind of ["mousemove", "click"]) document.addEventListener(kind, tell);
"""


def shown(symbol: str) -> str:
    """A symbol as it can be seen: white space and what is not printed by its name."""
    names = {"\n": "⏎", "\t": "⇥", " ": "␣", "\r": "␍"}
    if symbol in names:
        return names[symbol]
    return symbol if symbol.isprintable() else f"U+{ord(symbol[0]):04X}"


def symbol_name(tokenizer: Tokenizer, token: int) -> str:
    """A symbol of the vocabulary as it can be seen; a byte that is no character in hexadecimal."""
    text = tokenizer.decode([token])
    if tokenizer.kind == "byte" and token >= 0x80:
        return f"0x{token:02X}"
    return shown(text)


def heat_map(reading: Reading, tokenizer: Tokenizer, highest: float = 8.0) -> str:
    """The text as spans, each on a ground as strong as it was surprising, and what the box under
    the pointer says of it."""
    spans, facts = [], []
    for place, character in enumerate(reading.characters):
        bits = reading.bits[place]
        known = bits == bits
        strength = min(1.0, bits / highest) if known else 0.0
        expected = [
            [symbol_name(tokenizer, int(token)), f"{100 * share:.1f}"]
            for token, share in zip(reading.expected[place], reading.shares[place], strict=True)
            if token >= 0
        ]
        facts.append([shown(character), f"{bits:.2f}" if known else "-", expected])
        text = (
            "⏎\n"
            if character == "\n"
            else character
            if character.isprintable()
            else (character if character in "\t" else shown(character))
        )
        style = f' style="background:rgb(220 60 30/{strength:.2f})"' if strength >= 0.02 else ""
        spans.append(f'<span data-n="{place}"{style}>{escape(text)}</span>')
    steps = "".join(
        f'<span style="background:rgb(220 60 30/{level / 4:.2f})">{highest * level / 4:g}</span>'
        for level in range(5)
    )
    # "<" must not end the script element; JSON may spell it otherwise.
    payload = json.dumps(facts, ensure_ascii=True).replace("<", "\\u003c")
    return (
        f'<p class="legend">bits {steps}</p><div class="heat">{"".join(spans)}</div>'
        f'<div id="told"></div><script type="application/json" id="data">{payload}</script>'
    )


def page(title: str, body: str) -> str:
    """A page around ``body``, which is HTML already."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{STYLE}</style></head><body>
<h1>{escape(title)}</h1>
{body}
</body></html>
"""


def score_page(reading: Reading, tokenizer: Tokenizer, title: str) -> str:
    """A page with the heat map of one text."""
    score = reading.score
    return page(
        title,
        f"""<p>{score.bits_per_char:.4f} bits per character over {score.characters:,} characters.
The stronger the ground, the less the model expected the character; point at one to see what it
expected.</p>
{heat_map(reading, tokenizer)}
<script>{SCRIPT}</script>""",
    )
