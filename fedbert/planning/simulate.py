"""The one place where planning meets the simulation; tests put a small function of their own in its stead."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from fedbert.files import encoded
from fedbert.results import RunResult
from fedbert.scenario import Execution, Scenario

Simulate = Callable[[Scenario, Execution, str], RunResult]
"""(scenario, execution, command) -> result. Must be a function of a module: workers import it by name.

`Execution.output`, if any, is the run's own folder: what it goes on from after it was stopped lies there.
"""


def simulate(scenario: Scenario, execution: Execution, command: str = "") -> RunResult:
    """Run the real simulation silently and return its result; the device sample is dropped.

    With an `output` the run keeps checkpoints there, and goes on from what a stopped run of the same scenario
    left; what another version of fedbert left is dropped, with one line on standard error.
    """
    from fedbert.resume import OtherRun, can_be_resumed
    from fedbert.run_folder import holding
    from fedbert.simulation.simulate import run

    folder = execution.output
    if folder is None:
        return run(scenario, execution, None, command).result
    with holding(folder):
        resume = can_be_resumed(folder)
        try:
            return run(scenario, execution, None, command, folder=folder, resume=resume).result
        except OtherRun as error:
            sys.stderr.write(f"{folder.name} begins again: {error}\n")
        return run(scenario, execution, None, command, folder=folder).result


def simulate_visibly(scenario: Scenario, execution: Execution, command: str = "") -> RunResult:
    """Run the real simulation with its progress display and return its result.

    Raises KeyboardInterrupt if Ctrl-C ended the run early.
    """
    from fedbert.cli.run_progress import RunProgress
    from fedbert.simulation.simulate import run

    with RunProgress() as progress:
        progress.start(scenario, execution)
        output = run(scenario, execution, progress, command=command)
    if output.interrupted:
        raise KeyboardInterrupt
    return output.result


def command_line() -> str:
    """Return the command as it was typed; bytes that are no UTF-8 become escapes."""
    words = ["python", *sys.argv] if Path(sys.argv[0]).suffix == ".py" else ["fedbert", *sys.argv[1:]]
    return encoded(shlex.join(words)).decode("utf-8")
