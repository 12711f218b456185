"""The noise of a mean: what is left of a mechanism's noise when a sum is divided by who is expected in it.

It decides quality: the server works with means, and a fleet twice as large halves it.
"""

from dataclasses import dataclass

import numpy as np

from fedbert.device_range import DeviceRange
from fedbert.devices.availability import Model, availability, interruptions
from fedbert.devices.availability_trace import Trace
from fedbert.privacy.accounting import rounds_of_day
from fedbert.privacy.mechanism import Mechanism
from fedbert.units import HOURS_PER_DAY

_SAMPLE = 20_000
_MOST_TRACE_DAYS = 14


@dataclass(frozen=True)
class Shares:
    """Of the devices that join a round, who reports: modelled, 0..1, means over a day."""

    in_time: float
    """In the round itself."""
    by_opening: float
    """Until the day's sum is opened, where several rounds are opened as one: a device may come later."""


def report_shares(round_hours: float, model: Model, trace: Trace | None = None) -> Shares:
    """Return how many of those that join report, of a round drawn from a day.

    Of the model the second day, when no start-up shows; of a trace the mean of its days, at most fourteen.
    """
    if model == "always":
        return Shares(1.0, 1.0)
    devices, period = DeviceRange(0, 0, _SAMPLE), rounds_of_day(HOURS_PER_DAY / round_hours)
    days = range(1, 2) if trace is None else range(min(trace.days, _MOST_TRACE_DAYS))
    in_time, by_opening = list[float](), list[float]()
    for day in days:
        later = np.zeros(_SAMPLE, np.bool_)
        for round_ in range(period * (day + 1), period * day, -1):
            eligible = availability(devices, round_hours, round_, model, trace).eligible
            able = eligible & ~interruptions(devices, round_, model)
            later |= able
            in_time.append(float(np.mean(able)))
            by_opening.append(float(np.mean(later)))
    return Shares(float(np.mean(in_time)), float(np.mean(by_opening)))


def opened_in(mechanism: Mechanism, rounds: int) -> list[int]:
    """Return the rounds of the first `rounds` at whose end a sum is opened."""
    return [round_ for round_ in range(1, rounds + 1) if mechanism.gathered(round_)]


def share_of(mechanism: Mechanism, shares: Shares) -> float:
    """Return the share of those that join who report in a mechanism: later too where its sums wait."""
    return shares.in_time if mechanism.gathered(1) else shares.by_opening


def mean_noise(mechanism: Mechanism, rounds: int, devices: int, shares: Shares) -> float | None:
    """Return the noise of the mean of what the first `rounds` rounds opened, in clip norms.

    The standard deviation per coordinate of the noise in the total, over the reports that are expected in it:
    `devices` times the mechanism's rate times `share_of`, a round. None if nothing is opened in these rounds.
    """
    opened = opened_in(mechanism, rounds)
    rate = mechanism.round_rate * share_of(mechanism, shares)
    reports = devices * rate * sum(map(mechanism.gathered, opened))
    if not opened or reports <= 0:
        return None
    return mechanism.total_sigma(opened) / mechanism.settings.clip_norm / reports
