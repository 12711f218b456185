"""``fedbert report``: write the report of any command's folder again, and what else of a run's is missing."""

from pathlib import Path

import click

from fedbert.cli.command import Command


def _report(folder: Path) -> int:
    from fedbert.reporting.render import rerender

    click.echo(rerender(folder))
    return 0


report = Command(
    "report",
    callback=_report,
    params=[click.Argument(["folder"], type=click.Path(path_type=Path))],
    help="Write report.html of FOLDER again: that of a run, a trade-off, a forecast or a compression. "
    "A run that was stopped gets a report of its finished rounds.",
)
