"""95 % intervals: Student's t over seeds, Wilson for shares, percentiles over draws, bootstrap of clusters.

Wilson (1927), "Probable inference, the law of succession, and statistical inference"; Hesterberg (2015),
"What teachers should know about the bootstrap"; the rest is textbook.
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

LEAST_CLUSTERS = 6
"""Clusters below which a bootstrap gives no interval: none is wider than from the least to the greatest
cluster, and that range misses their median with probability 2^(1-n), which is below 5 % from n = 6 on."""

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


def bootstrap_interval(draws: Array, clusters: int) -> tuple[float, float] | None:
    """Return the interval of the figure `draws[0]` from the bootstrap draws of it behind it.

    Expanded percentiles (Hesterberg 2015): with few clusters the tails are cut at the normal probability of
    Student's quantile times sqrt(n / (n - 1)), since plain percentiles are then too narrow. Draws that are
    NaN are left out. None with fewer than `LEAST_CLUSTERS` clusters.
    """
    known = draws[1:][~np.isnan(draws[1:])]
    if clusters < LEAST_CLUSTERS or not known.size:
        return None
    from scipy import special

    # stdtrit and ndtr are the quantile of Student's t and the normal distribution function.
    quantile = special.stdtrit(clusters - 1, 0.5 + LEVEL / 2) * math.sqrt(clusters / (clusters - 1))
    tail = float(special.ndtr(-quantile))
    low, high = np.quantile(known, [tail, 1 - tail])
    return min(float(low), float(draws[0])), max(float(high), float(draws[0]))
