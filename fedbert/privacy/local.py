"""Noise on the device: each phone adds its own to its report, so that nobody need be trusted with a sum.

Who joins, and which rounds are opened as one sum, a mechanism says; the noise is Gaussian, on each report
before anything is summed, and the adversary is whoever sees that report: the aggregator, and everybody else.

What is protected is what a report says. That it was sent is seen, so neighbours differ in one report: any two
of them, an empty one included, are at most twice the clip norm apart. (Duchi, Jordan and Wainwright 2013,
"Local privacy and statistical minimax rates"; the noise of one report by theorem 8 of Balle and Wang 2018.)
The reports of one device compose to one Gaussian more, and nothing is claimed for sampling.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.privacy import accounting
from fedbert.privacy.curves import gaussian_epsilon
from fedbert.privacy.mechanism import (
    SEES_REPORTS,
    WHAT_IS_SAID,
    Bound,
    Mechanism,
    MechanismKind,
    PrivacySettings,
)
from fedbert.privacy.once_a_day import OnceADay
from fedbert.randomness import Purpose

if TYPE_CHECKING:
    from dp_accounting import DpEvent

SENSITIVITY = 2.0
"""How far apart two reports can be, in clip norms."""

_HOLDS = (
    "Holds against anyone who sees each report as it left its phone, the aggregator too: the phone added the "
    "noise. It covers what reports say, and not that they were sent."
)


@dataclass(frozen=True)
class Local:
    """A mechanism whose devices add the noise; `settings.epsilon` is the budget of one report.

    See `Mechanism`.
    """

    rounds_of: Mechanism
    """Who joins and which rounds are one sum; its own noise is left out."""
    settings: PrivacySettings
    noise_multiplier: float
    """Standard deviation of the noise on one report's coordinate over the clip norm."""
    noise_on_device: bool = True

    @classmethod
    def make(cls, kind: MechanismKind, settings: PrivacySettings) -> "Local":
        """Return the mechanism with the least noise that keeps the budget of a report; raises FedbertError.

        `kind` is the mechanism that says who joins.
        """
        made = cls(kind.make(replace(settings, epsilon=None, noise_multiplier=None)), settings, 0.0)
        if settings.epsilon is None:
            return made
        if settings.noise_multiplier is not None:
            return replace(made, noise_multiplier=settings.noise_multiplier)
        one = replace(accounting.check(settings), rounds=1, sampling_probability=1.0)
        least = accounting.least_multiplier(
            lambda noise: replace(made, noise_multiplier=noise)._epsilon(1), one
        )
        return replace(made, noise_multiplier=least)

    @property
    def name(self) -> str:
        """The name of the mechanism that says who joins."""
        return self.rounds_of.name

    @property
    def private(self) -> bool:
        """Whether reports carry noise."""
        return self.noise_multiplier > 0

    @property
    def round_rate(self) -> float:
        """Chance that a device of the fleet joins a round."""
        return self.rounds_of.round_rate

    @property
    def report_sigma(self) -> float:
        """Standard deviation of the noise on one report, per coordinate."""
        return self.noise_multiplier * self.settings.clip_norm

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise in one round's sum of as many reports as are expected."""
        return self.report_sigma * math.sqrt(self.round_rate * self.settings.devices)

    def joins(self, devices: DeviceRange, round_: int) -> NDArray[np.bool_]:
        """Return which devices join a round (from 1): `[device]`."""
        return self.rounds_of.joins(devices, round_)

    def gathered(self, round_: int) -> int:
        """Return how many rounds are opened as one sum at the end of `round_`."""
        return self.rounds_of.gathered(round_)

    def on_device(
        self, devices: DeviceRange, reporting: NDArray[np.bool_], round_: int, size: int, scale: float
    ) -> NDArray[np.int64]:
        """Return the sum `[size]` of the noise that each reporting device adds to its own integers.

        Each device's noise is rounded by itself: added to whole numbers that is the rounded noisy report,
        which reveals no more than the report with the noise itself.
        """
        # Whole numbers below 2^53 add up exactly, in whatever order.
        total = np.zeros(size)
        if self.private:
            for noise in devices.normals(Purpose.DEVICE_NOISE, round_, reporting, size):
                total += np.rint(noise * (self.report_sigma * scale))
        return total.astype(np.int64)

    def on_sum(self, noise_seed: int, round_: int, size: int) -> NDArray[np.float64]:
        """Return zeros `[size]`: the aggregator adds no noise."""
        return np.zeros(size)

    def total_sigma(self, rounds: Sequence[int]) -> float:
        """Return the standard deviation of the noise in the sum of what `rounds` opened, as expected."""
        return self.sigma * math.sqrt(sum(self.gathered(round_) for round_ in rounds))

    def reports(self, rounds: int) -> int:
        """Return how many reports a device sends in the first `rounds` rounds, at most."""
        kind = self.rounds_of
        return kind.days(rounds) if isinstance(kind, OnceADay) else max(0, rounds)

    def _epsilon(self, reports: int) -> float:
        """Return the epsilon of so many reports of one device: 0 for none, inf without noise."""
        if reports == 0:
            return 0.0
        if not self.private:
            return math.inf
        apart = SENSITIVITY * math.sqrt(reports)
        return gaussian_epsilon(self.noise_multiplier / apart, self.settings.delta)

    def event(self, rounds: int) -> "DpEvent":
        """Return the first `rounds` rounds: one Gaussian a report."""
        import dp_accounting

        if not self.private:
            return dp_accounting.NonPrivateDpEvent()
        one = dp_accounting.GaussianDpEvent(self.noise_multiplier / SENSITIVITY)
        return dp_accounting.SelfComposedDpEvent(one, self.reports(rounds))

    def spent(self, rounds: int) -> tuple[Bound, ...]:
        """Return the one bound: of all that a device reports in the first `rounds` rounds."""
        epsilon = self._epsilon(self.reports(rounds))
        return (Bound(SEES_REPORTS, WHAT_IS_SAID, epsilon, self.settings.delta, _HOLDS),)

    @property
    def report_epsilon(self) -> float:
        """The epsilon of one report."""
        return self._epsilon(1)

    def shrunk(self, factor: float) -> "Local":
        """Return it with `factor` (0 to 1) of the noise on each report, to show a larger fleet's sums."""
        return replace(self, noise_multiplier=self.noise_multiplier * factor)
