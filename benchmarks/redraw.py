"""Draw the figures and the page of an experiment again, from its results; trains nothing.

python benchmarks/redraw.py [FOLDER ...]        the default is both of docs/
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent / "docs"


def position_invariance(content: dict[str, Any], folder: Path) -> list[Path]:
    """The figures of a position experiment, and its page."""
    from charlm.experiments.position_invariance import page, plots
    from charlm.experiments.position_invariance.measures import Results

    results = Results(content)
    drawn = plots.draw_all(results, folder / "figures")
    (folder / "page.html").write_text(page.html(results, folder / "figures"), "utf-8")
    return [*drawn, folder / "page.html"]


def pages(content: dict[str, Any], folder: Path) -> list[Path]:
    """The figures of a page experiment, and its page."""
    from charlm.experiments.page import htmlpage, plots
    from charlm.experiments.page.measures import Results

    results = Results(content)
    tests = results.design.tests(content["config"]["per_place"])  # the same pages again
    drawn = plots.draw_all(results, folder / "figures")
    (folder / "page.html").write_text(htmlpage.html(results, tests, folder / "figures"), "utf-8")
    return [*drawn, folder / "page.html"]


def main() -> None:
    folders = [Path(each) for each in sys.argv[1:]]
    for folder in folders or [DOCS / "position-invariance", DOCS / "page"]:
        content = json.loads((folder / "results.json").read_text("utf-8"))
        draw = (
            pages if content["config"]["format"].startswith("charlm-page/") else position_invariance
        )
        for drawn in draw(content, folder):
            print(drawn)


if __name__ == "__main__":
    main()
