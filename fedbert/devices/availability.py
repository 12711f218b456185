"""When phones can take part: idle, charging, unmetered, online, by local hour. Modelled, or from a user's
trace.

A round looks at one moment of its window, drawn for the device. The model takes the device's habits
(`habits.py`) and draws what is left to chance; its parameters are found so that the published shapes come
out: about 22 % of devices eligible under strict rules (FLINT), a fourfold swing over the day, 6-10 % dropping
out of a round (both Bonawitz et al. 2019), the top 30 % of devices doing 86 % of the work (FLASH). A trace
(`availability_trace.py`) takes the place of the modelled states. `docs/devices.md` shows the check.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fedbert.device_range import DeviceRange, Devices
from fedbert.devices.availability_trace import Trace, states_at, traced_device
from fedbert.devices.fleet import Flags, Floats, Integers
from fedbert.devices.habits import PARAMETERS, Habits, Parameters, draw_habits, drop_chance
from fedbert.randomness import Purpose
from fedbert.units import HOURS_PER_DAY

Model = Literal["default", "always"]

LATE = 0.02
"""Chance that a report which is sent comes after the end of its window (assumed). Nothing to do with the 22 %
that Bonawitz et al. reject as late: those follow from a first-come cut-off, as a round with a clock has
(`federation/round_clock.py`); by the clock nobody is late by chance."""

# Uniform numbers a device and round: the moment, top-up, Wi-Fi, idleness, connection.
_MOMENTS = 5

# Two weeks show weekdays and weekends twice; more days change an hourly mean by little.
_MOST_TRACE_DAYS = 14

STATES = ("idle", "charging", "unmetered", "online", "ready", "eligible")


@dataclass(frozen=True)
class Availability:
    """The state of each device `[device]` in a round's window."""

    idle: Flags
    charging: Flags
    unmetered: Flags
    online: Flags

    @property
    def ready(self) -> Flags:
        """Devices that are idle, charging and online, on whatever link."""
        return self.idle & self.charging & self.online

    @property
    def eligible(self) -> Flags:
        """Devices that may compute and send: ready, and on an unmetered link."""
        return self.ready & self.unmetered

    @property
    def download_window(self) -> Flags:
        """Devices that may fetch a release: online and unmetered, whether charging or not."""
        return self.online & self.unmetered


@dataclass(frozen=True)
class Interruptions:
    """Which devices `[device]`, if selected, drop out of a round, and which report too late; never both."""

    dropped: Flags
    late: Flags


def _since(moment: Floats, start: Floats) -> tuple[Floats, Integers]:
    """Return hours since the last daily `start` before `moment` (both hours), and the number of that day."""
    days = np.floor((moment - start) / HOURS_PER_DAY)
    return moment - start - HOURS_PER_DAY * days, days.astype(np.int64)


def _moment_time(round_: int) -> int:
    """Return the time index of a round's draws: even, as those of days are odd."""
    return 2 * round_


def _day_time(day: int) -> int:
    """Return the time index of the draws of a day (>= -2): odd."""
    return 2 * (day + 3) + 1


def availability(
    devices: Devices,
    round_hours: float,
    round_: int,
    model: Model = "default",
    trace: Trace | None = None,
    parameters: Parameters = PARAMETERS,
) -> Availability:
    """Return the state of `devices` in round `round_` (>= 1).

    Round r spans the local hours (r - 1) `round_hours` to r `round_hours`, the first starting at midnight.
    `model` 'always' makes every device idle, charging, unmetered and online; else the states are those of
    `trace` if there is one, and those of the habits if not.
    """
    if model == "always":
        yes = np.ones(devices.count, np.bool_)
        return Availability(yes, yes, yes, yes)
    draws = devices.uniforms(Purpose.AVAILABILITY, _moment_time(round_), _MOMENTS)
    start = (round_ - 1) * round_hours
    moment = start + round_hours * draws[:, 0]
    if trace is not None:
        return Availability(*states_at(trace, traced_device(devices, trace), moment))
    habits = draw_habits(devices, parameters)
    asleep = _since(moment, habits.sleep_start)[0] < habits.sleep_hours
    plugged, day = _since(moment, habits.plug_start)
    staying = (plugged < habits.plug_hours) & (_daily(devices, day, start, round_hours) < habits.plug_chance)
    return _by_chance(habits, asleep, staying, draws, parameters)


