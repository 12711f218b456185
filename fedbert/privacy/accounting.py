"""The least noise that keeps a budget, and what a setting must be to be accounted for.

The guarantee is for one *device*: the neighbouring relation is add-or-remove-one device with all its
contributions. Noise is Gaussian, of standard deviation `noise_multiplier * clip_norm`, and each device adds a
vector with a norm of at most `clip_norm` to a round's sum. What some rounds come to, each mechanism says.
"""

import math
from collections.abc import Callable

from fedbert.errors import FedbertError, invalid
from fedbert.privacy.mechanism import PrivacySettings

# Noise of so many clip norms drowns any fleet that can be simulated: a target beyond it is a mistake.
_LARGEST_MULTIPLIER = 1e7

# Below it a privacy loss spans more than any grid holds, and no epsilon is worth the name.
_SMALLEST_MULTIPLIER = 1e-3

# A quarter of the 1e-3 that `least_multiplier` promises: the last interval of the search is no wider.
_RELATIVE_STEP = 2.5e-4

# What is asked for and what is spent may differ by so much (relative), never above.
CALIBRATION_TOLERANCE = 1e-3

# Narrowest interval of the search: epsilon is no longer a smooth function of less.
_NARROWEST_STEP = 1e-9

LEAST_EPSILON = 1e-6
"""Smaller ones are lost in the rounding of double precision."""
_LEAST_DELTA = 1e-100

# Rounds a day may be a rounded quotient: 24 / 4.8 hours are 5 rounds, and not 6.
_DAY_SLACK = 1e-9


def check(settings: PrivacySettings) -> PrivacySettings:
    """Return `settings` if they can be accounted for; raises FedbertError on the first rule that is broken.

    A `delta` of 1/devices or more would allow a mechanism that publishes one device's data: it is refused.
    """
    epsilon, noise = settings.epsilon, settings.noise_multiplier
    if epsilon is not None and not (epsilon > 0 and math.isfinite(epsilon)):
        raise invalid("epsilon", epsilon, "be > 0 and finite", "leave it out for a run without privacy")
    if not 0 < settings.sampling_probability <= 1:
        raise invalid("sampling_probability", settings.sampling_probability, "be > 0 and <= 1")
    if noise is not None and not (noise >= 0 and math.isfinite(noise)):
        raise invalid("noise_multiplier", noise, "be >= 0", "use 0 for no noise")
    if not (settings.clip_norm > 0 and math.isfinite(settings.clip_norm)):
        raise invalid("clip_norm", settings.clip_norm, "be > 0 and finite")
    if settings.rounds < 1:
        raise invalid("rounds", settings.rounds, "be >= 1")
    if not (settings.rounds_per_day > 0 and math.isfinite(settings.rounds_per_day)):
        raise invalid("rounds_per_day", settings.rounds_per_day, "be > 0 and finite")
    if settings.devices < 1:
        raise invalid("devices", settings.devices, "be >= 1")
    _check_delta(settings.delta, settings.devices)
    return settings


def _check_delta(delta: float, devices: int) -> None:
    if not 0 < delta < 1:
        raise invalid("delta", delta, "be > 0 and < 1", "1e-6 suits a fleet of up to 100,000 devices")
    if delta < _LEAST_DELTA:
        raise invalid("delta", delta, f"be >= {_LEAST_DELTA:g}, the least that can be accounted for")
    if delta >= 1 / devices:
        raise invalid("delta", delta, f"be < 1/devices (= {1 / devices:.3g})", "choose a smaller delta")


def rounds_of_day(rounds_per_day: float) -> int:
    """Return the whole rounds of a day, rounded up: a device that joins once in them joins once a day."""
    return max(1, math.ceil(rounds_per_day - _DAY_SLACK))


def least_multiplier(
    spent: Callable[[float], float], settings: PrivacySettings, least: float = LEAST_EPSILON
) -> float:
    """Return the least noise multiplier for which `spent(multiplier)` stays within `settings.epsilon`.

    `spent` falls with the multiplier; it ends <= the budget and at least 0.999 of it, the multiplier at most
    1e-3 (relative) above the least. `least` is the smallest epsilon that `spent` resolves. Raises
    FedbertError, with the range that works, for a budget out of reach.
    """
    target = settings.epsilon
    if target is None:
        raise invalid("epsilon", target, "be a number to calibrate noise for")
    if target < least:
        raise _out_of_reach(target, settings, least, spent(_SMALLEST_MULTIPLIER))
    high, spent_high = 1.0, spent(1.0)
    while spent_high > target:
        if high >= _LARGEST_MULTIPLIER:
            raise _out_of_reach(target, settings, spent_high, spent(_SMALLEST_MULTIPLIER))
        high = min(2 * high, _LARGEST_MULTIPLIER)
        spent_high = spent(high)
    low = high / 2
    while (spent_low := spent(low)) <= target:
        if low <= _SMALLEST_MULTIPLIER:
            raise _out_of_reach(target, settings, least, spent_low)
        high, spent_high = low, spent_low
        low = max(low / 2, _SMALLEST_MULTIPLIER)
    least_spent = target * (1 - CALIBRATION_TOLERANCE)
    while high > low * (1 + _RELATIVE_STEP) or spent_high < least_spent:
        middle = math.sqrt(low * high)
        if high <= low * (1 + _NARROWEST_STEP):
            raise _out_of_reach(target, settings, spent_high, spent_high)
        found = spent(middle)
        if found > target:
            low = middle
        else:
            high, spent_high = middle, found
    return high


def _out_of_reach(target: float, settings: PrivacySettings, least: float, most: float) -> FedbertError:
    """Return the refusal of a budget that no noise comes to, with the epsilons that some noise does."""
    where = (
        f"in {settings.rounds} rounds at delta {settings.delta:g} and sampling rate "
        f"{settings.sampling_probability:g}"
    )
    if most <= LEAST_EPSILON:
        return FedbertError(
            f"epsilon(={target!r}) is out of reach: {where} delta alone covers every round and no epsilon is "
            "spent; choose a smaller delta"
        )
    if least == most:
        works, step = f"{least:.6g} is the nearest that works", "ask for that"
    else:
        works, step = f"it must be from {least:.3g} to {most:.3g}", "choose one within"
    return FedbertError(f"epsilon(={target!r}) is out of reach: {where} {works}; {step}")
