"""The letters for the axes of arrays, and the types of the arrays in the NumPy core.

    B  batch: independent texts, processed in parallel
    T  time: characters (or bytes) of one window
    V  vocabulary: symbols of the tokenizer
    E  embedding size
    H  hidden size
    L  layers
    G  blocks of H rows in a weight matrix: 1 in the RNN, 3 in the GRU (r, z, n), 4 in the LSTM
       (i, f, g, o)

A comment such as ``# (B, T, V)`` at the end of a line is the shape of the result of that line.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ids: TypeAlias = NDArray[np.integer[Any]]
Floats: TypeAlias = NDArray[np.floating[Any]]
State: TypeAlias = tuple[NDArray[Any], ...]
"""The state of a model between two calls: a tuple of arrays. Axis 1 of each is the batch."""
