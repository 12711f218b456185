"""Which figure of a plan follows which of its inputs: each entry of a table, those that must not move too."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import planning_fakes as fakes
import pytest

from fedbert.intervals import Estimate
from fedbert.planning.capacity import draws, growth_forecast
from fedbert.planning.capacity import forecast as whole
from fedbert.planning.capacity.base_run import BaseRun, base_of
from fedbert.planning.capacity.capacity import Plan
from fedbert.planning.capacity.forecast import forecast
from fedbert.planning.capacity.growth_forecast import growth
from fedbert.planning.capacity.load import load_of
from fedbert.planning.capacity.metered_forecast import metered
from fedbert.planning.capacity.rollout import per_step, roll_out
from fedbert.planning.capacity.stage_forecast import stages, stopped
from fedbert.planning.capacity.weekday_forecast import weekdays
from fedbert.planning.capacity.world import WEEKDAYS, TierBytes, World, parse_stages, parse_zones
from fedbert.scenario import build

PLAN = Plan(
    8_400_000, 6.42e9, 10_000, 12.0, 1.0, 0.0, 1.3, 0.2, sessions_per_day=4.0, download_bytes=1_910_000
)
"""The cap binds at the release's hour, and not all day."""

WEEK = (1.2, 1.0, 1.0, 1.0, 1.0, 0.9, 0.9)

INPUTS: dict[str, Callable[[Plan], Plan]] = {
    "D": lambda plan: replace(plan, devices=4_200_000),
    "C": lambda plan: replace(plan, release_bits_per_s=2e10),
    "M": lambda plan: replace(plan, reports_per_round=5_000),
    "R": lambda plan: replace(plan, rounds_per_day=6.0),
    "L": lambda plan: replace(plan, releases_per_day=2.0),
    "H": lambda plan: replace(plan, release_hour=6.5),
    "O": lambda plan: replace(plan, over_selection=1.6),
    "S": lambda plan: replace(plan, sessions_per_day=8.0),
    "B": lambda plan: replace(plan, download_bytes=1_000_000),
    "I": lambda plan: replace(plan, check_in_bytes=1_000),
    "T": lambda plan: replace(plan, connection_bytes=1_000),
    "Z": lambda plan: _with(plan, zones=parse_zones("0:0.5,-6:0.5")),
    "W": lambda plan: _with(plan, weekday_factors=WEEK),
    "K": lambda plan: _with(plan, stages=parse_stages("0.1:6,1")),
    "F": lambda plan: _with(plan, metered_share=0.5),
    "E": lambda plan: _with(plan, tier_bytes=(TierBytes("entry", 1_000_000),)),
    "G": lambda plan: _with(plan, days=30, growth_percent_per_month=20.0),
}
MOVES = """
releases per day                   | L
downloads per day                  | D L W F
egress per day                     | D L B W F E
downloads started over per day     | D L W F
bytes moved in vain per day        | D L B W F E
reports per day                    | M R O
ingress per day                    | M R O
check-ins per day                  | D R
check-in and TLS bytes, each way   | D M R L O I T W F
downloads per phone and day        | L W F
bytes down per phone and day       | L B W F E
bytes up per phone and day         | D M R O
egress, one release to all devices | D B E
egress, one release to all devices, coded | D
egress, one release in 24 h        | D B E
minimum hours under the cap        | D C B E
hours to 50%                       | D C B K E
hours to 90%                       |
hours to 95%                       |
hours to 99%                       |
peak egress without a cap          | D H B Z W K F E
egress headroom, peak hour         | D C B
hours a day at the cap             | D C L H B Z W K F E
download QPS at 1                  | D C H B K E
download QPS, peak hour            | D C B E
upload QPS at 1                    | M R O Z
upload QPS, peak hour              | M R O Z W
check-in QPS at 1                  | D R Z
check-in QPS, peak hour            | D R Z W
total QPS at 1                     | D C M R H O B Z K E
total QPS, peak hour               | D C M R H O B Z W K E
total QPS, p99                     | D C M R H O B Z W K F E
total QPS, peak second             | D C M R H O B Z W K E
peak second, check-ins aligned     | D C M H O B Z W K E
eligible devices at 1              | D Z
chance that a round fills at 1     | D M O Z W
rounds that fill                   | D M O Z W
aggregator ingress                 | M R O
aggregator additions               | M R O
aggregator ingress, burst          | M O Z W
aggregator additions, burst        | M O Z W
share of sessions scored           |
sessions per second at 1           | D S Z
installs per day (entry)           | L W F
computing per day (entry)          | L S W F
energy per session (entry)         |
energy per round (entry)           |
energy per day, sessions (entry)   | S
energy per day, installs (entry)   | L W F
energy per day, uploads (entry)    | D M R O
energy per day, downloads (entry)  | L B W F E
energy per day (entry)             | D M R L O S B W F E
charge per day (entry)             | D M R L O S B W F E
battery per day (entry)            | D M R L O S B W F E
share of sessions scored (entry)   |
"""
"""Figure, and the inputs that its best guess follows: of the fleet, of hour 1, and of the tier entry."""

