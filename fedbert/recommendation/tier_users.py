"""Which real user holds which phone: users' tastes made to go with the device tier, one user per device.

Modelled: no data at hand say what phone a user had. Users who lean to what many choose get cheap phones more
often, users of rare items expensive ones. Devices are taken in groups of `GROUP`; within a group the users
that a plain seeded order gives them change places, so that the order of ``tier_correlation * lean + noise``
(noise standard normal) becomes that of the tiers. Every user still comes as often as before, and a device's
user depends on the seed and on its own group alone.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from fedbert.device_range import DeviceRange
from fedbert.randomness import ONCE, Purpose
from fedbert.recommendation.sessions import Block

GROUP = 64
"""Devices that change users among themselves: enough for the order of tastes to become that of the tiers, few
enough that a block needs the tiers of hardly any device beside its own."""

_EXCHANGE_TIME = ONCE + 1
"""Time index of the exchange's draws, apart from the seeded order's (`ONCE`)."""


def lean_of(log_popularity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each user's lean to rare items [user] as a standard normal score, from the mean `log_popularity`
    [user] of what they chose before the cut; ties go by user."""
    users = len(log_popularity)
    place = np.empty(users)
    place[np.argsort(-log_popularity, kind="stable")] = np.arange(users)
    return np.asarray(ndtri((place + 0.5) / max(users, 1)))


def assign(block: Block, order: NDArray[np.int64], lean: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the user on each device of `block`; `order` [user] is the seeded order, `lean` [user].

    Devices beyond the users begin the order again; groups end there, and at the end of the fleet.
    """
    users, devices = len(order), block.devices
    first, end = devices.first, devices.end
    strength = block.settings.tier_correlation
    if strength == 0 or block.tier_of is None or not devices.count:
        return order[np.arange(first, end) % users]
    low = first - (first % users) % GROUP
    last = end - 1
    high = last - (last % users) % GROUP + GROUP
    high = max(end, min(high, (last // users + 1) * users, block.fleet_devices))
    # Whole groups: the block's devices and, on both sides, those that share a group with them.
    whole = DeviceRange(devices.seed, low, high - low)
    before, after = whole.part(slice(0, first - low)), whole.part(slice(end - low, high - low))
    device = np.arange(low, high)
    tier = np.concatenate([block.tier_of(before), block.tier, block.tier_of(after)])
    group = device // users * -(-users // GROUP) + device % users // GROUP
    user = order[device % users]
    draw = whole.uniforms(Purpose.USER_ASSIGNMENT, _EXCHANGE_TIME, 2)
    score = strength * lean[user] + ndtri(draw[:, 0])
    result = np.empty_like(user)
    result[np.lexsort((draw[:, 1], tier, group))] = user[np.lexsort((score, group))]
    return result[first - low : end - low]
