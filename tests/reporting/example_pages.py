"""The reports of invented results, as pages for the tests of layout."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from example_compression import example_compression
from example_run import DEVICE_ERRORS, VERIFIED, example_run
from planning import planning_fakes as fakes
from planning.backtest_examples import example_backtest
from planning.budget_examples import example_plan
from planning.comparing_examples import example_grids

from fedbert.planning.capacity.base_run import base_of
from fedbert.planning.capacity.forecast import forecast
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.planning.tradeoff.arms import plan
from fedbert.planning.tradeoff.frontier import cells_frame, frontier_frame
from fedbert.reporting.backtest.page import render as backtest_page
from fedbert.reporting.budget.page import render as budget_page
from fedbert.reporting.capacity.page import render as capacity_page
from fedbert.reporting.compare.page import render as compare_page
from fedbert.reporting.compression.page import compression_html
from fedbert.reporting.run.page import render_report
from fedbert.reporting.tradeoff.page import render as tradeoff_page
from fedbert.scenario import build


def run() -> str:
    """Return the page of a private run with every chapter, a large energy, and two lines that coincide."""
    result = example_run()
    for row in result["comparison"][:2]:
        row["quality"]["ndcg@10"] = 0.818
    result["verified_devices"] = VERIFIED
    result["tiers"]["mid"]["energy_mj_per_day_by"]["downloads"] = 18_206.0
    return render_report(result)


def tradeoff() -> str:
    """Return the page of a grid of two budgets and no privacy, three seeds each."""
    scenario, execution = build({"devices": 100, "rounds": 4})
    cells = cells_frame(
        [fakes.fake_run(cell.scenario, execution) for cell in plan(scenario, [0.5, 2.0, None], 3)]
    )
    return tradeoff_page(frontier_frame(cells), cells, scenario, "fedbert tradeoff", DEVICE_ERRORS)


def capacity() -> str:
    """Return the page of a forecast for 10 billion phones, whose figures are the longest."""
    run = fakes.fake_run(*build({"devices": 10_000}))
    run["device_errors"] = DEVICE_ERRORS
    base = base_of(run)
    plan_ = CapacitySettings(devices=10_000_000_000, reports_per_round=100_000_000).plan(base)
    return capacity_page(forecast(base, plan_), "fedbert capacity")


def backtest() -> str:
    """Return the page of a back-test with a figure that every seed misses."""
    return backtest_page(example_backtest(), "fedbert capacity backtest")


def budget() -> str:
    """Return the page of a privacy plan with a measured loss and one that was not measured."""
    with tempfile.TemporaryDirectory() as folder:
        return budget_page(example_plan(Path(folder) / "grid"), "fedbert budget")


def compression() -> str:
    """Return the page of a compression; two of its names are as long as a figure shows."""
    record = example_compression()
    record["stages"][1]["stage"] = "pre-distillation of every layer on open text"
    record["ablation"]["arms"][0]["arm"] = "cross-entropy only, without any of the teacher's vectors"
    return compression_html(record)


def compare() -> str:
    """Return the page of a comparison of grids, with a chapter of differences in each arm."""
    return compare_page(example_grids(), "fedbert compare")


PAGES: dict[str, Callable[[], str]] = {
    "run": run,
    "tradeoff": tradeoff,
    "backtest": backtest,
    "budget": budget,
    "capacity": capacity,
    "compare": compare,
    "compression": compression,
}
