"""95 % intervals: Student's t over seeds, Wilson for shares, percentiles over draws.

Wilson (1927), "Probable inference, the law of succession, and statistical inference"; the rest is textbook.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
"""Confidence of every interval of the planning reports."""

NORMAL_QUANTILE = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, in the same unit; `low` <= `value` <= `high`.

    `low` and `high` are None where one observation gives no interval.
    """

    value: float
    low: float | None
    high: float | None


def t_interval(values: Array) -> Estimate:
    """Return the mean of independent `values` `[seed]` with Student's t interval; one value has none."""
    mean = float(np.mean(values))
    if values.size < 2:
        return Estimate(mean, None, None)
    from scipy import stats

    half = float(
        stats.t.ppf(0.5 + LEVEL / 2, values.size - 1) * np.std(values, ddof=1) / math.sqrt(values.size)
    )
    return Estimate(mean, mean - half, mean + half)


def wilson(successes: float, trials: float) -> Estimate:
    """Return `successes / trials` with Wilson's score interval; `trials` > 0 may be an effective number."""
    share = successes / trials
    z2 = NORMAL_QUANTILE**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = (
        NORMAL_QUANTILE
        / (1 + z2 / trials)
        * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    )
    return Estimate(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def from_draws(draws: NDArray[Any]) -> Estimate:
    """Return row 0 of `draws` `[draw]` as the value and the central 95 % of the other rows as its interval.

    Infinite draws are allowed: they make the bound infinite.
    """
    value = float(draws[0])
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws[1:], [tail, 1 - tail], method="closest_observation")
    return Estimate(value, min(value, float(low)), max(value, float(high)))
