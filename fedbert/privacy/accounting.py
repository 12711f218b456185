"""What a run reveals, as (epsilon, delta): one frozen plan, and functions that only read it.

The guarantee is for one *device*: the neighbouring relation is add-or-remove-one device with all its
contributions. A round adds Gaussian noise of standard deviation `noise_multiplier * clip_norm` to a sum in
which each device has a norm of at most `clip_norm`.

* Amplified: the Poisson-subsampled Gaussian mechanism, composed over the rounds as a privacy loss
  distribution (PLD; Koskela et al. 2020, Doroshenko et al. 2022) by ``dp-accounting``, rounded up.
* Unamplified: the Gaussian mechanism, whose composition over n rounds is one with multiplier z / sqrt(n); its
  exact curve is theorem 8 of Balle and Wang 2018, "Improving the Gaussian mechanism".
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from fedbert.errors import FedbertError, invalid

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

Mode = Literal["none", "central"]
Sampler = Literal["poisson", "once-a-day"]

# Noise of so many clip norms drowns any fleet that can be simulated: a target beyond it is a mistake.
_LARGEST_MULTIPLIER = 1e7

# Below it a privacy loss spans more than any grid holds, and no epsilon is worth the name.
_SMALLEST_MULTIPLIER = 1e-3

# A quarter of the 1e-3 that `calibrate` promises: the last interval of the search is no wider.
_RELATIVE_STEP = 2.5e-4

# Steps of the loss: with them epsilons are within a ten-thousandth of those on a grid eight times as fine.
_COARSEST_INTERVAL = 1e-3
_FINEST_INTERVAL = 1e-4
_COMPOSITION_ERROR = 2e-4

# Most points of a grid: a calibration composes dozens of times.
_LARGEST_GRID = 40_000

# Rounds a day may be a rounded quotient: a round that starts a day must not fall into the one before.
_DAY_SLACK = 1e-9


@dataclass(frozen=True)
class PrivacyPlan:
    """How a run samples, clips and noises: the same object drives the mechanism and its accounting.

    `sampling_probability` (q) is the chance that a device of the fleet joins a round, in (0, 1];
    `noise_multiplier` (z >= 0) is the noise's standard deviation over `clip_norm` (> 0); `delta` is in
    (0, 1); `rounds` >= 1 is what `calibrate` made the noise for; `rounds_per_day` > 0.
    """

    mode: Mode
    sampler: Sampler
    sampling_probability: float
    noise_multiplier: float
    clip_norm: float
    delta: float
    rounds: int
    rounds_per_day: float

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise on each coordinate of a round's sum."""
        return self.noise_multiplier * self.clip_norm if self.mode == "central" else 0.0

    @property
    def round_rate(self) -> float:
        """Chance that a device joins a round: q, or with once-a-day at most one round's share of the day."""
        if self.sampler == "poisson":
            return self.sampling_probability
        return min(self.sampling_probability, 1.0 / max(1, math.ceil(self.rounds_per_day - _DAY_SLACK)))


def validate(plan: PrivacyPlan, devices: int | None = None) -> PrivacyPlan:
    """Return `plan` if it can be accounted for, with `devices` (the fleet's size, if given) >= 1.

    Raises FedbertError on the first rule that is broken; a `delta` of 1/devices or more would allow a
    mechanism that publishes one device's data, so it is refused.
    """
    if plan.mode not in ("none", "central"):
        raise invalid("mode", plan.mode, "be 'none' or 'central'")
    if plan.sampler not in ("poisson", "once-a-day"):
        raise invalid("sampler", plan.sampler, "be 'poisson' or 'once-a-day'")
    if not 0 < plan.sampling_probability <= 1:
        raise invalid("sampling_probability", plan.sampling_probability, "be > 0 and <= 1")
    if not (plan.noise_multiplier >= 0 and math.isfinite(plan.noise_multiplier)):
        raise invalid("noise_multiplier", plan.noise_multiplier, "be >= 0", "use 0 for no noise")
    if not (plan.clip_norm > 0 and math.isfinite(plan.clip_norm)):
        raise invalid("clip_norm", plan.clip_norm, "be > 0 and finite")
    if plan.rounds < 1:
        raise invalid("rounds", plan.rounds, "be >= 1")
    if not (plan.rounds_per_day > 0 and math.isfinite(plan.rounds_per_day)):
        raise invalid("rounds_per_day", plan.rounds_per_day, "be > 0 and finite")
    _validate_delta(plan.delta, devices)
    return plan


def _validate_delta(delta: float, devices: int | None) -> None:
    if not 0 < delta < 1:
        raise invalid("delta", delta, "be > 0 and < 1", "1e-6 suits a fleet of up to 100,000 devices")
    if devices is not None and devices < 1:
        raise invalid("devices", devices, "be >= 1")
    if devices is not None and delta >= 1 / devices:
        raise invalid("delta", delta, f"be < 1/devices (= {1 / devices:.3g})", "choose a smaller delta")


