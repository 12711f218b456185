"""Figures of a forecast as people read them."""

import math

from fedbert.intervals import Estimate
from fedbert.planning.capacity.capacity import CapacityForecast, Forecast, Plan
from fedbert.reporting.parts.text import FIVE_DIGITS
from fedbert.units import MJ_PER_J, format_bytes

BITS = (("Tbit", 1e12), ("Gbit", 1e9), ("Mbit", 1e6))
BEYOND = "not within 7 days"
UNKNOWN = "not known"
BEYOND_GROWTH = "never"
_WORLD = ": "
"""What stands in the name of a figure behind the stage, day or link that it is of."""

SPOKEN_UNITS = ("hours", "ms", "mJ", "mAh", "gCO2e", "core-hours", "kWh")
"""Units that are said beside a value; of what is counted its name says enough."""


def mix_assumption(plan: Plan) -> str:
    """Return what every figure of a plan assumes."""
    scales = (
        "Every figure scales the run's shares and rates to the larger fleet. It assumes the same mix of "
        "phones, networks and habits"
    )
    if not plan.world.zones:
        return f"{scales}, and one time zone."
    return f"{scales} in every time zone, by its own clock. Hours are of the server's clock, UTC."


def hour_title(plan: Plan) -> str:
    """Return whose hours a plan's are, as the title of an axis."""
    return "hour, UTC" if plan.world.zones else "local hour"


def hour_of_day(plan: Plan) -> str:
    """Return the same in a sentence."""
    return "hour (UTC)" if plan.world.zones else "local hour"


def part_day_warning(result: CapacityForecast) -> str | None:
    """Return what to know about a run that is not a whole number of days, None for one that is."""
    days = result.run.days
    if days >= 1 and abs(days - round(days)) < 1e-9:
        return None
    return (
        f"The run covered {days:.3g} days, so cost per day and scored sessions rest on those hours alone. "
        "Start from a run of whole days (rounds x round_hours = 24) to weigh all hours."
    )


def value_text(value: float | None, unit: str) -> str:
    """Return one figure with its unit, short: ``16.04 TB``, ``1.49 Gbit/s``, ``93%``."""
    if value is None:
        return "–"
    if math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return BEYOND_GROWTH if unit == "day" else BEYOND
    if unit in ("bytes", "bytes/s"):
        return format_bytes(value) + unit.removeprefix("bytes")
    if unit == "bit/s":
        name, size = next(((name, size) for name, size in BITS if value >= size), BITS[-1])
        return f"{number_text(value / size)} {name}/s"
    if unit == "share":
        return f"{100 * value:.1f}%"
    if unit.endswith("/s"):
        return f"{number_text(value)}/s"
    if unit == "mJ" and abs(value) >= FIVE_DIGITS:
        return f"{number_text(value / MJ_PER_J)} J"
    if unit == "%":
        return f"{number_text(value)}%"
    # A currency is three capitals.
    said = unit in SPOKEN_UNITS or (len(unit) == 3 and unit.isupper())
    return f"{number_text(value)} {unit}" if said else number_text(value)


def number_text(value: float) -> str:
    """Return a number with about three digits: ``8.40 million``, ``1,230``, ``0.0123``."""
    for name, size in (("billion", 1e9), ("million", 1e6)):
        if abs(value) >= size:
            scaled = value / size
            return f"{scaled:,.{2 if abs(scaled) < 10 else 1 if abs(scaled) < 100 else 0}f} {name}"
    return f"{float(f'{value:.3g}'):,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def interval_text(estimate: Estimate, unit: str) -> str:
    """Return the interval, with the unit once where both ends have the same; plain arithmetic has none."""
    if estimate.low is None or estimate.high is None:
        return "–"
    low, high = value_text(estimate.low, unit), value_text(estimate.high, unit)
    if math.isinf(estimate.high):
        return high if math.isinf(estimate.low) else f"{low} or more"
    endings = (f" {high.rpartition(' ')[2]}", "/s", "%")
    shared = next((end for end in endings if low.endswith(end) and high.endswith(end)), "")
    return f"{low.removesuffix(shared)} to {high}"


def figures_text(row: Forecast, in_full: bool = True) -> tuple[str, str]:
    """Return value and interval of a forecast, or what its note says; not `in_full` leaves out the reason."""
    value = value_text(row.estimate.value, row.unit)
    note = row.note if in_full else row.note.partition(":")[0]
    return value, note or interval_text(row.estimate, row.unit)


def day_rows(result: CapacityForecast) -> list[Forecast]:
    """Return the forecasts of the whole day and fleet, in order."""
    return [row for row in _of_the_fleet(result) if _WORLD not in row.name]


def world_rows(result: CapacityForecast) -> list[Forecast]:
    """Return the forecasts of weekdays, stages, a horizon and metered links, in order."""
    return [row for row in _of_the_fleet(result) if _WORLD in row.name]


def _of_the_fleet(result: CapacityForecast) -> list[Forecast]:
    return [row for row in result.forecasts if row.hour is None and row.tier is None]


def tier_rows(result: CapacityForecast) -> list[Forecast]:
    """Return the forecasts by tier, in order."""
    return [row for row in result.forecasts if row.tier is not None]
