"""The capacity forecast: what a fleet of any size takes to serve, from one small run.

Every figure is a share, rate or size of the run times the fleet; `docs/capacity.md` has the formulas. All of
them assume that the larger fleet has the run's mix of devices, habits and hours.
"""

import numpy as np

from fedbert.intervals import Array
from fedbert.planning.capacity.alerts import alerts
from fedbert.planning.capacity.assumed import UTILISATION
from fedbert.planning.capacity.base_run import BaseRun
from fedbert.planning.capacity.basis import basis_of
from fedbert.planning.capacity.calibration import Calibration
from fedbert.planning.capacity.capacity import BaseFacts, CapacityForecast, Curve, Plan, ServerFacts
from fedbert.planning.capacity.device_forecast import sessions, tiers
from fedbert.planning.capacity.growth_forecast import growth
from fedbert.planning.capacity.load import Load, load_of
from fedbert.planning.capacity.metered_forecast import metered
from fedbert.planning.capacity.privacy_forecast import privacy_of
from fedbert.planning.capacity.request_forecast import requests
from fedbert.planning.capacity.rollout import STEPS_PER_HOUR, per_step, roll_out, time_to_share
from fedbert.planning.capacity.round_forecast import aggregator, eligible_devices, filling
from fedbert.planning.capacity.server_forecast import servers
from fedbert.planning.capacity.stage_forecast import stages, stopped
from fedbert.planning.capacity.traffic_forecast import ROLLOUT_SHARES, rollouts, traffic
from fedbert.planning.capacity.weekday_forecast import weekdays
from fedbert.randomness import Purpose, generator
from fedbert.units import HOURS_PER_DAY

ROLLOUT_DAYS = 7
POINTS_PER_HOUR = 4
"""Points of the roll-out's curves that are kept; a figure shows no more."""

_EVERY = slice(None, None, STEPS_PER_HOUR // POINTS_PER_HOUR)


def forecast(
    base: BaseRun, plan: Plan, calibration: Calibration | None = None, utilisation: float = UTILISATION
) -> CapacityForecast:
    """Return the forecast of `plan` from `base`; the same arguments give the same figures.

    With a `calibration` it has servers, as busy as `utilisation` (over 0, at most 1) at their busiest.
    """
    load = load_of(base, plan)
    plan, draws, fetching = load.plan, load.draws, load.fetching
    rng = generator(plan.seed, Purpose.RESAMPLING, 1)
    capacity = per_step(plan.release_bits_per_s, load.bytes_per_download)
    days = ROLLOUT_DAYS + plan.world.stage_hours[-1] / HOURS_PER_DAY
    arguments = (draws.fetch_rate, draws.frailty, _release_hour(load), days, load.groups)
    capped = roll_out(fetching, capacity, *arguments)
    free = roll_out(fetching, np.inf, *arguments)
    hours_to_share = {share: time_to_share(capped, fetching, share) for share in ROLLOUT_SHARES}
    privacy = privacy_of(base, plan, load.sampling_probability)
    stop = stopped(load, _release_hour(load), capped)
    later, later_alerts = growth(load)
    return CapacityForecast(
        run=_facts(base),
        plan=plan,
        sampling_probability=load.sampling_probability,
        forecasts=(
            *traffic(load, rng),
            *rollouts(load, hours_to_share),
            *requests(load, rng),
            *eligible_devices(load, rng),
            *filling(load),
            *aggregator(load),
            *sessions(load),
            *tiers(load),
            *stages(load, capped, stop),
            *weekdays(load),
            *later,
            *metered(load),
            *(servers(load, calibration, utilisation) if calibration else ()),
        ),
        rollout_hours=np.arange(capped.reached.shape[1])[_EVERY] / STEPS_PER_HOUR,
        rollout=_curve(capped.reached[:, _EVERY] / fetching),
        rollout_without_cap=_curve(free.reached[:, _EVERY] / fetching),
        privacy=privacy,
        rollout_stopped=_curve(stop.holding[:, _EVERY] / fetching) if stop else None,
        alerts=(*alerts(load, capped.reached, privacy), *later_alerts),
        servers=ServerFacts(calibration.said, utilisation) if calibration else None,
        basis=basis_of(load, privacy, calibration),
    )


def _release_hour(load: Load) -> float:
    """Return the local hour of the release whose roll-out is shown: in the run's schedule its first."""
    if load.plan.schedule == "steady":
        return load.plan.release_hour
    releases = load.base.releases
    return float(releases.due_hours[np.argmax(releases.made)] % HOURS_PER_DAY)


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
        seen_share=base.seen_share,
        tier_ndcg={tier.name: list(tier.ndcg) for tier in base.tiers},
        device_errors=base.device_errors,
    )


def _curve(draws: Array) -> Curve:
    low, high = np.quantile(draws[1:], [0.025, 0.975], axis=0)
    return Curve(draws[0], np.minimum(low, draws[0]), np.maximum(high, draws[0]))
