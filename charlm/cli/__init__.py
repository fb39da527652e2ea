"""The command ``charlm``: one short module per subcommand, imported when it is called.

stdout carries results, stderr carries messages. Exit codes: 0 done, 1 failed, 2 wrong request, 130
or 143 interrupted. An error is one line (``charlm.cli.failures``); --debug shows its traceback.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import warnings
from typing import Any

import click

from charlm import __version__, launch
from charlm.cli import failures
from charlm.cli.options import HELP, Group
from charlm.cli.terminal import discard, say
from charlm.text import cache

# The engine multiplies small matrices: a second BLAS thread gains little (18 instead of 22 us per
# character at LSTM 1x256), and on a busy machine every product waits for it (43 instead of 29 us).
# NumPy reads this variable when it is imported; torch has its own threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# torch's threads (GNU OpenMP) wait for each other by spinning, for milliseconds. If another program
# has one of the cores, the thread that spins keeps the one it waits for from running; and after
# each product they keep the threads of ``charlm.training.rows`` from running. A few microseconds
# are as good on an idle machine (docs/log.md). torch reads this variable when it is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

_COMMANDS = (
    "train",
    "sweep",
    "sample",
    "rewrite",
    "eval",
    "score",
    "classify",
    "tag",
    "compare",
    "inspect",
    "report",
    "info",
    "corpus",
    "experiment",
)


class _Charlm(Group):
    """Imports a command's module when the command is used; every failure is one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"charlm.cli.{name}").command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with failures.one_line(ctx, debug="--debug" in args):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with failures.one_line(ctx, debug=ctx.params["debug"]):
            return super().invoke(ctx)


@click.group("charlm", cls=_Charlm, context_settings=HELP)
@click.version_option(__version__, prog_name="charlm")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Train character-level language models on your own text, and use and inspect them.

    \b
    charlm train book.txt             train a model and save it in checkpoints/book
    charlm sample                     write text with the newest model
    charlm eval book other.txt        bits per character of a text, with baselines
    charlm score book other.txt       the surprisal of each character of a text
    charlm report book                write one page with everything about a run
    charlm corpus make viaggi         make a text to train on
    """
    # A stream that was closed before the start is None, which has no methods.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    if launch.rank() > 0:
        discard(sys.stdout)  # the process of rank 0 prints the results
    cache.announce = say
    if not debug:
        # Libraries warn about numbers; charlm checks the ones that matter itself.
        warnings.simplefilter("ignore")
    for stream in (sys.stdout, sys.stderr):
        # If the encoding lacks a character, print its escape instead of failing.
        if hasattr(stream, "reconfigure"):
            with contextlib.suppress(ValueError):
                stream.reconfigure(errors="backslashreplace")