STAGED = replace(
    PLAN,
    world=World(
        stages=parse_stages("0.1:6,1"),
        roll_back_after_stage=1,
        days=30,
        growth_percent_per_month=20.0,
        metered_share=0.2,
    ),
)
WORLD_INPUTS: dict[str, Callable[[Plan], Plan]] = {
    **{letter: INPUTS[letter] for letter in "DCMRLHOSBITZFE"},
    "k": lambda plan: _with(plan, stages=parse_stages("0.2:6,1")),
    "h": lambda plan: _with(plan, stages=parse_stages("0.1:9,1")),
    "n": lambda plan: _with(plan, days=20),
    "g": lambda plan: _with(plan, growth_percent_per_month=10.0),
}
WORLD_MOVES = """
stage 1: phones offered                       | D k
stage 1: phones at its end                    | D H Z F k h
stage 1: egress                               | D H B Z F E k h
stage 1: peak egress                          | D H B Z F E k
stage 2: phones offered                       | D
stage 2: phones at its end                    | D H Z F k h
stage 2: egress                               | D H B Z F E k h
stage 2: peak egress                          | D C B
roll-back: phones with the release            | D H Z F k h
roll-back: egress until then                  | D H B Z F E k h
roll-back: egress of the former release       | D H B Z F E k h
roll-back: peak egress                        | D H B Z F E k h
roll-back: hours to 50% of them               | H Z F h
roll-back: hours to 95% of them               |
horizon: downloads                            | D L F n g
horizon: egress                               | D L B F E n g
horizon: reports                              | M R O n
horizon: ingress                              | M R O n
horizon: check-ins                            | D R n g
horizon: check-in and TLS bytes, each way     | D M R L O I T F n g
horizon: requests                             | D M R L O F n g
last day: phones                              | D n g
last day: egress                              | D L B F E n g
last day: total QPS, peak hour                | D C M R L H O B Z E h n g
last day: egress headroom, peak hour          | D C B
horizon: day on which the link fills          | D C B
metered links: share of downloads             | D C L H B Z F E k h
metered links: bytes down per phone and day   | D C L H B Z F E k h
"""
"""The same of a staged, growing plan: share (k) and hours (h) of the first stage, days of the horizon (n),
its growth (g)."""

WEEK_MOVES = """
Monday: egress                                | D L H B w
Monday: reports                               | M R O w
Monday: check-ins                             | D R w
Monday: total QPS, peak hour                  | D C M R H O B w
"""
"""The same of Monday, with its factor (w)."""

STILL = """
releases per day
egress, one release to all devices
egress, one release to all devices, coded
egress, one release in 24 h
minimum hours under the cap
hours to 90%
hours to 95%
hours to 99%
"""
"""Figures whose interval does not follow the spread: what is planned, plain arithmetic, and not known."""

HELD_BY_CAP = """
hours to 50%
egress headroom, peak hour
download QPS at 1
download QPS, peak hour
"""
"""Figures that the cap alone decides."""


def _with(plan: Plan, **said: Any) -> Plan:
    """Return a plan that says something more of its world."""
    return replace(plan, world=replace(plan.world, **said))


