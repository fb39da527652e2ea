"""How a command fails: one line on stderr and an exit code, whatever went wrong.

``error: CAUSE; REMEDY`` for an error of charlm's own, for a request that click refuses, for what
the system reports, and for a bug. Only ``--debug`` shows a traceback.
"""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Iterator

import click

from charlm.cli.options import flag_of, path_of
from charlm.cli.terminal import discard, say, say_error
from charlm.errors import CharlmError, LostProcessError
from charlm.extras import how_to_install

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

# A group of commands without a command: click prints its help. Click 8.1 has no such error.
_NO_ARGUMENTS = getattr(click.exceptions, "NoArgsIsHelpError", click.exceptions.Exit)


@contextlib.contextmanager
def one_line(ctx: click.Context, debug: bool) -> Iterator[None]:
    """End the command with one line and an exit code if anything is raised within.

    debug: let an error through, so that Python shows its traceback
    """
    try:
        yield
    except KeyboardInterrupt:
        say("interrupted")
        ctx.exit(130)
    except (click.exceptions.Exit, click.Abort, BrokenPipeError, _NO_ARGUMENTS):
        raise  # how click ends a command or shows its help, and a pipe that its reader has closed
    except click.ClickException as error:
        say_error(_refused(error, ctx))
        ctx.exit(2)
    except Exception as error:
        if debug:
            raise
        say_error(_message(error, ctx), always=isinstance(error, LostProcessError))
        try:
            sys.stdout.flush()
        except OSError:
            discard(sys.stdout)
        ctx.exit(error.exit_code if isinstance(error, CharlmError) else 1)


def _refused(error: click.ClickException, ctx: click.Context) -> str:
    """What is wrong with the command line, and what to type."""
    at = getattr(error, "ctx", None)
    path = path_of(at) if at is not None else _called(ctx)
    if isinstance(error, click.NoSuchOption):
        close = error.possibilities
        remedy = f"did you mean {' or '.join(close)}?" if close else f"{path} --help lists them"
        return f"{path} has no option {error.option_name}; {remedy}"
    if isinstance(error, click.MissingParameter):
        return f"{path} needs {flag_of(error.param)}; {path} --help shows an example"
    message = error.format_message().rstrip(".")
    return f"{path}: {message[:1].lower()}{message[1:]}; {path} --help shows what it takes"


def _called(ctx: click.Context) -> str:
    """``charlm COMMAND``, as far as a command was named."""
    return f"{path_of(ctx)} {ctx.invoked_subcommand or ''}".rstrip()


def _message(error: Exception, ctx: click.Context) -> str:
    """The cause and, as far as it is known, the remedy."""
    if isinstance(error, CharlmError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and not (error.name or "charlm").startswith("charlm"):
        return f"{_called(ctx)} needs {error.name}, which is not installed: {how_to_install()}"
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return "not enough memory; give less text, or lower --hidden-size, --batch-size, --seq-len"
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        if error.filename:
            return f"{error.filename}: {reason}"
        # An error on a file names the file. Without a name, the error is about stdout.
        return f"the output cannot be written ({reason})" if error.errno in _FULL else reason
    return (
        f"a fault in charlm ({type(error).__name__}: {error}); please report it with what "
        "charlm --debug prints"
    )
