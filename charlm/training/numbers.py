"""Numbers of a run that a checkpoint stores as JSON: read back, and checked."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, TypeVar

from charlm.errors import CheckpointError

Numbers = TypeVar("Numbers")


def read_numbers(cls: type[Numbers], values: Any, what: str) -> Numbers | None:
    """The inverse of ``asdict`` for a dataclass ``cls`` whose fields are int or float, none of them
    negative; None stays None.

    what: for the error, for example "pace is"

    Raises CheckpointError for anything else: a surplus, missing, infinite or negative value, or one
    of the other type.
    """
    if values is None:
        return None
    try:
        found = cls(**values)
    except TypeError as error:
        raise CheckpointError(f"the run's {what} damaged ({error!s:.100})") from error
    for spec in fields(cls):  # type: ignore[arg-type]
        value = getattr(found, spec.name)
        # Annotations are strings here, as in every module of charlm.
        if type(value).__name__ != spec.type or not 0 <= value < math.inf:
            raise CheckpointError(f"the run's {what} damaged ({spec.name})")
    return found
