"""``fedbert budget``: from an epsilon over some days back to mechanism, noise, loss and fleet size."""

from pathlib import Path
from typing import Any

from fedbert.cli.command import Command, print_report
from fedbert.cli.options import given, options_from
from fedbert.errors import FedbertError
from fedbert.output_folder import foreign_check, write_together
from fedbert.planning.budget.settings import BudgetSettings
from fedbert.provenance import command_line
from fedbert.run_folder import release, reserve

OWN = frozenset({"budget.json", "report.html"})
"""All that this command writes into its folder."""


def _budget(**flags: Any) -> None:
    run_budget(BudgetSettings(**given(flags)))


def run_budget(asked: BudgetSettings) -> None:
    """Print the plan, and write its folder where one is asked for."""
    from fedbert.planning.budget.backwards import plan
    from fedbert.reporting.budget.folder import contents
    from fedbert.reporting.budget.terminal import terminal_tables

    folder = asked.output
    if folder is not None:
        _reserve(folder, asked.overwrite)
    try:
        found = plan(asked)
        if folder is not None:
            write_together(folder, contents(found, command_line()))
    finally:
        if folder is not None:
            release(folder)
    print_report(terminal_tables(found), folder)


def _reserve(folder: Path, overwrite: bool) -> None:
    refuse_foreign = foreign_check(folder, OWN)

    def not_in_the_way(present: list[str]) -> None:
        if present and not overwrite:
            raise FedbertError(
                f"output(={str(folder)!r}) must be empty or not exist; add --overwrite or choose another "
                "--output"
            )
        refuse_foreign(present)

    reserve(folder, not_in_the_way)


_GROUPS = {
    "budget": ("epsilon", "days", "delta"),
    "fleet": ("devices", "round_hours", "sampling_probability", "release_every", "availability"),
    "mechanisms": ("mechanisms", "frontiers", "signal"),
    "output": ("output", "overwrite"),
}

budget = Command(
    "budget",
    callback=_budget,
    many=("--mechanisms",),
    params=options_from(
        BudgetSettings, _GROUPS, flags={"frontiers": "--frontier"}, defaults={"mechanisms": "all"}
    ),
    help="Plan backwards from an epsilon over some days: the noise of each mechanism, the noise of the mean, "
    "and from finished trade-off grids the expected loss and the fleet that loses nothing.",
)
