"""run(scenario) -> RunOutput: the whole simulation, from settings to the result that reports are made of."""

import datetime
import importlib.metadata
import platform
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fedbert import __version__
from fedbert.results import RoundRow, RunResult, VerifiedRow
from fedbert.scenario import Execution, Scenario

if TYPE_CHECKING:
    import pandas as pd

    from fedbert.federation.observer import RoundTruth
    from fedbert.federation.server import RoundUpdate
    from fedbert.federation.session import Session

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
    scenario: Scenario,
    execution: Execution,
    progress: Progress | None = None,
    command: str = "",
    grid: Any = None,
) -> RunOutput:
    """Simulate `scenario` and return its result; the same scenario gives the same figures on every backend.

    `grid` is a Flower Grid to run on; without one the backend of `execution` is started. Ctrl-C in a round
    ends the run early: the result then holds the rounds that were finished. Raises
    FedbertError for whatever is wrong with the scenario's files.
    """
    from fedbert.devices.memory_process import need_linux
    from fedbert.federation.backends import run_inprocess, run_ray, shard_count
    from fedbert.federation.environment import forget
    from fedbert.federation.session import Session
    from fedbert.summary import round_row, summarise

    if execution.verify_devices:
        need_linux("verify_devices", execution.verify_devices)
    progress = progress or Quiet()
    started = datetime.datetime.now(datetime.UTC)
    clock = time.perf_counter()
    progress.stage("loading teacher and student")
    session = Session.open(scenario)

    def listener(truth: "RoundTruth", update: "RoundUpdate", wall_s: float) -> None:
        row = round_row(session, truth, update, wall_s)
        progress.round_done(row, scenario.devices / max(wall_s, 1e-9))

    def body(on: Any) -> None:
        session.run(on, listener, progress.stage)

    try:
        if grid is not None:
            body(grid)
        elif execution.backend == "ray":
            run_ray(body, shard_count(execution, scenario.devices), execution.ray_address)
        else:
            run_inprocess(body, shard_count(execution, scenario.devices))
    except KeyboardInterrupt:
        if len(session.updates) < 2:
            raise
    finally:
        forget()
    verified = []
    if execution.verify_devices and len(session.updates) > scenario.rounds:
        progress.stage("running devices under a memory limit")
        verified = _verified(session, execution.verify_devices)
    progress.stage("writing the report")
    result, devices = summarise(
        scenario,
        session,
        command=command,
        started=started.isoformat(timespec="seconds"),
        wall_s=time.perf_counter() - clock,
        versions=versions(),
        commit=commit(),
    )
    if verified:
        result["verified_devices"] = verified
    return RunOutput(result, devices)


def _verified(session: "Session", count: int) -> list[VerifiedRow]:
    from fedbert.devices.fleet_shares import load_fleet
    from fedbert.federation.environment import cost_model
    from fedbert.federation.verification import verified_rows

    scenario, artefact = session.scenario, session.server.releases[0].artefact
    cost = cost_model(scenario, load_fleet(scenario.profiles, scenario.fleet), artefact)
    return verified_rows(scenario, cost, artefact, session.world, count)


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
    """Return the commit of the checkout this package is in, ``+changes`` if it differs; None outside one."""
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
