"""How to install missing packages: one function says it, in a form that works from a clone."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from charlm.extras import EXTRAS, how_to_install

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("charlm", "docs", "corpora", "checkpoints", "benchmarks", "examples", "tests/fuzz")


def texts() -> Iterator[Path]:
    yield from ROOT.glob("*.md")
    for place in PLACES:
        for kind in ("py", "md", "html"):
            yield from (ROOT / place).rglob(f"*.{kind}")


def advice(text: str) -> list[str]:
    """Whatever tells a reader to install charlm in another way than from a clone."""
    return re.findall(r"charlm\[|pip install (?:-U |--upgrade )?['\"]?charlm\b", text)


def test_the_extras_are_those_of_the_metadata() -> None:
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg", encoding="utf-8")
    assert set(metadata["options.extras_require"]) == set(EXTRAS)


def test_the_advice_works_in_a_clone() -> None:
    assert how_to_install("report").startswith("pip install -e '.[report]' ")
    assert how_to_install().startswith("pip install -e . ")
    with pytest.raises(ValueError, match="not an extra"):
        how_to_install("graphs")


def test_no_page_and_no_module_names_the_package_of_that_name() -> None:
    """On the package index, ``charlm`` belongs to another project."""
    found = [path for path in texts() if advice(path.read_text("utf-8"))]
    assert not found


def test_only_one_function_advises_in_the_code() -> None:
    modules = [
        path.name
        for path in (ROOT / "charlm").rglob("*.py")
        if "pip install" in path.read_text("utf-8")
    ]
    assert modules == ["extras.py"]


@pytest.mark.parametrize(
    "text", ['pip install "charlm[plots]"', "``charlm[data]``", "pip install charlm", "charlm[x"]
)
def test_the_search_finds_such_advice(text: str) -> None:
    assert advice(text)
    assert not advice("pip install -e '.[plots]' -c constraints.txt")
