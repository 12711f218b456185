"""A capacity forecast as a comparison sees it."""

import math
from collections.abc import Iterator
from dataclasses import asdict

from fedbert.evidence import Absent, Evidence
from fedbert.planning.capacity.capacity import CapacityForecast, Forecast
from fedbert.planning.capacity.world import PLAIN
from fedbert.planning.comparing.views import Figure, View, facts, interval

MAIN_FORECASTS = ("egress per day", "ingress per day", "hours to 95%", "rounds that fill")
"""The figures that a comparison of forecasts is read for."""

BEYOND = "it is not reached within the horizon"


def forecast_view(result: CapacityForecast, folder: str) -> View:
    """Return what is compared of a forecast."""
    run, plan = asdict(result.run), asdict(result.plan)
    run_facts = {key: value for key, value in run.items() if key not in ("tier_ndcg", "device_errors")}
    if result.plan.world == PLAIN:
        del plan["world"]
    found = dict(facts("plan", plan))
    return View(
        folder=folder,
        name=f"{result.plan.devices:,} devices",
        seed=result.run.seed,
        arm="",
        facts=found | dict(facts("run", run_facts)),
        figures=dict(_figures(result)),
        source=repr(sorted(run.items())),
    )


def _figures(result: CapacityForecast) -> Iterator[tuple[Figure, Evidence]]:
    for row in result.forecasts:
        group = "the fleet" if row.hour is None and row.tier is None else "a phone a day"
        yield (
            Figure(
                name=_name(row),
                group="by local hour" if row.hour is not None else group,
                unit=row.unit,
                label=row.label,
                chance=row.estimate.low is not None,
                main=row.name in MAIN_FORECASTS and row.hour is None,
                hour=row.hour,
            ),
            _evidence(row),
        )


def _name(row: Forecast) -> str:
    name = row.name if row.tier is None else f"{row.tier}: {row.name}"
    return name if row.hour is None else f"{name}, {row.hour:02d}:00"


def _evidence(row: Forecast) -> Evidence:
    estimate = row.estimate
    if not math.isfinite(estimate.value):
        return Absent(BEYOND)
    ends = [end if end is not None and math.isfinite(end) else None for end in (estimate.low, estimate.high)]
    return interval(estimate.value, ends[0], ends[1], BEYOND)
