"""All errors that charlm raises on purpose, and the exit code of a command that fails with them.

    CharlmError                 1   the command failed: cause, values and remedy in one line
    ├── CorpusError             1   a text that cannot be read or used
    ├── CheckpointError         1   a model file that is damaged, incomplete or not charlm's
    ├── DivergenceError         1   training produced a number that is not finite
    ├── BusyError               1   another process is writing the same run
    ├── LostProcessError        1   another process of a training with several has ended
    └── RequestError            2   the request is wrong
        ├── UnknownCharacterError   a character that is not in the model's vocabulary
        └── ShortCorpusError        the corpus is too short for the options

The command line prints the message as one line on stderr and exits with the code. Any other
exception comes from the operating system or is a bug in charlm. It is also printed as one line,
with exit code 1; --debug shows the traceback.
"""

from __future__ import annotations


class CharlmError(Exception):
    """The base of all errors of charlm. The message is one line: cause, values, remedy."""

    exit_code = 1


class CorpusError(CharlmError):
    """A text that cannot be read, decoded, verified or used."""


class CheckpointError(CharlmError):
    """A model file that is damaged, incomplete or not charlm's."""


class DivergenceError(CharlmError):
    """A loss or a gradient that is not finite."""


class BusyError(CharlmError):
    """Another process is writing the run."""


class LostProcessError(CharlmError):
    """Another process that trains the same model has ended or does not answer."""


class RequestError(CharlmError):
    """An option or argument with a value that charlm cannot use."""

    exit_code = 2


class UnknownCharacterError(RequestError):
    """A character that is not in the model's vocabulary and cannot be skipped."""


class ShortCorpusError(RequestError):
    """A corpus with fewer characters or bytes than the batch size and window length need."""
