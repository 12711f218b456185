"""Goals checked without the search that finds plans: by simulating the plan, or by a bound that rules it out.

A found plan is simulated with its own cohort and rounds: rounds that got their reports are counted, and the
downloads that phones asked for are served under the plan's cap. Epsilon is checked by calibration: the noise
that the goal needs may not exceed the run's. A goal that no plan is found for is out of reach if the most
favourable one misses it: the largest cohort, no cap, or one report a day.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedbert.errors import FedbertError
from fedbert.intervals import Array, Estimate, wilson
from fedbert.planning.budget.account import kind_of
from fedbert.planning.capacity.base_run import BaseRun
from fedbert.planning.capacity.capacity import Plan
from fedbert.planning.capacity.goal_text import Goal
from fedbert.planning.capacity.goals import meet
from fedbert.planning.capacity.load import planned_probability
from fedbert.planning.capacity.privacy_forecast import SLACK, largest_probability, rounds_in
from fedbert.planning.capacity.rollout import STEP_S, per_step
from fedbert.privacy.accounting import check
from fedbert.privacy.mechanism import PrivacySettings
from fedbert.results import RunResult
from fedbert.units import HOURS_PER_DAY, S_PER_HOUR

Simulate = Callable[[Plan, float], RunResult]
"""(plan with whole rounds a day, chance to join a round) -> a run of the plan's fleet, some days long, with a
release at each midnight."""


@dataclass(frozen=True)
class Checked:
    """One goal of a set: what came out, and what that says."""

    goal: Goal
    came_out: Estimate  # share or noise multiplier, with the chance of the simulation where there is any
    verdict: str
    """Of a plan "met", "met within chance" or "missed"; without one "out of reach", the same within chance,
    or "not ruled out"."""


@dataclass(frozen=True)
class Verified:
    """A set of goals: the plan that was found, if any, and each goal checked."""

    plan: Plan | None
    why: str  # what the search said where it found none
    checked: tuple[Checked, ...]

    @property
    def holds(self) -> bool:
        """Whether the search's answer stands: every goal met, or one of them out of reach."""
        verdicts = {each.verdict for each in self.checked}
        ruled_out = verdicts & {"out of reach", "out of reach within chance"}
        return "missed" not in verdicts if self.plan else bool(ruled_out)

    @property
    def by_chance(self) -> bool:
        """Whether it stands only because what came out may be off by the simulation's own chance."""
        verdicts = {each.verdict for each in self.checked}
        if self.plan:
            return self.holds and "met within chance" in verdicts
        return self.holds and "out of reach" not in verdicts


def verify(base: BaseRun, plan: Plan, goals: tuple[Goal, ...], simulate: Simulate) -> Verified:
    """Return what a simulation, or a bound, says of the plan that `goals.meet` finds for `goals`."""
    try:
        found, _ = meet(base, plan, goals)
    except FedbertError as error:
        return Verified(None, str(error), _bounds(base, plan, goals, simulate))
    whole = with_whole_rounds(found)
    rounds = simulate(whole, planned_probability(whole, base))
    downloads = _downloads(base, whole, rounds, goals, simulate)
    cap = found.release_bits_per_s
    checked = [
        _checked(base, whole, goal, downloads if goal.kind == "updated" else rounds, cap, planned=True)
        for goal in goals
    ]
    return Verified(found, "", tuple(checked))


def _downloads(
    base: BaseRun, plan: Plan, rounds: RunResult, goals: Sequence[Goal], simulate: Simulate
) -> RunResult:
    """Return a run whose windows are as long as those of the base run.

    A phone looks for a release once a window: in a plan of fewer rounds it would do so less often.
    """
    as_often = with_whole_rounds(replace(plan, rounds_per_day=base.rounds_per_day))
    if as_often.rounds_per_day == plan.rounds_per_day or all(goal.kind != "updated" for goal in goals):
        return rounds
    return simulate(as_often, planned_probability(as_often, base))


def with_whole_rounds(plan: Plan) -> Plan:
    """Return the plan with as many whole rounds a day, rounded down: those of a simulation."""
    return replace(plan, rounds_per_day=float(max(1, math.floor(plan.rounds_per_day + 1e-9))))


