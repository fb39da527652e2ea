"""Which characters moved a reader's answer (``charlm.inspection.saliency`` shows them)."""

from __future__ import annotations

import numpy as np

from charlm.errors import RequestError
from charlm.experiments.position_invariance.ask import NO_ANSWER, Panel, occlusion
from charlm.inspection.saliency import Saliency

LONGEST = 1000
"""The largest number of characters in a sentence whose saliency is shown."""


def of(panel: Panel, name: str, text: str, answer: str) -> Saliency:
    """The saliency of a reader's answer; it reads the text once without each character.

    Raises RequestError if there is no answer to explain or the text is too long.
    """
    if answer in ("", NO_ANSWER):
        raise RequestError("there is no answer to explain; leave out --saliency and --html")
    text = " ".join(text.split())
    if len(text) > LONGEST:
        raise RequestError(
            f"the sentence has {len(text):,} characters; give one of at most {LONGEST:,}"
        )
    nats = np.mean([occlusion(reader, text, answer) for reader in panel.members(name)], axis=0)
    return Saliency(text, nats)
