"""HTML pages of the results of inspection. All text in them is escaped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from charlm import webpage
from charlm.inspection import textmap
from charlm.inspection.neurons import Activations, Found, labels
from charlm.inspection.reading import Reading
from charlm.inspection.textmap import shown
from charlm.text.tokenizer import Tokenizer

STYLE = """
.heat { font: .95rem/1.7 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere;
  border: 1px solid var(--faint); border-radius: .4rem; padding: .8rem; }
.heat span:hover { outline: 2px solid var(--ink); }
#told { position: fixed; display: none; padding: .5rem .7rem; border-radius: .4rem; z-index: 9;
  background: var(--ink); color: var(--paper); font: .85rem/1.4 ui-monospace, monospace;
  white-space: pre; pointer-events: none; max-width: 90vw; }
.legend span { padding: .1rem .45rem; font: .85rem ui-monospace, monospace; }
dl { display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; margin: 1rem 0; }
dt { color: var(--quiet); font-size: .85rem; } dd { margin: 0; overflow-wrap: anywhere; }
nav a { margin-right: .8rem; }
.ladder { width: 100%; } .ladder .bar { width: 70%; }
.bar i { display: block; height: .55rem; background: var(--faint); border-radius: .2rem; }
.own th, .own td, .own small { color: var(--own); font-weight: 600; }
.own .bar i { background: var(--own); }
"""
"""What these pages add to ``webpage.STYLE``."""

# The page holds each character's numbers once, as JSON; a box shows them at the pointer or finger.
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


def symbol_name(tokenizer: Tokenizer, token: int) -> str:
    """A symbol of the vocabulary made visible; a byte that is not ASCII in hexadecimal."""
    text = tokenizer.decode([token])
    if tokenizer.kind == "byte" and token >= 0x80:
        return f"0x{token:02X}"
    return shown(text)


def heat_map(reading: Reading, tokenizer: Tokenizer) -> str:
    """The text, each character on a background that shows its surprisal, and the data for the box
    that shows what the model expected there."""
    facts = []
    for place, character in enumerate(reading.characters):
        bits = reading.bits[place]
        expected = [
            [symbol_name(tokenizer, int(token)), f"{100 * share:.1f}"]
            for token, share in zip(reading.expected[place], reading.shares[place], strict=True)
            if token >= 0
        ]
        facts.append([shown(character), f"{bits:.2f}" if bits == bits else "-", expected])
    # "<" could end the script element; JSON can write it as an escape.
    payload = json.dumps(facts, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f'<p class="legend">{textmap.html_legend(textmap.surprise_legend())}</p>'
        f"{textmap.html(textmap.surprise(reading), numbered=True)}"
        f'<div id="told"></div><script type="application/json" id="data">{payload}</script>'
    )


def page(title: str, body: str) -> str:
    """A page under a heading; ``body`` is HTML."""
    return webpage.page(title, f"<h1>{escape(title)}</h1>\n{body}", STYLE)


def score_page(reading: Reading, tokenizer: Tokenizer, title: str) -> str:
    """A page with the heat map of one text."""
    score = reading.score
    return page(
        title,
        f"""<p>{score.bits_per_char:.4f} bits per character over {score.characters:,} characters; a
model that knows only its {tokenizer.vocab_size} symbols needs {reading.chance(tokenizer):.4f}.
Redder background: higher surprisal. Point at a character, or touch it, to see what the model
expected.</p>
{heat_map(reading, tokenizer)}
<script>{SCRIPT}</script>""",
    )


def neuron_blocks(
    found: Sequence[Found], seen: Activations, length: int = 1500
) -> list[textmap.Block]:
    """For each label, the end of the text coloured by the activation of the label's best unit.

    length: the largest number of characters
    """
    begin = max(0, len(seen.text) - length)
    line = seen.text.find("\n", begin, begin + length // 2)
    if begin and line >= 0:
        begin = line + 1  # start with a whole line
    text = seen.text[begin:]
    holds = labels(seen.text)
    return [
        textmap.Block(
            f"{each.label}\n{each.told}",
            textmap.activation(
                text,
                seen.unit(each)[begin:],
                holds[each.label][begin:],
                float(seen.unit(each).mean()),
            ),
        )
        for each in found
    ]


def neurons_body(found: Sequence[Found], seen: Activations, length: int = 1500) -> str:
    """The blocks of ``neuron_blocks`` as HTML, with an explanation."""
    parts = [
        "<p>For each label, the unit that predicts it best. Its AUC (area under the ROC curve) is "
        "measured on the half of the text that it was not chosen on; 0.5 is chance. Blue: low "
        "activation. Red: high activation. Underlined: the label applies.</p>"
    ]
    for each, block in zip(found, neuron_blocks(found, seen, length), strict=True):
        parts.append(
            f"<h3>{escape(each.label)}</h3><p>{escape(each.told)}</p>{textmap.html(block.marks)}"
        )
    return "".join(parts)


def neurons_page(found: Sequence[Found], seen: Activations, model: str) -> str:
    """A page with ``neurons_body``."""
    return page(f"Units of {model}", neurons_body(found, seen))
