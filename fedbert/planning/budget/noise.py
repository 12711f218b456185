"""The noise of a mean: what is left of a mechanism's noise when a sum is divided by who is expected in it.

It decides quality: the server works with means, and a fleet twice as large halves it.
"""

import numpy as np

from fedbert.device_range import DeviceRange
from fedbert.devices.availability import Model, availability, interruptions
from fedbert.devices.availability_trace import Trace
from fedbert.privacy.accounting import rounds_of_day
from fedbert.privacy.mechanism import Mechanism
from fedbert.units import HOURS_PER_DAY

_SAMPLE = 20_000
_MOST_TRACE_DAYS = 14


def available_share(round_hours: float, model: Model, trace: Trace | None = None) -> float:
    """Return the share of those that join a round who report in time, mean over a day: modelled.

    Of the model the second day, when no start-up shows; of a trace the mean of its days, at most fourteen.
    """
    if model == "always":
        return 1.0
    devices, period = DeviceRange(0, 0, _SAMPLE), rounds_of_day(HOURS_PER_DAY / round_hours)
    days = range(1, 2) if trace is None else range(min(trace.days, _MOST_TRACE_DAYS))
    shares = [
        np.mean(
            availability(devices, round_hours, round_, model, trace).eligible
            & ~interruptions(devices, round_, model)
        )
        for day in days
        for round_ in range(period * day + 1, period * (day + 1) + 1)
    ]
    return float(np.mean(shares))


def opened_in(mechanism: Mechanism, rounds: int) -> list[int]:
    """Return the rounds of the first `rounds` at whose end a sum is opened."""
    return [round_ for round_ in range(1, rounds + 1) if mechanism.gathered(round_)]


def mean_noise(mechanism: Mechanism, rounds: int, devices: int, share: float) -> float | None:
    """Return the noise of the mean of what the first `rounds` rounds opened, in clip norms.

    The standard deviation per coordinate of the noise in the total, over the reports that are expected in it:
    `devices` times the mechanism's rate times `share`, a round. None if nothing is opened in these rounds.
    """
    opened = opened_in(mechanism, rounds)
    reports = devices * mechanism.round_rate * share * sum(map(mechanism.gathered, opened))
    if not opened or reports <= 0:
        return None
    return mechanism.total_sigma(opened) / mechanism.settings.clip_norm / reports