@pytest.fixture(scope="module")
def run() -> BaseRun:
    """A run whose phones follow the hour."""
    scenario, execution = build({"devices": 10_000, "rounds": 12, "mechanism": "poisson", "epsilon": None})
    swing = 0.1 * np.cos(np.arange(24) / 24 * 2 * np.pi)
    made = base_of(fakes.fake_run(scenario, execution))
    repeated = {"download_attempts": 1.2, "moved_bytes": 1.07 * made.moved_bytes, "coded_bytes": 1.6e6}
    hourly = {"eligible": 0.3 + swing, "unmetered": 0.6 + swing, "session_share": (1 + swing) / 24}
    return replace(made, **hourly, **repeated)


def figures(run: BaseRun, plan: Plan) -> dict[str, Estimate]:
    """Return the figures of the table by name."""
    return {
        row.name + (" at 1" if row.hour == 1 else "") + (" (entry)" if row.tier else ""): row.estimate
        for row in forecast(run, plan).forecasts
        if row.hour in (None, 1) and row.tier in (None, "entry")
    }


def test_every_figure_follows_its_inputs_and_no_other(run: BaseRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry of the table: the best guess moves with the inputs named, and with none that is not."""
    # Intervals are asked for of the spread alone, and nothing that comes after the first days.
    monkeypatch.setattr(draws, "DRAWS", 2)
    monkeypatch.setattr(whole, "ROLLOUT_DAYS", 2)
    usual = figures(run, PLAN)
    moved: dict[str, list[str]] = {name: [] for name in usual}
    for letter, changed in INPUTS.items():
        found_by_name = figures(run, changed(PLAN))
        for name in usual:
            found = found_by_name[name]
            if abs(found.value - usual[name].value) > 1e-6 * abs(usual[name].value):
                moved[name].append(letter)
    table = dict(line.split("|") for line in MOVES.strip().splitlines())
    assert moved == {name.strip(): inputs.split() for name, inputs in table.items()}
    monkeypatch.setattr(draws, "DRAWS", 30)
    usual, wide = (figures(run, replace(PLAN, model_spread=spread)) for spread in (0.2, 0.5))
    held = {*STILL.strip().splitlines(), *HELD_BY_CAP.strip().splitlines()}
    assert {name for name in usual if _width(wide[name]) <= _width(usual[name])} == held
    assert [name for name in usual if not _same(wide[name].value, usual[name].value)] == []


def world_figures(run: BaseRun, plan: Plan) -> dict[str, float]:
    """Return the best guesses of stages, horizon, metered links and Monday."""
    load = load_of(run, plan)
    capacity = per_step(plan.release_bits_per_s, load.bytes_per_download)
    rollout = roll_out(
        load.fetching, capacity, load.draws.fetch_rate, load.draws.frailty, plan.release_hour, 2, load.groups
    )
    stop = stopped(load, plan.release_hour, rollout)
    rows = [*stages(load, rollout, stop), *growth(load)[0], *metered(load), *weekdays(load)]
    return {row.name: row.estimate.value for row in rows if not row.name.startswith(WEEKDAYS[1:])}


@pytest.mark.parametrize("moves", [WORLD_MOVES, WEEK_MOVES])
def test_every_figure_of_the_world_follows_its_inputs(
    run: BaseRun, monkeypatch: pytest.MonkeyPatch, moves: str
) -> None:
    """Each entry of the tables of a staged and growing plan, and of a Monday."""
    monkeypatch.setattr(draws, "DRAWS", 2)
    monkeypatch.setattr(growth_forecast, "SIZES", 2)
    week = moves == WEEK_MOVES
    plan = _with(PLAN, weekday_factors=WEEK) if week else STAGED
    changes = {letter: INPUTS[letter] for letter in "DCMRLHOB"} | {"w": _other_week} if week else WORLD_INPUTS
    usual = world_figures(run, plan)
    moved: dict[str, list[str]] = {name: [] for name in usual}
    for letter, changed in changes.items():
        for name, found in world_figures(run, changed(plan)).items():
            if name in usual and abs(found - usual[name]) > 1e-6 * abs(usual[name]):
                moved[name].append(letter)
    table = dict(line.split("|") for line in moves.strip().splitlines())
    assert moved == {name.strip(): inputs.split() for name, inputs in table.items()}


def _other_week(plan: Plan) -> Plan:
    return _with(plan, weekday_factors=(1.4, 1.0, 1.0, 1.0, 1.0, 0.8, 0.8))


def _width(found: Estimate) -> float:
    return 0.0 if found.low is None or found.high is None else found.high - found.low


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))
