"""What privacy costs at the plan's fleet and cohort, read from finished trade-off grids.

Quality follows the noise of the mean (`planning.budget.noise`): it is computed for the plan's fleet, cohort
and noise, and the loss is read between the grid's arms with less and with more of it, never beyond them.
"""

from dataclasses import replace

from fedbert.planning.budget.measured import Measured
from fedbert.planning.budget.noise import mean_noise
from fedbert.planning.budget.plan import Reading
from fedbert.planning.budget.reading import read
from fedbert.planning.capacity.base_run import BaseRun
from fedbert.planning.capacity.capacity import CapacityForecast, Plan
from fedbert.planning.capacity.load import planned_probability
from fedbert.planning.capacity.privacy_forecast import mechanism_at, unknown
from fedbert.planning.capacity.world import PLAIN

_ALIKE = 0.02
"""Relative difference up to which rounds and releases a day count as those of the grid."""


def with_loss(base: BaseRun, result: CapacityForecast, measured: Measured) -> CapacityForecast:
    """Return the forecast with nDCG@10 against no privacy as `measured` grids have it at the plan's noise."""
    found = loss_at(base, result.plan, planned_probability(result.plan, base), measured)
    return replace(result, privacy=replace(result.privacy, loss=found))


def loss_at(base: BaseRun, plan: Plan, probability: float, measured: Measured) -> Reading:
    """Return the difference to no privacy where phones join a round with `probability`, or why there is none.

    Arms of the run's signal and mechanism alone are read.
    """
    run, scenario = base.privacy, measured.scenario
    if why := unknown(run, plan) or _other(plan, measured):
        return Reading(why=why)
    mechanism = mechanism_at(run, plan, probability)
    noise = mean_noise(mechanism, scenario.rounds, plan.devices, measured.shares)
    arms = [arm for arm in measured.arms if (arm.signal, arm.mechanism) == (run.signal, run.mechanism)]
    return read(arms, noise, lambda arm: arm.loss)


def _other(plan: Plan, measured: Measured) -> str:
    """Return in what the plan's rounds are not those of the grid, empty if they are."""
    scenario = measured.scenario
    ways = (
        ("rounds a day", plan.rounds_per_day, scenario.rounds_per_day),
        ("releases a day", plan.releases_per_day, scenario.rounds_per_day / scenario.release_every),
    )
    for what, planned, known in ways:
        if abs(planned - known) > _ALIKE * known:
            return f"the grid has {known:.4g} {what}, and {planned:.4g} are planned"
    if plan.world != PLAIN:
        return "the grid is of equal days in one time zone, where all are offered one release at once"
    return ""
