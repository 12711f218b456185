"""Forecast figures as people read them, and as ``capacity.json`` and ``forecast.csv`` hold them."""

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fedbert.intervals import Estimate
from fedbert.planning.capacity.capacity import HOURS, CapacityForecast, Forecast
from fedbert.planning.capacity.rollout import STEPS_PER_HOUR
from fedbert.units import format_bytes

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
GIGABIT = 1e9

MIX_ASSUMPTION = (
    "Every figure scales the run's shares and rates to the larger fleet: the same mix of phones, networks "
    "and habits, the same hours in one time zone."
)


def part_day_warning(result: CapacityForecast) -> str | None:
    """Return what to know about a run that is not a whole number of days, None for one that is."""
    days = result.base.days
    if days >= 1 and abs(days - round(days)) < 1e-9:
        return None
    return (
        f"The run covered {days:.3g} days: phone cost and scored sessions a day come from those hours alone; "
        "a run of whole days (rounds x round_hours = 24) weighs all hours."
    )


def value_text(value: float | None, unit: str) -> str:
    """Return one figure with its unit, short: ``16.04 TB``, ``1.49 Gbit/s``, ``93 %``."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "not within 7 days"
    if unit in ("bytes", "bytes/s"):
        return format_bytes(value) + unit.removeprefix("bytes")
    if unit == "bit/s":
        return f"{value / GIGABIT:,.3g} Gbit/s" if value >= GIGABIT else f"{value / 1e6:,.3g} Mbit/s"
    if unit == "share":
        return f"{100 * value:.1f} %"
    return f"{number_text(value)} {unit.removesuffix('/s')}{'/s' if unit.endswith('/s') else ''}"


def number_text(value: float) -> str:
    """Return a number with about three digits: ``8.40 million``, ``1,230``, ``0.0123``."""
    for name, size in (("billion", 1e9), ("million", 1e6)):
        if abs(value) >= size:
            return f"{value / size:,.2f} {name}"
    return f"{float(f'{value:.3g}'):,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def interval_text(estimate: Estimate, unit: str) -> str:
    """Return the interval, with the unit once where both ends have the same; plain arithmetic has none."""
    if estimate.low is None or estimate.high is None:
        return "–"
    low, high = value_text(estimate.low, unit), value_text(estimate.high, unit)
    ending = f" {high.rpartition(' ')[2]}"
    return f"{low.removesuffix(ending)} to {high}"


def day_rows(result: CapacityForecast) -> list[Forecast]:
    """Return the forecasts of the whole day and fleet, in order."""
    return [row for row in result.forecasts if row.hour is None and row.tier is None]


def tier_rows(result: CapacityForecast) -> list[Forecast]:
    """Return the forecasts by tier, in order."""
    return [row for row in result.forecasts if row.tier is not None]


def frame(result: CapacityForecast) -> "pd.DataFrame":
    """Return all forecasts, one row each: name, hour, tier, unit, value, low, high, label, assumption."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "forecast": row.name,
                "hour": row.hour,
                "tier": row.tier,
                "unit": row.unit,
                "value": row.estimate.value,
                "low": row.estimate.low,
                "high": row.estimate.high,
                "label": row.label,
                "assumption": row.assumption,
            }
            for row in result.forecasts
        ]
    ).astype({"hour": "Int64"})


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def as_json(result: CapacityForecast, command: str) -> dict[str, Any]:
    """Return the content of ``capacity.json``; a time that is not reached within the horizon is null."""
    base = result.base
    every = slice(None, None, STEPS_PER_HOUR)
    return {
        "schema": SCHEMA,
        "command": command,
        "plan": asdict(result.plan),
        "sampling_probability": result.sampling_probability,
        "assumption": MIX_ASSUMPTION,
        "run": {
            "name": base.name,
            "seed": base.seed,
            "commit": base.commit,
            "devices": base.devices,
            "days": base.days,
            "rounds_per_day": base.rounds_per_day,
            "releases_per_day": base.releases_per_day,
            "release_bytes": base.release_bytes,
            "report_bytes": base.report_bytes,
        },
        "forecasts": [
            {
                "forecast": row.name,
                "hour": row.hour,
                "tier": row.tier,
                "unit": row.unit,
                "value": _finite(row.estimate.value),
                "low": _finite(row.estimate.low),
                "high": _finite(row.estimate.high),
                "label": row.label,
                "assumption": row.assumption,
            }
            for row in result.forecasts
        ],
        "rollout": {
            "hours": result.rollout_hours[every].tolist(),
            "share": result.rollout.value[every].tolist(),
            "low": result.rollout.low[every].tolist(),
            "high": result.rollout.high[every].tolist(),
        },
        "hours": list(range(HOURS)),
    }
