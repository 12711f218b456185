"""When phones can take part: idle, charging, on Wi-Fi, by local hour. Modelled: no trace could be had.

Each device has habits, drawn once: when its user goes to sleep and for how long, when and how reliably it is
put on the charger at night, whether it also charges by day, whether there is Wi-Fi at home, and how often it
is used while the user is awake. A round looks at one moment of its window, drawn for the device. The
parameters below are chosen so that the published shapes come out: about 22 % of devices eligible under strict
rules (FLINT), a fourfold swing over the day, 6-10 % dropping out of a round (both Bonawitz et al. 2019).
`docs/devices.md` shows the check.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fedbert.devices.fleet import Flags, Floats, Integers, standard_normal
from fedbert.randomness import Purpose, uniforms
from fedbert.units import HOURS_PER_DAY

Model = Literal["default", "always"]

SLEEP_START_HOUR, SLEEP_START_SIGMA = 23.2, 1.3
SLEEP_HOURS, SLEEP_HOURS_SIGMA = 7.6, 1.0
CHARGE_LAG_SIGMA = 0.6
"""Hours between going to sleep and plugging in."""
REGULAR_SHARE, REGULAR_PLUG, IRREGULAR_PLUG = 0.36, 0.92, 0.10
"""Share of users who charge at night as a habit; chance of a night on the charger for them and for others."""
DAY_START_HOUR, DAY_START_SIGMA, DAY_HOURS, DAY_PLUG = 13.0, 3.5, 3.0, 0.55
"""Charging by day: usual middle of the habit over users, length, and chance on a day."""
DOCKED_SHARE, DOCKED_PLUG, LOOSE_PLUG = 0.25, 0.78, 0.10
"""Share of phones that mostly lie on a charger; chance of a charger at any moment for them and for others."""
HOME_WIFI_SHARE, HOME_WIFI, AWAY_WIFI, NO_HOME_WIFI = 0.85, 0.97, 0.65, 0.06
"""Share of devices with Wi-Fi at home; their chance to be on it at night, by day; the others' chance."""
IDLE_ASLEEP, IDLE_AWAKE_LOW, IDLE_AWAKE_HIGH = 0.97, 0.35, 0.95
"""Chance that the phone lies idle: at night; awake, uniform over users between the two."""
ONLINE_METERED = 0.97
"""Chance to be online when not on an unmetered link."""
DROP_LOW, DROP_HIGH = 0.04, 0.12
"""A device's own chance to drop out of a round, uniform over devices: 8 % on average."""
LATE = 0.02
"""Chance to finish after the round has closed."""

_HABITS = 8
_MOMENTS = 5
_DAYS = 4


@dataclass(frozen=True)
class Availability:
    """The state of each device `[device]` in a round's window."""

    idle: Flags
    charging: Flags
    unmetered: Flags
    online: Flags

    @property
    def eligible(self) -> Flags:
        """Devices that may compute and send: idle, charging and on an unmetered link."""
        return self.idle & self.charging & self.unmetered & self.online

    @property
    def download_window(self) -> Flags:
        """Devices that may fetch a release: online and unmetered, whether charging or not."""
        return self.online & self.unmetered


@dataclass(frozen=True)
class Interruptions:
    """Which devices `[device]`, if selected, drop out of a round, and which report too late; never both."""

    dropped: Flags
    late: Flags


@dataclass(frozen=True)
class _Habits:
    sleep_start: Floats
    sleep_hours: Floats
    plug_lag: Floats
    night_plug: Floats
    day_start: Floats
    home_wifi: Flags
    idle_awake: Floats
    top_up: Floats


def _habits(seed: int, first: int, count: int) -> _Habits:
    draws = uniforms(seed, Purpose.HABIT, 0, first, count, _HABITS)
    regular = draws[:, 3] < REGULAR_SHARE
    return _Habits(
        sleep_start=SLEEP_START_HOUR + SLEEP_START_SIGMA * standard_normal(draws[:, 0]),
        sleep_hours=np.maximum(SLEEP_HOURS + SLEEP_HOURS_SIGMA * standard_normal(draws[:, 1]), 2.0),
        plug_lag=CHARGE_LAG_SIGMA * standard_normal(draws[:, 2]),
        night_plug=np.where(regular, REGULAR_PLUG, IRREGULAR_PLUG),
        day_start=DAY_START_HOUR + DAY_START_SIGMA * standard_normal(draws[:, 4]) - DAY_HOURS / 2,
        home_wifi=draws[:, 5] < HOME_WIFI_SHARE,
        idle_awake=IDLE_AWAKE_LOW + (IDLE_AWAKE_HIGH - IDLE_AWAKE_LOW) * draws[:, 6],
        top_up=np.where(draws[:, 7] < DOCKED_SHARE, DOCKED_PLUG, LOOSE_PLUG),
    )


