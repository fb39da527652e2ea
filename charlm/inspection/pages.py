"""HTML that needs nothing else: one file, no network, light and dark. Every text is escaped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

import numpy as np

from charlm.inspection.neurons import Activations, Found, labels
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


def neurons_page(found: Sequence[Found], seen: Activations, model: str, length: int = 1500) -> str:
    """Each label's best unit on the end of the text, coloured by its activation: blue is low, red
    high, white its mean; a line under the character where the label holds."""
    parts = [
        "<p>The unit that tells each label best. The area under its ROC curve (AUC) is that on the "
        "half of the text that it was not chosen on; 0.5 is chance. Blue is low, red is high; "
        "underlined is where the label holds.</p>"
    ]
    text = seen.text[-length:]
    holds = {name: label[-length:] for name, label in labels(seen.text).items()}
    for each in found:
        values = seen.values[:, each.layer * seen.hidden_size + each.unit]
        spread = max(1e-9, float(np.quantile(np.abs(values - values.mean()), 0.95)))
        spans = []
        for character, value, inside in zip(
            text, (values[-length:] - values.mean()) / spread, holds[each.label], strict=True
        ):
            colour = "33 102 172" if value < 0 else "178 24 43"
            line = ";text-decoration:underline" if inside else ""
            shown_as = (
                "⏎\n"
                if character == "\n"
                else (
                    character if character.isprintable() or character == "\t" else shown(character)
                )
            )
            ground = f"rgb({colour}/{0.75 * min(1.0, abs(float(value))):.2f})"
            spans.append(f'<span style="background:{ground}{line}">{escape(shown_as)}</span>')
        parts.append(
            f"<h2>{escape(each.label)}</h2><p>layer {each.layer + 1}, unit {each.unit}: AUC "
            f"{each.auc:.3f} (by chance {each.chance:.3f}; the current character alone "
            f"{each.by_character:.3f}); held at its mean it costs {each.bits:+.4f} bits per "
            f'character</p><div class="heat">{"".join(spans)}</div>'
        )
    return page(f"Units of {model}", "".join(parts))
