"""Which devices join a round: what the accountant assumes is what is drawn here.

Each device decides with its own random number, whether it is available or not; one that cannot take part in
the end adds zero, and the rate that is accounted for stays the same.
"""

import math

import numpy as np
from numpy.typing import NDArray

from fedbert.device_range import DeviceRange
from fedbert.errors import invalid
from fedbert.randomness import ONCE, Purpose

# 1 / (1 / 12) is a little more than 12.
_SLACK = 1e-9


def by_coin(devices: DeviceRange, round_number: int, probability: float) -> NDArray[np.bool_]:
    """Return whether each device joins round `round_number` (from 1): `[device]`.

    Each round each device tosses a coin of rate `probability`, over-selection included.
    """
    _check(round_number, probability)
    return devices.uniforms(Purpose.COHORT, round_number, 1)[:, 0] < probability


def slots_of_day(period: int, probability: float) -> int:
    """Return among how many slots a device draws the one round of a day that it joins.

    A day's `period` rounds are the first of them. More slots than rounds let a device sit a day out, so that
    it joins a round at a rate of 1 / slots <= `probability`.
    """
    return max(period, math.ceil(1 / probability - _SLACK))


def once_a_day(
    devices: DeviceRange, round_number: int, period: int, slots: int, fixed: bool
) -> NDArray[np.bool_]:
    """Return whether each device joins round `round_number` (from 1): `[device]`.

    Of each day of `period` rounds a device joins one at most: that of its slot, drawn among `slots` each day
    anew, or if `fixed` once for all days, which keeps its rounds exactly a day apart.
    """
    _check(round_number, 1 / slots)
    day, place = divmod(round_number - 1, period)
    drawn = np.floor(devices.uniforms(Purpose.COHORT, ONCE if fixed else day, 1)[:, 0] * slots)
    return np.asarray(drawn == place)


def _check(round_number: int, probability: float) -> None:
    if round_number < 1:
        raise invalid("round", round_number, "be >= 1")
    if not 0 < probability <= 1:
        raise invalid("sampling_probability", probability, "be > 0 and <= 1")
