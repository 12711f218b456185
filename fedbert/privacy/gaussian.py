"""The mechanism `gaussian`: clipped sums, Gaussian noise added once by the aggregator.

With the `poisson` sampler each device tosses a coin per round; with `once-a-day` it joins at most one round
per day. Without an epsilon there is no noise and no bound.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.privacy import accounting
from fedbert.privacy.accounting import PrivacyPlan
from fedbert.privacy.mechanism import DEVICE, SEES_PARTICIPATION, SEES_SUMS, Bound, PrivacySettings
from fedbert.privacy.mechanisms import gaussian_noise
from fedbert.privacy.sampling import cohort

if TYPE_CHECKING:
    from dp_accounting import DpEvent


@dataclass(frozen=True)
class Gaussian:
    """Sampling, clipping and noise of a run, as its `plan` says."""

    settings: PrivacySettings
    plan: PrivacyPlan
    name: str = "gaussian"
    noise_on_device: bool = False

    @classmethod
    def make(cls, settings: PrivacySettings) -> "Gaussian":
        """Return the mechanism with the least noise that keeps the budget; raises FedbertError."""
        if settings.epsilon is None:
            plan = accounting.not_private(
                settings.sampler,
                settings.sampling_probability,
                settings.clip_norm,
                settings.rounds,
                settings.rounds_per_day,
            )
        elif settings.noise_multiplier is not None:
            plan = PrivacyPlan(
                "central",
                settings.sampler,
                settings.sampling_probability,
                settings.noise_multiplier,
                settings.clip_norm,
                settings.delta,
                settings.rounds,
                settings.rounds_per_day,
            )
        else:
            plan = accounting.calibrate(
                settings.epsilon,
                settings.delta,
                sampling_probability=settings.sampling_probability,
                rounds=settings.rounds,
                clip_norm=settings.clip_norm,
                sampler=settings.sampler,
                rounds_per_day=settings.rounds_per_day,
                devices=settings.devices,
            )
        return cls(settings, plan)

    @property
    def private(self) -> bool:
        """Whether the sums carry noise."""
        return self.plan.mode != "none"

    @property
    def noise_multiplier(self) -> float:
        """Standard deviation of the noise over the clip norm; 0 without privacy."""
        return self.plan.noise_multiplier

    @property
    def round_rate(self) -> float:
        """Chance that a device of the fleet joins a round."""
        return self.plan.round_rate

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise in a round's sum, per coordinate."""
        return self.plan.noise_multiplier * self.plan.clip_norm

    def joins(self, devices: DeviceRange, round_: int) -> NDArray[np.bool_]:
        """Return which devices join a round (from 1), by their own coins: `[device]`."""
        return cohort(
            devices, round_, self.plan.sampler, self.plan.sampling_probability, self.plan.rounds_per_day
        )

    def on_device(
        self, devices: DeviceRange, reporting: NDArray[np.bool_], round_: int, size: int, scale: float
    ) -> NDArray[np.int64]:
        """Return zeros `[size]`: devices add no noise."""
        return np.zeros(size, np.int64)

    def on_sum(self, noise_seed: int, round_: int, size: int) -> NDArray[np.float64]:
        """Return the round's Gaussian noise `[size]`."""
        return gaussian_noise(noise_seed, round_, size, self.sigma)

    def event(self, rounds: int) -> "DpEvent":
        """Return the first `rounds` rounds: sampled Gaussians, or one per day at most."""
        import dp_accounting

        if not self.private:
            return dp_accounting.NonPrivateDpEvent()
        plan, one = self.plan, dp_accounting.GaussianDpEvent(self.plan.noise_multiplier)
        if plan.sampler == "poisson":
            sampled = dp_accounting.PoissonSampledDpEvent(plan.sampling_probability, one)
            return dp_accounting.SelfComposedDpEvent(sampled, rounds)
        days = accounting.day_of_round(rounds, plan.rounds_per_day) + 1 if rounds else 0
        return dp_accounting.SelfComposedDpEvent(one, days)

    def spent(self, rounds: int) -> tuple[Bound, ...]:
        """Return the amplified bound and the one that holds when participation is seen."""
        plan = self.plan
        sampled, plain = _assumptions(plan)
        return (
            Bound(SEES_SUMS, DEVICE, accounting.epsilon(plan, rounds), plan.delta, sampled),
            Bound(
                SEES_PARTICIPATION, DEVICE, accounting.epsilon_unamplified(plan, rounds), plan.delta, plain
            ),
        )


def _assumptions(plan: PrivacyPlan) -> tuple[str, str]:
    """Return what each of the two bounds rests on: who may see which cohort."""
    if plan.sampler == "once-a-day":
        text = (
            "Holds even against someone who sees which devices joined each round: a device joins at most one "
            "round a day, and nothing is claimed for the sampling."
        )
        return text, text
    return (
        "Holds against someone who sees the noisy sums but not which devices joined: each device tosses "
        f"its own coin at rate {plan.sampling_probability:g} every round, available or not, and the "
        "outcome stays secret.",
        "Holds even against someone who sees which devices joined each round: a device is taken to join "
        "every round. The aggregator, which adds the noise, is trusted with the sums before it.",
    )