def _by_chance(
    habits: Habits, asleep: Flags, staying: Flags, draws: Floats, parameters: Parameters
) -> Availability:
    """Return the state [device] while users are `asleep` and phones are `staying` on a charger."""
    p = parameters
    topping_up = ~staying & (draws[:, 1] < habits.top_up)
    busy = topping_up & (draws[:, 1] >= p.top_up_quiet * habits.top_up)
    wifi = np.where(asleep | staying, p.wifi_home, p.wifi_elsewhere)
    unmetered = draws[:, 2] < np.where(habits.home_wifi, wifi, p.wifi_none)
    awake = np.where(staying, p.idle_plugged, habits.idle_awake)
    idle = ~busy & (draws[:, 3] < np.where(asleep, p.idle_asleep, awake))
    online = unmetered | (draws[:, 4] < p.online_metered)
    return Availability(idle, staying | topping_up, unmetered, online)


def _daily(devices: Devices, day: Integers, start: float, round_hours: float) -> Floats:
    """Return a uniform number per device and `day` [device], the same in every round of that day.

    Days are numbered from -2: a stay that began the evening before midnight of day 0 belongs to day -1.
    """
    earliest = int(np.floor(start / HOURS_PER_DAY)) - 2
    latest = int(np.floor((start + round_hours) / HOURS_PER_DAY)) + 1
    result = np.zeros(devices.count)
    for number in range(earliest, latest + 1):  # a handful of days, not devices
        chosen = day == number
        if chosen.any():
            draws = devices.uniforms(Purpose.AVAILABILITY, _day_time(number), 1)
            result = np.where(chosen, draws[:, 0], result)
    return result


def interruption_causes(
    devices: Devices, round_: int, model: Model = "default", parameters: Parameters = PARAMETERS
) -> Interruptions:
    """Return which of `devices` would drop out of round `round_` and which be late; none if always available.

    The chance to drop out is the device's own (4-12 %, 8 % on average), that to be late 2 % for all. Both
    stay modelled where the states come from a trace.
    """
    if model == "always":
        no = np.zeros(devices.count, np.bool_)
        return Interruptions(no, no)
    draws = devices.uniforms(Purpose.DROP_OUT, round_, 2)
    dropped = draws[:, 0] < drop_chance(devices, parameters)
    return Interruptions(dropped, ~dropped & (draws[:, 1] < LATE))


def interruptions(devices: Devices, round_: int, model: Model = "default") -> Flags:
    """Return which of `devices` [device], if selected in round `round_`, would not report in time."""
    causes = interruption_causes(devices, round_, model)
    return causes.dropped | causes.late


def hourly_shares(
    model: Model = "default",
    seed: int = 0,
    devices: int = 20_000,
    trace: Trace | None = None,
    parameters: Parameters = PARAMETERS,
) -> dict[str, Floats]:
    """Return the share of devices in each state by local hour, ``{state: [24]}``, from a sample of `devices`.

    States: those of `STATES`. Of the model the second day, when no start-up shows;
    of a trace the mean of its days, at most the first fourteen.
    """
    hours, sample = int(HOURS_PER_DAY), DeviceRange(seed, 0, devices)
    days = range(1, 2) if trace is None else range(min(trace.days, _MOST_TRACE_DAYS))
    shares = {name: np.zeros(hours) for name in STATES}
    for day in days:
        for hour in range(hours):
            state = availability(sample, 1.0, hours * day + hour + 1, model, trace, parameters)
            for name in STATES:
                shares[name][hour] += np.count_nonzero(getattr(state, name)) / devices
    return {name: share / len(days) for name, share in shares.items()}
