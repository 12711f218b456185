"""Upper bounds of epsilon for rounds of Gaussian noise, each by another method; the least of them holds.

* `gaussian_epsilon`: exact, without sampling; theorem 8 of Balle and Wang 2018, "Improving the Gaussian
  mechanism".
* `loss_epsilon`: the Poisson-subsampled Gaussian composed as a privacy loss distribution (PLD; Koskela et al.
  2020, Doroshenko et al. 2022) by ``dp-accounting``, rounded up. The tightest, down to `LEAST_LOSS_DELTA`.
* `renyi_epsilon`: the same mechanism by its Renyi divergences (Mironov et al. 2019), some per cent looser, at
  any delta.
"""

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

LEAST_LOSS_DELTA = 1e-12
"""Below it the tails that a PLD cuts off (1e-15) and the rounding of its convolutions are no longer small."""

# Steps of the loss: with them epsilons are within a few ten-thousandths of those on a far finer grid.
_COARSEST_INTERVAL = 1e-3
_COMPOSITION_ERROR = 2e-4
# Rounding a loss to the grid adds at most a quarter of the step's square to its variance, (q / z)^2.
_STEPS_PER_DEVIATION = 25

# Most points of a grid: a calibration composes dozens of times.
_LARGEST_GRID = 25_000

# Largest order of a divergence, 2 to this power: each costs a sum of as many terms.
_LARGEST_ORDER_BITS = 17
# The best order is searched for to this share: near it epsilon changes by the square.
_ORDER_STEP = 0.03


def gaussian_delta(noise_multiplier: float, epsilon: float) -> float:
    """Return delta of one Gaussian mechanism at `epsilon` >= 0 (Balle and Wang 2018, theorem 8)."""
    from scipy.special import log_ndtr

    half, shift = 0.5 / noise_multiplier, epsilon * noise_multiplier
    first, second = float(log_ndtr(half - shift)), float(log_ndtr(-half - shift))
    return max(0.0, -math.exp(first) * math.expm1(min(0.0, epsilon + second - first)))


def gaussian_epsilon(noise_multiplier: float, delta: float) -> float:
    """Return the smallest epsilon >= 0 of one Gaussian mechanism at `delta`, to 1e-9 and never below."""
    if gaussian_delta(noise_multiplier, 0.0) <= delta:
        return 0.0
    low, high = 0.0, 1.0
    while gaussian_delta(noise_multiplier, high) > delta:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        if gaussian_delta(noise_multiplier, middle) > delta:
            low = middle
        else:
            high = middle
    return high


def loss_interval(rounds: int, noise_multiplier: float, q: float) -> float:
    """Return the grid step of the loss for up to `rounds` rounds at sampling rate `q`.

    A composition's error grows like rounds * step^2, its work like 1 / step.
    """
    deviation = q / noise_multiplier
    step = min(_COARSEST_INTERVAL, math.sqrt(_COMPOSITION_ERROR / rounds), deviation / _STEPS_PER_DEVIATION)
    exponent = 0.5 / noise_multiplier**2 + 10 / noise_multiplier
    widest_loss = math.log1p(q * math.expm1(exponent)) if exponent < 100 else max(0.0, exponent + math.log(q))
    return max(step, widest_loss / _LARGEST_GRID)


def loss_epsilon(noise_multiplier: float, q: float, rounds: int, delta: float, interval: float) -> float:
    """Return epsilon by PLD on a grid of step `interval`; inf for a delta below `LEAST_LOSS_DELTA`."""
    if delta < LEAST_LOSS_DELTA:
        return math.inf
    return _composed_epsilon(noise_multiplier, q, rounds, delta, interval)


@lru_cache(maxsize=64)
def _one_round(noise_multiplier: float, q: float, interval: float) -> "PrivacyLossDistribution":
    from dp_accounting.pld import privacy_loss_distribution

    return privacy_loss_distribution.from_gaussian_mechanism(
        noise_multiplier, value_discretization_interval=interval, sampling_prob=q
    )


@lru_cache(maxsize=4096)
def _composed_epsilon(noise_multiplier: float, q: float, rounds: int, delta: float, interval: float) -> float:
    composed = _one_round(noise_multiplier, q, interval).self_compose(rounds)
    return float(composed.get_epsilon_for_delta(delta))


def renyi_epsilon(noise_multiplier: float, q: float, rounds: int, delta: float) -> float:
    """Return epsilon by the best Renyi order among whole numbers: valid at every order, least at one.

    Orders double until epsilon grows; the best is then searched for between its neighbours.
    """

    def at(order: int) -> float:
        divergence = rounds * log_moment(noise_multiplier, q, order) / (order - 1)
        # Canonne, Kamath and Steinke 2020, proposition 12.
        tail = (math.log(delta) + math.log(order)) / (order - 1)
        return max(0.0, divergence + math.log1p(-1 / order) - tail)

    found = [at(2)]
    for bits in range(2, _LARGEST_ORDER_BITS + 1):
        found.append(at(2**bits))
        if found[-1] > found[-2]:
            break
    best = 1 + int(np.argmin(found))
    low, high = 2 ** max(1, best - 1), 2 ** min(_LARGEST_ORDER_BITS, best + 1)
    while high - low > 2 and high > low * (1 + _ORDER_STEP):
        first, second = low + (high - low) // 3, high - (high - low) // 3
        if at(first) <= at(second):
            high = second
        else:
            low = first
    return min([*found, at(low), at((low + high) // 2), at(high)])


def least_renyi_epsilon(delta: float) -> float:
    """Return the epsilon below which the best Renyi order at `delta` is larger than any that is tried."""
    return -2 * math.log(delta) / (1 << _LARGEST_ORDER_BITS)


@lru_cache(maxsize=4096)
def log_moment(noise_multiplier: float, q: float, order: int) -> float:
    """Return log E[L^order] of one round's likelihood ratio L under the output without the device.

    `order` >= 2 is whole: the binomial sum of Mironov et al. 2019, "Renyi differential privacy of the sampled
    Gaussian mechanism", section 3.3.
    """
    from scipy.special import gammaln, logsumexp

    if q == 1:
        return order * (order - 1) / (2 * noise_multiplier**2)
    k = np.arange(order + 1, dtype=np.float64)
    choices = gammaln(order + 1) - gammaln(k + 1) - gammaln(order - k + 1)
    weights = choices + k * math.log(q) + (order - k) * math.log1p(-q)
    return max(0.0, float(logsumexp(weights + k * (k - 1) / (2 * noise_multiplier**2))))
