"""The back-test of the capacity forecast: a small run forecasts larger fleets, which are then simulated.

Each figure is forecast with the schedule of the run, no cap on downloads, and the large run of another seed,
so that the small fleet is no part of the large one. Runs train nothing: what is compared needs no model.

A plan's interval has three parts: statistics (the run's phones are a sample, and the fleet has chance of its
own), the spread of modelled odds and costs, and the error of the device model. Small and large runs share
their models, so the first alone is tested; of the others only their width is said.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from fedbert.intervals import Estimate, t_interval
from fedbert.planning.capacity.backtest_settings import BacktestSettings
from fedbert.planning.capacity.base_run import BaseRun, base_of
from fedbert.planning.capacity.capacity import Forecast
from fedbert.planning.capacity.forecast import forecast
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.planning.capacity.simulated import Key, simulated
from fedbert.results import RunResult

FREE_MBIT_PER_S = 1e9
"""A cap on downloads that never binds: the simulation has none."""

LARGE_SEED = 1_000
"""The first seed of the large runs; those of the small ones begin at 0. One seed would give the large fleet
the phones of the small one."""

LEAST_SEEDS = 3
"""Seeds from which on a figure that is missed on one side each time is called a systematic miss."""

Simulate = Callable[[int, int, int], RunResult]
"""(devices, seed, rounds) -> the result of a run that trains nothing."""


@dataclass(frozen=True)
class Checked:
    """One figure of one pair of runs: as it was forecast, with its 95 % interval, and as it came out.

    The interval is that of the statistics; half widths of wider ones are shares of the figure.
    """

    devices: int
    seed: int  # of the small run
    name: str
    hour: int | None
    tier: str | None
    unit: str
    predicted: float
    low: float
    high: float
    simulated: float
    spread_half_width: float | None = None  # with the model spread
    plan_half_width: float | None = None  # with the error of the device model, too: as a plan has it

    @property
    def error(self) -> float | None:
        """Predicted over simulated minus 1; None where nothing was there to predict."""
        return self.predicted / self.simulated - 1 if self.simulated else None

    @property
    def inside(self) -> bool:
        """Whether the simulated figure lies in the interval."""
        return self.low <= self.simulated <= self.high

    @property
    def half_width(self) -> float | None:
        """Half the interval over the predicted figure."""
        return _half_width(self.predicted, self.low, self.high)


@dataclass(frozen=True)
class Summary:
    """All figures of one size of fleet; errors and widths as shares of the figure."""

    devices: int
    figures: int
    inside: Estimate  # share; the interval is that over seeds, and needs two of them
    median_error: float  # of absolute errors
    median_half_width: float
    median_spread_half_width: float | None  # as in `Checked`
    median_plan_half_width: float | None
    systematic: tuple[str, ...]  # figures that every seed misses on one side; none with few seeds


@dataclass(frozen=True)
class Backtest:
    """What was asked, every figure, and the summaries by size."""

    small: int
    seeds: int
    rounds: int
    model_spread: float
    checked: tuple[Checked, ...]

    @property
    def summaries(self) -> tuple[Summary, ...]:
        """One for each size of fleet, ascending."""
        sizes = sorted({each.devices for each in self.checked})
        return tuple(
            summary(size, [each for each in self.checked if each.devices == size], self.seeds)
            for size in sizes
        )


def backtest(asked: BacktestSettings, simulate: Simulate) -> Backtest:
    """Return the back-test of `asked`; `simulate` makes the runs."""
    checked: list[Checked] = []
    for seed in range(asked.seeds):
        base = base_of(simulate(asked.small, seed, asked.rounds))
        for devices in asked.large:
            result = simulate(devices, LARGE_SEED + seed, asked.rounds)
            checked += check(base, result, asked.model_spread)
    return Backtest(asked.small, asked.seeds, asked.rounds, asked.model_spread, tuple(checked))


def check(base: BaseRun, result: RunResult, model_spread: float) -> list[Checked]:
    """Return every figure that both the forecast from `base` and the run `result` have."""
    devices = int(result["scenario"]["devices"])
    same_model = replace(base, device_errors=None)
    statistics = _forecast(same_model, devices, 0.0)
    spread, plan = _forecast(same_model, devices, model_spread), _forecast(base, devices, model_spread)
    came_out = simulated(result)
    found = []
    for key, row in statistics.items():
        value, low, high = row.estimate.value, row.estimate.low, row.estimate.high
        if key not in came_out or low is None or high is None or not math.isfinite(value + low + high):
            continue
        if low == high:
            continue  # settled by the schedule: nothing was forecast
        wider = [
            _half_width(value, each[key].estimate.low, each[key].estimate.high) for each in (spread, plan)
        ]
        found.append(
            Checked(devices, base.seed, *key, row.unit, value, low, high, came_out[key], *wider),
        )
    return found


def _forecast(base: BaseRun, devices: int, model_spread: float) -> dict[Key, Forecast]:
    """Return the forecast of a fleet of `devices` with the run's schedule, by name, hour and tier."""
    asked = CapacitySettings(
        devices=devices,
        release_mbit_per_s=FREE_MBIT_PER_S,
        model_spread=model_spread,
        schedule="run",
    )
    rows = forecast(base, asked.plan(base)).forecasts
    return {(row.name, row.hour, row.tier): row for row in rows}


def _half_width(value: float, low: float | None, high: float | None) -> float | None:
    """Return half an interval over its figure; None where there is neither."""
    return (high - low) / 2 / value if value and low is not None and high is not None else None


def summary(devices: int, checked: Sequence[Checked], seeds: int) -> Summary:
    """Return the summary of the figures `checked` of fleets of one size."""
    errors = [abs(each.error) for each in checked if each.error is not None]
    return Summary(
        devices=devices,
        figures=len(checked),
        inside=_inside(checked),
        median_error=median(errors) if errors else 0.0,
        median_half_width=_median([each.half_width for each in checked]) or 0.0,
        median_spread_half_width=_median([each.spread_half_width for each in checked]),
        median_plan_half_width=_median([each.plan_half_width for each in checked]),
        systematic=_systematic(checked) if seeds >= LEAST_SEEDS else (),
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _inside(checked: Sequence[Checked]) -> Estimate:
    """Return the share inside: figures of one pair depend on each other, so pairs are what is sampled."""
    by_seed: dict[int, list[bool]] = {}
    for each in checked:
        by_seed.setdefault(each.seed, []).append(each.inside)
    share = sum(each.inside for each in checked) / max(1, len(checked))
    over = t_interval(np.array([np.mean(inside) for inside in by_seed.values()])) if by_seed else None
    if over is None or over.low is None or over.high is None:
        return Estimate(share, None, None)
    return Estimate(share, max(0.0, min(over.low, share)), min(1.0, max(over.high, share)))


def _systematic(checked: Sequence[Checked]) -> tuple[str, ...]:
    sides: dict[str, set[str]] = {}
    for each in checked:
        name = " ".join(str(part) for part in (each.tier, each.name, each.hour) if part is not None)
        side = "in" if each.inside else ("above" if each.simulated > each.high else "below")
        sides.setdefault(name, set()).add(side)
    return tuple(name for name, found in sides.items() if len(found) == 1 and "in" not in found)
