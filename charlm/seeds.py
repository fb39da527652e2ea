"""Where all randomness comes from: a number derived from the seed, a purpose and a step.

No generator ever lives longer than one step, so there is no random state to store: any step can be
reached without running those before it, and what happens between two steps cannot disturb them.
"""

from __future__ import annotations

import numpy as np

_PURPOSES = ("streams", "weights", "dropout", "sampling", "timing", "examples")


def derive(seed: int, purpose: str, step: int = 0, rank: int = 0) -> int:
    """A 63-bit seed for one purpose at one step of one process.

    SeedSequence mixes well and is stable across NumPy versions and platforms by promise; the
    streams of NumPy's generators are not.

    >>> derive(1, "streams", step=7), derive(1, "streams", step=8)
    (4081306263034554771, 8210927908896119760)
    """
    entropy = (seed, _PURPOSES.index(purpose), step, rank)
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))