def _bounds(base: BaseRun, plan: Plan, goals: Sequence[Goal], simulate: Simulate) -> tuple[Checked, ...]:
    """Return each goal against the most favourable plan: the largest cohort, no cap, one report."""
    whole = with_whole_rounds(plan)
    result = simulate(whole, largest_probability(base, whole))
    return tuple(_checked(base, whole, goal, result, math.inf, planned=False) for goal in goals)


def _checked(
    base: BaseRun, plan: Plan, goal: Goal, result: RunResult, cap: float, *, planned: bool
) -> Checked:
    if goal.kind == "epsilon":
        return _epsilon(base, plan, goal, planned=planned)
    if goal.kind == "rounds-fill":
        filled = rounds_that_filled(result, plan.reports_per_round, together=base.waits)
        came_out = wilson(float(filled.sum()), len(filled))
    else:
        phones = int(result["scenario"]["devices"]) * (1 - float(result["scenario"]["control_share"]))
        came_out = wilson(reached(result, cap, goal.over), phones)
    high = came_out.high or 0.0
    if not planned:
        # A release that the next one replaces cannot be waited for.
        replaced = goal.kind == "updated" and goal.over > HOURS_PER_DAY / plan.releases_per_day
        if high < goal.value or replaced:
            return Checked(goal, came_out, "out of reach")
        said = "out of reach within chance" if came_out.value < goal.value else "not ruled out"
        return Checked(goal, came_out, said)
    if came_out.value >= goal.value:
        return Checked(goal, came_out, "met")
    return Checked(goal, came_out, "met within chance" if high >= goal.value else "missed")


def _epsilon(base: BaseRun, plan: Plan, goal: Goal, *, planned: bool) -> Checked:
    """Check an epsilon by the noise that it needs: of the plan, or of one round a day with one report."""
    if planned:
        probability = planned_probability(plan, base)
    else:
        plan = replace(plan, rounds_per_day=1.0)
        probability = 1 / (plan.devices * float(base.report_share.mean()))
    settings = PrivacySettings(
        epsilon=goal.value,
        delta=base.privacy.delta_of(plan.devices),
        sampling_probability=min(1.0, probability),
        clip_norm=1.0,
        rounds=rounds_in(plan, goal.over),
        rounds_per_day=plan.rounds_per_day,
        devices=plan.devices,
    )
    needed = float(kind_of(base.privacy.mechanism).make(check(settings)).noise_multiplier)
    within = needed <= (base.privacy.noise_multiplier or 0.0) * (1 + SLACK)
    verdict = ("met" if within else "missed") if planned else ("not ruled out" if within else "out of reach")
    return Checked(goal, Estimate(needed, None, None), verdict)


def rounds_that_filled(result: RunResult, wanted: int, *, together: bool) -> Array:
    """Return 1 or 0 for each round that got `wanted` reports or did not: `together`, for each day's sum."""
    completed = np.array([row["completed"] for row in result["rounds"] if row["round"] > 0], np.float64)
    if together:
        rounds = round(HOURS_PER_DAY / float(result["scenario"]["round_hours"]))
        completed = completed.reshape(-1, rounds).sum(axis=1)
        wanted = wanted * rounds
    return np.asarray(completed >= wanted, np.float64)


def reached(result: RunResult, bits_per_s: float, hours: float) -> float:
    """Return how many phones have the first release after `hours` if its downloads share a link.

    Phones ask as they fetched in the run, evenly within a window, and are served first come first served.
    """
    rows = [row for row in result["rounds"] if row["round"] > 0]
    first = next(index for index, row in enumerate(rows) if row["released"])
    installed = [row["installed"].get(str(rows[first]["released"]), 0) for row in rows[first:]]
    windows_h = float(result["scenario"]["round_hours"]) * np.arange(len(installed))
    steps_h = np.arange(round(hours * S_PER_HOUR / STEP_S) + 1) * STEP_S / S_PER_HOUR
    asked = np.interp(steps_h, windows_h, installed)
    moved = sum(row["bytes_down"] for row in rows) / sum(row["downloads"] for row in rows)
    capacity = per_step(bits_per_s, moved)
    served = 0.0
    for so_far in asked[1:]:
        served = min(float(so_far), served + capacity)
    return served
