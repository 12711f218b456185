"""The capacity forecast: what a fleet of any size takes to serve, from one small run.

Every figure is a share, rate or size of the run times the fleet; `docs/capacity.md` has the formulas. All of
them assume that the larger fleet has the run's mix of devices, habits and hours.
"""

import numpy as np

from fedbert.intervals import Array, Estimate, from_draws
from fedbert.planning.capacity.base_run import BaseRun
from fedbert.planning.capacity.capacity import HOURS, BaseFacts, CapacityForecast, Curve, Forecast, Plan
from fedbert.planning.capacity.device_forecast import hourly, sessions, tiers
from fedbert.planning.capacity.draws import Draws, draw_inputs
from fedbert.planning.capacity.filling import fill_chance, sampling_probability
from fedbert.planning.capacity.request_forecast import requests, with_chance
from fedbert.planning.capacity.rollout import (
    STEPS_PER_HOUR,
    Rollout,
    bits_per_s,
    per_step,
    roll_out,
    time_to_share,
    usual_day,
)
from fedbert.randomness import Purpose, generator
from fedbert.units import S_PER_DAY, S_PER_HOUR

BURST_S = 180.0
"""A synchronous round's reports arrive within two to three minutes (Bonawitz et al. 2019)."""

ROLLOUT_DAYS = 7
ROLLOUT_SHARES = (0.5, 0.9, 0.95, 0.99)
POINTS_PER_HOUR = 4
"""Points of the roll-out's curves that are kept; a figure shows no more."""

