"""``fedbert capacity measure``: what servers spend on this machine, as a calibration file."""

import json
from typing import TYPE_CHECKING, Any

import click

from fedbert.cli.command import Command, console_for_tables
from fedbert.cli.kept import check_file
from fedbert.cli.options import given, options_from
from fedbert.planning.measuring.settings import MeasureSettings
from fedbert.provenance import command_line

if TYPE_CHECKING:
    from fedbert.planning.capacity.calibration import CalibrationRecord


def _measure(**flags: Any) -> None:
    asked = MeasureSettings(**given(flags))
    check_file(asked.output, "output", asked.overwrite)

    from fedbert.files import write_text
    from fedbert.planning.capacity.calibration import calibration_of
    from fedbert.planning.measuring.measure import measure

    found = measure(asked.machine, command_line(), lambda part: click.echo(f"measuring: {part}", err=True))
    calibration_of(found)
    write_text(asked.output, json.dumps(found, indent=1, allow_nan=False) + "\n")
    _show(found)
    click.echo(f"calibration: {asked.output}")


def _show(found: "CalibrationRecord") -> None:
    from fedbert.reporting.parts.terminal import block, new_table

    costs = new_table("cost", "value", "95% interval", "times")
    for cost in found["costs"]:
        interval = "–" if cost["low"] is None else f"{cost['low']:.4g} to {cost['high']:.4g}"
        costs.add_row(cost["cost"], f"{cost['value']:.4g}", interval, str(cost["measured"]))
    checks = new_table("load", "bytes each", "predicted CPU s", "measured", "error")
    for check in found["checks"]:
        error = check["predicted_cpu_s"] / check["measured_cpu_s"] - 1
        checks.add_row(
            f"{check['part']}, {check['rate_per_s']:g}/s",
            f"{check['bytes_each']:,}",
            f"{check['predicted_cpu_s']:.3f}",
            f"{check['measured_cpu_s']:.3f}",
            f"{100 * error:+.0f}%",
        )
    console = console_for_tables()
    console.print(block("What servers spend", "measured", costs))
    console.print(block("Predicted and measured loads", "measured", checks))


measure = Command(
    "measure",
    callback=_measure,
    params=options_from(MeasureSettings),
    help="Measure what servers spend on this machine: aggregator, server update, release downloads from a "
    "static server, check-ins and report uploads through a real SuperLink, all on loopback.",
    short_help="measure what servers spend on this machine",
)
