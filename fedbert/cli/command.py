"""What all commands share: help in groups, flags with many values, one-line errors, exit codes."""

import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedbert.cli.options import Grouped
from fedbert.display import COLUMNS, standard_streams_as_display
from fedbert.errors import FedbertError
from fedbert.interrupts import exit_code, orderly_stop

if TYPE_CHECKING:
    from rich.console import Console

TRACEBACK = "FEDBERT_TRACEBACK"
"""Variable of the environment; 1 shows the traceback of an unforeseen error."""

STOPPED = (129, 130, 143)
"""Exit codes of a command that SIGHUP, Ctrl-C or SIGTERM ended."""


class Command(click.Command):
    """A command whose help stands in groups, and whose `many` flags take all words up to the next flag.

    Args:
        many: flags like ``--epsilons``, whose words are joined by commas before the command is parsed.
    """

    def __init__(self, *args: Any, many: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._many = tuple(many)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Join the many values, then parse as usual."""
        return super().parse_args(ctx, join_values(args, self._many))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, a section for each group of `fedbert.cli.options.Grouped`; the others last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                group = (parameter.group if isinstance(parameter, Grouped) else None) or "options"
                sections.setdefault(group, []).append(record)
        sections["options"] = sections.pop("options", [])
        for group, records in sections.items():
            if records:
                with formatter.section(group.capitalize()):
                    formatter.write_dl(records)


class Group(click.Group):
    """A command of commands; without arguments it shows its help."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"no_args_is_help": True} | kwargs)


class CommandWithMore(Command, Group):
    """A command that has commands of its own: words that name one go to it, all others are the command's."""

    def __init__(self, *args: Any, callback: Callable[..., Any], **kwargs: Any) -> None:
        @click.pass_context
        def alone(context: click.Context, /, **flags: Any) -> Any:
            return None if context.invoked_subcommand else callback(**flags)

        defaults = {"no_args_is_help": False, "invoke_without_command": True}
        super().__init__(*args, callback=alone, **defaults | kwargs)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in their groups, then the commands."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


def join_values(arguments: Sequence[str], flags: Sequence[str]) -> list[str]:
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


def report_errors(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run a command with `arguments` (default: those of the process) and return its exit code.

    0 done, 1 failed, 2 wrong input, 3 an audit found a fault, 130 stopped with Ctrl-C, 143 by SIGTERM, 129 by
    SIGHUP; errors are one line on standard error. Signals end it in order (`fedbert.interrupts`), and a
    display that goes away does not end it.
    """
    with standard_streams_as_display():
        try:
            with orderly_stop():
                code = command.main(
                    list(sys.argv[1:] if arguments is None else arguments), standalone_mode=False
                )
        except FedbertError as error:
            return _say(error.exit_code, f"error: {error}")
        except click.exceptions.NoArgsIsHelpError as error:
            sys.stdout.write(f"{error.message}\n")
            return 0
        except click.ClickException as error:
            return _say(2, f"error: {' '.join(error.format_message().split()).rstrip('.')}; see --help")
        except (KeyboardInterrupt, click.Abort):
            code = exit_code()
        except Exception as error:
            return _say(1, _fault(error))
        if code in STOPPED:
            return _say(exit_code(), "stopped; what was finished is kept")
        return int(code or 0)


def _say(code: int, line: str) -> int:
    sys.stderr.write(line + "\n")
    return code


def _fault(error: Exception) -> str:
    """Return the line about an error that fedbert did not foresee; the traceback where it is asked for."""
    if os.environ.get(TRACEBACK) == "1":
        return "".join(traceback.format_exception(error)).rstrip()
    if isinstance(error, MemoryError):
        return "error: memory ran out; use fewer devices, shards or jobs"
    where = traceback.extract_tb(error.__traceback__)[-1]
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        f"error: {said[:300]} ({Path(where.filename).name}, line {where.lineno}); this is a fault of "
        f"fedbert: please report it with what {TRACEBACK}=1 shows"
    )


def console_for_tables() -> "Console":
    """Return standard output for tables: as wide as the terminal, `COLUMNS` where there is none."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=COLUMNS)


def print_report(parts: Iterable[Any], folder: Path | None) -> None:
    """Print the parts of a report, and where its page lies if it has a `folder`, whose name is no markup."""
    console = console_for_tables()
    for part in parts:
        console.print(part, highlight=False)
    if folder is not None:
        console.print(f"report: {folder / 'report.html'}", soft_wrap=True, highlight=False, markup=False)
