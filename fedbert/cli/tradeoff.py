"""``fedbert tradeoff``: one scenario for each signal, mechanism, epsilon and seed, and their frontier."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedbert.cli.command import Command, console_for_tables
from fedbert.cli.options import Grouped, given, options_from
from fedbert.errors import FedbertError
from fedbert.planning.tradeoff.settings import COMPARED, GridSettings
from fedbert.provenance import command_line
from fedbert.run_folder import release
from fedbert.scenario import GROUPS, Scenario, build, read_toml

if TYPE_CHECKING:
    from fedbert.planning.tradeoff.grid import Simulate
    from fedbert.results import RunResult

GRID_DEFAULTS = {"devices": 2_000, "rounds": 12}
"""Phones and rounds of a cell unless the scenario says otherwise: a grid is many runs, so each is a day."""

_GRID = {"grid": tuple(GridSettings.model_fields)}


def _tradeoff(config: Path | None, **flags: Any) -> None:
    asked = given(flags)
    grid = {name: asked.pop(name) for name in GridSettings.model_fields if name in asked}
    run_tradeoff(GridSettings(**grid), asked, config)


def run_tradeoff(
    grid: GridSettings, flags: dict[str, Any], config: Path | None, simulate: "Simulate | None" = None
) -> None:
    """Run the grid and write its folder; `simulate` is the real simulation unless a test gives another."""
    from fedbert.cli.grid_progress import GridProgress
    from fedbert.federation.environment import find_own_parts
    from fedbert.machine import cores
    from fedbert.planning.tradeoff.arms import plan
    from fedbert.planning.tradeoff.grid import open_folder, run_grid
    from fedbert.planning.tradeoff.grid import simulate as real

    base = GRID_DEFAULTS | (read_toml(config) if config is not None else {}) | flags
    base.pop("epsilon", None)
    scenario, execution = build(base)
    if execution.backend != "inprocess":
        raise FedbertError("backend must be 'inprocess' for a grid: its runs share the cores; leave it out")
    if not scenario.pooled_bound:
        raise FedbertError(
            "pooled_bound must be on for a grid: the frontier is read against it; leave it out"
        )
    folder = grid.output or Path("runs") / f"tradeoff-{scenario.world_name}-{scenario.devices}"
    mechanisms = grid.mechanisms or ((scenario.mechanism,) if "mechanism" in base else COMPARED)
    cells = plan(scenario, grid.epsilons, grid.seeds, grid.signals, mechanisms)
    for cell in cells:
        find_own_parts(cell.scenario)
    command = command_line()
    try:
        open_folder(folder, scenario, grid.overwrite)
        with GridProgress() as progress:
            results = run_grid(folder, cells, simulate or real, grid.jobs or cores(), progress.show, command)
        _write(folder, results, command)
    finally:
        release(folder)


def _write(folder: Path, results: "list[RunResult]", command: str) -> None:
    from fedbert.output_folder import write_together
    from fedbert.planning.tradeoff.frontier import cells_frame, frontier_frame
    from fedbert.reporting.tradeoff.folder import contents
    from fedbert.reporting.tradeoff.terminal import terminal_tables

    cells = cells_frame(results)
    frontier = frontier_frame(cells)
    errors = results[0].get("device_errors")
    write_together(folder, contents(folder, cells, frontier, command, errors))
    console = console_for_tables()
    for table in terminal_tables(frontier):
        console.print(table)
    console.print(f"report: {folder / 'report.html'}", soft_wrap=True, highlight=False)


def _config() -> Grouped:
    made = Grouped(
        ["--config"],
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="scenario file (TOML); its epsilon gives way to --epsilons",
    )
    made.group = "grid"
    return made


tradeoff = Command(
    "tradeoff",
    callback=_tradeoff,
    many=("--epsilons", "--signals", "--mechanisms"),
    params=[
        *options_from(GridSettings, _GRID, defaults={"epsilons": "1 2 8 none"}),
        _config(),
        *options_from(
            Scenario, GROUPS, leave_out=("epsilon", "budget", "pooled_bound"), defaults=GRID_DEFAULTS
        ),
    ],
    help="Run one scenario for each signal, mechanism, budget and seed; end in a table, frontier.csv and "
    "report.html. Finished runs are kept: the same command goes on where it was stopped.",
)
