"""``fedbert compare``: what differs between runs, grids or forecasts, each difference an effect or chance."""

from pathlib import Path

import click

from fedbert.cli.command import Command, print_report
from fedbert.cli.kept import refuse_filled
from fedbert.errors import invalid
from fedbert.output_folder import foreign_check, write_together
from fedbert.provenance import command_line
from fedbert.run_folder import release, reserve, reserve_next

OWN = frozenset({"compare.json", "report.html"})
"""All that this command writes into its folder."""

LONGEST_NAME = 40
"""Letters of a folder's name that stand in the name of the comparison's."""


def _compare(folders: tuple[Path, ...], output: Path | None, overwrite: bool) -> None:
    from fedbert.planning.comparing.comparison import compare as compared
    from fedbert.reporting.compare.folder import contents
    from fedbert.reporting.compare.reading import read
    from fedbert.reporting.compare.terminal import terminal_tables

    found = compared(*read(folders))
    folder = _hold(folders, output, overwrite)
    try:
        write_together(folder, contents(found, command_line()))
    finally:
        release(folder)
    print_report(terminal_tables(found), folder)


def _hold(folders: tuple[Path, ...], output: Path | None, overwrite: bool) -> Path:
    """Make and lock the folder to write into, and return it."""
    if output is None:
        names = [(folder.resolve().name or "root")[:LONGEST_NAME] for folder in folders[:2]]
        more = f"-and-{len(folders) - 2}-more" if len(folders) > 2 else ""
        return reserve_next(Path("runs"), f"compare-{'-'.join(names)}{more}")
    if output.resolve() in {folder.resolve() for folder in folders}:
        raise invalid("output", str(output), "not be one of the folders compared", "choose another --output")
    if not overwrite:
        refuse_filled(output)
    reserve(output, foreign_check(output, OWN))
    return output


compare = Command(
    "compare",
    callback=_compare,
    params=[
        click.Argument(
            ["folders"], nargs=-1, required=True, type=click.Path(path_type=Path), metavar="A B [C ...]"
        ),
        click.Option(
            ["--output"],
            type=click.Path(path_type=Path),
            metavar="PATH",
            help="folder for compare.json and report.html  [default: runs/compare-A-B]",
        ),
        click.Option(["--overwrite"], is_flag=True, help="replace an earlier comparison there"),
    ],
    help="Say what differs between finished runs, trade-off grids or capacity forecasts, all of one kind: in "
    "settings and versions, and in results, each difference an effect or chance. Runs that differ in the "
    "seed alone stand together; differences are paired by seed against A.",
)
