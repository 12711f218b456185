"""What the planning commands share: flags with many values, one-line errors, exit codes.

`run_command` is for a script of one command; ``fedbert.cli`` mounts the same functions.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
import typer
from typer.core import TyperCommand

from fedbert.errors import FedbertError

MANY_VALUES = ("--epsilons",)
"""Flags that take all the words up to the next flag."""


def join_values(arguments: Sequence[str], flags: Sequence[str] = MANY_VALUES) -> list[str]:
    """Return `arguments` with the words after each of `flags` joined by commas.

    ``--epsilons 0.5 1 none --seeds 3`` becomes ``--epsilons 0.5,1,none --seeds 3``. A word that begins with
    ``--`` or with ``-`` and a letter ends the list; ``-1`` and ``-inf`` belong to it, so that they are
    refused as values.
    """
    joined: list[str] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        joined.append(word)
        if word in flags:
            values = []
            while waiting and not _is_flag(waiting[0]):
                values.append(waiting.pop(0))
            joined.append(",".join(values))
    return joined


def _is_flag(word: str) -> bool:
    if word.startswith("--"):
        return True
    return len(word) > 1 and word[0] == "-" and word[1].isalpha() and word.lower() not in ("-inf", "-nan")


class ManyValuesCommand(TyperCommand):
    """A typer command whose `MANY_VALUES` flags take several values at once."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Join the many values, then parse as usual."""
        return super().parse_args(ctx, join_values(args))


def run_command(function: Callable[..., Any], arguments: Sequence[str] | None = None) -> int:
    """Run one command with `arguments` (default: the command line's) and return its exit code.

    0 done, 1 failed, 2 wrong input, 130 stopped with Ctrl-C; errors are one line on standard error.
    """
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(cls=ManyValuesCommand)(function)
    return report_errors(typer.main.get_command(app), arguments)


def report_errors(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; see `run_command`."""
    try:
        code = command.main(list(sys.argv[1:] if arguments is None else arguments), standalone_mode=False)
    except FedbertError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except click.ClickException as error:
        sys.stderr.write(f"error: {' '.join(error.format_message().split()).rstrip('.')}; see --help\n")
        return 2
    except (KeyboardInterrupt, click.Abort):
        code = 130
    if code == 130:
        sys.stderr.write("stopped; what was finished is kept\n")
    return int(code or 0)
