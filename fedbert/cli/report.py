"""``fedbert report``: write a run folder's report.html again from its run.json, and what else is missing."""

from pathlib import Path

import click

from fedbert.cli.command import Command


def _report(folder: Path) -> int:
    from fedbert.reporting.run.folder import rerender

    click.echo(rerender(folder))
    return 0


report = Command(
    "report",
    callback=_report,
    params=[click.Argument(["folder"], type=click.Path(path_type=Path))],
    help="Write report.html of a run FOLDER again, and the files that a broken off writing left out.",
)
