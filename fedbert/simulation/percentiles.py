"""Percentiles of what was counted in bins."""

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (50, 90, 95, 99)


def percentiles(histogram: NDArray[np.int64], edges: NDArray[np.float64]) -> dict[str, float]:
    """Return upper bin edges that hold at least p per cent of the counts."""
    total = np.cumsum(histogram)
    if not total[-1]:
        return {}
    return {f"p{p}": float(edges[np.searchsorted(total, total[-1] * p / 100)]) for p in PERCENTILES}
