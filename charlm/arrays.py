"""The legend of axes, and the array types that the NumPy half of charlm speaks.

    B  batch: independent sequences side by side
    T  time: characters (or bytes) of one window
    V  vocabulary: symbols of the tokenizer
    E  embedding size
    H  hidden size
    L  layers
    G  gates of one matrix: 1 for the RNN, 3 for the GRU (r, z, n), 4 for the LSTM (i, f, g, o)

A comment such as ``# (B, T, V)`` at the end of a line gives the shape of what was computed there.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ids: TypeAlias = NDArray[np.integer[Any]]
Floats: TypeAlias = NDArray[np.floating[Any]]
State: TypeAlias = tuple[Floats, ...]
"""What a model remembers between two calls: a tuple of arrays whose axis 1 is the batch."""
