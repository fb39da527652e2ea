"""How to install what charlm needs: the one place that gives this advice.

The name ``charlm`` on the package index belongs to another project, so the advice must work in a
clone of this one and must never name the package itself.
"""

from __future__ import annotations

EXTRAS = ("plots", "report", "data", "cluster", "fuzz", "browser", "dev")
"""The optional groups of packages in ``setup.cfg``."""


def how_to_install(extra: str = "") -> str:
    """What to type, in the clone, to install charlm with an extra; without one, charlm alone.

    >>> how_to_install("report")
    "pip install -e '.[report]' (in the clone of charlm)"
    """
    if extra and extra not in EXTRAS:
        raise ValueError(f"{extra!r} is not an extra of charlm: {', '.join(EXTRAS)}")
    target = f"'.[{extra}]'" if extra else "."
    return f"pip install -e {target} (in the clone of charlm)"
