"""``fedbert run``: one flag for each key of a scenario, a progress display, a run folder."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedbert import scenario as settings
from fedbert.cli.command import Command
from fedbert.cli.options import Grouped, given, options_from
from fedbert.errors import FedbertError
from fedbert.interrupts import exit_code
from fedbert.provenance import command_line
from fedbert.results import RUN_FILE, RunResult, audit_failure
from fedbert.resume import can_be_resumed, not_begun, saved_settings
from fedbert.run_folder import release, reserve, reserve_next
from fedbert.scenario import Execution, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from fedbert.cli.run_progress import RunProgress
    from fedbert.simulation.simulate import RunOutput
    from fedbert.tracking.tracker import Trackers

HOW = (
    *("backend", "ray_address", "shards", "checkpoint_every"),
    *("lost_shards", "shard_timeout_s", "trackers", "signing_key", "cache"),
)
"""Flags that may differ when a run is taken up again: how it is computed, and who follows it."""


def gather(
    config: Path | None, flags: dict[str, Any], quick: bool = False
) -> tuple[settings.Scenario, settings.Execution]:
    """Return the settings from a scenario file and flags.

    A flag wins over `settings.QUICK`, where that is asked for, and that over the file's key.
    """
    values = settings.read_toml(config) if config is not None else {}
    return settings.build(values | (settings.QUICK if quick else {}) | given(flags))


def default_folder(scenario: settings.Scenario) -> Path:
    """Make and lock ``runs/<world>-<devices>-<seed>``, or the first new name with a number behind it."""
    return reserve_next(Path("runs"), f"{scenario.world_name}-{scenario.devices}-seed{scenario.seed}")


def resumed_settings(folder: Path, config: Path | None, flags: dict[str, Any]) -> dict[str, Any]:
    """Return the flat keys of the run in `folder`, with the flags that say how to compute it.

    Raises FedbertError for a flag that would make it another run.
    """
    saved = saved_settings(folder)
    wanted = given(flags)
    for name, value in ({"config": config} | wanted).items():
        if value is None or name in HOW:
            continue
        flag = f"--{name.replace('_', '-')}"
        raise FedbertError(
            f"{name}(={str(value)!r}) must be left out with --resume, which goes on with the run's own "
            f"settings; leave {flag} out, or start another run"
        )
    return saved | wanted


def _run(config: Path | None, resume: Path | None, quick: bool, **flags: Any) -> int:
    if resume is None:
        scenario, execution = gather(config, flags, quick)
    else:
        asked = {"quick": True} | flags if quick else flags
        scenario, execution = settings.build(resumed_settings(resume, config, asked))
    return work(scenario, execution, resume, command_line())


def work(
    scenario: settings.Scenario,
    execution: settings.Execution,
    resume: Path | None,
    command: str,
    grid: Any = None,
) -> int:
    """Run a scenario in its folder, or go on in the folder `resume`; return the exit code.

    The folder is reserved first. `grid` is a Flower Grid to run on, if it is not to be started here.
    """
    from fedbert.cli.run_progress import RunProgress
    from fedbert.reporting.run.folder import FINISHED, prepare_folder
    from fedbert.tracking.registry import open_trackers

    folder = resume or execution.output or default_folder(scenario)
    if resume is None:
        prepare_folder(folder, execution.overwrite)
    else:
        reserve(resume)
    try:
        if resume is not None and not can_be_resumed(folder):
            if not any((folder / name).exists() for name in (RUN_FILE, FINISHED)):
                raise not_begun(folder)
            click.echo(f"the run in {folder} is finished; there is nothing to resume")
            return 0
        progress = RunProgress()
        trackers = open_trackers(execution.trackers, progress.note)

        def simulate() -> "RunOutput":
            from fedbert.simulation.simulate import run

            progress.start(scenario, execution)
            return run(
                scenario,
                execution,
                progress,
                command,
                grid=grid,
                folder=folder,
                resume=resume is not None,
                trackers=trackers,
            )

        return _finished(simulate, folder, progress, trackers)
    finally:
        release(folder)


def _finished(
    simulate: "Callable[[], RunOutput]", folder: Path, progress: "RunProgress", trackers: "Trackers"
) -> int:
    """Run, write the folder, show the result; whatever ends it early says how to go on."""
    from fedbert.reporting.run.folder import write_run_folder
    from fedbert.reporting.run.terminal import print_summary
    from fedbert.resume import finish

    done = False
    try:
        with progress:
            output = simulate()
            write_run_folder(output.result, output.devices, folder)
            done = not output.interrupted
            if done:
                finish(folder)
        trackers.finished(output.result)
    finally:
        trackers.stopped("the run was stopped")
        if not done and can_be_resumed(folder):
            sys.stderr.write(f"to go on: fedbert run --resume {shlex.quote(str(folder))}\n")
    print_summary(output.result, folder)
    fault = audit_failure(output.result)
    if fault is not None:
        raise fault
    return exit_code() if output.interrupted else 0


def simulate_visibly(scenario: Scenario, execution: Execution, command: str = "") -> RunResult:
    """Run the real simulation with its progress display and return its result.

    Raises KeyboardInterrupt if Ctrl-C ended the run early, AuditFailed if its audit found a fault.
    """
    from fedbert.cli.run_progress import RunProgress
    from fedbert.simulation.simulate import run

    with RunProgress() as progress:
        progress.start(scenario, execution)
        output = run(scenario, execution, progress, command=command)
    if output.interrupted:
        raise KeyboardInterrupt
    fault = audit_failure(output.result)
    if fault is not None:
        raise fault
    return output.result


def _first(name: str, text: str, **kinds: Any) -> Grouped:
    made = Grouped([name], help=text, **kinds)
    made.group = "scenario"
    return made


def _in_groups() -> list[click.Parameter]:
    """Return the options of both settings, by `settings.GROUPS`."""
    found = [
        *options_from(settings.Scenario, settings.GROUPS),
        *options_from(settings.Execution, settings.GROUPS, flags={"trackers": "--tracker"}),
    ]
    order = {name: place for place, names in enumerate(settings.GROUPS.values()) for name in names}
    return sorted(found, key=lambda each: order[str(each.name)])


run = Command(
    "run",
    callback=_run,
    params=[
        _first(
            "--quick",
            f"a first result in seconds: {settings.QUICK_WORDS}; other flags win over it",
            is_flag=True,
        ),
        _first(
            "--config",
            "scenario file (TOML): every flag is a key, - as _",
            type=click.Path(path_type=Path),
            metavar="PATH",
        ),
        _first(
            "--resume",
            "folder of a run that was stopped, to go on with it",
            type=click.Path(path_type=Path),
            metavar="PATH",
        ),
        *_in_groups(),
    ],
    help="Simulate a fleet of phones for some rounds of a day and write a run folder with report.html.",
)
