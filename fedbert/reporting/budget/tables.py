"""The tables of a privacy plan, as text: for the page and for the terminal."""

from fedbert.planning.budget.plan import HORIZON_DAYS, BudgetPlan
from fedbert.reporting.budget.text import count, difference, fleet, noise
from fedbert.reporting.parts.text import significant

WHO = ("mechanism", "participation")
SPENT = (
    *WHO,
    "noise multiplier",
    *(f"{days} days" if days > 1 else "a day" for days in HORIZON_DAYS),
    "a cycle",
)
NOISE = (*WHO, "reports a round", "a cycle", "noise: first day", "all rounds")
COST = (*WHO, "against no privacy", "over no signal", "no loss from (phones)")


def spent_rows(plan: BudgetPlan) -> list[list[str]]:
    """Return what each mechanism's noise spends, in `SPENT`."""
    return [
        [
            *(row.accounted.mechanism, row.accounted.participation),
            f"{row.accounted.noise_multiplier:.4g}",
            *(significant(value) for value in row.accounted.horizons),
            significant(row.accounted.cycle_epsilon),
        ]
        for row in plan.rows
    ]


def noise_rows(plan: BudgetPlan) -> list[list[str]]:
    """Return cohorts and noise of the mean, in `NOISE`."""
    return [
        [
            *(row.accounted.mechanism, row.accounted.participation),
            count(row.accounted.round_reports),
            f"{count(row.accounted.cycle_reports)} in {row.accounted.cycle_rounds}",
            noise(row.accounted.day_noise),
            noise(row.accounted.horizon_noise),
        ]
        for row in plan.rows
    ]


def cost_rows(plan: BudgetPlan) -> list[list[str]]:
    """Return what was measured at each row's noise, in `COST`."""
    return [
        [
            *(row.accounted.mechanism, row.accounted.participation),
            difference(row.loss),
            difference(row.gain),
            fleet(row.free),
        ]
        for row in plan.rows
    ]
