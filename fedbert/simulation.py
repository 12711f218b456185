"""run(scenario) -> RunOutput: the whole simulation, from settings to the result that reports are made of."""

import datetime
import importlib.metadata
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fedbert import __version__
from fedbert.results import RoundRow, RunResult
from fedbert.scenario import Execution, Scenario

if TYPE_CHECKING:
    import pandas as pd

_SHOWN_VERSIONS = ("flwr", "torch", "onnxruntime", "transformers", "dp-accounting", "numpy", "pandas")


class Progress(Protocol):
    """What a run tells while it works."""

    def stage(self, text: str) -> None:
        """Name what is being done now."""

    def round_done(self, row: RoundRow, devices_per_s: float) -> None:
        """Report a finished round."""


class Quiet:
    """A `Progress` that says nothing."""

    def stage(self, text: str) -> None:
        """Say nothing."""

    def round_done(self, row: RoundRow, devices_per_s: float) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class RunOutput:
    """A finished or interrupted run: the result, and a sample of its devices, one row each."""

    result: RunResult
    devices: "pd.DataFrame"

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the run before its last round."""
        return self.result["status"] != "finished"


def run(
    scenario: Scenario, execution: Execution, progress: Progress | None = None, command: str = ""
) -> RunOutput:
    """Simulate `scenario` and return its result; the same scenario gives the same figures on every backend.

    Ctrl-C in a round ends the run early: the result then holds the rounds that were finished. Raises
    FedbertError for whatever is wrong with the scenario's files.
    """
    from fedbert.federation.session import run_session
    from fedbert.summary import summarise

    progress = progress or Quiet()
    started = datetime.datetime.now(datetime.UTC)
    clock = time.perf_counter()
    raw = run_session(scenario, execution, progress)
    progress.stage("writing the report")
    return summarise(
        scenario,
        execution,
        raw,
        command=command,
        started=started.isoformat(timespec="seconds"),
        wall_s=time.perf_counter() - clock,
        versions=versions(),
        commit=commit(),
    )


def versions() -> dict[str, str]:
    """Return the versions of fedbert, Python and the packages that a figure may depend on."""
    found = {"fedbert": __version__, "python": platform.python_version()}
    for name in _SHOWN_VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """Return the commit of the checkout this package lies in, with ``+changes`` if it differs; None outside one."""
    from fedbert.paths import PACKAGE

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(PACKAGE), *words], capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    if git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    number = git("rev-parse", "--short", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no")
    return f"{number}+changes" if number and changed else number
