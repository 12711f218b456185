"""Frontiers of invented runs, in the files of a finished grid, and the plan that reads one."""

from pathlib import Path
from typing import Any

from planning import planning_fakes as fakes

from fedbert.planning.budget.backwards import plan
from fedbert.planning.budget.plan import BudgetPlan
from fedbert.planning.budget.settings import BudgetSettings
from fedbert.planning.tradeoff.arms import plan as cells_of
from fedbert.planning.tradeoff.frontier import cells_frame, frontier_frame
from fedbert.scenario import build, scenario_toml
from fedbert.table_files import parquet_bytes

SCENARIO: dict[str, Any] = {
    "rounds": 12,
    "devices": 1_000,
    "mechanism": "daily",
    "availability": "always",
    "sampling_probability": 0.1,
}
"""Twelve rounds of two hours; `planning_fakes` gives noise multiplier 2 / epsilon."""


def grid_folder(folder: Path, epsilons: tuple[float | None, ...], seeds: int = 3, **values: Any) -> Path:
    """Write the files of a finished grid that a plan reads, of invented runs, and return the folder."""
    scenario, execution = build(SCENARIO | values)
    cells = cells_of(scenario, [*epsilons, None], seeds)
    frontier = frontier_frame(cells_frame([_run(cell.scenario, execution) for cell in cells]))
    folder.mkdir()
    shared = scenario.model_copy(update={"mechanism": "poisson", "seed": 0})
    (folder / "grid.toml").write_text(scenario_toml(shared))
    (folder / "frontier.parquet").write_bytes(parquet_bytes(frontier))
    return folder


def _run(scenario: Any, execution: Any) -> Any:
    result = fakes.fake_run(scenario, execution)
    result["privacy"]["mechanism"] = scenario.mechanism
    return result


def example_plan(folder: Path) -> BudgetPlan:
    """Return a plan of a day: `daily` has a measured loss, `tree` has none."""
    grid = grid_folder(folder, (0.5, 1.0, 2.0, 8.0))
    asked = BudgetSettings(epsilon=3, days=1, devices=1_000, mechanisms=("daily", "tree"), frontiers=(grid,))
    return plan(asked)
