"""Figures by local hour of phones whose clocks or days differ: by the server's clock, over a week, of a day.

Apart from `fedbert.planning.capacity.world`, which the flags of a command are made of: help needs no arrays.
"""

import math

import numpy as np

from fedbert.intervals import Array
from fedbert.planning.capacity.world import World


def over_a_week(by_hour: Array, world: World) -> Array:
    """Return `by_hour` `[..., 24]` as it is where days are equal, else by hour of the week `[..., 168]`.

    Monday comes first; each day has the mean day's figures times its factor.
    """
    if not world.days_differ:
        return by_hour
    return np.concatenate([by_hour * factor for factor in world.weekday_factors], axis=-1)


def by_server_clock(by_hour: Array, world: World) -> Array:
    """Return `by_hour` `[..., hour]` of phones by their own clock as the fleet's mean by the server's.

    A zone that is o hours ahead has at server hour H what its phones have from local hour H + o to H + o + 1:
    of a fraction of an hour both hours' parts.
    """
    if not world.zones:
        return by_hour
    mixed = np.zeros_like(by_hour)
    for zone in world.zones:
        whole = math.floor(zone.offset_hours)
        part = zone.offset_hours - whole
        first, second = (np.roll(by_hour, -(whole + later), axis=-1) for later in (0, 1))
        mixed += zone.share * ((1 - part) * first + part * second)
    return mixed


def of_a_day(by_hour: Array) -> Array:
    """Return `by_hour` `[..., 24]`, or the mean over its days `[..., 24]` of one by hour of a week."""
    hours = 24
    if by_hour.shape[-1] == hours:
        return by_hour
    return np.asarray(by_hour.reshape(*by_hour.shape[:-1], -1, hours).mean(axis=-2))
