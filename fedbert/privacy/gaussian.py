"""What mechanisms share whose aggregator adds Gaussian noise: calibration, and noise mixed from white draws.

The noise of a round is a combination of independent draws, each made anew from the seed when it is needed, so
that memory does not grow with the rounds. Without an epsilon there is no noise and no bound.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.privacy import accounting
from fedbert.privacy.mechanism import PrivacySettings
from fedbert.privacy.mechanisms import gaussian_noise

Terms = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Numbers of white draws, and what each weighs."""


@dataclass(frozen=True)
class GaussianNoise(ABC):
    """A mechanism but for who joins, what it costs and how its noise is mixed; see `Mechanism`."""

    settings: PrivacySettings
    noise_multiplier: float
    """Standard deviation of one white draw over the clip norm; 0 without privacy."""
    name: str = ""
    noise_on_device: bool = False

    @classmethod
    def make(cls, settings: PrivacySettings) -> Self:
        """Return the mechanism with the least noise that keeps the budget; raises FedbertError."""
        accounting.check(settings)
        if settings.epsilon is None:
            return cls(settings, 0.0)
        if settings.noise_multiplier is not None:
            return cls(settings, settings.noise_multiplier)
        least = cls(settings, 1.0).least_epsilon
        multiplier = accounting.least_multiplier(
            lambda noise: cls(settings, noise).budgeted(settings.rounds), settings, least
        )
        return cls(settings, multiplier)

    @abstractmethod
    def budgeted(self, rounds: int) -> float:
        """Return the epsilon of `rounds` rounds that the settings' epsilon is a budget of."""

    @property
    def least_epsilon(self) -> float:
        """The smallest epsilon that `budgeted` resolves."""
        return accounting.LEAST_EPSILON

    @property
    def private(self) -> bool:
        """Whether the sums carry noise."""
        return self.settings.epsilon is not None and self.noise_multiplier > 0

    @property
    def sigma(self) -> float:
        """Standard deviation of one white draw, per coordinate."""
        return self.noise_multiplier * self.settings.clip_norm

    def on_device(
        self, devices: DeviceRange, reporting: NDArray[np.bool_], round_: int, size: int, scale: float
    ) -> NDArray[np.int64]:
        """Return zeros `[size]`: devices add no noise."""
        return np.zeros(size, np.int64)

    def gathered(self, round_: int) -> int:
        """Return 1: each round is opened by itself."""
        return 1

    def terms(self, round_: int) -> Terms:
        """Return of which white draws a round's noise is made: here one of its own."""
        return np.array([round_]), np.ones(1)

    def on_sum(self, noise_seed: int, round_: int, size: int) -> NDArray[np.float64]:
        """Return the noise `[size]` of what a round opens."""
        total = np.zeros(size)
        if self.private:
            for draw, weight in zip(*self.terms(round_), strict=True):
                total += float(weight) * gaussian_noise(noise_seed, int(draw), size, self.sigma)
        return total

    def total_sigma(self, rounds: Sequence[int]) -> float:
        """Return the standard deviation of the noise in the sum of what `rounds` opened."""
        if not len(rounds) or not self.private:
            return 0.0
        draws, weights = (np.concatenate(part) for part in zip(*map(self.terms, rounds), strict=True))
        _, place = np.unique(draws, return_inverse=True)
        return self.sigma * math.sqrt(float((np.bincount(place, weights) ** 2).sum()))
