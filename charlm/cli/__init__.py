"""The command ``charlm``: one short module per subcommand, imported when it is called.

stdout carries results, stderr carries talk. Every CharlmError ends as one line and an exit code:
0 done, 1 could not, 2 the request is wrong, 130 or 143 interrupted. No traceback without --debug.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import click

from charlm import __version__
from charlm.errors import CharlmError

# The engine's products are small: a second BLAS thread gains little (22 against 18 us per character
# at LSTM 1x256), and on a busy machine each product waits for it (29 against 43 us). NumPy reads
# this when it is imported; torch has threads of its own.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

_COMMANDS = (
    "train",
    "sample",
    "eval",
    "score",
    "compare",
    "inspect",
    "report",
    "info",
    "corpus",
    "experiment",
)


class _Group(click.Group):
    """Loads a subcommand's module on demand, and turns errors into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"charlm.cli.{name}").command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _harmless():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _harmless():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(130)
        except (click.exceptions.Exit, click.Abort, click.ClickException, BrokenPipeError):
            raise  # click's own ways to end, and a reader who has had enough
        except Exception as error:
            if ctx.params["debug"]:
                raise
            from charlm.cli.terminal import say_error

            if isinstance(error, CharlmError):
                say_error(str(error))
                ctx.exit(error.exit_code)
            say_error(_unforeseen(error))
            ctx.exit(1)


@contextlib.contextmanager
def _harmless() -> Iterator[None]:
    """Click's errors quote what was typed, and a pasted name may hold an escape sequence."""
    try:
        yield
    except click.ClickException as error:
        from charlm.display import one_line

        for name in ("message", "option_name"):
            if hasattr(error, name):
                setattr(error, name, one_line(getattr(error, name)))
        raise


def _unforeseen(error: Exception) -> str:
    """What to say where charlm does not know better than the system or a library."""
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return "not enough memory; give less text, or lower --hidden-size, --batch-size, --seq-len"
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror or error}"
    return (
        f"a fault in charlm ({type(error).__name__}: {error}); please report it with what "
        "charlm --debug prints"
    )


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="charlm")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Character-level language models of your own text.

    \b
    charlm train book.txt             train a model, saved under checkpoints/book
    charlm sample                     write text with the newest model
    charlm eval book other.txt        bits per character of a text, beside baselines
    charlm score book other.txt       how surprising each of its characters is
    charlm report book                one page with all that can be seen of it
    charlm corpus make viaggi         make a text to begin with
    """
    # A stream that was closed before the start is None, which nobody can write to or ask.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    if not debug:
        warnings.simplefilter("ignore")  # of libraries, about numbers: what matters is checked
    for stream in (sys.stdout, sys.stderr):
        # A terminal or pipe that cannot show a character gets its escape, not a traceback.
        if hasattr(stream, "reconfigure"):
            with contextlib.suppress(ValueError):
                stream.reconfigure(errors="backslashreplace")