_EVERY = slice(None, None, STEPS_PER_HOUR // POINTS_PER_HOUR)


def forecast(base: BaseRun, plan: Plan) -> CapacityForecast:
    """Return the forecast of `plan` from `base`; the same arguments give the same figures."""
    draws = draw_inputs(base, plan.model_spread, plan.seed)
    rng = generator(plan.seed, Purpose.RESAMPLING, 1)
    fetching = plan.devices * (1 - base.control_share)
    capacity = per_step(plan.release_bits_per_s, base.release_bytes)
    mean_yield = float(base.eligible.mean() * draws.completion[0])
    q = sampling_probability(plan.reports_per_round, plan.over_selection, plan.devices, mean_yield)
    arguments = (draws.fetch_rate, draws.frailty, plan.release_hour)
    capped = roll_out(fetching, capacity, *arguments, ROLLOUT_DAYS)
    free = roll_out(fetching, np.inf, *arguments, ROLLOUT_DAYS)
    day = usual_day(fetching, capacity, *arguments, plan.releases_per_day)
    free_day = usual_day(fetching, np.inf, *arguments, plan.releases_per_day)
    downloads = day.reshape(len(day), HOURS, STEPS_PER_HOUR).sum(axis=2)
    free_peak = free_day.reshape(len(day), HOURS, STEPS_PER_HOUR).sum(axis=2).max(axis=1) / S_PER_HOUR
    reports = plan.devices * q * draws.eligible * draws.completion[:, None]  # [draw, hour], per round
    forecasts = [
        *_traffic(base, plan, rng, downloads, reports),
        *_rollout(base, plan, time_shares(capped, fetching), free_peak, downloads),
        *requests(plan, rng, draws, downloads, reports),
        *_eligible(plan, rng, draws),
        *_filling(plan, draws, q),
        *_aggregator(base, plan, reports),
        *sessions(base, plan, draws),
        *tiers(base, draws),
    ]
    return CapacityForecast(
        run=_facts(base),
        plan=plan,
        sampling_probability=q,
        forecasts=tuple(forecasts),
        rollout_hours=np.arange(capped.reached.shape[1])[_EVERY] / STEPS_PER_HOUR,
        rollout=_curve(capped.reached[:, _EVERY] / fetching),
        rollout_without_cap=_curve(free.reached[:, _EVERY] / fetching),
    )


def _facts(base: BaseRun) -> BaseFacts:
    return BaseFacts(
        name=base.name,
        seed=base.seed,
        commit=base.commit,
        devices=base.devices,
        days=base.days,
        rounds=len(base.completed),
        rounds_per_day=base.rounds_per_day,
        releases_per_day=base.releases_per_day,
        sampling_probability=base.sampling_probability,
        release_bytes=base.release_bytes,
        report_bytes=base.report_bytes,
        tier_ndcg={tier.name: list(tier.ndcg) for tier in base.tiers},
        device_errors=base.device_errors,
    )


def _curve(draws: Array) -> Curve:
    low, high = np.quantile(draws[1:], [0.025, 0.975], axis=0)
    return Curve(draws[0], np.minimum(low, draws[0]), np.maximum(high, draws[0]))


def _traffic(
    base: BaseRun, plan: Plan, rng: np.random.Generator, downloads: Array, reports: Array
) -> list[Forecast]:
    most = plan.devices * plan.releases_per_day * (1 - base.control_share)
    fetched = np.minimum(with_chance(rng, downloads.sum(axis=1)), most)
    sent = with_chance(rng, reports.mean(axis=1) * plan.rounds_per_day)
    down = (
        "devices fetch whole releases of the run's size at the run's pace, under the cap; one that missed a "
        "release fetches only the newest; retries are not counted"
    )
    up = "every completed device of a cohort sends one dense masked report of the run's size"
    return [
        Forecast("downloads per day", "downloads", from_draws(fetched), "modelled", down),
        Forecast("egress per day", "bytes", from_draws(fetched * base.release_bytes), "modelled", down),
        Forecast("reports per day", "reports", from_draws(sent), "modelled", up),
        Forecast("ingress per day", "bytes", from_draws(sent * base.report_bytes), "modelled", up),
    ]


def _rollout(
    base: BaseRun, plan: Plan, hours_to_share: dict[float, Array], free_peak: Array, downloads: Array
) -> list[Forecast]:
    used = bits_per_s(1, base.release_bytes, S_PER_HOUR) * downloads.max(axis=1) / plan.release_bits_per_s
    everyone = plan.devices * base.release_bytes
    mean = bits_per_s(plan.devices, base.release_bytes, S_PER_DAY)
    plain = "plain arithmetic: every device fetches one release, evenly over 24 hours"
    least = bits_per_s(plan.devices, base.release_bytes, 1.0) / plan.release_bits_per_s / S_PER_HOUR
    wait = (
        "devices ask when on an unmetered network, at the rate and with the differences between devices of "
        "the run, and wait their turn under the cap; the control group is left out"
    )
    return [
        Forecast("egress, one release to all devices", "bytes", _exact(everyone), "measured", plain),
        Forecast("egress, one release in 24 h", "bit/s", _exact(mean), "measured", plain),
        Forecast("minimum hours under the cap", "hours", _exact(least), "measured", plain),
        *(
            Forecast(f"hours to {share:.0%}", "hours", from_draws(hours), "modelled", wait)
            for share, hours in hours_to_share.items()
        ),
        Forecast(
            "peak egress without a cap",
            "bit/s",
            from_draws(free_peak * base.release_bytes * 8),
            "modelled",
            "peak hour of a usual day if every device that asks is served at once",
        ),
        Forecast(
            "egress headroom, peak hour",
            "share",
            from_draws(np.maximum(0.0, 1.0 - used)),
            "modelled",
            "what downloads leave free of the cap in the peak hour of a usual day; 0 if the cap binds",
        ),
    ]


def _exact(value: float) -> Estimate:
    return Estimate(value, None, None)


def time_shares(capped: Rollout, fetching: float) -> dict[float, Array]:
    """Return `[draw]` hours to each of `ROLLOUT_SHARES` of the fetching devices."""
    return {share: time_to_share(capped, fetching, share) for share in ROLLOUT_SHARES}


def _eligible(plan: Plan, rng: np.random.Generator, draws: Draws) -> list[Forecast]:
    counts = rng.binomial(plan.devices, draws.eligible).astype(np.float64)
    counts[0] = plan.devices * draws.eligible[0]
    return hourly(
        "eligible devices",
        "devices",
        counts,
        "modelled",
        "idle, charging and unmetered as often as the run's devices at that local hour; one time zone",
    )


def _filling(plan: Plan, draws: Draws, q: float) -> list[Forecast]:
    chance = fill_chance(
        plan.reports_per_round,
        plan.devices,
        q * draws.eligible * draws.completion[:, None],
        np.repeat(draws.spread[:, None], HOURS, axis=1),
    )
    assumption = (
        f"each device joins with probability {q:.3g}; rounds differ beyond chance as much as the run's did"
    )
    rows = hourly("chance that a round fills", "share", chance, "modelled", assumption)
    mean = from_draws(chance.mean(axis=1))
    return [
        *rows,
        Forecast("rounds that fill", "share", mean, "modelled", f"{assumption}; rounds at all hours"),
    ]


def _aggregator(base: BaseRun, plan: Plan, reports: Array) -> list[Forecast]:
    a_second = reports.mean(axis=1) * plan.rounds_per_day / S_PER_DAY
    busiest = reports.max(axis=1) / BURST_S
    steady = "mean of the day; one addition mod 2^32 per number of each report; unmasking is not counted"
    burst = f"all reports of the largest round arrive within {BURST_S:.0f} seconds"
    return [
        Forecast(
            "aggregator ingress",
            "bytes/s",
            from_draws(a_second * base.report_bytes),
            "modelled",
            steady,
        ),
        Forecast(
            "aggregator additions",
            "additions/s",
            from_draws(a_second * base.report_words),
            "modelled",
            steady,
        ),
        Forecast(
            "aggregator ingress, burst",
            "bytes/s",
            from_draws(busiest * base.report_bytes),
            "modelled",
            burst,
        ),
        Forecast(
            "aggregator additions, burst",
            "additions/s",
            from_draws(busiest * base.report_words),
            "modelled",
            burst,
        ),
    ]
