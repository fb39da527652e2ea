"""The tables of docs/scaling.md, from the latest results of ``benchmarks/distributed.py``.

    python benchmarks/scaling.py [--results FILE]

    efficiency = compute / (compute + message)
    compute    = seconds of one update of one machine, as measured
    message    = 8 N bytes / bandwidth

N parameters take 4 bytes each, and a sum over machines in a ring sends and receives each number
about twice (2 (m - 1) / m times for m machines). Every machine reads its own 64 rows of 64
characters, so the global batch grows with the machines.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

ROWS = 64 * 64
"""Characters of one machine's part of a batch."""


def efficiency(compute: float, numbers: int, machines: int, gigabits: float) -> float:
    """The share of the time in which the machines compute.

    >>> round(efficiency(0.1, 2_000_000, 64, 1.0), 2)
    0.44
    """
    message = 8 * numbers * (machines - 1) / machines / (gigabits * 1e9 / 8)
    return compute / (compute + message)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    folder = Path(__file__).parent / "results"
    files = [options.results] if options.results else sorted(folder.glob("*.json"), reverse=True)
    found = next(
        results["distributed"]
        for results in (json.loads(file.read_text(encoding="utf-8")) for file in files)
        if "distributed" in results
    )
    for size, result in found.items():
        best = max(
            statistics.median(each) for way, each in result["rates"].items() if "one p" in way
        )
        compute = ROWS / best
        hidden = int(size.partition("x")[2])
        numbers = result["numbers"]
        print(
            f"\n{size}: {1e3 * compute:.0f} ms an update of one machine, {numbers:,} parameters\n"
        )
        print("| machines | 1 Gbit/s | 10 Gbit/s | 25 Gbit/s | 100 Gbit/s |")
        print("| --- | --- | --- | --- | --- |")
        for machines in (2, 4, 8, 16, 32, 64):
            row = [efficiency(compute, numbers, machines, g) for g in (1, 10, 25, 100)]
            cells = " | ".join(f"{100 * e:.0f} % ({machines * e:.1f})" for e in row)
            print(f"| {machines} | {cells} |")
        print(f"\n(hidden size {hidden}; in parentheses: how many times the speed of one machine)")
        for amount, name in ((1e9, "a billion"), (1e12, "a trillion")):
            hours = amount / best / 3600
            print(f"{name} characters: {hours:,.1f} hours of one such machine")


if __name__ == "__main__":
    main()
