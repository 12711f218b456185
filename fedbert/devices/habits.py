"""Habits of phones and their users: when a device sleeps, charges, is on Wi-Fi and lies idle. Modelled.

A device draws its habits once, so the same phones charge at the same hours every day. There are three kinds
of users: those whose phone has its place on a charger, those who charge it every night and leave it there for
hours before bedtime and after waking, and all others, who charge in short top-ups and seldom at night. That
strong spread is what lets a small part of the fleet do most of the work, as FLASH saw.

`Parameters` holds every number. `scripts/calibrate_availability.py` finds those marked *found* from the
published shapes; the others are assumed and kept fixed. `docs/devices.md` shows both and the check.
"""

from dataclasses import dataclass

import numpy as np

from fedbert.device_range import Devices
from fedbert.devices.fleet import Flags, Floats, standard_normal
from fedbert.randomness import Purpose
from fedbert.units import HOURS_PER_DAY

_HABITS_TIME, _DROP_OUT_TIME = 0, 1
"""Time indices of what a device draws once: its habits, and its own chance to drop out."""

# Kind, bedtime, night, two for the stay, its part before bedtime, Wi-Fi, idleness.
_DRAWS = 8

# The normal distribution has no end; nobody sleeps less.
_SHORTEST_NIGHT_HOURS = 2.0


@dataclass(frozen=True)
class Parameters:
    """The habits of the fleet; shares and chances in [0, 1], hours of the day or lengths in hours."""

    docked_share: float = 0.0539
    """Found: users whose phone lies on a charger all day unless in use."""
    nightly_share: float = 0.307
    """Found: users who charge every night, bedtime to waking and `stay_hours` more."""
    stay_hours: float = 6.41
    """Found: mean of what a nightly charger stays plugged in beyond the night; gamma, shape 2, over users."""
    top_up: float = 0.0583
    """Found: chance that any other phone is on a charger at a moment."""
    seldom_plug: float = 0.0527
    """Found: chance of a night on the charger for users who do not charge every night."""
    steady_plug: float = 0.95
    """Assumed: chance that a docked or nightly charger really plugs in on a day."""
    sleep_start_hour: float = 23.2
    sleep_start_sigma: float = 1.3
    """Assumed: bedtime over users, normal."""
    sleep_hours: float = 7.6
    sleep_hours_sigma: float = 1.0
    """Assumed: length of the night over users, normal, at least two hours."""
    top_up_quiet: float = 0.5
    """Assumed: top-ups at which the phone is left alone; at the others it is used or on the move."""
    home_wifi_steady: float = 0.97
    home_wifi_others: float = 0.75
    """Assumed: users with Wi-Fi at home, of docked and nightly chargers; of others (83 % of all)."""
    wifi_home: float = 0.97
    wifi_elsewhere: float = 0.65
    wifi_none: float = 0.06
    """Assumed: their chance to be on it asleep or plugged in for long; else; the chance of users without."""
    idle_asleep: float = 0.97
    idle_plugged: float = 0.93
    """Assumed: chance that the phone lies idle while its user sleeps; awake, plugged in for long."""
    idle_awake_low: float = 0.35
    idle_awake_high: float = 0.95
    """Assumed: the same awake and off the charger, uniform over users between the two."""
    online_metered: float = 0.97
    """Assumed: chance to be online when not on an unmetered link."""
    drop_low: float = 0.04
    drop_high: float = 0.12
    """A device's own chance to drop out of a round, uniform over devices; published: 6-10 %."""


PARAMETERS = Parameters()


@dataclass(frozen=True)
class Habits:
    """What each device `[device]` has drawn once.

    `sleep_start` and `plug_start` are local hours (they may lie outside 0 to 24); `sleep_hours` and
    `plug_hours` lengths; `plug_chance` of a stay on the charger on a day; `top_up` of a charger at any
    moment; `idle_awake` of lying idle while the user is awake.
    """

    sleep_start: Floats
    sleep_hours: Floats
    plug_start: Floats
    plug_hours: Floats
    plug_chance: Floats
    top_up: Floats
    home_wifi: Flags
    idle_awake: Floats


def draw_habits(devices: Devices, parameters: Parameters = PARAMETERS) -> Habits:
    """Return the habits of `devices`."""
    p = parameters
    draws = devices.uniforms(Purpose.HABIT, _HABITS_TIME, _DRAWS)
    docked = draws[:, 0] < p.docked_share
    nightly = ~docked & (draws[:, 0] < p.docked_share + p.nightly_share)
    steady = docked | nightly
    start = p.sleep_start_hour + p.sleep_start_sigma * standard_normal(draws[:, 1])
    night = np.maximum(
        p.sleep_hours + p.sleep_hours_sigma * standard_normal(draws[:, 2]), _SHORTEST_NIGHT_HOURS
    )
    # The sum of two exponential times is gamma distributed with shape 2.
    beyond = -p.stay_hours / 2 * np.log(draws[:, 3] * draws[:, 7])
    stay = np.minimum(np.where(nightly, beyond, 0.0), HOURS_PER_DAY - night)
    return Habits(
        sleep_start=start,
        sleep_hours=night,
        # A part of the stay, the user's own, lies before bedtime and the rest after waking.
        plug_start=start - draws[:, 4] * stay,
        plug_hours=np.where(docked, HOURS_PER_DAY, night + stay),
        plug_chance=np.where(steady, p.steady_plug, p.seldom_plug),
        top_up=np.where(steady, 0.0, p.top_up),
        home_wifi=draws[:, 5] < np.where(steady, p.home_wifi_steady, p.home_wifi_others),
        idle_awake=p.idle_awake_low + (p.idle_awake_high - p.idle_awake_low) * draws[:, 6],
    )


def drop_chance(devices: Devices, parameters: Parameters = PARAMETERS) -> Floats:
    """Return each device's own chance `[device]` to drop out of a round it was selected for."""
    own = devices.uniforms(Purpose.HABIT, _DROP_OUT_TIME, 1)[:, 0]
    return np.asarray(parameters.drop_low + (parameters.drop_high - parameters.drop_low) * own)
