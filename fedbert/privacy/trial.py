"""A trial of a mechanism from a user's own file: what breaks a rule is refused in one line before a run.

A bound that a mechanism states is believed only if dp-accounting, given the mechanism's own event, confirms
it.
"""

import math
from itertools import pairwise

import numpy as np

from fedbert.device_range import DeviceRange
from fedbert.plugins import Named
from fedbert.privacy.accountant import epsilon_of
from fedbert.privacy.mechanism import Bound, Mechanism, PrivacySettings

NEEDED = (
    *("name", "settings", "private", "noise_multiplier", "round_rate", "sigma", "noise_on_device"),
    *("joins", "gathered", "on_device", "on_sum", "total_sigma", "event", "spent"),
)
PAGE = "docs/how-to/mechanism.md shows one"

TOLERANCE = 0.01
"""Relative amount by which a stated epsilon may be below dp-accounting's: the error of grids and rounding."""

_DEVICES, _SIZE, _SCALE = DeviceRange(0, 0, 64), 5, 1024.0
_ROUNDS = 100
"""Rounds whose openings are tried."""


def checked(mechanism: Mechanism, remade: Mechanism, named: Named) -> Mechanism:
    """Return `mechanism`, which was `named`, if a trial goes well.

    `remade` is the same, made of its noise multiplier as shards do. Raises FedbertError with one line for
    the first rule it breaks, for an event that no accountant covers and for a bound below what its event
    comes to.
    """
    if not (isinstance(mechanism.name, str) and mechanism.name):
        raise named.refused(f"have a text as its name, not {mechanism.name!r}")
    for name, low, high in (
        ("noise_multiplier", 0.0, math.inf),
        ("round_rate", 0.0, 1.0),
        ("sigma", 0.0, math.inf),
    ):
        value = getattr(mechanism, name)
        if not isinstance(value, int | float) or not low <= value <= high or not math.isfinite(value):
            raise named.refused(f"have a {name} from {low:g} to {high:g}, not {value!r}")
    if mechanism.round_rate == 0:
        raise named.refused("have a round_rate > 0")
    if not isinstance(mechanism.settings, PrivacySettings):
        raise named.refused("keep the settings that make(...) was given as settings")
    if (remade.sigma, remade.round_rate) != (mechanism.sigma, mechanism.round_rate):
        raise named.refused("come out the same when it is made again with settings.noise_multiplier")
    _check_arrays(mechanism, named)
    _check_openings(mechanism, named)
    if mechanism.private:
        _check_bounds(mechanism, named)
    return mechanism


def _check_arrays(mechanism: Mechanism, named: Named) -> None:
    count, everyone = _DEVICES.count, np.ones(_DEVICES.count, np.bool_)
    named.array("joins(...)", mechanism.joins(_DEVICES, 1), np.bool_, (count,))
    noise = mechanism.on_device(_DEVICES, everyone, 1, _SIZE, _SCALE)
    named.array("on_device(...)", noise, np.int64, (_SIZE,))
    halves = [
        mechanism.on_device(_DEVICES.part(rows), everyone[rows], 1, _SIZE, _SCALE)
        for rows in _DEVICES.blocks(count // 2)
    ]
    if not np.array_equal(noise, sum(halves)):
        raise named.refused("give in on_device(...) the same noise however the fleet is cut")
    if not np.isfinite(named.array("on_sum(...)", mechanism.on_sum(0, 1, _SIZE), np.float64, (_SIZE,))).all():
        raise named.refused("give finite noise in on_sum(...)")
    if mechanism.noise_on_device and mechanism.on_sum(0, 1, _SIZE).any():
        raise named.refused("give zeros in on_sum(...), as its noise is added on the devices")
    if not mechanism.noise_on_device and noise.any():
        raise named.refused("say noise_on_device, as on_device(...) gives noise")


def _check_openings(mechanism: Mechanism, named: Named) -> None:
    """Check that each round up to the last is opened once at most, and that the total's noise is a number."""
    rounds, opened = mechanism.settings.rounds, list[int]()
    waiting = 0
    for round_ in range(1, min(rounds, _ROUNDS) + 1):
        waiting += 1
        count = mechanism.gathered(round_)
        if not isinstance(count, int) or count not in (0, waiting):
            raise named.refused(
                f"give in gathered({round_}) 0 or the {waiting} not opened yet, not {count!r}"
            )
        if count:
            waiting = 0
            opened.append(round_)
    if rounds <= _ROUNDS and waiting:
        raise named.refused(f"open in gathered({rounds}), the last round, what it has gathered")
    sigma = mechanism.total_sigma(opened)
    if not isinstance(sigma, int | float) or not (0 <= sigma < math.inf):
        raise named.refused(f"give a number >= 0 in total_sigma(...), not {sigma!r}")
    if mechanism.private and opened and sigma == 0:
        raise named.refused("give more than 0 in total_sigma(...), as its sums carry noise")


def _check_bounds(mechanism: Mechanism, named: Named) -> None:
    rounds = mechanism.settings.rounds
    bounds = mechanism.spent(rounds)
    if not isinstance(bounds, tuple) or not bounds or not all(isinstance(bound, Bound) for bound in bounds):
        raise named.refused("give one Bound or more in spent(...), as a tuple")
    if any(earlier.epsilon > later.epsilon for earlier, later in pairwise(bounds)):
        raise named.refused(
            "give the bounds in spent(...) with the weakest adversary, so the least epsilon, first"
        )
    proved = epsilon_of(mechanism.event(rounds), bounds[0].delta)
    if not bounds[0].epsilon >= (1 - TOLERANCE) * proved:
        raise named.refused(
            f"state no smaller epsilon than its event comes to: {bounds[0].epsilon:.4g} over {rounds} "
            f"rounds, where dp-accounting gives {proved:.4g}"
        )
