"""Several days of a fleet that grows: totals over the horizon, the last day, and when the link is full.

Day d of the horizon, from 0, has N (1 + g)^(d / month) phones, g the growth a month of 365 / 12 days. Each is
a mean day. What follows the phones grows with them; rounds want as many reports every day. Where the cap
binds within the horizon, downloads are computed for a few sizes of the fleet, and interpolated between them.
"""

from dataclasses import dataclass, replace

import numpy as np

from fedbert.intervals import Array, Estimate, from_draws
from fedbert.planning.capacity.capacity import Alert, Forecast
from fedbert.planning.capacity.load import Load, planned_probability
from fedbert.planning.capacity.request_forecast import rates
from fedbert.planning.capacity.rollout import STEP_S, per_step, usual_day
from fedbert.planning.capacity.traffic_forecast import FULL, headroom, hours_at_cap
from fedbert.planning.capacity.world import DAYS_PER_MONTH, factor_on
from fedbert.units import BITS_PER_BYTE

SIZES = 9
"""Sizes of the fleet at which downloads under the cap are computed."""


@dataclass(frozen=True)
class _Day:
    """A day's figures, `[draw]` each."""

    downloads: Array
    reports: Array
    check_ins: Array


def growth(load: Load) -> tuple[list[Forecast], list[Alert]]:
    """Return figures of the horizon and its last day, and an alert if the link fills up within it."""
    world = load.plan.world
    if world.days is None:
        return [], []
    factors = np.array([factor_on(day, world.growth_percent_per_month) for day in range(world.days)])
    last = grown(load, factors[-1])
    full_on = _full_on(load)
    rows = [*_totals(load, factors), *_last_day(last, world.days), _full_row(full_on)]
    return rows, _alerts(load, last, float(full_on[0]))


def grown(load: Load, factor: float) -> Load:
    """Return the load of a fleet `factor` times as large."""
    if factor == 1.0:
        return load
    plan = replace(load.plan, devices=round(load.plan.devices * factor))
    sized = replace(load, plan=plan, sampling_probability=planned_probability(plan, load.base))
    capacity = per_step(plan.release_bits_per_s, load.bytes_per_download)
    asked = load.asked * (plan.devices / load.plan.devices)
    if (asked.max(axis=1) <= capacity).all():
        return replace(sized, served=asked, asked=asked)
    arguments = (
        load.draws.fetch_rate,
        load.draws.frailty,
        plan.release_hour,
        plan.releases_per_day,
        load.groups,
    )
    return replace(sized, served=usual_day(sized.fetching, capacity, *arguments), asked=asked)


def _totals(load: Load, factors: Array) -> list[Forecast]:
    plan, base = load.plan, load.base
    sizes = np.unique(np.geomspace(1.0, factors[-1], SIZES if factors[-1] > 1 else 1))
    days = [_day(grown(load, size)) for size in sizes]
    weights = _weights(factors, sizes)  # [size] days that count for each

    def total(name: str) -> Array:
        return np.asarray(sum(weight * getattr(day, name) for weight, day in zip(weights, days, strict=True)))

    downloads, reports, check_ins = (total(name) for name in ("downloads", "reports", "check_ins"))
    transfers = downloads * base.download_attempts + reports * base.upload_attempts
    extra = check_ins * plan.check_in_bytes + transfers * plan.connection_bytes
    rate = plan.world.growth_percent_per_month
    said = (
        f"sum of {len(factors)} mean days of a fleet that grows by {rate:g}% a month; rounds want as many "
        "reports every day"
    )
    figures = (
        ("downloads", "downloads", downloads),
        ("egress", "bytes", downloads * load.bytes_per_download),
        ("reports", "reports", reports),
        ("ingress", "bytes", reports * base.report_bytes),
        ("check-ins", "check-ins", check_ins),
        ("check-in and TLS bytes, each way", "bytes", extra),
        ("requests", "requests", transfers + check_ins),
    )
    return [
        Forecast(f"horizon: {name}", unit, from_draws(draws), "modelled", said)
        for name, unit, draws in figures
    ]


def _day(load: Load) -> _Day:
    check_ins = load.check_ins.mean(axis=1) * load.plan.rounds_per_day
    return _Day(load.downloads_per_day, load.reports_per_day, check_ins)


def _weights(factors: Array, sizes: Array) -> Array:
    """Return `[size]` how many days count for each of `sizes`, those between two in parts."""
    units = np.eye(len(sizes))
    return np.array([np.interp(factors, sizes, unit).sum() for unit in units])


def _last_day(last: Load, days: int) -> list[Forecast]:
    phones = Estimate(float(last.plan.devices), None, None)
    said = f"day {days}, by the formulas of the mean day"
    figures = (
        ("egress", "bytes", last.downloads_per_day * last.bytes_per_download),
        ("total QPS, peak hour", "requests/s", rates(last)["total"].max(axis=1)),
        ("egress headroom, peak hour", "share", headroom(last)),
    )
    return [
        Forecast("last day: phones", "devices", phones, "modelled", f"plain arithmetic: {said}"),
        *(
            Forecast(f"last day: {name}", unit, from_draws(draws), "modelled", said)
            for name, unit, draws in figures
        ),
    ]


def _full_on(load: Load) -> Array:
    """Return `[draw]` the day, from 1, on which the busiest five minutes fill the cap; infinite if never."""
    capacity = per_step(load.plan.release_bits_per_s, load.bytes_per_download) * (1 - FULL)
    wanted = capacity / np.maximum(load.asked.max(axis=1), 1e-12)
    step = np.log1p(load.plan.world.growth_percent_per_month / 100) / DAYS_PER_MONTH
    if step == 0:
        return np.where(wanted <= 1, 1.0, np.inf)
    return np.asarray(1 + np.ceil(np.maximum(np.log(wanted) / step, 0.0)))


def _full_row(full_on: Array) -> Forecast:
    said = "downloads as they are asked for fill the cap in the busiest five minutes; growth goes on"
    return Forecast("horizon: day on which the link fills", "day", from_draws(full_on), "modelled", said)


def _alerts(load: Load, last: Load, full_on: float) -> list[Alert]:
    days = load.plan.world.days or 0
    if not 1 < full_on <= days or hours_at_cap(load)[0] > 0:
        return []
    busiest = last.asked[0].max() / STEP_S * last.bytes_per_download * BITS_PER_BYTE / 1e6
    return [
        Alert(
            "link full within the horizon",
            "day",
            full_on,
            float(days),
            f"--release-mbit-per-s {np.ceil(busiest):.0f}",
            f"Growth fills the link on day {full_on:,.0f} of {days:,}. {busiest:,.0f} Mbit/s carry the "
            "busiest five minutes of the last day.",
        )
    ]
