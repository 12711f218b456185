"""From goals to a plan: over-selection, rounds a day, cohort and cap are found, each by halving a range.

What is searched is monotone in what is found: rounds fill more with a larger cohort, a wider link updates
more phones, and epsilon grows with rounds and cohort. A goal out of reach is refused with what binds it and
the nearest plan that works. All of it is of the best guess; the plan's forecast says how sure that is.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from fedbert.errors import FedbertError
from fedbert.planning.capacity.alerts import over_selection_for
from fedbert.planning.capacity.base_run import BaseRun
from fedbert.planning.capacity.capacity import Met, Plan
from fedbert.planning.capacity.draws import first
from fedbert.planning.capacity.goal_text import Goal
from fedbert.planning.capacity.load import Load, load_of, planned_probability
from fedbert.planning.capacity.privacy_forecast import largest_probability, mechanism_at, rounds_in, unknown
from fedbert.planning.capacity.rollout import STEPS_PER_HOUR, per_step, roll_out
from fedbert.planning.capacity.round_forecast import rounds_filled
from fedbert.units import HOURS_PER_DAY

LEAST_ROUNDS = 1.0
"""Fewest rounds a day that are planned to save epsilon; with less a release would wait for days."""

_HALVINGS = 60
_PRECISION = 1e-3


def meet(base: BaseRun, plan: Plan, goals: tuple[Goal, ...]) -> tuple[Plan, tuple[Met, ...]]:
    """Return the plan that meets `goals`, and what was found for each.

    Raises FedbertError for a goal out of reach, with what binds it and the nearest plan that works.
    """
    load = load_of(base, plan)
    load, asked = replace(load, draws=first(load.draws)), {goal.kind: goal for goal in goals}
    if "rounds-fill" in asked:
        load = _fill(load, asked["rounds-fill"])
    if "epsilon" in asked:
        load = _spend(load, asked["epsilon"], asked.get("rounds-fill"))
    if "updated" in asked:
        load = _update(load, asked["updated"])
    return load.plan, tuple(_met(load, goal) for goal in goals)


def _met(load: Load, goal: Goal) -> Met:
    plan = load.plan
    if goal.kind == "rounds-fill":
        value, found = _filled(load), f"--over-selection {plan.over_selection:g}"
    elif goal.kind == "updated":
        cap = plan.release_bits_per_s / 1e6
        value, found = _updated(load, plan.release_bits_per_s, goal.over), f"--release-mbit-per-s {cap:.12g}"
    else:
        value = _epsilon(load, goal.over)
        found = f"--rounds-per-day {plan.rounds_per_day:.12g} --reports-per-round {plan.reports_per_round}"
    return Met(goal.text, value, found)


def _with(load: Load, **changed: float) -> Load:
    """Return the load of a plan with some values changed, as far as rounds go."""
    plan = replace(load.plan, **changed)  # type: ignore[arg-type]
    return replace(load, plan=plan, sampling_probability=planned_probability(plan, load.base))


def _filled(load: Load) -> float:
    return rounds_filled(load, load.sampling_probability)


def _fill(load: Load, goal: Goal) -> Load:
    """Return the load with the least over-selection that fills as many rounds."""
    needed = over_selection_for(load, goal.value)
    if needed is not None:
        return _with(load, over_selection=needed)
    most = largest_probability(load.base, load.plan)

    def fills(wanted: float) -> bool:
        asked = replace(load, plan=replace(load.plan, reports_per_round=int(wanted)))
        return rounds_filled(asked, most) >= goal.value

    wanted = load.plan.reports_per_round
    if not fills(1):
        raise _out_of_reach(goal, "no round fills even if every phone that may join is asked", "more phones")
    low, high = 1, wanted
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fills(middle) else (low, middle)
    raise _out_of_reach(
        goal,
        f"{wanted:,} reports are more than the largest cohort brings (a phone joins a round with at most "
        f"{most:.3g})",
        f"--reports-per-round {low}",
    )


def _epsilon(load: Load, days: float) -> float:
    """Return epsilon after `days` against the budget's adversary; raises FedbertError if it is not known."""
    run = load.base.privacy
    if why := unknown(run, load.plan):
        raise FedbertError(f"goal epsilon must have a known epsilon: {why}; start from a run that has one")
    bounds = mechanism_at(run, load.plan, load.sampling_probability).spent(rounds_in(load.plan, days))
    return bounds[0 if run.budget is None and run.of_hidden else -1].epsilon


