"""What tests of whole runs share: small scenarios, their figures as text, runs without a comparison."""

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

from fedbert.federation.environment import share
from fedbert.federation.places.backends import run_inprocess
from fedbert.federation.round_step import step
from fedbert.federation.run_state import RunState
from fedbert.federation.server import RoundUpdate
from fedbert.federation.session import Session
from fedbert.results import RunResult
from fedbert.scenario import DEFAULTS, Scenario

SMALL = Scenario(
    model="tiny",
    devices=60,
    rounds=2,
    release_every=1,
    availability="always",
    epsilon=20,
    delta=1e-3,
    sampling_probability=0.5,
    sessions_per_day=20,
    mechanism="poisson",
    min_reports=2,
    seed=3,
)
"""A private run with a release after every round, in which most devices report."""

TINY = SMALL.model_copy(
    update={
        "precision": "float32",
        "rounds": 3,
        "sessions_per_day": DEFAULTS.sessions_per_day,
        "min_reports": 1,
        "update_steps": 1,
    }
)
"""The quickest of them where models are really trained."""

FIGURES = (
    *("scenario", "world", "model", "privacy", "rounds", "tiers", "hours", "comparison", "gap", "status"),
    *("latency_histogram", "memory_histogram", "secure_sum", "traffic", "totals", "labels", "device_errors"),
)
"""Parts of a result that a repeated run must give again."""


def repeated(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a result what a repeated run must give again: its `FIGURES` without any time."""
    kept: dict[str, Any] = {name: copy.deepcopy(result.get(name)) for name in FIGURES}
    for row in kept["rounds"]:
        del row["wall_s"]
    del kept["totals"]["devices_per_s"]
    return kept


def figures(result: RunResult) -> str:
    """Return the same as text, in which a difference is shown line by line."""
    return json.dumps(repeated(result), indent=1)


@contextmanager
def loaded_once() -> Iterator[None]:
    """Load the models of each scenario once: environment and server of a run do not change in it."""
    opened: dict[str, Session] = {}
    plain = Session.open

    def again(scenario: Scenario, cache: None = None) -> Session:
        key = scenario.model_dump_json()
        if key not in opened:
            opened[key] = plain(scenario)
        first = opened[key]
        share(first.environment)
        return Session(scenario, first.environment, first.server)

    with mock.patch.object(Session, "open", again):
        yield


def stepped(
    scenario: Scenario, shards: int, grid_of: Any = None, **session: Any
) -> tuple[list[RunState], list[RoundUpdate]]:
    """Return all states of a run, the first before any round, and what the server did in each round.

    `grid_of` puts another grid around the in-process one; `session` are fields of the session.
    """
    opened = Session.open(scenario)
    for name, value in session.items():
        setattr(opened, name, value)
    states: list[RunState] = []
    updates: list[RoundUpdate] = []

    def body(grid: Any) -> None:
        states.append(opened.start(grid_of(grid) if grid_of else grid))
        for _ in range(scenario.rounds + 1):
            state, update = step(opened, states[-1])
            states.append(state)
            updates.append(update)

    run_inprocess(body, shards)
    return states, updates
