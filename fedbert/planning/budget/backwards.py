"""The plan: every mechanism calibrated to the budget, and what finished grids measured at its noise."""

from typing import Any

import numpy as np

from fedbert.errors import FedbertError, invalid
from fedbert.planning.budget.account import accounts, calibrated, settings_of
from fedbert.planning.budget.measured import Measured, read_frontiers
from fedbert.planning.budget.noise import mean_noise, report_shares
from fedbert.planning.budget.plan import (
    HORIZON_DAYS,
    Accounted,
    BudgetPlan,
    FreeFleet,
    MeasuredArm,
    Question,
    Reading,
    Refused,
    Row,
)
from fedbert.planning.budget.reading import LARGEST_FLEET, free_fleet, read
from fedbert.planning.budget.settings import BudgetSettings
from fedbert.privacy.mechanism import Mechanism
from fedbert.scenario import DEFAULTS
from fedbert.units import HOURS_PER_DAY

MOST_ROUNDS = 120_000
"""A year of rounds of five minutes. A correlated mechanism's cost is a sum over days and rounds."""

_NO_FRONTIER = "no frontier was given"


def plan(asked: BudgetSettings) -> BudgetPlan:
    """Return the plan that `asked` is for.

    Raises FedbertError if a frontier cannot be read or is of other rounds than asked for, if delta is out of
    range, or if the budget is out of every mechanism's reach.
    """
    measured = read_frontiers(asked.frontiers) if asked.frontiers else None
    question = _question(asked, measured)
    settings_of(question, question.devices)  # a delta that no mechanism can use is said at once
    rows: list[Row] = []
    refused: list[Refused] = []
    # A loss too large for a double is infinite to the accountant, and so too much for any budget.
    with np.errstate(over="ignore"):
        for name in asked.mechanisms:
            for found in accounts(name, question):
                if isinstance(found, Refused):
                    refused.append(found)
                else:
                    rows.append(_row(name, *found, question, measured))
    if not rows:
        raise FedbertError(refused[0].why)
    return BudgetPlan(
        question=question,
        measured_rounds=measured.scenario.rounds if measured else None,
        rows=tuple(rows),
        refused=tuple(refused),
        arms=measured.arms if measured else (),
    )


def _question(asked: BudgetSettings, measured: Measured | None) -> Question:
    scenario = measured.scenario if measured else DEFAULTS
    own: dict[str, Any] = {
        "round_hours": scenario.round_hours,
        "sampling_probability": scenario.cohort_probability,
        "release_every": scenario.release_every,
        "availability": scenario.availability,
    }
    for key, value in own.items():
        wanted = getattr(asked, key)
        if measured is not None and wanted is not None and wanted != value:
            rule = f"be the frontier's ({value!r}), whose losses are read"
            raise invalid(key, wanted, rule, "leave it out, or measure a frontier at it")
    chosen = {key: value if (wanted := getattr(asked, key)) is None else wanted for key, value in own.items()}
    _refuse_too_many(chosen["round_hours"], asked.days)
    if measured is not None:
        shares = measured.shares
        if not any(arm.signal == asked.signal for arm in measured.arms):
            has = ", ".join(sorted({arm.signal for arm in measured.arms})) or "none"
            raise invalid("signal", asked.signal, f"have a private arm in the frontier (has: {has})")
    else:
        shares = report_shares(chosen["round_hours"], chosen["availability"])
    return Question(
        epsilon=asked.epsilon,
        days=asked.days,
        delta=asked.delta,
        devices=asked.devices,
        shares=shares,
        signal=asked.signal,
        **chosen,
    )


def _refuse_too_many(round_hours: float, days: int) -> None:
    """Refuse rounds that nobody could wait for the accounting of."""
    longest = max(days, *HORIZON_DAYS)
    least = longest * HOURS_PER_DAY / MOST_ROUNDS
    if round_hours < least:
        rule = f"be >= {least:.3g}: {longest} days are planned with at most {MOST_ROUNDS:,} rounds"
        raise invalid("round_hours", round_hours, rule, "plan with longer rounds")


def _row(name: str, place: int, accounted: Accounted, question: Question, measured: Measured | None) -> Row:
    if measured is None:
        nothing = Reading(why=_NO_FRONTIER)
        return Row(accounted, None, nothing, nothing, FreeFleet(why=_NO_FRONTIER))
    rounds = measured.scenario.rounds
    if rounds > question.rounds:
        nothing = Reading(why=f"the frontier's runs have {rounds} rounds, more than the plan")
        return Row(accounted, None, nothing, nothing, FreeFleet(why=nothing.why))
    arms = [arm for arm in measured.arms if (arm.signal, arm.mechanism) == (question.signal, name)]
    made: dict[float, Mechanism] = {}

    def noise_of(devices: int) -> float | None:
        delta = question.delta_of(devices)
        if delta not in made:
            made[delta] = calibrated(name, place, question, devices)
        mechanism = made[delta]
        # A plan longer than the frontier's runs may hold a sum that they opened when they ended.
        if not mechanism.gathered(rounds):
            return None
        return mean_noise(mechanism, rounds, devices, question.shares)

    noise = noise_of(question.devices)
    most = LARGEST_FLEET if question.delta is None else _below(1 / question.delta)
    return Row(
        accounted,
        noise,
        read(arms, noise, _loss),
        read(arms, noise, _gain),
        free_fleet(arms, noise_of, question.devices, most),
    )


def _loss(arm: MeasuredArm) -> tuple[float, float, float]:
    return arm.loss


def _gain(arm: MeasuredArm) -> tuple[float, float, float]:
    return arm.gain


def _below(number: float) -> int:
    """Return the largest whole number below `number`."""
    whole = int(number)
    return whole - 1 if whole == number else whole
