"""Comparisons of invented runs, grids and forecasts, for the tests of pages, tables and the dictionary."""

import copy
from typing import Any

from planning.planning_fakes import fake_run

from fedbert.planning.capacity.base_run import base_of
from fedbert.planning.capacity.forecast import forecast
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.planning.comparing.comparison import Comparison, compare, lettered, run_variants
from fedbert.planning.comparing.forecast_view import forecast_view
from fedbert.planning.comparing.run_view import run_view
from fedbert.planning.comparing.views import View
from fedbert.planning.tradeoff.arms import plan
from fedbert.results import RunResult
from fedbert.scenario import build


def invented(seed: int = 0, won: float = 0.0, **changes: Any) -> RunResult:
    """Return an invented run whose final release ranks better by `won`, with its own interval of 0.02."""
    result = copy.deepcopy(fake_run(*build({"devices": 1_000, "seed": seed} | changes)))
    for row in result["comparison"]:
        if row["system"].endswith("final"):
            row["quality"]["ndcg@10"] += won
        row["low"], row["high"] = row["quality"]["ndcg@10"] - 0.01, row["quality"]["ndcg@10"] + 0.01
    return result


def view(folder: str, result: RunResult) -> View:
    """Return a run as it is compared."""
    return run_view(result, folder)


def example_runs() -> Comparison:
    """Return two variants of three seeds each, and one of a single seed of which a commit is not known."""
    runs = [view(f"a{seed}", invented(seed)) for seed in range(3)]
    runs += [view(f"b{seed}", invented(seed, 0.05 + 0.001 * seed**2, min_reports=5)) for seed in range(3)]
    other = invented(0, min_reports=7)
    other["commit"] = "abc+changes"
    return compare("run", lettered(run_variants([*runs, view("c", other)])))


def example_grids() -> Comparison:
    """Return two grids of two budgets and two seeds; one lacks an arm of the other."""
    sides = []
    for name, budgets, won in (("a", [0.5, 2.0, None], 0.0), ("b", [2.0, None], 0.01)):
        scenario = build({"devices": 100, "rounds": 4})[0]
        cells = plan(scenario, budgets, 2)
        runs = [invented(won=won * (1 + cell.scenario.seed), **cell.scenario.model_dump()) for cell in cells]
        sides.append([run_view(result, name, in_grid=True) for result in runs])
    return compare("tradeoff", lettered(sides))


def example_forecasts() -> Comparison:
    """Return forecasts for fleets of 1 and 2 million phones from one run."""
    base = base_of(fake_run(*build({"devices": 10_000})))
    found = []
    for devices in (1_000_000, 2_000_000):
        asked = CapacitySettings(devices=devices, release_mbit_per_s=20.0)
        found.append([forecast_view(forecast(base, asked.plan(base)), f"plan-{devices}")])
    return compare("capacity", lettered(found))
