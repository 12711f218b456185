"""run(scenario) -> RunOutput: the whole simulation, from settings to the result that reports are made of.

A run in a folder writes each row to ``rounds.jsonl`` and a checkpoint after each round; however it ends,
`resume` goes on from there, and the finished run equals an undisturbed one to the bit.
"""

import datetime
import secrets
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fedbert.errors import invalid
from fedbert.parts import AUTO
from fedbert.provenance import commit, versions
from fedbert.results import AuditRow, RoundRow, RunResult, VerifiedRow
from fedbert.scenario import Execution, Scenario

if TYPE_CHECKING:
    import pandas as pd

    from fedbert.federation.run_state import RunState
    from fedbert.federation.session import Session
    from fedbert.resume import RunStore
    from fedbert.tracking.tracker import Trackers


class Progress(Protocol):
    """What a run tells while it works."""

    def stage(self, text: str) -> None:
        """Name what is being done now."""

    def round_done(self, row: RoundRow, devices_per_s: float) -> None:
        """Report a finished round."""

    def note(self, text: str) -> None:
        """Say in one line what was read, or what went wrong and did not end the run."""


class Quiet:
    """A `Progress` that says nothing."""

    def stage(self, text: str) -> None:
        """Say nothing."""

    def round_done(self, row: RoundRow, devices_per_s: float) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class RunOutput:
    """A finished or interrupted run: the result, and a sample of its devices, one row each."""

    result: RunResult
    devices: "pd.DataFrame"

    @property
    def interrupted(self) -> bool:
        """Whether something ended the run before its last round."""
        return self.result["status"] != "finished"


@dataclass(frozen=True)
class Place:
    """Where the shards of a run are: a Flower Grid, and what it is called in a result."""

    grid: Any
    name: str

    @property
    def deployed(self) -> bool:
        """Whether they are on SuperNodes, which are not all the user's own."""
        return self.name == "deployment"


def run(
    scenario: Scenario,
    execution: Execution,
    progress: Progress | None = None,
    command: str = "",
    grid: Any = None,
    folder: Path | None = None,
    resume: bool = False,
    trackers: "Trackers | None" = None,
) -> RunOutput:
    """Simulate `scenario` and return its result; the same scenario gives the same figures on every backend.

    `grid` is a Flower Grid to run on; without one the backend of `execution` is started. With `folder`, a
    reserved run folder, rows and checkpoints are written into it; `resume` goes on from what a stopped run of
    the same scenario left there. Ctrl-C ends the run early: the result then holds the rounds that were
    finished. Raises FedbertError if a file of the scenario is wrong, and RunStopped if something
    failed on the way.
    """
    from fedbert.devices.host.memory_process import need_linux
    from fedbert.federation.places.backends import opened

    if execution.verify_devices:
        need_linux("verify_devices", execution.verify_devices)
        if scenario.model == AUTO:
            rule = "be 0 with --model auto: it tries phones of one size"
            raise invalid("verify_devices", execution.verify_devices, rule, "name one size")
    if execution.signing_key is not None:
        _check_key(execution.signing_key, deployed=grid is not None)
    if grid is not None and scenario.poisoned:
        rule = "be 0 in a deployment: what honest and poisoned phones send would be told apart there"
        raise invalid("poisoned", scenario.poisoned, rule, "simulate it (docs/privacy.md)")
    if grid is not None and scenario.model == AUTO:
        rule = "be one size in a deployment: several have only been simulated"
        raise invalid("model", scenario.model, rule, "name one of them")
    progress = progress or Quiet()
    # Before anything is loaded: whether there is a place to run at all.
    with opened(execution, scenario.devices, progress.note) if grid is None else nullcontext(grid) as on:
        place = Place(on, execution.backend if grid is None else "deployment")
        return _run(place, scenario, execution, progress, command, folder, resume, trackers)


