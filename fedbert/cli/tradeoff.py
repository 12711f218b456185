"""``fedbert tradeoff``: the same scenario for each epsilon and seed, and the frontier they make."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fedbert.errors import FedbertError, invalid

MAX_SEEDS = 1_000


def tradeoff(
    devices: Annotated[str | None, typer.Option(help="phones in the fleet; default 2000")] = None,
    epsilons: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EPSILON...",
            help="privacy budgets, several after one flag; 'none' is not private; default 0.5 1 2 4 8 none",
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(help="runs a budget: the first seed and those after it; default 3", show_default=False),
    ] = 3,
    config: Annotated[
        Path | None, typer.Option(help="scenario file (TOML); its epsilon gives way to --epsilons")
    ] = None,
    world: Annotated[str | None, typer.Option(help="services, movietweetings or interactions")] = None,
    availability: Annotated[str | None, typer.Option(help="default or always")] = None,
    rounds: Annotated[str | None, typer.Option(help="federation rounds of each run")] = None,
    seed: Annotated[str | None, typer.Option(help="first seed")] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="folder, taken up again if stopped; default runs/tradeoff-WORLD-DEVICES"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="drop the finished cells there")] = False,
    jobs: Annotated[int | None, typer.Option(help="runs at a time; default: one a core")] = None,
) -> None:
    """Run one scenario for each privacy budget and seed; end in a table, frontier.csv and report.html.

    Finished runs are kept: the same command goes on where it was stopped.
    """
    flags = {
        "devices": devices,
        "world": world,
        "availability": availability,
        "rounds": rounds,
        "seed": seed,
    }
    run_tradeoff(flags, epsilons or ["0.5 1 2 4 8 none"], seeds, config, output, overwrite, jobs)


def run_tradeoff(
    flags: dict[str, Any],
    epsilons: list[str],
    seeds: int,
    config: Path | None,
    output: Path | None,
    overwrite: bool,
    jobs: int | None,
    simulate: Any = None,
) -> None:
    """Run the grid and write its folder; `simulate` is the real simulation unless a test gives another."""
    from fedbert.cli.grid_progress import GridProgress
    from fedbert.federation.environment import find_parts
    from fedbert.machine import cores
    from fedbert.planning.tradeoff.epsilons import parse_epsilons
    from fedbert.planning.tradeoff.grid import open_folder, plan, run_grid
    from fedbert.planning.tradeoff.grid import simulate as real
    from fedbert.provenance import command_line
    from fedbert.run_folder import release
    from fedbert.scenario import build, read_toml

    budgets = parse_epsilons(epsilons)
    if not 1 <= seeds <= MAX_SEEDS:
        raise invalid("seeds", seeds, f"be from 1 to {MAX_SEEDS}")
    if jobs is not None and jobs < 1:
        raise invalid("jobs", jobs, "be >= 1", "leave it out for all cores")
    given = {name: value for name, value in flags.items() if value is not None}
    base = {"devices": 2_000} | (read_toml(config) if config is not None else {}) | given
    base.pop("epsilon", None)
    scenario, execution = build(base)
    if execution.backend != "inprocess":
        raise FedbertError("backend must be 'inprocess' for a grid: its runs share the cores; leave it out")
    folder = output or Path("runs") / f"tradeoff-{scenario.world_name}-{scenario.devices}"
    cells = plan(scenario, budgets, seeds)
    find_parts(scenario)
    command = command_line()
    try:
        open_folder(folder, scenario, overwrite)
        with GridProgress() as progress:
            results = run_grid(folder, cells, simulate or real, jobs or cores(), progress.show, command)
        _write(folder, scenario, results, command)
    finally:
        release(folder)


def _write(folder: Path, scenario: Any, results: Any, command: str) -> None:
    from fedbert.cli.command import console_for_tables
    from fedbert.files import encoded
    from fedbert.output_folder import write_together
    from fedbert.planning.tradeoff.frontier import cells_frame, frontier_frame
    from fedbert.planning.tradeoff.grid import FRONTIER
    from fedbert.reporting.tradeoff.page import render, terminal_table, tier_table
    from fedbert.table_files import parquet_bytes

    cells = cells_frame(results)
    frontier = frontier_frame(cells)
    page = render(frontier, cells, scenario, command, results[0].get("device_errors"))
    contents = {
        "cells.parquet": parquet_bytes(cells),
        f"{FRONTIER}.parquet": parquet_bytes(frontier),
        f"{FRONTIER}.csv": encoded(frontier.to_csv(index=False)),
        "report.html": encoded(page),
    }
    write_together(folder, contents)
    console = console_for_tables()
    console.print(terminal_table(frontier))
    console.print(tier_table(frontier))
    console.print(f"report: {folder / 'report.html'}", soft_wrap=True, highlight=False)
