"""The chance that a round gets the reports it wants, by hour of the day.

Reports of a round are binomial: each device of the fleet is in the cohort by its own coin, eligible at that
hour, and completes. Rounds differ by more than chance; that is a beta distribution of the probability with
relative standard deviation tau from the run's own rounds (`draws.round_spread`), integrated over quantiles.
"""

import numpy as np

from fedbert.intervals import Array

QUANTILES = 101


def sampling_probability(wanted: float, over_selection: float, devices: float, mean_yield: float) -> float:
    """Return q so that a round at a mean hour expects `over_selection` x `wanted` reports, at most 1.

    `mean_yield` is the day's mean share of cohort devices whose report arrives.
    """
    expected = devices * mean_yield
    return min(1.0, over_selection * wanted / expected) if expected > 0 else 1.0


def fill_chance(wanted: int, devices: int, probability: Array, spread: Array) -> Array:
    """Return the chance that at least `wanted` of `devices` report, elementwise over the arrays.

    Args:
        wanted: reports a round needs, >= 1.
        devices: devices in the fleet.
        probability: mean chance that a device of the fleet reports in the round, in [0, 1].
        spread: relative standard deviation of that chance between rounds, same shape; 0 is plain binomial.
    """
    from scipy import stats

    p = np.clip(probability, 1e-12, 1 - 1e-12)
    variance = np.minimum((spread * p) ** 2, 0.5 * p * (1 - p))
    certain = spread < 1e-3
    size = p * (1 - p) / np.where(certain, 1.0, variance) - 1
    at = (np.arange(QUANTILES) + 0.5) / QUANTILES
    rounds = stats.beta.ppf(at, (p * size)[..., None], ((1 - p) * size)[..., None])
    rounds = np.where(certain[..., None], p[..., None], rounds)
    chances: Array = np.asarray(stats.binom.sf(wanted - 1, devices, rounds), np.float64)
    return np.asarray(chances.mean(axis=-1), np.float64)
