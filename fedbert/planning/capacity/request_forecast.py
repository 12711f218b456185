"""Requests to the servers of the larger fleet: downloads, uploads and check-ins by hour, and their peaks."""

import numpy as np

from fedbert.intervals import Array, from_draws
from fedbert.planning.capacity.capacity import Forecast, Plan
from fedbert.planning.capacity.device_forecast import hourly
from fedbert.planning.capacity.draws import Draws
from fedbert.units import S_PER_DAY, S_PER_HOUR


def with_chance(rng: np.random.Generator, means: Array) -> Array:
    """Return Poisson counts around `means` `[draw, ...]`; row 0, the best guess, stays as it is."""
    counts = rng.poisson(means).astype(np.float64)
    counts[0] = means[0]
    return counts


def requests(
    plan: Plan, rng: np.random.Generator, draws: Draws, downloads: Array, reports: Array
) -> list[Forecast]:
    """Return downloads, uploads and check-ins by hour, and their sum with its peaks.

    Args:
        plan: what is planned for.
        rng: for the chance in the large fleet.
        draws: the uncertain inputs.
        downloads: `[draw, 24]` releases fetched in each hour of a usual day.
        reports: `[draw, 24]` reports of a round in that hour.
    """
    kinds = {
        "download": (downloads / S_PER_HOUR, "one request per download; a usual day, evenly within the hour"),
        "upload": (
            reports * plan.rounds_per_day / S_PER_DAY,
            "rounds and the uploads of a round are spread evenly over the day",
        ),
        "check-in": (
            plan.devices * draws.eligible * plan.rounds_per_day / S_PER_DAY,
            "a device checks in once per round while it is eligible, to learn of the round and the release",
        ),
    }
    total = sum((rate for rate, _ in kinds.values()), np.zeros_like(reports))
    kinds["total"] = (total, "the sum of downloads, report uploads and check-ins")
    rows: list[Forecast] = []
    for kind, (rate, assumption) in kinds.items():
        name = f"{kind} QPS"
        rows += hourly(
            name, "requests/s", with_chance(rng, rate * S_PER_HOUR) / S_PER_HOUR, "modelled", assumption
        )
        rows.append(
            Forecast(f"{name}, peak hour", "requests/s", from_draws(rate.max(axis=1)), "modelled", assumption)
        )
    return [
        *rows,
        Forecast(
            "total QPS, p99",
            "requests/s",
            from_draws(p99(total)),
            "modelled",
            "requests of each hour are Poisson; exceeded in 1% of the seconds of a day",
        ),
        Forecast(
            "total QPS, peak second",
            "requests/s",
            from_draws(_peak_second(total.max(axis=1))),
            "modelled",
            "requests of the peak hour are Poisson; exceeded in one second per day",
        ),
    ]


def p99(rates: Array) -> Array:
    """Return `[draw]` the count that at most 1% of a day's seconds exceed; `rates` are `[draw, hour]`.

    Found by bisection: the peak hour's own 99th percentile is the highest that it can be.
    """
    from scipy import stats

    high = np.asarray(stats.poisson.isf(0.01, rates.max(axis=1)), np.float64)
    low = np.full_like(high, -1.0)
    while (high - low > 1).any():
        middle = np.floor((low + high) / 2)
        enough = np.asarray(stats.poisson.sf(middle[:, None], rates)).mean(axis=1) <= 0.01
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high


def _peak_second(rate: Array) -> Array:
    from scipy import stats

    return np.asarray(stats.poisson.isf(1 / S_PER_DAY, rate), np.float64)
