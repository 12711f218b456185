"""Epsilon of random allocation: a device is in one of n rounds of a day, and nobody sees in which.

Each round has Gaussian noise of multiplier z. The pair of outputs that tells most, of a device with a full
contribution in a uniformly random round and of none, is composed as a privacy loss distribution by
``pld-accounting`` (Feldman and Shenfeld 2026, "Efficient privacy loss accounting for subsampling and random
allocation"), rounded up.
"""

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from fedbert.privacy.curves import LEAST_LOSS_DELTA

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

# Steps of the loss: at 12 rounds and multiplier 2.2 a finer grid changes epsilon by half a per cent.
_COARSEST_INTERVAL = 1e-3
_STEPS_PER_DEVIATION = 250
# Points of a grid of one round's loss: a day's composition takes well under a second.
_LARGEST_GRID = 50_000
# Mass that is cut off and charged to delta: a thousandth of the least delta that is asked for.
_TAIL = LEAST_LOSS_DELTA / 1000


@lru_cache(maxsize=4096)
def allocation_epsilon(noise_multiplier: float, slots: int, days: int, delta: float) -> float:
    """Return epsilon of `days` days in each of which a device is in one of `slots` rounds (>= 1).

    inf where it is not resolved: below `LEAST_LOSS_DELTA`, or with one slot, where nothing is hidden.
    """
    if delta < LEAST_LOSS_DELTA or slots < 2:
        return math.inf
    return float(_one_day(noise_multiplier, slots).self_compose(days).get_epsilon_for_delta(delta))


@lru_cache(maxsize=64)
def _one_day(noise_multiplier: float, slots: int) -> "PrivacyLossDistribution":
    from PLD_accounting import (
        AllocationSchemeConfig,
        ConvolutionMethod,
        PrivacyParams,
        gaussian_allocation_pld,
    )

    deviation = 1 / (noise_multiplier * math.sqrt(slots))
    widest_loss = 0.5 / noise_multiplier**2 + 10 / noise_multiplier
    step = max(min(_COARSEST_INTERVAL, deviation / _STEPS_PER_DEVIATION), widest_loss / _LARGEST_GRID)
    return gaussian_allocation_pld(
        params=PrivacyParams(sigma=noise_multiplier, num_steps=slots),
        config=AllocationSchemeConfig(
            loss_discretization=step, tail_truncation=_TAIL, convolution_method=ConvolutionMethod.FFT
        ),
    )
