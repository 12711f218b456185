"""The one place where planning meets the simulation; tests put a small function of their own in its stead."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from fedbert.files import encoded
from fedbert.results import RunResult
from fedbert.scenario import Execution, Scenario

Simulate = Callable[[Scenario, Execution, str], RunResult]
"""(scenario, execution, command) -> result. Must be a function of a module: workers import it by name."""


def simulate(scenario: Scenario, execution: Execution, command: str = "") -> RunResult:
    """Run the real simulation silently and return its result; the device sample is dropped."""
    from fedbert.simulation import run

    return run(scenario, execution, None, command=command).result


def simulate_visibly(scenario: Scenario, execution: Execution, command: str = "") -> RunResult:
    """Run the real simulation with its progress display and return its result.

    Raises KeyboardInterrupt if Ctrl-C ended the run early.
    """
    from fedbert.reporting.progress import RunProgress
    from fedbert.simulation import run

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