def _spend(load: Load, goal: Goal, fill: Goal | None) -> Load:
    """Return the load with as many rounds, and then as large a cohort, as the epsilon allows."""

    def within(tried: Load) -> bool:
        return _epsilon(tried, goal.over) <= goal.value

    def refilled(tried: Load) -> Load:
        needed = over_selection_for(tried, fill.value) if fill else None
        return tried if needed is None else _with(tried, over_selection=needed)

    def at_rounds(rounds: float) -> Load:
        tried = _with(load, rounds_per_day=rounds)
        # Where a day's rounds are one sum, how many they are decides what fills it.
        return refilled(tried) if load.base.waits else tried

    if within(load):
        return load
    few = at_rounds(min(LEAST_ROUNDS, load.plan.rounds_per_day))
    if within(few):
        least, most = few.plan.rounds_per_day, load.plan.rounds_per_day
        return at_rounds(_largest(lambda rounds: within(at_rounds(rounds)), least, most))

    def at_cohort(wanted: float) -> Load:
        return refilled(_with(few, reports_per_round=int(wanted)))

    smallest = at_cohort(1)
    if not within(smallest):
        noise, epsilon = load.base.privacy.noise_multiplier or 0.0, _epsilon(smallest, goal.over)
        raise _out_of_reach(
            goal,
            f"the run's noise multiplier ({noise:.3g}) costs {epsilon:.4g} with one round a day of the least "
            "cohort",
            f"--goal epsilon={math.ceil(epsilon * 1e3) / 1e3:g}/{goal.over:g}, or a run with a smaller "
            "--epsilon",
        )
    found = _largest(lambda wanted: within(at_cohort(wanted)), 1, few.plan.reports_per_round)
    return at_cohort(int(found))


def _updated(load: Load, bits_per_s: float, hours: float) -> float:
    """Return the share of the fetching phones that a release reaches in `hours` under a cap."""
    capacity, days = per_step(bits_per_s, load.bytes_per_download), math.ceil(hours / HOURS_PER_DAY)
    arguments = (load.draws.fetch_rate, load.draws.frailty, load.plan.release_hour, days, load.groups)
    found = roll_out(load.fetching, capacity, *arguments)
    return float(found.reached[0, round(hours * STEPS_PER_HOUR)] / load.fetching)


def _update(load: Load, goal: Goal) -> Load:
    """Return the load with the narrowest link that updates as many phones."""
    if goal.over > HOURS_PER_DAY / load.plan.releases_per_day * (1 + 1e-9):
        raise _out_of_reach(
            goal,
            f"the next release comes after {HOURS_PER_DAY / load.plan.releases_per_day:.3g} hours",
            f"--releases-per-day {HOURS_PER_DAY / goal.over:.3g}",
        )
    free = min(_updated(load, math.inf, goal.over), load.base.seen_share)
    if free < goal.value:
        raise _out_of_reach(
            goal,
            "no link brings a release to phones that are off Wi-Fi"
            f"{' or not offered it yet' if load.plan.world.stages else ''}, and the run saw it reach "
            f"{100 * load.base.seen_share:.1f}% at most",
            f"--goal updated-{goal.over:g}h={math.floor(free * 1e3) / 1e3:g}",
        )
    low = high = load.plan.release_bits_per_s
    while _updated(load, high, goal.over) < goal.value:
        low, high = high, 2 * high
    while _updated(load, low, goal.over) >= goal.value:
        low, high = low / 2, low
    ends = low + high
    cap = ends - _largest(lambda bits: _updated(load, ends - bits, goal.over) >= goal.value, low, high)
    return replace(load, plan=replace(load.plan, release_bits_per_s=cap))


def _largest(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Return the largest value in [low, high] that `holds`, which it does at `low`, to a thousandth."""
    for _ in range(_HALVINGS):
        if high - low <= _PRECISION * low:
            break
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _out_of_reach(goal: Goal, binding: str, nearest: str) -> FedbertError:
    return FedbertError(f"goal(={goal.text!r}) is out of reach: {binding}; the nearest that works: {nearest}")
