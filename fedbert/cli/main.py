"""The command line: ``fedbert run | tradeoff | capacity | compress | report | profiles | keys``.

Each sub-command is imported when it is asked for, so that ``--help`` answers at once.
"""

import importlib
import sys
from collections.abc import Sequence

import click
import typer

from fedbert import __version__
from fedbert.cli.command import ManyValuesCommand, report_errors

_COMMANDS = {
    "run": ("fedbert.cli.run", "run", "simulate a fleet, round by round"),
    "tradeoff": ("fedbert.cli.tradeoff", "tradeoff", "privacy against quality, over seeds"),
    "capacity": ("fedbert.cli.capacity", "capacity", "what a large fleet takes to serve"),
    "compress": ("fedbert.cli.compress", "compress", "make a student from a teacher"),
    "report": ("fedbert.cli.report", "report", "write a run's report.html again"),
    "profiles": (
        "fedbert.cli.profiles",
        "profiles",
        "check device profiles, or measure this machine into one",
    ),
    "keys": ("fedbert.cli.keys", "keys", "make certificates and keys of a deployment"),
}


def load_command(name: str) -> click.Command:
    """Return one sub-command, importing it now."""
    module, attribute, _ = _COMMANDS[name]
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, click.Command):
        return found
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name, cls=ManyValuesCommand)(found)
    return typer.main.get_command(app)


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return load_command(name) if name in _COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, _, help_) in _COMMANDS.items()])


@click.command(cls=_LazyGroup)
@click.version_option(__version__, prog_name="fedbert")
def fedbert() -> None:
    """Simulate a fleet of phones that rank privately with a 1.91 MB BERT, and plan for millions of them."""


def call(name: str, arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command as a script does and return its exit code; errors are one line."""
    return report_errors(load_command(name), arguments)


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong input, 128 + the signal that stopped it."""
    sys.exit(report_errors(fedbert, None))
