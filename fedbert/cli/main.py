"""The command line: ``fedbert run | tradeoff | budget | capacity | compress | report | data | ...``.

Each sub-command is imported when it is asked for, so that ``--help`` answers at once.
"""

import importlib
import sys
from collections.abc import Sequence

import click

from fedbert.cli.command import Group, report_errors
from fedbert.version import __version__

_COMMANDS = {
    "run": "simulate a fleet, round by round",
    "tradeoff": "privacy against quality, over seeds",
    "budget": "noise, loss and fleet size for an epsilon over some days",
    "capacity": "what a large fleet takes to serve",
    "compare": "what differs between runs, grids or forecasts",
    "compress": "make a student from a teacher",
    "report": "write the report of a command's folder again",
    "data": "turn published sets into a world, or check your own files",
    "profiles": "check device profiles, or measure this machine into one",
    "keys": "make certificates and keys of a deployment",
    "env": "show versions and machine, for a bug report",
}


def load_command(name: str) -> click.Command:
    """Return one sub-command, importing it now; each stands in the file of its name."""
    found = getattr(importlib.import_module(f"fedbert.cli.{name}"), name)
    assert isinstance(found, click.Command)
    return found


class _LazyGroup(Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return load_command(name) if name in _COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


fedbert = click.version_option(__version__, prog_name="fedbert")(
    _LazyGroup(
        "fedbert",
        help="Simulate a fleet of phones that rank privately with a 1.91 MB BERT, and plan for millions of "
        "them.",
    )
)


def call(name: str, arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command as a script does and return its exit code; errors are one line."""
    return report_errors(load_command(name), arguments)


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong input, 128 + the signal that stopped it."""
    sys.exit(report_errors(fedbert, None))
