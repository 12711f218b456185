"""Requests to the servers of the larger fleet: downloads, uploads and check-ins by hour, and their peaks."""

import numpy as np

from fedbert.intervals import Array, from_draws
from fedbert.planning.capacity.capacity import Forecast
from fedbert.planning.capacity.device_forecast import hourly
from fedbert.planning.capacity.load import BURST_S, Load
from fedbert.planning.capacity.rollout import STEP_S, STEPS_PER_HOUR
from fedbert.planning.capacity.traffic_forecast import closed_by_cap, with_chance
from fedbert.units import S_PER_DAY, S_PER_HOUR

ALIGNED_S = 60.0
"""Phones whose clocks wake them on the hour check in within about a minute of each other."""


_ASSUMED = {
    "download": "one request per attempt, as many as in the run; a usual day, evenly within the hour",
    "upload": "mean of the hour; one request per attempt, as many as in the run",
    "check-in": "a device checks in once per round while it is eligible, to learn of the round and the "
    "release",
    "total": "the sum of downloads, report uploads and check-ins",
}


def rates(load: Load) -> dict[str, Array]:
    """Return requests a second `[draw, hour]` by kind, and in all as ``total``."""
    a_second = load.plan.rounds_per_day / S_PER_DAY
    kinds = {
        "download": load.downloads * load.base.download_attempts / S_PER_HOUR,
        "upload": load.reports * load.base.upload_attempts * a_second,
        "check-in": load.check_ins * a_second,
    }
    return {**kinds, "total": sum(kinds.values(), np.zeros_like(load.reports))}


def requests(load: Load, rng: np.random.Generator) -> list[Forecast]:
    """Return downloads, uploads and check-ins by hour, and their sum with its peaks."""
    kinds = rates(load)
    rows: list[Forecast] = []
    for kind, rate in kinds.items():
        assumption = _ASSUMED[kind]
        name = f"{kind} QPS"
        rows += hourly(
            name, "requests/s", with_chance(rng, rate * S_PER_HOUR) / S_PER_HOUR, "modelled", assumption
        )
        peak = from_draws(rate.max(axis=1))
        note = closed_by_cap(load, peak) if kind == "download" else ""
        rows.append(Forecast(f"{name}, peak hour", "requests/s", peak, "modelled", assumption, note=note))
    return [*rows, *_peaks(load, kinds["download"], kinds["check-in"])]


def _peaks(load: Load, downloads: Array, check_ins: Array) -> list[Forecast]:
    """Return p99 and the busiest second, with check-ins spread out and with all of a round at once."""
    uploads = load.burst * load.base.upload_attempts
    rest = downloads + check_ins
    share = load.burst_share
    rates = np.concatenate([rest + uploads, rest], axis=1)
    hours = rest.shape[1]
    weights = np.r_[np.full(hours, share / hours), np.full(hours, (1 - share) / hours)]
    # The busiest five minutes of the downloads count, not their hour.
    repeated = np.arange(load.served.shape[1]) // STEPS_PER_HOUR % hours
    served = load.served * load.base.download_attempts / STEP_S
    early = load.early[:, repeated] * load.base.download_attempts / S_PER_HOUR
    others = (uploads + check_ins)[:, repeated]
    at_once = load.check_ins * max(1 / ALIGNED_S, load.plan.rounds_per_day / S_PER_DAY)
    aligned = (uploads + at_once)[:, repeated]
    poisson = f"requests are Poisson, and a round's uploads come within {BURST_S:.0f} s"
    second = f"{poisson}; exceeded in one second per day"
    found = (
        ("total QPS, p99", p99(rates, weights), f"{poisson}; exceeded in 1% of the seconds of a day"),
        ("total QPS, peak second", _peak_second((served + early + others).max(axis=1)), second),
        (
            "peak second, check-ins aligned",
            _peak_second((served + early + aligned).max(axis=1)),
            f"{second}; all check-ins of a round come within {ALIGNED_S:.0f} s",
        ),
    )
    return [
        Forecast(name, "requests/s", from_draws(draws), "modelled", assumption)
        for name, draws, assumption in found
    ]


def p99(rates: Array, weights: Array) -> Array:
    """Return `[draw]` the count that at most 1% of a day's seconds exceed.

    `rates` `[draw, part]` are those of parts of the day, `weights` `[part]` their shares of it. Found by
    bisection: the busiest part's own 99th percentile is the highest that it can be.
    """
    from scipy import stats

    counted = weights > 0
    rates, weights = rates[:, counted], weights[counted]
    high = np.asarray(stats.poisson.isf(0.01, rates.max(axis=1)), np.float64)
    low = np.full_like(high, -1.0)
    while (high - low > 1).any():
        middle = np.floor((low + high) / 2)
        enough = np.asarray(stats.poisson.sf(middle[:, None], rates)) @ weights <= 0.01
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high


def _peak_second(rate: Array) -> Array:
    from scipy import stats

    return np.asarray(stats.poisson.isf(1 / S_PER_DAY, rate), np.float64)
