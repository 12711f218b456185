"""``fedbert capacity``: what a large fleet takes to serve, forecast from a small run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedbert.cli.backtest import backtest
from fedbert.cli.command import CommandWithMore, console_for_tables
from fedbert.cli.measure import measure
from fedbert.cli.options import given, options_from
from fedbert.errors import FedbertError, invalid
from fedbert.output_folder import foreign_check, write_together
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.provenance import command_line
from fedbert.run_folder import check_path, release, reserve

if TYPE_CHECKING:
    from fedbert.planning.budget.measured import Measured
    from fedbert.planning.capacity.base_run import BaseRun
    from fedbert.planning.capacity.prices import Prices
    from fedbert.planning.tradeoff.grid import Simulate

BASE_DEVICES = 10_000
FORECAST = ("capacity.json", "forecast.csv", "report.html")
BASE_FILE = "run/run.json"
OWN = frozenset({*FORECAST, "run"})
"""All that this command writes into its folder."""


def _capacity(**flags: Any) -> None:
    run_capacity(CapacitySettings(**given(flags)))


def run_capacity(asked: CapacitySettings, simulate: "Simulate | None" = None) -> None:
    """Write the forecast's folder; `simulate` is the real simulation unless a test gives another."""
    from fedbert.planning.budget.measured import read_frontiers
    from fedbert.planning.capacity.base_run import read_base_run
    from fedbert.planning.capacity.calibration import read_calibration
    from fedbert.planning.capacity.prices import prices_asked

    prices = prices_asked(asked.prices, asked.region)
    measured = read_frontiers(asked.frontiers) if asked.frontiers else None
    read_calibration(asked.servers)  # a wrong file fails before the work
    folder = asked.output or Path("runs") / f"capacity-{asked.devices}"
    check_path(folder)
    command = command_line()
    source = asked.base
    base = read_base_run(source) if source is not None else None
    if source is not None and folder.resolve() in (source.resolve(), *source.resolve().parents):
        raise invalid("output", str(folder), "not hold the run of --from", "choose another --output")
    refuse_foreign = foreign_check(folder, OWN)

    def not_in_the_way(present: list[str]) -> None:
        if present and not asked.overwrite:
            raise FedbertError(
                f"output(={str(folder)!r}) must be empty or not exist; add --overwrite or choose another "
                "--output"
            )
        refuse_foreign(present)

    try:
        reserve(folder, not_in_the_way)
        if base is None:
            base = _base_run(folder, simulate, command)
            _write(folder, base, asked, (prices, measured), command, remove=())
        else:
            _write(folder, base, asked, (prices, measured), command, remove=[BASE_FILE])
    finally:
        release(folder)


def _base_run(folder: Path, simulate: "Simulate | None", command: str) -> "BaseRun":
    """Run `BASE_DEVICES` devices with the defaults, keep the result in `folder` and return it as a base.

    An earlier forecast there gives way when the run is finished, not before.
    """
    from fedbert.cli.run import simulate_visibly
    from fedbert.planning.capacity.base_run import read_base_run
    from fedbert.results import run_bytes
    from fedbert.scenario import build

    scenario, execution = build({"devices": BASE_DEVICES})
    result = (simulate or simulate_visibly)(scenario, execution, command)
    write_together(folder, {BASE_FILE: run_bytes(result)}, remove=FORECAST)
    return read_base_run((folder / BASE_FILE).parent)


def _write(
    folder: Path,
    base: "BaseRun",
    asked: CapacitySettings,
    beside: "tuple[Prices | None, Measured | None]",
    command: str,
    remove: Sequence[str],
) -> None:
    from fedbert.planning.capacity.calibration import read_calibration
    from fedbert.planning.capacity.cost_forecast import priced
    from fedbert.planning.capacity.forecast import forecast
    from fedbert.planning.capacity.frontier_loss import with_loss
    from fedbert.planning.capacity.goal_text import parse_goal
    from fedbert.planning.capacity.goals import meet
    from fedbert.reporting.capacity.folder import contents
    from fedbert.reporting.capacity.terminal import terminal_tables
    from fedbert.reporting.capacity.text import mix_assumption, part_day_warning

    plan, met = meet(base, asked.plan(base), tuple(map(parse_goal, asked.goals)))
    result = forecast(base, plan, read_calibration(asked.servers), asked.utilisation)
    result, (prices, measured) = replace(result, goals=met), beside
    if prices is not None:
        result = priced(base, result, prices)
    if measured is not None:
        result = with_loss(base, result, measured)
    write_together(folder, contents(result, command), remove)
    console = console_for_tables()
    for table in terminal_tables(result):
        console.print(table)
    console.print(mix_assumption(result.plan), highlight=False)
    if warning := part_day_warning(result):
        console.print(warning, highlight=False)
    console.print(f"report: {folder / 'report.html'}", soft_wrap=True, highlight=False)


_GROUPS = {
    "fleet": ("devices", "base", "sessions_per_day"),
    "the fleet's world": (
        "time_zones",
        "weekday_factors",
        "days",
        "growth_percent_per_month",
        "metered_share",
    ),
    "stages": ("stages", "halt_after_stage", "roll_back_after_stage"),
    "releases": (
        "schedule",
        "releases_per_day",
        "release_hour",
        "release_mbit_per_s",
        "downloads",
        "download_bytes",
        "release_bytes_of",
        "check_in_bytes",
        "connection_bytes",
    ),
    "rounds": ("rounds_per_day", "reports_per_round", "over_selection"),
    "goals": ("goals",),
    "servers": ("servers", "utilisation", "download_s", "releases_kept", "records_days"),
    "money": ("prices", "region"),
    "quality": ("frontiers",),
    "intervals": ("model_spread",),
    "output": ("output", "overwrite"),
}

capacity = CommandWithMore(
    "capacity",
    commands={"backtest": backtest, "measure": measure},
    callback=_capacity,
    params=options_from(
        CapacitySettings, _GROUPS, flags={"base": "--from", "goals": "--goal", "frontiers": "--frontier"}
    ),
    help="Forecast bytes, requests, roll-out, rounds and device cost of a large fleet, with intervals.",
)
