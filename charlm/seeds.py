"""Seeds for every random choice, derived from the user's seed, a purpose and a training step.

Every generator is seeded again at each step. So a checkpoint stores no random state, any step can
be computed without the steps before it, and evaluating or sampling between two steps does not
change them.
"""

from __future__ import annotations

import numpy as np

_PURPOSES = ("streams", "weights", "dropout", "sampling", "timing", "examples", "choosing")


def derive(seed: int, purpose: str, step: int = 0, rank: int = 0) -> int:
    """A 63-bit seed for one purpose (see ``_PURPOSES``), one step and one process (``rank``).

    NumPy guarantees that ``SeedSequence`` returns the same numbers in every version and on every
    platform. It does not guarantee this for its generators.

    >>> derive(1, "streams", step=7), derive(1, "streams", step=8)
    (4081306263034554771, 8210927908896119760)
    """
    entropy = (seed, _PURPOSES.index(purpose), step, rank)
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))
