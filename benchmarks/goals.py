"""Random goals of a capacity plan, each verified: python benchmarks/goals.py [--sets 20 --devices 20000].

Two runs of 10,000 phones, of the mechanisms daily and poisson, are what plans start from. A set has one to
three goals at random. The plan that is found for it is simulated at so many phones with its cohort and rounds
for three days, with a release at midnight, and its downloads are served under its cap; where none is found,
a bound that knows nothing of the search must rule out a goal (`fedbert.planning.capacity.goal_check`). Runs
train nothing. Prints a table; the last line says how many answers stand.
"""

import argparse
import sys
import time

import numpy as np

from fedbert.planning.capacity.base_run import BaseRun, base_of
from fedbert.planning.capacity.capacity import Plan
from fedbert.planning.capacity.goal_check import Checked, Verified, verify
from fedbert.planning.capacity.goal_text import parse_goal
from fedbert.planning.capacity.settings import CapacitySettings
from fedbert.planning.tradeoff.grid import simulate
from fedbert.results import RunResult
from fedbert.scenario import build
from fedbert.units import HOURS_PER_DAY

DAYS = 3
BASE_DEVICES = 10_000
MECHANISMS = ("daily", "poisson")


def base_run(mechanism: str) -> BaseRun:
    """Return the run that plans start from."""
    values = {"devices": BASE_DEVICES, "mechanism": mechanism, "epsilon": 2.0, "timing_only": True}
    return base_of(simulate(*build(values), "benchmarks/goals.py"))


def random_goals(rng: np.random.Generator) -> tuple[list[str], int, float]:
    """Return one to three goals, reports that a round wants, and rounds a day."""
    hours = int(rng.choice([2, 4, 8, 24]))
    texts = [
        f"rounds-fill={rng.uniform(0.5, 0.99):.3f}",
        f"updated-{hours}h={rng.uniform(0.4, 0.97):.3f}",
        f"epsilon={rng.uniform(0.3, 4.0):.2f}/day",
    ]
    chosen = rng.permutation(3)[: rng.integers(1, 4)]
    return [texts[at] for at in sorted(chosen)], int(rng.choice([20, 100, 400, 2_000])), 12.0


def simulated(mechanism: str, seed: int, plan: Plan, probability: float) -> RunResult:
    """Return a run of the plan's fleet."""
    rounds = round(plan.rounds_per_day)
    values = {
        "devices": plan.devices,
        "seed": seed,
        "mechanism": mechanism,
        "epsilon": None,
        "sampling_probability": probability,
        "rounds": DAYS * rounds,
        "round_hours": HOURS_PER_DAY / rounds,
        "release_every": rounds,
        "timing_only": True,
    }
    return simulate(*build(values), "benchmarks/goals.py")


def cell(each: Checked) -> str:
    """Return one goal with what came out."""
    value = each.came_out
    if value.low is None or value.high is None:
        return f"{each.goal.text}: needs noise {value.value:.3g}, {each.verdict}"
    return f"{each.goal.text}: {value.value:.3f} ({value.low:.3f} to {value.high:.3f}), {each.verdict}"


def plan_text(found: Verified) -> str:
    """Return the flags of a plan that was found."""
    plan = found.plan
    if plan is None:
        return "none found"
    return (
        f"{plan.rounds_per_day:.3g} rounds, {plan.reports_per_round} reports x {plan.over_selection:.3g}, "
        f"{plan.release_bits_per_s / 1e6:.3g} Mbit/s"
    )


def main() -> int:
    """Print a line a set; return 1 if an answer does not stand."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", type=int, default=20)
    parser.add_argument("--devices", type=int, default=20_000)
    flags = parser.parse_args()
    bases = {mechanism: base_run(mechanism) for mechanism in MECHANISMS}
    stand = by_chance = 0
    print("| set | mechanism | reports asked | plan | goals | stands |\n|---|---|---|---|---|---|")
    for number in range(flags.sets):
        rng, mechanism = np.random.default_rng(number), MECHANISMS[number % 2]
        texts, reports, rounds = random_goals(rng)
        base = bases[mechanism]
        asked = CapacitySettings(devices=flags.devices, reports_per_round=reports, rounds_per_day=rounds)
        seed, started = 1_000 + number, time.process_time()
        found = verify(
            base,
            asked.plan(base),
            tuple(map(parse_goal, texts)),
            lambda plan, probability, name=mechanism, seed=seed: simulated(name, seed, plan, probability),
        )
        stand, by_chance = stand + found.holds, by_chance + found.by_chance
        goals = "; ".join(cell(each) for each in found.checked)
        said = "yes" if found.holds else "no"
        print(f"| {number} | {mechanism} | {reports} | {plan_text(found)} | {goals} | {said} |", flush=True)
        print(f"{time.process_time() - started:.1f} s {found.why}", file=sys.stderr, flush=True)
    print(f"\n{stand} of {flags.sets} answers stand, {by_chance} of them within chance of a simulation.")
    return 0 if stand == flags.sets else 1


if __name__ == "__main__":
    sys.exit(main())
