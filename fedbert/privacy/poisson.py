"""The mechanism `poisson`: each device tosses its own coin every round; each sum gets noise of its own.

Amplified by the coins against one who does not see who joined: the Poisson-subsampled Gaussian, the least of
the bounds in `curves.py`. Against one who does it is n plain Gaussians, so one with multiplier z / sqrt(n).
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.privacy.accounting import LEAST_EPSILON
from fedbert.privacy.curves import (
    LEAST_LOSS_DELTA,
    gaussian_epsilon,
    least_renyi_epsilon,
    loss_epsilon,
    loss_interval,
    renyi_epsilon,
)
from fedbert.privacy.gaussian import GaussianNoise
from fedbert.privacy.mechanism import DEVICE, SEES_PARTICIPATION, SEES_SUMS, Bound
from fedbert.privacy.sampling import by_coin

if TYPE_CHECKING:
    from dp_accounting import DpEvent


@dataclass(frozen=True)
class Poisson(GaussianNoise):
    """Coins of one rate q, and independent noise every round; the budget is that of the amplified bound."""

    name: str = "poisson"

    @property
    def round_rate(self) -> float:
        """Chance q that a device of the fleet joins a round."""
        return self.settings.sampling_probability

    def joins(self, devices: DeviceRange, round_: int) -> NDArray[np.bool_]:
        """Return which devices join a round (from 1), by their own coins: `[device]`."""
        return by_coin(devices, round_, self.round_rate)

    def budgeted(self, rounds: int) -> float:
        """Return the amplified epsilon: the noise is made for it."""
        return self.amplified(rounds)

    @property
    def least_epsilon(self) -> float:
        """The smallest epsilon that the accounting resolves at this delta."""
        delta = self.settings.delta
        if delta >= LEAST_LOSS_DELTA or self.round_rate == 1:
            return LEAST_EPSILON
        return max(LEAST_EPSILON, least_renyi_epsilon(delta))

    def amplified(self, rounds: int) -> float:
        """Return the amplified epsilon of the first `rounds` rounds: 0 for none, inf without noise."""
        unamplified = self.unamplified(rounds)
        z, q, delta = self.noise_multiplier, self.round_rate, self.settings.delta
        if rounds <= 0 or not self.private or q == 1:
            return unamplified
        grid = loss_interval(max(rounds, self.settings.rounds), z, q)
        by_loss = loss_epsilon(z, q, rounds, delta, grid)
        # The loss distribution is the tighter of the two wherever it holds: the other's work is saved.
        if delta >= LEAST_LOSS_DELTA and math.isfinite(by_loss):
            return min(by_loss, unamplified)
        return min(by_loss, unamplified, renyi_epsilon(z, q, rounds, delta))

    def unamplified(self, rounds: int) -> float:
        """Return the epsilon of the first `rounds` rounds against one who knows each round's cohort."""
        if rounds <= 0:
            return 0.0
        if not self.private:
            return math.inf
        return gaussian_epsilon(self.noise_multiplier / math.sqrt(rounds), self.settings.delta)

    def event(self, rounds: int) -> "DpEvent":
        """Return the first `rounds` rounds: sampled Gaussians."""
        import dp_accounting

        if not self.private:
            return dp_accounting.NonPrivateDpEvent()
        one = dp_accounting.GaussianDpEvent(self.noise_multiplier)
        sampled = dp_accounting.PoissonSampledDpEvent(self.round_rate, one)
        return dp_accounting.SelfComposedDpEvent(sampled, rounds)

    def spent(self, rounds: int) -> tuple[Bound, ...]:
        """Return the amplified bound and the one that holds when participation is seen."""
        sampled = (
            "Holds against someone who sees the noisy sums but not which devices joined: each device tosses "
            f"its own coin at rate {self.round_rate:g} every round, available or not, and the outcome stays "
            "secret."
        )
        plain = (
            "Holds even against someone who sees which devices joined each round: a device is taken to join "
            "every round. The aggregator, which adds the noise, is trusted with the sums before it."
        )
        delta = self.settings.delta
        return (
            Bound(SEES_SUMS, DEVICE, self.amplified(rounds), delta, sampled),
            Bound(SEES_PARTICIPATION, DEVICE, self.unamplified(rounds), delta, plain),
        )
