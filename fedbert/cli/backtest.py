"""``fedbert capacity backtest``: a small run forecasts larger fleets, which are then simulated."""

from pathlib import Path
from typing import Any

import click

from fedbert.cli.command import Command, print_report
from fedbert.cli.kept import refuse_filled
from fedbert.cli.options import given, options_from
from fedbert.output_folder import foreign_check, write_together
from fedbert.planning.capacity.backtest_settings import BacktestSettings
from fedbert.provenance import command_line
from fedbert.results import RunResult
from fedbert.run_folder import check_path, release, reserve

OWN = frozenset({"backtest.json", "report.html"})
"""All that this command writes into its folder."""


def _backtest(**flags: Any) -> None:
    run_backtest(BacktestSettings(**given(flags)))


def run_backtest(asked: BacktestSettings) -> None:
    """Simulate, compare, and write the back-test's folder."""
    from fedbert.planning.capacity.backtest import backtest as found_by
    from fedbert.reporting.backtest.folder import contents
    from fedbert.reporting.backtest.terminal import terminal_tables

    folder = asked.output or Path("runs") / f"backtest-{asked.small}"
    check_path(folder)
    if not asked.overwrite:
        refuse_filled(folder)
    reserve(folder, foreign_check(folder, OWN))
    try:
        found = found_by(asked, _simulate)
        write_together(folder, contents(found, command_line()))
    finally:
        release(folder)
    print_report(terminal_tables(found), folder)


def _simulate(devices: int, seed: int, rounds: int) -> RunResult:
    """Return a run that trains nothing; says on standard error what is simulated."""
    from fedbert.planning.tradeoff.grid import simulate
    from fedbert.scenario import build

    click.echo(f"simulating {devices:,} phones, seed {seed}", err=True)
    scenario, execution = build({"devices": devices, "seed": seed, "rounds": rounds, "timing_only": True})
    return simulate(scenario, execution, command_line())


_GROUPS = {
    "runs": ("small", "large", "seeds", "rounds"),
    "intervals": ("model_spread",),
    "output": ("output", "overwrite"),
}

backtest = Command(
    "backtest",
    callback=_backtest,
    many=("--large",),
    params=options_from(BacktestSettings, _GROUPS, defaults={"large": "30000 100000"}),
    help="Check the forecast: a small run forecasts larger fleets, which are then simulated and compared "
    "figure by figure. The runs train nothing.",
    short_help="check the forecast against simulated fleets",
)
