"""``fedbert capacity``: what a large fleet takes to serve, forecast from a small run."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from fedbert.errors import FedbertError, invalid

MAX_DEVICES = 10_000_000_000
BASE_DEVICES = 10_000
FORECAST = ("capacity.json", "forecast.csv", "report.html")
BASE_FILE = "run/run.json"
OWN = frozenset({*FORECAST, "run"})
"""All that this command writes into its folder."""


def _option(text: str) -> Any:
    return typer.Option(help=text, show_default=False)


def capacity(
    devices: Annotated[int, _option("phones to plan for  [default: 8400000]")] = 8_400_000,
    from_: Annotated[
        Path | None,
        typer.Option("--from", metavar="RUN", help="folder of a finished run; default: run 10,000 devices"),
    ] = None,
    release_mbit_per_s: Annotated[
        float,
        _option("bandwidth cap of release downloads; 1485 serve 8.4 million in 24 h  [default: 1500]"),
    ] = 1500.0,
    reports_per_round: Annotated[
        int | None, _option("reports that a round wants; default 10,000, at most 1 % of the devices")
    ] = None,
    rounds_per_day: Annotated[float | None, _option("default: as in the run")] = None,
    releases_per_day: Annotated[float, _option("releases offered to the fleet a day  [default: 1]")] = 1.0,
    release_hour: Annotated[float, _option("local hour of the first release of a day  [default: 0]")] = 0.0,
    over_selection: Annotated[
        float, _option("reports expected at a mean hour over reports wanted  [default: 1.3]")
    ] = 1.3,
    model_spread: Annotated[
        float, _option("95 % spread of modelled odds and costs, as in / 1.2 to x 1.2  [default: 0.2]")
    ] = 0.2,
    output: Annotated[Path | None, _option("folder; default runs/capacity-DEVICES")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an earlier forecast there")] = False,
) -> None:
    """Forecast bytes, requests, roll-out, rounds and device cost of a large fleet, with intervals."""
    asked = {
        "devices": devices,
        "release_mbit_per_s": release_mbit_per_s,
        "reports_per_round": reports_per_round,
        "rounds_per_day": rounds_per_day,
        "releases_per_day": releases_per_day,
        "release_hour": release_hour,
        "over_selection": over_selection,
        "model_spread": model_spread,
    }
    run_capacity(asked, from_, output, overwrite)


LIMITS: dict[str, tuple[float, float]] = {
    "devices": (1, MAX_DEVICES),
    "release_mbit_per_s": (0.001, 1e9),
    "reports_per_round": (1, MAX_DEVICES),
    "rounds_per_day": (0.01, 1_440),
    "releases_per_day": (0.03, 24),
    "release_hour": (0, 23.999),
    "over_selection": (0.1, 100),
    "model_spread": (0, 10),
}
"""Smallest and largest value of each flag."""


def check(asked: dict[str, Any]) -> None:
    """Raise FedbertError for the first value outside `LIMITS`, or more reports than devices."""
    reports = asked["reports_per_round"]
    for name, (low, high) in LIMITS.items():
        value = asked[name]
        if value is not None and not (math.isfinite(value) and low <= value <= high):
            raise invalid(name, value, f"be from {low:,.10g} to {high:,.11g}")
    if reports is not None and reports > asked["devices"]:
        raise invalid("reports_per_round", reports, f"be <= devices (= {asked['devices']})", "lower it")


def run_capacity(
    asked: dict[str, Any], from_: Path | None, output: Path | None, overwrite: bool, simulate: Any = None
) -> None:
    """Write the forecast's folder; `simulate` is the real simulation unless a test gives another."""
    check(asked)
    from fedbert.output_folder import foreign_check
    from fedbert.planning.capacity.base_run import read_base_run
    from fedbert.provenance import command_line
    from fedbert.run_folder import check_path, release, reserve

    folder = output or Path("runs") / f"capacity-{asked['devices']}"
    check_path(folder)
    command = command_line()
    base = read_base_run(from_) if from_ is not None else None
    if from_ is not None and folder.resolve() in (from_.resolve(), *from_.resolve().parents):
        raise invalid("output", str(folder), "not hold the run of --from", "choose another --output")
    refuse_foreign = foreign_check(folder, OWN)

    def not_in_the_way(present: list[str]) -> None:
        if present and not overwrite:
            raise FedbertError(
                f"output(={str(folder)!r}) must be empty or not exist; add --overwrite or choose another "
                "--output"
            )
        refuse_foreign(present)

    try:
        reserve(folder, not_in_the_way)
        if base is None:
            base = _base_run(folder, simulate, command)
            _write(folder, base, asked, command, remove=())
        else:
            _write(folder, base, asked, command, remove=[BASE_FILE])
    finally:
        release(folder)


def _base_run(folder: Path, simulate: Any, command: str) -> Any:
    """Run `BASE_DEVICES` devices with the defaults, keep the result in `folder` and return it as a base.

    An earlier forecast there gives way when the run is finished, not before.
    """
    from fedbert.cli.run import simulate_visibly
    from fedbert.output_folder import write_together
    from fedbert.planning.capacity.base_run import read_base_run
    from fedbert.results import run_bytes
    from fedbert.scenario import build

    scenario, execution = build({"devices": BASE_DEVICES})
    result = (simulate or simulate_visibly)(scenario, execution, command)
    write_together(folder, {BASE_FILE: run_bytes(result)}, remove=FORECAST)
    return read_base_run((folder / BASE_FILE).parent)


def _write(folder: Path, base: Any, asked: dict[str, Any], command: str, remove: Sequence[str]) -> None:
    import json

    from fedbert.cli.command import console_for_tables
    from fedbert.files import encoded
    from fedbert.output_folder import write_together
    from fedbert.planning.capacity.capacity import Plan
    from fedbert.planning.capacity.forecast import forecast
    from fedbert.reporting.capacity.page import render, terminal_tables
    from fedbert.reporting.capacity.text import MIX_ASSUMPTION, as_json, frame, part_day_warning

    plan = Plan(
        devices=asked["devices"],
        release_bits_per_s=asked["release_mbit_per_s"] * 1e6,
        reports_per_round=asked["reports_per_round"] or min(10_000, -(-asked["devices"] // 100)),
        rounds_per_day=asked["rounds_per_day"] or base.rounds_per_day,
        releases_per_day=asked["releases_per_day"],
        release_hour=asked["release_hour"],
        over_selection=asked["over_selection"],
        model_spread=asked["model_spread"],
        seed=base.seed,
    )
    result = forecast(base, plan)
    text = json.dumps(as_json(result, command), indent=1, allow_nan=False) + "\n"
    texts = (text, frame(result).to_csv(index=False), render(result, command))
    contents = {name: encoded(each) for name, each in zip(FORECAST, texts, strict=True)}
    write_together(folder, contents, remove)
    console = console_for_tables()
    for table in terminal_tables(result):
        console.print(table)
    console.print(MIX_ASSUMPTION, highlight=False)
    if warning := part_day_warning(result):
        console.print(warning, highlight=False)
    console.print(f"report: {folder / 'report.html'}", soft_wrap=True, highlight=False)
