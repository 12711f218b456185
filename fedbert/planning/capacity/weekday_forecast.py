"""The days of a week whose weekdays differ, by the factors that a user gave: bytes and requests."""

import numpy as np

from fedbert.intervals import Array, from_draws
from fedbert.planning.capacity.capacity import Forecast
from fedbert.planning.capacity.load import Load
from fedbert.planning.capacity.request_forecast import rates
from fedbert.planning.capacity.world import WEEKDAYS

_SAID = "the user's own factors of weekdays, not measured; releases, rounds and cohort the same every day"


def weekdays(load: Load) -> list[Forecast]:
    """Return the figures of each weekday; none where days are equal."""
    if not load.plan.world.days_differ:
        return []
    check_ins = load.check_ins * load.plan.rounds_per_day
    figures = {
        "egress": ("bytes", _by_day(load.downloads).sum(axis=2) * load.bytes_per_download),
        "reports": ("reports", _by_day(load.reports).mean(axis=2) * load.plan.rounds_per_day),
        "check-ins": ("check-ins", _by_day(check_ins).mean(axis=2)),
        "total QPS, peak hour": ("requests/s", _by_day(rates(load)["total"]).max(axis=2)),
    }
    return [
        Forecast(f"{day}: {name}", unit, from_draws(draws[:, place]), "modelled", _SAID)
        for place, day in enumerate(WEEKDAYS)
        for name, (unit, draws) in figures.items()
    ]


def _by_day(by_hour: Array) -> Array:
    """Return `[draw, day, 24]` of `[draw, 168]`."""
    return np.asarray(by_hour.reshape(len(by_hour), len(WEEKDAYS), -1))
