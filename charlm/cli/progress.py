"""The progress of training: a bar on a colour terminal, otherwise only a line per evaluation."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from tqdm import tqdm

from charlm import launch
from charlm.cli.terminal import say, use_colour
from charlm.display import printable
from charlm.surprisal import LN2


def bar(total: int, *, initial: int = 0, unit: str = "it", delay: float = 0.0) -> tqdm[Any] | None:
    """A progress bar on stderr, or None if stderr is no terminal or NO_COLOR is set.

    delay: seconds before it is drawn
    """
    if not use_colour(sys.stderr) or launch.rank() > 0:
        return None
    return tqdm(
        total=total,
        initial=initial,
        unit=unit,
        delay=delay,
        file=sys.stderr,
        dynamic_ncols=True,
        ascii=None if "utf" in (sys.stderr.encoding or "").lower() else True,
        colour="cyan",
        bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}, {remaining} left",
    )


@contextlib.contextmanager
def reading_bar(unit: str = "symbols") -> Iterator[Callable[[int, int], object]]:
    """A bar for the exact pass over a text: call what is yielded with (symbols read, all symbols).
    It is drawn if the pass takes more than a second, and removed at the end.

    unit: what is counted, symbols or items
    """
    drawn: tqdm[Any] | None = None

    def advanced(done: int, total: int) -> None:
        nonlocal drawn
        drawn = drawn or bar(total, unit=unit, delay=1.0)
        if drawn is not None:
            drawn.leave = False
            if unit == "symbols":
                drawn.set_postfix_str("exact loss", refresh=False)
            drawn.update(done - drawn.n)

    try:
        yield advanced
    finally:
        if drawn is not None:
            drawn.close()


class ProgressReporter:
    """Prints the progress of training on stderr; implements ``charlm.training.trainer.Reporter``.

    symbols_per_char: the mean number of symbols in a character: 1, or more with bytes
    unit: what the loss is counted by, char or item
    """

    def __init__(self, steps: int, step: int, symbols_per_char: float, unit: str = "char") -> None:
        self._steps, self._unit = steps, unit
        self._symbols_per_char = symbols_per_char
        self._nats: float | None = None  # a moving average, which does not flicker
        self._characters = 0.0
        self._began = time.monotonic()
        self._bar = bar(steps, initial=step)

    def updated(self, step: int, nats: float, characters: int) -> None:
        nats *= self._symbols_per_char
        self._nats = nats if self._nats is None else 0.95 * self._nats + 0.05 * nats
        self._characters += characters / self._symbols_per_char
        if self._bar is not None:
            self._bar.set_postfix_str(
                f"loss {self._nats:.3f} nats = {self._nats / LN2:.3f} bits/{self._unit}, "
                f"{self.speed}",
                refresh=False,
            )
            self._bar.update(1)

    @property
    def speed(self) -> str:
        rate = self._characters / max(1e-9, time.monotonic() - self._began)
        each = f"{self._unit}/s"
        return f"{rate / 1000:.0f}k {each}" if rate >= 10_000 else f"{rate:.0f} {each}"

    def evaluated(self, record: dict[str, Any]) -> None:
        self._steps = record.get("planned_steps", self._steps)
        if self._bar is not None:
            self._bar.total = self._steps
        line = f"step {record['step']:>6,}/{self._steps:,}"
        unit = self._unit
        if record[f"train_nats_per_{unit}"] is not None:
            line += f"  train {record[f'train_nats_per_{unit}']:.4f} nats"
        if f"val_nats_per_{unit}" in record:
            line += (
                f"  validation {record[f'val_nats_per_{unit}']:.4f} nats = "
                f"{record[f'val_bits_per_{unit}']:.4f} bits/{unit}"
            )
            line += " *" if record["best"] else "  "
        if self._characters:
            line += f"  {self.speed}"
        self.say(line)

    def sampled(self, text: str) -> None:
        self.say("--- sample", *printable(text).splitlines(), "---")

    def say(self, *lines: str) -> None:
        """Print lines on stderr, above the bar if there is one."""
        with contextlib.suppress(OSError):
            if self._bar is not None:
                self._bar.clear()
            for line in lines:
                say(line)
            if self._bar is not None:
                self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