def _since(moment: Floats, start: Floats) -> tuple[Floats, Integers]:
    """Return hours since the last daily `start` before `moment` (both hours), and the number of that day."""
    days = np.floor((moment - start) / HOURS_PER_DAY)
    return moment - start - HOURS_PER_DAY * days, days.astype(np.int64)


def availability(
    seed: int, first: int, count: int, round_hours: float, round_: int, model: Model = "default"
) -> Availability:
    """Return the state of devices `first` .. `first + count - 1` in round `round_` (>= 1).

    Round r spans the local hours (r - 1) `round_hours` to r `round_hours`, the first starting at midnight.
    `model` 'always' makes every device idle, charging, unmetered and online.
    """
    if model == "always":
        yes = np.ones(count, np.bool_)
        return Availability(yes, yes, yes, yes)
    habits = _habits(seed, first, count)
    draws = uniforms(seed, Purpose.AVAILABILITY, 2 * round_, first, count, _MOMENTS)
    start = (round_ - 1) * round_hours
    moment = start + round_hours * draws[:, 0]

    night, _ = _since(moment, habits.sleep_start)
    asleep = night < habits.sleep_hours
    plugged, plug_number = _since(moment, habits.sleep_start + habits.plug_lag)
    by_day, day_number = _since(moment, habits.day_start)
    at_night = (plugged < habits.sleep_hours) & (
        _daily(seed, first, count, plug_number, start, round_hours, 0) < habits.night_plug
    )
    by_day_plug = (by_day < DAY_HOURS) & (
        _daily(seed, first, count, day_number, start, round_hours, 1) < DAY_PLUG * (1 - habits.night_plug)
    )
    charging = at_night | by_day_plug | (draws[:, 1] < habits.top_up)
    wifi = np.where(habits.home_wifi, np.where(asleep, HOME_WIFI, AWAY_WIFI), NO_HOME_WIFI)
    unmetered = draws[:, 2] < wifi
    idle = draws[:, 3] < np.where(asleep, IDLE_ASLEEP, habits.idle_awake)
    online = unmetered | (draws[:, 4] < ONLINE_METERED)
    return Availability(idle, charging, unmetered, online)


def _daily(
    seed: int, first: int, count: int, day: Integers, start: float, round_hours: float, column: int
) -> Floats:
    """Return a uniform number a device and `day` [device], the same in every round of that day.

    Days are numbered from -3: a habit that began the evening before midnight of day 0 belongs to day -1.
    """
    earliest = int(np.floor(start / HOURS_PER_DAY)) - 2
    latest = int(np.floor((start + round_hours) / HOURS_PER_DAY)) + 1
    result = np.zeros(count)
    for number in range(earliest, latest + 1):  # a handful of days, not devices
        chosen = day == number
        if chosen.any():
            draws = uniforms(seed, Purpose.AVAILABILITY, 2 * (number + 3) + 1, first, count, _DAYS)
            result = np.where(chosen, draws[:, column], result)
    return result


def interruption_causes(
    seed: int, round_: int, first: int, count: int, model: Model = "default"
) -> Interruptions:
    """Return which devices would drop out of round `round_` and which be late in it; `model` 'always': none.

    The chance to drop out is the device's own (4-12 %, 8 % on average), that to be late 2 % for all.
    """
    if model == "always":
        no = np.zeros(count, np.bool_)
        return Interruptions(no, no)
    own = uniforms(seed, Purpose.HABIT, 1, first, count, 1)[:, 0]
    draws = uniforms(seed, Purpose.DROP_OUT, round_, first, count, 2)
    dropped = draws[:, 0] < DROP_LOW + (DROP_HIGH - DROP_LOW) * own
    return Interruptions(dropped, ~dropped & (draws[:, 1] < LATE))


def interruptions(seed: int, round_: int, first: int, count: int, model: Model = "default") -> Flags:
    """Return which devices [device], if selected in round `round_`, would not report in time."""
    causes = interruption_causes(seed, round_, first, count, model)
    return causes.dropped | causes.late


def hourly_shares(model: Model = "default", seed: int = 0, devices: int = 20_000) -> dict[str, Floats]:
    """Return the share of devices in each state by local hour, ``{state: [24]}``, from a sample of `devices`.

    States: idle, charging, unmetered, online, eligible. Hours of the second day, when no start-up shows.
    """
    hours = int(HOURS_PER_DAY)
    names = ("idle", "charging", "unmetered", "online", "eligible")
    shares = {name: np.zeros(hours) for name in names}
    for hour in range(hours):
        state = availability(seed, 0, devices, 1.0, hours + hour + 1, model)
        for name in names:
            shares[name][hour] = np.count_nonzero(getattr(state, name)) / devices
    return shares
