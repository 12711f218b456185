"""What a run reveals, as (epsilon, delta): one frozen plan, and functions that only read it.

The guarantee is for one *device*: the neighbouring relation is add-or-remove-one device with all its
contributions. A round adds Gaussian noise of standard deviation `noise_multiplier * clip_norm` to a sum in
which each device has a norm of at most `clip_norm`.

* Amplified: the Poisson-subsampled Gaussian mechanism, composed over the rounds; the least of the bounds in
  `curves.py`.
* Unamplified: the Gaussian mechanism, whose composition over n rounds is one with multiplier z / sqrt(n).
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from fedbert.errors import FedbertError, invalid
from fedbert.privacy.curves import (
    LEAST_LOSS_DELTA,
    gaussian_epsilon,
    least_renyi_epsilon,
    loss_epsilon,
    loss_interval,
    renyi_epsilon,
)

Mode = Literal["none", "central"]
Sampler = Literal["poisson", "once-a-day"]

# Noise of so many clip norms drowns any fleet that can be simulated: a target beyond it is a mistake.
_LARGEST_MULTIPLIER = 1e7

# Below it a privacy loss spans more than any grid holds, and no epsilon is worth the name.
_SMALLEST_MULTIPLIER = 1e-3

# A quarter of the 1e-3 that `calibrate` promises: the last interval of the search is no wider.
_RELATIVE_STEP = 2.5e-4

# What is asked for and what is spent may differ by so much (relative), never above.
CALIBRATION_TOLERANCE = 1e-3

# Narrowest interval of the search: epsilon is no longer a smooth function of less.
_NARROWEST_STEP = 1e-9

# Smaller ones are lost in the rounding of double precision.
_LEAST_EPSILON = 1e-6
_LEAST_DELTA = 1e-100

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
    if delta < _LEAST_DELTA:
        raise invalid("delta", delta, f"be >= {_LEAST_DELTA:g}, the least that can be accounted for")
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
    z, q = plan.noise_multiplier, plan.sampling_probability
    by_loss = loss_epsilon(z, q, rounds, plan.delta, loss_interval(max(rounds, plan.rounds), z, q))
    unamplified = epsilon_unamplified(plan, rounds)
    # The loss distribution is the tighter of the two wherever it holds: the other's work is saved.
    if plan.delta >= LEAST_LOSS_DELTA and math.isfinite(by_loss):
        return min(by_loss, unamplified)
    return min(by_loss, unamplified, renyi_epsilon(z, q, rounds, plan.delta))


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

    `epsilon(plan, rounds)` is <= `target_epsilon` and at least 0.999 of it; the multiplier is at most 1e-3
    (relative) above the least. Raises FedbertError for a target that is not a number > 0, a delta that is not
    in (0, 1) or not < 1/`devices`, or, with the range that works, for a target out of reach.
    """
    if not (target_epsilon > 0 and math.isfinite(target_epsilon)):
        raise invalid(
            "epsilon", target_epsilon, "be > 0 and finite", "leave it out for a run without privacy"
        )
    plan = validate(
        PrivacyPlan("central", sampler, sampling_probability, 1.0, clip_norm, delta, rounds, rounds_per_day),
        devices,
    )

    def spent(multiplier: float) -> float:
        return epsilon(replace(plan, noise_multiplier=multiplier), rounds)

    least = _least_epsilon(plan)
    if target_epsilon < least:
        raise _out_of_reach(target_epsilon, plan, least, spent(_SMALLEST_MULTIPLIER))
    high, spent_high = 1.0, spent(1.0)
    while spent_high > target_epsilon:
        if high >= _LARGEST_MULTIPLIER:
            raise _out_of_reach(target_epsilon, plan, spent_high, spent(_SMALLEST_MULTIPLIER))
        high = min(2 * high, _LARGEST_MULTIPLIER)
        spent_high = spent(high)
    low = high / 2
    while (spent_low := spent(low)) <= target_epsilon:
        if low <= _SMALLEST_MULTIPLIER:
            raise _out_of_reach(target_epsilon, plan, least, spent_low)
        high, spent_high = low, spent_low
        low = max(low / 2, _SMALLEST_MULTIPLIER)
    least_spent = target_epsilon * (1 - CALIBRATION_TOLERANCE)
    while high > low * (1 + _RELATIVE_STEP) or spent_high < least_spent:
        middle = math.sqrt(low * high)
        if high <= low * (1 + _NARROWEST_STEP):
            raise _out_of_reach(target_epsilon, plan, spent_high, spent_high)
        found = spent(middle)
        if found > target_epsilon:
            low = middle
        else:
            high, spent_high = middle, found
    return replace(plan, noise_multiplier=high)


def _least_epsilon(plan: PrivacyPlan) -> float:
    """Return the least epsilon that the accounting of `plan` resolves."""
    if plan.delta >= LEAST_LOSS_DELTA or plan.sampler != "poisson" or plan.sampling_probability == 1:
        return _LEAST_EPSILON
    return max(_LEAST_EPSILON, least_renyi_epsilon(plan.delta))


def _out_of_reach(target: float, plan: PrivacyPlan, least: float, most: float) -> FedbertError:
    """Return the refusal of a budget that no noise comes to, with the epsilons that some noise does."""
    where = f"in {plan.rounds} rounds at delta {plan.delta:g} and sampling rate {plan.sampling_probability:g}"
    if most <= _LEAST_EPSILON:
        return FedbertError(
            f"epsilon(={target!r}) is out of reach: {where} delta alone covers every round and no epsilon is "
            "spent; choose a smaller delta"
        )
    if least == most:
        works, step = f"{least:.6g} is the nearest that works", "ask for that"
    else:
        works, step = f"it must be from {least:.3g} to {most:.3g}", "choose one within"
    return FedbertError(f"epsilon(={target!r}) is out of reach: {where} {works}; {step}")
