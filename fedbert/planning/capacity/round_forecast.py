"""Rounds of the larger fleet: who is eligible, whether a round fills, and what the aggregator takes in."""

import numpy as np

from fedbert.intervals import Array, from_draws
from fedbert.planning.capacity.capacity import Forecast, Plan
from fedbert.planning.capacity.clocks import of_a_day
from fedbert.planning.capacity.device_forecast import hourly
from fedbert.planning.capacity.draws import Draws, first
from fedbert.planning.capacity.filling import fill_chance
from fedbert.planning.capacity.load import BURST_S, Load
from fedbert.planning.capacity.world import WEEKDAYS, said_of_hours
from fedbert.units import HOURS_PER_DAY, S_PER_DAY


def eligible_devices(load: Load, rng: np.random.Generator) -> list[Forecast]:
    """Return the eligible devices by local hour."""
    shares, devices = of_a_day(load.draws.eligible), load.plan.devices
    counts = rng.binomial(devices, shares).astype(np.float64)
    counts[0] = devices * shares[0]
    return hourly(
        "eligible devices",
        "devices",
        counts,
        "modelled",
        "idle, charging and unmetered as often as the run's devices at that local hour; "
        + said_of_hours(load.plan.world),
    )


def filling(load: Load) -> list[Forecast]:
    """Return the chance that a round fills by hour, and that of all rounds."""
    q = load.sampling_probability
    assumption = (
        f"each device joins with probability {q:.3g}; rounds differ beyond chance as much as the run's did"
    )
    chance = _hourly_chance(load.plan, load.draws, q)
    alone = f"{assumption}; no round has to fill by itself, since a day's rounds are opened as one sum"
    by_hour = alone if load.base.waits else assumption
    rows = hourly("chance that a round fills", "share", chance, "modelled", by_hour)
    by_day, said = _by_day(chance).mean(axis=2), f"{assumption}; rounds at all hours"
    if load.base.waits:
        by_day = _day_chance(load.plan, load.draws, q)
        said = f"{assumption}; a day's rounds are opened as one sum, which wants the reports of all of them"
    filled = chance.mean(axis=1) if not load.base.waits else by_day.mean(axis=1)
    rows.append(Forecast("rounds that fill", "share", from_draws(filled), "modelled", said))
    if load.plan.world.days_differ:
        rows += [
            Forecast(f"{day}: rounds that fill", "share", from_draws(by_day[:, place]), "modelled", said)
            for place, day in enumerate(WEEKDAYS)
        ]
    return rows


def _by_day(by_hour: Array) -> Array:
    """Return `[draw, day, 24]` of `[draw, hour]` of a day or week."""
    return np.asarray(by_hour.reshape(len(by_hour), -1, int(HOURS_PER_DAY)))


def rounds_filled(load: Load, q: float) -> float:
    """Return the best guess of the share of rounds that fill if devices join with probability `q`.

    Where a day's rounds are opened as one sum, the chance that this has the reports that they all want.
    """
    best = first(load.draws)
    filled = _day_chance if load.base.waits else _hourly_chance
    return float(filled(load.plan, best, q).mean())


def _hourly_chance(plan: Plan, draws: Draws, q: float) -> Array:
    probability, place = np.minimum(q * draws.reporting, 1.0), None
    if plan.world.days_differ:
        # Days of one factor have the same hours, each of which takes a quantile of many draws.
        probability, place = np.unique(probability, axis=1, return_inverse=True)
    spread = np.repeat(draws.spread[:, None], probability.shape[1], axis=1)
    chance = fill_chance(plan.reports_per_round, plan.devices, probability, spread)
    return chance if place is None else chance[:, place.ravel()]


def _day_chance(plan: Plan, draws: Draws, q: float) -> Array:
    """Return `[draw, day]` the chance that a day's sum has its reports: of one day, or of each of a week."""
    rounds = plan.rounds_per_day
    reporting = _by_day(draws.reporting).mean(axis=2)
    probability = np.minimum(q * reporting * rounds, 1.0)
    wanted = max(1, round(plan.reports_per_round * rounds))
    spread = np.repeat(draws.spread[:, None], reporting.shape[1], axis=1)
    return fill_chance(wanted, plan.devices, probability, spread)


def aggregator(load: Load) -> list[Forecast]:
    """Return what the aggregator takes in and adds up, on average and while the largest round closes."""
    a_second = load.reports_per_day / S_PER_DAY
    busiest = load.burst.max(axis=1)
    steady = "mean of the day; one addition mod 2^32 per number of each report; unmasking is not counted"
    burst = f"all reports of the largest round arrive within {BURST_S:.0f} seconds"
    size, words = load.base.report_bytes, load.base.report_words
    return [
        Forecast(name, unit, from_draws(rate * each), "modelled", assumption)
        for name, unit, rate, each, assumption in (
            ("aggregator ingress", "bytes/s", a_second, size, steady),
            ("aggregator additions", "additions/s", a_second, words, steady),
            ("aggregator ingress, burst", "bytes/s", busiest, size, burst),
            ("aggregator additions, burst", "additions/s", busiest, words, burst),
        )
    ]
