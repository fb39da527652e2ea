"""Small lists with and without labels, and a run on each kind: what several test files share."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

SYLLABLES = {"it": ["ma", "ro", "lu", "ca", "ni"], "de": ["hel", "mut", "ber", "gang", "fri"]}
ACCENTS = {"é": "e", "è": "e", "ì": "i"}


def names() -> list[tuple[str, str]]:
    """240 names of two kinds, sorted, as lists are."""
    rng = random.Random(1)
    found: set[tuple[str, str]] = set()
    while len(found) < 240:
        label = rng.choice(sorted(SYLLABLES))
        name = "".join(rng.choices(SYLLABLES[label], k=rng.randint(1, 4)))
        found.add((name.capitalize(), label))
    return sorted(found)


def plain(text: str) -> str:
    return "".join(ACCENTS.get(c, c) for c in text)


def write_lists(path: Path) -> None:
    """names.txt, names.tsv and accents.tsv, in a directory."""
    pairs = names()
    path.joinpath("names.txt").write_text("".join(f"{name}\n" for name, _ in pairs))
    path.joinpath("names.tsv").write_text("".join("\t".join(pair) + "\n" for pair in pairs))
    rng = random.Random(2)
    words = ["perché", "è", "così", "casa", "sera", "no"]
    texts = [" ".join(rng.choices(words, k=rng.randint(1, 4))) for _ in range(120)]
    lines = "".join(f"{plain(text)}\t{text}\n" for text in texts)
    path.joinpath("accents.tsv").write_text(lines, encoding="utf-8")


KINDS = {
    "items": ("names.txt", "--items"),
    "labelled": ("names.tsv", "--labelled"),
    "classify": ("names.tsv", "--task", "classify"),
    "tag": ("accents.tsv", "--task", "tag"),
}
FEW = [
    *("--device", "cpu", "--precision", "float32", "--optimizer", "adamw", "--batch-size", 24),
    *("--learning-rate", 0.02, "--hidden-size", 12, "--eval-every", 20),
]


def train_all(lists: Path, out: Path, charlm: Callable[..., Result]) -> dict[str, Path]:
    """A finished run of every kind on the lists of a directory."""
    for kind, (file, *how) in KINDS.items():
        result = charlm(
            *("train", lists / file, *how, "--name", kind, "--out", out, *FEW, "--steps", 60)
        )
        assert result.exit_code == 0, result.output
        out.joinpath(kind, "said").write_text(result.output)
    return {kind: out / kind for kind in KINDS}
