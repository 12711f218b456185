"""``fedbert run``: one flag for each key of a scenario, a progress display, a run folder."""

from pathlib import Path
from typing import Any

import click
from pydantic.fields import FieldInfo

from fedbert import scenario as settings
from fedbert.interrupts import exit_code
from fedbert.planning.simulate import command_line
from fedbert.results import RunResult
from fedbert.run_folder import release, reserve_next


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
    """Make and lock ``runs/<world>-<devices>-<seed>``, or the first new name with a number behind it."""
    return reserve_next(Path("runs"), f"{scenario.world}-{scenario.devices}-seed{scenario.seed}")


def _run(config: Path | None, **flags: Any) -> int:
    scenario, execution = gather(config, flags)
    from fedbert.reporting.files import prepare_folder, write_run_folder
    from fedbert.reporting.progress import RunProgress
    from fedbert.reporting.terminal import print_summary
    from fedbert.simulation import run as simulate

    folder = execution.output or default_folder(scenario)
    prepare_folder(folder, execution.overwrite)
    try:
        with RunProgress() as progress:
            progress.start(scenario, execution)
            output = simulate(scenario, execution, progress, command_line())
            result: RunResult = output.result
            write_run_folder(result, output.devices, folder)
    finally:
        release(folder)
    print_summary(result, folder)
    return exit_code() if output.interrupted else 0


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
