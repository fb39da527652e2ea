"""Draw the figures and the page of the position experiment again, from its results; trains nothing.

python benchmarks/redraw.py [FOLDER]        the default is docs/position-invariance
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from charlm.experiments.position_invariance import page, plots
from charlm.experiments.position_invariance.measures import Results


def main() -> None:
    docs = Path(__file__).resolve().parent.parent / "docs" / "position-invariance"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else docs
    results = Results(json.loads((folder / "results.json").read_text("utf-8")))
    for drawn in plots.draw_all(results, folder / "figures"):
        print(drawn)
    (folder / "page.html").write_text(page.html(results, folder / "figures"), "utf-8")
    print(folder / "page.html")


if __name__ == "__main__":
    main()
