"""``fedbert run``: one flag for each key of a scenario, a progress display, a run folder."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click
from pydantic.fields import FieldInfo

from fedbert import scenario as settings
from fedbert.results import RunResult


def _option(name: str, field: FieldInfo) -> click.Option:
    default = "" if field.default is None or field.default is False else f"  [default: {field.default}]"
    flag = "--" + name.replace("_", "-")
    if field.annotation is bool:
        return click.Option([flag, name], is_flag=True, default=None, help=field.description)
    return click.Option([flag, name], metavar="VALUE", help=f"{field.description}{default}")


def scenario_options() -> list[click.Parameter]:
    """Return one option for each key of `Scenario`; values are checked by the settings, not here."""
    return [_option(name, field) for name, field in settings.Scenario.model_fields.items()]


def execution_options() -> list[click.Parameter]:
    """Return one option for each key of `Execution`."""
    return [_option(name, field) for name, field in settings.Execution.model_fields.items()]


def gather(config: Path | None, flags: dict[str, Any]) -> tuple[settings.Scenario, settings.Execution]:
    """Return the settings from a scenario file and flags; a flag wins over the file's key."""
    values = settings.read_toml(config) if config is not None else {}
    return settings.build(values | {name: value for name, value in flags.items() if value is not None})


def default_folder(scenario: settings.Scenario) -> Path:
    """Return ``runs/<world>-<devices>-<seed>``, or the first free name with a number behind it."""
    stem = f"{scenario.world}-{scenario.devices}-seed{scenario.seed}"
    folder, number = Path("runs") / stem, 2
    while folder.exists():
        folder, number = Path("runs") / f"{stem}-{number}", number + 1
    return folder


def _run(config: Path | None, **flags: Any) -> int:
    scenario, execution = gather(config, flags)
    from fedbert.reporting.files import prepare_folder, write_run_folder
    from fedbert.reporting.progress import RunProgress
    from fedbert.reporting.terminal import print_summary
    from fedbert.simulation import run as simulate

    folder = execution.output or default_folder(scenario)
    prepare_folder(folder, execution.overwrite)
    with RunProgress() as progress:
        progress.start(scenario, execution)
        output = simulate(scenario, execution, progress, command_line())
        result: RunResult = output.result
        write_run_folder(result, output.devices, folder)
    print_summary(result, folder)
    return 130 if output.interrupted else 0


def command_line() -> str:
    """Return the command as it was typed."""
    return shlex.join(["python", *sys.argv] if sys.argv[0].endswith(".py") else ["fedbert", *sys.argv[1:]])


run = click.Command(
    "run",
    callback=_run,
    params=[
        click.Option(
            ["--config"],
            type=click.Path(path_type=Path),
            help="scenario file (TOML): every flag is a key, - as _",
        ),
        *scenario_options(),
        *execution_options(),
    ],
    help="Simulate a fleet of phones for some rounds of a day and write a run folder with report.html.",
)
