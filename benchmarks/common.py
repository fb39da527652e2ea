"""Shared by the benchmarks: a description of the machine, the path of tinyshakespeare, and the
vocabulary of pages."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charlm.experiments.page.design import Design
    from charlm.experiments.page.readers import Kind, Reader, Vocabulary
    from charlm.experiments.page.training import Material

SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def add_corpus_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--corpus", type=Path, help="tinyshakespeare, if it is not at corpora/shakespeare.txt"
    )


def shakespeare(given: Path | None) -> Path:
    """The verified file, so that figures from different machines refer to the same text."""
    from charlm.text.reading import text_sha256

    path = given or Path(__file__).parent.parent / "corpora" / "shakespeare.txt"
    if not path.exists():
        raise SystemExit(f"{path} does not exist: run `charlm corpus get shakespeare` first")
    if text_sha256(path.read_text(encoding="utf-8")) != SHAKESPEARE_SHA256:
        raise SystemExit(f"{path} is not char-rnn's tinyshakespeare")
    return path


def page_vocabulary(design: Design, pages: int = 2000) -> Vocabulary:
    """The characters of so many pages, which are all that the grammar writes."""
    from charlm.experiments.page.readers import Vocabulary

    return Vocabulary.of("".join("".join(page.rows) for page in islice(design.training(0), pages)))


def page_cell(kind: Kind, seed: int, steps: int) -> tuple[Reader, Material, Material]:
    """A new reader of pages, what it is trained on and what it is validated on, as in a cell of
    ``charlm experiment page``."""
    from charlm.experiments.page.design import standard
    from charlm.experiments.page.grid import VALIDATION
    from charlm.experiments.page.readers import build, shape_of
    from charlm.experiments.page.training import BATCH_SIZE, Material
    from charlm.seeds import derive

    design = standard()
    vocabulary = page_vocabulary(design)
    reader = build(kind, shape_of(kind, vocabulary), vocabulary, derive(seed, "weights"))
    material = Material.of(vocabulary, design.training(seed), steps * BATCH_SIZE)
    return reader, material, Material.of(vocabulary, design.validation(seed), VALIDATION)


def describe() -> str:
    """One line: processor, cores, versions, date."""
    import numpy
    import torch

    import charlm

    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    bf16 = [
        name
        for name, has in (
            ("AVX512_BF16", torch.cpu._is_avx512_bf16_supported()),
            ("AMX", torch.cpu._is_amx_tile_supported()),
        )
        if has
    ]
    return (
        f"{model} ({', '.join(bf16) or 'no bfloat16'}), {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads; charlm {charlm.__version__}, torch "
        f"{torch.__version__}, NumPy {numpy.__version__}, Python {platform.python_version()}; "
        f"{datetime.date.today()}"
    )


def save(benchmark: str, results: object) -> None:
    """Add the results of one benchmark to ``results/MACHINE-DATE.json``, beside this file."""
    machine = describe()
    name = re.sub(r"\W+", "-", machine.split(" (", 1)[0]).strip("-").lower()
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{datetime.date.today()}.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known |= {"machine": machine, benchmark: results}
    path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(f"\nsaved in {path}")