def _run(
    place: Place,
    scenario: Scenario,
    execution: Execution,
    progress: Progress,
    command: str,
    folder: Path | None,
    resume: bool,
    trackers: "Trackers | None",
) -> RunOutput:
    from fedbert.federation.environment import forget
    from fedbert.federation.session import Session
    from fedbert.resume import RunStore
    from fedbert.simulation.budget import check_budget
    from fedbert.simulation.summary import summarise
    from fedbert.simulation.world_facts import lines_read

    started = datetime.datetime.now(datetime.UTC)
    clock = time.perf_counter()
    store = RunStore(scenario, execution, folder, versions(), progress.note, resume)
    for row in store.resumed.state.rows if store.resumed else ():
        progress.round_done(row, scenario.devices / max(row["wall_s"], 1e-9))
    progress.stage("loading teacher and student")
    session = Session.open(scenario, execution.cache)
    check_budget(session.environment.mechanism, scenario)
    for line in lines_read(session.environment):
        progress.note(line)
    session.on_event = lambda event: progress.note(f"round {event.round}: {event.text}")
    session.lost_shards = execution.lost_shards or ("leave-out" if place.deployed else "stop")
    session.signing_key = execution.signing_key
    if place.deployed and scenario.noise_seed is None:
        # Who knows the seed can take the noise off, and shards know the one that `seed` would give.
        session.noise_seed = secrets.randbits(63)
    session.shard_timeout_s = execution.shard_timeout_s or (3600.0 if place.deployed else None)
    state = store.resumed.state if store.resumed else None
    resumed_rounds = len(state.rows) if state else 0
    if trackers is not None and folder is not None:
        trackers.started(scenario, folder, resumed_rounds)
    reached: list[RunState] = [state] if state else []

    def on_round(state: "RunState") -> None:
        row = state.rows[-1]
        reached[:] = [state]
        store.round_done(state, session)
        if trackers is not None:
            trackers.round(row)
        progress.round_done(row, scenario.devices / max(row["wall_s"], 1e-9))

    try:
        with store:
            _rounds(session, store, place.grid, progress, on_round)
    except KeyboardInterrupt:
        if not reached or reached[0].round < 1:
            raise
    finally:
        forget()
    finished = reached[0]
    verified = []
    ended = session.replayed is not None or (scenario.timing_only and finished.round == scenario.rounds)
    if execution.verify_devices and ended:
        progress.stage("running devices under a memory limit")
        verified = _verified(session, execution.verify_devices)
    audit = None
    if finished.round == scenario.rounds and session.replayed is not None:
        audit = _audit(session, finished.round, progress)
    progress.stage("writing the report")
    result, devices = summarise(
        session,
        finished,
        command=command,
        started=started.isoformat(timespec="seconds"),
        wall_s=store.wall_s_before + time.perf_counter() - clock,
        versions=versions(),
        commit=commit(),
        execution={
            "backend": place.name,
            "shards": session.shards,
            "resumed_rounds": resumed_rounds,
        },
    )
    if verified:
        result["verified_devices"] = verified
    if audit is not None:
        result["audit"] = audit
    return RunOutput(result, devices)


def _rounds(
    session: "Session",
    store: "RunStore",
    grid: Any,
    progress: Progress,
    on_round: "Callable[[RunState], None]",
) -> None:
    """Run all rounds that are left, then the comparison: the body of the ServerApp."""
    from fedbert.federation.compare import compare
    from fedbert.federation.round_step import step
    from fedbert.simulation.budget import overspent

    progress.stage("starting the phones")
    resumed = store.resumed
    if resumed is None:
        state = session.start(grid, folder=store.keep)
    else:
        state = session.start(grid, resumed.state, resumed.kept, folder=store.keep)
    rounds = session.scenario.rounds
    while state.round < rounds:
        round_ = state.round + 1
        if why := overspent(session.environment.mechanism, session.scenario, round_):
            progress.note(why)
            break
        progress.stage(f"round {round_} of {rounds}")
        state, _ = step(session, state, store.keep if store.due(round_) else None)
        on_round(state)
    if not session.scenario.timing_only:
        compare(session, state, progress.stage)


def _check_key(path: Path, deployed: bool) -> None:
    """Raise FedbertError unless orders can be signed with the key in `path`, and go to other machines."""
    from fedbert.federation.signing import load_private_key

    load_private_key(path)
    if not deployed:
        rule = "be left out of a run on this machine: its orders go nowhere"
        raise invalid("signing_key", str(path), rule, "it is for a deployment (docs/deployment.md)")


def _audit(session: "Session", rounds: int, progress: Progress) -> AuditRow | None:
    from fedbert.simulation.audit import audit_of

    # What is not private is not audited, and so not announced either.
    if session.environment.mechanism.private and session.scenario.audit != "off":
        progress.stage("auditing the privacy")
    return audit_of(session, rounds)


def _verified(session: "Session", count: int) -> list[VerifiedRow]:
    from fedbert.simulation.verification import verified_rows

    environment = session.environment
    return verified_rows(session.scenario, environment.cost, environment.release_0, environment.world, count)