def not_private(
    sampler: Sampler, sampling_probability: float, clip_norm: float, rounds: int, rounds_per_day: float
) -> PrivacyPlan:
    """Return the plan of a run without noise; its epsilon is infinite and its delta is not used."""
    return validate(
        PrivacyPlan("none", sampler, sampling_probability, 0.0, clip_norm, 0.5, rounds, rounds_per_day)
    )


def day_of_round(round_number: int, rounds_per_day: float) -> int:
    """Return the day (from 0) in which round `round_number` (from 1) starts."""
    return math.floor((round_number - 1) / rounds_per_day + _DAY_SLACK)


def epsilon(plan: PrivacyPlan, rounds: int) -> float:
    """Return the amplified epsilon of the first `rounds` rounds: 0 for no round, inf without noise.

    Amplification by sampling is claimed for the `poisson` sampler alone.
    """
    if rounds <= 0:
        return 0.0
    if plan.mode == "none" or plan.noise_multiplier == 0:
        return math.inf
    if plan.sampler != "poisson" or plan.sampling_probability == 1:
        return epsilon_unamplified(plan, rounds)
    interval = _interval(max(rounds, plan.rounds), plan.noise_multiplier, plan.sampling_probability)
    return _sampled_epsilon(plan.noise_multiplier, plan.sampling_probability, rounds, plan.delta, interval)


def epsilon_unamplified(plan: PrivacyPlan, rounds: int) -> float:
    """Return the epsilon of the first `rounds` rounds against one who knows each round's cohort.

    A device joins each round at most once (`poisson`), or one round of each day at most (`once-a-day`).
    """
    if rounds <= 0:
        return 0.0
    if plan.mode == "none" or plan.noise_multiplier == 0:
        return math.inf
    times = rounds if plan.sampler == "poisson" else day_of_round(rounds, plan.rounds_per_day) + 1
    return gaussian_epsilon(plan.noise_multiplier / math.sqrt(times), plan.delta)


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


def calibrate(
    target_epsilon: float,
    delta: float,
    *,
    sampling_probability: float,
    rounds: int,
    clip_norm: float,
    sampler: Sampler = "poisson",
    rounds_per_day: float = 12.0,
    devices: int | None = None,
) -> PrivacyPlan:
    """Return the plan with the least noise multiplier for which `rounds` rounds stay within `target_epsilon`.

    The multiplier is at most 1e-3 (relative) above the least, and never below it: `epsilon(plan, rounds)` is
    <= `target_epsilon`. Raises FedbertError for a target that is not a number > 0, a delta that is not in
    (0, 1) or not < 1/`devices`, or a target out of reach.
    """
    if not (target_epsilon > 0 and math.isfinite(target_epsilon)):
        raise invalid(
            "epsilon", target_epsilon, "be > 0 and finite", "leave it out for a run without privacy"
        )
    plan = validate(
        PrivacyPlan("central", sampler, sampling_probability, 1.0, clip_norm, delta, rounds, rounds_per_day),
        devices,
    )

    def spends_too_much(multiplier: float) -> bool:
        return epsilon(replace(plan, noise_multiplier=multiplier), rounds) > target_epsilon

    high = 1.0
    while spends_too_much(high):
        high *= 2
        if high > _LARGEST_MULTIPLIER:
            raise FedbertError(
                f"epsilon(={target_epsilon!r}) is out of reach in {rounds} rounds, delta {delta!r}; raise it"
            )
    low = high / 2
    while low > _SMALLEST_MULTIPLIER and not spends_too_much(low):
        low, high = low / 2, low
    while high > low * (1 + _RELATIVE_STEP):
        middle = math.sqrt(low * high)
        if spends_too_much(middle):
            low = middle
        else:
            high = middle
    return replace(plan, noise_multiplier=high)


def _interval(rounds: int, noise_multiplier: float, q: float) -> float:
    """Grid step of the loss: a composition's error grows like rounds * step^2, its work like 1 / step."""
    step = min(_COARSEST_INTERVAL, math.sqrt(_COMPOSITION_ERROR / rounds), max(_FINEST_INTERVAL, 0.1 * q))
    unsampled_loss = 0.5 / noise_multiplier**2 + 10 / noise_multiplier
    widest_loss = max(0.0, unsampled_loss + math.log(q))
    return max(step, widest_loss / _LARGEST_GRID)


@lru_cache(maxsize=64)
def _one_round(noise_multiplier: float, q: float, interval: float) -> "PrivacyLossDistribution":
    from dp_accounting.pld import privacy_loss_distribution

    return privacy_loss_distribution.from_gaussian_mechanism(
        noise_multiplier, value_discretization_interval=interval, sampling_prob=q
    )


@lru_cache(maxsize=4096)
def _sampled_epsilon(noise_multiplier: float, q: float, rounds: int, delta: float, interval: float) -> float:
    composed = _one_round(noise_multiplier, q, interval).self_compose(rounds)
    return float(composed.get_epsilon_for_delta(delta))
