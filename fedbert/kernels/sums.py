"""Sums of vectors by group."""

import numpy as np
from numpy.typing import NDArray

from fedbert.kernels.compiled import compiled


@compiled
def add_rows(
    vectors: NDArray[np.int8], row: NDArray[np.int32], group: NDArray[np.int32], total: NDArray[np.int64]
) -> None:
    """Add each ``vectors[row[i]]`` to ``total[group[i]]``; they are `[row, dim]` and `[group, dim]`."""
    for place in range(len(row)):
        for column in range(vectors.shape[1]):
            total[group[place], column] += vectors[row[place], column]
