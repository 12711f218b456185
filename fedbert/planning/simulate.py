"""The one place where planning meets the simulation; tests put a small function of their own in its stead."""

from collections.abc import Callable

from fedbert.results import RunResult
from fedbert.scenario import Execution, Scenario

Simulate = Callable[[Scenario, Execution, str], RunResult]
"""(scenario, execution, command) -> result. Must be a function of a module: workers import it by name."""


def simulate(scenario: Scenario, execution: Execution, command: str = "") -> RunResult:
    """Run the real simulation silently and return its result; the device sample is dropped."""
    from fedbert.simulation import run

    return run(scenario, execution, None, command=command).result
