"""Every error that charlm raises on purpose, and the exit code each one ends a command with.

    CharlmError                 1   could not be done: cause, values and remedy in one line
    ├── CorpusError             1   a text that cannot be read or used
    ├── CheckpointError         1   a model file that is damaged, foreign or incomplete
    ├── DivergenceError         1   training produced a number that is not finite
    ├── BusyError               1   another process works on the same run
    └── RequestError            2   the request itself is wrong
        ├── UnknownCharacterError   a character that the model has never seen
        └── ShortCorpusError        the options ask for more text than there is

The command line prints the message of any of these as one line on stderr and leaves with the code.
Anything else is the system's doing or a bug: one line too, and code 1; --debug shows the traceback.
"""

from __future__ import annotations


class CharlmError(Exception):
    """Root of the tree. The message is one line: cause, values, remedy."""

    exit_code = 1


class CorpusError(CharlmError):
    """A text that cannot be read, decoded, verified or used."""


class CheckpointError(CharlmError):
    """A model file that is damaged, foreign or incomplete."""


class DivergenceError(CharlmError):
    """A loss or a gradient that is not finite."""


class BusyError(CharlmError):
    """The run is being written by another process."""


class RequestError(CharlmError):
    """An option or argument that cannot be honoured as given."""

    exit_code = 2


class UnknownCharacterError(RequestError):
    """A character outside the model's vocabulary, where it cannot be skipped."""


class ShortCorpusError(RequestError):
    """Fewer characters or bytes than batch size and window need."""
