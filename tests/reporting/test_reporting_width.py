"""Results off a terminal fit 80 columns: a log or a mail shows them whole."""

import io
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_run import VERIFIED, example_run
from planning import planning_fakes as fakes
from planning.backtest_examples import example_backtest
from planning.budget_examples import example_plan
from planning.comparing_examples import example_forecasts, example_grids, example_runs
from rich.console import Console

from fedbert.cli.main import call
from fedbert.cli.probe import show_probes
from fedbert.ei_bert.compression.probe import Comparison as ProbeComparison
from fedbert.ei_bert.compression.probe import ProbeResult
from fedbert.planning.capacity.base_run import base_of
from fedbert.planning.capacity.forecast import forecast
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.planning.comparing.comparison import Comparison
from fedbert.planning.tradeoff.arms import plan
from fedbert.planning.tradeoff.frontier import cells_frame, frontier_frame
from fedbert.reporting.backtest.terminal import terminal_tables as backtest_tables
from fedbert.reporting.budget.terminal import terminal_tables as budget_tables
from fedbert.reporting.capacity.terminal import terminal_tables as capacity_tables
from fedbert.reporting.compare.terminal import terminal_tables as compare_tables
from fedbert.reporting.run.terminal import print_summary
from fedbert.reporting.tradeoff.terminal import terminal_tables as tradeoff_tables
from fedbert.scenario import build


def printed(parts: Iterable[Any], width: int = 80) -> str:
    """Return what a console of `width` columns shows of `parts`."""
    console = Console(file=io.StringIO(), width=width)
    for part in parts:
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def check(text: str, *cells: str) -> None:
    """Fail if a line of `text` is too long or cut, or if one of `cells` is broken over lines."""
    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert "…" not in text
    assert [cell for cell in cells if cell not in text] == []


def test_the_summary_of_a_run_fits() -> None:
    """With everything that a run can say; no width is asked for."""
    result, out = example_run(), io.StringIO()
    result["verified_devices"] = VERIFIED
    print_summary(result, Path("runs/example"), out)
    check(out.getvalue(), "0.902 to 0.918", "downloads 72%", "Devices run under a hard memory limit")


def test_the_tables_of_a_trade_off_fit() -> None:
    """Intervals and all; each figure stands on one line with its interval."""
    scenario, execution = build({"devices": 100, "rounds": 4})
    results = [fakes.fake_run(cell.scenario, execution) for cell in plan(scenario, [0.5, 2.0, None], 3)]
    check(printed(tradeoff_tables(frontier_frame(cells_frame(results)))), "0.834 ± 0.002", "release 0  ")


def test_the_tables_of_a_capacity_plan_fit() -> None:
    """The longest names beside the widest intervals of the largest fleet."""
    base = base_of(fakes.fake_run(*build({"devices": 10_000})))
    plan_ = CapacitySettings(devices=10_000_000_000, reports_per_round=100_000_000).plan(base)
    text = printed(capacity_tables(forecast(base, plan_)))
    check(text, "egress, one release to all devices", "19.10 PB", "total QPS, p99", "not within 7 days")
    assert re.search(r"aggregator additions, burst +\S+ billion/s +\S+ to \S+ billion/s\n", text)


def test_the_tables_of_a_privacy_plan_fit(tmp_path: Path) -> None:
    """Intervals and reasons; a difference that was measured stands whole."""
    found = example_plan(tmp_path / "grid")
    check(
        printed(budget_tables(found)), "tree (seen) not measured: no private arm", "-0.041 (-0.049 to -0.032)"
    )


@pytest.mark.parametrize("make", [example_runs, example_grids, example_forecasts])
def test_the_tables_of_a_comparison_fit(make: Callable[[], Comparison]) -> None:
    """Runs, grids and forecasts; a difference and its interval stand on a line each."""
    text = printed(compare_tables(make()))
    check(text, "(95% interval)", "B against A")


def test_the_tables_of_a_back_test_fit() -> None:
    """With a figure that every seed misses, of a long name."""
    text = printed(backtest_tables(example_backtest()))
    check(text, "median half width", "every seed misses", "18.2 J")


def test_the_table_of_probes_fits(capsys: pytest.CaptureFixture[str]) -> None:
    """A long name of a set folds; every figure stands whole."""
    correct = np.array([True])
    result = ProbeResult(0.9123, 0.9, 0.88, 0.93, 1.0, 96, correct)
    row = ProbeComparison(
        "a-set-with-a-long-name-of-its-own",
        150,
        15_000,
        4_500,
        result,
        result,
        1.0,
        0.985,
        1.015,
        words=result,
    )
    show_probes([row], "a-model-with-a-long-name", "all-MiniLM-L6-v2")
    check(capsys.readouterr().out, "15,000", "98.5-101.5")


def test_the_list_of_profiles_fits(capsys: pytest.CaptureFixture[str]) -> None:
    """Every class of the shipped fleet."""
    assert call("profiles", ["list"]) == 0
    check(capsys.readouterr().out)
